import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from seedvr_engine.checkpoints import catalog, download
from seedvr_engine.checkpoints.catalog import CatalogFile
from seedvr_engine.checkpoints.download import (
    OnProgress,
    Retry,
    check_room,
    download_model,
    download_with_retry,
    look_up,
)
from seedvr_engine.errors import CheckpointError, OutputError, UsageError
from tests.checkpoints.hub import Fault, Hub, redirecting_to_another_host

PATIENT = Retry(attempts=4, first_s=0.001, longest_s=0.002, stall_s=0.5)
REPOSITORY = "someone/some-model"
NAME = f"{REPOSITORY}/weights/some.safetensors"
CONTENT = random.Random(1).randbytes(3_000_000)
ENTRY = CatalogFile(REPOSITORY, "weights/some.safetensors", "dit", "7b", "F16")
TOKEN = "hf_thisMustNeverBeSeenAnywhere"


@pytest.fixture
def whole(hub: Hub) -> Hub:
    hub.files[NAME] = CONTENT
    return hub


def fetch(ckpts: Path, entry: CatalogFile = ENTRY, on_progress: OnProgress | None = None) -> Path:
    return download_with_retry(look_up(entry, retry=PATIENT), ckpts, on_progress=on_progress, retry=PATIENT)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()} - {".seedvr_hashes.json"}


def test_a_file_comes_to_its_place_below_repository_and_name(whole: Hub, ckpts: Path) -> None:
    steps: list[tuple[int, int]] = []
    path = fetch(ckpts, on_progress=lambda done, total: steps.append((done, total)))
    assert path == ckpts / "someone" / "some-model" / "weights" / "some.safetensors"
    assert path.read_bytes() == CONTENT
    assert names(ckpts) == {"some.safetensors"}
    assert steps == sorted(steps)
    assert steps[-1] == (len(CONTENT), len(CONTENT))


def test_the_hub_is_asked_for_the_file_and_for_nothing_else(whole: Hub, ckpts: Path) -> None:
    process = program(ckpts, 5, HF_HOME=str(ckpts / "home"))
    process.communicate()
    assert process.returncode == 0
    assert [(request.method, request.path.rpartition("/")[2]) for request in whole.seen] == [
        ("HEAD", "some.safetensors"),
        ("GET", "some.safetensors"),
    ]


def test_a_connection_cut_in_the_middle_goes_on_where_it_broke(whole: Hub, ckpts: Path) -> None:
    whole.faults.extend([Fault(after=1_000_000), Fault(after=1_500_000)])
    assert fetch(ckpts).read_bytes() == CONTENT
    assert whole.ranges() == ["", "bytes=1000000-", "bytes=2500000-"]


def test_a_server_that_falls_silent_is_left_and_asked_again(whole: Hub, ckpts: Path) -> None:
    whole.faults.append(Fault(after=2_000_000, stall=True))
    assert fetch(ckpts).read_bytes() == CONTENT
    assert whole.ranges() == ["", "bytes=2000000-"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_errors_that_pass_are_waited_for(whole: Hub, ckpts: Path, status: int, method: str) -> None:
    whole.faults.extend([Fault(status, {"Retry-After": "30"}, method=method)] * 3)
    assert fetch(ckpts).read_bytes() == CONTENT


def test_a_server_that_stays_broken_is_given_up_and_what_came_is_kept(whole: Hub, ckpts: Path) -> None:
    remote = look_up(ENTRY, retry=PATIENT)
    whole.faults.append(Fault(after=1_000_000))
    whole.always = Fault(503)
    with pytest.raises(CheckpointError, match=r"answered 503.*seedvr download 7b"):
        download_with_retry(remote, ckpts, retry=PATIENT)
    assert len(whole.ranges()) == 1 + PATIENT.attempts - 1
    whole.always = None
    fetch(ckpts)
    assert whole.ranges()[-1] == "bytes=1000000-"


def test_attempts_are_counted_from_the_last_byte_that_came(whole: Hub, ckpts: Path) -> None:
    whole.faults.extend([Fault(after=200_000)] * (PATIENT.attempts * 2))
    assert fetch(ckpts).read_bytes() == CONTENT


def test_a_server_that_cannot_start_in_the_middle_sends_all_again(whole: Hub, ckpts: Path) -> None:
    whole.faults.extend([Fault(after=1_000_000), Fault(ignore_range=True)])
    assert fetch(ckpts).read_bytes() == CONTENT
    assert len(whole.ranges()) == 2


def test_wrong_content_is_fetched_once_more_and_never_gets_the_name(whole: Hub, ckpts: Path) -> None:
    wrong = bytes(len(CONTENT))
    whole.faults.append(Fault(content=wrong))
    assert fetch(ckpts).read_bytes() == CONTENT
    shutil.rmtree(ckpts)
    whole.always = Fault(content=wrong)
    with pytest.raises(CheckpointError, match="not the file that the hub describes"):
        fetch(ckpts)
    assert names(ckpts) == {".some.safetensors.lock"}
    assert len(whole.ranges()) == 4


def test_wrong_bytes_kept_from_an_earlier_time_do_not_survive(whole: Hub, ckpts: Path) -> None:
    part = download.part_path(look_up(ENTRY, retry=PATIENT), ckpts)
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * (len(CONTENT) + 5))
    assert fetch(ckpts).read_bytes() == CONTENT
    assert not part.exists()


def test_a_small_file_is_checked_against_gits_hash(whole: Hub, ckpts: Path) -> None:
    whole.small.add(NAME)
    whole.faults.append(Fault(content=bytes(len(CONTENT))))
    assert fetch(ckpts).read_bytes() == CONTENT
    assert len(whole.ranges()) == 2
    fetch(ckpts)
    assert len(whole.ranges()) == 2


def test_a_whole_file_is_not_fetched_again_and_a_changed_one_is_replaced(whole: Hub, ckpts: Path) -> None:
    path = fetch(ckpts)
    fetch(ckpts)
    assert len(whole.ranges()) == 1
    path.write_bytes(CONTENT[:-1] + b"?")
    assert fetch(ckpts).read_bytes() == CONTENT


def test_a_mirror_with_another_file_is_told_before_a_byte_comes(whole: Hub, ckpts: Path) -> None:
    with pytest.raises(CheckpointError, match=r"not the known file.*HF_ENDPOINT"):
        fetch(ckpts, replace(ENTRY, sha256="0" * 64))
    assert not whole.ranges()


def test_a_file_that_is_not_there_is_told_at_once(hub: Hub, ckpts: Path) -> None:
    with pytest.raises(CheckpointError, match=r"does not give someone/some-model.*HTTP 404"):
        fetch(ckpts)
    assert len(hub.seen) == 1


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [(403, "GatedRepo", "accept its terms"), (401, "RepoNotFound", "refuses"), (403, "", "refuses")],
)
def test_a_refusal_says_what_to_do_about_it(
    whole: Hub, ckpts: Path, status: int, code: str, expected: str
) -> None:
    whole.always = Fault(status, {"X-Error-Code": code} if code else {}, method="HEAD")
    with pytest.raises(CheckpointError, match=expected) as caught:
        fetch(ckpts)
    assert "HF_TOKEN" in caught.value.remedy
    assert len(whole.seen) == 1


def test_a_hub_that_is_not_there_is_told(ckpts: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match=r"127.0.0.1:9 cannot be reached"):
        fetch(ckpts)


def test_the_token_goes_to_the_hub_and_to_no_other_host(
    whole: Hub, ckpts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with redirecting_to_another_host(whole) as seen:
        assert fetch(ckpts).read_bytes() == CONTENT
    assert {request.authorization for request in whole.seen} == {f"Bearer {TOKEN}"}
    assert [request.authorization for request in seen] == [""]


def test_a_token_saved_by_another_program_is_not_used(
    whole: Hub, ckpts: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    saved = tmp_path / "token"
    saved.write_text(TOKEN)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(saved))
    fetch(ckpts)
    assert {request.authorization for request in whole.seen} == {""}


@pytest.mark.parametrize("fault", [Fault(403, method="HEAD"), Fault(403), Fault(500), Fault(after=0)])
def test_no_error_leads_back_to_the_token(
    whole: Hub, ckpts: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    remote = look_up(ENTRY, retry=PATIENT)
    whole.always = fault
    with pytest.raises(CheckpointError) as caught:
        download_with_retry(
            look_up(ENTRY, retry=PATIENT) if fault.method == "HEAD" else remote, ckpts, retry=PATIENT
        )
    error: BaseException | None = caught.value
    while error is not None:
        assert TOKEN not in repr(error)
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename != __file__:
                assert TOKEN not in repr(trace.tb_frame.f_locals)
            trace = trace.tb_next
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("token", ["hf_broken\ntoken", "hf_bröken", "hf two"])
def test_a_token_with_odd_characters_is_refused_without_showing_it(
    whole: Hub, ckpts: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UsageError) as caught:
        fetch(ckpts)
    assert token not in str(caught.value)


def test_a_full_disk_is_told_before_a_byte_comes(whole: Hub, ckpts: Path) -> None:
    remote = replace(look_up(ENTRY, retry=PATIENT), size_bytes=10**18)
    with pytest.raises(OutputError, match=r"needs 1000000000.0 GB"):
        check_room(ckpts / "not" / "yet", [remote])


def test_a_folder_that_cannot_be_written_is_told(whole: Hub, ckpts: Path) -> None:
    (ckpts / "someone").write_text("a file where a folder belongs")
    with pytest.raises(OutputError, match="cannot be written"):
        fetch(ckpts)


def test_a_disk_that_fills_up_is_told(whole: Hub, ckpts: Path) -> None:
    part = download.part_path(look_up(ENTRY, retry=PATIENT), ckpts)
    part.parent.mkdir(parents=True)
    part.symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"No space left.*Make room"):
        fetch(ckpts)


def test_offline_mode_is_told(whole: Hub, ckpts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="HF_HUB_OFFLINE is set"):
        fetch(ckpts)
    assert not whole.seen


def test_pauses_double_to_their_longest_and_differ_between_machines() -> None:
    retry = Retry(first_s=1, longest_s=10)
    pauses = [[retry.pause_s(failures) for _ in range(50)] for failures in (1, 2, 3, 9)]
    for some, longest in zip(pauses, (1, 2, 4, 10), strict=True):
        assert all(longest / 2 <= pause <= longest for pause in some)
        assert len(set(some)) > 10
    assert retry.pause_s(1, told_s=7) == 7
    assert retry.pause_s(1, told_s=700) == 10


def test_a_model_comes_with_vae_and_text_embeddings(
    hub: Hub, ckpts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[int, int]] = []
    shrink_catalog(hub, monkeypatch)
    paths = download_model("7b-sharp", on_progress=lambda *step: steps.append(step), retry=PATIENT)
    assert [str(path.relative_to(ckpts)) for path in paths] == [
        "ByteDance-Seed/SeedVR2-3B/pos_emb.pt",
        "ByteDance-Seed/SeedVR2-3B/neg_emb.pt",
        "Comfy-Org/SeedVR2/vae/seedvr2_ema_vae_fp16.safetensors",
        "Comfy-Org/SeedVR2/diffusion_models/seedvr2_7b_sharp_fp16.safetensors",
    ]
    assert steps[-1][0] == steps[-1][1] == sum(path.stat().st_size for path in paths)
    requests = len(hub.seen)
    download_model("7b-sharp", retry=PATIENT)
    assert len(hub.seen) == requests, "what is whole is not even asked for"
    download_model("7b-sharp", official=True, retry=PATIENT)
    assert (ckpts / "ByteDance-Seed/SeedVR2-7B/seedvr2_ema_7b_sharp.pth").exists()
    assert (ckpts / "ByteDance-Seed/SeedVR2-3B/ema_vae.pth").exists()


def shrink_catalog(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serves every file of the catalog with a few bytes, and makes the catalog expect them."""
    whole_list = catalog.files_to_download

    def shrunk(model: str, *, official: bool = False) -> tuple[CatalogFile, ...]:
        entries = []
        for entry in whole_list(model, official=official):
            name = f"{entry.repository}/{entry.file}"
            hub.files.setdefault(name, random.Random(name).randbytes(70_000))
            entries.append(replace(entry, sha256=hub.etag(name), size_bytes=None))
        return tuple(entries)

    monkeypatch.setattr(download, "files_to_download", shrunk)


def test_an_unknown_model_is_a_mistake_of_usage(ckpts: Path) -> None:
    with pytest.raises(UsageError, match="3b, 7b, 7b-sharp, all"):
        download_model("13b")


PROGRAM = """
import sys
from pathlib import Path
from seedvr_engine.checkpoints.catalog import CatalogFile
from seedvr_engine.checkpoints.download import OnProgress, Retry, download_with_retry, look_up
entry = CatalogFile(*sys.argv[2].split(":"), "dit", "7b", "F16")
retry = Retry(attempts=3, first_s=0.01, longest_s=0.01, stall_s=float(sys.argv[3]))
def tell(done, total):
    print(done, flush=True)
download_with_retry(look_up(entry, retry=retry), Path(sys.argv[1]), on_progress=tell, retry=retry)
"""


def program(ckpts: Path, stall_s: float, **environment: str) -> subprocess.Popen[str]:
    place = f"{REPOSITORY}:weights/some.safetensors"
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(ckpts), place, str(stall_s)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
        cwd=Path(__file__).parents[2],
    )


def test_a_killed_download_goes_on_where_it_stopped(whole: Hub, ckpts: Path) -> None:
    whole.faults.append(Fault(after=2_000_000, stall=True))
    process = program(ckpts, stall_s=30)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 2_000_000:
            break
    with pytest.raises(CheckpointError, match="another process"):
        fetch(ckpts)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert fetch(ckpts).read_bytes() == CONTENT
    assert whole.ranges()[-1] == "bytes=2000000-"


def test_the_token_shows_in_no_output_even_when_all_is_logged(whole: Hub, ckpts: Path) -> None:
    whole.always = Fault(401)
    process = program(
        ckpts, 5, HF_TOKEN=TOKEN, HF_DEBUG="1", HF_HUB_VERBOSITY="debug", HTTPX_LOG_LEVEL="trace"
    )
    output, _ = process.communicate()
    assert process.returncode == 1
    assert "CheckpointError" in output
    assert any(request.authorization for request in whole.seen)
    assert TOKEN not in output


def test_the_script_fails_with_one_sentence_and_its_exit_code(hub: Hub, ckpts: Path) -> None:
    script = Path(__file__).parents[2] / "download_models.py"
    result = subprocess.run(
        [sys.executable, script, "--model", "3b"],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )
    assert result.returncode == CheckpointError.exit_code
    assert result.stdout == ""
    assert "HTTP 404" in result.stderr
    assert "Traceback" not in result.stderr

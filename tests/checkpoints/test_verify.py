import json
import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from seedvr_engine.checkpoints import catalog
from seedvr_engine.checkpoints.hashes import CACHE_NAME, cached_sha256, file_sha256
from seedvr_engine.checkpoints.verify import verify, verify_all
from tests.checkpoints.small import dit_state, save, save_model, vae_state
from tests.checkpoints.test_find import know


def test_a_known_file_is_verified_to_the_bit(ckpts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(dit_state("7b"), ckpts / "x.pth")
    know(path, monkeypatch, "7b")
    steps: list[tuple[int, int]] = []
    result = verify(path, on_progress=lambda *step: steps.append(step))
    assert (result.ok, result.checked, result.remedy) == (True, "hash", "")
    assert steps[-1] == (path.stat().st_size,) * 2
    assert result.found is not None
    assert result.found.model == "7b"


def test_an_unlisted_file_is_verified_by_its_contents_and_called_small(ckpts: Path) -> None:
    path = save(dit_state("3b"), ckpts / "x.safetensors")
    result = verify(path)
    assert (result.ok, result.checked) == (True, "contents")
    assert "an unreleased size of the DiT of SeedVR2 3b (F32)" in result.message


def test_a_file_with_one_key_too_few_fails_with_the_key(ckpts: Path) -> None:
    state = vae_state()
    del state["decoder.conv_out.bias"]
    result = verify(save(state, ckpts / "x.safetensors"))
    assert not result.ok
    assert "decoder.conv_out.bias" in result.message
    assert "seedvr download 3b" in result.remedy


def test_a_file_in_a_known_place_must_be_the_known_file(ckpts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(vae_state(), catalog.VAE_FP16.path_below(ckpts))
    result = verify(path)
    assert not result.ok
    assert "bytes instead of 501,324,814" in result.message
    same_size = replace(catalog.VAE_FP16, size_bytes=path.stat().st_size)
    monkeypatch.setattr(catalog, "FILES", (same_size,))
    result = verify(path)
    assert not result.ok
    assert "expected 20678548f420…" in result.message


def test_superseded_weights_are_told_and_pass(ckpts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(dit_state("3b"), ckpts / "x.pth")
    know(path, monkeypatch, "3b", superseded=True)
    result = verify(path)
    assert result.ok
    assert "first 3B weights" in result.message
    assert "seedvr download 3b" in result.remedy


def test_all_files_are_verified_and_none_is_touched(ckpts: Path) -> None:
    save_model(ckpts, "3b")
    (ckpts / "cut.safetensors").write_bytes((ckpts / "vae.safetensors").read_bytes()[:-5])
    before = {path: path.read_bytes() for path in ckpts.iterdir()}
    results = {result.path.name: result.ok for result in verify_all(ckpts)}
    assert results == {
        "cut.safetensors": False,
        "dit.safetensors": True,
        "neg_emb.pt": True,
        "pos_emb.pt": True,
        "vae.safetensors": True,
    }
    assert {path: path.read_bytes() for path in ckpts.iterdir() if path.name != CACHE_NAME} == before


def test_a_hash_is_remembered_until_the_file_changes(ckpts: Path) -> None:
    path = ckpts / "x.pth"
    path.write_bytes(b"first")
    assert cached_sha256(path) is None
    assert file_sha256(path) == sha256(b"first").hexdigest() == cached_sha256(path)
    steps: list[int] = []
    file_sha256(path, on_progress=lambda done, _: steps.append(done))
    assert steps == [], "nothing is read again"
    path.write_bytes(b"again")
    os.utime(path, ns=(1, 1))
    assert cached_sha256(path) is None
    assert file_sha256(path) == sha256(b"again").hexdigest()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x.pth": 3}', '{"x.pth": {"sha256": 7}}'])
def test_a_broken_memory_of_hashes_is_only_slow(ckpts: Path, content: str) -> None:
    (ckpts / CACHE_NAME).write_text(content)
    (ckpts / "x.pth").write_bytes(b"first")
    assert file_sha256(ckpts / "x.pth") == sha256(b"first").hexdigest()
    assert json.loads((ckpts / CACHE_NAME).read_text())["x.pth"]["sha256"]


def test_a_folder_that_cannot_be_written_is_hashed_all_the_same(ckpts: Path) -> None:
    (ckpts / "x.pth").write_bytes(b"first")
    # A folder in the way of the memory's name: its owner may be root, whom permissions do not stop.
    (ckpts / CACHE_NAME).mkdir()
    assert file_sha256(ckpts / "x.pth") == sha256(b"first").hexdigest()
    assert sorted(path.name for path in ckpts.iterdir()) == [CACHE_NAME, "x.pth"]

import shutil
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from seedvr_engine.checkpoints import catalog
from seedvr_engine.checkpoints.catalog import FILES, MODELS, CatalogFile, files_to_download
from seedvr_engine.checkpoints.find import available_models, choose, find_checkpoints
from seedvr_engine.checkpoints.hashes import file_sha256
from seedvr_engine.errors import CheckpointError
from tests.checkpoints.small import dit_state, save, save_model, save_texts, vae_state


def know(path: Path, monkeypatch: pytest.MonkeyPatch, model: str, *, superseded: bool = False) -> CatalogFile:
    """Lists a small file in the catalog."""
    content = path.read_bytes()
    entry = CatalogFile(
        "a/b", "c.pth", "dit", model, "F16", sha256(content).hexdigest(), len(content), superseded=superseded
    )
    monkeypatch.setattr(catalog, "FILES", (*FILES, entry))
    return entry


def test_every_file_is_found_at_any_depth_and_told_by_its_content(ckpts: Path) -> None:
    save(dit_state("3b"), ckpts / "a" / "b" / "c" / "vae.pth")
    save(dit_state("7b"), ckpts / "pos_emb.safetensors")
    save(vae_state(), ckpts / "d" / "seedvr2_ema_3b.safetensors")
    save_texts(ckpts / "texts")
    (ckpts / "notes.txt").write_text("not a checkpoint")
    parts = {found.path.relative_to(ckpts).as_posix(): found.part for found in find_checkpoints(ckpts)}
    assert parts == {
        "a/b/c/vae.pth": "dit",
        "d/seedvr2_ema_3b.safetensors": "vae",
        "pos_emb.safetensors": "dit",
        "texts/neg_emb.pt": "text_neg",
        "texts/pos_emb.pt": "text_pos",
    }


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert find_checkpoints(tmp_path / "nowhere") == []


def test_links_are_followed_and_circles_end(ckpts: Path, tmp_path: Path) -> None:
    save(vae_state(), tmp_path / "volume" / "vae.pth")
    (ckpts / "link").symlink_to(tmp_path / "volume")
    save(vae_state(), ckpts / "own.pth")
    for name in ("back", "and", "forth"):
        (tmp_path / "volume" / name).symlink_to(ckpts)
    assert [found.path for found in find_checkpoints(ckpts)] == [
        ckpts / "link" / "vae.pth",
        ckpts / "own.pth",
    ]


def test_unfinished_downloads_and_caches_are_not_looked_at(ckpts: Path) -> None:
    save(vae_state(), ckpts / ".cache" / "vae.pth")
    save(vae_state(), ckpts / ".vae.pth")
    (ckpts / ".x.pth.0123456789abcdef.part").write_bytes(b"half")
    assert find_checkpoints(ckpts) == []


def test_broken_and_foreign_files_are_listed_with_what_is_wrong(ckpts: Path) -> None:
    (ckpts / "cut.safetensors").write_bytes(save(vae_state(), ckpts / "vae.pth").read_bytes()[:50])
    save(
        {"other.weight": dit_state("3b")["txt_in.weight"]} | {"x": dit_state("3b")["txt_in.bias"]},
        ckpts / "o.pth",
    )
    (ckpts / "llm.gguf").write_bytes(b"GGUF" + bytes(50))
    (ckpts / "seedvr2_ema_7b-Q4_K_M.gguf").write_bytes(b"GGUF" + bytes(50))
    problems = {
        found.path.name: (found.part, found.model, found.problem) for found in find_checkpoints(ckpts)
    }
    assert "usable" in problems["cut.safetensors"][2] or "incomplete" in problems["cut.safetensors"][2]
    assert "something else" in problems["o.pth"][2]
    assert problems["llm.gguf"][:2] == ("", None)
    assert problems["seedvr2_ema_7b-Q4_K_M.gguf"][:2] == ("dit", "7b")
    assert "GGUF, which is not supported yet" in problems["seedvr2_ema_7b-Q4_K_M.gguf"][2]
    assert problems["vae.pth"][2] == ""


def test_a_model_is_available_when_dit_vae_and_both_texts_are_there(ckpts: Path) -> None:
    dit = save_model(ckpts, "3b")
    assert list(available_models(find_checkpoints(ckpts))) == ["3b"]
    files = choose("3b", find_checkpoints(ckpts))
    assert (files.dit.path, files.vae.path) == (dit, ckpts / "vae.safetensors")
    assert (files.text_pos, files.text_neg) == (ckpts / "pos_emb.pt", ckpts / "neg_emb.pt")
    for name, sentence in (
        ("neg_emb.pt", "text embeddings"),
        ("vae.safetensors", "VAE"),
        (dit.name, "no checkpoint"),
    ):
        shutil.move(ckpts / name, ckpts.parent / name)
        found = find_checkpoints(ckpts)
        assert available_models(found) == {}
        with pytest.raises(CheckpointError, match=rf"{sentence}.*seedvr download 3b"):
            choose("3b", found)
        shutil.move(ckpts.parent / name, ckpts / name)


def test_text_embeddings_in_the_dits_file_are_enough(ckpts: Path) -> None:
    save(vae_state(), ckpts / "vae.pth")
    texts = dict.fromkeys(
        ("positive_conditioning", "negative_conditioning"), dit_state("3b")["txt_in.weight"]
    )
    dit = save(dit_state("3b") | {k: v.clone() for k, v in texts.items()}, ckpts / "dit.safetensors")
    files = choose("3b", find_checkpoints(ckpts))
    assert (files.text_pos, files.text_neg) == (dit, dit)
    assert list(available_models(find_checkpoints(ckpts))) == ["3b"]


def test_the_sharp_7b_is_told_by_hash_and_else_by_name_with_a_note(
    ckpts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_model(ckpts, "7b", "plain.safetensors")
    sharp = save(dit_state("7b"), ckpts / "seedvr2_ema_7b_sharp.pth")
    models = {found.path.name: found for found in find_checkpoints(ckpts) if found.part == "dit"}
    assert models["plain.safetensors"].model == "7b"
    assert models[sharp.name].model == "7b-sharp"
    assert "told from its name" in models[sharp.name].notes[0]
    know(path, monkeypatch, "7b-sharp")
    file_sha256(path)
    found = next(found for found in find_checkpoints(ckpts) if found.path == path)
    assert (found.model, found.notes) == ("7b-sharp", ())


def test_the_superseded_3b_is_told_by_hash_and_used_only_by_name(
    ckpts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = save_model(ckpts, "3b", "seedvr2_current.safetensors")
    know(old, monkeypatch, "3b", superseded=True)
    found = find_checkpoints(ckpts)
    assert next(item for item in found if item.path == old).superseded
    assert available_models(found) == {}
    with pytest.raises(CheckpointError, match=r"first 3B weights.*name the file"):
        choose("3b", found)
    files = choose(str(old), found)
    assert files.dit.path == old
    assert "replaced on 2025-06-22" in files.dit.notes[0]
    new = save(dit_state("3b"), ckpts / "other.safetensors")
    assert choose("3b", find_checkpoints(ckpts)).dit.path == new


def test_a_quick_look_hashes_nothing(ckpts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = save_model(ckpts, "3b")
    know(old, monkeypatch, "3b", superseded=True)
    assert not any(found.superseded for found in find_checkpoints(ckpts, hash_suspects=False))
    assert not list(ckpts.rglob(".seedvr_hashes.json"))


def test_the_more_exact_file_of_a_model_is_chosen(ckpts: Path) -> None:
    save_model(ckpts, "3b", "a_half.safetensors")
    exact = save(dit_state("3b"), ckpts / "z_single.pth")
    assert choose("3b", find_checkpoints(ckpts)).dit.path == exact


def test_a_file_that_is_named_must_be_a_dit(ckpts: Path) -> None:
    save_model(ckpts, "3b")
    found = find_checkpoints(ckpts)
    with pytest.raises(CheckpointError, match="holds no SeedVR2 DiT"):
        choose(str(ckpts / "vae.safetensors"), found)
    with pytest.raises(CheckpointError, match="No such file"):
        choose(str(ckpts / "nowhere.pth"), found)


def test_the_catalog_is_sound() -> None:
    hashes = [entry.sha256 for entry in FILES if entry.sha256]
    assert all(len(value) == 64 and set(value) <= set("0123456789abcdef") for value in hashes)
    # One file lies in two repositories under two names; all other hashes differ.
    assert len(hashes) - len(set(hashes)) == 1
    for model in MODELS:
        for official in (False, True):
            kinds = [entry.kind for entry in files_to_download(model, official=official)]
            assert kinds == ["text_pos", "text_neg", "vae", "dit"]
            entries = files_to_download(model, official=official)
            assert all(
                entry.sha256 and len(entry.revision) == 40 and not entry.superseded for entry in entries
            )
            assert {entry.precision for entry in entries[2:]} == {"F32" if official else "F16"}
    assert len(files_to_download("all")) == 6
    assert replace(FILES[0]).path_below(Path("r")) == Path("r/ByteDance-Seed/SeedVR2-3B/pos_emb.pt")


def test_finding_and_downloading_import_no_torch() -> None:
    modules = "catalog, inspect, find, hashes, hub, download, verify, console"
    program = f"import sys; from seedvr_engine.checkpoints import {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
import torch

from seedvr_engine.checkpoints.inspect import TensorInfo, identify, read_header
from seedvr_engine.errors import CheckpointError
from tests.checkpoints.small import dit_state, save, save_texts, vae_state
from tests.reference import facts

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.int8: "I8",
}


@pytest.mark.parametrize("ending", [".pth", ".pt", ".safetensors"])
def test_keys_shapes_and_dtypes_are_read(tmp_path: Path, ending: str) -> None:
    state = {name: torch.zeros(3, index + 1).to(dtype) for index, (dtype, name) in enumerate(DTYPES.items())}
    header = read_header(save(state, tmp_path / f"x{ending}"))
    assert header.tensors == {
        name: TensorInfo((3, index + 1), name) for index, name in enumerate(DTYPES.values())
    }


def test_parameters_and_views_are_read_from_a_pickle(tmp_path: Path) -> None:
    state = {"a": torch.nn.Parameter(torch.zeros(2)), "b": torch.zeros(4, 6)[1:3, ::2]}
    header = read_header(save(state, tmp_path / "x.pth"))  # type: ignore[arg-type]
    assert header.tensors == {"a": TensorInfo((2,), "F32"), "b": TensorInfo((2, 3), "F32")}


class Attack:
    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.witness),)


def test_a_pickle_that_wants_to_run_something_is_refused_and_does_not_run(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    torch.save({"weight": torch.zeros(2), "attack": Attack(witness)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"it asks for posix\.mkdir, which weights do not need"):
        read_header(tmp_path / "x.pth")
    assert not witness.exists()


@pytest.mark.parametrize("keep", [0.99, 0.5, 0.01])
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_cut_file_is_told_with_the_command_that_mends_it(tmp_path: Path, ending: str, keep: float) -> None:
    path = save(vae_state(), tmp_path / f"vae{ending}")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(CheckpointError, match=rf"vae{ending} is incomplete.*seedvr download 3b") as caught:
        read_header(path)
    if ending == ".safetensors" and keep > 0.1:
        assert f"{path.stat().st_size:,} of {len(whole):,} bytes" in str(caught.value)


def test_a_cut_file_of_a_known_name_is_told_with_its_size_and_its_own_command(tmp_path: Path) -> None:
    path = tmp_path / "seedvr2_ema_7b_sharp.pth"
    path.write_bytes(save(vae_state(), tmp_path / "x.pth").read_bytes()[:100_000])
    with pytest.raises(CheckpointError, match=r"100,000 of 32,958,774,606 bytes.*seedvr download 7b-sharp"):
        read_header(path)


@pytest.mark.parametrize("name", ["x.safetensors", "x.pth", "x.pt"])
@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", bytes(1000), b"\x80\x02}q\x00."])
def test_a_foreign_file_is_told(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        read_header(tmp_path / name)


@pytest.mark.parametrize(
    "header",
    [b"[]", b"{", b'{"a": 3}', b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": []}}', b"\xff"],
)
def test_a_broken_safetensors_header_is_told(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(CheckpointError, match="header cannot be read"):
        read_header(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "index", [pickle.dumps([1, 2]), pickle.dumps({"a": 1}), b"", b"garbage", b"\x80\x02Q."]
)
def test_an_archive_without_weights_is_told(tmp_path: Path, index: bytes) -> None:
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("x/data.pkl", index)
    with pytest.raises(CheckpointError):
        read_header(tmp_path / "x.pth")
    with zipfile.ZipFile(tmp_path / "y.pth", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(CheckpointError, match="torch did not write it"):
        read_header(tmp_path / "y.pth")


@pytest.mark.parametrize("keep", [0, 20])
def test_an_archive_that_lacks_a_tensors_numbers_is_told(tmp_path: Path, keep: int) -> None:
    whole = save({"a": torch.zeros(5), "b": torch.zeros(6)}, tmp_path / "whole.pth")
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(tmp_path / "x.pth", "w") as target:
        for name in source.namelist():
            if keep or not name.endswith("data/1"):
                target.writestr(name, source.read(name)[: keep if name.endswith("data/1") else None])
    with pytest.raises(CheckpointError, match="numbers of its record 1 are missing"):
        read_header(tmp_path / "x.pth")


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        read_header(tmp_path / "x.pth")


@pytest.mark.parametrize(("network", "part"), [("3b", "dit"), ("7b", "dit"), ("vae", "vae")])
def test_the_released_networks_are_told_by_their_keys(network: str, part: str) -> None:
    shapes = {key: TensorInfo(tuple(s), "F32") for key, s in facts("state_dict_manifest")[network].items()}
    identity = identify(shapes)
    assert identity is not None
    assert (identity.part, identity.family, identity.full) == (part, network if part == "dit" else "", True)


def test_small_networks_are_told_and_called_small(tmp_path: Path) -> None:
    for state, family in ((dit_state("3b"), "3b"), (dit_state("7b"), "7b"), (vae_state(), "")):
        identity = identify(read_header(save(state, tmp_path / "x.safetensors")).tensors)
        assert identity is not None
        assert (identity.family, identity.full) == (family, False)


def test_released_text_embeddings_are_told_by_their_length(tmp_path: Path) -> None:
    paths = save_texts(tmp_path, rows=(58, 64), width=5120)
    assert [identify(read_header(path).tensors).part for path in paths] == ["text_pos", "text_neg"]  # type: ignore[union-attr]


def test_something_else_is_nobody() -> None:
    assert identify({"transformer.h.0.attn.weight": TensorInfo((3, 3), "F32")}) is None
    assert identify({}) is None


def test_a_header_of_unbelievable_length_is_not_read(tmp_path: Path) -> None:
    header = json.dumps({}).encode()
    (tmp_path / "x.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + header)
    with pytest.raises(CheckpointError, match="first 8 bytes"):
        read_header(tmp_path / "x.safetensors")


def test_protocols_of_pickle_do_not_matter(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(2, 3)}, buffer, pickle_protocol=4)
    (tmp_path / "x.pth").write_bytes(buffer.getvalue())
    assert read_header(tmp_path / "x.pth").tensors == {"a": TensorInfo((2, 3), "F32")}

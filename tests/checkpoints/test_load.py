import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seedvr_engine.checkpoints.load import dequantised, load_dit, load_text, load_vae, plan_loading
from seedvr_engine.errors import CheckpointError
from tests.checkpoints.small import dit_state, save, save_texts, vae_state, with_scales
from tests.reference import facts, relative_error, small_dit, small_vae

FAMILIES = ["3b", "7b"]
OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def assert_same(network: torch.nn.Module, state: dict[str, Tensor], tolerance: float = 0) -> None:
    loaded = network.state_dict()
    for key, value in loaded.items():
        assert not value.is_meta
        if tolerance == 0:
            torch.testing.assert_close(value, state[key], rtol=0, atol=0)
        elif value.ndim == 2:
            assert relative_error(value, state[key]) < tolerance


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_dit_is_read_whatever_its_size(tmp_path: Path, family: str, ending: str) -> None:
    state = dit_state(family)
    dit = load_dit(save(state, tmp_path / f"x{ending}"), torch.float32)
    assert_same(dit, state)
    assert not dit.training
    reference = small_dit(f"seedvr2_{family}")
    video, text = torch.rand(2, 4, 6, 33), torch.rand(7, 96)
    with torch.no_grad():
        assert torch.equal(dit(video, text, 500.0), reference(video, text, 500.0))


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_vae_is_read_whatever_its_width(tmp_path: Path, ending: str) -> None:
    vae = load_vae(save(vae_state(), tmp_path / f"x{ending}"), torch.float32)
    assert vae.config.channels == small_vae().config.channels
    assert_same(vae, vae_state())


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("wanted", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_are_converted_to_the_dtype_asked_for(
    tmp_path: Path, stored: torch.dtype, wanted: torch.dtype
) -> None:
    state = {key: value.to(stored) for key, value in dit_state("3b").items()}
    dit = load_dit(save(state, tmp_path / "x.safetensors"), wanted)
    assert {parameter.dtype for parameter in dit.parameters()} == {wanted}
    assert_same(dit, {key: value.to(wanted) for key, value in state.items()})


def test_plain_fp8_weights_are_cast(tmp_path: Path) -> None:
    state = {key: value.to(torch.float8_e4m3fn) for key, value in dit_state("7b").items()}
    dit = load_dit(save(state, tmp_path / "x.safetensors"), torch.bfloat16)
    assert_same(dit, {key: value.to(torch.bfloat16) for key, value in state.items()})


@pytest.mark.parametrize("scale_name", [".scale_weight", ".weight_scale"])
@pytest.mark.parametrize("per_row", [False, True])
def test_scaled_fp8_weights_are_multiplied_by_their_scales(
    tmp_path: Path, scale_name: str, per_row: bool
) -> None:
    state = dit_state("3b")
    scaled = with_scales(state, scale_name, per_row)
    path = save(scaled, tmp_path / "x.safetensors")
    assert_same(load_dit(path, torch.float32), state, tolerance=0.04)
    wrapped = save({f"model.diffusion_model.{k}": v for k, v in scaled.items()}, tmp_path / "y.safetensors")
    assert_same(load_dit(wrapped, torch.float32), state, tolerance=0.04)


def test_a_scale_is_one_number_or_one_for_each_row() -> None:
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).to(torch.float8_e4m3fn)
    once = dequantised(weight, torch.tensor([0.5]), torch.float32)
    assert once.tolist() == [[0.5, 1.0], [1.5, 2.0]]
    rows = dequantised(weight, torch.tensor([2.0, 10.0]), torch.float32)
    assert rows.tolist() == [[2.0, 4.0], [30.0, 40.0]]


@pytest.mark.parametrize("as_convolution", [False, True])
def test_old_names_of_the_vaes_attention_are_understood(tmp_path: Path, as_convolution: bool) -> None:
    state = vae_state()
    renamed = {}
    for key, value in state.items():
        old = re.sub(r"\b(to_q|to_k|to_v|to_out\.0)\b", lambda match: OLD_NAMES[match[0]], key)
        matrix = old != key and value.ndim == 2
        renamed[old] = value[:, :, None, None] if matrix and as_convolution else value
    assert set(renamed) != set(state)
    assert_same(load_vae(save(renamed, tmp_path / "x.pth"), torch.float32), state)


@pytest.mark.parametrize("prefix", ["model.diffusion_model.", "module."])
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_wrapping_prefix_is_taken_off(tmp_path: Path, prefix: str, ending: str) -> None:
    state = dit_state("3b")
    wrapped = {prefix + key: value for key, value in state.items()}
    path = save(wrapped | {"positive_conditioning": torch.zeros(7, 96)}, tmp_path / f"x{ending}")
    assert_same(load_dit(path, torch.float32), state)


def test_an_outer_dictionary_is_opened(tmp_path: Path) -> None:
    torch.save({"state_dict": dit_state("7b"), "epoch": 3}, tmp_path / "x.pth")
    assert_same(load_dit(tmp_path / "x.pth", torch.float32), dit_state("7b"))


def test_both_text_embeddings_come_in_the_dtype_asked_for(tmp_path: Path) -> None:
    positive, negative = load_text(*save_texts(tmp_path), torch.float32)
    assert (positive.shape, negative.shape) == ((7, 96), (5, 96))
    assert positive.dtype == torch.float32


def test_text_embeddings_inside_a_dit_file_are_read(tmp_path: Path) -> None:
    texts = {"positive_conditioning": torch.ones(7, 96), "negative_conditioning": torch.zeros(5, 96)}
    path = save(dit_state("3b") | texts, tmp_path / "x.safetensors")
    positive, negative = load_text(path, path)
    assert (positive.mean(), negative.mean()) == (1, 0)
    load_dit(path)
    bare = save(dit_state("3b"), tmp_path / "y.safetensors")
    with pytest.raises(CheckpointError, match="no negative text embedding"):
        load_text(path, bare)


def test_a_network_of_the_other_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a DiT was expected"):
        load_dit(save(vae_state(), tmp_path / "vae.pth"))
    with pytest.raises(CheckpointError, match="a VAE was expected"):
        load_vae(save(dit_state("3b"), tmp_path / "dit.pth"))


def test_missing_foreign_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    key = "blocks.1.attn.proj_out.vid.weight"
    state = dit_state("7b")
    shape = tuple(state[key].shape)
    with pytest.raises(CheckpointError, match=f"1 of .* missing, {key} first.*seedvr download"):
        load_dit(save({k: v for k, v in state.items() if k != key}, tmp_path / "a.safetensors"))
    with pytest.raises(CheckpointError, match=r"1 tensors belong to no SeedVR2 network, lora\.weight"):
        load_dit(save(state | {"lora.weight": torch.zeros(1)}, tmp_path / "b.safetensors"))
    wrong = (shape[0], shape[1] + 1)
    with pytest.raises(CheckpointError, match=re.escape(f"{key} has shape {wrong}, expected {shape}")):
        load_dit(save(state | {key: torch.zeros(wrong)}, tmp_path / "c.safetensors"))


def test_a_block_number_out_of_all_bounds_is_refused_at_once(tmp_path: Path) -> None:
    state = dit_state("3b") | {"blocks.900000000.ada.vid.attn_shift": torch.zeros(1)}
    with pytest.raises(CheckpointError, match="fit no network"):
        load_dit(save(state, tmp_path / "x.safetensors"))


def test_quantisations_that_are_not_supported_are_told_as_such(tmp_path: Path) -> None:
    key = "blocks.0.mlp.vid.proj_in.weight"
    base = key.removesuffix(".weight")
    marker = {f"{base}.comfy_quant": torch.zeros(9, dtype=torch.uint8)}
    state = {k: v.half() for k, v in dit_state("7b").items()} | marker
    integers = state | {key: state[key].to(torch.int8), f"{base}.weight_scale": torch.ones(1)}
    with pytest.raises(CheckpointError, match=r"quantised I8 weights, which are not supported yet"):
        load_dit(save(integers, tmp_path / "int8.safetensors"))
    blocks = {
        key: state[key].to(torch.float8_e4m3fn),
        f"{base}.weight_scale": torch.ones(4, dtype=torch.uint8),
    }
    with pytest.raises(CheckpointError, match=r"quantised U8 weights, which are not supported yet"):
        load_dit(save(state | blocks, tmp_path / "mxfp8.safetensors"))
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(CheckpointError, match=r"GGUF, which is not supported yet"):
        load_dit(tmp_path / "x.gguf")


@pytest.mark.parametrize("network", ["3b", "7b", "vae"])
def test_the_released_keys_and_shapes_make_the_released_network(tmp_path: Path, network: str) -> None:
    from seedvr_engine.checkpoints import shapes
    from seedvr_engine.checkpoints.inspect import TensorInfo
    from seedvr_engine.models.config import DiTConfig, VAEConfig

    weights = {
        key: TensorInfo(tuple(shape), "F32")
        for key, shape in facts("state_dict_manifest")[network].items()
        if not key.endswith(".freqs")
    }
    if network == "vae":
        assert shapes.vae_config(weights) == VAEConfig()
    else:
        released = {"3b": DiTConfig.seedvr2_3b, "7b": DiTConfig.seedvr2_7b}[network]()
        assert shapes.dit_config(weights, network) == released


MEASURE = """
import sys
from pathlib import Path
import torch
from seedvr_engine.checkpoints.load import load_dit, plan_loading
def resident(kind):
    return next(int(x.split()[1]) for x in open("/proc/self/status") if x.startswith(kind)) * 1024
path = Path(sys.argv[1])
plan_loading(path)
before = resident("RssAnon")
import threading, time
peak, done = before, threading.Event()
def watch():
    global peak
    while not done.is_set():
        peak = max(peak, resident("RssAnon"))
        time.sleep(0.002)
thread = threading.Thread(target=watch)
thread.start()
dit = load_dit(path, torch.bfloat16)
done.set()
thread.join()
print(peak - before, sum(p.numel() * p.element_size() for p in dit.parameters()))
"""


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_host_memory_holds_one_copy_while_loading(tmp_path: Path, ending: str) -> None:
    state = dit_state("7b")
    key = "txt_in.weight"
    wide = torch.rand(state[key].shape[0], 200_000)
    path = save(state | {key: wide}, tmp_path / f"x{ending}")
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert result.returncode == 0, result.stderr
    peak, weights = map(int, result.stdout.split())
    assert weights > 50e6
    assert peak < 1.3 * weights


def test_nothing_is_converted_where_the_file_has_the_dtype_asked_for(tmp_path: Path) -> None:
    loading = plan_loading(save(dit_state("3b"), tmp_path / "x.safetensors"))
    assert all(parameter.is_meta for parameter in loading.network.parameters())

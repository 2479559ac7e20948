"""What is in a checkpoint file, read from its header: no torch, no weights, nothing executed.

A `.safetensors` file begins with a JSON header. A `.pth` or `.pt` file is a zip whose `data.pkl` is a
pickle; it is read with an unpickler that knows tensors and nothing else, and builds descriptions in place of
tensors.
"""

import json
import math
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from seedvr_engine.checkpoints.catalog import MODELS, by_name, mending_command
from seedvr_engine.errors import CheckpointError

FORMATS = {".safetensors": "safetensors", ".pth": "pth", ".pt": "pth", ".gguf": "gguf"}
"""Endings of files that may be checkpoints."""

ITEM_BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
"""Bytes of one number, by safetensors' name of its dtype."""

PREFIXES = ("model.diffusion_model.", "module.", "model.", "first_stage_model.", "vae.")
"""What some programs put before every key of a network that they wrapped before saving."""

WRAPPERS = ("state_dict", "model", "module", "ema")
"""Keys under which some programs keep the dictionary of weights inside another dictionary."""

TEXT_KEYS = {"text_pos": "positive_conditioning", "text_neg": "negative_conditioning"}
"""Keys of text embeddings that lie in a DiT file beside its weights, as in ComfyUI's files."""

# Whatever a broken or hostile pickle or archive makes the standard library raise.
_PICKLE_ERRORS = (
    *(pickle.UnpicklingError, zlib.error, EOFError, ValueError, TypeError),
    *(AttributeError, LookupError, ArithmeticError, RuntimeError),
)
_HEADER_LIMIT_BYTES = 100_000_000

Part = Literal["dit", "vae", "text_pos", "text_neg", "text"]


class TensorInfo(NamedTuple):
    """Shape, and dtype by safetensors' name (F32, BF16, F8_E4M3...)."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Header:
    """What a file holds.

    tensors: key -> shape and dtype, as stored but for a wrapping prefix. A file that is one bare tensor has
        the key "".
    prefix: what was before every key; "" mostly.
    wrapper: the key of an outer dictionary that held the weights; "" mostly.
    """

    format: str
    tensors: Mapping[str, TensorInfo]
    prefix: str = ""
    wrapper: str = ""


@dataclass(frozen=True)
class Identity:
    """What network a file is, told from keys and shapes alone.

    family: "3b" or "7b" for a DiT (the sharp 7B has the 7B's shapes), "" otherwise.
    full: the released size, not a smaller model of the same build.
    """

    part: Part
    family: str = ""
    full: bool = True


def read_header(path: Path) -> Header:
    """Reads keys, shapes and dtypes of a checkpoint.

    Raises CheckpointError for a file that is missing, cut, foreign or unsafe; says which.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(8)
            if magic[:4] == b"GGUF":
                return Header("gguf", {})
            if magic[:4] == b"PK\x03\x04":
                tensors, wrapper = _read_pth(path)
                return _strip(Header("pth", tensors, wrapper=wrapper))
            if path.suffix == ".safetensors":
                return _strip(Header("safetensors", _read_safetensors(path, file, magic)))
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror or error}.",
            remedy=f"Run `{_command(path)}` for a copy of the released one.",
        ) from error
    raise damaged(
        path, "it is neither a .safetensors file nor a .pth file that torch wrote since version 1.6"
    )


def damaged(path: Path, what: str) -> CheckpointError:
    """The error for a file that is not what it should be; `what` says why, without a full stop."""
    return CheckpointError(
        f"{path} is no usable checkpoint: {what}.",
        remedy=f"Run `{_command(path)}` for a good copy.",
    )


def incomplete(path: Path, expected_bytes: int | None) -> CheckpointError:
    """The error for a file that ends too early. expected_bytes: its whole size, None if nobody knows."""
    size = path.stat().st_size
    whole = f"{size:,} of {expected_bytes:,} bytes" if expected_bytes else f"it ends after {size:,} bytes"
    return CheckpointError(
        f"{path} is incomplete: {whole}.", remedy=f"Run `{_command(path)}` for a whole copy."
    )


def _command(path: Path) -> str:
    entry = by_name(path)
    return mending_command(entry.model if entry else None)


def _strip(header: Header) -> Header:
    """Takes a wrapping prefix off all keys; text embeddings beside the network may lack it."""
    keys = [key for key in header.tensors if key not in TEXT_KEYS.values()]
    prefix = next((p for p in PREFIXES if keys and all(key.startswith(p) for key in keys)), "")
    tensors = {key.removeprefix(prefix): info for key, info in header.tensors.items()}
    return Header(header.format, tensors, prefix, header.wrapper)


# safetensors


def _read_safetensors(path: Path, file: IO[bytes], magic: bytes) -> dict[str, TensorInfo]:
    size = path.stat().st_size
    length = struct.unpack("<Q", magic)[0] if len(magic) == 8 else _HEADER_LIMIT_BYTES + 1
    if length > _HEADER_LIMIT_BYTES:
        raise damaged(path, "its first 8 bytes are not the length of a safetensors header")
    text = file.read(length)
    if len(text) < length:
        raise incomplete(path, None)
    try:
        entries = json.loads(text)
        entries.pop("__metadata__", None)
        tensors = {k: TensorInfo(tuple(map(int, e["shape"])), str(e["dtype"])) for k, e in entries.items()}
        ends = [int(entry["data_offsets"][1]) for entry in entries.values()]
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise damaged(path, "its safetensors header cannot be read") from error
    expected = 8 + length + max(ends, default=0)
    if size < expected:
        raise incomplete(path, expected)
    return tensors


# pickles


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str
    numbers: int


_STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
    "Float8_e4m3fnStorage": "F8_E4M3",
    "Float8_e5m2Storage": "F8_E5M2",
    "UntypedStorage": "U8",
}
_DTYPES = {
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "bfloat16": "BF16",
    "float32": "F32",
    "float16": "F16",
}


@dataclass(frozen=True)
class _Tensor:
    info: TensorInfo
    storage: _Storage


def _tensor(
    storage: _Storage,
    offset: int,
    size: tuple[int, ...],
    stride: object,
    grad: object,
    hooks: object,
    *rest: Any,
) -> _Tensor:
    # Dtypes without a storage class of their own (float8) are named behind the usual arguments.
    dtype = rest[0] if rest and isinstance(rest[0], str) else storage.dtype
    return _Tensor(TensorInfo(tuple(size), dtype), storage)


def _parameter(tensor: _Tensor, *_: object) -> _Tensor:
    return tensor


class _Describer(pickle.Unpickler):
    """Builds descriptions of tensors; refuses every other name, so that nothing can run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor_v3"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return _STORAGES[name]
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        if (module, name) == ("torch", "Size"):
            return tuple
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which weights do not need")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, numbers = pid
        if kind != "storage" or not isinstance(dtype, str):
            raise pickle.UnpicklingError("it refers to something that is no tensor")
        return _Storage(str(key), dtype, int(numbers))


def _read_pth(path: Path) -> tuple[dict[str, TensorInfo], str]:
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {name.partition("/")[2]: info.file_size for name, info in archive.NameToInfo.items()}
            index = next((name for name in archive.NameToInfo if name.endswith("/data.pkl")), "")
            if not index or sizes["data.pkl"] > _HEADER_LIMIT_BYTES:
                raise damaged(path, "it is a zip archive, but torch did not write it")
            with archive.open(index) as file:
                content = _Describer(file).load()
    except zipfile.BadZipFile as error:
        # A zip's table of contents is its last part, so that any cut loses it.
        entry = by_name(path)
        raise incomplete(path, entry.size_bytes if entry else None) from error
    except _PICKLE_ERRORS as error:
        raise damaged(path, f"its index cannot be read safely ({error})") from error
    described, wrapper = _unwrap(content)
    if not described:
        raise damaged(path, "it holds no tensors")
    for tensor in described.values():
        storage = tensor.storage
        if sizes.get(f"data/{storage.key}") != storage.numbers * ITEM_BYTES[storage.dtype]:
            raise damaged(path, f"the numbers of its record {storage.key} are missing")
    return {key: tensor.info for key, tensor in described.items()}, wrapper


def _unwrap(content: object) -> tuple[dict[str, _Tensor], str]:
    """Tensors by key, and the key of the outer dictionary if there was one."""
    if isinstance(content, _Tensor):
        return {"": content}, ""
    if not isinstance(content, dict):
        return {}, ""
    for wrapper in WRAPPERS:
        if isinstance(content.get(wrapper), dict):
            return _unwrap(content[wrapper])[0], wrapper
    return {str(key): value for key, value in content.items() if isinstance(value, _Tensor)}, ""


# identity

_FREQS = ".rope.freqs"
_SCALES = (".scale_weight", ".weight_scale")
_IGNORED = (".scale_input", ".input_scale")
_FLOATS = frozenset(("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"))


def is_weight(key: str) -> bool:
    """Whether a key is a parameter: no constant buffer, scale, marker or text embedding."""
    beside = key.endswith((_FREQS, *_SCALES, *_IGNORED, ".comfy_quant")) or key == "scaled_fp8"
    return not beside and key not in TEXT_KEYS.values()


def scale_keys(key: str) -> tuple[str, ...]:
    """Keys under which the scale of the fp8 weight `key` may lie."""
    return tuple(key.removesuffix(".weight") + scale for scale in _SCALES) if key.endswith(".weight") else ()


def identify(tensors: Mapping[str, TensorInfo]) -> Identity | None:
    """Tells from keys and shapes what network this is; None for something foreign.

    tensors: as in `Header.tensors`.
    """
    if "vid_in.proj.weight" in tensors and "emb_in.proj_in.weight" in tensors and "txt_in.weight" in tensors:
        family = "3b" if any(key.endswith(".proj_in_gate.weight") for key in tensors) else "7b"
        dim, layers = {"3b": (2560, 32), "7b": (3072, 36)}[family]
        blocks = {key.split(".")[1] for key in tensors if key.startswith("blocks.")}
        full = tensors["vid_in.proj.weight"].shape[:1] == (dim,) and len(blocks) == layers
        return Identity("dit", family, full)
    if "encoder.conv_in.weight" in tensors and "decoder.conv_out.weight" in tensors:
        return Identity("vae", full=tensors["encoder.conv_in.weight"].shape[:1] == (128,))
    bare = tensors[""].shape if set(tensors) == {""} else ()
    if len(bare) == 2:
        parts: dict[tuple[int, ...], Part] = {(58, 5120): "text_pos", (64, 5120): "text_neg"}
        return Identity(parts.get(bare, "text"), full=bare in parts)
    return None


def precision(tensors: Mapping[str, TensorInfo]) -> str:
    """The dtype that holds most numbers of the network."""
    numbers: dict[str, int] = {}
    for key, info in tensors.items():
        if is_weight(key):
            numbers[info.dtype] = numbers.get(info.dtype, 0) + math.prod(info.shape)
    return max(numbers, key=lambda dtype: numbers[dtype], default="")


def unsupported(header: Header) -> str:
    """Why a whole, known network cannot be used yet; "" when it can."""
    if header.format == "gguf":
        return "GGUF, which is not supported yet"
    odd = {info.dtype for key, info in header.tensors.items() if is_weight(key)} - _FLOATS
    odd |= {info.dtype for key, info in header.tensors.items() if key.endswith(_SCALES)} - _FLOATS
    return f"quantised {'/'.join(sorted(odd))} weights, which are not supported yet" if odd else ""


def not_supported(path: Path, what: str, model: str | None = None) -> CheckpointError:
    """The error for a file that is whole and known and cannot be used; what: from `unsupported`."""
    return CheckpointError(
        f"{path} is stored as {what}.", remedy=f"Run `{mending_command(model)}` for the float16 file."
    )


def sharp_from_name(path: Path) -> str:
    """ "7b-sharp" or "7b", guessed from the path: the two networks have the same keys and shapes."""
    entry = by_name(path)
    if entry and entry.model in MODELS and entry.model != "3b":
        return entry.model or "7b"
    return "7b-sharp" if "sharp" in path.name.lower() else "7b"

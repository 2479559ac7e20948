"""The checkpoint files that are known: where they lie, how large they are, and what they hash to.

Pure data. Hashes are SHA-256 of the whole file, which is also what the hub states for large files (their
etag). Revisions are pinned, so that a repository that changes cannot change what a user gets.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seedvr_engine.errors import UsageError

Kind = Literal["dit", "vae", "text_pos", "text_neg"]

MODELS = ("3b", "7b", "7b-sharp")
"""The released models; each is one DiT that shares the VAE and the text embeddings with the others."""

_SEED_3B, _SEED_3B_REVISION = "ByteDance-Seed/SeedVR2-3B", "37255ff8cccfb01071b87f635a5948ca8d53117c"
_SEED_7B, _SEED_7B_REVISION = "ByteDance-Seed/SeedVR2-7B", "eb0c4281d41ba3767d4f14370f0e37e9e9180c16"
_COMFY, _COMFY_REVISION = "Comfy-Org/SeedVR2", "df48879708206a403d2a61acd55578c2e80fd233"
# The revision at which somebody else has checked the sharp file.
_COMFY_SHARP_REVISION = "a457bf495efbd40ea92f699f7d2b5d2febeca176"
_NUMZ, _AINVFX = "numz/SeedVR2_comfyUI", "AInVFX/SeedVR2_comfyUI"


@dataclass(frozen=True)
class CatalogFile:
    """One known file.

    repository, file: its place on the hub, and below the checkpoint folder.
    kind: what it holds. model: which of MODELS, None for what all of them share.
    precision: dtype of its weights in the words of safetensors (F32, F16, F8_E4M3), or a GGUF type.
    sha256, size_bytes: empty or None where nobody has told.
    superseded: first 3B weights, which the authors replaced on 2025-06-22.
    """

    repository: str
    file: str
    kind: Kind
    model: str | None
    precision: str
    sha256: str = ""
    size_bytes: int | None = None
    revision: str = "main"
    superseded: bool = False

    def path_below(self, root: Path) -> Path:
        """Where the file lies in the checkpoint folder `root`."""
        return root / self.repository / self.file


def _dit(repository: str, file: str, model: str, precision: str, sha256: str, **more: object) -> CatalogFile:
    return CatalogFile(repository, file, "dit", model, precision, sha256, **more)  # type: ignore[arg-type]


POS_EMB = CatalogFile(
    _SEED_3B,
    "pos_emb.pt",
    "text_pos",
    None,
    "BF16",
    "fa07a14844314772266b66c3b95deb0027696d8fe7065721263db5176f45d799",
    revision=_SEED_3B_REVISION,
)
NEG_EMB = CatalogFile(
    _SEED_3B,
    "neg_emb.pt",
    "text_neg",
    None,
    "BF16",
    "6a43e5800ef2354f1c156d27535834da055cbec8248298b8923492bba2076581",
    revision=_SEED_3B_REVISION,
)
VAE_OFFICIAL = CatalogFile(
    _SEED_3B,
    "ema_vae.pth",
    "vae",
    None,
    "F32",
    "c7df8a67e68b7f9aca3d5d2153d2ce8ab4373687741a0f9ce87cb356ace51cac",
    1002691902,
    _SEED_3B_REVISION,
)
VAE_FP16 = CatalogFile(
    _COMFY,
    "vae/seedvr2_ema_vae_fp16.safetensors",
    "vae",
    None,
    "F16",
    "20678548f420d98d26f11442d3528f8b8c94e57ee046ef93dbb7633da8612ca1",
    501324814,
    _COMFY_REVISION,
)

_OFFICIAL = {
    "3b": _dit(
        _SEED_3B,
        "seedvr2_ema_3b.pth",
        "3b",
        "F32",
        "6bcc5ac59447e97b100477480aebb01be2ec724c8340bb83faae21f64848604b",
        size_bytes=13566090228,
        revision=_SEED_3B_REVISION,
    ),
    "7b": _dit(
        _SEED_7B,
        "seedvr2_ema_7b.pth",
        "7b",
        "F32",
        "e1b2ae25505607e61f2a7dc7967ba778aaf3e3626d9969ce6e24c52d9ddebfcd",
        size_bytes=32958774606,
        revision=_SEED_7B_REVISION,
    ),
    "7b-sharp": _dit(
        _SEED_7B,
        "seedvr2_ema_7b_sharp.pth",
        "7b-sharp",
        "F32",
        "ced5706c976d5879efcab9e108349d67abcbd8a9b36a1f48bf0f19c24164a264",
        size_bytes=32958774606,
        revision=_SEED_7B_REVISION,
    ),
}

_FP16 = {
    "3b": _dit(
        _COMFY,
        "diffusion_models/seedvr2_3b_fp16.safetensors",
        "3b",
        "F16",
        "98669fd2c06df5eca88baf68cd5c478775c8e61fc110e598c52b350145ea2660",
        revision=_COMFY_REVISION,
    ),
    "7b": _dit(
        _COMFY,
        "diffusion_models/seedvr2_7b_fp16.safetensors",
        "7b",
        "F16",
        "2742ca6fee63bc5cc1773f426dd4b07b78cad27f51c9ea5cd42b035e6b592252",
        size_bytes=16480583960,
        revision=_COMFY_REVISION,
    ),
    "7b-sharp": _dit(
        _COMFY,
        "diffusion_models/seedvr2_7b_sharp_fp16.safetensors",
        "7b-sharp",
        "F16",
        "70823bca54b9c24eeb56e1c452697c7c2a430867e58db0e376c6e260f3a4489d",
        size_bytes=16480583960,
        revision=_COMFY_SHARP_REVISION,
    ),
}

_COMMUNITY = (
    _dit(
        _COMFY,
        "diffusion_models/seedvr2_3b_fp8_e4m3fn.safetensors",
        "3b",
        "F8_E4M3",
        "a0226eaa2c3e6f47ae5ce83225120f16479da890ced1a3bc32b1a14619787914",
        size_bytes=3392794232,
        revision=_COMFY_REVISION,
    ),
    _dit(
        _COMFY,
        "diffusion_models/seedvr2_7b_fp8_e4m3fn.safetensors",
        "7b",
        "F8_E4M3",
        "5065e77d647dd553d9090a81e20d6de590d931a61df79d785e008433926ee418",
        size_bytes=8240979248,
        revision=_COMFY_REVISION,
    ),
    _dit(
        _COMFY,
        "diffusion_models/seedvr2_7b_sharp_fp8_e4m3fn.safetensors",
        "7b-sharp",
        "F8_E4M3",
        "7602c5f70868d28e7730035e4e9d745b05d661c8f0a7eb758e63f9c8603596ef",
        revision=_COMFY_REVISION,
    ),
    _dit(
        _SEED_3B,
        "seedvr2_ema_3b.pth",
        "3b",
        "F32",
        "91627bba45175e1f5913378bc16151dc9c28c78fd608913546238ac13041d97d",
        size_bytes=13566090228,
        revision="e2bc8d4d0845482db0e7ebd2164d501bfd1c1697",
        superseded=True,
    ),
    _dit(
        _NUMZ,
        "seedvr2_ema_3b_fp16.safetensors",
        "3b",
        "F16",
        "2fd0e03a3dad24e07086750360727ca437de4ecd456f769856e960ae93e2b304",
        size_bytes=6783018808,
        superseded=True,
    ),
    _dit(
        _NUMZ,
        "seedvr2_ema_3b_fp8_e4m3fn.safetensors",
        "3b",
        "F8_E4M3",
        "3bf1e43ebedd570e7e7a0b1b60d6a02e105978f505c8128a241cde99a8240cff",
        size_bytes=3391544696,
        superseded=True,
    ),
    _dit(
        _NUMZ,
        "seedvr2_ema_7b_fp16.safetensors",
        "7b",
        "F16",
        "7b8241aa957606ab6cfb66edabc96d43234f9819c5392b44d2492d9f0b0bbe4a",
        size_bytes=16479334424,
    ),
    _dit(
        _NUMZ,
        "seedvr2_ema_7b_sharp_fp16.safetensors",
        "7b-sharp",
        "F16",
        "20a93e01ff24beaeebc5de4e4e5be924359606c356c9c51509fba245bd2d77dd",
        size_bytes=16479334424,
    ),
    CatalogFile(_NUMZ, "ema_vae_fp16.safetensors", "vae", None, "F16", VAE_FP16.sha256, VAE_FP16.size_bytes),
    _dit(
        _AINVFX,
        "seedvr2_ema_7b_fp8_e4m3fn_mixed_block35_fp16.safetensors",
        "7b",
        "F8_E4M3",
        "3d68b5ec0b295ae28092e355c8cad870edd00b817b26587d0cb8f9dd2df19bb2",
        size_bytes=8466296338,
    ),
    _dit(
        _AINVFX,
        "seedvr2_ema_7b_sharp_fp8_e4m3fn_mixed_block35_fp16.safetensors",
        "7b-sharp",
        "F8_E4M3",
        "0d2c5b8be0fda94351149c5115da26aef4f4932a7a2a928c6f184dda9186e0be",
        size_bytes=8466296338,
    ),
    # First weights or current ones: nobody has told for the 3B's GGUF files.
    _dit(
        _AINVFX,
        "seedvr2_ema_3b-Q4_K_M.gguf",
        "3b",
        "Q4_K_M",
        "e665e3909de1a8c88a69c609bca9d43ff5a134647face2ce4497640cc3597f0e",
    ),
    _dit(
        _AINVFX,
        "seedvr2_ema_3b-Q8_0.gguf",
        "3b",
        "Q8_0",
        "be0d60083a2051a265eb4b77f28edf494e6db67ffc250216f32b72292e5cbd96",
    ),
    _dit(
        _AINVFX,
        "seedvr2_ema_7b-Q4_K_M.gguf",
        "7b",
        "Q4_K_M",
        "db9cb2ad90ebd40d2e8c29da2b3fc6fd03ba87cd58cbadceccca13ad27162789",
    ),
    _dit(
        _AINVFX,
        "seedvr2_ema_7b_sharp-Q4_K_M.gguf",
        "7b-sharp",
        "Q4_K_M",
        "7aed800ac4eb8e0d18569a954c0ff35f5a1caa3ed5d920e66cc31405f75b6e69",
        size_bytes=4758306592,
    ),
)

FILES: tuple[CatalogFile, ...] = (
    POS_EMB,
    NEG_EMB,
    VAE_OFFICIAL,
    VAE_FP16,
    *_OFFICIAL.values(),
    *_FP16.values(),
    *_COMMUNITY,
)


def files_to_download(model: str, *, official: bool = False) -> tuple[CatalogFile, ...]:
    """The files that `model` (one of MODELS, or "all") needs: DiT, VAE and both text embeddings.

    official: the authors' float32 files instead of the smaller float16 ones of the same weights.
    Raises UsageError for another name.
    """
    if model != "all" and model not in MODELS:
        raise UsageError(f"There is no model {model!r}.", remedy=f"Choose one of {', '.join(MODELS)}, all.")
    dits = _OFFICIAL if official else _FP16
    wanted = MODELS if model == "all" else (model,)
    # Small files first: a wrong address or token shows within a second.
    return (POS_EMB, NEG_EMB, VAE_OFFICIAL if official else VAE_FP16, *(dits[name] for name in wanted))


def by_hash(sha256: str) -> CatalogFile | None:
    """The known file with this hash (64 lower-case hexadecimal digits), or None."""
    return next((entry for entry in FILES if entry.sha256 and entry.sha256 == sha256), None)


def by_place(path: Path) -> CatalogFile | None:
    """The file that belongs at this place (.../REPOSITORY/FILE), or None. A hint only: names lie."""
    place = path.absolute().as_posix()
    return next((entry for entry in FILES if place.endswith(f"/{entry.repository}/{entry.file}")), None)


def by_name(path: Path) -> CatalogFile | None:
    """A known file of this name, wherever it lies, or None. A hint only: names lie."""
    return next((entry for entry in FILES if Path(entry.file).name == path.name), None)


def may_be_superseded(size_bytes: int) -> bool:
    """Whether a file of this size may hold the superseded 3B weights, so that only its hash can tell."""
    return any(entry.superseded and entry.size_bytes == size_bytes for entry in FILES)


def mending_command(model: str | None) -> str:
    """The command that brings a whole copy of a model's files."""
    return f"seedvr download {model if model in MODELS else '3b'}"

"""The environment, read once, checked, typed.

Every variable that the program itself reads is a field of `Settings`, with its name and its limits beside it.
`HF_TOKEN`, `HF_ENDPOINT`, `CUDA_VISIBLE_DEVICES` and `RUNPOD_POD_ID` belong to others and stay where they
are: a token in no object of ours can be in no log of ours.
"""

import os
import re
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seedvr_engine.errors import UsageError

POD = Path("/workspace")

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


class SettingsError(UsageError):
    """An environment variable with a value that makes no sense."""

    code = "settings"


def _env(variable: str, *, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"variable": variable, "low": low, "high": high}


@dataclass(frozen=True)
class Settings:
    """Settings of one process.

    Folders, /workspace/… where there is a /workspace that can be written, else ./workspace/…:
    ckpts: checkpoints, searched at any depth. outputs: results. data: jobs, uploads, inputs, logs.
    inputs: the inbox, files that are picked in the page without an upload.

    Jobs:
    timeout_s: seconds of running after which a job is interrupted and keeps its work; 0 for no limit.
    keep_warm_s: seconds that an idle worker keeps its model.
    gpus: how many GPUs the worker uses, one process each, which share the shots of a clip; 0 for all. Without
        a GPU as many processes on the CPU, 1 for 0.
    max_upload_bytes: of one file; 50 GB, some hours of camera footage. "20GB" and the like are understood.
    max_duration_s: of an input; 12 hours. max_pixels: of one frame, input or output; 50 million, a phone's
        largest pictures and more than 8K video. max_queued: unfinished jobs in all;
        max_queued_per_visitor: of one visitor. 0 for no limit in each of them.
    keep_results_days: after which finished jobs and their files are deleted; 0 keeps them until somebody
        deletes them, since results that vanish surprise whoever runs this alone.

    Page:
    port, host: where it listens. root_path: where a proxy shows it ("/restore").
    share: ask Gradio for a public link. allow_open_share: let that link work without a password.
    auth: "user:password,user2:password2", or a file with one pair a line; empty lets everybody in.
    allowed_hosts: names by which the page may be called, beside this machine's own; "*" for any.
    requests_per_minute: of one visitor to the interface for programs; the page itself needs about 200. 0 for
        no limit.
    mcp: offer the tools over the Model Context Protocol.
    """

    ckpts: Path = field(default=POD / "ckpts", metadata=_env("SEEDVR_CKPTS"))
    outputs: Path = field(default=POD / "outputs", metadata=_env("SEEDVR_OUTPUTS"))
    data: Path = field(default=POD / "projects", metadata=_env("SEEDVR_DATA"))
    inputs: Path = field(default=POD / "inputs", metadata=_env("SEEDVR_INPUTS"))

    timeout_s: float = field(default=1800.0, metadata=_env("SEEDVR_TIMEOUT", low=0))
    keep_warm_s: float = field(default=600.0, metadata=_env("SEEDVR_KEEP_WARM", low=0))
    gpus: int = field(default=0, metadata=_env("SEEDVR_GPUS", low=0, high=64))
    max_upload_bytes: int = field(default=50 * 10**9, metadata=_env("SEEDVR_MAX_UPLOAD", low=0))
    max_duration_s: float = field(default=43200.0, metadata=_env("SEEDVR_MAX_DURATION", low=0))
    max_pixels: int = field(default=50_000_000, metadata=_env("SEEDVR_MAX_PIXELS", low=0))
    max_queued: int = field(default=500, metadata=_env("SEEDVR_MAX_QUEUED", low=0))
    max_queued_per_visitor: int = field(default=100, metadata=_env("SEEDVR_MAX_QUEUED_PER_VISITOR", low=0))
    keep_results_days: float = field(default=0.0, metadata=_env("SEEDVR_KEEP_RESULTS_DAYS", low=0))

    share: bool = field(default=False, metadata=_env("GRADIO_SHARE"))
    allow_open_share: bool = field(default=False, metadata=_env("SEEDVR_ALLOW_OPEN_SHARE"))
    port: int = field(default=7860, metadata=_env("GRADIO_PORT", low=0, high=65535))
    host: str = field(default="0.0.0.0", metadata=_env("GRADIO_HOST"))
    root_path: str = field(default="", metadata=_env("GRADIO_ROOT_PATH"))
    auth: str = field(default="", metadata=_env("GRADIO_AUTH"), repr=False)
    allowed_hosts: list[str] = field(default_factory=list, metadata=_env("SEEDVR_ALLOWED_HOSTS"))
    requests_per_minute: int = field(default=1200, metadata=_env("SEEDVR_REQUESTS_PER_MINUTE", low=0))
    mcp: bool = field(default=False, metadata=_env("SEEDVR_MCP"))

    def public(self) -> dict[str, Any]:
        """All of it but what is secret, in plain values."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self) if item.repr}


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Returns the settings of this process; the environment is read at the first call.

    `get_settings.cache_clear()` makes the next call read it anew. Raises SettingsError, which names the
    variable.
    """
    config = OmegaConf.structured(_with_folders(Settings()))
    for item in fields(Settings):
        given = os.environ.get(item.metadata["variable"], "").strip()
        if given:
            config = _merge(config, item.name, given)
    settings = OmegaConf.to_object(config)
    assert isinstance(settings, Settings)
    for item in fields(Settings):
        _check_range(item.metadata, getattr(settings, item.name))
    read_auth(settings.auth)
    return settings


def variable_of(name: str) -> str:
    """The environment variable that fills a field."""
    return next(item.metadata["variable"] for item in fields(Settings) if item.name == name)


def workspace() -> Path:
    """/workspace where it can be written (a pod, a container), else ./workspace."""
    return POD if _can_be_written(POD) else Path("workspace").absolute()


def read_auth(auth: str) -> dict[str, str]:
    """Users and passwords from what GRADIO_AUTH says: pairs, or a file of pairs. Raises SettingsError."""
    variable = variable_of("auth")
    if auth and (":" not in auth or Path(auth).is_file()):
        try:
            lines = Path(auth).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"{variable} names a file that cannot be read: {error}.",
                remedy="Write user:password pairs with commas between them, or the path of a file with them.",
            ) from error
        pairs = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    else:
        pairs = [pair.strip() for pair in auth.split(",") if pair.strip()]
    users = {}
    for pair in pairs:
        user, colon, password = pair.partition(":")
        if not (user and colon and password):
            raise SettingsError(
                f"{variable} has an entry without a user or a password.",
                remedy="Write user:password, with commas between several.",
            )
        users[user] = password
    if auth and not users:
        raise SettingsError(f"{variable} names no user.", remedy="Write user:password, or unset it.")
    return users


def _with_folders(settings: Settings) -> Settings:
    """The defaults; what is only read may lie in a /workspace that cannot be written."""
    base = workspace()
    ckpts, inputs = (POD / name if (POD / name).is_dir() else base / name for name in ("ckpts", "inputs"))
    return replace(settings, ckpts=ckpts, inputs=inputs, outputs=base / "outputs", data=base / "projects")


def _merge(config: Any, name: str, given: str) -> Any:
    """The configuration with a variable's text in it, converted and checked."""
    default = OmegaConf.select(config, name)
    if isinstance(default, Path):
        converted: Any = Path(given).expanduser().absolute()
    elif OmegaConf.is_list(default):
        converted = [part.strip() for part in given.split(",") if part.strip()]
    elif isinstance(default, int) and not isinstance(default, bool):
        converted = _number(given)
    else:
        # OmegaConf would take it for a reference; a password may well hold it.
        converted = given.replace("${", "\\${")
    try:
        return OmegaConf.merge(config, {name: converted})
    except (OmegaConfBaseException, ValueError) as error:
        kind = {bool: "true or false", int: "a whole number", float: "a number"}.get(type(default), "text")
        shown = "" if name == "auth" else f", not {given!r}"
        raise SettingsError(
            f"{variable_of(name)} has to be {kind}{shown}.", remedy="Correct or unset it, then start again."
        ) from error


def _number(text: str) -> str | int:
    """ "20GB" and "1_000" as numbers; anything else as it is, for OmegaConf to refuse."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", text.replace("_", "").lower())
    if not match or ("." in match[1] and not match[2]):
        return text
    return round(float(match[1]) * _UNITS[match[2]]) if match[2] else int(match[1])


def _check_range(limits: Any, value: Any) -> None:
    low, high = limits["low"], limits["high"]
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        span = f"from {low} to {high}" if high is not None else f"{low} or more"
        raise SettingsError(
            f"{limits['variable']} has to be {span}, not {value}.",
            remedy="Correct or unset it, then start again.",
        )


def _can_be_written(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value

"""One log a process under $SEEDVR_DATA/logs: rotated, with the job's id in its lines, without any secret.

Secrets are masked where lines are formatted, so that a message, its arguments and a traceback are all
covered, whoever wrote them.
"""

import logging
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

from seedvr_engine.settings import Settings, read_auth

_FILE_BYTES, _FILES = 5_000_000, 5
_SECRET_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACEHUB_API_TOKEN")
_SECRET_PATTERNS = (
    re.compile(r"\bhf_[A-Za-z0-9]{8,}"),
    re.compile(r"(?i)(?<=bearer )[\w.~+/=-]+"),
    re.compile(r"(?i)(?<=basic )[A-Za-z0-9+/=]{4,}"),
    re.compile(r"(?<=seedvr_visitor_)\w{8}=[^;\s\"']+"),
    re.compile(r"(?i)(?<=token[\"']: [\"'])[^\"']+|(?<=token=)[^&\s\"']+"),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
)
MASK = "***"

_job = "-"


def configure_logging(name: str, settings: Settings) -> Path:
    """Sends this process's log to `name`.log and its warnings to stderr as well; returns the file.

    Called again, it starts over. Exceptions that nobody caught are logged too.
    """
    folder = settings.data / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.log"
    formatter = _Formatter(secrets_of(settings))
    file = RotatingFileHandler(path, maxBytes=_FILE_BYTES, backupCount=_FILES, encoding="utf-8", delay=True)
    console = logging.StreamHandler()
    console.setLevel(logging.WARNING)
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler.formatter, _Formatter)]:
        root.removeHandler(old)
        old.close()
    for handler in (file, console):
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    # These tell every request that they make, with its address.
    for chatty in ("httpx", "httpcore", "httpx2", "httpcore2", "filelock", "asyncio", "mcp"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda told: _log_uncaught(told.exc_type, told.exc_value, told.exc_traceback)
    return path


@contextmanager
def logging_job(job: str) -> Iterator[None]:
    """Puts a job's id into every line of this process, whichever thread writes it.

    For a worker, which has one job at a time; others give `extra={"job": id}`.
    """
    global _job
    before, _job = _job, job
    try:
        yield
    finally:
        _job = before


def mask(text: str, secrets: tuple[str, ...] = ()) -> str:
    """The text with everything that looks like a token or password replaced by ***."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    for pattern in _SECRET_PATTERNS:
        text = pattern.sub(MASK, text)
    return text


class _Formatter(logging.Formatter):
    """Time, level, process, job, message; secrets masked."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__("%(asctime)s %(levelname)s %(process)d %(name)s [%(job)s] %(message)s")
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        if not hasattr(record, "job"):
            record.job = _job
        return mask(super().format(record), self._secrets)


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Tokens of the environment and passwords, the longest first, so that no rest of one stays."""
    tokens = [os.environ.get(variable, "") for variable in _SECRET_VARIABLES]
    passwords = list(read_auth(settings.auth).values())
    return tuple(sorted((secret for secret in tokens + passwords if len(secret) > 3), key=len, reverse=True))


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    if error is None or issubclass(kind, (KeyboardInterrupt, SystemExit)):
        return
    logging.getLogger("seedvr").critical("Nobody caught this", exc_info=(kind, error, trace))

"""A public link through Gradio's tunnel, for the page that is mounted in our own application."""

import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from seedvr_engine.settings import Settings

_LOOK_S = 5.0


@dataclass(frozen=True)
class Share:
    """What came of asking for a link.

    url: None where there is none. users: made for it, None for nobody. problem: a sentence.
    """

    url: str | None = None
    users: dict[str, str] | None = None
    problem: str = ""

    @property
    def host(self) -> str:
        """The name by which the page will be called through the link."""
        return urlsplit(self.url or "").hostname or ""


def open_share(settings: Settings, port: int) -> Share:
    """Asks for a link to a port of this machine. Never raises: without a link the page works all the same.

    Without GRADIO_AUTH the link gets a user and a password, unless SEEDVR_ALLOW_OPEN_SHARE says otherwise.
    """
    from gradio import networking, tunneling

    # Gradio writes it below the working directory, which may be read-only.
    certificate = settings.data / "share" / "certificate.pem"
    networking.CERTIFICATE_PATH = str(certificate)
    try:
        # Where nothing answers, that is to be known soon; the tunnel itself has more patience.
        httpx.get(networking.GRADIO_API_SERVER, timeout=_LOOK_S).raise_for_status()
        url = networking.setup_tunnel("127.0.0.1", port, secrets.token_urlsafe(32), None, None)
    except (httpx.HTTPError, OSError, RuntimeError, ValueError, tunneling.ChecksumMismatchError) as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        return Share(problem=f"There is no share link: {why}. The page works without it.")
    is_open = settings.auth or settings.allow_open_share
    return Share(url, None if is_open else {"guest": secrets.token_urlsafe(9)})

"""Under which names the page may be called.

A page of another site can make a visitor's browser talk to this machine: through a name that it points here
(DNS rebinding), or by sending forms. The first comes with a Host that is not ours, the second with an Origin.
"""

import ipaddress
import os
import re
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from seedvr_engine.settings import Settings

_READING = frozenset(("GET", "HEAD", "OPTIONS"))


class Hosts:
    """The names of this machine, of a pod's proxy, of a share link, and those of the settings."""

    def __init__(self, settings: Settings) -> None:
        name = socket.gethostname().lower()
        self._own = {"localhost", name, name.partition(".")[0], f"{name.partition('.')[0]}.local"}
        self._outside = {host.lower() for host in settings.allowed_hosts}
        pod = os.environ.get("RUNPOD_POD_ID", "")
        if pod:
            self._outside.add(f"{pod}-{settings.port}.proxy.runpod.net".lower())

    def add(self, host: str) -> None:
        """Lets one more name in (that of a share link)."""
        self._outside.add(host.lower())

    def allows_host(self, headers: Headers) -> bool:
        """Whether a request is meant for us. An address instead of a name cannot be rebound."""
        name = _name(headers.get("host", ""))
        everybody = "*" in self._outside
        return name in self._own or _is_address(name) or self._is_outside(name) or everybody

    def allows_origin(self, method: str, headers: Headers) -> bool:
        """Whether what changes something comes from our own page, or from no page at all.

        A Bearer token is never sent by a browser on its own, so whoever sends it means it.
        """
        if method in _READING or headers.get("authorization", "").lower().startswith("bearer "):
            return True
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        place = urlsplit(origin).netloc.lower()
        ours = {headers.get("host", "").lower(), headers.get("x-forwarded-host", "").lower()} - {""}
        return place in ours or self._is_outside(_name(place))

    def _is_outside(self, name: str) -> bool:
        if not name:
            return False
        endings = (host[1:] for host in self._outside if host.startswith("*."))
        return name in self._outside or any(name.endswith(end) for end in endings)


def _name(place: str) -> str:
    """The host of "host:port" or "[address]:port", without a final dot."""
    match = re.fullmatch(r"(\[[0-9a-f:.%]+\]|[^:\[\]/@\s]+)(?::\d*)?", place.lower())
    return match[1].rstrip(".") if match else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True

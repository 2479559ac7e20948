"""Who is asking: the signed cookie of a visitor, a signed-in user, or the token that a program was given.

An owner is a text, "visitor:ID" or "user:NAME", the same in a route, in a stream of events and in a Gradio
event: the guard finds it once for each request and leaves it in the request's scope.
"""

import base64
import binascii
import hashlib
import os
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import HTTPConnection

from seedvr_engine.settings import Settings, read_auth

OWNER = "seedvr.owner"

_DAY_S = 86400
# Browsers keep no cookie longer; one that is used is signed anew before.
COOKIE_S = 400 * _DAY_S
_RENEW_S = 30 * _DAY_S


@dataclass(frozen=True)
class Visit:
    """owner: who asks. cookie: what their browser is to keep; None where it has what it needs.

    is_new: nothing was shown, so that this owner was made up just now.
    """

    owner: str
    cookie: str | None = None
    is_new: bool = False


def owner_of(request: HTTPConnection | None) -> str:
    """Who asks. request: Starlette's, or `.request` of a Gradio event's. Raises KeyError behind no guard."""
    assert request is not None
    owner = request.scope[OWNER]
    assert isinstance(owner, str)
    return owner


class Visitors:
    """Recognises visitors, users and tokens.

    settings.auth: with users in it, only they come in. settings.data: holds the key, made at the first start.
    extra: users beside those of the settings (of a share link).
    """

    def __init__(self, settings: Settings, extra: dict[str, str] | None = None) -> None:
        self._users = read_auth(settings.auth) | (extra or {})
        self._path = settings.data / "secret"

    @property
    def has_users(self) -> bool:
        """Whether one has to sign in."""
        return bool(self._users)

    @cached_property
    def _key(self) -> bytes:
        return read_or_make_key(self._path)

    @cached_property
    def cookie_name(self) -> str:
        """Of its own for each data folder: cookies of one host are shared by all its ports."""
        return f"seedvr_visitor_{hashlib.sha256(self._key).hexdigest()[:8]}"

    def recognise(self, request: HTTPConnection) -> Visit | None:
        """Who asks; somebody new where nothing is known; None where signing in is needed, or failed."""
        kind, _, credentials = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            owner = self.owner_of_token(credentials.strip())
            return Visit(owner) if owner else None
        if self.has_users:
            user = self._signed_in(credentials) if kind.lower() == "basic" else None
            return Visit(f"user:{user}") if user else None
        return self._visitor(request.cookies.get(self.cookie_name, ""))

    def token(self, owner: str) -> str:
        """What a program shows as `Authorization: Bearer` to be this owner."""
        return self._tokens(owner).dumps(owner)

    def owner_of_token(self, token: str) -> str | None:
        """Whose token it is; None for one that is not ours, or no longer."""
        try:
            # The owner decides what the signature is checked against, so it is read before it is believed.
            _, owner = URLSafeTimedSerializer(self._key).loads_unsafe(token)
            owner = self._tokens(str(owner)).loads(token)
        except BadData:
            return None
        is_user = owner.startswith("user:")
        return owner if is_user == self.has_users else None

    def _visitor(self, cookie: str) -> Visit:
        signed = URLSafeTimedSerializer(self._key, salt="visitor")
        try:
            name = signed.loads(cookie, max_age=COOKIE_S)
        except BadData:
            name = secrets.token_urlsafe(18)
            return Visit(f"visitor:{name}", signed.dumps(name), is_new=True)
        try:
            signed.loads(cookie, max_age=_RENEW_S)
        except BadData:
            return Visit(f"visitor:{name}", signed.dumps(name))
        return Visit(f"visitor:{name}")

    def _signed_in(self, credentials: str) -> str | None:
        """The user of `Authorization: Basic`, when the password is right; every user takes the same time."""
        try:
            user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        known = self._users.get(user)
        right = secrets.compare_digest(_digest(password), _digest(known or secrets.token_urlsafe()))
        return user if right and known is not None else None

    def _tokens(self, owner: str) -> URLSafeTimedSerializer:
        """A user's tokens end with their password."""
        password = self._users.get(owner.removeprefix("user:"), "") if owner.startswith("user:") else ""
        return URLSafeTimedSerializer(self._key, salt=f"token {_digest(password).hex()}")


def read_or_make_key(path: Path) -> bytes:
    """The key that signs cookies and tokens: 32 random bytes that only this user can read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Linked when whole: of two processes that start at once, both go on with the key of the first.
        fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_bytes()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()

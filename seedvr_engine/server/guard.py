"""What stands before every request: host, origin, who asks, how often, and Gradio's doors that stay shut."""

import re

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedvr_engine.server.answers import refusal
from seedvr_engine.server.hosts import Hosts
from seedvr_engine.server.rates import RateLimit
from seedvr_engine.server.visitors import COOKIE_S, OWNER, Visit, Visitors

_FAILED_SIGN_INS_PER_MINUTE = 20

# Gradio's own addresses that the page and gradio_client need. The others serve files to whoever knows a path
# (/file=, /stream), fetch from other hosts (/proxy=, /file=http…) or show what others do (/monitoring).
_GRADIO_OPEN = re.compile(
    r"/gradio_api/(info|queue/(join|data|status)|call/[^/]+(/[^/]+)?|call/v2/[^/]+|run/[^/]+|api/[^/]+|cancel"
    r"|reset|heartbeat/[^/]+|startup-events|component_server|theme\.css|upload|login_check|user|app_id|token)/?"
)
_GRADIO_SHUT = re.compile(r"/(monitoring|login|logout|docs|redoc|runs)(/.*)?")


class Guard:
    """Middleware in pure ASGI, so that streams pass untouched."""

    def __init__(self, app: ASGIApp, *, hosts: Hosts, visitors: Visitors, per_minute: int) -> None:
        self._app = app
        self._hosts = hosts
        self._visitors = visitors
        self._rate = RateLimit(per_minute)
        self._failures = RateLimit(_FAILED_SIGN_INS_PER_MINUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope, receive)
        path = route_path(scope)
        if path == "/healthz" and request.method in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        answer = self._refuse_place(request) or self._refuse_door(path)
        visit = None if answer else self._visitors.recognise(request)
        if not answer:
            answer = self._refuse_visit(request, visit) or self._refuse_rate(request, path, visit)
        if answer:
            await answer(scope, receive, send)
            return
        assert visit is not None
        scope[OWNER] = visit.owner
        await self._app(scope, receive, self._with_cookie(send, request, visit))

    def _refuse_place(self, request: Request) -> Response | None:
        if not self._hosts.allows_host(request.headers):
            return refusal(
                421,
                "host",
                "This server is not called by that name.",
                "Use its address, or add the name to SEEDVR_ALLOWED_HOSTS.",
            )
        if not self._hosts.allows_origin(request.method, request.headers):
            return refusal(
                403,
                "origin",
                "The request comes from a page of another site.",
                "Open this server's own page; behind a proxy, add its name to SEEDVR_ALLOWED_HOSTS.",
            )
        return None

    def _refuse_door(self, path: str) -> Response | None:
        shut = path.startswith("/gradio_api") and not _GRADIO_OPEN.fullmatch(path)
        if shut or _GRADIO_SHUT.fullmatch(path):
            return refusal(404, "not_found", "There is nothing here.", "")
        return None

    def _refuse_visit(self, request: Request, visit: Visit | None) -> Response | None:
        """401 where nobody was recognised; guessing is slowed down by address."""
        address = request.client.host if request.client else ""
        if self._failures.left(address) < 1:
            return _too_many(60.0)
        if visit is not None:
            return None
        answer = refusal(401, "sign_in", "Nobody signed in, or the password or token is wrong.", "Sign in.")
        if "authorization" in request.headers:
            self._failures.wait_s(address)
        if self._visitors.has_users:
            answer.headers["WWW-Authenticate"] = 'Basic realm="SeedVR", charset="UTF-8"'
        return answer

    def _refuse_rate(self, request: Request, path: str, visit: Visit | None) -> Response | None:
        """Whoever shows nothing counts by address: a new cookie is no new bucket."""
        if not path.startswith(("/api/", "/gradio_api/")):
            return None
        known = visit is not None and not visit.is_new
        who = visit.owner if visit and known else request.client.host if request.client else ""
        wait_s = self._rate.wait_s(who)
        return _too_many(wait_s) if wait_s else None

    def _with_cookie(self, send: Send, request: Request, visit: Visit) -> Send:
        if visit.cookie is None:
            return send
        value = self._cookie(request, visit.cookie)

        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("Set-Cookie", value)
            await send(message)

        return send_with_cookie

    def _cookie(self, request: Request, value: str) -> str:
        # A pod's proxy speaks https outside and http to us. Claiming it falsely harms only who claims it.
        outside = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
        secure = "; Secure" if "https" in (request.url.scheme, outside) else ""
        name = self._visitors.cookie_name
        return f"{name}={value}; Path=/; Max-Age={COOKIE_S}; HttpOnly; SameSite=Lax{secure}"


def route_path(scope: Scope) -> str:
    """The path below the root path, as the routes see it."""
    path, root = str(scope["path"]), scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def _too_many(wait_s: float) -> JSONResponse:
    answer = refusal(429, "rate", "Too many requests in a short time.", "Wait a little, then try again.")
    answer.headers["Retry-After"] = str(max(1, round(wait_s + 0.5)))
    return answer

"""The same for assistants that speak the Model Context Protocol, at /mcp (with SEEDVR_MCP=true)."""

from typing import Any

from mcp.server.fastmcp import Context, FastMCP
from mcp.server.transport_security import TransportSecuritySettings

from seedvr_engine.errors import UsageError
from seedvr_engine.pipeline.options import DEFAULT_SIZE
from seedvr_engine.server.desk import Desk
from seedvr_engine.server.shapes import JobView
from seedvr_engine.server.system import model_view
from seedvr_engine.server.visitors import Visitors, owner_of

_ABOUT = (
    "Restores and upscales video. Files come from the machine's inbox (see inbox), or as an upload: "
    "POST /api/uploads speaks tus. restore gives a job's id and a token; ask status until its state is "
    "done, then GET /api/jobs/ID/result with the token as Authorization: Bearer."
)


def make_tools(desk: Desk, visitors: Visitors) -> FastMCP:
    """The tools; stateless, so that a restart of the server ends nobody's session."""
    # Hosts and origins are checked by the guard, which knows the names of this machine.
    security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    server = FastMCP(
        "seedvr", instructions=_ABOUT, stateless_http=True, json_response=True, transport_security=security
    )

    def owner(context: Context[Any, Any, Any], token: str = "") -> str:
        request = context.request_context.request
        found = visitors.owner_of_token(token) if token else owner_of(request)
        if found is None:
            raise UsageError("The token is not one of this server.", remedy="Use the one that restore gave.")
        return found

    @server.tool()
    def restore(
        context: Context[Any, Any, Any],
        video: str,
        model: str = "auto",
        size: str = DEFAULT_SIZE,
        settings: dict[str, Any] | None = None,
    ) -> dict[str, str]:
        """Queues a restoration. video: a name of the inbox, or the id of an upload."""
        asks = owner(context)
        is_inbox = any(file.name == video for file in desk.inbox.files())
        source = desk.source(asks, **({"input": video} if is_inbox else {"upload": video}))
        job = desk.submit(asks, source, {"model": model, "size": size, **(settings or {})})
        return {"id": job.id, "token": visitors.token(asks)}

    @server.tool()
    def status(context: Context[Any, Any, Any], job: str, token: str = "") -> dict[str, Any]:
        """How a job stands: state, progress (0 to 1), time left, error."""
        return JobView.of(desk.job(owner(context, token), job)).model_dump()

    @server.tool()
    def cancel(context: Context[Any, Any, Any], job: str, token: str = "") -> dict[str, Any]:
        """Stops a job."""
        return JobView.of(desk.cancel(owner(context, token), job)).model_dump()

    @server.tool()
    def models() -> list[dict[str, Any]]:
        """The models, present or not."""
        return [model_view(model).model_dump() for model in desk.processor.check_available_models()]

    @server.tool()
    def inbox() -> list[dict[str, Any]]:
        """Files that lie on the machine."""
        return [vars(file) for file in desk.inbox.files()]

    return server

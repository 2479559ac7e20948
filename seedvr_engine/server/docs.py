"""/api/docs: the interface for programs, as a plain page.

FastAPI's own pages load their scripts from another host; this one is made here and loads nothing.
"""

from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<title>{title}: interface for programs</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:54rem;margin:2rem auto;padding:0 1rem}}
code,pre{{font-family:ui-monospace,monospace;font-size:.9em}}
pre{{overflow-x:auto;padding:1rem;border:1px solid #8886}}
section{{border-top:1px solid #8886}}b{{display:inline-block;min-width:4.5em}}</style>
<h1>{title}</h1>
<p>Version {version}. Machine-readable: <a href="openapi.json">openapi.json</a>. Every failure is
<code>{{"code", "message", "remedy"}}</code>. Whoever keeps the cookie, signs in, or sends a job's token as
<code>Authorization: Bearer TOKEN</code> sees their own jobs, and nobody else's.</p>
<pre>curl -F file=@old.mp4 -F 'options={{"size": "2x"}}' {base}/api/jobs
curl -H "Authorization: Bearer $TOKEN" {base}/api/jobs/$ID
curl -H "Authorization: Bearer $TOKEN" -OJ {base}/api/jobs/$ID/result</pre>
{routes}</html>"""


def docs_router() -> APIRouter:
    """The page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/api/docs", response_class=HTMLResponse)
    def docs(request: Request) -> str:
        schema = request.app.openapi()
        routes = "".join(
            _route(method, path, facts)
            for path, methods in schema["paths"].items()
            for method, facts in methods.items()
        )
        title, version = schema["info"]["title"], schema["info"]["version"]
        base = escape(str(request.base_url).rstrip("/"))
        return _PAGE.format(title=escape(title), version=version, base=base, routes=routes)

    return router


def _route(method: str, path: str, facts: dict[str, Any]) -> str:
    fields = "".join(
        f"<li><code>{escape(field['name'])}</code> in {field['in']}"
        for field in facts.get("parameters", [])
        if field["in"] != "path"
    )
    body = facts.get("requestBody", {}).get("content", {})
    schemas = "".join(
        f"<pre>{escape(kind)}\n{_fields(content.get('schema', {}))}</pre>" for kind, content in body.items()
    )
    text = escape(facts.get("description") or facts.get("summary", ""))
    return (
        f"<section><h3><b>{method.upper()}</b><code>{escape(path)}</code></h3>"
        f"<p>{text}</p><ul>{fields}</ul>{schemas}</section>"
    )


def _fields(schema: dict[str, Any]) -> str:
    lines = []
    for name, facts in schema.get("properties", {}).items():
        kinds = [facts, *facts.get("anyOf", [])]
        kind = next((item["type"] for item in kinds if "type" in item), "object")
        needed = "" if name not in schema.get("required", []) else ", needed"
        lines.append(escape(f"{name}: {kind}{needed} {facts.get('description', '')}".rstrip()))
    return "\n".join(lines)

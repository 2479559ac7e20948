"""Components of ours for the page: their scripts and styles lie in `assets/`, which the server gives out."""

import hashlib
from functools import cache
from pathlib import Path

ASSETS = Path(__file__).with_name("assets")
MOUNT = "parts"  # the path below which the server gives them out; "assets" is Gradio's own
FAILED = "This part of the page could not be loaded. Reload the page."


@cache
def style_of(name: str) -> str:
    """The style sheet `assets/NAME.css`, as text: it becomes a template of Gradio's."""
    return (ASSETS / f"{name}.css").read_text("utf-8")


@cache
def script_of(name: str) -> str:
    """Starts the module `assets/NAME.js` for a component.

    The address changes with the files' content, so that a browser never mixes two versions of the program.
    """
    version = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(ASSETS.glob("*.js")))).hexdigest()
    return f"""
        import(new URL("{MOUNT}/{name}.js?{version[:12]}", document.baseURI))
            .then((module) => module.mount(element, props, watch, trigger))
            .catch((error) => {{ console.error(error); element.append("{FAILED}"); }});
    """

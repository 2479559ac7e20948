"""The upload area: files of any size, in resumable pieces, straight to the server's own upload route.

The browser's side is `assets/upload.js`; it speaks tus with `/api/uploads`.
"""

import html
from typing import Any

import gradio as gr

from seedvr_engine.media.still import PICTURE_SUFFIXES
from seedvr_engine.ui.parts import script_of, style_of

# What file dialogs offer beside what the browser itself knows as video or picture.
_VIDEO_SUFFIXES = (
    ".mkv",
    ".ts",
    ".mts",
    ".m2ts",
    ".mxf",
    ".vob",
    ".avi",
    ".wmv",
    ".flv",
    ".dv",
    ".y4m",
    ".mpg",
)

_TEMPLATE = """
<div class="upload">
  <div class="upload-zone">
    <svg class="icon upload-picture" viewBox="0 0 24 24" aria-hidden="true">
      <path d="M12 16V4M7 8.5L12 3.5l5 5M4 15v4.5h16V15"/>
    </svg>
    <span class="upload-title" aria-hidden="true">TITLE</span>
    <span class="upload-hint" aria-hidden="true">HINT</span>
    <input class="upload-input" type="file" accept="ACCEPT" aria-label="LABEL" MULTIPLE>
  </div>
  <ul class="upload-list" aria-label="Chosen files"></ul>
  <div class="upload-voice" role="status" aria-live="polite"></div>
</div>
"""


def upload_area(
    *, multiple: bool = True, max_bytes: int | None = None, elem_id: str | None = None, **options: Any
) -> gr.HTML:
    """A Gradio component for uploads; `change` tells when its value is another.

    Its value: `{"uploads": [{"id": …, "name": …, "size": bytes}, …], "pending": N}`: what has arrived whole,
    in the order it was chosen, and how many files are still on their way; something false before anything was
    chosen. Setting None empties it.
    max_bytes: larger files are refused before they travel. options: as for `gr.HTML`.
    The server has to serve `parts.ASSETS` under `parts.MOUNT`, and tus under `/api/uploads`.
    """
    return gr.HTML(
        value=None,
        html_template=_template(multiple, max_bytes),
        css_template=style_of("upload"),
        js_on_load=script_of("upload"),
        apply_default_css=False,
        elem_id=elem_id,
        multiple=multiple,
        max_bytes=max_bytes,
        **options,
    )


def _template(multiple: bool, max_bytes: int | None) -> str:
    what = "videos or pictures" if multiple else "a video or a picture"
    limit = f"Up to {_gigabytes(max_bytes)} each. " if max_bytes else ""
    hint = f"{limit}Uploads go on by themselves after a lost connection."
    parts = {
        "TITLE": f"Drop {what} here, or <u>choose files</u>",
        "HINT": hint,
        "ACCEPT": ",".join(("video/*", "image/*", *_VIDEO_SUFFIXES, *sorted(PICTURE_SUFFIXES))),
        "LABEL": html.escape(f"Choose {what} to upload. {hint}"),
        "MULTIPLE": "multiple" if multiple else "",
    }
    template = _TEMPLATE
    for name, text in parts.items():
        template = template.replace(name, text)
    return template


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"

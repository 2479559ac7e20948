"""The start: choose a clip, choose how, one big button; below it what will come, a preview, and Advanced."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr

from seedvr_engine.pipeline.options import DEFAULT_SIZE, Options
from seedvr_engine.ui.advanced import advanced_fields
from seedvr_engine.ui.choices import DEFAULT_PRESET, PRESETS, SIZES, preset_changes, preset_line
from seedvr_engine.ui.compare import comparison
from seedvr_engine.ui.component import part
from seedvr_engine.ui.upload import upload_area
from seedvr_engine.ui.words import model_words

_GALLERY = """
<div class="sv-gallery">
  <p class="sv-label" id="sv-examples-title" data-slot="examples-title" hidden>
    No clip at hand? Take one of these:</p>
  <div class="sv-tiles" data-slot="examples" role="group" aria-labelledby="sv-examples-title"></div>
  <details class="sv-fold" data-slot="inbox-part" hidden>
    <summary>Files already on this machine</summary>
    <ul class="sv-inbox" data-slot="inbox"></ul>
  </details>
</div>
"""

_CHOSEN = """
<ul class="sv-chosen" data-slot="list" aria-label="Chosen clips"></ul>
"""

_PREVIEW = """
<section class="sv-card sv-preview" aria-labelledby="sv-preview-title">
  <h3 id="sv-preview-title">Try a moment first</h3>
  <div class="sv-stage"><img data-slot="picture" alt="The chosen moment" hidden></div>
  <label class="sv-moment" data-slot="moment-row">
    <span>Moment <output data-slot="time"></output></span>
    <input type="range" data-slot="moment" min="0" max="1" step="any" value="0">
  </label>
  <div class="sv-actions">
    <button type="button" class="sv-button" data-slot="frame">Preview one frame</button>
    <button type="button" class="sv-button" data-slot="clip">Preview 2 seconds</button>
    <button type="button" class="sv-button sv-quiet" data-slot="cancel" hidden>Stop</button>
  </div>
  <div class="sv-bar" data-slot="bar" hidden><span></span></div>
  <p class="sv-note" data-slot="state" role="status" aria-live="polite"></p>
  <div data-slot="trouble"></div>
</section>
"""


@dataclass(frozen=True)
class StartArea:
    """The components of the start.

    uploads: value as in `ui.upload`. others: sources that need no upload, {"example" | "input" | "job": …}.
    media: facts of the first clip, {"height", "width", ...}; empty before there is one.
    fields: option -> component, "model" and "size" first, then all of Advanced.
    """

    uploads: gr.HTML
    gallery: gr.HTML
    others: gr.HTML
    fields: dict[str, Any]
    preset: gr.Radio
    preset_words: gr.Markdown
    changes: gr.Markdown
    advanced: gr.Accordion
    restore: gr.Button
    trouble: gr.HTML
    facts: gr.HTML
    preview: gr.HTML
    preview_result: gr.HTML
    media: gr.JSON
    started: gr.HTML


def start_area(models: Sequence[str], gpus: Sequence[str], max_bytes: int | None) -> StartArea:
    """Makes the components.

    models: names to offer after "auto". gpus: names of the cards. max_bytes: of one upload.
    """
    with gr.Column(elem_id="sv-start"):
        with gr.Row(elem_classes="sv-columns", equal_height=False):
            with gr.Column(scale=3, min_width=320, elem_classes="sv-card"):
                uploads = upload_area(max_bytes=max_bytes, elem_id="sv-upload")
                others = part("chosen", _CHOSEN, value=[], events=("removed",), elem_id="sv-others")
                gallery = part("gallery", _GALLERY, events=("picked",), elem_id="sv-gallery")
            with gr.Column(scale=2, min_width=300, elem_classes="sv-card sv-how"):
                preset = gr.Radio(
                    label="Preset",
                    choices=[(preset.label, preset.name) for preset in PRESETS],
                    value=DEFAULT_PRESET,
                    elem_classes="sv-pills",
                )
                preset_words = gr.Markdown(preset_line(DEFAULT_PRESET), elem_classes="sv-note")
                size = gr.Radio(
                    label="Size", choices=list(SIZES), value=DEFAULT_SIZE, elem_classes="sv-pills"
                )
                model = gr.Dropdown(
                    label="Model",
                    choices=[
                        ("Automatic: the best that is here", "auto"),
                        *((model_words(m), m) for m in models),
                    ],
                    value="auto",
                    filterable=False,
                )
                restore = gr.Button("Restore", variant="primary", size="lg", elem_id="sv-restore")
                trouble = gr.HTML("", apply_default_css=False, elem_id="sv-start-trouble")
        facts = gr.HTML("", apply_default_css=False, elem_id="sv-facts")
        preview = part("preview", _PREVIEW, value={}, events=("asked", "finished"), elem_id="sv-preview")
        with gr.Column(elem_id="sv-preview-result"):
            preview_result = comparison()
        with gr.Accordion("Advanced", open=False, elem_id="sv-advanced") as advanced:
            changes = gr.Markdown(preset_changes(DEFAULT_PRESET, Options()), elem_classes="sv-note")
            fields = {"model": model, "size": size, **advanced_fields(gpus)}
        media = gr.JSON(value={}, visible="hidden")
        started = part("started", "<i></i>", value={}, elem_id="sv-started")
    return StartArea(
        uploads=uploads,
        gallery=gallery,
        others=others,
        fields=fields,
        preset=preset,
        preset_words=preset_words,
        changes=changes,
        advanced=advanced,
        restore=restore,
        trouble=trouble,
        facts=facts,
        preview=preview,
        preview_result=preview_result,
        media=media,
        started=started,
    )

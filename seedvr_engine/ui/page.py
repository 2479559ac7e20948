"""The page: its parts in their order, and which event leads to which action."""

from functools import partial
from typing import Any

import gradio as gr

from seedvr_engine.jobs.processor import SeedVRProcessor
from seedvr_engine.ui.actions import Actions, InputOf, OwnerOf
from seedvr_engine.ui.history import batch_area, history_area
from seedvr_engine.ui.result import ResultArea, result_area
from seedvr_engine.ui.start import StartArea, start_area
from seedvr_engine.ui.system import notice_area, system_area
from seedvr_engine.ui.watch import watch_area

TITLE = "SeedVR2 video restoration"

_HEADER = """
<header class="sv-header">
  <a class="sv-skip" href="#sv-main">Skip to the page</a>
  <a class="sv-brand" href="./" data-go aria-label="SeedVR2, to the start">
    <svg viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="8"/>
      <path d="M9 21V11l7 5 7-5v10"/></svg>
    <span>SeedVR2</span></a>
  <div class="sv-hello" id="sv-main" tabindex="-1">
    <h1>Make old video clear again</h1>
    <p>Choose a clip, press Restore, keep the result. Everything stays on this machine.</p>
  </div>
</header>
"""


def create_interface(processor: SeedVRProcessor, owner_of: OwnerOf, input_of: InputOf) -> gr.Blocks:
    """Builds the page.

    owner_of: tells whose request it is. input_of: the file behind a source of an owner, see `Actions`.
    Theme, style and head are in `look.PAGE`, and belong to `gr.mount_gradio_app`.
    """
    gpus = [gpu.label for gpu in processor.system().gpus]
    models = [model.name for model in processor.check_available_models() if model.present]
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as page:
        gr.HTML(_HEADER, apply_default_css=False)
        notice_area()
        start = start_area(models, gpus, processor.settings.max_upload_bytes or None)
        watch = watch_area()
        result = result_area()
        batch_area()
        history_area()
        system_area()
        actions = Actions(processor, owner_of, input_of, tuple(start.fields))
        _wire_start(start, actions)
        _wire_jobs(start, watch, result, actions)
    return page


def _listen(name: str) -> dict[str, Any]:
    """How every event is listened to. name: the plain names belong to the endpoints for programs.

    Handlers are quick and hold no work, so they need no queue, and no stream that a gap could break.
    """
    return {
        "queue": False,
        "show_progress": "hidden",
        "api_visibility": "private",
        "api_name": f"page_{name}",
    }


def _wire_start(start: StartArea, actions: Actions) -> None:
    fields = list(start.fields.values())
    sources = [start.uploads, start.others]
    start.restore.click(
        actions.restore,
        [*sources, *fields],
        [start.started, start.trouble, *sources],
        trigger_mode="once",
        **_listen("restore"),
    )
    start.uploads.change(actions.button, start.uploads, start.restore, **_listen("button"))
    start.gallery.picked(actions.picked, start.others, start.others, **_listen("picked"))
    start.others.removed(actions.removed, start.others, start.others, **_listen("removed"))
    gr.on(
        [start.uploads.change, start.others.change],
        actions.chosen,
        sources,
        [start.media, start.preview, start.preview_result],
        **_listen("chosen"),
    )
    gr.on(
        [start.uploads.change, start.others.change, *(field.change for field in fields)],
        actions.foresee,
        [*sources, *fields],
        start.facts,
        trigger_mode="always_last",
        **_listen("foresee"),
    )
    start.preview.asked(actions.preview, [*sources, *fields], start.preview, **_listen("preview"))
    start.preview.finished(
        actions.preview_finished, None, start.preview_result, **_listen("preview_finished")
    )
    start.preset.input(
        actions.apply_preset,
        [start.preset, start.media],
        [*fields, start.preset_words, start.changes],
        **_listen("apply_preset"),
    )
    start.fields["size"].input(
        actions.choose_size,
        [start.fields["size"], start.media],
        [start.fields["width"], start.fields["height"], start.advanced],
        **_listen("choose_size"),
    )
    for name, other in (("width", "height"), ("height", "width")):
        start.fields[name].input(
            partial(actions.follow_side, is_width=name == "width"),
            [start.fields[name], start.media],
            [start.fields[other], start.fields["size"]],
            trigger_mode="always_last",
            **_listen("follow_side"),
        )


def _wire_jobs(start: StartArea, watch: gr.HTML, result: ResultArea, actions: Actions) -> None:
    shown = [result.head, result.compare, result.facts]
    watch.finished(actions.finished, None, shown, **_listen("finished"))
    for asks in (watch.again, result.head.again):
        asks(actions.again, None, [start.others, *start.fields.values()], **_listen("again"))

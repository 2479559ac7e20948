"""Advanced: every option, each with one line that says what it does and when to change it."""

from collections.abc import Sequence
from typing import Any

import gradio as gr

from seedvr_engine.media.target import DEFAULT_QUALITY
from seedvr_engine.pipeline.options import Options
from seedvr_engine.ui.choices import LEAST_SIDE, MOST_SIDE

_AUTOMATIC = ("Automatic", "")


def advanced_fields(gpus: Sequence[str] = ()) -> dict[str, Any]:
    """Makes the fields, to be called inside an accordion; name of the option -> component.

    gpus: names of the devices, offered when there are several.
    """
    return {**_size_fields(), **_span_fields(), **_model_fields(), **_file_fields(), **_gpu_field(gpus)}


def values_of(options: Options) -> dict[str, Any]:
    """Field name -> value for given options: the reverse of `choices.options_of`, but for the size."""
    values = options.as_dict()
    typed = {name: _typed(values[name]) for name in ("start", "end", "rate")}
    chosen = {name: values[name] or "" for name in ("container", "codec")}
    names = ("seed", "steps", "guidance", "rescale", "condition_noise", "colour", "detail", "shots")
    plain = {name: values[name] for name in (*names, "precision", "gpus")}
    return (
        typed | chosen | plain | {"quality": DEFAULT_QUALITY if options.quality is None else options.quality}
    )


def _typed(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _size_fields() -> dict[str, Any]:
    gr.Markdown("### Picture", elem_classes="sv-group")
    with gr.Row(elem_classes="sv-fields"):
        sides = {
            name: _optional(
                f"{name.capitalize()} in pixels",
                f"{LEAST_SIDE} to {MOST_SIDE}; the other side follows, so that nothing is distorted.",
                "automatic",
            )
            for name in ("width", "height")
        }
        colour = gr.Dropdown(
            label="Colour",
            info="Holds colours to the original's. Change it when skin or sky looks wrong.",
            choices=[
                ("Wavelet: steady, the default", "wavelet"),
                ("Lab: closer tones", "lab"),
                ("AdaIN: means only", "adain"),
                ("None: as the model paints", "none"),
            ],
            value="wavelet",
            filterable=False,
        )
        detail = gr.Dropdown(
            label="Detail",
            info="Repaint everything, or add only what is new. Add on clean or generated clips.",
            choices=[("Automatic", "auto"), ("Repaint", "decoded"), ("Add to the original", "residual")],
            value="auto",
            filterable=False,
        )
    return {**sides, "colour": colour, "detail": detail}


def _span_fields() -> dict[str, Any]:
    gr.Markdown("### Part and pace", elem_classes="sv-group")
    with gr.Row(elem_classes="sv-fields"):
        start = _optional("Start", "Leaves out what comes before. Seconds, or minutes as 1:05.", "beginning")
        end = _optional("End", "Leaves out what comes after. Seconds, or minutes as 1:05.", "end")
        rate = _optional(
            "Output frames a second",
            "Repeats or leaves out frames; speed and sound stay. Empty keeps every frame.",
            "as the original",
        )
        shots = gr.Checkbox(
            label="Find shot changes",
            info="Keeps one scene from bleeding into the next. Off only for one single take.",
            value=True,
        )
    return {"start": start, "end": end, "rate": rate, "shots": shots}


def _model_fields() -> dict[str, Any]:
    gr.Markdown("### Model", elem_classes="sv-group")
    with gr.Row(elem_classes="sv-fields"):
        return {
            "seed": gr.Number(
                label="Seed",
                info="The same number gives the same result; another number other invented detail.",
                value=42,
                precision=0,
            ),
            "steps": gr.Slider(
                label="Steps",
                info="SeedVR2 is made for one. More takes longer and rarely helps.",
                value=1,
                minimum=1,
                maximum=50,
                step=1,
            ),
            "guidance": gr.Slider(
                label="Guidance",
                info="Pushes away from blur; 1 is off. Above 1 doubles the work.",
                value=1.0,
                minimum=1.0,
                maximum=15.0,
                step=0.1,
            ),
            "rescale": gr.Slider(
                label="Guidance rescale",
                info="Tames the contrast that guidance adds. Only with guidance above 1.",
                value=0.0,
                minimum=0.0,
                maximum=1.0,
                step=0.05,
            ),
            "condition_noise": gr.Slider(
                label="Condition noise",
                info="More lets the model invent more: for heavy damage. 0 stays closest.",
                value=0.0,
                minimum=0.0,
                maximum=1.0,
                step=0.05,
            ),
            "precision": gr.Dropdown(
                label="Precision",
                info="Automatic takes what this machine is fast at. fp32 needs twice the memory.",
                choices=[("Automatic", "auto"), "bf16", "fp16", "fp32"],
                value="auto",
                filterable=False,
            ),
        }


def _file_fields() -> dict[str, Any]:
    gr.Markdown("### File", elem_classes="sv-group")
    with gr.Row(elem_classes="sv-fields"):
        return {
            "container": gr.Dropdown(
                label="Container",
                info="Automatic keeps every sound track and subtitle. MP4 plays everywhere.",
                choices=[_AUTOMATIC, ("MP4", "mp4"), ("MKV", "mkv"), ("WebM", "webm"), ("MOV", "mov")],
                value="",
                filterable=False,
            ),
            "codec": gr.Dropdown(
                label="Codec",
                info="How frames are stored. H.265 and AV1 are smaller, ProRes and FFV1 for editing.",
                choices=[
                    _AUTOMATIC,
                    ("H.264", "h264"),
                    ("H.265", "h265"),
                    ("AV1", "av1"),
                    ("VP9", "vp9"),
                    ("ProRes (MOV)", "prores"),
                    ("FFV1, lossless (MKV)", "ffv1"),
                ],
                value="",
                filterable=False,
            ),
            "quality": gr.Slider(
                label="File quality",
                info="80 is hard to tell from the best; less makes smaller files, 100 is for masters.",
                value=DEFAULT_QUALITY,
                minimum=0,
                maximum=100,
                step=1,
            ),
        }


def _gpu_field(gpus: Sequence[str]) -> dict[str, Any]:
    if len(gpus) < 2:
        return {}
    field = gr.Dropdown(
        label="Number of GPUs",
        info="They share the shots of a clip. Fewer only to leave some to other programs.",
        choices=[(f"All {len(gpus)}", 0), *((str(count), count) for count in range(1, len(gpus)))],
        value=0,
        filterable=False,
    )
    return {"gpus": field}


def _optional(label: str, info: str, empty: str) -> gr.Textbox:
    """A field for a number that may be left out: Gradio's own shows nothing as 0. empty: what that means."""
    return gr.Textbox(
        label=label,
        info=info,
        placeholder=empty,
        max_lines=1,
        html_attributes=gr.InputHTMLAttributes(autocorrect="off", spellcheck=False),
    )

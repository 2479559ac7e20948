"""How the page looks: theme, style sheet, and what stands in its head. Nothing comes from another host."""

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.themes.utils import colors, sizes

from seedvr_engine.ui.parts import MOUNT

_SANS = (
    "system-ui",
    "-apple-system",
    "Segoe UI",
    "Roboto",
    "Helvetica Neue",
    "Noto Sans",
    "Arial",
    "sans-serif",
)
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")

_HEAD = f"""
<meta name="description" content="Restore and enlarge video and pictures with SeedVR2, on your own machine.">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="{MOUNT}/icon.svg" type="image/svg+xml">
<script>
  // Before anything is drawn: a page that was opened for a job does not flash the start.
  document.documentElement.lang = "en";
  document.documentElement.dataset.svView = /[?&]job=/.test(location.search) ? "watch"
    : /[?&]batch=/.test(location.search) ? "batch" : "start";
</script>
"""


def _theme() -> gr.themes.Base:
    theme = gr.themes.Base(
        primary_hue=colors.teal,
        secondary_hue=colors.teal,
        neutral_hue=colors.stone,
        text_size=sizes.text_md,
        spacing_size=sizes.spacing_md,
        radius_size=sizes.radius_lg,
        font=_SANS,
        font_mono=_MONO,
    )
    return theme.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="#171412",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="white",
        background_fill_primary_dark="#211d1b",
        background_fill_secondary="*neutral_50",
        background_fill_secondary_dark="#1b1816",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
        block_padding="0px",
        block_label_background_fill="transparent",
        block_title_text_weight="600",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_100",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        border_color_primary="*neutral_200",
        border_color_primary_dark="#3b3531",
        input_background_fill="white",
        input_background_fill_dark="#1b1816",
        input_border_width="1px",
        input_border_color="*neutral_300",
        input_border_color_dark="#57504a",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_400",
        button_primary_background_fill_hover_dark="*primary_300",
        button_primary_text_color="white",
        button_primary_text_color_dark="#0b1f1d",
        color_accent="*primary_700",
        color_accent_soft_dark="#12302d",
        slider_color="*primary_700",
        slider_color_dark="*primary_400",
        checkbox_label_background_fill="white",
        checkbox_label_background_fill_dark="#1b1816",
        checkbox_label_background_fill_selected="*primary_50",
        checkbox_label_background_fill_selected_dark="#12302d",
        checkbox_label_border_width="1px",
        checkbox_label_border_color="*neutral_300",
        checkbox_label_border_color_dark="#57504a",
        checkbox_label_border_color_selected="*primary_700",
        checkbox_label_border_color_selected_dark="*primary_400",
        checkbox_background_color_selected="*primary_700",
        checkbox_background_color_selected_dark="*primary_500",
    )


PAGE: dict[str, Any] = {
    "theme": _theme(),
    "css": Path(__file__).with_name("style.css").read_text("utf-8"),
    "head": _HEAD,
}
"""Arguments of `gr.mount_gradio_app` that belong to the page."""

"""What this machine has, and the models that can be had."""

import gradio as gr

from seedvr_engine.ui.component import part

_SYSTEM = """
<details class="sv-system">
  <summary><h2>This machine and its models</h2></summary>
  <div data-slot="trouble"></div>
  <dl class="sv-facts" data-slot="facts" aria-label="This machine"></dl>
  <h3 id="sv-models-title">Models</h3>
  <ul class="sv-rows" data-slot="models" aria-labelledby="sv-models-title"></ul>
</details>
"""

_NOTICE = """
<aside class="sv-notice" aria-label="About the model" hidden>
  <p><strong>Only the preview model is here.</strong> It is small, runs anywhere and shows how this works.
    It is not SeedVR2: what SeedVR2 does to a clip, only SeedVR2 shows.</p>
  <div data-slot="model"></div>
</aside>
"""


def system_area() -> gr.HTML:
    """Cards, driver, memory, disk, models with their downloads; folded until somebody asks."""
    return part("system", _SYSTEM, elem_id="sv-system")


def notice_area() -> gr.HTML:
    """Says that only the preview model is here, while that is so."""
    return part("notice", _NOTICE, elem_id="sv-notice")

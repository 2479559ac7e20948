"""The visitor's clips, and those of one batch."""

import gradio as gr

from seedvr_engine.ui.component import part

_HISTORY = """
<section aria-labelledby="sv-history-title">
  <h2 id="sv-history-title">Your clips</h2>
  <p class="sv-empty" data-slot="empty" hidden>
    Nothing here yet. What you restore stays here until you delete it.</p>
  <ul class="sv-rows" data-slot="list" aria-labelledby="sv-history-title"></ul>
</section>
"""

_BATCH = """
<section class="sv-card" aria-labelledby="sv-batch-title">
  <div class="sv-head"><h2 id="sv-batch-title" data-slot="title">Your clips</h2></div>
  <p class="sv-sentence" data-slot="sentence" role="status" aria-live="polite"></p>
  <ul class="sv-rows" data-slot="list" aria-labelledby="sv-batch-title"></ul>
  <div class="sv-actions">
    <a class="sv-button sv-main" data-slot="zip" download hidden>Download all (ZIP)</a>
    <button type="button" class="sv-button" data-go>Restore another clip</button>
  </div>
</section>
"""


def history_area() -> gr.HTML:
    """All clips of whoever looks."""
    return part("history", _HISTORY, elem_id="sv-history")


def batch_area() -> gr.HTML:
    """The clips of the batch in the address."""
    return part("batch", _BATCH, elem_id="sv-batch")

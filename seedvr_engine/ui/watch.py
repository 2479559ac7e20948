"""A job under way: drawn in the browser from `/api/jobs/ID`, so that a gap or a reload costs nothing."""

import gradio as gr

from seedvr_engine.ui.component import part

_TEMPLATE = """
<section class="sv-card sv-watch" aria-labelledby="sv-watch-title">
  <div class="sv-head">
    <h2 id="sv-watch-title" data-slot="title">One moment…</h2>
    <span class="sv-percent" data-slot="percent" aria-hidden="true"></span>
  </div>
  <p class="sv-gap" data-slot="gap" role="status" hidden>No connection to the server. The work goes on there;
    this page catches up as soon as it can.</p>
  <div data-slot="live">
    <p class="sv-sentence" data-slot="sentence"></p>
    <div class="sv-bar" data-slot="progress" role="progressbar" aria-label="Progress" aria-valuemin="0"
      aria-valuemax="100" aria-valuenow="0"><span></span></div>
    <p class="sv-hidden" data-slot="heard" role="status" aria-live="polite"></p>
    <dl class="sv-numbers" data-slot="numbers" aria-label="Progress in numbers"></dl>
    <div class="sv-pair" data-slot="pair" hidden>
      <figure><img data-slot="before" alt="Latest frame of the original">
        <figcaption>Original</figcaption></figure>
      <figure><img data-slot="after" alt="The same frame, restored">
        <figcaption>Restored</figcaption></figure>
    </div>
    <div class="sv-foot">
      <p class="sv-note">You can close this page. The work goes on, and your clip will be here.</p>
      <button type="button" class="sv-button" data-slot="cancel" disabled>Stop</button>
    </div>
    <p class="sv-plan" data-slot="plan"></p>
    <p class="sv-plan" data-slot="notes"></p>
  </div>
  <div data-slot="final" hidden>
    <div data-slot="trouble" hidden></div>
    <div class="sv-actions">
      <button type="button" class="sv-button sv-main" data-slot="continue">Continue</button>
      <button type="button" class="sv-button" data-slot="again">Change settings</button>
      <button type="button" class="sv-button" data-go>Restore another clip</button>
    </div>
  </div>
</section>
"""


def watch_area() -> gr.HTML:
    """The running job. Events: `finished` ({job}) when it is done, `again` ({job}) to choose anew."""
    return part("watch", _TEMPLATE, events=("finished", "again"), elem_id="sv-watch")

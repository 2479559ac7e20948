"""A finished job: comparison, download, what was used."""

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from seedvr_engine.jobs.messages import Job
from seedvr_engine.ui.choices import differences
from seedvr_engine.ui.compare import comparison
from seedvr_engine.ui.component import part
from seedvr_engine.ui.words import STAGES, clock, folded, result_rows, table


@dataclass(frozen=True)
class ResultArea:
    """head: title and buttons. compare: before and after. facts: what was used."""

    head: gr.HTML
    compare: gr.HTML
    facts: gr.HTML


def result_area() -> ResultArea:
    """Makes the components. `head.again` ({job}) asks for the same settings again."""
    with gr.Column(elem_id="sv-result"):
        head = part("result", "${value}", value="", events=("again",))
        compare = comparison()
        facts = gr.HTML("", apply_default_css=False)
    return ResultArea(head, compare, facts)


def head_of(job: Job) -> str:
    """Title and buttons."""
    name = escape(job.name)
    warnings = "".join(f"<li>{escape(warning)}</li>" for warning in (job.facts or {}).get("warnings") or ())
    return f"""
<section class="sv-done" aria-labelledby="sv-result-title">
  <div class="sv-head"><h2 id="sv-result-title">{name} is restored</h2></div>
  <div class="sv-actions">
    <a class="sv-button sv-main" href="api/jobs/{job.id}/result" download>Download</a>
    <button type="button" class="sv-button" data-again="{job.id}">Run again with these settings</button>
    <button type="button" class="sv-button" data-go>Restore another clip</button>
  </div>
  {f'<ul class="sv-warnings">{warnings}</ul>' if warnings else ""}
</section>"""


def comparison_of(job: Job) -> dict[str, Any]:
    """What the comparison needs to show a job."""
    return {"job": job.id, "frames": (job.facts or {}).get("frames") or job.frames_total or 1}


def facts_of(job: Job) -> str:
    """What came out and what was used; the plan and the times are folded."""
    changed = differences(job.options)
    rows = [*result_rows(job), ("Settings", changed or "the defaults")]
    stages = (job.facts or {}).get("stage_s") or {}
    technical = [f"job: {job.id}", f"version: {job.version}", f"plan: {job.plan}"]
    technical += [
        f"{STAGES.get(stage, stage)} ({stage}): {clock(seconds)}" for stage, seconds in stages.items()
    ]
    technical += [f"{name}: {value}" for name, value in job.options.as_dict().items()]
    technical += job.notes
    return (
        '<section class="sv-card" aria-label="What was used">'
        f"{table(rows, 'Clip, result and settings')}"
        f"{folded('Technical details', chr(10).join(technical))}</section>"
    )

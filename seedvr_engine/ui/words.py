"""Sentences for people: sizes, times, files, states and failures, as the page says them."""

from html import escape
from typing import Any

from seedvr_engine.errors import SeedVRError
from seedvr_engine.jobs.messages import Job

# The stages of a run, as somebody who knows nothing of models would say them.
STAGES = {
    "": "Getting ready",
    "start": "Loading the model",
    "encode": "Looking at the frames",
    "restore": "Finding the detail",
    "decode": "Painting the frames",
    "join": "Putting picture and sound together",
}

STATES = {
    "queued": "Waiting",
    "running": "Restoring",
    "done": "Done",
    "failed": "Failed",
    "cancelled": "Stopped",
    "interrupted": "Paused",
}

# What a failure means, before its own message says what happened.
TROUBLES = {
    "input": "This file could not be used",
    "usage": "These settings do not go together",
    "checkpoint": "The model is not ready",
    "memory": "There was not enough memory",
    "output": "There is no room for the result",
    "time_limit": "The time limit was reached",
    "cancelled": "Stopped",
    "queue_full": "The queue is full",
    "unknown_job": "This clip is not here",
    "not_found": "This is not here",
    "state": "Not yet",
    "too_large": "This file is too large",
    "worker": "The restoring process stopped",
    "helper": "One of the processes that share the work hangs",
    "rate": "That was a bit fast",
    "sign_in": "Please sign in again",
    "internal": "Something went wrong",
}

_KIB_NAMES = ("bytes", "KB", "MB", "GB", "TB")


def bytes_words(count: float) -> str:
    """1_200_000_000 -> "1.2 GB", in powers of a thousand, as shops and file managers count."""
    unit = 0
    while count >= 1000 and unit < len(_KIB_NAMES) - 1:
        count /= 1000
        unit += 1
    return (
        f"{count:.0f} {_KIB_NAMES[unit]}" if unit < 2 or count >= 100 else f"{count:.1f} {_KIB_NAMES[unit]}"
    )


def clock(seconds: float) -> str:
    """The length of a clip: "0.8 s", "12 s", "1:05", "1:00:05"."""
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def about(seconds: float) -> str:
    """How long something will take, no more exact than a forecast can be."""
    if seconds < 8:
        return "a few seconds"
    if seconds < 50:
        return f"about {round(seconds / 5) * 5} seconds"
    if seconds < 90:
        return "about a minute"
    if seconds < 3000:
        return f"about {round(seconds / 60)} minutes"
    if seconds < 5400:
        return "about an hour"
    if seconds < 36 * 3600:
        hours = seconds / 3600
        return f"about {hours:.1f} hours" if hours < 10 else f"about {hours:.0f} hours"
    return f"about {seconds / 86400:.0f} days"


def rate_words(rate: float) -> str:
    """Frames a second without useless digits: "25", "23.976"."""
    return f"{rate:.3f}".rstrip("0").rstrip(".")


def trouble_values(error: SeedVRError) -> dict[str, str]:
    """A failure as the browser's scripts take it."""
    return {"code": error.code, "message": error.message, "remedy": error.remedy}


def trouble(error: SeedVRError) -> str:
    """A card about a failure: what it means, what happened, what to do, and a folded technical part."""
    title = TROUBLES.get(error.code, TROUBLES["internal"])
    parts = [f"<h3>{escape(title)}</h3>", f"<p>{escape(error.message)}</p>"]
    if error.remedy:
        parts.append(f'<p class="sv-remedy">{escape(error.remedy)}</p>')
    parts.append(folded("Technical details", f"code: {error.code}"))
    return f'<div class="sv-trouble" role="alert">{"".join(parts)}</div>'


def folded(title: str, text: str) -> str:
    """A folded part with text as it is, and a button that copies it."""
    return (
        f'<details class="sv-fold"><summary>{escape(title)}</summary>'
        f'<pre tabindex="0" aria-label="{escape(title)}">{escape(text)}</pre>'
        '<button type="button" class="sv-button sv-quiet" data-copy>Copy</button></details>'
    )


def table(rows: list[tuple[str, str]], label: str) -> str:
    """Names and values, as a list that a screen reader reads in pairs."""
    pairs = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in rows)
    return f'<dl class="sv-facts" aria-label="{escape(label)}">{pairs}</dl>'


def result_rows(job: Job) -> list[tuple[str, str]]:
    """What came out of a finished job, name and value."""
    facts: dict[str, Any] = job.facts or {}
    rows = [("Clip", job.name)]
    if facts.get("width"):
        rows.append(("Picture", f"{facts['width']}×{facts['height']}"))
    if facts.get("frames"):
        rows.append(("Frames", f"{facts['frames']}"))
    if len(facts.get("shots") or ()) > 1:
        rows.append(("Shots", f"{len(facts['shots'])}"))
    rows.append(("Model", model_words(str(facts.get("model") or job.model or job.options.model))))
    rows.append(("Seed", str(job.options.seed)))
    if job.ran_s:
        rows.append(("Took", clock(job.ran_s)))
    if job.peak_bytes:
        rows.append(("Memory at most", bytes_words(job.peak_bytes)))
    return rows


def model_words(model: str) -> str:
    """A model's name for people; the preview is called what it is."""
    names = {
        "preview": "Preview (not SeedVR2)",
        "3b": "SeedVR2 3B",
        "7b": "SeedVR2 7B",
        "7b-sharp": "SeedVR2 7B sharp",
    }
    return names.get(model, model)


# Sentences that the browser needs while it draws jobs by itself.
BROWSER = {
    "stages": STAGES,
    "states": STATES,
    "troubles": TROUBLES,
    "doing": {
        "queued": "Waiting:",
        "running": "Restoring",
        "failed": "Not restored:",
        "cancelled": "Stopped:",
        "interrupted": "Paused:",
    },
    "ended": {
        "failed": "The restoration failed. What was finished is kept.",
        "cancelled": "You stopped this one. What was finished is kept: “Continue” goes on from there.",
        "interrupted": "It was interrupted. What was finished is kept: “Continue” goes on from there.",
        "gone": "It was deleted, or it belongs to somebody else. Clips can only be seen in the browser that "
        "started them.",
    },
    "gap": "No connection. Trying again…",
    "worker": {
        "off": "resting: it starts with the next clip",
        "starting": "starting",
        "idle": "ready, model loaded",
        "busy": "at work",
    },
    "models": {name: model_words(name) for name in ("preview", "3b", "7b", "7b-sharp")},
}

"""What a visitor chose on the page, as options; and the presets, named sets of such choices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from seedvr_engine.errors import UsageError
from seedvr_engine.media.target import DEFAULT_QUALITY
from seedvr_engine.pipeline.options import Options

# Size as it is offered at first sight: what a person reads, and the option.
SIZES = (
    ("Automatic", "auto"),
    ("Twice as large", "2x"),
    ("Same size", "1x"),
    ("720p", "720p"),
    ("1080p", "1080p"),
    ("4K", "2160p"),
    ("Exact", "exact"),
)
EXACT = "exact"
LEAST_SIDE, MOST_SIDE = 256, 4096
_FAST_SIDE = 720

# How options are called in Advanced, where a preset's changes are told.
NAMES = {
    "model": "model",
    "size": "size",
    "quality": "quality",
    "condition_noise": "condition noise",
    "colour": "colour",
    "detail": "detail",
}


@dataclass(frozen=True)
class Preset:
    """A named set of choices.

    words: when to take it, one line. changes: options that differ from the default.
    models: taken in this order if they are there; empty leaves the choice to `auto`.
    """

    name: str
    label: str
    words: str
    changes: Mapping[str, Any]
    models: tuple[str, ...] = ()


PRESETS = (
    Preset("fast", "Fast", "Cleans up without enlarging: a quarter of the work.", {"quality": 70}, ("3b",)),
    Preset("balanced", "Balanced", "Twice as large up to 1080p, good for almost everything.", {}),
    Preset(
        "best",
        "Best",
        "The largest model that is here, and a file for keeping.",
        {"quality": 95},
        ("7b", "3b"),
    ),
    Preset(
        "old_film",
        "Old film",
        "For heavy damage: lets the model invent more, and keeps the grain in the file.",
        {"condition_noise": 0.1, "quality": 90},
    ),
    Preset(
        "generated",
        "AI-generated video",
        "For clean pictures: adds detail to what is there, and repaints as little as possible.",
        {"detail": "residual"},
    ),
)
DEFAULT_PRESET = "balanced"


def preset_options(name: str, present: Sequence[str] = (), size: tuple[int, int] | None = None) -> Options:
    """The options that a preset stands for.

    present: models that are here. size: (height, width) of the chosen input, where it is known.
    Raises KeyError for a preset that does not exist.
    """
    preset = {preset.name: preset for preset in PRESETS}[name]
    changes = dict(preset.changes)
    model = next((model for model in preset.models if model in present), None)
    if model:
        changes["model"] = model
    if name == "fast":
        small = size is not None and min(size) <= _FAST_SIDE
        changes["size"] = "1x" if small else f"{_FAST_SIDE}p"
    return replace(Options(), **changes)


def preset_line(name: str) -> str:
    """When to take a preset, one line."""
    return next(preset.words for preset in PRESETS if preset.name == name)


def preset_changes(name: str, options: Options) -> str:
    """What a preset changes, for Advanced. options: what it stands for here."""
    label = next(preset.label for preset in PRESETS if preset.name == name)
    changed = differences(options)
    return f"**{label}** sets {changed}." if changed else f"**{label}** leaves everything at its default."


def differences(options: Options) -> str:
    """What differs from the defaults, in one line for Advanced; empty where nothing does."""
    default = Options()
    said = [
        f"{NAMES.get(field.name, field.name.replace('_', ' '))} {getattr(options, field.name)}"
        for field in fields(Options)
        if getattr(options, field.name) != getattr(default, field.name)
    ]
    return ", ".join(said)


def options_of(values: Mapping[str, Any]) -> Options:
    """Options from the values of the page's fields.

    values: field name and value; an empty field leaves the default. `size` may be "exact": then `width` and
    `height` (pixels) count.
    Raises UsageError for values that make no sense together.
    """
    given = dict(values)
    size, width, height = given.pop("size", None), given.pop("width", None), given.pop("height", None)
    if size == EXACT:
        size = exact_size(width, height)
    names = {field.name for field in fields(Options)}
    chosen = {name: value for name, value in given.items() if name in names and value not in (None, "")}
    for name in ("seed", "steps", "quality"):
        if name in chosen:
            chosen[name] = int(chosen[name])
    for name in ("start", "end", "rate"):
        if name in chosen:
            chosen[name] = number(chosen[name], name)
    if chosen.get("quality") == DEFAULT_QUALITY:
        del chosen["quality"]
    if size:
        chosen["size"] = size
    return replace(Options(), **chosen)


def number(text: Any, name: str) -> float:
    """What somebody typed: "12", "12,5", and for times "1:05" or "1:00:05" (seconds). Raises UsageError."""
    value = 0.0
    try:
        for part in str(text).strip().replace(",", ".").split(":"):
            value = 60 * value + float(part)
    except ValueError:
        example = "Write 12.5, or 1:05 for a minute and five seconds." if name != "rate" else "Write 25."
        raise UsageError(f"{name.capitalize()} is no number: {text}", remedy=example) from None
    return value


def exact_size(width: Any, height: Any) -> str:
    """`1280x720` of two fields; one that is empty takes a square's side, so that the other decides.

    A box keeps the picture's shape (`fit`: inside), so a side given alone is the side that counts.
    """
    sides = [
        _side(number(side, name)) if side else None for side, name in ((width, "width"), (height, "height"))
    ]
    wide, high = (side if side is not None else MOST_SIDE for side in sides)
    return Options().size if sides == [None, None] else f"{wide}x{high}"


def other_side(side: float, own: int, other: int) -> int:
    """The side that keeps the shape of a picture with sides `own` and `other`; even, in limits."""
    return _side(side * other / own)


def _side(side: float) -> int:
    return min(MOST_SIDE, max(LEAST_SIDE, 2 * round(side / 2)))

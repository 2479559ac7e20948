"""What a person can choose about a restoration; everything has a good default."""

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Literal, get_args

from seedvr_engine.errors import UsageError
from seedvr_engine.pipeline.size import Size

Precision = Literal["auto", "fp32", "bf16", "fp16"]
ColourCorrection = Literal["wavelet", "lab", "adain", "none"]
Detail = Literal["auto", "decoded", "residual"]
Fit = Literal["inside", "crop", "pad", "stretch"]

DEFAULT_SIZE = "auto"
LONGEST_S = 1_000_000
# 23.98 and 29.97 are short for these.
_BROADCAST_RATES = tuple(Fraction(whole * 1000, 1001) for whole in (24, 30, 48, 60, 120, 240))
_BROADCAST_NEAR = 0.005


@dataclass(frozen=True)
class Options:
    """Choices for one restoration.

    model: "auto" (the best that is present and fits), "preview", "3b", "7b", "7b-sharp", or a checkpoint
        file.
    precision: of weights and activations; "auto" takes what the device is fast at.
    size: see `Size.parse`. fit: what happens when the size is a box of another aspect than the input.
    seed: of the noise; the same seed gives the same result.
    steps, guidance, rescale: sampling; SeedVR2 is trained for one step without guidance.
    condition_noise: 0 to 1, noise on the condition; more lets the model invent more.
    colour: how colours are held to the input's, frame by frame.
    detail: "decoded" shows what the decoder gives; "residual" adds to the input the difference that the
        transformer made, which cancels the autoencoder's own loss; "auto" is the model's own way.
    shots: look for shot changes, and let nothing cross them.
    start, end: seconds of the input, the end not included.
    rate: output frames a second; frames are repeated or left out, speed and sound stay. None keeps every
        frame and its time.
    container, codec, quality: of the output; None takes what loses nothing. quality: 0 (small) to 100 (best).
    device: "auto", "cpu", "cuda", "cuda:1", ...
    gpus: how many GPUs may share the shots of a clip, 0 for all; a device that is named works alone. Their
        processes are started by whoever calls for the restoration (`jobs.worker`, `pipeline.crew`).

    Raises UsageError for a value outside its range.
    """

    model: str = "auto"
    precision: Precision = "auto"
    size: str = DEFAULT_SIZE
    fit: Fit = "inside"
    seed: int = 42
    steps: int = 1
    guidance: float = 1.0
    rescale: float = 0.0
    condition_noise: float = 0.0
    colour: ColourCorrection = "wavelet"
    detail: Detail = "auto"
    shots: bool = True
    start: float | None = None
    end: float | None = None
    rate: float | None = None
    container: str | None = None
    codec: str | None = None
    quality: int | None = None
    device: str = "auto"
    gpus: int = 0

    def __post_init__(self) -> None:
        Size.parse(self.size)
        for name, choices in (
            ("precision", get_args(Precision)),
            ("fit", get_args(Fit)),
            ("colour", get_args(ColourCorrection)),
            ("detail", get_args(Detail)),
        ):
            if getattr(self, name) not in choices:
                raise UsageError(
                    f"{name} is {getattr(self, name)!r}.", remedy=f"Choose one of {', '.join(choices)}."
                )
        for name, low, high in (
            ("seed", 0, 2**63 - 1),
            ("steps", 1, 50),
            ("guidance", 0, 20),
            ("rescale", 0, 1),
            ("condition_noise", 0, 1),
            ("quality", 0, 100),
            ("start", 0, LONGEST_S),
            ("end", 0, LONGEST_S),
            ("rate", 1, 240),
            ("gpus", 0, 64),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name} is {value}.", remedy=f"Choose a value from {low} to {high}.")
        if self.end is not None and self.end <= (self.start or 0):
            raise UsageError(
                f"The end, {self.end} s, does not come after the start, {self.start or 0} s.",
                remedy="Choose a later end.",
            )

    @property
    def span(self) -> tuple[Fraction | None, Fraction | None]:
        """Start and end in seconds, exactly as they were written in decimals."""
        start, end = (None if value is None else Fraction(str(value)) for value in (self.start, self.end))
        return start, end

    @property
    def frame_rate(self) -> Fraction | None:
        """The rate as the fraction that it stands for."""
        if self.rate is None:
            return None
        meant = (rate for rate in _BROADCAST_RATES if abs(self.rate - rate) <= _BROADCAST_NEAR)
        return next(meant, Fraction(str(self.rate)).limit_denominator(1001))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for messages, files and hashes."""
        return asdict(self)

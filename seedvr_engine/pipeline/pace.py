"""How much of a restoration is done and how long the rest will take. Knows no torch and no clock."""

from collections.abc import Mapping
from dataclasses import dataclass

from seedvr_engine.pipeline.estimate import COMPUTING, Estimate
from seedvr_engine.pipeline.messages import Stage

# How much a prediction weighs beside what this run shows, as a share of the clip: what was measured before
# holds against a slow start, a guess yields at once; neither holds for long where other programs come or go.
_TRUST_MEASURED, _TRUST_GUESS = 0.08, 0.01
# The share of a run that has to be seen before a guess becomes a promise.
_SEEN_SHARE = 0.01


@dataclass(frozen=True)
class Standing:
    """Where a run stands.

    frames_total: as far as is known. done: frames through each stage; fresh: those of this very run.
    spent_s: seconds in each stage up to its last sign of life; silent_s: since then.
    """

    stage: Stage
    frames_total: int
    done: Mapping[Stage, float]
    fresh: Mapping[Stage, float]
    spent_s: Mapping[Stage, float]
    silent_s: float = 0.0


class Pace:
    """Weighs the stages by the seconds that they are predicted to take, and corrects the prediction."""

    def __init__(self, estimate: Estimate) -> None:
        self._estimate = estimate
        self._trust = _TRUST_GUESS if estimate.is_guess else _TRUST_MEASURED

    def share(self, now: Standing) -> float:
        """Share of all work that is done, 0 to 1; 1 is left for the end of the join."""
        whole = sum(self._whole_s(stage, now.frames_total) for stage in ("start", *COMPUTING, "join"))
        done = sum(self._estimate.frame_s[stage] * now.done.get(stage, 0.0) for stage in COMPUTING)
        done += self._whole_s("start", now.frames_total) - self._start_left_s(now)
        return min(1.0, done / whole)

    def left_s(self, now: Standing) -> float | None:
        """Seconds until everything is done; None while there is only a guess."""
        drift = self._drift(now)
        if self._estimate.is_guess and self._seen(now) < _SEEN_SHARE:
            return None
        left = 0.0
        for stage in COMPUTING:
            frames = max(0.0, now.frames_total - now.done.get(stage, 0.0))
            seconds = frames * self._frame_s(stage, now, drift)
            left += max(0.0, seconds - now.silent_s) if stage == now.stage else seconds
        join = self._whole_s("join", now.frames_total) * drift
        if now.stage == "join":
            join = max(0.0, join - now.spent_s.get("join", 0.0) - now.silent_s)
        return left + self._start_left_s(now) + join

    def _whole_s(self, stage: Stage, frames_total: int) -> float:
        """Predicted seconds of a whole stage."""
        if stage == "start":
            return self._estimate.stage_s[stage]
        return self._estimate.stage_s[stage] * frames_total / self._estimate.forecast.frames

    def _start_left_s(self, now: Standing) -> float:
        if now.stage != "start":
            return 0.0
        return max(0.0, self._estimate.stage_s["start"] - now.spent_s.get("start", 0.0) - now.silent_s)

    def _frame_s(self, stage: Stage, now: Standing, drift: float) -> float:
        """Seconds of a frame in a stage: as predicted, and more and more as seen."""
        predicted, trust = self._estimate.frame_s[stage] * drift, self._trust * now.frames_total
        seen_frames, seen_s = now.fresh.get(stage, 0.0), now.spent_s.get(stage, 0.0)
        if not seen_frames:
            return predicted
        return (predicted * trust + seen_s) / (trust + seen_frames)

    def _drift(self, now: Standing) -> float:
        """How much slower than predicted this run is, for what slows one stage slows the next as well."""
        seen = [stage for stage in COMPUTING if now.fresh.get(stage)]
        predicted = sum(self._estimate.frame_s[stage] * now.fresh[stage] for stage in seen)
        taken = sum(now.spent_s.get(stage, 0.0) for stage in seen)
        doubt = self._trust * sum(self._whole_s(stage, now.frames_total) for stage in COMPUTING)
        return (taken + doubt) / (predicted + doubt)

    def _seen(self, now: Standing) -> float:
        """Share of the computing that this run itself has done."""
        fresh = sum(self._estimate.frame_s[stage] * now.fresh.get(stage, 0.0) for stage in COMPUTING)
        return fresh / sum(self._whole_s(stage, now.frames_total) for stage in COMPUTING)

    def frames_per_s(self, now: Standing) -> float | None:
        """Frames that a second of computing takes through all stages; None before there is one."""
        silent = now.silent_s if now.stage in COMPUTING else 0.0
        taken = sum(now.spent_s.get(stage, 0.0) for stage in COMPUTING) + silent
        frames = self._seen(now) * now.frames_total
        return frames / taken if frames and taken else None

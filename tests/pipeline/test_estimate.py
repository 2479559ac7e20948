"""Estimates come true at the second run of a kind, and progress is told all the time."""

import threading
from dataclasses import replace

import pytest
import torch

from seedvr_engine.errors import Cancelled
from seedvr_engine.media.probe import probe
from seedvr_engine.pipeline.choice import preview_choice
from seedvr_engine.pipeline.estimate import (
    COMPUTING,
    STAGES,
    Rate,
    Rates,
    blend,
    estimate,
    kind_of,
    measured,
    peak_flops,
    prior_rates,
)
from seedvr_engine.pipeline.forecast import Forecast, foresee
from seedvr_engine.pipeline.machine import Device, cpu
from seedvr_engine.pipeline.messages import Progress, Result, Stage
from seedvr_engine.pipeline.plan import GIB
from seedvr_engine.pipeline.progress import Meter
from seedvr_engine.pipeline.restore import restore
from tests.pipeline.runs import PREVIEW, clip

# Far from any share of the arithmetic.
FRAME_S: dict[Stage, float] = {"encode": 0.3, "restore": 0.1, "decode": 1.7}
START_S, JOIN_S = 6.0, 3.0


@pytest.fixture
def forecast(tmp_path) -> Forecast:
    return foresee(probe(clip(tmp_path / "a.mp4", (20,))), PREVIEW)


class Run:
    """A restoration that takes the time it is told to take, on a clock of its own."""

    def __init__(self, forecast: Forecast, rates: Rates | None, slower: float = 1.0, shots: int = 1) -> None:
        self.seen: list[Progress] = []
        self.now = 100.0
        self._slower, self._shots, self._frames = slower, shots, forecast.frames // shots
        self._forecast = forecast
        self._meter = Meter(
            estimate(forecast, rates), torch.device("cpu"), self.seen.append, None, clock=lambda: self.now
        )

    def result(self) -> Result:
        self.now += START_S * self._slower
        for shot in range(self._shots):
            for stage in COMPUTING:
                self._meter.enter(stage, shot)
                for frame in range(self._frames):
                    self.now += FRAME_S[stage] * self._slower
                    self._meter.reach(frame + 1)
        self._meter.enter("join", self._shots - 1)
        self.now += JOIN_S * self._slower
        self._meter.finish()
        return Result(
            self._forecast.output,
            64,
            48,
            self._forecast.frames,
            (0,),
            "preview",
            "fp32",
            "",
            self._meter.elapsed_s,
            stage_s=self._meter.stage_s,
            stage_frames=self._meter.stage_frames,
        )

    def errors(self, since: float) -> list[float]:
        """How far every time left that was told from this share of the run on is from what came."""
        end = self.seen[-1].elapsed_s
        told = [(p.left_s, end - p.elapsed_s) for p in self.seen if p.elapsed_s >= since * end and p.done < 1]
        return [abs(left - came) / came for left, came in told if left is not None and came]


@pytest.mark.parametrize("shots", [1, 4])
@pytest.mark.parametrize("slower", [1.0, 1.4, 2.0])
def test_at_the_second_run_the_time_left_is_true_from_a_quarter_on(forecast, shots, slower):
    rates = measured(Run(forecast, None, shots=shots).result(), forecast)
    run = Run(forecast, rates, slower, shots)
    result = run.result()
    assert max(run.errors(since=0.25)) < 0.25
    assert run.seen[0].left_s is not None
    promised = estimate(forecast, rates)
    assert promised.seconds == pytest.approx(result.elapsed_s / slower)
    assert not promised.is_guess


def test_the_share_done_follows_the_time_and_never_goes_back(forecast):
    run = Run(forecast, measured(Run(forecast, None).result(), forecast))
    whole = run.result().elapsed_s
    shares = [progress.done for progress in run.seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert all(progress.done == pytest.approx(progress.elapsed_s / whole, abs=0.02) for progress in run.seen)


def test_a_guess_promises_nothing_until_something_was_seen(forecast):
    run = Run(forecast, None)
    run.result()
    assert run.seen[0].left_s is None
    # Even so, the end of the first stage tells how long the rest may take, to a factor of a few.
    assert run.seen[len(run.seen) // 2].left_s is not None


def test_what_a_real_run_took_is_what_the_next_estimate_says(tmp_path):
    source = clip(tmp_path / "film.mp4", (6, 6))
    result = restore(source, tmp_path / "out.mkv", PREVIEW)
    forecast = foresee(probe(source), PREVIEW)
    rates = measured(result, forecast)
    assert set(rates.stages) == set(STAGES)
    said = estimate(forecast, rates)
    for stage in COMPUTING:
        assert result.stage_frames[stage] == pytest.approx(12)
        assert said.stage_s[stage] == pytest.approx(result.stage_s[stage])
    assert sum(result.stage_s.values()) == pytest.approx(result.elapsed_s, rel=0.02)
    assert said.seconds == pytest.approx(result.elapsed_s, rel=0.02)


def test_a_resumed_run_teaches_only_what_it_did_itself(tmp_path):
    source, output = clip(tmp_path / "film.mp4", (12,)), tmp_path / "out.mkv"
    seen: list[Progress] = []
    with pytest.raises(Cancelled):
        restore(
            source,
            output,
            PREVIEW,
            on_progress=seen.append,
            cancelled=lambda: seen[-1].stage == "decode",
        )
    result = restore(source, output, PREVIEW)
    assert result.stage_frames["encode"] == result.stage_frames["restore"] == 0
    assert result.stage_frames["decode"] == 12
    rates = measured(result, foresee(probe(source), PREVIEW))
    assert "encode" not in rates.stages
    assert "restore" not in rates.stages
    assert "decode" in rates.stages


def test_progress_is_told_during_a_long_step(tmp_path):
    source = clip(tmp_path / "film.mp4", (3,))
    seen: list[float] = []
    told_again = threading.Event()
    steps = iter(range(1))

    def on_progress(progress: Progress) -> None:
        seen.append(progress.elapsed_s)
        if threading.current_thread() is not threading.main_thread():
            told_again.set()

    def long_step() -> bool:
        # The first step lasts until somebody else has reported.
        return next(steps, None) is not None and not told_again.wait(timeout=30)

    restore(source, tmp_path / "out.mkv", PREVIEW, on_progress=on_progress, cancelled=long_step)
    assert told_again.is_set()


def test_a_listener_that_fails_in_a_long_step_ends_the_restoration(tmp_path):
    source = clip(tmp_path / "film.mp4", (3,))
    failed = threading.Event()

    def on_progress(progress: Progress) -> None:
        if threading.current_thread() is not threading.main_thread():
            failed.set()
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        restore(
            source,
            tmp_path / "out.mkv",
            PREVIEW,
            on_progress=on_progress,
            cancelled=lambda: not failed.wait(timeout=30),
        )


def test_a_long_run_counts_more_than_a_short_one_and_guesses_count_nothing():
    guess = prior_rates(cpu(), preview_choice(), "fp32")
    picture = Rates({"encode": Rate(1e9, 2.0), "join": Rate(1, 0.5)}, runs=1)
    film = Rates({"encode": Rate(900e9, 90.0), "decode": Rate(1e12, 5.0)}, runs=1)
    assert blend(guess, picture) == blend(None, picture) == picture
    both = blend(picture, film)
    assert both.runs == 2
    assert both.stages["encode"].per_s == pytest.approx(10e9, rel=0.02)
    assert (both.stages["join"], both.stages["decode"]) == (picture.stages["join"], film.stages["decode"])


def test_rates_pass_through_a_store(forecast):
    rates = measured(Run(forecast, None).result(), forecast)
    assert Rates.from_dict(rates.as_dict()) == rates
    assert kind_of(forecast)[1:] == ("preview", "fp32")


@pytest.mark.parametrize(
    ("label", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA A100-SXM4-40GB", 312),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA GeForce RTX 4070 Ti", 80),
        ("NVIDIA GeForce RTX 4090", 165),
        ("NVIDIA RTX A4000", 77),
        ("Tesla T4", 65),
        ("NVIDIA Unheard-of 1", 60),
    ],
)
def test_known_gpus_are_told_apart(label, tera):
    assert peak_flops(Device("cuda:0", label, 24 * GIB, (8, 6))) == tera * 1e12


def test_the_plan_is_one_line(forecast):
    device = Device("cuda:0", "NVIDIA GeForce RTX 4090", 24 * GIB, (8, 9))
    plan = replace(forecast.plan, device_bytes=int(11.4 * GIB), stretch_latents=100)
    told = replace(
        forecast,
        device=device,
        precision="bf16",
        plan=plan,
        model=replace(forecast.model, name="3b"),
    )
    assert estimate(told).plan_line == "3B, bf16, whole shots, 11.4 GB of 24 GB"

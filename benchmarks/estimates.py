"""Whether the time left is true: restores a clip twice and holds what was told against what came.

    python -m benchmarks.estimates [--input examples/old_film.mp4] [--end 2] [--model preview]

The second run knows the rates of the first, as the page's jobs do. Both rows of numbers are the times left
told at a quarter, a half and three quarters of the run, as a share of those that came: 1.00 is true. Progress
itself is timed as well.
"""

import argparse
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from seedvr_engine.media.probe import probe
from seedvr_engine.pipeline.estimate import Rates, estimate, measured
from seedvr_engine.pipeline.forecast import foresee
from seedvr_engine.pipeline.messages import Progress, Result
from seedvr_engine.pipeline.options import Options
from seedvr_engine.pipeline.restore import restore

MOMENTS = (0.25, 0.5, 0.75)


def timed(source: Path, options: Options, rates: Rates | None) -> tuple[Result, list[Progress]]:
    """Restores into a folder that is thrown away; returns everything that was told."""
    told: list[Progress] = []
    with tempfile.TemporaryDirectory() as folder:
        result = restore(source, Path(folder) / "out.mkv", options, on_progress=told.append, rates=rates)
    return result, told


def truth(told: list[Progress], moment: float) -> float | None:
    """Time left at a moment of the run (share of its time), told by came; None where nothing was told."""
    end = told[-1].elapsed_s
    at = next(progress for progress in told if progress.elapsed_s >= moment * end)
    return None if at.left_s is None else at.left_s / (end - at.elapsed_s)


def longest_silence(told: list[Progress]) -> float:
    """Seconds between two reports, at most."""
    times = [0.0, *(progress.elapsed_s for progress in told)]
    return max(later - earlier for earlier, later in pairwise(times))


def main() -> None:
    """Runs twice and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--input", type=Path, default=Path("examples/old_film.mp4"))
    parser.add_argument("--end", type=float, default=2.0, help="seconds of it")
    parser.add_argument("--model", default="preview")
    arguments = parser.parse_args()
    options = Options(model=arguments.model, end=arguments.end)
    forecast = foresee(probe(arguments.input), options)
    rates = None
    for run in ("first", "second"):
        said = estimate(forecast, rates)
        cpu = time.process_time()
        result, told = timed(arguments.input, options, rates)
        cpu = time.process_time() - cpu
        shown = [truth(told, moment) for moment in MOMENTS]
        numbers = ", ".join("nothing" if share is None else f"{share:.2f}" for share in shown)
        print(f"{run} run: {result.elapsed_s:.1f} s ({cpu:.1f} s of the processor)")
        print(f"  said before: {said.seconds:.1f} s{' (a guess)' if said.is_guess else ''}")
        print(f"  left at {', '.join(f'{moment:.0%}' for moment in MOMENTS)}, told by came: {numbers}")
        print(f"  {len(told)} reports, longest silence {longest_silence(told):.2f} s")
        rates = measured(result, forecast)


if __name__ == "__main__":
    main()

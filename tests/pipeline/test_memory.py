"""Memory does not grow with the clip."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.media.clips import scene, write_clip


def peak_bytes(source: Path) -> int:
    """Largest resident size of a process that restores the clip, as the kernel counted it."""
    command = [sys.executable, "-m", "seedvr_engine.cli", "restore", str(source), "--model", "preview"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    told = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, told
    return usage.ru_maxrss * 1024


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_shot_ten_times_as_long_takes_no_more_memory(tmp_path):
    """160x128, no cut: kept whole, its frames or latents would take hundreds of megabytes.

    The short clip has several segments already, so that reading, decoding and writing overlap in both.
    """
    there = scene(5, 48, (64, 80), speed=0.5)
    back_and_forth = there + there[::-1]
    short = write_clip(tmp_path / "short.mp4", back_and_forth)
    long = write_clip(tmp_path / "long.mp4", back_and_forth * 10)
    small, large = peak_bytes(short), peak_bytes(long)
    assert large <= 1.1 * small, f"{large:,} bytes against {small:,}"

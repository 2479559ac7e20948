"""The `seedvr` command."""

import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from seedvr_engine import __version__
from seedvr_engine.console import JsonLines, Reporter, Terminal
from seedvr_engine.errors import Cancelled, CheckpointError, InputError, SeedVRError, UsageError
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.media.still import PICTURE_SUFFIXES
from seedvr_engine.pipeline.options import DEFAULT_SIZE, ColourCorrection, Detail, Fit, Options, Precision

VIDEO_SUFFIXES = {
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".ts", ".m2ts"),
    *(".mts", ".3gp", ".ogv", ".vob", ".dv", ".mxf", ".gif", ".asf", ".f4v", ".y4m", ".nut"),
}
# Ctrl-C ends the process within 3 s, whatever it is in the middle of.
PATIENCE_S = 2.0

app = typer.Typer(
    help="Restores and upscales video and pictures with SeedVR2.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Inputs = Annotated[list[Path], typer.Argument(metavar="IN...", help="Files, or folders of files.")]
Input = Annotated[Path, typer.Argument(metavar="IN", help="A video or a picture.")]
Model = Annotated[str, typer.Option(help="auto, preview, 3b, 7b, 7b-sharp, or a checkpoint file.")]
SizeText = Annotated[str, typer.Option("--size", help="720p (short side), 1280x720 (a box) or 2x.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="One JSON object a line on stdout.")]
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="3b, 7b, 7b-sharp or all.")]


@app.command()
def restore(
    inputs: Inputs,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="A file, or a folder.")] = None,
    model: Model = "auto",
    size: SizeText = DEFAULT_SIZE,
    fit: Annotated[
        Fit, typer.Option(help="A box of another aspect: fit inside, crop, pad or stretch.")
    ] = "inside",
    precision: Annotated[Precision, typer.Option(help="Of weights and activations.")] = "auto",
    seed: Annotated[int, typer.Option(help="The same seed gives the same result.")] = 42,
    steps: Annotated[int, typer.Option(help="Sampling steps; the models are trained for one.")] = 1,
    guidance: Annotated[float, typer.Option(help="Classifier-free guidance; 1 is off.")] = 1.0,
    rescale: Annotated[float, typer.Option(help="Guidance rescale, 0 to 1.")] = 0.0,
    condition_noise: Annotated[float, typer.Option(help="0 to 1; more lets the model invent more.")] = 0.0,
    colour: Annotated[
        ColourCorrection, typer.Option(help="How colours are held to the input's.")
    ] = "wavelet",
    detail: Annotated[Detail, typer.Option(help="residual keeps the input's own fine detail.")] = "auto",
    shots: Annotated[bool, typer.Option(help="Look for shot changes.")] = True,
    start: Annotated[float | None, typer.Option(help="Seconds from which to restore.")] = None,
    end: Annotated[float | None, typer.Option(help="Seconds up to which to restore.")] = None,
    sequence: Annotated[
        float | None, typer.Option(metavar="FPS", help="A folder of pictures is one clip of this rate.")
    ] = None,
    container: Annotated[str | None, typer.Option(help="mp4, mkv, webm, mov or png.")] = None,
    codec: Annotated[str | None, typer.Option(help="h264, h265, av1, vp9, prores, ffv1 or png.")] = None,
    quality: Annotated[int | None, typer.Option(help="0 (small) to 100 (best); 80 by default.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Leave out what is done.")] = False,
    json_lines: JsonFlag = False,
) -> None:
    """Restores files; a folder is a batch, and a batch goes on after a failure."""
    options = Options(
        model=model,
        precision=precision,
        size=size,
        fit=fit,
        seed=seed,
        steps=steps,
        guidance=guidance,
        rescale=rescale,
        condition_noise=condition_noise,
        colour=colour,
        detail=detail,
        shots=shots,
        start=start,
        end=end,
        container=container,
        codec=codec,
        quality=quality,
        device=device,
    )
    sources = [(path, None) for path in inputs] if sequence is not None else _files(inputs)
    batch = len(sources) > 1 or (output is not None and output.is_dir() and container != "png")
    reporter: Reporter = JsonLines() if json_lines else Terminal()
    counts = {"done": 0, "skipped": 0, "failed": 0}
    last_error: SeedVRError | None = None
    with _interruptible() as interrupted:
        for source, below in sources:
            place = _place(output, below, batch)
            try:
                outcome = _restore_one(
                    source, place, options, sequence, reporter, interrupted, overwrite, skip_existing
                )
                counts[outcome] += 1
            except Cancelled as error:
                reporter.failed(source, error)
                raise typer.Exit(error.exit_code) from None
            except SeedVRError as error:
                reporter.failed(source, error)
                counts["failed"] += 1
                last_error = error
            finally:
                reporter.close()
    if len(sources) > 1:
        reporter.summary(**counts)
    if last_error is not None:
        raise typer.Exit(last_error.exit_code)


def _restore_one(
    source: Path,
    place: Path | None,
    options: Options,
    sequence: float | None,
    reporter: Reporter,
    interrupted: threading.Event,
    overwrite: bool,
    skip_existing: bool,
) -> Literal["done", "skipped"]:
    """Restores one input. place: a file, an existing folder to put it in, or None for beside the input."""
    from seedvr_engine.pipeline.forecast import output_path
    from seedvr_engine.pipeline.restore import restore

    reporter.begin(source)
    info = _probe(source, sequence)
    output = output_path(info, options, place)
    if skip_existing and output.exists():
        reporter.close()
        reporter.skipped(source, output)
        return "skipped"
    result = restore(
        source,
        output,
        options,
        on_progress=reporter.progress,
        cancelled=interrupted.is_set,
        overwrite=overwrite,
        info=info,
    )
    reporter.done(source, result)
    return "done"


def _probe(source: Path, sequence: float | None) -> MediaInfo:
    from seedvr_engine.media.probe import probe
    from seedvr_engine.media.sequence import probe_sequence

    return probe(source) if sequence is None else probe_sequence(source, sequence)


def _files(inputs: list[Path]) -> list[tuple[Path, Path | None]]:
    """Every named file, and every video and picture in named folders with its place in there."""
    found: list[tuple[Path, Path | None]] = []
    for path in inputs:
        if not path.is_dir():
            found.append((path, None))
            continue
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES | PICTURE_SUFFIXES)
        visible = [p for p in inside if not any(part.startswith(".") for part in p.relative_to(path).parts)]
        fresh = [p for p in visible if not p.stem.endswith("_restored")]
        if not fresh:
            raise InputError(
                f"The folder {path} holds no video and no picture.",
                remedy="Name a folder that does, or use --sequence FPS for pictures that are one clip.",
            )
        found += [(p, p.relative_to(path).parent) for p in fresh]
    return found


def _place(output: Path | None, below: Path | None, batch: bool) -> Path | None:
    if output is None or not batch:
        return output
    if output.suffix and not output.is_dir():
        raise UsageError(
            f"{output} is one file, and there are several inputs.", remedy="Name a folder with `-o`."
        )
    folder = output / (below or Path())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets; at a second one, or if nothing comes of it, the process ends.

    Ending at once loses nothing: whatever is finished has its final name, and only that counts.
    """
    interrupted = threading.Event()

    def stop(signum: int, frame: Any) -> None:
        if interrupted.is_set():
            os._exit(Cancelled.exit_code)
        interrupted.set()
        timer = threading.Timer(PATIENCE_S, os._exit, (Cancelled.exit_code,))
        timer.daemon = True
        timer.start()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@app.command()
def models(json_lines: JsonFlag = False) -> None:
    """Lists the models and where they are."""
    from seedvr_engine.checkpoints.catalog import MODELS
    from seedvr_engine.checkpoints.find import available_models, find_checkpoints
    from seedvr_engine.settings import get_settings

    root = get_settings().ckpts
    present = available_models(find_checkpoints(root))
    rows = [("preview", True, "built in")]
    for name in MODELS:
        found = present.get(name)
        rows.append((name, found is not None, str(found.path) if found else f"seedvr download {name}"))
    if json_lines:
        for name, is_present, place in rows:
            JsonLines._write("model", name=name, present=is_present, path=place if is_present else None)
        return
    table = Table("Model", "Present", "Where, or how to get it", title=f"Checkpoints in {root}")
    for name, is_present, place in rows:
        table.add_row(name, "yes" if is_present else "no", place)
    Console().print(table)


@app.command()
def download(
    model: ModelName,
    official: Annotated[bool, typer.Option("--official", help="The authors' float32 files.")] = False,
) -> None:
    """Downloads a model; goes on where an earlier download stopped."""
    from seedvr_engine.checkpoints.console import run

    raise typer.Exit(run(model, official=official))


@app.command()
def verify() -> None:
    """Checks every checkpoint that is there."""
    from seedvr_engine.checkpoints.verify import verify_all
    from seedvr_engine.settings import get_settings

    root = get_settings().ckpts
    console = Console(soft_wrap=True)
    checked = verify_all(root)
    for item in checked:
        console.print(
            f"{'[green]good[/]' if item.ok else '[red]bad[/]'}  {item.path}: {item.message} {item.remedy}"
        )
    if not checked:
        console.print(f"There are no checkpoints in {root}. `seedvr download 3b` brings some.")
    if not all(item.ok for item in checked):
        raise typer.Exit(CheckpointError.exit_code)


@app.command()
def probe(source: Input, json_lines: JsonFlag = False) -> None:
    """Tells what a file is."""
    info = _probe(source, None)
    if json_lines:
        JsonLines._write("probe", **_plain(info))
        return
    table = Table(show_header=False)
    for name, value in _plain(info).items():
        table.add_row(name, str(value))
    Console().print(table)


def _plain(info: MediaInfo) -> dict[str, Any]:
    return {
        "file": str(info.path),
        "kind": info.kind,
        "size": f"{info.width}x{info.height}",
        "rate": None if info.rate is None else round(float(info.rate), 3),
        "duration_s": info.duration_s,
        "codec": info.codec,
        "container": info.container,
        "bits": info.bit_depth,
        "colour": f"{info.colour.matrix}, {info.colour.range}, {info.colour.transfer}",
        "rotation": info.rotation,
        "hdr": info.hdr,
        "interlaced": info.interlaced,
        "sound": [str(stream) for stream in info.audio],
        "subtitles": [str(stream) for stream in info.subtitles],
        "chapters": len(info.chapters),
        "warnings": list(info.warnings),
    }


@app.command()
def plan(
    source: Input,
    model: Model = "auto",
    size: SizeText = DEFAULT_SIZE,
    precision: Annotated[Precision, typer.Option(help="Of weights and activations.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
) -> None:
    """Tells what restoring a file would take, without doing it."""
    from seedvr_engine.pipeline.forecast import foresee

    options = Options(model=model, size=size, precision=precision, device=device)
    foreseen = foresee(_probe(source, None), options)
    table = Table(show_header=False)
    for name, value in foreseen.rows():
        table.add_row(name, value)
    Console().print(table)


@app.command()
def doctor() -> None:
    """Looks at this machine and says what helps and what is missing."""
    from seedvr_engine.doctor import findings

    console = Console(soft_wrap=True)
    problems = 0
    for finding in findings():
        problems += not finding.good
        console.print(f"{'[green]ok[/]  ' if finding.good else '[yellow]look[/]'} {finding.text}")
    raise typer.Exit(0 if problems == 0 else 1)


def main() -> None:
    """Runs the command line; every foreseen failure ends in one sentence and its exit code."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        app(standalone_mode=True)
    except SeedVRError as error:
        Terminal().failed(Path(), error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(Cancelled.exit_code)
    except Exception:
        traceback.print_exc()
        print(f"This is a bug of seedvr-engine {__version__}; please report it.", file=sys.stderr)
        sys.exit(1)

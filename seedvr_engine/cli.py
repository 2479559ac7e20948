"""The `seedvr` command."""

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer
from rich.console import Console
from rich.table import Table

from seedvr_engine import __version__
from seedvr_engine.batch import Source, folder_for, is_batch, named_sources
from seedvr_engine.console import JsonLines, Reporter, Terminal, clock
from seedvr_engine.errors import Cancelled, CheckpointError, SeedVRError, TimeLimitError
from seedvr_engine.interruption import interruptible
from seedvr_engine.media.info import MediaInfo
from seedvr_engine.pipeline.options import DEFAULT_SIZE, ColourCorrection, Detail, Fit, Options, Precision

if TYPE_CHECKING:
    from seedvr_engine.pipeline.estimate import Estimate

app = typer.Typer(
    help="Restores and upscales video and pictures with SeedVR2.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Outcome = Literal["done", "skipped", "failed"]
Inputs = Annotated[list[Path], typer.Argument(metavar="IN...", help="Files, or folders of files.")]
Input = Annotated[Path, typer.Argument(metavar="IN", help="A video or a picture.")]
Model = Annotated[str, typer.Option(help="auto, preview, 3b, 7b, 7b-sharp, or a checkpoint file.")]
SizeText = Annotated[
    str, typer.Option("--size", help="auto (2x up to 1080p), 720p (short side), 1280x720 (a box) or 2x.")
]
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
    rate: Annotated[
        float | None, typer.Option(help="Output frames a second; frames are repeated or left out.")
    ] = None,
    sequence: Annotated[
        float | None, typer.Option(metavar="FPS", help="A folder of pictures is one clip of this rate.")
    ] = None,
    container: Annotated[str | None, typer.Option(help="mp4, mkv, webm, mov or png.")] = None,
    codec: Annotated[str | None, typer.Option(help="h264, h265, av1, vp9, prores, ffv1 or png.")] = None,
    quality: Annotated[int | None, typer.Option(help="0 (small) to 100 (best); 80 by default.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
    gpus: Annotated[int, typer.Option(help="How many GPUs share the shots of a clip; 0 is all.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")] = False,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="Leave out what is done.")] = False,
    time_limit: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, help="Stop after so long; the same command goes on."),
    ] = None,
    json_lines: JsonFlag = False,
) -> None:
    """Restores files; a folder is a batch, and a batch goes on after a failure."""
    reporter: Reporter = JsonLines() if json_lines else Terminal()
    ends_at = None if time_limit is None else time.monotonic() + time_limit
    with interruptible() as interrupted:
        try:
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
                rate=rate,
                container=container,
                codec=codec,
                quality=quality,
                device=device,
                gpus=gpus,
            )
            into_folder = is_batch(inputs, output, as_sequences=sequence is not None)
            sources = named_sources(inputs, as_sequences=sequence is not None, into_folder=into_folder)
        except SeedVRError as error:
            reporter.failed(None, error)
            raise typer.Exit(error.exit_code) from None
        one = partial(
            _restore_one,
            options,
            sequence,
            reporter,
            partial(_check_stop, interrupted, ends_at),
            overwrite,
            skip_existing,
            len(sources) > 1,
        )
        code = _restore_all(sources, output, into_folder, one, reporter)
    raise typer.Exit(code)


def _restore_all(
    sources: list[Source],
    output: Path | None,
    into_folder: bool,
    one: Callable[[Source, Path | None, Path | None], Outcome],
    reporter: Reporter,
) -> int:
    """Restores input after input, whatever becomes of those before; returns the last failure's exit code."""
    outcomes: list[Outcome] = []
    code = 0
    for source in sources:
        try:
            if output is not None and into_folder:
                outcomes.append(one(source, None, folder_for(source, output)))
            else:
                outcomes.append(one(source, output, None))
        except (Cancelled, TimeLimitError) as error:
            reporter.failed(source.path, error)
            return error.exit_code
        except BrokenPipeError:  # Whoever listened has gone.
            raise
        except Exception as error:
            known = error if isinstance(error, SeedVRError) else _bug(error)
            reporter.failed(source.path, known)
            outcomes.append("failed")
            code = known.exit_code
        finally:
            reporter.close()
    if into_folder or len(sources) != 1:
        reporter.summary(*(outcomes.count(outcome) for outcome in get_args(Outcome)))
    return code


def _check_stop(interrupted: threading.Event, ends_at: float | None) -> bool:
    """Whether somebody wants an end. Raises TimeLimitError when the time is up."""
    if ends_at is not None and time.monotonic() >= ends_at:
        raise TimeLimitError(
            "The time limit was reached; what is finished is kept.",
            remedy="The same command goes on from here.",
        )
    return interrupted.is_set()


def _bug(error: Exception) -> SeedVRError:
    traceback.print_exception(error)
    return SeedVRError(
        f"This is a bug of seedvr-engine {__version__}: {type(error).__name__}: {error}.",
        remedy="Please report it with the lines above.",
    )


def _restore_one(
    options: Options,
    sequence: float | None,
    reporter: Reporter,
    cancelled: Callable[[], bool],
    overwrite: bool,
    skip_existing: bool,
    keep_model: bool,
    source: Source,
    place: Path | None,
    folder: Path | None,
) -> Outcome:
    """Restores one input.

    place: a file, an existing folder to put it in, or None for beside the input. folder: where the result
    goes under the name that it would have beside the input.
    """
    from seedvr_engine.pipeline.crew import helping
    from seedvr_engine.pipeline.forecast import output_path
    from seedvr_engine.pipeline.restore import restore

    reporter.begin(source.path)
    info = _probe(source.path, sequence)
    output = output_path(info, options, place)
    if source.name is not None:
        output = output.with_name(f"{source.name}_restored{output.suffix}")
    if folder is not None:
        output = folder / output.name
    if skip_existing and output.exists():
        reporter.close()
        reporter.skipped(source.path, output)
        return "skipped"
    with helping(info, output, options) as helpers:
        result = restore(
            source.path,
            output,
            options,
            on_progress=reporter.progress,
            cancelled=cancelled,
            overwrite=overwrite,
            info=info,
            keep_model=keep_model,
            helpers=helpers,
        )
    reporter.done(source.path, result)
    return "done"


def _probe(source: Path, sequence: float | None) -> MediaInfo:
    from seedvr_engine.media.probe import probe
    from seedvr_engine.media.sequence import probe_sequence

    return probe(source) if sequence is None else probe_sequence(source, sequence)


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
    json_lines: JsonFlag = False,
) -> None:
    """Tells what restoring a file would take, without doing it."""
    from seedvr_engine.pipeline.estimate import estimate
    from seedvr_engine.pipeline.forecast import foresee

    options = Options(model=model, size=size, precision=precision, device=device)
    expected = estimate(foresee(_probe(source, None), options))
    if json_lines:
        JsonLines._write("plan", **expected.as_dict())
        return
    table = Table(show_header=False)
    for name, value in (*expected.forecast.rows(), ("time", _time(expected))):
        table.add_row(name, value)
    Console().print(table)


def _time(expected: "Estimate") -> str:
    long = {stage: seconds for stage, seconds in expected.stage_s.items() if seconds >= 1}
    parts = ", ".join(f"{stage} {clock(seconds)}" for stage, seconds in long.items())
    doubt = ", guessed from the device's name" if expected.is_guess else ""
    return f"about {clock(expected.seconds)}{doubt}" + (f": {parts}" if parts else "")


@app.command()
def doctor(
    bundle: Annotated[
        Path | None,
        typer.Option(help="Pack findings, settings, logs and jobs into this ZIP, for a maintainer."),
    ] = None,
) -> None:
    """Looks at this machine and says what helps and what is missing."""
    from seedvr_engine.doctor import findings

    console = Console(soft_wrap=True)
    if bundle is not None:
        from seedvr_engine.bundle import write_bundle
        from seedvr_engine.settings import get_settings

        names = write_bundle(bundle, get_settings())
        console.print(f"{bundle} holds {', '.join(names)}. Look through it before you send it.")
        raise typer.Exit(0)
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
        Terminal().failed(None, error)
        sys.exit(error.exit_code)
    except Exception as error:
        Terminal().failed(None, _bug(error))
        sys.exit(1)


if __name__ == "__main__":
    main()

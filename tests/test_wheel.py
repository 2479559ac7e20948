"""The wheel: it holds the whole package, and restores a clip where nothing else of the project is."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
WEIGHTS = "seedvr_engine/preview/weights.safetensors"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what it is made from: a build leaves folders behind."""
    source = tmp_path_factory.mktemp("source")
    files = ["pyproject.toml", "README.md", "LICENSE", "NOTICE", *package_files()]
    for file in files:
        (source / file).parent.mkdir(parents=True, exist_ok=True)
        (source / file).write_bytes((REPOSITORY / file).read_bytes())
    place = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(place), str(source)], check=True)
    return next(place.glob("*.whl"))


def package_files() -> list[str]:
    """Every file of the package that belongs to it."""
    paths = (path for path in (REPOSITORY / "seedvr_engine").rglob("*") if path.is_file())
    return [
        path.relative_to(REPOSITORY).as_posix()
        for path in paths
        if path.suffix not in (".pyc", ".pyo") and path.name[0] != "."
    ]


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        assert archive.getinfo(WEIGHTS).file_size == (REPOSITORY / WEIGHTS).stat().st_size
    assert set(package_files()) - inside == set()
    assert {name.partition("/")[0].partition("-")[0] for name in inside} == {"seedvr_engine"}
    licences = {Path(name).name for name in inside if "/licenses/" in name}
    assert {"LICENSE", "NOTICE"} <= licences


def test_the_wheel_is_small_enough_for_a_package_index(wheel: Path) -> None:
    assert wheel.stat().st_size < 20_000_000


@pytest.mark.slow
def test_installed_alone_it_restores_a_clip(wheel: Path, tmp_path: Path) -> None:
    place = tmp_path / "environment"
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    # The packages that it needs are lent instead of downloaded. A path alone is lent: what is installed there
    # as editable, this project for one, stays out of sight.
    site = next(place.glob("lib/python3*/site-packages"))
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run([*pip, "check"], check=True, cwd=tmp_path)
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SEEDVR_CKPTS")}
    environment = kept | {"SEEDVR_CKPTS": str(tmp_path / "ckpts")}

    def run(*command: str) -> str:
        result = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    where = run(str(python), "-c", "import seedvr_engine; print(seedvr_engine.__file__)")
    assert Path(where.strip()).is_relative_to(place)
    clip = str(REPOSITORY / "examples" / "old_film.mp4")
    seedvr = str(place / "bin" / "seedvr")
    run(seedvr, "restore", clip, "-o", "out.mp4", "--end", "0.2", "--size", "320x180", "--model", "preview")
    probed = run(seedvr, "probe", "out.mp4")
    assert "320x180" in probed

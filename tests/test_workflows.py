"""The workflows for GitHub: what they run is here."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[1]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))


def jobs_of(path: Path) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load(path.read_text())["jobs"]
    return jobs


def scripts_of(path: Path) -> str:
    return "\n".join(step.get("run", "") for job in jobs_of(path).values() for step in job["steps"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_ends_some_day_and_every_action_has_a_version(path: Path) -> None:
    for name, job in jobs_of(path).items():
        assert job["timeout-minutes"] <= 90, name
        for step in job["steps"]:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"]) if "uses" in step else step["run"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_the_workflows_run_is_in_the_project(path: Path) -> None:
    script = scripts_of(path)
    for module in re.findall(r"python -m (seedvr_engine[\w.]*|tools[\w.]*)", script):
        assert (REPOSITORY / (module.replace(".", "/") + ".py")).is_file()
    for file in re.findall(r"(?:^|\s)((?:\./|\.ci/|tests/)[\w./]+|[\w-]+\.txt)(?=\s|$)", script):
        assert (REPOSITORY / file).is_file()


def test_the_checks_run_on_every_supported_python_and_build_the_image() -> None:
    jobs = jobs_of(REPOSITORY / ".github" / "workflows" / "ci.yml")
    project = (REPOSITORY / "pyproject.toml").read_text()
    assert 'requires-python = ">=3.11,<3.14"' in project
    for name in ("test", "locks"):
        assert jobs[name]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    targets = {step.get("with", {}).get("target") for step in jobs["image"]["steps"]}
    assert targets - {None} <= set(
        re.findall(r"AS (\w+)$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    )


def test_a_release_builds_the_images_that_the_documents_name() -> None:
    images = jobs_of(REPOSITORY / ".github" / "workflows" / "release.yml")["images"]
    tags = {tag for build in images["strategy"]["matrix"]["include"] for tag in build["tags"].split()}
    assert tags == {"latest", "cu130", "cu126", "pod", "pod-cu130", "pod-cu126"}

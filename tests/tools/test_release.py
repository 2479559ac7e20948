"""A release: its tag, its version and its notes belong together."""

from pathlib import Path

import pytest

from tools.release import notes


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "seedvr_engine").mkdir()
    (tmp_path / "seedvr_engine" / "__init__.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## 1.2.0 (2026-12-01)\n\n- New.\n\n### Fixed\n- A fault.\n\n"
        "## 1.1.0 (2026-11-01)\n\n- Old.\n"
    )
    return tmp_path


def test_the_notes_are_the_changelogs_part_about_the_version(project: Path) -> None:
    assert notes(project, "v1.2.0") == "- New.\n\n### Fixed\n- A fault.\n"


def test_a_tag_that_is_not_the_version_is_refused(project: Path) -> None:
    with pytest.raises(ValueError, match="is not the version"):
        notes(project, "v1.1.0")


def test_a_version_without_a_date_is_refused(project: Path) -> None:
    changelog = project / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("(2026-12-01)", "(not released yet)"))
    with pytest.raises(ValueError, match=r"has no `## 1.2.0"):
        notes(project, "v1.2.0")

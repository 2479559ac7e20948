"""What the environment says, and what a person reads when it says nonsense."""

from pathlib import Path

import pytest

from seedvr_engine import settings as module
from seedvr_engine.settings import SettingsError, get_settings, read_auth


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    for item in module.fields(module.Settings):
        monkeypatch.delenv(item.metadata["variable"], raising=False)
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_without_any_variable_the_defaults_serve(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "POD", tmp_path / "nowhere")
    settings = get_settings()
    assert settings.data == tmp_path / "workspace" / "projects"
    assert settings.outputs == tmp_path / "workspace" / "outputs"
    assert (settings.port, settings.timeout_s, settings.share, settings.allowed_hosts) == (
        7860,
        1800,
        False,
        [],
    )


def test_a_pod_that_can_be_written_is_used(monkeypatch, tmp_path):
    (tmp_path / "pod").mkdir()
    monkeypatch.setattr(module, "POD", tmp_path / "pod")
    assert get_settings().data == tmp_path / "pod" / "projects"


def test_models_in_a_pod_that_cannot_be_written_are_found(monkeypatch, tmp_path):
    (tmp_path / "pod" / "ckpts").mkdir(parents=True)
    monkeypatch.setattr(module, "POD", tmp_path / "pod")
    monkeypatch.setattr(module, "_can_be_written", lambda folder: False)
    assert get_settings().ckpts == tmp_path / "pod" / "ckpts"
    assert get_settings().data == tmp_path / "workspace" / "projects"


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("SEEDVR_DATA", "somewhere", "data", "ABSOLUTE"),
        ("GRADIO_SHARE", "True", "share", True),
        ("SEEDVR_MCP", "1", "mcp", True),
        ("GRADIO_PORT", "8080", "port", 8080),
        ("SEEDVR_TIMEOUT", "0", "timeout_s", 0.0),
        ("SEEDVR_MAX_UPLOAD", "1.5 GB", "max_upload_bytes", 1_500_000_000),
        ("SEEDVR_ALLOWED_HOSTS", "a.example, b.example ", "allowed_hosts", ["a.example", "b.example"]),
        ("GRADIO_AUTH", "ann:${secret}/x", "auth", "ann:${secret}/x"),
        ("GRADIO_HOST", "", "host", "0.0.0.0"),
    ],
)
def test_a_variable_becomes_a_typed_value(monkeypatch, tmp_path, variable, text, name, value):
    monkeypatch.setenv(variable, text)
    expected = tmp_path / "somewhere" if value == "ABSOLUTE" else value
    assert getattr(get_settings(), name) == expected


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("GRADIO_PORT", "http"),
        ("GRADIO_PORT", "70000"),
        ("GRADIO_PORT", "78.5"),
        ("GRADIO_SHARE", "perhaps"),
        ("SEEDVR_TIMEOUT", "-1"),
        ("SEEDVR_TIMEOUT", "nan"),
        ("SEEDVR_TIMEOUT", "half an hour"),
        ("SEEDVR_MAX_UPLOAD", "big"),
        ("GRADIO_AUTH", "nobody"),
        ("GRADIO_AUTH", "/no/such/file"),
        ("GRADIO_AUTH", "ann:"),
        ("GRADIO_AUTH", ","),
    ],
)
def test_nonsense_is_told_with_the_name_of_the_variable(monkeypatch, variable, text):
    monkeypatch.setenv(variable, text)
    with pytest.raises(SettingsError, match=variable) as told:
        get_settings()
    assert told.value.remedy


def test_users_come_from_pairs_or_from_a_file(tmp_path):
    file = tmp_path / "users"
    file.write_text("# who may enter\nann:one:two\n\nbob:three\n")
    assert read_auth(str(file)) == {"ann": "one:two", "bob": "three"}
    assert read_auth("ann:one:two, bob:three") == {"ann": "one:two", "bob": "three"}
    assert read_auth("") == {}


def test_no_password_stands_in_what_is_shown(monkeypatch):
    monkeypatch.setenv("GRADIO_AUTH", "ann:hidden")
    settings = get_settings()
    assert "hidden" not in repr(settings)
    assert "hidden" not in str(settings.public())
    assert Path(settings.public()["data"]) == settings.data

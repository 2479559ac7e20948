"""What is chosen on the page, as options; what the page says, in words. No browser."""

import re
from dataclasses import replace

import gradio as gr
import pytest

from seedvr_engine.errors import UsageError
from seedvr_engine.jobs.messages import FINAL_STATES
from seedvr_engine.pipeline.options import Options
from seedvr_engine.ui.advanced import advanced_fields, values_of
from seedvr_engine.ui.choices import (
    PRESETS,
    differences,
    exact_size,
    number,
    options_of,
    other_side,
    preset_changes,
    preset_options,
)
from seedvr_engine.ui.words import BROWSER, about, bytes_words, clock, trouble

MODELS = ("preview", "3b", "7b", "7b-sharp")


@pytest.mark.parametrize("present", [MODELS, ("preview",)])
def test_no_two_presets_are_the_same(present: tuple[str, ...]) -> None:
    options = [preset_options(preset.name, present) for preset in PRESETS]
    assert len({repr(each) for each in options}) == len(PRESETS)


def test_a_preset_names_no_model_that_is_not_here() -> None:
    assert preset_options("best", ("preview",)).model == "auto"
    assert preset_options("best", MODELS).model == "7b"


def test_fast_never_enlarges() -> None:
    assert preset_options("fast", size=(480, 640)).size == "1x"
    assert preset_options("fast", size=(1080, 1920)).size == "720p"


def test_advanced_says_what_a_preset_changes() -> None:
    assert "condition noise 0.1" in preset_changes("old_film", preset_options("old_film"))
    assert "default" in preset_changes("balanced", preset_options("balanced"))


def test_options_survive_the_way_through_the_fields() -> None:
    chosen = replace(
        Options(),
        **{"seed": 7, "start": 1.5, "end": 65.0, "rate": 25.0, "codec": "av1", "quality": 95, "shots": False},
    )
    assert options_of({**values_of(chosen), "model": "auto", "size": "auto"}) == chosen


def test_untouched_fields_are_the_defaults() -> None:
    assert options_of({**values_of(Options()), "model": "auto", "size": "auto", "width": ""}) == Options()
    assert differences(Options()) == ""


@pytest.mark.parametrize(
    ("text", "value"), [("12", 12), (" 12,5 ", 12.5), ("1:05", 65), ("1:00:05.5", 3605.5), (7, 7)]
)
def test_times_are_read_as_people_write_them(text: str, value: float) -> None:
    assert number(text, "start") == value


def test_a_word_for_a_number_is_told() -> None:
    with pytest.raises(UsageError, match="Start is no number: soon"):
        number("soon", "start")


def test_exact_sides_stay_in_limits_and_even() -> None:
    assert exact_size("100", "9999") == "256x4096"
    assert exact_size("801", "") == "800x4096"
    assert exact_size("", "") == Options().size
    assert other_side(800, own=320, other=180) == 450


def test_numbers_are_said_as_people_say_them() -> None:
    assert [bytes_words(count) for count in (999, 336_000, 11.4e9, 210e9)] == [
        *("999 bytes", "336 KB", "11.4 GB", "210 GB")
    ]
    assert [clock(seconds) for seconds in (0.8, 4, 12, 65, 3605)] == [
        "0.8 s",
        "4 s",
        "12 s",
        "1:05",
        "1:00:05",
    ]
    assert [about(seconds) for seconds in (3, 33, 70, 600, 4000, 9000)] == [
        *("a few seconds", "about 35 seconds", "about a minute", "about 10 minutes"),
        *("about an hour", "about 2.5 hours"),
    ]


def test_a_failure_cannot_smuggle_markup_into_the_page() -> None:
    said = trouble(UsageError("<img src=x onerror=alert(1)>", remedy="<b>"))
    assert not re.search(r"<(img|b)\b", said)
    assert "&lt;img" in said


def test_every_end_of_a_job_has_its_words() -> None:
    for state in FINAL_STATES - {"done"}:
        assert state in BROWSER["doing"]
        assert state in BROWSER["ended"]
    assert set(BROWSER["states"]) == {*FINAL_STATES, "queued", "running"}


def test_the_number_of_gpus_can_be_chosen_where_there_are_several() -> None:
    with gr.Blocks():
        assert "gpus" not in advanced_fields(["H100"])
        field = advanced_fields(["H100"] * 4)["gpus"]
    assert [value for _, value in field.choices] == [0, 1, 2, 3]
    assert field.choices[0][0] == "All 4"
    assert options_of({"gpus": 2}) == replace(Options(), gpus=2)
    assert options_of({"gpus": field.value}) == Options()

"""The small pure functions behind options and output."""

import pytest
import typer

from pagerduty_alerting.cli.options import Options, duration
from pagerduty_alerting.cli.output import clock_time, duration_in_words
from pagerduty_alerting.cli.terminal import printable


@pytest.mark.parametrize(
    ("text", "seconds"), [("50ms", 0.05), ("5s", 5), ("10m", 600), ("1h", 3600), ("2.5", 2.5), (".5s", 0.5)]
)
def test_durations_are_read_in_every_unit(text, seconds):
    assert duration("--timeout", text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "-1s", "1d", "1 s", "nan", "inf", "1e3", "٣s"])
def test_what_is_not_a_duration_is_refused(text):
    with pytest.raises(typer.BadParameter, match="not a duration"):
        duration("--timeout", text)


@pytest.mark.parametrize("text", ["Database", "データ ベース", "می‌خواهم", "👩‍💻", "a b"])
def test_text_in_any_script_is_unchanged(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x9b", "\\x9b"),
        ("\u202eb", "\\u202eb"),
        ("\u2028", "\\u2028"),
    ],
)
def test_control_characters_are_escaped(text, shown):
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (36_610, "10:10:10"),
        (3600, "1:00:00"),
        (3599, "59:59"),
        (599.2, "10:00"),
        (59.0, "0:59"),
        (0.1, "0:01"),
        (0, "0:00"),
        (-3, "0:00"),
    ],
)
def test_time_left_is_rounded_up(seconds, text):
    assert clock_time(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3600, "1 hour"),
        (7200, "2 hours"),
        (600, "10 minutes"),
        (90, "90 seconds"),
        (1, "1 second"),
        (0.5, "0.5 seconds"),
    ],
)
def test_a_duration_in_words_has_the_largest_unit_that_fits(seconds, text):
    assert duration_in_words(seconds) == text


def test_options_after_the_command_override_those_before_it():
    earlier = Options(base_url="https://a.example", timeout=1.0, verbose=True)
    later = Options(base_url="https://b.example", api_token_file="file")
    assert earlier.overridden_by(later) == Options("file", "https://b.example", 1.0, verbose=True)

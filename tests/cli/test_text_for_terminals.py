"""The small pure functions behind options and output."""

import pytest
import typer

from pagerduty_alerting.cli.options import Options, duration
from pagerduty_alerting.cli.terminal import printable


@pytest.mark.parametrize(
    ("text", "seconds"), [("50ms", 0.05), ("5s", 5), ("10m", 600), ("1h", 3600), ("2.5", 2.5), (".5s", 0.5), (7.0, 7)]
)
def test_durations_are_read_in_every_unit(text, seconds):
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "-1s", "1d", "1 s", "nan", "inf", "1e3", "٣s"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(typer.BadParameter, match="no duration"):
        duration(text)


@pytest.mark.parametrize("text", ["Database", "データ ベース", "می‌خواهم", "👩‍💻", "a b"])
def test_text_of_every_script_stays_as_it_is(text):
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
def test_what_acts_on_a_terminal_is_escaped(text, shown):
    assert printable(text) == shown


def test_options_after_the_command_go_before_those_in_front_of_it():
    earlier = Options(base_url="https://a.example", timeout=1.0, verbose=True)
    later = Options(base_url="https://b.example", api_token_file="file")
    assert earlier.overridden_by(later) == Options("file", "https://b.example", 1.0, verbose=True)

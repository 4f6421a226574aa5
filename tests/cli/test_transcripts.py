"""The output on terminals of 60 and 100 columns matches the committed transcripts, which follow some rules."""

import pytest

from tests.cli import transcripts

CONTINUABLE = [
    "connect-stopped",
    "connect-terminated",
    "connect-too-late",
    "connect-stopped-in-doubt",
    "connect-no-wait",
]


@pytest.mark.parametrize("columns", transcripts.WIDTHS)
@pytest.mark.parametrize("name", transcripts.SCENES)
def test_a_terminal_shows_what_its_transcript_says(name, columns):
    committed = (transcripts.DIRECTORY / f"{name}.{columns}.txt").read_text("utf-8")
    shown = transcripts.transcript(transcripts.SCENES[name], columns)
    assert shown == committed, "update them with: python -m tests.cli.transcripts"


def test_every_transcript_belongs_to_a_scene():
    names = {f"{name}.{columns}.txt" for name in transcripts.SCENES for columns in transcripts.WIDTHS}
    assert {file.name for file in transcripts.DIRECTORY.iterdir()} == names


@pytest.mark.parametrize("columns", transcripts.WIDTHS)
@pytest.mark.parametrize("name", CONTINUABLE)
def test_the_command_to_continue_is_one_line_without_the_token_which_is_shown_once(name, columns):
    text = (transcripts.DIRECTORY / f"{name}.{columns}.txt").read_text("utf-8")
    assert text.splitlines().count("  pagerduty-alerting connect -") == 1
    assert len(transcripts.ids_in(text)) == 1


@pytest.mark.parametrize("columns", transcripts.WIDTHS)
@pytest.mark.parametrize("name", transcripts.SCENES)
def test_lines_fit_the_terminal_unless_they_are_one_word(name, columns):
    text = (transcripts.DIRECTORY / f"{name}.{columns}.txt").read_text("utf-8")
    for line in text.splitlines()[1:]:
        assert len(line) <= columns or " " not in line.strip()

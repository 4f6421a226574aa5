"""What a person sees at 60 and 100 columns: compared with the committed transcripts, and what must hold for each."""

import pytest

from tests.cli import transcripts

WAY_BACK = ["connect-stopped", "connect-terminated", "connect-too-late", "connect-stopped-in-doubt", "connect-no-wait"]


@pytest.mark.parametrize("columns", transcripts.WIDTHS)
@pytest.mark.parametrize("name", transcripts.SCENES)
def test_a_terminal_shows_what_its_transcript_says(name, columns):
    committed = (transcripts.DIRECTORY / f"{name}.{columns}.txt").read_text("utf-8")
    shown = transcripts.transcript(transcripts.SCENES[name], columns)
    assert shown == committed, "update them with: python -m tests.cli.transcripts"


def test_there_is_no_transcript_of_a_scene_that_is_gone():
    names = {f"{name}.{columns}.txt" for name in transcripts.SCENES for columns in transcripts.WIDTHS}
    assert {file.name for file in transcripts.DIRECTORY.iterdir()} == names


@pytest.mark.parametrize("columns", transcripts.WIDTHS)
@pytest.mark.parametrize("name", WAY_BACK)
def test_the_way_back_is_one_line_without_the_token_which_is_shown_once(name, columns):
    text = (transcripts.DIRECTORY / f"{name}.{columns}.txt").read_text("utf-8")
    assert text.splitlines().count("  pagerduty-alerting connect -") == 1
    assert len(transcripts.ids_in(text)) == 1


@pytest.mark.parametrize("columns", transcripts.WIDTHS)
@pytest.mark.parametrize("name", transcripts.SCENES)
def test_lines_fit_unless_they_hold_what_must_not_be_broken(name, columns):
    text = (transcripts.DIRECTORY / f"{name}.{columns}.txt").read_text("utf-8")
    for line in text.splitlines()[1:]:
        assert len(line) <= columns or " " not in line.strip()

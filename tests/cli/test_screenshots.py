"""The pictures of the commands match the output of the commands and show no secret."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli import screenshots as taking


def words(svg: str) -> list[str]:
    """Returns the words of a picture, because its drawing differs between versions of rich."""
    return ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_the_committed_pictures_match_the_output_and_show_no_credential():
    committed = {file.stem: words(file.read_text("utf-8")) for file in taking.DIRECTORY.glob("*.svg")}
    taken = {name: words(svg) for name, svg in taking.screenshots()}
    assert taken == committed, "update them with: python -m tests.cli.screenshots"
    for said in taken.values():
        assert not re.search(r"(?<![\w-])[\w-]{40}(?![\w-])", "".join(said))


def test_the_console_session_in_the_readme_is_the_picture_as_text():
    readme = Path(__file__).parents[2] / "README.md"
    session = re.search(
        r"^```console\n(\$ pagerduty-alerting connect\n.*?)^```$", readme.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    shown = words((taking.DIRECTORY / "connect.svg").read_text("utf-8"))[1:]  # without the title of the window
    assert "".join(session[1].split()) == "".join("".join(shown).split())


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("one\r\ntwo\r\n", "one\ntwo"),
        ("wait 1\r\x1b[2Kwait 2\r\x1b[2Kdone\r\n", "done"),
        ("a\r\nb\r\x1b[2K\x1b[1A\x1b[2Kc\r\n", "c"),
        ("\x1b[?25l\x1b[1mbold\x1b[0m", "\x1b[1mbold\x1b[0m"),
    ],
)
def test_cleared_lines_are_not_in_the_picture(written, shown):
    assert taking.screen(written) == shown

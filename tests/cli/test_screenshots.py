"""The pictures of the README: that they can be taken, stay the same from run to run, and show no secret."""

import re
from xml.etree import ElementTree

import pytest

from tests.cli import screenshots as taking


def test_pictures_of_two_runs_are_the_same_and_hold_no_credential():
    first, second = dict(taking.screenshots()), dict(taking.screenshots())
    assert first == second
    for svg in first.values():
        ElementTree.fromstring(svg)
        assert not re.search(r"(?<![\w-])[\w-]{40}(?![\w-])", "".join(ElementTree.fromstring(svg).itertext()))


def test_there_is_a_picture_of_every_command():
    names = {path.stem for path in taking.DIRECTORY.glob("*.svg")}
    assert names >= {"services-list", "services-delete", "connect", "connect-waiting", "doctor", "emulator", "demo"}


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("one\r\ntwo\r\n", "one\ntwo"),
        ("wait 1\r\x1b[2Kwait 2\r\x1b[2Kdone\r\n", "done"),
        ("a\r\nb\r\x1b[2K\x1b[1A\x1b[2Kc\r\n", "c"),
        ("\x1b[?25l\x1b[1mbold\x1b[0m", "\x1b[1mbold\x1b[0m"),
    ],
)
def test_what_was_cleared_is_not_in_the_picture(written, shown):
    assert taking.screen(written) == shown

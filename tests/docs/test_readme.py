"""Every program in the README and the quick starts of the reference run unchanged, against the emulator.

The tests in the README run with those of the pytest plugin.
"""

import re
import textwrap
from collections.abc import Iterator

import pytest

import pagerduty_alerting
import pagerduty_alerting.emulator
from pagerduty_alerting.emulator import Emulator
from tests.support.examples import BLOCKS, README
from tests.support.scripts import script

PROGRAMS = [block for block in BLOCKS if "def test_" not in block]
QUICK_STARTS = [
    textwrap.dedent(found[1])
    for module in (pagerduty_alerting, pagerduty_alerting.emulator)
    if (found := re.search(r"^## Quick start\n\n((?:    .*\n|\n)+)", module.__doc__ or "", flags=re.MULTILINE))
]


@pytest.fixture
def api() -> Iterator[Emulator]:
    with Emulator() as api:
        api.add_service("Primary on-call")
        yield api


@pytest.mark.parametrize("program", PROGRAMS + QUICK_STARTS, ids=range(len(PROGRAMS + QUICK_STARTS)))
def test_a_program_runs_without_a_warning(program: str, api: Emulator) -> None:
    with script(program, api.environ, "-Werror", preamble="") as running:
        if "input()" in program:
            api.authorize(running.read_line().split()[-1], services=["Database"])
            running.write_line()
        status, _, errors = running.end()

    assert (status, errors) == (0, "")


def test_the_reference_has_two_quick_starts() -> None:
    assert [start.splitlines()[0] for start in QUICK_STARTS] == ["from pagerduty_alerting import Client"] * 2


def test_the_contents_link_to_every_section() -> None:
    text = README.read_text(encoding="utf-8")
    sections = re.findall(r"^## (.*)$", text, flags=re.MULTILINE)
    anchors = [re.sub(r"[^a-z -]", "", section.lower()).replace(" ", "-") for section in sections]

    assert re.findall(r"\[([^]]*)\]\(#([^)]*)\)", text) == list(zip(sections, anchors, strict=True))


@pytest.mark.parametrize("path", sorted(set(re.findall(r"examples/[\w./]+\w", README.read_text(encoding="utf-8")))))
def test_every_example_that_the_readme_names_exists(path: str) -> None:
    assert (README.parent / path).is_file()


def test_the_readme_shows_both_clients_and_the_emulator() -> None:
    text = "\n".join(BLOCKS)

    assert "AsyncClient()" in text
    assert "with Client(" in text
    assert "pagerduty_api: Emulator" in text


def test_the_readme_starts_with_the_two_commands_for_a_new_machine() -> None:
    shell = re.findall(r"^```shell\n(.*?)^```$", README.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)

    assert shell[0].splitlines() == [
        "pip install '.[cli]' && pagerduty-alerting demo",
        "pip install nox && nox -s tests",
    ]

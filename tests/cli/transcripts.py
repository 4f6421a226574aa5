"""Writes the output on terminals of 60 and 100 columns into the transcripts: `python -m tests.cli.transcripts`.

As for the screenshots, the real commands run on a pseudo-terminal, and what differs between runs is replaced.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from attrs import frozen

from pagerduty_alerting.emulator import Emulator, Operation
from tests.cli.screenshots import screen, steady
from tests.support.command_line import OnTerminal, on_terminal

DIRECTORY = Path(__file__).parent / "transcripts"
WIDTHS = (60, 100)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
NOTHING_LISTENS = "http://127.0.0.1:1"


@frozen
class Scene:
    """One command and what is done while it runs.

    Attributes:
        arguments: The arguments of the command.
        play: Acts like the user.
        settings: Changes to the environment of the emulator.
        without: Variables to leave out.
    """

    arguments: tuple[str, ...]
    play: Callable[[OnTerminal, Emulator], object] = lambda terminal, _: terminal.status()
    settings: Mapping[str, str] = {}
    without: tuple[str, ...] = ()


def _stop_by(stop: Callable[[OnTerminal], object]) -> Callable[[OnTerminal, Emulator], None]:
    def play(terminal: OnTerminal, _: Emulator) -> None:
        terminal.wait_for("not authorized in PagerDuty yet")
        stop(terminal)
        terminal.status()

    return play


def _stop_while_connecting(terminal: OnTerminal, api: Emulator) -> None:
    gate = api.on(Operation.CONNECT).hold()
    gate.wait_arrived()
    terminal.press_ctrl_c()
    terminal.status()


def _type_nothing(terminal: OnTerminal, _: Emulator) -> None:
    terminal.wait_for("(it is not shown):")
    terminal.type("\x04")
    terminal.status()


LATER = ("--poll-interval=1h",)
SCENES = {
    "connect-stopped": Scene(("connect", *LATER), _stop_by(OnTerminal.press_ctrl_c)),
    "connect-terminated": Scene(("connect", *LATER), _stop_by(OnTerminal.terminate)),
    "connect-too-late": Scene(("connect", "--wait-timeout=0s")),
    "connect-stopped-in-doubt": Scene(("connect", *LATER), _stop_while_connecting),
    "connect-no-wait": Scene(("connect", "--no-wait")),
    "connect-with-a-link": Scene(
        ("connect", "--no-wait"),
        settings={"PAGERDUTY_ALERTING_AUTHORIZE_URL": "https://pages.example/authorize?token={token}"},
    ),
    "doctor-without-settings": Scene(("doctor",), without=("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID")),
    "doctor-without-a-token": Scene(("doctor",), _type_nothing, without=("CLOUDFLARE_API_TOKEN",)),
    "all-settings-missing": Scene(("services", "list"), without=("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID")),
    "half-of-the-credentials": Scene(
        ("services", "list"), settings={"CLOUDFLARE_EMAIL": "someone@example.org"}, without=("CLOUDFLARE_API_TOKEN",)
    ),
    "nothing-listens": Scene(("services", "list", f"--base-url={NOTHING_LISTENS}")),
    "not-connected": Scene(("services", "list")),
}


def transcripts() -> Iterator[tuple[str, str]]:
    """Yields the file name and the text of each scene at each width."""
    for name, scene in SCENES.items():
        for columns in WIDTHS:
            yield f"{name}.{columns}.txt", transcript(scene, columns)


def transcript(scene: Scene, columns: int) -> str:
    """Returns the command and what the terminal shows at its end."""
    with Emulator() as api:
        settings = {name: value for name, value in api.environ.items() if name not in scene.without}
        with on_terminal(*scene.arguments, settings={**settings, **scene.settings}, columns=columns) as terminal:
            scene.play(terminal, api)
            shown = steady(screen(terminal.shown))
    return f"$ pagerduty-alerting {' '.join(scene.arguments)}\n{_COLOURS.sub('', shown)}\n"


def ids_in(text: str) -> list[str]:
    """Returns every occurrence of an id or token in a text."""
    return re.findall(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", text)


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for file, text in transcripts():
        (DIRECTORY / file).write_text(text, encoding="utf-8")

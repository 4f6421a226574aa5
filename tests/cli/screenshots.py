"""Takes the pictures of the commands: `python -m tests.cli.screenshots` writes examples/screenshots/*.svg.

The real commands run on a pseudo-terminal against an emulator. What differs between runs (ports, ids, times) is
replaced, so that a picture changes only when the output does. Ids and tokens in the pictures are made up.
"""

import hashlib
import io
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.text import Text

from pagerduty_alerting.emulator import Emulator, Operation, RateLimits
from tests.support.command_line import OnTerminal, on_terminal

COLUMNS = 100
DIRECTORY = Path(__file__).parents[2] / "examples" / "screenshots"

_STEADY = (
    (re.compile(r"(127\.0\.0\.1(?::|, port ))\d+"), r"\g<1>8787"),
    (re.compile(r"\d+\.\d+ ms"), "1.2 ms"),
    (re.compile(r"Tried \d+"), "Tried 3"),
    (re.compile(r"\b\d+:\d\d left"), "9:57 left"),
    (re.compile(r"\d+ of 1200 requests left, reset in \d+ s"), "1199 of 1200 requests left, reset in 300 s"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "2026-01-01T12:00:00Z"),
    (re.compile(r"(CLOUDFLARE_API_TOKEN=)\S+"), r"\g<1>an-emulated-token-that-opens-nothing-else"),
    (re.compile(r"[⠁-⣿]"), "⠹"),
)
_IDS = re.compile(r"(?<![0-9a-f])(?:[0-9a-f]{32}(?![0-9a-f])|[0-9a-f]{16}(?=-AMS))")
_WRITTEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")
_FONTS = re.compile(r"\s*@font-face\s*{[^}]*}")


def steady(text: str) -> str:
    """Returns output in which what differs between runs is replaced, ids in the order of their occurrence."""
    for pattern, replacement in _STEADY:
        text = pattern.sub(replacement, text)
    seen: dict[str, str] = {}

    def made_up(match: re.Match[str]) -> str:
        found = match[0]
        return seen.setdefault(found, hashlib.sha256(str(len(seen)).encode()).hexdigest()[: len(found)])

    return _IDS.sub(made_up, text)


def screen(written: str) -> str:
    """Returns what a terminal shows at the end, without lines that were cleared and written again."""
    lines, row = [""], 0
    for parameters, command, carriage_return, line_feed, text in _WRITTEN.findall(written):
        if text or command == "m":
            lines[row] += text or f"\x1b[{parameters}m"
        elif command == "A":
            row = max(0, row - int(parameters or 1))
        elif command == "K":
            lines[row] = ""
        elif line_feed:
            row += 1
            lines += [""] * (row == len(lines))
        elif carriage_return:
            pass  # what follows is a line feed, or a command that clears the line
    return "\n".join(lines).rstrip()


def picture(name: str, command: str, shown: str) -> str:
    """Returns the screen below its command as SVG, without fonts from the network."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.assemble(("$ ", "bold green"), (command, "bold")), soft_wrap=True)
    console.print(Text.from_ansi(shown))
    return _FONTS.sub("", console.export_svg(title="pagerduty-alerting", unique_id=f"screenshot-{name}"))


def screenshots() -> Iterator[tuple[str, str]]:
    """Yields the name and the picture of each command."""
    for name, arguments, play in (
        ("help", ("--help",), _wait_for_the_end),
        ("services-list", ("services", "list"), _wait_for_the_end),
        ("services-delete", ("services", "delete"), _confirm),
        ("connect-waiting", ("connect",), _wait),
        ("connect", ("connect", "--poll-interval=100ms"), _authorize),
        ("doctor", ("doctor",), _wait_for_the_end),
        ("error", ("services", "list"), _wait_for_the_end),
        ("emulator", ("emulator", "--port=0"), _request_and_stop),
        ("demo", ("demo",), _wait_for_the_end),
    ):
        with _prepared(name) as api:
            settings = api.environ if name != "error" else {**api.environ, "CLOUDFLARE_API_TOKEN": "mistyped"}
            with on_terminal(*arguments, settings=settings, columns=COLUMNS) as terminal:
                play(terminal, api)
                shown = steady(screen(terminal.shown))
        shown_arguments = [argument for argument in arguments if not argument.startswith(("--poll", "--port"))]
        yield name, picture(name, " ".join(["pagerduty-alerting", *shown_arguments]), shown)


Play = Callable[[OnTerminal, Emulator], None]


@contextmanager
def _prepared(name: str) -> Iterator[Emulator]:
    with Emulator(rate_limits=RateLimits()) as api:
        if not name.startswith("connect"):
            api.add_service("Primary on-call")
            api.add_service("Database")
        yield api


def _wait_for_the_end(terminal: OnTerminal, _: Emulator) -> None:
    terminal.status()


def _confirm(terminal: OnTerminal, _: Emulator) -> None:
    terminal.wait_for("[y/N]")
    terminal.type("y\n")
    terminal.status()


def _wait(terminal: OnTerminal, _: Emulator) -> None:
    terminal.wait_for("not authorized in PagerDuty yet.")


def _authorize(terminal: OnTerminal, api: Emulator) -> None:
    gate = api.on(Operation.CONNECT).skip(1).once().hold()
    gate.wait_arrived()
    (token,) = api.tokens()
    api.authorize(token, services=["Primary on-call", "Database"])
    gate.release()
    terminal.status()


def _request_and_stop(terminal: OnTerminal, _: Emulator) -> None:
    terminal.wait_for("CLOUDFLARE_BASE_URL=")
    settings = dict(re.findall(r"export (\w+)='?([^\s']+)", terminal.text))
    for arguments in (("services", "list"), ("connect", "--no-wait")):
        with on_terminal(*arguments, settings=settings) as other:
            other.status()
    terminal.wait_for(" POST ")
    terminal.process.send_signal(signal.SIGTERM)
    terminal.status()


def main(directory: Path) -> None:
    """Writes all pictures into a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, svg in screenshots():
        (directory / f"{name}.svg").write_text(svg, encoding="utf-8")
        print(directory / f"{name}.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DIRECTORY)

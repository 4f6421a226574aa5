"""The output streams: results go to stdout, everything else to stderr, as text, paragraphs or JSON."""

import contextlib
import errno
import io
import json
import logging
import re
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Self, TextIO

from attrs import frozen
from rich.console import Console, RenderableType
from rich.text import Text

if TYPE_CHECKING:
    from rich.live import Live

_COMMAND = re.compile(r"`[^`]*`")
_UNBREAKABLE = "\0"


class _Console(Console):
    """Raises an exception for a closed pipe, where rich would exit with status 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, "the reader has closed the pipe")


@frozen
class Stream:
    """One of the two output streams."""

    console: Console
    is_terminal: bool
    is_unicode: bool  # its encoding has all characters

    @classmethod
    def of(cls, file: TextIO) -> Self:
        """Returns the stream for a text file."""
        encoding = (file.encoding or "ascii").lower()
        console = _Console(file=file, highlight=False, markup=False, emoji=False)
        return cls(console, file.isatty(), encoding.startswith("utf"))

    @property
    def ok(self) -> str:
        """The mark of a success."""
        return "✓" if self.is_unicode else "ok"

    @property
    def wrong(self) -> str:
        """The mark of a failure."""
        return "✗" if self.is_unicode else "FAILED"

    @property
    def arrow(self) -> str:
        """The arrow before a result or advice."""
        return "→" if self.is_unicode else "->"

    def line(self, *parts: str | tuple[str, str]) -> None:
        """Writes one line of text, or of pairs of text and style; it is neither wrapped nor cut."""
        self.console.print(Text.assemble(*parts), soft_wrap=True)

    def paragraph(self, text: str, style: str = "", *, lead: tuple[str, str] = ("", ""), indent: int = 0) -> None:
        """Writes text, wrapped at words on a terminal and as one line elsewhere.

        `lead` is a mark before the text, and its style: the lines after the first are indented. `indent` spaces precede
        all lines.
        """
        mark, mark_style = lead
        margin = " " * indent
        hanging = margin + "  " * bool(mark or indent)
        text = f"{mark} {text}" if mark else text
        if self.is_terminal:
            # A command in backticks stays on one line, so that it can be copied.
            text = textwrap.fill(
                _COMMAND.sub(lambda command: command[0].replace(" ", _UNBREAKABLE), text),
                max(self.console.width, 2 * len(hanging)),
                initial_indent=margin,
                subsequent_indent=hanging,
                break_long_words=False,
                break_on_hyphens=False,
            ).replace(_UNBREAKABLE, " ")
        else:
            text = margin + text
        styled = Text(text, style)
        styled.stylize(mark_style, indent, indent + len(mark))
        self.console.print(styled, soft_wrap=True)

    def end_line(self) -> None:
        """Ends the current line on a terminal, after Ctrl-C or Ctrl-D."""
        if self.is_terminal:
            self.line()

    def raw(self, text: str) -> None:
        """Writes text unchanged, for example with tabs."""
        self.console.file.write(f"{text}\n")

    def json(self, value: object, *, indent: int | None = None) -> None:
        """Writes a value as JSON that is safe on a terminal, on one line unless an indent is given."""
        text = json.dumps(value, indent=indent, ensure_ascii=not self.is_unicode)
        # JSON does not escape some control characters, such as U+009B, which starts terminal commands.
        safe = (it if it.isprintable() or it == "\n" else json.dumps(it)[1:-1] for it in text)
        self.raw("".join(safe))
        self.console.file.flush()

    def live(self, get_renderable: Callable[[], RenderableType]) -> "Live":
        """Returns a context manager that shows a renderable on a terminal, made anew four times a second."""
        from rich.live import Live  # slow to import, and only needed while something is awaited

        return Live(
            get_renderable=get_renderable,
            console=self.console,
            transient=True,
            refresh_per_second=4,
            redirect_stdout=False,
            redirect_stderr=False,
        )


@frozen
class Terminal:
    """Both output streams."""

    out: Stream  # for results
    err: Stream  # for progress, questions, warnings and errors
    as_json: bool = False  # errors and warnings are JSON, one object per line

    @classmethod
    def of_process(cls, *, as_json: bool = False) -> Self:
        """Returns the streams of this process, set to escape characters that their encoding lacks."""
        for name in ("stdout", "stderr"):
            file = getattr(sys, name)
            if file is None:  # closed before the start, as by `>&-`
                setattr(sys, name, io.StringIO())
            elif isinstance(file, io.TextIOWrapper):
                file.reconfigure(errors="backslashreplace")
        return cls(Stream.of(sys.stdout), Stream.of(sys.stderr), as_json)

    def warn(self, text: str) -> None:
        """Writes a warning."""
        if self.as_json:
            self.err.json({"warning": text})
        else:
            self.err.paragraph(f"Warning: {text}", "yellow")


class _LogOnStream(logging.Handler):
    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        self._stream.line((f"{record.levelname.lower()}: {printable(record.getMessage())}", "dim"))


@contextlib.contextmanager
def show_log(stream: Stream, *, wanted: bool) -> Generator[None]:
    """Writes the library's log to a stream in this context, if `wanted`."""
    if not wanted:
        yield
        return
    logger, handler = logging.getLogger("pagerduty_alerting"), _LogOnStream(stream)
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)


_JOINERS = "\u200c\u200d"  # format characters that some scripts need, and that do no harm


def printable(text: str) -> str:
    """Returns text with control characters and line breaks escaped, so that it cannot command a terminal."""
    if text.isprintable():
        return text
    return "".join(
        it
        if it.isprintable() or it in _JOINERS or unicodedata.category(it) == "Zs"
        else it.encode("unicode_escape").decode("ascii")
        for it in text
    )

"""A forked program behaves like one in a new interpreter."""

import re

import pytest

from tests.support.scripts import End, script

PROGRAMS = {
    "it is the main module": "say(__name__, sys.modules[__name__].say is say, sys.argv)",
    "its error has a traceback": "def fail(): 1 / 0\nfail()",
    "it exits with a status": "sys.exit(3)",
    "it exits with a text": "sys.exit('no')",
    "its exit handlers run after its threads": (
        "import atexit, threading\n"
        "atexit.register(say, 'exit')\n"
        "threading.Thread(target=lambda: say('thread', repr(sys.stdin.readline()))).start()"
    ),
    "it causes a deprecation warning": "import warnings\nwarnings.warn('old', DeprecationWarning)",
    "it leaves a file open": "import os\nopen(os.devnull)",
    "its text is Unicode": "sys.stdout.write('ü €')\nsys.stderr.write('ü €')",
    "it has the default signal handlers": "say(signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))",
}


def end_of(source: str, *options: str, is_fresh: bool, **settings: str) -> End:
    with script(source, settings, *options, is_fresh=is_fresh) as running:
        end = running.end()
    # From 3.13 on, a traceback shows the lines of a program passed with `-c`.
    return end._replace(errors=re.sub(r"^  +(?!File).*\n", "", end.errors, flags=re.MULTILINE))


@pytest.mark.parametrize("options", [(), ("-Werror",), ("-Wignore::DeprecationWarning",)], ids=" ".join)
@pytest.mark.parametrize("source", PROGRAMS.values(), ids=PROGRAMS)
def test_a_forked_program_ends_like_one_in_a_new_interpreter(source: str, options: tuple[str, ...]) -> None:
    assert end_of(source, *options, is_fresh=False) == end_of(source, *options, is_fresh=True)


@pytest.mark.parametrize("program", ["print('é')", "print('é', file=sys.stderr)", "say(sys.stdin.encoding)"])
def test_a_forked_program_has_the_encoding_of_its_environment(program: str) -> None:
    forked, fresh = (end_of(program, is_fresh=is_fresh, PYTHONIOENCODING="ascii") for is_fresh in (False, True))
    assert forked == fresh

"""Help, version and completion, and that the start imports few modules."""

import re
import subprocess
import sys

import pytest

import pagerduty_alerting
from tests.support.command_line import on_terminal, run
from tests.support.scripts import PATIENCE, environment

COMMANDS = [
    (),
    ("services",),
    ("services", "list"),
    ("services", "delete"),
    ("connect",),
    ("doctor",),
    ("audit",),
    ("emulator",),
    ("demo",),
]


def python(code: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "none")
def test_every_command_has_a_help_text(command):
    ran = run(*command, "--help", settings={})
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith(f"Usage: pagerduty-alerting {' '.join(command)}".strip())


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command) or "none")
def test_help_shows_no_python_types(command):
    assert re.findall(r"<[a-z ]+>", run(*command, "--help", settings={}).out) == []


def test_the_package_can_be_run_as_a_module():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pagerduty_alerting", "services", "--help"],
        env=environment({}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: pagerduty-alerting services")


def test_the_version_is_shown():
    ran = run("--version", settings={})
    assert (ran.status, ran.out, ran.err) == (0, f"pagerduty-alerting {pagerduty_alerting.__version__}\n", "")


IN_ONE_PROCESS = (
    "import sys\n"
    "from pagerduty_alerting.cli import main\n"
    "for sys.argv[1:] in {}:\n"
    "    try: main()\n"
    "    except SystemExit as end: assert not end.code\n"
)


def test_version_and_help_load_no_slow_modules():
    code = (
        IN_ONE_PROCESS.format([["--version"], ["--help"], ["connect", "--help"]])
        + "slow = {'aiohttp', 'asyncio', 'attrs', 'cattrs', 'orjson', 'rich'}\n"
        "print(sorted(slow & {name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    assert python(code).stderr == "[]\n"


def test_commands_do_not_import_pydantic(api):
    """If this fails, typer calls its conversion in another way: see `_skip_needless_conversion`."""
    commands = [["services", "list"], ["connect", "--dry-run"], ["doctor"]]
    done = python(IN_ONE_PROCESS.format(commands) + "print('pydantic' in sys.modules)", **api.environ)
    assert (done.stdout.splitlines()[-1:], done.returncode) == (["False"], 0)


def test_without_the_extra_one_line_says_what_to_install():
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name in {'typer', 'rich'}: raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import importlib.util as util; found = util.find_spec\n"
        "util.find_spec = lambda name: None if name in {'typer', 'rich'} else found(name)\n"
        "from pagerduty_alerting.cli import main; main()"
    )
    done = python(code)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "pip install '.[cli]'" in done.stderr


@pytest.mark.parametrize("module", ["typer", "pagerduty_alerting.cli.app", "aiohttp"])
def test_ctrl_c_during_the_start_shows_no_traceback(module):
    code = (
        "import signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from pagerduty_alerting.cli import main; sys.argv[1:] = ['services', 'list']; main()"
    )
    done = python(code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_shown_for_each_shell(shell):
    ran = run("--show-completion", shell, settings={"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"})
    assert ran.status == 0
    assert "_PAGERDUTY_ALERTING_COMPLETE" in ran.out


def test_completion_lists_the_commands():
    words = {"COMP_WORDS": "pagerduty-alerting se", "COMP_CWORD": "1", "_PAGERDUTY_ALERTING_COMPLETE": "complete_bash"}
    ran = run(settings=words)
    assert (ran.status, ran.out.split()) == (0, ["services"])


def test_help_fits_a_narrow_terminal():
    with on_terminal("connect", "--help", settings={}, columns=50) as terminal:
        assert terminal.status() == 0
    assert max(len(line) for line in terminal.text.splitlines()) <= 50

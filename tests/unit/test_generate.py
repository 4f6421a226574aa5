"""The generator of sync.py: its output is up to date and free of lint, and both clients have the same interface."""

import ast
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pagerduty_alerting
from pagerduty_alerting import AsyncClient, AsyncClientWithResponse, Client, ClientWithResponse

GENERATOR = Path(pagerduty_alerting.__path__[0]) / "_generate.py"
if not GENERATOR.exists():
    pytest.skip("an installed package has no generator", allow_module_level=True)

pytest.importorskip("ruff")
generator = importlib.import_module("pagerduty_alerting._generate")

PAIRS = [(AsyncClient, Client), (AsyncClientWithResponse, ClientWithResponse)]

SOURCE = generator.SOURCE.read_text(encoding="utf-8")


# The text. The drift check compares it; the linter and the type checkers read it like any other module.


def test_the_facade_contains_nothing_asynchronous() -> None:
    kinds = {type(node) for node in ast.walk(ast.parse(generator.generate(SOURCE)))}
    assert not kinds & {ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await}


def test_a_passage_that_is_no_longer_in_the_source_is_an_error() -> None:
    with pytest.raises(ValueError, match="client.py no longer contains"):
        generator.generate(SOURCE.replace("for asynchronous code", "for coroutines"))


@pytest.mark.parametrize("parameters", ["token, /", "*tokens", "**tokens"])
def test_a_parameter_that_cannot_be_passed_on_by_name_is_an_error(parameters: str) -> None:
    owner = "class AsyncClientWithResponse:\n"
    method = f"    async def added(self, {parameters}):\n        return 1\n"
    with pytest.raises(ValueError, match=re.escape(parameters)):
        generator.generate(SOURCE.replace(owner, owner + method))


# The command.


@pytest.fixture
def stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    target = tmp_path / "sync.py"
    monkeypatch.setattr(generator, "TARGET", target)
    return target


def test_the_check_fails_if_the_facade_is_missing_or_out_of_date(
    stale: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generator.main(["--check"]) == 1
    stale.write_text("# edited by hand\n", encoding="utf-8")
    assert generator.main(["--check"]) == 1
    assert "sync.py is out of date with client.py" in capsys.readouterr().err
    assert stale.read_text(encoding="utf-8") == "# edited by hand\n"


def test_a_generated_facade_passes_the_check(stale: Path) -> None:
    assert generator.main([]) == 0
    assert generator.main(["--check"]) == 0


def test_the_command_checks_the_checkout() -> None:
    command = [sys.executable, "-m", "pagerduty_alerting._generate", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


# The two clients side by side.

RENAMED = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}


def public(cls: type) -> dict[str, Any]:
    """Returns the public members of a class by name, with the special ones that it defines itself."""
    ours = {"__init__", "__aenter__", "__aexit__", "__enter__", "__exit__", "__repr__", "__reduce__"}
    return {name: member for name, member in vars(cls).items() if not name.startswith("_") or name in ours}


FACADE_NAMES = [
    (r"\bAsync(Client\w*)", r"\1"),
    (r"\basync (with|for) ", r"\1 "),
    (r"\bawait ", ""),
    (r" \| collections\.abc\.AsyncIterable\[str\]", ""),
    (r"\bAsyncGenerator\[(.+), None\]$", r"Iterator[\1]"),
]


def as_for_the_facade(text: str) -> str:
    for pattern, replacement in FACADE_NAMES:
        text = re.sub(pattern, replacement, text)
    return text


@pytest.mark.parametrize(("asynchronous", "facade"), PAIRS)
def test_the_facade_has_the_same_members_under_its_own_names(asynchronous: type, facade: type) -> None:
    assert [RENAMED.get(name, name) for name in public(asynchronous)] == list(public(facade))


def members() -> list[Any]:
    return [
        pytest.param(asynchronous, facade, name, id=f"{facade.__name__}.{RENAMED.get(name, name)}")
        for asynchronous, facade in PAIRS
        for name in public(asynchronous)
        if not (facade is ClientWithResponse and name == "__init__")
    ]


def function(cls: type, name: str) -> Callable[..., Any]:
    member = vars(cls)[name]
    found: Callable[..., Any] = member.fget if isinstance(member, property) else member
    return found


@pytest.mark.parametrize(("asynchronous", "facade", "name"), members())
def test_each_pair_of_methods_has_the_same_signature(asynchronous: type, facade: type, name: str) -> None:
    expected = inspect.signature(function(asynchronous, name))
    parameters = [parameter for parameter in expected.parameters.values() if parameter.name != "session"]
    expected = expected.replace(parameters=parameters)
    found = inspect.signature(function(facade, RENAMED.get(name, name)))
    assert str(found) == as_for_the_facade(str(expected))


@pytest.mark.parametrize(("asynchronous", "facade", "name"), members())
def test_each_pair_of_methods_has_the_same_docstring(asynchronous: type, facade: type, name: str) -> None:
    text = inspect.getdoc(function(asynchronous, name)) or ""
    for passage, replacement in generator.PASSAGES.items():
        text = text.replace(passage, replacement)
    assert (inspect.getdoc(function(facade, RENAMED.get(name, name))) or "") == as_for_the_facade(text)


def test_session_is_the_only_argument_that_the_facade_lacks() -> None:
    theirs = set(inspect.signature(AsyncClient).parameters)
    ours = set(inspect.signature(Client).parameters)
    assert theirs - ours == {"session"}
    assert ours <= theirs


def test_the_docstring_of_the_facade_documents_each_of_its_arguments_and_no_other() -> None:
    for cls in (AsyncClient, Client):
        documented = re.findall(r"^    (\w+): ", inspect.getdoc(cls) or "", re.MULTILINE)
        arguments = [name for name in documented if not name.endswith("Error")]
        assert arguments == list(inspect.signature(cls).parameters)

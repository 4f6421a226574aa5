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

SYNTHETIC = '''"""A client with features that the package does not use yet."""

import functools
import ssl
from collections.abc import AsyncGenerator, Sequence
from typing import Generic, Literal

import aiohttp

from pagerduty_alerting._call import Core
from pagerduty_alerting.models import Envelope, Response, Service

__all__ = ["AsyncClient", "AsyncClientWithResponse"]


class AsyncClient:
    """A client, {for}

    Args:
        api_token: The token.
        session: A session
            of two lines.
        pages: How many.
    """

    limit = 7

    def __init__(
        self,
        *,
        api_token: str | None = None,
        session: aiohttp.ClientSession | None = None,
        pages: int = 10,
    ) -> None:
        self._core = Core(api_token, session, pages)

    async def first(self, position: int, /, name: str = "x", *, timeout: float | None = None) -> Service:
        """Awaits `AsyncClient.second` like `await client.second()`."""
        return await self._core.call(position, name)

    async def undocumented(self):
        return await self._core.call()

    async def variadic(self, *names: str, timeout: float | None = None, **options: bool) -> list[Service]:
        """Takes any number of names and options."""
        if not names:  # checked in the frame of the caller
            names = ("all",)
        return await self._core.call(names, timeout, options)

    @functools.cache
    async def decorated(self, mode: Literal["a", "b"] = "a") -> Envelope[None]:
        """Has a decorator and a default that is a string."""
        return await self._core.call(mode)

    def iterate_services(self, *, account_id: str | None = None) -> AsyncGenerator[Service, None]:
        """Iterates: `async for service in client.iterate_services()`."""
        return self._core.iterate(account_id)

    async def generate_services(self) -> AsyncGenerator[list[Service], None]:
        """Yields pages of services."""
        yield []

    @property
    def is_open(self) -> bool:
        """Is read from the asynchronous client."""
        return self._core.is_open

    @property
    def with_response(self) -> "AsyncClientWithResponse":
        """The other half."""
        return AsyncClientWithResponse(self._core)

    def with_options(self, *, pages: int | None = None) -> "AsyncClient":
        """Another client."""
        return self

    async def aclose(self) -> None:
        """Closes: {closing}"""
        await self._core.aclose()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return "<AsyncClient>"

    def __len__(self) -> int:
        pages = 1
        return pages + 1

    async def _private(self) -> None:
        """Is not for others."""


class AsyncClientWithResponse:
    """The operations of `AsyncClient`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def first(self, position: int) -> Response[Service]:
        """As `AsyncClient.first`."""
        return await self._core.call(position)


def _function(value: str) -> str:
    return value
'''


def synthetic_source() -> str:
    _, for_code, closing = generator.PASSAGES
    return SYNTHETIC.replace("{for}", for_code).replace("{closing}", closing)


@pytest.fixture(scope="module")
def synthetic() -> str:
    text: str = generator.generate(synthetic_source())
    return text


def body_of(source: str, name: str) -> ast.FunctionDef:
    (found,) = [
        node
        for owner in ast.parse(source).body
        if isinstance(owner, ast.ClassDef) and owner.name == "Client"
        for node in owner.body
        if isinstance(node, ast.FunctionDef) and node.name == name
    ]
    return found


def generated(source: str, name: str) -> list[str]:
    """Returns the signature and the statements of a generated method, without its docstring."""
    found = body_of(source, name)
    statements = found.body[1:] if ast.get_docstring(found) else found.body
    returns = f" -> {ast.unparse(found.returns)}" if found.returns else ""
    return [f"{name}({ast.unparse(found.args)}){returns}", *map(ast.unparse, statements)]


def test_sync_py_is_up_to_date() -> None:
    source = generator.SOURCE.read_text(encoding="utf-8")
    assert generator.TARGET.read_text(encoding="utf-8") == generator.generate(source)


def test_the_generated_module_passes_the_linter() -> None:
    command = [sys.executable, "-m", "ruff", "check", str(generator.TARGET)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def test_the_facade_says_that_it_is_generated(synthetic: str) -> None:
    assert synthetic.startswith('"""The synchronous client')
    assert "GENERATED from client.py by _generate.py: do not edit" in synthetic.splitlines()[0]


def test_the_facade_contains_nothing_asynchronous(synthetic: str) -> None:
    tree = ast.parse(synthetic)
    kinds = {type(node) for node in ast.walk(tree)}
    assert not kinds & {ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await}
    assert "__all__ = ['Client', 'ClientWithResponse']" in [ast.unparse(node) for node in tree.body]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "first",
            [
                "first(self, position: int, /, name: str='x', *, timeout: float | None=None) -> Service",
                "return self._runner.run(self._async.first(position, name, timeout=timeout))",
            ],
        ),
        ("undocumented", ["undocumented(self)", "return self._runner.run(self._async.undocumented())"]),
        (
            "decorated",
            [
                "decorated(self, mode: Literal['a', 'b']='a') -> Envelope[None]",
                "return self._runner.run(self._async.decorated(mode))",
            ],
        ),
        (
            "iterate_services",
            [
                "iterate_services(self, *, account_id: str | None=None) -> Iterator[Service]",
                "return self._runner.iterate(self._async.iterate_services(account_id=account_id))",
            ],
        ),
        (
            "generate_services",
            [
                "generate_services(self) -> Iterator[list[Service]]",
                "return self._runner.iterate(self._async.generate_services())",
            ],
        ),
        ("is_open", ["is_open(self) -> bool", "return self._async.is_open"]),
        (
            "with_options",
            [
                "with_options(self, *, pages: int | None=None) -> 'Client'",
                "changed = object.__new__(Client)",
                "changed._async = self._async.with_options(pages=pages)",
                "changed._runner = self._runner",
                "return changed",
            ],
        ),
        (
            "with_response",
            [
                "with_response(self) -> 'ClientWithResponse'",
                "return ClientWithResponse(self._async.with_response, self._runner)",
            ],
        ),
        (
            "__init__",
            [
                "__init__(self, *, api_token: str | None=None, pages: int=10) -> None",
                (
                    "try:\n    self._async = AsyncClient(api_token=api_token, pages=pages)\n"
                    "finally:\n    del api_token, api_key, headers, proxy"
                ),
                "self._runner = LoopRunner(self._async.aclose)",
            ],
        ),
        (
            "variadic",
            [
                "variadic(self, *names: str, timeout: float | None=None, **options: bool) -> list[Service]",
                "if not names:\n    names = ('all',)",
                "return self._runner.run(self._async.variadic(*names, timeout=timeout, **options))",
            ],
        ),
        ("__exit__", ["__exit__(self, *_: object) -> None", "self.close()"]),
        ("close", ["close(self) -> None", "self._runner.close()"]),
        ("__enter__", ["__enter__(self) -> 'Client'", "self._runner.check_open()", "return self"]),
        (
            "__repr__",
            [
                "__repr__(self) -> str",
                "return repr(getattr(self, '_async', AsyncClient)).replace('AsyncClient', 'Client', 1)",
            ],
        ),
        ("__len__", ["__len__(self) -> int", "pages = 1", "return pages + 1"]),
    ],
)
def test_each_kind_of_method_has_its_signature_and_its_body(synthetic: str, name: str, expected: list[str]) -> None:
    assert generated(synthetic, name) == expected


def test_decorators_are_kept(synthetic: str) -> None:
    assert "    @functools.cache\n    def decorated(" in synthetic
    assert "    @property\n    def with_response(" in synthetic


def test_only_what_the_facade_uses_is_imported(synthetic: str) -> None:
    imports = [ast.unparse(node) for node in ast.parse(synthetic).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imports == [
        "import functools",
        "from collections.abc import Iterator",
        "from typing import Literal",
        "from pagerduty_alerting._loop.runner import LoopRunner",
        "from pagerduty_alerting.client import AsyncClient, AsyncClientWithResponse",
        "from pagerduty_alerting.models import Envelope, Response, Service",
    ]


def test_docstrings_use_the_names_of_the_facade(synthetic: str) -> None:
    assert ast.get_docstring(body_of(synthetic, "first")) == "Awaits `Client.second` like `client.second()`."
    doc = ast.get_docstring(body_of(synthetic, "iterate_services"))
    assert doc == "Iterates: `for service in client.iterate_services()`."


def test_a_dropped_argument_is_dropped_from_the_docstring_with_all_its_lines(synthetic: str) -> None:
    (client,) = [n for n in ast.parse(synthetic).body if isinstance(n, ast.ClassDef) and n.name == "Client"]
    assert (ast.get_docstring(client) or "").endswith("Args:\n    api_token: The token.\n    pages: How many.")


def test_private_members_are_not_copied(synthetic: str) -> None:
    assert "_private" not in synthetic
    assert "_function" not in synthetic


def test_a_passage_that_is_no_longer_in_the_source_is_an_error() -> None:
    with pytest.raises(ValueError, match="client.py no longer contains"):
        generator.generate(SYNTHETIC)


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

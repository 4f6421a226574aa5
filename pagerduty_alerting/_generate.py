"""Writes sync.py from client.py: `python -m pagerduty_alerting._generate`, or with `--check` only compares them.

The facade has the names, signatures and docstrings of the asynchronous client; each method runs its coroutine with a
`LoopRunner`. This file transforms the syntax tree; ruff sorts the imports and formats. It reads the package as text and
must not import it.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent
SOURCE = PACKAGE / "client.py"
TARGET = PACKAGE / "sync.py"

# The docstring, and the imports that client.py does not have.
HEADER = '''\
"""The synchronous client, for code without an event loop. GENERATED from client.py by _generate.py: do not edit."""

from collections.abc import Iterator
from pagerduty_alerting._loop.runner import LoopRunner
from pagerduty_alerting._loop.sync_call import callers_items
from pagerduty_alerting.client import AsyncClient, AsyncClientWithResponse
'''

METHOD_NAMES = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}

# Replacements in the whole text, in this order.
WORDS = [
    # An aiohttp session belongs to the caller's event loop, and callers of the facade have none.
    (r"\n        session: .*(?:\n            .*)*", ""),
    (r"\bAsyncClientWithResponse\b", "ClientWithResponse"),
    (r"\bAsyncClient\b", "Client"),
    (r"\bAsyncGenerator\[(.+), None\]", r"Iterator[\1]"),
    (r" \| AsyncIterable\[\w+\]", ""),
    (r"\basync (with|for)\b", r"\1"),
    (r"\bawait ", ""),
]

# Passages that differ in the facade, most of them in docstrings.
PASSAGES = {
    "def __init__(self, core: Core) -> None:": (
        "def __init__(self, client: AsyncClientWithResponse, runner: LoopRunner) -> None:"
    ),
    """for asynchronous code.

    Connections are opened by the first call. From then on the client belongs to the event loop of that call, until the
    client or the loop is closed. Any number of calls may run at the same time.
""": """for synchronous code.

    Any number of threads may share one client: their calls overlap and use the same connections. There is no background
    thread; the threads that make calls drive the event loop. The client also works where a loop is already running,
    such as in a notebook, and after a fork.
""",
    "calls in progress raise `ClientClosedError`, a caller's session stays open.": (
        "calls in progress in other threads raise `ClientClosedError`."
    ),
}

# The bodies of methods with a special body, followed by the body for each kind of method.
BODIES = {
    "Client.__init__": """
try:
    self._async = AsyncClient({arguments})
finally:
    del api_token, api_key, headers, proxy
self._runner = LoopRunner(self._async.aclose)
""",
    "ClientWithResponse.__init__": "self._async = client; self._runner = runner",
    "Client.aclose": "self._runner.close()",
    "Client.__aenter__": "self._runner.check_open(); return self",
    "Client.__aexit__": "self.close()",
    "Client.__repr__": "return repr(getattr(self, '_async', AsyncClient)).replace('AsyncClient', 'Client', 1)",
    "Client.is_closed": "return self._runner.is_closed",
    "Client.with_response": "return ClientWithResponse(self._async.with_response, self._runner)",
    "Client.with_options": (
        "changed = object.__new__(Client); changed._async = self._async.with_options({arguments});"
        " changed._runner = self._runner; return changed"
    ),
}
ITERATE = "return self._runner.iterate(self._async.{name}({arguments}))"
RUN = "return self._runner.run(self._async.{name}({arguments}))"
READ = "return self._async.{name}"

Method = ast.FunctionDef | ast.AsyncFunctionDef


def generate(source: str) -> str:
    """Returns the text of sync.py for the text of client.py.

    Raises:
        ValueError: A passage to replace is no longer in the source, or has a parameter that cannot be passed on.
    """
    missing = [passage for passage in PASSAGES if passage not in source]
    if missing:
        raise ValueError(f"client.py no longer contains: {missing}")
    tree = ast.parse(_replace_text(source))
    kept = [node for node in tree.body[1:] if not isinstance(node, ast.FunctionDef)]
    for node in kept:
        if isinstance(node, ast.ClassDef):
            methods = [_method(node.name, method) for method in node.body if isinstance(method, Method)]
            node.body = [*node.body[:1], *methods]
    text = HEADER + ast.unparse(ast.Module(kept, []))
    for command in ("check --fix --quiet --select=F401", "check --fix --quiet --select=I", "format"):
        text = _ruff(*command.split(), source=text)
    return text


def _replace_text(text: str) -> str:
    for pattern, replacement in WORDS:
        text = re.sub(pattern, replacement, text)
    for passage, replacement in PASSAGES.items():
        text = text.replace(passage, replacement)
    return text


def _method(owner: str, node: Method) -> ast.FunctionDef:
    """Returns a method of the facade: the same signature and docstring, with another body."""
    docstring = node.body[:1] if ast.get_docstring(node) else []
    body = _body(owner, node, node.body[len(docstring) :])
    name = METHOD_NAMES.get(node.name, node.name)
    return ast.FunctionDef(name, node.args, [*docstring, *body], node.decorator_list, node.returns, lineno=0)


def _body(owner: str, node: Method, statements: list[ast.stmt]) -> list[ast.stmt]:
    kept: list[ast.stmt] = []
    if special := BODIES.get(f"{owner}.{node.name}"):
        template = special
    elif node.returns and ast.unparse(node.returns).startswith("Iterator["):
        template = ITERATE
    elif isinstance(node, ast.AsyncFunctionDef):
        template, kept = RUN, statements[:-1]  # the facade prepares the arguments as the client does
    elif "property" in map(ast.unparse, node.decorator_list):
        template = READ
    else:
        return statements
    return [*kept, *ast.parse(template.format(name=node.name, arguments=_passed_on(node.args))).body]


def _passed_on(arguments: ast.arguments) -> str:
    """Returns the arguments of a call that passes each parameter on."""
    if arguments.posonlyargs or arguments.vararg or arguments.kwarg:
        raise ValueError(f"client.py has parameters that cannot be passed on by name: {ast.unparse(arguments)}")
    passed = [_handed_over(argument) for argument in arguments.args[1:]]
    return ", ".join(passed + [f"{argument.arg}={argument.arg}" for argument in arguments.kwonlyargs])


def _handed_over(argument: ast.arg) -> str:
    is_iterable = argument.annotation is not None and ast.unparse(argument.annotation).startswith("Iterable[")
    return f"callers_items({argument.arg})" if is_iterable else argument.arg


def _ruff(*arguments: str, source: str) -> str:
    command = [sys.executable, "-m", "ruff", *arguments, "--stdin-filename", str(TARGET), "-"]
    done = subprocess.run(command, input=source, stdout=subprocess.PIPE, encoding="utf-8", check=True)  # noqa: S603  # a fixed command
    return done.stdout


def main(arguments: list[str]) -> int:
    """Writes sync.py, or with `--check` compares it with the generated text. Returns the exit status."""
    text = generate(SOURCE.read_text(encoding="utf-8"))
    if "--check" not in arguments:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write("sync.py is out of date with client.py: run `nox -s generate`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

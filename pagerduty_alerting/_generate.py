"""Writes sync.py from client.py: `python -m pagerduty_alerting._generate`, or with `--check` only compares them.

The facade has the names, signatures and docstrings of the asynchronous client; each method hands its coroutine to a
`LoopRunner`. This file reads the package as text and must not import it.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent
SOURCE = PACKAGE / "client.py"
TARGET = PACKAGE / "sync.py"
WIDTH = 120

HEADER = '''\
"""The synchronous client, for code without an event loop. GENERATED from client.py by _generate.py: do not edit."""
'''

# What the facade needs besides the names that its signatures use.
OWN_IMPORTS = {
    "pagerduty_alerting._loop.runner": {"LoopRunner"},
    "pagerduty_alerting.client": {"AsyncClient", "AsyncClientWithResponse"},
}

# An aiohttp session belongs to an event loop of the caller's, and the facade's callers have none.
DROPPED_ARGUMENTS = {"session"}

METHOD_NAMES = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}

# Changes to signatures and docstrings, in this order.
WORDS = [
    (r"\bAsyncClientWithResponse\b", "ClientWithResponse"),
    (r"\bAsyncClient\b", "Client"),
    (r"\bAsync(Generator|Iterator)\[(.+?), None\]", r"Iterator[\2]"),
    (r"\bAsyncIterator\b", "Iterator"),
    (r" \| AsyncIterable\[\w+\]", ""),
    (r"\basync (with|for|def)\b", r"\1"),
    (r"\bawait ", ""),
]

# Whole passages of docstrings that are different for the facade.
PASSAGES = {
    """for asynchronous code.

    It opens its connections with the first call and belongs to the event loop of that call until it, or the loop, is
    closed. Any number of calls may run at the same time.
""": """for synchronous code.

    Any number of threads may share one client: their calls overlap and use the same connections. No thread of the
    client's own runs in the background; the event loop behind it is driven by the threads that call. It works where a
    loop is already running, such as in a notebook, and after a fork.
""",
    "calls that are under way raise `ClientClosedError`, a caller's session stays open.": (
        "calls that other threads have under way raise `ClientClosedError`."
    ),
}

WITH_RESPONSE_INIT = """
    def __init__(self, client: AsyncClientWithResponse, runner: LoopRunner) -> None:
        self._async = client
        self._runner = runner
"""


def generate(source: str) -> str:
    """Returns the text of sync.py for the text of client.py.

    Raises:
        ValueError: A passage that is to be replaced is not in the source any more.
    """
    missing = [passage for passage in PASSAGES if passage not in source]
    if missing:
        raise ValueError(f"client.py no longer holds: {missing}")
    tree = ast.parse(source)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    body = "\n\n".join(_class(node, source) for node in classes)
    exported = "__all__ = [{}]".format(", ".join(sorted(f'"{_translate(node.name)}"' for node in classes)))
    return f"{HEADER}\n{_imports(tree, body)}\n{exported}\n\n\n{body}"


def _class(node: ast.ClassDef, source: str) -> str:
    name = _translate(node.name)
    methods = [
        _method(name, method, source)
        for method in node.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_private(method.name)
    ]
    return "\n".join([f"class {name}:\n    {_docstring(node, source)}\n", *methods])


def _method(class_name: str, node: ast.FunctionDef | ast.AsyncFunctionDef, source: str) -> str:
    """Returns a method of the facade: decorators, signature, docstring, and the one statement of its body."""
    if node.name == "__init__" and class_name != "Client":
        return WITH_RESPONSE_INIT.lstrip("\n")
    decorators = "".join(f"    @{_text(decorator)}\n" for decorator in node.decorator_list)
    docstring = _docstring(node, source)
    return (
        decorators
        + _signature(node)
        + (f"        {docstring}\n" if docstring else "")
        + "".join(f"{line}\n" for line in _statements(class_name, node, source))
    )


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    name = METHOD_NAMES.get(node.name, node.name)
    returns = f" -> {_text(node.returns)}" if node.returns else ""
    return _wrapped(f"    def {name}(", _parameters(node.args), f"){returns}:\n")


def _parameters(arguments: ast.arguments) -> list[str]:
    """Returns each parameter as it stands in a signature, `/` and the bare `*` among them."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    parameters = [_parameter(*pair) for pair in zip(positional, defaults, strict=True)]
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    named = [_parameter(argument, default) for argument, default in keywords if argument.arg not in DROPPED_ARGUMENTS]
    if arguments.posonlyargs:
        parameters.insert(len(arguments.posonlyargs), "/")
    if arguments.vararg:
        parameters.append(f"*{_parameter(arguments.vararg, None)}")
    elif named:
        parameters.append("*")
    return [*parameters, *named, *([f"**{_parameter(arguments.kwarg, None)}"] if arguments.kwarg else [])]


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    annotation = f": {_text(argument.annotation)}" if argument.annotation else ""
    value = "" if default is None else f"{' = ' if annotation else '='}{_text(default)}"
    return f"{argument.arg}{annotation}{value}"


def _passed_on(arguments: ast.arguments) -> list[str]:
    """Returns the arguments of a call that passes each parameter on."""
    positional = [argument.arg for argument in [*arguments.posonlyargs, *arguments.args][1:]]
    named = [argument.arg for argument in arguments.kwonlyargs if argument.arg not in DROPPED_ARGUMENTS]
    return [
        *positional,
        *([f"*{arguments.vararg.arg}"] if arguments.vararg else []),
        *(f"{name}={name}" for name in named),
        *([f"**{arguments.kwarg.arg}"] if arguments.kwarg else []),
    ]


def _statements(class_name: str, node: ast.FunctionDef | ast.AsyncFunctionDef, source: str) -> Iterator[str]:
    """Yields the body of a method, most often a single statement."""
    returns = ast.unparse(node.returns) if node.returns else ""
    call = f"self._async.{node.name}("
    if node.name == "__init__":
        yield _wrapped("        self._async = AsyncClient(", _passed_on(node.args), ")")
        yield "        self._runner = LoopRunner(self._async.aclose)"
    elif node.name == "aclose":
        yield "        self._runner.close()"
    elif node.name == "__aenter__":
        yield "        return self"
    elif node.name == "__aexit__":
        yield "        self.close()"
    elif node.name == "__repr__":
        yield '        return repr(self._async).replace("AsyncClient", "Client", 1)'
    elif re.search(r"\bAsync(Generator|Iterator)\b", returns):
        yield _wrapped(f"        return self._runner.iterate({call}", _passed_on(node.args), "))")
    elif isinstance(node, ast.AsyncFunctionDef):
        # What is done to arguments before the call is done here too.
        yield from (f"        {ast.unparse(statement)}" for statement in node.body if isinstance(statement, ast.Assign))
        yield _wrapped(f"        return self._runner.run({call}", _passed_on(node.args), "))")
    elif "AsyncClientWithResponse" in returns:
        yield f"        return ClientWithResponse(self._async.{node.name}, self._runner)"
    elif "AsyncClient" in returns:
        yield f"        changed = object.__new__({class_name})"
        yield _wrapped(f"        changed._async = {call}", _passed_on(node.args), ")")
        yield "        changed._runner = self._runner"
        yield "        return changed"
    else:
        yield from (f"        {ast.get_source_segment(source, statement)}" for statement in node.body)


def _wrapped(start: str, items: list[str], end: str) -> str:
    """Returns a bracketed list as the formatter lays it out: on one line, on a line of its own, or one line an item."""
    line = f"{start}{', '.join(items)}{end}"
    if len(line.rstrip("\n")) <= WIDTH:
        return line
    indent = " " * (len(start) - len(start.lstrip()))
    if start.count("(") == 2:
        outer, inner = start.split("(", 1)
        return f"{outer}(\n" + _wrapped(f"{indent}    {inner}", items, ")") + f"\n{indent})"
    together = f"{indent}    {', '.join(items)}"
    if len(together) <= WIDTH:
        return f"{start}\n{together}\n{indent}{end}"
    return f"{start}\n" + "".join(f"{indent}    {item},\n" for item in items) + f"{indent}{end}"


def _docstring(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, source: str) -> str:
    """Returns the docstring with its quotes, in the words of the facade; empty if there is none."""
    first = node.body[0]
    if not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)):
        return ""
    text = ast.get_source_segment(source, first) or ""
    for passage, replacement in PASSAGES.items():
        text = text.replace(passage, replacement)
    for argument in DROPPED_ARGUMENTS:
        text = re.sub(rf"\n        {argument}: .*(?:\n            .*)*", "", text)
    return _translate(text)


def _text(node: ast.expr) -> str:
    """Returns an expression in the words of the facade, its strings in the formatter's quotes."""
    text = _translate(ast.unparse(node))
    return text if '"' in text else text.replace("'", '"')


def _translate(text: str) -> str:
    for pattern, replacement in WORDS:
        text = re.sub(pattern, replacement, text)
    return text


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def _imports(tree: ast.Module, body: str) -> str:
    """Returns the imports of client.py that the facade uses too, and its own, sorted into the usual sections."""
    used = set(re.findall(r"\b\w+\b", _without_docstrings(body)))
    plain: set[str] = set()
    names: dict[str, set[str]] = {module: set(wanted) for module, wanted in OWN_IMPORTS.items()}
    for node in tree.body:
        if isinstance(node, ast.Import):
            plain |= {alias.name for alias in node.names if alias.name in used}
        elif isinstance(node, ast.ImportFrom) and node.module:
            wanted = {alias.name for alias in node.names if alias.name in used}
            if wanted:
                names.setdefault(node.module, set()).update(wanted)
    if "Iterator" in used:
        names.setdefault("collections.abc", set()).add("Iterator")
    sections = [
        "".join([f"import {module}\n" for module in sorted(filter(belongs, plain))])
        + "".join([_import_from(module, names[module]) for module in sorted(filter(belongs, names))])
        for belongs in (_is_standard, _is_foreign, _is_ours)
    ]
    return "\n".join(filter(None, sections))


def _import_from(module: str, names: Iterable[str]) -> str:
    # The formatter's order: constants, then classes, then functions.
    ordered = sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    line = f"from {module} import {', '.join(ordered)}\n"
    if len(line) <= WIDTH + 1:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in ordered) + ")\n"


def _without_docstrings(text: str) -> str:
    return re.sub(r'""".*?"""', "", text, flags=re.DOTALL)


def _is_standard(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in sys.stdlib_module_names


def _is_ours(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] == PACKAGE.name


def _is_foreign(module: str) -> bool:
    return not (_is_standard(module) or _is_ours(module))


def main(arguments: list[str]) -> int:
    """Writes sync.py, or with `--check` says whether it is what would be written. Returns the exit status."""
    text = generate(SOURCE.read_text(encoding="utf-8"))
    if "--check" not in arguments:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write("sync.py is not what _generate.py makes of client.py: run `nox -s generate`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

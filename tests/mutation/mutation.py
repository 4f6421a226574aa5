"""Makes thousands of small changes to the package, one at a time, and lists those that no test detects.

The changes are those of mutmut. It does not run them, because it wraps every function, which would appear in the frames
that the tests of secrets and tracebacks look at, and starts pytest for each change. Here the tests are collected once,
and run once with coverage, to learn the tests of each line. Then, for each change, a forked child replaces the code
of one function and runs the tests of the changed lines, the quickest first, until one fails.

Code that runs at import (constants, defaults, decorators) is not changed, nor are programs that tests start, because
they load the package from its files.
"""

import argparse
import contextlib
import difflib
import fnmatch
import functools
import gc
import importlib
import io
import json
import os
import pickle
import random
import resource
import selectors
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType
from typing import NoReturn

import coverage
import libcst as cst
import pytest
from attrs import define, frozen
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pagerduty_alerting"

# Left out: the rest of `_loop`. Most of its changes end in a hang, of a thread that no test can end, and many of its
# tests are programs of their own.
MODULES = [
    "_arguments.py",
    "_call.py",
    "_fleet.py",
    "_http/*.py",
    "_loop/deadlines.py",
    "_loop/fork.py",
    "_pacer.py",
    "_protocol/*.py",
    "config.py",
    "errors.py",
    "models.py",
    "emulator/faults/*.py",
    "emulator/rules/*.py",
]
# Tests that are quick and run in one process.
TESTS = [
    "tests/unit",
    "tests/client",
    "tests/emulator",
    "tests/fleet/test_fleet_quota.py",
    "tests/fleet/test_fleet_runs.py",
    "tests/network/test_arguments_on_the_wire.py",
    "tests/network/test_connections.py",
    "tests/network/test_deadlines_and_cancellation.py",
    "tests/network/test_every_kind_of_client.py",
    "tests/network/test_name_lookups.py",
    "tests/network/test_quota.py",
    "tests/network/test_rate_limit_headers.py",
    "tests/network/test_retries.py",
    "tests/network/test_secrets_in_frames.py",
    "tests/network/test_stale_responses.py",
    "tests/network/test_tls_and_proxies.py",
    "tests/network/test_tls_records.py",
    "--ignore=tests/emulator/test_pytest_plugin.py",
    "--ignore=tests/emulator/test_standalone.py",
    "--ignore=tests/unit/test_generate.py",
]

SECONDS_OF_TESTS = 30.0  # of tests for one change, measured without it
SECONDS_OF_A_CHANGE = 300.0  # after which a change counts as noticed
MEMORY = 8 * 2**30

NOTICED, MISSED, UNTESTED, IMPOSSIBLE = "noticed", "missed", "without a test", "impossible"


@frozen(eq=False)
class Change:
    """One change, of a node of the syntax tree in a function."""

    path: Path
    function: str
    lines: range
    before: str
    after: str
    tree: cst.Module
    node: cst.CSTNode
    changed: cst.CSTNode

    @property
    def module(self) -> str:
        return self.path.relative_to(PACKAGE).as_posix()

    def source(self) -> str:
        return cst.ensure_type(self.tree.deep_replace(self.node, self.changed), cst.Module).code

    def __str__(self) -> str:
        compared = difflib.unified_diff(self.before.splitlines(), self.after.splitlines(), lineterm="", n=0)
        lines = [f"    {line[0]} {line[1:].strip()}" for line in list(compared)[2:] if not line.startswith("@@")]
        return "\n".join([f"{self.module}:{self.lines.start} {self.function}", *lines])


class Finder(cst.CSTVisitor):
    """Finds what mutmut changes in the bodies of a module's functions, nested ones as part of the outer."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        self.scopes: list[cst.ClassDef | cst.FunctionDef] = []
        self.found: list[tuple[str, range, cst.FunctionDef, cst.CSTNode, cst.CSTNode]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Annotation | cst.Decorator | cst.Parameters):
            return False
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value in {"isinstance", "len"}:
            return False  # mutmut leaves these two as they are
        function = next((it for it in self.scopes if isinstance(it, cst.FunctionDef)), None)
        if function is not None:
            position = self.get_metadata(PositionProvider, node, None)
            lines = range(position.start.line, position.end.line + 1) if position else range(0)
            name = ".".join(it.name.value for it in self.scopes[: self.scopes.index(function) + 1])
            for kind, operator in mutation_operators:
                if isinstance(node, kind):
                    self.found += [(name, lines, function, node, changed) for changed in operator(node)]
        if isinstance(node, cst.ClassDef | cst.FunctionDef):
            self.scopes.append(node)
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        if isinstance(original_node, cst.ClassDef | cst.FunctionDef):
            self.scopes.pop()


def changes_of(path: Path) -> Iterator[Change]:
    module = cst.parse_module(path.read_text(encoding="utf-8"))
    finder = Finder()
    MetadataWrapper(module, unsafe_skip_copy=True).visit(finder)
    for name, lines, function, node, changed in finder.found:
        before = module.code_for_node(function)
        after = module.code_for_node(function.deep_replace(node, changed))
        if before != after:
            yield Change(path, name, lines, before, after, module, node, changed)


def code_objects(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from code_objects(constant)


def functions_of_the_package() -> dict[tuple[str, str], list[FunctionType]]:
    """Returns all functions by file and qualified name, also those that are wrapped by a decorator."""
    functions = defaultdict(list)
    gc.unfreeze()  # frozen objects are not listed
    for found in gc.get_objects():
        if isinstance(found, FunctionType) and found.__code__.co_filename.startswith(str(PACKAGE)):
            functions[found.__code__.co_filename, found.__code__.co_qualname].append(found)
    return functions


def apply(change: Change, functions: list[FunctionType]) -> bool:
    """Replaces the code of the changed function in this process; returns whether that can be done."""
    try:
        codes = code_objects(compile(change.source(), str(change.path), "exec", dont_inherit=True))
        new = {it.co_firstlineno: it for it in codes if it.co_qualname == change.function}
        for function in functions:
            function.__code__ = new[function.__code__.co_firstlineno]
    except (KeyError, SyntaxError, ValueError):
        return False
    return bool(functions)


def seconds_for(test_seconds: float) -> float:
    """Returns the seconds after which a test counts as hanging, on a busy machine too, from its seconds of CPU time."""
    return 10 + 20 * test_seconds


@frozen
class Baseline:
    """The results of a run without a change.

    Attributes:
        seconds: How long each test took.
        failed: The tests that failed, which cannot notice a change.
        tests: The tests of each line of each file.
    """

    seconds: list[float]
    failed: list[int]
    tests: dict[str, dict[int, list[int]]]


@define
class Child:
    """A process that tries a change."""

    change: Change
    pid: int
    ends_at: float
    received: bytes = b""  # of the outcome, so far


class Mutation:
    """A plugin of pytest that runs the collected tests in forked children, and nothing in this process."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        self.on_failure: Callable[[str], object] = print

    @pytest.hookimpl
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = session.items
        capture = session.config.pluginmanager.getplugin("capturemanager")
        capture.suspend_global_capture(in_=True)
        self.run()
        capture.resume_global_capture()
        return True

    def run(self) -> None:
        for path in chosen_modules([]):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        changes = [change for path in chosen_modules(self.options.patterns) for change in self.sample(path)]
        print(f"{len(changes)} changes, {len(self.items)} tests", flush=True)
        began = time.monotonic()
        self.functions = functions_of_the_package()
        gc.freeze()  # so that the children share all memory
        reading, _ = fork(lambda tell: tell(self.measure()))
        with os.fdopen(reading, "rb") as stream:
            self.baseline: Baseline = pickle.load(stream)
        os.wait()
        for failed in self.baseline.failed:
            print(f"fails without a change: {self.items[failed].nodeid}")
        print(f"the tests of each line are known after {time.monotonic() - began:.0f} s", flush=True)
        self.try_all(changes)
        print(f"all changes have been tried after {time.monotonic() - began:.0f} s", flush=True)

    def sample(self, path: Path) -> list[Change]:
        changes = list(changes_of(path))
        if self.options.only:
            changes = [it for it in changes if fnmatch.fnmatch(it.function, self.options.only)]
        if self.options.sample and len(changes) > self.options.sample:
            chosen = random.Random(f"{self.options.seed} {path.name}").sample(range(len(changes)), self.options.sample)
            return [changes[at] for at in sorted(chosen)]
        return changes

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.on_failure(report.nodeid)

    def run_test(self, tests: Sequence[int], at: int) -> None:
        """Runs one of these tests."""
        item = self.items[tests[at]]
        following = self.items[tests[at + 1]] if at + 1 < len(tests) else None
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)

    def measure(self) -> bytes:
        """Runs every test with coverage."""
        measured = coverage.Coverage(data_file=None, config_file=False, include=[f"{PACKAGE}/*"])
        cached_functions = [it for it in gc.get_objects() if isinstance(it, type(functools.cache(len)))]
        caches = [it for it in cached_functions if str(it.__module__).startswith(PACKAGE.name)]
        seconds: list[float] = []
        failed: list[str] = []
        self.on_failure = failed.append
        measured.start()
        for at in range(len(self.items)):
            measured.switch_context(str(at))
            for cached in caches:
                cached.cache_clear()  # so that the code runs in every test that needs it
            began = time.process_time()
            self.run_test(range(len(self.items)), at)
            seconds.append(time.process_time() - began)
        measured.stop()
        data = measured.get_data()
        tests = {
            name: {line: [int(it) for it in found if it] for line, found in data.contexts_by_lineno(name).items()}
            for name in data.measured_files()
        }
        numbers = [at for at, item in enumerate(self.items) if item.nodeid in failed]
        return pickle.dumps(Baseline(seconds, numbers, tests))

    def tests_of(self, change: Change) -> list[int]:
        """Returns the tests of the changed lines, the quickest first."""
        lines = self.baseline.tests.get(str(change.path), {})
        found = {test for line in change.lines for test in lines.get(line, [])} - set(self.baseline.failed)
        seconds, chosen = 0.0, []
        for test in sorted(found, key=lambda it: self.baseline.seconds[it]):
            seconds += self.baseline.seconds[test]
            if seconds > SECONDS_OF_TESTS:
                break
            chosen.append(test)
        return chosen

    def try_out(self, change: Change, tests: list[int], tell: Callable[[bytes], None]) -> None:
        """Makes the change and runs the tests until one fails; reports the outcome and that test."""

        def end(outcome: str, test: str | None = None) -> NoReturn:
            tell(json.dumps([outcome, test]).encode())
            os._exit(0)  # without the rest of the test, which may hang

        self.on_failure = lambda test: end(NOTICED, test)
        if not apply(change, self.functions[str(change.path), change.function]):
            end(IMPOSSIBLE)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        for at, test in enumerate(tests):
            signal.signal(signal.SIGALRM, lambda *_, test=test: end(NOTICED, f"{self.items[test].nodeid} hangs"))
            signal.setitimer(signal.ITIMER_REAL, seconds_for(self.baseline.seconds[test]))
            self.run_test(tests, at)
        end(MISSED)

    def try_all(self, changes: list[Change]) -> None:
        left = iter(changes)
        with selectors.DefaultSelector() as children:
            while True:
                while len(children.get_map()) < self.options.processes and (change := next(left, None)) is not None:
                    tests = self.tests_of(change)
                    if not tests:
                        self.note(change, UNTESTED, None)
                        continue
                    reading, pid = fork(functools.partial(self.try_out, change, tests))
                    ends_at = time.monotonic() + SECONDS_OF_A_CHANGE
                    children.register(reading, selectors.EVENT_READ, Child(change, pid, ends_at))
                if not children.get_map():
                    return
                for key, _ in children.select(1.0):
                    child: Child = key.data
                    child.received += (data := os.read(key.fd, 65536))
                    if not data:
                        children.unregister(key.fd)
                        os.close(key.fd)
                        kill(child.pid)
                        outcome, test = (
                            json.loads(child.received) if child.received else (NOTICED, "it ends the process")
                        )
                        self.note(child.change, outcome, test)
                for key in list(children.get_map().values()):
                    if time.monotonic() > key.data.ends_at:
                        children.unregister(key.fd)
                        os.close(key.fd)
                        kill(key.data.pid)
                        self.note(key.data.change, NOTICED, "it hangs")

    def note(self, change: Change, outcome: str, test: str | None) -> None:
        self.outcomes[change.module][outcome] += 1
        if outcome in {MISSED, UNTESTED}:
            print(f"{outcome}: {change}", flush=True)
        elif self.options.verbose:
            print(f"{outcome} ({test}): {change}", flush=True)

    def summary(self) -> float:
        """Prints the score of each module; returns the score of all."""
        total: Counter[str] = Counter()
        for module, outcomes in [*sorted(self.outcomes.items()), ("all", total)]:
            possible = sum(outcomes[it] for it in (NOTICED, MISSED, UNTESTED))
            share = outcomes[NOTICED] / max(1, possible)
            missed = f"{outcomes[MISSED]} missed, {outcomes[UNTESTED]} without a test"
            print(f"{share:7.1%}  {module:32} {outcomes[NOTICED]} of {possible} noticed, {missed}")
            total += outcomes
        return total[NOTICED] / max(1, sum(total[it] for it in (NOTICED, MISSED, UNTESTED)))


def fork(work: Callable[[Callable[[bytes], None]], None]) -> tuple[int, int]:
    """Calls a function in a child, with a function that writes to the returned pipe; returns the child's pid too."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        return reading, pid
    try:
        os.setpgid(0, 0)
        os.close(reading)
        nothing, errors = os.open(os.devnull, os.O_RDWR), os.dup(2)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        with os.fdopen(writing, "wb", buffering=0) as stream:
            try:
                work(lambda data: write_all(stream, data))
            except BaseException:
                os.write(errors, traceback.format_exc().encode())
    finally:
        os._exit(0)


def write_all(stream: io.RawIOBase, data: bytes) -> None:
    while data:
        data = data[stream.write(data) or 0 :]


def kill(pid: int) -> None:
    """Ends a child and what it has started."""
    for kill_it in (os.killpg, os.kill):
        with contextlib.suppress(OSError):
            kill_it(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def chosen_modules(patterns: list[str]) -> list[Path]:
    paths = sorted({path for pattern in MODULES for path in PACKAGE.glob(pattern)})
    names = {path: path.relative_to(PACKAGE).as_posix() for path in paths}
    return [path for path in paths if not patterns or any(fnmatch.fnmatch(names[path], it) for it in patterns)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", metavar="MODULE", help="modules to change, such as '_http/*.py'")
    parser.add_argument("--sample", type=int, default=0, help="try so many changes of each module at most")
    parser.add_argument("--seed", default="1", help="of the sample")
    parser.add_argument("--score", type=float, default=0.0, help="fail if a smaller share is noticed")
    parser.add_argument("--only", help="functions to change, such as 'Pacer.*'")
    parser.add_argument("--tests", nargs="*", help="the tests to run")
    parser.add_argument("--processes", type=int, default=max(4, os.cpu_count() or 1))
    parser.add_argument("--verbose", action="store_true", help="also print what was noticed, and by which test")
    options = parser.parse_args()
    os.chdir(ROOT)
    mutation = Mutation(options)
    quiet = ["-qq", "-p", "no:cacheprovider", "-p", "no:terminalreporter", "--timeout=0"]
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = scratch
        pytest.main([*quiet, f"--basetemp={scratch}/tests", *(options.tests or TESTS)], plugins=[mutation])
    return 0 if mutation.summary() >= options.score else 1


if __name__ == "__main__":
    sys.exit(main())

"""Fixtures for the whole tree: a clean environment, mocked HTTP, the emulator, and clients of both flavours."""

import asyncio
import contextlib
import gc
import importlib
import os
import random
import signal
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from pagerduty_alerting.emulator import Emulator, RateLimits
from tests.support.callers import MakeCaller, open_callers
from tests.support.mocked_api import MockedApi
from tests.support.noticing import no_reports
from tests.support.scripts import CAN_FORK, fork_server, use_fork_server
from tests.support.virtual_time import virtual_time_loop

# The time of an example depends more on the machine than on the code.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Tests that a script starts in the background ignore Ctrl-C, and so do their child processes.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--shuffle", type=int, metavar="SEED", help="run the tests in the random order of this seed")
    parser.addoption("--no-skips", action="store_true", help="fail if any test is skipped")


def pytest_configure(config: pytest.Config) -> None:
    # No test needs the certificates of the machine; reading them takes a quarter of the start of a program. This one
    # signs nothing: httpx refuses a file without any.
    os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "support" / "no_authority.pem")
    if "fork_server" in (workerinput := getattr(config, "workerinput", {})):
        use_fork_server(workerinput["fork_server"])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Starts one fork server for all workers."""
    if CAN_FORK:
        node.workerinput["fork_server"] = fork_server().address


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("shuffle")
    if seed is not None:
        random.Random(seed).shuffle(items)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Excludes the tests themselves from garbage collections, while they are collected and when tests run."""
    gc.disable()
    try:
        import_share(session.config)
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def import_share(config: pytest.Config) -> None:
    """Imports a share of the test modules in each worker, so that not every worker compiles all of them."""
    worker = getattr(config, "workerinput", None)
    if worker is None:
        return
    folders = [config.rootpath / argument for argument in config.args]
    modules = [path for folder in folders for path in sorted(folder.rglob("test_*.py")) if "hosts" not in path.parts]
    for path in modules[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]:
        name = ".".join(path.relative_to(config.rootpath).with_suffix("").parts)
        # Collecting it reports the error, or that it is skipped.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(name)


def pytest_report_header(config: pytest.Config) -> str | None:
    seed = config.getoption("shuffle")
    return None if seed is None else f"shuffled: --shuffle={seed} repeats this order"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.config.getoption("no_skips") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests marked `virtual_time` run on a loop whose clock jumps. A misspelt marker is an error: `strict`."""
    marker = item.get_closest_marker("virtual_time")
    if marker is None:
        return {"real": asyncio.new_event_loop}
    return {"virtual": virtual_time_loop(*marker.args, **marker.kwargs)}


@pytest.fixture(scope="session", autouse=True)
def no_reports_at_the_end() -> Iterator[None]:
    """Fails the last test if the final garbage collection reports an error."""
    yield
    with no_reports():
        gc.collect()


@pytest.fixture(autouse=True)
def noticed() -> Iterator[list[str]]:
    """Fails each test in which an error is reported but not raised; a test that expects one empties the list.

    It is set up before all other fixtures of a test, and therefore checks after all of them were torn down.
    """
    with no_reports() as reports:
        yield reports


@pytest.fixture(scope="session", autouse=True)
def clean_environment() -> Iterator[None]:
    """Removes the variables that the client reads, so that no test depends on the machine's environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper().startswith("CLOUDFLARE_") or name.lower().endswith("_proxy"):
                patch.delenv(name)
        yield


@pytest.fixture
def mocked_api() -> Iterator[MockedApi]:
    """aiohttp without a network; tests set the responses, and requests are recorded."""
    with MockedApi() as api:
        yield api


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """A fresh emulator over real sockets, on a thread of its own: for asynchronous and synchronous tests alike."""
    with Emulator(rate_limits=RateLimits.unlimited()) as api:
        yield api


@pytest.fixture(params=["async", "sync"])
def make_caller(request: pytest.FixtureRequest) -> Iterator[MakeCaller]:
    """Makes clients of one flavour that are called the same way; the test runs once for each flavour."""
    with open_callers(request.param) as make:
        yield make

"""Measures what a client costs before its second call: import, first response, memory after it, installed size."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from tests.bench.async_contenders import ASYNC
from tests.bench.contenders import (
    ACCOUNT_ID,
    AIOHTTP,
    AIOSONIC,
    HTTP_CLIENT,
    NIQUESTS_SYNC,
    OFFICIAL_AIOHTTP,
    PRIMP_SYNC,
    PYCURL,
    PYREQWEST_SYNC,
    TOKEN,
    URLLIB3,
)
from tests.bench.sync_contenders import SYNC

ROOT = Path(__file__).resolve().parents[2]

IMPORTS = {
    "import aiohttp": "aiohttp",
    "import aiohttp, cattrs.preconf.orjson": "aiohttp",
    "import pagerduty_alerting": "pagerduty_alerting",
    "from pagerduty_alerting import AsyncClient": "pagerduty_alerting",
    "from pagerduty_alerting import Client": "pagerduty_alerting",
    "from cloudflare import Cloudflare": "cloudflare",
    "from cloudflare import AsyncCloudflare": "cloudflare",
    "import requests": "requests",
    "import httpx": "httpx",
    "import niquests": "niquests",
    "import aiosonic, cattrs.preconf.orjson": "aiosonic",
    "import primp, cattrs.preconf.orjson": "primp",
    "import pyreqwest.client, cattrs.preconf.orjson": "pyreqwest",
    "import pycurl, cattrs.preconf.orjson": "pycurl",
    "import urllib3, cattrs.preconf.orjson": "urllib3",
    "import http.client, cattrs.preconf.orjson": "cattrs",
}

DISTRIBUTIONS = {
    "pagerduty_alerting": "pagerduty-alerting",
    "cloudflare": "cloudflare",
    OFFICIAL_AIOHTTP: "cloudflare[aiohttp]",
    "requests": "requests",
    "httpx": "httpx",
    AIOHTTP: "aiohttp cattrs orjson",
    HTTP_CLIENT: "cattrs orjson",
    PYCURL: "pycurl cattrs orjson",
    URLLIB3: "urllib3 cattrs orjson",
    AIOSONIC: "aiosonic cattrs orjson",
    PRIMP_SYNC: "primp cattrs orjson",
    PYREQWEST_SYNC: "pyreqwest cattrs orjson",
    NIQUESTS_SYNC: "niquests",
}

FIRST_ANSWER = {
    "one call of AsyncClient": """
import asyncio, sys
from pagerduty_alerting import AsyncClient
async def main():
    async with AsyncClient(base_url=sys.argv[1], api_token="bench-token", account_id=sys.argv[2]) as client:
        await client.list_services()
asyncio.run(main())
""",
    "one call of Client": """
import sys
from pagerduty_alerting import Client
with Client(base_url=sys.argv[1], api_token="bench-token", account_id=sys.argv[2]) as client:
    client.list_services()
""",
    "import aiohttp": "import aiohttp",
}
"""Programs whose whole processes are timed. The last is the import that the first two cannot avoid."""

SERVICES_LIST, IMPORT_TYPER = "pagerduty-alerting services list", "import typer"

_TIME_IMPORT = """
import sys, time
started = time.perf_counter()
{statement}
print(time.perf_counter() - started)
"""

# Resident memory from /proc on Linux, elsewhere the peak from getrusage, in bytes or KiB. The memory of the bare
# interpreter is subtracted; nothing is loaded but what the client needs.
_MEASURE_MEMORY = """
import sys

def resident():
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024
    except FileNotFoundError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)

before = resident()
grown = lambda: print(resident() - before)
kind, name, url = sys.argv[1:]
if kind == "sync":
    from tests.bench.sync_contenders import SYNC
    with SYNC[name](url, 3) as call:
        call()
        grown()
else:
    import asyncio
    from tests.bench.async_contenders import ASYNC, new_loop
    async def main():
        async with ASYNC[name](url, 3) as call:
            await call()
            grown()
    with asyncio.Runner(loop_factory=new_loop(name)) as runner:
        runner.run(main())
"""


def import_times(rounds: int) -> dict[str, list[float]]:
    """Returns the seconds of each import, in new interpreters that alternate, from compiled bytecode."""
    statements = [statement for statement, package in IMPORTS.items() if _is_installed(package)]
    seconds: dict[str, list[float]] = {statement: [] for statement in statements}
    for number in range(rounds + 1):
        for statement in statements:
            value = _run(_TIME_IMPORT.format(statement=statement))
            if number:  # the first writes the bytecode
                seconds[statement].append(value)
    return seconds


def first_calls(url: str, rounds: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Returns the seconds that a process takes for one call, and the MiB by which it has grown after it.

    The seconds include what the bench itself loads in that process, which is the same for all clients.
    """
    contenders = [("sync", name) for name in SYNC] + [("async", name) for name in ASYNC]
    seconds: dict[str, list[float]] = {name: [] for _, name in contenders}
    grown: dict[str, list[float]] = {name: [] for _, name in contenders}
    for _ in range(rounds):
        for kind, name in contenders:
            started = time.perf_counter()
            grown[name].append(_run(_MEASURE_MEMORY, kind, name, url))
            seconds[name].append(time.perf_counter() - started)
    return seconds, grown


def first_answers(url: str, rounds: int) -> dict[str, list[float]]:
    """Returns the seconds of whole processes that make one call, and of one that only imports aiohttp."""
    commands = {name: [sys.executable, "-c", text, url, ACCOUNT_ID] for name, text in FIRST_ANSWER.items()}
    return _processes(commands, url, rounds)


def command_line(url: str, rounds: int) -> dict[str, list[float]]:
    """Returns the seconds of `services list` as a process, and of one that only imports typer."""
    if not _is_installed("typer"):
        return {}
    listed = [sys.executable, "-m", "pagerduty_alerting", "services", "list"]
    return _processes({SERVICES_LIST: listed, IMPORT_TYPER: [sys.executable, "-c", "import typer"]}, url, rounds)


def _processes(commands: dict[str, list[str]], url: str, rounds: int) -> dict[str, list[float]]:
    """Returns the seconds of each command; the commands alternate."""
    environment = {"CLOUDFLARE_BASE_URL": url, "CLOUDFLARE_API_TOKEN": TOKEN, "CLOUDFLARE_ACCOUNT_ID": ACCOUNT_ID}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            started = time.perf_counter()
            _start(command, environment)
            if number:  # the first writes the bytecode
                seconds[name].append(time.perf_counter() - started)
    return seconds


def installed_sizes() -> dict[str, float]:
    """Returns the MiB of files that an installation brings, with all dependencies, without bytecode."""
    sizes = {}
    for name, requirements in DISTRIBUTIONS.items():
        closure: set[str] = set()
        for requirement in requirements.split():
            closure |= set(_closure(Requirement(requirement), closure))
        if all(map(_is_distribution, closure)):
            sizes[name] = sum(map(_size, closure)) / 2**20
    return sizes


def versions() -> dict[str, str]:
    """Returns the versions of what was measured, and of their dependencies."""
    names = ["pagerduty-alerting", "aiohttp", "cattrs", "orjson", "cloudflare", "httpx", "httpx-aiohttp", "requests"]
    names += ["urllib3", "niquests", "pycurl", "primp", "pyreqwest", "aiosonic", "uvloop", "typer"]
    return {name: metadata.version(name) for name in names if _is_distribution(name)}


def _closure(requirement: Requirement, known: set[str]) -> Iterator[str]:
    name = re.sub(r"[-_.]+", "-", requirement.name).lower()
    if name in known and not requirement.extras:
        return
    known.add(name)
    yield name
    if not _is_distribution(name):
        return
    for line in metadata.requires(name) or ():
        needed = Requirement(line)
        extras = requirement.extras or {""}
        if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield from _closure(needed, known)


_LEFT_OUT = {".pyc", ".mypy_cache"}  # left by running and by checking types


def _size(name: str) -> int:
    if name == "pagerduty-alerting":  # may be an editable install
        import pagerduty_alerting

        files = list(Path(pagerduty_alerting.__file__).parent.rglob("*"))
    else:
        files = [Path(str(path.locate())) for path in metadata.files(name) or ()]
    return sum(path.stat().st_size for path in files if path.is_file() and not _LEFT_OUT & {*path.parts, path.suffix})


def _is_distribution(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _is_installed(package: str) -> bool:
    return _run(f"import importlib.util; print(int(importlib.util.find_spec({package!r}) is not None))") == 1


def _run(program: str, *arguments: str) -> float:
    """Runs a program in a fresh interpreter and returns the number that it prints."""
    return float(json.loads(_start([sys.executable, "-c", program, *arguments], {})))


def _start(command: list[str], environment: dict[str, str]) -> str:
    """Runs a command at the top of the checkout and returns what it prints."""
    return subprocess.run(
        command,
        cwd=ROOT,
        # Otherwise this package alone, as an editable install, would be compiled each time.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

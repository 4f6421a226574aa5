"""What a client costs before its second call: import time, memory after the first call, installed size."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from tests.bench.async_contenders import ASYNC
from tests.bench.contenders import AIOHTTP, OFFICIAL_AIOHTTP
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
}

DISTRIBUTIONS = {
    "pagerduty_alerting": "pagerduty-alerting",
    "cloudflare": "cloudflare",
    OFFICIAL_AIOHTTP: "cloudflare[aiohttp]",
    "requests": "requests",
    "httpx": "httpx",
    AIOHTTP: "aiohttp cattrs orjson",
}

_TIME_IMPORT = """
import sys, time
started = time.perf_counter()
{statement}
print(time.perf_counter() - started)
"""

# The resident memory of Linux's /proc, or else the peak, which getrusage gives in bytes or KiB. What a bare interpreter
# holds is taken off; nothing is loaded but what the client needs.
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
kind, name, url = sys.argv[1:]
if kind == "sync":
    from tests.bench.sync_contenders import SYNC
    with SYNC[name](url, 3) as call:
        call()
        print(resident() - before)
else:
    import asyncio
    from tests.bench.async_contenders import ASYNC
    async def main():
        async with ASYNC[name](url, 3) as call:
            await call()
            print(resident() - before)
    asyncio.run(main())
"""


def import_times(rounds: int) -> dict[str, list[float]]:
    """Returns the seconds of each import in fresh interpreters, which take turns, from bytecode as it is installed."""
    statements = [statement for statement, package in IMPORTS.items() if _is_installed(package)]
    seconds: dict[str, list[float]] = {statement: [] for statement in statements}
    for number in range(rounds + 1):
        for statement in statements:
            value = _run(_TIME_IMPORT.format(statement=statement))
            if number:  # the first writes the bytecode
                seconds[statement].append(value)
    return seconds


def memory(url: str, rounds: int) -> dict[str, list[float]]:
    """Returns the MiB by which a fresh interpreter has grown after its first call."""
    contenders = [("sync", name) for name in SYNC] + [("async", name) for name in ASYNC]
    return {name: [_run(_MEASURE_MEMORY, kind, name, url) for _ in range(rounds)] for kind, name in contenders}


def installed_sizes() -> dict[str, float]:
    """Returns the MiB of files that an installation brings, all dependencies included, bytecode left out."""
    sizes = {}
    for name, requirements in DISTRIBUTIONS.items():
        closure: set[str] = set()
        for requirement in requirements.split():
            closure |= set(_closure(Requirement(requirement), closure))
        if all(map(_is_distribution, closure)):
            sizes[name] = sum(map(_size, closure)) / 2**20
    return sizes


def versions() -> dict[str, str]:
    """Returns the versions of what was measured, and of what it stands on."""
    names = ["pagerduty-alerting", "aiohttp", "cattrs", "orjson", "cloudflare", "httpx", "httpx-aiohttp", "requests"]
    names += ["urllib3", "niquests", "pycurl", "primp", "pyreqwest", "aiosonic"]
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


_LEFT_OUT = {".pyc", ".mypy_cache"}  # what running and checking leave behind


def _size(name: str) -> int:
    if name == "pagerduty-alerting":  # perhaps installed as a link to the checkout
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
    run = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        # Or else this package alone, which lies in a checkout, would be compiled each time.
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(json.loads(run.stdout))

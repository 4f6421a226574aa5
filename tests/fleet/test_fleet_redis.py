"""Four processes share one token's quota through a real Redis, with the limiter of examples/fleet_shared_limiter.py.

They need redis-server (Debian: redis-server), limits and redis; where one of these is missing the tests are skipped.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from attrs import evolve

from pagerduty_alerting.emulator import Emulator, RateLimits
from tests.support.examples import EXAMPLES

pytest.importorskip("limits", reason="sharing a quota through Redis needs limits")
pytest.importorskip("redis", reason="sharing a quota through Redis needs redis, the client")

REDIS = shutil.which("redis-server")
pytestmark = pytest.mark.skipif(
    REDIS is None, reason="there is no redis-server on this machine (Debian: apt-get install redis-server)"
)

PROCESSES = 4

# The real limits, 1,200 in 300 s, scaled down. A request arrives some time after the limiter admitted it, on a busy
# machine perhaps a second, so the limiter has a longer window.
LIMITS = RateLimits(requests=40, window=4.0, block=60.0, per_second=None)
RATE = "32 per 6 seconds"

# The client itself does not respect the quota, so that only the limiter keeps the four processes within it.
PROGRAM = """
import asyncio, contextlib, sys
from fleet_shared_limiter import shared_limiter
from pagerduty_alerting import AsyncClient

async def main(rate, redis_url, *account_ids):
    async with contextlib.AsyncExitStack() as stack:
        limiter = await stack.enter_async_context(shared_limiter(rate, redis_url)) if redis_url else None
        client = await stack.enter_async_context(AsyncClient(limiter=limiter, respect_rate_limits=False, timeout=10))
        results = [result async for result in client.list_services_in(account_ids)]
        print(len([result for result in results if result.error is None]))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """Starts a Redis server without a port; yields its URL."""
    socket = tmp_path / "redis.sock"
    command = [str(REDIS), "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            started = []
            for line in process.stdout:
                started.append(line)
                if "ready to accept connections" in line.lower():
                    break
            else:
                pytest.fail(f"redis-server ended: {''.join(started)}")
            yield f"unix://{socket}"
        finally:
            process.terminate()


def environment(api: Emulator) -> dict[str, str]:
    return {**os.environ, **api.environ, "PYTHONPATH": str(EXAMPLES)}


def run_in_processes(api: Emulator, accounts: Sequence[str], redis_url: str) -> int:
    """Divides the accounts among four processes; returns for how many the services were listed."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM, RATE, redis_url, *accounts[number::PROCESSES]],
            env=environment(api),
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    outputs = [process.communicate(timeout=100)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * PROCESSES
    return sum(map(int, outputs))


def test_four_processes_with_one_token_stay_within_its_quota(redis_url: str) -> None:
    with Emulator(rate_limits=LIMITS) as api:
        accounts = [api.add_account() for _ in range(96)]
        assert run_in_processes(api, accounts, redis_url) == len(accounts)
        assert {request.status for request in api.requests} == {200}
        assert len(api.requests) == len(accounts)


def test_without_the_limiter_the_same_processes_exceed_the_quota() -> None:
    # A block that ends at once, so that the processes do not wait for it.
    limits = evolve(LIMITS, block=0.0)
    with Emulator(rate_limits=limits) as api:
        accounts = [api.add_account() for _ in range(96)]
        run_in_processes(api, accounts, "")
        assert 429 in {request.status for request in api.requests}


def test_the_example_lists_the_accounts_of_standard_input(redis_url: str) -> None:
    with Emulator() as api:
        accounts = [api.add_account(services=["Database"]), api.add_account()]
        done = subprocess.run(
            [sys.executable, "-W", "error", str(EXAMPLES / "fleet_shared_limiter.py")],
            env={**environment(api), "REDIS_URL": redis_url},
            input="".join(f"{account}\n" for account in [*accounts, "0" * 32]),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        (service,) = api.services(accounts[0])
    assert (done.returncode, done.stderr) == (0, "")
    found = {line.pop("account_id"): line for line in map(json.loads, done.stdout.splitlines())}
    assert found[accounts[0]] == {"services": [{"id": service.id, "name": "Database"}]}
    assert found[accounts[1]] == {"services": []}
    assert found["0" * 32]["error"].startswith("List PagerDuty services failed with 404")

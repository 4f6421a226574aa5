"""Fixtures for the hosts: the emulated API and Redis, each in a process of its own."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from tests.hosts.harness import HANGING_ACCOUNT, PROGRAMS, account_ids, names_of


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Serves the accounts of all calls; yields the environment that a client reads."""
    accounts = [{"id": account_id, "services": names_of(account_id)} for account_id in account_ids()]
    accounts.append({"id": HANGING_ACCOUNT, "services": []})
    seed = tmp_path_factory.mktemp("api") / "accounts.json"
    seed.write_text(json.dumps({"accounts": accounts}))
    command = [sys.executable, str(PROGRAMS / "emulator.py"), str(seed), HANGING_ACCOUNT]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.communicate()


@pytest.fixture
def api_by_tls(api: Mapping[str, str]) -> dict[str, str]:
    """The environment of a client that reaches the same accounts by TLS."""
    return {**api, **json.loads(api["HOSTS_TLS"])}


@pytest.fixture
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serves a Redis that has no port; yields its URL."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("not installed: redis-server (Debian: apt-get install redis-server)")
    directory = tmp_path_factory.mktemp("redis")
    command = [program, "--port", "0", "--unixsocket", str(directory / "socket"), "--save", "", "--dir", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert any("eady to accept connections" in line for line in process.stdout)
        yield f"unix://{directory / 'socket'}"
    finally:
        process.terminate()
        process.communicate()

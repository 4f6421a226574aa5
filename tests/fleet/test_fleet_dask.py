"""The Dask example on a LocalCluster, against the emulator; skipped where Dask is not installed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pagerduty_alerting.emulator import Emulator
from tests.support.examples import EXAMPLES

pytest.importorskip("distributed", reason="the Dask example needs dask[distributed]")


def test_partitions_of_accounts_are_listed_by_the_workers_of_a_cluster(tmp_path: Path) -> None:
    with Emulator() as api:
        accounts = [api.add_account(services=["Database"] if number % 4 else []) for number in range(200)]
        listed = tmp_path / "accounts.txt"
        listed.write_text("\n".join([*accounts, "0" * 32]))
        done = subprocess.run(
            [sys.executable, str(EXAMPLES / "fleet_dask.py"), str(listed)],
            env={**os.environ, **api.environ},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert {request.status for request in api.requests} == {200, 404}
        assert len(api.requests) == 201
    headline, *unconnected = done.stdout.splitlines()
    assert headline == "201 accounts, 50 with nothing connected, 1 failed"
    assert sorted(unconnected) == sorted(accounts[::4])

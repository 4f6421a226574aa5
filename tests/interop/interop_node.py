"""Cloudflare's official Node SDK against the emulator; collected when named, in a nox session of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pagerduty_alerting.emulator import Emulator

SCRIPT = Path(__file__).with_suffix(".mjs")
NODE = shutil.which("node")
PACKAGES = os.environ.get("EMULATOR_NODE_PACKAGES")
"""The directory with ``node_modules/cloudflare`` in it."""


@pytest.mark.skipif(NODE is None, reason="there is no node on this machine")
@pytest.mark.skipif(not PACKAGES, reason="EMULATOR_NODE_PACKAGES names no directory with node_modules/cloudflare")
def test_the_node_sdk_does_the_whole_job_and_gets_its_own_errors():
    with Emulator() as api:
        done = subprocess.run(
            [NODE, SCRIPT],
            env=os.environ | api.environ | {"EMULATOR_ORIGIN": api.origin, "EMULATOR_NODE_PACKAGES": PACKAGES},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all as it should be" in done.stdout

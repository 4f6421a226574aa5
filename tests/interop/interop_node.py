"""Cloudflare's official Node SDK against the emulator; collected when named, in a nox session of its own."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pagerduty_alerting.emulator import Emulator
from tests.interop import official

SCRIPT = Path(__file__).with_suffix(".mjs")
NODE = shutil.which("node")
PACKAGES = os.environ.get("EMULATOR_NODE_PACKAGES")
"""The directory that contains `node_modules/cloudflare`."""


@pytest.mark.skipif(NODE is None, reason="there is no node on this machine")
@pytest.mark.skipif(not PACKAGES, reason="EMULATOR_NODE_PACKAGES names no directory with node_modules/cloudflare")
def test_the_node_sdk_runs_the_whole_flow_and_raises_its_own_errors():
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
    assert done.stdout == "passed\n"


TESTS = os.environ.get("EMULATOR_NODE_TESTS")
"""The checkout of the SDK that its tests are in: they are not in the package."""

RESOURCE = Path("tests", "api-resources", "alerting", "destinations", "pagerduty.test.ts")


@pytest.mark.skipif(NODE is None, reason="there is no node on this machine")
@pytest.mark.skipif(not PACKAGES, reason="EMULATOR_NODE_PACKAGES names no directory with node_modules/cloudflare")
@pytest.mark.skipif(not TESTS, reason="EMULATOR_NODE_TESTS names no checkout of cloudflare-typescript")
def test_the_node_sdks_own_tests_of_this_resource_pass_with_none_skipped(tmp_path):
    (tmp_path / "node_modules").symlink_to(Path(PACKAGES, "node_modules"))
    shutil.copy(Path(TESTS, RESOURCE), tmp_path)
    shutil.copy(Path(__file__).with_name("official_node.cjs"), tmp_path)
    settings = {"transform": {r"\.ts$": "@swc/jest"}, "setupFilesAfterEnv": ["<rootDir>/official_node.cjs"]}
    (tmp_path / "package.json").write_text(json.dumps({"jest": settings}))
    with official.emulator() as api:
        done = subprocess.run(
            [NODE, Path("node_modules", "jest", "bin", "jest.js"), "--json"],
            cwd=tmp_path,
            env=os.environ | {"EMULATOR_ORIGIN": api.origin, "TEST_API_BASE_URL": api.url},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["numPassedTests"] == result["numTotalTests"] > 0

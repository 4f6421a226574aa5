"""Error trackers and loggers with their default settings show no secret of any call that failed or was ended early."""

import json
import subprocess
import sys

import pytest

from tests.support.size import size

PACKAGES = {
    "sentry": "sentry_sdk",
    "structlog": "structlog",
    "rich": "rich",
    "opentelemetry": "opentelemetry.sdk",
    "logging": "logging",
}
WITH_LOCALS = {"sentry", "structlog", "rich"}


@pytest.mark.parametrize("tracker", PACKAGES)
def test_no_secret_is_shown_however_a_call_ends(tracker: str) -> None:
    pytest.importorskip(PACKAGES[tracker], reason=f"needs {tracker}")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.support.error_trackers", tracker],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["leaks"] == []
    assert found["shown"] > size(50, full=150)
    assert found["sees_locals"] is (tracker in WITH_LOCALS)

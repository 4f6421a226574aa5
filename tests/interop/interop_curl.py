"""curl against the emulator; collected when named, in a nox session of its own."""

import json
import shutil
import subprocess

import pytest

from pagerduty_alerting.emulator import Emulator

CURL = shutil.which("curl")

pytestmark = pytest.mark.skipif(CURL is None, reason="there is no curl on this machine")


@pytest.fixture
def api():
    with Emulator() as api:
        yield api


@pytest.fixture
def curl(api):
    def run(*arguments, path="", api_token=api.api_token):
        base = f"{api.url}/accounts/{api.account_id}/alerting/v3/destinations/pagerduty"
        command = [CURL, "--silent", "--show-error", "--max-time", "20", "--noproxy", "*"]
        command += ["--write-out", "\n%{http_code}", "--header", f"Authorization: Bearer {api_token}"]
        done = subprocess.run([*command, *arguments, base + path], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        body, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(body) if body else None

    return run


def test_all_four_operations_work(api, curl):
    status, created = curl("--request", "POST", path="/connect")
    assert status == 201
    token_id = created["result"]["id"]
    control = ["--json", json.dumps({"token": token_id, "services": ["Database"]})]
    subprocess.run([CURL, "--silent", "--fail", *control, f"{api.origin}/_emulator/authorize"], check=True)
    assert curl(path=f"/connect/{token_id}")[0] == 200
    assert [service["name"] for service in curl()[1]["result"]] == ["Database"]
    assert curl("--request", "DELETE") == (200, {"success": True, "errors": [], "messages": []})
    assert curl()[1]["result"] == []


def test_a_bad_token_gets_401(curl):
    assert curl(api_token="unknown")[0] == 401


def test_options_and_a_wrong_method_get_responses(curl):
    assert curl("--request", "OPTIONS")[0] == 204
    assert curl("--request", "PUT")[0] == 405


def test_compressed_transfers_and_http_1_0_work(curl):
    assert curl("--compressed")[0] == 200
    assert curl("--http1.0")[0] == 200


def test_a_body_that_waits_for_100_continue_is_read(curl):
    assert curl("--request", "POST", "--header", "Expect: 100-continue", "--data", "{}", path="/connect")[0] == 201

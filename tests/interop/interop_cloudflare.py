"""Cloudflare's official Python SDK against the emulator; collected when named, in a nox session of its own."""

import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import cloudflare
import pytest

from pagerduty_alerting.emulator import Emulator, Operation, Permission, RateLimits
from tests.interop import official

LIST, DELETE, CREATE, CONNECT = Operation.LIST, Operation.DELETE, Operation.CREATE, Operation.CONNECT


@pytest.fixture
def api():
    with Emulator() as api:
        yield api


@pytest.fixture
def make_client(api):
    clients = []

    def make(**options):
        given = {"api_token": api.api_token, "base_url": api.url, "max_retries": 0, "timeout": 10.0} | options
        clients.append(cloudflare.Cloudflare(**given))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def pagerduty(make_client):
    return make_client().alerting.destinations.pagerduty


def test_all_four_operations_work(api, pagerduty):
    assert list(pagerduty.get(account_id=api.account_id)) == []
    token = pagerduty.create(account_id=api.account_id)
    api.authorize(token, services=["Primary on-call", "Database"])
    linked = pagerduty.link(token.id, account_id=api.account_id)
    assert linked.id != token.id
    listed = list(pagerduty.get(account_id=api.account_id))
    assert [service.name for service in listed] == ["Primary on-call", "Database"]
    assert [service.id for service in listed] == [service.id for service in api.services()]
    assert pagerduty.delete(account_id=api.account_id).success is True
    assert list(pagerduty.get(account_id=api.account_id)) == []


def test_it_finds_the_emulator_through_the_environment(api, monkeypatch):
    for name, value in api.environ.items():
        monkeypatch.setenv(name, value)
    with cloudflare.Cloudflare() as client:
        assert client.alerting.destinations.pagerduty.create(account_id=api.account_id).id


async def test_its_asynchronous_client_works(api):
    async with cloudflare.AsyncCloudflare(api_token=api.api_token, base_url=api.url) as client:
        pagerduty = client.alerting.destinations.pagerduty
        token = await pagerduty.create(account_id=api.account_id)
        api.authorize(token, services=["Database"])
        await pagerduty.link(token.id, account_id=api.account_id)
        assert [service.name async for service in pagerduty.get(account_id=api.account_id)] == ["Database"]


def test_key_and_email_work(api, make_client):
    key = api.add_api_key("someone@example.com")
    client = make_client(api_token=None, api_key=key, api_email="someone@example.com")
    assert client.alerting.destinations.pagerduty.create(account_id=api.account_id).id
    api.requests.assert_all_use(key)


def refused(kind, call):
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    return caught.value


def test_a_bad_token_is_an_authentication_error(api, make_client):
    pagerduty = make_client(api_token="unknown").alerting.destinations.pagerduty
    error = refused(cloudflare.AuthenticationError, lambda: pagerduty.create(account_id=api.account_id))
    assert [item.code for item in error.errors] == [10000]


def test_a_missing_permission_is_a_permission_error(api, make_client):
    token = api.add_api_token(permissions=[Permission.NOTIFICATIONS_READ])
    pagerduty = make_client(api_token=token).alerting.destinations.pagerduty
    refused(cloudflare.PermissionDeniedError, lambda: pagerduty.delete(account_id=api.account_id))


def test_a_plan_without_pagerduty_is_a_permission_error(api, pagerduty):
    account_id = api.add_account(entitled=False)
    error = refused(cloudflare.PermissionDeniedError, lambda: pagerduty.create(account_id=account_id))
    assert [item.code for item in error.errors] == [17200]


def test_an_unknown_account_is_not_found(pagerduty):
    refused(cloudflare.NotFoundError, lambda: pagerduty.create(account_id="0" * 32))


def test_an_unknown_token_is_not_found(api, pagerduty):
    refused(cloudflare.NotFoundError, lambda: pagerduty.link(uuid.uuid4().hex, account_id=api.account_id))


def test_a_pending_token_is_a_bad_request(api, pagerduty):
    token = pagerduty.create(account_id=api.account_id)
    refused(cloudflare.BadRequestError, lambda: pagerduty.link(token.id, account_id=api.account_id))


def test_a_used_token_is_a_conflict(api, pagerduty):
    token = pagerduty.create(account_id=api.account_id)
    api.authorize(token, services=["Database"])
    pagerduty.link(token.id, account_id=api.account_id)
    refused(cloudflare.ConflictError, lambda: pagerduty.link(token.id, account_id=api.account_id))


def test_the_rate_limit_is_a_rate_limit_error():
    with (
        Emulator(rate_limits=RateLimits(requests=1)) as api,
        cloudflare.Cloudflare(api_token=api.api_token, base_url=api.url, max_retries=0) as client,
    ):
        pagerduty = client.alerting.destinations.pagerduty
        pagerduty.create(account_id=api.account_id)
        error = refused(cloudflare.RateLimitError, lambda: pagerduty.create(account_id=api.account_id))
        assert error.response.headers["Retry-After"] == "300"


@pytest.mark.parametrize("status", [500, 502, 503])
def test_server_errors_are_server_errors(api, pagerduty, status):
    api.on(DELETE).html(status)
    refused(cloudflare.InternalServerError, lambda: pagerduty.delete(account_id=api.account_id))


def test_an_unprocessable_entity_is_an_unprocessable_entity_error(api, pagerduty):
    api.on(CREATE).respond(422)
    refused(cloudflare.UnprocessableEntityError, lambda: pagerduty.create(account_id=api.account_id))


def test_a_cut_connection_is_a_connection_error(api, pagerduty):
    api.on(CREATE).reset_before_acting()
    refused(cloudflare.APIConnectionError, lambda: pagerduty.create(account_id=api.account_id))


def test_a_hanging_server_is_a_timeout(api, make_client):
    api.on(CREATE).hang()
    pagerduty = make_client(timeout=0.05).alerting.destinations.pagerduty
    refused(cloudflare.APITimeoutError, lambda: pagerduty.create(account_id=api.account_id))


def test_a_failed_create_is_retried_if_retries_are_allowed(api, make_client):
    api.on(CREATE).once().respond(503, headers={"Retry-After": "0.01"})
    pagerduty = make_client(max_retries=1).alerting.destinations.pagerduty
    assert pagerduty.create(account_id=api.account_id).id
    api.requests.assert_operations(CREATE, CREATE)


SOURCE = os.environ.get("EMULATOR_CLOUDFLARE_SOURCE")
"""The unpacked source distribution of the SDK that is installed."""


@pytest.mark.skipif(not SOURCE, reason="EMULATOR_CLOUDFLARE_SOURCE names no source distribution of cloudflare")
def test_its_own_tests_of_this_resource_pass_with_none_skipped():
    requests = []
    with official.emulator() as api:
        api.listen(requests.append)
        environ = os.environ | {
            "EMULATOR_ORIGIN": api.origin,
            "TEST_API_BASE_URL": api.url,
            "PYTHONPATH": str(Path(__file__).parent),  # their tests are a package `tests`, too
        }
        # Without their options, which start workers: the tests share one emulator.
        options = ["-o", "addopts=", "-p", "official", "-p", "no:cacheprovider", "-q"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, "tests/api_resources/alerting/destinations/test_pagerduty.py"],
            cwd=SOURCE,
            env=environ,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"^\d+ passed in ", done.stdout, re.MULTILINE), done.stdout  # none was skipped
        assert {(request.operation, request.status) for request in requests} == {
            (LIST, 200),
            (DELETE, 200),
            (CREATE, 201),
            (CONNECT, 200),
        }

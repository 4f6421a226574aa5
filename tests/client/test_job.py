"""The whole job over real sockets with the emulator, and every error of the emulator, with both clients."""

from typing import Any

import pytest

from pagerduty_alerting import (
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    Envelope,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RetryPolicy,
)
from pagerduty_alerting.emulator import Dialect, Emulator, IdStyle, Operation, Permission, RateLimits
from tests.support.callers import Caller, MakeCaller


def caller_for(make_caller: MakeCaller, api: Emulator, **settings: Any) -> Caller:
    return make_caller(**{"base_url": api.url, "api_token": api.api_token, "account_id": api.account_id, **settings})


def do_the_job(caller: Caller, api: Emulator) -> None:
    assert caller.call("list_services") == []
    token = caller.call("create_integration_token")
    api.authorize(token.id, services=["Database", "Website"])
    linked = caller.call("connect", token)
    assert linked.id
    assert sorted(service.name for service in caller.call("list_services")) == ["Database", "Website"]
    assert caller.call("delete_services").success is True
    assert caller.call("list_services") == []


def test_the_job_from_an_empty_account_and_back(make_caller: MakeCaller, emulator: Emulator) -> None:
    do_the_job(caller_for(make_caller, emulator), emulator)
    emulator.requests.assert_operations(
        Operation.LIST, Operation.CREATE, Operation.CONNECT, Operation.LIST, Operation.DELETE, Operation.LIST
    )
    emulator.requests.assert_all_use(emulator.api_token)
    assert all(request.body == b"" and request.query == "" for request in emulator.requests)


@pytest.mark.parametrize("id_style", list(IdStyle))
@pytest.mark.parametrize(
    "dialect",
    [
        Dialect(),
        Dialect(full_failures=True, null_lists=True, list_result_info=False, delete_result_info=True),
    ],
    ids=["as documented", "as seen"],
)
def test_the_job_works_in_every_dialect_of_the_api(
    make_caller: MakeCaller, dialect: Dialect, id_style: IdStyle
) -> None:
    with Emulator(dialect=dialect, id_style=id_style, rate_limits=RateLimits.unlimited()) as api:
        do_the_job(caller_for(make_caller, api), api)


def test_the_job_works_with_a_key_and_its_email(make_caller: MakeCaller, emulator: Emulator) -> None:
    key = emulator.add_api_key("me@example.com")
    caller = caller_for(make_caller, emulator, api_token=None, api_key=key, api_email="me@example.com")
    do_the_job(caller, emulator)
    emulator.requests.assert_all_use(key)


def test_the_job_works_with_settings_from_the_environment(
    make_caller: MakeCaller, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in emulator.environ.items():
        monkeypatch.setenv(name, value)
    do_the_job(make_caller(bare=True), emulator)


def test_delete_can_be_repeated(make_caller: MakeCaller, emulator: Emulator) -> None:
    caller = caller_for(make_caller, emulator)
    emulator.add_service("Database")
    assert [caller.call("delete_services") for _ in range(2)] == [Envelope(True, None)] * 2
    assert caller.call("list_services") == []


def test_each_account_has_its_own_services(make_caller: MakeCaller, emulator: Emulator) -> None:
    other = emulator.add_account(services=["Website"])
    caller = caller_for(make_caller, emulator)
    assert caller.call("list_services") == []
    assert [service.name for service in caller.call("list_services", account_id=other)] == ["Website"]
    assert [service.name for service in caller.with_options(account_id=other).call("list_services")] == ["Website"]


def test_a_response_carries_status_headers_and_envelope(make_caller: MakeCaller, emulator: Emulator) -> None:
    response = caller_for(make_caller, emulator).respond("create_integration_token")
    assert (response.status, response.attempts) == (201, 1)
    assert response.ray_id
    assert response.rate_limits.limits[0].remaining > 0
    assert response.elapsed > 0


# Many accounts.


def test_the_services_of_many_accounts_are_listed_with_their_errors(
    make_caller: MakeCaller, emulator: Emulator
) -> None:
    accounts = [emulator.add_account(services=[f"Service {n}"]) for n in range(5)]
    found = caller_for(make_caller, emulator).collect(
        "list_services_in", [*accounts, "f" * 32, ".."], concurrency=3, ordered=True
    )
    assert [item.account_id for item in found] == [*accounts, "f" * 32, ".."]
    assert [[service.name for service in item.services] for item in found[:5]] == [[f"Service {n}"] for n in range(5)]
    assert [type(item.error) for item in found[4:]] == [type(None), NotFoundError, ValueError]
    assert [item.services for item in found[5:]] == [None, None]


def test_the_services_of_many_accounts_are_deleted(make_caller: MakeCaller, emulator: Emulator) -> None:
    accounts = [emulator.add_account(services=["Database"]) for _ in range(5)]
    done = caller_for(make_caller, emulator).collect("delete_services_in", iter([*accounts, "f" * 32]))
    assert {item.account_id: item.envelope for item in done if item.error is None} == dict.fromkeys(
        accounts, Envelope(True, None)
    )
    assert not any(account.services for account in emulator.accounts())


@pytest.mark.parametrize("name", ["list_services_in", "delete_services_in"])
def test_bad_credentials_end_the_run_over_many_accounts(make_caller: MakeCaller, emulator: Emulator, name: str) -> None:
    caller = caller_for(make_caller, emulator, api_token="not-a-token")
    with pytest.raises(AuthenticationError):
        caller.collect(name, [emulator.account_id] * 50, concurrency=1)
    assert emulator.requests.total == 2


@pytest.mark.parametrize("name", ["list_services_in", "delete_services_in"])
@pytest.mark.parametrize(
    ("account_ids", "options", "error_type"),
    [
        ("one id", {}, TypeError),
        (7, {}, TypeError),
        ([], {"concurrency": 0}, ValueError),
        ([], {"concurrency": 1.5}, TypeError),
        ([], {"ordered": 1}, TypeError),
        ([], {"timeout": 0}, ValueError),
    ],
)
def test_an_invalid_argument_of_a_run_is_refused_before_anything_is_yielded(
    make_caller: MakeCaller,
    emulator: Emulator,
    name: str,
    account_ids: Any,
    options: dict[str, Any],
    error_type: type[Exception],
) -> None:
    caller = caller_for(make_caller, emulator)
    with pytest.raises(error_type):
        getattr(caller.client, name)(account_ids, **options)


# What the API refuses.


def test_a_bad_token_is_an_authentication_error(make_caller: MakeCaller, emulator: Emulator) -> None:
    with pytest.raises(AuthenticationError, match="Check that the credentials are valid for the account") as caught:
        caller_for(make_caller, emulator, api_token="not-a-token").call("list_services")
    assert caught.value.codes == (10000,)
    assert caught.value.ray_id


def test_a_bad_key_is_a_permission_error(make_caller: MakeCaller, emulator: Emulator) -> None:
    bad = {"api_token": None, "api_key": "0" * 37, "api_email": "me@example.com"}
    with pytest.raises(PermissionDeniedError, match="Unknown X-Auth-Key") as caught:
        caller_for(make_caller, emulator, **bad).call("list_services")
    assert caught.value.codes == (9103,)


def test_a_malformed_key_is_a_bad_request(make_caller: MakeCaller, emulator: Emulator) -> None:
    bad = {"api_token": None, "api_key": "short", "api_email": "me@example.com"}
    with pytest.raises(BadRequestError, match="Invalid request headers"):
        caller_for(make_caller, emulator, **bad).call("list_services")


@pytest.mark.parametrize(
    "call", [("delete_services",), ("create_integration_token",), ("connect", "a313ba7d3e464c0ea40808fafbc3816a")]
)
def test_the_error_of_a_read_only_token_names_the_missing_permission(
    make_caller: MakeCaller, emulator: Emulator, call: tuple[str, ...]
) -> None:
    reader = emulator.add_api_token(permissions=[Permission.NOTIFICATIONS_READ])
    caller = caller_for(make_caller, emulator, api_token=reader)
    assert caller.call("list_services") == []
    with pytest.raises(PermissionDeniedError, match="permissions Notifications Write, Account Settings Write") as error:
        caller.call(*call)
    assert error.value.codes == (10000,)


def test_an_unknown_account_is_not_found(make_caller: MakeCaller, emulator: Emulator) -> None:
    with pytest.raises(NotFoundError, match="Check the account id and the base URL") as caught:
        caller_for(make_caller, emulator).call("list_services", account_id="f" * 32)
    assert caught.value.codes == (7003,)


def test_a_wrong_base_url_is_not_found(make_caller: MakeCaller, emulator: Emulator) -> None:
    with pytest.raises(NotFoundError, match="Check the account id and the base URL"):
        caller_for(make_caller, emulator, base_url=f"{emulator.origin}/client/v5").call("list_services")


def test_the_error_of_an_account_without_the_plan_names_the_plan(make_caller: MakeCaller, emulator: Emulator) -> None:
    account = emulator.add_account(entitled=False)
    with pytest.raises(PermissionDeniedError, match="need a zone on a Business or Enterprise plan") as caught:
        caller_for(make_caller, emulator).call("create_integration_token", account_id=account)
    assert caught.value.codes == (17200,)


def test_an_unknown_integration_token_is_not_found(make_caller: MakeCaller, emulator: Emulator) -> None:
    with pytest.raises(NotFoundError, match="that the token is authorized in PagerDuty and unused"):
        caller_for(make_caller, emulator).call("connect", "a313ba7d3e464c0ea40808fafbc3816a")


def test_an_unauthorized_token_is_a_bad_request(make_caller: MakeCaller, emulator: Emulator) -> None:
    caller = caller_for(make_caller, emulator)
    token = caller.call("create_integration_token")
    with pytest.raises(BadRequestError, match="is not authorized in PagerDuty yet") as caught:
        caller.call("connect", token)
    assert token.id not in f"{caught.value} {caught.value.errors} {caught.value.path}"


def test_a_used_token_is_a_conflict(make_caller: MakeCaller, emulator: Emulator) -> None:
    caller = caller_for(make_caller, emulator)
    token = caller.call("create_integration_token")
    emulator.authorize(token, services=["Database"])
    caller.call("connect", token)
    with pytest.raises(ConflictError, match="was used already"):
        caller.call("connect", token)


def test_an_expired_token_is_a_bad_request(make_caller: MakeCaller, emulator: Emulator) -> None:
    caller = caller_for(make_caller, emulator)
    token = caller.call("create_integration_token")
    emulator.expire(token)
    with pytest.raises(BadRequestError, match="has expired"):
        caller.call("connect", token)


def test_a_token_is_valid_only_for_the_account_that_created_it(make_caller: MakeCaller, emulator: Emulator) -> None:
    caller = caller_for(make_caller, emulator)
    token = caller.call("create_integration_token")
    emulator.authorize(token, services=["Database"])
    with pytest.raises(NotFoundError):
        caller.call("connect", token, account_id=emulator.add_account())


@pytest.mark.parametrize("hostile", ["../../user", "x?y=z", "x#y", "%2e%2e", "x/../..", "..;", "\\..", "…"])
def test_a_hostile_id_reaches_no_other_route(make_caller: MakeCaller, emulator: Emulator, hostile: str) -> None:
    caller = caller_for(make_caller, emulator)
    with pytest.raises(NotFoundError):
        caller.call("list_services", account_id=hostile)
    with pytest.raises(NotFoundError):
        caller.call("connect", hostile)
    first, second = emulator.requests
    assert (first.operation, first.account_id) == (Operation.LIST, hostile)
    assert (second.operation, second.token_id) == (Operation.CONNECT, hostile)


# Failures of the API.


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_list_is_retried_after_temporary_errors(make_caller: MakeCaller, emulator: Emulator, status: int) -> None:
    emulator.on(Operation.LIST).times(2).respond(status)
    response = caller_for(make_caller, emulator, retry=RetryPolicy(initial_delay=0)).respond("list_services")
    assert (response.result, response.attempts) == ([], 3)


@pytest.mark.parametrize("operation", [Operation.CREATE, Operation.CONNECT])
def test_create_and_connect_are_not_retried_after_an_error(
    make_caller: MakeCaller, emulator: Emulator, operation: Operation
) -> None:
    emulator.on(operation).respond(502)
    caller = caller_for(make_caller, emulator, retry=RetryPolicy(initial_delay=0))
    name, *arguments = {"create": ["create_integration_token"], "connect": ["connect", "x"]}[operation.value]
    with pytest.raises(APIStatusError) as caught:
        caller.call(name, *arguments)
    assert (caught.value.status, caught.value.attempts) == (502, 1)
    emulator.requests.assert_called(operation, times=1)


def test_the_timeout_of_a_call_overrides_that_of_the_client(make_caller: MakeCaller, emulator: Emulator) -> None:
    emulator.on().hang()
    caller = caller_for(make_caller, emulator, timeout=3600.0)
    with pytest.raises(APITimeoutError, match=r"no result within 0\.05 s") as caught:
        caller.call("list_services", timeout=0.05)
    assert caught.value.timeout == 0.05
    with pytest.raises(APITimeoutError, match=r"no result within 0\.05 s"):
        caller.respond("list_services", timeout=0.05)


def test_the_timeout_can_be_changed_for_all_calls(make_caller: MakeCaller, emulator: Emulator) -> None:
    emulator.on().hang()
    caller = caller_for(make_caller, emulator, timeout=3600.0).with_options(timeout=0.05)
    with pytest.raises(APITimeoutError, match=r"no result within 0\.05 s"):
        caller.call("list_services")


def test_a_web_page_instead_of_an_envelope_is_shown_in_part(make_caller: MakeCaller, emulator: Emulator) -> None:
    emulator.on().html(502)
    with pytest.raises(
        APIStatusError, match="the body is not an envelope of the API, it begins with '<!DOCTYPE html> <html>"
    ):
        caller_for(make_caller, emulator).call("list_services")


def test_a_redirect_is_not_followed_with_the_credentials(make_caller: MakeCaller, emulator: Emulator) -> None:
    with Emulator() as elsewhere:
        emulator.on().redirect(f"{elsewhere.url}/stolen")
        with pytest.raises(APIStatusError, match=r"a redirect to 127\.0\.0\.1, which is not followed"):
            caller_for(make_caller, emulator).call("list_services")
        elsewhere.requests.assert_not_called()


def test_a_rate_limit_error_reports_how_long_to_wait(make_caller: MakeCaller, emulator: Emulator) -> None:
    emulator.on().rate_limited(300)
    with pytest.raises(RateLimitError, match="Wait 300 s") as caught:
        caller_for(make_caller, emulator).call("list_services")
    assert caught.value.retry_after == 300.0


def test_no_request_is_sent_before_a_block_ends(make_caller: MakeCaller, emulator: Emulator) -> None:
    emulator.on().once().rate_limited(300)
    caller = caller_for(make_caller, emulator)
    with pytest.raises(RateLimitError):
        caller.call("list_services")
    with pytest.raises(RateLimitError, match="not sent, because the API's rate limit is used up"):
        caller.call("list_services")
    assert emulator.requests.total == 1
    assert caller.with_options(respect_rate_limits=False).call("list_services") == []

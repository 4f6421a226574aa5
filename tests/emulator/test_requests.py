"""The log of requests: recording, masks and assertions."""

import pytest
import yarl

from pagerduty_alerting.emulator import Emulator, EmulatorUsageError, Operation, requests

LIST, DELETE, CREATE, CONNECT = Operation.LIST, Operation.DELETE, Operation.CREATE, Operation.CONNECT


async def test_a_request_is_recorded_as_sent(api, call):
    path = f"{call.path(CREATE)}?page=2"
    headers = {"Authorization": f"Bearer {api.api_token}", "X-Mine": "yes", "Content-Type": "application/json"}
    await call.raw("POST", path, headers=headers, data=b'{"a": 1}')
    request = api.requests[-1]
    assert (request.number, request.method, request.path) == (1, "POST", call.path(CREATE))
    assert (request.query, request.headers["x-mine"], request.json()) == ("page=2", "yes", {"a": 1})
    assert (request.operation, request.account_id, request.token_id) == (CREATE, api.account_id, None)
    assert (request.status, request.fault, request.remote) == (201, None, "127.0.0.1")
    assert request.elapsed is not None
    assert request.received_at.tzinfo is not None


async def test_credentials_are_masked_but_can_be_asserted(api, call):
    key = api.add_api_key("someone@example.com")
    await call(LIST)
    await call(LIST, headers={"X-Auth-Email": "someone@example.com", "X-Auth-Key": key})
    bearer, keyed = api.requests
    assert bearer.headers["Authorization"] == "Bearer ***"
    assert keyed.headers["X-Auth-Key"] == "***"
    assert keyed.headers["X-Auth-Email"] == "someone@example.com"
    assert bearer.uses(api.api_token)
    assert not bearer.uses(key)
    assert keyed.uses(key)
    assert "Authorization" in bearer.headers
    assert len(keyed.headers) >= 2
    assert api.api_token not in repr(bearer.headers)


async def test_integration_tokens_are_masked_in_representations(api, call):
    token_id = await call.create()
    await call(CONNECT, token_id)
    request = api.requests[-1]
    assert request.token_id == token_id
    assert request.path.endswith(token_id)
    assert token_id not in repr(request)
    assert repr(request).endswith("/connect/*** -> 400>")


HEX, DASHED = "a313ba7d3e464c0ea40808fafbc3816a", "f174e90a-fafe-4643-bbbc-4a0ed4fc8415"


@pytest.mark.parametrize("token", [HEX, DASHED, HEX.upper(), "%61" + HEX[1:], "cfut_" + HEX], ids=str)
@pytest.mark.parametrize(
    "path",
    [
        "{services}/connect/{token}/",
        "{services}/connect/{token}/again",
        "{services}/connect//{token}",
        "{services}/Connect/{token}",
        "{services}/{token}",
        "/client/v4/accounts/{token}-/alerting/v3/destinations/pagerduty",
        "/client/v4/{token}",
        "/{token}",
    ],
)
async def test_tokens_in_unknown_paths_are_masked(api, call, control, path, token):
    await call.raw("GET", yarl.URL(path.format(services=call.path(LIST), token=token), encoded=True))
    shown = await control("GET", "requests")
    assert token not in repr(api.requests[0])
    assert token.encode() not in shown.body
    assert token in api.requests[0].path
    assert "***" in api.requests[0].masked_path


async def test_a_short_token_in_an_unknown_path_is_masked_after_connect(api, call):
    await call.raw("GET", f"{call.path(CREATE)}/secret/x")
    assert api.requests[0].masked_path == f"{call.path(CREATE)}/***/***"


async def test_account_ids_and_paths_without_secrets_are_shown(api, call):
    for path in (call.path(LIST), call.path(CREATE), "/nowhere"):
        await call.raw("GET", path)
        assert api.requests[-1].masked_path == path


async def test_a_token_in_a_query_is_masked_in_the_control_api(call, control):
    await call.raw("GET", f"/nowhere?page=2&token={HEX}")
    assert (await control("GET", "requests")).json["result"][0]["query"] == "page=2&token=***"


async def test_the_log_keeps_the_first_4_kib_of_a_body(api, call):
    await call.raw("POST", call.path(CREATE), data=b"x" * 4097)
    assert api.requests[0].body == b"x" * 4096


async def test_the_size_of_the_log_is_limited(api, call, monkeypatch):
    monkeypatch.setattr(requests, "KEPT_IN_ALL", 25_000)
    for _ in range(10):
        headers = {"Authorization": f"Bearer {api.api_token}", "X-Long": "y" * 4000}
        await call.raw("POST", f"{call.path(CREATE)}?{'z' * 2000}", headers=headers, data=b"x" * 9000)
    assert [request.number for request in api.requests] == [9, 10]
    assert api.requests.total == 10
    api.requests.clear()
    await call(LIST)
    assert len(api.requests) == 1


async def test_a_request_that_was_cut_off_has_a_fault_and_no_status(api, call):
    api.on(LIST).reset_before_acting()
    with pytest.raises(OSError, match="."):
        await call(LIST)
    assert (api.requests[-1].status, api.requests[-1].fault) == (None, "reset")


async def test_requests_for_unknown_paths_are_recorded(api, call):
    await call.raw("GET", "/nowhere")
    assert (api.requests[0].operation, api.requests[0].status) == (None, 404)


async def test_the_log_is_a_sequence(api, call):
    for operation in (LIST, CREATE, DELETE):
        await call(operation)
    assert len(api.requests) == 3
    assert [request.operation for request in api.requests] == [LIST, CREATE, DELETE]
    assert [request.number for request in api.requests[1:]] == [2, 3]
    assert [request.operation for request in api.requests.of(LIST, DELETE)] == [LIST, DELETE]
    assert [request.number for request in api.requests.where(lambda request: request.method == "POST")] == [2]
    assert "DELETE" in repr(api.requests)


async def test_assertions_pass_for_recorded_requests(api, call):
    api.requests.assert_not_called()
    await call(LIST)
    await call(CREATE)
    api.requests.assert_operations(LIST, CREATE)
    api.requests.assert_called(LIST)
    api.requests.assert_called(CREATE, times=1)
    api.requests.assert_called(DELETE, times=0)
    api.requests.assert_not_called(DELETE, CONNECT)
    api.requests.assert_all_use(api.api_token)


async def test_an_operation_can_be_given_by_its_value(api, call):
    api.on("list").once().respond(500)
    assert (await call(LIST)).status == 500
    api.requests.assert_called("list", times=1)
    api.requests.assert_operations("list")
    api.requests.assert_not_called("create")
    assert len(api.requests.of("list")) == 1
    with pytest.raises(AssertionError, match="expected create at least once"):
        api.requests.assert_called("create")


@pytest.mark.parametrize(
    "claim",
    [
        lambda api: api.requests.assert_called("lst"),
        lambda api: api.requests.assert_not_called("lst"),
        lambda api: api.requests.assert_operations("lst"),
        lambda api: api.requests.of("lst"),
        lambda api: api.on("lst"),
    ],
    ids=["called", "not called", "operations", "of", "on"],
)
async def test_the_error_for_an_unknown_operation_lists_the_operations(api, claim):
    with pytest.raises(EmulatorUsageError, match="no operation 'lst': use one of list, delete, create, connect"):
        claim(api)


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (lambda log: log.assert_operations(LIST, CREATE), "expected list, create"),
        (lambda log: log.assert_operations(), "expected no request at all"),
        (lambda log: log.assert_called(CREATE), "expected create at least once, but it was requested 0 times"),
        (lambda log: log.assert_called(LIST, times=2), "expected list 2 times, but it was requested 1 times"),
        (lambda log: log.assert_not_called(LIST), "expected no such request"),
        (lambda log: log.assert_not_called(), "expected no such request"),
        (lambda log: log.assert_all_use("other"), "used another credential"),
    ],
    ids=["operations", "none", "called", "times", "operation", "anything", "credential"],
)
async def test_failed_assertions_list_the_recorded_requests(api, call, claim, message):
    await call(LIST)
    with pytest.raises(AssertionError, match=message) as caught:
        claim(api.requests)
    assert "GET /client/v4/accounts/" in str(caught.value)
    assert api.api_token not in str(caught.value)


async def test_the_message_of_an_assertion_on_an_empty_log_lists_nothing(api):
    with pytest.raises(AssertionError, match="the emulator received: nothing"):
        api.requests.assert_called(LIST)


async def test_only_the_latest_requests_are_kept_and_all_are_counted(caller_of):
    async with Emulator(keep_requests=2) as api:
        for _ in range(5):
            await caller_of(api)(LIST)
        assert [request.number for request in api.requests] == [4, 5]
        assert [request.status for request in api.requests] == [200, 200]
        assert api.requests.total == 5


async def test_clear_resets_the_numbers(api, call):
    await call(LIST)
    api.requests.clear()
    assert list(api.requests) == []
    await call(LIST)
    assert api.requests[0].number == 1


async def test_a_listener_is_called_for_every_request_that_ended(api, call):
    ended = []
    api.listen(ended.append)
    await call(LIST)
    api.on(LIST).once().respond(500)
    await call(LIST)
    await call.raw("GET", "/nowhere")
    assert [request.status for request in ended] == [200, 500, 404]
    api.listen(None)
    await call(LIST)
    assert len(ended) == 3

"""Ordered faults: what the client receives, and what was carried out."""

import asyncio
import gzip
import json
import logging

import aiohttp
import pytest

from pagerduty_alerting.emulator import Emulator, EmulatorUsageError, Operation, TokenState
from pagerduty_alerting.emulator.faults.kinds import Drip

LIST, DELETE, CREATE, CONNECT = Operation.LIST, Operation.DELETE, Operation.CREATE, Operation.CONNECT


async def raw_exchange(api, request, *, until=None):
    """Sends bytes on a new connection and reads until the server closes it, or until `until`."""
    host, port = api.origin.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        return await (reader.read() if until is None else reader.readuntil(until))
    finally:
        writer.close()


def raw_get(call, path):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {call.api.api_token}\r\n\r\n".encode()


def raw_list(call):
    return raw_get(call, call.path(LIST))


async def test_a_status_is_sent_as_many_times_as_ordered(api, call):
    order = api.on(LIST).times(2).respond(503, headers={"Retry-After": "1"})
    replies = [await call(LIST) for _ in range(3)]
    assert [reply.status for reply in replies] == [503, 503, 200]
    assert replies[0].headers["Retry-After"] == "1"
    assert replies[0].json["success"] is False
    assert "CF-Ray" in replies[0].headers
    assert (order.used, order.spent) == (2, True)


async def test_without_a_count_a_fault_lasts_until_it_is_cancelled(api, call):
    order = api.on(LIST).respond(500)
    assert [(await call(LIST)).status for _ in range(3)] == [500, 500, 500]
    order.cancel()
    assert (await call(LIST)).status == 200


async def test_as_a_context_manager_a_fault_ends_on_exit(api, call):
    with api.on().respond(502):
        assert (await call(LIST)).status == 502
    assert (await call(LIST)).status == 200


async def test_a_fault_applies_only_to_its_operations(api, call):
    api.on(CREATE, DELETE).respond(500)
    assert {operation: (await call(operation)).status for operation in (LIST, CREATE, DELETE)} == {
        LIST: 200,
        CREATE: 500,
        DELETE: 500,
    }


async def test_orders_with_times_are_a_script(api, call):
    for status in (500, 502, 504):
        api.on(LIST).once().respond(status)
    assert [(await call(LIST)).status for _ in range(4)] == [500, 502, 504, 200]


async def test_requests_can_be_skipped_first(api, call):
    api.on(LIST).skip(1).once().respond(500)
    assert [(await call(LIST)).status for _ in range(3)] == [200, 500, 200]


async def test_a_predicate_selects_requests(api, call):
    reader = api.add_api_token()
    api.on(LIST).when(lambda request: request.uses(reader)).when(lambda request: request.number > 1).respond(418)
    headers = {"Authorization": f"Bearer {reader}"}
    assert [(await call(LIST, headers=headers)).status, (await call(LIST)).status] == [200, 200]
    assert (await call(LIST, headers=headers)).status == 418


async def test_random_faults_are_the_same_with_the_same_seed(caller_of):
    runs = []
    for _ in range(2):
        async with Emulator(seed=3) as api:
            api.on().sometimes(0.5).respond(500)
            runs.append([(await caller_of(api)(LIST)).status for _ in range(30)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}


@pytest.mark.parametrize("wrong", [{"latency": -1.0}, {"fail_rate": 2.0}], ids=["latency", "fail_rate"])
def test_an_emulator_refuses_numbers_out_of_range(wrong):
    with pytest.raises(EmulatorUsageError):
        Emulator(**wrong)


@pytest.mark.parametrize(("probability", "status"), [(0, 200), (1, 500)])
async def test_probabilities_of_0_and_1_are_certain(api, call, probability, status):
    api.on().sometimes(probability).respond(500)
    assert {(await call(LIST)).status for _ in range(5)} == {status}


async def test_a_failure_rate_survives_a_reset(caller_of):
    async with Emulator(fail_rate=1.0) as api:
        assert (await caller_of(api)(LIST)).status == 503
        api.reset()
        assert (await caller_of(api)(LIST)).status == 503
        assert api.orders == []


async def test_a_fault_instead_of_a_response_carries_nothing_out(api, call):
    api.add_service("Database")
    api.on(DELETE).respond(500)
    await call(DELETE)
    assert len(api.services()) == 1


async def test_a_fault_after_acting_follows_the_operation(api, call):
    api.add_service("Database")
    api.on(DELETE).after_acting().respond(500)
    assert (await call(DELETE)).status == 500
    assert api.services() == []


@pytest.mark.parametrize(
    ("order", "status", "kind", "start"),
    [
        (lambda on: on.html(), 502, "text/html; charset=UTF-8", b"<!DOCTYPE html>"),
        (lambda on: on.malformed_json(), 200, "application/json", b'{"success": true'),
        (lambda on: on.wrong_shape(), 200, "application/json", b'{"success":true,"errors":{}'),
        (lambda on: on.wrong_shape(json=[1]), 200, "application/json", b"[1]"),
        (lambda on: on.respond(200, body="text", headers={"content-type": "text/plain"}), 200, "text/plain", b"text"),
        (lambda on: on.respond(299, json={"a": 1}), 299, "application/json", b'{"a":1}'),
        (lambda on: on.respond(204), 204, "application/json", b""),
        (lambda on: on.respond(599), 599, "application/json", b'{"success":false'),
    ],
    ids=["html", "malformed", "shape", "json", "text", "odd", "empty", "unknown"],
)
async def test_bodies_are_sent_as_ordered(api, call, order, status, kind, start):
    order(api.on(LIST))
    reply = await call(LIST)
    assert (reply.status, reply.headers["Content-Type"]) == (status, kind)
    assert reply.body.startswith(start)


@pytest.mark.parametrize(("given", "sent"), [(7, "7"), ("Wed, 21 Oct 2026 07:28:00 GMT",) * 2], ids=["s", "date"])
async def test_an_ordered_rate_limit_has_retry_after(api, call, given, sent):
    api.on().rate_limited(given)
    reply = await call(LIST)
    assert (reply.status, reply.headers["Retry-After"]) == (429, sent)


async def test_a_redirect_names_its_target(api, call):
    api.on(LIST).redirect("http://elsewhere.example/", status=307)
    reply = await call(LIST)
    assert (reply.status, reply.headers["Location"], reply.body) == (307, "http://elsewhere.example/", b"")


async def test_a_response_of_the_wrong_shape_fits_in_no_field(api, call):
    api.on(LIST).wrong_shape()
    assert (await call(LIST)).json == {"success": True, "errors": {}, "messages": 7, "result": "not a result"}


@pytest.mark.parametrize("status", [200, 399])
async def test_without_a_body_the_response_to_a_status_below_400_is_a_success(api, call, status):
    api.on(LIST).respond(status)
    assert (await call(LIST)).json == {"success": True, "errors": [], "messages": [], "result": None}


@pytest.mark.parametrize("status", [400, 503])
async def test_without_a_body_the_response_to_a_status_from_400_is_a_failure(api, call, status):
    api.on(LIST).respond(status)
    errors = [{"code": 15000, "message": f"HTTP {status}, as ordered from the emulator"}]
    assert (await call(LIST)).json == {"success": False, "errors": errors, "messages": [], "result": None}


async def test_a_reset_before_acting_changes_nothing_whatever_was_ordered_earlier(api, call):
    api.add_service("Database")
    api.on(DELETE).after_acting().reset_before_acting()
    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await call(DELETE)
    assert len(api.services()) == 1


async def test_reset_before_acting_changes_nothing(api, call):
    api.on(CREATE).once().reset_before_acting()
    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await call(CREATE)
    assert api.tokens() == []


async def test_reset_after_acting_carries_the_operation_out(api, call):
    token_id = await call.create()
    api.authorize(token_id, ["Database"])
    api.on(CONNECT).once().reset_after_acting()
    # Over a plain socket: aiohttp's client would retry.
    with pytest.raises(ConnectionResetError):
        await raw_exchange(api, raw_get(call, call.path(CONNECT, token_id)))
    assert api.token_state(token_id) is TokenState.USED
    assert [service.name for service in api.services()] == ["Database"]


async def test_a_reset_is_a_tcp_reset(api, call):
    api.on().reset_before_acting()
    with pytest.raises(ConnectionResetError):
        await raw_exchange(api, raw_list(call))


async def test_truncate_closes_in_the_middle_of_the_body(api, call):
    api.on(LIST).once().truncate(keep=5)
    with pytest.raises(aiohttp.ClientPayloadError):
        await call(LIST)
    api.on(LIST).once().truncate()
    head, _, body = (await raw_exchange(api, raw_list(call))).partition(b"\r\n\r\n")
    announced = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert len(body) == announced // 2


@pytest.mark.parametrize("keep", [0, 1, 118, 119, 10_000, None])
async def test_truncate_announces_the_whole_body_and_sends_what_was_ordered(api, call, keep):
    whole = len((await call(LIST)).body)
    assert whole == 119
    api.on(LIST).truncate(keep=keep)
    head, _, body = (await raw_exchange(api, raw_list(call))).partition(b"\r\n\r\n")
    announced = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert (announced, len(body)) == (whole, whole // 2 if keep is None else min(keep, whole))
    assert b"connection: close" in head.lower()


async def test_a_length_too_long_makes_the_client_wait(api, call):
    api.on(LIST).wrong_length(by=1)
    response = await raw_exchange(api, raw_list(call), until=b"}}")
    announced = int(response.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert announced == len(response.partition(b"\r\n\r\n")[2]) + 1
    assert api.requests[-1].status == 200


async def test_a_length_too_short_leaves_bytes_before_the_next_response(api, call):
    api.on(LIST).once().wrong_length(by=-2)
    response = await raw_exchange(api, raw_list(call) * 2, until=b"}}HTTP/1.1 200")
    assert response.endswith(b"}}HTTP/1.1 200")


async def test_a_dripped_response_is_complete(api, call):
    api.add_service("Database")
    order = api.on(LIST).drip(size=7, interval=0)
    assert await call.names() == ["Database"]
    assert order.effect == Drip(size=7, interval=0)


async def test_a_dripped_response_keeps_the_connection(api, call):
    api.on(LIST).once().drip(size=50, interval=0)
    response = await raw_exchange(api, raw_list(call) * 2, until=b"}}HTTP/1.1 200")
    assert b"\r\nConnection: keep-alive\r\n" in response


async def test_a_dripped_response_closes_a_connection_that_is_not_kept(api, call):
    api.on(LIST).drip(size=50, interval=0)
    response = await raw_exchange(api, raw_list(call).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert b"\r\nConnection: close\r\n" in response
    assert response.endswith(b"}}")


async def test_an_ordered_header_replaces_the_standard_one_in_any_case(api, call):
    api.on(LIST).respond(200, headers={"cf-RAY": "ordered", "X-Other": "too"})
    response = (await raw_exchange(api, raw_list(call), until=b"\r\n\r\n")).lower()
    assert response.count(b"cf-ray: ") == 1
    assert b"cf-ray: ordered\r\n" in response
    assert b"server: cloudflare\r\n" in response


async def test_a_huge_response_is_valid_and_has_the_ordered_size(api, call):
    api.on(LIST).huge(300_000)
    reply = await call(LIST)
    assert len(reply.body) >= 300_000
    assert reply.headers["Content-Length"] == str(len(reply.body))
    assert reply.json["success"] is True


async def test_a_gzip_bomb_is_small_compressed_and_large_expanded(api, call):
    api.on(LIST).gzip_bomb(3_000_000)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        headers = {"Authorization": f"Bearer {api.api_token}"}
        async with session.get(f"{api.origin}{call.path(LIST)}", headers=headers) as response:
            packed = await response.read()
            assert response.headers["Content-Encoding"] == "gzip"
    assert len(packed) < 30_000
    assert len(json.loads(gzip.decompress(packed))["result"][0]["name"]) == 3_000_000


async def test_a_client_that_disconnects_during_a_huge_response_causes_no_error(api, call, caplog):
    api.on(LIST).once().huge(50_000_000)
    ended = asyncio.Event()
    api.listen(lambda _: ended.set())
    await raw_exchange(api, raw_list(call), until=b"\r\n\r\n")
    async with asyncio.timeout(10):
        await ended.wait()
    assert (await call(LIST)).status == 200
    assert caplog.records == []


async def test_a_hanging_request_ends_with_a_reset_of_the_emulator(api, call):
    gate = api.on(CREATE).hold()
    api.on(CREATE).hang()
    hanging = asyncio.create_task(call(CREATE))
    await gate.arrived(1)
    gate.release()
    assert (await call(LIST)).status == 200
    assert not hanging.done()
    api.reset()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await hanging
    assert (await call(LIST)).status == 200


async def test_a_refusing_server_refuses_until_it_accepts_again(api, call):
    api.on(LIST).once().refuse()
    with pytest.raises(aiohttp.ClientConnectionError):
        await call(LIST)
    with pytest.raises(aiohttp.ClientConnectorError):
        await call(LIST)
    api.accept_connections()
    assert (await call(LIST)).status == 200


async def test_a_refusing_server_accepts_again_after_the_given_time(api, call):
    api.on(CREATE).once().refuse(seconds=0.01)
    with pytest.raises(aiohttp.ClientConnectionError):
        await call(CREATE)  # not a GET, which aiohttp would send again, perhaps after the given time
    async with asyncio.timeout(10):
        while True:
            try:
                reply = await call(LIST)
                break
            except aiohttp.ClientConnectorError:
                continue
    assert reply.status == 200


async def test_refusing_connections_ends_with_its_context(api, call):
    assert (await call(LIST)).status == 200
    with api.refusing_connections(), pytest.raises(aiohttp.ClientConnectorError):
        await call(LIST)
    assert (await call(LIST)).status == 200


async def test_dropped_connections_are_opened_again(api, call):
    assert (await call(LIST)).status == 200
    api.drop_connections()
    assert (await call(DELETE)).status == 200


async def test_latency_and_status_can_be_combined(api, call):
    api.on(LIST).latency(0.001)
    api.on(LIST).respond(500)
    assert (await call(LIST)).status == 500
    assert api.requests[-1].fault == "latency of 0.001 s, respond 500"


async def test_latency_alone_does_not_change_the_response(api, call):
    api.on(CREATE).after_acting().latency(0)
    assert (await call(CREATE)).status == 201


async def test_a_predicate_that_raises_is_a_500_with_a_traceback_in_the_log(api, call, caplog):
    api.on(LIST).when(lambda request: request.json() == 1).respond(418)
    with caplog.at_level(logging.ERROR, "pagerduty_alerting.emulator"):
        reply = await call(LIST)
    assert (reply.status, reply.codes) == (500, [15000])
    assert caplog.records[0].exc_info is not None
    assert api.requests[-1].status == 500
    api.reset()
    assert (await call(LIST)).status == 200


@pytest.mark.parametrize(
    ("order", "problem"),
    [
        (lambda on: on.times(0), "times must be >= 1, not 0"),
        (lambda on: on.skip(-1), "skip must be >= 0, not -1"),
        (lambda on: on.sometimes(-0.1), "a probability is >= 0 and <= 1, not -0.1"),
        (lambda on: on.sometimes(1.1), "a probability is >= 0 and <= 1, not 1.1"),
        (lambda on: on.respond(199), "199 is not the status of an HTTP response: use 200 to 599"),
        (lambda on: on.respond(600), "600 is not the status of an HTTP response: use 200 to 599"),
        (lambda on: on.respond(200, json=[], body=b""), "give either json or body, not both"),
        (lambda on: on.respond(200, headers={"a b": "c"}), "'a b': 'c' is not an HTTP header"),
        (lambda on: on.respond(200, headers={"a": "b\r\nc"}), r"'a': 'b\r\nc' is not an HTTP header"),
        (lambda on: on.drip(size=0), "size must be >= 1, not 0"),
        (lambda on: on.truncate(keep=-1), "keep must be >= 0, not -1"),
        (lambda on: on.huge(0), "size must be >= 1, not 0"),
        (lambda on: on.gzip_bomb(0), "size must be >= 1, not 0"),
        (lambda on: on.latency(-1), "seconds must be >= 0, not -1"),
    ],
    ids=range(14),
)
async def test_an_invalid_order_is_refused_at_once(api, order, problem):
    with pytest.raises(EmulatorUsageError) as caught:
        order(api.on(LIST))
    assert str(caught.value) == problem
    assert api.orders == []


async def test_orders_have_a_description(api):
    api.on(CREATE, LIST).gzip_bomb(10)
    api.on().reset_after_acting()
    assert [order.description for order in api.orders] == ["gzip bomb for create, list", "reset for every request"]
    assert "used 0 times" in repr(api.orders[0])

"""The lifetime of a client: when it opens its session, which loop it belongs to, and what closing it does."""

import asyncio
import copy
import gc
import pickle
import ssl
import threading
import traceback
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from pagerduty_alerting import (
    APIConnectionError,
    AsyncClient,
    Client,
    ClientClosedError,
    ClientUsageError,
    ConfigurationError,
    IntegrationToken,
    NotFoundError,
)
from pagerduty_alerting._loop.deadlines import Limit
from pagerduty_alerting._outcome import Call
from pagerduty_alerting._protocol.answer import RawResponse
from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.callers import MakeCaller
from tests.support.operations import API_TOKEN


def settings_for(api: Emulator) -> dict[str, Any]:
    return {"base_url": api.url, "api_token": api.api_token, "account_id": api.account_id}


# Representation and copies.


def test_the_repr_of_a_client_names_its_settings_and_hides_its_secrets(make_caller: MakeCaller) -> None:
    caller = make_caller()
    name = {"async": "AsyncClient", "sync": "Client"}[caller.flavour]
    assert repr(caller.client) == (
        f"<{name} base_url='https://api.cloudflare.com/client/v4' account_id='023e105f4ecef8ad9ca31a8372d0c353'>"
    )
    assert API_TOKEN not in f"{caller.client} {caller.client.with_response}"


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_client_cannot_be_pickled_or_copied(make_caller: MakeCaller, copied: Callable[[object], object]) -> None:
    with pytest.raises(
        TypeError, match="^a client holds credentials and connections and cannot be pickled: create one where"
    ):
        copied(make_caller().client)
    with pytest.raises(
        TypeError, match="^a client holds credentials and connections and cannot be pickled: create one where"
    ):
        copied(make_caller().client.with_response)


def local_variables(error: BaseException) -> str:
    """Returns the local variables in the package's frames of a traceback, as error trackers show them."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = [frame for frame in frames if "pagerduty_alerting" in frame.f_code.co_filename]
    assert ours
    return "\n".join(f"{name} = {value!r}" for frame in ours for name, value in frame.f_locals.items())


def test_the_local_variables_of_a_refused_call_show_no_secret(make_caller: MakeCaller, emulator: Emulator) -> None:
    caller = make_caller(**settings_for(emulator))
    token = IntegrationToken("a313ba7d3e464c0ea40808fafbc3816a")
    with pytest.raises(NotFoundError) as caught:
        caller.call("connect", token)
    shown = local_variables(caught.value)
    assert emulator.api_token not in shown
    assert token.id not in shown


def test_the_local_variables_of_a_call_without_a_response_show_no_secret(
    make_caller: MakeCaller, emulator: Emulator
) -> None:
    caller = make_caller(**settings_for(emulator))
    token = IntegrationToken("a313ba7d3e464c0ea40808fafbc3816a")
    emulator.on().reset_after_acting()
    with pytest.raises(APIConnectionError) as caught:
        caller.call("connect", token)
    shown = local_variables(caught.value)
    assert emulator.api_token not in shown
    assert token.id not in shown


# Opening.


def test_a_client_can_be_made_without_an_event_loop_and_closed_without_a_call(make_caller: MakeCaller) -> None:
    caller = make_caller()
    caller.close()
    caller.close()


def counting(opened: list[object]) -> aiohttp.TraceConfig:
    """Returns trace hooks that record each opened connection."""

    async def note(*_: object) -> None:
        opened.append(None)

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(note)
    return trace


def test_connections_are_reused(make_caller: MakeCaller, emulator: Emulator) -> None:
    opened: list[object] = []
    caller = make_caller(**settings_for(emulator), trace_configs=[counting(opened)])
    caller.call("list_services")
    caller.call("delete_services")
    assert len(opened) == 1


def test_clients_with_other_options_share_the_connections(make_caller: MakeCaller, emulator: Emulator) -> None:
    opened: list[object] = []
    caller = make_caller(**settings_for(emulator), trace_configs=[counting(opened)])
    caller.call("list_services")
    caller.with_options(timeout=5.0).call("list_services")
    caller.with_options(user_agent="other/1").respond("list_services")
    assert len(opened) == 1


def test_each_client_sends_its_own_additional_headers(make_caller: MakeCaller, emulator: Emulator) -> None:
    """Clients that share connections may have different headers, whichever of them opens the connections."""
    opened: list[object] = []
    first = make_caller(**settings_for(emulator), headers={"X-Gateway": "one"}, trace_configs=[counting(opened)])
    for caller in (first, first.with_options(headers={"X-Other": "two"}), first.with_options(headers={}), first):
        caller.call("list_services")
    sent = [(request.headers.get("X-Gateway"), request.headers.get("X-Other")) for request in emulator.requests]
    assert sent == [("one", None), (None, "two"), (None, None), ("one", None)]
    assert len(opened) == 1


def test_a_client_with_other_options_keeps_the_additional_headers(make_caller: MakeCaller, emulator: Emulator) -> None:
    caller = make_caller(**settings_for(emulator), headers={"X-Gateway": "one"})
    caller.with_options(timeout=5.0).call("list_services")
    assert emulator.requests[0].headers["X-Gateway"] == "one"


def test_each_client_has_its_own_connect_timeout(
    make_caller: MakeCaller, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[float | None] = []
    connect = aiohttp.TCPConnector.connect

    async def noting(self: Any, req: Any, traces: Any, timeout: aiohttp.ClientTimeout) -> Any:
        used.append(timeout.sock_connect)
        return await connect(self, req, traces, timeout)

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", noting)
    caller = make_caller(**settings_for(emulator), connect_timeout=3)
    for client in (caller, caller.with_options(connect_timeout=2), caller):
        client.call("list_services")

    assert used == [3, 2, 3]


# Memory.


def test_a_call_is_freed_without_garbage_collection(make_caller: MakeCaller, emulator: Emulator) -> None:
    def calls() -> set[int]:
        return {id(thing) for thing in gc.get_objects() if isinstance(thing, Call | Limit | RawResponse)}

    caller = make_caller(**settings_for(emulator))
    caller.call("list_services")
    gc.collect()
    before = calls()  # that of the connection, whose callbacks hold its context
    gc.disable()
    try:
        for _ in range(3):
            caller.call("list_services")
        left = calls() - before
    finally:
        gc.enable()

    assert left == set()


# Loops.


def test_a_client_works_in_one_loop_after_another(emulator: Emulator) -> None:
    client = AsyncClient(**settings_for(emulator))
    assert asyncio.run(client.list_services()) == []
    assert asyncio.run(client.list_services()) == []
    asyncio.run(client.aclose())
    gc.collect()
    assert emulator.requests.total == 2


def test_a_client_that_is_never_closed_leaves_nothing_open_after_its_loop(emulator: Emulator) -> None:
    asyncio.run(AsyncClient(**settings_for(emulator)).list_services())
    gc.collect()  # a session left open would be a ResourceWarning, and with that an error


def test_two_running_loops_cannot_use_one_client(emulator: Emulator) -> None:
    client = AsyncClient(**settings_for(emulator))
    called, end = threading.Event(), threading.Event()

    async def call_wait_and_call() -> None:
        await client.list_services()
        called.set()
        await asyncio.to_thread(end.wait, 30)
        await client.list_services()

    other = threading.Thread(target=asyncio.run, args=(call_wait_and_call(),))
    other.start()
    try:
        assert called.wait(30)
        with pytest.raises(ClientUsageError, match="in use from another event loop, which is not closed"):
            asyncio.run(client.list_services())
    finally:
        end.set()
        other.join(30)
    assert emulator.requests.total == 2


def test_a_client_usage_error_is_a_runtime_error() -> None:
    assert issubclass(ClientUsageError, RuntimeError)


# Closing.


async def test_a_closed_asynchronous_client_cannot_be_entered() -> None:
    client = AsyncClient(api_token=API_TOKEN)
    await client.aclose()
    with pytest.raises(ClientClosedError, match="^the client is closed$"):
        async with client:
            pytest.fail("it was entered")


def test_a_closed_synchronous_client_cannot_be_entered() -> None:
    client = Client(api_token=API_TOKEN)
    client.close()
    with pytest.raises(ClientClosedError, match="^the client is closed$"), client:
        pytest.fail("it was entered")


def test_a_client_whose_connections_were_closed_by_another_cannot_be_entered() -> None:
    client = Client(api_token=API_TOKEN)
    changed = client.with_options(timeout=1.0)
    client.close()
    with pytest.raises(ClientClosedError, match="^the client is closed$"), changed:
        pytest.fail("it was entered")


async def test_leaving_the_context_closes_an_asynchronous_client(emulator: Emulator) -> None:
    async with AsyncClient(**settings_for(emulator)) as client:
        await client.list_services()
    with pytest.raises(ClientClosedError, match="^the client is closed"):
        await client.list_services()


def test_leaving_the_context_closes_a_synchronous_client(emulator: Emulator) -> None:
    with Client(**settings_for(emulator)) as client:
        client.list_services()
    with pytest.raises(ClientClosedError, match="^the client is closed"):
        client.list_services()


@pytest.mark.parametrize("calls_before", [0, 1])
def test_calls_after_closing_are_refused(make_caller: MakeCaller, emulator: Emulator, calls_before: int) -> None:
    caller = make_caller(**settings_for(emulator))
    for _ in range(calls_before):
        caller.call("list_services")
    caller.close()
    for name, *arguments in (["list_services"], ["delete_services"], ["connect", "x"]):
        with pytest.raises(ClientClosedError):
            caller.call(name, *arguments)
    assert emulator.requests.total == calls_before


def test_a_client_can_be_closed_twice(make_caller: MakeCaller, emulator: Emulator) -> None:
    caller = make_caller(**settings_for(emulator))
    caller.call("list_services")
    caller.close()
    caller.close()


@pytest.mark.parametrize("used", [True, False])
def test_is_closed_is_true_after_closing(make_caller: MakeCaller, emulator: Emulator, *, used: bool) -> None:
    caller = make_caller(**settings_for(emulator))
    other = caller.with_options(timeout=7.0)
    if used:
        caller.call("list_services")
    assert (caller.client.is_closed, other.client.is_closed) == (False, False)
    caller.close()
    assert (caller.client.is_closed, other.client.is_closed) == (True, True)


@pytest.mark.parametrize("closed", ["the first", "the one with options"])
def test_closing_closes_all_clients_that_share_the_connections(
    make_caller: MakeCaller, emulator: Emulator, closed: str
) -> None:
    first = make_caller(**settings_for(emulator))
    other = first.with_options(timeout=7.0)
    first.call("list_services")
    (first if closed == "the first" else other).close()
    for caller in (first, other):
        with pytest.raises(ClientClosedError):
            caller.call("list_services")


async def start_call(emulator: Emulator, start: Callable[[], Awaitable[Any]]) -> asyncio.Future[Any]:
    """Starts a call, and returns when the emulator holds its request."""
    gate = emulator.on(Operation.LIST).hold()
    call = asyncio.ensure_future(start())
    await gate.arrived()
    return call


async def test_closing_ends_calls_under_way(emulator: Emulator) -> None:
    async with AsyncClient(**settings_for(emulator)) as client:
        call = await start_call(emulator, client.list_services)
        await client.aclose()
        with pytest.raises(ClientClosedError, match="^the client was closed during the call$"):
            await call


async def test_closing_ends_calls_under_way_on_a_callers_session(emulator: Emulator) -> None:
    async with aiohttp.ClientSession() as session:
        client = AsyncClient(**settings_for(emulator), session=session)
        call = await start_call(emulator, client.list_services)
        await client.aclose()
        with pytest.raises(ClientClosedError, match="^the client was closed during the call$"):
            async with asyncio.timeout(10):
                await call
        assert not session.closed


async def test_a_cancelled_call_leaves_the_client_usable(emulator: Emulator) -> None:
    async with AsyncClient(**settings_for(emulator)) as client:
        call = await start_call(emulator, client.list_services)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        emulator.release()
        assert await client.list_services() == []


# The caller's session.


async def test_a_callers_session_is_used_and_stays_open(emulator: Emulator) -> None:
    async with aiohttp.ClientSession(headers={"X-Mine": "yes"}) as session:
        async with AsyncClient(**settings_for(emulator), session=session) as client:
            assert await client.list_services() == []
        assert not session.closed
    assert emulator.requests[0].headers["X-Mine"] == "yes"


async def test_the_middlewares_of_a_callers_session_are_kept(emulator: Emulator) -> None:
    async def sign(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers["X-Signature"] = "signed"
        return await send(request)

    async with aiohttp.ClientSession(middlewares=(sign,)) as session:
        client = AsyncClient(**settings_for(emulator), session=session)
        await client.list_services()
    assert emulator.requests[0].headers["X-Signature"] == "signed"


async def test_raise_for_status_of_a_callers_session_has_no_effect(emulator: Emulator) -> None:
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        client = AsyncClient(**settings_for(emulator), session=session)
        with pytest.raises(Exception, match="No route|Could not route") as caught:
            await client.list_services(account_id="f" * 32)
    assert type(caught.value).__name__ == "NotFoundError"


async def test_a_callers_session_with_its_own_credentials_is_a_configuration_error(emulator: Emulator) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # deprecated in aiohttp, but still in use
        own = aiohttp.ClientSession(auth=aiohttp.BasicAuth("me", "secret"))
    async with own as session:
        client = AsyncClient(**settings_for(emulator), session=session)
        with pytest.raises(ConfigurationError, match="has credentials of its own") as caught:
            await client.list_services()
    assert "secret" not in str(caught.value)
    assert emulator.requests.total == 0


async def test_a_closed_session_of_the_caller_is_reported(emulator: Emulator) -> None:
    session = aiohttp.ClientSession()
    await session.close()
    client = AsyncClient(**settings_for(emulator), session=session)
    with pytest.raises(ClientClosedError, match="^the aiohttp session that was passed to the client is closed$"):
        await client.list_services()


async def test_a_callers_session_may_have_its_own_base_url(emulator: Emulator) -> None:
    async with aiohttp.ClientSession("https://elsewhere.example/") as session:
        client = AsyncClient(**settings_for(emulator), session=session)
        assert await client.list_services() == []


@pytest.mark.parametrize(
    "settings",
    [{"ssl_context": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)}, {"trace_configs": [aiohttp.TraceConfig()]}],
    ids=["ssl_context", "trace_configs"],
)
async def test_settings_that_belong_to_a_session_cannot_be_combined_with_one(settings: dict[str, Any]) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigurationError, match="belong to the session: set them on the session"):
            AsyncClient(api_token="x", session=session, **settings)


async def test_a_stopped_server_is_a_connection_error_that_cannot_have_acted(emulator: Emulator) -> None:
    async with AsyncClient(**settings_for(emulator)) as client:
        with emulator.refusing_connections(), pytest.raises(APIConnectionError, match="cannot connect to") as caught:
            await client.create_integration_token(timeout=1.0)
    assert caught.value.may_have_acted is False

"""Runs over many accounts, asynchronous and synchronous: their results, the order, and how a run ends."""

import asyncio
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from pagerduty_alerting import (
    AccountDeletion,
    AccountServices,
    APITimeoutError,
    AsyncClient,
    AuthenticationError,
    Client,
    ClientClosedError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
)
from pagerduty_alerting._loop.sync_call import callers_items
from pagerduty_alerting.emulator import Emulator, Operation, Permission
from tests.support.callers import Caller, MakeCaller
from tests.support.threads import InThread

UNKNOWN = "0" * 32


@pytest.fixture
def fleet(make_caller: MakeCaller, emulator: Emulator) -> Caller:
    """A client of the emulator, of either flavour."""
    return make_caller(base_url=emulator.url, api_token=emulator.api_token, account_id=emulator.account_id)


class Results:
    """Takes the results of a run one by one, from a client of either flavour."""

    def __init__(self, caller: Caller, items: Any) -> None:
        self._caller = caller
        self._items = items

    def take(self) -> Any:
        return next(self._items) if self._caller.flavour == "sync" else self._caller._finish(anext(self._items))

    def leave(self) -> None:
        if self._caller.flavour == "sync":
            self._items.close()
        else:
            self._caller._finish(self._items.aclose())


def of(account: str) -> Callable[[Any], bool]:
    return lambda request: account in request.path


def names(result: AccountServices) -> list[str]:
    assert result.services is not None
    return [service.name for service in result.services]


def test_every_account_has_its_own_services(fleet: Caller, accounts: list[str]) -> None:
    results = fleet.collect("list_services_in", accounts)
    found = {result.account_id: names(result) for result in results}
    assert found == {account: [f"Service {number}"] if number else [] for number, account in enumerate(accounts)}
    assert len(results) == len(accounts)
    assert {result.error for result in results} == {None}


def test_services_of_many_accounts_are_deleted(fleet: Caller, emulator: Emulator, accounts: list[str]) -> None:
    results = fleet.collect("delete_services_in", accounts[:20])
    assert {result.account_id for result in results} == set(accounts[:20])
    assert all(isinstance(result, AccountDeletion) and result.envelope.success for result in results)
    assert [account for account in accounts if emulator.services(account)] == accounts[20:]


def test_results_come_in_the_order_of_the_responses(fleet: Caller, emulator: Emulator, accounts: list[str]) -> None:
    gate = emulator.on(Operation.LIST).when(of(accounts[3])).hold()
    results = Results(fleet, fleet.client.list_services_in(accounts))
    early = [results.take().account_id for _ in range(len(accounts) - 1)]
    gate.release()
    assert results.take().account_id == accounts[3]
    assert set(early) == set(accounts) - {accounts[3]}


def test_a_late_first_account_does_not_block_the_others(fleet: Caller, emulator: Emulator, accounts: list[str]) -> None:
    gate = emulator.on(Operation.LIST).when(of(accounts[0])).hold()
    results = Results(fleet, fleet.client.list_services_in(accounts))
    assert results.take().account_id == accounts[1]
    gate.release()
    results.leave()


def test_ordered_results_come_in_the_order_of_the_accounts(
    fleet: Caller, emulator: Emulator, accounts: list[str]
) -> None:
    emulator.on(Operation.LIST).when(of(accounts[3])).latency(0.2)
    results = fleet.collect("list_services_in", accounts, ordered=True)
    assert [result.account_id for result in results] == accounts


@pytest.mark.parametrize("operation", ["list_services_in", "delete_services_in"])
def test_the_error_of_an_account_is_in_its_result(
    fleet: Caller, emulator: Emulator, accounts: list[str], operation: str
) -> None:
    emulator.on().when(of(accounts[5])).respond(503)
    results = fleet.collect(operation, [*accounts, UNKNOWN], ordered=True)
    errors = {result.account_id: type(result.error) for result in results if result.error is not None}
    assert errors == {accounts[5]: InternalServerError, UNKNOWN: NotFoundError}
    assert len(results) == len(accounts) + 1


def test_errors_in_results_have_no_traceback(fleet: Caller) -> None:
    results = fleet.collect("list_services_in", [UNKNOWN, "", None])
    assert [result.error.__traceback__ for result in results] == [None] * 3


def test_a_timeout_is_the_error_of_its_account(fleet: Caller, emulator: Emulator, accounts: list[str]) -> None:
    emulator.on().when(of(accounts[5])).hang()
    results = fleet.collect("list_services_in", accounts, timeout=2)
    assert [type(result.error) for result in results if result.error is not None] == [APITimeoutError]


def test_a_missing_permission_is_the_error_of_its_account(
    make_caller: MakeCaller, emulator: Emulator, accounts: list[str]
) -> None:
    token = emulator.add_api_token(permissions=[Permission.NOTIFICATIONS_READ])
    caller = make_caller(base_url=emulator.url, api_token=token)
    results = caller.collect("delete_services_in", accounts[:3])
    assert [type(result.error) for result in results] == [PermissionDeniedError] * 3


def test_invalid_credentials_end_the_run(make_caller: MakeCaller, emulator: Emulator, accounts: list[str]) -> None:
    caller = make_caller(base_url=emulator.url, api_token="not-a-token")
    with pytest.raises(AuthenticationError):
        caller.collect("list_services_in", accounts)
    assert len(emulator.requests) < len(accounts)


def test_credentials_refused_for_one_account_are_its_error(
    fleet: Caller, emulator: Emulator, accounts: list[str]
) -> None:
    emulator.on().times(1).respond(401)
    emulator.on().skip(5).times(2).respond(401)
    results = fleet.collect("delete_services_in", accounts)
    refused = [result for result in results if result.error is not None]
    assert len(results) == len(accounts)
    assert [type(result.error) for result in refused] == [AuthenticationError] * 3


class LimiterForTwo:
    """A limiter that admits two and raises at the third."""

    def __init__(self) -> None:
        self.entered = 0

    async def __aenter__(self) -> None:
        self.entered += 1
        if self.entered == 3:
            raise LookupError("end")

    async def __aexit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("end", ["source", "limiter", "credentials"])
async def test_a_run_that_fails_yields_the_results_of_sent_requests_and_sends_no_more(
    emulator: Emulator, accounts: list[str], end: str, ordered: bool
) -> None:
    limiter = LimiterForTwo() if end == "limiter" else None
    go_on = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        for account in accounts[:2]:
            yield account
        await go_on.wait()
        if end == "source":
            raise LookupError("end")
        for account in accounts[2:]:
            yield account

    if end == "credentials":
        emulator.on().times(2).respond(401)
    gate = emulator.on(Operation.DELETE).hold() if end != "credentials" else None
    results: list[AccountDeletion] = []

    async def run(client: AsyncClient) -> None:
        async for result in client.delete_services_in(source(), ordered=ordered):
            results.append(result)  # noqa: PERF401  # keeps the results before the error

    async with AsyncClient(api_token=emulator.api_token, base_url=emulator.url, limiter=limiter) as client:
        running = asyncio.ensure_future(run(client))
        if gate is not None:
            await gate.arrived(2)
        go_on.set()
        if gate is not None:
            for _ in range(20):  # turns of the loop, more than the run needs to notice the error
                await asyncio.sleep(0)
            assert not running.done()
            gate.release()
        with pytest.raises(AuthenticationError if end == "credentials" else LookupError):
            await running

    assert len(results) == len(emulator.requests) < 6
    assert all(any(result.account_id in request.path for request in emulator.requests) for result in results)


@pytest.mark.parametrize("operation", ["list_services_in", "delete_services_in"])
def test_invalid_ids_are_errors_of_their_accounts_and_nothing_is_sent_for_them(
    fleet: Caller, emulator: Emulator, operation: str
) -> None:
    """Elsewhere, None stands for the client's account; here, it must not delete that account's services."""
    results = fleet.collect(operation, [None, 7, "", "..", "a\nb", "x" * 300], ordered=True)
    assert [type(result.error) for result in results] == [TypeError, TypeError, *[ValueError] * 4]
    emulator.requests.assert_not_called()


@pytest.mark.parametrize(
    ("accounts", "options", "error"),
    [
        ("023e105f4ecef8ad9ca31a8372d0c353", {}, TypeError),
        (b"023e105f4ecef8ad9ca31a8372d0c353", {}, TypeError),
        (7, {}, TypeError),
        ([], {"concurrency": 0}, ValueError),
        ([], {"concurrency": 1.5}, TypeError),
        ([], {"ordered": 1}, TypeError),
        ([], {"timeout": 0}, ValueError),
        ([], {"timeout": True}, TypeError),
    ],
)
def test_invalid_arguments_are_refused(
    fleet: Caller, accounts: Any, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error, match=f"^{next(iter(options), 'account_ids')} must "):
        fleet.collect("list_services_in", accounts, **options)


def test_nothing_is_sent_or_fetched_before_the_first_result_is_requested(fleet: Caller, emulator: Emulator) -> None:
    fetched: list[str] = []

    def source() -> Iterator[str]:
        fetched.append("first")
        yield emulator.account_id

    results = Results(fleet, fleet.client.list_services_in(source()))
    assert (fetched, len(emulator.requests)) == ([], 0)
    assert results.take().account_id == emulator.account_id


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_source_is_read_at_most_concurrency_accounts_ahead(
    fleet: Caller, emulator: Emulator, concurrency: int
) -> None:
    fetched = 0

    def endless() -> Iterator[str]:
        nonlocal fetched
        while True:
            fetched += 1
            yield emulator.account_id

    results = Results(fleet, fleet.client.list_services_in(endless(), concurrency=concurrency))
    for taken in range(1, 20):
        results.take()
        assert fetched <= taken + concurrency
    results.leave()


def test_no_more_than_concurrency_requests_are_under_way(
    fleet: Caller, emulator: Emulator, accounts: list[str]
) -> None:
    gate = emulator.on(Operation.LIST).skip(1).hold()  # the first is sent alone
    run = InThread(lambda: fleet.collect("list_services_in", accounts, concurrency=5))
    gate.wait_arrived(5)
    for arrived in range(6, len(accounts)):  # each that ends makes room for one more
        gate.release(1)
        gate.wait_arrived(arrived)
        assert gate.held <= 5
    gate.release()
    assert len(run.result()) == len(accounts)


def test_leaving_early_ends_the_requests_and_leaves_the_client_usable(
    fleet: Caller, emulator: Emulator, accounts: list[str]
) -> None:
    emulator.on(Operation.LIST).when(of(accounts[1])).hang()
    results = Results(fleet, fleet.client.list_services_in(accounts, concurrency=4))
    taken = [results.take().account_id for _ in range(5)]
    assert accounts[1] not in taken  # it is still under way
    results.leave()
    assert fleet.call("list_services") == []
    assert len(emulator.requests) < 12


def test_two_runs_of_one_client_do_not_mix_their_results(fleet: Caller, accounts: list[str]) -> None:
    odd, even = accounts[1::2], accounts[::2]
    first = Results(fleet, fleet.client.list_services_in(odd, ordered=True))
    second = Results(fleet, fleet.client.list_services_in(even, ordered=True))
    taken = [(first.take().account_id, second.take().account_id) for _ in odd]
    assert taken == list(zip(odd, even, strict=True))
    first.leave()
    second.leave()


def test_time_that_the_caller_spends_on_a_result_does_not_count_against_the_timeouts(
    make_caller: MakeCaller, emulator: Emulator, accounts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile the loop does not run and the responses wait in the sockets, but they are not late."""
    caller = make_caller(
        base_url=emulator.url, api_token=emulator.api_token, respect_rate_limits=False, connect_timeout=5000
    )
    gate = emulator.on(Operation.LIST).skip(1).times(15).hold()
    results = Results(caller, caller.client.list_services_in(accounts, timeout=20))
    taken = [results.take()]
    gate.release()
    advance_clock(caller, monkeypatch, 1000)
    taken += [results.take() for _ in accounts[1:]]
    assert [result.error for result in taken] == [None] * len(accounts)


def advance_clock(caller: Caller, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Advances the clock of the client's loop, as if the caller had slept."""
    client = caller.client if caller.flavour == "async" else caller.client._async
    loop = client._core.transport._loop
    clock = loop.time
    monkeypatch.setattr(loop, "time", lambda: clock() + seconds)


def test_an_error_is_pickled_with_its_account(fleet: Caller, accounts: list[str]) -> None:
    results = fleet.collect("list_services_in", [accounts[1], UNKNOWN], ordered=True)
    good, bad = pickle.loads(pickle.dumps(results))
    assert good == results[0]
    assert bad.account_id == UNKNOWN
    assert isinstance(bad.error, NotFoundError)
    assert (str(bad.error), bad.error.codes) == (str(results[1].error), results[1].error.codes)


# Behaviour of only one flavour.


def client_of(api: Emulator) -> AsyncClient:
    return AsyncClient(base_url=api.url, api_token=api.api_token, account_id=api.account_id)


def sync_client_of(api: Emulator) -> Client:
    return Client(base_url=api.url, api_token=api.api_token, account_id=api.account_id)


async def test_breaking_out_of_the_loop_ends_the_requests(emulator: Emulator, accounts: list[str]) -> None:
    gate = emulator.on(Operation.LIST).skip(1).hold()
    async with client_of(emulator) as client:
        async for _ in client.list_services_in(accounts, concurrency=4):
            break
        for _ in range(100):  # turns of the loop; there is no event for the closing of a generator
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        gate.release()
        assert await client.list_services() == []


async def test_an_asynchronous_source_is_closed_when_the_run_is_left(emulator: Emulator, accounts: list[str]) -> None:
    closed = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        try:
            for account in accounts:
                yield account
        finally:
            closed.set()

    async with client_of(emulator) as client:
        results = client.list_services_in(source(), concurrency=2)
        await anext(results)
        await results.aclose()
    assert closed.is_set()


async def test_an_asynchronous_source_may_use_the_client_itself(emulator: Emulator, accounts: list[str]) -> None:
    async with client_of(emulator) as client:

        async def connected() -> AsyncIterator[str]:
            async for result in client.list_services_in(accounts):
                if result.services:
                    yield result.account_id

        deleted = [result.account_id async for result in client.delete_services_in(connected())]
    assert sorted(deleted) == sorted(accounts[1:])


async def test_closing_the_client_ends_a_run(emulator: Emulator, accounts: list[str]) -> None:
    gate = emulator.on(Operation.LIST).skip(1).hold()
    client = client_of(emulator)
    results = client.list_services_in(accounts)
    await anext(results)
    waiting = asyncio.ensure_future(anext(results))
    await gate.arrived(3)
    await client.aclose()
    with pytest.raises(ClientClosedError):
        await waiting
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_cancelled_run_leaves_no_task(emulator: Emulator, accounts: list[str]) -> None:
    gate = emulator.on(Operation.LIST).hold()
    async with client_of(emulator) as client:

        async def run() -> None:
            async for _ in client.list_services_in(accounts):
                pass

        task = asyncio.create_task(run())
        await gate.arrived()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}


def test_closing_the_synchronous_client_ends_a_run_of_another_thread(emulator: Emulator, accounts: list[str]) -> None:
    gate = emulator.on(Operation.LIST).hold()
    client = Client(base_url=emulator.url, api_token=emulator.api_token)
    run = InThread(lambda: list(client.list_services_in(accounts)))
    gate.wait_arrived()
    client.close()
    with pytest.raises(ClientClosedError):
        run.result()


def test_an_iterator_of_the_facade_is_closed_by_leaving_its_loop(emulator: Emulator, accounts: list[str]) -> None:
    emulator.on(Operation.LIST).when(of(accounts[1])).hang()
    with Client(base_url=emulator.url, api_token=emulator.api_token, account_id=emulator.account_id) as client:
        for _ in client.list_services_in(accounts, concurrency=4):
            break
        assert client.list_services() == []


class Queryset:
    """Account ids that can be read in both ways, like the querysets of Django, and the place where they were."""

    def __init__(self, account_ids: list[str]) -> None:
        self._account_ids = account_ids
        self.places: set[object] = set()

    def __iter__(self) -> Iterator[str]:
        for account_id in self._account_ids:
            self.places.add((threading.get_ident(), asyncio._get_running_loop()))
            yield account_id

    async def __aiter__(self) -> AsyncIterator[str]:
        raise AssertionError("read in the asynchronous way")
        yield ""


def test_the_synchronous_client_reads_accounts_in_the_callers_thread_and_outside_of_its_loop(
    emulator: Emulator, accounts: list[str]
) -> None:
    source = Queryset(accounts)
    with sync_client_of(emulator) as client:
        listed = [result.account_id for result in client.list_services_in(source)]
    assert sorted(listed) == sorted(accounts)
    assert source.places == {(threading.get_ident(), None)}


async def test_the_synchronous_client_reads_accounts_in_the_callers_thread_where_a_loop_is_running(
    emulator: Emulator, accounts: list[str]
) -> None:
    source = Queryset(accounts)
    with sync_client_of(emulator) as client:
        deleted = [result.account_id for result in client.delete_services_in(source, ordered=True)]
    assert deleted == accounts
    assert source.places == {(threading.get_ident(), asyncio.get_running_loop())}


class Lines(list[str]):
    """A subclass of a built-in collection, which may run any code when it is read."""


@pytest.mark.parametrize(("collection", "is_read_by_the_caller"), [(list, False), (tuple, False), (Lines, True)])
def test_a_built_in_collection_takes_no_steps_of_the_runner(
    collection: Callable[[list[str]], list[str]], is_read_by_the_caller: bool, accounts: list[str]
) -> None:
    items = collection(accounts)
    assert (callers_items(items) is not items) is is_read_by_the_caller


def test_a_source_of_the_synchronous_client_may_use_the_client_itself(emulator: Emulator, accounts: list[str]) -> None:
    with sync_client_of(emulator) as client:
        connected = (account for account in accounts if client.list_services(account_id=account))
        deleted = [result.account_id for result in client.delete_services_in(connected)]
    assert sorted(deleted) == sorted(accounts[1:])


def test_time_that_a_synchronous_source_takes_does_not_count_against_the_timeouts(
    emulator: Emulator, accounts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = emulator.on(Operation.LIST).hold()

    def slow() -> Iterator[str]:
        yield accounts[0]
        advance_clock(Caller("sync", client, str), monkeypatch, 1000)  # as if the source had slept
        gate.release()
        yield accounts[1]

    with sync_client_of(emulator).with_options(connect_timeout=5000, respect_rate_limits=False) as client:
        results = list(client.list_services_in(slow(), timeout=20))
    assert [result.error for result in results] == [None, None]


def test_results_come_before_the_exception_of_a_synchronous_source(emulator: Emulator, accounts: list[str]) -> None:
    def broken() -> Iterator[str]:
        yield from accounts[:3]
        raise OSError("the database is gone")

    listed: list[str] = []
    with sync_client_of(emulator) as client, pytest.raises(OSError, match="the database is gone"):
        listed.extend(result.account_id for result in client.list_services_in(broken()))
    assert set(listed) <= set(accounts[:3])
    assert emulator.requests.total == len(listed)

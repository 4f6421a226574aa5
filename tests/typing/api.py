"""The public API as type checkers see it: checked by mypy and pyright, both strict, and never run.

A call that must not type-check has an ignore comment. Both checkers report ignore comments without an effect, so one
that is no longer needed is an error too.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

import contextlib
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from types import TracebackType
from typing import Any, assert_type

import aiohttp

import pagerduty_alerting
from pagerduty_alerting import (
    AccountDeletion,
    AccountServices,
    APIConnectionError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AsyncClient,
    AsyncClientWithResponse,
    Client,
    ClientWithResponse,
    ConnectedDestination,
    Envelope,
    IntegrationToken,
    NotFoundError,
    PagerDutyAlertingError,
    RateLimit,
    RateLimitError,
    RateLimitPolicy,
    RateLimits,
    Response,
    ResponseInfo,
    ResultInfo,
    RetryEvent,
    RetryPolicy,
    Service,
    ServicesDeleted,
    ServicesListed,
    ServicesNotDeleted,
    ServicesNotListed,
)

assert_type(pagerduty_alerting.__version__, str)


# What each call returns.


async def asynchronous_calls(client: AsyncClient, token: IntegrationToken) -> None:
    assert_type(await client.list_services(), list[Service])
    assert_type(await client.list_services(account_id="a", timeout=1), list[Service])
    assert_type(await client.delete_services(account_id="a", timeout=1.5), Envelope[None])
    assert_type(await client.create_integration_token(account_id=None, timeout=None), IntegrationToken)
    assert_type(await client.connect(token, account_id="a", timeout=1), ConnectedDestination)
    assert_type(await client.connect("token"), ConnectedDestination)
    assert_type(await client.connect(token=token), ConnectedDestination)
    assert_type(await client.aclose(), None)


def synchronous_calls(client: Client, token: IntegrationToken) -> None:
    assert_type(client.list_services(), list[Service])
    assert_type(client.list_services(account_id="a", timeout=1), list[Service])
    assert_type(client.delete_services(account_id="a", timeout=1.5), Envelope[None])
    assert_type(client.create_integration_token(account_id=None, timeout=None), IntegrationToken)
    assert_type(client.connect(token, account_id="a", timeout=1), ConnectedDestination)
    assert_type(client.connect("token"), ConnectedDestination)
    assert_type(client.connect(token=token), ConnectedDestination)
    assert_type(client.close(), None)


async def asynchronous_responses(client: AsyncClient) -> None:
    with_response = client.with_response
    assert_type(with_response, AsyncClientWithResponse)
    assert_type(await with_response.list_services(), Response[list[Service]])
    assert_type(await with_response.delete_services(account_id="a"), Response[None])
    assert_type(await with_response.create_integration_token(timeout=1), Response[IntegrationToken])
    assert_type(await with_response.connect("token"), Response[ConnectedDestination])


def synchronous_responses(client: Client) -> None:
    with_response = client.with_response
    assert_type(with_response, ClientWithResponse)
    assert_type(with_response.list_services(), Response[list[Service]])
    assert_type(with_response.delete_services(account_id="a"), Response[None])
    assert_type(with_response.create_integration_token(timeout=1), Response[IntegrationToken])
    assert_type(with_response.connect("token"), Response[ConnectedDestination])


async def asynchronous_runs(client: AsyncClient, account_ids: AsyncIterator[str]) -> None:
    assert_type(client.list_services_in(["a"]), AsyncGenerator[ServicesListed | ServicesNotListed, None])
    async for found in client.list_services_in(account_ids, concurrency=4, ordered=True, timeout=1):
        assert_type(found.services, list[Service] | None)
        assert_type(found.error, Exception | None)
        if found.error is None:
            assert_type(found.services, list[Service])
        else:
            assert_type(found.error, Exception)
        either: AccountServices = found
        assert_type(either.account_id, str)
    async for done in client.delete_services_in(account_id for account_id in "ab"):
        assert_type(done, ServicesDeleted | ServicesNotDeleted)
        assert_type(done.envelope, Envelope[None] | None)
        if done.error is None:
            assert_type(done.envelope, Envelope[None])
        else:
            assert_type(done.error, Exception)
        whichever: AccountDeletion = done
        assert_type(whichever.account_id, str)
        assert_type(done.account_id, str)


def synchronous_runs(client: Client) -> None:
    assert_type(client.list_services_in({"a"}), Iterator[ServicesListed | ServicesNotListed])
    assert_type(
        client.delete_services_in(("a", "b"), concurrency=4, ordered=True, timeout=1),
        Iterator[ServicesDeleted | ServicesNotDeleted],
    )


# Clients.


async def contexts() -> None:
    async with AsyncClient() as client:
        assert_type(client, AsyncClient)
    with Client() as facade:
        assert_type(facade, Client)


def all_arguments(session: aiohttp.ClientSession, context: ssl.SSLContext, trace: aiohttp.TraceConfig) -> None:
    AsyncClient(
        api_token="t",
        account_id="a",
        base_url="https://host",
        timeout=1,
        connect_timeout=2.5,
        retry=RetryPolicy(max_attempts=1),
        respect_rate_limits=False,
        session=session,
        trace_configs=(),
        max_response_bytes=10,
        user_agent="mine/1",
        allow_insecure_http=True,
    )
    AsyncClient(api_key="k", api_email="e", ssl_context=context, trace_configs=[trace])
    Client(api_key="k", api_email="e", ssl_context=context, trace_configs=(trace,))
    Client(api_token=None, account_id=None, base_url=None, retry=None, ssl_context=None)


def options(client: AsyncClient, facade: Client) -> None:
    assert_type(client.with_options(), AsyncClient)
    assert_type(facade.with_options(account_id="a", timeout=1, connect_timeout=1, retry=RetryPolicy()), Client)
    assert_type(client.with_options(headers={"X": "y"}, limiter=contextlib.nullcontext()), AsyncClient)
    assert_type(facade.with_options(headers={}, limiter=None), Client)
    assert_type((client.account_id, facade.account_id), tuple[str | None, str | None])
    assert_type((client.base_url, facade.base_url), tuple[str, str])
    assert_type((client.is_closed, facade.is_closed), tuple[bool, bool])
    assert_type(facade.with_options(respect_rate_limits=True, max_response_bytes=1, user_agent="u"), Client)


class OwnAsyncClient(AsyncClient):
    """A caller's subclass, whose context manager returns the subclass."""

    def extra(self) -> int:
        return 1


class OwnClient(Client):
    """The same for the synchronous client."""


async def own_clients_in_contexts() -> None:
    async with OwnAsyncClient() as client:
        assert_type(client, OwnAsyncClient)
    with OwnClient() as facade:
        assert_type(facade, OwnClient)


# What the models hold.


def models(service: Service, token: IntegrationToken, linked: ConnectedDestination) -> None:
    assert_type(service.id, str)
    assert_type(service.name, str)
    assert_type(token.id, str)
    assert_type(linked.id, str)


def responses(response: Response[list[Service]]) -> None:
    assert_type(response.result, list[Service])
    assert_type(response.envelope, Envelope[list[Service]])
    assert_type(response.envelope.result[0].name, str)
    assert_type(response.envelope.success, bool)
    assert_type(response.envelope.errors, tuple[ResponseInfo, ...])
    assert_type(response.envelope.messages[0].code, int | None)
    assert_type(response.envelope.messages[0].message, str)
    assert_type(response.envelope.result_info, ResultInfo | None)
    assert_type(response.status, int)
    assert_type(response.headers, Mapping[str, str])
    assert_type(response.ray_id, str | None)
    assert_type(response.rate_limits, RateLimits)
    assert_type(response.rate_limits.limits, tuple[RateLimit, ...])
    assert_type(response.rate_limits.policies, tuple[RateLimitPolicy, ...])
    assert_type(response.attempts, int)
    assert_type(response.elapsed, float)


def result_infos(info: ResultInfo) -> None:
    assert_type(info.count, int | None)
    assert_type(info.total_count, int | None)


# What the errors hold.


def errors(client: Client) -> None:
    try:
        client.list_services()
    except NotFoundError as error:
        assert_type(error.status, int)
    except RateLimitError as error:
        assert_type(error.retry_after, float | None)
    except APIStatusError as error:
        assert_type(error.errors, tuple[ResponseInfo, ...])
        assert_type(error.messages, tuple[ResponseInfo, ...])
        assert_type(error.codes, tuple[int, ...])
        assert_type(error.ray_id, str | None)
        assert_type(error.headers, Mapping[str, str])
        assert_type(error.body, str | None)
        assert_type(error.rate_limits, RateLimits)
        assert_type(error.errors[0].chain, tuple[ResponseInfo, ...])
        assert_type(error.errors[0].documentation_url, str | None)
        assert_type(error.errors[0].source_pointer, str | None)
        assert_type(error.method, str)
        assert_type(error.path, str)
        assert_type(error.attempts, int)
    except APITimeoutError as error:
        assert_type(error.phase, str)
        assert_type(error.timeout, float)
    except APIConnectionError as error:
        assert_type(error.may_have_acted, bool)
        assert_type(error.transient, bool)
    except APIResponseValidationError as error:
        assert_type(error.problems, tuple[str, ...])
    except PagerDutyAlertingError as error:
        assert_type(error.__traceback__, TracebackType | None)


# Retries.


def policies() -> None:
    def hook(event: RetryEvent) -> None:
        assert_type(event.operation, str)
        assert_type(event.attempt, int)
        assert_type(event.error, PagerDutyAlertingError)
        assert_type(event.delay, float)

    RetryPolicy(
        max_attempts=3, initial_delay=1, max_delay=2.5, attempt_timeout=None, replay_unsafe=False, on_retry=hook
    )
    RetryPolicy(attempt_timeout=3, on_retry=None)
    RetryPolicy(statuses=(500, 503))
    assert_type(RetryPolicy(statuses=range(500, 600)).statuses, frozenset[int])
    RetryPolicy(on_retry=lambda event: print(event.error))


# What must not type-check.


async def wrong_calls(
    client: AsyncClient, facade: Client, token: IntegrationToken, account_ids: AsyncIterator[str]
) -> None:
    await client.list_services("account")  # type: ignore[call-arg]
    await client.list_services(account=1)  # type: ignore[call-arg]
    await client.list_services(account_id=7)  # type: ignore[arg-type]
    await client.list_services(timeout="5")  # type: ignore[arg-type]
    await client.connect()  # type: ignore[call-arg]
    await client.connect(b"token")  # type: ignore[arg-type]
    await client.connect(None)  # type: ignore[arg-type]
    await client.connect(token, "account")  # type: ignore[call-arg]
    client.close()  # type: ignore[attr-defined]
    for _ in client.list_services():  # type: ignore[attr-defined]
        pass
    with client:  # type: ignore[attr-defined]
        pass

    facade.list_services_in(account_ids)  # type: ignore[arg-type]
    facade.list_services("account")  # type: ignore[call-arg]
    facade.connect(7)  # type: ignore[arg-type]
    facade.aclose()  # type: ignore[attr-defined]
    await facade.list_services()  # type: ignore[misc]
    async with facade:  # type: ignore[attr-defined]
        pass


def wrong_settings(session: aiohttp.ClientSession) -> None:
    AsyncClient(headers={"X": 1})  # type: ignore[dict-item]
    Client().is_closed = True  # type: ignore[misc]
    AsyncClient("token")  # type: ignore[call-arg]
    AsyncClient(token="t")  # type: ignore[call-arg]
    AsyncClient(api_token=7)  # type: ignore[arg-type]
    AsyncClient(timeout=None)  # type: ignore[arg-type]
    AsyncClient(retry=3)  # type: ignore[arg-type]
    Client(session=session)  # type: ignore[call-arg]
    Client().with_options(api_token="t")  # type: ignore[call-arg]
    Client().with_options(base_url="https://host")  # type: ignore[call-arg]
    RetryPolicy(3)  # type: ignore[call-arg]
    RetryPolicy(statuses=503)  # type: ignore[arg-type]
    RetryPolicy(max_attempts="3")  # type: ignore[arg-type]
    RetryPolicy(on_retry=print_two)  # type: ignore[arg-type]


def print_two(first: object, second: object) -> None:
    print(first, second)


def wrong_uses(service: Service, token: IntegrationToken, response: Response[None], envelope: Envelope[Any]) -> None:
    service.name = "other"  # type: ignore[misc]
    token.id = "other"  # type: ignore[misc]
    response.status = 500  # type: ignore[misc]
    response.result = None  # type: ignore[misc]
    print(envelope.results)  # type: ignore[attr-defined]
    Service(1, "name")  # type: ignore[arg-type]
    Service("id")  # type: ignore[call-arg]

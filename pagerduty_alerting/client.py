"""The asynchronous client: the four operations. `_call.py` carries out each call."""

import os
import ssl
import sys
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import NoReturn, Self

import aiohttp

from pagerduty_alerting._call import Core
from pagerduty_alerting._http.proxy import read_proxy
from pagerduty_alerting._http.transport import Transport
from pagerduty_alerting._loop.deadlines import Deadlines
from pagerduty_alerting._pacer import pacer_for
from pagerduty_alerting._protocol.endpoints import CONNECT, CREATE_INTEGRATION_TOKEN, DELETE_SERVICES, LIST_SERVICES
from pagerduty_alerting._protocol.redaction import hide_requests
from pagerduty_alerting.config import (
    DEFAULT_MAX_RESPONSE_BYTES,
    DEFAULT_USER_AGENT,
    RetryPolicy,
    Settings,
    resolve_account_id,
    resolve_base_url,
    resolve_credentials,
)
from pagerduty_alerting.errors import ConfigurationError
from pagerduty_alerting.models import (
    ConnectedDestination,
    Envelope,
    IntegrationToken,
    Response,
    Service,
    ServicesDeleted,
    ServicesListed,
    ServicesNotDeleted,
    ServicesNotListed,
)

__all__ = ["AsyncClient", "AsyncClientWithResponse"]


class AsyncClient:
    """Cloudflare's notification destinations with PagerDuty, for asynchronous code.

    Connections are opened by the first call. From then on the client belongs to the event loop of that call, until the
    client or the loop is closed. Any number of calls may run at the same time.

        async with AsyncClient() as client:
            for service in await client.list_services():
                print(service.id, service.name)

    Args:
        api_token: API token; by default `CLOUDFLARE_API_TOKEN`.
        api_key: Global API Key, used with `api_email` instead of a token; by default `CLOUDFLARE_API_KEY`.
        api_email: The e-mail address that the key belongs to; by default `CLOUDFLARE_EMAIL`.
        account_id: The account for calls that do not name one; by default `CLOUDFLARE_ACCOUNT_ID`.
        base_url: URL of the API; by default `CLOUDFLARE_BASE_URL`, or else Cloudflare's own.
        timeout: Seconds for a whole call, including retries, back-off, waiting for the quota, and reading the response.
        connect_timeout: Seconds for establishing one connection, TLS included.
        retry: When a failed call is retried.
        respect_rate_limits: Hold requests back while the quota that the API reports is used up. Clients that share
            connections share what is known of the quota.
        limiter: An asynchronous context manager, entered once for each attempt, with which several programs can share
            one quota. Waiting for it counts against the timeout, except in `list_services_in` and
            `delete_services_in`. An exception that it raises is raised by the call, or ends the run. It must wait with
            asyncio: one that blocks, such as on a lock of gevent's or eventlet's, holds up all calls of the client.
        headers: Headers to send in addition to the client's own, for gateways and traces; the client's own take
            precedence. Their values are hidden like credentials.
        proxy: URL of an HTTP proxy, with its credentials if it needs any; by default taken from `HTTPS_PROXY` and
            `NO_PROXY`.
        max_connections: Connections in use at the same time; by default 100, and in fleets their `concurrency`. Waiting
            for one counts against the timeout, except in fleets.
        session: The aiohttp session to send requests with. The client never closes it.
        ssl_context: Verifies the server's certificate, for private CAs.
        trace_configs: aiohttp's tracing hooks, for the client's own session.
        max_response_bytes: Longest response body that is read, in bytes after decompression.
        user_agent: Value of the `User-Agent` header.
        allow_insecure_http: Allow a `base_url` of `http://` to a host that is not this machine.

    Raises:
        ConfigurationError: Credentials are missing or contradict each other, or an environment variable is wrong.
        TypeError: An argument has the wrong type.
        ValueError: An argument has an invalid value.
    """

    def __init__(
        self,
        *,
        api_token: str | None = None,
        api_key: str | None = None,
        api_email: str | None = None,
        account_id: str | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        connect_timeout: float = 5.0,
        retry: RetryPolicy | None = None,
        respect_rate_limits: bool = True,
        limiter: AbstractAsyncContextManager[object] | None = None,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        max_connections: int | None = None,
        session: aiohttp.ClientSession | None = None,
        ssl_context: ssl.SSLContext | None = None,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        user_agent: str = DEFAULT_USER_AGENT,
        allow_insecure_http: bool = False,
    ) -> None:
        outer = sys.exception()
        try:
            via = None if proxy is None else read_proxy(proxy)
            settings = Settings(
                credentials=resolve_credentials(os.environ, api_token=api_token, api_key=api_key, api_email=api_email),
                account_id=resolve_account_id(os.environ, account_id),
                base_url=resolve_base_url(os.environ, base_url, allow_insecure_http=allow_insecure_http),
                timeout=timeout,
                connect_timeout=connect_timeout,
                retry=retry or RetryPolicy(),
                respect_rate_limits=respect_rate_limits,
                max_response_bytes=max_response_bytes,
                user_agent=user_agent,
                extra_headers=headers or {},
            )
        except Exception as error:
            hide_requests(error, outer)
            raise
        finally:
            # Error trackers show the local variables of a traceback's frames.
            del api_token, api_key, headers, proxy, outer
        if session is not None and any((ssl_context, trace_configs, via, max_connections)):
            raise ConfigurationError(
                "ssl_context, trace_configs, proxy and max_connections belong to the session: set them on the session"
            )
        transport = Transport(
            settings.base_url,
            session=session,
            ssl_context=ssl_context,
            trace_configs=trace_configs,
            max_connections=max_connections,
            proxy=via,
        )
        pacer = pacer_for(session, (settings.base_url, settings.credentials))
        self._core = Core(settings, transport, pacer, Deadlines(), limiter)

    async def list_services(self, *, account_id: str | None = None, timeout: float | None = None) -> list[Service]:
        """Lists the PagerDuty services that the account can notify (*List PagerDuty services*).

        Args:
            account_id: The account, instead of the client's.
            timeout: Seconds for the whole call, instead of the client's.

        Returns:
            The services; an empty list when PagerDuty is not connected.

        Raises:
            APIStatusError: The API refused the request; its subclass says why.
            APIConnectionError: No complete response arrived.
            APITimeoutError: No complete response arrived before the deadline.
            APIResponseValidationError: The response is not in the documented form.
            ConfigurationError: There is no account id; nothing was sent.
            TypeError, ValueError: An argument is invalid; nothing was sent.
        """
        return (await self._core.call(LIST_SERVICES, account_id, timeout)).envelope.result

    async def delete_services(self, *, account_id: str | None = None, timeout: float | None = None) -> Envelope[None]:
        """Deletes every PagerDuty service of the account (*Delete PagerDuty Services*).

        The API cannot delete a single service. Alerts that were routed only to PagerDuty have no destination
        afterwards. Repeating the call is safe.

        Args:
            account_id: The account, instead of the client's.
            timeout: Seconds for the whole call, instead of the client's.

        Returns:
            The envelope of the response, whose result is None.

        Raises:
            PagerDutyAlertingError, TypeError, ValueError: As for `list_services`.
        """
        return (await self._core.call(DELETE_SERVICES, account_id, timeout)).envelope

    async def create_integration_token(
        self, *, account_id: str | None = None, timeout: float | None = None
    ) -> IntegrationToken:
        """Creates a token for linking PagerDuty (*Create PagerDuty integration token*).

        Every call creates another token, so it is retried only where the API cannot have acted on the request. A person
        then authorizes the token in PagerDuty, and `connect` completes the link.

        Args:
            account_id: The account, instead of the client's.
            timeout: Seconds for the whole call, instead of the client's.

        Returns:
            The token. It is a secret: its repr hides the `id`.

        Raises:
            PagerDutyAlertingError: As for `list_services`. If an APIConnectionError's `may_have_acted` is True,
                a token whose id is unknown may exist.
            TypeError, ValueError: An argument is invalid; nothing was sent.
        """
        return (await self._core.call(CREATE_INTEGRATION_TOKEN, account_id, timeout)).envelope.result

    async def connect(
        self, token: IntegrationToken | str, *, account_id: str | None = None, timeout: float | None = None
    ) -> ConnectedDestination:
        """Links PagerDuty with the account (*Connect PagerDuty*), once a person has authorized the token there.

        It changes the account although it is a GET, so it is retried only where the API cannot have acted on the
        request.

        Args:
            token: The token of `create_integration_token`, or its id.
            account_id: The account, instead of the client's.
            timeout: Seconds for the whole call, instead of the client's.

        Returns:
            The new link. `list_services` returns the services that it added.

        Raises:
            PagerDutyAlertingError: As for `list_services`. If an APIConnectionError's `may_have_acted` is True,
                `list_services` shows whether the account was linked.
            TypeError, ValueError: An argument is invalid; nothing was sent.
        """
        if isinstance(token, str):
            token = IntegrationToken(token)  # its repr hides the id in tracebacks that show local variables
        return (await self._core.call(CONNECT, account_id, timeout, token)).envelope.result

    def list_services_in(
        self,
        account_ids: Iterable[str] | AsyncIterable[str],
        *,
        concurrency: int = 16,
        ordered: bool = False,
        timeout: float | None = None,
    ) -> AsyncGenerator[ServicesListed | ServicesNotListed, None]:
        """Lists the services of many accounts (*List PagerDuty services*, once for each).

        Accounts are fetched and requests sent only as results are consumed, so memory use does not grow with the number
        of accounts. Waiting for the quota or the limiter does not count against the timeout of an account.

        Args:
            account_ids: The accounts; an iterator is read no further ahead than `concurrency` allows.
            concurrency: Calls in progress at the same time.
            ordered: Yield results in the order of the accounts instead of the order of the responses.
            timeout: Seconds for the call of one account, instead of the client's.

        Yields:
            One result per account: `ServicesListed`, or `ServicesNotListed` with the error of its call. Type checkers
            distinguish them by `result.error is None`.

        Raises:
            AuthenticationError: The API refused the credentials in its first two responses. It is raised after the last
                result; any later refusal is the error of its account.
            ClientClosedError: The client was closed, which ends the run.
            TypeError, ValueError: An argument is invalid; nothing was sent.
        """
        from pagerduty_alerting._fleet import each_account  # not needed by a program that makes one call

        def listed(account_id: str, envelope: Envelope[list[Service]]) -> ServicesListed:
            return ServicesListed(account_id, envelope.result)

        results = listed, ServicesNotListed
        return each_account(self._core, LIST_SERVICES, account_ids, *results, concurrency, ordered, timeout)

    def delete_services_in(
        self,
        account_ids: Iterable[str] | AsyncIterable[str],
        *,
        concurrency: int = 16,
        ordered: bool = False,
        timeout: float | None = None,
    ) -> AsyncGenerator[ServicesDeleted | ServicesNotDeleted, None]:
        """Deletes every PagerDuty service of many accounts (*Delete PagerDuty Services*, once for each).

        It runs like `list_services_in`, with the same arguments: accounts whose results are never consumed may keep
        their services.

        Yields:
            One result per account: `ServicesDeleted`, or `ServicesNotDeleted` with the error of its call. Type checkers
            distinguish them by `result.error is None`.

        Raises:
            AuthenticationError, ClientClosedError, TypeError, ValueError: As for `list_services_in`.
        """
        from pagerduty_alerting._fleet import each_account  # not needed by a program that makes one call

        results = ServicesDeleted, ServicesNotDeleted
        return each_account(self._core, DELETE_SERVICES, account_ids, *results, concurrency, ordered, timeout)

    @property
    def account_id(self) -> str | None:
        """The account for calls that do not name one; None if there is none."""
        return self._core.settings.account_id

    @property
    def base_url(self) -> str:
        """URL of the API, without a trailing slash."""
        return self._core.settings.base_url

    @property
    def is_closed(self) -> bool:
        """Whether the client, or another that shares its connections, was closed."""
        return self._core.transport.is_closed

    @property
    def with_response(self) -> "AsyncClientWithResponse":
        """The same operations, each returning a `Response`: the result with status, headers, quotas and attempts."""
        return AsyncClientWithResponse(self._core)

    def with_options(
        self,
        *,
        account_id: str | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        retry: RetryPolicy | None = None,
        respect_rate_limits: bool | None = None,
        max_response_bytes: int | None = None,
        user_agent: str | None = None,
        headers: Mapping[str, str] | None = None,
        limiter: AbstractAsyncContextManager[object] | None = None,
    ) -> "AsyncClient":
        """Returns a client with other settings and the same connections: closing either closes both.

        Arguments are those of the class. None keeps a setting; `headers` replace the previous ones, `{}` removes them.

        Raises:
            TypeError, ValueError: An argument is invalid.
        """
        changes = {
            "account_id": account_id,
            "timeout": timeout,
            "connect_timeout": connect_timeout,
            "retry": retry,
            "respect_rate_limits": respect_rate_limits,
            "max_response_bytes": max_response_bytes,
            "user_agent": user_agent,
            "extra_headers": headers,
        }
        changed = object.__new__(AsyncClient)
        changed._core = self._core.with_settings(changes, limiter)
        return changed

    async def aclose(self) -> None:
        """Closes the client: calls in progress raise `ClientClosedError`, a caller's session stays open. Idempotent."""
        await self._core.aclose()

    async def __aenter__(self) -> Self:
        self._core.transport.check_usable()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        if not hasattr(self, "_core"):  # its constructor has raised
            return "<AsyncClient>"
        settings = self._core.settings
        return f"<AsyncClient base_url={settings.base_url!r} account_id={settings.account_id!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds credentials and connections and cannot be pickled: create one where it is used")


class AsyncClientWithResponse:
    """The operations of `AsyncClient`, each returning a `Response`. Returned by `AsyncClient.with_response`."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def list_services(
        self, *, account_id: str | None = None, timeout: float | None = None
    ) -> Response[list[Service]]:
        """Like `AsyncClient.list_services` (*List PagerDuty services*), but returns the whole `Response`."""
        return (await self._core.call(LIST_SERVICES, account_id, timeout)).response()

    async def delete_services(self, *, account_id: str | None = None, timeout: float | None = None) -> Response[None]:
        """Like `AsyncClient.delete_services` (*Delete PagerDuty Services*), but returns the whole `Response`."""
        return (await self._core.call(DELETE_SERVICES, account_id, timeout)).response()

    async def create_integration_token(
        self, *, account_id: str | None = None, timeout: float | None = None
    ) -> Response[IntegrationToken]:
        """Like `AsyncClient.create_integration_token`, but returns the whole `Response`.

        *Create PagerDuty integration token*.
        """
        return (await self._core.call(CREATE_INTEGRATION_TOKEN, account_id, timeout)).response()

    async def connect(
        self, token: IntegrationToken | str, *, account_id: str | None = None, timeout: float | None = None
    ) -> Response[ConnectedDestination]:
        """Like `AsyncClient.connect` (*Connect PagerDuty*), but returns the whole `Response`."""
        if isinstance(token, str):
            token = IntegrationToken(token)  # its repr hides the id in tracebacks that show local variables
        return (await self._core.call(CONNECT, account_id, timeout, token)).response()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds credentials and connections and cannot be pickled: create one where it is used")

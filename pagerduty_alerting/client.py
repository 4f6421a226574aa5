"""The asynchronous client: the four operations. What happens in a call is in `_call.py`."""

import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import NoReturn, Self

import aiohttp

from pagerduty_alerting._call import Core
from pagerduty_alerting._fleet import each_account
from pagerduty_alerting._http.proxy import read_proxy
from pagerduty_alerting._http.transport import Transport
from pagerduty_alerting._loop.deadlines import Deadlines
from pagerduty_alerting._pacer import pacer_for
from pagerduty_alerting._protocol.endpoints import (
    CONNECT,
    CREATE_INTEGRATION_TOKEN,
    DELETE_SERVICES,
    LIST_SERVICES,
)
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

    It opens its connections with the first call and belongs to the event loop of that call until it, or the loop, is
    closed. Any number of calls may run at the same time.

        async with AsyncClient() as client:
            for service in await client.list_services():
                print(service.id, service.name)

    Args:
        api_token: API token; by default `CLOUDFLARE_API_TOKEN`.
        api_key: Global API Key, to be used with `api_email` in place of a token; by default `CLOUDFLARE_API_KEY`.
        api_email: The e-mail address that the key belongs to; by default `CLOUDFLARE_EMAIL`.
        account_id: The account of calls that do not name one; by default `CLOUDFLARE_ACCOUNT_ID`.
        base_url: Where the API is; by default `CLOUDFLARE_BASE_URL`, or else Cloudflare's own.
        timeout: Seconds for a whole call: all attempts, back-off, waiting for a rate limit, reading the answer.
        connect_timeout: Seconds for making one connection, TLS included.
        retry: When a call is tried again.
        respect_rate_limits: Hold requests back while the quota, as the API tells it, is used up. Clients that share
            connections share this knowledge.
        limiter: An asynchronous context manager, entered once for each attempt: a limiter of yours, with which several
            programs can share one quota. Waiting for it counts against the timeout, except in `list_services_in` and
            `delete_services_in`. What it raises leaves the call, or ends the run.
        headers: Headers to send besides the client's own, for gateways and traces; the client's win. Their values are
            hidden as credentials are.
        proxy: URL of an HTTP proxy, with its credentials if it needs any; by default what `HTTPS_PROXY` and `NO_PROXY`
            in the environment say.
        max_connections: Connections in use at the same time; by default 100, and in fleets their `concurrency`. Waiting
            for one counts against the timeout, except in fleets.
        session: A session of yours to send the requests with. It is never closed here.
        ssl_context: Verifies the server's certificate, for private CAs.
        trace_configs: aiohttp's tracing hooks, for the client's own session.
        max_response_bytes: Longest body that is read, in bytes after decompression.
        user_agent: What the client calls itself.
        allow_insecure_http: Allow a `base_url` of `http://` to a host that is not this machine.

    Raises:
        ConfigurationError: Credentials are missing or contradict each other, or an environment variable is wrong.
        TypeError: An argument has the wrong type.
        ValueError: An argument has an impossible value.
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
        via = None if proxy is None else read_proxy(proxy)
        del proxy  # an exception's traceback shows what this frame holds
        if session is not None and any((ssl_context, trace_configs, via, max_connections)):
            raise ConfigurationError(
                "ssl_context, trace_configs, proxy and max_connections belong to the session: set them where it is made"
            )
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
            account_id: The account, in place of the client's.
            timeout: Seconds for the whole call, in place of the client's.

        Returns:
            The services; an empty list when PagerDuty is not connected.

        Raises:
            APIStatusError: The API said no; its subclass says why.
            APIConnectionError: No complete answer came. APITimeoutError: not in time.
            APIResponseValidationError: The answer is not what the API documents.
            ConfigurationError: There is no account id.
            TypeError, ValueError: An argument is impossible; nothing was sent.
        """
        return (await self._core.call(LIST_SERVICES, account_id, timeout)).envelope.result

    async def delete_services(self, *, account_id: str | None = None, timeout: float | None = None) -> Envelope[None]:
        """Deletes every PagerDuty service of the account (*Delete PagerDuty Services*).

        There is no way to delete a single one. Alerts that were routed only to PagerDuty have no destination
        afterwards. Repeating it is harmless.

        Args:
            account_id: The account, in place of the client's.
            timeout: Seconds for the whole call, in place of the client's.

        Returns:
            The API's answer, which has no result.

        Raises:
            APIStatusError: The API said no; its subclass says why.
            APIConnectionError: No complete answer came. APITimeoutError: not in time.
            APIResponseValidationError: The answer is not what the API documents.
            ConfigurationError: There is no account id.
            TypeError, ValueError: An argument is impossible; nothing was sent.
        """
        return (await self._core.call(DELETE_SERVICES, account_id, timeout)).envelope

    async def create_integration_token(
        self, *, account_id: str | None = None, timeout: float | None = None
    ) -> IntegrationToken:
        """Creates a token for linking PagerDuty (*Create PagerDuty integration token*).

        Every call creates another one, so it is sent again only where the API cannot have acted on it. A person then
        authorises the token in PagerDuty, and `connect` completes the link.

        Args:
            account_id: The account, in place of the client's.
            timeout: Seconds for the whole call, in place of the client's.

        Returns:
            The token. It is a secret: its repr hides the `id`.

        Raises:
            APIStatusError: The API said no; its subclass says why.
            APIConnectionError: No complete answer came. APITimeoutError: not in time. Where `may_have_acted` is true
                there may be a token that nobody knows.
            APIResponseValidationError: The answer is not what the API documents.
            ConfigurationError: There is no account id.
            TypeError, ValueError: An argument is impossible; nothing was sent.
        """
        return (await self._core.call(CREATE_INTEGRATION_TOKEN, account_id, timeout)).envelope.result

    async def connect(
        self, token: IntegrationToken | str, *, account_id: str | None = None, timeout: float | None = None
    ) -> ConnectedDestination:
        """Links PagerDuty with the account (*Connect PagerDuty*), once a person has authorised the token there.

        It changes the account although it is a GET, so it is sent again only where the API cannot have acted on it.

        Args:
            token: The token of `create_integration_token`, or its id.
            account_id: The account, in place of the client's.
            timeout: Seconds for the whole call, in place of the client's.

        Returns:
            The link. `list_services` tells which services it brought.

        Raises:
            APIStatusError: The API said no; its subclass says why.
            APIConnectionError: No complete answer came. APITimeoutError: not in time. Where `may_have_acted` is true,
                `list_services` tells whether the link was made.
            APIResponseValidationError: The answer is not what the API documents.
            ConfigurationError: There is no account id.
            TypeError, ValueError: An argument is impossible; nothing was sent.
        """
        if isinstance(token, str):
            token = IntegrationToken(token)  # which no traceback shows that prints local variables
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

        It asks for accounts and sends requests only as results are taken, so any number of accounts fit in the same
        memory. Waiting for the quota, or the limiter, does not count against the timeout of an account.

        Args:
            account_ids: The accounts; a generator is not read ahead of what `concurrency` allows.
            concurrency: Calls under way at the same time.
            ordered: Yield in the order of the accounts, not in that of the answers.
            timeout: Seconds for the call of one account, in place of the client's.

        Yields:
            One result an account: `ServicesListed`, or `ServicesNotListed` with the error of its call. Type checkers
            tell them apart by `result.error is None`.

        Raises:
            AuthenticationError: The first two accounts that answered both refuse the credentials. It is raised after
                the last result; another refusal is the error of its account.
            ClientClosedError: The client was closed: that ends the run.
            TypeError, ValueError: An argument is impossible; nothing was sent.
        """
        return each_account(
            self._core,
            LIST_SERVICES,
            account_ids,
            _account_services,
            concurrency=concurrency,
            ordered=ordered,
            timeout=timeout,
        )

    def delete_services_in(
        self,
        account_ids: Iterable[str] | AsyncIterable[str],
        *,
        concurrency: int = 16,
        ordered: bool = False,
        timeout: float | None = None,
    ) -> AsyncGenerator[ServicesDeleted | ServicesNotDeleted, None]:
        """Deletes every PagerDuty service of many accounts (*Delete PagerDuty Services*, once for each).

        It works as `list_services_in` does: accounts whose results are never taken may keep their services.

        Args:
            account_ids: The accounts; a generator is not read ahead of what `concurrency` allows.
            concurrency: Calls under way at the same time.
            ordered: Yield in the order of the accounts, not in that of the answers.
            timeout: Seconds for the call of one account, in place of the client's.

        Yields:
            One result an account: `ServicesDeleted`, or `ServicesNotDeleted` with the error of its call. Type checkers
            tell them apart by `result.error is None`.

        Raises:
            AuthenticationError: The first two accounts that answered both refuse the credentials. It is raised after
                the last result; another refusal is the error of its account.
            ClientClosedError: The client was closed: that ends the run.
            TypeError, ValueError: An argument is impossible; nothing was sent.
        """
        return each_account(
            self._core,
            DELETE_SERVICES,
            account_ids,
            _account_deletion,
            concurrency=concurrency,
            ordered=ordered,
            timeout=timeout,
        )

    @property
    def account_id(self) -> str | None:
        """The account of calls that do not name one; None where there is none."""
        return self._core.settings.account_id

    @property
    def base_url(self) -> str:
        """Where the API is, without a slash at its end."""
        return self._core.settings.base_url

    @property
    def is_closed(self) -> bool:
        """Whether the client, or one with the same connections, was closed."""
        return self._core.transport.is_closed

    @property
    def with_response(self) -> "AsyncClientWithResponse":
        """The same operations, each returning a `Response`: the result with status, headers, quota and attempts."""
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

        Args:
            account_id: As for the class; like all of these, None keeps the setting.
            timeout: As for the class.
            connect_timeout: As for the class.
            retry: As for the class.
            respect_rate_limits: As for the class.
            max_response_bytes: As for the class.
            user_agent: As for the class.
            headers: As for the class; they take the place of those before, `{}` removes them.
            limiter: As for the class.

        Raises:
            TypeError, ValueError: An argument is impossible.
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
        """Closes the client: calls that are under way raise `ClientClosedError`, a caller's session stays open.

        Closing twice is fine.
        """
        await self._core.aclose()

    async def __aenter__(self) -> Self:
        self._core.transport.check_usable()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        settings = self._core.settings
        return f"<AsyncClient base_url={settings.base_url!r} account_id={settings.account_id!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds credentials and connections and cannot be pickled: make one where it is used")


class AsyncClientWithResponse:
    """The operations of `AsyncClient`, each returning a `Response`. Made by `AsyncClient.with_response`."""

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
            token = IntegrationToken(token)  # which no traceback shows that prints local variables
        return (await self._core.call(CONNECT, account_id, timeout, token)).response()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds credentials and connections and cannot be pickled: make one where it is used")


def _account_services(
    account_id: str, outcome: Envelope[list[Service]] | Exception
) -> ServicesListed | ServicesNotListed:
    if isinstance(outcome, Exception):
        return ServicesNotListed(account_id, error=outcome)
    return ServicesListed(account_id, outcome.result)


def _account_deletion(account_id: str, outcome: Envelope[None] | Exception) -> ServicesDeleted | ServicesNotDeleted:
    if isinstance(outcome, Exception):
        return ServicesNotDeleted(account_id, error=outcome)
    return ServicesDeleted(account_id, outcome)

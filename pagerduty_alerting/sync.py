"""The synchronous client, for code without an event loop. GENERATED from client.py by _generate.py: do not edit."""

import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import NoReturn, Self

import aiohttp

from pagerduty_alerting._loop.runner import LoopRunner
from pagerduty_alerting._loop.sync_call import callers_items
from pagerduty_alerting.client import AsyncClient, AsyncClientWithResponse
from pagerduty_alerting.config import DEFAULT_MAX_RESPONSE_BYTES, DEFAULT_USER_AGENT, RetryPolicy
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

__all__ = ["Client", "ClientWithResponse"]


class Client:
    """Cloudflare's notification destinations with PagerDuty, for synchronous code.

    Any number of threads may share one client: their calls overlap and use the same connections. There is no background
    thread; the threads that make calls drive the event loop. The client also works where a loop is already running,
    such as in a notebook, and after a fork.

        with Client() as client:
            for service in client.list_services():
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
        ssl_context: ssl.SSLContext | None = None,
        trace_configs: Sequence[aiohttp.TraceConfig] = (),
        max_response_bytes: int = DEFAULT_MAX_RESPONSE_BYTES,
        user_agent: str = DEFAULT_USER_AGENT,
        allow_insecure_http: bool = False,
    ) -> None:
        try:
            self._async = AsyncClient(
                api_token=api_token,
                api_key=api_key,
                api_email=api_email,
                account_id=account_id,
                base_url=base_url,
                timeout=timeout,
                connect_timeout=connect_timeout,
                retry=retry,
                respect_rate_limits=respect_rate_limits,
                limiter=limiter,
                headers=headers,
                proxy=proxy,
                max_connections=max_connections,
                ssl_context=ssl_context,
                trace_configs=trace_configs,
                max_response_bytes=max_response_bytes,
                user_agent=user_agent,
                allow_insecure_http=allow_insecure_http,
            )
        finally:
            del api_token, api_key, headers, proxy
        self._runner = LoopRunner(self._async.aclose)

    def list_services(self, *, account_id: str | None = None, timeout: float | None = None) -> list[Service]:
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
        return self._runner.run(self._async.list_services(account_id=account_id, timeout=timeout))

    def delete_services(self, *, account_id: str | None = None, timeout: float | None = None) -> Envelope[None]:
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
        return self._runner.run(self._async.delete_services(account_id=account_id, timeout=timeout))

    def create_integration_token(
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
        return self._runner.run(self._async.create_integration_token(account_id=account_id, timeout=timeout))

    def connect(
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
            token = IntegrationToken(token)
        return self._runner.run(self._async.connect(token, account_id=account_id, timeout=timeout))

    def list_services_in(
        self, account_ids: Iterable[str], *, concurrency: int = 16, ordered: bool = False, timeout: float | None = None
    ) -> Iterator[ServicesListed | ServicesNotListed]:
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
        return self._runner.iterate(
            self._async.list_services_in(
                callers_items(account_ids), concurrency=concurrency, ordered=ordered, timeout=timeout
            )
        )

    def delete_services_in(
        self, account_ids: Iterable[str], *, concurrency: int = 16, ordered: bool = False, timeout: float | None = None
    ) -> Iterator[ServicesDeleted | ServicesNotDeleted]:
        """Deletes every PagerDuty service of many accounts (*Delete PagerDuty Services*, once for each).

        It runs like `list_services_in`, with the same arguments: accounts whose results are never consumed may keep
        their services.

        Yields:
            One result per account: `ServicesDeleted`, or `ServicesNotDeleted` with the error of its call. Type checkers
            distinguish them by `result.error is None`.

        Raises:
            AuthenticationError, ClientClosedError, TypeError, ValueError: As for `list_services_in`.
        """
        return self._runner.iterate(
            self._async.delete_services_in(
                callers_items(account_ids), concurrency=concurrency, ordered=ordered, timeout=timeout
            )
        )

    @property
    def account_id(self) -> str | None:
        """The account for calls that do not name one; None if there is none."""
        return self._async.account_id

    @property
    def base_url(self) -> str:
        """URL of the API, without a trailing slash."""
        return self._async.base_url

    @property
    def is_closed(self) -> bool:
        """Whether the client, or another that shares its connections, was closed."""
        return self._runner.is_closed

    @property
    def with_response(self) -> "ClientWithResponse":
        """The same operations, each returning a `Response`: the result with status, headers, quotas and attempts."""
        return ClientWithResponse(self._async.with_response, self._runner)

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
    ) -> "Client":
        """Returns a client with other settings and the same connections: closing either closes both.

        Arguments are those of the class. None keeps a setting; `headers` replace the previous ones, `{}` removes them.

        Raises:
            TypeError, ValueError: An argument is invalid.
        """
        changed = object.__new__(Client)
        changed._async = self._async.with_options(
            account_id=account_id,
            timeout=timeout,
            connect_timeout=connect_timeout,
            retry=retry,
            respect_rate_limits=respect_rate_limits,
            max_response_bytes=max_response_bytes,
            user_agent=user_agent,
            headers=headers,
            limiter=limiter,
        )
        changed._runner = self._runner
        return changed

    def close(self) -> None:
        """Closes the client: calls in progress in other threads raise `ClientClosedError`. Idempotent."""
        self._runner.close()

    def __enter__(self) -> Self:
        self._runner.check_open()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(getattr(self, "_async", AsyncClient)).replace("AsyncClient", "Client", 1)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds credentials and connections and cannot be pickled: create one where it is used")


class ClientWithResponse:
    """The operations of `Client`, each returning a `Response`. Returned by `Client.with_response`."""

    def __init__(self, client: AsyncClientWithResponse, runner: LoopRunner) -> None:
        self._async = client
        self._runner = runner

    def list_services(self, *, account_id: str | None = None, timeout: float | None = None) -> Response[list[Service]]:
        """Like `Client.list_services` (*List PagerDuty services*), but returns the whole `Response`."""
        return self._runner.run(self._async.list_services(account_id=account_id, timeout=timeout))

    def delete_services(self, *, account_id: str | None = None, timeout: float | None = None) -> Response[None]:
        """Like `Client.delete_services` (*Delete PagerDuty Services*), but returns the whole `Response`."""
        return self._runner.run(self._async.delete_services(account_id=account_id, timeout=timeout))

    def create_integration_token(
        self, *, account_id: str | None = None, timeout: float | None = None
    ) -> Response[IntegrationToken]:
        """Like `Client.create_integration_token`, but returns the whole `Response`.

        *Create PagerDuty integration token*.
        """
        return self._runner.run(self._async.create_integration_token(account_id=account_id, timeout=timeout))

    def connect(
        self, token: IntegrationToken | str, *, account_id: str | None = None, timeout: float | None = None
    ) -> Response[ConnectedDestination]:
        """Like `Client.connect` (*Connect PagerDuty*), but returns the whole `Response`."""
        if isinstance(token, str):
            token = IntegrationToken(token)
        return self._runner.run(self._async.connect(token, account_id=account_id, timeout=timeout))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds credentials and connections and cannot be pickled: create one where it is used")

"""Converts exceptions of aiohttp into those of this package, with a message that says what to do; pure.

Most exceptions of aiohttp are not chained: their messages contain the URL, and with it an integration token.
"""

import os
import traceback

import aiohttp
from attrs import frozen

from pagerduty_alerting._protocol.endpoints import Request
from pagerduty_alerting._protocol.redaction import one_line, redact
from pagerduty_alerting.errors import (
    APIConnectionError,
    APITimeoutError,
    ClientClosedError,
    ConfigurationError,
    PagerDutyAlertingError,
)

# Codes of OpenSSL for an unknown issuer: self-signed, self-signed in the chain, issuer not found, leaf not verifiable.
_UNKNOWN_ISSUER = frozenset({18, 19, 20, 21})


class ConnectionBrokeError(aiohttp.ClientError):
    """Replaces an error after which aiohttp would send the request again; `reason` is that error, None if unknown."""

    def __init__(self, reason: Exception | None = None) -> None:
        super().__init__(reason)
        self.reason = reason


class NotHttpError(aiohttp.ClientError):
    """Replaces an error of aiohttp's whose text contains the URL, because tracing tools record the text."""

    def __init__(self, message: str) -> None:
        super().__init__("the response is not valid HTTP")
        self.message = message


class ProxyRefusedError(aiohttp.ClientError):
    """Replaces aiohttp's error about the response of a proxy, which contains the URL."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the proxy responded with status {status}")
        self.status = status


def without_url(error: aiohttp.ClientError) -> aiohttp.ClientError:
    """Returns an equivalent exception without the URL; the same one if it does not contain the URL.

    The URL may end in an integration token.
    """
    match error:
        case aiohttp.ConnectionTimeoutError():
            return aiohttp.ConnectionTimeoutError("no connection before the timeout")
        case aiohttp.ClientHttpProxyError():
            return ProxyRefusedError(error.status)
        case aiohttp.ClientResponseError():
            return NotHttpError(error.message)
        case _:
            return error


@frozen(kw_only=True)
class Circumstances:
    """The state of an attempt when it failed.

    Attributes:
        was_sent: Whether the request can have reached the API.
        connect_timeout: Seconds for establishing the connection.
        proxy: Host and port of the proxy; None without one.
        unresolved: The host name that was being resolved; None otherwise.
    """

    was_sent: bool
    connect_timeout: float = 5.0
    proxy: tuple[str | None, int | None] | None = None
    unresolved: str | None = None

    @property
    def proxy_name(self) -> str:
        """The proxy with its host and port, for messages."""
        host, port = self.proxy or (None, None)
        return f"the proxy {host}:{port}"

    def name(self, host: str | None, port: int | None) -> str:
        """Returns a host and port for messages, marked if they are the proxy's."""
        return self.proxy_name if (host, port) == self.proxy else f"{host}:{port}"


def connection_error(
    error: Exception, request: Request[object], attempt: Circumstances
) -> tuple[PagerDutyAlertingError, BaseException | None]:
    """Returns the exception to raise, and its cause if that adds information and contains no secret."""
    if isinstance(error, ConnectionBrokeError):
        if error.reason is None:
            return _broke("the connection broke before the response was complete", request, attempt), None
        error = error.reason
    if isinstance(error, aiohttp.ClientError):
        error = without_url(error)
    match error:
        case aiohttp.ConnectionTimeoutError():
            return _no_time_to_connect(request, attempt), None
        case aiohttp.ClientConnectorDNSError():
            whose = "of the proxy, " if attempt.proxy is not None and error.host == attempt.proxy[0] else ""
            what = f"the name {whose}{error.host}{',' if whose else ''} cannot be resolved. Is the network up?"
            return _not_sent(what, request), error.os_error
        case aiohttp.ClientConnectorCertificateError():
            return _not_trusted(error, request, attempt), error.certificate_error
        case aiohttp.ClientSSLError():
            reason = error.os_error.strerror or type(error.os_error).__name__
            what = f"TLS with {attempt.name(error.host, error.port)} failed: {reason}"
            return _not_sent(what, request, transient=False), error.os_error
        case aiohttp.ClientProxyConnectionError():
            what = f"the proxy {error.host}:{error.port} cannot be reached: {_reason(error.os_error)}"
            return _not_sent(what, request), error.os_error
        case ProxyRefusedError():
            what = f"{attempt.proxy_name} refused the connection with status {error.status}"
            return _not_sent(what, request, transient=error.status >= 500), None
        case aiohttp.ClientConnectorError():
            what = f"cannot connect to {attempt.name(error.host, error.port)}: {_reason(error.os_error)}"
            return _not_sent(what, request), error.os_error
        case aiohttp.ClientError() if attempt.proxy is not None and not attempt.was_sent:
            return _not_sent(_no_tunnel(error, attempt), request), None
        case aiohttp.ClientOSError():
            through = "" if attempt.proxy is None else f" through {attempt.proxy_name}"
            return _broke(f"the connection{through} broke: {_reason(error)}", request, attempt), None
        case aiohttp.ServerDisconnectedError():
            who = "the server" if attempt.proxy is None else f"the server, or {attempt.proxy_name},"
            return _broke(f"{who} closed the connection without a complete response", request, attempt), None
        case aiohttp.ClientPayloadError() if "content-encoding" in str(error):
            return _broke("the body of the response cannot be decompressed", request, attempt), None
        case aiohttp.ClientPayloadError():
            return _broke("the response is incomplete or not valid HTTP", request, attempt), None
        case NotHttpError():
            problem = one_line(redact(error.message, request.secrets, uuids=True))[:200]
            return _broke(f"the response is not valid HTTP: {problem}", request, attempt), None
        case RuntimeError() if str(error) == "Session is closed":
            return ClientClosedError("the aiohttp session that was passed to the client is closed"), None
        case ValueError() if str(error).startswith("Cannot combine AUTH"):
            return (
                ConfigurationError(
                    "the aiohttp session that was passed to the client has credentials of its own (auth=…, or trust_env"
                    " with a netrc entry for the host), which contradict the client's"
                ),
                None,
            )
        case aiohttp.ClientConnectionError():
            return _broke(f"the connection broke: {type(error).__name__}", request, attempt), None
        case _:
            chain = "".join(traceback.format_exception(error))
            cause = None if any(secret in chain for secret in request.secrets) else error
            return _broke(f"unexpected {type(error).__name__}", request, attempt, transient=False), cause


def _not_sent(what: str, request: Request[object], *, transient: bool = True) -> APIConnectionError:
    return APIConnectionError(
        f"{request.endpoint.operation}: {what} ({request})",
        method=request.method,
        path=request.path,
        may_have_acted=False,
        transient=transient,
    )


def _broke(
    what: str, request: Request[object], attempt: Circumstances, *, transient: bool = True
) -> APIConnectionError:
    doubt = attempt.was_sent and not request.endpoint.replay_safe
    acted = ". The operation may have been carried out nevertheless" if doubt else ""
    return APIConnectionError(
        f"{request.endpoint.operation}: {what}{acted} ({request})",
        method=request.method,
        path=request.path,
        may_have_acted=attempt.was_sent,
        transient=transient,
    )


def _no_time_to_connect(request: Request[object], attempt: Circumstances) -> APITimeoutError:
    if attempt.unresolved is not None:
        what = f"the name {attempt.unresolved} was not resolved"
    elif attempt.proxy is not None:
        what = f"no connection through {attempt.proxy_name}"
    else:
        what = "no connection"
    seconds = attempt.connect_timeout
    return APITimeoutError(
        f"{request.endpoint.operation}: {what} within the connect_timeout of {seconds:g} s ({request})",
        method=request.method,
        path=request.path,
        phase="connecting",
        timeout=seconds,
        may_have_acted=False,
    )


def _not_trusted(
    error: aiohttp.ClientConnectorCertificateError, request: Request[object], attempt: Circumstances
) -> APIConnectionError:
    reason = getattr(error.certificate_error, "verify_message", "") or "verification failed"
    is_proxy = (error.host, error.port) == attempt.proxy
    what = f"the certificate of {attempt.proxy_name if is_proxy else error.host} is not trusted: {reason}"
    if getattr(error.certificate_error, "verify_code", None) in _UNKNOWN_ISSUER:
        what += ". Behind a private CA, pass ssl_context=…"
    return _not_sent(what, request, transient=False)


def _no_tunnel(error: aiohttp.ClientError, attempt: Circumstances) -> str:
    match error:
        case aiohttp.ServerDisconnectedError():
            return f"{attempt.proxy_name} closed the connection"
        case aiohttp.ClientOSError():
            return f"the connection to {attempt.proxy_name} broke: {_reason(error)}"
        case _:
            return f"{attempt.proxy_name} does not respond in HTTP"


def _reason(error: OSError) -> str:
    if error.errno and "Connect call failed" in (error.strerror or ""):
        return os.strerror(error.errno)  # asyncio's text repeats the address
    return error.strerror or str(error) or type(error).__name__

"""Converts exceptions of aiohttp into those of this package, with a message that says what to do; pure.

Most exceptions of aiohttp are not chained: their messages contain the URL, and with it an integration token.
"""

import os
import traceback

import aiohttp

from pagerduty_alerting._http.progress import CONNECTING, Progress
from pagerduty_alerting._protocol.endpoints import Request
from pagerduty_alerting._protocol.redaction import one_line, redact
from pagerduty_alerting._protocol.retry import doubt
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


def connection_error(
    error: Exception, request: Request[object], progress: Progress
) -> tuple[PagerDutyAlertingError, BaseException | None]:
    """Returns the exception to raise, and its cause if that adds information and contains no secret."""
    was_sent = progress.was_sent
    if isinstance(error, ConnectionBrokeError):
        if error.reason is None:
            return _failed("the connection broke before the response was complete", request, was_sent=was_sent), None
        error = error.reason
    if isinstance(error, aiohttp.ClientError):
        error = without_url(error)
    match error:
        case aiohttp.ConnectionTimeoutError():
            return _no_time_to_connect(request, progress), None
        case aiohttp.ClientConnectorDNSError():
            whose = "of the proxy, " if progress.proxy is not None and error.host == progress.proxy[0] else ""
            what = f"the name {whose}{error.host}{',' if whose else ''} cannot be resolved. Is the network up?"
            return _failed(what, request, was_sent=False), error.os_error
        case aiohttp.ClientConnectorCertificateError():
            return _not_trusted(error, request, progress), error.certificate_error
        case aiohttp.ClientSSLError():
            reason = error.os_error.strerror or type(error.os_error).__name__
            what = f"TLS with {_name(progress, error.host, error.port)} failed: {reason}"
            return _failed(what, request, was_sent=False, transient=False), error.os_error
        case aiohttp.ClientProxyConnectionError():
            what = f"the proxy {error.host}:{error.port} cannot be reached: {_reason(error.os_error)}"
            return _failed(what, request, was_sent=False), error.os_error
        case ProxyRefusedError():
            what = f"{_proxy_name(progress)} refused the connection with status {error.status}"
            return _failed(what, request, was_sent=False, transient=error.status >= 500), None
        case aiohttp.ClientConnectorError():
            what = f"cannot connect to {_name(progress, error.host, error.port)}: {_reason(error.os_error)}"
            return _failed(what, request, was_sent=False), error.os_error
        case aiohttp.ClientError() if progress.proxy is not None and not was_sent:
            return _failed(_no_tunnel(error, progress), request, was_sent=False), None
        case aiohttp.ClientOSError():
            through = "" if progress.proxy is None else f" through {_proxy_name(progress)}"
            return _failed(f"the connection{through} broke: {_reason(error)}", request, was_sent=was_sent), None
        case aiohttp.ServerDisconnectedError():
            who = "the server" if progress.proxy is None else f"the server, or {_proxy_name(progress)},"
            return _failed(f"{who} closed the connection without a complete response", request, was_sent=was_sent), None
        case aiohttp.ClientPayloadError() if "content-encoding" in str(error):
            return _failed("the body of the response cannot be decompressed", request, was_sent=was_sent), None
        case aiohttp.ClientPayloadError():
            return _failed("the response is incomplete or not valid HTTP", request, was_sent=was_sent), None
        case NotHttpError():
            problem = one_line(redact(error.message, request.secrets, uuids=True))[:200]
            return _failed(f"the response is not valid HTTP: {problem}", request, was_sent=was_sent), None
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
            return _failed(f"the connection broke: {type(error).__name__}", request, was_sent=was_sent), None
        case _:
            chain = "".join(traceback.format_exception(error))
            cause = None if any(secret in chain for secret in request.secrets) else error
            return _failed(f"unexpected {type(error).__name__}", request, was_sent=was_sent, transient=False), cause


def _failed(what: str, request: Request[object], *, was_sent: bool, transient: bool = True) -> APIConnectionError:
    return APIConnectionError(
        f"{request.endpoint.operation}: {what}{doubt(request.endpoint, was_sent=was_sent)} ({request})",
        method=request.method,
        path=request.path,
        may_have_acted=was_sent,
        transient=transient,
    )


def _no_time_to_connect(request: Request[object], progress: Progress) -> APITimeoutError:
    if progress.unresolved is not None:
        what = f"the name {progress.unresolved} was not resolved"
    elif progress.proxy is not None:
        what = f"no connection through {_proxy_name(progress)}"
    else:
        what = "no connection"
    seconds = progress.connect_timeout
    return APITimeoutError(
        f"{request.endpoint.operation}: {what} within the connect_timeout of {seconds:g} s ({request})",
        method=request.method,
        path=request.path,
        phase=CONNECTING,
        timeout=seconds,
        may_have_acted=False,
    )


def _not_trusted(
    error: aiohttp.ClientConnectorCertificateError, request: Request[object], progress: Progress
) -> APIConnectionError:
    reason = getattr(error.certificate_error, "verify_message", "") or "verification failed"
    is_proxy = (error.host, error.port) == progress.proxy
    what = f"the certificate of {_proxy_name(progress) if is_proxy else error.host} is not trusted: {reason}"
    if getattr(error.certificate_error, "verify_code", None) in _UNKNOWN_ISSUER:
        what += ". Behind a private CA, pass ssl_context=…"
    return _failed(what, request, was_sent=False, transient=False)


def _no_tunnel(error: aiohttp.ClientError, progress: Progress) -> str:
    match error:
        case aiohttp.ServerDisconnectedError():
            return f"{_proxy_name(progress)} closed the connection"
        case aiohttp.ClientOSError():
            return f"the connection to {_proxy_name(progress)} broke: {_reason(error)}"
        case _:
            return f"{_proxy_name(progress)} does not respond in HTTP"


def _proxy_name(progress: Progress) -> str:
    host, port = progress.proxy or (None, None)
    return f"the proxy {host}:{port}"


def _name(progress: Progress, host: str | None, port: int | None) -> str:
    """Returns a host and port, marked if they are the proxy's."""
    return _proxy_name(progress) if (host, port) == progress.proxy else f"{host}:{port}"


def _reason(error: OSError) -> str:
    if error.errno and "Connect call failed" in (error.strerror or ""):
        return os.strerror(error.errno)  # asyncio's text repeats the address
    return error.strerror or str(error) or type(error).__name__

"""Turns what aiohttp raises into our exceptions, with a message that a person can act on; pure.

aiohttp's own exceptions are not chained: their messages hold the URL, and with it an integration token.
"""

import traceback

import aiohttp

from pagerduty_alerting._protocol.endpoints import Request
from pagerduty_alerting._protocol.redaction import one_line, redact
from pagerduty_alerting.errors import (
    APIConnectionError,
    APITimeoutError,
    ClientClosedError,
    ConfigurationError,
    PagerDutyAlertingError,
)


class ConnectionBrokeError(aiohttp.ClientError):
    """Stands in for an error of aiohttp's after which aiohttp would send the request again; None where it is lost."""

    def __init__(self, reason: Exception | None = None) -> None:
        super().__init__(reason)
        self.reason = reason


class NotHttpError(aiohttp.ClientError):
    """Stands in for an error of aiohttp's whose text holds the URL: tracing tools record it as it is."""

    def __init__(self, reason: aiohttp.ClientResponseError) -> None:
        super().__init__("the answer is not valid HTTP")
        self.message = reason.message


def connection_error(
    error: Exception, request: Request[object], connect_timeout: float, *, was_sent: bool
) -> tuple[PagerDutyAlertingError, BaseException | None]:
    """Returns the exception to raise, and the cause to chain to it where that says more and holds no secret."""
    operation = request.endpoint.operation
    method, path = request.method, request.path

    def not_sent(what: str, *, transient: bool = True) -> APIConnectionError:
        return APIConnectionError(
            f"{operation}: {what} ({request})", method=method, path=path, may_have_acted=False, transient=transient
        )

    def broke(what: str, *, transient: bool = True) -> APIConnectionError:
        doubt = was_sent and not request.endpoint.replay_safe
        acted = ". The operation may have been carried out all the same" if doubt else ""
        return APIConnectionError(
            f"{operation}: {what}{acted} ({request})",
            method=method,
            path=path,
            may_have_acted=was_sent,
            transient=transient,
        )

    if isinstance(error, ConnectionBrokeError):
        if error.reason is None:
            return broke("the connection broke before there was a complete answer"), None
        error = error.reason
    match error:
        case aiohttp.ConnectionTimeoutError():
            return (
                APITimeoutError(
                    f"{operation}: no connection within the connect_timeout of {connect_timeout:g} s ({request})",
                    method=method,
                    path=path,
                    phase="connecting",
                    timeout=connect_timeout,
                    may_have_acted=False,
                ),
                None,
            )
        case aiohttp.ClientConnectorDNSError():
            return not_sent(f"the name {error.host} cannot be resolved. Is the network up?"), error.os_error
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "") or "verification failed"
            advice = "Behind a private CA, pass ssl_context=…"
            return not_sent(
                f"the certificate of {error.host} is not trusted: {reason}. {advice}", transient=False
            ), error.certificate_error
        case aiohttp.ClientSSLError():
            reason = error.os_error.strerror or type(error.os_error).__name__
            return not_sent(f"TLS with {error.host}:{error.port} failed: {reason}", transient=False), error.os_error
        case aiohttp.ClientProxyConnectionError():
            return not_sent(f"the proxy cannot be reached: {_reason(error.os_error)}"), error.os_error
        case aiohttp.ClientHttpProxyError():
            refused = error.status < 500
            return not_sent(f"the proxy refused the connection with status {error.status}", transient=not refused), None
        case aiohttp.ClientConnectorError():
            reason = _reason(error.os_error)
            return not_sent(f"cannot connect to {error.host}:{error.port}: {reason}"), error.os_error
        case aiohttp.ClientOSError():
            return broke(f"the connection broke: {_reason(error)}"), None
        case aiohttp.ServerDisconnectedError():
            return broke("the server closed the connection without a complete answer"), None
        case aiohttp.ClientPayloadError() if "content-encoding" in str(error):
            return broke("the body of the answer cannot be decompressed"), None
        case aiohttp.ClientPayloadError():
            return broke("the answer broke off before its end, or is not valid HTTP"), None
        case NotHttpError() | aiohttp.ClientResponseError():
            problem = one_line(redact(error.message, request.secrets, uuids=True))[:200]
            return broke(f"the answer is not valid HTTP: {problem}"), None
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
            return broke(f"the connection broke: {type(error).__name__}"), None
        case _:
            chain = "".join(traceback.format_exception(error))
            cause = None if any(secret in chain for secret in request.secrets) else error
            return broke(f"unexpected {type(error).__name__}", transient=False), cause


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__

"""Turns what aiohttp raises into our exceptions, with a message that a person can act on; pure.

aiohttp's own exceptions are not chained: their messages hold the URL, and with it an integration token.
"""

import aiohttp

from pagerduty_alerting._endpoints import Request
from pagerduty_alerting._redaction import redact
from pagerduty_alerting.errors import (
    APIConnectionError,
    APITimeoutError,
    ClientClosedError,
    ConfigurationError,
    PagerDutyAlertingError,
)


class ConnectionBrokeError(aiohttp.ClientError):
    """Stands in for an error of aiohttp's after which aiohttp would send the request again."""

    def __init__(self, reason: aiohttp.ClientOSError | aiohttp.ServerDisconnectedError) -> None:
        super().__init__(reason)
        self.reason = reason


def connection_error(
    error: Exception, request: Request[object], connect_timeout: float
) -> tuple[PagerDutyAlertingError, BaseException | None]:
    """Returns the exception to raise, and the cause to chain to it where that says more and holds no secret."""
    operation = request.endpoint.operation
    method, path = request.method, request.path

    def not_sent(what: str, *, transient: bool = True) -> APIConnectionError:
        return APIConnectionError(
            f"{operation}: {what} ({request})", method=method, path=path, may_have_acted=False, transient=transient
        )

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
        case ConnectionBrokeError(reason=aiohttp.ClientOSError() as reason):
            return _broke(request, f"the connection broke: {_reason(reason)}"), None
        case ConnectionBrokeError():
            return _broke(request, "the server closed the connection without a complete answer"), None
        case aiohttp.ClientPayloadError():
            return _broke(request, "the answer broke off before its end"), None
        case aiohttp.ClientResponseError():
            problem = redact(error.message, request.secrets, uuids=True)[:200]
            return _broke(request, f"the answer is not valid HTTP: {problem}"), None
        case RuntimeError() if str(error) == "Session is closed":
            return ClientClosedError("the aiohttp session that was passed to the client is closed"), None
        case ValueError() if "AUTH" in str(error):
            return (
                ConfigurationError(
                    "the aiohttp session that was passed to the client has credentials of its own (auth=…, or trust_env"
                    " with a netrc entry for the host), which contradict the client's"
                ),
                None,
            )
        case _:
            says_secret = any(secret in str(error) for secret in request.secrets)
            return _broke(
                request, f"unexpected {type(error).__name__}", transient=False
            ), None if says_secret else error


def _broke(request: Request[object], what: str, *, transient: bool = True) -> APIConnectionError:
    acted = "" if request.endpoint.replay_safe else ". The operation may have been carried out all the same"
    return APIConnectionError(
        f"{request.endpoint.operation}: {what}{acted} ({request})",
        method=request.method,
        path=request.path,
        transient=transient,
    )


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__

"""The translation of exceptions of aiohttp: the message, whether it is temporary, whether the API may have acted."""

import errno
import pickle
import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from pagerduty_alerting import APIConnectionError, APITimeoutError, ClientClosedError, ConfigurationError
from pagerduty_alerting._http.errors import (
    ConnectionBrokeError,
    NotHttpError,
    connection_error,
    without_url,
)
from pagerduty_alerting._http.progress import WAITING, Progress
from pagerduty_alerting._protocol.endpoints import CONNECT, LIST_SERVICES, Endpoint
from tests.support.operations import API_TOKEN, TOKEN_ID
from tests.support.requests_and_answers import request_for

KEY = ConnectionKey("api.example", 443, True, True, None, None, None)
REFUSED = OSError(errno.ECONNREFUSED, "Connection refused")
CERTIFICATE = ssl.SSLCertVerificationError("certificate verify failed")
CERTIFICATE.verify_message = "self-signed certificate"
CERTIFICATE.verify_code = 18
EXPIRED = ssl.SSLCertVerificationError("certificate verify failed")
EXPIRED.verify_message = "certificate has expired"
EXPIRED.verify_code = 10
NO_REASON = ssl.SSLCertVerificationError("certificate verify failed")

NOT_SENT: list[tuple[Exception, str, bool]] = [
    (aiohttp.ConnectionTimeoutError("x"), "no connection within the connect_timeout of 5 s", True),
    (
        aiohttp.ClientConnectorDNSError(KEY, OSError(-2, "Name or service not known")),
        "the name api.example cannot be resolved. Is the network up?",
        True,
    ),
    (aiohttp.ClientConnectorError(KEY, REFUSED), "cannot connect to api.example:443: Connection refused", True),
    (aiohttp.ClientConnectorError(KEY, OSError("odd")), "cannot connect to api.example:443: odd", True),
    (aiohttp.ClientConnectorError(KEY, ConnectionError()), "cannot connect to api.example:443: ConnectionError", True),
    (
        aiohttp.ClientConnectorCertificateError(KEY, CERTIFICATE),
        "the certificate of api.example is not trusted: self-signed certificate. Behind a private CA, pass ssl_context",
        False,
    ),
    (
        aiohttp.ClientConnectorCertificateError(KEY, NO_REASON),
        "the certificate of api.example is not trusted: verification failed (",
        False,
    ),
    (
        aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError(1, "wrong version number")),
        "TLS with api.example:443 failed: wrong version number",
        False,
    ),
    (aiohttp.ClientConnectorSSLError(KEY, ssl.SSLError()), "TLS with api.example:443 failed: SSLError", False),
    (
        aiohttp.ClientProxyConnectionError(KEY, REFUSED),
        "the proxy api.example:443 cannot be reached: Connection refused",
        True,
    ),
    (
        aiohttp.ClientHttpProxyError(SimpleNamespace(real_url="x"), (), status=407),  # type: ignore[arg-type]
        "the proxy proxy.example:3128 refused the connection with status 407",
        False,
    ),
    (
        aiohttp.ClientHttpProxyError(SimpleNamespace(real_url="x"), (), status=499),  # type: ignore[arg-type]
        "the proxy proxy.example:3128 refused the connection with status 499",
        False,
    ),
    (
        aiohttp.ClientHttpProxyError(SimpleNamespace(real_url="x"), (), status=500),  # type: ignore[arg-type]
        "the proxy proxy.example:3128 refused the connection with status 500",
        True,
    ),
    (
        aiohttp.ClientHttpProxyError(SimpleNamespace(real_url="x"), (), status=503),  # type: ignore[arg-type]
        "the proxy proxy.example:3128 refused the connection with status 503",
        True,
    ),
]

BROKE: list[tuple[Exception, str, bool]] = [
    (
        ConnectionBrokeError(aiohttp.ServerDisconnectedError()),
        "the server closed the connection without a complete",
        True,
    ),
    (
        ConnectionBrokeError(aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer")),
        "the connection broke: Connection reset by peer",
        True,
    ),
    (
        ConnectionBrokeError(aiohttp.ClientOSError(errno.ECONNRESET, "text of the system")),
        "the connection broke: text of the system",
        True,
    ),
    (ConnectionBrokeError(), "the connection broke before the response was complete", True),
    (aiohttp.ClientPayloadError("x"), "the response is incomplete", True),
    (aiohttp.ClientPayloadError("400, Can not decode content-encoding: gzip"), "cannot be decompressed", True),
    (
        aiohttp.ClientResponseError(SimpleNamespace(real_url="x"), (), message="bad header\x1b"),  # type: ignore[arg-type]
        "the response is not valid HTTP: bad header",
        True,
    ),
    (aiohttp.ClientConnectionError("Connection closed"), "the connection broke: ClientConnectionError", True),
    (KeyError("unexpected error"), "unexpected KeyError", False),
]


PROXY = ("proxy.example", 3128)


def describe(error: Exception, endpoint: Endpoint[Any] = LIST_SERVICES, *, was_sent: bool = True, **known: Any) -> Any:
    if isinstance(error, aiohttp.ClientHttpProxyError):
        known["proxy"] = PROXY
    return connection_error(error, request_for(endpoint), attempt(was_sent=was_sent, **known))


def attempt(*, was_sent: bool, **known: Any) -> Progress:
    progress = Progress()
    if was_sent:
        progress.phase = WAITING
    for name, value in known.items():
        setattr(progress, name, value)
    return progress


def problems(cases: list[tuple[Exception, str, bool]]) -> list[str]:
    return [problem for _, problem, _ in cases]


@pytest.mark.parametrize(("error", "problem", "transient"), NOT_SENT, ids=problems(NOT_SENT))
def test_without_a_connection_the_api_cannot_have_acted(error: Exception, problem: str, transient: bool) -> None:
    for endpoint in (LIST_SERVICES, CONNECT):
        failure, _ = describe(error, endpoint)
        assert isinstance(failure, APIConnectionError)
        assert str(failure).startswith(f"{endpoint.operation}: {problem}")
        assert (failure.may_have_acted, failure.transient) == (False, transient)
        assert "carried out nevertheless" not in str(failure)


@pytest.mark.parametrize(("error", "problem", "transient"), BROKE, ids=problems(BROKE))
def test_after_a_broken_connection_the_api_may_have_acted(error: Exception, problem: str, transient: bool) -> None:
    for endpoint in (LIST_SERVICES, CONNECT):
        failure, _ = describe(error, endpoint)
        assert problem in str(failure)
        assert (failure.may_have_acted, failure.transient) == (True, transient)
        assert ("carried out nevertheless" in str(failure)) is (endpoint is CONNECT)


@pytest.mark.parametrize(("error", "problem", "transient"), BROKE, ids=problems(BROKE))
def test_after_a_connection_that_broke_before_the_request_the_api_cannot_have_acted(
    error: Exception, problem: str, transient: bool
) -> None:
    failure, _ = describe(error, CONNECT, was_sent=False)
    assert problem in str(failure)
    assert (failure.may_have_acted, failure.transient) == (False, transient)
    assert "carried out nevertheless" not in str(failure)


def of_proxy(kind: Any, error: OSError) -> Exception:
    return kind(KEY._replace(host=PROXY[0], port=PROXY[1]), error)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("error", "known", "problem"),
    [
        (aiohttp.ConnectionTimeoutError("x"), {}, "no connection through the proxy proxy.example:3128 within the"),
        (
            aiohttp.ConnectionTimeoutError("x"),
            {"unresolved": "proxy.example"},
            "the name proxy.example was not resolved within the connect_timeout of 5 s",
        ),
        (
            of_proxy(aiohttp.ClientConnectorDNSError, OSError(-2, "Name or service not known")),
            {},
            "the name of the proxy, proxy.example, cannot be resolved. Is the network up?",
        ),
        (
            of_proxy(aiohttp.ClientConnectorError, REFUSED),
            {},
            "cannot connect to the proxy proxy.example:3128: Connection refused",
        ),
        (
            of_proxy(aiohttp.ClientConnectorCertificateError, CERTIFICATE),
            {},
            "the certificate of the proxy proxy.example:3128 is not trusted: self-signed certificate. Behind a private",
        ),
        (
            of_proxy(aiohttp.ClientConnectorSSLError, ssl.SSLError(1, "wrong version number")),
            {},
            "TLS with the proxy proxy.example:3128 failed: wrong version number",
        ),
        (
            ConnectionBrokeError(aiohttp.ServerDisconnectedError()),
            {},
            "the proxy proxy.example:3128 closed the connection (",
        ),
        (
            ConnectionBrokeError(aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer")),
            {},
            "the connection to the proxy proxy.example:3128 broke: Connection reset by peer",
        ),
        (NotHttpError("hello"), {}, "the proxy proxy.example:3128 does not respond in HTTP"),
    ],
)
def test_a_failure_at_the_proxy_names_the_proxy(error: Exception, known: dict[str, Any], problem: str) -> None:
    failure, _ = describe(error, CONNECT, was_sent=False, proxy=PROXY, **known)
    assert str(failure).startswith(f"Connect PagerDuty: {problem}")
    assert failure.may_have_acted is False


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (
            aiohttp.ServerDisconnectedError(),
            "the server, or the proxy proxy.example:3128, closed the connection without a complete response",
        ),
        (
            aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer"),
            "the connection through the proxy proxy.example:3128 broke: Connection reset by peer",
        ),
    ],
)
def test_a_failure_behind_a_proxy_mentions_the_proxy(error: Exception, problem: str) -> None:
    failure, _ = describe(ConnectionBrokeError(error), LIST_SERVICES, proxy=PROXY)
    assert str(failure).startswith(f"List PagerDuty services: {problem}")


def test_only_the_error_for_an_unknown_issuer_advises_a_private_authority() -> None:
    unknown, _ = describe(aiohttp.ClientConnectorCertificateError(KEY, CERTIFICATE))
    expired, _ = describe(aiohttp.ClientConnectorCertificateError(KEY, EXPIRED))
    assert "pass ssl_context" in str(unknown)
    assert "not trusted: certificate has expired (" in str(expired)


def test_the_timeout_of_a_name_lookup_names_the_host() -> None:
    failure, _ = describe(aiohttp.ConnectionTimeoutError("x"), unresolved="api.example")
    assert "the name api.example was not resolved within the connect_timeout of 5 s" in str(failure)
    assert failure.phase == "connecting"


@pytest.mark.parametrize(
    "error",
    [
        aiohttp.ConnectionTimeoutError(f"Connection timeout to host https://api.example/connect/{TOKEN_ID}"),
        aiohttp.ClientResponseError(SimpleNamespace(real_url=f"/connect/{TOKEN_ID}"), (), message="bad"),  # type: ignore[arg-type]
        aiohttp.ClientHttpProxyError(SimpleNamespace(real_url=f"/connect/{TOKEN_ID}"), (), status=407),  # type: ignore[arg-type]
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_replacement_of_an_error_with_the_url_does_not_contain_it(error: aiohttp.ClientError) -> None:
    assert TOKEN_ID in f"{error!r} {error} {vars(error)}"
    replaced = without_url(error)
    assert TOKEN_ID not in f"{replaced!r} {replaced} {vars(replaced)}"


def test_the_connect_timeout_is_a_timeout_error() -> None:
    failure, cause = describe(aiohttp.ConnectionTimeoutError("x"))
    assert type(failure) is APITimeoutError
    assert (failure.phase, failure.timeout, cause) == ("connecting", 5.0, None)


def test_the_error_of_the_operating_system_is_the_cause() -> None:
    assert describe(aiohttp.ClientConnectorError(KEY, REFUSED))[1] is REFUSED
    assert describe(aiohttp.ClientConnectorCertificateError(KEY, CERTIFICATE))[1] is CERTIFICATE


@pytest.mark.parametrize(
    "error", [KeyError(f"/connect/{TOKEN_ID}"), RuntimeError(f"Bearer {API_TOKEN}")], ids=["token", "credential"]
)
def test_an_unexpected_error_that_contains_a_secret_is_not_the_cause(error: Exception) -> None:
    failure, cause = describe(error, CONNECT)
    assert cause is None
    assert TOKEN_ID not in str(failure)
    assert API_TOKEN not in str(failure)


def test_an_unexpected_error_without_secrets_is_the_cause() -> None:
    error = KeyError("unexpected error")
    assert describe(error)[1] is error


def test_a_secret_in_a_parse_error_is_masked() -> None:
    error = aiohttp.ClientResponseError(
        SimpleNamespace(real_url="x"),  # type: ignore[arg-type]
        (),
        message=f"bad line /connect/{TOKEN_ID}",
    )
    failure, cause = describe(error, CONNECT)
    assert "bad line /connect/<hidden>" in str(failure)
    assert cause is None


def test_a_closed_session_of_the_caller_is_a_client_closed_error() -> None:
    failure, cause = describe(RuntimeError("Session is closed"))
    assert type(failure) is ClientClosedError
    assert cause is None


def test_a_session_with_its_own_credentials_is_a_configuration_error() -> None:
    failure, _ = describe(ValueError("Cannot combine AUTHORIZATION header with AUTH argument"))
    assert type(failure) is ConfigurationError
    assert str(failure) == (
        "the aiohttp session that was passed to the client has credentials of its own (auth=…, or trust_env"
        " with a netrc entry for the host), which contradict the client's"
    )


@pytest.mark.parametrize("endpoint", [LIST_SERVICES, CONNECT], ids=lambda endpoint: endpoint.operation)
@pytest.mark.parametrize("error", [error for error, *_ in NOT_SENT + BROKE], ids=problems(NOT_SENT + BROKE))
def test_every_description_names_the_request_and_can_be_pickled(error: Exception, endpoint: Endpoint[Any]) -> None:
    failure, _ = describe(error, endpoint)
    request = request_for(endpoint)
    assert str(failure).endswith(f"({request})")
    assert (failure.method, failure.path) == (request.method, request.path)
    assert vars(pickle.loads(pickle.dumps(failure))) == vars(failure)


@pytest.mark.parametrize("text", ["a313ba7d-3e46-4c0e-a408-08fafbc3816b", API_TOKEN.upper()])
def test_an_unknown_token_and_a_credential_in_any_case_are_masked_in_messages_of_aiohttp(text: str) -> None:
    error = NotHttpError(f"header value is too long: b'/connect/{text}'")
    failure, cause = connection_error(error, request_for(LIST_SERVICES), attempt(was_sent=True))
    assert "header value is too long: b'/connect/<hidden>'" in str(failure)
    assert cause is None

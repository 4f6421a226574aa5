"""TLS, which is always verified, proxies of the environment and the argument, and ~/.netrc."""

import asyncio
import pathlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import trustme

from pagerduty_alerting import APIConnectionError, APITimeoutError, AsyncClient, Client, ConfigurationError, RetryPolicy
from pagerduty_alerting._http.proxy import Proxy, find_proxy
from tests.support.forward_proxy import forward_proxy, seen_by_proxy
from tests.support.operations import API_TOKEN
from tests.support.raw_calls import CALLS, call, client_of, settings
from tests.support.raw_server import CREATED, LISTED, Conversation, RawServer, http, raw_server

RETRIES = RetryPolicy(initial_delay=0)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_side(authority: trustme.CA, *names: str, **options: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1", "api.example")), **options).configure_cert(context)
    return context


def client_side(authority: trustme.CA) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())


async def listing(peer: Conversation) -> None:
    while True:
        await peer.request()
        peer.send(http(200, LISTED))


@pytest.fixture
async def secure_api(authority: trustme.CA) -> AsyncIterator[RawServer]:
    async with raw_server(listing, tls=server_side(authority)) as server:
        yield server


# TLS.


async def test_a_private_authority_is_trusted_with_ssl_context(authority: trustme.CA, secure_api: RawServer) -> None:
    async with AsyncClient(**settings(secure_api.url, ssl_context=client_side(authority))) as client:
        assert len(await client.list_services()) == 1


@pytest.mark.parametrize("operation", CALLS)
async def test_an_untrusted_certificate_is_an_error_that_is_not_retried(secure_api: RawServer, operation: str) -> None:
    connections = 0

    async def counting(*_: Any) -> None:
        nonlocal connections
        connections += 1

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(counting)
    async with AsyncClient(**settings(secure_api.url, retry=RETRIES, trace_configs=[trace])) as client:
        with pytest.raises(APIConnectionError, match="the certificate of 127.0.0.1 is not trusted") as caught:
            await call(client, operation)
    assert "ssl_context" in str(caught.value)
    assert caught.value.attempts == connections == 1
    assert caught.value.may_have_acted is False
    assert caught.value.transient is False
    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
    assert secure_api.requests == []


async def test_a_certificate_for_another_host_is_not_trusted(authority: trustme.CA) -> None:
    changes = {"tls": server_side(authority, "other.example"), "ssl_context": client_side(authority)}
    async with client_of(listing, **changes) as (client, server):
        with pytest.raises(APIConnectionError, match="is not trusted: IP address mismatch"):
            await client.list_services()
    assert server.requests == []


async def test_an_expired_certificate_is_not_trusted(authority: trustme.CA) -> None:
    import datetime

    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    context = server_side(authority, not_before=past, not_after=past + datetime.timedelta(days=1))
    async with client_of(listing, tls=context, ssl_context=client_side(authority)) as (client, _):
        with pytest.raises(APIConnectionError, match="is not trusted: certificate has expired") as caught:
            await client.list_services()
    assert "private CA" not in str(caught.value)


async def test_https_to_a_plain_http_server_is_an_error_that_is_not_retried() -> None:
    async def plain_http(peer: Conversation) -> None:
        await peer.reader.read(1)
        peer.send(http(400))

    async with raw_server(plain_http) as server:
        url = server.url.replace("http:", "https:")
        async with AsyncClient(**settings(url, retry=RETRIES)) as client:
            with pytest.raises(APIConnectionError, match="TLS with 127.0.0.1") as caught:
                await client.list_services()
    assert caught.value.attempts == 1


@pytest.mark.parametrize("value", [False, True, 1, "ca.pem", ssl])
def test_an_invalid_ssl_context_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="ssl_context must be"):
        AsyncClient(**settings("https://api.example/v4", ssl_context=value))


# Proxies.


async def test_https_goes_through_a_tunnel_and_the_proxy_gets_no_credentials(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, secure_api: RawServer
) -> None:
    async with raw_server(forward_proxy) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with AsyncClient(**settings(seen_by_proxy(secure_api), ssl_context=client_side(authority))) as client:
            assert len(await client.list_services()) == 1
            assert len(await client.list_services()) == 1
    (tunnel,) = proxy.requests
    assert tunnel.startswith(f"CONNECT api.example:{secure_api.port} ")
    assert API_TOKEN not in tunnel
    assert "authorization" not in tunnel.lower()
    assert len(secure_api.requests) == 2
    assert f"Authorization: Bearer {API_TOKEN}" in secure_api.requests[0]


async def test_proxy_credentials_are_sent_only_to_the_proxy(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, secure_api: RawServer
) -> None:
    async with raw_server(forward_proxy) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://us%40er:p%C3%A4ss%3Aw%E2%82%AC@127.0.0.1:{proxy.port}")
        async with AsyncClient(**settings(seen_by_proxy(secure_api), ssl_context=client_side(authority))) as client:
            await client.list_services()
    # base64 of "us@er:päss:w€" in UTF-8
    assert "Proxy-Authorization: Basic dXNAZXI6cMOkc3M6d+KCrA==" in proxy.requests[0]
    assert "proxy-authorization" not in secure_api.requests[0].lower()


async def test_plain_http_goes_through_the_proxy_with_credentials_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(listing) as api, raw_server(forward_proxy) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:password@127.0.0.1:{proxy.port}")
        async with AsyncClient(**settings(seen_by_proxy(api), allow_insecure_http=True)) as client:
            assert len(await client.list_services()) == 1
    assert proxy.requests[0].startswith(f"GET {seen_by_proxy(api)}/accounts/")
    assert "Proxy-Authorization: Basic dXNlcjpwYXNzd29yZA==" in proxy.requests[0]
    assert f"Authorization: Bearer {API_TOKEN}" in api.requests[0]


async def test_an_api_on_this_machine_is_reached_without_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with raw_server(listing) as api, AsyncClient(**settings(api.url)) as client:
        assert len(await client.list_services()) == 1


async def test_the_proxy_of_the_other_scheme_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    async with raw_server(listing) as api, AsyncClient(**settings(api.url)) as client:
        assert len(await client.list_services()) == 1


@pytest.mark.parametrize(
    ("answer", "attempts"),
    [
        (http(407, b"who are you?", "Proxy-Authenticate: Basic\r\n"), 1),
        (http(499), 1),
        (http(500), 5),
        (http(503), 5),
        (b"not HTTP\r\n\r\n", 5),
        (b"", 5),
        (None, 5),
    ],
    ids=["407", "499", "500", "503", "not HTTP", "closed", "reset"],
)
@pytest.mark.parametrize("operation", CALLS)
async def test_a_failing_proxy_is_distinguished_from_the_api(
    monkeypatch: pytest.MonkeyPatch, operation: str, answer: bytes | None, attempts: int
) -> None:
    """Nothing was sent to the API, so create and connect may be retried too."""

    async def script(peer: Conversation) -> None:
        await peer.request()
        if answer is None:
            peer.reset()
        else:
            peer.send(answer)

    async with raw_server(script) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:secretpassword@127.0.0.1:{proxy.port}")
        async with AsyncClient(**settings("https://api.example/v4", retry=RETRIES)) as client:
            with pytest.raises(APIConnectionError) as caught:
                await call(client, operation)
    assert caught.value.may_have_acted is False
    assert caught.value.attempts == len(proxy.requests) == attempts
    assert f"the proxy 127.0.0.1:{proxy.port}" in str(caught.value)
    assert "server" not in str(caught.value)
    assert "carried out" not in str(caught.value)
    assert "secretpassword" not in str(caught.value)


async def test_an_unreachable_proxy_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    async with AsyncClient(**settings("https://api.example/v4")) as client:
        with pytest.raises(APIConnectionError, match="the proxy 127.0.0.1:9 cannot be reached") as caught:
            await client.list_services()
    assert caught.value.transient is True


async def test_the_connect_timeout_covers_the_response_of_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(peer: Conversation) -> None:
        await peer.wait_closed()

    async with raw_server(silent) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with AsyncClient(**settings("https://api.example/v4", connect_timeout=0.2)) as client:
            with pytest.raises(
                APITimeoutError,
                match="no connection through the proxy 127.0.0.1:[0-9]+ within the connect_timeout of 0.2 s",
            ):
                await client.create_integration_token()


async def test_the_connect_timeout_covers_the_response_of_the_proxy_of_a_callers_session() -> None:
    async def silent(peer: Conversation) -> None:
        await peer.wait_closed()

    async with raw_server(silent) as proxy, aiohttp.ClientSession(proxy=f"http://127.0.0.1:{proxy.port}") as session:
        client = AsyncClient(**settings("https://api.example/v4", session=session, connect_timeout=0.2))
        with pytest.raises(APITimeoutError, match="no connection through the proxy") as caught:
            await client.create_integration_token()
    assert caught.value.may_have_acted is False


@pytest.mark.virtual_time
async def test_the_connect_timeout_does_not_limit_a_response_through_the_proxy_of_a_callers_session() -> None:
    async def slow(peer: Conversation) -> None:
        await peer.request()
        await asyncio.sleep(0.4)
        peer.send(http(201, CREATED))

    async with raw_server(slow) as proxy, aiohttp.ClientSession(proxy=f"http://127.0.0.1:{proxy.port}") as session:
        client = AsyncClient(**settings("http://localhost/v4", session=session, connect_timeout=0.2))
        assert (await client.create_integration_token()).id == "token-made-by-the-server"


async def test_a_name_that_is_not_resolved_in_time_is_named_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr("aiohttp.resolver.DefaultResolver.resolve", never)
    async with AsyncClient(**settings("https://api.example/v4", connect_timeout=0.1)) as client:
        with pytest.raises(APITimeoutError, match="the name api.example was not resolved within the connect_timeout"):
            await client.list_services()


# The argument `proxy`.


async def test_the_proxy_argument_overrides_the_environment(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, secure_api: RawServer
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "*")
    async with raw_server(forward_proxy) as proxy:
        changes = {"ssl_context": client_side(authority), "proxy": f"http://user:password@127.0.0.1:{proxy.port}"}
        async with AsyncClient(**settings(secure_api.url, **changes)) as client:
            assert len(await client.list_services()) == 1
    (tunnel,) = proxy.requests
    assert "Proxy-Authorization: Basic dXNlcjpwYXNzd29yZA==" in tunnel


async def test_the_synchronous_client_takes_a_proxy_too() -> None:
    async with raw_server(listing) as api, raw_server(forward_proxy) as proxy:

        def call_through() -> list[Any]:
            with Client(**settings(api.url, proxy=f"127.0.0.1:{proxy.port}")) as client:
                return client.list_services()

        assert len(await asyncio.to_thread(call_through)) == 1
    assert len(proxy.requests) == len(api.requests) == 1


async def test_proxy_cannot_be_combined_with_a_session() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(ConfigurationError, match="proxy and max_connections belong to the session"):
            AsyncClient(**settings("https://api.example/v4", session=session, proxy="http://proxy"))


async def test_an_untrusted_certificate_behind_a_proxy_is_not_trusted_either(
    monkeypatch: pytest.MonkeyPatch, secure_api: RawServer
) -> None:
    async with raw_server(forward_proxy) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with AsyncClient(**settings(seen_by_proxy(secure_api), retry=RETRIES)) as client:
            with pytest.raises(APIConnectionError, match="is not trusted") as caught:
                await client.list_services()
    assert caught.value.attempts == 1
    assert secure_api.requests == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("socks5://127.0.0.1:1080", "of the kind socks5://"),
        ("http://", "names no host"),
        ("http://host:port", "is not a URL"),
        ("http://us%3Aer:secretpassword@host:1", "a user name with a colon"),
    ],
)
async def test_an_unusable_proxy_is_a_configuration_error_in_every_call(
    monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    async with AsyncClient(**settings("https://api.example/v4")) as client:
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=message) as caught:
                await client.list_services()
            assert "secretpassword" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "proxy"),
    [
        ("http://proxy.example:3128", Proxy("http://proxy.example:3128")),
        ("proxy.example:3128", Proxy("http://proxy.example:3128")),
        ("http://proxy.example:3128/", Proxy("http://proxy.example:3128")),
        ("https://proxy.example", Proxy("https://proxy.example")),
        ("http://[::1]:3128", Proxy("http://[::1]:3128")),
        ("http://a:b@proxy.example:1", Proxy("http://proxy.example:1", "a", "b")),
        ("http://a@proxy.example:1", Proxy("http://proxy.example:1", "a", "")),
        ("", None),
    ],
)
def test_the_proxy_of_the_environment_is_parsed(
    monkeypatch: pytest.MonkeyPatch, value: str, proxy: Proxy | None
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    assert find_proxy("https://api.example/v4") == proxy


def test_the_password_of_a_proxy_is_not_in_its_repr() -> None:
    assert "secret" not in repr(Proxy("http://proxy.example:1", "a", "secret"))


# ~/.netrc


@pytest.fixture
def netrc(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login someone password else\ndefault login anyone password at-all\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.usefixtures("netrc")
@pytest.mark.parametrize("credentials", [{}, {"api_token": None, "api_key": "key", "api_email": "a@example.com"}])
async def test_a_netrc_entry_neither_breaks_a_call_nor_replaces_its_credentials(credentials: dict[str, Any]) -> None:
    async with raw_server(listing) as api, AsyncClient(**settings(api.url, **credentials)) as client:
        assert len(await client.list_services()) == 1
    assert "basic" not in api.requests[0].lower()
    assert ("X-Auth-Key: key" if credentials else f"Authorization: Bearer {API_TOKEN}") in api.requests[0]


@pytest.mark.usefixtures("netrc")
async def test_a_callers_session_that_reads_netrc_is_a_configuration_error() -> None:
    async with raw_server(listing) as api, aiohttp.ClientSession(trust_env=True) as session:
        client = AsyncClient(**settings(api.url, session=session))
        with pytest.raises(ConfigurationError, match="credentials of its own"):
            await client.list_services()
    assert api.requests == []


async def test_the_error_for_a_closed_session_of_the_caller_says_so() -> None:
    async with aiohttp.ClientSession() as session:
        pass
    client = AsyncClient(**settings("https://api.example/v4", session=session))
    with pytest.raises(Exception, match="the aiohttp session that was passed to the client is closed"):
        await client.list_services()


def test_an_invalid_session_is_refused() -> None:
    with pytest.raises(TypeError, match="session must be"):
        AsyncClient(**settings("https://api.example/v4", session="session"))


def test_an_invalid_trace_config_is_refused() -> None:
    with pytest.raises(TypeError, match="trace_configs must be"):
        AsyncClient(**settings("https://api.example/v4", trace_configs=["trace"]))


async def test_closing_the_client_closes_its_connection(authority: trustme.CA) -> None:
    gone = asyncio.Event()

    async def script(peer: Conversation) -> None:
        await peer.request()
        peer.send(http(201, CREATED))
        await peer.wait_closed()
        gone.set()

    async with raw_server(script, tls=server_side(authority)) as server:
        async with AsyncClient(**settings(server.url, ssl_context=client_side(authority))) as client:
            await client.create_integration_token()
        await asyncio.wait_for(gone.wait(), 10)

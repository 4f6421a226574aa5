"""The proxy of the environment and of the argument: when it is used, how it is parsed, and which is invalid."""

import base64
from typing import Any

import pytest

from pagerduty_alerting import AsyncClient, Client, ConfigurationError
from pagerduty_alerting._http.proxy import Proxy, find_proxy
from tests.support.shown import shown

API = "https://api.cloudflare.com/client/v4"


@pytest.mark.parametrize(
    ("variables", "base_url", "url"),
    [
        ({}, API, None),
        ({"HTTPS_PROXY": ""}, API, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, API, "http://proxy:3128"),
        ({"https_proxy": "http://proxy:3128"}, API, "http://proxy:3128"),
        ({"HTTPS_PROXY": "https://proxy"}, API, "https://proxy"),
        ({"HTTPS_PROXY": "proxy:3128"}, API, "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://[2001:db8::1]:3128/path?query"}, API, "http://[2001:db8::1]:3128"),
        ({"HTTP_PROXY": "http://proxy:3128"}, API, None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "http://emulator:8787/client/v4", "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy", "NO_PROXY": "*"}, API, None),
        ({"HTTPS_PROXY": "http://proxy", "NO_PROXY": "localhost,.cloudflare.com"}, API, None),
        ({"HTTPS_PROXY": "http://proxy", "NO_PROXY": "localhost"}, API, "http://proxy"),
        ({"HTTPS_PROXY": "http://proxy", "NO_PROXY": "example.com, api.cloudflare.com"}, API, None),
        ({"HTTP_PROXY": "http://proxy"}, "http://127.0.0.1:8787/client/v4", None),
        ({"HTTP_PROXY": "http://proxy"}, "http://localhost/client/v4", None),
        ({"HTTPS_PROXY": "http://proxy"}, "https://[::1]:8787/client/v4", None),
        ({"HTTP_PROXY": "http://proxy"}, "http://10.0.0.1/client/v4", "http://proxy"),
        ({"HTTPS_PROXY": "http://proxy", "NO_PROXY": "2001:db8::1"}, "https://[2001:db8::1]/v4", None),
        ({"HTTPS_PROXY": "http://proxy", "NO_PROXY": "a,[2001:db8::1] "}, "https://[2001:db8::1]:8443/v4", None),
        ({"HTTPS_PROXY": "http://proxy", "NO_PROXY": "a,2001:db8::1,b"}, "https://[2001:db8::1]:8443/v4", None),
        ({"HTTPS_PROXY": "http://proxy", "no_proxy": "2001:DB8:0::1"}, "https://[2001:db8::1]/v4", None),
        ({"HTTPS_PROXY": "http://proxy", "NO_PROXY": "2001:db8::2"}, "https://[2001:db8::1]/v4", "http://proxy"),
    ],
    ids=str,
)
def test_the_proxy_for_the_scheme_of_the_base_url_is_used_unless_the_host_is_excluded(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], base_url: str, url: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find_proxy(base_url) == (None if url is None else Proxy(url))


def test_credentials_are_taken_out_of_the_url_and_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me%40example:p%3Ass@proxy:3128")
    proxy = find_proxy(API)
    assert proxy == Proxy("http://proxy:3128", "me@example", "p:ss")
    assert "p:ss" not in repr(proxy)
    assert "example" not in repr(proxy)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("http://[::1", "proxy is not a URL"),
        ("socks5://me:opensesame@proxy", "proxy is of the kind socks5://"),
        ("", "proxy names no host"),
        ("http://me:opensesame@", "proxy names no host"),
    ],
)
@pytest.mark.parametrize("make", [AsyncClient, Client])
def test_an_invalid_proxy_argument_is_refused_when_the_client_is_created(make: Any, value: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        make(api_token="t", proxy=value)
    assert "opensesame" not in str(caught.value)


def test_an_argument_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="proxy must be a str, not int"):
        AsyncClient(api_token="t", proxy=3128)  # type: ignore[arg-type]


def test_the_password_of_a_refused_argument_is_in_no_frame_of_the_package() -> None:
    with pytest.raises(ValueError, match="proxy is not a URL") as caught:
        AsyncClient(api_token="t", proxy="http://me:opensesame@proxy:port")
    assert "opensesame" not in shown(caught.value)


def test_a_user_may_have_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me@proxy")
    assert find_proxy(API) == Proxy("http://proxy", "me", "")


def test_credentials_are_sent_as_basic_authentication_in_utf_8() -> None:
    ((name, value),) = Proxy("http://proxy", "me", "p\u00e4ss").headers().items()
    assert name == "Proxy-Authorization"
    scheme, encoded = value.split(" ")
    assert (scheme, base64.b64decode(encoded).decode()) == ("Basic", "me:p\u00e4ss")
    assert Proxy("http://proxy").headers() == {}


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("http://[::1", "is not a URL"),
        ("http://opensesame:x@proxy:port", "is not a URL"),
        ("http://", "names no host"),
        ("http://:3128", "names no host"),
        ("http://me:opensesame@", "names no host"),
        ("socks5://me:opensesame@proxy", "is of the kind socks5://, but only http:// and https:// work"),
        ("http://a%3Ab:opensesame@proxy", "has a user name with a colon in it"),
    ],
)
def test_an_invalid_proxy_is_a_configuration_error_that_shows_no_password(
    monkeypatch: pytest.MonkeyPatch, value: str, problem: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(ConfigurationError) as caught:
        find_proxy(API)
    assert str(caught.value).startswith(f"the proxy for https:// in the environment (HTTPS_PROXY) {problem}")
    assert "opensesame" not in shown(caught.value)  # neither in the text nor in a frame of the traceback
    assert caught.value.__cause__ is None

"""The checks of arguments: which values each accepts and refuses, and that no error contains a secret."""

import math
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagerduty_alerting._arguments import (
    check_base_url,
    check_count,
    check_delay,
    check_flag,
    check_header_text,
    check_headers,
    check_identifier,
    check_seconds,
    check_secret,
    check_statuses,
    check_text,
)
from tests.support.strategies import CHARACTERS

NOT_TEXT: list[Any] = [None, 1, True, b"bytes", ["list"], {"a": 1}, object()]
TEXT_CHECKS = [check_text, check_header_text, check_secret, check_identifier]


@pytest.mark.parametrize("check", TEXT_CHECKS)
@pytest.mark.parametrize("value", NOT_TEXT, ids=lambda value: type(value).__name__)
def test_the_error_for_text_of_another_type_names_that_type(check: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^thing must be a str, not {type(value).__name__}$"):
        check("thing", value)


@pytest.mark.parametrize("check", TEXT_CHECKS)
def test_empty_text_is_refused(check: Any) -> None:
    with pytest.raises(ValueError, match="^thing must not be empty$"):
        check("thing", "")


@pytest.mark.parametrize("value", ["pagerduty-alerting/1.0", "a b", "~!@#$%^&*()"])
def test_printable_ascii_is_accepted_in_a_header(value: str) -> None:
    assert check_header_text("agent", value) == value


@pytest.mark.parametrize("value", [" a", "a ", "a\n", "\ta", "a\r\n"])
def test_the_error_for_white_space_around_a_header_mentions_a_newline(value: str) -> None:
    with pytest.raises(ValueError, match=r"must not begin or end with white space, such as a newline"):
        check_header_text("agent", value)


@pytest.mark.parametrize("value", ["a\nb", "a\r\nX-Evil: 1", "a\x00b", "caf\xe9", "a\tb", "a\x7fb", "\u202eabc"])
def test_a_header_must_be_printable_ascii(value: str) -> None:
    with pytest.raises(ValueError, match="must be printable ASCII"):
        check_header_text("agent", value)


def test_a_secret_must_not_contain_spaces() -> None:
    with pytest.raises(ValueError, match="^api_token must not contain spaces$"):
        check_secret("api_token", "Bearer abc")
    assert check_secret("api_token", "v1.0-abc_=/+~") == "v1.0-abc_=/+~"


@pytest.mark.parametrize("value", [7, "X: 1", [("X", "1")]])
def test_the_error_for_headers_of_another_type_names_that_type(value: object) -> None:
    with pytest.raises(TypeError, match=f"^headers must be a mapping of names to values, not {type(value).__name__}$"):
        check_headers("headers", value)


@pytest.mark.parametrize("value", [503, "503", b"503"], ids=repr)
def test_the_error_for_statuses_of_another_type_names_that_type(value: object) -> None:
    with pytest.raises(TypeError, match=f"^statuses must be a collection of .*, not {type(value).__name__}$"):
        check_statuses("statuses", value)


def error_of(check: Any, value: object) -> str:
    """Returns the error message of a check, or an empty string if it accepts the value."""
    try:
        check("thing", value)
    except ValueError as error:
        return str(error)
    return ""


@given(st.text(CHARACTERS, min_size=1), st.sampled_from(TEXT_CHECKS))
def test_no_error_contains_a_value_that_may_be_secret(value: str, check: Any) -> None:
    refusal = error_of(check, f"sesame-{value}-open")
    assert "sesame" not in refusal
    assert "open" not in refusal


@pytest.mark.parametrize(("value", "expected"), [(1, 1.0), (0.001, 0.001), (30.0, 30.0), (86400, 86400.0)])
def test_seconds_are_returned_as_a_float(value: float, expected: float) -> None:
    seconds = check_seconds("timeout", value)
    assert (seconds, type(seconds)) == (expected, float)


@pytest.mark.parametrize("value", [0, 0.0, -0.0, -1, -0.5, math.inf, -math.inf, math.nan, 10**400])
def test_seconds_must_be_finite_and_above_zero(value: float) -> None:
    with pytest.raises(ValueError, match="^timeout must be a finite number of seconds above zero, not "):
        check_seconds("timeout", value)


@pytest.mark.parametrize("value", [0, 0.0, 0.5, 8])
def test_a_delay_may_be_zero(value: float) -> None:
    assert check_delay("delay", value) == value


@pytest.mark.parametrize("value", [-1, -0.5, math.inf, math.nan, 10**400])
def test_a_delay_below_zero_or_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="^delay must be a finite number of seconds, zero or more, not "):
        check_delay("delay", value)


@pytest.mark.parametrize("check", [check_seconds, check_delay])
@pytest.mark.parametrize("value", [None, "5", True, False, 1j, [1]], ids=repr)
def test_a_number_of_seconds_of_another_type_is_refused(check: Any, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^timeout must be a number of seconds, not {type(value).__name__}$"):
        check("timeout", value)


def test_a_count_is_a_whole_number_of_at_least_one() -> None:
    assert check_count("attempts", 1) == 1
    assert check_count("attempts", 10**9) == 10**9


@pytest.mark.parametrize("value", [0, -1])
def test_a_count_below_one_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match=f"^attempts must be at least 1, not {value}$"):
        check_count("attempts", value)


@pytest.mark.parametrize("value", [True, 1.0, "1", None], ids=repr)
def test_a_count_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=f"^attempts must be an int, not {type(value).__name__}$"):
        check_count("attempts", value)


@pytest.mark.parametrize("value", [True, False])
def test_a_flag_is_a_bool(value: bool) -> None:
    assert check_flag("flag", value) is value


@pytest.mark.parametrize("value", [0, 1, None, "yes"], ids=repr)
def test_a_flag_must_not_be_another_truthy_value(value: Any) -> None:
    with pytest.raises(TypeError, match=f"^flag must be a bool, not {type(value).__name__}$"):
        check_flag("flag", value)


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("023e105f4ecef8ad9ca31a8372d0c353", "023e105f4ecef8ad9ca31a8372d0c353"),
        ("f174e90a-fafe-4643-bbbc-4a0ed4fc8415", "f174e90a-fafe-4643-bbbc-4a0ed4fc8415"),
        ("a/b", "a%2Fb"),
        ("../../user", "..%2F..%2Fuser"),
        ("%2e%2e", "%252e%252e"),
        ("a?b=c#d", "a%3Fb%3Dc%23d"),
        ("a\\b;c", "a%5Cb%3Bc"),
        ("...", "..."),
        ("k\xf6nig", "k%C3%B6nig"),
    ],
)
def test_an_identifier_becomes_one_percent_encoded_segment(value: str, segment: str) -> None:
    assert check_identifier("account_id", value) == segment


@pytest.mark.parametrize("value", [".", ".."])
def test_an_identifier_must_not_be_a_dot_segment(value: str) -> None:
    with pytest.raises(ValueError, match="^account_id must not be a dot segment$"):
        check_identifier("account_id", value)


@pytest.mark.parametrize("value", ["a b", "a\n", "\x00", "a\u2028b", "\ud800", "a\u200bb"], ids=ascii)
def test_an_identifier_must_not_contain_white_space_or_control_characters(value: str) -> None:
    with pytest.raises(ValueError, match="^account_id must not contain white space or control characters$"):
        check_identifier("account_id", value)


def test_an_identifier_has_at_most_256_characters() -> None:
    assert check_identifier("token", "a" * 256) == "a" * 256
    with pytest.raises(ValueError, match="^token must not be longer than 256 characters, not 257$"):
        check_identifier("token", "a" * 257)


@given(st.text(CHARACTERS, max_size=300))
def test_any_text_is_refused_or_becomes_one_segment_that_decodes_to_it(value: str) -> None:
    try:
        segment = check_identifier("token", value)
    except ValueError:
        return
    parts = urlsplit(f"https://host/before/{segment}/after")
    before, middle, after = parts.path.lstrip("/").split("/")
    assert (before, unquote(middle), after) == ("before", value, "after")
    assert middle not in {"", ".", ".."}
    assert (parts.netloc, parts.query, parts.fragment) == ("host", "", "")
    assert segment.isascii()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("https://api.cloudflare.com/client/v4", "https://api.cloudflare.com/client/v4"),
        ("https://api.cloudflare.com/client/v4/", "https://api.cloudflare.com/client/v4"),
        ("https://host///", "https://host"),
        ("https://host:8443/base", "https://host:8443/base"),
        ("http://localhost:8787/client/v4", "http://localhost:8787/client/v4"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("http://127.8.9.10", "http://127.8.9.10"),
        ("http://[::1]:1", "http://[::1]:1"),
        ("HTTPS://Host/Base", "https://Host/Base"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)
def test_a_base_url_is_returned_without_a_trailing_slash(value: str, expected: str) -> None:
    assert check_base_url("base_url", value, allow_insecure_http=False) == expected


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "must not be empty"),
        ("https://ho st", "must be printable ASCII without spaces"),
        ("https://host\n", "must be printable ASCII without spaces"),
        ("https://h\xf6st", "must be printable ASCII without spaces"),
        ("https://host:99999", "is not a URL with a valid host and port"),
        ("https://host:port", "is not a URL with a valid host and port"),
        ("https://[::1", "is not a URL with a valid host and port"),
        ("https://good.example\\evil.example", "is not a URL with a valid host and port"),
        ("https://good.example,evil.example", "is not a URL with a valid host and port"),
        ("https://<host>", "is not a URL with a valid host and port"),
        ("https://ho%73t", "is not a URL with a valid host and port"),
        ("https://api..example.com", "is not a URL with a valid host and port"),
        ("https://.example.com", "is not a URL with a valid host and port"),
        pytest.param(f"https://{'a' * 64}.example", "is not a URL with a valid host and port", id="a long part"),
        pytest.param(f"https://{'a.' * 128}", "is not a URL with a valid host and port", id="a long name"),
        ("api.cloudflare.com", "must be an absolute https:// URL"),
        ("//api.cloudflare.com", "must be an absolute https:// URL"),
        ("/client/v4", "must be an absolute https:// URL"),
        ("ftp://host", "must be an absolute https:// URL"),
        ("https:///path", "must be an absolute https:// URL"),
        ("https://user:pass@host", "must not contain credentials"),
        ("https://@host", "must not contain credentials"),
        ("https://host?x=1", "must have neither a query nor a fragment"),
        ("https://host/?", "must have neither a query nor a fragment"),
        ("https://host/#", "must have neither a query nor a fragment"),
        ("http://example.com", "is http:// to example.com, which would send the credentials unencrypted"),
        ("http://10.0.0.1", "is http:// to 10.0.0.1, which would send the credentials unencrypted"),
        ("http://localhost.example.com", "is http:// to localhost.example.com, which would send"),
        ("http://0.0.0.0", "is http:// to 0.0.0.0, which would send"),
    ],
)
def test_an_invalid_or_insecure_base_url_is_refused(value: str, problem: str) -> None:
    with pytest.raises(ValueError, match="^base_url ") as caught:
        check_base_url("base_url", value, allow_insecure_http=False)
    assert problem in str(caught.value)


def test_plain_http_to_another_machine_can_be_allowed() -> None:
    assert check_base_url("base_url", "http://emulator:8787/", allow_insecure_http=True) == "http://emulator:8787"


def test_a_base_url_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="^base_url must be a str, not bytes$"):
        check_base_url("base_url", b"https://host", allow_insecure_http=False)


def test_the_error_for_a_base_url_does_not_contain_its_password() -> None:
    with pytest.raises(ValueError, match="must not contain credentials") as caught:
        check_base_url("base_url", "https://user:opensesame@host", allow_insecure_http=False)
    assert "opensesame" not in str(caught.value)

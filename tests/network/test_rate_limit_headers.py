"""`Ratelimit` and `Ratelimit-Policy` are parsed as RFC 9651 says; what is invalid is left out and never an error."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pagerduty_alerting import RateLimit, RateLimitPolicy, RateLimits
from pagerduty_alerting._protocol.rate_limit import parse_rate_limits, parse_retry_after
from tests.support.strategies import CHARACTERS


@pytest.mark.parametrize(
    ("header", "limits"),
    [
        ('"default";r=50;t=30', [("default", 50, 30)]),
        ('"default";t=30;r=50', [("default", 50, 30)]),
        ('"default"; r=50;  t=30', [("default", 50, 30)]),
        ('  "default";r=50;t=30  ', [("default", 50, 30)]),
        ('"burst";r=9;t=1, "default";r=50;t=30', [("burst", 9, 1), ("default", 50, 30)]),
        ('"burst";r=9;t=1\t,\t"default";r=50;t=30', [("burst", 9, 1), ("default", 50, 30)]),
        ("default;r=50;t=30", [("default", 50, 30)]),
        ('"a b\\"c\\\\";r=1;t=2', [('a b"c\\', 1, 2)]),
        ('"";r=1;t=2', [("", 1, 2)]),
        ('"default";r=50', [("default", 50, None)]),
        ('"default";r=50;t=1.5', [("default", 50, 1.5)]),
        ('"default";r=0;t=0', [("default", 0, 0)]),
        ('"default";r=999999999999999;t=1', [("default", 999999999999999, 1)]),
        ('"default";r=1;r=2;t=3', [("default", 2, 3)]),
        # Unknown parameters of every type.
        (
            '"d";pk=:cGFydGl0aW9u:;x;b=?1;y=?0;s="a;r=7,b";k=tok/en:*;d=@1659578233;n=-1.5;z=%"f%c3%bc";*.-_9=1;r=5;t=6',
            [("d", 5, 6)],
        ),
        # An item without a count is left out, the others are kept.
        ('"x";t=3, "default";r=50;t=30', [("default", 50, 30)]),
        ('"x";r=-1;t=3, "default";r=50;t=30', [("default", 50, 30)]),
        ('"x";r="5";t=3, "default";r=50;t=30', [("default", 50, 30)]),
        ('"x";r;t=3', []),
        # Not a list of strings with parameters.
        ("", []),
        (" ", []),
        (",", []),
        ('"default";r=50;t=30,', []),
        (',"default";r=50;t=30', []),
        ('"default";r=50;t=30 "x";r=1', []),
        ('"default";r=50;t=30;', []),
        ('"default" ;r=50', []),
        ('"default;r=50;t=30', []),
        ('"dé";r=50;t=30', []),
        ('"d\x00";r=50;t=30', []),
        ('"default";R=50;T=30', []),
        ('"default";r=5e1;t=30', []),
        ('"default";r=1234567890123456;t=30', []),
        ('"default";r=٣;t=30', []),
        ("limit=100, remaining=50, reset=30", []),
        ("50", []),
        ('("a" "b");r=5;t=6', []),
        ('{"r": 50}', []),
        ("NaN", []),
        ('"default";r=50;t=30' + ", " * 4000, []),
        ('"x";r=1;t=1, ' * 200 + '"x";r=1;t=1', []),
    ],
)
def test_remaining_quotas_are_parsed(header: str, limits: list[tuple[str, int, float | None]]) -> None:
    assert parse_rate_limits({"Ratelimit": header}) == RateLimits(tuple(RateLimit(*limit) for limit in limits))


@pytest.mark.parametrize(
    ("header", "policies"),
    [
        ('"burst";q=100;w=60', [("burst", 100, 60)]),
        ('"burst";q=100;w=60,"default";q=1200;w=300', [("burst", 100, 60), ("default", 1200, 300)]),
        ('"burst";q=100', [("burst", 100, None)]),
        ('"burst";w=60', []),
        ('"burst";q=100;w=60;qu="requests";pk=:c2Rm:', [("burst", 100, 60)]),
        ('"burst";q=100;w=', []),
    ],
)
def test_policies_are_parsed(header: str, policies: list[tuple[str, int, float | None]]) -> None:
    expected = RateLimits((), tuple(RateLimitPolicy(*policy) for policy in policies))
    assert parse_rate_limits({"Ratelimit-Policy": header}) == expected


# Texts made of these pieces cover more of the grammar than arbitrary ones.
_pieces = st.sampled_from(
    ['"', "default", '"default"', ";", "r=", "t=", "q=", "w=", "50", "0", "-", ".", ",", " ", "\t", "=", "\\", "?1",
     ":", "@", "%", "(", ")", "*", "٣", "\x00", "\udcff", "é", "9" * 20, ";r=5", ";t=1"]
)  # fmt: skip
headers = st.text(CHARACTERS) | st.lists(_pieces, max_size=40).map("".join)


@given(headers)
@example('"' * 5000)
@example(";r=1" * 2000)
@example('"a"' + ";a" * 1000)
@example("\\" * 3000)
def test_no_header_raises(header: str) -> None:
    found = parse_rate_limits({"Ratelimit": header, "Ratelimit-Policy": header})
    for limit in found.limits:
        assert limit.remaining >= 0
        assert limit.reset_after is None or limit.reset_after >= 0
    for policy in found.policies:
        assert policy.quota >= 0
        assert policy.window is None or policy.window >= 0


names = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
counts = st.integers(0, 10**15 - 1)
optional_whitespace = st.sampled_from(["", " ", "\t", "  "])
unknown = st.sampled_from(["", ";x", ";y=1.25", ';z="a;r=1"', ";p=:aGk=:", ";b=?0", ";d=@0", ";u=tok*en"])


@given(st.lists(st.tuples(names, counts, counts, unknown, optional_whitespace), min_size=1, max_size=8))
def test_a_header_written_as_the_rfc_says_is_parsed_back(items: list[tuple[str, int, int, str, str]]) -> None:
    def spelled(name: str) -> str:
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    header = ",".join(f"{ws}{spelled(name)}{more};r={r};t={t}{ws}" for name, r, t, more, ws in items)
    assert parse_rate_limits({"Ratelimit": header}).limits == tuple(
        RateLimit(n, r, float(t)) for n, r, t, _, _ in items
    )


_dates = st.sampled_from(
    ["Fri", ",", " ", "31", "Dec", "9999", "23:59:59", "GMT", "-0000", "+9999", "0", "1" * 30, "PDT"]
)


@given(st.text(CHARACTERS) | st.lists(_dates, max_size=12).map("".join))
@example("Sun, 06 Nov 1994 08:49:37 +99999999999999")
@example("1 Jan 0000 00:00:00 GMT")
@example("Mon, 99 Foo 10000 25:61:61 GMT")
@example("," * 9000)
def test_no_retry_after_raises(value: str) -> None:
    seconds = parse_retry_after(value, 1_700_000_000.0)
    assert seconds is None or 0 <= seconds <= 31_536_000


@pytest.mark.parametrize(
    "spelled",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "  784111777  "],
)
def test_all_three_date_formats_are_parsed_in_any_time_zone(monkeypatch: pytest.MonkeyPatch, spelled: str) -> None:
    import time

    monkeypatch.setenv("TZ", "America/Los_Angeles")
    time.tzset()
    try:
        seconds = parse_retry_after(spelled, 784111777.0 - 25)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert seconds == (25 if spelled.strip()[0] == "S" else 31_536_000)

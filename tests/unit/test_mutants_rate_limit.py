"""What mutation testing showed the other tests to miss in the rules of rate limits, mostly at their edges."""

import pytest

from pagerduty_alerting._http import RawResponse
from pagerduty_alerting._rate_limit import (
    Quota,
    hold_back,
    observe,
    parse_rate_limits,
    parse_retry_after,
    roll,
    spacing,
)
from tests.support.requests_and_answers import answer


def said(name: str, remaining: int, reset_after: int) -> RawResponse:
    """An answer that tells of one quota."""
    return answer(200, headers={"Ratelimit": f'"{name}";r={remaining};t={reset_after}'})


def test_of_several_retry_afters_the_longest_counts() -> None:
    assert parse_retry_after("5, 9, 7", now=0.0) == 9.0


def test_a_retry_after_in_the_past_asks_for_no_wait() -> None:
    assert parse_retry_after("Thu, 01 Jan 1970 00:00:01 GMT", now=1000.0) == 0.0


@pytest.mark.parametrize(("header", "names"), [("X;r=5;t=30", ["X"]), ('\x0b"default";r=5;t=30', [])])
def test_around_a_header_only_white_space_of_http_is_ignored(header: str, names: list[str]) -> None:
    assert [limit.name for limit in parse_rate_limits({"Ratelimit": header}).limits] == names


@pytest.mark.parametrize(("length", "count"), [(2048, 1), (2049, 0)])
def test_a_header_is_read_up_to_its_longest_length(length: int, count: int) -> None:
    header = '"' + "d" * (length - len('"";r=5;t=3.5')) + '";r=5;t=3.5'

    assert len(parse_rate_limits({"Ratelimit": header}).limits) == count


@pytest.mark.parametrize("now", [100.0, 101.0])
def test_within_a_window_the_lowest_count_is_believed_and_the_reset_stays(now: float) -> None:
    known = {"default": Quota(5, 131.0, 50, 60.0)}

    assert observe(known, said("default", 9, 30), now) == known


def test_an_answer_of_a_later_window_replaces_what_was_known() -> None:
    known = {"default": Quota(5, 131.0, 50, 60.0)}

    assert observe(known, said("default", 9, 30), 101.5) == {"default": Quota(9, 132.5)}


def test_with_its_end_a_window_is_over() -> None:
    known = {"default": Quota(5, 100.0, 50, 60.0)}

    assert observe(known, said("default", 9, 0), 100.0) == {"default": Quota(9, 101.0)}
    assert roll(known, 100.0) == {"default": Quota(50, 161.0, 50, 60.0)}


def test_a_window_of_unknown_length_is_forgotten_when_it_is_over() -> None:
    assert roll({"default": Quota(0, 100.0, 50, None)}, 100.0) == {}
    assert roll({"default": Quota(0, 100.0, None, 60.0)}, 100.0) == {}


def test_the_ninth_quota_takes_the_place_of_the_oldest() -> None:
    known = {str(number): Quota(1, 100.0) for number in range(8)}

    newest = observe(known, said("new", 1, 30), 50.0)

    assert list(newest) == ["1", "2", "3", "4", "5", "6", "7", "new"]


def test_the_longest_of_the_used_up_quotas_holds_back() -> None:
    known = {"a": Quota(0, 105.0), "b": Quota(0, 109.0), "c": Quota(0, 107.0), "d": Quota(1, 500.0)}

    assert hold_back(known, 0, 100.0) == 9.0


@pytest.mark.parametrize(
    ("quota", "under_way", "seconds"),
    [
        (Quota(50, 200.0, 100, 300.0), 0, 0.01),  # half of it is left
        (Quota(49, 149.0, 100, 300.0), 0, 1.0),
        (Quota(50, 149.0, 100, 300.0), 1, 1.0),  # one is on its way to be spent
        (Quota(1, 130.0, 100, 300.0), 0, 30.0),
        (Quota(0, 130.0, 100, 300.0), 0, 30.0),
        (Quota(0, 130.0, 100, 300.0), 5, 30.0),
        (Quota(1000, 110.0), 0, 0.01),
        (Quota(10, 110.0), 0, 1.0),  # of how many nobody said
    ],
)
def test_requests_are_spaced_so_that_the_rest_of_a_quota_lasts(quota: Quota, under_way: int, seconds: float) -> None:
    assert spacing({"default": quota}, under_way, 100.0) == seconds


def test_the_quota_that_needs_the_widest_spacing_decides() -> None:
    known = {"a": Quota(10, 110.0), "b": Quota(10, 150.0), "c": Quota(10, 120.0)}

    assert spacing(known, 0, 100.0) == 5.0
    assert spacing({}, 0, 100.0) == 0.01

"""The rules of rate limits, at their boundaries: how headers are read, and what a quota allows."""

import pytest

from pagerduty_alerting._protocol.answer import RawResponse
from pagerduty_alerting._protocol.rate_limit import (
    Quota,
    block,
    has_room,
    hold_back,
    observe,
    parse_rate_limits,
    parse_retry_after,
    roll,
    seconds_for,
    spacing,
    spend,
)
from tests.support.requests_and_answers import answer


def reporting(name: str, remaining: int, reset_after: int) -> RawResponse:
    """Returns a response that reports one quota."""
    return answer(200, headers={"Ratelimit": f'"{name}";r={remaining};t={reset_after}'})


def test_the_longest_of_several_retry_after_values_counts() -> None:
    assert parse_retry_after("5, 9, 7", now=0.0) == 9.0


def test_a_retry_after_in_the_past_means_no_wait() -> None:
    assert parse_retry_after("Thu, 01 Jan 1970 00:00:01 GMT", now=1000.0) == 0.0


@pytest.mark.parametrize(("header", "names"), [("X;r=5;t=30", ["X"]), ('\x0b"default";r=5;t=30', [])])
def test_only_http_white_space_around_a_header_is_ignored(header: str, names: list[str]) -> None:
    assert [limit.name for limit in parse_rate_limits({"Ratelimit": header}).limits] == names


@pytest.mark.parametrize(("length", "count"), [(2048, 1), (2049, 0)])
def test_a_header_is_read_up_to_its_maximum_length(length: int, count: int) -> None:
    header = '"' + "d" * (length - len('"";r=5;t=3.5')) + '";r=5;t=3.5'

    assert len(parse_rate_limits({"Ratelimit": header}).limits) == count


@pytest.mark.parametrize("now", [100.0, 101.0])
def test_within_a_window_the_lowest_count_and_the_first_reset_are_kept(now: float) -> None:
    known = {"default": Quota(5, 131.0, 50, 60.0)}

    assert observe(known, reporting("default", 9, 30), now) == known


def test_within_a_window_a_lower_count_replaces_a_higher_one() -> None:
    known = {"default": Quota(5, 131.0, 50, 60.0)}

    assert observe(known, reporting("default", 4, 30), 100.0) == {"default": Quota(4, 131.0, 50, 60.0)}


def test_a_header_holds_requests_back_for_an_hour_at_most() -> None:
    assert observe({}, reporting("default", 0, 86_400), 100.0) == {"default": Quota(0, 3701.0)}


def test_a_response_of_a_later_window_replaces_the_quota() -> None:
    known = {"default": Quota(5, 131.0, 50, 60.0)}

    assert observe(known, reporting("default", 9, 30), 101.5) == {"default": Quota(9, 132.5)}


def test_the_policy_of_the_same_name_gives_length_and_size_of_a_window() -> None:
    headers = {"Ratelimit": '"b";r=9;t=30', "Ratelimit-Policy": '"a";q=1;w=1, "b";q=50;w=60, "c";q=2;w=2'}

    assert observe({}, answer(200, headers=headers), 100.0) == {"b": Quota(9, 131.0, 50, 60.0)}


def test_without_a_policy_of_the_same_name_the_length_of_a_window_is_unknown() -> None:
    headers = {"Ratelimit": '"b";r=9;t=30', "Ratelimit-Policy": '"a";q=1;w=1'}

    assert observe({}, answer(200, headers=headers), 100.0) == {"b": Quota(9, 131.0)}


def test_a_response_without_a_header_counts_against_every_quota() -> None:
    known = {"a": Quota(5, 131.0, 50, 60.0), "b": Quota(1, 140.0), "c": Quota(0, 150.0)}
    left = {"a": Quota(4, 131.0, 50, 60.0), "b": Quota(0, 140.0), "c": Quota(0, 150.0)}

    assert observe(known, answer(200), 100.0) == spend(known) == left


def test_the_first_eight_quotas_of_a_header_are_read() -> None:
    header = ", ".join(f'"{number}";r={number};t=30' for number in range(9))

    assert list(observe({}, answer(200, headers={"Ratelimit": header}), 0.0)) == list("01234567")


@pytest.mark.parametrize(("retry_after", "seconds"), [(30.0, 30.0), (3600.0, 3600.0), (86400.0, 3600.0)])
def test_a_block_lasts_as_long_as_retry_after_and_an_hour_at_most(retry_after: float, seconds: float) -> None:
    known = block({"a": Quota(5, 105.0)}, retry_after, 100.0)

    assert known["a"] == Quota(5, 105.0)
    assert hold_back(known, 0, 100.0) == seconds
    assert roll(known, 100.0 + seconds) == {}


@pytest.mark.parametrize(("under_way", "has"), [(0, True), (1, True), (2, False), (3, False)])
def test_there_is_room_while_every_quota_has_more_left_than_is_under_way(under_way: int, has: bool) -> None:
    assert has_room({"a": Quota(9, 105.0), "b": Quota(2, 105.0)}, under_way) is has
    assert has_room({"b": Quota(2, 105.0), "a": Quota(9, 105.0)}, under_way) is has
    assert has_room({}, under_way)


def test_a_hold_may_be_shorter_than_a_second() -> None:
    assert hold_back({"a": Quota(0, 100.25)}, 0, 100.0) == 0.25


def test_a_window_ends_at_its_reset() -> None:
    known = {"default": Quota(5, 100.0, 50, 60.0)}

    assert observe(known, reporting("default", 9, 0), 100.0) == {"default": Quota(9, 101.0)}
    assert roll(known, 100.0) == {"default": Quota(50, 161.0, 50, 60.0)}


def test_a_window_of_unknown_length_is_removed_at_its_end() -> None:
    assert roll({"default": Quota(0, 100.0, 50, None)}, 100.0) == {}
    assert roll({"default": Quota(0, 100.0, None, 60.0)}, 100.0) == {}


def test_the_ninth_quota_replaces_the_oldest() -> None:
    known = {str(number): Quota(1, 100.0) for number in range(8)}

    newest = observe(known, reporting("new", 1, 30), 50.0)

    assert list(newest) == ["1", "2", "3", "4", "5", "6", "7", "new"]


def test_the_used_up_quota_with_the_latest_reset_decides() -> None:
    known = {"a": Quota(0, 105.0), "b": Quota(0, 109.0), "c": Quota(0, 107.0), "d": Quota(1, 500.0)}

    assert hold_back(known, 0, 100.0) == 9.0


@pytest.mark.parametrize(
    ("quota", "under_way", "seconds"),
    [
        (Quota(50, 200.0, 100, 300.0), 0, 0.01),  # half of the quota is left
        (Quota(49, 149.0, 100, 300.0), 0, 1.0),
        (Quota(50, 149.0, 100, 300.0), 1, 1.0),  # one request is under way
        (Quota(1, 130.0, 100, 300.0), 0, 30.0),
        (Quota(0, 130.0, 100, 300.0), 0, 30.0),
        (Quota(0, 130.0, 100, 300.0), 5, 30.0),
        (Quota(1000, 110.0), 0, 0.01),
        (Quota(10, 110.0), 0, 1.0),  # the size of the quota is unknown
    ],
)
def test_requests_are_spaced_so_that_the_quota_lasts_until_the_reset(
    quota: Quota, under_way: int, seconds: float
) -> None:
    assert spacing({"default": quota}, under_way, 100.0) == seconds


def test_the_quota_that_needs_the_widest_spacing_decides() -> None:
    known = {"a": Quota(10, 110.0), "b": Quota(10, 150.0), "c": Quota(10, 120.0)}

    assert spacing(known, 0, 100.0) == 5.0
    assert spacing({}, 0, 100.0) == 0.01


@pytest.mark.parametrize(
    ("quota", "requests", "seconds"),
    [
        # 100 seconds remain to the reset. Of 1,200 requests in 300 seconds, the second half is spaced.
        (Quota(1200, 200.0, 1200, 300.0), 601, 0.0),
        (Quota(1200, 200.0, 1200, 300.0), 1200, 100.0),
        (Quota(899, 200.0, 1200, 300.0), 300 + 299, 100.0 * 299 / 599),
        (Quota(0, 200.0, 1200, 300.0), 1, 100.0),
        (Quota(0, 200.0, 1200, 300.0), 1200, 100.0 + 300.0),
        (Quota(10, 200.0, 1200, 300.0), 10 + 1200 + 601, 100.0 + 300.0),
        (Quota(10, 200.0, 1200, 300.0), 10 + 1200 + 1200, 100.0 + 300.0 + 300.0),
        # Without a policy nothing is known beyond the reset.
        (Quota(10, 200.0), 5, 50.0),
        (Quota(10, 200.0), 1000, 100.0),
        (Quota(0, 200.0), 1000, 100.0),
    ],
)
def test_the_time_for_many_requests_is_the_sum_of_their_spacings(quota: Quota, requests: int, seconds: float) -> None:
    assert seconds_for({"default": quota}, requests, now=100.0) == pytest.approx(seconds)


def test_the_slowest_quota_decides_and_without_a_quota_there_is_no_wait() -> None:
    assert seconds_for({"a": Quota(0, 110.0), "b": Quota(0, 130.0)}, 1, now=100.0) == 30.0
    assert seconds_for({}, 1000, now=100.0) == 0.0


@pytest.mark.parametrize(("count", "kept"), [(8, range(8)), (9, range(8))])
def test_at_most_eight_quotas_of_one_response_are_kept(count: int, kept: range) -> None:
    header = ", ".join(f'"{number}";r=5;t=30' for number in range(count))
    assert list(observe({}, answer(200, headers={"Ratelimit": header}), 100.0)) == [str(number) for number in kept]


@pytest.mark.parametrize(("earlier", "kept"), [(7, 7), (8, 7)])
def test_the_last_eight_quotas_of_many_responses_are_kept(earlier: int, kept: int) -> None:
    known = {f"earlier {number}": Quota(5, 131.0) for number in range(earlier)}
    names = list(observe(known, reporting("new", 5, 30), 100.0))
    assert names == [*list(known)[-kept:], "new"]

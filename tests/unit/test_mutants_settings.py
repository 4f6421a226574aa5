"""What mutation testing showed the other tests to miss in the settings and the checks of arguments."""

import pytest

from pagerduty_alerting import ConfigurationError, RetryPolicy
from pagerduty_alerting._arguments import check_base_url
from pagerduty_alerting._protocol.retry import next_delay
from pagerduty_alerting.config import ApiKey, ApiToken, Settings, resolve_base_url, resolve_credentials
from pagerduty_alerting.errors import InternalServerError


@pytest.mark.parametrize("credentials", [ApiToken("s3cret"), ApiKey("s3cret", "ops@example.com")])
def test_a_repr_says_that_a_secret_is_hidden(credentials: ApiToken | ApiKey) -> None:
    assert "value=<hidden>" in repr(credentials)


def test_the_headers_of_a_request_are_these_and_no_others() -> None:
    assert Settings(credentials=ApiToken("t"), user_agent="mine").headers() == {
        "Authorization": "Bearer t",
        "Accept": "application/json",
        "Accept-Encoding": "gzip, deflate",
        "User-Agent": "mine",
    }


def test_a_lack_of_credentials_names_all_ways_to_give_them() -> None:
    with pytest.raises(ConfigurationError) as failure:
        resolve_credentials({}, api_token=None, api_key=None, api_email=None)

    assert str(failure.value) == (
        "no credentials: pass api_token=…, or set CLOUDFLARE_API_TOKEN (or CLOUDFLARE_API_KEY with CLOUDFLARE_EMAIL)"
    )


def test_an_impossible_base_url_is_called_by_the_name_of_its_argument() -> None:
    with pytest.raises(ValueError, match=r"^base_url "):
        resolve_base_url({}, "ftp://example.com", allow_insecure_http=False)


def test_http_to_another_machine_is_refused_with_the_way_to_allow_it() -> None:
    with pytest.raises(ValueError, match=r" use https://, or set allow_insecure_http=True$"):
        check_base_url("base_url", "http://example.com", allow_insecure_http=False)


def test_of_a_base_url_nothing_but_slashes_is_cut_off() -> None:
    assert check_base_url("base_url", "https://example.com/X//", allow_insecure_http=False) == "https://example.com/X"


def test_something_that_is_no_retry_policy_is_called_by_its_type() -> None:
    with pytest.raises(TypeError, match=r"^retry must be a RetryPolicy, not int$"):
        Settings(credentials=ApiToken("t"), retry=3)  # type: ignore[arg-type]


def test_an_impossible_setting_is_called_by_its_name_and_value() -> None:
    with pytest.raises(ValueError, match=r"^timeout .*-5"):
        Settings(credentials=ApiToken("t"), timeout=-5)


@pytest.mark.parametrize("attempt", [61, 62, 100_000])
def test_the_wait_stops_doubling_before_it_overflows(attempt: int) -> None:
    policy = RetryPolicy(max_attempts=200_000, initial_delay=2.0**-60, max_delay=1000)
    error = InternalServerError("", method="GET", path="/", status=503)

    delay = next_delay(policy, error, replay_safe=True, attempt=attempt, time_left=1000, jitter=1.0)

    assert delay == 1.0

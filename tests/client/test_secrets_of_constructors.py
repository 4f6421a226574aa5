"""A constructor that refuses its arguments shows no secret to error trackers, which print local variables."""

from typing import Any

import pytest

from pagerduty_alerting import AsyncClient, Client, PagerDutyAlertingError
from tests.support.shown import shown

SECRET = "s3cret-0123456789abcdef"

REFUSED: list[dict[str, Any]] = [
    {"api_token": f"{SECRET}\n"},
    {"api_token": SECRET, "api_email": "someone@example.org"},
    {"api_key": SECRET},
    {"api_token": SECRET, "base_url": "ftp://example.org"},
    {"api_token": SECRET, "timeout": -1},
    {"api_token": "t", "headers": {"CF-Access-Client-Secret": f"{SECRET}\n"}},
    {"api_token": "t", "proxy": f"http://user:{SECRET}@[proxy"},
    {"api_token": "t", "proxy": f"socks5://user:{SECRET}@proxy"},
]


@pytest.mark.parametrize("client", [AsyncClient, Client])
@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_a_refused_secret_is_in_no_frame_of_this_package(client: Any, number: int) -> None:
    with pytest.raises((PagerDutyAlertingError, TypeError, ValueError)) as caught:
        client(**REFUSED[number])
    assert SECRET not in shown(caught.value)


def test_the_exception_that_the_caller_was_handling_stays_the_context() -> None:
    def handling_a_key_error() -> None:
        try:
            raise KeyError("the caller's")
        except KeyError:
            AsyncClient(api_token="line\n")

    with pytest.raises(ValueError, match="api_token") as caught:
        handling_a_key_error()
    assert isinstance(caught.value.__context__, KeyError)
    assert caught.value.__context__.__traceback__ is not None

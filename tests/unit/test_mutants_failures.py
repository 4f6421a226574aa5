"""What mutation testing showed the other tests to miss in the messages of failures."""

import pytest

from pagerduty_alerting._protocol.endpoints import LIST_SERVICES, build_request
from pagerduty_alerting._protocol.failures import status_error
from tests.support.requests_and_answers import answer


@pytest.mark.parametrize(("length", "named"), [(253, True), (254, False)])
def test_the_host_of_a_redirect_is_named_up_to_the_longest_that_dns_allows(length: int, *, named: bool) -> None:
    host = ("a" * 62 + ".") * 4 + "b" * (length - 252)
    request = build_request(LIST_SERVICES, "https://api.example.com", "acc")

    error = status_error(request, answer(302, headers={"Location": f"https://{host}/x"}))

    assert (host in str(error)) is named

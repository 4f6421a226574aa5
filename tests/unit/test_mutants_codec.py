"""What mutation testing showed the other tests to miss in the reading of answers."""

import json

import pytest

from pagerduty_alerting import APIResponseValidationError
from pagerduty_alerting._protocol.codec import decode
from pagerduty_alerting._protocol.endpoints import LIST_SERVICES, build_request
from tests.support.requests_and_answers import answer


def problems_of(result: object) -> tuple[str, ...]:
    """What is wrong with a list of services."""
    request = build_request(LIST_SERVICES, "https://api.example.com", "acc")
    body = json.dumps({"success": True, "errors": [], "messages": [], "result": result}).encode()
    try:
        outcome = decode(request, answer(200, body))
    except APIResponseValidationError as error:
        return error.problems
    return outcome.problems if isinstance(outcome, APIResponseValidationError) else ()


@pytest.mark.parametrize("index", [0, 6, 19])
def test_a_broken_item_is_named_wherever_it_stands_in_a_list(index: int) -> None:
    services: list[dict[str, object]] = [{"id": "s", "name": "one"} for _ in range(20)]
    services[index] = {"id": "s", "name": 5}

    assert problems_of(services) == (f"expected a string, not number @ $.result[{index}].name",)


def test_of_many_broken_items_the_first_five_are_named() -> None:
    services = [{"id": "s", "name": "one"}] * 3 + [{"id": "s", "name": None}] * 20

    assert problems_of(services) == tuple(
        f"expected a string, not null @ $.result[{index}].name" for index in range(3, 8)
    )

"""Decoding of responses, by property: any bytes give a valid envelope or an error of the package."""

import json
from typing import Any

import orjson
from attrs import asdict, astuple
from hypothesis import given
from hypothesis import strategies as st

from pagerduty_alerting import (
    APIResponseValidationError,
    APIStatusError,
    ConnectedDestination,
    Envelope,
    IntegrationToken,
    ResponseInfo,
    ResultInfo,
    Service,
)
from pagerduty_alerting._protocol.codec import decode
from pagerduty_alerting._protocol.endpoints import (
    CONNECT,
    CREATE_INTEGRATION_TOKEN,
    DELETE_SERVICES,
    LIST_SERVICES,
    Endpoint,
)
from tests.support.operations import OPERATIONS
from tests.support.requests_and_answers import ENDPOINTS, answer, request_for
from tests.support.strategies import CHARACTERS

text = st.text(CHARACTERS, max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | text
documents = st.recursive(
    scalars,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(text, children, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(["success", "result", "errors", "messages", "result_info", "id", "name", "code", "message"])
shaped = st.recursive(
    scalars,
    lambda children: st.lists(children, max_size=3) | st.dictionaries(names, children, max_size=5),
    max_leaves=12,
)
endpoints = st.sampled_from(ENDPOINTS)
statuses = st.sampled_from([200, 201, 204, 299]) | st.integers(100, 999)


Outcome = Envelope[Any] | APIStatusError | APIResponseValidationError


def outcome_of(endpoint: Endpoint[Any], status: int, body: bytes) -> Outcome:
    try:
        return decode(request_for(endpoint), answer(status, body))
    except (APIStatusError, APIResponseValidationError) as error:
        return error


def check(endpoint: Endpoint[Any], status: int, body: bytes) -> None:
    """Decodes a response, and fails unless that gives a valid envelope or an error of the package."""
    match outcome_of(endpoint, status, body):
        case APIStatusError() as error:
            assert error.status == status
            assert_infos(error.errors + error.messages)
            assert str(error)
        case APIResponseValidationError() as error:
            assert 200 <= status <= 299
            assert error.problems
            assert str(error)
        case envelope:
            assert 200 <= status <= 299
            assert_envelope(endpoint, envelope)


def assert_envelope(endpoint: Endpoint[Any], envelope: Envelope[Any]) -> None:
    assert type(envelope) is Envelope
    assert envelope.success is True
    assert type(envelope.errors) is tuple
    assert type(envelope.messages) is tuple
    assert_infos(envelope.errors + envelope.messages)
    info = envelope.result_info
    assert info is None or all(number is None or type(number) is int for number in astuple(info))
    result = envelope.result
    if endpoint is LIST_SERVICES:
        assert type(result) is list
        assert all(type(item) is Service and type(item.id) is type(item.name) is str for item in result)
    elif endpoint is DELETE_SERVICES:
        assert result is None
    else:
        assert type(result) is (IntegrationToken if endpoint is CREATE_INTEGRATION_TOKEN else ConnectedDestination)
        assert type(result.id) is str


def assert_infos(infos: tuple[ResponseInfo, ...]) -> None:
    assert all(type(info.message) is str and (info.code is None or type(info.code) is int) for info in infos)


@given(endpoints, statuses, st.binary(max_size=200))
def test_any_bytes_give_an_envelope_or_an_error_of_the_package(
    endpoint: Endpoint[Any], status: int, body: bytes
) -> None:
    check(endpoint, status, body)


@given(endpoints, statuses, documents | shaped)
def test_any_json_gives_an_envelope_or_an_error_of_the_package(
    endpoint: Endpoint[Any], status: int, document: Any
) -> None:
    # The standard library encodes values that orjson refuses, such as numbers beyond 64 bits.
    check(endpoint, status, json.dumps(document).encode())


@given(endpoints, st.dictionaries(names, shaped, max_size=5))
def test_any_object_with_success_true_gives_an_envelope_or_an_error_of_the_package(
    endpoint: Endpoint[Any], fields: dict[str, Any]
) -> None:
    check(endpoint, 200, json.dumps({**fields, "success": True}).encode())


@given(st.data())
def test_a_valid_response_with_one_value_replaced_gives_an_envelope_or_an_error_of_the_package(
    data: st.DataObject,
) -> None:
    number = data.draw(st.integers(0, 3))
    mutated = replace_one(orjson.loads(orjson.dumps(OPERATIONS[number].answer)), data)
    check(ENDPOINTS[number], data.draw(statuses), json.dumps(mutated).encode())


def replace_one(value: Any, data: st.DataObject) -> Any:
    """Replaces or removes a value at a random place of a document."""
    if isinstance(value, dict | list) and value and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        if data.draw(st.integers(0, 4)) == 0:
            del value[key]
        else:
            value[key] = replace_one(value[key], data)
        return value
    return data.draw(shaped)


@given(st.data())
def test_a_valid_response_with_damaged_bytes_gives_an_envelope_or_an_error_of_the_package(data: st.DataObject) -> None:
    number = data.draw(st.integers(0, 3))
    body = bytearray(orjson.dumps(OPERATIONS[number].answer))
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 8)))
    body[start:end] = data.draw(st.binary(max_size=8))
    check(ENDPOINTS[number], 200, bytes(body))


infos = st.builds(ResponseInfo, text, st.none() | st.integers(1000, 99999))
result_infos = st.builds(ResultInfo, *[st.none() | st.integers(0, 2**31)] * 4)
results = st.one_of(
    st.tuples(st.just(LIST_SERVICES), st.lists(st.builds(Service, text, text), max_size=5)),
    st.tuples(st.just(DELETE_SERVICES), st.none()),
    st.tuples(st.just(CREATE_INTEGRATION_TOKEN), st.builds(IntegrationToken, text.filter(bool))),
    st.tuples(st.just(CONNECT), st.builds(ConnectedDestination, text)),
)


@given(results, st.lists(infos, max_size=3), st.lists(infos, max_size=3), st.none() | result_infos)
def test_an_encoded_envelope_is_decoded_to_an_equal_one(
    pair: tuple[Endpoint[Any], Any],
    errors: list[ResponseInfo],
    messages: list[ResponseInfo],
    result_info: ResultInfo | None,
) -> None:
    endpoint, result = pair
    envelope = Envelope(True, result, tuple(errors), tuple(messages), result_info)
    body = orjson.dumps(asdict(envelope))
    assert decode(request_for(endpoint), answer(200, body)) == envelope


@given(st.lists(st.builds(Service, text, text), max_size=5), st.lists(infos, max_size=2))
def test_an_envelope_encoded_without_its_empty_fields_is_decoded_to_an_equal_one(
    services: list[Service], errors: list[ResponseInfo]
) -> None:
    envelope = Envelope(True, services, tuple(errors))
    written = {name: value for name, value in asdict(envelope).items() if value}
    assert decode(request_for(LIST_SERVICES), answer(200, orjson.dumps(written))) == envelope

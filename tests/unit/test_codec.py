"""Decoding of responses, by example: which deviations are accepted, which are refused, and with which error."""

from typing import Any

import pytest

from pagerduty_alerting import (
    APIResponseValidationError,
    APIStatusError,
    ConnectedDestination,
    Envelope,
    IntegrationToken,
    InternalServerError,
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
from tests.support.operations import API_TOKEN, TOKEN_ID
from tests.support.requests_and_answers import ENDPOINTS, answer, request_for

LIST = request_for(LIST_SERVICES)


def read(document: object, endpoint: Endpoint[Any] = LIST_SERVICES) -> Envelope[Any]:
    return decode(request_for(endpoint), answer(200, document))


def problems_of(document: object, endpoint: Endpoint[Any] = LIST_SERVICES) -> tuple[str, ...]:
    with pytest.raises(APIResponseValidationError) as caught:
        read(document, endpoint)
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return caught.value.problems


# Accepted deviations.


@pytest.mark.parametrize("name", ["errors", "messages", "result_info"])
def test_a_null_field_is_read_like_a_missing_one(name: str) -> None:
    expected = Envelope(True, [])
    assert read({"success": True, "result": []}) == expected
    assert read({"success": True, "result": [], name: None}) == expected


@pytest.mark.parametrize("document", [{"success": True}, {"success": True, "result": None}])
def test_a_list_without_a_result_is_empty(document: object) -> None:
    assert read(document).result == []


def test_a_code_may_be_missing_or_null() -> None:
    messages = [{"message": "a"}, {"message": "b", "code": None}, {"message": "c", "code": 1000}]
    expected = (ResponseInfo("a"), ResponseInfo("b"), ResponseInfo("c", 1000))
    assert read({"success": True, "messages": messages}).messages == expected


def test_any_field_of_result_info_may_be_missing_or_null() -> None:
    info = {"count": 2, "page": None}
    assert read({"success": True, "result_info": info}).result_info == ResultInfo(count=2)


def test_unknown_fields_are_ignored_at_every_level() -> None:
    document = {
        "success": True,
        "result": [{"id": "1", "name": "one", "url": "x"}],
        "messages": [{"message": "m", "type": None}],
        "result_info": {"count": 1, "cursor": "z"},
        "meta": {"anything": [1, 2]},
    }
    assert read(document) == Envelope(True, [Service("1", "one")], (), (ResponseInfo("m"),), ResultInfo(1))


MESSAGES: list[tuple[object, tuple[ResponseInfo, ...]]] = [
    ({}, ()),
    ("text", ()),
    (7, ()),
    (True, ()),
    ([None, 7, [], {}, {"text": "x"}], ()),
    (["only text"], (ResponseInfo("only text"),)),
    ([{"message": "m"}, 7, {"message": "n"}], (ResponseInfo("m"), ResponseInfo("n"))),
    ([{"code": 1000}], (ResponseInfo("", 1000),)),
    ([{"code": 1000, "message": ["m"]}], (ResponseInfo("", 1000),)),
    ([{"message": "m", "code": "1000"}], (ResponseInfo("m", 1000),)),
    ([{"message": "m", "code": 1000.0}], (ResponseInfo("m", 1000),)),
    ([{"message": "m", "code": True}], (ResponseInfo("m"),)),
    ([{"message": "m", "code": 1.5}], (ResponseInfo("m"),)),
    ([{"message": "m", "code": "\u0661"}], (ResponseInfo("m"),)),
    ([{"message": "m", "code": "9" * 16}], (ResponseInfo("m"),)),
    ([{"message": "m", "code": "9" * 15}], (ResponseInfo("m", 10**15 - 1),)),
    (
        [{"message": "m", "error_chain": [{"code": 1, "message": "cause"}], "documentation_url": "https://d.example"}],
        (ResponseInfo("m", None, (ResponseInfo("cause", 1),), "https://d.example"),),
    ),
    ([{"message": "m", "source": {"pointer": "/id"}}], (ResponseInfo("m", source_pointer="/id"),)),
    ([{"message": "m", "error_chain": "x", "documentation_url": 7, "source": "/id"}], (ResponseInfo("m"),)),
    ([{"message": "m", "source": {"pointer": None}}], (ResponseInfo("m"),)),
]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation)
@pytest.mark.parametrize(("messages", "expected"), MESSAGES, ids=repr)
def test_a_result_is_returned_despite_malformed_messages(
    messages: object, expected: tuple[ResponseInfo, ...], endpoint: Endpoint[Any]
) -> None:
    result = {"id": TOKEN_ID} if endpoint.answers_secret else None
    envelope = read({"success": True, "result": result, "errors": messages, "messages": messages}, endpoint)
    assert (envelope.errors, envelope.messages) == (expected, expected)
    assert getattr(envelope.result, "id", TOKEN_ID) == TOKEN_ID


def test_all_messages_of_a_success_are_kept() -> None:
    assert len(read({"success": True, "messages": [{"message": "m"}] * 1000}).messages) == 1000


def test_a_chain_of_causes_is_read_three_levels_deep() -> None:
    message: dict[str, object] = {"message": "m"}
    for _ in range(100):
        message = {"message": "m", "error_chain": [message]}
    (info,) = read({"success": True, "messages": [message]}).messages
    assert info.chain[0].chain[0].chain == ()


def test_a_secret_in_the_messages_of_a_success_is_masked() -> None:
    text = f"{TOKEN_ID} {API_TOKEN.upper()}"
    remark = {
        "message": text,
        "error_chain": [text, {"message": text, "error_chain": [{"message": text}]}],
        "documentation_url": text,
        "source": {"pointer": text},
    }
    document = {"success": True, "result": {"id": TOKEN_ID}, "errors": [text], "messages": [remark]}
    envelope = read(document, CREATE_INTEGRATION_TOKEN)
    hidden = "<hidden> <hidden>"
    assert envelope.errors == (ResponseInfo(hidden),)
    chain = (ResponseInfo(hidden), ResponseInfo(hidden, chain=(ResponseInfo(hidden),)))
    assert envelope.messages == (ResponseInfo(hidden, None, chain, hidden, hidden),)
    assert envelope.result.id == TOKEN_ID


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ([], None),
        ("text", None),
        (7, None),
        ({}, ResultInfo()),
        ({"count": "1", "page": 1.5, "per_page": True, "total_count": []}, ResultInfo(count=1)),
        ({"count": 2.0, "page": 1, "per_page": 20, "total_count": 40}, ResultInfo(2, 1, 20, 40)),
    ],
    ids=repr,
)
def test_valid_fields_of_result_info_are_read(info: object, expected: ResultInfo | None) -> None:
    assert read({"success": True, "result_info": info}).result_info == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({}, Service("", "")),
        ({"id": "1"}, Service("1", "")),
        ({"name": "n"}, Service("", "n")),
        ({"id": None, "name": None}, Service("", "")),
        ({"id": "1", "name": None, "url": "x"}, Service("1", "")),
        ({"id": None}, Service("", "")),
    ],
    ids=repr,
)
def test_an_item_without_an_id_or_a_name_does_not_hide_the_others(item: object, expected: Service) -> None:
    whole = {"id": "2", "name": "two"}
    assert read({"success": True, "result": [item, whole]}).result == [expected, Service("2", "two")]


@pytest.mark.parametrize(
    "document",
    [{}, {"result": None}, {"result": {}}, {"result": {"id": None}}, {"result": {"id": ""}}, {"result": {"url": "x"}}],
    ids=repr,
)
def test_connect_succeeds_without_an_id_in_its_result(document: dict[str, object]) -> None:
    assert read({"success": True, **document}, CONNECT).result == ConnectedDestination("")


def test_a_byte_order_mark_before_the_document_is_ignored() -> None:
    body = '{"success": true, "result": [{"id": "1", "name": "n"}]}'.encode("utf-8-sig")
    assert decode(LIST, answer(200, body)).result == [Service("1", "n")]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (rb"\ud83d", "\ufffd"),
        (rb"\uDE00 cut", "\ufffd cut"),
        (rb"\ud83d\ude00", "\U0001f600"),
        (rb"\ud83d\ud83d\ude00\ud83d", "\ufffd\U0001f600\ufffd"),
        (rb"\\ud83d \" \ud83d", '\\ud83d " \ufffd'),
        (b"\xf0\x9f\x98", "\ufffd"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
    ids=repr,
)
def test_a_character_that_was_cut_hides_no_service(written: bytes, name: str) -> None:
    body = b'{"success": true, "result": [{"id": "1", "name": "%b"}, {"id": "2", "name": "\\ud800"}]}' % written
    assert decode(LIST, answer(200, body)).result == [Service("1", name), Service("2", "\ufffd")]


@pytest.mark.parametrize("written", [rb"\ud83d", b"\xf0\x9f"], ids=repr)
def test_a_created_token_is_returned_despite_a_character_that_was_cut_in_a_message(written: bytes) -> None:
    body = b'{"success": true, "result": {"id": "made"}, "messages": [{"message": "cut %b"}]}' % written
    envelope = decode(request_for(CREATE_INTEGRATION_TOKEN), answer(201, body))
    assert (envelope.result, envelope.messages[0].message) == (IntegrationToken("made"), "cut \ufffd")


def test_a_token_with_a_character_that_is_not_valid_is_refused() -> None:
    with pytest.raises(APIResponseValidationError, match="characters that are not valid @ \\$.result.id"):
        decode(request_for(CREATE_INTEGRATION_TOKEN), answer(201, b'{"success": true, "result": {"id": "m\xff"}}'))


@pytest.mark.parametrize("result", [None, {}, [], [1, "x"], "text", {"id": TOKEN_ID}])
def test_any_result_of_delete_is_ignored(result: object) -> None:
    assert read({"success": True, "result": result}, DELETE_SERVICES).result is None


def test_a_whole_number_may_be_written_as_a_float() -> None:
    envelope = read({"success": True, "messages": [{"message": "m", "code": 1000.0}]})
    assert repr(envelope.messages[0].code) == "1000"


@pytest.mark.parametrize("service_id", ["", "1", "x" * 100, "023E-é-\u2603"])
def test_an_id_from_the_server_may_have_any_form(service_id: str) -> None:
    assert read({"success": True, "result": [{"id": service_id, "name": ""}]}).result == [Service(service_id, "")]


@pytest.mark.parametrize("status", [200, 201, 202, 203, 206, 226, 299])
def test_any_2xx_status_is_accepted(status: int) -> None:
    assert decode(LIST, answer(status, {"success": True, "result": []})).success is True


def test_the_last_of_two_equal_keys_counts() -> None:
    assert decode(LIST, answer(200, b'{"success": false, "success": true}')).success is True


# Refused deviations.


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"result": []}, "it is missing @ $.success"),
        ({"success": None}, "expected a boolean, not null @ $.success"),
        ({"success": "true"}, "expected a boolean, not string @ $.success"),
        ({"success": 1}, "expected a boolean, not number @ $.success"),
        ({"success": True, "result": {}}, "expected an array, not object @ $.result"),
        ({"success": True, "result": "text"}, "expected an array, not string @ $.result"),
        ({"success": True, "result": False}, "expected an array, not boolean @ $.result"),
        ({"success": True, "result": ["x"]}, "expected an object, not string @ $.result[0]"),
        ({"success": True, "result": [None]}, "expected an object, not null @ $.result[0]"),
        ({"success": True, "result": [[]]}, "expected an object, not array @ $.result[0]"),
        ({"success": True, "result": [{"id": "1", "name": 7}]}, "expected a string, not number @ $.result[0].name"),
        ({"success": True, "result": [{"id": 7, "name": "n"}]}, "expected a string, not number @ $.result[0].id"),
        (
            {"success": True, "result": [{"id": "1", "name": "n"}, {"id": "2", "name": ["n"]}]},
            "expected a string, not array @ $.result[1].name",
        ),
    ],
)
def test_the_error_for_a_wrong_type_names_the_path_to_it(document: object, problem: str) -> None:
    assert problems_of(document) == (problem,)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"success": True}, "expected an object, not null @ $.result"),
        ({"success": True, "result": None}, "expected an object, not null @ $.result"),
        ({"success": True, "result": {}}, "it is missing @ $.result.id"),
        ({"success": True, "result": {"id": None}}, "expected a string, not null @ $.result.id"),
        ({"success": True, "result": {"id": ""}}, "it is empty @ $.result.id"),
        ({"success": True, "result": {"id": 7}}, "expected a string, not number @ $.result.id"),
        ({"success": True, "result": [{"id": "x"}]}, "expected an object, not array @ $.result"),
    ],
)
def test_a_created_token_must_have_an_id(document: object, problem: str) -> None:
    assert problems_of(document, CREATE_INTEGRATION_TOKEN) == (problem,)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"success": True, "result": {"id": 7}}, "expected a string, not number @ $.result.id"),
        ({"success": True, "result": [{"id": "x"}]}, "expected an object, not array @ $.result"),
        ({"success": True, "result": "x"}, "expected an object, not string @ $.result"),
    ],
)
def test_a_result_of_connect_of_a_wrong_type_is_refused(document: object, problem: str) -> None:
    assert problems_of(document, CONNECT) == (problem,)


@pytest.mark.parametrize("index", [0, 6, 19])
def test_an_invalid_item_is_named_at_any_place_in_a_list(index: int) -> None:
    services: list[dict[str, object]] = [{"id": "s", "name": "one"} for _ in range(20)]
    services[index] = {"id": "s", "name": 5}
    problem = f"expected a string, not number @ $.result[{index}].name"
    assert problems_of({"success": True, "result": services}) == (problem,)


def test_the_first_five_of_many_invalid_items_are_named() -> None:
    services = [{"id": "s", "name": "one"}] * 3 + [{"id": "s", "name": 7}] * 20
    expected = tuple(f"expected a string, not number @ $.result[{index}].name" for index in range(3, 8))
    assert problems_of({"success": True, "result": services}) == expected


def test_several_problems_are_named_at_once_up_to_five() -> None:
    two = problems_of({"success": True, "result": [{"id": 1, "name": 2}]})
    assert two == ("expected a string, not number @ $.result[0].id", "expected a string, not number @ $.result[0].name")
    assert len(problems_of({"success": True, "result": [{"id": 1, "name": 2}] * 1000})) == 5


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "the body is empty"),
        (b" ", "the body is not JSON ("),
        (b"<html>", "the body is not JSON ("),
        (b'{"success": true', "the body is not JSON ("),
        (b'{"success": true} trailing', "the body is not JSON ("),
        (b'{"success": NaN}', "the body is not JSON ("),
        (b'{"success": true, "result": Infinity}', "the body is not JSON ("),
        (b"{'success': true}", "the body is not JSON ("),
        pytest.param(b"[" * 200_000, "the body is not JSON (", id="200,000 brackets"),
        pytest.param(b"[" * 200_000 + b"]" * 200_000, "the body is not JSON (", id="200,000 pairs of brackets"),
        pytest.param(b'{"a":' * 200_000, "the body is not JSON (", id="200,000 braces"),
        (b'{"success": true, "result": "\xff"}', "expected an array, not string @ $.result"),
        (b'{"success": true, "result": "\xed\xa0\x80"}', "expected an array, not string @ $.result"),
        ('{"success": true}'.encode("utf-16"), "the body is not JSON ("),
        (b"\xef\xbb\xbf<html>", "the body is not JSON ("),
        (b"\xef\xbb\xbf" * 2 + b"{}", "the body is not JSON ("),
        (b"[]", "the body is a JSON array instead of an object"),
        (b'"text"', "the body is a JSON string instead of an object"),
        (b"7", "the body is a JSON number instead of an object"),
        (b"1.5", "the body is a JSON number instead of an object"),
        (b"true", "the body is a JSON boolean instead of an object"),
        (b"null", "the body is a JSON null instead of an object"),
    ],
    ids=repr,
)
def test_a_body_that_is_not_an_envelope_is_a_validation_error_on_success_and_a_status_error_otherwise(
    body: bytes, problem: str
) -> None:
    with pytest.raises(APIResponseValidationError) as caught:
        decode(LIST, answer(200, body))
    (found,) = caught.value.problems
    assert found.startswith(problem)
    with pytest.raises(InternalServerError):
        decode(LIST, answer(502, body))


def test_the_error_for_a_body_cut_off_at_the_limit_names_the_limit() -> None:
    body = b'{"success": true, "result": []}'
    with pytest.raises(APIResponseValidationError, match=r"the body is longer than the limit of 31 bytes"):
        decode(LIST, answer(200, body, is_whole=False))


def test_a_validation_error_names_the_request_and_says_what_to_check() -> None:
    with pytest.raises(APIResponseValidationError) as caught:
        decode(LIST, answer(203, b"[]", headers={"CF-Ray": "8f2a-FRA"}))
    error = caught.value
    assert (error.method, error.path, error.status, error.ray_id) == ("GET", LIST.path, 203, "8f2a-FRA")
    assert str(error) == (
        "List PagerDuty services: status 203 reports success, but the body is a JSON array instead of an object."
        f" Is the base URL that of the Cloudflare API? (GET {LIST.path}, ray 8f2a-FRA)"
    )


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation)
def test_a_validation_error_warns_if_the_operation_must_not_be_repeated(endpoint: Endpoint[Any]) -> None:
    with pytest.raises(APIResponseValidationError) as caught:
        decode(request_for(endpoint), answer(200, b"[]"))
    warns = "The operation may have been carried out nevertheless." in str(caught.value)
    assert warns is not endpoint.replay_safe


def test_a_validation_error_neither_shows_nor_references_the_response() -> None:
    body = b'{"success": true, "result": {"id": "opensesame"'
    with pytest.raises(APIResponseValidationError) as caught:
        decode(request_for(CREATE_INTEGRATION_TOKEN), answer(201, body))
    error = caught.value
    assert "opensesame" not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None


def test_a_wrong_type_is_not_chained_to_an_exception_that_contains_the_document() -> None:
    document = {"success": True, "result": {"id": ["opensesame"]}}
    with pytest.raises(APIResponseValidationError) as caught:
        read(document, CREATE_INTEGRATION_TOKEN)
    assert "opensesame" not in str(caught.value)
    assert caught.value.__context__ is None


# `success: false` is an error whatever the status.


@pytest.mark.parametrize("status", [200, 201, 299])
def test_success_false_is_a_status_error(status: int) -> None:
    with pytest.raises(APIStatusError, match="no luck") as caught:
        decode(LIST, answer(status, {"success": False, "errors": [{"code": 1001, "message": "no luck"}]}))
    assert (type(caught.value), caught.value.status, caught.value.codes) == (APIStatusError, status, (1001,))


def test_success_false_is_a_status_error_even_with_a_result_of_the_wrong_type() -> None:
    with pytest.raises(APIStatusError):
        read({"success": False, "result": 7})


@pytest.mark.parametrize("status", [100, 199, 300, 304, 400, 500, 999])
def test_a_status_other_than_2xx_is_an_error_whatever_the_envelope_says(status: int) -> None:
    with pytest.raises(APIStatusError) as caught:
        decode(LIST, answer(status, {"success": True, "result": []}))
    assert caught.value.status == status

"""Bodies of every form, decoded as the body of a success and of an error."""

import orjson
import pytest

from pagerduty_alerting import APIResponseValidationError, APIStatusError, InternalServerError, NotFoundError, Service
from pagerduty_alerting._protocol.codec import decode
from pagerduty_alerting._protocol.endpoints import LIST_SERVICES
from tests.support.raw_server import LISTED
from tests.support.requests_and_answers import answer, request_for

LIST = request_for(LIST_SERVICES)


def enveloped(**fields: object) -> bytes:
    return orjson.dumps({"success": True, "errors": [], "messages": [], "result": [], **fields})


def service(**fields: object) -> bytes:
    return enveloped(result=[{"id": "s1", "name": "one", **fields}])


BODIES_WITHOUT_ENVELOPE = {
    "html": b"<!DOCTYPE html><html><body>nothing here</body></html>",
    "empty": b"",
    "white space": b" \r\n\t ",
    "null": b"null",
    "true": b"true",
    "a number": b"1",
    "a string": b'"success"',
    "an array": b"[]",
    "an array of envelopes": b"[" + LISTED + b"]",
    "no success": b"{}",
    "success as a string": enveloped(success="true"),
    "success as a number": enveloped(success=1),
    "success as null": enveloped(success=None),
    "a result as an object": enveloped(result={}),
    "a result as a string": enveloped(result="s1"),
    "a result as a number": enveloped(result=0),
    "a result as false": enveloped(result=False),
    "a service as null": enveloped(result=[None]),
    "a service as a string": enveloped(result=["s1"]),
    "a service as an array": enveloped(result=[["s1", "one"]]),
    "an id as a number": service(id=1),
    "an id as an array": service(id=["s1"]),
    "a name as false": service(name=False),
    "a name as a number": service(name=1.5),
    "a name as an object": service(name={}),
    "NaN": b'{"success":true,"result":[],"result_info":{"count":NaN}}',
    "Infinity": b'{"success":true,"result":[],"result_info":{"count":-Infinity}}',
    "a number beyond all bounds": b'{"success":true,"result":[],"result_info":{"count":1e999}}',
    "a trailing comma": LISTED[:-1] + b",}",
    "two documents": LISTED + LISTED,
    "a comment": b"/* */" + LISTED,
    "single quotes": LISTED.replace(b'"', b"'"),
    "a NUL": LISTED + b"\0",
    "UTF-16": LISTED.decode().encode("utf-16"),
    "UTF-16 without a mark": LISTED.decode().encode("utf-16-be"),
    "UTF-32": LISTED.decode().encode("utf-32"),
    "nested arrays": b"[" * 200_000,
    "nested arrays that end": b"[" * 200_000 + b"]" * 200_000,
    "nested objects": b'{"result":' * 200_000,
    "nested arrays as the result": enveloped(result=0)[:-2] + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "binary": bytes(range(256)) * 20,
    "a million wrong services": b'{"success":true,"result":[' + b"1," * 1_000_000 + b"1]}",
}


@pytest.mark.parametrize("name", BODIES_WITHOUT_ENVELOPE)
@pytest.mark.parametrize("status", [200, 299])
def test_a_success_without_an_envelope_is_a_validation_error(status: int, name: str) -> None:
    with pytest.raises(APIResponseValidationError) as caught:
        decode(LIST, answer(status, BODIES_WITHOUT_ENVELOPE[name]))
    assert len(str(caught.value)) < 2500
    assert caught.value.status == status


@pytest.mark.parametrize("name", BODIES_WITHOUT_ENVELOPE)
@pytest.mark.parametrize(("status", "kind"), [(404, NotFoundError), (502, InternalServerError), (418, APIStatusError)])
def test_an_error_without_an_envelope_is_the_error_of_its_status(status: int, kind: type, name: str) -> None:
    with pytest.raises(APIStatusError) as caught:
        decode(LIST, answer(status, BODIES_WITHOUT_ENVELOPE[name]))
    assert type(caught.value) is kind
    assert len(str(caught.value)) < 2500
    assert str(caught.value).isprintable()


LOOSE_BUT_RIGHT = {
    "nothing but success and result": b'{"success":true,"result":[{"id":"s1","name":"one"}]}',
    "nulls": b'{"success":true,"errors":null,"messages":null,"result_info":null,"result":[{"id":"s1","name":"one"}]}',
    "unknown fields": LISTED[:-1] + b',"new":{"a":[1,2]},"result_info":{"x":1}}',
    "white space around": b"\r\n " + LISTED + b"\n\n",
    "a code as a whole float": enveloped(
        messages=[{"code": 1e3, "message": "m"}], result=[{"id": "s1", "name": "one"}]
    ),
}


@pytest.mark.parametrize("name", LOOSE_BUT_RIGHT)
def test_harmless_deviations_are_accepted(name: str) -> None:
    assert decode(LIST, answer(200, LOOSE_BUT_RIGHT[name])).result == [Service("s1", "one")]

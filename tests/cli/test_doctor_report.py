"""`doctor --report` prints the form of a response without its values."""

import json

import pytest

from pagerduty_alerting.cli.commands._report import body_shape, shape
from pagerduty_alerting.emulator import Operation
from tests.support.command_line import run


def test_the_report_has_names_and_types_but_no_values(api):
    service = api.add_service("Primary on-call")
    ran = run("doctor", "--report", settings=api.environ)
    record = json.loads(ran.out)
    assert (ran.status, ran.err) == (0, "")
    assert record["status"] == 200
    assert {"Ratelimit", "Content-Type", "CF-Ray"} <= set(record["header_names"])
    assert record["body"]["result"] == [{"id": "string", "name": "string"}]
    assert record["body"]["success"] == "boolean"
    values = (service.id, service.name, api.account_id, api.api_token, api.origin.rpartition(":")[2])
    assert not [value for value in values if value in ran.out]
    api.requests.assert_operations(Operation.LIST)


@pytest.mark.parametrize(
    ("status", "body", "recorded"),
    [
        (401, '{"success": false, "errors": [{"code": 10000, "message": "x"}]}', ["success", "errors"]),
        (502, "<html>an error of the edge</html>", "(html)"),
        (200, "", "(empty)"),
        (200, "soon", "(neither JSON nor HTML)"),
    ],
)
def test_a_response_that_the_client_refuses_is_reported_too(api, status, body, recorded):
    api.on(Operation.LIST).respond(status, body=body)
    ran = run("doctor", "--report", settings=api.environ)
    record = json.loads(ran.out)
    assert (ran.status, record["status"]) == (0, status)
    assert (list(record["body"]) if isinstance(recorded, list) else record["body"]) == recorded


def test_no_response_is_status_3_and_the_message_names_doctor(api):
    api.on(Operation.LIST).reset_before_acting()
    ran = run("doctor", "--report", settings=api.environ)
    assert (ran.status, ran.out) == (3, "")
    assert "`pagerduty-alerting doctor`" in json.loads(ran.err)["error"]["message"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1, 2, "a", None, 1.5, True], ["integer", "string", "null", "number", "boolean"]),
        ([{"a": 1}, {"a": 2}, {"b": 1}], [{"a": "integer"}, {"b": "integer"}]),
        ({"023e105f4ecef8ad9ca31a8372d0c353": 1}, {"(another name)": "integer"}),
        ({"someone@example.org": 1}, {"(another name)": "integer"}),
        ([], []),
    ],
)
def test_a_shape_contains_no_values(value, expected):
    assert shape(value) == expected


def test_a_body_of_any_depth_has_a_shape():
    assert "(deeper)" in str(body_shape(b"[" * 500 + b"]" * 500))

"""Error responses: the class of the error, the advice in its message, and what it must not show."""

import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pagerduty_alerting import (
    APIResponseValidationError,
    APIStatusError,
    RateLimit,
    RateLimitError,
    RateLimitPolicy,
    RateLimits,
    ResponseInfo,
)
from pagerduty_alerting._protocol.codec import decode
from pagerduty_alerting._protocol.endpoints import (
    CONNECT,
    CREATE_INTEGRATION_TOKEN,
    DELETE_SERVICES,
    LIST_SERVICES,
    Endpoint,
)
from pagerduty_alerting._protocol.failures import meaning_of, status_error
from tests.support.operations import API_TOKEN, TOKEN_ID
from tests.support.requests_and_answers import ENDPOINTS, answer, request_for

DASHED = "f174e90a-fafe-4643-bbbc-4a0ed4fc8415"
AT_FAULT = "The fault is on Cloudflare's side: try again later."


def error_for(
    status: int, body: object = b"", endpoint: Endpoint[Any] = LIST_SERVICES, headers: dict[str, str] | None = None
) -> APIStatusError:
    return status_error(request_for(endpoint), answer(status, body, headers=headers))


def failure(*errors: object) -> dict[str, object]:
    return {"success": False, "errors": list(errors)}


def code(number: int, message: str = "text") -> dict[str, object]:
    return {"code": number, "message": message}


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (409, "ConflictError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (501, "InternalServerError"),
        (599, "InternalServerError"),
        (100, "APIStatusError"),
        (200, "APIStatusError"),
        (301, "APIStatusError"),
        (402, "APIStatusError"),
        (408, "APIStatusError"),
        (499, "APIStatusError"),
        (600, "APIStatusError"),
    ],
)
def test_each_status_has_its_class(status: int, name: str) -> None:
    assert type(error_for(status)).__name__ == name


def test_the_message_says_what_failed_how_and_where() -> None:
    error = error_for(409, failure(code(17303, "token was used already")), CONNECT, {"CF-Ray": "8f2a-FRA"})
    assert str(error) == (
        "Connect PagerDuty failed with 409 Conflict: token was used already (code 17303)."
        f" (GET {request_for(CONNECT).path}, ray 8f2a-FRA)"
    )


def test_an_error_has_the_errors_messages_and_headers_of_the_response() -> None:
    body = {**failure(code(7003, "No route")), "messages": [{"code": 1000, "message": "hint"}, {"message": "bare"}]}
    error = error_for(404, body, headers={"cf-ray": "8f2a-FRA", "retry-after": "3"})
    assert error.errors == (ResponseInfo("No route", 7003),)
    assert error.messages == (ResponseInfo("hint", 1000), ResponseInfo("bare"))
    assert (error.codes, error.ray_id, error.retry_after) == ((7003,), "8f2a-FRA", 3.0)
    assert (error.method, error.path, error.status) == ("GET", request_for(LIST_SERVICES).path, 404)


@pytest.mark.parametrize("status", [520, 599, 299, 999])
def test_a_status_without_a_name_is_shown_as_a_number(status: int) -> None:
    assert f"failed with {status}: " in str(error_for(status))


# Errors in the body.


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (failure(code(1001, "one")), "one (code 1001)"),
        (failure({"message": "no code"}), "no code"),
        (failure({"message": "null code", "code": None}), "null code"),
        (failure({"message": "code as text", "code": "1001"}), "code as text (code 1001)"),
        (failure({"message": "code as float", "code": 1001.0}), "code as float (code 1001)"),
        (failure({"message": "odd code", "code": "x1"}), "odd code"),
        (failure({"message": "true code", "code": True}), "true code"),
        (failure("just text"), "just text"),
        (failure(code(1, "a."), code(2, "b")), "a (code 1); b (code 2)"),
        (failure(code(1, "a"), code(2, "b"), code(3, "c"), code(4, "d")), "a (code 1); b (code 2); c (code 3)"),
        (failure(code(1, "two\n  lines\t")), "two lines (code 1)"),
        pytest.param(failure(code(1, "x" * 301)), "x" * 299 + "… (code 1)", id="301 characters"),
        pytest.param(failure(code(1, "x" * 300)), "x" * 300 + " (code 1)", id="300 characters"),
        (failure({"code": 1001}), "an error without a text (code 1001)"),
        (failure({**code(1001), "source": {"pointer": "/id"}}), "text (code 1001, at /id)"),
        (failure({"message": "text", "source": {"pointer": "/id"}}), "text (at /id)"),
        (
            failure({**code(1001), "error_chain": [code(1002, "cause"), code(1003, "another")]}),
            "text (code 1001): cause (code 1002); another (code 1003)",
        ),
        ({"success": False, "errors": [], "messages": [code(1000, "a message")]}, "a message (code 1000)"),
        ({**failure(code(1001)), "messages": [code(1000, "a message")]}, "text (code 1001)"),
        (b"\xef\xbb\xbf" + b'{"errors": ["after a mark"]}', "after a mark"),
        (failure(None, 7, [], {}), "the body contains no error"),
        ({"success": False, "errors": None}, "the body contains no error"),
        ({"success": False, "errors": {"message": "x"}}, "the body contains no error"),
        ({"success": False}, "the body contains no error"),
        (b"", "the body is empty"),
        ({}, "the body is not an envelope of the API, it begins with '{}'"),
        (b"<html>\n<h1>Bad", "the body is not an envelope of the API, it begins with '<html> <h1>Bad'"),
        (b"[1, 2]", "the body is not an envelope of the API, it begins with '[1, 2]'"),
        (b"\xff\xfe", "the body is not an envelope of the API, it begins with '\ufffd\ufffd'"),
        (b"upstream's down", 'the body is not an envelope of the API, it begins with "upstream\'s down"'),
    ],
    ids=repr,
)
def test_the_message_contains_the_errors_of_the_body_or_says_that_there_are_none(body: object, said: str) -> None:
    assert str(error_for(418, body)).startswith(f"List PagerDuty services failed with 418 I'm a Teapot: {said}. (")


def test_an_error_keeps_twenty_errors_of_a_response() -> None:
    assert len(error_for(400, failure(*[code(n) for n in range(1000, 3000)])).errors) == 20


def test_attributes_contain_the_whole_texts_of_the_errors() -> None:
    assert error_for(400, failure(code(1, "x" * 1000))).errors[0].message == "x" * 1000


def test_an_error_response_without_messages_or_result_is_read() -> None:
    body = b'{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}'
    error = error_for(401, body)
    assert (error.codes, error.messages) == ((10000,), ())


@given(st.binary(max_size=600))
def test_at_most_200_characters_of_a_body_are_shown(body: bytes) -> None:
    text = str(error_for(502, b"<html>" + body))
    _, found, shown = text.partition("it begins with ")
    assert found
    assert len(eval(shown[: shown.index(f". {AT_FAULT}")])) <= 200  # the text as it was before its repr


def test_control_characters_of_a_body_do_not_reach_a_terminal() -> None:
    assert "\x1b" not in str(error_for(502, b"<html>\x1b[2Jgone\x07"))


@pytest.mark.parametrize("status", [400, 502])
def test_control_characters_in_the_text_of_an_error_do_not_reach_a_terminal(status: int) -> None:
    assert str(error_for(status, failure(code(1, "\x1b[2Jgone\x07\x9b31m\u202egnp")))).isprintable()


def test_the_message_contains_the_first_documentation_url() -> None:
    first = {**code(1001), "documentation_url": "https://d.example/1"}
    second = {**code(1002), "documentation_url": "https://d.example/2"}
    error = error_for(418, failure(code(1000), first, second), headers={"CF-Ray": "8f2a-FRA"})
    assert str(error).endswith(f"({error.method} {error.path}, ray 8f2a-FRA, see https://d.example/1)")
    assert [info.documentation_url for info in error.errors] == [None, "https://d.example/1", "https://d.example/2"]


# Advice.


def caused_by(number: int, top: int = 6003) -> dict[str, object]:
    return failure({**code(top, "Invalid request headers"), "error_chain": [code(number, "cause")]})


MEANINGS = [
    (400, caused_by(6103), "Authentication", "an API token was sent as a key"),
    (400, caused_by(6100), "Authentication", "an API token was sent as a key"),
    (400, caused_by(6101), "Authentication", "an API token was sent as a key"),
    (400, caused_by(6102), "Authentication", "an API token was sent as a key"),
    (400, caused_by(6111), "Authentication", "a Global API Key was sent as a token"),
    (400, failure(code(6003)), "Authentication", "the credentials are malformed"),
    (400, failure({"code": "6003"}), "Authentication", "the credentials are malformed"),
    (403, failure(code(9103)), "Authentication", "credentials are unknown to the API"),
    (400, failure(code(9106)), "Authentication", "credentials are unknown to the API"),
    (403, failure(code(9109)), "Account", "the credentials are not for this account"),
    (404, failure(code(7003)), "Account", "the account id is malformed"),
    (404, failure({"code": 7003.0}), "Account", "the account id is malformed"),
    (400, {"success": False, "messages": [code(7003)]}, "Account", "the account id is malformed"),
    (403, failure(code(17200)), "Plan", "does not include PagerDuty"),
    (403, failure(code(10000), code(17200)), "Plan", "does not include PagerDuty"),
    (400, failure(code(10000)), "Authentication", "not valid, or lack the permission"),
    (403, failure(code(10000)), "Authentication", "not valid, or lack the permission"),
    (401, b"", "Authentication", "does not accept these credentials"),
    (403, b"", "Permission", "may not do this"),
    (404, b"", "Account", "was not found"),
    (429, b"", "Rate limit", "used up"),
    (302, b"", "Base URL", "redirects"),
    (304, b"", "API", "nothing has changed"),
    (500, b"", "API", "it failed"),
    (530, b"<html>", "API", "it failed"),
    (418, failure(code(1001)), "API", "it responded with status 418"),
]


@pytest.mark.parametrize(("status", "body", "area", "finding"), MEANINGS, ids=str)
def test_the_meaning_of_an_error_depends_on_its_code_then_its_status(
    status: int, body: object, area: str, finding: str
) -> None:
    error = error_for(status, body)
    meaning = meaning_of(error.status, error.errors or error.messages)
    assert meaning.area == area
    assert finding in meaning.finding
    assert meaning.advice.partition("{")[0] in str(error)


def test_credentials_of_the_wrong_kind_are_recognized_by_the_error_chain() -> None:
    text = str(error_for(400, caused_by(6103)))
    assert ": Invalid request headers (code 6003): cause (code 6103). Send an API token as a token, and a" in text


def test_the_error_for_a_malformed_account_id_describes_a_valid_one() -> None:
    assert "An account id has 32 hexadecimal digits" in str(error_for(404, failure(code(7003))))


def test_not_modified_is_not_a_redirect() -> None:
    text = str(error_for(304))
    assert "304 Not Modified: the body is empty. A cache may have responded." in text
    assert "redirect" not in text


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation)
@pytest.mark.parametrize(
    ("status", "body"),
    [(400, failure(code(10000))), (401, failure()), (401, b""), (403, failure(code(10000))), (403, b"<html>")],
    ids=str,
)
def test_an_error_for_denied_access_names_the_permissions(status: int, body: object, endpoint: Endpoint[Any]) -> None:
    text = str(error_for(status, body, endpoint))
    advice = "Check that the credentials are valid for the account, and that the token has one of the permissions "
    assert advice + ", ".join(endpoint.permissions) + "." in text


def test_writing_needs_a_permission_to_write() -> None:
    text = str(error_for(403, failure(code(10000)), DELETE_SERVICES))
    assert "Notifications Write, Account Settings Write." in text
    assert "Read" not in text


def test_the_error_for_a_missing_entitlement_names_the_plan_and_not_permissions() -> None:
    text = str(error_for(403, failure(code(17200, "account is not entitled"))))
    assert "need a zone on a Business or Enterprise plan" in text
    assert "permissions" not in text


@pytest.mark.parametrize(
    ("endpoint", "ends"),
    [
        (LIST_SERVICES, "Check the account id and the base URL."),
        (DELETE_SERVICES, "Check the account id and the base URL."),
        (CREATE_INTEGRATION_TOKEN, "Check the account id and the base URL."),
        (
            CONNECT,
            "Check the account id and the base URL, and that the token is authorized in PagerDuty and unused.",
        ),
    ],
)
@pytest.mark.parametrize(("status", "body"), [(404, b""), (404, failure(code(7003))), (400, failure(code(7003)))])
def test_the_error_for_an_unknown_route_advises_to_check_the_ids(
    endpoint: Endpoint[Any], ends: str, status: int, body: object
) -> None:
    assert f" {ends} (" in str(error_for(status, body, endpoint))


@pytest.mark.parametrize(
    ("headers", "advice"),
    [
        ({"Retry-After": "17"}, "Wait 17 s: Cloudflare allows 1,200 requests in five minutes"),
        ({}, "Wait five minutes: Cloudflare allows 1,200 requests in five minutes"),
        ({"Retry-After": "soon"}, "Wait five minutes: Cloudflare allows"),
    ],
)
def test_the_error_for_a_reached_limit_says_how_long_to_wait(headers: dict[str, str], advice: str) -> None:
    error = error_for(429, b"", headers=headers)
    assert type(error) is RateLimitError
    assert advice in str(error)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 599])
def test_a_server_error_is_described_as_the_fault_of_the_server(status: int) -> None:
    assert AT_FAULT in str(error_for(status))


@pytest.mark.parametrize("status", [400, 402, 409, 418, 422, 451])
def test_an_unknown_error_has_no_advice(status: int) -> None:
    assert str(error_for(status, failure(code(1001)))).endswith(
        f": text (code 1001). (GET {request_for(LIST_SERVICES).path})"
    )


# Redirects.


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("https://evil.example/path?token=secret", "evil.example"),
        ("https://user:secret@evil.example:8443/secret", "evil.example"),
        ("//evil.example/secret", "evil.example"),
        ("/secret", "another path of the same host"),
        ("secret", "an unknown host"),
        ("", "an unknown host"),
        ("https://[secret", "an unknown host"),
        ("https://" + "secret" * 50, "an unknown host"),
        ("https://evil\x9b.example/", "an unknown host"),
        ("javascript:secret", "an unknown host"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 399])
def test_only_the_host_of_a_redirect_is_named(status: int, location: str, place: str) -> None:
    text = str(error_for(status, b"<html>Moved</html>", headers={"Location": location}))
    assert f": a redirect to {place}, which is not followed. Credentials are sent to the configured host only" in text
    assert "secret" not in text


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation)
@pytest.mark.parametrize("secret", [API_TOKEN, API_TOKEN.upper(), TOKEN_ID, DASHED.upper()])
def test_a_secret_in_the_host_of_a_redirect_is_masked(secret: str, endpoint: Endpoint[Any]) -> None:
    error = error_for(302, b"", endpoint, {"Location": f"https://{secret}.example/"})
    assert "a redirect to <hidden>.example, which" in str(error)
    assert secret.lower() not in str(error).lower()


@pytest.mark.parametrize(("length", "named"), [(253, True), (254, False)])
def test_the_host_of_a_redirect_is_named_up_to_the_maximum_length_of_dns(length: int, *, named: bool) -> None:
    host = ("a" * 62 + ".") * 4 + "b" * (length - 252)
    assert (host in str(error_for(302, headers={"Location": f"https://{host}/x"}))) is named


def test_a_redirect_without_a_location_goes_to_an_unknown_host() -> None:
    assert "a redirect to an unknown host" in str(error_for(302))


# Secrets.


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation)
@pytest.mark.parametrize("body", [failure(code(1, f"bad token {API_TOKEN}!")), f"<p>{API_TOKEN}</p>".encode()], ids=str)
def test_the_credential_is_masked_in_every_place(body: object, endpoint: Endpoint[Any]) -> None:
    error = error_for(400, body, endpoint)
    assert API_TOKEN not in f"{error} {error.errors}"
    assert "<hidden>" in str(error)


@pytest.mark.parametrize("endpoint", [CREATE_INTEGRATION_TOKEN, CONNECT], ids=lambda endpoint: endpoint.operation)
@pytest.mark.parametrize("token_id", [TOKEN_ID, DASHED, TOKEN_ID.upper()])
@pytest.mark.parametrize("status", [200, 302, 400, 404, 409, 500])
def test_an_integration_token_is_masked_in_every_place(status: int, token_id: str, endpoint: Endpoint[Any]) -> None:
    bodies: list[object] = [
        {**failure(code(1, f"token {token_id} is used")), "messages": [code(2, token_id)], "result": {"id": token_id}},
        {"success": False, "result": {"id": token_id}},
        failure(f"{token_id}"),
        f"<p>/connect/{token_id}</p>".encode(),
        b" " * 190 + token_id.encode(),
    ]
    for body in bodies:
        error = error_for(status, body, endpoint, {"Location": f"https://host/{token_id}"})
        shown = f"{error} {error!r} {error.errors} {error.messages} {error.path}"
        assert token_id not in shown
        assert token_id[:8] not in shown


def test_a_token_of_any_form_is_masked_in_both_spellings() -> None:
    request = request_for(CONNECT, "open/sesame")
    error = status_error(request, answer(400, failure(code(1, "open/sesame or open%2Fsesame"))))
    assert error.errors[0].message == "<hidden> or <hidden>"


def test_ids_of_services_are_not_masked() -> None:
    assert DASHED in str(error_for(400, failure(code(1, f"service {DASHED} is gone"))))


@pytest.mark.parametrize(
    ("ray_id", "kept"),
    [
        ("8f2a-FRA", "8f2a-FRA"),
        ("x" * 24, "x" * 24),
        ("x" * 25, None),
        ("", None),
        ("a\x1b[2J", None),
        ("8f2a-FRA, 8f2b-FRA", None),
        (TOKEN_ID, None),
        (DASHED.upper(), None),
        (API_TOKEN.upper(), None),
    ],
)
def test_only_a_valid_ray_id_is_kept(ray_id: str, kept: str | None) -> None:
    error = error_for(400, headers={"CF-Ray": ray_id})
    assert error.ray_id == kept
    assert (", ray " in str(error)) is (kept is not None)


# The response in the error.


def errors_of(endpoint: Endpoint[Any], body: bytes, headers: dict[str, str]) -> list[Any]:
    """Returns the two errors that a response can lead to: for its status, and for its form."""
    with pytest.raises(APIResponseValidationError) as caught:
        decode(request_for(endpoint), answer(200, body, headers=headers))
    return [status_error(request_for(endpoint), answer(404, body, headers=headers)), caught.value]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation)
def test_an_error_has_the_headers_with_secrets_masked_in_any_letter_case(endpoint: Endpoint[Any]) -> None:
    headers = {"X-Echo": f"a {API_TOKEN.upper()}", "Location": f"/connect/{TOKEN_ID.upper()}", "Server": "cloudflare"}
    for error in errors_of(endpoint, b"[]", headers):
        assert error.headers["x-echo"] == "a <hidden>"
        assert error.headers["SERVER"] == "cloudflare"
        assert (TOKEN_ID.upper() in error.headers["location"]) is not endpoint.answers_secret
        assert "cloudflare" not in repr(error.headers)
        restored = pickle.loads(pickle.dumps(error))
        assert dict(restored.headers) == dict(error.headers)
        assert restored.headers["x-ECHO"] == "a <hidden>"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation)
def test_an_error_has_the_body_unless_it_may_contain_a_token(endpoint: Endpoint[Any]) -> None:
    body = f"<p>{API_TOKEN} {DASHED}</p>".encode() + b"x" * 10_000
    for error in errors_of(endpoint, body, {}):
        if endpoint.answers_secret:
            assert error.body is None
        else:
            assert error.body == ("<p><hidden> <hidden></p>" + "x" * 10_000)[:4096]


def test_an_error_has_the_rate_limits_of_the_response() -> None:
    headers = {"Ratelimit": '"default";r=50;t=30', "Ratelimit-Policy": '"burst";q=100;w=60'}
    expected = RateLimits((RateLimit("default", 50, 30.0),), (RateLimitPolicy("burst", 100, 60.0),))
    assert [error.rate_limits for error in errors_of(LIST_SERVICES, b"[]", headers)] == [expected, expected]

"""The control API below `/_emulator/`, as test suites in other languages use it, and the page for a person."""

import asyncio
import contextlib
import html
import re

import pytest
from attrs import evolve, fields
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pagerduty_alerting.emulator import (
    Account,
    Emulator,
    EmulatorUsageError,
    FaultBuilder,
    InitialState,
    IntegrationToken,
    Operation,
    Service,
    TokenState,
)
from pagerduty_alerting.emulator.control.api import FAULTS, ControlAPI
from pagerduty_alerting.emulator.control.page import PageContent, render_page
from pagerduty_alerting.emulator.json_input import read_arguments, read_json
from tests.support.strategies import CHARACTERS

LIST, DELETE, CREATE, CONNECT = Operation.LIST, Operation.DELETE, Operation.CREATE, Operation.CONNECT


async def test_the_whole_flow_works_over_the_control_api(call, control):
    token_id = await call.create()
    reply = await control("POST", "authorize", token=token_id, services=["Database"])
    assert (reply.status, reply.json["success"]) == (200, True)
    assert (await call(CONNECT, token_id)).status == 200
    state = (await control("GET", "state")).json["result"]
    assert [service["name"] for service in state["accounts"][0]["services"]] == ["Database"]
    assert state["tokens"][0]["state"] == "used"
    assert state["environ"] == call.api.environ
    assert state["requests"] == 2


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain"])
async def test_json_is_read_whatever_its_content_type_as_curl_sends_it(api, call, content_type):
    token_id = await call.create()
    body = f' {{"token": "{token_id}", "services": ["Database"]}}'.encode()
    reply = await call.raw("POST", "/_emulator/authorize", headers={"Content-Type": content_type}, data=body)
    assert (reply.status, reply.json["success"]) == (200, True)
    assert api.token_state(token_id) is TokenState.AUTHORIZED


async def test_accounts_and_services_can_be_added(api, control):
    added = await control("POST", "accounts", services=["Website"], entitled=False)
    assert added.status == 201
    assert api.accounts()[-1].entitled is False
    account_id = added.json["result"]["id"]
    assert (await control("POST", "services", name="Database", account_id=account_id)).status == 201
    assert [service.name for service in api.services(account_id)] == ["Website", "Database"]
    assert (await control("POST", "accounts")).status == 201


async def test_the_clock_can_be_advanced_and_a_token_expired(api, call, control):
    first, second = await call.create(), await call.create()
    assert (await control("POST", "expire", token=first)).status == 200
    assert [api.token_state(token) for token in (first, second)] == [TokenState.EXPIRED, TokenState.PENDING]
    assert (await control("POST", "advance", seconds=3600)).status == 200
    assert api.token_state(second) is TokenState.EXPIRED


async def test_faults_can_be_ordered_listed_and_cancelled(api, call, control):
    ordered = await control(
        "POST", "faults", fault="respond", arguments={"status": 503, "json": [1]}, operations=["list"], times=2
    )
    assert ordered.status == 201
    assert (await call(LIST)).json == [1]
    listed = (await control("GET", "faults")).json["result"]
    assert listed == [{"description": "respond 503 for list", "used": 1}]
    assert (await control("DELETE", "faults")).status == 200
    assert (await call(LIST)).status == 200


async def test_a_fault_can_come_after_acting(api, call, control):
    api.add_service("Database")
    await control("POST", "faults", fault="html", operations=["delete"], after_acting=True)
    assert (await call(DELETE)).status == 502
    assert api.services() == []


async def test_requests_can_be_held_and_released(api, call, control):
    await control("POST", "faults", fault="hold", operations=["list"])
    gate = api._gates[0]
    held = asyncio.create_task(call(LIST))
    await gate.arrived()
    assert (await control("POST", "release", count=1)).status == 200
    assert (await held).status == 200
    assert (await control("POST", "release")).status == 200
    assert (await call(LIST)).status == 200


ARGUMENTS = {
    "respond": {"status": 500},
    "redirect": {"to": "/"},
    "huge": {"size": 1},
    "gzip_bomb": {"size": 1},
    "latency": {"seconds": 0},
}


@pytest.mark.parametrize("fault", sorted(FAULTS))
async def test_every_fault_of_the_control_api_can_be_ordered(api, control, fault):
    reply = await control("POST", "faults", fault=fault, arguments=ARGUMENTS.get(fault, {}))
    assert reply.status == 201
    assert len(api.orders) == 1


def test_the_control_api_has_every_fault_of_the_builder():
    choosing = {"times", "once", "skip", "sometimes", "when", "after_acting"}
    public = {name for name in vars(FaultBuilder) if not name.startswith("_")}
    assert public - choosing - {field.name for field in fields(FaultBuilder)} == set(FAULTS)


async def test_requests_are_listed_without_secrets(api, call, control):
    token_id = await call.create()
    await call(CONNECT, token_id)
    reply = await control("GET", "requests")
    assert [request["status"] for request in reply.json["result"]] == [201, 400]
    assert reply.json["result"][0]["headers"]["Authorization"] == "Bearer ***"
    assert api.api_token.encode() not in reply.body
    assert token_id.encode() not in reply.body
    assert (await control("DELETE", "requests")).status == 200
    assert (await control("GET", "requests")).json["result"] == []


async def test_reset_works_over_the_control_api(api, control):
    api.add_service("Database")
    assert (await control("POST", "reset")).status == 200
    assert api.services() == []


async def test_control_requests_are_not_in_the_log(api, control):
    await control("GET", "state")
    api.requests.assert_not_called()


@pytest.mark.parametrize(
    ("action", "body", "complaint"),
    [
        ("authorize", b"", "not JSON"),
        ("authorize", b"{", "not JSON"),
        ("authorize", b"[]", "expected an object, not []"),
        ("authorize", b"{}", "required field missing @ $.token"),
        ("authorize", b'{"token": 5, "services": ["A"]}', "expected a string, not 5 @ $.token"),
        ("authorize", b'{"token": "a", "services": "A"}', "$.services"),
        ("authorize", b'{"token": "a", "services": [true]}', "expected a string, not True @ $.services[0]"),
        ("authorize", b'{"token": "a", "services": []}', "no such integration token"),
        ("authorize", b'{"token": "a", "services": [], "x": 1}', "unknown fields x"),
        ("advance", b'{"seconds": true}', "expected a number, not True"),
        ("advance", b'{"seconds": -1}', "must be finite and not negative"),
        ("advance", b'{"seconds": 1e999}', "not JSON"),
        ("accounts", b'{"id": "short"}', "32 lower-case"),
        ("services", b'{"name": ""}', "blank"),
        ("services", b'{"name": "A", "account_id": "unknown"}', "no account"),
        ("faults", b'{"fault": "explode"}', "no fault 'explode': use one of drip"),
        ("faults", b'{"fault": "_order"}', "no fault"),
        ("faults", b'{"fault": "respond"}', "required field missing @ $.status"),
        ("faults", b'{"fault": "respond", "arguments": {"status": 20}}', "20 is not the status of an HTTP response"),
        ("faults", b'{"fault": "respond", "arguments": {"status": 500, "headers": {"a": 1}}}', "expected a string"),
        ("faults", b'{"fault": "respond", "arguments": {"status": 500, "headers": {"a": "b\\r\\nc"}}}', "header"),
        ("faults", b'{"fault": "respond", "arguments": {"status": 500, "headers": {"a b": "c"}}}', "header"),
        ("faults", b'{"fault": "redirect", "arguments": {"to": "/\\r\\nX: y"}}', "header"),
        ("faults", b'{"fault": "hang", "arguments": [1]}', "expected an object"),
        (
            "faults",
            b'{"fault": "rate_limited", "arguments": {"retry_after": []}}',
            "expected a number or a string, not []",
        ),
        ("faults", b'{"fault": "html", "arguments": {"body": 5}}', "expected a string, not 5 @ $.body"),
        ("reset", b'{"account_id": "a"}', "unknown fields account_id"),
        (
            "faults",
            b'{"fault": "hang", "operations": ["fly"]}',
            "expected one of 'list', 'delete', 'create', 'connect', not 'fly'",
        ),
        ("faults", b'{"fault": "hang", "times": 0}', ">= 1"),
        ("faults", b'{"fault": "hang", "probability": 2}', "<= 1"),
        ("release", b'{"count": "all"}', "expected an integer"),
    ],
)
async def test_bad_input_gets_a_400_envelope_that_says_what_was_wrong(api, call, action, body, complaint):
    reply = await call.raw("POST", f"/_emulator/{action}", headers={}, data=body)
    assert reply.status == 400
    assert reply.json["success"] is False
    assert complaint in reply.json["errors"][0]["message"]
    assert api.orders == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(CHARACTERS, max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["fault", "arguments", "operations", "times", "x"]), inner, max_size=4)
        ),
        max_leaves=8,
    )
)
def test_any_json_is_read_or_refused_with_a_message(value):
    import orjson

    try:
        data = orjson.dumps(value)
    except (TypeError, ValueError):
        return
    with contextlib.suppress(EmulatorUsageError):
        assert isinstance(read_json(data, InitialState), InitialState)
    with contextlib.suppress(EmulatorUsageError):
        assert "fault" in read_arguments(data, ControlAPI(Emulator(), "").order_fault)


@pytest.mark.parametrize(
    ("method", "action", "status"),
    [("GET", "nowhere", 404), ("PUT", "state", 405), ("GET", "authorize", 405), ("POST", "", 405), ("GET", "a/b", 404)],
)
async def test_wrong_paths_and_methods_are_refused_in_envelopes(control, method, action, status):
    reply = await control(method, action)
    assert (reply.status, reply.json["success"]) == (status, False)
    assert ("Allow" in reply.headers) == (status == 405)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1"])
async def test_other_web_pages_cannot_control_the_emulator(api, call, origin):
    api.add_service("Database")
    reply = await call.raw("POST", "/_emulator/reset", headers={"Origin": origin})
    assert reply.status == 403
    assert len(api.services()) == 1


FOREIGN = [
    "evil.example",
    "evil.example:8787",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "192.0.2.1",
    "[",
    "",
    "@",
]


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "state"), ("GET", "requests"), ("POST", "reset")])
async def test_a_foreign_host_is_refused_by_page_and_control(api, call, method, path, host):
    api.add_service("Database")
    reply = await call.raw(method, f"/_emulator/{path}", headers={"Host": host, "Origin": f"http://{host}"})
    assert reply.status == 403
    assert api.api_token.encode() not in reply.body
    assert len(api.services()) == 1


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:8787", "localhost.", "api.localhost", "127.0.0.7:1", "[::1]:1"]
)
async def test_every_loopback_host_is_served(call, host):
    assert (await call.raw("GET", "/_emulator/state", headers={"Host": host})).status == 200


async def test_the_configured_host_is_served(caller_of):
    async with Emulator(host="0.0.0.0") as api:
        assert (await caller_of(api).raw("GET", "/_emulator/", headers={"Host": "0.0.0.0:8787"})).status == 200
        assert (await caller_of(api).raw("GET", "/_emulator/", headers={"Host": "192.0.2.1"})).status == 403


async def test_the_root_redirects_to_the_page(api, call):
    reply = await call.raw("GET", "/", headers={})
    assert (reply.status, reply.headers["Location"]) == (302, "/_emulator/")
    api.requests.assert_not_called()
    assert (await call.raw("POST", "/")).status == 404


async def test_the_page_shows_the_environment_to_copy(api, call):
    text = html.unescape((await call.raw("GET", "/_emulator/", headers={})).body.decode())
    for name, value in api.environ.items():
        assert f"export {name}={value}\n" in text
    assert f"export PAGERDUTY_ALERTING_AUTHORIZE_URL='{api.origin}/_emulator/#{{token}}'</pre>" in text


async def test_the_page_has_an_anchor_for_each_pending_token(api, call):
    token_id = await call.create()
    page = (await call.raw("GET", "/_emulator/", headers={})).body.decode()
    assert f'id="{token_id}"' in page
    assert api.authorize_url.replace("{token}", token_id) == f"{api.origin}/_emulator/#{token_id}"


async def test_the_page_has_one_spelling_of_authorize(api, call):
    await call.create()
    ready = await call.create()
    api.authorize(ready, ["Database"])
    page = (await call.raw("GET", "/_emulator/", headers={})).body.decode()
    assert ">Authorize<" in page
    assert ">authorized<" in page
    assert "authoris" not in page.lower()


async def test_the_page_offers_pending_tokens_for_authorization(api, call):
    token_id = await call.create()
    page = await call.raw("GET", "/_emulator/", headers={})
    text = page.body.decode()
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert f'name="token" value="{token_id}"' in text
    assert 'value="Primary on-call"' in text
    assert "/connect</code>" in text.replace("<wbr>", "")


async def test_the_form_authorizes_and_redirects_to_the_page(api, call):
    token_id = await call.create()
    form = [("token", token_id), ("services", "Database"), ("others", "Mine & yours\r\n\r\n  Third ")]
    headers = {"Origin": api.origin}
    reply = await call.raw("POST", "/_emulator/authorize", headers=headers, data=form)
    assert (reply.status, reply.headers["Location"]) == (303, "/_emulator/")
    assert api.tokens()[0].services == ("Database", "Mine & yours", "Third")
    page = (await call.raw("GET", "/_emulator/", headers={})).body.decode()
    assert "Mine &amp; yours" in page
    assert "authorized" in page


async def test_a_form_without_a_choice_shows_the_error_on_the_page(api, call):
    token_id = await call.create()
    reply = await call.raw("POST", "/_emulator/authorize", headers={}, data={"token": token_id})
    assert reply.status == 400
    assert "choose at least one service" in reply.body.decode()
    assert 'role="alert"' in reply.body.decode()


async def test_the_reset_button_resets(api, call):
    api.add_service("Database")
    reply = await call.raw("POST", "/_emulator/reset", headers={}, data={"x": "y"})
    assert reply.status == 303
    assert api.services() == []


async def test_other_actions_reject_forms(call):
    reply = await call.raw("POST", "/_emulator/advance", headers={}, data={"seconds": "1"})
    assert reply.status == 400
    assert "takes JSON" in reply.body.decode()


@pytest.mark.parametrize("path", ["/_emulator", "/_emulator/"])
async def test_the_page_has_no_script_and_forbids_scripts(call, path):
    page = await call.raw("GET", path, headers={})
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert b"<script" not in page.body


HOSTILE = "\"'><script>alert(1)</script>&amp;"


@given(st.text(CHARACTERS, min_size=1) | st.just(HOSTILE))
def test_every_text_on_the_page_is_escaped(text):
    token = IntegrationToken("ab" * 16, text, 0.0, 1.0, services=(text,))
    content = PageContent(
        environ={"NAME": text},
        accounts=(Account(text, (Service(text, text),)),),
        tokens=((token, TokenState.PENDING), (token, TokenState.USED)),
        catalogue=(text,),
        requests=(),
        problem=text,
    )
    page = render_page(content)
    empty = render_page(evolve(content, environ={}, accounts=(), tokens=(), catalogue=(), problem=None))
    if "<" in text or '"' in text:
        assert page.count("<script") == 0
    allowed = {"html", "head", "meta", "title", "style", "body", "header", "h1", "p", "code", "main", "section"}
    allowed |= {"h2", "h3", "form", "input", "fieldset", "legend", "label", "textarea", "button", "table"}
    allowed |= {"caption", "thead", "tbody", "tr", "th", "td", "ul", "li", "pre", "span", "wbr", "!DOCTYPE"}
    assert set(re.findall(r"<([!a-zA-Z0-9]+)", page)) <= allowed
    assert html.escape(text) in page
    assert len(page) > len(empty)

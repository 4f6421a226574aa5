"""The responses and effects of the four operations."""

import io
import re
import uuid

import pytest

from pagerduty_alerting.emulator import (
    Dialect,
    Emulator,
    EmulatorUsageError,
    IdStyle,
    Operation,
    Permission,
    TokenState,
)

LIST, DELETE, CREATE, CONNECT = Operation.LIST, Operation.DELETE, Operation.CREATE, Operation.CONNECT


async def test_a_new_account_lists_no_services(call):
    reply = await call(LIST)
    assert (reply.status, reply.json["result"], reply.json["success"]) == (200, [], True)


async def test_the_whole_flow_links_the_chosen_services(api, call):
    token_id = await call.create()
    api.authorize(token_id, services=["Primary on-call", "Database"])
    connected = await call(CONNECT, token_id)
    assert connected.status == 200
    assert connected.json["result"]["id"] != token_id
    assert await call.names() == ["Primary on-call", "Database"]
    assert [service.name for service in api.services()] == ["Primary on-call", "Database"]


async def test_create_returns_201_and_a_new_token_each_time(call):
    replies = [await call(CREATE), await call(CREATE)]
    assert [reply.status for reply in replies] == [201, 201]
    assert replies[0].json["result"]["id"] != replies[1].json["result"]["id"]


async def test_delete_returns_an_envelope_without_a_result(call):
    assert (await call(DELETE)).json == {"success": True, "errors": [], "messages": []}


async def test_delete_removes_all_services_of_that_account_only(api, call):
    other = api.add_account(services=["Elsewhere"])
    api.add_service("Here")
    assert (await call(DELETE)).status == 200
    assert api.services() == []
    assert [service.name for service in api.services(other)] == ["Elsewhere"]


async def test_delete_is_idempotent(call):
    assert [(await call(DELETE)).status, (await call(DELETE)).status] == [200, 200]


async def test_connect_adds_to_the_linked_services(api, call):
    api.add_service("Old")
    token_id = await call.create()
    api.authorize(token_id, services=["New"])
    await call(CONNECT, token_id)
    assert await call.names() == ["Old", "New"]


async def test_a_service_that_is_chosen_again_keeps_its_id(api, call):
    before = api.add_service("Database")
    token_id = await call.create()
    api.authorize(token_id, services=["Database"])
    await call(CONNECT, token_id)
    assert api.services() == [before]


async def test_connect_before_authorization_is_refused_with_the_token_as_result(call):
    token_id = await call.create()
    reply = await call(CONNECT, token_id)
    assert (reply.status, reply.codes, reply.json["result"]) == (400, [17302], {"id": token_id})


async def test_a_token_connects_once(api, call):
    token_id = await call.create()
    api.authorize(token_id, services=["Database"])
    await call(CONNECT, token_id)
    reply = await call(CONNECT, token_id)
    assert (reply.status, reply.codes) == (409, [17303])
    assert api.token_state(token_id) is TokenState.USED


async def test_an_unknown_token_is_not_found(call):
    reply = await call(CONNECT, uuid.uuid4().hex)
    assert (reply.status, reply.codes) == (404, [17301])


@pytest.mark.parametrize("malformed", ["nonsense", "a", "%20", "é", "a" * 500])
async def test_a_malformed_token_is_not_found(call, malformed):
    assert (await call(CONNECT, malformed)).status == 404


async def test_a_token_expires_with_the_clock(api, call):
    token_id = await call.create()
    api.authorize(token_id, services=["Database"])
    api.advance(3600)
    reply = await call(CONNECT, token_id)
    assert (reply.status, reply.codes) == (400, [17304])


async def test_a_token_can_be_made_to_expire(api, call):
    token_id = await call.create()
    api.expire(token_id)
    assert api.token_state(token_id) is TokenState.EXPIRED
    assert (await call(CONNECT, token_id)).codes == [17304]


async def test_a_token_of_another_account_is_not_found(api, call):
    token_id = await call.create()
    api.authorize(token_id, services=["Database"])
    assert (await call(CONNECT, token_id, account_id=api.add_account())).status == 404


@pytest.mark.parametrize(
    "spell", [str, lambda token: str(uuid.UUID(token)), lambda token: token.upper()], ids=["hex", "dashed", "upper"]
)
async def test_both_spellings_of_a_token_are_accepted(api, call, spell):
    token_id = await call.create()
    api.authorize(spell(token_id), services=["Database"])
    assert (await call(CONNECT, spell(token_id))).status == 200


@pytest.mark.parametrize(
    ("style", "pattern"),
    [(IdStyle.HEX, "[0-9a-f]{32}"), (IdStyle.DASHED, "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")],
    ids=["hex", "dashed"],
)
async def test_ids_have_the_chosen_spelling(caller_of, style, pattern):
    async with Emulator(id_style=style) as api:
        call = caller_of(api)
        token_id = await call.create()
        api.authorize(token_id, services=["Database"])
        destination_id = (await call(CONNECT, token_id)).json["result"]["id"]
        for spelled in (token_id, destination_id, api.services()[0].id):
            assert re.fullmatch(pattern, spelled)
        assert re.fullmatch("[0-9a-f]{32}", api.account_id)


async def test_an_account_without_the_plan_is_not_entitled(api, call):
    reply = await call(LIST, account_id=api.add_account(entitled=False))
    assert (reply.status, reply.codes) == (403, [17200])
    assert reply.json["errors"][0]["message"] == "account is not entitled to PagerDuty: it needs a Business zone"


async def test_an_integration_token_that_does_not_exist_is_not_found(call):
    reply = await call(CONNECT, "f174e90afafe4643bbbc4a0ed4fc8415")
    assert reply.status == 404
    assert reply.json["errors"][0]["message"] == "PagerDuty integration token not found"


@pytest.mark.parametrize("account_id", ["0" * 32, "nonsense", "A" * 32])
async def test_an_unknown_or_malformed_account_is_not_found(call, account_id):
    reply = await call(LIST, account_id=account_id)
    assert (reply.status, reply.codes) == (404, [7003])


@pytest.mark.parametrize(
    "path",
    [
        "/client/v4",
        "/client/v4/accounts",
        "/client/v4/accounts//alerting/v3/destinations/pagerduty",
        "/client/v4/zones",
        "/client/v4/accounts/{account}/alerting/v3/destinations",
        "/client/v4/accounts/{account}/alerting/v3/destinations/pagerduty/",
        "/client/v4/accounts/{account}/alerting/v3/destinations/pagerduty/connect/",
        "/client/v4/accounts/{account}/alerting/v3/destinations/pagerduty/connect/a/b",
        "/client/v4/accounts/{account}/alerting/v3/destinations/webhooks",
    ],
)
async def test_an_unknown_path_is_not_found(api, call, path):
    reply = await call.raw("GET", path.replace("{account}", api.account_id))
    assert (reply.status, reply.codes) == (404, [7003])
    assert reply.json["errors"][0]["message"] == "No route for the URI"


@pytest.mark.parametrize(
    ("operation", "method", "allow"),
    [
        (LIST, "PUT", "DELETE, GET, HEAD, OPTIONS"),
        (LIST, "POST", "DELETE, GET, HEAD, OPTIONS"),
        (CREATE, "GET", "OPTIONS, POST"),
        (CONNECT, "POST", "GET, OPTIONS"),
        (CONNECT, "PATCH", "GET, OPTIONS"),
    ],
)
async def test_a_wrong_method_gets_405_in_an_envelope(call, operation, method, allow):
    reply = await call(operation, "a" * 32, method=method)
    assert (reply.status, reply.headers["Allow"], reply.json["success"]) == (405, allow, False)


async def test_head_of_the_list_has_the_headers_of_get_and_no_body(call):
    head, got = await call(LIST, method="HEAD"), await call(LIST)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == got.headers["Content-Length"]


async def test_head_of_connect_does_not_connect(api, call):
    token_id = await call.create()
    api.authorize(token_id, services=["Database"])
    assert (await call(CONNECT, token_id, method="HEAD")).status == 405
    assert api.token_state(token_id) is TokenState.AUTHORIZED


async def test_options_lists_the_methods_without_credentials(call):
    reply = await call(LIST, method="OPTIONS", headers={})
    assert (reply.status, reply.headers["Allow"]) == (204, "DELETE, GET, HEAD, OPTIONS")


async def test_options_of_an_unknown_path_is_not_found(call):
    assert (await call.raw("OPTIONS", "/client/v4/nowhere")).status == 404


async def test_every_response_has_its_own_ray_id(call):
    rays = [(await call(LIST)).headers["CF-Ray"], (await call.raw("GET", "/nowhere")).headers["CF-Ray"]]
    assert all(re.fullmatch("[0-9a-f]{16}-[A-Z]{3}", ray) for ray in rays)
    assert rays[0] != rays[1]


async def test_only_the_authentication_error_lacks_messages_and_result(call):
    bare = await call(LIST, headers={"Authorization": "Bearer unknown"})
    assert bare.json == {"success": False, "errors": [{"code": 10000, "message": "Authentication error"}]}
    full = (await call(LIST, account_id="nowhere")).json
    assert set(full) == {"success", "errors", "messages", "result"}
    assert (full["messages"], full["result"]) == ([], None)


@pytest.mark.parametrize(
    ("forms", "names"),
    [(["full-failures"], {"success", "errors", "messages", "result"}), (["no-full-failures"], {"success", "errors"})],
    ids=["full", "bare"],
)
async def test_a_dialect_gives_all_failures_the_same_form(caller_of, forms, names):
    async with Emulator(dialect=Dialect.of(*forms)) as api:
        call = caller_of(api)
        assert set((await call(LIST, headers={"Authorization": "Bearer unknown"})).json) == names
        assert set((await call(LIST, account_id="nowhere")).json) == names


def test_a_dialect_is_named_by_its_forms():
    dialect = Dialect.of("null-lists", "no-list-result-info", "delete-result-info")
    assert dialect == Dialect(null_lists=True, list_result_info=False, delete_result_info=True)
    assert Dialect.of() == Dialect()
    with pytest.raises(EmulatorUsageError, match="no form 'unknown' of responses: use full-failures, null-lists"):
        Dialect.of("unknown")


async def test_dialects_change_the_form_of_responses(caller_of):
    dialect = Dialect(full_failures=True, null_lists=True, list_result_info=False, delete_result_info=True)
    async with Emulator(dialect=dialect) as api:
        call = caller_of(api)
        assert (await call(LIST, account_id="nowhere")).json["messages"] == []
        listed = (await call(LIST)).json
        assert listed["result"] is None
        assert "result_info" not in listed
        api.add_service("Database")
        nothing_left = {"count": 0, "page": 1, "per_page": 20, "total_count": 0}
        assert (await call(DELETE)).json == {
            "success": True,
            "errors": [],
            "messages": [],
            "result": None,
            "result_info": nothing_left,
        }


async def test_a_list_has_the_number_of_services(api, call):
    for number in range(21):
        api.add_service(f"Service {number}")
    info = (await call(LIST)).json["result_info"]
    assert info == {"count": 21, "page": 1, "per_page": 21, "total_count": 21}


async def test_an_unexpected_body_is_ignored(call):
    reply = await call.raw("POST", call.path(CREATE), data=b"[" * 100_000)
    assert reply.status == 201


async def test_an_oversized_body_is_refused_in_an_envelope(call):
    reply = await call.raw("POST", call.path(CREATE), data=io.BytesIO(bytes(2_000_000)))
    assert (reply.status, reply.json["success"]) == (413, False)


async def test_the_same_seed_gives_the_same_ids(caller_of):
    seen = []
    for _ in range(2):
        async with Emulator(seed=7) as api:
            seen.append((api.account_id, api.api_token, await caller_of(api).create()))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("seed", [7, None])
async def test_new_accounts_and_credentials_differ_from_the_default_ones(seed):
    async with Emulator(seed=seed) as api:
        for _ in range(2):
            assert len({api.account_id, *(api.add_account() for _ in range(3))}) == 4
            assert len({api.api_token, *(api.add_api_token() for _ in range(3))}) == 4
            api.reset()


async def test_reset_restores_the_initial_state_at_the_same_url(api, call):
    before = (api.url, api.account_id, api.api_token)
    api.add_service("Database")
    token_id = await call.create()
    other = api.add_account()
    api.reset()
    assert (api.url, api.account_id, api.api_token) == before
    assert await call.names() == []
    assert (await call(CONNECT, token_id)).status == 404
    assert (await call(LIST, account_id=other)).status == 404
    assert len(api.requests) == 3


@pytest.mark.parametrize(
    ("misuse", "complaint"),
    [
        (lambda api: api.authorize("f" * 32, ["A"]), "no such integration token"),
        (lambda api: api.services("f" * 32), "no account"),
        (lambda api: api.add_service(" "), "blank"),
        (lambda api: api.add_account("F" * 32), "32 lower-case"),
        (lambda api: api.add_account(api.account_id), "exists already"),
        (lambda api: api.add_account(services="Database"), "list of names"),
        (lambda api: api.advance(-1), "finite and not negative"),
        (lambda api: api.advance(float("nan")), "finite and not negative"),
    ],
    ids=["token", "account", "service", "malformed", "taken", "string", "backward", "nan"],
)
async def test_misuse_has_a_readable_message(api, misuse, complaint):
    with pytest.raises(EmulatorUsageError, match=complaint):
        misuse(api)


async def test_authorizing_takes_at_least_one_service(api, call):
    token_id = await call.create()
    with pytest.raises(EmulatorUsageError, match="at least one service"):
        api.authorize(token_id, services=[])


async def test_a_used_token_cannot_be_authorized_again(api, call):
    token_id = await call.create()
    api.authorize(token_id, services=["Database"])
    await call(CONNECT, token_id)
    with pytest.raises(EmulatorUsageError, match="used"):
        api.authorize(token_id, services=["Website"])


async def test_secrets_do_not_show_in_representations(api, call):
    token_id = await call.create()
    secret = api.add_api_token(permissions=[Permission.NOTIFICATIONS_READ])
    shown = repr([api.tokens(), api._state, api.requests])
    assert token_id not in shown
    assert secret not in shown
    assert api.api_token not in shown

"""Who may do what."""

from __future__ import annotations

import pytest

from pagerduty_alerting.emulator import Operation, Permission

LIST, DELETE, CREATE, CONNECT = Operation.LIST, Operation.DELETE, Operation.CREATE, Operation.CONNECT


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 400, 9106),
        ({"X-Auth-Email": "a@example.com"}, 400, 9106),
        ({"X-Auth-Key": "0" * 37}, 400, 9106),
        ({"Authorization": "Bearer"}, 400, 6003),
        ({"Authorization": "Bearer two words"}, 400, 6003),
        ({"Authorization": "Basic abc"}, 400, 6003),
        ({"Authorization": ""}, 400, 6003),
        ({"Authorization": "Bearer unknown"}, 401, 10000),
        ({"X-Auth-Email": "a@example.com", "X-Auth-Key": "0" * 37}, 403, 9103),
        ({"X-Auth-Email": "nobody", "X-Auth-Key": "0" * 37}, 400, 6003),
        ({"X-Auth-Email": "a@example.com", "X-Auth-Key": "short"}, 400, 6003),
    ],
)
async def test_bad_credentials_get_cloudflares_code(call, headers, status, code):
    reply = await call(LIST, headers=headers)
    assert (reply.status, reply.codes) == (status, [code])


async def test_a_malformed_header_is_named_in_the_error_chain(call):
    reply = await call(LIST, headers={"X-Auth-Email": "nobody", "X-Auth-Key": "short"})
    chain = reply.json["errors"][0]["error_chain"]
    assert [link["code"] for link in chain] == [6102, 6103]


async def test_the_scheme_is_understood_in_any_case(api, call):
    assert (await call(LIST, headers={"authorization": f"bearer {api.api_token}"})).status == 200


@pytest.mark.parametrize(
    ("permission", "may_write"),
    [
        (Permission.NOTIFICATIONS_READ, False),
        (Permission.ACCOUNT_SETTINGS_READ, False),
        (Permission.ZERO_TRUST_PII_READ, False),
        (Permission.NOTIFICATIONS_WRITE, True),
        (Permission.ACCOUNT_SETTINGS_WRITE, True),
    ],
)
async def test_each_permission_opens_its_operations(api, call, permission, may_write):
    headers = {"Authorization": f"Bearer {api.add_api_token(permissions=[permission])}"}
    expected = {LIST: 200, CREATE: 201 if may_write else 403, DELETE: 200 if may_write else 403}
    assert {operation: (await call(operation, headers=headers)).status for operation in expected} == expected


async def test_connecting_needs_permission_to_write_and_changes_nothing_without(api, call):
    token_id = await call.create()
    api.authorize(token_id, services=["Database"])
    reader = {"Authorization": f"Bearer {api.add_api_token(permissions=[Permission.NOTIFICATIONS_READ])}"}
    refused = await call(CONNECT, token_id, headers=reader)
    assert (refused.status, refused.codes) == (403, [10000])
    assert api.services() == []


async def test_no_permission_at_all_opens_nothing(api, call):
    headers = {"Authorization": f"Bearer {api.add_api_token(permissions=[])}"}
    assert (await call(LIST, headers=headers)).status == 403


async def test_a_token_for_some_accounts_opens_no_other(api, call):
    mine, other = api.add_account(), api.add_account()
    headers = {"Authorization": f"Bearer {api.add_api_token(accounts={mine})}"}
    assert (await call(LIST, account_id=mine, headers=headers)).status == 200
    refused = await call(LIST, account_id=other, headers=headers)
    assert (refused.status, refused.codes) == (403, [10000])


async def test_a_key_goes_with_its_email_in_any_case(api, call):
    key = api.add_api_key("Someone@Example.com")
    good = {"X-Auth-Email": "someone@example.com", "X-Auth-Key": key}
    assert (await call(CREATE, headers=good)).status == 201
    bad = {"X-Auth-Email": "another@example.com", "X-Auth-Key": key}
    assert (await call(CREATE, headers=bad)).status == 403


async def test_a_key_can_be_for_reading_alone(api, call):
    key = api.add_api_key("reader@example.com", permissions=[Permission.NOTIFICATIONS_READ])
    headers = {"X-Auth-Email": "reader@example.com", "X-Auth-Key": key}
    assert (await call(LIST, headers=headers)).status == 200
    assert (await call(CREATE, headers=headers)).status == 403

"""Credentials and permissions."""

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
        ({"X-Auth-Email": "malformed", "X-Auth-Key": "0" * 37}, 400, 6003),
        ({"X-Auth-Email": "a@example.com", "X-Auth-Key": "short"}, 400, 6003),
    ],
)
async def test_invalid_credentials_get_cloudflares_code(call, headers, status, code):
    reply = await call(LIST, headers=headers)
    assert (reply.status, reply.codes) == (status, [code])


async def test_a_malformed_header_is_named_in_the_error_chain(call):
    reply = await call(LIST, headers={"X-Auth-Email": "malformed", "X-Auth-Key": "short"})
    chain = reply.json["errors"][0]["error_chain"]
    assert [link["code"] for link in chain] == [6102, 6103]


FORMS_OF_TOKENS = [
    "v1.0-0123456789abcdef",
    "Sn3lZJTBX6kkg7OdcBUAxOO963GEIyGQqnFTOFYY",
    "cfut_Sn3lZJTBX6kkg7OdcBUAxOO963GEIyGQqnFTOFYY1a2b3c4d",
    "cfat_Sn3lZJTBX6kkg7OdcBUAxOO963GEIyGQqnFTOFYY1a2b3c4d",
]
FORMS_OF_KEYS = [
    "144c9defac04969c7bfad8efaa8ea194",
    "c2547eb745079dac9320b638f5e225cf483cc",
    "c2547eb745079dac9320b638f5e225cf483cc5cfdde41",
    "cfk_Sn3lZJTBX6kkg7OdcBUAxOO963GEIyGQqnFTOFYY1a2b3c4d",
]


@pytest.mark.parametrize("token", FORMS_OF_TOKENS)
async def test_a_token_of_every_form_works_and_is_refused_as_a_key(api, call, token):
    unknown = await call(LIST, headers={"Authorization": f"Bearer {token}"})
    assert (unknown.status, unknown.codes) == (401, [10000])
    api.add_api_token(token=token)
    assert (await call(LIST, headers={"Authorization": f"Bearer {token}"})).status == 200
    as_key = await call(LIST, headers={"X-Auth-Email": "user@example.com", "X-Auth-Key": token})
    assert (as_key.status, as_key.json["errors"]) == (400, [invalid_headers(6103, "X-Auth-Key")])


@pytest.mark.parametrize("key", FORMS_OF_KEYS)
async def test_a_key_of_every_form_works_and_is_refused_as_a_token(api, call, key):
    headers = {"X-Auth-Email": "user@example.com", "X-Auth-Key": key}
    unknown = await call(LIST, headers=headers)
    assert (unknown.status, unknown.codes) == (403, [9103])
    api.add_api_key("user@example.com", key=key)
    assert (await call(LIST, headers=headers)).status == 200
    as_token = await call(LIST, headers={"Authorization": f"Bearer {key}"})
    assert (as_token.status, as_token.json["errors"]) == (400, [invalid_headers(6111, "Authorization")])


def invalid_headers(code, name):
    chain = [{"code": code, "message": f"Invalid format for {name} header"}]
    return {"code": 6003, "message": "Invalid request headers", "error_chain": chain}


async def test_the_scheme_is_case_insensitive(api, call):
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
async def test_each_permission_allows_its_operations(api, call, permission, may_write):
    headers = {"Authorization": f"Bearer {api.add_api_token(permissions=[permission])}"}
    expected = {LIST: 200, CREATE: 201 if may_write else 403, DELETE: 200 if may_write else 403}
    assert {operation: (await call(operation, headers=headers)).status for operation in expected} == expected


async def test_connect_without_write_permission_changes_nothing(api, call):
    token_id = await call.create()
    api.authorize(token_id, services=["Database"])
    reader = {"Authorization": f"Bearer {api.add_api_token(permissions=[Permission.NOTIFICATIONS_READ])}"}
    refused = await call(CONNECT, token_id, headers=reader)
    assert (refused.status, refused.codes) == (403, [10000])
    assert api.services() == []


async def test_a_token_without_permissions_allows_nothing(api, call):
    headers = {"Authorization": f"Bearer {api.add_api_token(permissions=[])}"}
    assert (await call(LIST, headers=headers)).status == 403


async def test_a_token_for_some_accounts_is_invalid_for_others(api, call):
    first, second = api.add_account(), api.add_account()
    headers = {"Authorization": f"Bearer {api.add_api_token(accounts={first})}"}
    assert (await call(LIST, account_id=first, headers=headers)).status == 200
    refused = await call(LIST, account_id=second, headers=headers)
    assert (refused.status, refused.codes) == (403, [9109])
    assert refused.json["errors"][0]["message"] == "Unauthorized to access requested resource"


async def test_the_email_of_a_key_is_case_insensitive(api, call):
    key = api.add_api_key("Someone@Example.com")
    good = {"X-Auth-Email": "someone@example.com", "X-Auth-Key": key}
    assert (await call(CREATE, headers=good)).status == 201
    bad = {"X-Auth-Email": "another@example.com", "X-Auth-Key": key}
    assert (await call(CREATE, headers=bad)).status == 403


async def test_a_key_can_be_read_only(api, call):
    key = api.add_api_key("reader@example.com", permissions=[Permission.NOTIFICATIONS_READ])
    headers = {"X-Auth-Email": "reader@example.com", "X-Auth-Key": key}
    assert (await call(LIST, headers=headers)).status == 200
    assert (await call(CREATE, headers=headers)).status == 403

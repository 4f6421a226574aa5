"""The initial state, from Python and from JSON."""

import json
from pathlib import Path

import pytest

from pagerduty_alerting.emulator import (
    Emulator,
    EmulatorUsageError,
    InitialAccount,
    InitialApiToken,
    InitialIntegrationToken,
    InitialState,
    Operation,
    Permission,
    TokenState,
)

FIRST, SECOND = "1" * 32, "2" * 32
SEED = {
    "accounts": [
        {"id": FIRST, "services": ["Primary on-call"]},
        {"id": SECOND, "entitled": False},
        {"services": ["Website"]},
    ],
    "api_tokens": [
        {"token": "writer"},
        {"token": "reader", "permissions": ["Notifications Read"], "accounts": [FIRST]},
    ],
    "api_keys": [{"email": "Someone@example.com", "key": "0" * 37, "permissions": ["Account Settings Write"]}],
}


async def test_a_seed_fills_the_emulator_and_its_first_entries_are_the_defaults(caller_of):
    async with Emulator(initial_state=InitialState.from_json(json.dumps(SEED))) as api:
        call = caller_of(api)
        assert (api.account_id, api.api_token) == (FIRST, "writer")
        assert await call.names() == ["Primary on-call"]
        assert (await call(Operation.LIST, account_id=SECOND)).status == 403
        assert len(api.accounts()) == 3
        reader = {"Authorization": "Bearer reader"}
        statuses = [(await call(it, headers=reader)).status for it in (Operation.LIST, Operation.CREATE)]
        assert statuses == [200, 403]
        keyed = {"X-Auth-Email": "someone@example.com", "X-Auth-Key": "0" * 37}
        assert (await call(Operation.CREATE, headers=keyed)).status == 201


async def test_reset_restores_the_seed(caller_of):
    initial = InitialState(accounts=(InitialAccount(services=("Database",)),), api_tokens=(InitialApiToken("mine"),))
    async with Emulator(initial_state=initial) as api:
        call = caller_of(api)
        await call(Operation.DELETE)
        api.reset()
        assert await call.names() == ["Database"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nonsense", "not JSON"),
        ('{"accounts": {}}', r"accounts"),
        ('{"account": []}', "unknown fields account"),
        ('{"accounts": [{"id": 5}]}', r"expected a string, not 5 @ \$\.accounts\[0\]\.id"),
        ('{"api_tokens": [{}]}', r"required field missing @ \$\.api_tokens\[0\]\.token"),
        ('{"api_tokens": [{"token": "a", "permissions": ["Everything"]}]}', "not 'Everything'"),
        (
            '{"accounts": [{"id": 5, "name": "a"}]}',
            r"not 5 @ \$\.accounts\[0\]\.id; unknown fields name @ \$\.accounts",
        ),
    ],
)
def test_a_seed_of_the_wrong_shape_is_refused_with_its_location(tmp_path, text, complaint):
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(EmulatorUsageError, match=complaint) as caught:
        InitialState.from_file(path)
    assert str(path) in str(caught.value)


def test_an_unreadable_seed_is_a_usage_error(tmp_path):
    with pytest.raises(EmulatorUsageError, match="cannot be read"):
        InitialState.from_file(tmp_path / "missing.json")


def test_a_seed_with_the_same_account_twice_is_refused():
    twice = InitialState(accounts=(InitialAccount(FIRST), InitialAccount(FIRST)))
    with pytest.raises(EmulatorUsageError, match="exists already"):
        Emulator(initial_state=twice)


EXAMPLE = Path(__file__).parents[2] / "examples" / "emulator_seed.json"


async def test_the_example_of_a_seed_fills_the_emulator(caller_of):
    async with Emulator(initial_state=InitialState.from_file(EXAMPLE)) as api:
        call = caller_of(api)
        assert [service.name for service in api.services()] == ["Primary on-call", "Database"]
        assert [api.token_state(token) for token in api.tokens()] == ["authorized", "pending", "expired"]
        keyed = {"X-Auth-Email": "user@example.com", "X-Auth-Key": "144c9defac04969c7bfad8efaa8ea194"}
        ready = await call(Operation.CONNECT, "f174e90a-fafe-4643-bbbc-4a0ed4fc8415", headers=keyed)
        assert ready.status == 200
        assert await call.names() == ["Primary on-call", "Database", "Website"]
        assert (await call(Operation.LIST, account_id=api.accounts()[1].id)).codes == [17200]


@pytest.mark.parametrize("stage", list(TokenState))
async def test_an_integration_token_can_start_in_every_stage(caller_of, stage):
    services = ("Database",) if stage in {TokenState.AUTHORIZED, TokenState.USED} else ()
    token = InitialIntegrationToken("a" * 32, state=stage, services=services)
    async with Emulator(initial_state=InitialState(integration_tokens=(token,))) as api:
        api.advance(5)
        api.reset()
        assert api.token_state("a" * 32) is stage
        statuses = {"pending": 400, "authorized": 200, "used": 409, "expired": 400}
        assert (await caller_of(api)(Operation.CONNECT, "a" * 32)).status == statuses[stage]


async def test_an_initial_integration_token_expires_and_belongs_to_its_account(caller_of):
    accounts = (InitialAccount(FIRST), InitialAccount(SECOND))
    token = InitialIntegrationToken(account_id=SECOND, state=TokenState.AUTHORIZED, services=("Website",))
    initial = InitialState(accounts=accounts, integration_tokens=(token,))
    async with Emulator(initial_state=initial, clock=lambda: 0.0, token_lifetime=10.0) as api:
        token_id = api.tokens()[0].id
        assert (await caller_of(api)(Operation.CONNECT, token_id)).status == 404
        assert (await caller_of(api)(Operation.CONNECT, token_id, account_id=SECOND)).status == 200
        api.reset()
        api.advance(10)
        assert api.token_state(api.tokens()[0]) is TokenState.EXPIRED


@pytest.mark.parametrize(
    ("tokens", "complaint"),
    [
        ([{"id": "mine"}], "integration token 1 is not a UUID"),
        ([{"id": "a" * 32}, {"id": "A" * 32}], "integration token 2 is given twice"),
        ([{"state": "authorized"}], "authorized needs services"),
        ([{"state": "used"}], "used needs services"),
        ([{"services": ["Database"]}], "pending has no services"),
        ([{"account_id": FIRST}], "no account"),
        ([{"state": "new"}], "new"),
    ],
)
def test_an_invalid_integration_token_is_refused(tokens, complaint):
    with pytest.raises(EmulatorUsageError, match=complaint):
        Emulator(initial_state=InitialState.from_json(json.dumps({"integration_tokens": tokens})))


def test_permissions_of_a_seed_are_named_as_in_the_dashboard():
    token = InitialState.from_json(json.dumps(SEED)).api_tokens[1]
    assert token.permissions == (Permission.NOTIFICATIONS_READ,)

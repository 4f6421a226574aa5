"""What an emulator starts with, from Python and from JSON."""

from __future__ import annotations

import json

import pytest

from pagerduty_alerting.emulator import (
    Emulator,
    EmulatorUsageError,
    InitialAccount,
    InitialApiToken,
    InitialState,
    Operation,
    Permission,
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


async def test_reset_goes_back_to_the_seed(caller_of):
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
    ],
)
def test_a_seed_of_the_wrong_shape_is_refused_with_the_place(tmp_path, text, complaint):
    path = tmp_path / "state.json"
    path.write_text(text)
    with pytest.raises(EmulatorUsageError, match=complaint) as caught:
        InitialState.from_file(path)
    assert str(path) in str(caught.value)


def test_a_seed_that_cannot_be_read_is_told_in_words(tmp_path):
    with pytest.raises(EmulatorUsageError, match="cannot be read"):
        InitialState.from_file(tmp_path / "missing.json")


def test_a_seed_with_the_same_account_twice_is_refused():
    twice = InitialState(accounts=(InitialAccount(FIRST), InitialAccount(FIRST)))
    with pytest.raises(EmulatorUsageError, match="exists already"):
        Emulator(initial_state=twice)


def test_permissions_of_a_seed_are_the_words_of_the_dashboard():
    token = InitialState.from_json(json.dumps(SEED)).api_tokens[1]
    assert token.permissions == (Permission.NOTIFICATIONS_READ,)

"""A test suite in which pytest-timeout ends one test during a call; the other tests use the same client."""

import caller
import pytest


@pytest.mark.timeout(1, method="signal")
def test_that_exceeds_its_timeout() -> None:
    caller.names(caller.HANGING_ACCOUNT)


@pytest.mark.parametrize("account_id", caller.account_ids())
def test_after_it(account_id: str) -> None:
    names = caller.names(account_id)
    assert [name.split(" ")[0] for name in names] == [account_id] * (1 + int(account_id, 16) % 3)

"""Programs that make calls in greenlets of gevent or eventlet; `programs/greenlets.py` describes the cases."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.hosts.harness import account_ids, answers_of, check, needs

HOSTS = [pytest.param(host, marks=needs(host)) for host in ("gevent", "eventlet")]

CASES = {
    "patched_first": 320,
    "patched_late": 320,
    "patched_before_the_first_call": 320,
    "not_patched": 320,
    "a_client_each": 64,
    "from_threads_too": 320,
    "timed_out": 320,
    "killed": 320,
    "forked": 320,
    "forked_during_calls": 320,
    "limited": 320,
}

BY_TLS = ["patched_first", "patched_late", "a_client_each"]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("host", HOSTS)
def test_every_call_returns_the_services_of_its_account(
    host: str, case: str, api: Mapping[str, str], tmp_path: Path
) -> None:
    check(answers_of("greenlets", host, case, environ=api, directory=tmp_path), account_ids(CASES[case]))


@pytest.mark.parametrize("case", BY_TLS)
@pytest.mark.parametrize("host", HOSTS)
def test_every_call_over_tls_returns_the_services_of_its_account(
    host: str, case: str, api_by_tls: Mapping[str, str], tmp_path: Path
) -> None:
    check(answers_of("greenlets", host, case, environ=api_by_tls, directory=tmp_path), account_ids(CASES[case]))

"""The Celery example runs in a real worker: a parent that made its client, and the processes that it forked."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pagerduty_alerting.emulator import Emulator
from tests.support.examples import EXAMPLES, load

celery = pytest.importorskip("celery", reason="the Celery example needs celery")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Celery's prefork pool needs fork")

Module = type(os)


@pytest.fixture
def tasks(named_api: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    """The module of the tasks, with a worker of two processes that runs them."""
    for name in ("messages", "control", "results"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("CELERY_BROKER_URL", "filesystem://")
    monkeypatch.setenv("CELERY_RESULT_BACKEND", f"file://{tmp_path / 'results'}")
    transport = {
        "data_folder_in": str(tmp_path / "messages"),
        "data_folder_out": str(tmp_path / "messages"),
        "control_folder": str(tmp_path / "control"),
    }
    settings = tmp_path / "celery_settings.py"
    settings.write_text(f"broker_transport_options = {transport!r}\n")
    program = (
        "import tasks_celery as tasks\n"
        "tasks.app.config_from_object('celery_settings')\n"
        "tasks.client.list_services()\n"  # the parent has connections when it forks
        "tasks.app.worker_main(['worker', '--pool=prefork', '--concurrency=2', '--loglevel=WARNING'])\n"
    )
    path = os.pathsep.join([str(EXAMPLES), str(tmp_path)])
    worker = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path, "C_FORCE_ROOT": "1"}
    )
    module = load("tasks_celery")
    module.app.conf.broker_transport_options = transport
    try:
        yield module
    finally:
        module.client.close()
        module.app.close()
        worker.terminate()
        worker.wait(60)


def test_a_forked_worker_lists_services(named_api: Emulator, tasks: Module) -> None:
    waiting = [tasks.names_of_services.delay(named_api.account_id) for _ in range(6)]

    assert [result.get(timeout=60) for result in waiting] == [["Primary on-call"]] * 6


def test_one_task_connects_pagerduty_and_another_disconnects_it(named_api: Emulator, tasks: Module) -> None:
    token = tasks.client.create_integration_token()
    named_api.authorize(token.id, services=["Database"])

    assert tasks.connect.delay(named_api.account_id, token.id).get(timeout=60)
    assert "Database" in [service.name for service in named_api.services()]
    tasks.disconnect.delay(named_api.account_id).get(timeout=60)
    assert named_api.services() == []

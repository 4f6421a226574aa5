"""The synchronous client in a real Jupyter kernel, whose main thread is always running an event loop."""

import json
import sys
from pathlib import Path

import pytest

from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.scripts import ROOT

SETUP = """
import asyncio, threading
asyncio.get_running_loop()  # fails if no loop is running
from pagerduty_alerting import Client
client = Client()
"""


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes this Python the kernel of notebooks, and keeps Jupyter away from the user's files."""
    directory = tmp_path / "kernels" / "here"
    directory.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (directory / "kernel.json").write_text(json.dumps({"argv": command, "display_name": "here", "language": "python"}))
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))


def run_notebook(*cells: str) -> list[str]:
    """Runs a notebook and returns what each cell printed."""
    # Imported here, because every worker imports the modules of tests.
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbclient.NotebookClient(notebook, kernel_name="here", timeout=60).execute()
    return ["".join(output.get("text", "") for output in cell.outputs) for cell in notebook.cells]


@pytest.mark.usefixtures("kernels")
@pytest.mark.filterwarnings("default")  # those of the kernel's client
def test_the_job_runs_in_a_notebook(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator.add_service("Website")
    for name, value in {**emulator.environ, "PYTHONPATH": str(ROOT)}.items():
        monkeypatch.setenv(name, value)
    outputs = run_notebook(
        SETUP,
        "print([service.name for service in client.list_services()])",
        "client.delete_services(); print(client.list_services())",
        "client.close(); print([t.name for t in threading.enumerate() if 'pagerduty' in t.name])",
    )
    assert outputs == ["", "['Website']\n", "[]\n", "[]\n"]
    emulator.requests.assert_operations(Operation.LIST, Operation.DELETE, Operation.LIST)

"""The notebook in examples/ runs from top to bottom in a real kernel, whose main thread always runs an event loop."""

from pathlib import Path

import pytest

from pagerduty_alerting.emulator import Emulator, Operation
from tests.support.examples import EXAMPLES

IS_RUNNING = "import asyncio; asyncio.get_running_loop().is_running()"
DELETE = "client.delete_services(); [service.name for service in client.list_services()]"
THREADS = "import threading; [thread.name for thread in threading.enumerate() if 'pagerduty' in thread.name]"


@pytest.fixture
def _own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps Jupyter away from the user's files."""
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path))


@pytest.mark.usefixtures("_own_files")
@pytest.mark.filterwarnings("default")  # those of the kernel and its client
def test_the_notebook_runs_and_shows_no_token(named_api: Emulator) -> None:
    # Imported here, because every worker imports the modules of tests.
    nbformat, nbclient, _ = (
        pytest.importorskip(name, reason="the notebook needs nbclient and ipykernel")
        for name in ("nbformat", "nbclient", "ipykernel")
    )
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    before_the_end = len(notebook.cells) - 1
    for at, added in ((0, IS_RUNNING), (before_the_end + 1, DELETE), (before_the_end + 3, THREADS)):
        notebook.cells.insert(at, nbformat.v4.new_code_cell(added))

    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()

    shown = [
        output["data"]["text/plain"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "data" in output
    ]
    assert shown[:3] == ["True", "['Primary on-call']", "['Primary on-call']"]
    assert shown[-2:] == ["[]", "[]"]
    assert named_api.tokens()[0].id not in str(notebook)
    assert [request.operation for request in named_api.requests][-2:] == [Operation.DELETE, Operation.LIST]

"""The notebook in examples/ runs from top to bottom in a real kernel, whose loop is running all the time."""

import pytest

from pagerduty_alerting.emulator import Emulator
from tests.support.examples import EXAMPLES


@pytest.mark.filterwarnings("default")  # the kernel's own
def test_the_notebook_runs_and_shows_no_token(named_api: Emulator) -> None:
    # Imported here, because every worker imports the modules of tests.
    nbformat, nbclient, _ = (
        pytest.importorskip(name, reason="the notebook needs nbclient and ipykernel")
        for name in ("nbformat", "nbclient", "ipykernel")
    )
    notebook = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)

    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()

    shown = [
        output["data"]["text/plain"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "data" in output
    ]
    assert shown[:2] == ["['Primary on-call']"] * 2
    assert named_api.tokens()[0].id not in str(notebook)

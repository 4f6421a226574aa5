"""Waits until a process waits: the moment at which a signal is sure to be noticed."""

import os
import time
from pathlib import Path

_PATIENCE = 120.0


def wait_until_asleep(pid: int) -> None:
    """Returns when the main thread of a process sleeps in a system call; at once where there is no `/proc`.

    Python attends to signals between two steps of a program. One that comes after the last step before a read or a
    select waits until that is over. A person does not hit this moment; a test that answers to what the process has just
    written or sent does, once in some dozens of runs on a busy machine.
    """
    status = Path(f"/proc/{pid}/stat")
    deadline = time.monotonic() + _PATIENCE
    times = 0
    while status.exists() and times < 3 and time.monotonic() < deadline:
        state = status.read_text().rpartition(")")[2].split()[0]
        if state in {"Z", "X"}:  # it has ended
            return
        times = times + 1 if state == "S" else 0
        os.sched_yield()

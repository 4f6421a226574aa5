"""Waits until a process waits, so that a signal is handled at once."""

import os
import time
from pathlib import Path

_PATIENCE = 120.0


def wait_until_asleep(pid: int) -> None:
    """Returns when the main thread of a process sleeps in a system call; at once where there is no `/proc`.

    Python calls signal handlers between two steps of a program. A signal between the last step and a following read or
    select is handled only after that. A test that sends one in response to output of the process hits this moment once
    in some dozens of runs on a busy machine.
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

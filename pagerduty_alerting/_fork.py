"""Keeps a forked child off its parent's event loops and connections."""

import os
import weakref
from typing import Protocol


class ForkAware(Protocol):
    """Something that holds what a child must not share with its parent."""

    def after_fork_in_child(self) -> None:
        """Lets go of all that is the parent's, without touching it."""


_aware: "weakref.WeakSet[ForkAware]" = weakref.WeakSet()


def register(holder: ForkAware) -> None:
    """Has `after_fork_in_child` called in every child that is forked while the holder lives."""
    _aware.add(holder)


def never_finalize(*things: object) -> None:
    """Keeps objects of the parent's from ever being finalized in this process, not even when it exits.

    Their finalizers would reach the parent: a loop that is closed takes its file descriptors out of the epoll set that
    both processes share, and a TLS connection that is closed says goodbye to the server in the parent's name.
    """
    import ctypes  # only a forked child needs it

    for thing in things:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _after_fork_in_child() -> None:
    for holder in list(_aware):
        holder.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)

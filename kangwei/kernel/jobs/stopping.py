"""Whether this worker has been asked to stop: long work asks between its steps."""

from __future__ import annotations

import threading

#: Also handed to threads that wait for it on their own.
event = threading.Event()


def request() -> None:
    event.set()


def requested() -> bool:
    return event.is_set()


def wait(seconds: float) -> bool:
    """Sleep, but wake up when the worker is to stop; answers whether it is."""
    return event.wait(seconds)


def clear() -> None:
    """For tests, which run several workers in one process."""
    event.clear()

"""Whether this worker has been asked to stop: long work asks between its steps."""

from __future__ import annotations

import threading

_stop = threading.Event()


def request() -> None:
    _stop.set()


def requested() -> bool:
    return _stop.is_set()


def wait(seconds: float) -> bool:
    """Sleep, but wake up when the worker is to stop; answers whether it is."""
    return _stop.wait(seconds)


def clear() -> None:
    """For tests, which run several workers in one process."""
    _stop.clear()

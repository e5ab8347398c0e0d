"""What every bench shares: a figure, its reference, its limit, and a way to measure.

Machines differ and are shared, so a figure alone says little: each stands beside a reference that
was measured in the same run, and the ratio is what is worth comparing between machines.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured value. `limit` is the most the product promises, in the same unit."""

    what: str
    value: float
    unit: str
    limit: float | None = None
    #: At least instead of at most.
    at_least: bool = False
    reference: str = ""
    reference_value: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.reference_value if self.reference_value else None

    @property
    def kept(self) -> bool:
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def line(self) -> str:
        parts = [f"  {self.what:<46} {self.value:>10.2f} {self.unit:<8}"]
        if self.ratio is not None:
            parts.append(f"{self.ratio:>8.2f} × {self.reference}")
        if self.limit is not None:
            sign = "≥" if self.at_least else "≤"
            verdict = "kept" if self.kept else "NOT KEPT"
            parts.append(f"  promise {sign} {self.limit:g}: {verdict}")
        return " ".join(parts)


def cpu_milliseconds(call: Callable[[], object], *, times: int = 20, warm: int = 3) -> float:
    """The median CPU time of this process for one call."""
    return _median(call, time.process_time, times, warm) * 1000


def wall_milliseconds(call: Callable[[], object], *, times: int = 20, warm: int = 3) -> float:
    """The median time on the wall for one call."""
    return _median(call, time.perf_counter, times, warm) * 1000


def seconds(call: Callable[[], object]) -> float:
    """The time on the wall of something that is done once."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _median(call: Callable[[], object], clock: Callable[[], float], times: int, warm: int) -> float:
    for _ in range(warm):
        call()
    taken = []
    for _ in range(times):
        began = clock()
        call()
        taken.append(clock() - began)
    return statistics.median(taken)

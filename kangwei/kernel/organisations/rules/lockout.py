"""When is a name or an address locked out, and until when? (登录锁定)

Failures are counted over a sliding window. Enough of them lock the name for a while, whether or
not such an account exists: an outsider must not learn which names are real.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class Limits:
    failures: int
    window: timedelta
    lock: timedelta


def locks_now(earlier_failures: Sequence[datetime], at: datetime, limits: Limits) -> bool:
    """Does a further failure at this moment lock? `earlier_failures` are those since the last
    success, lock or unlocking."""
    counted = sum(1 for failed_at in earlier_failures if at - failed_at < limits.window)
    return counted + 1 >= limits.failures


def failures_left(earlier_failures: Sequence[datetime], at: datetime, limits: Limits) -> int:
    """How many more failures are allowed before the lock falls, after one at this moment."""
    counted = sum(1 for failed_at in earlier_failures if at - failed_at < limits.window)
    return max(0, limits.failures - counted - 1)


def locked_until(locked_at: datetime | None, at: datetime, limits: Limits) -> datetime | None:
    """The end of a lock that still holds."""
    if locked_at is None or at >= locked_at + limits.lock:
        return None
    return locked_at + limits.lock

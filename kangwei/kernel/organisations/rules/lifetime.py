"""Has this session come to its end? (会话超时)"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal


def ended_because(
    *,
    started_at: datetime,
    seen_at: datetime,
    at: datetime,
    idle: timedelta,
    lifetime: timedelta,
) -> Literal["idle", "lifetime"] | None:
    """An unattended screen must not stay open, nor a busy one for ever."""
    if at - started_at >= lifetime:
        return "lifetime"
    if at - seen_at >= idle:
        return "idle"
    return None

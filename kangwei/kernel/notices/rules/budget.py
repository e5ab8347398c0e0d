"""How many calls may a channel make now, and what is done with the rest? (发送配额)

A DingTalk robot accepts 20 messages a minute and is then muted for ten minutes, so ours makes at
most 15 calls in **any** sixty seconds. The moments of the last minute's calls are kept and
counted: a bucket of 15 that refills at 15 a minute would let 29 calls through around its edge.

When more waits than may go, the highest go alone and the rest as one merged message (合并), or,
where a channel cannot merge, later. A few calls of the minute are kept back for urgent messages.
While the robot is muted (限流) urgent ones take another channel and the others wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

MINUTE = timedelta(minutes=1)
MUTED_FOR = timedelta(minutes=10)
URGENT = 3


@dataclass(frozen=True)
class Window:
    """The calls of the last minute, oldest first, and how long the channel is muted."""

    calls: tuple[datetime, ...] = ()
    muted_until: datetime | None = None

    def muted(self, at: datetime) -> bool:
        return self.muted_until is not None and at < self.muted_until

    def recent(self, at: datetime) -> tuple[datetime, ...]:
        return tuple(call for call in self.calls if at - call < MINUTE)

    def mute(self, at: datetime) -> Window:
        return Window(self.calls, at + MUTED_FOR)


@dataclass(frozen=True)
class Waiting:
    """One message that wants to go."""

    id: Any
    priority: int
    due_at: datetime


@dataclass(frozen=True)
class Plan:
    """What goes now (a group is one call), what takes another way, and when to look again."""

    groups: tuple[tuple[Waiting, ...], ...]
    diverted: tuple[Waiting, ...]
    window: Window
    look_again_at: datetime | None


def reserve(per_minute: int) -> int:
    """Calls of each minute kept for urgent messages: one in five."""
    return per_minute // 5


def plan(
    window: Window, waiting: Sequence[Waiting], *, per_minute: int, merges: bool, at: datetime
) -> Plan:
    """Highest priority first, then oldest; at most `per_minute` calls in any sixty seconds."""
    order = sorted(waiting, key=lambda item: (-item.priority, item.due_at))
    urgent = [item for item in order if item.priority >= URGENT]
    others = [item for item in order if item.priority < URGENT]
    recent = window.recent(at)
    if window.muted(at):
        again = window.muted_until if others else None
        return Plan((), tuple(urgent), Window(recent, window.muted_until), again)

    free = per_minute - len(recent)
    groups = _groups(urgent, free, merges)
    left_free = free - len(groups) - reserve(per_minute)
    groups += _groups(others, left_free, merges)
    sent = {item.id for group in groups for item in group}
    left = [item for item in order if item.id not in sent]
    calls = (*recent, *(at for _ in groups))
    again = calls[0] + MINUTE if left and calls else None
    return Plan(tuple(groups), (), Window(calls), again)


def _groups(items: Sequence[Waiting], room: int, merges: bool) -> list[tuple[Waiting, ...]]:
    if room <= 0 or not items:
        return []
    if len(items) <= room:
        return [(item,) for item in items]
    if not merges:
        return [(item,) for item in items[:room]]
    alone = [(item,) for item in items[: room - 1]]
    return [*alone, tuple(items[room - 1 :])]

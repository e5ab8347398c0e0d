"""Who must be told next, and when? (升级)

A policy is a ladder of levels, each due some minutes after the start. The clock of an escalation
(升级计时) runs while nobody has taken the matter. Whoever acknowledges it (认领) stops the clock
for a limited time; when that has passed without an end, the matter counts as unacknowledged again:
the last level is told once more and the clock runs on from where it stood. The last level told is
repeated every so many minutes while the clock runs. If a level's people could not be reached at
all, the next level is told at once.

State is a list of events; everything else is worked out from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

#: How long an acknowledgement holds unless the policy says otherwise.
ACKNOWLEDGED_FOR = timedelta(hours=2)


class Kind(StrEnum):
    """What can happen to an escalation."""

    STARTED = "started"
    TOLD = "told"
    REPEATED = "repeated"
    LAPSED = "lapsed"
    UNREACHED = "unreached"
    ACKNOWLEDGED = "acknowledged"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Policy:
    """Minutes after the start at which each level is due, in order; 0 repeats never."""

    after: tuple[timedelta, ...]
    repeat_every: timedelta = timedelta()

    @property
    def levels(self) -> int:
        return len(self.after)


@dataclass(frozen=True)
class Event:
    """One thing that happened; `until` is the end of an acknowledgement."""

    kind: Kind
    at: datetime
    level: int = 0
    until: datetime | None = None


@dataclass(frozen=True)
class Step:
    """What is due: tell a level for the first time, repeat it, or tell it that a claim lapsed.

    A claim that lapses before the first level was told (level 0) only sets the clock going.
    """

    kind: Literal[Kind.TOLD, Kind.REPEATED, Kind.LAPSED]
    level: int
    at: datetime


def level(events: Sequence[Event]) -> int:
    """The highest level told so far; 0 before the first."""
    return max((event.level for event in events if event.kind is Kind.TOLD), default=0)


def is_stopped(events: Sequence[Event]) -> bool:
    return any(event.kind is Kind.STOPPED for event in events)


def acknowledged_until(events: Sequence[Event]) -> datetime | None:
    """When the latest acknowledgement ends, unless that was already noticed."""
    until: datetime | None = None
    for event in events:
        if event.kind is Kind.ACKNOWLEDGED:
            until = event.until
        elif event.kind is Kind.LAPSED:
            until = None
    return until


def next_step(policy: Policy, events: Sequence[Event]) -> Step | None:
    """The next thing to do if nothing else happens; None when there is nothing left."""
    if is_stopped(events) or not events:
        return None
    told = level(events)
    until = acknowledged_until(events)
    if until is not None:
        return Step(Kind.LAPSED, told, until)
    steps: list[Step] = []
    if told < policy.levels:
        due = _when_elapsed(policy.after[told], events)
        unreached = [e.at for e in events if e.kind is Kind.UNREACHED and e.level == told]
        steps.append(Step(Kind.TOLD, told + 1, min([due, *unreached[:1]])))
    if told and policy.repeat_every:
        last = max(e.at for e in events if e.kind in (Kind.TOLD, Kind.REPEATED, Kind.LAPSED))
        steps.append(Step(Kind.REPEATED, told, last + policy.repeat_every))
    # A new level due at the same moment as a repeat makes the repeat superfluous.
    return min(steps, key=lambda step: (step.at, step.kind is Kind.REPEATED), default=None)


def _when_elapsed(needed: timedelta, events: Sequence[Event]) -> datetime:
    """The moment at which the clock, which stands still while acknowledged, shows `needed`."""
    moment = events[0].at
    held: datetime | None = None
    for event in events:
        if event.kind is Kind.ACKNOWLEDGED and held is None:
            if event.at - moment >= needed:
                break
            needed -= event.at - moment
            held = event.at
        elif event.kind is Kind.LAPSED and held is not None:
            moment, held = event.at, None
    return moment + needed

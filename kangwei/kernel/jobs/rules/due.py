"""When is a schedule due, and which due moments were missed? (定时任务的应执行时刻)

A cron line speaks local time: `30 2 * * *` is half past two in the night in Shanghai, wherever
the server stands. Every answer is an aware moment in that zone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter

SHANGHAI = ZoneInfo("Asia/Shanghai")


def is_cron(line: str) -> bool:
    """A line of the five classic fields, which is all that a reader can check by eye."""
    return len(line.split()) == 5 and croniter.is_valid(line)


def latest_due(cron: str, at: datetime) -> datetime:
    """The last due moment that is not after `at`."""
    local = at.astimezone(SHANGHAI)
    # croniter's get_prev is strictly before its start, so a moment that is due right now is
    # found by asking the question the other way round.
    if local.second == 0 and local.microsecond == 0 and croniter.match(cron, local):
        return local
    return _moment(croniter(cron, local).get_prev(datetime))


def next_due(cron: str, at: datetime) -> datetime:
    """The first due moment after `at`."""
    return _moment(croniter(cron, at.astimezone(SHANGHAI)).get_next(datetime))


def interval(cron: str, at: datetime) -> timedelta:
    """The time between the next two due moments."""
    first = next_due(cron, at)
    return next_due(cron, first) - first


def due_moments(cron: str, since: datetime, until: datetime) -> Iterator[datetime]:
    """Every due moment of a period, which includes its start and excludes its end."""
    if latest_due(cron, since) == since and since < until:
        yield _moment(since)
    moments = croniter(cron, since.astimezone(SHANGHAI))
    while (moment := _moment(moments.get_next(datetime))) < until:
        yield moment


@dataclass(frozen=True)
class Missed:
    """Due moments in a row that left no trace in the ledger."""

    first: datetime
    last: datetime
    count: int


def missed(
    cron: str,
    since: datetime,
    until: datetime,
    ledger: Collection[datetime],
    pauses: Sequence[tuple[datetime, datetime | None]] = (),
) -> list[Missed]:
    """Due moments of a period without a ledger row, neighbours joined to one span.

    A moment inside a pause (暂停) was not owed. Ten thousand missed minutes are one span: a
    reader wants to know since when and how many.
    """
    kept = {moment.timestamp() for moment in ledger}
    spans: list[Missed] = []
    joined = False
    for moment in due_moments(cron, since, until):
        if moment.timestamp() in kept or _within(moment, pauses):
            joined = False
        elif joined:
            spans[-1] = Missed(spans[-1].first, moment, spans[-1].count + 1)
        else:
            spans.append(Missed(moment, moment, 1))
            joined = True
    return spans


def _within(moment: datetime, pauses: Sequence[tuple[datetime, datetime | None]]) -> bool:
    return any(start <= moment and (end is None or moment < end) for start, end in pauses)


def _moment(value: datetime) -> datetime:
    return value.astimezone(SHANGHAI)

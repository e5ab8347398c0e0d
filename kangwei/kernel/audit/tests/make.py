"""Builders for tests of the journal: real commits, a clerk, and hands that tamper."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from kangwei.kernel.audit import services
from kangwei.kernel.audit.clerk import Clerk
from kangwei.kernel.audit.services import Recorded
from kangwei.kernel.audit.wire import Connection, connect
from kangwei.kernel.calendar.models import LocalCalendar, Override

NOON = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
TABLES = ("audit_seal", "audit_link", "audit_entry", "audit_anchor")

services.register_acts({"test.thing.done": "做了一件事", "test.thing.begun": "开始一件事"})


def sql(query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """Run a statement; its rows, where it has some."""
    with connection.cursor() as cursor:
        cursor.execute(query, arguments or None)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def tampering() -> Iterator[None]:
    """What a hostile owner of the tables does first: take the triggers away."""
    assert connection.settings_dict["NAME"] == connection.settings_dict["TEST"]["NAME"]
    for table in TABLES:
        sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    try:
        yield
    finally:
        for table in TABLES:
            sql(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def wipe() -> None:
    wipe_offices()
    with tampering():
        for table in TABLES:
            sql(f"DELETE FROM {table}")
    Override.objects.all().delete()
    LocalCalendar.objects.all().delete()
    sql("DELETE FROM audit_verification")
    with tampering():
        sql("DELETE FROM audit_entry")


def act(reason: str = "", **more: Any) -> Recorded:
    with transaction.atomic():
        return services.record(act="test.thing.done", at=NOON, reason=reason, **more)


def chained(count: int, *, anchor: bool = True) -> None:
    """So many acts, chained by a clerk who then leaves."""
    for number in range(count):
        act(f"第 {number + 1} 件")
    clerk = in_office()
    clerk.chain()
    if anchor:
        clerk.anchor(at=NOON)
    clerk.drop()


_offices: list[Clerk] = []
_sessions: list[Connection] = []


def session() -> Connection:
    """Somebody else's connection, in a transaction of its own."""
    _sessions.append(connect("somebody-else"))
    return _sessions[-1]


def in_office() -> Clerk:
    clerk = Clerk()
    _offices.append(clerk)
    deadline = time.monotonic() + 10
    while not clerk.take_office():  # the server lets go of a closed session's lock a little later
        assert time.monotonic() < deadline, "somebody else is in office"
        time.sleep(0.01)
    return clerk


def wipe_offices() -> None:
    """Send every clerk of this test home, and everybody else, also where the test failed."""
    while _sessions:
        _sessions.pop().close()
    while _offices:
        _offices.pop().drop()


def calendar(code: str = "ward", name: str = "病区日历") -> LocalCalendar:
    return LocalCalendar.objects.create(code=code, name=name)

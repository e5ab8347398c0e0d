"""Segments (分段摘要): busy tables carry no trigger; the digest of each finished hour is chained.

A digest is SM3 over the hour's rows in the order of their text, each row as the jsonb array of the
watched columns. As long as the rows remain, verification computes it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection as django_connection
from django.db import transaction
from psycopg import sql

from kangwei.kernel.audit import registry
from kangwei.kernel.audit.registry import Segment
from kangwei.kernel.audit.rules.chain import utc_text
from kangwei.kernel.audit.wire import Connection

SEALED = "audit.segment.sealed"
HOUR = timedelta(hours=1)
#: A transaction that began within the hour gets this long to commit.
SETTLES = timedelta(minutes=10)
#: A table that was silent for long catches up in steps.
AT_ONCE = 24 * 7


def _digest(cursor: Any, segment: Segment, start: datetime, end: datetime) -> tuple[int, str]:
    """How many rows the hour has, and their digest; the cursor is one that reads in portions."""
    cursor.execute(
        sql.SQL(
            'SELECT jsonb_build_array({columns})::text COLLATE "C" FROM {table}'
            " WHERE {time} >= %s AND {time} < %s ORDER BY 1"
        ).format(
            columns=sql.SQL(", ").join(sql.Identifier(name) for name in segment.columns),
            table=sql.Identifier(segment.table),
            time=sql.Identifier(segment.time_column),
        ),
        [start, end],
    )
    digest = hashlib.new("sm3", usedforsecurity=False)
    count = 0
    for (text,) in cursor:
        digest.update(text.encode() + b"\n")
        count += 1
    return count, digest.hexdigest()


def seal_segments(at: datetime) -> int:
    """Write the digest of every finished hour that has none; how many lines were written."""
    return sum(_seal_table(segment, at) for segment in registry.segments())


def _seal_table(segment: Segment, at: datetime) -> int:
    end = (at - SETTLES).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    written = 0
    with transaction.atomic(), django_connection.cursor() as cursor:
        cursor.execute("SET LOCAL timezone = 'UTC'")  # times inside the rows are spelled in UTC
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"segment:{segment.table}"])
        hour = _next_hour(cursor, segment, end)
        while hour is not None and hour < end and written < AT_ONCE:
            with django_connection.chunked_cursor() as portions:
                count, digest = _digest(portions, segment, hour, hour + HOUR)
            if count:
                facts = {
                    "from": utc_text(hour),
                    "to": utc_text(hour + HOUR),
                    "rows": count,
                    "digest": digest,
                    "columns": list(segment.columns),
                }
                cursor.execute(
                    "INSERT INTO audit_entry"
                    " (occurred_at, kind, act, object_type, object_id, detail)"
                    " VALUES (%s, 'digest', %s, %s, %s, %s::jsonb)",
                    [at, SEALED, segment.table, utc_text(hour), json.dumps(facts)],
                )
                written += 1
                hour += HOUR
            else:
                hour = _first_row_hour(cursor, segment, hour + HOUR, end)
    return written


def _next_hour(cursor: Any, segment: Segment, end: datetime) -> datetime | None:
    cursor.execute(
        "SELECT max(object_id) FROM audit_entry WHERE kind = 'digest' AND act = %s"
        " AND object_type = %s",
        [SEALED, segment.table],
    )
    last = cursor.fetchone()[0]
    since = datetime.fromisoformat(last) + HOUR if last else datetime(2000, 1, 1, tzinfo=UTC)
    return _first_row_hour(cursor, segment, since, end)


def unsealed_since(table: str, before: datetime) -> datetime | None:
    """The first hour before a moment that has rows and no digest yet; None when all are sealed."""
    segment = next(found for found in registry.segments() if found.table == table)
    with django_connection.cursor() as cursor:
        return _next_hour(cursor, segment, before)


def _first_row_hour(
    cursor: Any, segment: Segment, since: datetime, end: datetime
) -> datetime | None:
    cursor.execute(
        sql.SQL("SELECT min({time}) FROM {table} WHERE {time} >= %s AND {time} < %s").format(
            time=sql.Identifier(segment.time_column), table=sql.Identifier(segment.table)
        ),
        [since, end],
    )
    first = cursor.fetchone()[0]
    if first is None:
        return None
    return first.astimezone(UTC).replace(minute=0, second=0, microsecond=0)  # type: ignore[no-any-return]


def mismatches(connection: Connection, at: datetime) -> Iterator[str]:
    """Hours whose rows no longer give the digest that was chained."""
    known = {segment.table: segment for segment in registry.segments()}
    rows = connection.execute(
        "SELECT object_type, detail FROM audit_entry WHERE kind = 'digest' AND act = %s"
        " ORDER BY id",
        [SEALED],
    ).fetchall()
    for table, facts in rows:
        segment = known.get(table)
        start, end = datetime.fromisoformat(facts["from"]), datetime.fromisoformat(facts["to"])
        if segment is None or (segment.kept_for and at - start > segment.kept_for):
            continue
        chained = Segment(table, segment.time_column, tuple(facts["columns"]), segment.kept_for)
        with connection.cursor(name="kw_segment") as cursor:
            count, digest = _digest(cursor, chained, start, end)
        if digest != facts["digest"]:
            yield (
                f"{table} 在 {start:%Y-%m-%d %H:%M} UTC 起一小时的数据与入链摘要不符"
                f"（当时 {facts['rows']} 行，现有 {count} 行）。"
            )

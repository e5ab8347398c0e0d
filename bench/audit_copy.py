"""What the journal costs: COPY and UPDATE with triggers and without, and the clerk's pace."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.frame import Figure

TITLE = "audit overhead on COPY and UPDATE, chaining and verifying"
ROWS = 50_000
ROUNDS = 3
#: The same columns as a journalled table of ordinary width, once with triggers and once without.
SHAPE = (
    "(id bigint PRIMARY KEY, code text, name text, region text, phone text, amount numeric,"
    " active boolean, note text, created_at timestamptz)"
)


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="kangwei-bench-") as place, _database(Path(place)):
        return _figures()


@contextmanager
def _database(place: Path) -> Iterator[None]:
    """A server of our own with the product's tables, as the supervisor makes them."""
    from kangwei.supervisor.database import prepare_own
    from kangwei.supervisor.postgres import OWNER, Cluster

    cluster = Cluster(place / "data")
    cluster.prepare()
    try:
        with cluster.running():
            prepare_own(cluster)
            os.environ.update(
                DATABASE_URL=cluster.url(OWNER),
                KW_DATA=str(place / "data"),
                KW_SECRETS_FILE=str(place / "secrets.json"),
                KW_ANCHOR_FILE=str(place / "anchors.jsonl"),
                DJANGO_SETTINGS_MODULE="kangwei.web.settings",
            )
            import django
            from django.core.management import call_command
            from django.db import connections

            django.setup()
            call_command("migrate", verbosity=0)
            yield
            connections.close_all()
    finally:
        cluster.destroy()


def _figures() -> list[Figure]:
    from django.db import connection

    from kangwei.kernel import clock
    from kangwei.kernel.audit.clerk import Clerk
    from kangwei.kernel.audit.install import OPERATIONS
    from kangwei.kernel.audit.verify import verify

    with connection.cursor() as cursor:
        for table in ("bench_plain", "bench_journalled"):
            cursor.execute(f"CREATE TABLE {table} {SHAPE}")
        for operation, when in OPERATIONS.items():
            if operation != "truncate":
                cursor.execute(
                    f"CREATE TRIGGER kw_audit_{operation} {when.format(table='bench_journalled')}"
                    " FOR EACH STATEMENT EXECUTE FUNCTION"
                    " audit_note_changes('bench.journalled', 'id', '{phone}')"
                )
        copied = {table: _copies(cursor, table) for table in ("bench_plain", "bench_journalled")}
        updated = {table: _updates(cursor, table) for table in copied}
    clerk = Clerk()
    clerk.take_office()
    began = time.perf_counter()
    links = clerk.chain()
    chaining = links / (time.perf_counter() - began)
    clerk.drop()
    began = time.perf_counter()
    report = verify(at=clock.now())
    verifying = report.links / (time.perf_counter() - began)
    assert report.sound
    return [
        Figure(
            f"COPY of {ROWS} rows, journalled", copied["bench_journalled"], "s",
            reference="COPY without triggers", reference_value=copied["bench_plain"],
        ),
        Figure(
            f"UPDATE of {ROWS} rows, journalled", updated["bench_journalled"], "s",
            reference="UPDATE without triggers", reference_value=updated["bench_plain"],
        ),
        Figure("chaining", chaining, "rows/s", limit=10_000, at_least=True),
        Figure("verifying", verifying, "rows/s"),
    ]  # fmt: skip


def _copies(cursor: Any, table: str) -> float:
    """The median time to bring in so many rows, each time after those before."""
    taken = []
    for step in range(ROUNDS):
        rows = "".join(
            f"{number}\tC{number}\t接种单位{number}\t6101{number % 99:02d}\tkw1:sm4:f1:{'A' * 60}"
            f"\t{number}.50\tt\t备注\t2026-11-20 08:00:00+08\n"
            for number in range(step * ROWS, (step + 1) * ROWS)
        )
        began = time.perf_counter()
        with cursor.copy(f"COPY {table} FROM STDIN") as copy:
            copy.write(rows)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _updates(cursor: Any, table: str) -> float:
    taken = []
    for step in range(ROUNDS):
        began = time.perf_counter()
        cursor.execute(
            f"UPDATE {table} SET active = NOT active, note = '第 {step} 次' WHERE id < {ROWS}"
        )
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)

"""What the journal costs: COPY into a journalled table, and chaining what it wrote."""

from __future__ import annotations

import os

import psycopg

from bench.frame import Figure, seconds
from bench.world import open_site

TITLE = "audit overhead on COPY, chaining"
ROWS = 20_000


def measure() -> list[Figure]:
    open_site()
    from kangwei.kernel.audit.clerk import Clerk
    from kangwei.kernel.organisations.models import Staff

    table = Staff._meta.db_table
    sample = Staff.objects.order_by("pk")[0].pk
    with psycopg.connect(os.environ["KW_DATABASE_OWNER_URL"], autocommit=True) as owner:
        columns = [
            row[0]
            for row in owner.execute(
                "select column_name from information_schema.columns where table_name = %s"
                " and column_name <> 'id' and is_generated = 'NEVER' order by ordinal_position",
                [table],
            )
        ]
        names = ", ".join(f'"{column}"' for column in columns)
        with owner.cursor().copy(
            f"copy (select {names} from {table} where id = {sample}) to stdout"
        ) as copy:
            line = b"".join(bytes(part) for part in copy)

        def copied() -> None:
            with owner.cursor().copy(f"copy {table} ({names}) from stdin") as into:
                for _ in range(ROWS):
                    into.write(line)

        copied()  # warm
        owner.execute(f"alter table {table} disable trigger user")
        bare = min(seconds(copied) for _ in range(3))
        owner.execute(f"alter table {table} enable trigger user")
        clerk = Clerk(anchor_every=3600)
        assert clerk.take_office(), "another clerk is in office"
        clerk.chain()
        journalled = min(seconds(copied) for _ in range(3))
        chained = 0

        def chain() -> None:
            nonlocal chained
            chained = clerk.chain()

        taken = seconds(chain)
        clerk.drop()
        owner.execute(f"alter table {table} disable trigger user")
        owner.execute(f"delete from {table} where id > (select min(id) + 3000 from {table})")
        owner.execute(f"alter table {table} enable trigger user")
    return [
        Figure("COPY without the journal", ROWS / bare, "rows/s"),
        Figure(
            "COPY with the journal", ROWS / journalled, "rows/s", None, True, "without", ROWS / bare
        ),
        Figure("chaining", chained / taken, "rows/s", None, True, "COPY with", ROWS / journalled),
    ]

"""Puts the journal's triggers and privileges where they belong; runs after every migrate.

It is idempotent and cheap: one query tells what stands, and only what differs is made. It runs as
the owner of the tables. The role of the application, when it is another one, is held to insert
and select on the journal.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import connections
from psycopg import sql

from kangwei.kernel.audit import registry

OPERATIONS = {
    "insert": "AFTER INSERT ON {table} REFERENCING NEW TABLE AS new_rows",
    "update": "AFTER UPDATE ON {table} REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows",
    "delete": "AFTER DELETE ON {table} REFERENCING OLD TABLE AS old_rows",
    "truncate": "BEFORE TRUNCATE ON {table}",
}

#: The columns the application fills; time, transaction, number and database user are the server's.
WRITABLE = (
    "occurred_at", "kind", "act", "act_id", "account_id", "account_label", "roles", "channel",
    "address", "session", "agent", "trace_id", "object_type", "object_id", "object_label",
    "operation", "before", "after", "detail", "reason", "result",
)  # fmt: skip


def after_migrate(*, using: str, **_: Any) -> None:
    """Receiver of post_migrate."""
    if connections[using].introspection.table_names().count("audit_entry") == 0:
        return  # migrated backwards, or a partial migrate before ours
    with connections[using].cursor() as cursor:
        install_triggers(cursor)
        cursor.execute("SELECT audit_ensure_partitions(3)")
        grant_privileges(cursor)


def _wanted() -> dict[tuple[str, str], str]:
    """(table, trigger name) -> its arguments, as PostgreSQL keeps them."""
    wanted = {}
    for item in registry.journalled():
        arguments = (item.object_type, item.key, "{" + ",".join(item.hidden) + "}")
        for operation in OPERATIONS:
            wanted[item.table, f"kw_audit_{operation}"] = "\0".join(arguments)
    return wanted


def install_triggers(cursor: Any) -> int:
    """Bring the triggers to what the registry says; how many were made or removed."""
    cursor.execute(
        "SELECT c.relname, t.tgname, rtrim(encode(t.tgargs, 'escape'), '\\000')"
        " FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
        " WHERE t.tgname LIKE 'kw\\_audit\\_%' AND c.relnamespace = 'public'::regnamespace"
    )
    standing = {(table, name): args.replace("\\000", "\0") for table, name, args in cursor}
    cursor.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')"
        " AND relnamespace = 'public'::regnamespace"
    )
    tables = {row[0] for row in cursor}
    wanted = {key: args for key, args in _wanted().items() if key[0] in tables}
    changed = 0
    for (table, name), args in standing.items():
        if wanted.get((table, name)) != args:
            cursor.execute(
                sql.SQL("DROP TRIGGER {} ON {}").format(sql.Identifier(name), sql.Identifier(table))
            )
            changed += 1
    for (table, name), args in wanted.items():
        if standing.get((table, name)) == args:
            continue
        operation = name.removeprefix("kw_audit_")
        function = "audit_note_truncate" if operation == "truncate" else "audit_note_changes"
        cursor.execute(
            sql.SQL(
                "CREATE TRIGGER {name} "
                + OPERATIONS[operation]
                + " FOR EACH STATEMENT EXECUTE FUNCTION {function}({arguments})"
            ).format(
                name=sql.Identifier(name),
                table=sql.Identifier(table),
                function=sql.Identifier(function),
                arguments=sql.SQL(", ").join(sql.Literal(arg) for arg in args.split("\0")),
            )
        )
        changed += 1
    return changed


def grant_privileges(cursor: Any) -> None:
    """Let the application's role work, and hold it to insert and select on the journal."""
    role: str = settings.APPLICATION_ROLE
    cursor.execute(
        "SELECT current_user, EXISTS (SELECT 1 FROM pg_roles WHERE rolname = %s)", [role]
    )
    owner, exists = cursor.fetchone()
    if not role or role == owner or not exists:
        return
    name = sql.Identifier(role)

    def run(statement: str) -> None:
        cursor.execute(sql.SQL(statement).format(role=name))

    run("GRANT USAGE ON SCHEMA public TO {role}")
    run("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    run("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}")
    cursor.execute(
        "SELECT c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p')"
        " AND c.relnamespace = 'public'::regnamespace"
        " AND c.relname ~ '^audit_(entry|link|anchor|book|seal)(_|$)'"
    )
    for (table,) in cursor.fetchall():
        cursor.execute(
            sql.SQL("REVOKE ALL ON {} FROM {}, PUBLIC").format(sql.Identifier(table), name)
        )
    run("GRANT SELECT ON audit_entry, audit_link, audit_anchor, audit_book, audit_seal TO {role}")
    cursor.execute(
        sql.SQL("GRANT INSERT ({}) ON audit_entry TO {}").format(
            sql.SQL(", ").join(map(sql.Identifier, WRITABLE)), name
        )
    )
    run(
        "GRANT INSERT (seq, entry_id, entry_recorded_at, prev_hash, hash, algorithm)"
        " ON audit_link TO {role}"
    )
    run("GRANT INSERT ON audit_anchor TO {role}")
    run("GRANT INSERT (month, anchor, first_seq, last_seq, entries) ON audit_seal TO {role}")

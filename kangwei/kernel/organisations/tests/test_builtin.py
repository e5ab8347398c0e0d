"""What every installation starts with is written under an act of the system (内置数据)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
import pytest
from django.conf import settings
from psycopg import sql

from kangwei.kernel.audit import queries as audit
from kangwei.kernel.audit.models import Entry
from kangwei.kernel.organisations import builtin, queries
from kangwei.kernel.organisations.models import Role

AT = datetime(2026, 11, 20, 1, 0, tzinfo=UTC)
TITLE = "随版本写入内置数据"


@pytest.mark.django_db
def test_a_role_brought_back_in_line_tells_the_version_and_not_a_hand() -> None:
    role = Role.objects.get(code="auditor")
    name = role.name
    Role.objects.filter(pk=role.pk).update(name="旧版名称")
    builtin.fill_tables(at=AT)
    role.refresh_from_db()
    assert role.name == name
    latest = audit.history(role)[0]
    assert (latest.title, latest.at, latest.detail["roles"]) == (TITLE, AT, 1)


@pytest.mark.django_db
def test_nothing_new_is_no_act() -> None:
    lines = Entry.objects.count()
    builtin.fill_tables(at=AT)
    assert Entry.objects.count() == lines


@pytest.fixture
def empty_database(django_db_setup: None) -> Iterator[str]:
    """The address of a database nobody migrated yet."""
    mine = settings.DATABASES["default"]
    name = f"{mine['NAME']}_fresh"
    server = psycopg.connect(
        host=mine["HOST"] or None,
        port=mine["PORT"] or None,
        user=mine["USER"],
        password=mine["PASSWORD"] or None,
        dbname="postgres",
        autocommit=True,
    )
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    server.execute(drop)
    server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    where = {"host": mine["HOST"], "port": mine["PORT"]}
    who = quote(mine["USER"]) + (f":{quote(mine['PASSWORD'])}" if mine["PASSWORD"] else "")
    yield f"postgresql://{who}@/{name}?" + urlencode({k: v for k, v in where.items() if v})
    server.execute(drop)
    server.close()


def test_the_journal_of_a_fresh_installation_has_nothing_unexplained(
    empty_database: str, tmp_path: Path
) -> None:
    surroundings = os.environ | {
        "DATABASE_URL": empty_database,
        "KW_DATA": str(tmp_path),
        "KW_ADMIN_USERNAME": "admin",
        "KW_ADMIN_PASSWORD": "Ganlu#7731-Shuang",
        "KW_ADMIN_INSTITUTION": "试验省卫生健康委员会",
    }
    for command in (["migrate", "-v0"], ["setup", "--noinput"]):
        subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=settings.BASE_DIR, env=surroundings, check=True, capture_output=True,
        )  # fmt: skip
    with psycopg.connect(empty_database) as database:
        acts = database.execute("SELECT act FROM audit_entry WHERE kind = 'act'").fetchall()
        strays = database.execute(
            "SELECT DISTINCT c.object_type FROM audit_entry c WHERE c.kind = 'change'"
            " AND NOT EXISTS (SELECT 1 FROM audit_entry a WHERE a.kind = 'act' AND a.tx = c.tx)"
        ).fetchall()
    assert ("organisations.role.filled",) in acts
    assert strays == []


@pytest.mark.django_db
def test_the_history_of_a_role_names_rights_by_their_titles() -> None:
    role = Role.objects.get(code="auditor")
    right, title = next(
        item for item in queries.right_titles().items() if item[0] not in role.rights
    )
    kept = queries.right_titles()[role.rights[0]]
    Role.objects.filter(pk=role.pk).update(rights=[*role.rights, right])
    (change,) = audit.history(role)[0].changes
    assert (change.label, change.old, change.new) == ("功能权限（变动项）", None, title)
    assert kept not in str(change)
    builtin.fill_tables(at=AT)
    assert title in {change.old for entry in audit.history(role) for change in entry.changes}

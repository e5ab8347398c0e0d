"""How the tests run: which share a process, what a kept test database is worth, a browser."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent
pytest_plugins = ["tests.browser"]
DATABASE_FIXTURES = {"db", "transactional_db", "live_server", "site", "django_db_setup"}
#: Marks of tests that need more than plain Python.
NEEDY = ("django_db", "process", "prove", "journey")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--without-database",
        action="store_true",
        help="run only the tests that need neither database nor processes (make check)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # Playwright keeps an event loop in the test's thread; the queries beside it are synchronous.
    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--without-database"):
        config.hook.pytest_deselected(items=[item for item in items if needs_more(item)])
        items[:] = [item for item in items if not needs_more(item)]


def needs_more(item: pytest.Item) -> bool:
    if any(item.get_closest_marker(mark) for mark in NEEDY):
        return True
    return bool(DATABASE_FIXTURES & set(getattr(item, "fixturenames", ())))


def migrations_fingerprint() -> str:
    total = hashlib.sha256()
    for path in sorted(ROOT.glob("kangwei/**/migrations/*.*")):
        if path.suffix in {".py", ".sql"}:
            total.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return total.hexdigest()


@pytest.fixture(scope="session")
def django_db_createdb(
    request: pytest.FixtureRequest, django_db_modify_db_settings: None, django_db_blocker: Any
) -> bool:
    """The test database is kept between runs, but not across changed migrations.

    It remembers in its comment which migrations made it.
    """
    if request.config.getoption("create_db"):
        return True
    from django.db import connection

    name = connection.creation._get_test_db_name()  # type: ignore[attr-defined]
    with django_db_blocker.unblock(), connection._nodb_cursor() as cursor:
        cursor.execute(
            "select shobj_description(oid, 'pg_database') from pg_database where datname = %s",
            [name],
        )
        row = cursor.fetchone()
    return row is None or row[0] != migrations_fingerprint()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    from django.db import connection

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"comment on database {name} is %s", [migrations_fingerprint()])

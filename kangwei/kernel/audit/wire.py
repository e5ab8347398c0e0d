"""A connection of one's own: clerk and verifier need one snapshot, apart from any request."""

from __future__ import annotations

from typing import Any

import psycopg
from django.db import connections
from psycopg import IsolationLevel

#: Session locks: of the one clerk, and of whoever writes an anchor.
CLERK_LOCK, ANCHOR_LOCK = 0x6B77_0001, 0x6B77_0002

Connection = psycopg.Connection[tuple[Any, ...]]


def connect(name: str) -> Connection:
    """Each transaction sees one snapshot; times are read in UTC."""
    settings = connections["default"].settings_dict
    connection: Connection = psycopg.connect(
        dbname=settings["NAME"],
        user=settings["USER"] or None,
        password=settings["PASSWORD"] or None,
        host=settings["HOST"] or None,
        port=settings["PORT"] or None,
        application_name=name,
        **{**settings["OPTIONS"], "options": "-c timezone=UTC"},
    )
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    return connection

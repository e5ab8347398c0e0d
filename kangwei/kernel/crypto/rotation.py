"""Rotation (密钥轮换): a new field key, and every stored value brought under it, batch by batch.

A batch is chosen by what its values say of their key, so a rotation that was interrupted goes on
where it stopped, and one that was finished finds nothing. A value that changed meanwhile is left
alone: whoever changed it wrote it under the new key.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import DatabaseError, connection, models, transaction
from psycopg import sql

from kangwei.kernel.crypto.fields import EncryptedTextField
from kangwei.kernel.crypto.keys import BLOCK, LIMIT, ROTATE_AT, ring
from kangwei.kernel.crypto.models import Key

BATCH = 500


@dataclass(frozen=True)
class KeyUse:
    """How far a field key is used up, and how many stored values still need it."""

    key: Key
    uses: int
    values: int

    @property
    def share(self) -> float:
        return self.uses / LIMIT

    @property
    def is_due(self) -> bool:
        return self.key.state == Key.State.ACTIVE and self.uses >= ROTATE_AT


def encrypted_fields() -> Iterator[EncryptedTextField]:
    """Every encrypted column of the product."""
    for model in apps.get_models(include_auto_created=True):
        if model._meta.proxy or not model._meta.managed:
            continue
        for field in model._meta.local_fields:
            if isinstance(field, EncryptedTextField):
                yield field


def _statement(field: EncryptedTextField, text: str) -> sql.Composed:
    model: type[models.Model] = field.model
    assert model._meta.pk is not None
    return sql.SQL(text).format(
        table=sql.Identifier(model._meta.db_table),
        column=sql.Identifier(str(field.column)),
        key=sql.Identifier(str(model._meta.pk.column)),
    )


def values_by_key() -> dict[str, int]:
    """How many stored values each key holds."""
    counted: dict[str, int] = {}
    with connection.cursor() as cursor:
        for field in encrypted_fields():
            cursor.execute(
                _statement(
                    field,
                    "SELECT split_part({column}, ':', 3), count(*) FROM {table}"
                    " WHERE {column} LIKE 'kw1:%%' GROUP BY 1",
                ),
                [],
            )
            for kid, count in cursor.fetchall():
                counted[kid] = counted.get(kid, 0) + count
    return counted


def key_uses() -> list[KeyUse]:
    """The field keys, newest first."""
    counted = values_by_key()
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM crypto_use_block")
        now = cursor.fetchone()[0]
    return [
        KeyUse(
            key,
            ((key.last_block if key.last_block is not None else now) - key.first_block) * BLOCK,
            counted.get(key.kid, 0),
        )
        for key in Key.objects.filter(purpose=Key.Purpose.FIELD).order_by("-created_at")
    ]


def reencrypt_batch(field: EncryptedTextField, *, limit: int = BATCH) -> int:
    """Bring some values of one column under the active key; how many were looked at."""
    active = ring.active(Key.Purpose.FIELD)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            _statement(
                field,
                "SELECT {key}, {column} FROM {table} WHERE {column} LIKE 'kw1:%%'"
                " AND split_part({column}, ':', 3) <> %s ORDER BY {key} LIMIT %s"
                " FOR UPDATE SKIP LOCKED",
            ),
            [active.kid, limit],
        )
        rows: list[tuple[Any, str]] = cursor.fetchall()
        fresh = [(field.stored_form(field.open_stored(old) or ""), key) for key, old in rows]
        cursor.executemany(
            _statement(field, "UPDATE {table} SET {column} = %s WHERE {key} = %s"), fresh
        )
    return len(rows)


def may_rewrite(field: EncryptedTextField) -> bool:
    """Whether the table lets its rows be rewritten at all; a ledger refuses, and keeps its key."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                _statement(
                    field,
                    "UPDATE {table} SET {column} = {column} WHERE {key} = ("
                    "SELECT {key} FROM {table} LIMIT 1)",
                )
            )
            transaction.set_rollback(True)
    except DatabaseError:
        return False
    return True

"""A table with encrypted columns, made for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from kangwei.kernel.crypto.keys import ring
from kangwei.kernel.crypto.tests.patients import Patient


@pytest.fixture
def patients(db: None) -> Iterator[None]:
    """The table, inside the test's transaction; keys that the test makes are forgotten after it."""
    with connection.schema_editor() as editor:
        editor.create_model(Patient)
    Patient._meta.managed = True  # ours for the length of this test
    yield
    Patient._meta.managed = False


@pytest.fixture(autouse=True)
def _fresh_ring() -> Iterator[None]:
    ring.forget()
    yield
    ring.forget()

"""A table with encrypted columns, made for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.apps import apps
from django.db import connection

from kangwei.kernel.crypto.keys import ring
from kangwei.kernel.crypto.tests.patients import Patient


@pytest.fixture
def patients(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The table, inside the test's transaction, and its model among the product's for as long."""
    with connection.schema_editor() as editor:
        editor.create_model(Patient)
    Patient._meta.managed = True
    with monkeypatch.context() as patch:
        patch.setitem(apps.all_models["crypto"], "patient", Patient)
        apps.clear_cache()
        yield
    apps.clear_cache()
    Patient._meta.managed = False


@pytest.fixture(autouse=True)
def _fresh_ring() -> Iterator[None]:
    ring.forget()
    yield
    ring.forget()

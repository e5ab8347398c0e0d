"""The clerk and the verifier look from connections of their own, so these tests really commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from kangwei.kernel.audit.tests import make


@pytest.fixture()
def journal(
    django_db_setup: None, django_db_blocker: Any, settings: Any, tmp_path: Path
) -> Iterator[Path]:
    """An empty journal, committed to; gives the path of the anchor file."""
    settings.ANCHOR_FILE = tmp_path / "anchors.jsonl"
    with django_db_blocker.unblock():
        make.wipe()
        yield settings.ANCHOR_FILE
        make.wipe()
        connections.close_all()

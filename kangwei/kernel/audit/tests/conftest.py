"""The clerk and the verifier look from connections of their own, so these tests really commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from kangwei.kernel.audit.tests import make


@pytest.fixture
def journal(db: None, settings: Any, tmp_path: Path) -> Iterator[Path]:
    """An empty journal, committed to; gives the path of the anchor file.

    The test's transaction stands aside for a connection that commits, and everything written is
    taken away again: much cheaper than flushing every table of the product after each test.
    """
    settings.ANCHOR_FILE = tmp_path / "anchors.jsonl"
    aside = connections["default"]
    connections["default"] = connections.create_connection("default")
    try:
        make.wipe()
        yield settings.ANCHOR_FILE
        make.wipe()
    finally:
        connections["default"].close()
        connections["default"] = aside

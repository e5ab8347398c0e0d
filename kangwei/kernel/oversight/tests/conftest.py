"""The journal outlives a flushed test database, so each test looks at its own lines only."""

from __future__ import annotations

import pytest
from django.db.models import Max

from kangwei.kernel.audit.models import Entry
from kangwei.kernel.oversight.tests import make


@pytest.fixture(autouse=True)
def mark_the_journal(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("django_db"):
        request.getfixturevalue("db")
        make.mark = Entry.objects.aggregate(last=Max("pk"))["last"] or 0

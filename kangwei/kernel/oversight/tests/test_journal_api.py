"""The journal over the API: kept searches and the file that is taken away."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from kangwei.kernel.audit.models import Entry
from kangwei.kernel.organisations.tests import make as people

pytestmark = pytest.mark.django_db
BASE = "/api/v1/oversight/journal"


def act(browser: Client, path: str, content: Any = None) -> Any:
    return browser.post(
        BASE + path, content or {}, content_type="application/json",
        headers={"Idempotency-Key": str(uuid.uuid4())},
    )  # fmt: skip


@pytest.fixture
def auditor() -> Client:
    rights = ["audit.view_entry", "audit.export_entry"]
    return people.client(people.account("auditor", right=rights, scope="everything"))


def test_a_search_is_kept_listed_and_removed_by_its_owner(auditor: Client) -> None:
    query = {"act": "audit.data.unmasked"}
    kept = act(auditor, "/searches", {"name": "谁看过明文", "query": query}).json()
    assert [row["name"] for row in auditor.get(f"{BASE}/searches").json()] == ["谁看过明文"]
    other = people.client(people.account(right="audit.view_entry", scope="everything"))
    assert act(other, f"/searches/{kept['id']}/remove").status_code == 404
    assert act(auditor, f"/searches/{kept['id']}/remove").status_code == 204
    assert auditor.get(f"{BASE}/searches").json() == []


def test_what_is_taken_away_is_a_line_of_the_journal(auditor: Client) -> None:
    act(auditor, "/searches", {"name": "留痕", "query": {"result": "refused"}})
    answer = auditor.get(f"{BASE}/export", {"act": "oversight.search.saved"})
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert len(answer.content.decode().strip().splitlines()) == 2
    line = Entry.objects.filter(act="audit.data.exported").latest("pk")
    assert line.detail is not None
    assert line.detail["rows"] == 1
    narrow = people.client(people.account(right="audit.export_entry"))
    assert narrow.get(f"{BASE}/export").status_code == 403

"""Saved journal searches (常用查询)."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from kangwei.kernel.audit import services as audit
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.oversight.models import SavedSearch
from kangwei.kernel.refusals import Invalid


@transaction.atomic
def save_search(*, account: Account, name: str, query: dict[str, str], at: datetime) -> SavedSearch:
    """Keep a journal search under a name; the same name again replaces it."""
    name = name.strip()
    if not name:
        raise Invalid("请填写常用查询的名称。", field="name")
    saved, _ = SavedSearch.objects.update_or_create(
        account=account, name=name[:40], defaults={"query": query, "created_at": at}
    )
    audit.record(act="oversight.search.saved", subject=saved, by=account, at=at)
    return saved


@transaction.atomic
def delete_search(*, saved: SavedSearch, by: Account, at: datetime) -> None:
    audit.record(act="oversight.search.deleted", subject=saved, by=by, at=at)
    saved.delete()

"""Searches of the journal: kept under a name (常用查询), or taken away as a file (导出)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from kangwei.kernel.audit import queries as audit_queries
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


MOST_EXPORTED = 100_000


@transaction.atomic
def export_journal(
    *, criteria: audit_queries.Criteria, conditions: Mapping[str, str], by: Account, at: datetime
) -> str:
    """The found lines as CSV; that they were taken is itself a line of the journal."""
    rows = list(audit_queries.export_rows(criteria, limit=MOST_EXPORTED))
    audit.record_export(
        what="审计日志", by=by, at=at, rows=len(rows), format="csv", detail=dict(conditions)
    )
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(audit_queries.EXPORT_HEADINGS)
    writer.writerows(rows)
    # The mark tells spreadsheet programs that the file is UTF-8.
    return "\ufeff" + out.getvalue()

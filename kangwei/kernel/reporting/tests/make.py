"""Builders of reports and documents for tests: a test writes only what matters to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db.models import Count, Q

from kangwei.kernel.organisations.models import Account
from kangwei.kernel.reporting import registry
from kangwei.kernel.reporting.declarations import (
    Column,
    Context,
    DetailTable,
    DocumentKind,
    InstitutionParameter,
    PeriodParameter,
    Rate,
    RegionParameter,
    Report,
    bars,
)
from kangwei.kernel.reporting.rules.results import Heading, Result, collect

AT = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
RIGHT = "organisations.view_account"


def count_accounts(ctx: Context) -> Iterable[Mapping[str, Any]]:
    accounts = ctx.limit(Account.objects.all())
    lines = accounts.values("institution_id", "institution__name").annotate(
        all=Count("pk"), active=Count("pk", filter=Q(state="active"))
    )
    for line in lines.order_by("institution_id"):
        yield {
            "id": line["institution_id"],
            "institution": line["institution__name"],
            "all": line["all"],
            "active": line["active"],
        }


def accounts_behind(ctx: Context, row: Mapping[str, Any] | None, column: Column) -> DetailTable:
    accounts = ctx.limit(Account.objects.all())
    if row is not None:
        accounts = accounts.filter(institution=row["id"])
    if column.key == "active":
        accounts = accounts.filter(state="active")
    return DetailTable(
        columns=(
            Column(key="username", title="用户名", definition="登录名。"),
            Column(key="name", title="姓名", definition="账号姓名。", masked="name"),
        ),
        rows=[{"username": one.username, "name": one.name} for one in accounts],
    )


COLUMNS = (
    Column(key="id", title="编号", definition="机构的编号。", kind="int", hidden=True),
    Column(key="institution", title="机构", definition="账号所属机构。"),
    Column(
        key="all",
        title="全部",
        definition="截止时的账号数。",
        kind="int",
        total="sum",
        drill=True,
        group=("账号",),
    ),
    Column(
        key="active",
        title="在用",
        definition="其中状态为在用的。",
        kind="int",
        total="sum",
        drill=True,
        group=("账号",),
    ),
    Column(
        key="share",
        title="在用率",
        definition="在用 ÷ 全部。",
        kind="percent",
        total=Rate("active", "all"),
    ),
)


def report(**changes: Any) -> Report:
    """A small true report over accounts; a test changes what it is about."""
    facts: dict[str, Any] = {
        "code": "test.accounts",
        "title": "账号统计",
        "group": "测试",
        "purpose": "各机构的账号数。",
        "parameters": (
            PeriodParameter(kinds=("month", "quarter"), default="current"),
            InstitutionParameter(),
            RegionParameter(),
        ),
        "columns": COLUMNS,
        "key": ("id",),
        "rows": count_accounts,
        "drill": accounts_behind,
        "chart": lambda result: bars(result, "institution", ["all", "active"], lines=["share"]),
        "right": RIGHT,
        "scope": "institution",
    }
    return Report(**(facts | changes))


def result(
    columns: tuple[Column, ...] = COLUMNS,
    rows: Iterable[Mapping[str, Any]] = (),
    *,
    key: tuple[str, ...] = ("id",),
    cutoff: datetime = AT,
    digest: str = "0" * 64,
    **changes: Any,
) -> Result:
    """A result of given rows, without a database."""
    shape = report(columns=columns, key=key, **changes)
    heading = Heading(
        shape.code, shape.title, 1, digest, {}, (("统计期间", "2026年11月"),), cutoff, key
    )
    return collect(shape, heading, rows)


@contextmanager
def registered(*declared: Report | DocumentKind) -> Iterator[None]:
    """Register for the length of a test."""
    reports, documents = dict(registry._reports), dict(registry._documents)
    try:
        for one in declared:
            if isinstance(one, Report):
                registry.register_report(one)
            else:
                registry.register_document(one)
        yield
    finally:
        registry._reports.clear()
        registry._reports.update(reports)
        registry._documents.clear()
        registry._documents.update(documents)

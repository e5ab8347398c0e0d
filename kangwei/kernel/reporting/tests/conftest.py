"""One report of accounts and one document kind, registered for tests that ask for them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kangwei.kernel.reporting.declarations import (
    DocumentKind,
    Paragraph,
    Report,
    SectionKind,
    report_section,
)

from . import make


@pytest.fixture
def accounts() -> Iterator[Report]:
    declared = make.report()
    with make.registered(declared):
        yield declared


@pytest.fixture
def monthly(accounts: Report) -> Iterator[DocumentKind]:
    kind = DocumentKind(
        code="test.monthly",
        title="账号月报",
        prefix="ZHYB",
        right=make.RIGHT,
        period="month",
        sections=(
            SectionKind(
                key="summary", title="概况", build=lambda ctx: [Paragraph("本月账号情况如下。")]
            ),
            SectionKind(
                key="accounts", title="账号", build=report_section("test.accounts", nothing="账号")
            ),
            SectionKind(
                key="complaints",
                title="投诉",
                build=report_section("test.complaints", nothing="投诉"),
            ),
            SectionKind(
                key="engine", title="接口", source="engine.monthly", source_title="交换引擎"
            ),
            SectionKind(key="plan", title="下月计划", typed="下月计划与建议", required=True),
        ),
        signatures=("甲方", "乙方"),
    )
    with make.registered(kind):
        yield kind

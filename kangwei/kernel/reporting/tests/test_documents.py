"""Documents: numbered without gaps, sealed for good, corrected by new versions."""

from __future__ import annotations

import io
import subprocess
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from docx import Document as WordFile

from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make as people
from kangwei.kernel.reporting import queries, services
from kangwei.kernel.reporting.declarations import DocumentKind
from kangwei.kernel.reporting.models import Document, DocumentVersion
from kangwei.kernel.reporting.refusals import (
    DocumentExists,
    DraftExists,
    EditedMeanwhile,
    NothingSealed,
    ReportNotPermitted,
    SectionNotTyped,
    TextMissing,
    UnknownInstitution,
    VersionClosed,
    WrongPeriod,
)
from kangwei.kernel.reporting.rules import blocks as b
from kangwei.kernel.reporting.services.documents import download, file_of, preview_tree

from . import make

pytestmark = pytest.mark.django_db
RIGHTS = [
    make.RIGHT,
    "reporting.write_document",
    "reporting.seal_document",
    "reporting.release_document",
]


@pytest.fixture
def writer(db: None) -> Account:
    return people.account(
        right=RIGHTS, institution=people.institution("西安市疾控中心"), name="王编制"
    )


def draft(
    kind: DocumentKind, by: Account, period: str = "2026-10", **extra: Any
) -> DocumentVersion:
    return services.generate_document(
        kind=kind, period=period, institution=by.institution, by=by, at=make.AT, **extra
    )


def sealed(kind: DocumentKind, by: Account, period: str = "2026-10") -> DocumentVersion:
    version = draft(kind, by, period)
    services.write_text(
        version=version,
        section="plan",
        text="完成年审。\n- 核对账号",
        revision=0,
        by=by,
        at=make.AT,
    )
    return services.seal_version(version=version, by=by, at=make.AT)


def text_of_pdf(pdf: bytes) -> str:
    return subprocess.run(
        ["pdftotext", "-layout", "-", "-"], input=pdf, capture_output=True, check=True
    ).stdout.decode()


def words_of(docx: bytes) -> str:
    document = WordFile(io.BytesIO(docx))
    cells = [c.text for table in document.tables for row in table.rows for c in row.cells]
    return "\n".join([p.text for p in document.paragraphs] + cells)


def test_a_sealed_document_is_numbered_signed_and_genuine(
    monthly: DocumentKind, writer: Account
) -> None:
    version = sealed(monthly, writer)
    assert version.document.number == "ZHYB-202610-0001"
    assert queries.verify_version(version).genuine
    assert {file.format for file in version.files.all()} == {"docx", "pdf"}


def test_word_and_pdf_say_the_same_things(monthly: DocumentKind, writer: Account) -> None:
    version = sealed(monthly, writer)
    for text in (words_of(file_of(version, "docx")), text_of_pdf(file_of(version, "pdf"))):
        flat = "".join(text.split())
        for said in (
            "ZHYB-202610-0001",
            "西安市疾控中心",
            "未接入：本系统尚未接入交换引擎",
            "未接入：本系统尚未接入报表test.complaints",
            "完成年审。",
            "核对账号",
            "填写：王编制",
            "甲方（签字/盖章）",
            "在用率",
            "100.00%",
        ):
            assert said in flat, said
    word = WordFile(io.BytesIO(file_of(version, "docx")))
    assert any("机构" in table.cell(0, 0).text for table in word.tables)


def test_the_same_cutoff_gives_the_same_bytes(monthly: DocumentKind, writer: Account) -> None:
    version = draft(monthly, writer)
    for form in ("docx", "pdf"):
        assert file_of(version, form) == file_of(version, form)


def test_numbers_have_no_gap_when_drafts_are_discarded(
    monthly: DocumentKind, writer: Account
) -> None:
    first = sealed(monthly, writer, "2026-08")
    dropped = draft(monthly, writer, "2026-09")
    services.discard_draft(version=dropped, reason="重复", by=writer, at=make.AT)
    second = sealed(monthly, writer, "2026-10")
    other_year = sealed(monthly, writer, "2025-12")
    numbers = [one.document.number for one in (first, second, other_year)]
    assert numbers == ["ZHYB-202608-0001", "ZHYB-202610-0002", "ZHYB-202512-0001"]


def test_nothing_of_a_sealed_version_can_be_changed_by_any_hand(
    monthly: DocumentKind, writer: Account
) -> None:
    version = sealed(monthly, writer)
    attempts = (
        "UPDATE reporting_documentversion SET reason = 'x' WHERE id = %s",
        "DELETE FROM reporting_documentversion WHERE id = %s",
        "UPDATE reporting_documentfile SET digest = repeat('0', 64) WHERE version_id = %s",
        "DELETE FROM reporting_documentfile WHERE version_id = %s",
        "UPDATE reporting_typedtext SET text = 'x' WHERE version_id = %s",
        "DELETE FROM reporting_typedtext WHERE version_id = %s",
    )
    for statement in attempts:
        with (
            pytest.raises(IntegrityError),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement, [version.pk])
    with pytest.raises(IntegrityError), transaction.atomic():
        Document.objects.filter(pk=version.document_id).update(number="ZHYB-202610-0009")
    with pytest.raises(VersionClosed, match="更正"):
        services.write_text(
            version=version, section="plan", text="改", revision=1, by=writer, at=make.AT
        )
    with pytest.raises(VersionClosed):
        services.seal_version(version=version, by=writer, at=make.AT)


def test_a_file_changed_behind_our_back_is_found(monthly: DocumentKind, writer: Account) -> None:
    version = sealed(monthly, writer)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # as a superuser could
        cursor.execute("UPDATE reporting_documentfile SET content = content || 'x'::bytea")
        cursor.execute("SET LOCAL session_replication_role = origin")
    checked = queries.verify_version(DocumentVersion.objects.get(pk=version.pk))
    assert not checked.genuine
    assert "文件与封存摘要不一致" in checked.problem


def test_a_correction_is_a_new_version_that_lists_every_difference(
    monthly: DocumentKind, writer: Account
) -> None:
    first = sealed(monthly, writer)
    people.account(institution=writer.institution, name="新账号")
    second = services.correct_document(
        document=first.document, reason="漏统计一个账号", by=writer, at=make.AT + timedelta(days=1)
    )
    services.write_text(
        version=second,
        section="plan",
        text="完成年审和演练。",
        revision=1,
        by=writer,
        at=make.AT + timedelta(days=1),
    )
    second = services.seal_version(version=second, by=writer, at=make.AT + timedelta(days=1))
    assert (second.version, second.document.number) == (2, "ZHYB-202610-0001")
    found = {(one.where, one.before, one.after) for one in queries.changes_since(second)}
    name = writer.institution.name
    row = f"表“账号统计” 行“{name}”"
    assert (f"{row} · 全部", "1", "2") in found
    assert ("表“账号统计” 合计 · 在用", "1", "2") in found
    assert ("填写内容", "完成年审。 - 核对账号", "完成年审和演练。") in found
    tree = queries.tree_of(second)
    assert tree.sections[0].title == "更正说明"
    said = "".join(text_of_pdf(file_of(second, "pdf")).split())
    assert "更正原因：漏统计一个账号" in said
    assert "完成年审和演练。" in said
    assert name in said
    assert queries.verify_version(DocumentVersion.objects.get(pk=first.pk)).genuine


def test_a_correction_needs_a_reason_a_seal_and_no_other_draft(
    monthly: DocumentKind, writer: Account
) -> None:
    version = draft(monthly, writer)
    with pytest.raises(DraftExists):
        services.correct_document(document=version.document, reason="x", by=writer, at=make.AT)
    services.discard_draft(version=version, reason="", by=writer, at=make.AT)
    with pytest.raises(NothingSealed):
        services.correct_document(document=version.document, reason="x", by=writer, at=make.AT)
    done = sealed(monthly, writer)
    with pytest.raises(SectionNotTyped, match="更正原因"):
        services.correct_document(document=done.document, reason=" ", by=writer, at=make.AT)


def test_a_required_text_must_be_there_before_the_seal(
    monthly: DocumentKind, writer: Account
) -> None:
    version = draft(monthly, writer)
    with pytest.raises(TextMissing, match="下月计划"):
        services.seal_version(version=version, by=writer, at=make.AT)
    assert DocumentVersion.objects.get(pk=version.pk).is_draft


def test_two_people_cannot_overwrite_each_other_unseen(
    monthly: DocumentKind, writer: Account
) -> None:
    colleague = people.account(right=RIGHTS, institution=writer.institution, name="李同事")
    version = draft(monthly, writer)
    services.write_text(
        version=version, section="plan", text="甲", revision=0, by=writer, at=make.AT
    )
    services.write_text(
        version=version, section="plan", text="乙", revision=1, by=colleague, at=make.AT
    )
    with pytest.raises(EditedMeanwhile, match="李同事"):
        services.write_text(
            version=version, section="plan", text="丙", revision=1, by=writer, at=make.AT
        )
    assert queries.texts_of(version)["plan"].text == "乙"


def test_computed_sections_cannot_be_typed_into(monthly: DocumentKind, writer: Account) -> None:
    version = draft(monthly, writer)
    with pytest.raises(SectionNotTyped):
        services.write_text(
            version=version, section="accounts", text="x", revision=0, by=writer, at=make.AT
        )


def test_a_document_of_the_same_month_is_made_once(monthly: DocumentKind, writer: Account) -> None:
    draft(monthly, writer)
    with pytest.raises(DocumentExists, match="2026年10月"):
        draft(monthly, writer)


def test_wrong_periods_and_future_cutoffs_are_refused(
    monthly: DocumentKind, writer: Account
) -> None:
    with pytest.raises(WrongPeriod, match="按月编制"):
        draft(monthly, writer, "2026-Q3")
    with pytest.raises(WrongPeriod, match="不能晚于现在"):
        draft(monthly, writer, cutoff=make.AT + timedelta(minutes=1))


def test_a_stranger_neither_makes_nor_sees_it(monthly: DocumentKind, writer: Account) -> None:
    version = draft(monthly, writer)
    stranger = people.account(right=RIGHTS, institution=people.institution("外地医院"))
    assert not Document.objects.visible_to(stranger).exists()
    assert not DocumentVersion.objects.visible_to(stranger).exists()
    assert list(DocumentVersion.objects.visible_to(writer)) == [version]
    with pytest.raises((UnknownInstitution, ReportNotPermitted)):
        services.generate_document(
            kind=monthly,
            period="2026-10",
            institution=writer.institution,
            by=stranger,
            at=make.AT,
        )
    with pytest.raises(ReportNotPermitted):
        services.seal_version(version=version, by=stranger, at=make.AT)


def test_names_are_masked_in_a_copy_that_leaves_the_customer(
    monthly: DocumentKind, writer: Account
) -> None:
    version = sealed(monthly, writer)
    inside = words_of(download(version=version, form="docx", by=writer, at=make.AT).content)
    outside = words_of(
        services.release_copy(version=version, form="docx", by=writer, at=make.AT).content
    )
    assert "王编制" in inside
    assert "王编制" not in outside
    assert "对外副本" in outside


def test_an_empty_report_says_so_from_the_count(accounts: Any, writer: Account) -> None:
    from kangwei.kernel.reporting.declarations import SectionKind, report_section

    empty = make.report(code="test.empty", rows=lambda ctx: [])
    kind = DocumentKind(
        code="test.quarter",
        title="季报",
        prefix="JB",
        right=make.RIGHT,
        period="quarter",
        sections=(
            SectionKind(
                key="a", title="投诉", build=report_section("test.empty", nothing="投诉", unit="件")
            ),
        ),
    )
    with make.registered(empty, kind):
        version = draft(kind, writer, "2026-Q3")
        section = preview_tree(version).section("a")
    assert section is not None
    assert section.blocks == (b.Nothing("投诉", "件"),)


def test_refreshing_counts_again_and_keeps_what_was_typed(
    monthly: DocumentKind, writer: Account
) -> None:
    version = draft(monthly, writer)
    services.write_text(
        version=version, section="plan", text="计划", revision=0, by=writer, at=make.AT
    )
    people.account(institution=writer.institution)
    later = make.AT + timedelta(hours=1)
    version = services.refresh_draft(version=version, by=writer, at=later)
    tree = queries.tree_of(version)
    assert tree.cutoff == later
    section = tree.section("accounts")
    assert section is not None
    table = next(one for one in section.blocks if isinstance(one, b.ReportTable))
    assert table.totals is not None
    assert 2 in table.totals
    plan = tree.section("plan")
    assert plan is not None
    assert isinstance(plan.blocks[0], b.Typed)
    assert plan.blocks[0].text == "计划"

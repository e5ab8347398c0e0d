"""Freezing a report (固化): what was seen is stored with its digest, and never computed again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from kangwei.kernel.audit import services as audit
from kangwei.kernel.crypto import services as crypto
from kangwei.kernel.organisations.models import Account

from .. import storage
from ..models import Snapshot, SnapshotChunk, SnapshotPlan
from ..models.results import UseAct
from ..refusals import NotComparable, NothingToFreeze, ReportNotPermitted
from ..rules.comparison import Comparison, DifferentReports, RepeatedKey, compare
from ..rules.declarations import Report
from ..rules.results import Result
from .running import Kept, note_use, run_report

FREEZE_RIGHT = "reporting.freeze_report"


@transaction.atomic
def freeze(
    *,
    report: Report,
    kept: Kept,
    by: Account,
    at: datetime,
    name: str = "",
    plan: SnapshotPlan | None = None,
    slot: datetime | None = None,
) -> Snapshot:
    """Store a result for good: rows, totals, chart, definition, parameters, cut-off, signature.

    What is frozen is the result that was looked at, not a fresh count of the same question.
    """
    if plan is None and not by.has_perm(FREEZE_RIGHT):
        raise ReportNotPermitted("您的角色不能固化报表；如工作需要，请联系本单位管理员授权。")
    result = kept.result
    require_distinct_keys(report, result)
    heading = result.heading
    words = "；".join(f"{title}：{text}" for title, text in heading.parameter_words)
    frame, chunks = storage.frame_text(result), list(storage.chunk_texts(result))
    digest = storage.digest([frame, *chunks])
    signature = crypto.sign(digest.encode())
    title = name.strip() or f"{heading.title} {' '.join(t for _, t in heading.parameter_words)}"
    snapshot = Snapshot.objects.create(
        report=report.code,
        title=heading.title[:100],
        name=title.strip()[:120],
        version=heading.version,
        definition_digest=heading.definition_digest,
        parameters=dict(heading.parameters),
        parameter_words=words[:500],
        cutoff=heading.cutoff,
        rows=len(result.rows),
        frame=storage.pack(frame, personal=report.personal, column="frame"),
        covers=list(kept.covers),
        everything=kept.everything,
        personal=report.personal,
        account=by,
        institution_id=by.institution_id,
        frozen_at=at,
        plan=plan,
        slot=slot,
        digest=digest,
        signature=signature.value,
        signature_algorithm=signature.algorithm,
        signature_key=signature.kid,
    )
    SnapshotChunk.objects.bulk_create(
        SnapshotChunk(
            snapshot=snapshot,
            number=number,
            content=storage.pack(text, personal=report.personal, column="chunk"),
        )
        for number, text in enumerate(chunks)
    )
    note_use(report=report.code, act=UseAct.FREEZE, by=by, at=at, rows=snapshot.rows)
    audit.record(
        act="reporting.snapshot.frozen",
        subject=snapshot,
        by=by,
        at=at,
        detail={"report": report.code, "parameters": snapshot.parameters, "digest": digest},
    )
    return snapshot


def require_distinct_keys(report: Report, result: Result) -> None:
    """A row without a name of its own could never be compared; better said now than next year."""
    seen: set[object] = set()
    for row in result.rows:
        key = result.key_of(row)
        if key in seen:
            shown = "、".join(str(part) for part in key)
            raise NothingToFreeze(
                f"报表“{report.title}”有两行的标识同为“{shown}”，没有固化；请把这句话告诉系统管理员。"
            )
        seen.add(key)


def compare_results(before: Result, after: Result) -> Comparison:
    """Cell by cell; what cannot be compared is said in a sentence."""
    try:
        return compare(before, after)
    except DifferentReports:
        raise NotComparable(
            f"“{before.heading.title}”与“{after.heading.title}”不是同一张报表，不能逐格比较；"
            "请选择同一报表的两份固化结果。"
        ) from None
    except RepeatedKey as repeated:
        shown = "、".join(str(part) for part in repeated.args[1])
        raise NotComparable(f"结果中有两行的标识同为“{shown}”，无法逐行对应，没有比较。") from None


def compare_with_now(
    *,
    report: Report,
    before: Result,
    parameters: Mapping[str, str],
    by: Account,
    at: datetime,
) -> tuple[Result, Comparison]:
    """Count the same question again, now and in one's own scope, and lay it beside the snapshot."""
    after = run_report(report=report, parameters=parameters, by=by, at=at)
    comparison = compare_results(before, after)
    note_use(report=report.code, act=UseAct.COMPARE, by=by, at=at, rows=len(after.rows))
    return after, comparison

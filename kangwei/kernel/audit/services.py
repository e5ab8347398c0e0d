"""Acts of the journal (审计日志): naming what was done, in the transaction in which it is done.

`record` writes one line who, what, which object, from where, why; the triggers of journalled
tables add every changed row under the same act id. Both are chained by the clerk afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models, transaction
from django.db.transaction import TransactionManagementError

from kangwei.kernel import clock
from kangwei.kernel.audit import registry, sealing
from kangwei.kernel.audit import verify as verification
from kangwei.kernel.audit.models import Anchor, Seal, Verification
from kangwei.kernel.audit.registry import (
    act_title,
    exempt,
    journal,
    name_codes,
    register_acts,
    segment,
)
from kangwei.kernel.audit.rules.chain import sm3_hex
from kangwei.kernel.audit.segments import seal_segments
from kangwei.kernel.crypto.rules import masking
from kangwei.kernel.refusals import Invalid

__all__ = [
    "Origin",
    "Recorded",
    "act_title",
    "current_origin",
    "ensure_partitions",
    "exempt",
    "journal",
    "name_codes",
    "origin",
    "purge_month",
    "record",
    "record_export",
    "record_unmask",
    "register_acts",
    "restart_anchor_file",
    "seal_month",
    "seal_segments",
    "segment",
    "verify_journal",
]

VERIFIED, MONTH_SEALED = "audit.journal.verified", "audit.month.sealed"
MONTH_PURGED = "audit.month.purged"
EXPORTED, UNMASKED = "audit.data.exported", "audit.data.unmasked"


@dataclass(frozen=True)
class Origin:
    """From where an act came: set once per request, job or command."""

    channel: str = ""
    address: str = ""
    session: str = ""
    trace_id: str = ""
    agent: str = ""


NOWHERE = Origin()
_origin: ContextVar[Origin] = ContextVar("kangwei_audit_origin", default=NOWHERE)


def current_origin() -> Origin:
    return _origin.get()


@contextmanager
def origin(
    *,
    channel: str | None = None,
    address: str | None = None,
    session: str | None = None,
    trace_id: str | None = None,
    agent: str | None = None,
) -> Iterator[Origin]:
    """State the origin of every act inside; what is not given stays as it was outside.

    `session` is the session key; the journal keeps its digest only, enough to tell sessions apart.
    """
    given = {"channel": channel, "address": address, "trace_id": trace_id, "agent": agent}
    changed = {name: value for name, value in given.items() if value is not None}
    if session is not None:
        changed["session"] = sm3_hex(session.encode())[:16] if session else ""
    inside = replace(_origin.get(), **changed)
    token = _origin.set(inside)
    try:
        yield inside
    finally:
        _origin.reset(token)


@dataclass(frozen=True)
class Recorded:
    """The line just written: its number and the id that its row changes share."""

    entry_id: int
    act_id: UUID


#: One statement: the act takes the id under which the triggers noted the rows so far, and the id
#: is closed, so that the next act of this transaction gets its own.
_INSERT = """
WITH line AS (
    INSERT INTO audit_entry (
        occurred_at, kind, act, act_id, account_id, account_label, roles,
        channel, address, session, agent, trace_id,
        object_type, object_id, object_label, detail, reason, result
    ) VALUES (
        %s, 'act', %s, audit_current_act(), %s, %s, %s,
        %s, %s, %s, %s, %s,
        %s, %s, %s, %s::jsonb, %s, %s
    ) RETURNING id, act_id
)
SELECT id, act_id, set_config('kw.act', '', true) FROM line
"""


def record(
    *,
    act: str,
    subject: models.Model | None = None,
    by: Any = None,
    at: datetime,
    reason: str = "",
    detail: Mapping[str, Any] | None = None,
    result: Literal["done", "refused"] = "done",
    personal: Mapping[str, str] | None = None,
) -> Recorded:
    """Write the act's line. Call it after the act's own changes, in the same transaction.

    `by` is the account, or nobody for the system itself. `personal` holds a person's data that
    help the reader (name, phone, id_number, address, email, bank); they are masked before they
    are written, because the journal never forgets. A refused act changed nothing, so it alone may
    stand in a transaction of its own.
    """
    if not registry.is_known(act):
        raise LookupError(f"act {act!r} has no title; call audit.services.register_acts first")
    if result == "done" and not connection.in_atomic_block:
        raise TransactionManagementError(f"record {act!r} inside the transaction of the act")
    facts = dict(detail or {})
    for name, value in (personal or {}).items():
        facts[name] = masking.mask(name, value, level=1)
    account_id, label, roles = _snapshot(by)
    source = _origin.get()
    kind, key, title = _subject(subject)
    with connection.cursor() as cursor:
        cursor.execute(
            _INSERT,
            [
                at, act, account_id, label, roles,
                source.channel, source.address, source.session, source.agent, source.trace_id,
                kind, key, title, _json(facts), _clean(reason), result,
            ],
        )  # fmt: skip
        entry_id, act_id, _ = cursor.fetchone()
    return Recorded(entry_id, act_id)


def record_export(
    *,
    what: str,
    by: Any,
    at: datetime,
    rows: int,
    format: str = "",  # noqa: A002 - what callers call it
    detail: Mapping[str, Any] | None = None,
    reason: str = "",
    subject: models.Model | None = None,
) -> Recorded:
    """Rows left the product as a file (导出): which list or report, with which conditions."""
    facts = {**(detail or {}), "what": what, "rows": rows, "format": format}
    return record(act=EXPORTED, subject=subject, by=by, at=at, reason=reason, detail=facts)


def record_unmask(
    *, subject: models.Model, fields: list[str], by: Any, at: datetime, reason: str
) -> Recorded:
    """Somebody was shown personal data in full (明文查看); the reason is never empty."""
    if not reason.strip():
        raise ValueError("unmasking needs a reason")
    return record(
        act=UNMASKED, subject=subject, by=by, at=at, reason=reason, detail={"fields": fields}
    )


def ensure_partitions(*, ahead: int = 3) -> int:
    """Make the months to come; called daily, so that no line waits for its partition."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_ensure_partitions(%s)", [ahead])
        return int(cursor.fetchone()[0])


def verify_journal(
    *, at: datetime, by: Any = None, first: int | None = None, last: int | None = None
) -> Verification:
    """Check the whole journal, keep the result, and journal that it was checked."""
    report = verification.verify(at=at, first=first, last=last)
    with transaction.atomic():
        row = Verification.objects.create(
            started_at=at,
            finished_at=max(at, clock.now()),
            first_seq=report.first_seq,
            last_seq=report.last_seq,
            links=report.links,
            sound=report.sound,
            unchained=report.unchained,
            findings=[finding.as_json() for finding in report.findings[:1000]],
            remarks=report.remarks[:200],
        )
        facts = {"links": report.links, "sound": report.sound, "faults": len(report.findings)}
        record(act=VERIFIED, subject=row, by=by, at=at, detail=facts)
    return row


@transaction.atomic
def restart_anchor_file(*, by: Any = None, at: datetime, reason: str) -> int:
    """Begin a lost anchor file anew, from the next anchor on; answers that anchor's number.

    Until this is said with a reason, every verification names the missing anchors.
    """
    if not reason.strip():
        raise Invalid("请说明锚点文件为何重新开始。", field="reason")
    last = Anchor.objects.order_by("-number").values_list("number", flat=True).first() or 0
    record(
        act=verification.ANCHOR_FILE_RESTARTED,
        by=by,
        at=at,
        reason=reason,
        detail={"number": last + 1},
    )
    return last + 1


@transaction.atomic
def seal_month(*, month: str, by: Any = None, at: datetime) -> Seal:
    """Close a past month with a final anchor (封存)."""
    seal = sealing.seal_month(month=sealing.Month.read(month), at=at)
    record(act=MONTH_SEALED, by=by, at=at, detail={"month": month, "last_seq": seal.last_seq})
    return seal


def purge_month(
    *, month: sealing.Month, by: Any = None, at: datetime, archive: Path | None = None
) -> Seal:
    """Put a sealed month away whose retention is over (清理); the sealed anchor stays."""
    with transaction.atomic():
        seal = sealing.purge_month(month=month, at=at, archive=archive)
        facts = {"month": str(month), "entries": seal.entries, "archive": str(archive or "")}
        record(act=MONTH_PURGED, by=by, at=at, detail=facts)
    return seal


def _snapshot(by: Any) -> tuple[int | None, str, str]:
    if by is None or not getattr(by, "is_authenticated", False):
        return None, "", ""
    label = by.journal_label() if hasattr(by, "journal_label") else str(by)
    roles = by.journal_roles() if hasattr(by, "journal_roles") else ""
    return by.pk, _clean(label)[:200], _clean(roles)[:500]


def _subject(subject: models.Model | None) -> tuple[str, str, str]:
    if subject is None:
        return "", "", ""
    label = subject.journal_label() if hasattr(subject, "journal_label") else str(subject)
    return registry.object_type(type(subject)), str(subject.pk), _clean(label)[:200]


def _json(facts: Mapping[str, Any]) -> str | None:
    if not facts:
        return None
    plain = json.loads(json.dumps(facts, cls=DjangoJSONEncoder))
    return json.dumps(_without_zeros(plain), ensure_ascii=False)


def _without_zeros(value: Any) -> Any:
    if isinstance(value, dict):
        return {_clean(key): _without_zeros(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_zeros(item) for item in value]
    return _clean(value) if isinstance(value, str) else value


def _clean(text: str) -> str:
    """PostgreSQL stores no zero character; a hostile input must not stop the journal."""
    return text.replace("\x00", "\ufffd")

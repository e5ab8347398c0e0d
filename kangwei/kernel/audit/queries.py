"""Questions to the journal (审计日志): what happened to this thing; who did what, where, when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, models
from django.db.models import Q, QuerySet

from kangwei.kernel.audit import registry
from kangwei.kernel.audit.display import (
    OPERATIONS,
    FieldChange,
    Names,
    field_changes,
    local_text,
    object_title,
)
from kangwei.kernel.audit.models import Anchor, Entry, Link, Seal, Verification
from kangwei.kernel.audit.segments import unsealed_since as unsealed_since

__all__ = [
    "Criteria",
    "FieldChange",
    "HistoryEntry",
    "Page",
    "acts",
    "append_only_enforced",
    "chain_state",
    "export_rows",
    "found",
    "history",
    "object_types",
    "search",
]

WITHOUT_ACT = "直接修改数据（无业务操作）"
#: Beyond this many hits the count says "more than".
COUNTED = 10_000


def acts() -> dict[str, str]:
    """Act names and their titles, for the choice list of the search page."""
    return registry.acts()


def object_types() -> dict[str, str]:
    """Journalled kinds of object and their titles."""
    return {item.object_type: object_title(item.object_type) for item in registry.journalled()}


# The history of one thing -------------------------------------------------------------------


@dataclass(frozen=True)
class HistoryEntry:
    """One thing that happened to a subject, with the fields that changed by it."""

    at: datetime
    title: str
    by: str
    address: str
    reason: str
    result: str
    entry_id: int
    recorded_at: datetime
    detail: dict[str, Any]
    changes: list[FieldChange] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        return self.result == Entry.Result.REFUSED


def history(subject: models.Model, *, limit: int = 200) -> list[HistoryEntry]:
    """Everything the journal knows of this row, newest first: acts on it, and changes of it.

    An act shows the fields it changed, in the subject and in the tables beside it. A change under
    no act was written by hand into the database and says so.
    """
    own: list[Entry] = list(
        Entry.objects.filter(
            object_type=registry.object_type(type(subject)), object_id=str(subject.pk)
        ).order_by("-id")[:limit]
    )
    stories = _stories(own)
    names = Names(change for _, changes in stories for change in changes)
    return [_told(act, changes, subject, names) for act, changes in stories]


def _stories(own: Sequence[Entry]) -> list[tuple[Entry | None, list[Entry]]]:
    """Group entries by act, newest first; each with the act's line, if there is one."""
    ids = {entry.act_id for entry in own if entry.act_id}
    acts_by_id: dict[UUID | None, Entry] = {
        entry.act_id: entry for entry in Entry.objects.filter(kind="act", act_id__in=ids)
    }
    strays = {entry.tx for entry in own if entry.act_id not in acts_by_id}
    # Changes noted after their act's line carry a fresh id; the transaction still tells the act.
    by_tx: dict[int, Entry] = {}
    if strays:
        for entry in Entry.objects.filter(kind="act", tx__in=strays).order_by("-id"):
            by_tx[entry.tx] = entry
    of_subject = {
        entry.act_id: entry for entry in own if entry.kind == Entry.Kind.ACT and entry.act_id
    }
    beside: dict[UUID | None, list[Entry]] = defaultdict(list)
    seen = {entry.pk for entry in own}
    for entry in Entry.objects.filter(kind="change", act_id__in=of_subject).order_by("id")[:2000]:
        if entry.pk not in seen:
            beside[entry.act_id].append(entry)
    grouped: dict[object, tuple[Entry | None, list[Entry]]] = {}
    for entry in own:
        act = acts_by_id.get(entry.act_id) or by_tx.get(entry.tx)
        place = grouped.setdefault(act.pk if act else (entry.tx, entry.act_id), (act, []))
        if entry.kind == Entry.Kind.CHANGE:
            place[1].append(entry)
    for act, changes in grouped.values():
        changes.sort(key=lambda change: change.pk)
        if act:
            changes.extend(beside.get(act.act_id, [])[:30])
    return list(grouped.values())


def _told(
    act: Entry | None, changes: list[Entry], subject: models.Model, names: Names
) -> HistoryEntry:
    kind = registry.object_type(type(subject))
    shown: list[FieldChange] = []
    for change in changes:
        foreign = (change.object_type, change.object_id) != (kind, str(subject.pk))
        prefix = f"{object_title(change.object_type)} · " if foreign else ""
        shown.extend(field_changes(change, names, prefix=prefix))
    if act is None:
        first = changes[0]
        return HistoryEntry(
            at=first.recorded_at,
            title=f"{WITHOUT_ACT}：{OPERATIONS[first.operation]}",
            by=f"数据库用户 {first.db_user}",
            address=first.application,
            reason="",
            result=first.result,
            entry_id=first.pk,
            recorded_at=first.recorded_at,
            detail={},
            changes=shown,
        )
    return HistoryEntry(
        at=act.occurred_at,
        title=registry.act_title(act.act),
        by=act.account_label,
        address=act.address,
        reason=act.reason,
        result=act.result,
        entry_id=act.pk,
        recorded_at=act.recorded_at,
        detail=act.detail or {},
        changes=shown,
    )


# Search ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Criteria:
    """What an auditor asks for; every part may be left out. A period excludes its end."""

    since: datetime | None = None
    until: datetime | None = None
    account_id: int | None = None
    act: str = ""
    object_type: str = ""
    object_id: str = ""
    kind: str = ""
    result: str = ""
    address: str = ""
    trace_id: str = ""
    #: Words in the person's label, the object's label or the reason of an act.
    text: str = ""
    #: Only changes under no act: rows written by hand into the database.
    without_act: bool = False


@dataclass(frozen=True)
class Found:
    """One line of the result, ready for the screen."""

    entry: Entry
    title: str
    object_title: str
    changes: list[FieldChange]

    @property
    def by(self) -> str:
        entry = self.entry
        return entry.account_label or (f"数据库用户 {entry.db_user}" if self.unnamed else "系统")

    @property
    def unnamed(self) -> bool:
        return self.entry.kind == Entry.Kind.CHANGE


@dataclass(frozen=True)
class Page:
    items: list[Found]
    page: int
    size: int
    total: int
    #: The true count is larger than `total`.
    more: bool


def entries(criteria: Criteria) -> QuerySet[Entry]:
    """The lines that fit, newest first. Each condition meets an index or a monthly partition."""
    rows: QuerySet[Entry] = Entry.objects.order_by("-id")
    exact = {
        "account_id": criteria.account_id,
        "act": criteria.act,
        "object_type": criteria.object_type,
        "object_id": criteria.object_id,
        "kind": criteria.kind,
        "result": criteria.result,
        "address": criteria.address,
        "trace_id": criteria.trace_id,
    }
    rows = rows.filter(**{name: value for name, value in exact.items() if value not in (None, "")})
    if criteria.account_id is not None or criteria.text:
        rows = rows.filter(kind=Entry.Kind.ACT)  # the partial indexes cover acts
    elif criteria.act:
        rows = rows.exclude(kind=Entry.Kind.CHANGE)
    if criteria.since:
        rows = rows.filter(recorded_at__gte=criteria.since)
    if criteria.until:
        rows = rows.filter(recorded_at__lt=criteria.until)
    if criteria.text:
        pattern = criteria.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        rows = rows.extra(  # the very expression of the index audit_entry_words
            where=["(account_label || ' ' || object_label || ' ' || reason) LIKE %s"],
            params=[f"%{pattern}%"],
        )
    if criteria.without_act:
        same_tx = Entry.objects.filter(kind=Entry.Kind.ACT, tx=models.OuterRef("tx"))
        rows = rows.filter(~models.Exists(same_tx), kind=Entry.Kind.CHANGE)
    return rows


def search(criteria: Criteria, *, page: int = 1, size: int = 50) -> Page:
    rows = entries(criteria)
    total = rows.order_by()[: COUNTED + 1].count()
    lines = list(rows[(page - 1) * size : page * size])
    names = Names(lines)
    return Page(
        items=[found(entry, names) for entry in lines],
        page=page,
        size=size,
        total=min(total, COUNTED),
        more=total > COUNTED,
    )


def found(entry: Entry, names: Names) -> Found:
    """One line in the words of the screens."""
    if entry.kind == Entry.Kind.CHANGE:
        title = f"{OPERATIONS[entry.operation]}{object_title(entry.object_type)}"
    else:
        title = registry.act_title(entry.act)
    return Found(entry, title, object_title(entry.object_type), field_changes(entry, names))


EXPORT_HEADINGS = (
    "编号", "登记时间", "业务时间", "类别", "操作", "操作人", "角色", "来源地址", "对象类别",
    "对象编号", "对象", "变更", "原因", "结果", "跟踪编号", "数据库用户",
)  # fmt: skip


def export_rows(criteria: Criteria, *, limit: int = 100_000) -> Iterator[tuple[str, ...]]:
    """The found lines as plain text cells; none of them is a formula to a spreadsheet."""
    batch: list[Entry] = []
    for entry in entries(criteria)[:limit].iterator(chunk_size=1000):
        batch.append(entry)
        if len(batch) == 1000:
            yield from _cells(batch)
            batch = []
    yield from _cells(batch)


def _cells(batch: list[Entry]) -> Iterator[tuple[str, ...]]:
    names = Names(batch)
    for entry in batch:
        line = found(entry, names)
        changes = "；".join(f"{c.label}：{c.old or '空'} → {c.new or '空'}" for c in line.changes)
        cells = (
            str(entry.pk), local_text(entry.recorded_at), local_text(entry.occurred_at),
            entry.get_kind_display(), line.title, line.by, entry.roles, entry.address,
            line.object_title, entry.object_id, entry.object_label, changes, entry.reason,
            entry.get_result_display(), entry.trace_id, entry.db_user,
        )  # fmt: skip
        yield tuple(spreadsheet_safe(cell) for cell in cells)


def spreadsheet_safe(cell: str) -> str:
    """A cell that begins like a formula is quoted, so that opening the file runs nothing."""
    return f"'{cell}" if cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell


# The state of the chain -----------------------------------------------------------------------


@dataclass(frozen=True)
class ChainState:
    """For the health page: how far the clerk is, and whether the journal can be altered."""

    seq: int
    chained_at: datetime | None
    unchained: int
    oldest_unchained_at: datetime | None
    anchor: Anchor | None
    verification: Verification | None
    append_only: bool


def chain_state() -> ChainState:
    head: Link | None = Link.objects.order_by("-seq").first()
    anchor: Anchor | None = Anchor.objects.order_by("-number").first()
    waiting, oldest = _unchained(anchor)
    return ChainState(
        seq=head.seq if head else 0,
        chained_at=head.chained_at if head else None,
        unchained=waiting,
        oldest_unchained_at=oldest,
        anchor=anchor,
        verification=Verification.objects.first(),
        append_only=append_only_enforced(),
    )


def _unchained(anchor: Anchor | None) -> tuple[int, datetime | None]:
    rows: QuerySet[Entry] = Entry.objects.extra(
        where=["NOT EXISTS (SELECT 1 FROM audit_link l WHERE l.entry_id = audit_entry.id)"]
    )
    if anchor:
        from kangwei.kernel.audit.anchors import snapshot_of

        snapshot = snapshot_of(anchor.line)
        rows = rows.filter(Q(tx__gte=snapshot.xmax) | Q(tx__in=snapshot.running))
    told = rows.aggregate(n=models.Count("pk"), oldest=models.Min("recorded_at"))
    return told["n"], told["oldest"]


def append_only_enforced() -> bool:
    """Whether the application's role is unable to alter the journal, triggers or not.

    Owners may drop triggers and superusers may do anything, so the role must be neither.
    """
    role = settings.APPLICATION_ROLE
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT NOT r.rolsuper AND NOT bool_or(
                pg_has_role(r.oid, c.relowner, 'MEMBER')
                OR has_table_privilege(r.oid, c.oid, 'UPDATE')
                OR has_table_privilege(r.oid, c.oid, 'DELETE')
                OR has_table_privilege(r.oid, c.oid, 'TRUNCATE')
            )
            FROM pg_roles r, pg_class c
            WHERE r.rolname = coalesce(nullif(%s, ''), current_user)
              AND c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
              AND c.relname ~ '^audit_(entry|link|anchor|book|seal)(_|$)'
            GROUP BY r.rolsuper
            """,
            [role],
        )
        row = cursor.fetchone()
    return bool(row and row[0])


def sealed_months() -> dict[date, Seal]:
    return {seal.month: seal for seal in Seal.objects.select_related("anchor").order_by("month")}

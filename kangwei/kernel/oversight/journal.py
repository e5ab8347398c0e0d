"""What an auditor asks beyond a search: where a line stands in the chain, ready-made questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kangwei.kernel.audit.display import FieldChange, Names, field_changes, object_title
from kangwei.kernel.audit.models import Anchor, Entry, Link, Verification
from kangwei.kernel.audit.queries import Found, found
from kangwei.kernel.refusals import NotFound, NotPermitted

SEARCH_RIGHT = "audit.view_entry"
EXPORT_RIGHT = "audit.export_entry"
VERIFY_RIGHT = "audit.verify_journal"


@dataclass(frozen=True)
class Preset:
    """A question auditors keep asking."""

    key: str
    title: str
    hint: str
    query: Mapping[str, str]


PRESETS = (
    Preset("unmasked", "谁查看过完整个人信息", "身份证号、手机号的明文查看及原因",
           {"act": "audit.data.unmasked"}),
    Preset("exported", "谁导出过数据", "列表、报表和日志的导出", {"act": "audit.data.exported"}),
    Preset("refused", "被拒绝的操作", "没有权限或不符合条件的尝试", {"result": "refused"}),
    Preset("by-hand", "绕过业务操作的改动", "直接写入数据库的数据变更", {"without_act": "on"}),
    Preset("granted", "授权变动", "角色的授予", {"act": "organisations.grant.given"}),
    Preset("reviewed", "逾期未年审暂停", "由年审自动暂停的账号",
           {"act": "oversight.account.review_suspended"}),
)  # fmt: skip


def require_whole_view(user: Any, right: str = SEARCH_RIGHT) -> None:
    """The journal is one for the whole platform; a narrower data scope cannot be cut out of it."""
    if not user.scope(right).everything:
        raise NotPermitted(
            "审计日志按全平台检索，您的角色数据范围不是“全部”；请由审计员查询，"
            "或在业务对象的“操作记录”中查看您范围内的记录。"
        )


@dataclass(frozen=True)
class Position:
    """Where a line stands in the chain, and who vouches for it."""

    link: Link | None
    anchor: Anchor | None
    verification: Verification | None

    @property
    def words(self) -> str:
        if self.link is None:
            return "尚未入链（5 秒内由记账员写入）"
        if self.verification is not None:
            return f"第 {self.link.seq} 环，已校验完好"
        if self.anchor is not None:
            return f"第 {self.link.seq} 环，已被锚点 {self.anchor.number} 覆盖，尚未校验"
        return f"第 {self.link.seq} 环，等待下一个锚点"

    @property
    def tone(self) -> str:
        if self.link is None:
            return "warn"
        return "good" if self.verification or self.anchor else "info"


def position(entry: Entry) -> Position:
    link = Link.objects.filter(entry_id=entry.pk).first()
    if link is None:
        return Position(None, None, None)
    anchor = Anchor.objects.filter(seq__gte=link.seq).order_by("number").first()
    verification = Verification.objects.filter(
        sound=True, first_seq__lte=link.seq, last_seq__gte=link.seq
    ).first()
    return Position(link, anchor, verification)


@dataclass(frozen=True)
class Detail:
    """One line with all beside it: what changed under its act, and its place in the chain."""

    line: Found
    changes: list[tuple[str, list[FieldChange]]]
    position: Position
    facts: list[tuple[str, str]]


def detail(entry_id: int) -> Detail:
    entry: Entry | None = Entry.objects.filter(pk=entry_id).first()
    if entry is None:
        raise NotFound(f"没有编号为 {entry_id} 的审计日志，可能所在月份已封存清理。")
    under = (
        list(
            Entry.objects.filter(act_id=entry.act_id, kind=Entry.Kind.CHANGE)
            .exclude(pk=entry.pk)
            .order_by("id")[:100]
        )
        if entry.act_id
        else []
    )
    names = Names([*under, entry])
    changes = [
        (
            f"{change.get_operation_display()}{object_title(change.object_type)}"
            f" {change.object_id}",
            field_changes(change, names),
        )
        for change in under
    ]
    facts = [(FACTS.get(key, key), _plain(value)) for key, value in (entry.detail or {}).items()]
    return Detail(found(entry, names), changes, position(entry), facts)


#: Words for the facts acts most often state.
FACTS = {
    "fields": "查看的内容", "what": "导出的内容", "rows": "行数", "role": "角色",
    "institutions": "机构", "regions": "区划", "until": "有效期至", "campaign": "年审批次",
    "due_on": "到期日", "in_bulk": "批量确认", "accounts": "账号数", "year": "年度",
    "kind": "类型", "before": "原值", "after": "新值", "count": "数量", "added": "增加",
    "removed": "减少", "sessions": "会话数",
}  # fmt: skip
VALUES = {"id_number": "身份证号", "phone": "手机号", "True": "是", "False": "否", "None": "—"}


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "、".join(_plain(one) for one in value) or "—"
    if isinstance(value, datetime):
        return value.isoformat()
    return VALUES.get(str(value), str(value))

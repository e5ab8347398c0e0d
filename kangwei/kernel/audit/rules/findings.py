"""What is wrong with a chain, and where: named so that an auditor can go and look."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from kangwei.kernel.audit.rules.chain import ALGORITHM, canonical, link_hash, parse


class Fault(StrEnum):
    """Each way in which somebody may have laid hand on the journal."""

    EDITED = "edited"
    DELETED = "deleted"
    INSERTED = "inserted"
    SWAPPED = "swapped"
    BROKEN = "broken"
    CUT = "cut"
    REHASHED = "rehashed"
    ANCHOR_CHANGED = "anchor_changed"
    ANCHOR_MISSING = "anchor_missing"
    SEGMENT = "segment"

    @property
    def words(self) -> str:
        return _WORDS[self]


_WORDS = {
    Fault.EDITED: "记录被改动",
    Fault.DELETED: "记录被删除",
    Fault.INSERTED: "记录被插入",
    Fault.SWAPPED: "记录被互换",
    Fault.BROKEN: "链不衔接",
    Fault.CUT: "尾部被截断",
    Fault.REHASHED: "链被重新计算",
    Fault.ANCHOR_CHANGED: "锚点被改动",
    Fault.ANCHOR_MISSING: "锚点缺失",
    Fault.SEGMENT: "分段数据不符",
}


@dataclass(frozen=True)
class Finding:
    """One thing wrong: the kind, the place in the chain, the entry, and a sentence about it."""

    fault: Fault
    message: str
    seq: int | None = None
    entry_id: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "fault": self.fault.value, "title": self.fault.words}


@dataclass(frozen=True)
class LinkRow:
    """A link with the canonical text of its entry, or nothing where the entry is gone."""

    seq: int
    entry_id: int
    month: str
    prev_hash: str
    hash: str
    text: str | None
    algorithm: str = ALGORITHM


class Walk:
    """Walks along the chain, link by link, and keeps what it finds.

    It always goes on: after a fault the stored digests are taken as they stand, so that one
    changed row is one finding and not a million.
    """

    #: Pairs are compared among so many edited rows; beyond, an exchange shows as two edits.
    COMPARED = 50

    def __init__(self, seq: int, head: str, purged_months: frozenset[str] = frozenset()) -> None:
        self.findings: list[Finding] = []
        self.links = 0
        self.unread = 0
        self._seq, self._head = seq, head
        self._before_head: str | None = None
        self._entry_id: int | None = None
        self._purged = purged_months
        self._edited: list[LinkRow] = []

    @property
    def seq(self) -> int:
        return self._seq

    @property
    def head(self) -> str:
        return self._head

    def step(self, row: LinkRow) -> None:
        self.links += 1
        if row.seq <= self._seq:
            message = f"第 {row.seq} 号链接出现两次，日志 #{row.entry_id} 是后来插入的。"
            self._add(Fault.INSERTED, message, row)
            return
        self._check_place(row)
        self._check_content(row)
        self._before_head, self._head = self._head, row.hash
        self._seq, self._entry_id = row.seq, row.entry_id

    def _check_place(self, row: LinkRow) -> None:
        fits = row.prev_hash == self._head
        if row.seq > self._seq + 1:
            gone = (
                f"第 {self._seq + 1} 至 {row.seq - 1} 号"
                if row.seq > self._seq + 2
                else (f"第 {row.seq - 1} 号")
            )
            self.findings.append(
                Finding(Fault.DELETED, f"{gone}链接连同日志被删除。", self._seq + 1, None)
            )
        elif not fits and row.prev_hash == self._before_head:
            message = f"第 {self._seq} 号链接（日志 #{self._entry_id}）是插入的，前后两号本来相连。"
            self.findings.append(Finding(Fault.INSERTED, message, self._seq, self._entry_id))
        elif not fits:
            message = f"第 {row.seq} 号链接与前一号不衔接，其间有链接被删除或改动。"
            self._add(Fault.BROKEN, message, row)

    def _check_content(self, row: LinkRow) -> None:
        if row.algorithm != ALGORITHM:
            message = f"第 {row.seq} 号链接的算法“{row.algorithm}”不是 {ALGORITHM}，无法核对。"
            self._add(Fault.BROKEN, message, row)
        elif row.text is None:
            if row.month in self._purged:
                self.unread += 1
            else:
                message = f"第 {row.seq} 号对应的日志 #{row.entry_id} 已不存在。"
                self._add(Fault.DELETED, message, row)
        elif link_hash(row.prev_hash, row.text) != row.hash:
            self._edited.append(row)

    def _add(self, fault: Fault, message: str, row: LinkRow) -> None:
        self.findings.append(Finding(fault, message, row.seq, row.entry_id))

    def finish(self) -> list[Finding]:
        """Tell exchanged rows from edited ones, and give the findings in the order of the chain."""
        exchanged: dict[int, int] = {}
        compared = self._edited[: self.COMPARED]
        for row in compared:
            for other in compared:
                if row is not other and _is_content_of(row, other):
                    exchanged[row.seq] = other.seq
        for row in self._edited:
            other_seq = exchanged.get(row.seq)
            if other_seq is None:
                message = f"第 {row.seq} 号对应的日志 #{row.entry_id} 内容与入链时不符。"
                self._add(Fault.EDITED, message, row)
            elif other_seq > row.seq or exchanged.get(other_seq) != row.seq:
                message = f"第 {row.seq} 号与第 {other_seq} 号的日志内容被互换。"
                self._add(Fault.SWAPPED, message, row)
        self.findings.sort(key=lambda finding: finding.seq or 0)
        return self.findings


def _is_content_of(row: LinkRow, other: LinkRow) -> bool:
    """Whether the entry now at `other` is the one that was chained as `row`."""
    assert row.text is not None
    assert other.text is not None
    if link_hash(row.prev_hash, other.text) == row.hash:
        return True
    here, there = parse(row.text), parse(other.text)
    place = {name: here[name] for name in ("id", "recorded_at")}
    return link_hash(row.prev_hash, canonical({**there, **place})) == row.hash

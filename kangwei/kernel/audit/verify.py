"""Verification (校验) of the journal: chain, anchors, anchor file, segments, unchained lines.

Everything is read in one snapshot, so the clerk may go on working meanwhile. Findings are faults,
each named with its place; remarks are what a reader should know although nothing is broken.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from kangwei.kernel.audit import anchors, segments
from kangwei.kernel.audit.anchors import SignedAnchor
from kangwei.kernel.audit.display import object_title
from kangwei.kernel.audit.rules.chain import GENESIS
from kangwei.kernel.audit.rules.findings import Fault, Finding, LinkRow, Walk
from kangwei.kernel.audit.wire import Connection, connect
from kangwei.kernel.crypto.services import Signature

BATCH = 10_000
ANCHOR_FILE_RESTARTED = "audit.anchor_file.restarted"


@dataclass
class Report:
    """What a verification saw."""

    first_seq: int = 0
    last_seq: int = 0
    links: int = 0
    unchained: int = 0
    oldest_unchained_at: datetime | None = None
    findings: list[Finding] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not self.findings


@dataclass(frozen=True)
class StoredAnchor:
    """An anchor as a source tells it: what was signed, and the columns beside it."""

    signed: SignedAnchor
    number: int
    seq: int
    hash: str


def verify(*, at: datetime, first: int | None = None, last: int | None = None) -> Report:
    """Check the chain from link `first` to link `last`, or all that is there."""
    connection = connect("kangwei-verify")
    try:
        with connection.transaction():
            connection.execute("SET TRANSACTION READ ONLY")
            return _Verification(connection, at, first, last).run()
    finally:
        connection.close()


class _Verification:
    def __init__(
        self, connection: Connection, at: datetime, first: int | None, last: int | None
    ) -> None:
        self._db = connection
        self._at = at
        self._first, self._last = first, last
        self.report = Report()

    def run(self) -> Report:
        anchored = self._anchors()
        self._chain(anchored)
        self._linked_twice()
        self._unchained(anchored)
        self._segments()
        self._without_act()
        return self.report

    def _rows(self, query: str, arguments: list[Any] | None = None) -> list[tuple[Any, ...]]:
        return self._db.execute(query, arguments).fetchall()

    def _fault(self, fault: Fault, message: str, seq: int | None = None) -> None:
        self.report.findings.append(Finding(fault, message, seq))

    # Anchors --------------------------------------------------------------------------------

    def _anchors(self) -> dict[int, SignedAnchor]:
        """The genuine anchors by number, from the table and the file; each fault is named."""
        stored = {
            row[0]: StoredAnchor(
                SignedAnchor(row[3], row[4], Signature(row[5], row[6], row[7])),
                row[0], row[1], row[2],
            )
            for row in self._rows(
                "SELECT number, seq, hash, line, digest, algorithm, kid, signature"
                " FROM audit_anchor ORDER BY number"
            )
        }  # fmt: skip
        filed = self._filed()
        genuine: dict[int, SignedAnchor] = {}
        for number, anchor in stored.items():
            facts = anchor.signed.facts
            fits = (facts["number"], facts["seq"], facts["hash"]) == (
                anchor.number, anchor.seq, anchor.hash,
            )  # fmt: skip
            if fits and anchor.signed.is_genuine():
                genuine[number] = anchor.signed
            else:
                message = f"数据库中第 {number} 号锚点（链序号 {anchor.seq}）与签名不符。"
                self._fault(Fault.ANCHOR_CHANGED, message, anchor.seq)
        for number, signed in filed.items():
            if not signed.is_genuine():
                message = f"锚点文件中第 {number} 号锚点与签名不符。"
                self._fault(Fault.ANCHOR_CHANGED, message)
            elif number not in stored:
                message = f"数据库缺少第 {number} 号锚点，锚点文件中仍有。"
                self._fault(Fault.ANCHOR_MISSING, message, signed.facts["seq"])
                genuine[number] = signed
            elif stored[number].signed.line != signed.line:
                message = f"第 {number} 号锚点在数据库与锚点文件中不一致。"
                self._fault(Fault.ANCHOR_CHANGED, message, signed.facts["seq"])
                genuine.setdefault(number, signed)
        self._anchor_order(genuine, filed)
        return genuine

    def _filed(self) -> dict[int, SignedAnchor]:
        book = self._rows("SELECT id::text FROM audit_book")[0][0]
        filed: dict[int, SignedAnchor] = {}
        foreign = 0
        for line, anchor in anchors.file_lines():
            if anchor is None:
                self._fault(Fault.ANCHOR_CHANGED, f"锚点文件第 {line} 行无法读取。")
            elif anchor.facts.get("book") == book:
                filed[anchor.facts["number"]] = anchor
            else:
                foreign += 1
        if foreign:
            self.report.remarks.append(f"锚点文件中有 {foreign} 行属于其他数据库，未作比对。")
        return filed

    def _anchor_order(
        self, genuine: dict[int, SignedAnchor], filed: dict[int, SignedAnchor]
    ) -> None:
        if not genuine:
            return
        last = max(genuine)
        gone = [number for number in range(1, last + 1) if number not in genuine]
        for first, upto in _ranges(gone):
            self._fault(Fault.ANCHOR_MISSING, f"缺少第 {_span(first, upto)} 号锚点。")
        for number in range(2, last + 1):
            here, before = genuine.get(number), genuine.get(number - 1)
            if here and before and here.facts["previous"] != before.digest:
                message = f"第 {number} 号锚点与第 {number - 1} 号不衔接。"
                self._fault(Fault.ANCHOR_CHANGED, message, here.facts["seq"])
        begun = self._file_begins_at()
        missing = [n for n in range(begun, last + 1) if n not in filed and n in genuine]
        for first, upto in _ranges(missing):
            self._fault(
                Fault.ANCHOR_MISSING,
                f"锚点文件 {anchors.anchor_file()} 缺少第 {_span(first, upto)} 号锚点。",
            )

    def _file_begins_at(self) -> int:
        """A lost file may be begun anew, which is an act with a name and a reason."""
        rows = self._rows(
            "SELECT (detail->>'number')::bigint FROM audit_entry WHERE act = %s AND kind = 'act'"
            " AND EXISTS (SELECT 1 FROM audit_link l WHERE l.entry_id = audit_entry.id)"
            " ORDER BY id DESC LIMIT 1",
            [ANCHOR_FILE_RESTARTED],
        )
        if not rows:
            return 1
        self.report.remarks.append(f"锚点文件自第 {rows[0][0]} 号锚点起重新开始。")
        return int(rows[0][0])

    # The chain ------------------------------------------------------------------------------

    def _chain(self, anchored: dict[int, SignedAnchor]) -> None:
        seq, head, purged = self._start(anchored)
        walk = Walk(seq, head, purged)
        self.report.first_seq = seq + 1
        heads = {anchor.facts["seq"]: anchor for anchor in anchored.values()}
        rehashed: list[int] = []
        for row in self._links(seq):
            walk.step(row)
            anchor = heads.get(row.seq)
            if anchor and anchor.facts["hash"] != row.hash:
                rehashed.append(row.seq)
        self.report.findings.extend(walk.finish())
        self.report.links, self.report.last_seq = walk.links, walk.seq
        if walk.unread:
            self.report.remarks.append(
                f"{walk.unread} 条链接对应的日志随封存月份清理，只核对了衔接。"
            )
        if rehashed:
            known = [s for s in heads if seq < s < rehashed[0]]
            after = f"在第 {max(known)} 号之后、" if known else ""
            self._fault(
                Fault.REHASHED,
                f"链{after}第 {rehashed[0]} 号之前起被重新计算，与签名锚点不符"
                f"（共 {len(rehashed)} 个锚点不符）。",
                rehashed[0],
            )
        beyond = [s for s in heads if s > walk.seq and (self._last is None or s <= self._last)]
        if beyond:
            self._fault(
                Fault.CUT,
                f"尾部被截断：锚点证明链曾到第 {max(beyond)} 号，现只到第 {walk.seq} 号。",
                walk.seq + 1,
            )

    def _start(self, anchored: dict[int, SignedAnchor]) -> tuple[int, str, frozenset[str]]:
        """Where to begin and with which digest: genesis, the last purged seal, or mid-chain."""
        seq, head = 0, GENESIS
        purged = set()
        for month, last_seq, number in self._rows(
            "SELECT month::text, last_seq, anchor FROM audit_seal WHERE purged_at IS NOT NULL"
            " ORDER BY month"
        ):
            seal = anchored.get(number)
            facts = seal.facts if seal else {}
            if facts.get("month") != month[:7] or facts.get("last_seq") != last_seq:
                self._fault(Fault.ANCHOR_MISSING, f"{month[:7]} 已清理，但没有与之相符的封存锚点。")
                continue
            purged.add(month[:7])
            seq, head = last_seq, facts["last_hash"]
            self.report.remarks.append(f"{month[:7]} 已封存并清理，最后一号为 {last_seq}。")
        if self._first and self._first > seq + 1:
            rows = self._rows(
                "SELECT seq, hash FROM audit_link WHERE seq < %s ORDER BY seq DESC LIMIT 1",
                [self._first],
            )
            if rows:
                seq, head = rows[0]
        return seq, head, frozenset(purged)

    def _links(self, after: int) -> Iterator[LinkRow]:
        place: tuple[int, str] = (after, "infinity")
        while True:
            rows = self._rows(
                "SELECT l.seq, l.chained_at::text, l.entry_id, to_char(l.entry_recorded_at,"
                " 'YYYY-MM'), l.prev_hash, l.hash, l.algorithm,"
                " CASE WHEN e.id IS NOT NULL THEN audit_canonical(e) END"
                " FROM (SELECT * FROM audit_link WHERE (seq, chained_at) > (%s, %s)"
                "       AND (%s::bigint IS NULL OR seq <= %s)"
                "       ORDER BY seq, chained_at LIMIT %s) AS l"
                " LEFT JOIN audit_entry e"
                " ON e.id = l.entry_id AND e.recorded_at = l.entry_recorded_at"
                " ORDER BY l.seq, l.chained_at",
                [*place, self._last, self._last, BATCH],
            )
            for seq, _, entry_id, month, prev_hash, digest, algorithm, text in rows:
                yield LinkRow(seq, entry_id, month, prev_hash, digest, text, algorithm)
            if len(rows) < BATCH:
                return
            place = (rows[-1][0], rows[-1][1])

    def _linked_twice(self) -> None:
        for entry_id, seqs in self._rows(
            "SELECT entry_id, array_agg(seq ORDER BY seq) FROM audit_link"
            " GROUP BY entry_id HAVING count(*) > 1 ORDER BY 1 LIMIT 100"
        ):
            message = f"日志 #{entry_id} 在链上出现多次（第 {'、'.join(map(str, seqs))} 号）。"
            self.report.findings.append(Finding(Fault.INSERTED, message, seqs[-1], entry_id))

    # Beside the chain -----------------------------------------------------------------------

    def _unchained(self, anchored: dict[int, SignedAnchor]) -> None:
        """Lines without a link: fresh ones wait for the clerk, old ones were slipped in."""
        newest = anchored[max(anchored)] if anchored else None
        seen = anchors.snapshot_of(newest.line) if newest else None
        waiting, oldest = 0, None
        for entry_id, recorded_at, xid in self._rows(
            "SELECT e.id, e.recorded_at, e.tx FROM audit_entry e WHERE NOT EXISTS"
            " (SELECT 1 FROM audit_link l WHERE l.entry_id = e.id) ORDER BY e.id"
        ):
            if seen and seen.saw(xid):
                message = (
                    f"日志 #{entry_id}（登记于 {recorded_at:%Y-%m-%d %H:%M:%S} UTC）不在链上，"
                    "而同期事务早已入链：它是事后插入的。"
                )
                self.report.findings.append(Finding(Fault.INSERTED, message, None, entry_id))
            else:
                waiting += 1
                oldest = min(filter(None, (oldest, recorded_at)))
        self.report.unchained, self.report.oldest_unchained_at = waiting, oldest
        if oldest:
            age = max(0, int((self._at - oldest).total_seconds()))
            self.report.remarks.append(
                f"尾部有 {waiting} 条日志尚未入链，最早一条已等待 {age} 秒。"
            )

    def _segments(self) -> None:
        for message in segments.mismatches(self._db, self._at):
            self._fault(Fault.SEGMENT, message)

    def _without_act(self) -> None:
        """Rows changed under no act: somebody wrote into the database by hand."""
        for user, application, kind, count, first, last in self._rows(
            "SELECT c.db_user, c.application, c.object_type, count(*), min(c.id), max(c.id)"
            " FROM audit_entry c WHERE c.kind = 'change' AND NOT EXISTS"
            " (SELECT 1 FROM audit_entry a WHERE a.kind = 'act' AND a.tx = c.tx)"
            " GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 50"
        ):
            self.report.remarks.append(
                f"无业务操作的数据变更：{object_title(kind)} 共 {count} 行"
                f"（日志 #{first} 至 #{last}），数据库用户 {user}，程序 {application or '未注明'}。"
            )


def _ranges(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Neighbouring numbers as ranges."""
    start = previous = None
    for number in numbers:
        if previous is not None and start is not None and number != previous + 1:
            yield start, previous
            start = number
        start = number if start is None else start
        previous = number
    if start is not None and previous is not None:
        yield start, previous


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} 至 {last}"

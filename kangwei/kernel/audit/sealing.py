"""Retention (留存): a month is sealed by a final anchor, and may be put away when it is old enough.

The law asks that network logs are kept for six months at least (网络安全法 第二十一条); the setting
KW_AUDIT_KEPT_MONTHS says how long this site keeps them. Putting away drops the month's partitions
and is done by the owner of the tables; the sealed anchor stays for ever, so the chain that goes on
still has its beginning.
"""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from django.conf import settings
from django.db import connection, transaction
from psycopg import sql

from kangwei.kernel.audit.clerk import write_anchor
from kangwei.kernel.audit.models import Seal
from kangwei.kernel.audit.verify import verify
from kangwei.kernel.audit.wire import Connection, connect
from kangwei.kernel.clock import local_day
from kangwei.kernel.refusals import Refusal


class MonthNotOver(Refusal):
    code = "audit.month_not_over"
    title = "月份尚未结束"


class NotChainedYet(Refusal):
    code = "audit.not_chained_yet"
    title = "尚有日志未入链"


class AlreadySealed(Refusal):
    code = "audit.already_sealed"
    title = "月份已封存"


class NotSealed(Refusal):
    code = "audit.not_sealed"
    title = "月份尚未封存"


class StillKept(Refusal):
    code = "audit.still_kept"
    title = "月份仍在留存期内"


class NotSound(Refusal):
    code = "audit.not_sound"
    title = "审计日志校验未通过"


@dataclass(frozen=True)
class Month:
    """A month of the journal, in UTC like its partitions."""

    first: date

    @classmethod
    def read(cls, text: str) -> Month:
        return cls(datetime.strptime(text, "%Y-%m").date())  # noqa: DTZ007 - a month, no moment

    @property
    def after(self) -> date:
        return date(self.first.year + self.first.month // 12, self.first.month % 12 + 1, 1)

    def __str__(self) -> str:
        return f"{self.first:%Y-%m}"


def seal_month(*, month: Month, at: datetime) -> Seal:
    """Close a past month: count it, and sign its last link."""
    if at.date() < month.after:
        raise MonthNotOver(f"{month} 尚未结束，请在 {month.after} 之后封存。")
    if Seal.objects.filter(month=month.first).exists():
        raise AlreadySealed(f"{month} 已经封存，无需重复操作。")
    raw = connect("kangwei-seal")
    try:
        with raw.transaction():
            waiting, entries = raw.execute(
                "SELECT count(*) FILTER (WHERE NOT EXISTS"
                "   (SELECT 1 FROM audit_link l WHERE l.entry_id = e.id)), count(*)"
                " FROM audit_entry e WHERE recorded_at >= %s AND recorded_at < %s",
                [month.first, month.after],
            ).fetchone() or (0, 0)
            links = raw.execute(
                "SELECT seq, hash FROM audit_link WHERE chained_at >= %s AND chained_at < %s"
                " ORDER BY seq DESC LIMIT 1",
                [month.first, month.after],
            ).fetchone()
            first = raw.execute(
                "SELECT min(seq) FROM audit_link WHERE chained_at >= %s AND chained_at < %s",
                [month.first, month.after],
            ).fetchone()
        if waiting:
            raise NotChainedYet(f"{month} 还有 {waiting} 条日志未入链，请确认记账员在运行后重试。")
        if not links or not first:
            raise NotSealed(f"{month} 没有任何日志，无需封存。")
        anchor = write_anchor(
            raw,
            kind="seal",
            at=at,
            seq=links[0],
            head=links[1],
            snapshot=_worked_through(raw),
            about={
                "month": str(month),
                "first_seq": first[0],
                "last_seq": links[0],
                "last_hash": links[1],
                "entries": entries,
            },
        )
    finally:
        raw.close()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_seal (month, anchor, first_seq, last_seq, entries)"
            " VALUES (%s, %s, %s, %s, %s)",
            [month.first, anchor.facts["number"], first[0], links[0], entries],
        )
    return Seal.objects.get(month=month.first)


def _worked_through(raw: Connection) -> str:
    """A seal looks back: what the clerk has worked through is what the last anchor says."""
    row = raw.execute("SELECT line FROM audit_anchor ORDER BY number DESC LIMIT 1").fetchone()
    raw.commit()
    if row is None:
        raise NotChainedYet("还没有任何锚点，请确认记账员在运行后重试。")
    return str(json.loads(row[0])["snapshot"])


def kept_until(month: Month) -> date:
    """The first day on which the month may be put away."""
    months = month.after.year * 12 + month.after.month - 1 + settings.AUDIT_KEPT_MONTHS
    return date(months // 12, months % 12 + 1, 1)


def purge_month(*, month: Month, at: datetime, archive: Path | None = None) -> Seal:
    """Put a sealed month away, after it was verified once more; as owner of the tables."""
    seal = Seal.objects.filter(month=month.first).first()
    if seal is None:
        raise NotSealed(f"{month} 尚未封存，请先执行 manage.py audit seal-month {month}。")
    if seal.purged_at is not None:
        raise AlreadySealed(f"{month} 已经清理。")
    if local_day(at) < kept_until(month):
        raise StillKept(
            f"{month} 的日志须保存到 {kept_until(month)}"
            f"（留存 {settings.AUDIT_KEPT_MONTHS} 个月），现在不能清理。"
        )
    if Seal.objects.filter(month__lt=month.first, purged_at=None).exists():
        raise StillKept(f"{month} 之前还有未清理的月份，请按时间顺序清理。")
    report = verify(at=at, last=seal.last_seq)
    if not report.sound:
        raise NotSound(f"{month} 校验未通过：{report.findings[0].message}请先查明原因，不能清理。")
    if archive is not None:
        write_archive(seal, archive)
    with transaction.atomic(), connection.cursor() as cursor:
        for parent in ("audit_entry", "audit_link"):
            part = sql.Identifier(f"{parent}_{month.first:%Y_%m}")
            cursor.execute(
                sql.SQL("ALTER TABLE {} DETACH PARTITION {}").format(sql.Identifier(parent), part)
            )
            cursor.execute(sql.SQL("DROP TABLE {}").format(part))
        cursor.execute(
            "UPDATE audit_seal SET purged_at = clock_timestamp() WHERE month = %s", [month.first]
        )
    seal.refresh_from_db()
    return seal


def write_archive(seal: Seal, path: Path) -> int:
    """The month as compressed JSON lines; each carries what is needed to check it without us."""
    count = 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    raw = connect("kangwei-archive")
    try:
        with os.fdopen(handle, "wb") as plain, gzip.open(plain, "wt", encoding="utf-8") as file:
            file.write(json.dumps({"anchor": seal.anchor.line, "signature": seal.anchor.signature}))
            file.write("\n")
            with raw.cursor(name="kw_archive") as cursor:
                cursor.execute(
                    "SELECT l.seq, l.prev_hash, l.hash, audit_canonical(e)"
                    " FROM audit_link l JOIN audit_entry e"
                    " ON e.id = l.entry_id AND e.recorded_at = l.entry_recorded_at"
                    " WHERE l.seq BETWEEN %s AND %s ORDER BY l.seq",
                    [seal.first_seq, seal.last_seq],
                )
                for seq, prev_hash, digest, text in cursor:
                    line = {"seq": seq, "prev_hash": prev_hash, "hash": digest, "entry": text}
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
                    count += 1
    finally:
        raw.close()
    return count

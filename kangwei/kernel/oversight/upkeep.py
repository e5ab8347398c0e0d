"""Acts on the calendar and the keys, recorded in the journal (工作日历、密钥的维护).

The two rooms lie below the journal and cannot name it; here their acts get their names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from django.db import transaction

from kangwei.kernel.audit import services as audit
from kangwei.kernel.calendar import services as calendar
from kangwei.kernel.calendar.models import Arrangement, LocalCalendar, Override
from kangwei.kernel.crypto import keys, rotation
from kangwei.kernel.crypto.models import Key
from kangwei.kernel.organisations.models import Account

ACTS = {
    "oversight.calendar.year_loaded": "导入节假日安排",
    "oversight.calendar.created": "新建本地日历",
    "oversight.calendar.day_adjusted": "调整日历日期",
    "oversight.key.rotated": "轮换字段密钥",
    "oversight.key.reencrypted": "按新密钥重新加密",
}


@transaction.atomic
def load_year(
    *, content: bytes, source: str, published_on: date | None, by: Account | None, at: datetime
) -> Arrangement:
    made = calendar.load_year(
        content=content, source=source, published_on=published_on, at=at, by=str(by or "")
    )
    audit.record(
        act="oversight.calendar.year_loaded",
        subject=made,
        by=by,
        at=at,
        detail={"year": made.year, "version": made.version, "file_digest": made.file_digest},
    )
    return made


@transaction.atomic
def create_calendar(*, code: str, name: str, by: Account | None, at: datetime) -> LocalCalendar:
    made = calendar.create_calendar(code=code, name=name)
    audit.record(act="oversight.calendar.created", subject=made, by=by, at=at)
    return made


@transaction.atomic
def override_day(
    *, code: str, day: date, working: bool | None, note: str, by: Account | None, at: datetime
) -> Override:
    made = calendar.override_day(
        code=code, day=day, working=working, note=note, at=at, by=str(by or "")
    )
    audit.record(
        act="oversight.calendar.day_adjusted", subject=made.calendar, by=by, at=at, reason=note,
        detail={"day": day.isoformat(), "working": working},
    )  # fmt: skip
    return made


@dataclass(frozen=True)
class Reencrypted:
    """What a rotation moved, and the ledgers that keep their old key."""

    values: int
    left: tuple[str, ...]


@transaction.atomic
def new_field_key(*, by: Account | None, at: datetime) -> Key:
    """Make a new field key; from now on everything is written under it."""
    key = keys.make_key(Key.Purpose.FIELD, at)
    audit.record(
        act="oversight.key.rotated", subject=key, by=by, at=at, detail={"algorithm": key.algorithm}
    )
    return key


def reencrypt(
    *,
    by: Account | None,
    at: datetime,
    progress: Callable[[int, str], None] = lambda done, note: None,
) -> Reencrypted:
    """Bring every stored value under the active key, one recorded batch after the other.

    An interrupted run is simply begun again: what was moved already is not looked at.
    """
    moved, left = 0, []
    for field in rotation.encrypted_fields():
        title = f"{field.model._meta.verbose_name}·{field.verbose_name}"
        if not rotation.may_rewrite(field):
            left.append(title)
            continue
        while True:
            with transaction.atomic():
                batch = rotation.reencrypt_batch(field)
                if batch:
                    audit.record(
                        act="oversight.key.reencrypted", by=by, at=at,
                        detail={"column": f"{field.model._meta.db_table}.{field.column}",
                                "values": batch},
                    )  # fmt: skip
            if not batch:
                break
            moved += batch
            progress(moved, title)
    return Reencrypted(moved, tuple(left))

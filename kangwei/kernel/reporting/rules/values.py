"""What may stand in a cell (单元格): seven kinds of value, how each is stored and written.

Stored values survive JSON without loss: a decimal is kept as text, a duration as seconds. What a
reader sees (`show`) is rounded; what is stored, compared and judged never is.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from .periods import SHANGHAI

Kind = Literal["text", "int", "decimal", "percent", "date", "datetime", "duration"]
Value = str | int | Decimal | date | datetime | timedelta | None
Stored = str | int | None

KIND_TITLES: dict[Kind, str] = {
    "text": "文字",
    "int": "整数",
    "decimal": "小数",
    "percent": "百分数",
    "date": "日期",
    "datetime": "时间",
    "duration": "时长",
}
SUMMABLE: frozenset[Kind] = frozenset({"int", "decimal", "duration"})
#: What is written where there is no value, for instance a rate without denominator.
NOTHING = "—"


def normalise(kind: Kind, value: object) -> Value:
    """Bring what a query returned to the one type of its kind; TypeError when it cannot be."""
    if value is None:
        return None
    match kind:
        case "text":
            return str(value)
        case "int" if isinstance(value, int):
            return int(value)
        case "decimal" | "percent" if isinstance(value, int | float | Decimal):
            return value if isinstance(value, Decimal) else Decimal(str(value))
        case "datetime" if isinstance(value, datetime):
            if value.tzinfo is None:
                raise TypeError("a moment without time zone")
            return value
        case "date" if isinstance(value, date) and not isinstance(value, datetime):
            return value
        case "duration" if isinstance(value, timedelta):
            return value
        case "duration" if isinstance(value, int):
            return timedelta(seconds=value)
    raise TypeError(f"{type(value).__name__} is not a value of kind {kind}")


def store(kind: Kind, value: Value) -> Stored:
    """The JSON form of a value: text or a whole number."""
    if isinstance(value, datetime):
        return value.astimezone(SHANGHAI).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value // timedelta(seconds=1)
    if isinstance(value, Decimal):
        return format(value, "f")
    return value


def restore(kind: Kind, stored: Stored) -> Value:
    """Read a stored value back; the inverse of `store`."""
    if stored is None or kind in {"text", "int"}:
        return stored
    match kind:
        case "decimal" | "percent":
            return Decimal(str(stored))
        case "date":
            return date.fromisoformat(str(stored))
        case "datetime":
            return datetime.fromisoformat(str(stored))
        case _:
            return timedelta(seconds=int(stored))


def show(kind: Kind, value: Value, *, decimals: int = 2, thousands: bool = True) -> str:
    """How a value is written for people; the same on the page, in CSV, Word and PDF."""
    if value is None:
        return NOTHING
    if isinstance(value, datetime):
        return value.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return show_duration(value)
    if isinstance(value, Decimal):
        rounded = round_half_up(value, decimals)
        text = format(rounded, ",f" if thousands else "f")
        return f"{text}%" if kind == "percent" else text
    if kind == "int":
        return format(value, ",d" if thousands else "d")
    return str(value)


def round_half_up(value: Decimal, decimals: int) -> Decimal:
    """四舍五入, as every Chinese reader expects it; never Python's banker's rounding."""
    return value.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)


def show_duration(value: timedelta) -> str:
    """`3天4小时5分`; below a minute in seconds, so that a short outage is not written as zero."""
    seconds = value // timedelta(seconds=1)
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    if seconds < 60:
        return f"{sign}{seconds}秒"
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    parts = [(days, "天"), (hours, "小时"), (rest // 60, "分")]
    return sign + "".join(f"{number}{unit}" for number, unit in parts if number)

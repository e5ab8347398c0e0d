"""Reads the arrangement of a year from a file: our JSON form, or CSV as a clerk types it.

CSV has three columns with a heading: 日期, 类型 (放假 or 上班), 名称. Every wrong line is named, so
that the file is mended once and not line by line.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from kangwei.kernel.calendar.rules.working_days import YearArrangement

OFF, ON = "放假", "上班"
HEADINGS = ("日期", "类型", "名称")
LONGEST = 12


class Unreadable(ValueError):
    """The file cannot be read; every reason with its place."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("；".join(reasons))
        self.reasons = reasons


def from_json(raw: Mapping[str, Any]) -> YearArrangement:
    reasons: list[str] = []
    holidays: dict[date, str] = {}
    working: dict[date, str] = {}
    for number, item in enumerate(_rows(raw, "holidays", reasons), start=1):
        first = _day(item.get("from"), f"holidays 第 {number} 项 from", reasons)
        last = _day(item.get("to"), f"holidays 第 {number} 项 to", reasons)
        if first and last:
            if not 0 <= (last - first).days < LONGEST:
                reasons.append(f"holidays 第 {number} 项 {first} 至 {last} 不是一段合理的假期。")
                continue
            for step in range((last - first).days + 1):
                holidays[first + timedelta(days=step)] = str(item.get("name", ""))
    for number, item in enumerate(_rows(raw, "working", reasons), start=1):
        day = _day(item.get("on"), f"working 第 {number} 项 on", reasons)
        if day:
            working[day] = str(item.get("name", ""))
    year = raw.get("year")
    if not isinstance(year, int) or isinstance(year, bool) or not 2000 <= year <= 2100:
        reasons.append("year 应是 2000 至 2100 之间的年份。")
    published_on = _day(raw.get("published_on"), "published_on", reasons)
    source = str(raw.get("source") or "").strip()
    if not source:
        reasons.append("source 为空，请写明发文机关与文件名称。")
    if reasons or published_on is None or not isinstance(year, int):
        raise Unreadable(reasons)
    title = str(raw.get("title") or f"{year}年节假日安排")
    return YearArrangement(year, title, source, published_on, holidays, working)


def _rows(raw: Mapping[str, Any], name: str, reasons: list[str]) -> list[Mapping[str, Any]]:
    rows = raw.get(name, [])
    if isinstance(rows, list) and all(isinstance(item, dict) for item in rows):
        return rows
    reasons.append(f"{name} 应是一个列表，每项是一个对象。")
    return []


def _day(text: object, place: str, reasons: list[str]) -> date | None:
    try:
        return date.fromisoformat(str(text).strip().replace("/", "-"))
    except ValueError:
        reasons.append(f"{place}：“{text}”不是日期，应形如 2027-01-01。")
        return None


def read(content: bytes, *, source: str = "", published_on: date | None = None) -> YearArrangement:
    """Read either form; `source` and `published_on` complete a CSV, which does not carry them."""
    text = _decoded(content)
    if text.lstrip().startswith("{"):
        try:
            raw = json.loads(text)
        except ValueError:
            raise Unreadable(["JSON 内容不完整或有语法错误。"]) from None
        return from_json(raw)
    return _from_csv(text, source, published_on)


def _decoded(content: bytes) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Unreadable(["文件不是文本文件，请上传 JSON 或 CSV。"])


def _from_csv(text: str, source: str, published_on: date | None) -> YearArrangement:
    rows = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    if not rows or tuple(cell.strip() for cell in rows[0][:3]) != HEADINGS:
        raise Unreadable([f"CSV 第一行应为表头：{','.join(HEADINGS)}。"])
    reasons: list[str] = []
    kinds: dict[str, dict[date, str]] = {OFF: {}, ON: {}}
    for number, row in enumerate(rows[1:], start=2):
        cells = [cell.strip() for cell in [*row, "", "", ""][:3]]
        day = _day(cells[0], f"第 {number} 行", reasons)
        if cells[1] not in kinds:
            reasons.append(f"第 {number} 行：类型“{cells[1]}”应为“{OFF}”或“{ON}”。")
        elif day:
            if day in kinds[OFF] or day in kinds[ON]:
                reasons.append(f"第 {number} 行：{day} 重复。")
            kinds[cells[1]][day] = cells[2]
    if not kinds[OFF]:
        reasons.append("文件中没有任何放假日期。")
    if not source.strip():
        reasons.append("请填写来源（发文机关与文件名称）。")
    if published_on is None:
        reasons.append("请填写发布日期。")
    if reasons or published_on is None:
        raise Unreadable(reasons)
    year = Counter(day.year for days in kinds.values() for day in days).most_common(1)[0][0]
    return YearArrangement(
        year, f"{year}年节假日安排", source.strip(), published_on, kinds[OFF], kinds[ON]
    )


def to_json(arrangement: YearArrangement) -> dict[str, Any]:
    """The stored form: single days, so that no reader has to expand ranges."""
    return {
        "year": arrangement.year,
        "title": arrangement.title,
        "source": arrangement.source,
        "published_on": arrangement.published_on.isoformat(),
        "holidays": [
            {"name": name, "from": day.isoformat(), "to": day.isoformat()}
            for day, name in sorted(arrangement.holidays.items())
        ],
        "working": [
            {"on": day.isoformat(), "name": name}
            for day, name in sorted(arrangement.working.items())
        ],
    }

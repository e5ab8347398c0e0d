"""Acts on regions (区划): adding, merging, and taking over published lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from django.db import transaction

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.organisations.models import Account, Institution, Region, RegionLevel
from kangwei.kernel.organisations.models.regions import LEVEL_DIGITS
from kangwei.kernel.organisations.rules.names import pinyin_code
from kangwei.kernel.refusals import Refusal


class RegionCodeUnfit(Refusal):
    code = "organisations.region_code_unfit"
    title = "区划代码不合规则"
    status = 422


class RegionExists(Refusal):
    code = "organisations.region_exists"
    title = "区划已存在"


class RegionNotMergeable(Refusal):
    code = "organisations.region_not_mergeable"
    title = "区划不能合并"


def full_code(code: str) -> str:
    """GB/T 2260's six digits, or nine, extended to twelve."""
    code = code.strip()
    if not code.isdigit() or len(code) not in {2, 4, 6, 9, 12} or code[0] == "0":
        raise RegionCodeUnfit(f"区划代码“{code[:20]}”应为 6、9 或 12 位数字。", field="code")
    return code.ljust(12, "0")


def level_of(code: str) -> RegionLevel:
    for level, digits in LEVEL_DIGITS.items():
        if code[digits:].strip("0") == "":
            return level
    return RegionLevel.VILLAGE


def parent_code_of(code: str, level: RegionLevel) -> str | None:
    """The region one level up by its digits; a county of the province (省直辖) skips the city."""
    match level:
        case RegionLevel.PROVINCE:
            return None
        case RegionLevel.CITY:
            return code[:2].ljust(12, "0")
        case RegionLevel.COUNTY:
            city = code[:4].ljust(12, "0")
            known = Region.objects.filter(code=city).exists()
            return city if known else code[:2].ljust(12, "0")
        case RegionLevel.TOWNSHIP:
            return code[:6].ljust(12, "0")
        case RegionLevel.VILLAGE:
            return code[:9].ljust(12, "0")


@transaction.atomic
def add_region(
    *,
    code: str,
    name: str,
    valid_from: date,
    by: Account | None,
    at: datetime,
    level: str = "",
    valid_to: date | None = None,
) -> Region:
    """Add a place below the place its code says."""
    region = _new_region(code, name, level, valid_from, valid_to)
    region.save(force_insert=True)
    audit.record(act="organisations.region.added", subject=region, by=by, at=at)
    return region


def _new_region(
    code: str, name: str, level: str, valid_from: date, valid_to: date | None
) -> Region:
    code = full_code(code)
    name = name.strip()
    if not name:
        raise RegionCodeUnfit("区划名称不能为空。", field="name")
    if Region.objects.filter(code=code).exists():
        raise RegionExists(f"区划代码 {code} 已登记，请直接查询该区划。", field="code")
    rank = RegionLevel(level) if level else level_of(code)
    digits = LEVEL_DIGITS[rank]
    if code[digits:].strip("0"):
        raise RegionCodeUnfit(
            f"{rank.label}级区划代码 {code} 第 {digits + 1} 位起应全为 0。", field="code"
        )
    parent = parent_code_of(code, rank)
    if parent is not None and not Region.objects.filter(code=parent).exists():
        raise RegionCodeUnfit(
            f"区划 {code} 的上级 {parent} 尚未登记，请先登记上级区划。", field="code"
        )
    if valid_to is not None and valid_to <= valid_from:
        raise RegionCodeUnfit("撤销日期应晚于启用日期。", field="valid_to")
    return Region(
        code=code,
        name=name,
        level=rank,
        parent_id=parent,
        pinyin=pinyin_code(name),
        valid_from=valid_from,
        valid_to=valid_to,
    )


@transaction.atomic
def rename_region(*, region: Region, name: str, by: Account | None, at: datetime) -> Region:
    if not name.strip():
        raise RegionCodeUnfit("区划名称不能为空。", field="name")
    before, region.name = region.name, name.strip()
    region.pinyin = pinyin_code(region.name)
    region.save(update_fields=["name", "pinyin"])
    audit.record(
        act="organisations.region.renamed",
        subject=region, by=by, at=at, detail={"before": before, "after": region.name},
    )  # fmt: skip
    return region


@transaction.atomic
def merge_regions(
    *, regions: Iterable[Region], into: Region, on: date, by: Account | None, at: datetime
) -> int:
    """End regions on a day and hand their institutions to the one they went into (撤并).

    Answers how many institutions moved. Reports of earlier periods still find the old codes.
    """
    if on > clock.local_day(at):
        # Scope follows the region of an institution at once, so it must not change before its day.
        raise RegionNotMergeable(
            f"合并日期 {on} 尚未到来；请在合并当天办理，此前数据范围保持不变。", field="on"
        )
    moved = 0
    for region in regions:
        if region.pk == into.pk:
            raise RegionNotMergeable(f"{region} 不能并入自身。", field="into")
        if region.valid_to is not None:
            raise RegionNotMergeable(f"{region} 已于 {region.valid_to} 撤销，不能再次合并。")
        if region.level != into.level:
            raise RegionNotMergeable(
                f"{region}（{region.get_level_display()}）与 {into}（{into.get_level_display()}）"
                "级别不同，不能合并。",
                field="into",
            )
        if on <= region.valid_from or not (
            into.valid_from <= on and (into.valid_to is None or on < into.valid_to)
        ):
            raise RegionNotMergeable(f"合并日期 {on} 不在两个区划的有效期内。", field="on")
        below = Region.objects.filter(parent=region, valid_to=None).count()
        if below:
            raise RegionNotMergeable(
                f"{region} 下还有 {below} 个有效的下级区划，请先逐一合并下级。"
            )
        region.valid_to, region.merged_into = on, into
        region.save(update_fields=["valid_to", "merged_into"])
        moved += Institution.objects.filter(region=region).update(region=into)
        audit.record(
            act="organisations.region.merged",
            subject=region, by=by, at=at, detail={"into": into.code, "on": on},
        )  # fmt: skip
    return moved


@transaction.atomic
def import_regions(
    *, entries: Iterable[Mapping[str, Any]], by: Account | None, at: datetime
) -> int:
    """Take over a published list: code, name, valid_from, and where known valid_to and successor.

    Codes already registered are left as they are, so the same list may be taken over twice.
    Answers how many regions are new.
    """
    rows = sorted(entries, key=lambda row: (len(str(row["code"]).rstrip("0")), str(row["code"])))
    rows.sort(key=lambda row: list(LEVEL_DIGITS).index(_rank(row)))
    known = set(Region.objects.values_list("code", flat=True))
    added: list[Region] = []
    successors: dict[str, str] = {}
    for row in rows:
        code = full_code(str(row["code"]))
        if code in known:
            continue
        region = _new_region(
            code,
            str(row["name"]),
            _rank(row),
            _day(row["valid_from"]),
            _day_or_none(row.get("valid_to")),
        )
        region.save(force_insert=True)
        known.add(code)
        added.append(region)
        if row.get("successor"):
            successors[code] = full_code(str(row["successor"]))
    for region in added:
        successor = successors.get(region.code)
        if successor and region.valid_to:
            region.merged_into_id = successor
            region.save(update_fields=["merged_into"])
    if added:
        audit.record(
            act="organisations.region.imported", by=by, at=at, detail={"count": len(added)}
        )
    return len(added)


def _rank(row: Mapping[str, Any]) -> RegionLevel:
    named = str(row.get("level") or row.get("kind") or "")
    return (
        RegionLevel(named) if named in RegionLevel.values else level_of(full_code(str(row["code"])))
    )


def _day(value: date | str) -> date:
    return value if isinstance(value, date) else date.fromisoformat(value)


def _day_or_none(value: date | str | None) -> date | None:
    return _day(value) if value else None

"""Places of the demonstration (演示的区划与机构): real region codes, invented institutions."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import kangwei.kernel.organisations
from kangwei.kernel.organisations import services as organisations
from kangwei.kernel.organisations.models import Department, Institution, Region
from kangwei.web.world import people

REGIONS = Path(kangwei.kernel.organisations.__file__).parent / "data"
INSTITUTIONS = Path(__file__).parent / "data" / "institutions.json"
#: The demonstration's own townships and villages came into being with its institutions.
OPENED = date(2020, 1, 1)
#: Kinds of institutions with a medical licence of their own.
COMPANIES = {"maintainer", "developer", "vaccine_holder", "cold_chain", "supplier"}


@cache
def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def institutions() -> list[dict[str, Any]]:
    return list(read(INSTITUTIONS)["institutions"])


def roles() -> list[dict[str, Any]]:
    return list(read(REGIONS / "roles.json")["roles"])


def shown_phone(serial: int) -> str:
    return people.phone(90_000 + serial)


def make_regions(at: datetime) -> int:
    """Take over the region lists; codes already registered stay as they are."""
    entries: list[dict[str, Any]] = []
    for name in ("provinces", "shaanxi", "demonstration"):
        document = read(REGIONS / f"regions_{name}.json")
        for row in document["regions"]:
            level = {"district": "county", "county_city": "county"}.get(row["kind"], row["kind"])
            since = row.get("valid_from", document["in_force_from"])
            entries.append({**row, "level": level, "valid_from": since})
    return organisations.import_regions(entries=entries, by=None, at=at)


def make_institutions(
    at: datetime, *, only: Collection[str] | None = None
) -> dict[str, Institution]:
    """Make the institutions that are missing, superiors first; answers all by code."""
    known = {one.code: one for one in Institution.objects.filter(code__in=_codes())}
    for serial, row in enumerate(institutions(), 1):
        if row["code"] in known or (only is not None and row["code"] not in _with_superiors(only)):
            continue
        known[row["code"]] = organisations.create_institution(
            code=row["code"],
            name=row["name"],
            short_name=row["short"],
            kind=row["kind"],
            grade=row.get("grade", ""),
            region=Region.objects.get(code=row["region"].ljust(12, "0")),
            parent=known[row["parent"]] if row["parent"] else None,
            uscc=people.credit_code(
                serial,
                department="9" if row["kind"] in COMPANIES else "1",
                category="1" if row["kind"] in COMPANIES else "2",
            ),
            telephone=f"029-8888{serial:04d}",
            opened_on=OPENED,
            by=None,
            at=at,
        )
    return known


def make_departments(at: datetime) -> Iterator[str]:
    """Make the departments that are missing, one institution at a time."""
    kinds = read(INSTITUTIONS)["departments"]
    for row in institutions():
        if not row["departments"]:
            continue
        home = Institution.objects.get(code=row["code"])
        present = set(Department.objects.filter(institution=home).values_list("code", flat=True))
        for line in kinds[row["departments"]]:
            code, name = line.split(" ", 1)
            if code not in present:
                organisations.create_department(
                    institution=home, code=code, name=name, by=None, at=at
                )
        yield home.short_name


def _codes() -> list[str]:
    return [row["code"] for row in institutions()]


@cache
def _parents() -> dict[str, str | None]:
    return {row["code"]: row["parent"] for row in institutions()}


def _with_superiors(codes: Collection[str]) -> set[str]:
    found: set[str] = set()
    for code in codes:
        above: str | None = code
        while above is not None:
            found.add(above)
            above = _parents()[above]
    return found

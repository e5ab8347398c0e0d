"""The region data: complete, nested, dated, and open about what is only a demonstration."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import kangwei.kernel.organisations

DATA = Path(kangwei.kernel.organisations.__file__).parent / "data"
COUNTY_KINDS = {"district", "county_city", "county"}


def load(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((DATA / f"regions_{name}.json").read_text("utf-8"))
    return document


SHAANXI = load("shaanxi")
ROWS = {row["code"]: row for row in SHAANXI["regions"]}


def in_force(day: str) -> list[dict[str, Any]]:
    return [
        row
        for row in ROWS.values()
        if row["valid_from"] <= day and (row["valid_to"] is None or day < row["valid_to"])
    ]


@pytest.mark.parametrize("name", ["shaanxi", "provinces", "demonstration"])
def test_every_file_names_its_source_and_date(name: str) -> None:
    document = load(name)
    assert document["title"]
    assert document["source"]
    date.fromisoformat(document["in_force_from"])


def test_shaanxi_has_ten_cities_and_107_counties_31_districts_7_cities_69_counties() -> None:
    kinds = Counter(row["kind"] for row in in_force("2022-01-01"))
    assert kinds == {
        "province": 1,
        "city": 10,
        "district": 31,
        "county_city": 7,
        "county": 69,
    }


def test_shaanxi_always_had_107_counties_whatever_they_were_called() -> None:
    """Every change replaced one unit by one, so the count holds on each day of change."""
    for change in SHAANXI["changes"]:
        counties = [row for row in in_force(change["on"]) if row["kind"] in COUNTY_KINDS]
        assert len(counties) == 107, change


def test_every_city_has_the_number_of_counties_an_almanac_gives() -> None:
    counted = Counter(
        ROWS[row["code"][:4] + "00"]["name"]
        for row in in_force("2022-01-01")
        if row["kind"] in COUNTY_KINDS
    )
    assert counted == {
        "西安市": 13, "铜川市": 4, "宝鸡市": 12, "咸阳市": 14, "渭南市": 11,
        "延安市": 13, "汉中市": 11, "榆林市": 12, "安康市": 10, "商洛市": 7,
    }  # fmt: skip


def test_codes_nest() -> None:
    for code in ROWS:
        assert code[:4] + "00" in ROWS
        assert code[:2] + "0000" in ROWS
    assert len(ROWS) == len(SHAANXI["regions"]), "a code appears once"


@pytest.mark.parametrize(
    ("old", "new", "former", "present"),
    [
        ("610427", "610482", "彬县", "彬州市"),
        ("610623", "610681", "子长县", "子长市"),
        ("610125", "610118", "户县", "鄠邑区"),
        ("610126", "610117", "高陵县", "高陵区"),
        ("610823", "610803", "横山县", "横山区"),
        ("610624", "610603", "安塞县", "安塞区"),
        ("610721", "610703", "南郑县", "南郑区"),
        ("610521", "610503", "华县", "华州区"),
        ("610821", "610881", "神木县", "神木市"),
        ("610322", "610305", "凤翔县", "凤翔区"),
        ("610928", "610981", "旬阳县", "旬阳市"),
    ],
)
def test_a_renamed_county_ends_the_day_its_successor_begins(
    old: str, new: str, former: str, present: str
) -> None:
    assert (ROWS[old]["name"], ROWS[new]["name"]) == (former, present)
    assert ROWS[old]["successor"] == new
    assert ROWS[old]["valid_to"] == ROWS[new]["valid_from"]
    changes = {change["old"]: change for change in SHAANXI["changes"]}
    assert changes[old]["new"] == new
    assert changes[old]["on"] == ROWS[new]["valid_from"]


def test_changes_and_ended_codes_are_the_same_eleven() -> None:
    ended = {row["code"] for row in ROWS.values() if row["valid_to"]}
    assert ended == {change["old"] for change in SHAANXI["changes"]}
    assert len(ended) == 11


def test_the_other_provinces_are_all_there() -> None:
    assert len(load("provinces")["regions"]) == 33


def test_demonstration_places_nest_below_real_counties_and_say_what_they_are() -> None:
    document = load("demonstration")
    assert document["demonstration"] is True
    codes = {row["code"]: row for row in document["regions"]}
    assert len(codes) == len(document["regions"])
    for code, row in codes.items():
        assert len(code) == 12
        if row["kind"] == "township":
            assert code.endswith("000")
            assert row["parent"] == code[:6]
            assert ROWS[row["parent"]]["valid_to"] is None
            assert "示范" in row["name"]
        else:
            assert row["parent"] == code[:9] + "000"
            assert codes[row["parent"]]["kind"] == "township"

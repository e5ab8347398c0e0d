"""The engine `workday`, by the arrangement of 2026 counted in the newspaper."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from kangwei.kernel.calendar.queries import shipped
from kangwei.kernel.evaluation.rules import workday
from kangwei.kernel.refusals import Invalid


def evaluate(**case: Any) -> dict[str, Any]:
    return workday.evaluate(case, shipped())


@pytest.mark.parametrize(
    ("day", "kind", "working", "rule"),
    [
        ("2026-02-12", "workday", True, "weekday"),
        ("2026-02-14", "make_up", True, "statutory-2026"),
        ("2026-02-15", "holiday", False, "statutory-2026"),
        ("2026-02-23", "holiday", False, "statutory-2026"),
        ("2026-02-24", "workday", True, "weekday"),
        ("2026-03-07", "weekend", False, "weekend"),
        ("2026-02-28", "make_up", True, "statutory-2026"),
    ],
)
def test_the_kind_of_a_day(day: str, kind: str, working: bool, rule: str) -> None:
    answer = evaluate(date=day)
    assert (answer["kind"], answer["is_working_day"], answer["rules"]) == (kind, working, [rule])
    assert answer["provisional"] is False


def test_three_working_days_across_the_spring_festival() -> None:
    # 14 February is worked, then nine days off, then the 24th and the 25th.
    answer = evaluate(date="2026-02-13", add_workdays=3)
    assert answer["result"] == date(2026, 2, 25)
    assert answer["rules"] == ["statutory-2026"]


def test_backwards_over_the_same_holiday() -> None:
    assert evaluate(date="2026-02-25", add_workdays=-3)["result"] == date(2026, 2, 13)


def test_a_period_includes_its_start_and_excludes_its_end() -> None:
    assert evaluate(**{"from": "2026-10-08", "to": "2026-10-10"})["workdays"] == 2
    assert evaluate(**{"from": "2026-10-08", "to": "2026-10-11"})["workdays"] == 3
    assert evaluate(**{"from": "2026-10-08", "to": "2026-10-08"})["workdays"] == 0


def test_a_year_not_yet_published_is_provisional() -> None:
    answer = evaluate(date="2026-12-30", add_workdays=3)
    assert answer["provisional"] is True
    assert answer["rules"] == ["statutory-2026", "unpublished-2027"]
    assert evaluate(date="2027-10-01")["rules"] == ["fixed-holiday"]


def test_a_case_brings_its_own_arrangement_along() -> None:
    given = {
        "2026": {
            "published": True,
            "weekday_holidays": ["2026-02-12"],
            "makeup_workdays": ["2026-02-21"],
        }
    }
    assert evaluate(date="2026-02-12", statutory=given)["is_working_day"] is False
    assert evaluate(date="2026-02-21", statutory=given)["kind"] == "make_up"
    # The built-in arrangement of that year is gone: the 16th is an ordinary Monday.
    assert evaluate(date="2026-02-16", statutory=given)["kind"] == "workday"


def test_an_arrangement_may_be_said_to_be_unpublished() -> None:
    given = {"2026": {"published": False}}
    assert evaluate(date="2026-02-12", statutory=given)["provisional"] is True


@pytest.mark.parametrize(
    ("case", "field"),
    [
        ({}, "date"),
        ({"date": "2026-02-30"}, "date"),
        ({"date": 20260212}, "date"),
        ({"date": "1999-12-31"}, "date"),
        ({"date": "2100-01-01"}, "date"),
        ({"date": "2026-02-12", "add_workdays": 1.5}, "add_workdays"),
        ({"date": "2026-02-12", "add_workdays": True}, "add_workdays"),
        ({"date": "2026-02-12", "add_workdays": 5001}, "add_workdays"),
        ({"from": "2026-02-12"}, "to"),
        ({"from": "2026-02-12", "to": "2026-02-11"}, "to"),
        ({"date": "2026-02-12", "statutory": []}, None),
        ({"date": "2026-02-12", "statutory": [1]}, "statutory"),
        ({"date": "2026-02-12", "statutory": {"x": {}}}, "statutory"),
        ({"date": "2026-02-12", "statutory": {"2026": 1}}, "statutory.2026"),
        (
            {"date": "2026-02-12", "statutory": {"2026": {"weekday_holidays": 1}}},
            "statutory.2026.weekday_holidays",
        ),
        (
            {"date": "2026-02-12", "statutory": {"2026": {"makeup_workdays": ["x"]}}},
            "statutory.2026.makeup_workdays",
        ),
    ],
)
def test_a_case_that_cannot_be_judged_names_its_field(
    case: dict[str, Any], field: str | None
) -> None:
    if field is None:
        assert evaluate(**case)["is_working_day"] is True
        return
    with pytest.raises(Invalid) as refused:
        evaluate(**case)
    assert refused.value.field == field


def test_the_example_works() -> None:
    assert workday.evaluate(workday.EXAMPLE, shipped())["result"] == date(2026, 2, 25)

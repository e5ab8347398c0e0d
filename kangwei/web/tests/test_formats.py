"""Dates are read and written as offices write them."""

from datetime import UTC, date, datetime

from django import forms
from django.template import Context, Template
from django.utils import formats, translation


def shown(text: str, **values: object) -> str:
    with translation.override("zh-hans"):
        return Template(text).render(Context(values))


def test_a_moment_is_shown_in_china_to_the_minute() -> None:
    at = datetime(2026, 11, 20, 10, 50, tzinfo=UTC)
    assert shown("{{ at }}", at=at) == "2026-11-20 18:50"
    assert shown('{{ at|date:"DATETIME_FORMAT" }}', at=at) == "2026-11-20 18:50"
    assert shown("{{ day }}", day=date(2026, 2, 1)) == "2026-02-01"


def test_dates_are_understood_in_the_ways_people_type_them() -> None:
    with translation.override("zh-hans"):
        for text in ("2026-02-01", "2026/02/01", "20260201", "2026年02月01日"):
            assert forms.DateField(localize=True).clean(text) == date(2026, 2, 1)
        assert formats.get_format("DATE_INPUT_FORMATS")[0] == "%Y-%m-%d"

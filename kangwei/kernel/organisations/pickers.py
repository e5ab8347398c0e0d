"""Choosing institutions and regions by searching for them (选择器), within the reader's scope.

Drawn by the server alone: each step of HTMX answers the whole picker again. The chosen codes stand
in hidden fields of the form's own name; typed codes separated by commas are understood as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django import forms
from django.db import models
from django.db.models import Q
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from kangwei.kernel.organisations.models import Account, Institution, Region
from kangwei.kernel.refusals import NotFound

#: Hits shown under the field; more words narrow them down.
MOST_HITS = 12


@dataclass(frozen=True)
class Choice:
    code: str
    name: str


@dataclass(frozen=True)
class Source:
    """What one picker offers: the rows in reach, and how one is found."""

    hint: str
    rows: Callable[[Account, date], models.QuerySet[Any]]
    search: Callable[[str], Q]

    def hits(self, user: Account, today: date, words: str, taken: Sequence[str]) -> list[Choice]:
        words = words.strip()[:40]
        if not words:
            return []
        found = self.rows(user, today).filter(self.search(words)).exclude(code__in=list(taken))
        return [Choice(row.code, row.name) for row in found.order_by("code")[:MOST_HITS]]

    def named(self, user: Account, today: date, codes: Sequence[str]) -> list[Choice]:
        """The chosen ones in the order chosen; a code out of reach keeps its bare code."""
        rows = self.rows(user, today).filter(code__in=list(codes))
        names = {row.code: row.name for row in rows}
        return [Choice(code, names.get(code, code)) for code in codes]


def _institutions(user: Account, today: date) -> models.QuerySet[Institution]:
    shut = Q(closed_on__isnull=False, closed_on__lte=today)
    return Institution.objects.visible_to(user).exclude(shut)


def _regions(user: Account, today: date) -> models.QuerySet[Region]:
    return Region.objects.filter(valid_to=None)


SOURCES: Mapping[str, Source] = {
    "institutions": Source(
        "输入机构名称、编码或拼音首字母查找",
        _institutions,
        lambda words: (
            Q(name__icontains=words)
            | Q(short_name__icontains=words)
            | Q(code__istartswith=words)
            | Q(pinyin__icontains=words)
        ),
    ),
    "regions": Source(
        "输入区划名称、代码或拼音首字母查找",
        _regions,
        lambda words: (
            Q(name__icontains=words) | Q(code__startswith=words) | Q(pinyin__icontains=words)
        ),
    ),
}


def source(what: str) -> Source:
    if what not in SOURCES:
        raise NotFound("没有这种选择器。")
    return SOURCES[what]


def codes_of(text: str) -> list[str]:
    """The codes in a text, each once, whatever separates them."""
    for sign in ("，", "、", ";", "；", "\n"):
        text = text.replace(sign, ",")
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def draw(
    what: str, *, user: Account, today: date, chosen: Sequence[str], attrs: Mapping[str, Any]
) -> SafeString:
    """The picker with its chosen ones; what was searched for is answered by `hits`."""
    found = source(what)
    return render_to_string(
        "organisations/picker.html",
        {
            "what": what,
            "hint": found.hint,
            "chosen": found.named(user, today, chosen),
            "attrs": attrs,
        },
    )


class Picker(forms.Widget):
    """The widget of a field of codes; `user` and `today` are given when the form is made."""

    user: Account
    today: date

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def value_from_datadict(self, data: Any, files: Any, name: str) -> str:
        given = data.getlist(name) if hasattr(data, "getlist") else [data.get(name) or ""]
        return ",".join(given)

    def render(
        self, name: str, value: Any, attrs: Mapping[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        return draw(
            self.what,
            user=self.user,
            today=self.today,
            chosen=codes_of(value or ""),
            attrs=attrs or {},
        )

"""Leaks (泄露): nothing of another institution shows anywhere, however one looks for it.

A county's administrator with every right over his own county walks through every page, list,
export, search and question of the product; the stranger's house has its word in every name.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.db import transaction
from django.urls import reverse

from kangwei.kernel.api.registry import operations
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make
from kangwei.kernel.reporting.registry import reports
from kangwei.kernel.screens import registry as screens
from kangwei.web import urls
from tests.repository.house import STRANGE, STRANGE_USER, House, build
from tests.repository.test_habits import pages

pytestmark = pytest.mark.django_db
#: Rights over the whole platform, not over institutions: who holds them sees everybody's.
PLATFORM = {"jobs.view_all_runs", "audit.view_entry", "audit.export_entry"}
#: The page repeats what was searched for, in its field and in the links that keep it.
ECHO = re.compile(r'q(=|%3D)|name="q"|value="')


@pytest.fixture
def house() -> House:
    return build()


@pytest.fixture
def warden(house: House) -> Account:
    """Every right there is, over one's own county only."""
    from kangwei.kernel.organisations.builtin import all_rights

    return make.account(
        right=sorted(set(all_rights()) - PLATFORM), institution=house.county, masking_level=2
    )


def leaks(answer: Any) -> list[str]:
    """What of the stranger's house stands in an answer: page, JSON, CSV, Word or Excel."""
    content = b"".join(answer) if answer.streaming else answer.content
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as book:
            parts = [book.read(name) for name in book.namelist()]
        text = b" ".join(parts).decode("utf-8", "replace")
    else:
        text = content.decode("utf-8", "replace")
    found = []
    for word in (STRANGE, STRANGE_USER, "13900007777"):
        for hit in re.finditer(re.escape(word), text):
            found.append(text[max(0, hit.start() - 60) : hit.end() + 40].replace("\n", " "))
    return found


def test_the_search_for_leaks_finds_one(house: House) -> None:
    """Whoever is over everything sees the stranger's house: the word is really there."""
    from kangwei.kernel.organisations.builtin import all_rights

    boss = make.account(right=all_rights(), scope="everything", institution=house.county)
    browser = make.client(boss)
    shown = [
        name
        for name in ("staff", "account", "institution", "signinevent")
        if leaks(browser.get(reverse(f"admin:organisations_{name}_changelist")))
    ]
    assert shown == ["staff", "account", "institution", "signinevent"]


def lists() -> Iterator[str]:
    for model in admin.site._registry:
        yield f"admin:{model._meta.app_label}_{model._meta.model_name}"


def test_no_list_shows_exports_or_filters_by_a_foreign_row(house: House, warden: Account) -> None:
    browser, found = make.client(warden), []
    for name in lists():
        address = reverse(f"{name}_changelist")
        places = [address, f"{address}?q={STRANGE}", f"{address}?q={STRANGE_USER}"]
        places += [f"{reverse(f'{name}_export')}?format={form}" for form in ("csv", "xlsx")]
        for place in places:
            answer = browser.get(place)
            hits = [hit for hit in leaks(answer) if not ECHO.search(hit)]
            found += [(place, answer.status_code, hit) for hit in hits]
    assert found == []


def test_no_choice_of_a_form_offers_a_foreign_row(house: House, warden: Account) -> None:
    browser, found = make.client(warden), []
    for model in admin.site._registry:
        for field in model._meta.get_fields():
            if not getattr(field, "remote_field", None) or field.auto_created:
                continue
            for term in ("", STRANGE, STRANGE_USER):
                asked: dict[str, Any] = {
                    "app_label": model._meta.app_label, "model_name": model._meta.model_name,
                    "field_name": field.name, "term": term,
                }  # fmt: skip
                answer = browser.get(reverse("admin:autocomplete"), asked)
                assert answer.status_code in {200, 403}, asked
                found += [(asked, hit) for hit in leaks(answer) if answer.status_code == 200]
    assert found == []


@pytest.mark.parametrize("term", [STRANGE, STRANGE_USER, "FX000001", "宝鸡", "fx"])
def test_the_search_palette_finds_no_foreign_row(house: House, warden: Account, term: str) -> None:
    text = make.client(warden).get(reverse("search"), {"q": term}).content.decode()
    assert text.replace(term, "").count(STRANGE) == 0
    assert "凤翔外人" not in text
    assert "凤翔医院" not in text


def test_home_and_every_page_without_a_number_shows_no_foreign_row(
    house: House, warden: Account
) -> None:
    browser, found, opened = make.client(warden), [], 0
    for address, view in pages(urls.urlpatterns):
        if "<" in address or not getattr(view, "kw_work_page", False):
            continue
        answer = browser.get("/" + address)
        opened += answer.status_code == 200
        found += [(address, hit) for hit in leaks(answer)]
    assert opened > 30
    assert len(screens.cards()) > 5
    assert found == []


def test_every_report_counts_and_details_one_s_own_institutions_only(
    house: House, warden: Account
) -> None:
    browser, found = make.client(warden), []
    for report in reports():
        for path, content in (
            (f"/api/v1/reports/{report.code}/run", {"parameters": {}}),
            (
                f"/api/v1/reports/{report.code}/run",
                {"parameters": {"institution": str(house.foreign.pk)}},
            ),
        ):
            answer = browser.post(path, data=content, content_type="application/json")
            assert answer.status_code < 500
            found += [(path, hit) for hit in leaks(answer)]
            if answer.status_code != 200:
                continue
            kept = answer.json()["result"]
            for column in report.columns:
                asked = {"result": kept, "row": None, "column": column.key}
                detail = browser.post(
                    f"/api/v1/reports/{report.code}/details",
                    data=asked,
                    content_type="application/json",
                )
                found += [(f"{path} {column.key}", hit) for hit in leaks(detail)]
    assert found == []


def test_every_question_of_the_api_without_a_number_holds_no_foreign_row(
    house: House, warden: Account
) -> None:
    browser, found = make.client(warden), []
    for operation in operations():
        if operation.method == "GET" and "{" not in operation.path:
            found += [(operation.path, hit) for hit in leaks(browser.get(operation.path))]
    assert found == []


def test_a_stranger_s_row_named_in_the_content_of_an_act_is_not_taken(
    house: House, warden: Account
) -> None:
    """Numbers and codes of foreign rows come in the body too, not only in the address."""
    browser = make.client(warden)
    foreign, account = house.foreign, house.rows["account"]
    day = "2026-12-31"
    attacks: list[tuple[str, dict[str, Any]]] = [
        (
            "organisations/accounts",
            {"username": "spy1", "name": "张三", "institution_id": foreign.pk},
        ),
        ("organisations/staff", {"name": "张三", "institution_id": foreign.pk}),
        (
            f"organisations/institutions/{house.clinic.pk}/move",
            {"parent_id": foreign.pk, "on": day},
        ),
        (
            f"organisations/institutions/{house.clinic.pk}/merge",
            {"into_id": foreign.pk, "on": day, "reason": "并入"},
        ),
        ("oversight/campaigns", {"institution_id": foreign.pk, "year": 2026, "due_on": day}),
        (
            "documents",
            {"kind": "oversight.monthly", "period": "2026-01", "institution": foreign.pk},
        ),
        (
            "reports/oversight.activity/subscribe",
            {"frequency": "daily", "hour": 1, "account": account.pk},
        ),
    ]
    for path, content in attacks:
        answer = browser.post(f"/api/v1/{path}", data=content, content_type="application/json")
        assert answer.status_code in {404, 422}, (path, answer.status_code, answer.content.decode())
        assert leaks(answer) == [], path


ODD = [
    "page=-1", "page=abc", "page=99999999999999999999999", "q=%00", "q=%27%3B%20DROP%20TABLE--",
    "o=999.-999", "sort=%27%3B--", "tab=%00", "right=%00", "size=%00", "day=2026-13-45",
    "month=9999-99", "first=0000-00-00", "period=%00", "institution=99999999999999999999",
    "institution=%00", "report=%00", "result=%00", "kind=%00", "state=%00", "account=%00",
    "since=%00", "until=9999-12-31T23%3A59%3A59", "object_id=%00", "text=%00",
    "next=//evil.example",
    "compare=%00", "column=%00", "page=%E0%80%80", "year=99999", "institution=-1",
]  # fmt: skip


def test_odd_parameters_never_break_a_page(house: House, warden: Account) -> None:
    """Whoever plays with an address gets a page or a refusal, never a fault."""
    boss = make.client(warden)
    places = [
        "/" + address
        for address, view in pages(urls.urlpatterns)
        if "<" not in address and getattr(view, "kw_work_page", False)
    ]
    places += [reverse(f"{name}_changelist") for name in lists()]
    broken = []
    for place in places:
        for odd in ODD:
            with transaction.atomic():
                try:
                    status: int | str = boss.get(f"{place}?{odd}").status_code
                except Exception as fault:
                    status = type(fault).__name__
                transaction.set_rollback(True)
            if not isinstance(status, int) or status >= 500:
                broken.append((place, odd, status))
    assert broken == []

"""Picking institutions and regions: found by words, within one's scope, taken and dropped."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from kangwei.kernel.organisations.models import Account, Grant, ScopeKind
from kangwei.kernel.organisations.pickers import codes_of
from kangwei.kernel.organisations.tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def chief() -> Account:
    county = make.institution("碑林区疾控中心", code="610103")
    make.institution("东关南街社区卫生服务中心", code="61010301", parent=county)
    make.institution("文艺路社区卫生服务中心", code="61010302", parent=county)
    make.institution("金台医院", code="610303", region=make.region("610303000000", "金台区"))
    rights = ["organisations.view_institution", "organisations.grant_role",
              "organisations.view_account", "organisations.view_staff"]  # fmt: skip
    return make.account("chief", right=rights, institution=county)


@pytest.fixture
def browser(chief: Account) -> Client:
    return make.client(chief)


def hits(browser: Client, what: str, **query: str) -> str:
    return browser.get(reverse("organisations:pick_hits", args=[what]), query).content.decode()


def test_it_finds_by_name_code_and_pinyin_within_scope_only(browser: Client) -> None:
    assert "东关南街" in hits(browser, "institutions", q="南街")
    assert "文艺路" in hits(browser, "institutions", q="61010302")
    assert "东关南街" in hits(browser, "institutions", q="dgnj")
    foreign = hits(browser, "institutions", q="金台")
    assert "金台医院" not in foreign
    assert "没有找到" in foreign
    assert hits(browser, "institutions", q=" ").strip() == ""
    assert "金台区" in hits(browser, "regions", q="金台"), "places belong to nobody"


def test_what_is_taken_stands_in_the_form_and_is_offered_no_more(browser: Client) -> None:
    pick = reverse("organisations:pick", args=["institutions"])
    taken = browser.get(pick, {"institutions": "61010301", "add": "61010302"}).content.decode()
    assert taken.count('type="hidden"') == 2
    assert "文艺路社区卫生服务中心" in taken
    assert "东关南街" not in hits(browser, "institutions", q="社区", institutions="61010301")
    left = browser.get(pick, {"institutions": ["61010301", "61010302"], "drop": "61010301"})
    assert left.content.decode().count('type="hidden"') == 1


def test_a_foreign_code_is_never_named(browser: Client) -> None:
    pick = reverse("organisations:pick", args=["institutions"])
    assert "金台医院" not in browser.get(pick, {"add": "610303"}).content.decode()
    assert browser.get(reverse("organisations:pick", args=["nonsense"])).status_code == 404


def test_a_grant_takes_what_was_picked_and_keeps_it_after_a_mistake(
    browser: Client, chief: Account
) -> None:
    nurse = make.account("nurse", institution=chief.institution)
    role = make.role("organisations.view_staff", scope=ScopeKind.LISTED)
    address = reverse("organisations:grant_role", args=[nurse.pk])
    assert 'id="org-picker-institutions"' in browser.get(address).content.decode()
    codes = ["61010301", "61010302"]
    wrong = browser.post(address, {"role": role.pk, "institutions": codes, "reason": ""})
    assert wrong.status_code == 422
    assert "东关南街社区卫生服务中心" in wrong.content.decode()
    done = browser.post(address, {"role": role.pk, "institutions": codes, "reason": "轮岗"})
    assert done.status_code == 302
    made = Grant.objects.get(account=nurse)
    assert {place.code for place in made.institutions.all()} == set(codes)


def test_typed_codes_are_understood_however_separated() -> None:
    assert codes_of("A1，A2、A3;A1\n A4 ") == ["A1", "A2", "A3", "A4"]

"""Two people at one form (并发修改): the slower is told, and nothing is overwritten."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from kangwei.kernel.organisations.models import Institution, SecurityPolicy
from kangwei.kernel.organisations.tests import make

pytestmark = pytest.mark.django_db
RIGHTS = ["organisations.view_institution", "organisations.manage_institution"]


def opened(browser: Client, address: str) -> str:
    found = re.search(r'name="_kw_version" value="(\w+)"', browser.get(address).content.decode())
    assert found
    return found[1]


def test_the_slower_of_two_editors_is_told_who_was_faster() -> None:
    region = make.region("610113000000")
    clinic = make.institution("小寨门诊", region=region)
    address = f"/organisations/institutions/{clinic.pk}/change/"
    first, second = (
        make.client(make.account(name=name, institution=clinic, right=RIGHTS))
        for name in ("王芳", "李强")
    )
    form = {"name": "小寨门诊", "kind": clinic.kind_id, "region": region.pk}
    seen_first, seen_second = opened(first, address), opened(second, address)

    saved = first.post(address, form | {"address": "小寨路 1 号", "_kw_version": seen_first})
    assert saved.status_code == 302
    for _ in range(2):  # sending it again does not help either
        late = second.post(address, form | {"address": "长安路 2 号", "_kw_version": seen_second})
        assert late.status_code == 422
        assert "修改了这条记录，您的修改没有保存" in late.content.decode()
    assert Institution.objects.get(pk=clinic.pk).address == "小寨路 1 号"


def test_the_security_policy_is_guarded_too() -> None:
    rights = ["organisations.view_securitypolicy", "organisations.change_securitypolicy"]
    browser = make.client(make.account(name="王芳", right=rights))
    address = "/organisations/security-policy/"
    form = browser.get(address).context["form"]
    sent = {field.html_name: field.value() for field in form}
    sent["_kw_version"] = opened(browser, address)
    SecurityPolicy.objects.update(session_limit=2)
    late = browser.post(address, sent | {"session_limit": 1})
    assert late.status_code == 422
    assert "您的修改没有保存" in late.content.decode()
    assert SecurityPolicy.objects.get().session_limit == 2

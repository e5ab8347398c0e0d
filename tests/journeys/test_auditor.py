"""An auditor finds who looked at a phone number in full (谁查看过完整个人信息)."""

from __future__ import annotations

from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from kangwei.kernel.organisations.tests import make
from tests.journeys.people import signed_in

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
PHONE = "16400001234"


def test_the_auditor_finds_who_unmasked_a_phone_number(site: str, browser_page: Page) -> None:
    clinic = make.institution("小寨门诊")
    patient_side = make.staff(clinic, "周敏", phone=PHONE)
    clerk = make.account(
        institution=clinic,
        name="刘玉兰",
        right=["organisations.view_staff", "organisations.unmask_staff"],
    )
    auditor = make.account(
        institution=make.institution("省卫健委"),
        name="党秉文",
        right=["audit.view_entry", "audit.export_entry"],
        scope="everything",
    )
    # The journal outlives a flushed test database; the reason tells this journey's line.
    reason = f"冷链报警，电话通知值班人员 {uuid4().hex[:8]}"
    page = browser_page
    signed_in(page, site, clerk)
    page.goto(f"{site}/organisations/staff/{patient_side.pk}/")
    assert PHONE not in page.content()
    page.get_by_role("button", name="查看完整信息").click()
    dialog = page.locator("#unmask")
    dialog.get_by_label("手机号").check()
    dialog.get_by_label("原因").fill(reason)
    dialog.get_by_role("button", name="查看", exact=True).click()
    expect(page.get_by_text(PHONE)).to_be_visible()

    signed_in(page, site, auditor)
    page.goto(f"{site}/oversight/journal/")
    page.get_by_role("link", name="谁查看过完整个人信息").click()
    row = page.locator("tbody tr").filter(has_text=reason)
    expect(row).to_have_count(1)
    expect(row).to_contain_text("刘玉兰")
    row.get_by_role("link").click()
    drawer = page.locator("#ov-drawer")
    expect(drawer).to_contain_text("手机号")
    expect(drawer).to_contain_text("127.0.0.1")
    assert PHONE not in page.content()
    drawer.get_by_role("button", name="关闭详情").click()
    expect(drawer).to_be_empty()

    page.get_by_role("button", name="保存查询").click()
    page.get_by_label("名称").fill("明文查看月查")
    page.get_by_role("button", name="保存", exact=True).click()
    expect(page.get_by_role("link", name="明文查看月查")).to_be_visible()
    with page.expect_download() as taken:
        page.get_by_role("link", name="导出", exact=True).click()
    assert taken.value.suggested_filename.startswith("journal-")
    page.goto(f"{site}/oversight/journal/?act=audit.data.exported&person={auditor.username}")
    expect(page.locator("tbody tr").filter(has_text="党秉文")).to_have_count(1)

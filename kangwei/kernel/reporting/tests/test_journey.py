"""A person freezes a report, compares it with later, subscribes; writes and seals a document."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make as people
from kangwei.kernel.reporting.declarations import DocumentKind, Report
from kangwei.kernel.reporting.models import Document, Snapshot, Subscription

from . import make

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
RIGHTS = [
    make.RIGHT,
    "reporting.export_report",
    "reporting.freeze_report",
    "reporting.manage_plan",
    "reporting.view_usage",
    "reporting.write_document",
    "reporting.seal_document",
    "reporting.release_document",
    "reporting.manage_template",
]
NAMES = ("碑林区", "莲湖区", "新城区", "雁塔区", "未央区", "灞桥区", "长安区", "临潼区")


@pytest.fixture
def manager(transactional_db: None) -> Account:
    county = people.institution("西安市疾病预防控制中心", kind="cdc")
    by = people.account(right=RIGHTS, institution=county, name="周明远", scope="subtree")
    for number, name in enumerate(NAMES):
        clinic = people.institution(f"{name}社区卫生服务中心接种门诊", parent=county)
        for _ in range(number + 2):
            people.account(institution=clinic)
        people.account(institution=clinic, state="disabled")
    return by


def signed_in(page: Page, site: str, account: Account) -> None:
    session = people.client(account).cookies
    page.context.add_cookies(
        [{"name": name, "value": morsel.value, "url": site} for name, morsel in session.items()]
    )


def shot(page: Page, name: str) -> None:
    """Pictures for the eye, when somebody wants to look: KW_LOOK names a folder."""
    if folder := os.environ.get("KW_LOOK"):
        page.wait_for_timeout(500)
        page.screenshot(path=f"{folder}/{name}.png")


def test_a_report_is_frozen_compared_and_subscribed(
    site: str, browser_page: Page, manager: Account, accounts: Report
) -> None:
    page = browser_page
    signed_in(page, site, manager)
    page.goto(f"{site}/reporting/")
    shot(page, "index")
    page.get_by_role("link", name="账号统计").click()
    page.get_by_role("button", name="查询").click()
    expect(page.locator(".rp-chart svg")).to_be_visible()
    expect(page.locator("tfoot .rp-total")).to_contain_text("53")
    shot(page, "report")

    page.get_by_role("row", name="长安区社区卫生服务中心接种门诊").get_by_role("link").first.click()
    expect(page.get_by_text("相符")).to_be_visible()
    shot(page, "details")
    page.get_by_role("link", name="返回报表").click()

    page.get_by_role("button", name="固化").click()
    shot(page, "freeze")
    page.get_by_label("名称").fill("十一月账号统计")
    page.locator("#rp-freeze").get_by_role("button", name="固化", exact=True).click()
    expect(page.get_by_text("已核验")).to_be_visible()
    expect(page.locator(".rp-chart svg")).to_be_visible()
    shot(page, "snapshot")
    frozen = Snapshot.objects.get()
    assert frozen.name == "十一月账号统计"

    clinic = Account.objects.exclude(pk=manager.pk).earliest("pk").institution
    people.account(institution=clinic)
    gone = Account.objects.filter(institution__name__startswith="未央区").earliest("pk")
    Account.objects.filter(pk=gone.pk).update(state="disabled")
    page.get_by_role("button", name="比较").click()
    page.locator("#rp-compare").get_by_role("button", name="比较").click()
    expect(page.get_by_text("变化的行")).to_be_visible()
    changed = page.locator("tbody tr.rp-changed")
    expect(changed).to_have_count(2)
    shot(page, "compare")

    page.goto(f"{site}/reporting/r/test.accounts/?run=1")
    page.get_by_role("button", name="订阅").click()
    page.locator("#rp-subscribe").get_by_role("button", name="订阅", exact=True).click()
    expect(page.get_by_text("每月第 1 天 08:00").first).to_be_visible()
    shot(page, "subscriptions")
    assert Subscription.objects.get().account == manager


def test_a_document_is_written_sealed_and_corrected(
    site: str, browser_page: Page, manager: Account, monthly: DocumentKind
) -> None:
    page = browser_page
    signed_in(page, site, manager)
    page.goto(f"{site}/reporting/documents/new/")
    shot(page, "generate")
    page.get_by_role("button", name="生成草稿").click()
    expect(page.get_by_text("未接入：本系统尚未接入交换引擎")).to_be_visible()
    page.get_by_label("下月计划与建议").fill("完成年度账号核对。\n- 停用离岗人员账号\n- 补录资质")
    expect(page.get_by_text("已保存")).to_be_visible()
    shot(page, "draft")
    page.get_by_role("button", name="封存").click()
    page.locator("#rp-seal").get_by_role("button", name="封存").click()
    expect(page.get_by_text("已核验")).to_be_visible()
    document = Document.objects.get()
    expect(page.locator(".rp-proof").get_by_text(str(document.number))).to_be_visible()
    shot(page, "sealed")

    page.get_by_role("button", name="更正").click()
    page.get_by_label("更正原因").fill("漏报一个账号")
    page.get_by_role("button", name="建立新版本").click()
    expect(page.get_by_text("更正原因：漏报一个账号")).to_be_visible()
    shot(page, "correction")
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="PDF", exact=True).click()
    assert downloaded.value.suggested_filename.endswith(".pdf")


def test_dark_and_paper(site: str, browser_page: Page, manager: Account, accounts: Report) -> None:
    page = browser_page
    signed_in(page, site, manager)
    page.goto(f"{site}/reporting/r/test.accounts/?run=1")
    expect(page.locator(".rp-chart svg")).to_be_visible()
    page.get_by_label("显示设置").first.click()
    page.get_by_role("button", name="深色").click()
    expect(page.locator("html")).to_have_class(re.compile("dark"))
    shot(page, "dark")
    href: Any = page.get_by_role("link", name="打印").get_attribute("href")
    page.goto(f"{site}{href}")
    expect(page.locator("svg")).to_be_visible()
    shot(page, "paper")

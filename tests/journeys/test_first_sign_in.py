"""A new person signs in for the first time: own password, second factor, home page."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from kangwei.kernel import clock
from kangwei.kernel.organisations import services
from kangwei.kernel.organisations.models import Account, Role
from kangwei.kernel.organisations.rules import totp
from kangwei.kernel.organisations.tests import make

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
CHOSEN = "Weihe-Chang'an-8"


def newcomer() -> tuple[Account, str]:
    """An account handed over with a one-time password, in a role that demands a second factor."""
    at = clock.now()
    city = make.institution("宝鸡市疾控中心", kind="cdc_city")
    new = services.create_account(username="renxue", name="任雪", institution=city, by=None, at=at)
    services.grant_role(
        account=new.account, role=Role.objects.get(code="city_admin"), by=None, at=at
    )
    return new.account, new.password


def test_a_first_sign_in_sets_a_password_and_a_second_factor(
    site: str, browser_page: Page, expected_refusals: set[int]
) -> None:
    account, handed_over = newcomer()
    expected_refusals.add(422)
    page = browser_page
    page.goto(f"{site}/")
    page.get_by_label("用户名").fill("renxue")
    page.get_by_label("密码", exact=True).fill("not-this-one")
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_role("alert")).to_contain_text("还可尝试")

    page.get_by_label("密码", exact=True).fill(handed_over)
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_text("请先设置自己的密码")).to_be_visible()
    page.goto(f"{site}/oversight/reviews/")
    expect(page.get_by_text("请先设置自己的密码")).to_be_visible()

    page.get_by_label(re.compile("原密码|当前密码")).fill(handed_over)
    page.get_by_label(re.compile("^新密码")).fill("short")
    page.get_by_label(re.compile("再次")).fill("short")
    page.get_by_role("button", name="修改密码").click()
    expect(page.get_by_text("密码至少").first).to_be_visible()
    page.get_by_label(re.compile("原密码|当前密码")).fill(handed_over)
    page.get_by_label(re.compile("^新密码")).fill(CHOSEN)
    page.get_by_label(re.compile("再次")).fill(CHOSEN)
    page.get_by_role("button", name="修改密码").click()

    expect(page.get_by_role("img", name="身份验证器二维码")).to_be_visible()
    secret = page.locator(".org-qr code").inner_text().replace(" ", "")
    code = totp.code_at(totp.from_base32(secret), clock.now())
    page.get_by_label("动态口令").fill(code)
    page.get_by_role("button", name="启用").click()
    expect(page.locator(".org-once code")).to_have_count(10)
    recovery = page.locator(".org-once code").first.inner_text()
    page.get_by_role("link", name="我已记下，继续").click()
    expect(page.get_by_role("heading", name=re.compile("任雪"))).to_be_visible()

    page.locator(".kw-account").click()
    page.get_by_role("button", name=re.compile("退出")).click()
    page.get_by_label("用户名").fill("renxue")
    page.get_by_label("密码", exact=True).fill(CHOSEN)
    page.get_by_role("button", name="登录").click()
    page.get_by_label("6 位动态口令").fill(code)
    page.get_by_role("button", name="确认").click()
    expect(page.get_by_role("alert")).to_contain_text("不正确或已使用")
    page.get_by_label("6 位动态口令").fill(recovery)
    page.get_by_role("button", name="确认").click()
    expect(page.get_by_role("heading", name=re.compile("任雪"))).to_be_visible()
    account.refresh_from_db()
    assert not account.must_change_password

"""A superior runs the yearly account review (用户年审), from the call to the suspension."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from kangwei.kernel import clock
from kangwei.kernel.jobs.models import Run
from kangwei.kernel.organisations.models import AccountState
from kangwei.kernel.oversight import services
from kangwei.kernel.oversight.models import ReviewCampaign, ReviewItem
from kangwei.kernel.oversight.rules import review
from kangwei.kernel.oversight.tests import make
from tests.journeys.people import signed_in

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]


def run_the_worker() -> None:
    """What the worker does with the queued run."""
    run = Run.objects.get(kind="oversight.call_up")
    services.call_up(
        campaign=ReviewCampaign.objects.get(pk=run.arguments["campaign"]), at=clock.now()
    )


def test_a_superior_reviews_and_the_forgotten_account_is_suspended(
    site: str, browser_page: Page, expected_refusals: set[int]
) -> None:
    tree = make.tree()
    long_ago = clock.now() - timedelta(days=800)
    kept = make.nurse(tree.clinic, "周护士", created_at=long_ago)
    leaver = make.nurse(tree.clinic, "吴护士", created_at=long_ago)
    forgotten = make.nurse(tree.clinic, "郑护士", created_at=long_ago)
    # Reviewed a year ago with the same powers, and in use: may be confirmed by one key.
    for account in (kept, forgotten):
        account.sign_ins.create(kind="success", username=account.username, at=clock.now())
    make.campaign(
        tree.city, at=clock.now() - timedelta(days=400), due=clock.local_day(clock.now()), year=2020
    )
    services.decide(
        item=make.item_of(kept), decision=review.Decision.KEEP, by=tree.inspector,
        at=clock.now() - timedelta(days=390), proof=make.SIGNED,
    )  # fmt: skip
    services.cancel_campaign(
        campaign=ReviewCampaign.objects.get(), by=tree.inspector, at=clock.now(), reason="演示结束"
    )

    page = browser_page
    signed_in(page, site, tree.inspector)
    page.goto(f"{site}/oversight/reviews/")
    page.get_by_role("link", name="发起年审").click()
    page.get_by_label("范围机构").select_option(label="西安市疾控")
    page.get_by_role("button", name="发起年审").click()
    expect(page.get_by_text("已发起")).to_be_visible()
    run_the_worker()

    # One key keeps the unchanged account; the password signs it.
    page.goto(f"{site}/oversight/my-reviews/?q=周护士")
    page.keyboard.press("j")
    page.keyboard.press("y")
    page.get_by_label("登录密码").fill(make.PASSWORD)
    page.get_by_role("button", name="签名确认").click()
    expect(page.get_by_text("已确认保留 1 个账号")).to_be_visible()

    # The leaver is looked at alone; a wrong password signs nothing.
    page.goto(f"{site}/oversight/my-reviews/?q=吴护士")
    page.get_by_role("link", name="吴护士").click()
    page.get_by_label("停用：账号立即停止使用").check()
    page.get_by_label("理由").fill("已调离接种岗位")
    page.get_by_label("登录密码").fill("Wrong-Horse-8")
    page.get_by_role("button", name="签名并保存").click()
    expect(page.get_by_text("密码或动态口令不正确")).to_be_visible()
    page.get_by_label("登录密码").fill(make.PASSWORD)
    page.get_by_role("button", name="签名并保存").click()
    expect(page.get_by_text("年审结论已签名保存")).to_be_visible()
    leaver.refresh_from_db()
    assert leaver.state == AccountState.DISABLED

    # Nobody looks at the third; thirty days after its date the daily job suspends it.
    item = ReviewItem.objects.get(account=forgotten, decision="", withdrawn=False)
    day_after_grace = clock.now() + (item.due_on + review.GRACE - clock.local_day(clock.now()))
    assert services.suspend_overdue(at=day_after_grace - timedelta(days=1)) == 0
    assert services.suspend_overdue(at=day_after_grace) >= 1
    forgotten.refresh_from_db()
    assert forgotten.state == AccountState.SUSPENDED
    page.goto(f"{site}/oversight/reviews/items/{item.pk}/")
    expect(page.get_by_text("已暂停").first).to_be_visible()

    # Suspended, not deleted: the superior brings it back with a reason.
    page.get_by_label("登录密码").fill(make.PASSWORD)
    page.get_by_role("button", name="签名并保存").click()
    expect(page.get_by_text("恢复使用须填写理由")).to_be_visible()
    page.get_by_label("理由").fill("产假结束，已返岗")
    page.get_by_label("登录密码").fill(make.PASSWORD)
    page.get_by_role("button", name="签名并保存").click()
    expect(page.get_by_text("年审结论已签名保存")).to_be_visible()
    forgotten.refresh_from_db()
    assert forgotten.state == AccountState.ACTIVE
    page.goto(f"{site}/oversight/reviews/items/{item.pk}/")
    expect(page.get_by_text("验证通过")).to_be_visible()

"""Pages of oversight: what they show, whom they turn away, how many queries they take."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.audit.models import Verification
from kangwei.kernel.jobs.models import Run
from kangwei.kernel.jobs.services import start_run
from kangwei.kernel.organisations import services as organisations
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make as people
from kangwei.kernel.oversight import services, tasks
from kangwei.kernel.oversight.models import ReviewCampaign, ReviewItem, SavedSearch
from kangwei.kernel.oversight.rules.review import Decision
from kangwei.kernel.oversight.tests import make

pytestmark = pytest.mark.django_db
AUDIT_RIGHTS = ["audit.view_entry", "audit.export_entry", "audit.verify_journal"]


@pytest.fixture
def tree() -> make.Tree:
    return make.tree()


def this_year(tree: make.Tree) -> ReviewCampaign:
    """A round opened today, as the pages read the clock themselves."""
    at = clock.now()
    today = clock.local_day(at)
    return make.campaign(tree.province, at=at, due=today + timedelta(days=60), year=today.year)


def auditor(**more: Any) -> Account:
    home = people.institution("省卫健委")
    return people.account(
        institution=home, name="审计员", right=AUDIT_RIGHTS, scope="everything", **more
    )


def test_a_reviewer_opens_a_round_on_the_page(tree: make.Tree) -> None:
    browser = people.client(tree.inspector)
    assert "还没有年审批次" in browser.get("/oversight/reviews/").content.decode()
    today = clock.local_day(clock.now())
    form = {"institution": tree.city.pk, "year": today.year, "due_on": today + timedelta(days=10)}
    answer = browser.post("/oversight/reviews/new/", form)
    assert "不足 30 天" in answer.content.decode()
    form["due_on"] = today + timedelta(days=31)
    answer = browser.post("/oversight/reviews/new/", form, follow=True)
    assert "已发起" in answer.content.decode()
    run = Run.objects.get(kind="oversight.call_up")
    run.state, run.started_at, run.attempt = "running", clock.now(), 1
    run.save()
    make.nurse(tree.clinic, created_at=clock.now() - timedelta(days=400))
    assert tasks.call_up(run)["called_up"] == 2
    campaign = ReviewCampaign.objects.get()
    shown = browser.get(f"/oversight/reviews/{campaign.pk}/").content.decode()
    assert "小寨门诊" in shown
    assert "待年审" in shown


def test_the_sheet_shows_rights_in_words_and_takes_the_decision(tree: make.Tree) -> None:
    nurse = make.nurse(tree.clinic)
    this_year(tree)
    item = make.item_of(nurse)
    browser = people.client(tree.city_inspector)
    sheet = f"/oversight/reviews/items/{item.pk}/"
    shown = browser.get(sheet).content.decode()
    assert "首次年审" in shown
    assert "首次年审" in shown
    assert "全部功能权限（1 项）" in shown
    assert "签名并保存" in shown
    wrong = browser.post(sheet, {"decision": "keep", "password": "Wrong-Horse-8"})
    assert "密码或动态口令不正确" in wrong.content.decode()
    done = browser.post(sheet, {"decision": "keep", "password": make.PASSWORD}, follow=True)
    assert "已签名保存" in done.content.decode()
    shown = browser.get(sheet).content.decode()
    assert "验证通过" in shown
    assert "签名并保存" not in shown
    printed = browser.get(f"{sheet}print/").content.decode()
    assert "用户年审表" in printed
    assert "李督查" in printed
    assert "保留" in browser.get(f"/oversight/reviews/accounts/{nurse.pk}/").content.decode()


def test_a_change_and_a_disabling_on_the_sheet(tree: make.Tree) -> None:
    nurse, leaver = make.nurse(tree.clinic, "甲"), make.nurse(tree.clinic, "乙")
    this_year(tree)
    browser = people.client(tree.city_inspector)
    sheet = f"/oversight/reviews/items/{make.item_of(nurse).pk}/"
    empty = browser.post(sheet, {"decision": "change", "reason": "转岗", "password": make.PASSWORD})
    assert "请选择要收回的角色" in empty.content.decode()
    browser.post(
        sheet,
        {
            "decision": "change",
            "reason": "转岗",
            "password": make.PASSWORD,
            "revoke": [nurse.grants.get().pk],
        },
    )
    assert make.item_of(nurse).decision == Decision.CHANGE
    sheet = f"/oversight/reviews/items/{make.item_of(leaver).pk}/"
    unknown = browser.post(
        sheet,
        {
            "decision": "change",
            "reason": "转岗",
            "password": make.PASSWORD,
            "role": people.role("organisations.view_staff", scope="listed").pk,
            "targets": "NOSUCH1，NOSUCH2",
        },
    )
    assert "没有找到编码 NOSUCH1、NOSUCH2" in unknown.content.decode()
    browser.post(sheet, {"decision": "disable", "reason": "离职", "password": make.PASSWORD})
    leaver.refresh_from_db()
    assert leaver.state == "disabled"


def test_a_strangers_items_rounds_and_histories_are_404(tree: make.Tree) -> None:
    nurse = make.nurse(tree.clinic)
    campaign = this_year(tree)
    item = make.item_of(nurse)
    stranger = people.client(make.reviewer(people.institution("外省疾控"), "外人"))
    for address in (
        f"/oversight/reviews/{campaign.pk}/",
        f"/oversight/reviews/items/{item.pk}/",
        f"/oversight/reviews/items/{item.pk}/print/",
        f"/oversight/reviews/accounts/{nurse.pk}/",
    ):
        assert stranger.get(address).status_code == 404, address
    assert nurse.name not in stranger.get("/oversight/review-exceptions/").content.decode()
    ended = stranger.post(
        f"/oversight/reviews/{campaign.pk}/end/", {"how": "cancel", "reason": "x"}
    )
    assert ended.status_code == 404


def test_whoever_lacks_the_right_is_told_which(tree: make.Tree) -> None:
    nobody = people.client(make.nurse(tree.clinic))
    for address in ("/oversight/reviews/", "/oversight/my-reviews/", "/oversight/journal/"):
        answer = nobody.get(address)
        assert answer.status_code == 403
        assert "权限" in answer.content.decode()


def test_ticked_accounts_are_confirmed_and_others_named(tree: make.Tree) -> None:
    nurse = make.nurse(tree.clinic)
    this_year(tree)
    browser = people.client(tree.city_inspector)
    listed = browser.get("/oversight/my-reviews/").content.decode()
    assert "首次年审" in listed
    assert f'value="{make.item_of(nurse).pk}"' not in listed, "cannot be ticked"
    answer = browser.post(
        "/oversight/my-reviews/confirm/",
        {"item": [make.item_of(nurse).pk], "password": make.PASSWORD},
        follow=True,
        HTTP_REFERER="http://testserver/oversight/my-reviews/",
    )
    assert "不能批量确认" in answer.content.decode()
    assert make.item_of(nurse).decision == ""


def test_exceptions_and_overdue_lists(tree: make.Tree) -> None:
    nurse = make.nurse(tree.clinic, staff=None)
    this_year(tree)
    ReviewItem.objects.filter(account=nurse).update(due_on=date(2026, 1, 1))
    browser = people.client(tree.city_inspector)
    shown = browser.get("/oversight/review-exceptions/?finding=no_staff").content.decode()
    assert "未关联人员" in shown
    assert "赵护士" in shown
    late = browser.get("/oversight/review-overdue/").content.decode()
    assert "赵护士" in late
    assert "将于 2026-01-31" in late


def test_the_work_list_takes_the_same_queries_for_two_and_for_thirty(tree: make.Tree) -> None:
    for n in range(2):
        make.nurse(tree.clinic, f"护士{n}")
    campaign = this_year(tree)
    browser = people.client(tree.city_inspector)
    browser.get("/oversight/my-reviews/")
    with CaptureQueriesContext(connection) as few:
        browser.get("/oversight/my-reviews/")
    for n in range(28):
        make.nurse(tree.clinic, f"更多{n}")
    services.call_up(campaign=campaign, at=clock.now())
    with CaptureQueriesContext(connection) as many:
        browser.get("/oversight/my-reviews/")
    assert len(many) <= len(few) + 1


# The journal ------------------------------------------------------------------------------------


def unmasked(by: Account) -> Any:
    staff = people.staff(by.institution, "周敏", phone="16400001234")
    with audit.origin(channel="web", address="10.61.3.4"):
        organisations.unmask_staff(
            staff=staff, fields=["phone"], by=by, at=clock.now(), reason="电话核实身份"
        )
    return staff


def test_an_auditor_finds_who_looked_at_a_number_in_full(tree: make.Tree) -> None:
    unmasked(tree.city_inspector)
    browser = people.client(auditor())
    page = browser.get("/oversight/journal/?act=audit.data.unmasked").content.decode()
    assert "李督查" in page
    assert "电话核实身份" in page
    assert "16400001234" not in page
    entry = make.journal(act="audit.data.unmasked").get()
    drawer = browser.get(
        f"/oversight/journal/entries/{entry.pk}/", headers={"HX-Request": "true"}
    ).content.decode()
    assert "尚未入链" in drawer
    assert "手机号" in drawer
    assert "10.61.3.4" in drawer
    assert "<html" not in drawer
    assert "<html" in browser.get(f"/oversight/journal/entries/{entry.pk}/").content.decode()
    assert browser.get("/oversight/journal/entries/999999/").status_code == 404


def test_changes_are_told_before_and_after_in_chinese(tree: make.Tree) -> None:
    nurse = make.nurse(tree.clinic)
    organisations.disable_account(
        account=nurse, by=tree.city_inspector, at=clock.now(), reason="岗位调整"
    )
    entry = make.journal(act="organisations.account.disabled").get()
    drawer = people.client(auditor()).get(f"/oversight/journal/entries/{entry.pk}/")
    text = drawer.content.decode()
    assert "修改账号" in text
    assert "正常" in text
    assert "停用" in text


def test_wrong_conditions_are_said_in_place() -> None:
    browser = people.client(auditor())
    shown = browser.get("/oversight/journal/?person=nobody.here").content.decode()
    assert "没有用户名为“nobody.here”的账号" in shown
    shown = browser.get("/oversight/journal/?since=2026-02-02&until=2026-02-01").content.decode()
    assert "早于起始日期" in shown


def test_a_search_is_kept_used_and_dropped_by_its_owner_only() -> None:
    owner, other = auditor(), auditor()
    browser = people.client(owner)
    browser.post(
        "/oversight/journal/saved/",
        {"name": "看过明文", "query": '{"act": "audit.data.unmasked", "strange": "1"}'},
    )
    saved = SavedSearch.objects.get()
    assert saved.query == {"act": "audit.data.unmasked"}
    assert "删除常用查询看过明文" in browser.get("/oversight/journal/").content.decode()
    foreign = people.client(other)
    assert "删除常用查询看过明文" not in foreign.get("/oversight/journal/").content.decode()
    assert foreign.post("/oversight/journal/saved/", {"delete": saved.pk}).status_code == 404
    browser.post("/oversight/journal/saved/", {"delete": saved.pk})
    assert not SavedSearch.objects.exists()


def test_an_export_is_itself_journalled(tree: make.Tree) -> None:
    unmasked(tree.city_inspector)
    browser = people.client(auditor())
    answer = browser.get(
        f"/oversight/journal/export/?act=audit.data.unmasked&person={tree.city_inspector.username}"
    )
    lines = answer.content.decode("utf-8-sig").strip().splitlines()
    assert len(lines) == 2
    assert "查看明文" in lines[1]
    exported = make.journal(act="audit.data.exported").get()
    assert exported.detail is not None
    assert exported.detail["what"] == "审计日志"
    assert exported.detail["rows"] == 1
    assert exported.detail["act"] == "audit.data.unmasked"
    assert exported.detail["format"] == "csv"


def test_a_narrower_scope_cannot_read_the_whole_journal(tree: make.Tree) -> None:
    local = people.account(institution=tree.city, right=AUDIT_RIGHTS, scope="subtree")
    browser = people.client(local)
    assert browser.get("/oversight/journal/").status_code == 403
    assert browser.get("/oversight/journal/export/").status_code == 403


def test_integrity_shows_the_chain_and_starts_one_verification_at_a_time() -> None:
    browser = people.client(auditor())
    assert "待入链" in browser.get("/oversight/integrity/").content.decode()
    for _ in range(2):
        browser.post("/oversight/integrity/verify/")
    assert Run.objects.filter(kind="oversight.verify_journal").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_verification_by_the_worker_is_shown_with_its_verdict() -> None:
    looker = auditor()
    run = start_run(kind="oversight.verify_journal", title="校验", by=looker, at=clock.now())
    told = tasks.verify_journal(run)
    kept = Verification.objects.latest("started_at")
    assert told == {"sound": kept.sound, "links": kept.links, "faults": len(kept.findings)}
    shown = people.client(looker).get("/oversight/integrity/").content.decode()
    assert "还没有校验记录" not in shown
    assert ("完好" if kept.sound else "异常") in shown


# Schedules --------------------------------------------------------------------------------------


def test_reminders_reach_the_reviewers_once(tree: make.Tree) -> None:
    from kangwei.kernel.notices.models import Notice

    make.nurse(tree.clinic)
    make.campaign(tree.city)
    day = make.MARCH_2 + timedelta(days=24)
    assert tasks.remind_reviewers.work(day) == "发出 2 条年审提醒。"
    tasks.remind_reviewers.work(day + timedelta(hours=1))
    told = Notice.objects.filter(template="oversight.review_due")
    assert told.count() == 2
    assert "西安市疾控有 1 个账号将于 7 天内到期" in told.get(institution=tree.city).title
    assert tasks.suspend_overdue.work(day) == "暂停 0 个账号。"
    with transaction.atomic():
        assert tasks.call_up_due.work(day).startswith("纳入 ")

"""Acts of the account review, against the database: who may, what it does, what is kept."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from kangwei.kernel.organisations import services as organisations
from kangwei.kernel.organisations.models import Account, AccountState
from kangwei.kernel.organisations.tests import make as people
from kangwei.kernel.oversight import queries, services, snapshots
from kangwei.kernel.oversight import refusals as refused
from kangwei.kernel.oversight.models import ReviewCampaign, ReviewEvent, ReviewItem
from kangwei.kernel.oversight.rules.review import Decision, Finding, State
from kangwei.kernel.oversight.services import Change, NewGrant, Proof
from kangwei.kernel.oversight.tests import make
from kangwei.kernel.oversight.tests.make import MARCH_2, SIGNED
from kangwei.kernel.refusals import NotFound

pytestmark = pytest.mark.django_db
NEXT_DAY = MARCH_2 + timedelta(days=1)


def keep(item: ReviewItem, by: Account, at: datetime = NEXT_DAY, **more: Any) -> ReviewItem:
    return services.decide(item=item, decision=Decision.KEEP, by=by, at=at, proof=SIGNED, **more)


# Calling up -------------------------------------------------------------------------------------


def test_a_round_asks_about_every_usable_account_below_and_nobody_else() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    make.nurse(tree.clinic, "停用者", state=AccountState.DISABLED)
    stranger = make.nurse(people.institution("外省门诊"))
    campaign = make.campaign(tree.city)
    asked = set(campaign.items.values_list("account", flat=True))
    assert asked == {nurse.pk, tree.city_inspector.pk}
    assert stranger.pk not in asked
    item = make.item_of(nurse)
    assert item.reviewing_institution_id == tree.city.pk
    assert item.due_on == date(2026, 4, 1), "long overdue by its own history: thirty days' notice"


def test_calling_up_twice_asks_once() -> None:
    tree = make.tree()
    make.nurse(tree.clinic)
    campaign = make.campaign(tree.province)
    assert services.call_up(campaign=campaign, at=NEXT_DAY) == 0
    assert ReviewEvent.objects.filter(kind="called").count() == campaign.items.count()


def test_an_account_that_one_round_asks_about_is_left_alone_by_the_next() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    make.campaign(tree.city)
    make.campaign(tree.province)
    assert ReviewItem.objects.filter(account=nurse).count() == 1


def test_an_account_confirmed_this_year_is_not_asked_again_by_a_wider_round() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    make.campaign(tree.city)
    keep(make.item_of(nurse), tree.inspector)
    wider = make.campaign(tree.province)
    assert not wider.items.filter(account=nurse).exists()
    assert wider.items.filter(account=tree.inspector).exists()


def test_accounts_whose_year_ends_enter_the_standing_round_of_the_topmost_institution() -> None:
    tree = make.tree()
    old = make.nurse(tree.clinic, "老护士", created_at=datetime(2025, 3, 20, tzinfo=UTC))
    young = make.nurse(tree.clinic, "新护士", created_at=datetime(2025, 6, 1, tzinfo=UTC))
    for inspector in (tree.inspector, tree.city_inspector):
        Account.objects.filter(pk=inspector.pk).update(created_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert services.call_up_due(at=MARCH_2) == 1
    item = make.item_of(old)
    assert item.campaign.standing
    assert item.campaign.institution == tree.province
    assert item.due_on == date(2026, 4, 1), "its year ends on 20 March; the notice is thirty days"
    assert not ReviewItem.objects.filter(account=young).exists()
    assert services.call_up_due(at=MARCH_2) == 0


def test_opening_a_round_needs_thirty_days_and_happens_once_a_year() -> None:
    tree = make.tree()
    opening: dict[str, Any] = {
        "institution": tree.city,
        "year": 2026,
        "by": tree.inspector,
        "at": MARCH_2,
    }
    with pytest.raises(refused.CampaignDates, match="不足 30 天"):
        services.open_campaign(**opening, due_on=date(2026, 3, 31))
    campaign, run = services.open_campaign(**opening, due_on=date(2026, 4, 1))
    assert campaign.title == "2026 年度西安市疾控用户年审"
    assert run.arguments == {"campaign": campaign.pk}
    with pytest.raises(refused.CampaignAlreadyOpen):
        services.open_campaign(**opening, due_on=date(2026, 5, 1))
    assert make.journal(act="oversight.campaign.opened").count() == 1


# Deciding ---------------------------------------------------------------------------------------


def test_a_superior_keeps_an_account_and_the_signature_holds() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    make.campaign(tree.province)
    item = keep(make.item_of(nurse), tree.city_inspector)
    assert item.state_on(date(2026, 3, 3)) is State.CONFIRMED
    assert services.signature_holds(item)
    entry = make.journal(act="oversight.account.review_kept").get()
    assert entry.object_id == str(nurse.pk)
    assert entry.account_label.startswith("李督查")


def test_a_decision_changed_behind_the_product_no_longer_bears_its_signature() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    make.campaign(tree.province)
    item = keep(make.item_of(nurse), tree.city_inspector)
    ReviewItem.objects.filter(pk=item.pk).update(reason="后来补写的理由")
    assert not services.signature_holds(ReviewItem.objects.get(pk=item.pk))


def test_nobody_reviews_himself_not_even_at_the_top() -> None:
    tree = make.tree()
    make.campaign(tree.province)
    own = make.item_of(tree.inspector)
    with pytest.raises(refused.SelfReview):
        keep(own, tree.inspector)
    with pytest.raises(IntegrityError), transaction.atomic():
        ReviewItem.objects.filter(pk=own.pk).update(
            decision="keep", decided_at=MARCH_2, decided_by=tree.inspector,
            decided_snapshot={}, signature="x", signed_with="password",
        )  # fmt: skip


def test_at_the_top_another_person_of_the_same_institution_decides() -> None:
    tree = make.tree()
    second = make.reviewer(tree.province, "孙督查")
    make.campaign(tree.province)
    assert keep(make.item_of(tree.inspector), second).decided_by == second


def test_a_colleague_of_the_same_institution_is_no_superior() -> None:
    tree = make.tree()
    colleague = make.nurse(tree.city, "同事")
    make.campaign(tree.province)
    with pytest.raises(refused.NotSuperior, match="不是它的上级机构"):
        keep(make.item_of(colleague), tree.city_inspector)


def test_an_account_out_of_scope_looks_absent() -> None:
    tree = make.tree()
    other_city = people.institution("宝鸡市疾控", parent=tree.province, kind="cdc_city")
    stranger = make.reviewer(other_city, "周督查")
    nurse = make.nurse(tree.clinic)
    make.campaign(tree.province)
    with pytest.raises(NotFound):
        keep(make.item_of(nurse), stranger)


def test_a_wrong_password_signs_nothing_and_is_counted_as_a_failed_sign_in() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    make.campaign(tree.province)
    item = make.item_of(nurse)
    with pytest.raises(refused.IdentityNotProved):
        services.decide(
            item=item, decision=Decision.KEEP, by=tree.city_inspector, at=NEXT_DAY,
            proof=Proof(password="Wrong-Horse-8"),
        )  # fmt: skip
    item.refresh_from_db()
    assert item.decision == ""
    assert tree.city_inspector.sign_ins.filter(kind="failure").count() == 1
    with pytest.raises(refused.IdentityNotProved, match="请输入"):
        services.decide(
            item=item, decision=Decision.KEEP, by=tree.city_inspector, at=NEXT_DAY, proof=Proof()
        )


def test_disabling_needs_a_reason_and_closes_the_account() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    make.campaign(tree.province)
    item = make.item_of(nurse)
    act: dict[str, Any] = {
        "item": item,
        "decision": Decision.DISABLE,
        "by": tree.city_inspector,
        "at": NEXT_DAY,
    }
    with pytest.raises(refused.ReasonMissing):
        services.decide(**act, proof=SIGNED)
    decided = services.decide(**act, proof=SIGNED, reason="已调离接种岗位")
    nurse.refresh_from_db()
    assert nurse.state == AccountState.DISABLED
    assert decided.state_on(date(2026, 3, 3)) is State.DISABLED
    assert "已调离接种岗位" in nurse.state_reason


def test_a_change_takes_a_role_back_and_gives_another() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    reader = people.role("organisations.view_account", scope="own", name="查询员")
    make.campaign(tree.province)
    item = make.item_of(nurse)
    act: dict[str, Any] = {
        "item": item,
        "decision": Decision.CHANGE,
        "by": tree.inspector,
        "at": NEXT_DAY,
    }
    with pytest.raises(refused.NothingChanged):
        services.decide(**act, proof=SIGNED, reason="岗位变动")
    old = nurse.grants.get()
    people.grant(tree.inspector, people.role("organisations.view_institution"))
    change = Change(frozenset({old.pk}), [NewGrant(reader)])
    decided = services.decide(**act, proof=SIGNED, reason="岗位变动", change=change)
    assert decided.decided_snapshot is not None
    assert decided.decided_snapshot["grants"] == ["查询员 · 本机构"]
    nurse.forget_access()
    assert not nurse.has_perm("organisations.view_institution")


def test_a_grant_of_somebody_else_cannot_be_taken_back_here() -> None:
    tree = make.tree()
    nurse, other = make.nurse(tree.clinic), make.nurse(tree.clinic, "另一人")
    make.campaign(tree.province)
    with pytest.raises(Exception, match="不在该账号名下"):
        services.decide(
            item=make.item_of(nurse), decision=Decision.CHANGE, by=tree.inspector, at=NEXT_DAY,
            proof=SIGNED, reason="岗位变动", change=Change(frozenset({other.grants.get().pk})),
        )  # fmt: skip
    assert other.grants.get().revoked_at is None


def test_the_second_reviewer_is_told_who_was_first() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    make.campaign(tree.province)
    item = make.item_of(nurse)
    keep(item, tree.city_inspector)
    with pytest.raises(
        refused.AlreadyDecided, match="已由 李督查 于 2026-03-03 09:00 作出“保留”结论"
    ):
        keep(item, tree.inspector)


@pytest.mark.django_db(transaction=True)
def test_of_two_reviewers_at_once_one_wins() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    make.campaign(tree.province)
    item = make.item_of(nurse)
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def review(by: Account) -> None:
        try:
            start.wait(10)
            keep(item, by)
            outcomes.append("won")
        except refused.AlreadyDecided:
            outcomes.append("told")
        finally:
            connection.close()

    threads = [
        threading.Thread(target=review, args=(by,)) for by in (tree.inspector, tree.city_inspector)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["told", "won"]
    assert ReviewEvent.objects.filter(item=item, kind="decided").count() == 1


# Bulk -------------------------------------------------------------------------------------------


def a_year_later(tree: make.Tree, *accounts: Account) -> list[ReviewItem]:
    """All were kept last year; this year's round asks again."""
    first = make.campaign(tree.province)
    for account in accounts:
        keep(make.item_of(account), tree.inspector)
    first.items.filter(decision="").update(withdrawn=True)
    first.state, first.ended_at = "closed", NEXT_DAY
    first.save()
    for account in accounts:
        account.sign_ins.create(kind="success", username=account.username, at=LATER)
    make.campaign(tree.province, at=LATER, due=date(2027, 4, 30), year=2027)
    return list(ReviewItem.objects.filter(account__in=accounts, decision="").order_by("pk"))


LATER = MARCH_2 + timedelta(days=370)


def test_accounts_about_which_nothing_changed_are_confirmed_in_bulk() -> None:
    tree = make.tree()
    nurses = [make.nurse(tree.clinic, name) for name in ("甲", "乙", "丙")]
    items = a_year_later(tree, *nurses)
    done = services.confirm_in_bulk(
        items=items, by=tree.city_inspector, at=LATER + timedelta(days=1), proof=SIGNED
    )
    assert len(done) == 3
    assert all(item.in_bulk and services.signature_holds(item) for item in done)


def test_a_bulk_confirmation_names_every_row_that_does_not_qualify_and_does_nothing() -> None:
    tree = make.tree()
    same, changed, odd = (make.nurse(tree.clinic, name) for name in ("未变", "增权", "离职"))
    items = a_year_later(tree, same, changed, odd)
    people.grant(changed, people.role("organisations.view_account", scope="own"))
    assert odd.staff is not None
    odd.staff.left_on = LATER.date()
    odd.staff.save()
    first_time = make.nurse(tree.clinic, "首次", created_at=LATER)
    services.call_up(campaign=items[0].campaign, at=LATER)
    with pytest.raises(refused.NotForBulk) as told:
        services.confirm_in_bulk(
            items=[*items, make.item_of(first_time)], by=tree.city_inspector,
            at=LATER + timedelta(days=1), proof=SIGNED,
        )  # fmt: skip
    assert dict(told.value.rows) == {
        "增权": ["角色或权限自上次年审后有变化"],
        "离职": ["人员已离开机构"],
        "首次": ["首次年审"],
    }
    assert not ReviewItem.objects.filter(in_bulk=True).exists()


# Suspension -------------------------------------------------------------------------------------


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def test_suspension_on_the_thirtieth_day_and_the_way_back() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    make.campaign(tree.province)
    item = make.item_of(nurse)
    assert item.due_on == date(2026, 4, 1)
    assert services.suspend_overdue(at=midnight(date(2026, 4, 30))) == 0
    assert services.suspend_overdue(at=midnight(date(2026, 5, 1))) == 3
    assert services.suspend_overdue(at=midnight(date(2026, 5, 1))) == 0, "once only"
    nurse.refresh_from_db()
    assert nurse.state == AccountState.SUSPENDED
    assert make.item_of(nurse).state_on(date(2026, 5, 2)) is State.SUSPENDED
    tree.city_inspector.refresh_from_db()
    second = make.reviewer(tree.province, "孙督查")
    at = midnight(date(2026, 5, 2))
    with pytest.raises(refused.ReasonMissing, match="恢复使用须填写理由"):
        keep(item, second, at)
    keep(item, second, at, reason="休产假，已返岗")
    nurse.refresh_from_db()
    assert nurse.state == AccountState.ACTIVE
    kinds = list(make.item_of(nurse).events.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["called", "suspended", "reactivated", "decided"]


def test_a_suspended_account_may_be_closed_for_good() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    make.campaign(tree.city)
    late = MARCH_2 + timedelta(days=91)
    services.suspend_overdue(at=late)
    nurse.refresh_from_db()
    assert nurse.state == AccountState.SUSPENDED
    services.decide(
        item=make.item_of(nurse), decision=Decision.DISABLE, by=tree.inspector, at=late,
        proof=SIGNED, reason="已离职",
    )  # fmt: skip
    nurse.refresh_from_db()
    assert nurse.state == AccountState.DISABLED
    assert make.item_of(nurse).state_on(late.date()) is State.DISABLED


def test_an_account_disabled_while_suspended_is_not_brought_back_by_keeping_it() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    make.campaign(tree.city)
    late = MARCH_2 + timedelta(days=91)
    services.suspend_overdue(at=late)
    organisations.disable_account(account=nurse, by=None, at=late, reason="查处")
    with pytest.raises(refused.AccountUnusable):
        keep(make.item_of(nurse), tree.inspector, late, reason="留用")
    nurse.refresh_from_db()
    assert nurse.state == AccountState.DISABLED


def test_a_confirmed_account_is_never_suspended() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    make.campaign(tree.province)
    keep(make.item_of(nurse), tree.city_inspector)
    services.suspend_overdue(at=midnight(date(2026, 12, 31)))
    nurse.refresh_from_db()
    assert nurse.state == AccountState.ACTIVE


# Ending -----------------------------------------------------------------------------------------


def test_a_round_ends_when_nobody_waits_and_is_called_off_with_a_reason() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    campaign = make.campaign(tree.city)
    with pytest.raises(refused.AccountsStillOpen, match="还有 2 个账号"):
        services.close_campaign(campaign=campaign, by=tree.inspector, at=NEXT_DAY)
    with pytest.raises(refused.ReasonMissing):
        services.cancel_campaign(campaign=campaign, by=tree.inspector, at=NEXT_DAY, reason=" ")
    services.cancel_campaign(campaign=campaign, by=tree.inspector, at=NEXT_DAY, reason="范围选错")
    assert make.item_of(nurse).withdrawn
    with pytest.raises(refused.CampaignNotOpen):
        keep(make.item_of(nurse), tree.city_inspector)
    with pytest.raises(refused.CampaignNotOpen):
        services.close_campaign(campaign=campaign, by=tree.inspector, at=NEXT_DAY)
    # The withdrawn account is free for the next round.
    make.campaign(tree.province)
    assert ReviewItem.objects.filter(account=nurse, withdrawn=False).count() == 1


# The ledger -------------------------------------------------------------------------------------


def test_the_ledger_refuses_update_and_delete() -> None:
    tree = make.tree()
    make.nurse(tree.clinic)
    make.campaign(tree.province)
    with pytest.raises(DatabaseError, match="只能追加"), transaction.atomic():
        ReviewEvent.objects.update(reason="改写")
    with pytest.raises(DatabaseError, match="只能追加"), transaction.atomic():
        ReviewEvent.objects.all().delete()


def test_items_can_be_rebuilt_from_their_events() -> None:
    tree = make.tree()
    nurse, other = make.nurse(tree.clinic), make.nurse(tree.clinic, "未审者")
    make.campaign(tree.province)
    kept = keep(make.item_of(nurse), tree.city_inspector)
    services.suspend_overdue(at=midnight(date(2026, 5, 1)))
    assert services.rebuild() == 0
    ReviewItem.objects.filter(account=other).update(suspended_at=None)
    ReviewItem.objects.filter(pk=kept.pk).update(in_bulk=True)
    assert services.rebuild() == 2
    assert make.item_of(other).suspended_at is not None
    assert services.signature_holds(make.item_of(nurse))


# What the reviewer sees -------------------------------------------------------------------------


def test_the_snapshot_tells_what_is_odd_and_holds_no_numbers() -> None:
    tree = make.tree()
    phone = "16400001234"
    shared = [people.staff(tree.clinic, name, phone=phone) for name in ("甲", "乙")]
    first = make.nurse(tree.clinic, "甲", staff=shared[0])
    make.nurse(tree.clinic, "乙", staff=shared[1])
    shared[0].qualifications.create(
        kind="预防接种资格证", number="A1", valid_until=date(2026, 3, 1)
    )
    people.grant(first, people.role("organisations.grant_any_role", scope="everything"))
    taken = snapshots.take(first, at=MARCH_2)
    assert snapshots.findings(taken) == [
        Finding.QUALIFICATION_EXPIRED,
        Finding.NEVER_SIGNED_IN,
        Finding.WIDE_SCOPE,
        Finding.SHARED_PHONE,
        Finding.PRIVILEGED,
    ]
    assert phone not in str(taken)


def test_a_renewed_certificate_is_no_finding() -> None:
    tree = make.tree()
    staff = people.staff(tree.clinic)
    staff.qualifications.create(kind="预防接种资格证", number="A1", valid_until=date(2026, 3, 1))
    staff.qualifications.create(kind="预防接种资格证", number="A2", valid_until=date(2028, 3, 1))
    nurse = make.nurse(tree.clinic, staff=staff)
    assert Finding.QUALIFICATION_EXPIRED not in snapshots.findings(
        snapshots.take(nurse, at=MARCH_2)
    )


def test_a_grant_to_an_institution_below_is_within_and_beside_is_not() -> None:
    tree = make.tree()
    beside = people.institution("莲湖区疾控", parent=tree.province)
    listed = people.role("organisations.view_account", scope="listed")
    inside = make.nurse(tree.city, "甲")
    outside = make.nurse(tree.city, "乙")
    people.grant(inside, listed, institutions=[tree.clinic])
    people.grant(outside, listed, institutions=[tree.clinic, beside])
    assert Finding.WIDE_SCOPE not in snapshots.findings(snapshots.take(inside, at=MARCH_2))
    assert Finding.WIDE_SCOPE in snapshots.findings(snapshots.take(outside, at=MARCH_2))


def test_the_work_list_holds_what_one_may_decide_and_progress_counts_it() -> None:
    tree = make.tree()
    nurse = make.nurse(tree.clinic)
    campaign = make.campaign(tree.province)
    assert [item.account_id for item in queries.work_list(tree.city_inspector)] == [nurse.pk]
    mine = {item.account_id for item in queries.work_list(tree.inspector)}
    assert mine == {nurse.pk, tree.city_inspector.pk}, "from above; never oneself"
    keep(make.item_of(nurse), tree.city_inspector)
    today = date(2026, 4, 15)
    counts = queries.counts_by_state(campaign.items.all(), today)
    assert counts == {
        State.NORMAL: 0, State.DUE: 0, State.OVERDUE: 2,
        State.CONFIRMED: 1, State.SUSPENDED: 0, State.DISABLED: 0,
    }  # fmt: skip
    lines = {
        line.label: line for line in queries.progress_by_institution(campaign.items.all(), today)
    }
    assert lines["小寨门诊"].percent == 100
    assert lines["小寨门诊"].heat == 0
    assert lines["省疾控"].heat == 4


def test_states_in_the_database_agree_with_the_rule() -> None:
    tree = make.tree()
    nurses = [make.nurse(tree.clinic, f"护士{n}") for n in range(8)]
    make.campaign(tree.province)
    today = date(2026, 4, 15)
    for nurse, offset in zip(nurses, (-31, -30, -1, 0, 1, 30, 31, 400), strict=True):
        ReviewItem.objects.filter(account=nurse).update(due_on=today + timedelta(days=offset))
    keep(make.item_of(nurses[0]), tree.inspector)
    ReviewItem.objects.filter(account=nurses[1]).update(suspended_at=MARCH_2)
    for state in State:
        found = set(ReviewItem.objects.in_state(state, today))
        assert found == {item for item in ReviewItem.objects.all() if item.state_on(today) is state}


def test_campaigns_and_items_end_where_the_scope_ends() -> None:
    tree = make.tree()
    make.nurse(tree.clinic)
    campaign = make.campaign(tree.province)
    stranger = make.reviewer(people.institution("外省疾控"), "外人")
    assert set(ReviewCampaign.objects.visible_to(tree.city_inspector)) == {campaign}
    assert not ReviewCampaign.objects.visible_to(stranger).exists()
    assert not ReviewItem.objects.visible_to(stranger).exists()
    assert not ReviewEvent.objects.visible_to(stranger).exists()
    seen = ReviewItem.objects.visible_to(tree.city_inspector)
    assert tree.inspector.pk not in seen.values_list("account", flat=True)


def test_reminders_group_by_institution_and_due_date() -> None:
    tree = make.tree()
    make.nurse(tree.clinic, "甲")
    make.nurse(tree.clinic, "乙")
    make.campaign(tree.city)
    day = midnight(date(2026, 3, 26))  # six days before the due date
    found = [
        (step.name, institution, len(items))
        for step, institution, _, items in queries.reminders_today(day)
    ]
    assert sorted(found) == sorted(
        [("WEEK_BEFORE", tree.city.pk, 2), ("WEEK_BEFORE", tree.province.pk, 1)]
    )
    assert queries.reviewers_at(tree.clinic.pk, day) == [tree.city_inspector], "the next one above"

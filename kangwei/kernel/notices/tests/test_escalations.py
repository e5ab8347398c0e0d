"""Escalations in the database: told once, claimed, lapsed, handed over, stopped."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from kangwei.kernel.notices.models import Delivery, Escalation, EscalationEvent, Notice
from kangwei.kernel.notices.refusals import (
    AlreadyAcknowledged,
    BadPolicy,
    EscalationEnded,
    PolicyUnusable,
    ReasonMissing,
    UnknownPolicy,
)
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.services import (
    LevelSpec,
    acknowledge_escalation,
    save_policy,
    start_escalation,
    stop_escalation,
    stop_escalations_of,
)
from kangwei.kernel.notices.services.escalating import rebuild, tick
from kangwei.kernel.notices.services.sending import run
from kangwei.kernel.notices.services.working import work
from kangwei.kernel.notices.tests import make
from kangwei.kernel.organisations.models import Institution
from kangwei.kernel.organisations.tests import make as people

pytestmark = pytest.mark.django_db


class Ward:
    """First line, second line and a manager of one hospital, and something on fire there."""

    def __init__(self, **policy: Any) -> None:
        self.clock = make.Clock()
        self.matter = people.institution("省人民医院")
        self.first, self.second, self.manager = (
            people.account(name=name, institution=self.matter) for name in ("张伟", "李敏", "王芳")
        )
        self.policy = make.policy(
            (0, [Target.account(self.first.pk)]),
            (10, [Target.account(self.second.pk)]),
            (20, [Target.account(self.manager.pk)]),
            at=self.clock(),
            **policy,
        )

    def start(self) -> Escalation:
        return start_escalation(
            policy=self.policy,
            subject=self.matter,
            at=self.clock(),
            context={"system": "HIS", "what": "数据库连接数过高"},
            institution_id=self.matter.pk,
        )

    def after(self, minutes: int) -> None:
        self.clock.forward(minutes=minutes)
        tick(now=self.clock)

    def told(self) -> list[str]:
        rows = Delivery.objects.filter(kind="inapp", state="sent").order_by("created_at", "pk")
        return [row.account.name for row in rows.select_related("account") if row.account]


def story(escalation: Escalation) -> list[tuple[str, int]]:
    return [(event.kind, event.level) for event in escalation.events.order_by("pk")]


def test_level_after_level_is_told_at_its_minute() -> None:
    ward = Ward()
    ward.start()
    assert ward.told() == ["张伟"]
    ward.after(9)
    assert ward.told() == ["张伟"]
    ward.after(1)
    ward.after(10)
    assert ward.told() == ["张伟", "李敏", "王芳"]
    ward.after(600)
    assert len(ward.told()) == 3


def test_starting_again_answers_the_running_one() -> None:
    ward = Ward()
    assert ward.start() == ward.start()
    assert ward.told() == ["张伟"]


def test_ticking_twice_at_the_same_moment_tells_once() -> None:
    ward = Ward()
    ward.start()
    ward.after(10)
    tick(now=ward.clock)
    assert ward.told() == ["张伟", "李敏"]


def test_a_claim_holds_two_hours_and_then_the_level_is_told_again() -> None:
    ward = Ward()
    escalation = ward.start()
    ward.after(4)
    acknowledge_escalation(escalation=escalation, by=ward.first, at=ward.clock())
    ward.after(119)
    escalation.refresh_from_db()
    assert (escalation.state, ward.told()) == ("acknowledged", ["张伟"])
    ward.after(1)
    escalation.refresh_from_db()
    assert (escalation.state, ward.told()) == ("running", ["张伟", "张伟"])
    ward.after(5)
    assert len(ward.told()) == 2
    ward.after(1)  # six minutes were left when it was claimed
    assert ward.told() == ["张伟", "张伟", "李敏"]
    assert story(escalation) == [
        ("started", 0), ("told", 1), ("acknowledged", 1), ("lapsed", 1), ("told", 2),
    ]  # fmt: skip


def test_somebody_elses_claim_is_respected_while_it_holds() -> None:
    ward = Ward()
    escalation = ward.start()
    acknowledge_escalation(escalation=escalation, by=ward.first, at=ward.clock(), minutes=30)
    with pytest.raises(AlreadyAcknowledged, match="已由张伟认领"):
        acknowledge_escalation(escalation=escalation, by=ward.second, at=ward.clock())
    ward.after(30)
    taken = acknowledge_escalation(escalation=escalation, by=ward.second, at=ward.clock())
    assert taken.acknowledged_by == ward.second


def test_nobody_may_claim_for_longer_than_the_policy_allows() -> None:
    ward = Ward(acknowledged_for=60)
    claimed = acknowledge_escalation(
        escalation=ward.start(), by=ward.first, at=ward.clock(), minutes=600
    )
    assert claimed.acknowledged_until is not None
    assert (claimed.acknowledged_until - ward.clock()).total_seconds() == 3600


def test_the_stop_is_told_to_whoever_was_told_and_to_nobody_else() -> None:
    ward = Ward()
    escalation = ward.start()
    with pytest.raises(ReasonMissing):
        stop_escalation(escalation=escalation, at=ward.clock(), reason="")
    assert stop_escalations_of(subject=ward.matter, at=ward.clock(), reason="工单已受理") == 1
    stop_escalation(escalation=escalation, at=ward.clock(), reason="再次停止")
    ward.after(60)
    assert ward.told() == ["张伟", "张伟"]
    end = Notice.objects.get(template="notices.escalation_stopped")
    assert "工单已受理" in end.body
    with pytest.raises(EscalationEnded):
        acknowledge_escalation(escalation=escalation, by=ward.first, at=ward.clock())


def test_a_new_escalation_may_start_after_the_stop() -> None:
    ward = Ward()
    first = ward.start()
    stop_escalation(escalation=first, at=ward.clock(), reason="已恢复")
    assert ward.start() != first


def test_a_level_that_cannot_be_reached_hands_over_at_once() -> None:
    clock = make.Clock()
    with make.dead_address() as dead:
        robot = make.channel("dingtalk", dead)
        second = people.account(name="李敏")
        policy = make.policy(
            (0, [Target.robot(robot.pk)]), (30, [Target.account(second.pk)]), at=clock()
        )
        escalation = start_escalation(
            policy=policy, subject=second.institution, at=clock(), context={}
        )
        for seconds in (0, 5, 30, 120):
            clock.forward(seconds=seconds)
            work(now=clock)
    assert story(escalation) == [("started", 0), ("told", 1), ("unreached", 1), ("told", 2)]
    told = Delivery.objects.filter(kind="inapp", account=second)
    assert told.count() == 1


def test_a_level_of_people_without_addresses_hands_over_in_the_same_moment() -> None:
    clock = make.Clock()
    make.channel("sms")
    first, second = people.account(), people.account()
    policy = make.policy(
        (0, [Target.account(first.pk)]), (30, [Target.account(second.pk)]),
        at=clock(), kinds=["sms"],
    )  # fmt: skip
    make.address(second)
    escalation = start_escalation(policy=policy, subject=first.institution, at=clock(), context={})
    assert escalation.level == 2


def test_what_has_not_left_when_it_stops_is_not_sent() -> None:
    clock = make.Clock()
    with make.dead_address() as dead:
        robot = make.channel("dingtalk", dead)
        keeper = people.account()
        policy = make.policy((0, [Target.robot(robot.pk)]), at=clock(), tell_end=False)
        escalation = start_escalation(
            policy=policy, subject=keeper.institution, at=clock(), context={}
        )
        run(now=clock)
        stop_escalation(escalation=escalation, at=clock(), reason="已恢复")
    assert [(d.state, d.why) for d in Delivery.objects.all()] == [("suppressed", "ended")]


def test_the_last_level_is_repeated_more_quietly() -> None:
    ward = Ward(repeat_every=30)
    escalation = ward.start()
    ward.after(20)
    ward.after(30)
    assert story(escalation)[-1] == ("repeated", 3)
    priorities = list(Notice.objects.order_by("at", "pk").values_list("priority", flat=True))
    assert priorities == [3, 3, 3, 2]


def test_a_changed_policy_leaves_running_escalations_alone() -> None:
    ward = Ward()
    escalation = ward.start()
    save_policy(
        policy=ward.policy,
        levels=[LevelSpec(5, [Target.account(ward.manager.pk)])],
        by=None,
        at=ward.clock(),
    )
    ward.after(10)
    assert ward.told() == ["张伟", "李敏"]
    assert (ward.policy.version, escalation.policy_version) == (2, 1)


def test_a_role_without_institution_means_the_matters_own() -> None:
    clock = make.Clock()
    duty = people.role("notices.view_escalation")
    own, other = people.account(role=duty), people.account(role=duty)
    policy = make.policy((0, [Target("role", role=duty.code)]), at=clock())
    start_escalation(policy=policy, subject=own.institution, at=clock(), context={},
                     institution_id=own.institution_id)  # fmt: skip
    assert [row.account for row in Delivery.objects.all()] == [own]
    assert other.institution_id != own.institution_id


@pytest.mark.parametrize(
    ("levels", "told"),
    [
        ([], "1 到 9 个级别"),
        ([(10, 1), (10, 1)], "应晚于上一级"),
        ([(0, 0)], "没有通知对象"),
    ],
)
def test_half_a_ladder_is_refused(levels: list[tuple[int, int]], told: str) -> None:
    ward = Ward()
    specs = [LevelSpec(m, [Target.account(ward.first.pk)] * n) for m, n in levels]
    with pytest.raises(BadPolicy, match=told):
        save_policy(policy=ward.policy, levels=specs, by=None, at=ward.clock())


def test_a_target_that_does_not_exist_is_refused_and_nothing_changes() -> None:
    ward = Ward()
    with pytest.raises(BadPolicy, match="通知对象不存在"), transaction.atomic():
        save_policy(
            policy=ward.policy, levels=[LevelSpec(0, [Target.duty("none")])], by=None,
            at=ward.clock(),
        )  # fmt: skip
    assert ward.policy.levels.count() == 3


def test_unknown_and_disabled_policies_are_named() -> None:
    ward = Ward()
    matter = Institution.objects.get(pk=ward.matter.pk)
    with pytest.raises(UnknownPolicy, match="nothing"):
        start_escalation(policy="nothing", subject=matter, at=ward.clock(), context={})
    ward.policy.enabled = False
    ward.policy.save()
    with pytest.raises(PolicyUnusable):
        start_escalation(policy=ward.policy.code, subject=matter, at=ward.clock(), context={})


def test_rebuilding_from_the_events_gives_the_kept_columns() -> None:
    ward = Ward(repeat_every=30)
    escalation = ward.start()
    ward.after(12)
    acknowledge_escalation(escalation=escalation, by=ward.second, at=ward.clock())
    escalation.refresh_from_db()
    names = ("level", "acknowledged_at", "acknowledged_by_id", "acknowledged_until", "next_at")
    kept = [getattr(escalation, name) for name in names]
    Escalation.objects.filter(pk=escalation.pk).update(
        level=0, acknowledged_at=None, acknowledged_by=None, acknowledged_until=None, next_at=None
    )
    rebuilt = rebuild(escalation=escalation)
    assert [getattr(rebuilt, name) for name in names] == kept
    assert kept[0] == 2


def test_events_are_written_once() -> None:
    ward = Ward()
    ward.start()
    for act in (
        EscalationEvent.objects.all().delete,
        lambda: EscalationEvent.objects.update(level=9),
    ):
        with pytest.raises(Exception, match="is a ledger"), transaction.atomic():
            act()


@pytest.mark.django_db(transaction=True)
def test_two_workers_tell_each_level_once() -> None:
    ward = Ward()
    escalation = ward.start()
    ward.clock.forward(minutes=25)
    trouble: list[BaseException] = []

    def turn() -> None:
        try:
            for _ in range(5):
                tick(now=ward.clock)
        except BaseException as error:
            trouble.append(error)
        finally:
            connection.close()

    workers = [threading.Thread(target=turn) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert trouble == []
    assert story(escalation) == [("started", 0), ("told", 1), ("told", 2), ("told", 3)]
    assert sorted(ward.told()) == sorted(["张伟", "李敏", "王芳"])

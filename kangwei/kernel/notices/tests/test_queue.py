"""The queue against stand-ins: retries, fallback, budget, kill, two workers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import time, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F

from kangwei.kernel.audit import queries as audit_queries
from kangwei.kernel.clock import SHANGHAI
from kangwei.kernel.notices import queries, senders
from kangwei.kernel.notices.models import (
    Attempt,
    Channel,
    ChannelHealth,
    ChannelPreference,
    Delivery,
    Notice,
    QuietHours,
)
from kangwei.kernel.notices.refusals import CannotResend, ReasonMissing
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.services import resend, sending
from kangwei.kernel.notices.services.sending import claim, probe, run
from kangwei.kernel.notices.tests import make
from kangwei.kernel.organisations.tests import make as people
from kangwei.standins.base import Server
from kangwei.standins.mail import Mail, playing_mail
from kangwei.standins.robots import DingTalk
from kangwei.standins.sms import Sms

pytestmark = pytest.mark.django_db


class Outside:
    """The outside world of one test: two robots and an SMS provider."""

    def __init__(self) -> None:
        self.clock = make.Clock()
        self.first = DingTalk(secret="SEC-kangwei-demo", clock=self.clock)
        self.second = DingTalk(secret="SEC-kangwei-demo", clock=self.clock)
        self.sms = Sms(clock=self.clock)
        self.server = Server({"/first": self.first, "/second": self.second, "/sms": self.sms})

    def robot(self, **fields: Any) -> Channel:
        return make.channel("dingtalk", self.server.url("/first"), **fields)

    def spare(self, **fields: Any) -> Channel:
        return make.channel("dingtalk", self.server.url("/second"), **fields)

    def texts(self, **fields: Any) -> Channel:
        return make.channel("sms", self.server.url("/sms"), **fields)

    def run(self) -> int:
        return run(now=self.clock)


@pytest.fixture
def outside() -> Iterator[Outside]:
    world = Outside()
    world.server.start()
    yield world
    world.server.stop()


def states(notice: Notice, **only: Any) -> list[tuple[str, str, str]]:
    first = F("instead_of").asc(nulls_first=True)
    rows = notice.deliveries.filter(**only).order_by("created_at", first, "kind", "channel")
    return [(row.kind, row.state, row.why) for row in rows]


def one(notice: Notice, **only: Any) -> Delivery:
    return Delivery.objects.get(notice=notice, **only)


# --- telling ---------------------------------------------------------------------------------


def test_the_same_key_twice_is_one_notice_and_one_message(outside: Outside) -> None:
    nurse = people.account()
    for _ in range(2):
        make.notice(Target.account(nurse.pk), at=outside.clock(), key="ticket-1-assigned")
    assert Notice.objects.count() == 1
    assert queries.unread_count(nurse) == 1


def test_somebody_named_by_three_targets_gets_one_message(outside: Outside) -> None:
    nurse = people.account(role=(duty := people.role("notices.view_delivery")))
    roster = make.roster(nurse)
    notice = make.notice(
        Target.account(nurse.pk),
        Target.role_at(duty.code, nurse.institution_id),
        Target.duty(roster.code),
        at=outside.clock(),
    )
    assert states(notice) == [("inapp", "sent", "")]


def test_a_role_reaches_its_holders_at_that_institution_only(outside: Outside) -> None:
    duty = people.role("notices.view_delivery")
    nurse, stranger = people.account(role=duty), people.account(role=duty)
    notice = make.notice(Target.role_at(duty.code, nurse.institution_id), at=outside.clock())
    assert [row.account for row in notice.deliveries.all()] == [nurse]
    assert stranger.institution != nurse.institution


def test_a_person_without_valid_address_is_listed_with_the_reason(outside: Outside) -> None:
    outside.texts()
    nurse = people.account(name="李敏")
    make.address(nurse, verified_at=None)
    notice = make.notice(Target.account(nurse.pk, via=("sms",)), at=outside.clock())
    assert states(notice) == [("inapp", "sent", ""), ("sms", "suppressed", "no_address")]
    assert one(notice, kind="sms").reason == ("李敏没有已验证的短信地址，请本人或管理员登记。")


def test_nobody_on_duty_is_told_and_not_passed_over(outside: Outside) -> None:
    notice = make.notice(Target.duty("missing"), at=outside.clock())
    assert states(notice) == [("inapp", "suppressed", "nobody")]


def test_a_disabled_account_is_not_told(outside: Outside) -> None:
    leaver = people.account(state="disabled")
    notice = make.notice(Target.account(leaver.pk, via=("sms",)), at=outside.clock())
    assert states(notice) == [("inapp", "suppressed", "disabled")]


def test_personal_data_is_masked_in_the_message_and_hidden_in_sms(outside: Outside) -> None:
    notice = make.notice(at=outside.clock())
    assert "139****5678" in notice.body
    assert "13912345678" not in str(notice.context) + notice.body + notice.short
    assert not any(digit in notice.short for digit in "139")


def test_preferences_add_kinds_by_priority(outside: Outside) -> None:
    outside.texts()
    nurse = people.account()
    make.address(nurse)
    ChannelPreference.objects.create(account=nurse, priority=1, kinds=["sms"])
    ordinary = make.notice(Target.account(nurse.pk), at=outside.clock())
    hint = make.notice(Target.account(nurse.pk), at=outside.clock(), priority="low")
    assert [kind for kind, _, _ in states(ordinary)] == ["inapp", "sms"]
    assert [kind for kind, _, _ in states(hint)] == ["inapp"]


def test_an_urgent_notice_uses_sms_unasked(outside: Outside) -> None:
    outside.texts()
    nurse = people.account()
    make.address(nurse)
    make.notice(Target.account(nurse.pk), at=outside.clock(), priority="urgent")
    outside.run()
    assert [message.to for message in outside.sms.received] == ["13800001111"]


def test_the_nearest_channel_above_is_used(outside: Outside) -> None:
    county = people.institution()
    clinic = people.institution(parent=county)
    platform, own = outside.texts(), outside.texts(institution=county)
    foreign = outside.texts(institution=people.institution())
    assert queries.channel_for("sms", clinic.pk) == own
    assert queries.channel_for("sms", people.institution().pk) == platform
    ChannelHealth.objects.filter(channel=own).update(failing_since=outside.clock())
    assert queries.channel_for("sms", clinic.pk) == platform
    assert foreign not in (own, platform)


def test_quiet_hours_hold_ordinary_messages_only(outside: Outside) -> None:
    outside.texts()
    nurse = people.account()
    make.address(nurse)
    local = outside.clock().astimezone(SHANGHAI)
    QuietHours.objects.create(
        account=nurse,
        start=(local - timedelta(hours=1)).time().replace(second=0, microsecond=0),
        end=(local + timedelta(hours=1)).time().replace(second=0, microsecond=0),
    )
    held = make.notice(Target.account(nurse.pk, via=("sms",)), at=outside.clock())
    loud = make.notice(
        Target.account(nurse.pk, via=("sms",)), at=outside.clock(), priority="urgent"
    )
    outside.run()
    assert (one(held, kind="sms").state, one(held, kind="sms").why) == ("due", "quiet")
    assert one(loud, kind="sms").state == "sent"
    outside.clock.forward(hours=1, minutes=1)
    outside.run()
    assert one(held, kind="sms").state == "sent"
    assert not one(held, kind="sms").late


def test_quiet_hours_may_drop_messages(outside: Outside) -> None:
    outside.texts()
    nurse = people.account()
    make.address(nurse)
    QuietHours.objects.create(
        account=nurse, start=time(0, 0), end=time(23, 59, 59), action="suppress"
    )
    notice = make.notice(Target.account(nurse.pk, via=("sms",)), at=outside.clock())
    assert states(notice, kind="sms") == [("sms", "suppressed", "quiet")]


# --- sending ---------------------------------------------------------------------------------


def test_a_message_goes_out_with_its_attempt_in_the_ledger(outside: Outside) -> None:
    robot = outside.robot()
    nurse = people.account(name="张伟")
    make.address(nurse)
    notice = make.notice(
        Target.robot(robot.pk, mention=(nurse.pk,)), at=outside.clock(), what="冷库断电"
    )
    outside.run()
    delivery = one(notice)
    assert (delivery.state, delivery.late, delivery.attempts_made) == ("sent", False, 1)
    attempt = Attempt.objects.get(delivery=delivery)
    assert (attempt.verdict, attempt.response_code) == ("accepted", "200")
    assert "冷库断电" in attempt.request
    assert "SEC-kangwei-demo" not in attempt.request
    assert outside.first.received[0].body["at"]["atMobiles"] == ["13800001111"]


def test_retries_after_five_and_thirty_seconds_and_two_minutes_then_the_fallback(
    outside: Outside,
) -> None:
    robot = outside.robot(fallback=outside.spare(name="备用群"))
    outside.first.behave(status=503)
    notice = make.notice(Target.robot(robot.pk), at=outside.clock())
    outside.run()
    for seconds in (5, 30, 120):
        outside.clock.forward(seconds=seconds - 1)
        assert outside.run() == 0
        outside.clock.forward(seconds=1)
        assert outside.run() >= 1
    assert len(outside.first.requests) == 4
    first, second = notice.deliveries.order_by("created_at")
    assert (first.state, first.why) == ("failed", "exhausted")
    assert first.reason == "服务异常（HTTP 503）。已改走备用渠道“备用群”。"
    assert (second.state, second.instead_of) == ("sent", first)
    assert second.late  # 155 seconds after it was due
    assert len(outside.second.received) == 1


def test_a_wrong_signature_takes_the_fallback_at_once(outside: Outside) -> None:
    robot = outside.robot(
        fallback=outside.spare(), secrets={"token": "token", "secret": "wrong-secret"}
    )
    notice = make.notice(Target.robot(robot.pk), at=outside.clock())
    outside.run()
    assert [row[1:] for row in states(notice)] == [("failed", "refused"), ("sent", "")]


def test_without_fallback_the_failure_says_what_to_do(outside: Outside) -> None:
    robot = outside.robot(secrets={"token": "token", "secret": "wrong-secret"})
    notice = make.notice(Target.robot(robot.pk), at=outside.clock())
    outside.run()
    assert one(notice).state == "failed"
    assert "310000" in one(notice).reason
    assert "加签密钥" in one(notice).reason


def test_fallbacks_in_a_circle_end(outside: Outside) -> None:
    with make.dead_address() as dead:
        one_way = make.channel("dingtalk", dead)
        other = make.channel("dingtalk", dead, fallback=one_way)
        one_way.fallback = other
        one_way.save()
        notice = make.notice(Target.robot(one_way.pk), at=outside.clock())
        for _ in range(12):
            outside.run()
            outside.clock.forward(minutes=2)
    assert [row[1] for row in states(notice)] == ["failed", "failed"]


def test_a_robots_fallback_by_sms_reaches_the_people_called_by_name(outside: Outside) -> None:
    robot = outside.robot(fallback=outside.texts())
    nurse, keeper = people.account(), people.account()
    make.address(nurse)
    make.address(keeper, value="13900002222")
    robot.keepers.add(keeper)
    outside.first.behave(refuse=310000)
    make.notice(Target.robot(robot.pk, mention=(nurse.pk,)), at=outside.clock())
    make.notice(Target.robot(robot.pk), at=outside.clock())
    outside.run()
    assert sorted(message.to for message in outside.sms.received) == [
        "13800001111", "13900002222",
    ]  # fmt: skip


# --- budget ----------------------------------------------------------------------------------


def test_forty_notices_at_once_become_twelve_calls_and_none_is_lost(outside: Outside) -> None:
    robot = outside.robot()
    for n in range(39):
        make.notice(Target.robot(robot.pk), at=outside.clock(), what=f"通知{n}")
    make.notice(Target.robot(robot.pk), at=outside.clock(), what="断电", priority="urgent")
    outside.run()
    assert len(outside.first.received) == 12  # three of the fifteen are kept for urgent ones
    assert "断电" in outside.first.received[0].text
    merged = outside.first.received[-1].text
    assert merged.startswith("### 合并通知 29 条")
    found = {
        state: Delivery.objects.filter(state=state).count() for state in ("sent", "merged", "due")
    }
    assert found == {"sent": 12, "merged": 28, "due": 0}
    part = Delivery.objects.filter(state="merged").first()
    assert part is not None
    assert part.merged_into is not None
    assert part.why == "overflow"


def test_ten_minutes_of_flood_never_mute_the_robot(outside: Outside) -> None:
    """The stand-in counts like DingTalk: the twenty-first message of a minute would mute it."""
    robot = outside.robot()
    for second in range(0, 300, 4):
        for n in range(2):
            make.notice(
                Target.robot(robot.pk), at=outside.clock(), what=f"{second}-{n}", priority=n * 3
            )
        outside.run()
        outside.clock.forward(seconds=4)
    outside.clock.forward(minutes=1)
    outside.run()
    assert not Attempt.objects.filter(verdict="throttled").exists()
    assert not Delivery.objects.exclude(state__in=["sent", "merged"]).exists()


def test_a_muted_robot_sends_urgent_ones_another_way_and_the_rest_later(outside: Outside) -> None:
    robot = outside.robot(fallback=outside.spare())
    outside.first.behave(refuse=130101, times=1)
    first = make.notice(Target.robot(robot.pk), at=outside.clock(), what="第一条")
    outside.run()
    assert one(first).state == "due"
    urgent = make.notice(Target.robot(robot.pk), at=outside.clock(), priority="urgent")
    ordinary = make.notice(Target.robot(robot.pk), at=outside.clock())
    outside.run()
    assert [row[1:] for row in states(urgent)] == [("failed", "diverted"), ("sent", "")]
    assert one(ordinary).state == "due"
    assert len(outside.second.received) == 1
    outside.clock.forward(minutes=9, seconds=59)
    assert outside.run() == 0
    outside.clock.forward(seconds=1)
    outside.run()
    assert (one(first).state, one(ordinary).state) == ("sent", "sent")
    assert one(ordinary).late


# --- health ----------------------------------------------------------------------------------


def test_five_failures_mark_a_channel_and_another_one_says_so(outside: Outside) -> None:
    keeper = people.account()
    make.address(keeper)
    outside.texts()
    spare = outside.spare(name="备用群")
    robot = outside.robot(name="主群", fallback=spare)
    robot.keepers.add(keeper)
    outside.first.behave(status=503)
    for n in range(5):
        make.notice(Target.robot(robot.pk), at=outside.clock(), what=f"{n}")
    outside.run()
    health = ChannelHealth.objects.get(channel=robot)
    assert (health.failures, health.failing_since) == (5, outside.clock())
    outside.run()
    assert "通知渠道故障：主群" in outside.second.received[0].text
    assert [message.to for message in outside.sms.received] == ["13800001111"]
    alarm = Notice.objects.get(template="notices.channel_failing")
    assert not alarm.deliveries.filter(channel=robot).exists()
    assert "通知渠道故障" in [entry.title for entry in audit_queries.history(robot)]


def test_a_failing_channel_is_passed_over_until_a_probe_finds_it_well(outside: Outside) -> None:
    robot = outside.robot(fallback=outside.spare())
    ChannelHealth.objects.filter(channel=robot).update(failures=5, failing_since=outside.clock())
    diverted = make.notice(Target.robot(robot.pk), at=outside.clock())
    outside.run()
    assert [row[1:] for row in states(diverted)] == [("failed", "diverted"), ("sent", "")]
    outside.first.behave(status=503, times=1)
    assert probe(now=outside.clock) == 0
    assert probe(now=outside.clock) == 1
    assert ChannelHealth.objects.get(channel=robot).failing_since is None
    assert Notice.objects.filter(template="notices.channel_recovered").count() == 1
    direct = make.notice(Target.robot(robot.pk), at=outside.clock())
    outside.run()
    assert [row[1:] for row in states(direct)] == [("sent", "")]


def test_a_mail_that_may_have_arrived_is_repeated_under_the_same_id(outside: Outside) -> None:
    nurse = people.account()
    make.address(nurse, "email", "nurse@example.cn")
    with playing_mail(standin := Mail()) as address:
        make.channel("email", address)
        make.notice(Target.account(nurse.pk, via=("email",)), at=outside.clock())
        standin.behave(hang_up=True)
        outside.run()
        standin.behave()
        outside.clock.forward(seconds=5)
        outside.run()
    ids = {message["Message-ID"] for message in standin.messages}
    assert (len(standin.messages), len(ids)) == (2, 1)


# --- workers ---------------------------------------------------------------------------------


def test_a_worker_killed_after_sending_is_followed_by_the_same_delivery_id(
    outside: Outside,
) -> None:
    robot = outside.robot()
    for n in range(20):
        make.notice(Target.robot(robot.pk), at=outside.clock(), what=f"{n}")
    calls = claim(at=outside.clock())
    for call in calls:  # sent, and the worker dies before it can record anything
        senders.send(call.kind, call.line, "", call.message, outside.clock())
    assert outside.run() > 0  # a second worker sends what was not claimed, and only that
    outside.clock.forward(minutes=2)
    outside.run()
    sent = [message.body for message in outside.first.received]
    repeated = [body["msgUuid"] for body in sent[: len(calls)]]
    assert set(repeated) <= {body["msgUuid"] for body in sent[len(calls) :]}
    texts = {body["msgUuid"]: body["markdown"]["text"] for body in sent}
    assert all(texts[body["msgUuid"]] == body["markdown"]["text"] for body in sent)
    assert not Delivery.objects.exclude(state__in=["sent", "merged"]).exists()


def test_a_slow_workers_late_record_does_not_undo_what_another_did(outside: Outside) -> None:
    robot = outside.robot()
    notice = make.notice(Target.robot(robot.pk), at=outside.clock())
    (slow,) = claim(at=outside.clock())
    outcome = senders.send(slow.kind, slow.line, "", slow.message, outside.clock())
    outside.clock.forward(minutes=2)
    outside.run()
    assert one(notice).state == "sent"
    sent_at = one(notice).sent_at
    sending.record(slow, outcome, at=outside.clock.forward(seconds=1))
    assert (one(notice).state, one(notice).sent_at) == ("sent", sent_at)
    assert one(notice).attempts_made == 2


@pytest.mark.django_db(transaction=True)
def test_two_workers_send_everything_once(outside: Outside) -> None:
    texts = outside.texts(per_minute=600)
    for n in range(60):
        make.notice(Target.at_address("sms", f"138000{n:05d}"), at=outside.clock(), what=f"{n}")
    trouble: list[BaseException] = []

    def work() -> None:
        try:
            run(now=outside.clock)
        except BaseException as error:
            trouble.append(error)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    run(now=outside.clock)  # what one worker left because the other held the channel
    assert trouble == []
    assert sorted(message.to for message in outside.sms.received) == [
        f"138000{n:05d}" for n in range(60)
    ]
    assert Attempt.objects.filter(channel=texts).count() == 60


# --- ledgers, resending, figures -------------------------------------------------------------


def test_the_ledgers_refuse_change_and_deletion(outside: Outside) -> None:
    robot = outside.robot()
    make.notice(Target.robot(robot.pk), at=outside.clock())
    outside.run()
    for act in (
        lambda: Attempt.objects.update(verdict="refused"),
        lambda: Attempt.objects.all().delete(),
        lambda: Notice.objects.update(title="x"),
    ):
        with pytest.raises(Exception, match="is a ledger"), transaction.atomic():
            act()


def test_the_database_refuses_a_second_row_for_the_same_way(outside: Outside) -> None:
    robot = outside.robot()
    notice = make.notice(Target.robot(robot.pk), at=outside.clock())
    twin = one(notice)
    twin.pk = None
    twin._state.adding = True
    with pytest.raises(IntegrityError, match="notices_delivery_once"), transaction.atomic():
        twin.save(force_insert=True)


def test_resending_needs_a_reason_and_uses_the_present_address(outside: Outside) -> None:
    outside.texts()
    nurse, lead = people.account(name="李敏"), people.account(right="notices.resend_delivery")
    old = make.address(nurse)
    outside.sms.dead.add("13800001111")
    notice = make.notice(Target.account(nurse.pk, via=("sms",)), at=outside.clock())
    outside.run()
    failed = one(notice, kind="sms")
    assert failed.state == "failed"
    with pytest.raises(ReasonMissing):
        resend(delivery=failed, by=lead, at=outside.clock(), reason=" ")
    old.delete()
    with pytest.raises(CannotResend, match="李敏没有已验证的短信地址"):
        resend(delivery=failed, by=lead, at=outside.clock(), reason="号码已更正")
    make.address(nurse, value="13900002222")
    again = resend(delivery=failed, by=lead, at=outside.clock(), reason="号码已更正")
    outside.run()
    again.refresh_from_db()
    assert (again.state, again.instead_of, again.round) == ("sent", failed, 1)
    assert outside.sms.received[-1].to == "13900002222"


def test_figures_add_up_and_each_leads_back_to_its_rows(outside: Outside) -> None:
    outside.texts()
    robot = outside.robot(fallback=outside.spare())
    nurse, silent = people.account(), people.account()
    make.address(nurse)
    begun = outside.clock()
    make.notice(Target.account(nurse.pk, via=("sms",)), at=begun)
    make.notice(Target.account(silent.pk, via=("sms",)), at=begun)
    outside.first.behave(refuse=310000, times=1)
    make.notice(Target.robot(robot.pk), at=begun)
    outside.run()
    outside.clock.forward(minutes=3)
    outside.first.behave(status=503)
    make.notice(Target.robot(robot.pk), at=begun + timedelta(seconds=1))
    at = outside.clock()
    figures = queries.delivery_figures(begun, begun + timedelta(hours=1), at=at)
    assert (figures.due, figures.sent, figures.failed) == (7, 4, 1)
    assert (figures.suppressed, figures.no_address, figures.replaced) == (1, 1, 1)
    assert (figures.waiting, figures.late, figures.merged) == (1, 1, 0)
    assert figures.rate == pytest.approx(4 / 5)
    rows = queries.in_period(begun, begun + timedelta(hours=1))
    for name in queries.FIGURE_TITLES:
        counted = rows.filter(queries.figure_condition(name, at)).distinct().count()
        assert counted == getattr(figures, name), name
    by_kind = queries.figures_by("kind", begun, begun + timedelta(hours=1), at=at)
    assert {kind: found.due for kind, found in by_kind.items()} == {
        "inapp": 2, "sms": 2, "dingtalk": 3,
    }  # fmt: skip


def test_figures_stay_within_the_scope(outside: Outside) -> None:
    mine, foreign = people.institution(), people.institution()
    reader = people.account(institution=mine, right="notices.view_delivery")
    make.notice(Target.account(reader.pk), at=outside.clock())
    make.notice(Target.account(people.account(institution=foreign).pk), at=outside.clock())
    scope = reader.scope("notices.view_delivery")
    end = outside.clock() + timedelta(seconds=1)
    assert queries.delivery_figures(outside.clock(), end, scope).due == 1
    assert queries.delivery_figures(outside.clock(), end).due == 2
    assert Delivery.objects.visible_to(reader).count() == 1


def test_the_queue_tells_how_it_is_doing(outside: Outside) -> None:
    robot = outside.robot(name="主群")
    make.notice(Target.robot(robot.pk), at=outside.clock())
    state = queries.queue_state(outside.clock())
    assert (state.waiting, state.oldest_due) == (1, outside.clock())
    ChannelHealth.objects.filter(channel=robot).update(
        failing_since=outside.clock(), muted_until=outside.clock() + timedelta(minutes=1)
    )
    state = queries.queue_state(outside.clock())
    assert (state.failing, state.muted) == (("主群",), ("主群",))

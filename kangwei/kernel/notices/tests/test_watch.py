"""Who watches the watcher: heartbeat, the morning message, the worker's turn, the chapter."""

from __future__ import annotations

import random
from datetime import datetime

import pytest
from django.test import override_settings

from kangwei.kernel import clock
from kangwei.kernel.notices import demonstration, queries
from kangwei.kernel.notices.models import (
    Attempt,
    Channel,
    Delivery,
    DutyRoster,
    Escalation,
    Notice,
    Watch,
)
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.services import save_watch, working
from kangwei.kernel.notices.tests import make
from kangwei.kernel.organisations.tests import make as people
from kangwei.standins.__main__ import Demonstration
from kangwei.standins.base import Server
from kangwei.standins.mail import Mail, MailServer
from kangwei.standins.robots import DingTalk
from kangwei.standins.webhook import Heartbeat

pytestmark = pytest.mark.django_db
MORNING = datetime(2026, 11, 20, 8, 30, tzinfo=clock.SHANGHAI)


def watching(url: str, *channels: Channel) -> None:
    save_watch(heartbeat_url=url, all_quiet=True, channels=channels, by=None, at=clock.now())


def test_each_minute_the_outside_watcher_is_called() -> None:
    server = Server({"/beat": (standin := Heartbeat())})
    server.start()
    try:
        watching(server.url("/beat/secret-77"))
        working.minute(now=make.Clock())
    finally:
        server.stop()
    watch = Watch.objects.get()
    assert [item.text for item in standin.received] == ["/secret-77"]
    assert watch.heartbeat_ok


def test_a_heartbeat_that_does_not_arrive_is_noted_without_its_address() -> None:
    with make.dead_address() as dead:
        watching(f"{dead}/secret-77")
        summary = working.minute(now=make.Clock())
    watch = Watch.objects.get()
    assert not watch.heartbeat_ok
    assert "心跳未送达" in summary
    assert "secret-77" not in summary + watch.heartbeat_note


def test_the_morning_message_tells_yesterdays_figures_once() -> None:
    keeper = people.account(right="notices.manage_watch", scope="everything")
    robot = make.channel("dingtalk")
    watching("", robot)
    yesterday = datetime(2026, 11, 19, 15, 0, tzinfo=clock.SHANGHAI)
    make.notice(Target.account(keeper.pk), at=yesterday)
    assert "一切正常" in working.all_quiet(at=MORNING)
    working.all_quiet(at=MORNING)
    told = Notice.objects.get(template="notices.all_quiet")
    assert told.title == "康维平安消息 2026-11-19：一切正常"
    assert "应发 1 条，送达 1 条" in told.body
    assert sorted(row.kind for row in told.deliveries.all()) == ["dingtalk", "inapp"]


def test_the_morning_message_does_not_call_a_bad_night_quiet() -> None:
    robot = make.channel("dingtalk", name="运维群")
    watching("", robot)
    robot.health.failing_since = MORNING
    robot.health.save()
    working.all_quiet(at=MORNING)
    told = Notice.objects.get(template="notices.all_quiet")
    assert "有待处理事项" in told.title
    assert "故障渠道：运维群" in told.body


def test_one_turn_of_the_worker_tells_sends_and_hands_over() -> None:
    server = Server({"/ding": (standin := DingTalk(secret="SEC-kangwei-demo"))})
    server.start()
    try:
        robot = make.channel("dingtalk", server.url("/ding"))
        moments = make.Clock()
        make.notice(Target.robot(robot.pk), at=moments())
        summary = working.work(now=moments)
    finally:
        server.stop()
    assert summary == "发送 1 次，升级 0 项。"
    assert len(standin.received) == 1


def test_the_demonstration_speaks_to_the_stand_ins_and_is_told_once() -> None:
    place = people.institution("省疾控中心")
    for name in ("张伟", "李敏", "王芳", "刘洋"):
        people.account(name=name, institution=place)
    mail = Mail()
    stage, post = Demonstration(mail, 0), None
    stage.start()
    try:
        post = MailServer(mail, stage.port + 1)
        post.start()
        with override_settings(STANDINS_PORT=stage.port):
            for _ in range(2):
                demonstration.tell(random.Random(7), clock.now(), lambda done, total, note="": None)
            working.work(now=clock.now)
    finally:
        stage.stop()
        if post is not None:
            post.stop()
    assert Channel.objects.count() == 8
    assert DutyRoster.objects.count() == 1
    assert Escalation.objects.filter(stopped_at=None).count() == 1
    assert Escalation.objects.exclude(stopped_at=None).count() == 1
    assert {row.verdict for row in Attempt.objects.all()} == {"accepted"}
    assert not Delivery.objects.filter(state="failed").exists()
    assert queries.queue_state(clock.now()).failing == ()

    # Started again on another port, the same data speaks to the stand-ins of that port.
    with override_settings(STANDINS_PORT=19_000):
        demonstration.follow_stand_ins(clock.now())
    addresses = dict(Channel.objects.values_list("kind", "address"))
    assert addresses["email"] == "127.0.0.1:19001"
    assert addresses["sms"] == "http://127.0.0.1:19000/sms"
    assert Watch.objects.get().heartbeat_url == "http://127.0.0.1:19000/heartbeat/ping"

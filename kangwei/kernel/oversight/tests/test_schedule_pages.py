"""Schedules and runs as an administrator meets them: pages, buttons, and the alarm."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from kangwei.kernel import clock
from kangwei.kernel.jobs import services
from kangwei.kernel.jobs.models import KnownSchedule, Run, SchedulePause, ScheduleRun
from kangwei.kernel.notices.models import Notice
from kangwei.kernel.organisations.tests import make as people
from kangwei.kernel.oversight import schedules
from kangwei.kernel.oversight.tests import make

pytestmark = pytest.mark.django_db
TIDY = "/oversight/schedules/jobs.tidy/"
KEEPER = ["jobs.view_schedule", "jobs.manage_schedule"]


@pytest.fixture(autouse=True)
def _known() -> None:
    services.note_schedules(at=clock.now())


@pytest.fixture
def keeper() -> Client:
    return people.client(people.account(right=KEEPER))


def press(browser: Client, button: str, **fields: str) -> str:
    """The page after a button of the schedule's page was pressed."""
    came_from = {"referer": f"http://testserver{TIDY}"}
    return text(browser.post(f"{TIDY}{button}/", fields, follow=True, headers=came_from))


def text(answer: Any) -> str:
    return str(answer.content.decode())


def test_the_list_says_the_period_in_words_and_offers_to_run(keeper: Client) -> None:
    shown = text(keeper.get("/oversight/schedules/"))
    assert "清理已结束的后台任务" in shown
    assert "每天 03:20" in shown
    assert "立即执行" in shown


def test_running_by_hand_leaves_a_line_with_the_person(keeper: Client) -> None:
    shown = press(keeper, "run-now")
    assert "已排队执行" in shown
    assert "手工" in shown
    assert ScheduleRun.objects.get(schedule="jobs.tidy").how == "by_hand"
    assert make.journal(act="jobs.schedule.run_by_hand").count() == 1
    assert "已有一次执行在排队" in press(keeper, "run-now")


def test_a_pause_needs_a_reason_and_ends_by_resuming(keeper: Client) -> None:
    assert "请填写暂停的原因" in press(keeper, "pause", reason=" ")
    shown = press(keeper, "pause", reason="机房检修")
    assert "机房检修" in shown
    assert "恢复前不再按时执行" in shown
    SchedulePause.objects.update(from_at=clock.now() - timedelta(hours=1))
    assert "已恢复" in press(keeper, "resume")


def test_whoever_may_only_look_has_no_buttons_and_others_nothing() -> None:
    auditor = people.client(people.account(right="jobs.view_schedule"))
    assert "立即执行" not in text(auditor.get("/oversight/schedules/"))
    assert auditor.post(f"{TIDY}run-now/").status_code == 403
    assert auditor.get("/oversight/schedules/none/").status_code == 404
    assert people.client(people.account()).get("/oversight/schedules/").status_code == 403


def test_everybody_sees_and_cancels_the_own_runs_only() -> None:
    nurse = people.account(name="王护士")
    run = Run.objects.create(kind="test", title="导出清单", owner=nurse, created_at=clock.now())
    assert "导出清单" in text(people.client(nurse).get("/oversight/runs/"))
    stranger = people.client(people.account())
    assert "导出清单" not in text(stranger.get("/oversight/runs/"))
    assert stranger.post(f"/oversight/runs/{run.pk}/cancel/").status_code == 404
    answer = people.client(nurse).post(f"/oversight/runs/{run.pk}/cancel/", follow=True)
    assert "“导出清单”已取消" in text(answer)


# The alarm (定时任务监视)


def failed(at: datetime) -> None:
    ScheduleRun.objects.create(
        schedule_id="jobs.tidy", due_at=at, how="timed", recorded_at=at,
        outcome="failed", started_at=at, finished_at=at, error="磁盘已满",
    )  # fmt: skip


def alarms() -> list[tuple[str, str]]:
    rows = Notice.objects.filter(template="oversight.schedule_faults")
    return list(rows.values_list("title", "body"))


def test_a_failure_is_told_once_to_those_who_can_mend_it() -> None:
    at = clock.now()
    people.account(right=KEEPER)
    failed(at - timedelta(minutes=3))
    assert schedules.watch_schedules.work(at) == "1 个定时任务异常，已通知 1 人。"
    [(title, body)] = alarms()
    assert title == "1 个定时任务错过或失败"
    assert "磁盘已满" in body
    schedules.watch_schedules.work(at)
    assert len(alarms()) == 1


def test_a_missed_night_is_told_and_not_again_after_the_next_look() -> None:
    people.account(right=KEEPER)
    # At noon: ten minutes later no further night has been missed.
    at = clock.local(clock.now()).replace(hour=12, minute=2)
    KnownSchedule.objects.exclude(pk="jobs.tidy").update(retired_at=at)
    KnownSchedule.objects.filter(pk="jobs.tidy").update(in_force_since=at - timedelta(days=3))
    looked = at - timedelta(days=2)
    ScheduleRun.objects.create(
        schedule_id=schedules.WATCH, due_at=looked, how="timed", recorded_at=looked,
        outcome="done", started_at=looked, finished_at=looked,
    )  # fmt: skip
    assert "异常，已通知 1 人" in schedules.watch_schedules.work(at)
    assert "清理已结束的后台任务：错过" in alarms()[0][1]
    ScheduleRun.objects.create(
        schedule_id=schedules.WATCH, due_at=at, how="timed", recorded_at=at,
        outcome="done", started_at=at, finished_at=at,
    )  # fmt: skip
    assert schedules.watch_schedules.work(at + timedelta(minutes=10)) == "没有新的异常。"

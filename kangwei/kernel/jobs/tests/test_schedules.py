"""Schedules fall due once, are made up after an outage, and can be paused and run by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from kangwei.kernel.audit.models import Entry
from kangwei.kernel.jobs import queries, registry, services, tasks, worker
from kangwei.kernel.jobs.models import KnownSchedule, ScheduleRun
from kangwei.kernel.jobs.registry import schedule
from kangwei.kernel.jobs.rules.due import SHANGHAI, Missed
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make
from kangwei.kernel.refusals import Invalid, Refusal

pytestmark = pytest.mark.django_db
Outcome = ScheduleRun.Outcome
MONDAY = datetime(2026, 2, 9, 8, 0, tzinfo=SHANGHAI)
HALF_PAST_NINE = MONDAY + timedelta(hours=1, minutes=30)


class Outside(Refusal):
    code = "test.outside"


@pytest.fixture
def calls() -> Iterator[list[datetime]]:
    """A schedule `test.hourly`, every full hour, known since Monday 8 o'clock."""
    called: list[datetime] = []
    present = dict(registry._schedules)
    registry._schedules.clear()

    @schedule(name="test.hourly", title="每小时盘点", cron="0 * * * *")
    def hourly(at: datetime) -> str:
        """盘点一次。"""
        called.append(at)
        return f"第 {len(called)} 次。"

    services.note_schedules(at=MONDAY)
    yield called
    registry._schedules.clear()
    registry._schedules.update(present)


def run_queued() -> int:
    """Run the queued schedule jobs in this transaction, as a worker would."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_jobs SET status = 'doing' WHERE status = 'todo'"
            " AND task_name = 'jobs.run_schedule' RETURNING id, args"
        )
        jobs = cursor.fetchall()
        for _, arguments in jobs:
            tasks.run_schedule(**json.loads(arguments))
        for job_id, _ in jobs:
            cursor.execute("SELECT procrastinate_finish_job_v1(%s, 'succeeded', false)", [job_id])
    return len(jobs)


def test_a_due_moment_is_queued_once_and_its_run_is_written_down(calls: list[datetime]) -> None:
    row = services.queue_due(name="test.hourly", at=MONDAY + timedelta(hours=1, seconds=1))
    assert row is not None
    assert row.due_at == MONDAY + timedelta(hours=1)
    assert row.how == "timed"
    assert services.queue_due(name="test.hourly", at=MONDAY + timedelta(hours=1, seconds=2)) is None

    assert run_queued() == 1
    row.refresh_from_db()
    assert (row.outcome, row.summary, row.error) == (Outcome.DONE, "第 1 次。", "")
    assert len(calls) == 1


def test_a_job_that_comes_again_after_its_work_does_nothing(calls: list[datetime]) -> None:
    row = services.queue_due(name="test.hourly", at=HALF_PAST_NINE)
    assert row is not None
    tasks.run_schedule(row_id=row.pk)
    tasks.run_schedule(row_id=row.pk)
    assert len(calls) == 1


def test_nothing_was_owed_before_the_schedule_was_known(calls: list[datetime]) -> None:
    KnownSchedule.objects.update(in_force_since=MONDAY + timedelta(minutes=1))
    assert services.queue_due(name="test.hourly", at=MONDAY + timedelta(minutes=2)) is None


def test_a_changed_cron_line_is_owed_from_then_on(calls: list[datetime]) -> None:
    KnownSchedule.objects.update(cron="30 * * * *")
    services.note_schedules(at=HALF_PAST_NINE)
    known = KnownSchedule.objects.get()
    assert (known.cron, known.in_force_since) == ("0 * * * *", HALF_PAST_NINE)
    assert services.queue_due(name="test.hourly", at=HALF_PAST_NINE) is None


def test_a_schedule_that_is_gone_is_retired_and_not_missed(calls: list[datetime]) -> None:
    registry._schedules.clear()
    services.note_schedules(at=HALF_PAST_NINE)
    assert queries.missed(MONDAY + timedelta(days=1)) == []
    assert queries.schedule_states(HALF_PAST_NINE) == []


def test_after_an_outage_only_the_latest_moment_is_made_up(calls: list[datetime]) -> None:
    at = MONDAY + timedelta(hours=5, minutes=10)
    worker.queue_due_schedules({}, at)
    rows = list(ScheduleRun.objects.all())
    assert [(row.due_at, row.how) for row in rows] == [(MONDAY + timedelta(hours=5), "made_up")]
    # 8, 9, 10, 11 and 12 o'clock stay missed.
    [found] = queries.missed(at)
    assert found.span.count == 5
    assert found.span.first == MONDAY
    assert found.span.last == MONDAY + timedelta(hours=4)


def test_a_moment_too_old_is_not_made_up(calls: list[datetime]) -> None:
    registry._schedules["test.hourly"] = registry.Schedule(
        "test.hourly", "每小时盘点", "0 * * * *", lambda at: "", timedelta(minutes=20)
    )
    assert (
        services.queue_due(name="test.hourly", at=MONDAY + timedelta(hours=1, minutes=21)) is None
    )
    assert services.queue_due(name="test.hourly", at=MONDAY + timedelta(hours=1, minutes=20))


def test_the_housekeeper_asks_once_per_moment(calls: list[datetime]) -> None:
    memory: dict[str, datetime] = {}
    for seconds in (1, 2, 3):
        worker.queue_due_schedules(memory, MONDAY + timedelta(hours=1, seconds=seconds))
    assert memory == {"test.hourly": MONDAY + timedelta(hours=2)}
    assert ScheduleRun.objects.count() == 1
    worker.queue_due_schedules(memory, MONDAY + timedelta(hours=2))
    assert ScheduleRun.objects.count() == 2


def test_a_moment_whose_predecessor_still_waits_is_written_down_as_skipped(
    calls: list[datetime],
) -> None:
    services.queue_due(name="test.hourly", at=MONDAY + timedelta(hours=1))
    services.queue_due(name="test.hourly", at=MONDAY + timedelta(hours=2))
    outcomes = ScheduleRun.objects.order_by("due_at").values_list("outcome", flat=True)
    assert list(outcomes) == [Outcome.WAITING, Outcome.SKIPPED]
    assert run_queued() == 1
    assert queries.missed(MONDAY + timedelta(hours=2)) == [
        queries.MissedSchedule("test.hourly", "每小时盘点", Missed(MONDAY, MONDAY, 1))
    ]


def test_a_refusal_is_the_error_and_a_mistake_names_its_kind(calls: list[datetime]) -> None:
    def refuse(at: datetime) -> str:
        raise Outside("外部平台没有应答，请检查网络。")

    def stumble(at: datetime) -> str:
        return str(1 // 0)

    errors = []
    for number, work in enumerate([refuse, stumble], start=1):
        registry._schedules["test.hourly"] = registry.Schedule(
            "test.hourly", "每小时盘点", "0 * * * *", work, timedelta(days=1)
        )
        row = services.queue_due(name="test.hourly", at=MONDAY + timedelta(hours=number))
        assert row is not None
        run_queued()
        row.refresh_from_db()
        assert row.outcome == Outcome.FAILED
        errors.append(row.error)
    assert errors[0] == "外部平台没有应答，请检查网络。"
    assert "ZeroDivisionError" in errors[1]


def test_run_by_hand_is_journalled_and_refused_while_one_waits(calls: list[datetime]) -> None:
    operator = make.account()
    row = services.run_now(name="test.hourly", by=operator, at=HALF_PAST_NINE)
    assert (row.how, row.by, row.outcome) == ("by_hand", operator, Outcome.WAITING)
    assert Entry.objects.filter(act="jobs.schedule.run_by_hand").count() == 1
    with pytest.raises(services.StillWaiting, match="每小时盘点"), transaction.atomic():
        services.run_now(name="test.hourly", by=operator, at=HALF_PAST_NINE + timedelta(seconds=1))
    assert ScheduleRun.objects.count() == 1
    run_queued()
    services.run_now(name="test.hourly", by=operator, at=HALF_PAST_NINE + timedelta(seconds=2))


def test_a_run_by_hand_does_not_replace_a_missed_moment(calls: list[datetime]) -> None:
    services.run_now(name="test.hourly", by=make.account(), at=MONDAY)
    [found] = queries.missed(MONDAY + timedelta(minutes=30))
    assert found.span.first == MONDAY


def test_an_unknown_schedule_is_named(calls: list[datetime]) -> None:
    with pytest.raises(services.UnknownSchedule, match="没有名为“nix”"):
        services.run_now(name="nix", by=make.account(), at=MONDAY)


def test_a_paused_schedule_is_not_owed_until_it_is_resumed(calls: list[datetime]) -> None:
    operator = make.account()
    services.pause_schedule(
        name="test.hourly", by=operator, reason="机房检修", at=MONDAY + timedelta(minutes=30)
    )
    assert services.queue_due(name="test.hourly", at=HALF_PAST_NINE) is None
    [state] = queries.schedule_states(HALF_PAST_NINE)
    assert state.pause is not None
    assert state.pause.reason == "机房检修"
    assert state.next_due_at is None

    resumed_at = MONDAY + timedelta(hours=1, minutes=45)
    services.resume_schedule(name="test.hourly", by=operator, at=resumed_at)
    # 9 o'clock fell into the pause: neither made up nor missed. 8 o'clock was missed.
    assert services.queue_due(name="test.hourly", at=resumed_at) is None
    [found] = queries.missed(resumed_at)
    assert (found.span.first, found.span.count) == (MONDAY, 1)
    assert services.queue_due(name="test.hourly", at=MONDAY + timedelta(hours=2))
    acts = Entry.objects.filter(kind="act").order_by("-id").values_list("act", flat=True)
    assert list(acts[:2]) == ["jobs.schedule.resumed", "jobs.schedule.paused"]


def test_pausing_wants_a_reason_and_happens_once(calls: list[datetime]) -> None:
    operator: Account = make.account()
    with pytest.raises(Invalid):
        services.pause_schedule(name="test.hourly", by=operator, reason=" ", at=MONDAY)
    services.pause_schedule(name="test.hourly", by=operator, reason="检修", at=MONDAY)
    with pytest.raises(services.AlreadyPaused):
        services.pause_schedule(name="test.hourly", by=operator, reason="检修", at=MONDAY)
    services.resume_schedule(name="test.hourly", by=operator, at=HALF_PAST_NINE)
    with pytest.raises(services.NotPaused):
        services.resume_schedule(name="test.hourly", by=operator, at=HALF_PAST_NINE)


def test_the_database_keeps_one_row_per_due_moment(calls: list[datetime]) -> None:
    services.queue_due(name="test.hourly", at=MONDAY)
    with pytest.raises(IntegrityError, match="jobs_schedulerun_once"), transaction.atomic():
        ScheduleRun.objects.create(
            schedule_id="test.hourly", due_at=MONDAY, how="timed", recorded_at=MONDAY
        )


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"outcome": "done"}, "jobs_schedulerun_outcome_times"),
        ({"outcome": "failed", "finished_at": MONDAY}, "jobs_schedulerun_failed_with_error"),
        ({"how": "by_hand"}, "jobs_schedulerun_by_hand_by_whom"),
    ],
)
def test_the_database_refuses_half_told_rows(
    calls: list[datetime], values: dict[str, object], constraint: str
) -> None:
    services.queue_due(name="test.hourly", at=MONDAY)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        ScheduleRun.objects.update(**values)


def test_old_ledger_rows_go_and_failed_ones_stay_longer(calls: list[datetime]) -> None:
    old = MONDAY - timedelta(days=100)
    for number, outcome in enumerate([Outcome.DONE, Outcome.FAILED]):
        ScheduleRun.objects.create(
            schedule_id="test.hourly",
            due_at=old + timedelta(hours=number),
            how="timed",
            recorded_at=old,
            outcome=outcome,
            started_at=old,
            finished_at=old,
            error="出错" if outcome == Outcome.FAILED else "",
        )
    assert services.delete_old(at=MONDAY)[1] == 1
    assert ScheduleRun.objects.get().outcome == Outcome.FAILED
    assert services.delete_old(at=MONDAY + timedelta(days=400))[1] == 1


def test_every_schedule_of_the_product_has_a_chinese_title() -> None:
    for found in registry.schedules().values():
        assert any("一" <= letter <= "鿿" for letter in found.title), found.name

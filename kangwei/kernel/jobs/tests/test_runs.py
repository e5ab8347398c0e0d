"""Long runs: started in the caller's transaction, cancelled, resumed, never told by two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, OperationalError, connection, transaction

from kangwei.kernel.audit.models import Entry
from kangwei.kernel.jobs import models, queries, registry, services, stopping, tasks
from kangwei.kernel.jobs.models import Cancelled, Run, Superseded
from kangwei.kernel.organisations.tests import make
from kangwei.kernel.refusals import NotPermitted, Refusal

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 2, 12, 2, 0, tzinfo=UTC)
Work = Callable[[Run], Mapping[str, Any] | None]


class NoPaper(Refusal):
    code = "test.no_paper"


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Work], None]]:
    """Says what the run kind `test.count` does."""
    monkeypatch.setattr(registry, "_run_kinds", {})
    monkeypatch.setattr(models, "PROGRESS_EVERY", 0.0)

    def define(work: Work) -> None:
        registry._run_kinds["test.count"] = registry.RunKind("test.count", "清点", work)

    define(lambda run: None)
    yield define
    stopping.clear()


def start(**fields: Any) -> Run:
    given: dict[str, Any] = {"kind": "test.count", "title": "清点库存", "by": None, "at": NOW}
    return services.start_run(**(given | fields))


def perform(run: Run) -> Run:
    tasks.perform_run(run_id=run.pk)
    run.refresh_from_db()
    return run


def waiting_jobs() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'")
        row = cursor.fetchone()
    return int(row[0])


def test_a_run_is_queued_with_the_callers_transaction_or_not_at_all(
    kind: Callable[[Work], None],
) -> None:
    before = waiting_jobs()  # a kept database may hold jobs of tests that committed
    with transaction.atomic():
        start()
        transaction.set_rollback(True)
    assert (Run.objects.count(), waiting_jobs() - before) == (0, 0)
    start()
    assert (Run.objects.count(), waiting_jobs() - before) == (1, 1)


def test_progress_is_told_and_the_result_kept(kind: Callable[[Work], None]) -> None:
    seen: list[tuple[int, int, str]] = []

    def count(run: Run) -> Mapping[str, Any]:
        for number in (1, 2, 3):
            run.progress(number, 3, f"第 {number} 箱")
            row = Run.objects.get(pk=run.pk)
            seen.append((row.done, row.total, row.note))
        return {"boxes": 3}

    kind(count)
    run = perform(start())
    assert seen == [(1, 3, "第 1 箱"), (2, 3, "第 2 箱"), (3, 3, "第 3 箱")]
    assert (run.state, run.result, run.percent) == (Run.State.DONE, {"boxes": 3}, 100)
    assert run.finished_at is not None


def test_progress_is_written_at_most_once_a_second_and_always_at_the_end(
    kind: Callable[[Work], None],
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: Callable[[int], Any],
) -> None:
    monkeypatch.setattr(models, "PROGRESS_EVERY", 60.0)

    def count(run: Run) -> None:
        run.progress(1, 1000)
        with django_assert_num_queries(0):
            for number in range(2, 1000):
                run.progress(number, 1000)
        run.progress(1000, 1000)

    kind(count)
    assert perform(start()).done == 1000


def test_a_refusal_is_shown_and_a_mistake_gives_a_number_to_report(
    kind: Callable[[Work], None],
) -> None:
    def refuse(run: Run) -> None:
        raise NoPaper("打印机缺纸，请加纸后重新发起。")

    kind(refuse)
    run = perform(start())
    assert (run.state, run.error) == (Run.State.FAILED, "打印机缺纸，请加纸后重新发起。")

    kind(lambda run: {"x": 1 // 0})
    run = perform(start())
    assert run.state == Run.State.FAILED
    assert f"任务编号 {run.pk}" in run.error


def test_cancelling_a_waiting_run_ends_it_at_once(kind: Callable[[Work], None]) -> None:
    boss = make.account()
    run = start(by=boss)
    services.cancel_run(run=run, by=boss, at=NOW)
    run = perform(run)
    assert (run.state, run.cancel_requested_by, run.attempt) == (Run.State.CANCELLED, boss, 0)
    assert Entry.objects.filter(act="jobs.run.cancelled").count() == 1
    with pytest.raises(services.RunFinished, match="已取消"):
        services.cancel_run(run=run, by=boss, at=NOW)


def test_cancelling_a_running_run_ends_it_at_its_next_step(kind: Callable[[Work], None]) -> None:
    boss = make.account(right="jobs.cancel_any_run")
    steps = []

    def count(run: Run) -> None:
        steps.append("before")
        services.cancel_run(run=run, by=boss, at=NOW)
        run.progress(1, 2)
        steps.append("after")

    kind(count)
    assert perform(start()).state == Run.State.CANCELLED
    assert steps == ["before"]


def test_somebody_elses_run_is_not_ones_own_to_cancel(kind: Callable[[Work], None]) -> None:
    run = start(by=make.account())
    with pytest.raises(NotPermitted, match="清点库存"):
        services.cancel_run(run=run, by=make.account(right="jobs.view_all_runs"), at=NOW)


def test_a_run_left_by_a_dead_worker_is_resumed(kind: Callable[[Work], None]) -> None:
    run = start()
    first = services.claim_run(run_id=run.pk, at=NOW)
    assert first is not None
    kind(lambda run: {"attempt": run.attempt})
    run = perform(run)
    assert run.result == {"attempt": 2}
    assert run.started_at == NOW, "the first start counts"


def test_a_worker_given_up_for_dead_writes_nothing_more(kind: Callable[[Work], None]) -> None:
    run = start()
    ghost = services.claim_run(run_id=run.pk, at=NOW)
    heir = services.claim_run(run_id=run.pk, at=NOW)
    assert ghost is not None
    assert heir is not None
    with pytest.raises(Superseded):
        ghost.progress(1, 10)
    assert not services.end_run(run=ghost, state=Run.State.FAILED, at=NOW, error="x")
    heir.progress(2, 10)
    run.refresh_from_db()
    assert (run.state, run.done) == (Run.State.RUNNING, 2)


def test_a_stopping_worker_gives_the_run_back(kind: Callable[[Work], None]) -> None:
    def count(run: Run) -> None:
        stopping.request()
        run.progress(1, 2)

    kind(count)
    run = start()
    with pytest.raises(registry.Interrupted):
        tasks.perform_run(run_id=run.pk)
    run.refresh_from_db()
    assert run.state == Run.State.WAITING
    stopping.clear()
    kind(lambda run: None)
    assert perform(run).state == Run.State.DONE


def test_a_lost_database_is_not_the_runs_failure(kind: Callable[[Work], None]) -> None:
    def lose(run: Run) -> None:
        raise OperationalError("server closed the connection")

    kind(lose)
    run = start()
    with pytest.raises(OperationalError):
        tasks.perform_run(run_id=run.pk)
    run.refresh_from_db()
    assert run.state == Run.State.RUNNING, "the queue tries it again"


def test_everyone_sees_his_own_runs_and_an_overseer_all(kind: Callable[[Work], None]) -> None:
    nurse, clerk = make.account(), make.account()
    overseer = make.account(right="jobs.view_all_runs")
    own, other = start(by=nurse), start(by=clerk)
    assert list(queries.runs_visible_to(nurse)) == [own]
    assert set(queries.runs_visible_to(overseer)) == {own, other}
    assert list(queries.runs_visible_to(AnonymousUser())) == []


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"state": "done"}, "jobs_run_state_times"),
        ({"state": "failed", "started_at": NOW, "finished_at": NOW}, "jobs_run_failed_with_error"),
        ({"result": {"x": 1}}, "jobs_run_result_when_done"),
        ({"state": "cancelled", "finished_at": NOW}, "jobs_run_cancelled_on_request"),
        ({"cancel_requested_at": NOW}, "jobs_run_cancelled_by_someone"),
        ({"done": 2, "total": 1}, "jobs_run_not_beyond_total"),
    ],
)
def test_the_database_refuses_impossible_runs(
    kind: Callable[[Work], None], values: dict[str, Any], constraint: str
) -> None:
    start()
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Run.objects.update(**values)


def test_an_unregistered_kind_is_the_programmers_mistake(kind: Callable[[Work], None]) -> None:
    with pytest.raises(ValueError, match="not registered"):
        start(kind="test.nix")


def test_open_runs_are_those_that_go_on(kind: Callable[[Work], None]) -> None:
    run = start()
    assert list(queries.open_runs(["test.count"])) == [run]
    assert list(queries.open_runs(["other"])) == []
    perform(run)
    assert list(queries.open_runs()) == []


def test_a_cancelled_work_can_tidy_up(kind: Callable[[Work], None]) -> None:
    """Cancelled is an ordinary exception: work may catch it, tidy up and raise it again."""
    boss = make.account(right="jobs.cancel_any_run")
    tidied = []

    def count(run: Run) -> None:
        services.cancel_run(run=run, by=boss, at=NOW + timedelta(seconds=1))
        try:
            run.progress(1, 2)
        except Cancelled:
            tidied.append(True)
            raise

    kind(count)
    assert perform(start()).state == Run.State.CANCELLED
    assert tidied == [True]

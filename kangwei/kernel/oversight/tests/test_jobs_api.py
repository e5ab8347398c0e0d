"""Background work over the API: one's own runs, schedules with the right to them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from kangwei.kernel import clock
from kangwei.kernel.jobs import services, tasks
from kangwei.kernel.jobs.models import Run, ScheduleRun
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make

pytestmark = pytest.mark.django_db


def start(owner: Account) -> Run:
    return Run.objects.create(
        kind="test", title="导出清单", owner=owner, created_at=clock.now(), arguments={}
    )


def act(browser: Client, path: str, content: Any = None) -> Any:
    return browser.post(
        f"/api/v1/jobs{path}", data=json.dumps(content), content_type="application/json"
    )


@pytest.fixture
def keeper() -> Client:
    services.note_schedules(at=clock.now())
    return make.client(make.account(right=["jobs.view_schedule", "jobs.manage_schedule"]))


def test_a_run_is_seen_and_cancelled_by_its_owner_and_absent_for_others() -> None:
    nurse, clerk = make.account(name="王护士"), make.account()
    run = start(nurse)
    browser = make.client(nurse)
    listed = browser.get("/api/v1/jobs/runs?state=waiting").json()
    assert [(one["id"], one["owner"]) for one in listed["items"]] == [(run.pk, "王护士")]
    stranger = make.client(clerk)
    assert stranger.get("/api/v1/jobs/runs").json()["items"] == []
    assert stranger.get(f"/api/v1/jobs/runs/{run.pk}").status_code == 404
    assert act(stranger, f"/runs/{run.pk}/cancel").status_code == 404

    answer = act(browser, f"/runs/{run.pk}/cancel")
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    again = act(browser, f"/runs/{run.pk}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "jobs.run_finished")


def test_an_overseer_sees_all_runs_and_cancels_them_only_with_the_right() -> None:
    run = start(make.account())
    overseer = make.client(make.account(right="jobs.view_all_runs"))
    assert overseer.get(f"/api/v1/jobs/runs/{run.pk}").status_code == 200
    assert act(overseer, f"/runs/{run.pk}/cancel").status_code == 403
    keeper = make.client(make.account(right=["jobs.view_all_runs", "jobs.cancel_any_run"]))
    assert act(keeper, f"/runs/{run.pk}/cancel").status_code == 200


def test_schedules_are_listed_run_paused_and_resumed(keeper: Client) -> None:
    listed = {one["name"]: one for one in keeper.get("/api/v1/jobs/schedules").json()}
    assert listed["jobs.tidy"]["title"] == "清理已结束的后台任务"
    assert listed["jobs.tidy"]["pause"] is None

    ran = act(keeper, "/schedules/jobs.tidy/run-now").json()
    assert (ran["how"], ran["outcome"]) == ("by_hand", "waiting")
    tasks.run_schedule(row_id=ran["id"])
    assert ScheduleRun.objects.get(pk=ran["id"]).outcome == "done"
    history = keeper.get("/api/v1/jobs/schedules/jobs.tidy/runs").json()
    assert history["items"][0]["summary"].startswith("删除队列任务")

    assert act(keeper, "/schedules/jobs.tidy/pause", {"reason": ""}).status_code == 422
    paused = act(keeper, "/schedules/jobs.tidy/pause", {"reason": "机房检修"}).json()
    assert paused["reason"] == "机房检修"
    listed = {one["name"]: one for one in keeper.get("/api/v1/jobs/schedules").json()}
    assert listed["jobs.tidy"]["next_due_at"] is None
    assert act(keeper, "/schedules/jobs.tidy/resume").json()["until_at"] is not None
    assert act(keeper, "/schedules/jobs.tidy/resume").json()["code"] == "jobs.schedule_not_paused"


def test_an_unknown_schedule_is_404(keeper: Client) -> None:
    answer = act(keeper, "/schedules/nix/run-now")
    assert (answer.status_code, answer.json()["code"]) == (404, "jobs.schedule_unknown")


def test_nothing_is_missed_right_after_the_first_start(keeper: Client) -> None:
    assert keeper.get("/api/v1/jobs/schedules/missed").json() == []


@pytest.mark.parametrize("path", ["/schedules", "/schedules/missed", "/schedules/jobs.tidy/runs"])
def test_schedules_want_their_right(path: str) -> None:
    browser = make.client(make.account())
    assert browser.get(f"/api/v1/jobs{path}").status_code == 403


@pytest.mark.parametrize("what", ["run-now", "pause", "resume"])
def test_acts_on_schedules_want_theirs(what: str) -> None:
    browser = make.client(make.account(right="jobs.view_schedule"))
    assert act(browser, f"/schedules/jobs.tidy/{what}", {"reason": "x"}).status_code == 403

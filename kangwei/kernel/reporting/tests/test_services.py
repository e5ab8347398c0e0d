"""Acts of reporting against real PostgreSQL: run, drill, keep, freeze, repeat, subscribe, take."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from kangwei.kernel.audit.models import Entry
from kangwei.kernel.audit.services import EXPORTED
from kangwei.kernel.jobs.models import Run
from kangwei.kernel.notices.models import Notice
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make as people
from kangwei.kernel.reporting import queries, services
from kangwei.kernel.reporting.declarations import Column, Context, DetailTable, Report
from kangwei.kernel.reporting.models import KeptResult, ReportUse, Snapshot, SnapshotChunk
from kangwei.kernel.reporting.refusals import (
    AlreadyStopped,
    AlreadySubscribed,
    NotDrillable,
    NothingToFreeze,
    ReportNotPermitted,
    ResultGone,
    TooManyRowsAsked,
    UnknownInstitution,
    UnknownReport,
    WrongPlan,
)
from kangwei.kernel.reporting.reports import USAGE
from kangwei.kernel.reporting.services import plans
from kangwei.kernel.reporting.services.plans import (
    carry_out_plans,
    carry_out_subscriptions,
)
from kangwei.kernel.reporting.services.running import (
    Kept,
    drill,
    forget_expired,
    open_kept,
    require,
    run_and_keep,
    start_long_report,
    work_long_report,
)
from kangwei.kernel.reporting.services.snapshots import compare_with_now, freeze

from . import make

pytestmark = pytest.mark.django_db
RIGHTS = [
    make.RIGHT,
    "reporting.export_report",
    "reporting.freeze_report",
    "reporting.manage_plan",
    "reporting.subscribe_others",
    "reporting.view_usage",
]


@pytest.fixture
def province(db: None) -> Account:
    """An account above two clinics: one with two accounts, one with one."""
    home = people.institution("陕西省疾控中心")
    by = people.account(right=RIGHTS, institution=home, name="王省级")
    for number in (2, 1):
        clinic = people.institution(parent=home)
        for _ in range(number):
            people.account(institution=clinic)
    return by


def run(report: Report, by: Account, at: datetime = make.AT, **parameters: str) -> Kept:
    return run_and_keep(report=report, parameters=parameters, by=by, at=at)


def clinic_of(by: Account) -> Account:
    """Somebody at a clinic below, with the same rights over his own clinic."""
    clinic = by.institution.closure_below.filter(depth=1).earliest("pk").descendant
    return people.account(right=RIGHTS, institution=clinic, scope="own")


# ── Running and scope ──


def test_a_report_counts_what_its_reader_may_see(accounts: Report, province: Account) -> None:
    people.account()  # somebody elsewhere
    totals = run(accounts, province).result
    assert totals.totals is not None
    assert totals.value(totals.totals, "all") == 4
    nurse = clinic_of(province)
    own = run(accounts, nurse).result
    assert [own.value(row, "id") for row in own.rows] == [nurse.institution_id]


def test_an_institution_or_region_narrows_the_report(accounts: Report, province: Account) -> None:
    clinic = province.institution.closure_below.filter(depth=1).earliest("pk").descendant
    narrowed = run(accounts, province, institution=str(clinic.pk)).result
    assert len(narrowed.rows) == 1
    assert ("机构", clinic.name) in narrowed.heading.parameter_words
    elsewhere = people.region("620000000000")
    assert not run(accounts, province, region=elsewhere.code).result.rows


def test_a_foreign_institution_looks_absent(accounts: Report, province: Account) -> None:
    foreign = people.institution("外省医院")
    for number in (foreign.pk, 999_999):
        with pytest.raises(UnknownInstitution, match=f"没有编号为 {number} 的机构") as refused:
            run(accounts, province, institution=str(number))
        assert refused.value.status == 404


def test_without_the_right_a_report_is_refused_and_an_unknown_one_too(
    accounts: Report, province: Account
) -> None:
    with pytest.raises(ReportNotPermitted, match="账号统计"):
        require(accounts.code, people.account())
    with pytest.raises(UnknownReport):
        require("no.such", province)


def test_too_many_rows_are_refused_with_a_way_out(province: Account) -> None:
    small = make.report(code="test.small", limit=2)
    with make.registered(small), pytest.raises(TooManyRowsAsked, match=r"超过 2 行.*缩短期间"):
        run(small, province)


def test_a_kept_result_is_ones_own_for_a_day(accounts: Report, province: Account) -> None:
    kept = run(accounts, province)
    again = open_kept(
        result_id=kept.result_id, report=accounts, by=province, at=make.AT + timedelta(hours=23)
    )
    assert list(again.result.rows) == list(kept.result.rows)
    for by, at, key in (
        (people.account(right=make.RIGHT), make.AT, kept.result_id),
        (province, make.AT + timedelta(hours=24), kept.result_id),
        (province, make.AT, "nonsense"),
    ):
        with pytest.raises(ResultGone):
            open_kept(result_id=key, report=accounts, by=by, at=at)
    assert forget_expired(at=make.AT + timedelta(hours=24)) == 1
    assert not KeptResult.objects.exists()


def test_personal_results_are_encrypted_where_they_are_stored(province: Account) -> None:
    def people_of(ctx: Context) -> Iterable[Mapping[str, Any]]:
        return [{"id": 1, "name": "张三丰丰丰丰"}]

    secret = make.report(
        code="test.names",
        columns=(
            Column(key="id", title="行", definition="x", kind="int"),
            Column(key="name", title="姓名", definition="x", masked="name"),
        ),
        rows=people_of,
        chart=None,
        drill=None,
    )
    import zlib

    with make.registered(secret):
        kept = run(secret, province)
        frozen = freeze(report=secret, kept=kept, by=province, at=make.AT)
        stored = [
            bytes(KeptResult.objects.get().content),
            bytes(frozen.frame),
            *(bytes(one.content) for one in SnapshotChunk.objects.all()),
        ]
        for content in stored:
            with pytest.raises(zlib.error):
                zlib.decompress(content[1:])
        assert queries.open_snapshot(frozen).result.rows == [(1, "张三丰丰丰丰")]


# ── Drill-down ──


@pytest.mark.parametrize("column", ["all", "active"])
def test_the_rows_behind_every_figure_are_as_many_as_the_figure(
    accounts: Report, province: Account, column: str
) -> None:
    people.account(institution=province.institution, state="disabled")
    result = run(accounts, province).result
    for row in (*range(len(result.rows)), None):
        found = drill(
            report=accounts, result=result, row=row, column=column, by=province, at=make.AT
        )
        assert found.agrees
        assert len(found.rows) == found.figure
        # The title says the line's own words, not the key of its row.
        first = "合计" if row is None else result.rows[row][result.index["institution"]]
        assert found.title.startswith(f"{first} · ")


def test_details_that_do_not_add_up_are_told(province: Account) -> None:
    def too_few(ctx: Context, row: Any, column: Column) -> DetailTable:
        return DetailTable(columns=make.COLUMNS[1:2], rows=[])

    wrong = make.report(code="test.wrong", drill=too_few)
    with make.registered(wrong):
        result = run(wrong, province).result
        found = drill(report=wrong, result=result, row=0, column="all", by=province, at=make.AT)
    assert not found.agrees


def test_a_figure_without_details_is_refused(accounts: Report, province: Account) -> None:
    result = run(accounts, province).result
    with pytest.raises(NotDrillable):
        drill(report=accounts, result=result, row=0, column="share", by=province, at=make.AT)
    with pytest.raises(NotDrillable, match="没有第 100 行"):
        drill(report=accounts, result=result, row=99, column="all", by=province, at=make.AT)


# ── Snapshots ──


def frozen(report: Report, by: Account, at: datetime = make.AT) -> Snapshot:
    return freeze(report=report, kept=run(report, by, at), by=by, at=at, name="十一月")


def test_a_snapshot_is_what_was_seen_and_never_counted_again(
    accounts: Report, province: Account, django_assert_num_queries: Any
) -> None:
    kept = run(accounts, province)
    people.account(institution=province.institution)
    made = freeze(report=accounts, kept=kept, by=province, at=make.AT)
    with django_assert_num_queries(1):
        opened = queries.open_snapshot(made)
    assert opened.verified
    assert list(opened.result.rows) == list(kept.result.rows)
    assert opened.result.totals == kept.result.totals
    assert opened.result.chart == kept.result.chart
    assert opened.result.heading == kept.result.heading


def test_a_snapshot_refuses_every_change(accounts: Report, province: Account) -> None:
    made = frozen(accounts, province)
    for statement in (
        "UPDATE reporting_snapshot SET name = 'x' WHERE id = %s",
        "DELETE FROM reporting_snapshot WHERE id = %s",
        "UPDATE reporting_snapshotchunk SET number = 9 WHERE snapshot_id = %s",
        "DELETE FROM reporting_snapshotchunk WHERE snapshot_id = %s",
    ):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, [made.pk])


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE reporting_snapshot SET digest = repeat('0', 64)", "不一致"),
        ("UPDATE reporting_snapshot SET signature = repeat('0', 128)", "签名"),
        ("DELETE FROM reporting_snapshotchunk", "不一致"),
    ],
)
def test_a_snapshot_changed_behind_our_back_is_not_believed(
    accounts: Report, province: Account, statement: str, problem: str
) -> None:
    made = frozen(accounts, province)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # as a superuser could
        cursor.execute(statement)
        cursor.execute("SET LOCAL session_replication_role = origin")
    opened = queries.open_snapshot(Snapshot.objects.get(pk=made.pk))
    assert not opened.verified
    assert problem in opened.problem


def test_a_snapshot_is_seen_only_by_scopes_that_cover_all_of_it(
    accounts: Report, province: Account
) -> None:
    nurse = clinic_of(province)
    small, whole = frozen(accounts, nurse), frozen(accounts, province)
    assert set(Snapshot.objects.visible_to(province)) == {small, whole}
    assert set(Snapshot.objects.visible_to(nurse)) == {small}
    assert not Snapshot.objects.visible_to(people.account(right=make.RIGHT)).exists()
    blind = people.account(right="reporting.view_usage", institution=province.institution)
    assert not Snapshot.objects.visible_to(blind).exists()


def test_a_snapshot_of_everything_needs_a_scope_of_everything(
    accounts: Report, province: Account
) -> None:
    ministry = people.account(right=RIGHTS, scope="everything")
    made = frozen(accounts, ministry)
    assert made.everything
    assert list(Snapshot.objects.visible_to(ministry)) == [made]
    assert not Snapshot.objects.visible_to(province).exists()


def test_freezing_needs_the_right_and_distinct_rows(accounts: Report, province: Account) -> None:
    reader = people.account(right=make.RIGHT)
    with pytest.raises(ReportNotPermitted, match="固化"):
        frozen(accounts, reader)
    twice = make.report(
        code="test.twice",
        rows=lambda ctx: [{"id": 1, "institution": "甲", "all": 1, "active": 1}] * 2,
    )
    with make.registered(twice), pytest.raises(NothingToFreeze, match="“1”"):
        frozen(twice, province)


def test_a_snapshot_lies_beside_now(accounts: Report, province: Account) -> None:
    made = frozen(accounts, province)
    people.account(institution=province.institution)
    people.account(institution=people.institution(parent=province.institution))
    before = queries.open_snapshot(made).result
    _, comparison = compare_with_now(
        report=accounts, before=before, parameters=made.parameters, by=province, at=make.AT
    )
    assert comparison.counts == {"added": 1, "removed": 0, "changed": 1, "same": 2}
    exported = services.export_comparison(
        comparison=comparison, heading=before.heading, by=province, at=make.AT
    )
    assert exported.filename.endswith(".xlsx")


# ── Plans and subscriptions ──

FIRST = datetime(2026, 12, 1, 0, 30, tzinfo=UTC)  # 08:30 in Shanghai


def plan(report: Report, by: Account, **changes: Any) -> Any:
    facts: dict[str, Any] = {
        "name": "",
        "parameters": {"period": "previous"},
        "frequency": "monthly",
        "hour": 8,
        "day": 1,
    }
    return services.plan_snapshots(report=report, by=by, at=make.AT, **(facts | changes))


def test_a_plan_that_breaks_does_not_stop_the_next(
    accounts: Report, province: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, sound = plan(accounts, province, name="坏的"), plan(accounts, province, name="好的")
    whole = plans._freeze_planned

    def freeze(wish: Any, slot: datetime, at: datetime) -> Any:
        if wish.pk == broken.pk:
            raise ZeroDivisionError
        return whole(wish, slot, at)

    monkeypatch.setattr(plans, "_freeze_planned", freeze)
    assert carry_out_plans(at=FIRST) == (1, 1)
    assert Snapshot.objects.get().plan == sound
    broken.refresh_from_db()
    assert "系统日志" in broken.last_error


def test_a_plan_freezes_once_per_slot_and_makes_up_one_it_slept_through(
    accounts: Report, province: Account
) -> None:
    made = plan(accounts, province)
    assert carry_out_plans(at=make.AT + timedelta(days=1)) == (0, 0)
    assert carry_out_plans(at=FIRST) == (1, 0)
    assert carry_out_plans(at=FIRST + timedelta(minutes=10)) == (0, 0)
    snapshot = Snapshot.objects.get()
    assert (snapshot.plan, snapshot.parameters["period"]) == (made, "2026-11")
    # Three months of sleep: the latest slot only, with its own month.
    assert carry_out_plans(at=datetime(2027, 3, 5, tzinfo=UTC)) == (1, 0)
    assert Snapshot.objects.latest("pk").parameters["period"] == "2027-02"


def test_a_worker_killed_between_freezing_and_noting_it_freezes_nothing_twice(
    accounts: Report, province: Account
) -> None:
    made = plan(accounts, province)
    carry_out_plans(at=FIRST)
    type(made).objects.filter(pk=made.pk).update(last_slot=make.AT)  # the note was lost
    carry_out_plans(at=FIRST)
    assert Snapshot.objects.count() == 1


def test_a_plan_of_an_account_that_left_says_why_it_did_nothing(
    accounts: Report, province: Account
) -> None:
    made = plan(accounts, province)
    Account.objects.filter(pk=province.pk).update(state="disabled")
    assert carry_out_plans(at=FIRST) == (0, 1)
    made.refresh_from_db()
    assert "已停用或过期" in made.last_error


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"parameters": {"period": "2026-10"}}, "固定期间"),
        ({"frequency": "hourly"}, "周期只能是"),
        ({"hour": 24}, "0 到 23"),
        ({"frequency": "weekly", "day": 8}, "1 到 7"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(
    accounts: Report, province: Account, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(WrongPlan, match=said):
        plan(accounts, province, **changes)


def test_a_stopped_plan_stays_stopped(accounts: Report, province: Account) -> None:
    made = plan(accounts, province)
    services.stop_plan(plan=made, by=province, at=make.AT)
    with pytest.raises(AlreadyStopped):
        services.stop_plan(plan=made, by=province, at=make.AT)
    assert carry_out_plans(at=FIRST) == (0, 0)


def subscribed(report: Report, by: Account, account: Account | None = None) -> Any:
    return services.subscribe(
        report=report,
        parameters={"period": "previous"},
        frequency="monthly",
        hour=8,
        day=1,
        by=by,
        at=make.AT,
        account=account,
    )


def test_a_subscriber_gets_one_notice_with_a_link_to_his_own_figures(
    accounts: Report, province: Account
) -> None:
    nurse = clinic_of(province)
    subscribed(accounts, province, nurse)
    assert carry_out_subscriptions(at=FIRST) == (1, 0)
    assert carry_out_subscriptions(at=FIRST + timedelta(hours=1)) == (0, 0)
    notice = Notice.objects.get()
    assert "账号统计" in notice.title
    kept = KeptResult.objects.get()
    assert kept.account == nurse
    assert str(kept.pk) in notice.link
    opened = open_kept(result_id=kept.pk, report=accounts, by=nurse, at=FIRST)
    assert len(opened.result.rows) == 1


def test_subscriptions_for_others_stay_within_scope_and_rights(
    accounts: Report, province: Account
) -> None:
    with pytest.raises(ReportNotPermitted, match="数据范围"):
        subscribed(accounts, province, people.account(right=make.RIGHT))
    powerless = people.account(institution=province.institution)
    with pytest.raises(ReportNotPermitted, match="没有查看"):
        subscribed(accounts, province, powerless)
    reader = people.account(right=make.RIGHT, institution=province.institution)
    with pytest.raises(ReportNotPermitted, match="为他人"):
        subscribed(accounts, reader, province)
    subscribed(accounts, reader)
    with pytest.raises(AlreadySubscribed):
        subscribed(accounts, reader)


# ── Long reports, files, the ledger of use ──


def test_a_long_report_killed_after_keeping_its_result_finds_it(
    accounts: Report, province: Account
) -> None:
    begun = start_long_report(
        report=accounts, parameters={"period": "2026-10"}, by=province, at=make.AT
    )
    Run.objects.filter(pk=begun.pk).update(state="running", started_at=make.AT, attempt=1)
    begun.refresh_from_db()
    first = work_long_report(begun)
    assert work_long_report(begun) == first
    assert KeptResult.objects.get().pk == uuid.UUID(first["result"])


def test_a_file_that_leaves_is_in_the_journal_and_in_the_ledger(
    accounts: Report, province: Account
) -> None:
    result = run(accounts, province).result
    services.export_result(result=result, form="csv", by=province, at=make.AT)
    entry = Entry.objects.filter(act=EXPORTED).latest("pk")
    assert entry.detail["rows"] == 3
    assert entry.detail["report"] == "test.accounts"
    assert ReportUse.objects.filter(act="export", format="csv", account=province).exists()
    with pytest.raises(ReportNotPermitted, match="导出"):
        services.export_result(result=result, form="csv", by=people.account(), at=make.AT)


def test_the_ledger_of_use_is_written_once(accounts: Report, province: Account) -> None:
    run(accounts, province)
    with pytest.raises(IntegrityError), transaction.atomic():
        ReportUse.objects.update(rows=0)
    with pytest.raises(IntegrityError), transaction.atomic():
        ReportUse.objects.all().delete()


def test_the_usage_report_counts_the_ledger_and_leads_to_its_lines(
    accounts: Report, province: Account
) -> None:
    kept = run(accounts, province)
    nurse = clinic_of(province)
    run(accounts, nurse)
    freeze(report=accounts, kept=kept, by=province, at=make.AT)
    services.export_result(result=kept.result, form="xlsx", by=province, at=make.AT)
    run(accounts, people.account(right=make.RIGHT))  # not in scope
    usage = run_and_keep(
        report=USAGE, parameters={"period": "2026-11"}, by=province, at=make.AT
    ).result
    assert len(usage.rows) == 1
    counted = {column.key: usage.value(usage.rows[0], column.key) for column in usage.columns}
    assert (counted["title"], counted["runs"], counted["freezes"]) == ("账号统计", 2, 1)
    assert (counted["exports"], counted["people"], counted["exported_rows"]) == (1, 2, 3)
    for column in ("all", "runs", "exports", "freezes", "drills"):
        found = drill(report=USAGE, result=usage, row=0, column=column, by=province, at=make.AT)
        assert found.agrees, column

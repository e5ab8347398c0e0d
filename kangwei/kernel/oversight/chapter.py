"""The chapter of the account review (用户年审): last year's round, an overdue one, one under way.

It plays with the accounts the demonstration shows, whose passwords are public, so that decisions
carry real signatures.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from random import Random

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.demonstration import Chapter, Progress, register_chapter, shown_accounts
from kangwei.kernel.organisations import services as organisations
from kangwei.kernel.organisations.models import Account, Institution, Staff
from kangwei.kernel.oversight import queries, reports, services, snapshots, tasks
from kangwei.kernel.oversight.models import ReviewCampaign, ReviewItem, SavedSearch
from kangwei.kernel.oversight.rules import review
from kangwei.kernel.oversight.rules.review import Decision
from kangwei.kernel.oversight.services import Proof
from kangwei.kernel.refusals import Refusal
from kangwei.kernel.reporting import services as reporting
from kangwei.kernel.reporting.models import Snapshot

CITY, CENTRE = "XACDC", "SNCDC"


def register() -> None:
    register_chapter(Chapter(key="oversight", title="用户年审与督查", order=60, tell=tell))


def tell(random: Random, at: datetime, progress: Progress) -> None:
    shown = {one.username: one.password for one in shown_accounts()}
    if "province" not in shown or not Institution.objects.filter(code=CITY).exists():
        return  # the chapter of places and people was not told here
    stage = Stage(shown, at)
    progress(0, 6, "上年度年审")
    last_year(stage)
    progress(1, 6, "逾期与暂停")
    overdue_round(stage)
    progress(3, 6, "本年度年审")
    round_under_way(stage)
    progress(4, 6, "提醒、查询与明文查看")
    tasks.remind_reviewers.work(at)
    looked_at(stage)
    progress(5, 6, "固化报表与月报")
    counted(stage)
    progress(6, 6)


class Stage:
    """Who reviews, and how he signs."""

    def __init__(self, passwords: dict[str, str], at: datetime) -> None:
        self.at = at
        self._passwords = passwords
        self._accounts = {
            account.username: account
            for account in Account.objects.filter(username__in=passwords).select_related(
                "institution"
            )
        }

    def account(self, username: str) -> Account:
        return self._accounts[username]

    def proof(self, username: str) -> Proof:
        return Proof(password=self._passwords[username])

    def reviewer_of(self, item: ReviewItem) -> str | None:
        """Who of the cast may decide, the nearest superior first."""
        for username in ("county", "city", "province", "commission"):
            try:
                services.require_reviewer(item=item, by=self.account(username))
            except Refusal:
                continue
            return username
        return None

    def opened(self, code: str, days_ago: int, days: int, title: str) -> ReviewCampaign | None:
        """Open a round in the past; nothing when this chapter opened it before."""
        when = self.at - timedelta(days=days_ago)
        institution = Institution.objects.get(code=code)
        if ReviewCampaign.objects.filter(institution=institution, title=title).exists():
            return None
        campaign, _ = services.open_campaign(
            institution=institution,
            year=clock.local_day(when).year,
            due_on=clock.local_day(when) + timedelta(days=days),
            by=self.account("province"),
            at=when,
            title=title,
        )
        services.call_up(campaign=campaign, at=when)
        return campaign

    def decide(
        self, item: ReviewItem, decision: Decision, when: datetime, reason: str = ""
    ) -> None:
        username = self.reviewer_of(item)
        if username is not None and not item.decision:
            services.decide(
                item=item,
                decision=decision,
                by=self.account(username),
                at=when,
                proof=self.proof(username),
                reason=reason,
            )


def last_year(stage: Stage) -> None:
    """Everybody of the city, then everybody else of the province, was kept; both are closed."""
    year = clock.local_day(stage.at).year - 1
    rounds = [
        stage.opened(CITY, 430, 45, f"{year} 年度西安市用户年审"),
        stage.opened(CENTRE, 430, 45, f"{year} 年度全省用户年审"),
    ]
    for campaign in filter(None, rounds):
        for item in campaign.items.open().select_related("account", "institution"):
            stage.decide(item, Decision.KEEP, stage.at - timedelta(days=415))
    services.suspend_overdue(at=stage.at - timedelta(days=300))
    for campaign in filter(None, rounds):
        services.close_campaign(
            campaign=campaign, by=stage.account("province"), at=stage.at - timedelta(days=380)
        )


def overdue_round(stage: Stage) -> None:
    """The unchanged were confirmed in bulk, one was disabled, two were forgotten and suspended."""
    campaign = stage.opened(CITY, 80, 40, "西安市用户年审（秋季）")
    if campaign is None:
        return
    items = list(campaign.items.open().select_related("account", "institution").order_by("pk"))
    shown = {one.username for one in shown_accounts()}
    forgotten = [item for item in items if item.account.username not in shown][-2:]
    reviewed = queries.last_powers([item.account_id for item in items])
    bulk: dict[str, list[ReviewItem]] = {}
    for item in items:
        username = stage.reviewer_of(item)
        if item in forgotten or username is None:
            continue
        obstacles = review.bulk_obstacles(
            reviewed=reviewed.get(item.account_id),
            now=snapshots.powers(item.snapshot),
            exceptions=snapshots.findings(item.snapshot),
        )
        if not obstacles:
            bulk.setdefault(username, []).append(item)
        else:
            stage.decide(item, Decision.KEEP, stage.at - timedelta(days=60), "核对无误，继续使用")
    for username, rows in bulk.items():
        services.confirm_in_bulk(
            items=rows,
            by=stage.account(username),
            at=stage.at - timedelta(days=62),
            proof=stage.proof(username),
        )
    services.suspend_overdue(at=stage.at - timedelta(days=8))
    if len(forgotten) == 2:
        first = ReviewItem.objects.select_related("account", "institution").get(pk=forgotten[0].pk)
        stage.decide(
            first, Decision.KEEP, stage.at - timedelta(days=6), "产假期间未及时年审，已返岗"
        )


def round_under_way(stage: Stage) -> None:
    """The province's round of this year: some are decided, some have not changed since last year
    and can be confirmed in bulk, several are odd."""
    year = clock.local_day(stage.at).year
    campaign = stage.opened(CENTRE, 22, 45, f"{year} 年度全省用户年审")
    if campaign is None:
        return
    items = list(campaign.items.open().select_related("account", "institution").order_by("pk"))
    decided = 0
    for item in items:
        if stage.reviewer_of(item) is None or item.snapshot["findings"]:
            continue
        stage.decide(item, Decision.KEEP, stage.at - timedelta(days=3, hours=decided))
        decided += 1
        if decided == 2:
            break


def looked_at(stage: Stage) -> None:
    """Somebody looked at a phone number in full; the auditor keeps the question at hand."""
    county, auditor = stage.account("county"), stage.account("auditor")
    if SavedSearch.objects.filter(account=auditor).exists():
        return
    staff = (
        Staff.objects.filter(institution__code="YTXZJZ").exclude(phone="").order_by("pk").first()
    )
    if staff is not None:
        with audit.origin(channel="web", address="10.61.13.8"):
            organisations.unmask_staff(
                staff=staff,
                fields=["phone"],
                by=county,
                at=stage.at - timedelta(hours=5),
                reason="冷链报警，需电话通知值班人员",
            )
    services.save_search(
        account=auditor,
        name="县级查看明文",
        query={"act": "audit.data.unmasked", "person": "county"},
        at=stage.at,
    )


def counted(stage: Stage) -> None:
    """Last month's figures are frozen, sent every month, and written into the sealed report."""
    by, month = stage.account("province"), last_month(clock.local_day(stage.at))
    if Snapshot.objects.filter(report=reports.REVIEWS.code).exists():
        return
    for report in (reports.REVIEWS, reports.ACTIVITY):
        kept = reporting.run_and_keep(
            report=report, parameters={"period": month}, by=by, at=stage.at
        )
        reporting.freeze(
            report=report, kept=kept, by=by, at=stage.at, name=f"{month} {report.title}"
        )
    reporting.subscribe(
        report=reports.REVIEWS,
        parameters={},
        frequency="monthly",
        hour=8,
        day=1,
        by=by,
        at=stage.at,
    )
    version = reporting.generate_document(
        kind=reports.MONTHLY, period=month, institution=by.institution, by=by, at=stage.at
    )
    reporting.write_text(
        version=version,
        section="plan",
        text="完成本年度用户年审，跟进逾期账号。",
        revision=0,
        by=by,
        at=stage.at,
    )
    reporting.seal_version(version=version, by=by, at=stage.at)


def last_month(today: date) -> str:
    return f"{today.replace(day=1) - timedelta(days=1):%Y-%m}"

"""Rounds of review (年审批次): opening, calling accounts up, ending."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

from django.db import IntegrityError, transaction

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.jobs.models import Run
from kangwei.kernel.jobs.services import start_run
from kangwei.kernel.organisations.models import Account, Institution
from kangwei.kernel.oversight import queries, snapshots
from kangwei.kernel.oversight.models import ReviewCampaign, ReviewEvent, ReviewItem
from kangwei.kernel.oversight.refusals import (
    AccountsStillOpen,
    CampaignAlreadyOpen,
    CampaignDates,
    CampaignNotOpen,
    ReasonMissing,
)
from kangwei.kernel.oversight.rules import review

CALL_UP_RUN = "oversight.call_up"
#: Accounts are called up in batches, each in a transaction of its own, so a kill loses one batch.
BATCH = 200


@transaction.atomic
def open_campaign(
    *,
    institution: Institution,
    year: int,
    due_on: date,
    by: Account,
    at: datetime,
    title: str = "",
    note: str = "",
) -> tuple[ReviewCampaign, Run]:
    """Begin a round over an institution and all below it; a worker then calls the accounts up."""
    today = clock.local_day(at)
    if due_on < today + review.NOTICE:
        raise CampaignDates(
            f"截止日期 {due_on} 距今天不足 {review.NOTICE.days} 天；"
            f"请改为 {today + review.NOTICE} 或更晚，给年审人留出时间。",
            field="due_on",
        )
    if due_on.year - year not in (0, 1):
        raise CampaignDates(f"截止日期 {due_on} 不在 {year} 年度内，请检查年度。", field="year")
    campaign = ReviewCampaign(
        title=title.strip() or f"{year} 年度{institution.short_name}用户年审",
        year=year,
        institution=institution,
        opens_on=today,
        due_on=due_on,
        note=note.strip(),
        created_at=at,
        created_by=by,
    )
    try:
        with transaction.atomic():
            campaign.save()
    except IntegrityError:
        raise CampaignAlreadyOpen(
            f"{institution} 已有进行中的 {year} 年度年审批次，请在该批次内继续，或先将其结束。",
            field="institution",
        ) from None
    run = start_run(
        kind=CALL_UP_RUN,
        title=f"纳入年审账号：{campaign.title}",
        by=by,
        at=at,
        arguments={"campaign": campaign.pk},
    )
    audit.record(
        act="oversight.campaign.opened",
        subject=campaign,
        by=by,
        at=at,
        detail={"due_on": due_on, "year": year},
    )
    return campaign, run


def call_up(
    *,
    campaign: ReviewCampaign,
    at: datetime,
    progress: Callable[[int, int, str], None] | None = None,
) -> int:
    """Call up every usable account below the campaign's institution; answers how many came in.

    An account that another round already asks about stays there: nobody is asked twice.
    """
    if campaign.state != ReviewCampaign.State.OPEN:
        return 0
    wanted = queries.accounts_to_call_up(campaign, at)
    called = 0
    for start in range(0, len(wanted), BATCH):
        if progress is not None:
            progress(start, len(wanted), f"已处理 {start} 个账号")
        called += _call_up_batch(campaign, wanted[start : start + BATCH], at)
    return called


@transaction.atomic
def _call_up_batch(campaign: ReviewCampaign, account_ids: Sequence[int], at: datetime) -> int:
    taken = snapshots.take_many(account_ids, at=at)
    confirmed = queries.last_confirmations(account_ids)
    superiors = queries.superiors({one["institution"]["id"] for one in taken.values()})
    items = []
    for account_id, snapshot in sorted(taken.items()):
        created_on = clock.local_day(datetime.fromisoformat(snapshot["created_at"]))
        last = confirmed.get(account_id)
        home = snapshot["institution"]["id"]
        items.append(
            ReviewItem(
                campaign=campaign,
                account_id=account_id,
                institution_id=home,
                reviewing_institution_id=superiors.get(home, home),
                due_on=review.due_on(
                    natural=review.natural_due_on(
                        created_on=created_on,
                        confirmed_on=clock.local_day(last) if last else None,
                    ),
                    opens_on=clock.local_day(at) if campaign.standing else campaign.opens_on,
                    campaign_due_on=campaign.due_on,
                ),
                called_at=at,
                snapshot=snapshot,
            )
        )
    # Two workers may call up the same accounts; the database keeps one open item each.
    ReviewItem.objects.bulk_create(items, ignore_conflicts=True)
    written = ReviewItem.objects.filter(campaign=campaign, account__in=account_ids, called_at=at)
    events = [
        ReviewEvent(
            item=item,
            kind=ReviewEvent.Kind.CALLED,
            occurred_at=at,
            by=campaign.created_by,
            detail={"due_on": item.due_on.isoformat()},
        )
        for item in written.filter(events=None)
    ]
    ReviewEvent.objects.bulk_create(events)
    if events:
        audit.record(
            act="oversight.accounts.called_up",
            subject=campaign,
            by=campaign.created_by,
            at=at,
            detail={"accounts": len(events)},
        )
    return len(events)


def call_up_due(*, at: datetime) -> int:
    """Call up accounts whose own year ends within the notice and whom no round asks about.

    They enter the standing round (日常年审) of the topmost institution above them, so every account
    is reviewed once a year also where nobody opens a campaign.
    """
    called = 0
    for root, year, account_ids in queries.accounts_due_without_round(at):
        campaign, made = ReviewCampaign.objects.get_or_create(
            institution_id=root.pk,
            year=year,
            standing=True,
            state=ReviewCampaign.State.OPEN,
            defaults={
                "title": f"{year} 年{root.short_name}日常年审",
                "opens_on": clock.local_day(at),
                "created_at": at,
            },
        )
        if made:
            with transaction.atomic():
                audit.record(act="oversight.campaign.opened", subject=campaign, at=at)
        for start in range(0, len(account_ids), BATCH):
            called += _call_up_batch(campaign, account_ids[start : start + BATCH], at)
    return called


@transaction.atomic
def close_campaign(*, campaign: ReviewCampaign, by: Account, at: datetime) -> ReviewCampaign:
    """End a round whose accounts are all decided or suspended."""
    campaign = _open(campaign)
    waiting = campaign.items.open().filter(suspended_at=None).count()
    if waiting:
        raise AccountsStillOpen(
            f"“{campaign.title}”还有 {waiting} 个账号未作结论；请完成年审，或等逾期暂停后再结束。"
        )
    return _end(campaign, ReviewCampaign.State.CLOSED, by=by, at=at, reason="")


@transaction.atomic
def cancel_campaign(
    *, campaign: ReviewCampaign, by: Account, at: datetime, reason: str
) -> ReviewCampaign:
    """Call a round off: accounts not yet decided leave it; decisions and suspensions stand."""
    campaign = _open(campaign)
    if not reason.strip():
        raise ReasonMissing("撤销年审批次须填写原因。", field="reason")
    items = list(campaign.items.open().filter(suspended_at=None).select_for_update())
    ReviewItem.objects.filter(pk__in=[item.pk for item in items]).update(withdrawn=True)
    ReviewEvent.objects.bulk_create(
        ReviewEvent(
            item=item, kind=ReviewEvent.Kind.WITHDRAWN, occurred_at=at, by=by, reason=reason.strip()
        )
        for item in items
    )
    return _end(campaign, ReviewCampaign.State.CANCELLED, by=by, at=at, reason=reason.strip())


def _open(campaign: ReviewCampaign) -> ReviewCampaign:
    locked = ReviewCampaign.objects.select_for_update().get(pk=campaign.pk)
    if locked.state != ReviewCampaign.State.OPEN:
        raise CampaignNotOpen(f"“{locked.title}”{locked.get_state_display()}，不能再操作。")
    return locked


def _end(
    campaign: ReviewCampaign, state: str, *, by: Account, at: datetime, reason: str
) -> ReviewCampaign:
    campaign.state, campaign.ended_at, campaign.ended_by = state, at, by
    campaign.end_reason = reason
    campaign.save(update_fields=["state", "ended_at", "ended_by", "end_reason"])
    audit.record(act=f"oversight.campaign.{state}", subject=campaign, by=by, at=at, reason=reason)
    return campaign

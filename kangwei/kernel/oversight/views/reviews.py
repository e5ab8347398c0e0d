"""Pages of the account review (用户年审): rounds, my work list, the sheet of one account."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from kangwei.kernel import clock
from kangwei.kernel.organisations.models import Account, Institution, Scope
from kangwei.kernel.oversight import queries, services, snapshots, words
from kangwei.kernel.oversight.forms import CampaignForm, DecisionForm, ItemFilter
from kangwei.kernel.oversight.models import REVIEW_RIGHT, VIEW_RIGHT, ReviewCampaign, ReviewItem
from kangwei.kernel.oversight.rules import review
from kangwei.kernel.oversight.rules.review import Decision, Finding, State
from kangwei.kernel.oversight.services import Proof
from kangwei.kernel.refusals import NotFound, Refusal
from kangwei.kernel.screens.pages import page, work_page

PAGE = 50
#: Institutions named in the preview of a data scope; the rest is a number.
PREVIEWED = 12


def me(request: HttpRequest) -> Account:
    return cast(Account, request.user)


def the_campaign(request: HttpRequest, pk: int) -> ReviewCampaign:
    found = (
        ReviewCampaign.objects.visible_to(request.user)
        .select_related("institution", "created_by", "ended_by")
        .filter(pk=pk)
        .first()
    )
    if found is None:
        raise NotFound("没有找到该年审批次，或它不在您的数据范围内。")
    return found


def the_item(request: HttpRequest, pk: int) -> ReviewItem:
    found = (
        ReviewItem.objects.visible_to(request.user)
        .select_related(
            "account__institution", "institution", "reviewing_institution", "campaign", "decided_by"
        )
        .filter(pk=pk)
        .first()
    )
    if found is None:
        raise NotFound("没有找到该年审账号，或它不在您的数据范围内。")
    return found


def lines(items: Any, today: Any) -> list[dict[str, Any]]:
    """Items as rows of a table."""
    return [
        {
            "item": item,
            "name": item.snapshot["name"],
            "username": item.snapshot["username"],
            "grants": item.snapshot["grants"],
            "findings": words.finding_words(item.snapshot),
            "last": item.snapshot.get("last_sign_in_at") or "",
            "state": words.state_badge(item.state_on(today)),
        }
        for item in items
    ]


# Rounds -----------------------------------------------------------------------------------------


@work_page(right=VIEW_RIGHT)
@require_GET
def campaigns(request: HttpRequest) -> HttpResponse:
    today = clock.local_day(clock.now())
    rounds = ReviewCampaign.objects.visible_to(request.user).select_related("institution")
    shown = Paginator(rounds, 20).get_page(request.GET.get("page"))
    visible = ReviewItem.objects.visible_to(request.user)
    rows = []
    for campaign in shown:
        counts = queries.counts_by_state(visible.filter(campaign=campaign), today)
        rows.append((campaign, queries.Progress(campaign.title, None, counts)))
    return page(
        request,
        "oversight/campaigns.html",
        {
            "rows": rows,
            "shown": shown,
            "may_open": me(request).has_perm("oversight.manage_campaign"),
        },
        title="用户年审",
    )


@work_page(right="oversight.manage_campaign")
def open_campaign(request: HttpRequest) -> HttpResponse:
    at = clock.now()
    form = CampaignForm(request.POST or None, by=me(request), at=at)
    if request.method == "POST" and form.is_valid():
        try:
            campaign, _ = services.open_campaign(**form.cleaned_data, by=me(request), at=at)
        except Refusal as refusal:
            form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        else:
            messages.success(
                request, f"已发起“{campaign.title}”，正在后台纳入账号，稍后刷新即可看到。"
            )
            return HttpResponseRedirect(reverse("oversight:campaign", args=[campaign.pk]))
    return page(request, "oversight/campaign_new.html", {"form": form}, title="发起用户年审")


@work_page(right=VIEW_RIGHT)
@require_GET
def campaign(request: HttpRequest, pk: int) -> HttpResponse:
    today = clock.local_day(clock.now())
    found = the_campaign(request, pk)
    visible = ReviewItem.objects.visible_to(request.user).filter(campaign=found)
    filtered, form = filter_items(request, visible, today)
    shown = Paginator(
        filtered.select_related("institution", "reviewing_institution", "decided_by"), PAGE
    ).get_page(request.GET.get("page"))
    counts = queries.counts_by_state(visible, today)
    progress = queries.progress_by_institution(visible, today)
    return page(
        request,
        "oversight/campaign.html",
        {
            "campaign": found,
            "form": form,
            "rows": lines(shown, today),
            "shown": shown,
            "whole": queries.Progress(found.title, None, counts),
            "figures": [
                (review.STATE_WORDS[state], counts[state], words.STATE_TONES[state], state.value)
                for state in State
            ],
            "progress": progress,
            "may_manage": me(request).has_perm("oversight.manage_campaign", found),
            "is_open": found.state == ReviewCampaign.State.OPEN,
        },
        title=found.title,
    )


def filter_items(
    request: HttpRequest, items: QuerySet[ReviewItem], today: Any
) -> tuple[QuerySet[ReviewItem], ItemFilter]:
    """The items the query bar asks for."""
    form = ItemFilter(request.GET)
    items = items.filter(withdrawn=False)
    if form.is_valid():
        asked = form.cleaned_data
        if asked["state"]:
            items = items.in_state(State(asked["state"]), today)  # type: ignore[attr-defined]
        if asked["finding"] == "any":
            items = queries.with_findings(items)
        elif asked["finding"]:
            items = items.filter(snapshot__findings__contains=[asked["finding"]])
        if asked["institution"]:
            items = items.filter(institution=asked["institution"])
        if asked["q"]:
            items = items.filter(
                Q(snapshot__name__icontains=asked["q"])
                | Q(snapshot__username__icontains=asked["q"])
            )
    return items.order_by("due_on", "institution_id", "pk"), form


@work_page(right="oversight.manage_campaign")
@require_POST
def end_campaign(request: HttpRequest, pk: int) -> HttpResponse:
    """Close a finished round, or call one off with a reason."""
    found = the_campaign(request, pk)
    if not me(request).has_perm("oversight.manage_campaign", found):
        raise NotFound("该年审批次不在您的管理范围内。")
    if request.POST.get("how") == "cancel":
        services.cancel_campaign(
            campaign=found, by=me(request), at=clock.now(), reason=request.POST.get("reason", "")
        )
        messages.success(request, f"已撤销“{found.title}”。")
    else:
        services.close_campaign(campaign=found, by=me(request), at=clock.now())
        messages.success(request, f"已结束“{found.title}”。")
    return HttpResponseRedirect(reverse("oversight:campaign", args=[pk]))


# My work ----------------------------------------------------------------------------------------


@work_page(right=REVIEW_RIGHT)
@require_GET
def mine(request: HttpRequest) -> HttpResponse:
    """What waits for my decision, most urgent first; unchanged accounts can be ticked."""
    today = clock.local_day(clock.now())
    waiting = queries.work_list(me(request))
    filtered, form = filter_items(request, waiting, today)
    shown = Paginator(filtered, PAGE).get_page(request.GET.get("page"))
    reviewed = queries.last_powers([item.account_id for item in shown])
    rows = lines(shown, today)
    for row in rows:
        item = row["item"]
        row["obstacles"] = review.bulk_obstacles(
            reviewed=reviewed.get(item.account_id),
            now=snapshots.powers(item.snapshot),
            exceptions=snapshots.findings(item.snapshot),
        ) + (["已逾期暂停"] if item.suspended_at else [])
    counts = queries.counts_by_state(waiting, today)
    return page(
        request,
        "oversight/mine.html",
        {
            "rows": rows,
            "shown": shown,
            "form": form,
            "counts": counts,
            "total": sum(counts.values()),
        },
        title="我的年审",
    )


@sensitive_post_parameters("password", "code")
@work_page(right=REVIEW_RIGHT)
@require_POST
def confirm(request: HttpRequest) -> HttpResponse:
    """Confirm the ticked accounts with one entry of the password."""
    ticked = [int(pk) for pk in request.POST.getlist("item") if pk.isdigit()]
    items = list(queries.work_list(me(request)).filter(pk__in=ticked))
    if len(items) != len(set(ticked)):
        raise Refusal("所选账号中有的已由他人审核或不在您的年审范围内；请刷新页面后重新勾选。")
    done = services.confirm_in_bulk(
        items=items,
        by=me(request),
        at=clock.now(),
        proof=Proof(request.POST.get("password", ""), request.POST.get("code", "").strip()),
    )
    messages.success(request, f"已确认保留 {len(done)} 个账号。")
    return HttpResponseRedirect(reverse("oversight:mine"))


# One account ------------------------------------------------------------------------------------


@sensitive_post_parameters("password", "code")
@work_page(right=VIEW_RIGHT)
def sheet(request: HttpRequest, pk: int) -> HttpResponse:
    """All a reviewer needs to know of one account, and the decision with its signature."""
    at = clock.now()
    item = the_item(request, pk)
    grants = [
        (grant.pk, snapshots.grant_words(grant))
        for grant in item.account.grants.in_force(at)
        .select_related("role")
        .prefetch_related("institutions", "regions")
    ]
    form = DecisionForm(request.POST or None, grants=grants, by=me(request))
    if request.method == "POST" and form.is_valid():
        try:
            services.decide(
                item=item,
                decision=Decision(form.cleaned_data["decision"]),
                by=me(request),
                at=at,
                proof=form.proof,
                reason=form.cleaned_data["reason"],
                change=form.change,
            )
        except Refusal as refusal:
            field = refusal.field if refusal.field in form.fields else None
            form.add_error(field, refusal.message)
        else:
            messages.success(request, f"{item.snapshot['name']} 的年审结论已签名保存。")
            following = queries.work_list(me(request)).first()
            if following is not None:
                return HttpResponseRedirect(reverse("oversight:sheet", args=[following.pk]))
            return HttpResponseRedirect(reverse("oversight:mine"))
    context = sheet_context(item, at)
    return page(
        request,
        "oversight/sheet.html",
        {**context, "form": form, "may_decide": may_decide(item, me(request))},
        title=f"账号年审：{item.snapshot['name']}",
    )


def may_decide(item: ReviewItem, by: Account) -> bool:
    if item.decision or item.withdrawn or not by.has_perm(REVIEW_RIGHT):
        return False
    try:
        services.require_reviewer(item=item, by=by)
    except Refusal:
        return False
    return True


def sheet_context(item: ReviewItem, at: Any) -> dict[str, Any]:
    """The account as it stands now, or as the reviewer left it."""
    now = item.decided_snapshot or snapshots.take(item.account, at=at)
    before = queries.last_review(item.account_id, before=item.decided_at)
    difference = queries.differences(item, now)
    changed = set()
    if difference is not None:
        changed = {*difference.rights_added, *difference.rights_removed}
    rights = words.rights_words({*now["rights"], *changed})
    scope = Scope.union(grant.scope for grant in item.account.access.grants)
    reached = scope.limit(Institution.objects.open_on(clock.local_day(at)), "pk")
    return {
        "item": item,
        "now": now,
        "before": before,
        "difference": difference,
        "rights_added": [rights[one] for one in difference.rights_added] if difference else [],
        "rights_removed": [rights[one] for one in difference.rights_removed] if difference else [],
        "rights": [rights[one] for one in now["rights"]],
        "findings": [review.FINDING_WORDS[Finding(one)] for one in now["findings"]],
        "state": words.state_badge(item.state_on(clock.local_day(at))),
        "reached": list(reached.order_by("region_id", "code")[:PREVIEWED]),
        "reached_total": reached.count(),
        "sign_ins": item.account.sign_ins.order_by("-at", "-pk")[:6],
        "history": queries.history(item.account_id)[:20],
        "signature_holds": services.signature_holds(item) if item.decision else None,
        "decision": review.DECISION_WORDS[Decision(item.decision)] if item.decision else "",
    }


@work_page(right=VIEW_RIGHT)
@require_GET
def print_sheet(request: HttpRequest, pk: int) -> HttpResponse:
    """The signed sheet on paper."""
    at = clock.now()
    item = the_item(request, pk)
    return page(
        request,
        "oversight/sheet_print.html",
        {**sheet_context(item, at), "printed_at": at},
        title="用户年审表",
    )


# Lists across rounds ----------------------------------------------------------------------------


@work_page(right=VIEW_RIGHT)
@require_GET
def exceptions(request: HttpRequest) -> HttpResponse:
    """Accounts that deserve a closer look, in all open rounds."""
    today = clock.local_day(clock.now())
    asked = ReviewItem.objects.visible_to(request.user).filter(
        campaign__state=ReviewCampaign.State.OPEN
    )
    odd = queries.with_findings(asked)
    filtered, form = filter_items(request, odd, today)
    shown = Paginator(filtered.select_related("institution", "campaign"), PAGE).get_page(
        request.GET.get("page")
    )
    tabs: list[tuple[str, str, bool, int]] = [
        ("全部", "?", not request.GET.get("finding"), odd.count())
    ]
    for finding in Finding:
        count = odd.filter(snapshot__findings__contains=[finding.value]).count()
        lit = request.GET.get("finding") == finding.value
        if count or lit:
            title = review.FINDING_WORDS[finding]
            tabs.append((title, f"?finding={finding.value}", lit, count))
    return page(
        request,
        "oversight/exceptions.html",
        {"rows": lines(shown, today), "shown": shown, "form": form, "tabs": tabs},
        title="年审例外",
    )


@work_page(right=VIEW_RIGHT)
@require_GET
def overdue(request: HttpRequest) -> HttpResponse:
    """Accounts past their date, and those already suspended."""
    today = clock.local_day(clock.now())
    late = ReviewItem.objects.visible_to(request.user).open().filter(due_on__lt=today)
    shown = Paginator(
        late.select_related("institution", "reviewing_institution", "campaign").order_by("due_on"),
        PAGE,
    ).get_page(request.GET.get("page"))
    rows = lines(shown, today)
    for row in rows:
        row["days"] = (today - row["item"].due_on).days
        row["suspended_on"] = row["item"].due_on + review.GRACE
    return page(request, "oversight/overdue.html", {"rows": rows, "shown": shown}, title="逾期账号")


@work_page(right=VIEW_RIGHT)
@require_GET
def history(request: HttpRequest, account_id: int) -> HttpResponse:
    """Every review of one account, and every event in them."""
    items = (
        ReviewItem.objects.visible_to(request.user)
        .filter(account=account_id)
        .select_related("campaign", "decided_by", "institution", "reviewing_institution")
        .order_by("-called_at")
    )
    if not items:
        raise NotFound("该账号没有年审记录，或不在您的数据范围内。")
    today = clock.local_day(clock.now())
    return page(
        request,
        "oversight/history.html",
        {
            "rows": lines(items, today),
            "entries": [
                {
                    "at": event.occurred_at,
                    "title": event.get_kind_display(),
                    "by": str(event.by or "系统"),
                    "note": "　".join(
                        filter(None, [str(event.item.campaign), decision_of(event), event.reason])
                    ),
                }
                for event in queries.history(account_id)
            ],
        },
        title=f"年审历史：{items[0].snapshot['name']}",
    )


def decision_of(event: Any) -> str:
    decided = event.detail.get("decision")
    return f"结论：{review.DECISION_WORDS[Decision(decided)]}" if decided else ""

"""What administrators set up: channels, texts, rosters, policies, the watch (通知配置)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.forms import formset_factory
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from kangwei.kernel import clock
from kangwei.kernel.notices import queries, registry, services
from kangwei.kernel.notices.forms import (
    ChannelForm,
    KindForm,
    LineForm,
    PolicyForm,
    RosterForm,
    SubstitutionForm,
    TemplateForm,
    TestForm,
    WatchForm,
    levels_of,
    lines_of,
    secret_word,
    target_choices,
)
from kangwei.kernel.notices.models import (
    Attempt,
    Channel,
    ChannelKind,
    DutyRoster,
    EscalationPolicy,
    RosterTurn,
    Substitution,
    TemplateVersion,
    Watch,
)
from kangwei.kernel.notices.registry import Words
from kangwei.kernel.notices.rules.texts import as_html
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.queries import one
from kangwei.kernel.organisations.views.acting import act, me
from kangwei.kernel.refusals import Refusal
from kangwei.kernel.screens import locking
from kangwei.kernel.screens.pages import page, work_page

CHANNEL, ROSTER, POLICY = (
    "notices.manage_channel",
    "notices.manage_dutyroster",
    "notices.manage_escalationpolicy",
)

# --- channels --------------------------------------------------------------------------------


@work_page(right="notices.view_channel")
def channel(request: HttpRequest, pk: int) -> HttpResponse:
    rows = Channel.objects.visible_to(request.user).select_related(
        "health", "fallback", "institution"
    )
    row = one(rows, pk)
    context = {
        "row": row,
        "pairs": [
            ("类型", f"{row.get_kind_display()} {row.proof}"),
            ("所属机构", row.institution or "全平台"),
            ("服务地址", row.address),
            ("每分钟上限", f"{row.per_minute} 次"),
            ("备用渠道", row.fallback or ""),
            ("渠道负责人", "、".join(str(person) for person in row.keepers.all())),
            ("已保存的密钥", "、".join(map(secret_word, row.secret_names()))),
            ("最近测试成功", row.health.tested_at),
            ("连续失败", f"{row.health.failures} 次"),
            ("限流至", row.health.muted_until),
            ("最近错误", row.health.last_error),
        ],
        "attempts": Attempt.objects.filter(channel=row)
        .select_related("delivery", "delivery__notice")
        .order_by("-at")[:20],
        "may_manage": request.user.has_perm(CHANNEL, row),
        "test": queries.test_delivery(row),
        "test_form": TestForm(),
    }
    return page(request, "notices/channel.html", context, title=row.name)


@work_page(right=CHANNEL)
def new_channel(request: HttpRequest) -> HttpResponse:
    """Two steps: the kind decides what is asked."""
    kind, preset = request.GET.get("kind", ""), request.GET.get("preset", "")
    if kind in ChannelKind.values and kind != ChannelKind.INAPP:
        return _edit_channel(request, Channel(kind=kind), preset)
    context = {"form": KindForm(), "back": reverse("admin:notices_channel_changelist")}
    return page(request, "notices/channel_kind.html", context, title="新增通知渠道")


@work_page(right=CHANNEL)
def change_channel(request: HttpRequest, pk: int) -> HttpResponse:
    row = one(Channel.objects.reached_by(request.user, CHANNEL), pk)
    return _edit_channel(request, row, "")


def _edit_channel(request: HttpRequest, row: Channel, preset: str) -> HttpResponse:
    form = ChannelForm(
        request.POST or None, instance=row, user=me(request), kind=row.kind, preset=preset
    )

    def do(found: dict[str, Any]) -> HttpResponse:
        saved = services.save_channel(
            channel=form.instance,
            secrets=form.typed_secrets(),
            keepers=found["keepers"],
            by=me(request),
            at=clock.now(),
        )
        messages.success(request, "渠道已保存，请发送测试消息确认。")
        return HttpResponseRedirect(reverse("notices:channel", args=[saved.pk]))

    back = (
        reverse("notices:channel", args=[row.pk])
        if row.pk
        else reverse("admin:notices_channel_changelist")
    )
    title = f"修改渠道 {row.name}" if row.pk else f"新增{row.get_kind_display()}渠道"
    return act(
        request,
        form,
        title=title,
        do=do,
        changes=row if row.pk else None,
        beside=[Channel.keepers.through.objects.filter(channel=row.pk)],
        back=back,
        intro=row.proof,
    )


@work_page(right=CHANNEL)
@require_POST
def test_channel(request: HttpRequest, pk: int) -> HttpResponse:
    row = one(Channel.objects.reached_by(request.user, CHANNEL), pk)
    services.test_channel(
        channel=row, recipient=request.POST.get("recipient", ""), by=me(request), at=clock.now()
    )
    return HttpResponseRedirect(reverse("notices:channel", args=[pk]))


# --- texts -----------------------------------------------------------------------------------


@work_page(right="notices.view_template")
def templates(request: HttpRequest) -> HttpResponse:
    rows = [(found, *queries.current_words(found)) for found in registry.templates().values()]
    return page(request, "notices/templates.html", {"rows": rows}, title="通知模板")


@work_page(right="notices.view_template")
def template(request: HttpRequest, code: str) -> HttpResponse:
    found = queries.template(code)
    number, words = queries.current_words(found)
    versions = TemplateVersion.objects.filter(template=code).select_related("created_by")
    chosen = request.GET.get("version", "")
    if chosen.isdigit() and int(chosen) != number:
        earlier = versions.filter(number=int(chosen)).first()
        words = Words(earlier.title, earlier.body, earlier.short) if earlier else found.words
        number = int(chosen) if earlier else 0
    rendered = found.render(words, found.sample())
    context = {
        "found": found,
        "number": number,
        "words": words,
        "rendered": rendered,
        "body": as_html(rendered.body),
        "versions": versions,
        "may_manage": request.user.has_perm("notices.manage_template"),
    }
    return page(request, "notices/template.html", context, title=found.name)


@work_page(right="notices.manage_template")
def change_template(request: HttpRequest, code: str) -> HttpResponse:
    found = queries.template(code)
    _, words = queries.current_words(found)
    form = TemplateForm(
        request.POST or None,
        initial={"title": words.title, "body": words.body, "short": words.short},
    )

    def do(typed: dict[str, Any]) -> str:
        version = services.edit_template(code=code, by=me(request), at=clock.now(), **typed)
        return f"已保存为第 {version.number} 版，之后的通知使用新文字。"

    known = "、".join(f"{{{{ {v.name} }}}} {v.title}" for v in found.all_variables)
    back = reverse("notices:template", args=[code])
    return act(
        request, form, title=f"修改模板 {found.name}", do=do, back=back, intro=f"可用变量：{known}"
    )


# --- rosters ---------------------------------------------------------------------------------


def _month(request: HttpRequest) -> date:
    try:
        return (
            datetime.strptime(request.GET.get("month", ""), "%Y-%m")
            .replace(tzinfo=clock.SHANGHAI)
            .date()
        )
    except ValueError:
        return clock.local_day(clock.now()).replace(day=1)


@work_page(right="notices.view_dutyroster")
def roster(request: HttpRequest, pk: int) -> HttpResponse:
    """The month as a calendar: who takes over on each day, rest days marked."""
    row = one(DutyRoster.objects.visible_to(request.user).select_related("institution"), pk)
    first = _month(request)
    following = (first + timedelta(days=32)).replace(day=1)
    start = first - timedelta(days=first.weekday())
    weeks = -(-((following - start).days) // 7)
    days = queries.duty_days(row, start, weeks * 7)
    wanted = {n for day in days if day.duty for n in (day.duty.person, day.duty.turn_of)}
    names = {account.pk: account.name for account in Account.objects.filter(pk__in=wanted)}
    cells = [
        {
            "day": item.day,
            "inside": item.day.month == first.month,
            "working": item.working,
            "person": names.get(item.duty.person, "") if item.duty else "",
            "instead_of": names.get(item.duty.turn_of, "")
            if item.duty and item.duty.person != item.duty.turn_of
            else "",
            "reason": item.duty.reason if item.duty else "无人值班",
        }
        for item in days
    ]
    now = queries.duty(row, clock.now())
    context = {
        "row": row,
        "weeks": [cells[n : n + 7] for n in range(0, len(cells), 7)],
        "first": first,
        "before": (first - timedelta(days=1)).strftime("%Y-%m"),
        "after": following.strftime("%Y-%m"),
        "today": clock.local_day(clock.now()),
        "on_duty": Account.objects.filter(pk=now.person).first() if now else None,
        "substitutions": row.substitutions.select_related(
            "absent", "stands_in", "created_by"
        ).order_by("-start")[:30],
        "turns": row.turns.select_related("account"),
        "has_rest_days": row.turns.filter(rest_days=True).exists(),
        "may_manage": request.user.has_perm(ROSTER, row),
    }
    return page(request, "notices/roster.html", context, title=f"值班表 {row.name}")


@work_page(right=ROSTER)
def edit_roster(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    reached = DutyRoster.objects.reached_by(request.user, ROSTER)
    row = DutyRoster() if pk is None else one(reached, pk)
    form = RosterForm(request.POST or None, instance=row, user=me(request))

    def do(found: dict[str, Any]) -> HttpResponse:
        saved = services.save_roster(
            roster=form.instance,
            members=found["members"],
            rest_day_members=found["rest_day_members"],
            by=me(request),
            at=clock.now(),
        )
        messages.success(request, "值班表已保存。")
        return HttpResponseRedirect(reverse("notices:roster", args=[saved.pk]))

    back = (
        reverse("notices:roster", args=[pk])
        if pk
        else reverse("admin:notices_dutyroster_changelist")
    )
    return act(
        request,
        form,
        title="修改值班表" if pk else "新增值班表",
        do=do,
        changes=row if pk else None,
        beside=[RosterTurn.objects.filter(roster=pk)],
        back=back,
    )


@work_page(right=ROSTER)
def add_substitution(request: HttpRequest, pk: int) -> HttpResponse:
    row = one(DutyRoster.objects.reached_by(request.user, ROSTER), pk)
    form = SubstitutionForm(request.POST or None, roster=row)

    def do(found: dict[str, Any]) -> str:
        services.add_substitution(roster=row, by=me(request), at=clock.now(), **found)
        return "替班已登记。"

    back = reverse("notices:roster", args=[pk])
    return act(request, form, title=f"登记替班 · {row.name}", do=do, back=back)


@work_page(right=ROSTER)
@require_POST
def cancel_substitution(request: HttpRequest, pk: int) -> HttpResponse:
    rosters = DutyRoster.objects.reached_by(request.user, ROSTER)
    row = one(Substitution.objects.filter(roster__in=rosters), pk)
    services.cancel_substitution(substitution=row, by=me(request), at=clock.now())
    messages.success(request, "替班已撤销。")
    return HttpResponseRedirect(reverse("notices:roster", args=[row.roster_id]))


# --- policies --------------------------------------------------------------------------------


@work_page(right="notices.view_escalationpolicy")
def policy(request: HttpRequest, pk: int) -> HttpResponse:
    row = one(EscalationPolicy.objects.visible_to(request.user), pk)
    levels = row.levels.prefetch_related(
        "targets__account", "targets__role", "targets__roster", "targets__channel",
        "targets__institution",
    )  # fmt: skip
    context = {
        "row": row,
        "levels": [(level, [ChannelKind(kind).label for kind in level.kinds]) for level in levels],
        "may_manage": request.user.has_perm(POLICY, row),
        "pairs": [
            ("策略代码", row.code),
            ("所属机构", row.institution or "全平台"),
            ("通知级别", row.get_priority_display()),
            ("认领时限", f"{row.acknowledged_for} 分钟"),
            ("重复提醒", f"每 {row.repeat_every} 分钟" if row.repeat_every else "不重复"),
            ("结束时通知", "是" if row.tell_end else "否"),
            ("状态", "启用" if row.enabled else "停用"),
            ("版本", row.version),
        ],
    }
    return page(request, "notices/policy.html", context, title=row.name)


@work_page(right=POLICY)
def edit_policy(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """The ladder is edited line by line; lines of the same minute are one level."""
    reached = EscalationPolicy.objects.reached_by(request.user, POLICY)
    row = EscalationPolicy() if pk is None else one(reached, pk)
    lines_class = formset_factory(LineForm, extra=3 if pk else 5, max_num=30)
    form = PolicyForm(request.POST or None, instance=row, user=me(request))
    lines: Any = lines_class(
        request.POST or None,
        prefix="lines",
        initial=lines_of(row) if pk else [],
        form_kwargs={"choices": target_choices(me(request))},
    )
    seen = request.POST.get(locking.FIELD, "")
    if request.method == "POST" and form.is_valid() and lines.is_valid():
        try:
            with transaction.atomic():
                if pk:  # a saved ladder has a new version, so its lines need no look of their own
                    locking.refuse_if_changed(row, seen)
                saved = services.save_policy(
                    policy=form.instance,
                    levels=levels_of([line.cleaned_data for line in lines]),
                    by=me(request),
                    at=clock.now(),
                )
        except Refusal as refusal:
            form.add_error(None, refusal.message)
        else:
            messages.success(request, f"升级策略已保存为第 {saved.version} 版。")
            return HttpResponseRedirect(reverse("notices:policy", args=[saved.pk]))
    context = {
        "form": form,
        "lines": lines,
        "version_field": locking.FIELD,
        "version": pk and (seen or locking.version(row)),
        "back": reverse("notices:policy", args=[pk])
        if pk
        else reverse("admin:notices_escalationpolicy_changelist"),
    }
    wrong = form.is_bound and (form.errors or not lines.is_valid())
    title = f"修改策略 {row.name}" if pk else "新增升级策略"
    return page(
        request, "notices/policy_edit.html", context, title=title, status=422 if wrong else 200
    )


# --- watch -----------------------------------------------------------------------------------


@work_page(right="notices.manage_watch")
def watch(request: HttpRequest) -> HttpResponse:
    row, _ = Watch.objects.get_or_create(pk=1)
    form = WatchForm(
        request.POST or None,
        user=me(request),
        initial={"all_quiet": row.all_quiet, "channels": row.channels.all()},
    )

    def do(found: dict[str, Any]) -> str:
        url = "" if found["stop_heartbeat"] else found["heartbeat_url"] or None
        services.save_watch(
            heartbeat_url=url,
            all_quiet=found["all_quiet"],
            channels=list(found["channels"]),
            by=me(request),
            at=clock.now(),
        )
        return "守望设置已保存。"

    beat = "未设置心跳地址。"
    if row.heartbeat_url and row.heartbeat_at:
        told = "成功" if row.heartbeat_ok else f"失败（{row.heartbeat_note}）"
        moment = row.heartbeat_at.astimezone(clock.SHANGHAI)
        beat = f"最近一次心跳 {moment:%Y-%m-%d %H:%M}，{told}。"
    elif row.heartbeat_url:
        beat = "心跳地址已设置，尚未发送。"
    back = reverse("notices:watch")
    return act(request, form, title="守望设置", do=do, back=back, intro=beat)

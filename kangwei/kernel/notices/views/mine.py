"""What is one's own: inbox, bell, addresses, preferences, quiet hours (我的消息)."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from kangwei.kernel import clock
from kangwei.kernel.notices import queries, services
from kangwei.kernel.notices.forms import AddressForm, PreferencesForm, QuietForm, VerifyForm
from kangwei.kernel.notices.models import Address, ChannelPreference, Priority, QuietHours
from kangwei.kernel.notices.rules.texts import as_html
from kangwei.kernel.organisations.queries import one
from kangwei.kernel.organisations.views.acting import act, me
from kangwei.kernel.screens.pages import page, work_page


@work_page()
def inbox(request: HttpRequest) -> HttpResponse:
    account = me(request)
    rows = queries.inbox(account)
    unread, priority = request.GET.get("unread") == "1", request.GET.get("priority", "")
    words = request.GET.get("q", "").strip()
    if unread:
        rows = rows.filter(read_at=None)
    if priority.isdigit():
        rows = rows.filter(priority=int(priority))
    if words:
        rows = rows.filter(notice__title__icontains=words)
    context = {
        "rows": Paginator(rows, 20).get_page(request.GET.get("page")),
        "unread": unread,
        "priority": priority,
        "priorities": [(str(value), label) for value, label in Priority.choices],
        "words": words,
        "unread_count": queries.unread_count(account),
    }
    return page(request, "notices/inbox.html", context, title="我的消息")


@work_page()
def message(request: HttpRequest, pk: str) -> HttpResponse:
    """One message; opening it is reading it."""
    account = me(request)
    row = one(queries.inbox(account), pk)
    services.mark_read(account=account, at=clock.now(), delivery=row)
    body = as_html(row.notice.body)
    return page(request, "notices/message.html", {"row": row, "body": body}, title=row.notice.title)


@work_page()
@require_POST
def read_all(request: HttpRequest) -> HttpResponse:
    count = services.mark_read(account=me(request), at=clock.now())
    messages.success(request, f"已将 {count} 条消息标为已读。")
    return HttpResponseRedirect(reverse("notices:inbox"))


@work_page()
def bell(request: HttpRequest) -> HttpResponse:
    """The shell's bell: how many are unread, and the latest five."""
    account = me(request)
    rows = queries.inbox(account)
    context = {"unread": rows.filter(read_at=None).count(), "latest": rows[:5]}
    return render(request, "notices/bell.html", context)


@work_page()
def settings(request: HttpRequest) -> HttpResponse:
    account = me(request)
    quiet = QuietHours.objects.filter(account=account).first()
    chosen = {row.priority: row.kinds for row in ChannelPreference.objects.filter(account=account)}
    initial: dict[str, Any] = {}
    if quiet is not None:
        names = ("start", "end", "rest_days", "break_from", "action")
        initial = {name: getattr(quiet, name) for name in names}
    at = clock.now()
    rows = list(Address.objects.filter(account=account))
    context = {
        "addresses": [
            (row, queries.code_delivery(row) if row.code_until and row.code_until > at else None)
            for row in rows
        ],
        "verify_form": VerifyForm(),
        "preferences": PreferencesForm(chosen=chosen),
        "quiet_form": QuietForm(initial=initial),
        "quiet": quiet,
    }
    return page(request, "notices/settings.html", context, title="通知设置")


def _back() -> str:
    return reverse("notices:settings")


@work_page()
def add_address(request: HttpRequest) -> HttpResponse:
    account = me(request)

    def do(found: dict[str, Any]) -> str:
        services.add_address(
            account=account, kind=found["kind"], value=found["value"], by=account, at=clock.now()
        )
        return "地址已登记，请获取验证码完成验证。"

    form = AddressForm(request.POST or None)
    return act(request, form, title="登记通知地址", do=do, back=_back())


def _own(request: HttpRequest, pk: int) -> Address:
    return one(Address.objects.filter(account=me(request)).select_related("account"), pk)


@work_page()
@require_POST
def ask_for_code(request: HttpRequest, pk: int) -> HttpResponse:
    services.ask_for_code(address=_own(request, pk), at=clock.now())
    return HttpResponseRedirect(_back())


@work_page()
@require_POST
def confirm_address(request: HttpRequest, pk: int) -> HttpResponse:
    code = request.POST.get("code", "")
    answer = services.confirm_address(address=_own(request, pk), code=code, at=clock.now())
    (messages.success if answer.verified else messages.error)(request, answer.message)
    return HttpResponseRedirect(_back())


@work_page()
@require_POST
def remove_address(request: HttpRequest, pk: int) -> HttpResponse:
    services.remove_address(address=_own(request, pk), by=me(request), at=clock.now())
    messages.success(request, "地址已删除。")
    return HttpResponseRedirect(_back())


@work_page()
@require_POST
def preferences(request: HttpRequest) -> HttpResponse:
    form = PreferencesForm(request.POST, chosen={})
    if form.is_valid():
        account = me(request)
        services.set_preferences(account=account, kinds=form.kinds(), by=account, at=clock.now())
        messages.success(request, "接收方式已保存。")
    else:
        messages.error(request, "接收方式有误，请重新勾选。")
    return HttpResponseRedirect(_back())


@work_page()
@require_POST
def quiet_hours(request: HttpRequest) -> HttpResponse:
    form = QuietForm(request.POST)
    if form.is_valid():
        account = me(request)
        services.set_quiet_hours(account=account, by=account, at=clock.now(), **form.cleaned_data)
        messages.success(request, "免打扰时段已保存。")
    else:
        first = next(iter(form.errors.values()))[0]
        messages.error(request, f"免打扰时段没有保存：{first}")
    return HttpResponseRedirect(_back())

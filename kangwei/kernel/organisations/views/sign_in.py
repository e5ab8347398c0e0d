"""The sign-in page, its second step, signing out, and what open pages poll (登录)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from kangwei.kernel import clock
from kangwei.kernel.demonstration import shown_accounts
from kangwei.kernel.organisations.middleware import EXPIRED, WORDS
from kangwei.kernel.organisations.models import Account, SessionEnd
from kangwei.kernel.organisations.services import second_factor, sessions, sign_in
from kangwei.kernel.refusals import Refusal

#: Between password and code nobody needs longer than this.
PENDING_FOR = timedelta(minutes=5)
PENDING = "sign_in_pending"
BACKEND = "django.contrib.auth.backends.ModelBackend"


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """The first step: name and password."""
    if request.user.is_authenticated:
        return HttpResponseRedirect(_next(request))
    error = ""
    if request.method == "POST":
        at = clock.now()
        try:
            account = sign_in.sign_in_by_password(
                username=request.POST.get("username", ""),
                password=request.POST.get("password", ""),
                visitor=_visitor(request),
                at=at,
            )
        except Refusal as refusal:
            error = refusal.message
        else:
            if second_factor.is_enrolled(account):
                request.session[PENDING] = {"account": account.pk, "at": at.isoformat()}
                return HttpResponseRedirect(f"code/?{request.GET.urlencode()}")
            return _enter(request, account, at, proven=False)
    return _draw(request, "password", error=error, notice=_reason(request))


@require_http_methods(["GET", "HEAD", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """The second step: the code on the phone."""
    at = clock.now()
    account = _pending(request, at)
    if account is None:
        return HttpResponseRedirect(f"../?{request.GET.urlencode()}")
    error = ""
    if request.method == "POST":
        try:
            sign_in.sign_in_by_code(
                account=account,
                code=request.POST.get("code", "")[:40],
                visitor=_visitor(request),
                at=at,
            )
        except sign_in.SignInLocked as refusal:
            request.session.pop(PENDING, None)
            return _draw(request, "password", error=refusal.message)
        except Refusal as refusal:
            error = refusal.message
        else:
            request.session.pop(PENDING, None)
            return _enter(request, account, at, proven=True)
    return _draw(request, "code", error=error, account=account)


def _pending(request: HttpRequest, at: datetime) -> Account | None:
    held = request.session.get(PENDING)
    if not held or at - datetime.fromisoformat(held["at"]) > PENDING_FOR:
        request.session.pop(PENDING, None)
        return None
    return Account.objects.filter(pk=held["account"]).select_related("institution").first()


def _enter(request: HttpRequest, account: Account, at: datetime, *, proven: bool) -> HttpResponse:
    last = sign_in.note_success(account=account, visitor=_visitor(request), at=at)
    request.kw_second_factor = proven  # type: ignore[attr-defined]  # read by signals.note_session
    login(request, account, backend=BACKEND)
    if last.at is not None:
        when = last.at.astimezone(clock.SHANGHAI).strftime("%Y-%m-%d %H:%M")
        failed = f"，此后有 {last.failures} 次失败的登录尝试" if last.failures else ""
        text = f"上次登录：{when}，地址 {last.address or '未知'}{failed}。"
        if last.failures:
            messages.warning(request, f"{text}如非本人操作，请立即修改密码并告知管理员。")
        else:
            messages.info(request, text)
    return HttpResponseRedirect(_next(request))


def _draw(request: HttpRequest, step: str, **context: Any) -> HttpResponse:
    response = render(
        request,
        "organisations/sign_in.html",
        {
            "step": step,
            "username": request.POST.get("username", "")[:40],
            "query": request.GET.urlencode(),
            "shown_accounts": shown_accounts() if step == "password" else [],
            **context,
        },
        status=200 if not context.get("error") else 422,
    )
    add_never_cache_headers(response)
    return response


def _reason(request: HttpRequest) -> str:
    key = request.GET.get("reason", "")
    if not key:
        return ""
    return WORDS[SessionEnd(key)] if key in SessionEnd.values else EXPIRED


def _visitor(request: HttpRequest) -> sign_in.Visitor:
    return sign_in.Visitor(
        address=request.META.get("REMOTE_ADDR", ""), agent=request.headers.get("User-Agent", "")
    )


def _next(request: HttpRequest) -> str:
    wanted = request.GET.get("next", "")
    allowed = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if wanted and allowed else "/"


@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    """Sign out here (退出)."""
    session = getattr(request, "account_session", None)
    if session is not None:
        sessions.end_session(session, reason=SessionEnd.SIGNED_OUT, at=clock.now())
    logout(request)
    return HttpResponseRedirect("/sign-in/?reason=signed_out")


@require_GET
def state(request: HttpRequest) -> HttpResponse:
    """Is this browser still signed in? Open pages ask; asking does not keep the session alive."""
    if request.user.is_authenticated:
        response: HttpResponse = JsonResponse({"state": "open"})
    else:
        content = {
            "code": "not_signed_in",
            "message": EXPIRED,
            "field": None,
            "trace_id": getattr(request, "trace_id", ""),
        }
        response = JsonResponse(content, status=401, json_dumps_params={"ensure_ascii": False})
        response["X-Kw-Reason"] = "expired"
    add_never_cache_headers(response)
    return response

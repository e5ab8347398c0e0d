"""The guard at the door (会话守卫): every request of a signed-in browser is checked anew.

One query finds the session's row with its account. A session that was ended, has idled or lived
too long, or whose account may no longer be used, is turned away in the words of its caller: a page
goes to the sign-in page with the reason, HTMX and the API get 401. Whoever must change his
password or set up a second factor gets no further than the page for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.db.models import IntegerField, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse

from kangwei.kernel import clock
from kangwei.kernel.demonstration import is_waived
from kangwei.kernel.organisations.models import (
    Account,
    AccountSession,
    SecurityPolicy,
    SessionEnd,
)
from kangwei.kernel.organisations.rules.lifetime import ended_because
from kangwei.kernel.organisations.services import sessions, sign_in

#: A request that a person did not make: it must not keep an unattended screen open.
BACKGROUND_ELEMENTS = frozenset({"kw-bell"})
#: Noting every request would write at every request; to the minute is close enough.
NOTE_EVERY = timedelta(minutes=1)

WORDS = {
    SessionEnd.IDLE: "长时间未操作，已自动退出，请重新登录。",
    SessionEnd.LIFETIME: "本次登录已达到最长时间，请重新登录。",
    SessionEnd.FORCED: "您已被管理员强制下线，请重新登录；如有疑问请联系管理员。",
    SessionEnd.DISPLACED: "您的账号已在其他地方登录，本处已退出；如非本人操作请立即修改密码。",
    SessionEnd.PASSWORD: "密码已修改，请用新密码登录。",
    SessionEnd.ACCOUNT: "账号已停用或过期，请联系本单位管理员。",
    SessionEnd.SIGNED_OUT: "您已退出登录。",
}
EXPIRED = "登录已失效，请重新登录。"


@dataclass(frozen=True)
class Detour:
    """Something the person must do before anything else."""

    code: str
    words: str
    view: str


PASSWORD_DUE = Detour(
    "organisations.password_due", "请先修改密码，再继续使用。", "organisations:password"
)
FACTOR_DUE = Detour(
    "organisations.second_factor_due",
    "您的角色必须使用第二因素，请先完成设置，再继续使用。",
    "organisations:second_factor",
)


class SessionGuard:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # An empty header is no key: the gate would fall back on the session, so it is judged here.
        by_key = request.path.startswith("/api/") and bool(request.headers.get("Authorization"))
        if by_key or not request.session.session_key or SESSION_KEY not in request.session:
            return self.get_response(request)
        at = clock.now()
        session = find(request.session.session_key)
        reason = judge(session, at)
        if session is None or reason is not None:
            if session is not None and session.ended_at is None and reason is not None:
                sessions.end_session(session, reason=reason, at=at)
            request.session.flush()
            request.user = AnonymousUser()
            if request.path.startswith((settings.LOGIN_URL, settings.STATIC_URL)):
                return self.get_response(request)
            return turned_away(request, reason)
        request.user = session.account
        request.account_session = session  # type: ignore[attr-defined]
        if not is_background(request) and at - session.seen_at >= NOTE_EVERY:
            AccountSession.objects.open().filter(pk=session.pk).update(seen_at=at)
        detour = None if _on_the_way(request.path) else detour_of(session, at)
        if detour is not None:
            return sent_round(request, detour)
        return self.get_response(request)


def find(session_key: str) -> AccountSession | None:
    """The session with its account, and the limits of the policy, in one query."""
    policy = SecurityPolicy.objects.filter(pk=1)
    return (
        AccountSession.objects.filter(key_digest=sessions.digest_of_key(session_key))
        .select_related("account__institution")
        .annotate(
            **{
                f"limit_{name}": Subquery(policy.values(name)[:1], output_field=IntegerField())
                for name in ("idle_minutes", "lifetime_hours", "password_max_age_days")
            }
        )
        .first()
    )


def judge(session: AccountSession | None, at: datetime) -> SessionEnd | None:
    """Why this session may go no further; None while it may (or is unknown)."""
    if session is None:
        return None
    if session.ended_at is not None:
        return SessionEnd(session.end_reason)
    if sign_in.why_unusable(session.account, at) is not None:
        return SessionEnd.ACCOUNT
    verdict = ended_because(
        started_at=session.started_at,
        seen_at=session.seen_at,
        at=at,
        idle=timedelta(minutes=_limit(session, "idle_minutes")),
        lifetime=timedelta(hours=_limit(session, "lifetime_hours")),
    )
    return SessionEnd(verdict) if verdict else None


def _limit(session: AccountSession, name: str) -> int:
    return int(getattr(session, f"limit_{name}"))


def detour_of(session: AccountSession, at: datetime) -> Detour | None:
    account: Account = session.account
    if is_waived(account.username):
        return None
    changed = account.password_changed_at
    oldest = timedelta(days=_limit(session, "password_max_age_days"))
    if account.must_change_password or changed is None or at - changed >= oldest:
        return PASSWORD_DUE
    if account.second_factor_required and not session.second_factor:
        return FACTOR_DUE
    return None


def is_background(request: HttpRequest) -> bool:
    return (
        request.path == reverse("session-state")
        or request.headers.get("HX-Trigger", "") in BACKGROUND_ELEMENTS
        or request.headers.get("X-Kw-Background") == "1"
    )


#: The same two ways out, over the API.
OWN_OPERATIONS = ("/api/v1/me/password", "/api/v1/me/second-factor")


def _on_the_way(path: str) -> bool:
    """Pages that must work for whoever is being sent round."""
    names = ("organisations:password", "organisations:second_factor", "sign-out", "session-state")
    own = tuple(reverse(name) for name in names)
    return path.startswith((settings.LOGIN_URL, settings.STATIC_URL, *own, *OWN_OPERATIONS))


def turned_away(request: HttpRequest, reason: SessionEnd | None) -> HttpResponse:
    """The session is over: say so to a program, to HTMX, or to a person."""
    key = reason.value if reason else "expired"
    words = WORDS[reason] if reason else EXPIRED
    response: HttpResponse
    if request.path.startswith("/api/") or request.path == reverse("session-state"):
        response = _json(request, "not_signed_in", words, status=401)
    elif request.headers.get("HX-Request"):
        response = HttpResponse(words, status=401, content_type="text/plain; charset=utf-8")
    else:
        back = request.get_full_path() if request.method == "GET" else "/"
        query = urlencode({"reason": key, "next": back})
        return HttpResponseRedirect(f"{settings.LOGIN_URL}?{query}")
    response["X-Kw-Reason"] = key
    response["Cache-Control"] = "no-store"
    return response


def sent_round(request: HttpRequest, detour: Detour) -> HttpResponse:
    if request.path.startswith("/api/"):
        return _json(request, detour.code, detour.words, status=403)
    response: HttpResponse
    if is_background(request):
        # The bell asks by itself; sending it round would reload the page for ever.
        return HttpResponse(status=204)
    if request.headers.get("HX-Request"):
        response = HttpResponse(detour.words, content_type="text/plain; charset=utf-8")
        response["HX-Redirect"] = reverse(detour.view)
        return response
    return HttpResponseRedirect(reverse(detour.view))


def _json(request: HttpRequest, code: str, words: str, *, status: int) -> HttpResponse:
    trace_id = getattr(request, "trace_id", "")
    content = {"code": code, "message": words, "field": None, "trace_id": trace_id}
    return JsonResponse(content, status=status, json_dumps_params={"ensure_ascii": False})

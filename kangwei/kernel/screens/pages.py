"""Work pages (业务页面): our own views in the shell.

A view decorated with `work_page` is only entered by a signed-in account that holds the right; a
refusal raised inside becomes a message (after a form), a notice in place (for HTMX) or a page with
the sentence. The view itself loads what was asked for, makes one call inwards and draws the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.utils.http import url_has_allowed_host_and_scheme

from kangwei.kernel.refusals import NotFound, NotPermitted, Refusal
from kangwei.kernel.screens.site import KwAdminSite

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponse]


def is_fragment(request: HttpRequest) -> bool:
    """Does HTMX ask for a piece of the page? (A boosted link wants the whole page.)"""
    return request.headers.get("HX-Request") == "true" and "HX-Boosted" not in request.headers


def page(
    request: HttpRequest,
    template: str,
    context: dict[str, Any] | None = None,
    *,
    title: str,
    status: int = 200,
) -> HttpResponse:
    """Draw a page (a template that extends `kw/page.html`) inside the shell."""
    from django.contrib.admin import site

    assert isinstance(site, KwAdminSite) or hasattr(site, "each_context")
    whole = {**site.each_context(request), "title": title, **(context or {})}
    return render(request, template, whole, status=status)


def work_page(*, right: str | None = None) -> Callable[[View[P]], View[P]]:
    """Guard a view: signed in, holding `right` (None: every account), refusals told in Chinese."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if not request.user.is_authenticated:
                return to_sign_in(request)
            if right is not None and not request.user.has_perm(right):
                return refusal_page(request, NotPermitted(lacking(right)))
            try:
                answer = view(request, *args, **kwargs)
            except Refusal as refusal:
                answer = answer_refusal(request, refusal)
            if not answer.has_header("Cache-Control"):
                add_never_cache_headers(answer)
            return answer

        guarded.kw_right = right  # type: ignore[attr-defined]  # read by the access matrix
        guarded.kw_work_page = True  # type: ignore[attr-defined]
        return guarded

    return decorate


def lacking(right: str) -> str:
    from django.contrib.auth.models import Permission

    app_label, _, codename = right.partition(".")
    named = Permission.objects.filter(content_type__app_label=app_label, codename=codename)
    title = named.values_list("name", flat=True).first() or right
    return f"您的角色没有“{title}”权限；如工作需要，请联系本单位管理员授权。"


def to_sign_in(request: HttpRequest) -> HttpResponse:
    """Send to the sign-in page; open pages that poll are told by 401 and leave by themselves."""
    if is_fragment(request):
        answer = HttpResponse("登录已失效，请重新登录。", status=401, content_type="text/plain")
        answer["Cache-Control"] = "no-store"
        return answer
    return redirect_to_login(request.get_full_path())


def answer_refusal(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """A refusal after a form returns to the form with a message; otherwise it is said in place."""
    if is_fragment(request):
        answer = render(request, "kw/refusal_fragment.html", {"refusal": refusal}, status=200)
        answer["HX-Retarget"] = "#kw-messages"
        answer["HX-Reswap"] = "innerHTML show:top"
        return answer
    hard = isinstance(refusal, NotFound | NotPermitted) or refusal.status in {403, 404}
    if request.method == "POST" and not hard:
        messages.error(request, refusal.message)
        return HttpResponseRedirect(came_from(request))
    return refusal_page(request, refusal)


def refusal_page(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    return page(
        request,
        "kw/error.html",
        {"error_status": refusal.status, "error_text": refusal.message},
        title=refusal.title,
        status=refusal.status,
    )


def came_from(request: HttpRequest) -> str:
    """The page of ours whose form was sent; the address itself when the browser does not say."""
    referer = request.headers.get("Referer", "")
    if url_has_allowed_host_and_scheme(
        referer, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        parts = urlsplit(referer)
        return parts.path + (f"?{parts.query}" if parts.query else "")
    return request.path

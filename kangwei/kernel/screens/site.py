"""The one admin site of the product, mounted at /manage/ (管理后台)."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.sites import UnfoldAdminSite


class KwAdminSite(UnfoldAdminSite):  # type: ignore[misc]  # unfold carries no types
    """unfold's site inside our shell: our menu, our home page, our sign-in."""

    site_title = "康维"
    site_header = "康维"
    index_title = "工作台"
    enable_nav_sidebar = True

    def has_permission(self, request: HttpRequest) -> bool:
        # Whoever is signed in may enter; each list then asks for its own right. `is_staff` is
        # Django's way of telling office from public, and nobody of the public has an account.
        return bool(request.user.is_active and request.user.is_authenticated)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        # The shell draws menu, search and account itself (context.py), so the costly list of all
        # models that Django and unfold collect for their sidebar is left out.
        return {
            **_plain_context(self, request),
            "form_classes": self._get_config("FORMS", request).get("classes"),
            "show_history": True,
            "show_view_on_site": False,
            "border_radius": self._get_config("BORDER_RADIUS", request),
            "colors": self._get_colors("COLORS", request),
            "tab_list": [],
        }

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """There is one sign-in page; Django's own knows no second factor and no lock-out."""
        wanted = request.GET.get("next", "")
        return redirect_to_login(wanted or reverse("home"))

    def logout(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(reverse("home"))

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(reverse("home"))

    def password_change_done(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(reverse("home"))

    def search(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """unfold's search knows models only; ours asks the sources that apps registered."""
        return HttpResponseRedirect(reverse("search"))

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return HttpResponseRedirect(reverse("home"))

    def app_index(
        self,
        request: HttpRequest,
        app_label: str,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        return HttpResponseRedirect(reverse("home"))


def _plain_context(site: AdminSite, request: HttpRequest) -> dict[str, Any]:
    return {
        "site_title": site.site_title,
        "site_header": site.site_header,
        "site_url": "/",
        "has_permission": site.has_permission(request),
        "available_apps": [],
        "is_popup": False,
        "is_nav_sidebar_enabled": True,
        "log_entries": [],
    }

"""Our addresses with one more list screen and a few pages, for the tests of the frame itself."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.urls import path

from kangwei.kernel.crypto.masking import mask_phone
from kangwei.kernel.organisations.models import Department, Institution, Staff
from kangwei.kernel.refusals import Invalid, NotFound
from kangwei.kernel.screens.admin import KwModelAdmin, LedgerAdmin
from kangwei.kernel.screens.pages import page, work_page
from kangwei.kernel.screens.site import KwAdminSite
from kangwei.web.urls import (  # noqa: F401  # Django looks the handlers up here
    handler400,
    handler403,
    handler404,
    handler500,
)
from kangwei.web.urls import urlpatterns as ours

site = KwAdminSite(name="admin")


class InstitutionScreen(KwModelAdmin):
    list_display = ("name", "kind", "region", "telephone", "opened_on")
    list_filter = ("kind", "region", "opened_on", "address")
    search_fields = ("name", "code")
    masked = {"telephone": mask_phone}
    empty_hint = "导入机构清单，或逐个新增。"
    actions = ("touch",)

    @admin.action(description="标记已核对", permissions=["change"])
    def touch(self, request: HttpRequest, queryset: Any) -> None:
        messages.success(request, f"已核对 {queryset.update(address='已核对')} 家机构。")


class DepartmentScreen(KwModelAdmin):
    list_display = ("name", "institution")
    list_filter = ("institution",)
    autocomplete_fields = ()
    fields = ("institution", "name", "code")


class StaffScreen(LedgerAdmin):
    list_display = ("name", "institution")


site.register(Institution, InstitutionScreen)
site.register(Department, DepartmentScreen)
site.register(Staff, StaffScreen)


@work_page(right="organisations.view_institution")
def guarded(request: HttpRequest) -> HttpResponse:
    return page(request, "kw/page.html", {}, title="受保护的页面")


@work_page()
def refusing(request: HttpRequest, how: str) -> HttpResponse:
    if how == "absent":
        raise NotFound("没有这张单据；请从列表重新进入。")
    if how == "crash":
        raise RuntimeError("a fault of ours")
    raise Invalid("数量应大于 0，请修改后重试。", field="count")


def bare(request: HttpRequest) -> HttpResponse:
    raise NotFound("没有这张单据。")


urlpatterns = [
    path("manage/", site.urls),
    path("guarded/", guarded),
    path("refusing/<str:how>/", refusing),
    path("bare/", bare),
    *[pattern for pattern in ours if "manage/" not in str(pattern.pattern)],
]

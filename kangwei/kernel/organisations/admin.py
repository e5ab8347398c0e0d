"""Lists of organisations (列表): each row leads to its work page, where the acts are."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from kangwei.kernel.crypto import masking
from kangwei.kernel.organisations import queries
from kangwei.kernel.organisations.models import (
    Account,
    AccountState,
    Grant,
    Institution,
    InstitutionKind,
    Role,
    SignInEvent,
    SignInKind,
    Staff,
)
from kangwei.kernel.screens.admin import KwModelAdmin, LedgerAdmin


class PagedAdmin(KwModelAdmin):
    """A list whose rows have pages of their own; nothing is edited in the list's form."""

    actions = None
    page_view = ""
    create_view = ""
    create_right = ""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(self.create_right) and request.user.has_perm(self.create_right)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def change_view(
        self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        return HttpResponseRedirect(reverse(self.page_view, args=[object_id]))

    def add_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        return HttpResponseRedirect(reverse(self.create_view))


@admin.register(Institution)
class InstitutionAdmin(PagedAdmin):
    list_display = ("code", "name", "kind", "region", "grade", "opened_on", "closed_on")
    list_display_links = ("code", "name")
    list_filter = ("kind", "grade", "opened_on", "closed_on")
    list_select_related = ("kind", "region")
    search_fields = ("code", "name", "short_name", "pinyin", "uscc")
    ordering = ("region", "code")
    page_view = "organisations:institution"
    create_view = "organisations:create_institution"
    create_right = "organisations.manage_institution"
    empty_hint = "没有符合条件的机构；请放宽查询条件，或确认您的数据范围。"


@admin.register(Account)
class AccountAdmin(PagedAdmin):
    list_display = (
        *("username", "name", "institution", "state", "valid_until"),
        *("must_change_password", "last_sign_in"),
    )
    list_display_links = ("username",)
    list_filter = ("state", "valid_until", "must_change_password")
    list_select_related = ("institution",)
    search_fields = ("username", "name", "pinyin", "institution__name", "institution__code")
    badges = {
        "state": {
            AccountState.ACTIVE: "good",
            AccountState.DISABLED: "neutral",
            AccountState.SUSPENDED: "warn",
        }
    }
    page_view = "organisations:account"
    create_view = "organisations:create_account"
    create_right = "organisations.manage_account"
    empty_hint = "没有符合条件的账号；请放宽查询条件，或确认您的数据范围。"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Account]:
        return queries.with_last_sign_in(super().get_queryset(request))

    @admin.display(description="最近登录", ordering="last_sign_in_at")
    def last_sign_in(self, row: Account) -> Any:
        return row.last_sign_in_at  # type: ignore[attr-defined]  # annotated by the query


@admin.register(Staff)
class StaffAdmin(PagedAdmin):
    list_display = (
        *("name", "number", "institution", "department", "sex", "phone"),
        *("title", "position", "left_on"),
    )
    list_display_links = ("name",)
    list_filter = ("sex", "left_on")
    list_select_related = ("institution", "department")
    search_fields = ("name", "pinyin", "number", "institution__name")
    masked = {"phone": masking.mask_phone}
    page_view = "organisations:staff"
    empty_hint = "没有符合条件的人员；在机构页面的“人员”中登记。"


@admin.register(Role)
class RoleAdmin(PagedAdmin):
    list_display = (
        *("name", "code", "scope_kind", "masking_level", "second_factor_required"),
        *("duty", "built_in", "active"),
    )
    list_display_links = ("name",)
    list_filter = ("scope_kind", "duty", "built_in", "active")
    search_fields = ("name", "code", "description")
    page_view = "organisations:role"
    create_view = "organisations:create_role"
    create_right = "organisations.manage_role"


@admin.register(InstitutionKind)
class InstitutionKindAdmin(LedgerAdmin):
    """Follows its data file; shown so that everybody may look a code up."""

    list_display = ("name", "code", "group")
    list_filter = ("group",)
    search_fields = ("name", "code")
    ordering = ("order",)
    unscoped_because = "全国通用的类别，不属于任何机构"


@admin.register(Grant)
class GrantAdmin(LedgerAdmin):
    list_display = (
        *("account", "role", "valid_from", "valid_until", "granted_by", "reason"),
        *("lent_from", "revoked_at", "revoked_by"),
    )
    list_filter = ("role", "valid_until", "revoked_at")
    list_select_related = (
        "account",
        "role",
        "granted_by",
        "revoked_by",
        "lent_from__account",
        "lent_from__role",
    )
    search_fields = ("account__username", "account__name", "reason")
    ordering = ("-granted_at",)


@admin.register(SignInEvent)
class SignInEventAdmin(LedgerAdmin):
    list_display = ("at", "kind", "username", "account", "address", "browser_title", "reason")
    list_filter = ("kind", "at")
    list_select_related = ("account",)
    search_fields = ("username", "account__name", "address")
    badges = {
        "kind": {
            SignInKind.SUCCESS: "good",
            SignInKind.FAILURE: "warn",
            SignInKind.FACTOR_FAILURE: "warn",
            SignInKind.LOCKED: "bad",
            SignInKind.ADDRESS_LOCKED: "bad",
            SignInKind.REFUSED_LOCKED: "bad",
        }
    }

    @admin.display(description="浏览器")
    def browser_title(self, row: SignInEvent) -> str:
        return row.browser or "—"

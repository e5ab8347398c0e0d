"""What organisations shows in the shell: menu, home cards, search, help (界面登记)."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Q
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse

from kangwei.kernel import clock
from kangwei.kernel.organisations import queries
from kangwei.kernel.organisations.models import Account, Institution, Qualification, Staff
from kangwei.kernel.screens.registry import (
    Card,
    MenuItem,
    SearchHit,
    SearchSource,
    register_card,
    register_help,
    register_menu,
    register_search,
)

GROUP = "机构人员"


def _admin(model: str) -> str:
    return f"admin:organisations_{model}_changelist"


def register() -> None:
    register_menu(
        MenuItem(GROUP, "区划", "organisations:regions", "organisations.view_region", "map", 10),
        MenuItem(
            GROUP, "机构", _admin("institution"), "organisations.view_institution", "domain", 20,
            covers=("/organisations/institutions/", "/organisations/departments/"),
        ),
        MenuItem(
            GROUP, "业务人员", _admin("staff"), "organisations.view_staff", "group", 30,
            covers=("/organisations/staff/", "/organisations/qualifications/"),
        ),
        MenuItem(
            GROUP, "账号", _admin("account"), "organisations.view_account", "manage_accounts", 40,
            covers=("/organisations/accounts/",),
        ),
        MenuItem(
            GROUP, "角色", _admin("role"), "organisations.view_role", "shield_person", 50,
            covers=("/organisations/roles/",),
        ),
        MenuItem(GROUP, "授权", _admin("grant"), "organisations.view_grant", "verified_user", 60),
        MenuItem(
            GROUP, "登录日志", _admin("signinevent"), "organisations.view_signinevent", "login", 70
        ),
        MenuItem(
            GROUP, "登录安全策略", "organisations:policy", "organisations.view_securitypolicy",
            "security", 80,
        ),
        MenuItem(
            GROUP, "机构类别", _admin("institutionkind"), "organisations.view_institutionkind",
            "category", 90,
        ),
        MenuItem(
            GROUP, "批量导入机构", "/organisations/imports/institutions/",
            "organisations.import_institution", "upload_file", 110,
        ),
        MenuItem(
            GROUP, "批量导入账号", "/organisations/imports/accounts/",
            "organisations.import_account", "group_add", 120,
        ),
    )  # fmt: skip
    register_card(
        Card(
            "organisations.pending", "账号与人员待处理", pending_card,
            "organisations.manage_account", 60, "medium", _admin("account"), "manage_accounts",
        )
    )  # fmt: skip
    register_search(
        SearchSource("机构", find_institutions, "organisations.view_institution", 10, "domain"),
        SearchSource("业务人员", find_staff, "organisations.view_staff", 20, "group"),
        SearchSource("账号", find_accounts, "organisations.view_account", 30, "manage_accounts"),
    )
    for prefix in ("/organisations/", "/manage/organisations/"):
        register_help(prefix=prefix, chapter="机构与账号")
    for prefix in (
        "/organisations/me/",
        "/organisations/security-policy/",
        "/manage/organisations/signinevent/",
    ):
        register_help(prefix=prefix, chapter="登录与安全")


def pending_card(request: HttpRequest) -> str:
    """What an administrator of accounts should look at today; nothing to do stays away."""
    at, user = clock.now(), request.user
    accounts = Account.objects.reached_by(user, "organisations.manage_account")
    certificates = Qualification.objects.visible_to(user)
    context = {
        "locked": queries.locked_accounts(accounts, at)[:5],
        "grants": queries.expiring_grants(accounts, at)[:5],
        "certificates": queries.expiring_qualifications(certificates, at)[:5],
        "today": clock.local_day(at),
    }
    if not any(context[key] for key in ("locked", "grants", "certificates")):
        return ""
    return render_to_string("organisations/parts/pending.html", context, request=request)


LIMIT = 8


def find_institutions(request: HttpRequest, words: str) -> Iterator[SearchHit]:
    rows = Institution.objects.visible_to(request.user).filter(
        Q(name__icontains=words)
        | Q(short_name__icontains=words)
        | Q(pinyin__icontains=words.lower())
        | Q(code__istartswith=words)
        | Q(uscc=words.upper())
    )
    for row in rows.select_related("kind", "region")[:LIMIT]:
        yield SearchHit(
            row.name,
            reverse("organisations:institution", args=[row.pk]),
            f"{row.kind.name} · {row.region.name} · {row.code}",
        )


def find_staff(request: HttpRequest, words: str) -> Iterator[SearchHit]:
    """By name, pinyin or number; by the whole phone or ID number, through their digests."""
    match = Q(name__icontains=words) | Q(pinyin__startswith=words.lower()) | Q(number=words)
    if len(words) in {11, 18}:
        match |= Q(phone=words) | Q(id_number=words)
    rows = Staff.objects.visible_to(request.user).filter(match)
    for row in rows.select_related("institution")[:LIMIT]:
        yield SearchHit(
            row.name,
            reverse("organisations:staff", args=[row.pk]),
            f"{row.institution} {row.position}".strip(),
        )


def find_accounts(request: HttpRequest, words: str) -> Iterator[SearchHit]:
    rows = Account.objects.visible_to(request.user).filter(
        Q(username__istartswith=words)
        | Q(name__icontains=words)
        | Q(pinyin__startswith=words.lower())
    )
    for row in rows.select_related("institution")[:LIMIT]:
        yield SearchHit(
            f"{row.name}（{row.username}）",
            reverse("organisations:account", args=[row.pk]),
            f"{row.institution} · {row.get_state_display()}",
        )

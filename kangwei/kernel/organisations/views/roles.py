"""Pages of roles and of the sign-in policy (角色、登录安全策略)."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from kangwei.kernel import clock
from kangwei.kernel.audit import queries as audit
from kangwei.kernel.organisations import queries, services
from kangwei.kernel.organisations.forms import NoteForm, PolicyForm, RoleForm
from kangwei.kernel.organisations.models import Grant, Role, SecurityPolicy
from kangwei.kernel.organisations.views.acting import act, me, one
from kangwei.kernel.refusals import NotPermitted
from kangwei.kernel.screens.pages import lacking, page, work_page

MANAGE = "organisations.manage_role"
LIST = "admin:organisations_role_changelist"


@work_page(right="organisations.view_role")
def role(request: HttpRequest, pk: int) -> HttpResponse:
    user, at = me(request), clock.now()
    row = one(Role.objects.visible_to(user), pk)
    held = set(row.rights)
    grants = (
        Grant.objects.visible_to(user)
        .in_force(at)
        .filter(role=row)
        .select_related("account__institution")
    )
    return page(
        request,
        "organisations/role.html",
        {
            "row": row,
            "pairs": [
                ("角色代码", row.code),
                ("数据范围", row.get_scope_kind_display()),
                ("脱敏级别", row.get_masking_level_display()),
                ("必须使用第二因素", "是" if row.second_factor_required else "否"),
                ("同时登录数上限", row.session_limit or "按策略"),
                ("三员职责", row.get_duty_display() if row.duty else ""),
                ("可由各级管理员授予", "是" if row.assignable else "否"),
                ("来源", "内置" if row.built_in else "自定义"),
                ("说明", row.description),
            ],
            "groups": [
                (group, [(right, title, right in held) for right, title in group.rights])
                for group in queries.right_groups()
            ],
            "grants": grants[:200],
            "entries": audit.history(row, limit=30),
            "may": user.has_perm(MANAGE),
        },
        title=row.name,
    )


def _matrix(
    request: HttpRequest, chosen: set[str]
) -> list[tuple[Any, list[tuple[str, str, bool]]]]:
    if request.method == "POST":
        chosen = set(request.POST.getlist("rights"))
    return [
        (group, [(right, title, right in chosen) for right, title in group.rights])
        for group in queries.right_groups()
    ]


@work_page(right=MANAGE)
def create(request: HttpRequest) -> HttpResponse:
    """A role of the site's own, from nothing or as a copy of another."""
    user = me(request)
    copied = Role.objects.visible_to(user).filter(pk=request.GET.get("copy") or 0).first()
    initial = _initial(copied) if copied else {"masking_level": 1, "scope_kind": "own"}
    initial |= {"name": f"{copied.name}（副本）"} if copied else {}

    def do(given: dict[str, Any]) -> str:
        made = services.create_role(
            by=user, at=clock.now(), rights=request.POST.getlist("rights"), **given
        )
        return f"已新建角色“{made.name}”。"

    return act(
        request,
        RoleForm(request.POST or None, initial=initial),
        title="新建角色",
        do=do,
        back=reverse(LIST),
        template="organisations/role_form.html",
        groups=_matrix(request, set(copied.rights) if copied else set()),
    )


def _initial(row: Role) -> dict[str, Any]:
    names = ("name", "description", "scope_kind", "masking_level", "session_limit")
    flags = ("second_factor_required", "assignable")
    return {name: getattr(row, name) for name in (*names, *flags)}


@work_page(right=MANAGE)
def change(request: HttpRequest, pk: int) -> HttpResponse:
    user = me(request)
    row = one(Role.objects.visible_to(user), pk)
    form = RoleForm(request.POST or None, initial=_initial(row))
    del form.fields["code"]

    def do(given: dict[str, Any]) -> str:
        services.change_role(
            role=row, by=user, at=clock.now(), rights=request.POST.getlist("rights"), **given
        )
        return f"角色“{row.name}”已修改，持有人下一次操作即生效。"

    return act(
        request,
        form,
        title=f"修改角色：{row.name}",
        do=do,
        changes=row,
        back=reverse("organisations:role", args=[row.pk]),
        template="organisations/role_form.html",
        groups=_matrix(request, set(row.rights)),
    )


@work_page(right=MANAGE)
def retire(request: HttpRequest, pk: int) -> HttpResponse:
    row = one(Role.objects.visible_to(request.user), pk)

    def do(_: dict[str, Any]) -> str:
        services.retire_role(role=row, by=me(request), at=clock.now())
        return f"角色“{row.name}”已停用。"

    return act(
        request,
        NoteForm(request.POST if request.method == "POST" else None),
        title=f"停用角色：{row.name}",
        do=do,
        back=reverse(LIST),
        intro="停用后不能再授予；仍有人持有时不能停用。",
        submit="停用",
        danger=True,
    )


@work_page(right="organisations.view_securitypolicy")
def policy(request: HttpRequest) -> HttpResponse:
    """The figures of sign-in protection, and their floors."""
    user, row = me(request), SecurityPolicy.objects.get(pk=1)
    if request.method == "POST" and not user.has_perm("organisations.change_securitypolicy"):
        raise NotPermitted(lacking("organisations.change_securitypolicy"))
    form = PolicyForm(request.POST or None, instance=row)
    if not user.has_perm("organisations.change_securitypolicy"):
        for field in form.fields.values():
            field.disabled = True

    def do(given: dict[str, Any]) -> str:
        services.change_policy(figures=given, by=user, at=clock.now())
        return "登录安全策略已修改，立即生效。"

    return act(
        request,
        form,
        title="登录安全策略",
        do=do,
        changes=row,
        back=reverse("organisations:policy"),
        intro="各项数值不能低于等保三级的要求；修改立即生效并记入审计日志。",
        template="organisations/policy.html",
        entries=audit.history(row, limit=20),
        may=user.has_perm("organisations.change_securitypolicy"),
    )

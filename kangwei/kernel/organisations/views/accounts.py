"""Pages of accounts (账号): what an account may do and see, where it is signed in, what it did."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from kangwei.kernel import clock
from kangwei.kernel.audit import queries as audit
from kangwei.kernel.organisations import queries, services
from kangwei.kernel.organisations.forms import (
    AccountChangeForm,
    AccountForm,
    GrantForm,
    NoteForm,
    ReasonForm,
)
from kangwei.kernel.organisations.models import (
    Account,
    Grant,
    Institution,
    Scope,
    SignInEvent,
)
from kangwei.kernel.organisations.services import second_factor
from kangwei.kernel.organisations.views.acting import act, me, one
from kangwei.kernel.screens.pages import page, work_page

MANAGE = "organisations.manage_account"


def _address(pk: int, tab: str = "") -> str:
    address = reverse("organisations:account", args=[pk])
    return f"{address}?tab={tab}" if tab else address


def _row(request: HttpRequest, pk: int, right: str) -> Account:
    rows = Account.objects.reached_by(request.user, right)
    return one(rows.select_related("institution", "staff"), pk)


@work_page(right="organisations.view_account")
def account(request: HttpRequest, pk: int) -> HttpResponse:
    user, at = me(request), clock.now()
    row = _row(request, pk, "organisations.view_account")
    tabs = [
        ("", "授权"),
        ("scope", "能看到的机构"),
        ("sessions", "会话与登录"),
        ("history", "操作记录"),
    ]
    tab = request.GET.get("tab", "")
    tab = tab if tab in {key for key, _ in tabs} else ""
    locked = queries.lock_of(row, at)
    own = row.pk == user.pk
    context: dict[str, Any] = {
        "row": row,
        "tab": tab,
        "tabs_shown": [(title, _address(row.pk, key), key == tab) for key, title in tabs],
        "pairs": [
            ("用户名", row.username),
            ("所属机构", row.institution.name),
            ("业务人员", row.staff or ""),
            ("状态", row.get_state_display()),
            ("状态原因", row.state_reason),
            ("有效期至", row.valid_until or "长期"),
            ("第二因素", "已启用" if second_factor.is_enrolled(row) else "未启用"),
            ("密码修改时间", row.password_changed_at),
            ("锁定至", locked or ""),
        ],
        "locked": locked,
        "may_manage": not own and user.has_perm(MANAGE, row),
        "may_reset": not own and user.has_perm("organisations.reset_password", row),
        "may_reset_factor": not own and user.has_perm("organisations.reset_second_factor", row),
        "may_sign_out": user.has_perm("organisations.sign_out_account", row),
        "may_grant": not own
        and (
            user.has_perm("organisations.grant_role", row)
            or user.has_perm("organisations.grant_any_role", row)
        ),
        "now": at,
    }
    match tab:
        case "scope":
            context |= _scope(request, row)
        case "sessions":
            context["sessions"] = queries.open_sessions(row)
            context["events"] = SignInEvent.objects.filter(account=row).order_by("-at", "-pk")[:100]
        case "history":
            context["entries"] = audit.history(row)
        case _:
            context["grants"] = (
                Grant.objects.filter(account=row)
                .select_related("role", "granted_by", "revoked_by", "lent_from__account")
                .prefetch_related("institutions", "regions")
                .order_by("revoked_at", "-valid_from")
            )
            context["in_force"] = set(
                Grant.objects.in_force(at).filter(account=row).values_list("pk", flat=True)
            )
            context["groups"] = _held_rights(row)
    return page(request, "organisations/account.html", context, title=row.name)


def _scope(request: HttpRequest, row: Account) -> dict[str, Any]:
    """Which institutions the account reaches, with one right or with any (数据范围预览)."""
    access = queries.access_of(row, clock.now())
    titles = queries.right_titles()
    rights = sorted(access.rights)
    right = request.GET.get("right", "")
    if right in access.rights:
        scope = access.scope(right)
    else:
        right, scope = "", Scope.union(grant.scope for grant in access.grants)
    # The onlooker's own scope limits what he is shown of it.
    reached = scope.limit(Institution.objects.visible_to(request.user), "pk")
    return {
        "right": right,
        "rights": [(name, titles.get(name, name)) for name in rights],
        "everything": scope.everything,
        "reached": Paginator(reached.select_related("kind", "region"), 50).get_page(
            request.GET.get("page")
        ),
    }


def _held_rights(row: Account) -> list[tuple[str, list[str]]]:
    held = queries.access_of(row, clock.now()).rights
    return [
        (group.title, titles)
        for group in queries.right_groups()
        if (titles := [title for right, title in group.rights if right in held])
    ]


@work_page(right=MANAGE)
def create(request: HttpRequest) -> HttpResponse:
    user = me(request)

    def do(given: dict[str, Any]) -> HttpResponse:
        new = services.create_account(by=user, at=clock.now(), **given)
        return _password_page(request, new.account, new.password, "账号已建立")

    initial = {"institution": request.GET.get("institution")}
    return act(
        request,
        AccountForm(request.POST or None, user=user, right=MANAGE, initial=initial),
        title="新建账号",
        do=do,
        back=reverse("admin:organisations_account_changelist"),
        intro="建立后会显示一次性密码，首次登录时必须修改。权限需另行授予。",
        submit="建立",
    )


def _password_page(request: HttpRequest, row: Account, password: str, title: str) -> HttpResponse:
    return page(
        request,
        "organisations/shown_once.html",
        {
            "warning": "一次性密码只显示这一次，请当面或以安全方式告知本人，不要留存。",
            "heading": f"账号 {row.username}",
            "text": "本人首次登录时须修改密码。",
            "lines": [row.username, password],
            "back": _address(row.pk),
        },
        title=title,
    )


@work_page(right=MANAGE)
def change(request: HttpRequest, pk: int) -> HttpResponse:
    row = _row(request, pk, MANAGE)
    initial = {name: getattr(row, name) for name in ("name", "staff", "valid_until")}

    def do(given: dict[str, Any]) -> str:
        services.change_account(account=row, by=me(request), at=clock.now(), **given)
        return "账号信息已修改。"

    return act(
        request,
        AccountChangeForm(request.POST or None, account=row, initial=initial),
        title=f"修改账号：{row.username}",
        do=do,
        changes=row,
        back=_address(row.pk),
    )


def _with_reason(
    request: HttpRequest,
    row: Account,
    *,
    title: str,
    do: Any,
    submit: str,
    danger: bool = False,
    intro: str = "",
) -> HttpResponse:
    return act(
        request,
        ReasonForm(request.POST or None),
        title=f"{title}：{row.name}（{row.username}）",
        do=do,
        back=_address(row.pk),
        submit=submit,
        danger=danger,
        intro=intro,
    )


@work_page(right=MANAGE)
def disable(request: HttpRequest, pk: int) -> HttpResponse:
    row = _row(request, pk, MANAGE)

    def do(given: dict[str, Any]) -> str:
        services.disable_account(account=row, by=me(request), at=clock.now(), **given)
        return f"账号 {row.username} 已停用，正在使用的会话已退出。"

    return _with_reason(
        request, row, title="停用账号", do=do, submit="停用", danger=True,
        intro="停用立即生效：已登录的页面将退出，接口密钥不能再使用。",
    )  # fmt: skip


@work_page(right=MANAGE)
def enable(request: HttpRequest, pk: int) -> HttpResponse:
    row = _row(request, pk, MANAGE)

    def do(given: dict[str, Any]) -> str:
        services.enable_account(account=row, by=me(request), at=clock.now(), **given)
        return f"账号 {row.username} 已启用。"

    return _with_reason(request, row, title="启用账号", do=do, submit="启用")


@work_page(right="organisations.reset_password")
def reset_password(request: HttpRequest, pk: int) -> HttpResponse:
    row = _row(request, pk, "organisations.reset_password")

    def do(given: dict[str, Any]) -> HttpResponse:
        password = services.reset_password(account=row, by=me(request), at=clock.now(), **given)
        return _password_page(request, row, password, "密码已重置")

    return _with_reason(
        request, row, title="重置密码", do=do, submit="重置",
        intro="将生成一次性密码，解除登录锁定，并退出该账号的全部会话。请先核实本人身份。",
    )  # fmt: skip


@work_page(right="organisations.reset_second_factor")
def reset_factor(request: HttpRequest, pk: int) -> HttpResponse:
    row = _row(request, pk, "organisations.reset_second_factor")

    def do(given: dict[str, Any]) -> str:
        services.reset_second_factor(account=row, by=me(request), at=clock.now(), **given)
        return "第二因素已重置，本人下次登录时重新设置。"

    return _with_reason(
        request, row, title="重置第二因素", do=do, submit="重置", danger=True,
        intro="用于本人更换或遗失手机。请先核实本人身份。",
    )  # fmt: skip


@work_page(right="organisations.reset_password")
def unlock(request: HttpRequest, pk: int) -> HttpResponse:
    row = _row(request, pk, "organisations.reset_password")

    def do(given: dict[str, Any]) -> str:
        services.unlock_account(account=row, by=me(request), at=clock.now())
        return f"账号 {row.username} 已解除锁定。"

    return act(
        request,
        NoteForm(request.POST if request.method == "POST" else None),
        title=f"解除锁定：{row.username}",
        do=do,
        back=_address(row.pk),
        intro="解除后可以立即登录，此前的失败次数不再计算。请先核实本人身份。",
        submit="解除锁定",
    )


@work_page(right="organisations.sign_out_account")
def sign_out(request: HttpRequest, pk: int) -> HttpResponse:
    row = _row(request, pk, "organisations.sign_out_account")

    def do(given: dict[str, Any]) -> str:
        count = services.sign_out_everywhere(account=row, by=me(request), at=clock.now(), **given)
        return f"已强制退出 {row.username} 的 {count} 个会话。"

    return _with_reason(
        request, row, title="强制下线", do=do, submit="强制下线", danger=True,
        intro="立即退出该账号的全部会话；账号本身不停用，可以重新登录。",
    )  # fmt: skip


GRANT_RIGHTS = ("organisations.grant_role", "organisations.grant_any_role")


def _grantable(request: HttpRequest, pk: int) -> Account:
    """An account inside the reach of either right to grant."""
    user = me(request)
    rows = Account.objects.reached_by(user, GRANT_RIGHTS[0]).values("pk")
    any_role = Account.objects.reached_by(user, GRANT_RIGHTS[1]).values("pk")
    found = Account.objects.filter(pk__in=rows) | Account.objects.filter(pk__in=any_role)
    return one(found.select_related("institution"), pk)


@work_page(right=GRANT_RIGHTS[0])
def grant(request: HttpRequest, pk: int) -> HttpResponse:
    user, row = me(request), _grantable(request, pk)

    def do(given: dict[str, Any]) -> str:
        made = services.grant_role(account=row, by=user, at=clock.now(), **given)
        return f"已将“{made.role}”授予 {row.name}。"

    return act(
        request,
        GrantForm(request.POST or None, user=user),
        title=f"授予角色：{row.name}（{row.username}）",
        do=do,
        back=_address(row.pk),
        intro="不能超出您自己的权限和数据范围；三员角色由安全管理员授予，且一人只能担任其一。",
        submit="授予",
    )


@work_page(right=GRANT_RIGHTS[0])
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    found = one(Grant.objects.visible_to(request.user).select_related("account", "role"), pk)
    row = found.account

    def do(given: dict[str, Any]) -> str:
        services.revoke_grant(grant=found, by=me(request), at=clock.now(), **given)
        return f"已收回 {row.name} 的“{found.role}”。"

    return _with_reason(
        request, row, title=f"收回“{found.role}”", do=do, submit="收回", danger=True,
        intro="收回立即生效；本人由此借给他人的临时授权同时失效。",
    )  # fmt: skip

"""Pages of regions, institutions and departments (区划、机构、科室)."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from kangwei.kernel import clock
from kangwei.kernel.audit import queries as audit
from kangwei.kernel.organisations import queries, services
from kangwei.kernel.organisations.forms import (
    CloseForm,
    DepartmentForm,
    IdentifierForm,
    InstitutionChangeForm,
    InstitutionForm,
    MergeForm,
    MoveForm,
    ReasonForm,
    RegionForm,
    RegionMergeForm,
)
from kangwei.kernel.organisations.models import (
    Account,
    Department,
    Institution,
    InstitutionParent,
    Region,
    Staff,
)
from kangwei.kernel.organisations.models.institutions import IdentifierKind
from kangwei.kernel.organisations.views.acting import act, me, one
from kangwei.kernel.screens.pages import page, work_page

MANAGE = "organisations.manage_institution"
MOVE = "organisations.move_institution"


# Regions (区划)


@work_page(right="organisations.view_region")
def regions(request: HttpRequest) -> HttpResponse:
    """The region tree, one level at a time, with the institutions one may see."""
    user, today = me(request), clock.local_day(clock.now())
    rows = Region.objects.visible_to(user)
    code = request.GET.get("code", "")
    here = one(rows, code.ljust(12, "0")) if code else None
    below = list(rows.filter(parent=here).order_by("code"))
    institutions = Institution.objects.visible_to(user)
    counts = queries.count_by_region(institutions, below)
    standing = institutions.filter(region=here, closed_on=None).select_related("kind")
    return page(
        request,
        "organisations/regions.html",
        {
            "here": here,
            "path": queries.region_path(here) if here else [],
            "below": [
                (
                    region,
                    counts[region.code],
                    region.valid_to is not None and region.valid_to <= today,
                )
                for region in below
            ],
            "institutions": Paginator(standing, 50).get_page(request.GET.get("page")),
            "may": user.has_perm("organisations.manage_region"),
        },
        title=here.name if here else "区划",
    )


@work_page(right="organisations.manage_region")
def add_region(request: HttpRequest) -> HttpResponse:
    def do(given: dict[str, Any]) -> str:
        region = services.add_region(**given, by=me(request), at=clock.now())
        return f"已新增区划 {region.code} {region.name}。"

    return act(
        request,
        RegionForm(request.POST or None),
        title="新增区划",
        do=do,
        back=reverse("organisations:regions"),
        intro="按代码自动归入上级区划；GB/T 2260 的 6 位代码会补足到 12 位。",
    )


@work_page(right="organisations.manage_region")
def merge_region(request: HttpRequest, code: str) -> HttpResponse:
    region = one(Region.objects.visible_to(request.user), code)

    def do(given: dict[str, Any]) -> str:
        moved = services.merge_regions(regions=[region], by=me(request), at=clock.now(), **given)
        return f"{region} 已并入 {given['into']}，{moved} 个机构随之转入。"

    return act(
        request,
        RegionMergeForm(request.POST or None),
        title=f"合并区划：{region.name}",
        do=do,
        back=f"{reverse('organisations:regions')}?code={region.parent_id or ''}",
        intro="旧区划自合并之日撤销，但保留在历史中；其机构转入新区划。",
        submit="合并",
        danger=True,
    )


# Institutions (机构)


def _reach(request: HttpRequest, pk: int, right: str) -> Institution:
    rows = Institution.objects.reached_by(request.user, right)
    return one(rows.select_related("kind", "region"), pk)


def _address(pk: int, tab: str = "") -> str:
    address = reverse("organisations:institution", args=[pk])
    return f"{address}?tab={tab}" if tab else address


@work_page(right="organisations.view_institution")
def institution(request: HttpRequest, pk: int) -> HttpResponse:
    """One institution: facts, those below, departments, people, accounts, history."""
    user, at = me(request), clock.now()
    today = clock.local_day(at)
    row = one(
        Institution.objects.visible_to(user).select_related("kind", "region", "merged_into"), pk
    )
    children = Institution.objects.visible_to(user).filter(
        pk__in=queries.children_of(row, today).values("pk")
    )
    departments = Department.objects.visible_to(user).filter(institution=row)
    staff = Staff.objects.visible_to(user).filter(institution=row)
    accounts = Account.objects.visible_to(user).filter(institution=row)
    shown = [
        ("", "概况", None),
        ("below", "下级机构", children.count()),
        ("departments", "科室", departments.count()),
        ("staff", "人员", staff.filter(left_on=None).count()),
        ("accounts", "账号", accounts.count()),
        ("history", "操作记录", None),
    ]
    tab = request.GET.get("tab", "")
    tab = tab if tab in {key for key, _, _ in shown} else ""
    context: dict[str, Any] = {
        "row": row,
        "tab": tab,
        "tabs_shown": [
            (title, _address(row.pk, key), key == tab, count) for key, title, count in shown
        ],
        "open": row.is_open(today),
        "may_manage": user.has_perm(MANAGE, row),
        "may_move": user.has_perm(MOVE, row),
        "may_department": user.has_perm("organisations.manage_department", row),
        "may_staff": user.has_perm("organisations.manage_staff", row),
        "may_account": user.has_perm("organisations.manage_account", row),
        "today": today,
    }
    match tab:
        case "below":
            rows: Any = children.select_related("kind", "region")
        case "departments":
            rows = departments.select_related("parent")
        case "staff":
            rows = staff.select_related("department").order_by("left_on", "pinyin", "pk")
        case "accounts":
            rows = queries.with_last_sign_in(accounts)
        case "history":
            rows = []
            context["entries"] = audit.history(row)
        case _:
            rows = []
            context |= _facts(row, user)
    context["rows"] = Paginator(rows, 50).get_page(request.GET.get("page"))
    return page(request, "organisations/institution.html", context, title=row.name)


def _facts(row: Institution, user: Account) -> dict[str, Any]:
    above = list(queries.superiors(row))
    visible = set(
        Institution.objects.visible_to(user)
        .filter(pk__in=[one_.pk for one_ in above])
        .values_list("pk", flat=True)
    )
    return {
        "pairs": [
            ("机构编码", row.code),
            ("简称", row.short_name),
            ("机构类别", row.kind.name),
            ("医院等级", row.get_grade_display() if row.grade else ""),
            ("所在区划", "".join(r.name for r in queries.region_path(row.region))),
            ("统一社会信用代码", row.uscc or ""),
            *((i.get_kind_display(), i.value) for i in row.identifiers.order_by("kind")),
            ("联系电话", row.telephone),
            ("地址", row.address),
            ("启用日期", row.opened_on),
            ("停用日期", row.closed_on or ""),
            ("并入机构", row.merged_into or ""),
        ],
        "above": [(one_, one_.pk in visible) for one_ in reversed(above)],
        "parents": InstitutionParent.objects.filter(institution=row)
        .select_related("parent")
        .order_by("-valid_from"),
    }


@work_page(right=MANAGE)
def create(request: HttpRequest) -> HttpResponse:
    user = me(request)

    def do(given: dict[str, Any]) -> str:
        made = services.create_institution(by=user, at=clock.now(), **given)
        return f"已新增机构“{made.name}”。"

    initial = {"opened_on": clock.local_day(clock.now()), "parent": request.GET.get("parent")}
    return act(
        request,
        InstitutionForm(request.POST or None, user=user, right=MANAGE, initial=initial),
        title="新增机构",
        do=do,
        back=reverse("admin:organisations_institution_changelist"),
    )


@work_page(right=MANAGE)
def change(request: HttpRequest, pk: int) -> HttpResponse:
    user, row = me(request), _reach(request, pk, MANAGE)
    fields = ("name", "short_name", "kind", "grade", "uscc", "telephone", "address")
    initial = {name: getattr(row, name) for name in fields} | {"region": row.region_id}

    def do(given: dict[str, Any]) -> str:
        services.change_institution(institution=row, by=user, at=clock.now(), **given)
        return "机构信息已修改。"

    return act(
        request,
        InstitutionChangeForm(request.POST or None, user=user, right=MANAGE, initial=initial),
        title=f"修改机构：{row.name}",
        do=do,
        changes=row,
        back=_address(row.pk),
    )


@work_page(right=MANAGE)
def identify(request: HttpRequest, pk: int) -> HttpResponse:
    row = _reach(request, pk, MANAGE)

    def do(given: dict[str, Any]) -> str:
        services.set_identifier(institution=row, by=me(request), at=clock.now(), **given)
        return f"{IdentifierKind(given['kind']).label}已登记。"

    return act(
        request,
        IdentifierForm(request.POST or None),
        title=f"其他编码：{row.name}",
        do=do,
        back=_address(row.pk),
    )


@work_page(right=MOVE)
def move(request: HttpRequest, pk: int) -> HttpResponse:
    user, row = me(request), _reach(request, pk, MOVE)

    def do(given: dict[str, Any]) -> str:
        services.move_institution(institution=row, by=user, at=clock.now(), **given)
        return f"自 {given['on']} 起，“{row}”隶属于“{given['parent']}”。"

    return act(
        request,
        MoveForm(request.POST or None, user=user, right=MOVE),
        title=f"调整隶属：{row.name}",
        do=do,
        back=_address(row.pk),
        intro="日期可以是过去、今天或将来；将来的调整到期自动生效。以前的隶属关系保留在历史中。",
    )


@work_page(right=MANAGE)
def close(request: HttpRequest, pk: int) -> HttpResponse:
    row = _reach(request, pk, MANAGE)

    def do(given: dict[str, Any]) -> str:
        services.close_institution(institution=row, by=me(request), at=clock.now(), **given)
        return f"“{row}”自 {given['on']} 起停用。"

    return act(
        request,
        CloseForm(request.POST or None),
        title=f"停用机构：{row.name}",
        do=do,
        back=_address(row.pk),
        intro="停用后该机构的账号不能登录，历史数据保留。请先处理下级机构。",
        submit="停用",
        danger=True,
    )


@work_page(right=MANAGE)
def reopen(request: HttpRequest, pk: int) -> HttpResponse:
    row = _reach(request, pk, MANAGE)

    def do(given: dict[str, Any]) -> str:
        services.reopen_institution(institution=row, by=me(request), at=clock.now(), **given)
        return f"“{row}”已恢复使用；其账号需要逐一启用。"

    return act(
        request,
        ReasonForm(request.POST or None),
        title=f"恢复机构：{row.name}",
        do=do,
        back=_address(row.pk),
        submit="恢复",
    )


@work_page(right=MANAGE)
def merge(request: HttpRequest, pk: int) -> HttpResponse:
    user, row = me(request), _reach(request, pk, MANAGE)

    def do(given: dict[str, Any]) -> str:
        services.merge_institutions(institution=row, by=user, at=clock.now(), **given)
        return f"“{row}”已并入“{given['into']}”。"

    return act(
        request,
        MergeForm(request.POST or None, user=user, right=MANAGE),
        title=f"合并机构：{row.name}",
        do=do,
        back=_address(row.pk),
        intro="下级机构、在职人员和账号转入目标机构，本机构停用并保留历史。",
        submit="合并",
        danger=True,
    )


# Departments (科室)


@work_page(right="organisations.manage_department")
def add_department(request: HttpRequest, pk: int) -> HttpResponse:
    row = _reach(request, pk, "organisations.manage_department")

    def do(given: dict[str, Any]) -> str:
        made = services.create_department(institution=row, by=me(request), at=clock.now(), **given)
        return f"已新增科室“{made.name}”。"

    return act(
        request,
        DepartmentForm(request.POST or None, institution=row),
        title=f"新增科室：{row.name}",
        do=do,
        back=_address(row.pk, "departments"),
    )


def _department(request: HttpRequest, pk: int) -> Department:
    rows = Department.objects.reached_by(request.user, "organisations.manage_department")
    return one(rows.select_related("institution", "parent"), pk)


@work_page(right="organisations.manage_department")
def change_department(request: HttpRequest, pk: int) -> HttpResponse:
    row = _department(request, pk)
    form = DepartmentForm(
        request.POST or None,
        institution=row.institution,
        initial={"name": row.name, "parent": row.parent},
    )
    del form.fields["code"]

    def do(given: dict[str, Any]) -> str:
        services.change_department(department=row, by=me(request), at=clock.now(), **given)
        return "科室已修改。"

    return act(
        request,
        form,
        title=f"修改科室：{row.name}",
        do=do,
        changes=row,
        back=_address(row.institution_id, "departments"),
    )


@work_page(right="organisations.manage_department")
def close_department(request: HttpRequest, pk: int) -> HttpResponse:
    row = _department(request, pk)
    form = CloseForm(request.POST or None)
    del form.fields["reason"]

    def do(given: dict[str, Any]) -> str:
        services.close_department(department=row, by=me(request), at=clock.now(), **given)
        return f"科室“{row}”已停用。"

    return act(
        request,
        form,
        title=f"停用科室：{row.name}",
        do=do,
        back=_address(row.institution_id, "departments"),
        submit="停用",
        danger=True,
    )

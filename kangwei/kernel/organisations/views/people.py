"""Pages of staff (业务人员): a person's page, changes, certificates, unmasking."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_POST

from kangwei.kernel import clock
from kangwei.kernel.audit import queries as audit
from kangwei.kernel.crypto import masking
from kangwei.kernel.organisations import services
from kangwei.kernel.organisations.forms import (
    LeaveForm,
    QualificationForm,
    StaffChangeForm,
    StaffForm,
    TransferForm,
    UnmaskForm,
)
from kangwei.kernel.organisations.models import Institution, Qualification, Staff
from kangwei.kernel.organisations.views.acting import act, me, one
from kangwei.kernel.screens.pages import page, work_page

MANAGE = "organisations.manage_staff"


def _address(pk: int) -> str:
    return reverse("organisations:staff", args=[pk])


@work_page(right="organisations.view_staff")
def person(request: HttpRequest, pk: int) -> HttpResponse:
    user = me(request)
    row = one(Staff.objects.visible_to(user).select_related("institution", "department"), pk)
    level = user.masking_level_for(row)
    pairs = [
        ("机构", row.institution.name),
        ("科室", row.department or ""),
        ("工号", row.number),
        ("性别", row.get_sex_display()),
        ("身份证号", masking.mask_id_number(str(row.id_number), level) if row.id_number else ""),
        ("手机号", masking.mask_phone(str(row.phone), level) if row.phone else ""),
        ("电子邮箱", row.email),
        ("职称", row.title),
        ("职务", row.position),
        ("离职日期", row.left_on or ""),
    ]
    return page(
        request,
        "organisations/staff.html",
        {
            "row": row,
            "pairs": pairs,
            "employments": row.employments.select_related("institution", "department").order_by(
                "-valid_from"
            ),
            "qualifications": row.qualifications.all(),
            "accounts": row.accounts.all(),
            "entries": audit.history(row, limit=30),
            "today": clock.local_day(clock.now()),
            "may_manage": user.has_perm(MANAGE, row),
            "may_unmask": user.has_perm("organisations.unmask_staff", row)
            and bool(row.phone or row.id_number),
            "unmask_form": UnmaskForm(initial={"fields_wanted": ["phone"]}),
        },
        title=row.name,
    )


@work_page(right=MANAGE)
def create(request: HttpRequest, institution_id: int) -> HttpResponse:
    home = one(Institution.objects.reached_by(request.user, MANAGE), institution_id)

    def do(given: dict[str, Any]) -> HttpResponse:
        made = services.create_staff(institution=home, by=me(request), at=clock.now(), **given)
        return HttpResponseRedirect(_address(made.pk))

    return act(
        request,
        StaffForm(
            request.POST or None,
            institution=home,
            initial={"hired_on": clock.local_day(clock.now()), "sex": "0"},
        ),
        title=f"登记人员：{home.name}",
        do=do,
        back=f"{reverse('organisations:institution', args=[home.pk])}?tab=staff",
    )


def _row(request: HttpRequest, pk: int, right: str = MANAGE) -> Staff:
    rows = Staff.objects.reached_by(request.user, right)
    return one(rows.select_related("institution", "department"), pk)


@work_page(right=MANAGE)
def change(request: HttpRequest, pk: int) -> HttpResponse:
    row = _row(request, pk)
    initial = {name: getattr(row, name) for name in ("name", "number", "sex", "email", "title")}

    def do(given: dict[str, Any]) -> str:
        for name in ("id_number", "phone"):
            given[name] = given[name] or None
        services.change_staff(staff=row, by=me(request), at=clock.now(), **given)
        return "人员信息已修改。"

    return act(
        request,
        StaffChangeForm(request.POST or None, initial=initial),
        title=f"修改人员：{row.name}",
        do=do,
        changes=row,
        back=_address(row.pk),
    )


@work_page(right=MANAGE)
def transfer(request: HttpRequest, pk: int) -> HttpResponse:
    user, row = me(request), _row(request, pk)

    def do(given: dict[str, Any]) -> str:
        services.transfer_staff(staff=row, by=user, at=clock.now(), **given)
        return f"{row}自 {given['on']} 起调入“{given['institution']}”。"

    return act(
        request,
        TransferForm(request.POST or None, user=user, right=MANAGE),
        title=f"人员调动：{row.name}",
        do=do,
        back=_address(row.pk),
        intro="账号不随人员调动：请在调入机构为本人新建账号，并停用原账号。",
    )


@work_page(right=MANAGE)
def leave(request: HttpRequest, pk: int) -> HttpResponse:
    row = _row(request, pk)

    def do(given: dict[str, Any]) -> str:
        services.leave_staff(staff=row, by=me(request), at=clock.now(), **given)
        return f"{row}已办理离职，其账号已停用。"

    return act(
        request,
        LeaveForm(request.POST or None),
        title=f"办理离职：{row.name}",
        do=do,
        back=_address(row.pk),
        intro="办理后本人的所有账号立即停用。",
        submit="办理离职",
        danger=True,
    )


@work_page(right=MANAGE)
def add_qualification(request: HttpRequest, pk: int) -> HttpResponse:
    row = _row(request, pk)

    def do(given: dict[str, Any]) -> str:
        services.add_qualification(staff=row, by=me(request), at=clock.now(), **given)
        return "证书已登记。"

    return act(
        request,
        QualificationForm(request.POST or None),
        title=f"登记证书：{row.name}",
        do=do,
        back=_address(row.pk),
    )


@require_POST
@work_page(right=MANAGE)
def remove_qualification(request: HttpRequest, pk: int) -> HttpResponse:
    row = one(Qualification.objects.reached_by(request.user, MANAGE).select_related("staff"), pk)
    services.remove_qualification(qualification=row, by=me(request), at=clock.now())
    return HttpResponseRedirect(_address(row.staff_id))


@require_POST
@work_page(right="organisations.unmask_staff")
def unmask(request: HttpRequest, pk: int) -> HttpResponse:
    """Show the numbers in full, in place, for this once (查看完整信息)."""
    row = _row(request, pk, "organisations.unmask_staff")
    form = UnmaskForm(request.POST)
    form.is_valid()
    shown = services.unmask_staff(
        staff=row,
        fields=form.cleaned_data.get("fields_wanted", []),
        by=me(request),
        at=clock.now(),
        reason=form.cleaned_data.get("reason", ""),
    )
    titles = {"phone": "手机号", "id_number": "身份证号"}
    pairs = [(titles[name], value or "未登记") for name, value in shown.items()]
    return render(request, "organisations/unmasked.html", {"pairs": pairs})

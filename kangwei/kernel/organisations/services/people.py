"""Acts on staff (业务人员): engaging, transferring, leaving; their qualifications."""

from __future__ import annotations

from datetime import date, datetime

from django.db import transaction
from django.db.models import Q

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.organisations.models import (
    Account,
    Department,
    Employment,
    Institution,
    Qualification,
    Sex,
    Staff,
)
from kangwei.kernel.organisations.rules import identifiers as rules
from kangwei.kernel.organisations.rules.names import pinyin_code
from kangwei.kernel.refusals import Refusal


class StaffUnfit(Refusal):
    code = "organisations.staff_unfit"
    title = "人员信息有误"
    status = 422


class StaffExists(Refusal):
    code = "organisations.staff_exists"
    title = "人员已登记"


class StaffHasLeft(Refusal):
    code = "organisations.staff_has_left"
    title = "人员已离职"


class UnmaskingWithoutReason(Refusal):
    code = "organisations.unmasking_without_reason"
    title = "未填写查看原因"
    status = 422


@transaction.atomic
def create_staff(
    *,
    institution: Institution,
    name: str,
    by: Account | None,
    at: datetime,
    department: Department | None = None,
    number: str = "",
    sex: str = Sex.UNKNOWN,
    id_number: str = "",
    phone: str = "",
    email: str = "",
    title: str = "",
    position: str = "",
    hired_on: date | None = None,
) -> Staff:
    """Engage a person at an institution from a day on."""
    today = clock.local_day(at)
    since = hired_on or today
    staff = Staff(
        institution=institution,
        department=department,
        number=number.strip(),
        name=name.strip(),
        sex=sex,
        id_number=rules.tidy(id_number),
        phone=rules.tidy(phone),
        email=email.strip(),
        title=title.strip(),
        position=position.strip(),
    )
    _check(staff, today)
    staff.save(force_insert=True)
    Employment.objects.create(
        staff=staff,
        institution=institution,
        department=department,
        position=staff.position,
        valid_from=since,
    )
    audit.record(act="organisations.staff.created", subject=staff, by=by, at=at)
    return staff


def _check(staff: Staff, today: date) -> None:
    if not staff.name:
        raise StaffUnfit("姓名不能为空。", field="name")
    if len(staff.name) > 40:
        raise StaffUnfit("姓名最长 40 个字。", field="name")
    if staff.sex not in Sex.values:
        raise StaffUnfit("性别应为男、女或未知。", field="sex")
    if staff.id_number:
        if problem := rules.problem_with_resident_id(staff.id_number, today):
            raise StaffUnfit(f"{problem}。", field="id_number")
        in_number = rules.sex_of(staff.id_number)
        if staff.sex == Sex.UNKNOWN:
            staff.sex = in_number
        elif staff.sex != in_number:
            raise StaffUnfit("性别与身份证号不一致，请核对。", field="sex")
        same = Staff.objects.filter(id_number=staff.id_number, left_on=None).exclude(pk=staff.pk)
        if twin := same.select_related("institution").first():
            where = "本机构" if twin.institution_id == staff.institution_id else "其他机构"
            raise StaffExists(
                f"该身份证号已登记为{where}在职人员；如为调动，请由原机构办理离职或调动。",
                field="id_number",
            )
    if staff.phone and (problem := rules.problem_with_mobile(staff.phone)):
        raise StaffUnfit(f"{problem}。", field="phone")
    if staff.department and staff.department.institution_id != staff.institution_id:
        raise StaffUnfit("科室不属于该机构，请重新选择。", field="department")
    if staff.number:
        same = Staff.objects.filter(institution=staff.institution, number=staff.number)
        if same.exclude(pk=staff.pk).exists():
            raise StaffExists(f"“{staff.institution}”已有工号 {staff.number}。", field="number")
    staff.pinyin = pinyin_code(staff.name)


@transaction.atomic
def change_staff(
    *,
    staff: Staff,
    by: Account | None,
    at: datetime,
    name: str | None = None,
    number: str | None = None,
    sex: str | None = None,
    id_number: str | None = None,
    phone: str | None = None,
    email: str | None = None,
    title: str | None = None,
) -> Staff:
    """Correct what is said about a person; what is not given stays."""
    staff = Staff.objects.select_for_update().get(pk=staff.pk)
    given = {
        "name": name and name.strip(),
        "number": number,
        "sex": sex,
        "id_number": None if id_number is None else rules.tidy(id_number),
        "phone": None if phone is None else rules.tidy(phone),
        "email": email,
        "title": title,
    }
    for attribute, value in given.items():
        if value is not None:
            setattr(staff, attribute, value)
    _check(staff, clock.local_day(at))
    staff.save()
    changed = sorted(attribute for attribute, value in given.items() if value is not None)
    audit.record(
        act="organisations.staff.changed", subject=staff, by=by, at=at, detail={"fields": changed}
    )
    return staff


@transaction.atomic
def transfer_staff(
    *,
    staff: Staff,
    institution: Institution,
    on: date,
    by: Account | None,
    at: datetime,
    department: Department | None = None,
    position: str = "",
) -> Staff:
    """Let a person work somewhere else from a day on (调动)."""
    if staff.left_on is not None:
        raise StaffHasLeft(f"{staff}已于 {staff.left_on} 离职，请重新登记入职。")
    if department and department.institution_id != institution.pk:
        raise StaffUnfit("科室不属于该机构，请重新选择。", field="department")
    open_ = Employment.objects.filter(staff=staff, valid_to=None)
    if open_.filter(valid_from__gt=on).exists():
        raise StaffUnfit(f"调动日期 {on} 早于现任职开始日期，请核对。", field="on")
    open_.filter(valid_from=on).delete()
    open_.update(valid_to=on)
    Employment.objects.create(
        staff=staff,
        institution=institution,
        department=department,
        position=position,
        valid_from=on,
    )
    staff.institution, staff.department, staff.position = institution, department, position
    _check(staff, clock.local_day(at))
    staff.save(update_fields=["institution", "department", "position"])
    audit.record(
        act="organisations.staff.transferred",
        subject=staff, by=by, at=at, detail={"institution": institution.code, "on": on},
    )  # fmt: skip
    return staff


@transaction.atomic
def leave_staff(*, staff: Staff, on: date, by: Account | None, at: datetime, reason: str) -> Staff:
    """End a person's employment; accounts of the person are disabled on the spot (离职)."""
    if staff.left_on is not None:
        raise StaffHasLeft(f"{staff}已于 {staff.left_on} 办理离职。")
    open_ = Employment.objects.filter(Q(valid_to=None) | Q(valid_to__gt=on), staff=staff)
    if open_.filter(valid_from__gte=on).exists():
        raise StaffUnfit(f"离职日期 {on} 应晚于入职日期。", field="on")
    open_.update(valid_to=on)
    staff.left_on = on
    staff.save(update_fields=["left_on"])
    audit.record(
        act="organisations.staff.left",
        subject=staff, by=by, at=at, reason=reason, detail={"on": on},
    )  # fmt: skip
    from kangwei.kernel.organisations.services.accounts import disable_account

    for account in Account.objects.filter(staff=staff, state="active"):
        disable_account(account=account, by=by, at=at, reason=f"人员离职：{reason}"[:200])
    return staff


@transaction.atomic
def add_qualification(
    *,
    staff: Staff,
    kind: str,
    number: str,
    by: Account | None,
    at: datetime,
    issuer: str = "",
    issued_on: date | None = None,
    valid_until: date | None = None,
) -> Qualification:
    if not kind.strip() or not number.strip():
        raise StaffUnfit("证书名称和编号不能为空。", field="number")
    if issued_on and valid_until and valid_until < issued_on:
        raise StaffUnfit("有效期应不早于发证日期。", field="valid_until")
    qualification, made = Qualification.objects.get_or_create(
        staff=staff,
        kind=kind.strip(),
        number=number.strip(),
        defaults={"issuer": issuer.strip(), "issued_on": issued_on, "valid_until": valid_until},
    )
    if not made:
        raise StaffExists(f"{staff}已登记证书 {kind} {number}。", field="number")
    audit.record(act="organisations.qualification.added", subject=qualification, by=by, at=at)
    return qualification


@transaction.atomic
def remove_qualification(*, qualification: Qualification, by: Account | None, at: datetime) -> None:
    audit.record(
        act="organisations.qualification.removed",
        subject=qualification.staff, by=by, at=at, detail={"certificate": str(qualification)},
    )  # fmt: skip
    qualification.delete()


UNMASKABLE = ("id_number", "phone")


@transaction.atomic
def unmask_staff(
    *, staff: Staff, fields: list[str], by: Account, at: datetime, reason: str
) -> dict[str, str]:
    """Show a person's numbers in full, to somebody with a reason, which the journal keeps."""
    if len(reason.strip()) < 4:
        raise UnmaskingWithoutReason("请写明查看完整信息的原因（至少 4 个字）。", field="reason")
    unknown = [field for field in fields if field not in UNMASKABLE]
    if unknown or not fields:
        raise StaffUnfit("只能查看身份证号或手机号。", field="fields")
    audit.record_unmask(subject=staff, fields=fields, by=by, at=at, reason=reason.strip())
    return {field: str(getattr(staff, field)) for field in fields}

"""Acts on institutions (机构): founding, changing, moving, merging, closing; and departments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.organisations import tree
from kangwei.kernel.organisations.models import (
    Account,
    Department,
    Institution,
    InstitutionIdentifier,
    InstitutionKind,
    InstitutionParent,
    Region,
    Staff,
)
from kangwei.kernel.organisations.models.institutions import HospitalGrade, IdentifierKind
from kangwei.kernel.organisations.rules import identifiers as rules
from kangwei.kernel.organisations.rules.names import pinyin_code
from kangwei.kernel.refusals import Refusal


class InstitutionUnfit(Refusal):
    code = "organisations.institution_unfit"
    title = "机构信息有误"
    status = 422


class InstitutionExists(Refusal):
    code = "organisations.institution_exists"
    title = "机构已存在"


class InstitutionClosed(Refusal):
    code = "organisations.institution_closed"
    title = "机构已停用"


class InstitutionInUse(Refusal):
    code = "organisations.institution_in_use"
    title = "机构仍在使用"


class ParentMakesRing(Refusal):
    code = "organisations.parent_makes_ring"
    title = "隶属关系成环"


class DepartmentUnfit(Refusal):
    code = "organisations.department_unfit"
    title = "科室信息有误"
    status = 422


@transaction.atomic
def create_institution(
    *,
    code: str,
    name: str,
    kind: InstitutionKind | str,
    region: Region,
    by: Account | None,
    at: datetime,
    parent: Institution | None = None,
    short_name: str = "",
    grade: str = "",
    uscc: str | None = None,
    address: str = "",
    telephone: str = "",
    opened_on: date | None = None,
    identifiers: Mapping[str, str] | None = None,
) -> Institution:
    """Register an institution and its place in the tree from its first day on."""
    since = opened_on or clock.local_day(at)
    institution = Institution(
        code=rules.tidy(code) if code.isascii() else code.strip(),
        name=name.strip(),
        short_name=short_name.strip() or name.strip()[:40],
        kind=_kind(kind),
        grade=grade,
        region=region,
        uscc=rules.tidy(uscc) if uscc else None,
        address=address.strip(),
        telephone=telephone.strip(),
        opened_on=since,
    )
    _check(institution)
    if parent is not None:
        parent.refresh_from_db(fields=["closed_on"])
    if parent is not None and not parent.is_open(since):
        raise InstitutionClosed(f"上级机构“{parent}”在 {since} 未启用或已停用。", field="parent")
    tree.lock_tree()
    institution.save(force_insert=True)
    if parent is not None:
        InstitutionParent.objects.create(institution=institution, parent=parent, valid_from=since)
    tree.follow_closure(institution.pk, clock.local_day(at))
    for identifier, value in (identifiers or {}).items():
        _set_identifier(institution, identifier, value)
    audit.record(act="organisations.institution.created", subject=institution, by=by, at=at)
    return institution


def _kind(kind: InstitutionKind | str) -> InstitutionKind:
    if isinstance(kind, InstitutionKind):
        return kind
    found = InstitutionKind.objects.filter(code=kind).first()
    if found is None:
        raise InstitutionUnfit(f"没有机构类别“{kind[:30]}”，请从机构类别表中选择。", field="kind")
    return found


def _check(institution: Institution) -> None:
    """Everything about the row itself; what the database would refuse is told in words first."""
    if not institution.code:
        raise InstitutionUnfit("机构编码不能为空。", field="code")
    if not institution.name:
        raise InstitutionUnfit("机构名称不能为空。", field="name")
    for name in ("code", "name", "short_name", "address", "telephone"):
        field: Any = Institution._meta.get_field(name)
        if len(getattr(institution, name)) > field.max_length:
            raise InstitutionUnfit(
                f"{field.verbose_name}最长 {field.max_length} 个字。", field=name
            )
    if institution.grade and institution.grade not in HospitalGrade.values:
        raise InstitutionUnfit(f"没有医院等级“{institution.grade}”。", field="grade")
    if institution.uscc and (problem := rules.problem_with_uscc(institution.uscc)):
        raise InstitutionUnfit(f"{problem}。", field="uscc")
    if institution.telephone and (problem := rules.problem_with_telephone(institution.telephone)):
        raise InstitutionUnfit(f"{problem}。", field="telephone")
    others = Institution.objects.exclude(pk=institution.pk)
    if others.filter(code=institution.code).exists():
        raise InstitutionExists(f"机构编码 {institution.code} 已被使用。", field="code")
    if institution.uscc and others.filter(uscc=institution.uscc).exists():
        raise InstitutionExists(
            f"统一社会信用代码 {institution.uscc} 已登记在其他机构，请核对是否重复登记。",
            field="uscc",
        )
    institution.pinyin = pinyin_code(institution.short_name + institution.name, 100)


@transaction.atomic
def change_institution(
    *,
    institution: Institution,
    by: Account | None,
    at: datetime,
    name: str | None = None,
    short_name: str | None = None,
    kind: InstitutionKind | str | None = None,
    grade: str | None = None,
    region: Region | None = None,
    uscc: str | None = None,
    address: str | None = None,
    telephone: str | None = None,
) -> Institution:
    """Correct what is said about an institution; what is not given stays."""
    institution = Institution.objects.select_for_update().get(pk=institution.pk)
    given = {
        "name": name and name.strip(),
        "short_name": short_name and short_name.strip(),
        "kind": _kind(kind) if kind is not None else None,
        "grade": grade,
        "region": region,
        "address": address,
        "telephone": telephone,
    }
    for attribute, value in given.items():
        if value is not None:
            setattr(institution, attribute, value)
    if uscc is not None:
        institution.uscc = rules.tidy(uscc) or None
    _check(institution)
    institution.save()
    audit.record(act="organisations.institution.changed", subject=institution, by=by, at=at)
    return institution


@transaction.atomic
def set_identifier(
    *, institution: Institution, kind: str, value: str, by: Account | None, at: datetime
) -> None:
    """Register, replace or, with an empty value, remove a further number of the institution."""
    _set_identifier(institution, kind, value)
    audit.record(
        act="organisations.institution.identified",
        subject=institution, by=by, at=at, detail={"kind": kind, "value": value},
    )  # fmt: skip


def _set_identifier(institution: Institution, kind: str, value: str) -> None:
    if kind not in IdentifierKind.values:
        raise InstitutionUnfit(f"没有编码类别“{kind[:30]}”。", field="kind")
    value = rules.tidy(value)
    present = InstitutionIdentifier.objects.filter(institution=institution, kind=kind)
    if not value:
        present.delete()
        return
    if problem := rules.problem_with_identifier(kind, value):
        raise InstitutionUnfit(f"{problem}。", field="value")
    taken = InstitutionIdentifier.objects.filter(kind=kind, value=value)
    if taken.exclude(institution=institution).exists():
        raise InstitutionExists(
            f"{IdentifierKind(kind).label} {value} 已登记在其他机构。", field="value"
        )
    present.delete()
    InstitutionIdentifier.objects.create(institution=institution, kind=kind, value=value)


@transaction.atomic
def move_institution(
    *,
    institution: Institution,
    parent: Institution | None,
    on: date,
    by: Account | None,
    at: datetime,
    reason: str = "",
) -> None:
    """Place an institution below another from a day on; None makes it a root.

    What was planned for that day and later is replaced. The closure follows at once when the day
    has come, and with the nightly rebuild when it lies ahead.
    """
    tree.lock_tree()
    for one in filter(None, (institution, parent)):
        one.refresh_from_db(fields=["opened_on", "closed_on"])
    today = clock.local_day(at)
    if on < institution.opened_on:
        raise InstitutionUnfit(
            f"调整日期 {on} 早于机构启用日期 {institution.opened_on}。", field="on"
        )
    if institution.closed_on is not None and on >= institution.closed_on:
        raise InstitutionClosed(
            f"“{institution}”已于 {institution.closed_on} 停用，不能再调整隶属关系。"
        )
    if parent is not None and not parent.is_open(on):
        raise InstitutionClosed(f"上级机构“{parent}”在 {on} 未启用或已停用。", field="parent")
    links = InstitutionParent.objects.filter(institution=institution)
    links.filter(valid_from__gte=on).delete()
    links.filter(Q(valid_to=None) | Q(valid_to__gt=on)).update(valid_to=on)
    if parent is not None:
        for day in _days_of_change(on):
            if tree.makes_ring(tree.parents_on(day), institution.pk, parent.pk):
                raise ParentMakesRing(
                    f"“{parent}”在 {day} 隶属于“{institution}”，不能作为它的上级；"
                    f"请先调整“{parent}”的隶属关系。",
                    field="parent",
                )
        InstitutionParent.objects.create(institution=institution, parent=parent, valid_from=on)
    if on <= today:
        tree.follow_closure(institution.pk, today)
    audit.record(
        act="organisations.institution.moved",
        subject=institution, by=by, at=at, reason=reason,
        detail={"parent": parent.code if parent else None, "on": on},
    )  # fmt: skip


def _days_of_change(on: date) -> list[date]:
    """The day itself and every later day on which somebody's parent changes."""
    later = InstitutionParent.objects.filter(valid_from__gt=on).values_list("valid_from", flat=True)
    ending = InstitutionParent.objects.filter(valid_to__gt=on).values_list("valid_to", flat=True)
    return sorted({on, *later, *(day for day in ending if day is not None)})


@transaction.atomic
def close_institution(
    *, institution: Institution, on: date, by: Account | None, at: datetime, reason: str
) -> Institution:
    """End an institution on a day. Its rows stay; its accounts can no longer sign in.

    Institutions below it must be moved or closed first, so that nobody is left without a superior.
    """
    tree.lock_tree()
    institution = Institution.objects.select_for_update().get(pk=institution.pk)
    if institution.closed_on is not None:
        raise InstitutionClosed(f"“{institution}”已于 {institution.closed_on} 停用。")
    if by is not None and by.institution_id == institution.pk:
        raise InstitutionInUse("不能停用自己所在的机构，请由上级机构的管理员办理。")
    if on <= institution.opened_on:
        raise InstitutionUnfit(f"停用日期应晚于启用日期 {institution.opened_on}。", field="on")
    if not reason.strip():
        raise InstitutionUnfit("请填写停用原因。", field="reason")
    below = InstitutionParent.objects.filter(
        Q(valid_to=None) | Q(valid_to__gt=on), Q(institution__closed_on=None)
        | Q(institution__closed_on__gt=on), parent=institution,
    ).select_related("institution")  # fmt: skip
    names = [str(link.institution) for link in below[:4]]
    if names:
        raise InstitutionInUse(
            f"“{institution}”还有下级机构：{'、'.join(names[:3])}{'等' if len(names) > 3 else ''}；"
            "请先将其改隶或停用。"
        )
    institution.closed_on = on
    institution.save(update_fields=["closed_on"])
    # Its place in the tree stays: whoever was responsible for it still finds its records.
    audit.record(
        act="organisations.institution.closed",
        subject=institution, by=by, at=at, reason=reason, detail={"on": on},
    )  # fmt: skip
    if on <= clock.local_day(at):
        from kangwei.kernel.organisations.services.accounts import disable_account

        for account in Account.objects.filter(institution=institution, state="active"):
            if by is None or account.pk != by.pk:
                disable_account(
                    account=account, by=by, at=at, reason=f"所属机构停用：{reason}"[:200]
                )
    return institution


@transaction.atomic
def reopen_institution(
    *, institution: Institution, by: Account | None, at: datetime, reason: str
) -> Institution:
    """Take a closing back. Its accounts stay disabled until somebody enables them."""
    institution = Institution.objects.select_for_update().get(pk=institution.pk)
    if institution.closed_on is None:
        raise InstitutionInUse(f"“{institution}”正在使用，无需恢复。")
    if institution.merged_into_id is not None:
        raise InstitutionClosed(f"“{institution}”已并入“{institution.merged_into}”，不能恢复。")
    institution.closed_on = None
    institution.save(update_fields=["closed_on"])
    audit.record(
        act="organisations.institution.reopened", subject=institution, by=by, at=at, reason=reason
    )
    return institution


@transaction.atomic
def merge_institutions(
    *,
    institution: Institution,
    into: Institution,
    on: date,
    by: Account | None,
    at: datetime,
    reason: str,
) -> Institution:
    """Let one institution go into another: those below it, its people and accounts follow."""
    if institution.pk == into.pk:
        raise InstitutionUnfit(f"“{institution}”不能并入自身。", field="into")
    # Two that go into each other at once would both be gone.
    tree.lock_tree()
    for one in (institution, into):
        one.refresh_from_db(fields=["opened_on", "closed_on"])
    if by is not None and by.institution_id == institution.pk:
        raise InstitutionInUse("不能合并掉自己所在的机构，请由上级机构的管理员办理。")
    if not into.is_open(on):
        raise InstitutionClosed(f"“{into}”在 {on} 未启用或已停用，不能并入。", field="into")
    if institution.closed_on is not None:
        raise InstitutionClosed(f"“{institution}”已于 {institution.closed_on} 停用，不能合并。")
    if on > clock.local_day(at):
        raise InstitutionUnfit("合并当天才能办理；请在合并日期到来时操作。", field="on")
    for link in InstitutionParent.objects.filter(
        Q(valid_to=None) | Q(valid_to__gt=on), parent=institution
    ).select_related("institution"):
        move_institution(
            institution=link.institution, parent=into, on=max(on, link.valid_from), by=by, at=at,
            reason=reason,
        )  # fmt: skip
    from kangwei.kernel.organisations.services.people import transfer_staff

    for staff in Staff.objects.filter(institution=institution, left_on=None):
        transfer_staff(staff=staff, institution=into, on=on, by=by, at=at)
    Account.objects.filter(institution=institution).update(institution=into)
    closed = close_institution(institution=institution, on=on, by=by, at=at, reason=reason)
    closed.merged_into = into
    closed.save(update_fields=["merged_into"])
    audit.record(
        act="organisations.institution.merged",
        subject=closed, by=by, at=at, reason=reason, detail={"into": into.code, "on": on},
    )  # fmt: skip
    return closed


# Departments (科室)


@transaction.atomic
def create_department(
    *,
    institution: Institution,
    code: str,
    name: str,
    by: Account | None,
    at: datetime,
    parent: Department | None = None,
) -> Department:
    department = Department(
        institution=institution, code=code.strip(), name=name.strip(), parent=parent
    )
    _check_department(department)
    department.save(force_insert=True)
    audit.record(act="organisations.department.created", subject=department, by=by, at=at)
    return department


@transaction.atomic
def change_department(
    *,
    department: Department,
    name: str,
    parent: Department | None,
    by: Account | None,
    at: datetime,
) -> Department:
    department.name, department.parent = name.strip(), parent
    _check_department(department)
    department.save()
    audit.record(act="organisations.department.changed", subject=department, by=by, at=at)
    return department


@transaction.atomic
def close_department(
    *, department: Department, on: date, by: Account | None, at: datetime
) -> Department:
    busy = Staff.objects.filter(department=department).employed_on(on).count()
    if busy:
        raise InstitutionInUse(f"科室“{department}”还有 {busy} 名在职人员，请先调整。")
    if Department.objects.filter(parent=department, closed_on=None).exists():
        raise InstitutionInUse(f"科室“{department}”还有下级科室，请先停用下级。")
    department.closed_on = on
    department.save(update_fields=["closed_on"])
    audit.record(act="organisations.department.closed", subject=department, by=by, at=at)
    return department


def _check_department(department: Department) -> None:
    if not department.code or not department.name:
        raise DepartmentUnfit("科室编码和名称不能为空。", field="name")
    same = Department.objects.filter(institution=department.institution, code=department.code)
    if same.exclude(pk=department.pk).exists():
        raise DepartmentUnfit(
            f"“{department.institution}”已有编码为 {department.code} 的科室。", field="code"
        )
    above = department.parent
    seen = 0
    while above is not None:
        if above.pk == department.pk or above.institution_id != department.institution_id:
            raise DepartmentUnfit(
                "上级科室应是同一机构的其他科室，且不能互为上下级。", field="parent"
            )
        above, seen = above.parent, seen + 1
    department.pinyin = pinyin_code(department.name)


@transaction.atomic
def rebuild_closure(*, at: datetime, by: Account | None = None) -> int:
    """Bring the kept tree in line with the dated parents of today (隶属关系重建)."""
    day = clock.local_day(at)
    differences = tree.rebuild_closure(day)
    if differences:
        audit.record(
            act="organisations.closure.rebuilt",
            by=by, at=at, detail={"day": day, "differences": differences},
        )  # fmt: skip
    return differences

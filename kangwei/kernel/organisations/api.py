"""Organisations over the API: lists and acts, under the same rights and scopes as the pages."""

from __future__ import annotations

import base64
from datetime import date, datetime
from typing import IO, Annotated, Any, Literal, cast
from urllib.parse import quote

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from ninja import File, Query, Schema
from ninja.files import UploadedFile
from pydantic import Field

from kangwei.kernel import clock
from kangwei.kernel.api.content import ReasonIn
from kangwei.kernel.api.paging import Page, Paging, paginate
from kangwei.kernel.api.registry import ApiRequest, KwRouter
from kangwei.kernel.crypto import masking
from kangwei.kernel.organisations import services
from kangwei.kernel.organisations.models import (
    Account,
    AccountSession,
    Department,
    Grant,
    ImportBatch,
    ImportKind,
    ImportRow,
    Institution,
    InstitutionKind,
    Qualification,
    Region,
    Role,
    SecurityPolicy,
    SignInEvent,
    Staff,
)
from kangwei.kernel.organisations.queries import one
from kangwei.kernel.organisations.services import importing
from kangwei.kernel.refusals import Invalid, NotFound, NotPermitted

router = KwRouter(tag="机构人员")


class NoteIn(Schema):
    reason: str = Field("", max_length=200, description="原因，可不填")


# Regions (区划)


class RegionOut(Schema):
    code: str = Field(description="12 位区划代码")
    name: str
    level: str = Field(description="province、city、county、township、village")
    parent_id: str | None = Field(description="上级区划代码")
    valid_from: date
    valid_to: date | None
    merged_into_id: str | None = Field(description="并入区划代码")


class RegionFilter(Paging):
    parent: str = Field("", max_length=12, pattern=r"^[0-9]*$", description="上级区划代码")
    level: str = Field("", max_length=10, description="级别")
    q: str = Field("", max_length=60, description="名称或拼音码")


class RegionIn(Schema):
    code: str = Field(min_length=2, max_length=12, description="区划代码，不足 12 位自动补零")
    name: str = Field(min_length=1, max_length=60)
    valid_from: date


class RegionMergeIn(Schema):
    into: str = Field(min_length=2, max_length=12, description="并入区划代码")
    on: date = Field(description="合并日期")


class Moved(Schema):
    moved: int = Field(description="随之转入的机构数")


@router.get(
    "/regions", right="organisations.view_region", response=Page[RegionOut], summary="区划列表"
)
def regions(request: ApiRequest, wanted: Query[RegionFilter]) -> Any:
    rows = Region.objects.visible_to(request.user)
    if wanted.parent:
        rows = rows.filter(parent_id=wanted.parent.ljust(12, "0"))
    if wanted.level:
        rows = rows.filter(level=wanted.level)
    if wanted.q:
        rows = rows.filter(Q(name__icontains=wanted.q) | Q(pinyin__startswith=wanted.q.lower()))
    return paginate(rows, wanted, order={"code": "code", "name": "pinyin"})


@router.act(
    "/regions", right="organisations.manage_region", response=RegionOut, summary="新增区划",
    example={"code": "610113009", "name": "新设街道", "valid_from": "2026-01-01"},
)  # fmt: skip
def add_region(request: ApiRequest, content: RegionIn) -> Any:
    return services.add_region(**content.dict(), by=request.user, at=request.at)


@router.act(
    "/regions/{code}/merge", right="organisations.manage_region", response=Moved, summary="合并区划"
)
def merge_region(request: ApiRequest, code: str, content: RegionMergeIn) -> Any:
    """旧区划自合并之日撤销，其机构转入新区划。"""
    rows = Region.objects.visible_to(request.user)
    moved = services.merge_regions(
        regions=[one(rows, code)], into=one(rows, content.into.ljust(12, "0")),
        on=content.on, by=request.user, at=request.at,
    )  # fmt: skip
    return {"moved": moved}


class RegionNameIn(Schema):
    name: str = Field(min_length=1, max_length=60)


@router.act(
    "/regions/{code}/rename", right="organisations.manage_region", response=RegionOut,
    summary="区划更名",
)  # fmt: skip
def rename_region(request: ApiRequest, code: str, content: RegionNameIn) -> Any:
    return services.rename_region(
        region=one(Region.objects.visible_to(request.user), code), name=content.name,
        by=request.user, at=request.at,
    )  # fmt: skip


# Institutions (机构)


class InstitutionOut(Schema):
    id: int
    code: str = Field(description="机构编码")
    name: str
    short_name: str
    kind_id: str = Field(description="机构类别代码")
    grade: str
    region_id: str = Field(description="所在区划代码")
    uscc: str | None = Field(description="统一社会信用代码")
    address: str
    telephone: str
    opened_on: date
    closed_on: date | None


class InstitutionFilter(Paging):
    q: str = Field("", max_length=60, description="名称、编码或拼音码")
    kind: str = Field("", max_length=30, description="机构类别代码")
    region: str = Field("", max_length=12, pattern=r"^[0-9]*$", description="区划代码前缀")
    below: int | None = Field(None, ge=1, le=2**63 - 1, description="某机构的全部下级（含自身）")
    open: bool | None = Field(None, description="只看在用或只看停用")


class InstitutionIn(Schema):
    code: str = Field(min_length=1, max_length=30)
    name: str = Field(min_length=1, max_length=100)
    short_name: str = Field("", max_length=40)
    kind: str = Field(max_length=30, description="机构类别代码")
    grade: str = Field("", max_length=4)
    region: str = Field(max_length=12, description="区划代码")
    parent_id: int = Field(ge=1, le=2**63 - 1, description="上级机构")
    uscc: str | None = Field(None, max_length=18)
    address: str = Field("", max_length=200)
    telephone: str = Field("", max_length=30)
    opened_on: date | None = None


class InstitutionChangeIn(Schema):
    """没有给出的项目保持不变。"""

    name: str | None = Field(None, min_length=1, max_length=100)
    short_name: str | None = Field(None, max_length=40)
    kind: str | None = Field(None, max_length=30)
    grade: str | None = Field(None, max_length=4)
    region: str | None = Field(None, max_length=12)
    uscc: str | None = Field(None, max_length=18)
    address: str | None = Field(None, max_length=200)
    telephone: str | None = Field(None, max_length=30)


class IdentifierIn(Schema):
    kind: str = Field(max_length=30)
    value: str = Field(max_length=40, description="留空则删除")


class MoveIn(NoteIn):
    parent_id: int = Field(ge=1, le=2**63 - 1, description="新的上级机构")
    on: date = Field(description="自哪天起")


class CloseIn(ReasonIn):
    on: date


class MergeIn(ReasonIn):
    into_id: int = Field(ge=1, le=2**63 - 1, description="并入机构")
    on: date


class KindOut(Schema):
    code: str
    name: str
    group: str


def _region(code: str) -> Region:
    region = Region.objects.filter(code=code.ljust(12, "0"), valid_to=None).first()
    if region is None:
        raise Invalid(f"没有有效的区划代码“{code}”。", field="region")
    return region


def _institution(request: ApiRequest, pk: int, right: str) -> Institution:
    return one(Institution.objects.reached_by(request.user, right), pk)


MANAGE = "organisations.manage_institution"


@router.get(
    "/institution-kinds", right="organisations.view_institutionkind", response=list[KindOut],
    summary="机构类别",
)  # fmt: skip
def institution_kinds(request: ApiRequest) -> Any:
    return list(InstitutionKind.objects.all())


@router.get(
    "/institutions", right="organisations.view_institution", rows=Institution,
    response=Page[InstitutionOut], summary="机构列表",
)  # fmt: skip
def institutions(request: ApiRequest, wanted: Query[InstitutionFilter]) -> Any:
    rows: QuerySet[Institution] = Institution.objects.visible_to(request.user)
    if wanted.q:
        rows = rows.filter(
            Q(name__icontains=wanted.q)
            | Q(code__istartswith=wanted.q)
            | Q(pinyin__icontains=wanted.q.lower())
        )
    if wanted.kind:
        rows = rows.filter(kind_id=wanted.kind)
    if wanted.region:
        rows = rows.filter(region__code__startswith=wanted.region)
    if wanted.below is not None:
        rows = rows.filter(closure_above__ancestor=wanted.below)
    if wanted.open is not None:
        on = clock.local_day(request.at)
        shut = Q(closed_on__isnull=False, closed_on__lte=on)
        rows = rows.filter(~shut if wanted.open else shut)
    return paginate(rows, wanted, order={"code": "code", "name": "pinyin", "region": "region_id"})


@router.get(
    "/institutions/{institution_id}", right="organisations.view_institution", rows=Institution,
    response=InstitutionOut, summary="机构详情",
)  # fmt: skip
def institution(request: ApiRequest, institution_id: int) -> Any:
    return _institution(request, institution_id, "organisations.view_institution")


@router.act(
    "/institutions", right=MANAGE, rows=Institution, response=InstitutionOut, summary="新增机构"
)
def create_institution(request: ApiRequest, content: InstitutionIn) -> Any:
    given = content.dict(exclude={"region", "parent_id"})
    return services.create_institution(
        **given, region=_region(content.region),
        parent=_institution(request, content.parent_id, MANAGE), by=request.user, at=request.at,
    )  # fmt: skip


@router.act(
    "/institutions/{institution_id}/change", right=MANAGE, rows=Institution,
    response=InstitutionOut, summary="修改机构",
)  # fmt: skip
def change_institution(
    request: ApiRequest, institution_id: int, content: InstitutionChangeIn
) -> Any:
    return services.change_institution(
        institution=_institution(request, institution_id, MANAGE),
        **content.dict(exclude={"region"}),
        region=_region(content.region) if content.region else None, by=request.user, at=request.at,
    )  # fmt: skip


@router.act(
    "/institutions/{institution_id}/identifiers", right=MANAGE, rows=Institution,
    summary="登记其他编码",
)  # fmt: skip
def set_identifier(request: ApiRequest, institution_id: int, content: IdentifierIn) -> None:
    services.set_identifier(
        institution=_institution(request, institution_id, MANAGE), **content.dict(),
        by=request.user, at=request.at,
    )  # fmt: skip


@router.act(
    "/institutions/{institution_id}/move", right="organisations.move_institution",
    rows=Institution, summary="调整隶属关系",
)  # fmt: skip
def move_institution(request: ApiRequest, institution_id: int, content: MoveIn) -> None:
    right = "organisations.move_institution"
    services.move_institution(
        institution=_institution(request, institution_id, right),
        parent=_institution(request, content.parent_id, right),
        on=content.on, reason=content.reason, by=request.user, at=request.at,
    )  # fmt: skip


@router.act(
    "/institutions/{institution_id}/close", right=MANAGE, rows=Institution,
    response=InstitutionOut, summary="停用机构",
)  # fmt: skip
def close_institution(request: ApiRequest, institution_id: int, content: CloseIn) -> Any:
    return services.close_institution(
        institution=_institution(request, institution_id, MANAGE), **content.dict(),
        by=request.user, at=request.at,
    )  # fmt: skip


@router.act(
    "/institutions/{institution_id}/reopen", right=MANAGE, rows=Institution,
    response=InstitutionOut, summary="恢复机构",
)  # fmt: skip
def reopen_institution(request: ApiRequest, institution_id: int, content: ReasonIn) -> Any:
    return services.reopen_institution(
        institution=_institution(request, institution_id, MANAGE), reason=content.reason,
        by=request.user, at=request.at,
    )  # fmt: skip


@router.act(
    "/institutions/{institution_id}/merge", right=MANAGE, rows=Institution,
    response=InstitutionOut, summary="合并机构",
)  # fmt: skip
def merge_institution(request: ApiRequest, institution_id: int, content: MergeIn) -> Any:
    return services.merge_institutions(
        institution=_institution(request, institution_id, MANAGE),
        into=_institution(request, content.into_id, MANAGE),
        on=content.on, reason=content.reason, by=request.user, at=request.at,
    )  # fmt: skip


# Departments (科室)


class DepartmentOut(Schema):
    id: int
    institution_id: int
    parent_id: int | None
    code: str
    name: str
    closed_on: date | None


class DepartmentFilter(Paging):
    institution: int | None = Field(None, ge=1, le=2**63 - 1, description="机构")


class DepartmentIn(Schema):
    institution_id: int = Field(ge=1, le=2**63 - 1)
    code: str = Field(min_length=1, max_length=30)
    name: str = Field(min_length=1, max_length=60)
    parent_id: int | None = Field(None, ge=1, le=2**63 - 1)


class DepartmentChangeIn(Schema):
    name: str = Field(min_length=1, max_length=60)
    parent_id: int | None = Field(None, ge=1, le=2**63 - 1)


class DayIn(Schema):
    on: date


DEPARTMENTS = "organisations.manage_department"


def _department(request: ApiRequest, pk: int, right: str = DEPARTMENTS) -> Department:
    return one(Department.objects.reached_by(request.user, right).select_related("institution"), pk)


@router.get(
    "/departments", right="organisations.view_department", rows=Department,
    response=Page[DepartmentOut], summary="科室列表",
)  # fmt: skip
def departments(request: ApiRequest, wanted: Query[DepartmentFilter]) -> Any:
    rows: QuerySet[Department] = Department.objects.visible_to(request.user)
    if wanted.institution is not None:
        rows = rows.filter(institution=wanted.institution)
    return paginate(rows, wanted, order={"code": "code", "name": "pinyin"})


@router.act(
    "/departments", right=DEPARTMENTS, rows=Department, response=DepartmentOut, summary="新增科室"
)
def create_department(request: ApiRequest, content: DepartmentIn) -> Any:
    parent = _department(request, content.parent_id) if content.parent_id else None
    return services.create_department(
        institution=_institution(request, content.institution_id, DEPARTMENTS),
        code=content.code, name=content.name, parent=parent, by=request.user, at=request.at,
    )  # fmt: skip


@router.act(
    "/departments/{department_id}/change", right=DEPARTMENTS, rows=Department,
    response=DepartmentOut, summary="修改科室",
)  # fmt: skip
def change_department(request: ApiRequest, department_id: int, content: DepartmentChangeIn) -> Any:
    return services.change_department(
        department=_department(request, department_id), name=content.name,
        parent=_department(request, content.parent_id) if content.parent_id else None,
        by=request.user, at=request.at,
    )  # fmt: skip


@router.act(
    "/departments/{department_id}/close", right=DEPARTMENTS, rows=Department,
    response=DepartmentOut, summary="停用科室",
)  # fmt: skip
def close_department(request: ApiRequest, department_id: int, content: DayIn) -> Any:
    return services.close_department(
        department=_department(request, department_id), on=content.on,
        by=request.user, at=request.at,
    )  # fmt: skip


# Staff (业务人员)


class StaffOut(Schema):
    id: int
    institution_id: int
    department_id: int | None
    number: str
    name: str
    sex: str
    phone: str = Field(description="按账号的脱敏级别显示")
    title: str
    position: str
    left_on: date | None

    @staticmethod
    def resolve_phone(row: Staff, context: dict[str, Any]) -> str:
        level = context["request"].user.masking_level_for(row)
        return masking.mask_phone(str(row.phone), level) if row.phone else ""


class StaffFilter(Paging):
    q: str = Field("", max_length=40, description="姓名、拼音码或工号")
    institution: int | None = Field(None, ge=1, le=2**63 - 1)


class StaffIn(Schema):
    institution_id: int = Field(ge=1, le=2**63 - 1)
    department_id: int | None = Field(None, ge=1, le=2**63 - 1)
    name: str = Field(min_length=1, max_length=40)
    number: str = Field("", max_length=30)
    sex: str = Field("0", pattern=r"^[012]$")
    id_number: str = Field("", max_length=18)
    phone: str = Field("", max_length=20)
    email: str = Field("", max_length=100)
    title: str = Field("", max_length=40)
    position: str = Field("", max_length=40)
    hired_on: date | None = None


class StaffChangeIn(Schema):
    """没有给出的项目保持不变。"""

    name: str | None = Field(None, min_length=1, max_length=40)
    number: str | None = Field(None, max_length=30)
    sex: str | None = Field(None, pattern=r"^[012]$")
    id_number: str | None = Field(None, max_length=18)
    phone: str | None = Field(None, max_length=20)
    email: str | None = Field(None, max_length=100)
    title: str | None = Field(None, max_length=40)


class TransferIn(Schema):
    institution_id: int = Field(ge=1, le=2**63 - 1)
    department_id: int | None = Field(None, ge=1, le=2**63 - 1)
    position: str = Field("", max_length=40)
    on: date


class QualificationIn(Schema):
    kind: str = Field(min_length=1, max_length=60)
    number: str = Field(min_length=1, max_length=60)
    issuer: str = Field("", max_length=100)
    issued_on: date | None = None
    valid_until: date | None = None


class QualificationOut(QualificationIn):
    id: int
    staff_id: int


class UnmaskIn(ReasonIn):
    fields: list[str] = Field(min_length=1, max_length=2, description="phone、id_number")


class UnmaskOut(Schema):
    phone: str | None = None
    id_number: str | None = None


STAFF = "organisations.manage_staff"


def _staff(request: ApiRequest, pk: int, right: str = STAFF) -> Staff:
    rows = Staff.objects.reached_by(request.user, right)
    return one(rows.select_related("institution", "department"), pk)


@router.get(
    "/staff", right="organisations.view_staff", rows=Staff, response=Page[StaffOut],
    summary="业务人员列表",
)  # fmt: skip
def staff(request: ApiRequest, wanted: Query[StaffFilter]) -> Any:
    rows: QuerySet[Staff] = Staff.objects.visible_to(request.user)
    if wanted.q:
        rows = rows.filter(
            Q(name__icontains=wanted.q)
            | Q(pinyin__startswith=wanted.q.lower())
            | Q(number=wanted.q)
        )
    if wanted.institution is not None:
        rows = rows.filter(institution=wanted.institution)
    return paginate(rows, wanted, order={"name": "pinyin", "number": "number"})


@router.get(
    "/staff/{staff_id}", right="organisations.view_staff", rows=Staff, response=StaffOut,
    summary="业务人员详情",
)  # fmt: skip
def staff_member(request: ApiRequest, staff_id: int) -> Any:
    return _staff(request, staff_id, "organisations.view_staff")


@router.act("/staff", right=STAFF, rows=Staff, response=StaffOut, summary="登记人员")
def create_staff(request: ApiRequest, content: StaffIn) -> Any:
    department = (
        _department(request, content.department_id, STAFF) if content.department_id else None
    )
    return services.create_staff(
        institution=_institution(request, content.institution_id, STAFF), department=department,
        **content.dict(exclude={"institution_id", "department_id"}), by=request.user, at=request.at,
    )  # fmt: skip


@router.act(
    "/staff/{staff_id}/change", right=STAFF, rows=Staff, response=StaffOut, summary="修改人员"
)
def change_staff(request: ApiRequest, staff_id: int, content: StaffChangeIn) -> Any:
    return services.change_staff(
        staff=_staff(request, staff_id), **content.dict(), by=request.user, at=request.at
    )


@router.act(
    "/staff/{staff_id}/transfer", right=STAFF, rows=Staff, response=StaffOut, summary="人员调动"
)
def transfer_staff(request: ApiRequest, staff_id: int, content: TransferIn) -> Any:
    department = (
        _department(request, content.department_id, STAFF) if content.department_id else None
    )
    return services.transfer_staff(
        staff=_staff(request, staff_id),
        institution=_institution(request, content.institution_id, STAFF),
        department=department, position=content.position, on=content.on,
        by=request.user, at=request.at,
    )  # fmt: skip


@router.act(
    "/staff/{staff_id}/leave", right=STAFF, rows=Staff, response=StaffOut, summary="办理离职"
)
def leave_staff(request: ApiRequest, staff_id: int, content: CloseIn) -> Any:
    return services.leave_staff(
        staff=_staff(request, staff_id), **content.dict(), by=request.user, at=request.at
    )


@router.act(
    "/staff/{staff_id}/qualifications", right=STAFF, rows=Staff, response=QualificationOut,
    summary="登记资格证书",
)  # fmt: skip
def add_qualification(request: ApiRequest, staff_id: int, content: QualificationIn) -> Any:
    return services.add_qualification(
        staff=_staff(request, staff_id), **content.dict(), by=request.user, at=request.at
    )


@router.act(
    "/qualifications/{qualification_id}/remove", right=STAFF, rows=Qualification,
    summary="删除资格证书",
)  # fmt: skip
def remove_qualification(request: ApiRequest, qualification_id: int) -> None:
    rows = Qualification.objects.reached_by(request.user, STAFF).select_related("staff")
    services.remove_qualification(
        qualification=one(rows, qualification_id), by=request.user, at=request.at
    )


@router.act(
    "/staff/{staff_id}/unmask", right="organisations.unmask_staff", rows=Staff,
    response=UnmaskOut, summary="查看完整证件号和手机号",
)  # fmt: skip
def unmask_staff(request: ApiRequest, staff_id: int, content: UnmaskIn) -> Any:
    """查看会记入审计日志，包括原因。"""
    row = _staff(request, staff_id, "organisations.unmask_staff")
    return services.unmask_staff(staff=row, **content.dict(), by=request.user, at=request.at)


# Accounts (账号)


class AccountOut(Schema):
    id: int
    username: str
    name: str
    institution_id: int
    staff_id: int | None
    state: str = Field(description="active、disabled、suspended")
    valid_until: date | None
    must_change_password: bool


class AccountFilter(Paging):
    q: str = Field("", max_length=40, description="用户名、姓名或拼音码")
    institution: int | None = Field(None, ge=1, le=2**63 - 1)
    state: str = Field("", max_length=10)


class AccountIn(Schema):
    username: str = Field(min_length=2, max_length=40)
    name: str = Field(min_length=1, max_length=40)
    institution_id: int = Field(ge=1, le=2**63 - 1)
    staff_id: int | None = Field(None, ge=1, le=2**63 - 1)
    valid_until: date | None = None


class AccountChangeIn(Schema):
    name: str = Field(min_length=1, max_length=40)
    staff_id: int | None = Field(None, ge=1, le=2**63 - 1)
    valid_until: date | None = None


class NewAccountOut(Schema):
    account: AccountOut
    password: str = Field(description="一次性密码，只在这里出现一次")


class PasswordOut(Schema):
    password: str = Field(description="一次性密码，只在这里出现一次")


class Ended(Schema):
    sessions: int = Field(description="退出的会话数")


ACCOUNTS = "organisations.manage_account"
RESET = "organisations.reset_password"
RESET_FACTOR = "organisations.reset_second_factor"


def _account(request: ApiRequest, pk: int, right: str = ACCOUNTS) -> Account:
    rows = Account.objects.reached_by(request.user, right)
    return one(rows.select_related("institution", "staff"), pk)


def _own_staff(request: ApiRequest, pk: int | None) -> Staff | None:
    return one(Staff.objects.visible_to(request.user), pk) if pk else None


@router.get(
    "/accounts", right="organisations.view_account", rows=Account, response=Page[AccountOut],
    summary="账号列表",
)  # fmt: skip
def accounts(request: ApiRequest, wanted: Query[AccountFilter]) -> Any:
    rows: QuerySet[Account] = Account.objects.visible_to(request.user)
    if wanted.q:
        rows = rows.filter(
            Q(username__istartswith=wanted.q)
            | Q(name__icontains=wanted.q)
            | Q(pinyin__startswith=wanted.q.lower())
        )
    if wanted.institution is not None:
        rows = rows.filter(institution=wanted.institution)
    if wanted.state:
        rows = rows.filter(state=wanted.state)
    return paginate(rows, wanted, order={"username": "username", "name": "pinyin"})


@router.get(
    "/accounts/{account_id}", right="organisations.view_account", rows=Account,
    response=AccountOut, summary="账号详情",
)  # fmt: skip
def account(request: ApiRequest, account_id: int) -> Any:
    return _account(request, account_id, "organisations.view_account")


@router.act("/accounts", right=ACCOUNTS, rows=Account, response=NewAccountOut, summary="新建账号")
def create_account(request: ApiRequest, content: AccountIn) -> Any:
    new = services.create_account(
        username=content.username, name=content.name,
        institution=_institution(request, content.institution_id, ACCOUNTS),
        staff=_own_staff(request, content.staff_id), valid_until=content.valid_until,
        by=request.user, at=request.at,
    )  # fmt: skip
    return {"account": new.account, "password": new.password}


@router.act(
    "/accounts/{account_id}/change", right=ACCOUNTS, rows=Account, response=AccountOut,
    summary="修改账号",
)  # fmt: skip
def change_account(request: ApiRequest, account_id: int, content: AccountChangeIn) -> Any:
    return services.change_account(
        account=_account(request, account_id), name=content.name,
        staff=_own_staff(request, content.staff_id), valid_until=content.valid_until,
        by=request.user, at=request.at,
    )  # fmt: skip


@router.act(
    "/accounts/{account_id}/disable", right=ACCOUNTS, rows=Account, response=AccountOut,
    summary="停用账号",
)  # fmt: skip
def disable_account(request: ApiRequest, account_id: int, content: ReasonIn) -> Any:
    return services.disable_account(
        account=_account(request, account_id), **content.dict(), by=request.user, at=request.at
    )


@router.act(
    "/accounts/{account_id}/enable", right=ACCOUNTS, rows=Account, response=AccountOut,
    summary="启用账号",
)  # fmt: skip
def enable_account(request: ApiRequest, account_id: int, content: ReasonIn) -> Any:
    return services.enable_account(
        account=_account(request, account_id), **content.dict(), by=request.user, at=request.at
    )


@router.act("/accounts/{account_id}/unlock", right=RESET, rows=Account, summary="解除登录锁定")
def unlock_account(request: ApiRequest, account_id: int) -> None:
    services.unlock_account(
        account=_account(request, account_id, RESET), by=request.user, at=request.at
    )


@router.act(
    "/accounts/{account_id}/reset-password", right=RESET, rows=Account, response=PasswordOut,
    summary="重置密码",
)  # fmt: skip
def reset_password(request: ApiRequest, account_id: int, content: ReasonIn) -> Any:
    password = services.reset_password(
        account=_account(request, account_id, RESET), **content.dict(),
        by=request.user, at=request.at,
    )  # fmt: skip
    return {"password": password}


@router.act(
    "/accounts/{account_id}/reset-second-factor", right=RESET_FACTOR, rows=Account,
    summary="重置第二因素",
)  # fmt: skip
def reset_second_factor(request: ApiRequest, account_id: int, content: ReasonIn) -> None:
    services.reset_second_factor(
        account=_account(request, account_id, RESET_FACTOR), **content.dict(),
        by=request.user, at=request.at,
    )  # fmt: skip


@router.act(
    "/accounts/{account_id}/sign-out", right="organisations.sign_out_account", rows=Account,
    response=Ended, summary="强制下线",
)  # fmt: skip
def sign_out_account(request: ApiRequest, account_id: int, content: NoteIn) -> Any:
    row = _account(request, account_id, "organisations.sign_out_account")
    count = services.sign_out_everywhere(
        account=row, **content.dict(), by=request.user, at=request.at
    )
    return {"sessions": count}


# Roles and grants (角色、授权)


class RoleOut(Schema):
    id: int
    code: str
    name: str
    description: str
    rights: list[str]
    scope_kind: str = Field(description="own、subtree、regions、listed、everything")
    masking_level: int
    second_factor_required: bool
    session_limit: int | None
    duty: str
    built_in: bool
    assignable: bool
    active: bool


class RoleChangeIn(Schema):
    name: str = Field(min_length=1, max_length=40)
    description: str = Field("", max_length=200)
    rights: list[str] = Field(min_length=1, max_length=1000)
    scope_kind: str = Field(max_length=10)
    masking_level: int = Field(1, ge=0, le=2)
    second_factor_required: bool = False
    session_limit: int | None = Field(None, ge=1, le=20)
    assignable: bool = False


class RoleIn(RoleChangeIn):
    code: str = Field(min_length=2, max_length=40)


class GrantOut(Schema):
    id: int
    account_id: int
    role: str
    valid_from: datetime
    valid_until: datetime | None
    reason: str
    lent_from_id: int | None = Field(description="借自哪项授权")
    revoked_at: datetime | None

    @staticmethod
    def resolve_role(row: Grant) -> str:
        return row.role.code


class GrantIn(Schema):
    role: str = Field(max_length=40, description="角色代码")
    institution_ids: list[int] = Field(default_factory=list, max_length=200)
    regions: list[str] = Field(default_factory=list, max_length=200, description="区划代码")
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    reason: str = Field("", max_length=200)


class LoanIn(ReasonIn):
    username: str = Field(max_length=40, description="借给谁")
    until: datetime
    institution_ids: list[int] = Field(default_factory=list, max_length=200)
    regions: list[str] = Field(default_factory=list, max_length=200)


GRANTS = "organisations.grant_role"


def _targets(
    request: ApiRequest, institution_ids: list[int], codes: list[str]
) -> tuple[list[Institution], list[Region]]:
    visible = Institution.objects.visible_to(request.user)
    return [one(visible, pk) for pk in institution_ids], [_region(code) for code in codes]


@router.get("/roles", right="organisations.view_role", response=Page[RoleOut], summary="角色列表")
def roles(request: ApiRequest, paging: Query[Paging]) -> Any:
    return paginate(Role.objects.visible_to(request.user), paging, order={"code": "code"})


@router.act("/roles", right="organisations.manage_role", response=RoleOut, summary="新建角色")
def create_role(request: ApiRequest, content: RoleIn) -> Any:
    return services.create_role(**content.dict(), by=request.user, at=request.at)


@router.act(
    "/roles/{role_id}/change", right="organisations.manage_role", response=RoleOut,
    summary="修改角色",
)  # fmt: skip
def change_role(request: ApiRequest, role_id: int, content: RoleChangeIn) -> Any:
    row = one(Role.objects.visible_to(request.user), role_id)
    return services.change_role(role=row, **content.dict(), by=request.user, at=request.at)


@router.act(
    "/roles/{role_id}/retire", right="organisations.manage_role", response=RoleOut,
    summary="停用角色",
)  # fmt: skip
def retire_role(request: ApiRequest, role_id: int) -> Any:
    row = one(Role.objects.visible_to(request.user), role_id)
    return services.retire_role(role=row, by=request.user, at=request.at)


@router.get(
    "/accounts/{account_id}/grants", right="organisations.view_grant", rows=Account,
    response=list[GrantOut], summary="账号的授权",
)  # fmt: skip
def grants(request: ApiRequest, account_id: int) -> Any:
    row = _account(request, account_id, "organisations.view_grant")
    return list(Grant.objects.filter(account=row).select_related("role"))


@router.act(
    "/accounts/{account_id}/grants", right=GRANTS, rows=Account, response=GrantOut,
    summary="授予角色",
)  # fmt: skip
def grant_role(request: ApiRequest, account_id: int, content: GrantIn) -> Any:
    """不能超出自己的权限和数据范围，也不能给自己授权。"""
    role = Role.objects.visible_to(request.user).filter(code=content.role).first()
    if role is None:
        raise Invalid(f"没有角色“{content.role}”。", field="role")
    places, areas = _targets(request, content.institution_ids, content.regions)
    return services.grant_role(
        account=_account(request, account_id, GRANTS), role=role, institutions=places,
        regions=areas, valid_from=content.valid_from, valid_until=content.valid_until,
        reason=content.reason, by=request.user, at=request.at,
    )  # fmt: skip


@router.act(
    "/grants/{grant_id}/revoke", right=GRANTS, rows=Grant, response=GrantOut, summary="收回授权"
)
def revoke_grant(request: ApiRequest, grant_id: int, content: ReasonIn) -> Any:
    row = one(Grant.objects.visible_to(request.user), grant_id)
    return services.revoke_grant(grant=row, **content.dict(), by=request.user, at=request.at)


@router.act(
    "/me/grants/{grant_id}/lend", right="organisations.delegate_role", response=GrantOut,
    summary="借出自己的授权",
)  # fmt: skip
def lend(request: ApiRequest, grant_id: int, content: LoanIn) -> Any:
    """到期自动失效；不能再次借出。"""
    user = request.user
    own = one(Grant.objects.filter(account=user), grant_id)
    known = Account.objects.visible_to(user).values("pk")
    to = Account.objects.filter(
        Q(institution=user.institution_id) | Q(pk__in=known),
        username=content.username.strip().lower(),
    ).first()
    if to is None:
        raise Invalid("没有这个用户名，或不在您能看到的范围内。", field="username")
    places, areas = _targets(request, content.institution_ids, content.regions)
    return services.delegate_role(
        grant=own, to=to, until=content.until, reason=content.reason, institutions=places,
        regions=areas, by=user, at=request.at,
    )  # fmt: skip


@router.act("/me/loans/{grant_id}/take-back", right=None, response=GrantOut, summary="收回临时授权")
def take_back(request: ApiRequest, grant_id: int, content: ReasonIn) -> Any:
    rows = Grant.objects.filter(lent_from__account=request.user)
    return services.revoke_grant(
        grant=one(rows, grant_id), reason=content.reason, by=request.user, at=request.at
    )


# Oneself and the sign-in journal (本人、登录日志)


class MeOut(Schema):
    id: int
    username: str
    name: str
    institution_id: int
    masking_level: int
    rights: list[str]

    @staticmethod
    def resolve_rights(row: Account) -> list[str]:
        return sorted(row.access.rights)


class SessionOut(Schema):
    id: int
    started_at: datetime
    seen_at: datetime
    address: str | None
    agent: str


class SignInEventOut(Schema):
    id: int
    at: datetime
    kind: str
    username: str
    address: str | None
    agent: str
    reason: str


@router.get("/me", right=None, response=MeOut, summary="我的账号与权限")
def me(request: ApiRequest) -> Any:
    return request.user


@router.get("/me/sessions", right=None, response=list[SessionOut], summary="我的登录会话")
def my_sessions(request: ApiRequest) -> Any:
    return list(AccountSession.objects.open().filter(account=request.user))


@router.act("/me/sessions/{session_id}/end", right=None, summary="退出我的某个会话")
def end_session(request: ApiRequest, session_id: int) -> None:
    rows = AccountSession.objects.open().filter(account=request.user)
    services.sign_out_session(session=one(rows, session_id), by=request.user, at=request.at)


@router.get(
    "/sign-in-events", right="organisations.view_signinevent", rows=SignInEvent,
    response=Page[SignInEventOut], summary="登录日志",
)  # fmt: skip
def sign_in_events(request: ApiRequest, paging: Query[Paging]) -> Any:
    return paginate(SignInEvent.objects.visible_to(request.user), paging, order={"at": "at"})


# The sign-in policy (登录安全策略)

Small = Annotated[int | None, Field(ge=0, le=1440)]


class SecurityPolicyOut(Schema):
    password_min_length: int
    password_history: int
    password_max_age_days: int
    password_min_age_hours: int
    failures_before_lock: int
    address_failures_before_lock: int
    failure_window_minutes: int
    lock_minutes: int
    idle_minutes: int
    lifetime_hours: int
    session_limit: int


class SecurityPolicyIn(Schema):
    """没有给出的项目保持不变；数值不能突破等保三级的下限。"""

    password_min_length: Small = None
    password_history: Small = None
    password_max_age_days: Small = None
    password_min_age_hours: Small = None
    failures_before_lock: Small = None
    address_failures_before_lock: Small = None
    failure_window_minutes: Small = None
    lock_minutes: Small = None
    idle_minutes: Small = None
    lifetime_hours: Small = None
    session_limit: Small = None


@router.get(
    "/security-policy", right="organisations.view_securitypolicy", response=SecurityPolicyOut,
    summary="登录安全策略",
)  # fmt: skip
def policy(request: ApiRequest) -> Any:
    return SecurityPolicy.objects.get(pk=1)


@router.act(
    "/security-policy/change",
    right="organisations.change_securitypolicy",
    response=SecurityPolicyOut,
    summary="修改登录安全策略",
)
def change_policy(request: ApiRequest, content: SecurityPolicyIn) -> Any:
    return services.change_policy(
        figures=content.dict(exclude_none=True), by=request.user, at=request.at
    )


# Bulk import (批量导入)


class ImportRowOut(Schema):
    number: int = Field(description="行号")
    problems: list[dict[str, str]] = Field(description="问题：列名与原因")
    result_id: int | None = Field(description="写入的对象")


class ImportOut(Schema):
    id: int
    kind: str
    file_name: str
    state: str = Field(description="preview、confirmed、discarded")
    written: int = Field(description="已写入行数")
    run: int | None = Field(None, description="正在写入它的后台任务，见 /jobs/runs")

    @staticmethod
    def resolve_run(batch: ImportBatch) -> int | None:
        run = importing.running(batch)
        return run.pk if run is not None else None


class ImportDetailOut(ImportOut):
    bad: list[ImportRowOut]

    @staticmethod
    def resolve_bad(batch: ImportBatch) -> list[ImportRow]:
        return [row for row in batch.rows.order_by("number") if row.problems]


def _batch(request: ApiRequest, pk: int) -> ImportBatch:
    """One's own upload, while one still holds the right to import."""
    batch = one(ImportBatch.objects.visible_to(request.user), pk)
    if not request.user.has_perm(importing.SCOPE_RIGHT[ImportKind(batch.kind)]):
        raise NotFound("没有找到这个批量导入：它可能已被删除，或不在您的数据范围内。")
    return batch


@router.act(
    "/imports/institutions", right="organisations.import_institution", response=ImportDetailOut,
    summary="上传机构导入表",
)  # fmt: skip
def import_institutions(request: ApiRequest, file: File[UploadedFile]) -> Any:
    """逐行检查并列出原因，确认之前不写入任何数据。"""
    return _upload(request, ImportKind.INSTITUTIONS, file)


@router.act(
    "/imports/accounts", right="organisations.import_account", response=ImportDetailOut,
    summary="上传账号导入表",
)  # fmt: skip
def import_accounts(request: ApiRequest, file: File[UploadedFile]) -> Any:
    """逐行检查并列出原因，确认之前不写入任何数据。"""
    return _upload(request, ImportKind.ACCOUNTS, file)


def _upload(request: ApiRequest, kind: str, file: UploadedFile) -> ImportBatch:
    return importing.upload(
        kind=kind, file=cast("IO[bytes]", file.file), name=file.name or "", by=request.user,
        at=request.at,
    )  # fmt: skip


@router.get("/imports/{batch_id}", right=None, response=ImportDetailOut, summary="导入检查结果")
def import_batch(request: ApiRequest, batch_id: int) -> Any:
    return _batch(request, batch_id)


@router.act("/imports/{batch_id}/confirm", right=None, response=ImportDetailOut, summary="确认导入")
def confirm_import(request: ApiRequest, batch_id: int) -> Any:
    """写入可导入的行；重复确认只写入一次。超过 200 行时在后台写入，凭 run 查询进度。"""
    batch = _batch(request, batch_id)
    return importing.confirm(batch=batch, by=request.user, at=request.at)


@router.act("/imports/{batch_id}/discard", right=None, summary="放弃导入")
def discard_import(request: ApiRequest, batch_id: int) -> None:
    importing.discard(batch=_batch(request, batch_id), by=request.user, at=request.at)


class SheetOut(Schema):
    file_name: str
    content: str = Field(description="Excel 文件，Base64")


@router.act(
    "/imports/{batch_id}/passwords", right=None, response=SheetOut, summary="领取一次性密码表"
)
def take_passwords(request: ApiRequest, batch_id: int) -> Any:
    """导入账号的一次性密码，只能领取一次，之后不再保存。"""
    content = importing.take_passwords(
        batch=_batch(request, batch_id), by=request.user, at=request.at
    )
    return {"file_name": "一次性密码.xlsx", "content": base64.b64encode(content).decode()}


@router.get("/imports/{batch_id}/bad-rows", right=None, summary="下载问题行")
def bad_rows(request: ApiRequest, batch_id: int) -> Any:
    """不能导入的行，每行附原因，修改后可重新上传。"""
    batch = _batch(request, batch_id)
    return _workbook(importing.bad_rows(batch), f"{batch.get_kind_display()}问题行.xlsx")


@router.get("/import-templates/{kind}", right=None, summary="下载导入模板")
def import_template(request: ApiRequest, kind: Literal["institutions", "accounts"]) -> Any:
    right = importing.SCOPE_RIGHT[ImportKind(kind)]
    if not request.user.has_perm(right):
        raise NotPermitted("您没有批量导入的权限；请联系本单位管理员授权。")
    return _workbook(importing.template(kind), f"{ImportKind(kind).label}导入模板.xlsx")


def _workbook(content: bytes, name: str) -> HttpResponse:
    answer = HttpResponse(content, content_type=importing.XLSX)
    answer["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name)}"
    return answer

"""Institutions, staff and accounts: what services accept, refuse and write down."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from django.db import connection

from kangwei.kernel.audit import queries as audit
from kangwei.kernel.organisations import services
from kangwei.kernel.organisations.models import Account, Employment, Institution, Staff
from kangwei.kernel.organisations.services.accounts import (
    AccountAlreadyActive,
    AccountNotActive,
    AccountUnfit,
    OwnAccount,
    UsernameTaken,
)
from kangwei.kernel.organisations.services.institutions import (
    DepartmentUnfit,
    InstitutionExists,
    InstitutionInUse,
    InstitutionUnfit,
)
from kangwei.kernel.organisations.services.people import (
    StaffExists,
    StaffHasLeft,
    StaffUnfit,
    UnmaskingWithoutReason,
)
from kangwei.kernel.organisations.tests import make

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
DAY = date(2026, 3, 2)
ID_NUMBER, PHONE = "11010519491231002X", "16400000001"
USCC = "91350100M000100Y43"


def found(**more: object) -> Institution:
    given: dict[str, object] = {
        "code": "A1", "name": "小寨接种门诊", "kind": "clinic_routine", "region": make.region(),
        "parent": make.institution(),
    }  # fmt: skip
    return services.create_institution(by=None, at=AT, **(given | more))  # type: ignore[arg-type]


def test_an_institution_gets_pinyin_a_place_in_the_tree_and_a_line_in_the_journal() -> None:
    clinic = found(uscc=USCC, identifiers={"vaccination_unit": "6101130001"})
    assert clinic.pinyin.startswith("xzjzmz")
    assert clinic.closure_above.count() == 2
    assert clinic.identifiers.get().value == "6101130001"
    assert "新增机构" in {entry.title for entry in audit.history(clinic)}


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"code": ""}, InstitutionUnfit, "code"),
        ({"name": " "}, InstitutionUnfit, "name"),
        ({"kind": "spaceship"}, InstitutionUnfit, "kind"),
        ({"grade": "9Z"}, InstitutionUnfit, "grade"),
        ({"uscc": USCC[:-1] + "4"}, InstitutionUnfit, "uscc"),
        ({"telephone": "123"}, InstitutionUnfit, "telephone"),
        ({"identifiers": {"organisation_code": "D21435690"}}, InstitutionUnfit, "value"),
    ],
)
def test_a_wrong_institution_is_refused_with_its_field(
    fields: dict[str, object], error: type[InstitutionUnfit], field: str
) -> None:
    with pytest.raises(error) as caught:
        found(**fields)
    assert caught.value.field == field
    assert not Institution.objects.filter(code="A1").exists()


def test_codes_are_used_once() -> None:
    found(uscc=USCC)
    with pytest.raises(InstitutionExists, match="A1"):
        found()
    with pytest.raises(InstitutionExists, match="统一社会信用代码"):
        found(code="A2", uscc=USCC)


def test_changing_says_what_changed() -> None:
    clinic = found()
    services.change_institution(institution=clinic, name="大寨接种门诊", by=None, at=AT)
    clinic.refresh_from_db()
    assert (clinic.name, clinic.code) == ("大寨接种门诊", "A1")
    changes = [change for entry in audit.history(clinic) for change in entry.changes]
    assert any(change.new == "大寨接种门诊" for change in changes)


def test_departments_belong_to_one_institution_and_make_no_ring() -> None:
    clinic, other = make.institution(), make.institution()
    first = services.create_department(institution=clinic, code="1", name="预防", by=None, at=AT)
    second = services.create_department(
        institution=clinic, code="2", name="门诊", parent=first, by=None, at=AT
    )
    with pytest.raises(DepartmentUnfit, match="已有编码"):
        services.create_department(institution=clinic, code="1", name="重", by=None, at=AT)
    with pytest.raises(DepartmentUnfit, match="互为上下级"):
        services.change_department(department=first, name="预防", parent=second, by=None, at=AT)
    with pytest.raises(DepartmentUnfit):
        services.create_department(
            institution=other, code="1", name="外", parent=first, by=None, at=AT
        )
    with pytest.raises(InstitutionInUse, match="下级科室"):
        services.close_department(department=first, on=DAY, by=None, at=AT)


def engage(institution: Institution, **more: object) -> Staff:
    given: dict[str, object] = {"name": "王秀英", "id_number": ID_NUMBER, "phone": PHONE}
    return services.create_staff(institution=institution, by=None, at=AT, **(given | more))  # type: ignore[arg-type]


def test_numbers_are_encrypted_at_rest_and_found_by_digest() -> None:
    nurse = engage(make.institution())
    with connection.cursor() as cursor:
        cursor.execute("SELECT id_number, phone FROM organisations_staff WHERE id = %s", [nurse.pk])
        stored = "".join(cursor.fetchone())
    assert ID_NUMBER not in stored
    assert PHONE not in stored
    assert Staff.objects.get(phone=PHONE) == Staff.objects.get(id_number=ID_NUMBER) == nurse
    assert nurse.sex == "2"


def test_the_journal_never_learns_the_numbers() -> None:
    engage(make.institution())
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM audit_entry WHERE audit_entry::text LIKE %s", [f"%{PHONE}%"]
        )
        assert cursor.fetchone()[0] == 0


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"id_number": "110105194912310021"}, "id_number"),
        ({"phone": "12345"}, "phone"),
        ({"sex": "1"}, "sex"),
        ({"name": ""}, "name"),
    ],
)
def test_a_wrong_person_is_refused_with_the_field(fields: dict[str, object], field: str) -> None:
    with pytest.raises(StaffUnfit) as caught:
        engage(make.institution(), **fields)
    assert caught.value.field == field


def test_the_same_person_is_engaged_once_at_a_time_and_strangers_are_not_named() -> None:
    first = make.institution("秘密单位")
    engage(first)
    with pytest.raises(StaffExists) as caught:
        engage(make.institution())
    assert "秘密单位" not in caught.value.message


def test_a_transfer_keeps_where_the_person_was_on_each_day() -> None:
    before, after = make.institution(), make.institution()
    nurse = engage(before, hired_on=date(2025, 1, 1))
    services.transfer_staff(staff=nurse, institution=after, on=DAY, by=None, at=AT)
    spans = Employment.objects.filter(staff=nurse).values_list(
        "institution", "valid_from", "valid_to"
    )
    assert list(spans) == [(before.pk, date(2025, 1, 1), DAY), (after.pk, DAY, None)]


def test_leaving_ends_employment_and_accounts() -> None:
    clinic = make.institution()
    nurse = engage(clinic, hired_on=date(2025, 1, 1))
    account = make.account(institution=clinic, staff=nurse)
    services.leave_staff(staff=nurse, on=DAY, by=None, at=AT, reason="退休")
    account.refresh_from_db()
    assert account.state == "disabled"
    assert Employment.objects.get(staff=nurse).valid_to == DAY
    with pytest.raises(StaffHasLeft):
        services.leave_staff(staff=nurse, on=DAY, by=None, at=AT, reason="再退")
    assert engage(clinic, number="2").pk != nurse.pk


def test_unmasking_needs_a_reason_and_leaves_a_line() -> None:
    nurse, chief = engage(make.institution()), make.account()
    with pytest.raises(UnmaskingWithoutReason):
        services.unmask_staff(staff=nurse, fields=["phone"], by=chief, at=AT, reason=" 看 ")
    shown = services.unmask_staff(
        staff=nurse, fields=["phone"], by=chief, at=AT, reason="核对预约电话"
    )
    assert shown == {"phone": PHONE}
    assert any(entry.reason == "核对预约电话" for entry in audit.history(nurse))


# Accounts


def test_a_new_account_gets_a_one_time_password_that_works_once() -> None:
    new = services.create_account(
        username=" Wang.XY ", name="王秀英", institution=make.institution(), by=None, at=AT
    )
    account = Account.objects.get(username="wang.xy")
    assert account.check_password(new.password)
    assert account.must_change_password
    assert account.pinyin == "wxy"


@pytest.mark.parametrize("username", ["", "a", "王", "-abc", "a b", "x" * 41])
def test_a_malformed_username_is_refused(username: str) -> None:
    with pytest.raises(AccountUnfit) as caught:
        services.create_account(
            username=username, name="王", institution=make.institution(), by=None, at=AT
        )
    assert caught.value.field == "username"


def test_a_username_is_used_once_whatever_its_case() -> None:
    make.account("nurse")
    with pytest.raises(UsernameTaken):
        services.create_account(
            username="NURSE", name="王", institution=make.institution(), by=None, at=AT
        )


def test_an_account_is_for_people_of_its_own_institution() -> None:
    with pytest.raises(AccountUnfit) as caught:
        services.create_account(
            username="nurse", name="王", institution=make.institution(), staff=make.staff(),
            by=None, at=AT,
        )  # fmt: skip
    assert caught.value.field == "staff"


def test_nobody_administers_himself() -> None:
    chief = make.account()
    for act in (
        services.disable_account,
        services.enable_account,
        services.reset_password,
        services.reset_second_factor,
    ):
        with pytest.raises(OwnAccount):
            act(account=chief, by=chief, at=AT, reason="试试")
    with pytest.raises(OwnAccount):
        services.unlock_account(account=chief, by=chief, at=AT)


def test_states_change_once_and_need_a_reason() -> None:
    nurse = make.account()
    with pytest.raises(AccountUnfit):
        services.disable_account(account=nurse, by=None, at=AT, reason="  ")
    with pytest.raises(AccountAlreadyActive):
        services.enable_account(account=nurse, by=None, at=AT, reason="试")
    services.suspend_account(account=nurse, by=None, at=AT, reason="未年审")
    with pytest.raises(AccountNotActive, match="暂停"):
        services.suspend_account(account=nurse, by=None, at=AT, reason="再暂停")
    with pytest.raises(AccountNotActive, match="用户年审"):
        services.enable_account(account=nurse, by=None, at=AT, reason="绕过年审")
    services.lift_suspension(account=nurse, by=None, at=AT, reason="已补年审")
    nurse.refresh_from_db()
    assert (nurse.state, nurse.state_reason) == ("active", "")
    services.suspend_account(account=nurse, by=None, at=AT, reason="未年审")
    services.disable_account(account=nurse, by=None, at=AT, reason="已离职")
    nurse.refresh_from_db()
    assert (nurse.state, nurse.state_reason) == ("disabled", "已离职")
    for again in (services.suspend_account, services.disable_account):
        with pytest.raises(AccountNotActive, match="停用"):
            again(account=nurse, by=None, at=AT, reason="再停")


def test_a_signature_is_a_small_png() -> None:
    nurse = make.account()
    with pytest.raises(AccountUnfit, match="PNG"):
        services.set_signature(account=nurse, image=b"GIF89a", at=AT)
    with pytest.raises(AccountUnfit, match="200 KB"):
        services.set_signature(account=nurse, image=b"\x89PNG\r\n\x1a\n" + b"x" * 300_000, at=AT)
    services.set_signature(account=nurse, image=b"\x89PNG\r\n\x1a\n....", at=AT)
    nurse.refresh_from_db()
    assert nurse.signature is not None

"""Every page: it opens for its right, is closed without, and hides strangers' rows."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.test import Client
from django.urls import reverse

from kangwei.kernel.organisations import builtin
from kangwei.kernel.organisations.models import (
    Account,
    Department,
    Grant,
    Institution,
    Qualification,
    Role,
    ScopeKind,
    Staff,
)
from kangwei.kernel.organisations.tests import make

pytestmark = pytest.mark.django_db


@dataclass
class World:
    """A county with a clinic, a foreign county, and an administrator of the first."""

    county: Institution
    clinic: Institution
    foreign: Institution
    admin: Account
    browser: Client


OWN_RIGHTS = sorted(
    right
    for right in (
        *("view_region", "view_institution", "view_department", "view_staff", "view_account"),
        *("view_role", "view_grant", "view_signinevent", "view_securitypolicy"),
        *("manage_region", "manage_institution", "move_institution", "import_institution"),
        *("manage_department", "manage_staff", "unmask_staff", "manage_account"),
        *("reset_password", "reset_second_factor", "sign_out_account"),
        *("import_account", "manage_role"),
        *("grant_role", "grant_any_role", "delegate_role", "change_securitypolicy"),
        "view_institutionkind",
    )
)


@pytest.fixture
def world() -> World:
    county = make.institution("雁塔区疾控中心", kind="cdc_county")
    clinic = make.institution("小寨接种门诊", parent=county)
    foreign = make.institution("碑林区疾控中心", kind="cdc_county")
    rights = [f"organisations.{right}" for right in OWN_RIGHTS]
    admin = make.account("admin1", institution=county, right=[*rights, "api.use_api_keys"])
    return World(county, clinic, foreign, admin, make.client(admin))


@dataclass
class Rows:
    """One row of every kind at an institution."""

    institution: Institution
    department: Department
    staff: Staff
    qualification: Qualification
    account: Account
    grant: Grant


def rows_at(institution: Institution) -> Rows:
    staff = make.staff(institution, phone="16400000001", id_number="11010519491231002X")
    account = make.account(institution=institution, staff=staff)
    return Rows(
        institution,
        make.department(institution),
        staff,
        Qualification.objects.create(staff=staff, kind="护士执业证", number="1"),
        account,
        make.grant(account, make.role("organisations.view_staff", scope=ScopeKind.OWN)),
    )


def addresses_of(rows: Rows) -> dict[str, str]:
    """Every page that belongs to a row, by view name."""
    addresses = {}
    for pk, names in (
        (rows.institution.pk, INSTITUTION_PAGES),
        (rows.department.pk, DEPARTMENT_PAGES),
        (rows.staff.pk, STAFF_PAGES),
        (rows.account.pk, ACCOUNT_PAGES),
        (rows.grant.pk, ("revoke_grant",)),
    ):
        for name in names:
            addresses[name] = reverse(f"organisations:{name}", args=[pk])
    return addresses


INSTITUTION_PAGES = (
    *("institution", "change_institution", "identify_institution", "move_institution"),
    *("close_institution", "reopen_institution", "merge_institution", "add_department"),
    "create_staff",
)
DEPARTMENT_PAGES = ("change_department", "close_department")
STAFF_PAGES = ("staff", "change_staff", "transfer_staff", "leave_staff", "add_qualification")
ACCOUNT_PAGES = (
    *("account", "change_account", "disable_account", "enable_account", "unlock_account"),
    *("reset_password", "reset_second_factor", "sign_out_account", "grant_role"),
)
PLAIN_PAGES = (
    *("me", "password", "second_factor", "my_sessions", "my_grants", "my_keys", "create_key"),
    *("signature", "regions", "add_region", "create_institution", "create_account"),
    *("create_role", "policy"),
)
LISTS = ("institution", "account", "staff", "role", "grant", "signinevent", "institutionkind")


@pytest.mark.parametrize("name", PLAIN_PAGES)
def test_a_page_without_a_row_opens(world: World, name: str) -> None:
    response = world.browser.get(reverse(f"organisations:{name}"))
    assert response.status_code == 200
    assert "康维" in response.content.decode()


@pytest.mark.parametrize("name", LISTS)
def test_a_list_opens_and_exports(world: World, name: str) -> None:
    rows_at(world.clinic)
    assert world.browser.get(reverse(f"admin:organisations_{name}_changelist")).status_code == 200


@pytest.mark.parametrize(
    "name", [*INSTITUTION_PAGES, *DEPARTMENT_PAGES, *STAFF_PAGES, *ACCOUNT_PAGES, "revoke_grant"]
)
def test_a_page_of_a_row_opens_for_its_own_and_is_absent_for_strangers(
    world: World, name: str
) -> None:
    own = addresses_of(rows_at(world.clinic))[name]
    assert world.browser.get(own).status_code == 200
    foreign = addresses_of(_foreign_rows(world))[name]
    response = world.browser.get(foreign)
    assert response.status_code == 404
    assert world.foreign.name not in response.content.decode()


def _foreign_rows(world: World) -> Rows:
    staff = make.staff(world.foreign, name="赵外人")
    account = make.account(institution=world.foreign, staff=staff)
    return Rows(
        world.foreign,
        make.department(world.foreign),
        staff,
        Qualification.objects.create(staff=staff, kind="护士执业证", number="2"),
        account,
        make.grant(account, make.role("organisations.view_staff", scope=ScopeKind.OWN)),
    )


@pytest.mark.parametrize("name", [*INSTITUTION_PAGES, *STAFF_PAGES, *ACCOUNT_PAGES])
def test_a_page_is_closed_without_its_right(world: World, name: str) -> None:
    nobody = make.account(institution=world.clinic, right="organisations.view_region")
    address = addresses_of(rows_at(world.clinic))[name]
    assert make.client(nobody).get(address).status_code == 403


@pytest.mark.parametrize("tab", ["", "below", "departments", "staff", "accounts", "history"])
def test_every_tab_of_an_institution_opens(world: World, tab: str) -> None:
    rows_at(world.clinic)
    for place in (world.county, world.clinic):
        address = reverse("organisations:institution", args=[place.pk])
        assert world.browser.get(f"{address}?tab={tab}").status_code == 200


@pytest.mark.parametrize("tab", ["", "scope", "sessions", "history"])
def test_every_tab_of_an_account_opens(world: World, tab: str) -> None:
    row = rows_at(world.clinic).account
    address = reverse("organisations:account", args=[row.pk])
    assert world.browser.get(f"{address}?tab={tab}").status_code == 200


def test_a_stranger_may_not_end_my_session_nor_take_my_key_or_loan_back(world: World) -> None:
    other = make.account(institution=world.foreign)
    make.client(other)
    session = other.sessions.get()
    address = reverse("organisations:end_session", args=[session.pk])
    assert world.browser.post(address).status_code == 404
    session.refresh_from_db()
    assert session.ended_at is None
    for name in ("rotate_key", "revoke_key", "take_back", "lend"):
        assert world.browser.get(reverse(f"organisations:{name}", args=[999])).status_code == 404


def test_unmasking_shows_the_number_and_needs_a_reason(world: World) -> None:
    row = rows_at(world.clinic).staff
    page = world.browser.get(reverse("organisations:staff", args=[row.pk])).content.decode()
    assert "16400000001" not in page
    address = reverse("organisations:unmask_staff", args=[row.pk])
    asked = {"fields_wanted": ["phone"], "reason": "核对预约电话"}
    shown = world.browser.post(address, asked, headers={"HX-Request": "true"}).content.decode()
    assert "16400000001" in shown
    refused = world.browser.post(
        address, {"fields_wanted": ["phone"], "reason": ""}, headers={"HX-Request": "true"}
    )
    assert "16400000001" not in refused.content.decode()
    assert "原因" in refused.content.decode()


def test_a_stranger_may_not_unmask(world: World) -> None:
    row = _foreign_rows(world).staff
    address = reverse("organisations:unmask_staff", args=[row.pk])
    asked = {"fields_wanted": ["phone"], "reason": "核对预约电话"}
    assert world.browser.post(address, asked).status_code == 404


def test_role_pages_show_rights_in_chinese(world: World) -> None:
    role = Role.objects.get(code="auditor")
    page = world.browser.get(reverse("organisations:role", args=[role.pk])).content.decode()
    assert "查看账号" in page
    assert "Can view" not in page
    assert (
        world.browser.get(reverse("organisations:create_role") + f"?copy={role.pk}").status_code
        == 200
    )


def test_every_right_of_ours_has_a_chinese_name() -> None:
    from kangwei.kernel.organisations import queries

    titles = queries.right_titles()
    english = [right for right in builtin.all_rights() if titles[right].isascii()]
    assert english == []


@pytest.mark.parametrize("size", [1, 15])
def test_the_list_of_accounts_asks_no_more_for_more_rows(
    world: World, size: int, django_assert_max_num_queries: object
) -> None:
    for _ in range(size):
        make.account(institution=world.clinic)
    with django_assert_max_num_queries(22):  # type: ignore[operator]
        world.browser.get(reverse("admin:organisations_account_changelist"))

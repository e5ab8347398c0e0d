"""Who may do what where: scopes, grants, loans, and the three administrators."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from kangwei.kernel import clock
from kangwei.kernel.organisations import builtin, queries, services
from kangwei.kernel.organisations.models import (
    Account,
    Grant,
    Institution,
    Role,
    Scope,
    ScopeKind,
)
from kangwei.kernel.organisations.services.access import (
    DutiesConflict,
    GrantExists,
    GrantNotInForce,
    GrantUnfit,
    LoanNotLendable,
    OwnGrant,
    RoleInUse,
    RoleIsBuiltIn,
    RoleUnfit,
)
from kangwei.kernel.organisations.services.accounts import AccountNotActive
from kangwei.kernel.organisations.services.reach import BeyondOwnAccess
from kangwei.kernel.organisations.tests import make

pytestmark = pytest.mark.django_db
AT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
VIEW, MANAGE = "organisations.view_staff", "organisations.manage_staff"
GRANT, LEND = "organisations.grant_role", "organisations.delegate_role"


def seen_by(account: Account, right: str = VIEW) -> set[str]:
    scope = queries.access_of(account, AT).scope(right)
    return set(scope.limit(Institution.objects.all(), "pk").values_list("name", flat=True))


@pytest.fixture
def county() -> Institution:
    return make.institution("县", region=make.region("610113000000"))


@pytest.fixture
def clinic(county: Institution) -> Institution:
    return make.institution("门诊", parent=county, region=make.region("610113001000"))


@pytest.mark.parametrize(
    ("kind", "sees"),
    [
        (ScopeKind.OWN, {"县"}),
        (ScopeKind.SUBTREE, {"县", "门诊"}),
        (ScopeKind.EVERYTHING, {"县", "门诊", "外"}),
    ],
)
def test_what_each_kind_of_scope_reaches(
    county: Institution, clinic: Institution, kind: ScopeKind, sees: set[str]
) -> None:
    make.institution("外", region=make.region("610102000000"))
    inspector = make.account(institution=county, right=VIEW, scope=kind)
    assert seen_by(inspector) == sees


def test_regions_reach_by_code_and_listed_reach_only_themselves(
    county: Institution, clinic: Institution
) -> None:
    make.institution("外", region=make.region("610102000000"))
    inspector = make.account()
    regional = make.role(VIEW, scope=ScopeKind.REGIONS)
    make.grant(inspector, regional, regions=[make.region("610113000000")])
    assert seen_by(inspector) == {"县", "门诊"}
    lister = make.account()
    make.grant(lister, make.role(VIEW, scope=ScopeKind.LISTED), institutions=[county])
    assert seen_by(lister) == {"县"}


def test_several_grants_add_up_but_each_right_keeps_its_own_scope(
    county: Institution, clinic: Institution
) -> None:
    nurse = make.account(institution=clinic, right=VIEW, scope=ScopeKind.OWN)
    make.grant(nurse, make.role(VIEW, scope=ScopeKind.LISTED), institutions=[county])
    make.grant(nurse, make.role(MANAGE, scope=ScopeKind.OWN))
    assert seen_by(nurse) == {"县", "门诊"}
    assert seen_by(nurse, MANAGE) == {"门诊"}
    assert nurse.has_perm(MANAGE, clinic)
    assert not nurse.has_perm(MANAGE, county)


def test_rights_cost_one_query_per_request(
    county: Institution, clinic: Institution, django_assert_num_queries: object
) -> None:
    nurse = make.account(institution=clinic, right=[VIEW, MANAGE])
    fresh = Account.objects.get(pk=nurse.pk)
    with django_assert_num_queries(1):  # type: ignore[operator]
        assert fresh.has_perm(VIEW)
        assert fresh.has_perm(MANAGE)
        assert fresh.masking_level == 1
        assert fresh.scope(VIEW)


def test_a_disabled_account_may_nothing(clinic: Institution) -> None:
    nurse = make.account(institution=clinic, right=VIEW, state="disabled")
    assert not nurse.has_perm(VIEW)
    assert not nurse.scope(VIEW)
    assert nurse.get_all_permissions() == set()


@pytest.mark.parametrize(
    ("starts", "ends", "in_force"),
    [(0, None, True), (1, None, False), (-10, 0, False), (-10, 1, True)],
)
def test_a_grant_counts_from_its_start_until_before_its_end(
    clinic: Institution, starts: int, ends: int | None, in_force: bool
) -> None:
    nurse = make.account(institution=clinic)
    make.grant(
        nurse,
        make.role(VIEW),
        valid_from=AT + timedelta(seconds=starts),
        valid_until=None if ends is None else AT + timedelta(seconds=ends),
    )
    assert (VIEW in queries.access_of(nurse, AT).rights) is in_force


def test_masking_takes_the_most_permissive_and_sessions_the_strictest() -> None:
    nurse = make.account()
    make.grant(nurse, make.role(VIEW, masking_level=0, session_limit=3))
    make.grant(nurse, make.role(MANAGE, masking_level=2, session_limit=1))
    access = queries.access_of(nurse, AT)
    assert (access.masking_level, access.session_limit) == (2, 1)


def test_holders_of_a_right_on_an_institution(county: Institution, clinic: Institution) -> None:
    chief = make.account("chief", institution=county, right=VIEW)
    make.account(institution=county, right=VIEW, scope=ScopeKind.OWN)
    make.account(institution=clinic, right=MANAGE)
    assert list(queries.holders(VIEW, clinic, AT)) == [chief]


# Granting


def give(by: Account | None, account: Account, role: Role, **more: object) -> Grant:
    return services.grant_role(account=account, role=role, by=by, at=AT, **more)  # type: ignore[arg-type]


def test_nobody_gives_to_himself(county: Institution) -> None:
    chief = make.account(institution=county, right=[GRANT, VIEW])
    with pytest.raises(OwnGrant):
        give(chief, chief, make.role(VIEW))
    with pytest.raises(IntegrityError), transaction.atomic():
        make.grant(chief, make.role(VIEW), granted_by=chief)


def test_nobody_gives_rights_he_lacks_or_beyond_where_he_holds_them(
    county: Institution, clinic: Institution
) -> None:
    chief = make.account(institution=county, right=[GRANT, VIEW])
    nurse = make.account(institution=clinic)
    assert give(chief, nurse, make.role(VIEW, scope=ScopeKind.OWN)).account == nurse
    with pytest.raises(BeyondOwnAccess):
        give(chief, nurse, make.role(MANAGE, scope=ScopeKind.OWN))
    with pytest.raises(BeyondOwnAccess):
        give(chief, nurse, make.role(VIEW, scope=ScopeKind.EVERYTHING))
    with pytest.raises(BeyondOwnAccess):
        give(
            chief, nurse, make.role(VIEW, scope=ScopeKind.LISTED), institutions=[make.institution()]
        )
    with pytest.raises(BeyondOwnAccess):
        give(chief, nurse, make.role(VIEW, scope=ScopeKind.OWN, masking_level=2))


def test_nobody_gives_to_an_account_outside_his_scope(county: Institution) -> None:
    chief = make.account(institution=county, right=[GRANT, VIEW])
    with pytest.raises(BeyondOwnAccess, match="不在您可授权的机构范围内"):
        give(chief, make.account(), make.role(VIEW, scope=ScopeKind.OWN))


def test_an_assignable_role_may_be_given_without_holding_its_rights(
    county: Institution, clinic: Institution
) -> None:
    chief = make.account(institution=county, right=GRANT)
    nurse = make.account(institution=clinic)
    registrar = Role.objects.get(code="registrar")
    assert give(chief, nurse, registrar).role == registrar


def test_the_security_administrator_gives_any_role() -> None:
    security = make.account(role=Role.objects.get(code="security_admin"))
    other = make.account()
    assert give(security, other, Role.objects.get(code="system_admin"))


def test_a_chief_may_not_give_a_duty_even_if_assignable_rights_match(county: Institution) -> None:
    rights = [GRANT, *Role.objects.get(code="auditor").rights]
    chief = make.account(institution=county, right=rights, scope=ScopeKind.EVERYTHING)
    with pytest.raises(BeyondOwnAccess):
        give(chief, make.account(institution=county), Role.objects.get(code="auditor"))


def test_one_person_holds_at_most_one_duty() -> None:
    system, audit = Role.objects.get(code="system_admin"), Role.objects.get(code="auditor")
    person = make.account(role=system)
    with pytest.raises(DutiesConflict, match="三员分立"):
        give(None, person, audit)


def test_the_three_administrators_share_no_power() -> None:
    """等保三级: who makes accounts cannot empower them, who empowers cannot make them."""
    system, security, audit = (
        set(Role.objects.get(code=code).rights)
        for code in ("system_admin", "security_admin", "auditor")
    )
    assert "organisations.manage_account" in system
    assert not system & {GRANT, "organisations.grant_any_role", "organisations.manage_role"}
    assert "organisations.grant_any_role" in security
    assert not security & {"organisations.manage_account", "organisations.reset_password"}
    verbs = {right.partition(".")[2].partition("_")[0] for right in audit}
    assert not {
        right for right in audit if right.startswith("organisations.") and ".view_" not in right
    }
    assert "view" in verbs


def test_targets_must_fit_the_kind_of_scope(clinic: Institution) -> None:
    nurse = make.account(institution=clinic)
    with pytest.raises(GrantUnfit, match="需要指定区划"):
        give(None, nurse, make.role(VIEW, scope=ScopeKind.REGIONS))
    with pytest.raises(GrantUnfit, match="需要指定机构"):
        give(None, nurse, make.role(VIEW, scope=ScopeKind.LISTED))
    with pytest.raises(GrantUnfit, match="不能指定机构"):
        give(None, nurse, make.role(VIEW, scope=ScopeKind.EVERYTHING), institutions=[clinic])


def test_only_roles_somebody_could_give_are_offered() -> None:
    nurse = make.role(VIEW, name="护士")
    keeper = make.role(MANAGE, name="机构维护")
    head = make.account(right=["organisations.grant_role", VIEW])
    offered = queries.roles_to_offer(head)
    assert nurse in offered
    assert keeper not in offered  # holds a right the head does not hold
    assert not [role for role in offered if role.duty]
    officer = make.account(right=["organisations.grant_any_role"])
    assert {nurse, keeper} <= set(queries.roles_to_offer(officer))


def test_the_same_grant_twice_and_to_a_disabled_account_are_refused(clinic: Institution) -> None:
    nurse, role = make.account(institution=clinic), make.role(VIEW, scope=ScopeKind.OWN)
    give(None, nurse, role)
    with pytest.raises(GrantExists):
        give(None, nurse, role)
    with pytest.raises(AccountNotActive):
        give(None, make.account(state="disabled"), role)


def test_revoking_ends_it_at_once_and_only_for_those_in_charge(county: Institution) -> None:
    chief = make.account(institution=county, right=[GRANT, VIEW])
    nurse = make.account(institution=county)
    held = give(chief, nurse, make.role(VIEW, scope=ScopeKind.OWN))
    with pytest.raises(OwnGrant):
        services.revoke_grant(grant=held, by=nurse, at=AT, reason="不想要")
    stranger = make.account(right=GRANT)
    with pytest.raises(BeyondOwnAccess):
        services.revoke_grant(grant=held, by=stranger, at=AT, reason="误")
    services.revoke_grant(grant=held, by=chief, at=AT, reason="调岗")
    assert VIEW not in queries.access_of(nurse, AT).rights
    with pytest.raises(GrantNotInForce):
        services.revoke_grant(grant=held, by=chief, at=AT, reason="再收")


# Lending


def lend(by: Account, to: Account, grant: Grant, days: int = 3, **more: object) -> Grant:
    until = AT + timedelta(days=days)
    return services.delegate_role(
        grant=grant,
        to=to,
        by=by,
        at=AT,
        until=until,
        reason="休假",
        **more,  # type: ignore[arg-type]
    )


def test_a_loan_gives_the_lenders_scope_and_ends_by_itself(
    county: Institution, clinic: Institution
) -> None:
    chief = make.account(institution=county, right=[LEND, VIEW])
    nurse = make.account(institution=clinic)
    lend(chief, nurse, chief.grants.get())
    assert seen_by(nurse) == {"县", "门诊"}
    after = queries.access_of(nurse, AT + timedelta(days=3))
    assert VIEW not in after.rights


def test_a_loan_ends_on_the_day_the_lender_s_account_ends(county: Institution) -> None:
    today = clock.local_day(AT)
    chief = make.account(
        institution=county, right=[LEND, VIEW], valid_until=today + timedelta(days=1)
    )
    nurse = make.account(institution=county)
    lend(chief, nurse, chief.grants.get())
    assert VIEW in queries.access_of(nurse, AT).rights
    assert VIEW not in queries.access_of(nurse, AT + timedelta(days=1)).rights


def test_a_loan_ends_with_the_grant_and_with_the_lender(county: Institution) -> None:
    chief = make.account(institution=county, right=[LEND, VIEW])
    nurse, held = make.account(institution=county), chief.grants.get()
    lend(chief, nurse, held)
    services.disable_account(account=chief, by=None, at=AT, reason="离职")
    assert VIEW not in queries.access_of(nurse, AT).rights
    services.enable_account(account=chief, by=None, at=AT, reason="误操作")
    assert VIEW in queries.access_of(nurse, AT).rights
    services.revoke_grant(grant=held, by=None, at=AT, reason="调岗")
    assert VIEW not in queries.access_of(nurse, AT).rights


def test_a_loan_is_not_lent_on_nor_wider_nor_longer(
    county: Institution, clinic: Institution
) -> None:
    chief = make.account(institution=clinic)
    held = make.grant(
        chief, make.role(VIEW, LEND, scope=ScopeKind.OWN), valid_until=AT + timedelta(days=5)
    )
    nurse = make.account(institution=clinic)
    with pytest.raises(GrantUnfit, match="不能晚于"):
        lend(chief, nurse, held, days=6)
    with pytest.raises(BeyondOwnAccess):
        lend(chief, nurse, held, institutions=[county])
    loan = lend(chief, nurse, held, days=5)
    with pytest.raises(LoanNotLendable, match="不能再次借出"):
        lend(nurse, make.account(), loan)
    with pytest.raises(OwnGrant):
        lend(nurse, make.account(), held)
    with pytest.raises(LoanNotLendable):
        lend(chief, chief, held)


def test_a_duty_is_never_lent() -> None:
    auditor = make.account(role=Role.objects.get(code="auditor"))
    with pytest.raises(LoanNotLendable, match="三员"):
        lend(auditor, make.account(), auditor.grants.get())


def test_lender_takes_back_and_borrower_returns(county: Institution) -> None:
    chief = make.account(institution=county, right=[LEND, VIEW])
    nurse = make.account(institution=county)
    services.revoke_grant(
        grant=lend(chief, nurse, chief.grants.get()), by=chief, at=AT, reason="提前返岗"
    )
    services.revoke_grant(
        grant=lend(chief, nurse, chief.grants.get()), by=nurse, at=AT, reason="用完"
    )
    assert VIEW not in queries.access_of(nurse, AT).rights


# Roles


def new_role(by: Account | None = None, **more: object) -> Role:
    given: dict[str, object] = {
        "code": "inspector", "name": "检查员", "rights": [VIEW], "scope_kind": "own",
        "masking_level": 1,
    }  # fmt: skip
    return services.create_role(by=by, at=AT, **(given | more))  # type: ignore[arg-type]


def test_a_role_knows_only_rights_that_exist_and_none_that_are_guarded() -> None:
    with pytest.raises(RoleUnfit, match="没有功能权限"):
        new_role(rights=["organisations.fly"])
    with pytest.raises(RoleUnfit, match="安全管理员"):
        new_role(rights=["organisations.grant_any_role"])
    with pytest.raises(RoleUnfit, match="至少"):
        new_role(rights=[])
    assert new_role().rights == [VIEW]


def test_built_in_roles_stay_and_ones_own_role_is_changed_by_another() -> None:
    change = {"name": "新名", "rights": [VIEW], "scope_kind": "own", "masking_level": 1}
    with pytest.raises(RoleIsBuiltIn):
        services.change_role(role=Role.objects.get(code="auditor"), by=None, at=AT, **change)  # type: ignore[arg-type]
    role = new_role()
    holder = make.account(role=role)
    with pytest.raises(OwnGrant):
        services.change_role(role=role, by=holder, at=AT, **change)  # type: ignore[arg-type]
    with pytest.raises(RoleInUse):
        services.retire_role(role=role, by=None, at=AT)


def test_built_in_roles_name_only_rights_that_exist() -> None:
    """A pattern that matches nothing is a slip of the pen."""
    rights = builtin.all_rights()
    for role in builtin.read("roles.json")["roles"]:
        for pattern in role["rights"]:
            assert builtin.expand([pattern], rights), f"{role['code']}: {pattern}"


# Scope arithmetic


def test_scope_covers_by_code_and_by_place(county: Institution, clinic: Institution) -> None:
    everything, nothing = Scope(everything=True), Scope()
    tree, only = Scope(roots=frozenset({county.pk})), Scope(listed=frozenset({county.pk}))
    district = Scope(regions=frozenset({"610113"}))
    assert everything.covers(tree)
    assert tree.covers(only)
    assert not only.covers(tree)
    assert tree.covers(nothing)
    assert not tree.covers(everything)
    assert district.covers(Scope(regions=frozenset({"610113001"})))
    assert not district.covers(Scope(regions=frozenset({"6101"})))
    assert district.covers(tree)
    assert not tree.covers(district)


def test_scope_includes_asks_once(clinic: Institution, django_assert_num_queries: object) -> None:
    scope = Scope(regions=frozenset({"610113"}))
    with django_assert_num_queries(1):  # type: ignore[operator]
        assert scope.includes(clinic.pk)
        assert scope.includes(clinic.pk)
    assert not scope.includes(None)

"""Attacks (攻击): what somebody inside the house would try against its rules, and must not get.

Each test is one way around a rule that holds on the straight way: an odd header, a key that does
more than it was given, a guess that leaves no trace, a colleague's password.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from kangwei.kernel import clock
from kangwei.kernel.api import services as keys
from kangwei.kernel.organisations import services
from kangwei.kernel.organisations.models import Account, Institution, Role, SignInEvent
from kangwei.kernel.organisations.rules import totp
from kangwei.kernel.organisations.services.reach import BeyondOwnAccess
from kangwei.kernel.organisations.tests import make
from kangwei.kernel.oversight.tests import make as reviews
from kangwei.kernel.reporting.registry import find_report

pytestmark = pytest.mark.django_db
ME = "/api/v1/organisations/me"


def key_of(account: Account, *scopes: str) -> dict[str, str]:
    fresh = keys.create_key(
        account=account, name="程序", scopes=scopes, by=account, at=clock.now(),
        expires_at=clock.now() + timedelta(days=1),
    )  # fmt: skip
    return {"Authorization": f"Bearer {fresh.text}"}


def post(browser: Client, path: str, content: Any, **headers: str) -> Any:
    return browser.post(
        f"/api/v1{path}", data=content, content_type="application/json", headers=headers
    )


# The guard at the door --------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["", " ", "Basic eDp5", "Bearer"])
def test_no_authorization_header_leads_past_the_session_guard(header: str) -> None:
    nurse = make.account(right="organisations.view_staff")
    browser = make.client(nurse)
    assert browser.get(ME).status_code == 200
    services.sign_out_everywhere(account=nurse, by=make.account(), at=clock.now(), reason="查处")
    assert browser.get(ME, headers={"Authorization": header}).status_code == 401


def test_an_empty_authorization_header_does_not_spare_the_password_change() -> None:
    nurse = make.account(must_change_password=True)
    browser = make.client(nurse)
    for path in (ME, "/api/v1/openapi.json"):
        assert browser.get(path, headers={"Authorization": ""}).status_code == 403


# Keys -------------------------------------------------------------------------------------------


def test_a_key_does_not_more_than_its_scope_where_an_entry_names_no_right() -> None:
    boss = make.account(
        right=["organisations.view_region", "oversight.view_accounts", "organisations.view_account"]
    )
    narrow = key_of(boss, "organisations.view_region")
    client = Client()
    me = client.get(ME, headers=narrow).json()
    assert me["rights"] == ["organisations.view_region"]
    assert client.get("/api/v1/reports", headers=narrow).json() == []


def test_a_key_of_an_account_at_a_closed_institution_ends() -> None:
    clinic = make.institution()
    robot = make.account(institution=clinic, right="organisations.view_region")
    header = key_of(robot, "organisations.view_region")
    assert Client().get(ME, headers=header).status_code == 200
    clinic.closed_on = clock.local_day(clock.now())
    clinic.save()
    assert Client().get(ME, headers=header).status_code == 401


# A colleague's account --------------------------------------------------------------------------


def built_in(code: str, institution: Institution) -> Account:
    return make.account(role=Role.objects.get(code=code), institution=institution)


def test_nobody_becomes_one_of_the_three_administrators_by_resetting_him() -> None:
    """A password and a second factor together are the account: nobody may reset both."""
    province = make.institution(kind="cdc_province")
    system, security = built_in("system_admin", province), built_in("security_admin", province)
    local, auditor = built_in("province_admin", province), built_in("auditor", province)
    at = clock.now()
    for victim in (security, auditor, built_in("system_admin", province)):
        for thief in (local, built_in("institution_admin", province)):
            for reset in (services.reset_password, services.reset_second_factor):
                with pytest.raises(BeyondOwnAccess):
                    reset(account=victim, by=thief, at=at, reason="想进去")
        services.reset_password(account=victim, by=system, at=at, reason="本人忘记")
        with pytest.raises(BeyondOwnAccess):
            services.reset_second_factor(account=victim, by=system, at=at, reason="想进去")
    with pytest.raises(BeyondOwnAccess):
        services.reset_password(account=auditor, by=security, at=at, reason="想进去")
    services.reset_second_factor(account=auditor, by=security, at=at, reason="本人换手机")


def test_a_local_administrator_resets_those_below_and_beside_him_and_nobody_above() -> None:
    city = make.institution(kind="cdc_city")
    county = make.institution(parent=city)
    clinic = make.institution(parent=county)
    chief, head = built_in("city_admin", city), built_in("county_admin", county)
    at = clock.now()
    for below in (
        built_in("registrar", clinic),
        built_in("institution_admin", clinic),
        built_in("county_admin", county),
        make.account(institution=clinic),
    ):
        services.reset_password(account=below, by=head, at=at, reason="忘记")
        services.reset_second_factor(account=below, by=head, at=at, reason="换手机")
    visiting = make.account(institution=clinic)
    make.grant(visiting, Role.objects.get(code="city_admin"), institutions=[city])
    for above in (chief, visiting):
        with pytest.raises(BeyondOwnAccess):
            services.reset_password(account=above, by=head, at=at, reason="想进去")


# Personal data ----------------------------------------------------------------------------------


def test_phones_are_shown_by_the_role_that_reaches_them_not_by_the_widest_one() -> None:
    county = make.institution()
    clinic = make.institution(parent=county)
    below = make.institution(parent=clinic)
    here, there = make.staff(clinic, phone="13911110001"), make.staff(below, phone="13922220002")
    clerk = make.account(institution=clinic)
    view = "organisations.view_staff"
    make.grant(clerk, make.role(view, scope="own", masking_level=2))
    make.grant(clerk, make.role(view, scope="subtree", masking_level=1))
    browser = make.client(clerk)
    listed = browser.get("/api/v1/organisations/staff").content.decode()
    pages = [
        browser.get(f"/organisations/staff/{row.pk}/").content.decode() for row in (here, there)
    ]
    columns = browser.get(reverse("admin:organisations_staff_changelist")).content.decode()
    for text in (listed, "".join(pages), columns):
        assert "13911110001" in text
        assert "13922220002" not in text


# What was given once ----------------------------------------------------------------------------


def test_a_kept_result_ends_with_the_scope_it_was_counted_in() -> None:
    county = make.institution()
    make.institution(parent=county)
    clerk = make.account(institution=county)
    own = Role.objects.get(code="customer")
    wide = make.grant(clerk, own)
    make.grant(clerk, make.role(*own.rights, scope="own"))
    browser = make.client(clerk)
    path = "/reports/oversight.activity"
    report = find_report("oversight.activity")
    assert report is not None
    for grant in clerk.grants.all():
        grant.role.rights = [*own.rights, report.right]
        grant.role.save()
    kept = post(browser, f"{path}/run", {"parameters": {}}).json()["result"]
    assert browser.get(f"/api/v1{path}/results/{kept}").status_code == 200
    wide.revoked_at, wide.revoke_reason = clock.now(), "调离"
    wide.save()
    assert post(browser, f"{path}/run", {"parameters": {}}).status_code == 200
    assert browser.get(f"/api/v1{path}/results/{kept}").status_code == 404


def test_a_role_to_give_tells_nothing_of_institutions_out_of_reach() -> None:
    """Whether a code exists elsewhere must not be told by the refusal."""
    tree = reviews.tree()
    nurse = reviews.nurse(tree.clinic)
    reviews.campaign(tree.city)
    elsewhere = make.institution("外省门诊", code="OUT001")
    role = make.role("organisations.view_institution", scope="listed")
    browser = make.client(tree.city_inspector)
    path = f"/oversight/review-items/{reviews.item_of(nurse).pk}/decide"
    said = []
    for code in (elsewhere.code, "NOWHERE"):
        give = [{"role": role.code, "institutions": [code]}]
        sent = {"decision": "change", "reason": "调整", "password": reviews.PASSWORD, "give": give}
        answer = post(browser, path, sent)
        said.append((answer.status_code, answer.json()["message"]))
    assert said[0] == said[1]


# Guessing ---------------------------------------------------------------------------------------


def failures(account: Account) -> int:
    return SignInEvent.objects.filter(account=account, kind__contains="failure").count()


def test_signing_a_review_over_the_api_counts_wrong_passwords_and_locks() -> None:
    tree = reviews.tree()
    nurse = reviews.nurse(tree.clinic)
    reviews.campaign(tree.city)
    browser = make.client(tree.city_inspector)
    path = f"/oversight/review-items/{reviews.item_of(nurse).pk}/decide"
    said = [
        post(browser, path, {"decision": "keep", "password": "Wrong-1x"}).status_code
        for _ in range(6)
    ]
    assert failures(tree.city_inspector) == 5
    assert said == [*[422] * 4, 423, 423]


def test_a_borrowed_browser_cannot_guess_the_password_or_the_code_without_end() -> None:
    nurse = make.account(password=make.PASSWORD)
    browser = make.client(nurse)
    page = "/organisations/me/password/"
    sent = {"old": "Wrong-1x", "new": "Fresh-Horse-8", "again": "Fresh-Horse-8"}
    for _ in range(5):
        browser.post(page, sent)
    assert failures(nurse) == 5
    text = browser.post(page, sent | {"old": make.PASSWORD}).content.decode()
    assert "已锁定" in text, "the right password is no answer any more"

    keeper = make.account()
    secret = services.begin_enrolment(account=keeper, at=clock.now())
    services.confirm_enrolment(
        account=keeper, code=totp.code_at(totp.from_base32(secret), clock.now()), at=clock.now()
    )
    browser = make.client(keeper)
    for what in ("", "renew", "remove", "remove", "remove"):
        browser.post("/organisations/me/second-factor/", {"what": what, "code": "000000"})
    assert failures(keeper) == 5


def test_a_zero_character_in_a_form_is_refused_and_leaves_nothing() -> None:
    sent = {"username": "nurse\x00", "password": "Wrong-1x"}
    answer = Client().post("/sign-in/", sent)
    assert answer.status_code == 400
    assert not SignInEvent.objects.filter(username__startswith="nurse").exists()


# Secrets at rest --------------------------------------------------------------------------------


def everything_stored() -> str:
    """Every text of every table, as somebody with a copy of the database reads it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT quote_ident(table_name) FROM information_schema.tables"
            " WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        )
        tables = [name for (name,) in cursor.fetchall()]
        texts = []
        for table in tables:
            cursor.execute(f"SELECT row_to_json(t)::text FROM {table} t")
            texts += [text for (text,) in cursor.fetchall()]
    return "\n".join(texts)


def test_no_secret_can_be_read_from_a_copy_of_the_database() -> None:
    """One-time passwords, keys, authenticator secrets, recovery codes, phones, session keys."""
    clinic = make.institution()
    rights = ["organisations.manage_account", "organisations.reset_password"]
    rights += ["organisations.unmask_staff", "organisations.manage_staff", "api.use_api_keys"]
    boss = make.account(right=[*rights, "organisations.view_staff"], institution=clinic)
    staff = make.staff(clinic, phone="13912340987")
    browser = make.client(boss)
    secrets = ["13912340987", browser.cookies["kw_session"].value]

    new = {"username": "new1", "name": "新人", "institution_id": clinic.pk}
    made = post(browser, "/organisations/accounts", new, **{"Idempotency-Key": "attack-0001"})
    secrets.append(made.json()["password"])
    again = post(browser, "/organisations/accounts", new, **{"Idempotency-Key": "attack-0001"})
    assert again.json() == made.json(), "kept, so that a lost answer can be asked for again"
    reset = f"/organisations/accounts/{made.json()['account']['id']}/reset-password"
    answer = post(browser, reset, {"reason": "忘记"}, **{"Idempotency-Key": "attack-0002"})
    secrets.append(answer.json()["password"])
    shown = post(
        browser, f"/organisations/staff/{staff.pk}/unmask",
        {"reason": "联系本人", "fields": ["phone"]}, **{"Idempotency-Key": "attack-0003"},
    )  # fmt: skip
    assert shown.json()["phone"] == "13912340987"
    secrets.append(key_of(boss, "organisations.view_staff")["Authorization"].rsplit("_", 1)[-1])
    secret = services.begin_enrolment(account=boss, at=clock.now())
    code = totp.code_at(totp.from_base32(secret), clock.now())
    codes = services.confirm_enrolment(account=boss, code=code, at=clock.now())
    secrets += [secret, *codes, *(code.replace("-", "") for code in codes)]
    Client().post("/sign-in/", {"username": boss.username, "password": "Typed-Wrong-9"})
    secrets.append("Typed-Wrong-9")

    stored = everything_stored()
    # Django's own store of sessions is keyed by the session key; nobody can sign in by the journal.
    lines = [line for line in stored.splitlines() if '"session_data"' not in line]
    assert [one for one in secrets if any(one in line for line in lines)] == []

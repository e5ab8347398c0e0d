"""The API of organisations: same rights, same scopes, stable codes; strangers' rows are absent."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from kangwei.kernel.organisations import api
from kangwei.kernel.organisations.models import Account, Grant, Institution, Role, ScopeKind
from kangwei.kernel.organisations.tests import make
from kangwei.kernel.organisations.tests.test_imports import clinic, sheet
from kangwei.kernel.organisations.tests.test_pages import OWN_RIGHTS, rows_at

pytestmark = pytest.mark.django_db
BASE = "/api/v1/organisations"


@pytest.fixture
def county() -> Institution:
    return make.institution("雁塔区疾控中心", region=make.region("610113000000"))


@pytest.fixture
def chief(county: Institution) -> Account:
    return make.account(
        "chief", institution=county, right=[f"organisations.{right}" for right in OWN_RIGHTS]
    )


def act(browser: Client, path: str, content: dict[str, Any] | None = None) -> Any:
    return browser.post(
        BASE + path,
        json.dumps(content or {}),
        content_type="application/json",
        headers={"Idempotency-Key": str(uuid4())},
    )


def test_lists_hold_only_what_the_account_may_see(chief: Account, county: Institution) -> None:
    clinic = make.institution("小寨门诊", parent=county)
    make.institution("外单位")
    browser = make.client(chief)
    found = browser.get(f"{BASE}/institutions?size=50").json()
    assert {item["id"] for item in found["items"]} == {county.pk, clinic.pk}
    assert browser.get(f"{BASE}/institutions?q=xzmz").json()["total"] == 1
    assert browser.get(f"{BASE}/institutions?below={clinic.pk}").json()["total"] == 1
    assert browser.get(f"{BASE}/institutions?region=610113").json()["total"] == 2


@pytest.mark.parametrize(
    "path",
    [
        "regions",
        "departments",
        "staff",
        "accounts",
        "roles",
        "sign-in-events",
        "institution-kinds",
        "me",
        "me/sessions",
    ],
)
def test_every_list_answers(chief: Account, county: Institution, path: str) -> None:
    rows_at(county)
    assert make.client(chief).get(f"{BASE}/{path}").status_code == 200


def test_phones_are_masked_by_the_accounts_level(chief: Account, county: Institution) -> None:
    make.staff(county, phone="16400000001")
    item = make.client(chief).get(f"{BASE}/staff").json()["items"][0]
    assert "16400000001" not in item["phone"]
    assert item["phone"].startswith("164")


FOREIGN_READS = ("/institutions/{institution}", "/staff/{staff}", "/accounts/{account}",
                 "/accounts/{account}/grants")  # fmt: skip
REASON = {"reason": "测试原因"}
FOREIGN_ACTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/institutions/{institution}/change", {"name": "改名"}),
    ("/institutions/{institution}/identifiers", {"kind": "other", "value": "1"}),
    ("/institutions/{institution}/move", {"parent_id": 1, "on": "2026-01-01"}),
    ("/institutions/{institution}/close", {**REASON, "on": "2026-01-01"}),
    ("/institutions/{institution}/reopen", REASON),
    ("/institutions/{institution}/merge", {**REASON, "into_id": 1, "on": "2026-01-01"}),
    ("/departments/{department}/change", {"name": "改"}),
    ("/departments/{department}/close", {"on": "2026-01-01"}),
    ("/staff/{staff}/change", {"name": "改"}),
    ("/staff/{staff}/transfer", {"institution_id": 1, "on": "2026-01-01"}),
    ("/staff/{staff}/leave", {**REASON, "on": "2026-01-01"}),
    ("/staff/{staff}/qualifications", {"kind": "证", "number": "9"}),
    ("/qualifications/{qualification}/remove", {}),
    ("/staff/{staff}/unmask", {**REASON, "fields": ["phone"]}),
    ("/accounts/{account}/change", {"name": "改"}),
    ("/accounts/{account}/disable", REASON),
    ("/accounts/{account}/enable", REASON),
    ("/accounts/{account}/unlock", {}),
    ("/accounts/{account}/reset-password", REASON),
    ("/accounts/{account}/reset-second-factor", REASON),
    ("/accounts/{account}/sign-out", {}),
    ("/accounts/{account}/grants", {"role": "registrar"}),
    ("/grants/{grant}/revoke", REASON),
    ("/me/grants/{grant}/lend", {**REASON, "username": "x", "until": "2030-01-01T00:00:00Z"}),
    ("/me/loans/{grant}/take-back", REASON),
)


def _path(template: str) -> str:
    rows = rows_at(make.institution("外单位"))
    return template.format(**{name: row.pk for name, row in vars(rows).items()})


@pytest.mark.parametrize("template", FOREIGN_READS)
def test_a_strangers_row_is_absent(chief: Account, template: str) -> None:
    answer = make.client(chief).get(BASE + _path(template))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(("template", "content"), FOREIGN_ACTS)
def test_a_strangers_row_cannot_be_acted_on(
    chief: Account, template: str, content: dict[str, Any]
) -> None:
    answer = act(make.client(chief), _path(template), content)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_the_table_above_names_every_act_on_a_row() -> None:
    """A new act must be tried on a stranger's row too."""
    covered = {
        template.partition("{")[0] + template.partition("}")[2] for template, _ in FOREIGN_ACTS
    }
    with_rows = {
        one.path.partition("{")[0] + one.path.partition("}")[2]
        for one in api.router.operations
        if one.is_act and "{" in one.path
    }
    without_institution = {
        "/regions//rename",
        "/imports//confirm",
        "/imports//discard",
        "/imports//passwords",
        "/regions//merge",
        "/roles//change",
        "/roles//retire",
        "/me/sessions//end",
    }
    assert with_rows - without_institution == covered


@pytest.mark.parametrize("one", [o for o in api.router.operations if o.right], ids=lambda o: o.name)
def test_every_operation_is_closed_without_its_right(one: Any) -> None:
    browser = make.client(make.account(right="api.view_metrics"))
    path = "/" + one.path.lstrip("/").replace("{code}", "610000000000")
    for name in ("institution_id", "department_id", "staff_id", "qualification_id", "account_id"):
        path = path.replace(f"{{{name}}}", "1")
    path = path.replace("{role_id}", "1").replace("{grant_id}", "1")
    answer = act(browser, path) if one.method == "POST" else browser.get(BASE + path)
    assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")


def test_the_life_of_an_institution(chief: Account, county: Institution) -> None:
    browser = make.client(chief)
    made = act(browser, "/institutions", {
        "code": "N1", "name": "新门诊", "kind": "clinic_routine", "region": "610113",
        "parent_id": county.pk, "opened_on": "2026-01-01",
    })  # fmt: skip
    assert made.status_code == 200, made.content.decode()
    pk = made.json()["id"]
    assert (
        act(browser, f"/institutions/{pk}/change", {"telephone": "029-82220000"}).status_code == 200
    )
    wrong = act(browser, f"/institutions/{pk}/change", {"uscc": "123"})
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["field"]) == (
        422, "organisations.institution_unfit", "uscc",
    )  # fmt: skip
    closed = act(browser, f"/institutions/{pk}/close", {"on": "2026-02-01", "reason": "停业"})
    assert closed.json()["closed_on"] == "2026-02-01"
    assert browser.get(f"{BASE}/institutions?open=false").json()["total"] == 1


def test_the_life_of_an_account(chief: Account, county: Institution) -> None:
    browser = make.client(chief)
    made = act(browser, "/accounts", {
        "username": "nurse", "name": "护士", "institution_id": county.pk,
    })  # fmt: skip
    pk, password = made.json()["account"]["id"], made.json()["password"]
    assert Account.objects.get(pk=pk).check_password(password)
    given = act(browser, f"/accounts/{pk}/grants", {"role": "registrar", "reason": "新入职"})
    assert given.json()["role"] == "registrar"
    assert act(browser, f"/grants/{given.json()['id']}/revoke", REASON).json()["revoked_at"]
    again = act(browser, f"/accounts/{pk}/reset-password", REASON)
    assert again.json()["password"] != password
    assert act(browser, f"/accounts/{pk}/disable", REASON).json()["state"] == "disabled"
    assert act(browser, f"/accounts/{pk}/disable", REASON).json()["code"] == (
        "organisations.account_not_active"
    )
    assert act(browser, f"/accounts/{pk}/enable", REASON).json()["state"] == "active"


def test_lending_over_the_api(chief: Account, county: Institution) -> None:
    make.account("nurse", institution=county)
    held = chief.grants.get()
    lent = act(make.client(chief), f"/me/grants/{held.pk}/lend", {
        **REASON, "username": "Nurse", "until": "2040-01-01T00:00:00+08:00",
    })  # fmt: skip
    assert lent.json()["lent_from_id"] == held.pk
    back = act(make.client(chief), f"/me/loans/{lent.json()['id']}/take-back", REASON)
    assert Grant.objects.get(pk=back.json()["id"]).revoked_at is not None


def test_roles_over_the_api(chief: Account) -> None:
    browser = make.client(chief)
    content = {
        "code": "inspector", "name": "检查员", "rights": ["organisations.view_staff"],
        "scope_kind": ScopeKind.OWN,
    }  # fmt: skip
    made = act(browser, "/roles", content)
    assert made.json()["rights"] == ["organisations.view_staff"]
    built_in = Role.objects.get(code="auditor").pk
    del content["code"]
    refused = act(browser, f"/roles/{built_in}/change", content)
    assert refused.json()["code"] == "organisations.role_is_built_in"


def test_importing_over_the_api(chief: Account, county: Institution) -> None:
    browser = make.client(chief)
    rows = [clinic("C1", parent=county.code), clinic("C2", parent=county.code, kind="飞船")]
    content = sheet("institutions", rows).getvalue()
    sent = browser.post(
        f"{BASE}/imports/institutions",
        {"file": SimpleUploadedFile("机构.xlsx", content)},
        headers={"Idempotency-Key": str(uuid4())},
    )
    assert sent.status_code == 200, sent.content.decode()
    assert [row["number"] for row in sent.json()["bad"]] == [3]
    path = f"/imports/{sent.json()['id']}"
    assert (
        act(
            make.client(make.account(right="organisations.import_institution")), f"{path}/confirm"
        ).status_code
        == 404
    )
    assert act(browser, f"{path}/confirm").json()["written"] == 1
    assert act(browser, f"{path}/discard").json()["code"] == "organisations.import_already_decided"


def test_the_policy_keeps_its_floors(chief: Account) -> None:
    browser = make.client(chief)
    assert (
        act(browser, "/security-policy/change", {"idle_minutes": 15}).json()["idle_minutes"] == 15
    )
    refused = act(browser, "/security-policy/change", {"password_min_length": 6})
    assert refused.json()["code"] == "organisations.policy_unfit"
    assert browser.get(f"{BASE}/security-policy").json()["password_min_length"] == 10


def test_my_own_sessions_and_rights(chief: Account) -> None:
    browser, other = make.client(chief), make.client(chief)
    listed = browser.get(f"{BASE}/me/sessions").json()
    assert len(listed) == 2
    oldest = min(item["id"] for item in listed)
    assert act(other, f"/me/sessions/{oldest}/end").status_code == 204
    assert browser.get(f"{BASE}/me").status_code == 401
    assert "organisations.view_staff" in other.get(f"{BASE}/me").json()["rights"]

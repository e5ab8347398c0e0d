"""The access matrix (访问矩阵): every entry × every built-in role × own and foreign institution.

Generated from the registries of addresses and of the API, so that a new page or operation is in it
the moment it exists. Three promises: nothing answers with a fault; without the right the answer is
a refusal; a foreign institution's row looks exactly as if it did not exist.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.test import Client

from kangwei.kernel.api.registry import OperationInfo, operations
from kangwei.kernel.organisations.models import Account, Role
from kangwei.kernel.organisations.tests import make
from kangwei.web import urls
from tests.repository.house import STRANGE, STRANGE_USER, House, build
from tests.repository.test_habits import pages

pytestmark = pytest.mark.django_db

ABSENT, NOBODY = 987_654_321, UUID(int=987_654_321)
REFUSED = {401, 403, 404, 409, 413, 422, 429}


@pytest.fixture
def house() -> House:
    return build()


def roles() -> list[Role]:
    return list(Role.objects.filter(built_in=True, active=True))


def member(role: Role, house: House) -> Account:
    """Somebody of the county with this role; roles over everything are the county's too."""
    return make.account(
        role=role, institution=house.county, username=f"m-{role.code.replace('_', '-')}"[:39]
    )


@contextmanager
def undone() -> Iterator[None]:
    """Whatever an entry does is taken back, so entries do not see each other."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def fill(path: str, house: House, value: Callable[[str], Any]) -> str:
    """An address with its parameters filled: `{account_id}` or `<int:pk>`."""
    path = re.sub(r"\{(?:\w+:)?(\w+)\}", lambda found: str(value(found.group(1))), path)

    def converter(found: re.Match[str]) -> str:
        kind, name = found.group(1), found.group(2)
        if kind == "uuid":
            return str(NOBODY)
        return str(value(name)) if kind == "int" else "nothing"

    return re.sub(r"<(?:(\w+):)?(\w+)>", converter, path)


def constant(value: Any) -> Callable[[str], Any]:
    return lambda name: value


def call(browser: Client, operation: OperationInfo, path: str) -> Any:
    if operation.method == "GET":
        return browser.get(path)
    headers = {"Idempotency-Key": f"matrix-{abs(hash((operation.name, path)))}"}
    return browser.post(path, data="{}", content_type="application/json", headers=headers)


def test_the_matrix_is_not_empty() -> None:
    assert urls.urlpatterns
    assert len(operations()) > 50
    assert len(roles()) > 8


def test_no_operation_fails_for_any_role_and_none_opens_without_its_right(house: House) -> None:
    faults, open_doors = [], []
    for role in roles():
        account = member(role, house)
        browser = make.client(account)
        for operation in operations():
            path = fill(operation.path, house, constant(ABSENT))
            with undone():
                answer = call(browser, operation, path)
            line = f"{role.code} {operation.method} {operation.path} -> {answer.status_code}"
            if answer.status_code >= 500 or answer.status_code == 405:
                faults.append(line)  # 405: another entry's address hides this one
            allowed = operation.right is None or account.has_perm(operation.right)
            if not allowed and answer.status_code not in REFUSED:
                open_doors.append(line)
    assert faults == []
    assert open_doors == []


def test_a_foreign_row_does_not_exist_for_whoever_may_act_in_his_own_house(house: House) -> None:
    """The account holds every right over its own county, and none outside."""
    rights = sorted({operation.right for operation in operations() if operation.right})
    browser = make.client(make.account(right=rights, institution=house.county))
    seen = []
    for operation in operations():
        if operation.rows is None or "{" not in operation.path:
            continue
        name = str(operation.rows._meta.model_name)
        if name not in {"run", "signinevent", "attempt"}:
            assert name in house.rows, f"{name}: the stranger's house has no row of it"
        # An attempt is asked for by its delivery.
        row = house.rows.get({"attempt": "delivery"}.get(name, name))
        value = row.pk if row is not None else ABSENT
        path = fill(operation.path, house, constant(value))
        with undone():
            answer = call(browser, operation, path)
        if answer.status_code not in {404, 422}:
            seen.append(f"{operation.method} {operation.path} -> {answer.status_code}")
        elif answer.status_code == 404:
            assert STRANGE not in answer.content.decode()
    assert seen == []


def test_lists_of_the_api_hold_no_foreign_row(house: House) -> None:
    rights = sorted({operation.right for operation in operations() if operation.right})
    browser = make.client(make.account(right=rights, institution=house.county))
    for operation in operations():
        if operation.method == "GET" and "{" not in operation.path:
            answer = browser.get(operation.path)
            if answer.get("Content-Type", "").startswith("application/json"):
                text = answer.content.decode()
                assert STRANGE not in text, operation.path
                assert STRANGE_USER not in text, operation.path


def test_a_stranger_gets_in_nowhere(house: House) -> None:
    stranger = Client()
    for operation in operations():
        answer = call(stranger, operation, fill(operation.path, house, constant(ABSENT)))
        assert answer.status_code in {401, 403}, (operation.path, answer.status_code)
    for address, view in pages(urls.urlpatterns):
        if getattr(view, "kw_work_page", False):
            answer = stranger.get("/" + fill(address, house, constant(ABSENT)))
            assert answer.status_code in {302, 405}, address  # 405: only forms go there
            if answer.status_code == 302:
                assert answer["Location"].startswith("/sign-in/"), address


#: The part of an address before its number tells whose row it is.
KINDS = {
    "institutions": "institution", "departments": "department", "staff": "staff",
    "accounts": "account", "grants": "grant", "qualifications": "qualification",
}  # fmt: skip


def foreign_key(address: str, house: House) -> Any:
    found = re.search(r"([\w-]+)/<int:\w+>", address)
    row = house.rows.get(KINDS.get(found.group(1), "")) if found else None
    return row.pk if row is not None else ABSENT


def test_no_page_fails_for_any_role_and_none_opens_without_its_right(house: House) -> None:
    faults, open_doors, seen = [], [], []
    entries = [(a, v) for a, v in pages(urls.urlpatterns) if getattr(v, "kw_work_page", False)]
    for role in roles():
        account = member(role, house)
        browser = make.client(account)
        for address, view in entries:
            path = "/" + fill(address, house, constant(foreign_key(address, house)))
            with undone():
                answer = browser.get(path)
            line = f"{role.code} {address} -> {answer.status_code}"
            right = getattr(view, "kw_right", None)
            if answer.status_code >= 500:
                faults.append(line)
            elif (
                right
                and not account.has_perm(right)
                and answer.status_code not in REFUSED | {302, 405}
            ):
                open_doors.append(line)
            elif (
                foreign_key(address, house) != ABSENT
                and role.scope_kind != "everything"
                and answer.status_code == 200
            ):
                seen.append(line)
    assert faults == []
    assert open_doors == []
    assert seen == []


def test_a_form_sent_to_a_foreign_row_is_a_404(house: House) -> None:
    rights = sorted(
        {v.kw_right for _, v in pages(urls.urlpatterns) if getattr(v, "kw_right", None)}
    )
    browser = make.client(make.account(right=rights, institution=house.county))
    wrong = []
    for address, view in pages(urls.urlpatterns):
        key = foreign_key(address, house)
        if not getattr(view, "kw_work_page", False) or key == ABSENT:
            continue
        with undone():
            answer = browser.post("/" + fill(address, house, constant(key)), {})
        if answer.status_code not in {404, 405}:
            wrong.append(f"{address} -> {answer.status_code}")
    assert wrong == []


def test_each_administrator_may_appoint_those_of_the_level_below() -> None:
    """Nobody gives more than he holds, so a level that lacks one right can appoint nobody."""
    ladder = ["province_admin", "city_admin", "county_admin", "institution_admin"]
    by_code = {role.code: role for role in roles()}
    for upper, lower in pairwise(ladder):
        missing = set(by_code[lower].rights) - set(by_code[upper].rights)
        assert missing == set(), f"{upper} cannot appoint {lower}"

"""Builders of organisations for tests everywhere: a test writes only what matters to it.

clinic = make.institution(parent=county)
nurse = make.account(right="organisations.view_staff", institution=clinic)
browser = make.client(nurse)
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from itertools import count
from typing import Any

from django.test import Client

from kangwei.kernel.organisations import tree
from kangwei.kernel.organisations.models import (
    Account,
    AccountSession,
    Department,
    Employment,
    Grant,
    Institution,
    InstitutionKind,
    InstitutionParent,
    Region,
    RegionLevel,
    Role,
    ScopeKind,
    Staff,
)
from kangwei.kernel.organisations.rules.names import pinyin_code

PASSWORD = "Correct-Horse-7"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_number = count(1)


def region(code: str = "610000000000", name: str = "", **fields: Any) -> Region:
    """A region and, as needed, the regions above it; the same code twice is the same region."""
    found = Region.objects.filter(code=code).first()
    if found:
        return found
    levels = list(zip((2, 4, 6, 9, 12), RegionLevel, strict=True))
    depth = next(i for i, (digits, _) in enumerate(levels) if code[digits:].strip("0") == "")
    digits, level = levels[depth]
    parent = region(code[: levels[depth - 1][0]].ljust(12, "0")) if depth else None
    defaults: dict[str, Any] = {
        "valid_from": date(2000, 1, 1),
        "name": name or f"区划{code[:digits]}",
    }
    return Region.objects.create(code=code, level=level, parent=parent, **(defaults | fields))


_a_region = region  # where a parameter has the builder's name


def kind(code: str = "clinic_routine") -> InstitutionKind:
    found, _ = InstitutionKind.objects.get_or_create(
        code=code, defaults={"name": code, "group": "其他单位"}
    )
    return found


_a_kind = kind


def institution(
    name: str = "",
    *,
    parent: Institution | None = None,
    region: Region | None = None,
    kind: str = "clinic_routine",
    code: str = "",
    since: date = date(2020, 1, 1),
    **fields: Any,
) -> Institution:
    """An institution, below `parent` if given; the closure is kept as services would."""
    number = next(_number)
    name = name or f"第{number}接种门诊"
    place = region or (parent.region if parent else _a_region())
    made = Institution.objects.create(
        code=code or f"T{number:06d}",
        name=name,
        short_name=fields.pop("short_name", name),
        kind=_a_kind(kind),
        pinyin=pinyin_code(name, 100),
        region=place,
        opened_on=since,
        **fields,
    )
    if parent:
        InstitutionParent.objects.create(institution=made, parent=parent, valid_from=since)
    tree.follow_closure(made.pk, max(since, date.today()))
    return made


_an_institution = institution


def department(
    institution: Institution | None = None, name: str = "信息科", **fields: Any
) -> Department:
    number = next(_number)
    home = institution or _an_institution()
    code = fields.pop("code", f"D{number:04d}")
    return Department.objects.create(institution=home, name=name, code=code, **fields)


def staff(institution: Institution | None = None, name: str = "王秀英", **fields: Any) -> Staff:
    home = institution or _an_institution()
    since = fields.pop("since", date(2020, 1, 1))
    made = Staff.objects.create(institution=home, name=name, **fields)
    Employment.objects.create(
        staff=made, institution=home, department=made.department, valid_from=since
    )
    return made


def role(*rights: str, scope: str = ScopeKind.SUBTREE, **fields: Any) -> Role:
    number = next(_number)
    defaults: dict[str, Any] = {
        "code": f"role{number}",
        "name": f"角色{number}",
        "masking_level": 1,
    }
    return Role.objects.create(rights=list(rights), scope_kind=scope, **(defaults | fields))


_a_role = role


def grant(
    account: Account,
    role: Role,
    *,
    institutions: Iterable[Institution] = (),
    regions: Iterable[Region] = (),
    **fields: Any,
) -> Grant:
    """A grant in force since long ago, unless dates are given."""
    defaults: dict[str, Any] = {"valid_from": LONG_AGO, "granted_at": LONG_AGO}
    made = Grant.objects.create(account=account, role=role, **(defaults | fields))
    made.institutions.set(institutions)
    made.regions.set(regions)
    account.forget_access()
    return made


def account(
    username: str = "",
    *,
    institution: Institution | None = None,
    right: str | Iterable[str] = (),
    scope: str = ScopeKind.SUBTREE,
    masking_level: int = 1,
    role: Role | None = None,
    password: str = "",
    **fields: Any,
) -> Account:
    """An account that may be used at once; `right` (one or several) comes with a role of its own.

    `role` may instead name an existing role. Without `password` nobody can sign in by the form;
    `make.client` signs in without one.
    """
    number = next(_number)
    made = Account(
        username=username or f"user{number}",
        name=fields.pop("name", f"用户{number}"),
        institution=institution or _an_institution(),
        created_at=fields.pop("created_at", LONG_AGO),
        must_change_password=fields.pop("must_change_password", False),
        password_changed_at=fields.pop("password_changed_at", datetime.now(UTC)),
        **fields,
    )
    if password:
        made.set_password(password)
    else:
        made.set_unusable_password()
    made.save()
    rights = [right] if isinstance(right, str) else list(right)
    if rights:
        grant(made, _a_role(*rights, scope=scope, masking_level=masking_level))
    if role:
        grant(made, role)
    return made


def client(account: Account, *, second_factor: bool = True) -> Client:
    """A browser in which this account is signed in, with its second factor proven."""
    browser = Client()
    browser.force_login(account)
    AccountSession.objects.open().filter(account=account).update(second_factor=second_factor)
    return browser

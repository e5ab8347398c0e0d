"""The first accounts of an empty site (初始化): root institution and three administrators."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from kangwei.kernel.organisations.models import Account, Institution, Region, Role
from kangwei.kernel.organisations.services.access import grant_role
from kangwei.kernel.organisations.services.accounts import create_account
from kangwei.kernel.organisations.services.institutions import create_institution
from kangwei.kernel.organisations.services.regions import import_regions
from kangwei.kernel.refusals import Refusal


class AlreadySetUp(Refusal):
    code = "organisations.already_set_up"
    title = "系统已初始化"


@dataclass(frozen=True)
class FirstAccount:
    role: str
    username: str
    password: str


@transaction.atomic
def set_up(
    *, username: str, password: str, institution_name: str, region: tuple[str, str], at: datetime
) -> list[FirstAccount]:
    """Make the root institution and one account for each of the three administrators (三员).

    The named account is the system administrator; the other two get one-time passwords, to be
    handed to two other people. Refused as soon as any account exists.
    """
    if Account.objects.exists():
        raise AlreadySetUp("系统中已有账号，不能重复初始化；请由现有管理员登录后维护。")
    code, name = region
    import_regions(
        entries=[{"code": code, "name": name, "valid_from": "2000-01-01"}], by=None, at=at
    )
    root = Institution.objects.order_by("pk").first() or create_institution(
        code="ROOT", name=institution_name, kind="health_commission",
        region=Region.objects.get(code=code.ljust(12, "0")), by=None, at=at,
    )  # fmt: skip
    made = []
    for role_code, suffix in (
        ("system_admin", ""),
        ("security_admin", "-sec"),
        ("auditor", "-aud"),
    ):
        role = Role.objects.get(code=role_code)
        own = not suffix
        new = create_account(
            username=f"{username}{suffix}", name=role.name, institution=root, by=None, at=at,
            password=password if own else "",
        )  # fmt: skip
        grant_role(account=new.account, role=role, by=None, at=at, reason="系统初始化")
        made.append(FirstAccount(role.name, new.account.username, "" if own else new.password))
    return made

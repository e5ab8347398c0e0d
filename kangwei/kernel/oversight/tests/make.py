"""Builders for oversight: a small province of superiors and those they review."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from kangwei.kernel.audit.models import Entry
from kangwei.kernel.organisations.models import Account, Institution
from kangwei.kernel.organisations.tests import make
from kangwei.kernel.oversight.models import ReviewCampaign, ReviewItem
from kangwei.kernel.oversight.rights import REVIEWER
from kangwei.kernel.oversight.services import Proof, call_up

PASSWORD = "Correct-Horse-7"
SIGNED = Proof(password=PASSWORD)
#: A Monday; the campaign of these tests opens on it and ends on 31 March.
MARCH_2 = datetime(2026, 3, 2, 1, tzinfo=UTC)
DUE = date(2026, 4, 30)
#: The journal's last line before the present test (see conftest.py).
mark = 0


def journal(**wanted: Any) -> Any:
    """The lines of the journal that the present test wrote."""
    return Entry.objects.filter(pk__gt=mark, **wanted)


@dataclass
class Tree:
    """Province above city above clinic, with one reviewer each at the first two."""

    province: Institution
    city: Institution
    clinic: Institution
    inspector: Account
    city_inspector: Account


def tree() -> Tree:
    province = make.institution("省疾控", kind="cdc_province")
    city = make.institution("西安市疾控", parent=province, kind="cdc_city")
    clinic = make.institution("小寨门诊", parent=city)
    return Tree(
        province,
        city,
        clinic,
        inspector=reviewer(province, "王督查"),
        city_inspector=reviewer(city, "李督查"),
    )


def reviewer(institution: Institution, name: str, **fields: Any) -> Account:
    return make.account(
        institution=institution,
        name=name,
        right=[*REVIEWER, "organisations.grant_role", "organisations.view_account"],
        password=PASSWORD,
        staff=make.staff(institution, name),
        **fields,
    )


def nurse(institution: Institution, name: str = "赵护士", **fields: Any) -> Account:
    """An ordinary account with one ordinary role."""
    fields.setdefault("staff", make.staff(institution, name))
    return make.account(
        institution=institution,
        name=name,
        right="organisations.view_institution",
        scope="own",
        **fields,
    )


def campaign(
    institution: Institution,
    *,
    at: datetime = MARCH_2,
    due: date = DUE,
    year: int = 2026,
    **fields: Any,
) -> ReviewCampaign:
    """An open round that has called up everybody below its institution."""
    made = ReviewCampaign.objects.create(
        title=f"{year} 年度用户年审",
        year=year,
        institution=institution,
        opens_on=at.date(),
        due_on=due,
        created_at=at,
        **fields,
    )
    call_up(campaign=made, at=at)
    return made


def item_of(account: Account) -> ReviewItem:
    return ReviewItem.objects.select_related("account", "institution", "campaign").get(
        account=account
    )

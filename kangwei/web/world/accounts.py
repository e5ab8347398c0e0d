"""The accounts a visitor of the demonstration signs in with, one for each built-in role.

They are made first and alone, in a second or two, so that signing in works while the rest of the
world still fills. Their passwords are printed and public: they exist in demonstration mode only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import transaction

from kangwei.kernel.demonstration import ShownAccount
from kangwei.kernel.organisations import services as organisations
from kangwei.kernel.organisations.models import Account, Institution, Role
from kangwei.web.world import places
from kangwei.web.world.people import id_number

PASSWORD = "Qinling#2026"  # noqa: S105  # printed on the sign-in page of the demonstration

#: How long ago the accounts were opened.
HISTORY = timedelta(days=500)


@dataclass(frozen=True)
class Cast:
    """One part in the demonstration: who, in which role, where."""

    username: str
    name: str
    role: str
    institution: str
    #: Institutions the role is limited to, where its kind of scope asks for them.
    targets: tuple[str, ...] = ()
    waived: bool = True
    hint: str = ""


MEN = {"高振华", "党秉文", "郝崇德", "李海涛", "折志强", "屈思远", "康国栋", "乔宇航"}

CAST = (
    Cast("admin", "高振华", "system_admin", "SNXXZX"),
    Cast("security", "惠雅琴", "security_admin", "SNXXZX"),
    Cast("auditor", "党秉文", "auditor", "SNWJW"),
    Cast("commission", "郝崇德", "province_admin", "SNWJW"),
    Cast("province", "王晓梅", "province_admin", "SNCDC"),
    Cast("city", "李海涛", "city_admin", "XACDC"),
    Cast("county", "张红梅", "county_admin", "YTCDC"),
    Cast("clinic", "刘玉兰", "institution_admin", "YTXZJZ"),
    Cast("registrar", "陈佳宁", "registrar", "YTXZJZ"),
    Cast("engineer", "折志强", "engineer_first", "KWYW", ("SNCDC", "SNXXZX", "QAYY")),
    Cast("expert", "屈思远", "engineer_second", "KWYW"),
    Cast("manager", "同文静", "project_manager", "KWYW", ("SNCDC", "SNXXZX", "QAYY")),
    Cast("customer", "康国栋", "customer", "SNXXZX"),
    Cast("reader", "雷慧", "report_reader", "SNCDC"),
    Cast("developer", "乔宇航", "developer", "CHRJ"),
    Cast(
        "newcomer",
        "任雪",
        "city_admin",
        "BJCDC",
        waived=False,
        hint="首次登录：须修改密码并绑定动态口令",
    ),
)


def shown() -> list[ShownAccount]:
    """What the sign-in page shows; names of places and roles come from the data files."""
    roles = {role["code"]: role["name"] for role in places.roles()}
    homes = {one["code"]: one["name"] for one in places.institutions()}
    return [
        ShownAccount(
            username=part.username,
            password=PASSWORD,
            name=part.name,
            role=roles[part.role],
            institution=homes[part.institution],
            waived=part.waived,
            hint=part.hint,
        )
        for part in CAST
    ]


@transaction.atomic
def make(at: datetime) -> int:
    """Make those accounts that are missing, with the few institutions they belong to."""
    missing = {part.username for part in CAST} - set(
        Account.objects.filter(username__in=[part.username for part in CAST]).values_list(
            "username", flat=True
        )
    )
    if not missing:
        return 0
    wanted = {code for part in CAST for code in (part.institution, *part.targets)}
    places.make_regions(at)
    homes = places.make_institutions(at, only=wanted)
    for part in CAST:
        if part.username in missing:
            _make_one(part, homes, at)
    return len(missing)


def _make_one(part: Cast, homes: dict[str, Institution], at: datetime) -> None:
    home, role = homes[part.institution], Role.objects.get(code=part.role)
    place = CAST.index(part) + 1
    born_on = date(1970, 1, 1) + timedelta(days=397 * place)
    staff = organisations.create_staff(
        institution=home,
        name=part.name,
        number=f"D{place:03d}",
        position=role.name,
        phone=places.shown_phone(place),
        id_number=id_number(born_on, place, "M" if part.name in MEN else "F"),
        by=None,
        at=at,
    )
    # Opened long ago: an account of today could not have a history.
    account = organisations.create_account(
        username=part.username,
        name=part.name,
        institution=home,
        staff=staff,
        password=PASSWORD,
        must_change_password=not part.waived,
        by=None,
        at=at - HISTORY,
    ).account
    organisations.grant_role(
        account=account,
        role=role,
        institutions=[homes[code] for code in part.targets],
        by=None,
        at=at - HISTORY,
        reason="演示账号",
    )

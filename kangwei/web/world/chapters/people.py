"""First chapter: the province, its institutions, sixty people and what became of some of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random

from django.db import transaction

from kangwei.kernel import clock
from kangwei.kernel.demonstration import Progress
from kangwei.kernel.organisations import services as organisations
from kangwei.kernel.organisations.models import (
    Account,
    Department,
    Grant,
    Institution,
    Role,
    SignInEvent,
    Staff,
)
from kangwei.kernel.organisations.services import sign_in
from kangwei.kernel.refusals import Refusal
from kangwei.web.world import accounts, places
from kangwei.web.world.people import Person, make_people

PEOPLE = 60
HOSPITALS = ("QAYY", "WSYY", "LTYY")
LICENCES = ("医师执业证书", "护士执业证书", "预防接种资格证", "冷链管理员培训证")
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0"


@dataclass(frozen=True)
class Part:
    """One of the sixty: where he works, as what, with which account."""

    person: Person
    institution: str
    number: str
    title: str
    position: str
    role: str | None
    hired_on: date
    licence: str
    #: Days from today until the certificate ends; negative: it has ended.
    licence_days: int
    sign_ins: int

    @property
    def username(self) -> str:
        return f"{self.institution.lower()}{self.number}"


def plan(random: Random, today: date) -> list[Part]:
    """Cast the sixty, all draws at once, so that a resumed telling casts the same."""
    homes = places.institutions()
    by_group = [row["code"] for row in homes if row["departments"]]
    crowd = make_people(random, PEOPLE, today=today)
    parts = []
    for index, person in enumerate(crowd):
        # Each institution gets somebody; the rest crowd into hospitals, centres and clinics.
        code = homes[index]["code"] if index < len(homes) else random.choice(by_group)
        home = next(row for row in homes if row["code"] == code)
        title, position, role, licence = job(home["kind"], index, random)
        parts.append(
            Part(
                person=person,
                institution=home["code"],
                number=f"{index + 1:03d}",
                title=title,
                position=position,
                role=role if random.random() < 0.6 else None,
                hired_on=today - timedelta(days=random.randint(400, 3000)),
                licence=licence,
                licence_days=random.choices(
                    (random.randint(120, 1200), random.randint(3, 28), -random.randint(5, 200)),
                    (78, 12, 10),
                )[0],
                sign_ins=random.choices((0, 2, 5), (15, 35, 50))[0],
            )
        )
    return parts


def job(kind: str, index: int, random: Random) -> tuple[str, str, str | None, str]:
    """(职称, 职务, role, certificate) that fit the kind of institution."""
    if kind == "cdc_city":
        return "副主任医师", "免疫规划科科长", "city_admin", LICENCES[2]
    if kind == "cdc_county":
        return "主管医师", "免疫规划科科长", "county_admin", LICENCES[2]
    if kind == "cdc_province":
        return "主任医师", "疫苗管理科科长", "report_reader", LICENCES[3]
    if kind.startswith(("clinic", "community", "township", "village")):
        return random.choice(
            (
                ("主管护师", "门诊负责人", "institution_admin", LICENCES[2]),
                ("护师", "接种护士", "registrar", LICENCES[2]),
            )
        )
    if kind.startswith("hospital"):
        return random.choice(
            (
                ("工程师", "信息中心工程师", "institution_admin", ""),
                ("主治医师", "临床医师", "report_reader", LICENCES[0]),
                ("主管护师", "护士长", "report_reader", LICENCES[1]),
            )
        )
    if kind == "maintainer":
        return "工程师", "驻场工程师", None, ""
    if kind == "developer":
        return "软件工程师", "接口开发", "developer", ""
    return "主任科员", "业务科室负责人", "report_reader", ""


def tell(random: Random, at: datetime, progress: Progress) -> None:
    """Make what is missing. Every step is one transaction and looks before it makes."""
    parts = plan(random, clock.local_day(at))
    progress(0, 100, "行政区划")
    places.make_regions(at)
    accounts.make(at)
    progress(15, 100, "机构")
    homes = places.make_institutions(at)
    progress(35, 100, "科室")
    for name in places.make_departments(at):
        progress(40, 100, f"科室：{name}")
    for index, part in enumerate(parts):
        make_part(part, homes[part.institution], at)
        progress(45 + 45 * (index + 1) // len(parts), 100, f"人员：{part.person.name}")
    progress(92, 100, "授权与登录记录")
    happen(parts, at)
    progress(100, 100, "机构与人员已就绪")


@transaction.atomic
def make_part(part: Part, home: Institution, at: datetime) -> None:
    if Staff.objects.filter(institution=home, number=part.number).exists():
        return
    staff = organisations.create_staff(
        institution=home,
        department=_department(home, part),
        name=part.person.name,
        number=part.number,
        sex="1" if part.person.sex == "M" else "2",
        id_number=part.person.id_number,
        phone=part.person.phone,
        title=part.title,
        position=part.position,
        hired_on=part.hired_on,
        by=None,
        at=at,
    )
    today = clock.local_day(at)
    if part.licence:
        ends = today + timedelta(days=part.licence_days)
        organisations.add_qualification(
            staff=staff,
            kind=part.licence,
            number=f"KW{part.number}{ends:%Y}",
            issuer="陕西省卫生健康委员会",
            issued_on=ends - timedelta(days=1825),
            valid_until=ends,
            by=None,
            at=at,
        )
    if part.role is None:
        return
    opened = at - timedelta(days=60 + 11 * int(part.number))
    account = organisations.create_account(
        username=part.username,
        name=part.person.name,
        institution=home,
        staff=staff,
        password=accounts.PASSWORD,
        must_change_password=False,
        by=None,
        at=opened,
    ).account
    organisations.grant_role(
        account=account,
        role=Role.objects.get(code=part.role),
        by=None,
        at=opened,
        reason="岗位需要",
    )
    # Visits spread over the last weeks, some of them after a slip of the hand.
    for visit in range(part.sign_ins):
        when = at - timedelta(days=3 * visit + int(part.number) % 5, hours=int(part.number) % 9)
        visitor = sign_in.Visitor(f"10.61.{int(part.number) % 200}.{20 + visit}", AGENT)
        if (int(part.number) + visit) % 19 == 0:
            _fail(account.username, visitor, when - timedelta(seconds=40))
        sign_in.note_success(account=account, visitor=visitor, at=when)


def _department(home: Institution, part: Part) -> Department | None:
    found = list(Department.objects.filter(institution=home).order_by("code"))
    return found[int(part.number) % len(found)] if found else None


def _fail(username: str, visitor: sign_in.Visitor, at: datetime) -> None:
    try:
        sign_in.sign_in_by_password(
            username=username,
            password="记错了的密码",  # noqa: S106  # a slip of the hand
            visitor=visitor,
            at=at,
        )
    except Refusal:
        return


def happen(parts: list[Part], at: datetime) -> None:
    """What became of some: one left, one moved on loan, one is locked out, one shares a phone."""
    present = {
        account.username: account
        for account in Account.objects.filter(username__in=[part.username for part in parts])
        .select_related("staff", "institution")
        .order_by("pk")
    }
    named = [present[part.username] for part in parts if part.username in present]
    _leave(named[7], at)
    _share_phone(named[9], named[10], at)
    _lock(named[12], at)
    _disable(named[14], at)
    _lend(at)


@transaction.atomic
def _leave(account: Account, at: datetime) -> None:
    staff = account.staff
    assert staff is not None
    if staff.left_on is None:
        on = clock.local_day(at) - timedelta(days=9)
        organisations.leave_staff(staff=staff, on=on, by=None, at=at, reason="调往外省工作")


@transaction.atomic
def _share_phone(first: Account, second: Account, at: datetime) -> None:
    assert first.staff is not None
    assert second.staff is not None
    if second.staff.phone != first.staff.phone:
        organisations.change_staff(staff=second.staff, phone=str(first.staff.phone), by=None, at=at)


def _lock(account: Account, at: datetime) -> None:
    """Five slips in a row ten minutes ago: locked until somebody lifts it or the time is over."""
    if SignInEvent.objects.filter(account=account, kind="locked").exists():
        return
    visitor = sign_in.Visitor("10.61.201.77", AGENT)
    for slip in range(5):
        _fail(account.username, visitor, at - timedelta(minutes=10, seconds=-20 * slip))


@transaction.atomic
def _disable(account: Account, at: datetime) -> None:
    if account.state == "active":
        organisations.disable_account(account=account, by=None, at=at, reason="岗位调整，停用账号")


@transaction.atomic
def _lend(at: datetime) -> None:
    """The county's administrator lends his role to the clinic's for the days of his leave."""
    lender, borrower = (Account.objects.get(username=name) for name in ("county", "clinic"))
    grant = Grant.objects.in_force(at).get(account=lender, lent_from=None)
    if not Grant.objects.filter(lent_from=grant).exists():
        organisations.delegate_role(
            grant=grant,
            to=borrower,
            by=lender,
            at=at,
            until=at + timedelta(days=10),
            reason="休假期间代管",
        )

"""Two houses (两家机构): a county of one's own, and a stranger's with a row of each kind.

Every name of the stranger's house holds one word, so that a leak is found by searching for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import models

from kangwei.kernel import clock
from kangwei.kernel.api import services as keys
from kangwei.kernel.notices.models import Delivery, Substitution
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.services import start_escalation
from kangwei.kernel.notices.tests import make as notices
from kangwei.kernel.organisations.models import (
    Account,
    Grant,
    Institution,
    Qualification,
    SignInEvent,
)
from kangwei.kernel.organisations.tests import make
from kangwei.kernel.oversight.rights import REVIEWER
from kangwei.kernel.oversight.tests import make as reviews
from kangwei.kernel.reporting.models import SnapshotPlan, StyleTemplate, Subscription
from kangwei.kernel.reporting.registry import document_kinds, find_report, reports
from kangwei.kernel.reporting.services.documents import generate_document
from kangwei.kernel.reporting.services.plans import plan_snapshots, subscribe
from kangwei.kernel.reporting.services.running import run_and_keep
from kangwei.kernel.reporting.services.snapshots import freeze

#: In every name of the stranger's house, and nowhere else in the product.
STRANGE = "凤翔"
STRANGE_USER = "fengxiang"
REPORT = "oversight.activity"


@dataclass
class House:
    """A county with its clinic; next to it a stranger's hospital with one row of each kind."""

    county: Institution
    clinic: Institution
    foreign: Institution
    rows: dict[str, models.Model]


def build() -> House:
    county = make.institution("碑林区疾控中心")
    clinic = make.institution("东关南街社区卫生服务中心", parent=county)
    make.account(institution=clinic, right="organisations.view_staff", name="自家人")
    foreign = make.institution(
        f"宝鸡{STRANGE}医院", region=make.region("610300000000", "宝鸡市"), code="FX000001"
    )
    return House(county, clinic, foreign, _rows(foreign))


def _rows(foreign: Institution) -> dict[str, models.Model]:
    now = clock.now()
    staff = make.staff(foreign, f"{STRANGE}外人", phone="13900007777")
    rights = {one.right for one in reports()} | {kind.right for kind in document_kinds()}
    account = make.account(
        STRANGE_USER,
        institution=foreign,
        name=f"{STRANGE}外人",
        staff=staff,
        right=[
            *rights, "organisations.view_staff", "reporting.freeze_report", "reporting.manage_plan",
            "reporting.write_document", *REVIEWER,
        ],
    )  # fmt: skip
    grant = Grant.objects.get(account=account)
    grant.reason = f"{STRANGE}需要"
    grant.save()
    campaign = reviews.campaign(foreign, at=now, due=clock.local_day(now) + timedelta(days=60))
    type(campaign).objects.filter(pk=campaign.pk).update(title=f"{STRANGE}年审")
    SignInEvent.objects.create(
        at=now, kind="failure", username=STRANGE_USER, account=account, reason=STRANGE
    )
    return {
        "institution": foreign,
        "department": make.department(foreign, f"{STRANGE}科"),
        "staff": staff,
        "account": account,
        "grant": grant,
        "qualification": Qualification.objects.create(
            staff=staff, kind="预防接种", number=f"{STRANGE}1"
        ),
        "apikey": keys.create_key(
            account=account,
            name=f"{STRANGE}程序",
            scopes=["organisations.view_staff"],
            by=account,
            at=now,
            expires_at=now + timedelta(days=1),
        ).key,
        "reviewcampaign": campaign,
        "reviewitem": reviews.item_of(account),
        **_notices(foreign, account, now),
        **_reports(foreign, account, now),
    }


def _notices(foreign: Institution, account: Account, now: datetime) -> dict[str, models.Model]:
    notice = notices.notice(
        Target.account(account.pk), at=now, what=f"{STRANGE}断电", institution_id=foreign.pk
    )
    roster = notices.roster(account, name=f"{STRANGE}值班")
    policy = notices.policy(
        (0, [Target.account(account.pk)]), at=now, name=f"{STRANGE}策略", institution=foreign
    )
    channel = notices.channel(institution=foreign, name=f"{STRANGE}机器人")
    return {
        "channel": channel,
        "address": notices.address(account),
        "dutyroster": roster,
        "substitution": Substitution.objects.create(
            roster=roster, absent=account, stands_in=make.account(institution=foreign),
            start=now, end=now + timedelta(days=1), reason=f"{STRANGE}换班", created_at=now,
            created_by=account,
        ),
        "escalationpolicy": policy,
        "escalation": start_escalation(
            policy=policy, subject=foreign, at=now, institution_id=foreign.pk,
            context={"title": f"{STRANGE}断电"},
        ),
        "delivery": Delivery.objects.filter(notice=notice).earliest("pk"),
    }  # fmt: skip


def _reports(foreign: Institution, account: Account, now: datetime) -> dict[str, models.Model]:
    report = find_report(REPORT)
    assert report is not None
    account.forget_access()
    kept = run_and_keep(report=report, parameters={}, by=account, at=now)
    kind = document_kinds()[0]
    day = now.astimezone(clock.SHANGHAI)
    version = generate_document(
        kind=kind, period=f"{day:%Y-%m}", institution=foreign, by=account, at=now
    )
    plan = plan_snapshots(
        report=report, name=f"{STRANGE}计划", parameters={"period": "previous"},
        frequency="monthly", hour=2, day=1, by=account, at=now,
    )  # fmt: skip
    subscription = subscribe(
        report=report, parameters={"period": "previous"}, frequency="monthly", hour=8, day=1,
        by=account, at=now,
    )  # fmt: skip
    assert isinstance(plan, SnapshotPlan)
    assert isinstance(subscription, Subscription)
    return {
        "snapshot": freeze(report=report, kept=kept, by=account, at=now, name=f"{STRANGE}固化"),
        "document": version.document,
        "documentversion": version,
        "styletemplate": StyleTemplate.objects.create(
            name=f"{STRANGE}样式",
            institution=foreign,
            content=b"",
            digest="0" * 64,
            uploaded_by=account,
            uploaded_at=now,
        ),
        "snapshotplan": plan,
        "subscription": subscription,
    }

"""Two people at one setting (并发修改): the slower is told, whichever part the faster changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from kangwei.kernel import clock
from kangwei.kernel.notices.models import Channel, DutyRoster, EscalationPolicy
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.services import save_policy, save_roster
from kangwei.kernel.notices.services.policies import LevelSpec
from kangwei.kernel.notices.tests import make
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make as people

pytestmark = pytest.mark.django_db
TOLD = "修改了这条记录，您的修改没有保存"
RIGHTS = [
    f"notices.{verb}_{thing}"
    for verb in ("view", "manage")
    for thing in ("channel", "dutyroster", "escalationpolicy")
]
RIGHTS += ["organisations.view_account", "organisations.view_institution"]


def keep_channel(person: Account, channel: Channel) -> None:
    channel.keepers.add(person)  # a row beside the channel's own


def rotate(person: Account, roster: DutyRoster) -> None:
    save_roster(roster=roster, members=[person], by=None, at=clock.now())


def lengthen(person: Account, policy: EscalationPolicy) -> None:
    levels = [LevelSpec(5, [Target.account(person.pk)], ["sms"])]
    save_policy(policy=policy, levels=levels, by=None, at=clock.now())


@pytest.mark.parametrize(
    ("page", "faster"), [("channel", keep_channel), ("roster", rotate), ("policy", lengthen)]
)
def test_the_slower_is_told_and_changes_nothing(page: str, faster: Callable[..., None]) -> None:
    lead = people.account("lead", name="王强", right=RIGHTS)
    other = people.account("other", institution=lead.institution)
    rows: dict[str, Any] = {
        "channel": lambda: make.channel("dingtalk", institution=lead.institution, name="运维群"),
        "roster": lambda: make.roster(lead, other),
        "policy": lambda: make.policy(
            (0, [Target.account(lead.pk)]), at=clock.now(), institution=lead.institution
        ),
    }
    row = rows[page]()
    browser = people.client(lead)
    address = reverse(f"notices:change_{page}", args=[row.pk])
    for meanwhile in (True, False):
        sent = as_opened(browser, address) | {"name": "改后的名称"}
        if meanwhile:
            faster(other, row)
        answer = browser.post(address, sent)
        row.refresh_from_db()
        assert (answer.status_code, row.name == "改后的名称") == (
            (422, False) if meanwhile else (302, True)
        ), answer.content.decode()
        assert (TOLD in answer.content.decode()) is meanwhile


def as_opened(browser: Client, address: str) -> dict[str, Any]:
    """What the form sends when nothing was touched."""
    context = browser.get(address).context
    sent: dict[str, Any] = {context["version_field"]: context["version"]}
    lines = context.get("lines")
    forms = [context["form"], *([lines.management_form, *lines] if lines else [])]
    for form in forms:
        for field in form:
            value = field.value()
            if value is not None and value is not False:
                sent[field.html_name] = value
    return sent

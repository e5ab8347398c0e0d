"""The API of notices: scope, secrets, acts done once."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from kangwei.kernel import clock
from kangwei.kernel.notices.models import Channel, Delivery, EscalationPolicy
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.services import sending
from kangwei.kernel.notices.tests import make
from kangwei.kernel.notices.tests.test_pages import RIGHTS, World
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make as people
from kangwei.standins.base import playing
from kangwei.standins.sms import Sms

pytestmark = pytest.mark.django_db
BASE = "/api/v1/notices"


@pytest.fixture
def lead() -> Account:
    return people.account("lead", name="王强", right=RIGHTS)


@pytest.fixture
def browser(lead: Account) -> Client:
    return people.client(lead)


def act(browser: Client, path: str, content: Any = None, key: str = "") -> Any:
    return browser.post(
        BASE + path,
        content if content is not None else {},
        content_type="application/json",
        headers={"Idempotency-Key": f"key-{key}" if key else str(uuid.uuid4())},
    )


def test_every_list_shows_own_rows_and_hides_foreign_ones(browser: Client, lead: Account) -> None:
    World(lead)
    stranger = people.client(people.account(right=RIGHTS))
    for path in (
        "inbox",
        "channels",
        "rosters",
        "policies",
        "escalations",
        "deliveries",
        "addresses",
    ):
        mine = browser.get(f"{BASE}/{path}")
        assert mine.status_code == 200, path
        assert mine.json()["total"] > 0, path
        assert stranger.get(f"{BASE}/{path}").json()["total"] == 0, path


def test_a_foreign_row_is_a_404_for_every_act(lead: Account) -> None:
    world = World(lead)
    stranger = people.client(people.account(right=RIGHTS))
    foreign = [
        (f"/channels/{world.robot.pk}/test", {}),
        (f"/escalations/{world.escalation.pk}/acknowledge", {}),
        (f"/escalations/{world.escalation.pk}/stop", {"reason": "x"}),
        (f"/deliveries/{world.outside.pk}/resend", {"reason": "x"}),
        (f"/inbox/{world.message.pk}/read", None),
        (f"/my/addresses/{world.address.pk}/remove", None),
        (f"/addresses/{world.address.pk}/verify", {"reason": "x"}),
    ]
    for path, content in foreign:
        assert act(stranger, path, content).status_code == 404, path


def test_no_secret_is_ever_answered(browser: Client, lead: Account) -> None:
    World(lead)
    text = browser.get(f"{BASE}/channels").content.decode()
    assert '"secret_names":["secret","token"]' in text
    assert "SEC-kangwei-demo" not in text


def test_a_channel_for_everybody_wants_a_scope_over_everything(
    browser: Client, lead: Account
) -> None:
    content = {"name": "群", "kind": "dingtalk", "address": "https://a.example.cn"}
    refused = act(browser, "/channels", content)
    assert refused.status_code == 403
    made = act(browser, "/channels", {**content, "institution_id": lead.institution_id})
    assert made.status_code == 200, made.content.decode()
    wrong = act(
        browser,
        "/channels",
        {**content, "institution_id": lead.institution_id, "per_minute": 60},
    )
    assert (wrong.status_code, wrong.json()["code"]) == (422, "notices.bad_channel")
    assert Channel.objects.count() == 1


def test_acknowledging_twice_with_the_same_key_is_once(browser: Client, lead: Account) -> None:
    world = World(lead)
    path = f"/escalations/{world.escalation.pk}/acknowledge"
    first = act(browser, path, {"minutes": 30}, key="acknowledge")
    second = act(browser, path, {"minutes": 30}, key="acknowledge")
    assert first.json() == second.json()
    assert first.json()["state"] == "acknowledged"
    assert world.escalation.events.filter(kind="acknowledged").count() == 1
    detail = browser.get(f"{BASE}/escalations/{world.escalation.pk}").json()
    assert [event["kind"] for event in detail["events"]] == ["started", "told", "acknowledged"]


def test_a_policy_may_not_name_people_of_another_organisation(
    browser: Client, lead: Account
) -> None:
    foreigner = people.account()
    content: dict[str, Any] = {
        "code": "alert", "name": "告警", "institution_id": lead.institution_id,
        "levels": [
            {"after_minutes": 0, "targets": [{"kind": "account", "account_id": foreigner.pk}]}
        ],
    }  # fmt: skip
    assert act(browser, "/policies", content).status_code == 404
    content["levels"][0]["targets"][0]["account_id"] = lead.pk
    made = act(browser, "/policies", content)
    assert made.json()["levels"][0]["targets"] == ["指定账号：王强"]
    assert EscalationPolicy.objects.get().version == 1
    twin = act(browser, "/policies", content)
    assert (twin.status_code, twin.json()["code"]) == (422, "notices.bad_policy")


def test_figures_and_attempts_lead_back_to_rows(browser: Client, lead: Account) -> None:
    world = World(lead)
    today = clock.local_day(clock.now()).isoformat()
    figures = browser.get(f"{BASE}/figures", {"since": today, "until": today}).json()
    assert figures["due"] == Delivery.objects.count()
    attempts = browser.get(f"{BASE}/deliveries/{world.outside.pk}/attempts")
    assert attempts.json() == []
    wrong = browser.get(f"{BASE}/figures", {"since": "2026-02-02", "until": "2026-02-01"})
    assert wrong.status_code == 422


def test_the_inbox_is_read_over_the_api(browser: Client, lead: Account) -> None:
    make.notice(Target.account(lead.pk), at=clock.now())
    row = browser.get(f"{BASE}/inbox", {"unread": "true"}).json()["items"][0]
    assert act(browser, f"/inbox/{row['id']}/read").json() == {"count": 1}
    assert browser.get(f"{BASE}/inbox/unread").json() == {"count": 0}


def test_duty_and_substitution_over_the_api(browser: Client, lead: Account) -> None:
    mate = people.account(institution=lead.institution)
    content = {
        "code": "duty-a", "name": "一线", "institution_id": lead.institution_id,
        "rotation": "daily", "handover": "08:30:00", "starts_on": "2026-11-02",
        "members": [lead.pk],
    }  # fmt: skip
    roster = act(browser, "/rosters", content).json()
    instead = {
        "absent_id": lead.pk, "stands_in_id": mate.pk, "start": "2026-11-03T00:00:00+08:00",
        "end": "2026-11-04T00:00:00+08:00", "reason": "年休假",
    }  # fmt: skip
    assert act(browser, f"/rosters/{roster['id']}/substitute", instead).status_code == 200
    days = browser.get(f"{BASE}/rosters/{roster['id']}/duty", {"first": "2026-11-02", "days": "2"})
    assert [day["account_id"] for day in days.json()] == [lead.pk, mate.pk]


def test_wrong_codes_count_over_the_api_too(browser: Client, lead: Account) -> None:
    """An act that is refused is rolled back; the count of tries must stay."""
    address = make.address(lead, verified_at=None)
    with playing(standin := Sms(), prefix="/sms") as url:
        make.channel("sms", url)
        assert act(browser, f"/my/addresses/{address.pk}/ask-code").status_code == 200
        sending.run(now=clock.now)
    code = standin.received[0].text.split("验证码是 ")[1][:6]
    wrong = {"code": f"{(int(code) + 7) % 1_000_000:06d}"}
    for _ in range(5):
        answer = act(browser, f"/my/addresses/{address.pk}/confirm", wrong)
        assert answer.json()["verified"] is False
    late = act(browser, f"/my/addresses/{address.pk}/confirm", {"code": code})
    assert late.json() == {"verified": False, "message": "验证码已失效，请重新获取。"}


def test_the_watch_is_set_over_the_api_and_its_address_never_shown(lead: Account) -> None:
    chief = people.account(right="notices.manage_watch", scope="everything")
    browser = people.client(chief)
    robot = make.channel("dingtalk")
    content = {
        "all_quiet": True, "channel_ids": [], "heartbeat_url": "https://watch.example.cn/a-secret",
    }  # fmt: skip
    set_ = act(browser, "/watch", content)
    assert set_.status_code == 200, set_.content.decode()
    told = browser.get(f"{BASE}/watch").content.decode()
    assert '"heartbeat":true' in told
    assert "a-secret" not in told
    assert (
        act(browser, "/watch", {"all_quiet": False, "channel_ids": [robot.pk]}).status_code == 404
    )
    wrong = act(browser, "/watch", {"all_quiet": True, "heartbeat_url": "ftp://x"})
    assert wrong.json()["field"] == "heartbeat_url"
    nobody = people.client(people.account())
    assert nobody.get(f"{BASE}/watch").status_code == 403

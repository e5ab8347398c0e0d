"""What somebody waits for: tests of channels and verification codes, sent by the worker."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client, override_settings
from django.urls import reverse

from kangwei.kernel import clock
from kangwei.kernel.audit.models import Entry
from kangwei.kernel.audit.segments import seal_segments, unsealed_since
from kangwei.kernel.notices import queries, services
from kangwei.kernel.notices.models import Address, Attempt, Delivery, EscalationEvent, Notice
from kangwei.kernel.notices.refusals import CannotResend, NoWay
from kangwei.kernel.notices.services import keeping, sending
from kangwei.kernel.notices.tests import make
from kangwei.kernel.notices.tests.test_pages import RIGHTS
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make as people
from kangwei.standins.base import playing
from kangwei.standins.robots import DingTalk
from kangwei.standins.sms import Sms

pytestmark = pytest.mark.django_db
YEAR = timedelta(days=400)


@pytest.fixture
def lead() -> Account:
    return people.account("lead", name="王强", right=RIGHTS)


@pytest.fixture
def browser(lead: Account) -> Client:
    return people.client(lead)


def act(browser: Client, path: str, content: Any = None) -> Any:
    return browser.post(
        f"/api/v1/notices{path}", content or {}, content_type="application/json",
        headers={"Idempotency-Key": str(uuid.uuid4())},
    )  # fmt: skip


# --- sending ---------------------------------------------------------------------------------


def test_a_test_leaves_the_request_alone_and_is_answered_by_the_worker(
    browser: Client, lead: Account
) -> None:
    with playing(standin := DingTalk(token="token", secret="SEC-kangwei-demo")) as url:
        channel = make.channel("dingtalk", url, institution=lead.institution)
        asked = act(browser, f"/channels/{channel.pk}/test", {"recipient": ""}).json()
        assert standin.received == []
        assert (asked["open"], asked["state"]) == (True, "due")
        sending.run(now=clock.now)
    told = browser.get(f"/api/v1/notices/sendings/{asked['delivery_id']}").json()
    assert (told["open"], told["state"]) == (False, "sent")
    assert len(standin.received) == 1
    channel.health.refresh_from_db()
    assert channel.health.tested_at is not None


def test_the_waiting_page_asks_until_the_answer_is_there(browser: Client, lead: Account) -> None:
    with make.dead_address() as dead:
        channel = make.channel("dingtalk", dead, institution=lead.institution)
        browser.post(reverse("notices:test_channel", args=[channel.pk]))
        row = Delivery.objects.get()
        fragment = reverse("notices:sending", args=[row.pk])
        assert 'hx-trigger="every 1s"' in browser.get(fragment).content.decode()
        sending.run(now=clock.now)
    ended = browser.get(fragment).content.decode()
    assert "没有发出：连接不上服务地址" in ended
    assert "hx-trigger" not in ended
    assert people.client(people.account(right=RIGHTS)).get(fragment).status_code == 404


def test_a_test_is_tried_once_never_told_another_way_and_no_sign_of_a_failing_channel(
    lead: Account,
) -> None:
    with playing(spare := DingTalk(token="token", secret="SEC-kangwei-demo")) as url:
        fallback = make.channel("dingtalk", url)
        with make.dead_address() as dead:
            channel = make.channel("dingtalk", dead, fallback=fallback, enabled=False)
            for _ in range(6):
                services.test_channel(channel=channel, recipient="", by=lead, at=clock.now())
                sending.run(now=clock.now)
    assert spare.received == []
    assert {row.state for row in Delivery.objects.all()} == {"failed"}
    assert Attempt.objects.count() == 6
    channel.health.refresh_from_db()
    assert channel.health.failing_since is None
    row = Delivery.objects.all()[0]
    with pytest.raises(CannotResend, match="重新发送测试"):
        services.resend(delivery=row, by=lead, at=clock.now(), reason="再试")


def test_the_code_is_read_by_the_receiver_alone(lead: Account) -> None:
    address = make.address(lead, verified_at=None)
    with playing(standin := Sms(), prefix="/sms") as url:
        make.channel("sms", url)
        row = services.ask_for_code(address=address, at=clock.now())
        with connection.cursor() as cursor:
            cursor.execute("SELECT secret FROM notices_delivery WHERE id = %s", [row.pk])
            stored = cursor.fetchone()[0]
        sending.run(now=clock.now)
    code = standin.received[0].text.split("验证码是 ")[1][:6]
    assert code.isdigit()
    row.refresh_from_db()
    attempt = row.attempts.get()
    kept = [row.notice.body, row.notice.short, str(row.notice.context), attempt.request, stored]
    assert not any(code in text for text in kept)
    assert row.secret == ""
    address.refresh_from_db()
    assert services.confirm_address(address=address, code=code, at=clock.now()).verified


def test_a_code_that_could_not_leave_may_be_asked_for_again_at_once(lead: Account) -> None:
    address = make.address(lead, verified_at=None)
    with make.dead_address() as dead:
        make.channel("sms", dead)
        services.ask_for_code(address=address, at=clock.now())
        with pytest.raises(NoWay, match="1 分钟后再试"):
            services.ask_for_code(address=address, at=clock.now())
        sending.run(now=clock.now)
        services.ask_for_code(address=address, at=clock.now())
    assert Delivery.objects.filter(account=lead, only_here=True).count() == 2
    assert queries.code_delivery(Address.objects.get(pk=address.pk)) is not None


# --- keeping ---------------------------------------------------------------------------------


def aged(lead: Account, **age: Any) -> Notice:
    """A notice told and recorded long ago."""
    at = clock.now() - timedelta(**age)
    notice = Notice.objects.create(
        key=f"aged-{at.isoformat()}", template="notices.test", template_version=0, title="断电",
        body="断电", short="断电", priority=1, at=at, recorded_at=at,
    )  # fmt: skip
    Delivery.objects.create(
        notice=notice, kind="inapp", account=lead, shown=lead.name, priority=1, state="sent",
        sent_at=at, created_at=at, due_at=at, next_at=at,
    )  # fmt: skip
    return notice


def test_what_is_older_than_the_set_age_is_put_away_and_written_down(lead: Account) -> None:
    old, young = aged(lead, days=401), aged(lead, days=399)
    at = clock.now()
    seal_segments(at)
    with override_settings(NOTICES_KEPT_DAYS=400):
        gone = keeping.purge(at=at)
    assert gone == {"升级": 0, "通知": 1, "投递": 1, "发送尝试": 0}
    assert list(Notice.objects.values_list("pk", flat=True)) == [young.pk]
    assert not Delivery.objects.filter(notice_id=old.pk).exists()
    entry = Entry.objects.filter(act="notices.purged").latest("pk")
    assert entry.detail is not None
    assert entry.detail["rows"]["通知"] == 1


def test_nothing_goes_before_its_hour_is_sealed(lead: Account) -> None:
    aged(lead, days=500)
    at = clock.now()
    assert unsealed_since("notices_notice", at - YEAR) is not None
    assert keeping.purge(at=at)["通知"] == 0
    seal_segments(at)
    assert keeping.purge(at=at)["通知"] == 1


def test_what_is_still_on_its_way_stays_whatever_its_age(lead: Account) -> None:
    notice = aged(lead, days=500)
    row = notice.deliveries.get()
    channel = make.channel("dingtalk")
    Delivery.objects.filter(pk=row.pk).update(
        state="due", sent_at=None, kind="dingtalk", channel=channel
    )
    seal_segments(clock.now())
    assert keeping.purge(at=clock.now())["通知"] == 0


def test_the_database_refuses_to_lose_a_young_row(lead: Account) -> None:
    young = aged(lead, days=179)
    Delivery.objects.filter(notice=young).delete()
    with pytest.raises(DatabaseError, match="is a ledger"), transaction.atomic():
        Notice.objects.filter(pk=young.pk).delete()
    assert Notice.objects.filter(pk=young.pk).exists()
    assert not EscalationEvent.objects.exists()

"""Signing in, from the form to the guard: what a person sees, what the journal keeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, InternalError, connection, transaction
from django.test import Client, override_settings
from django.urls import reverse

from kangwei.kernel import clock
from kangwei.kernel.organisations import queries, services
from kangwei.kernel.organisations.models import (
    Account,
    AccountSession,
    SecondFactor,
    SecurityPolicy,
    SignInEvent,
)
from kangwei.kernel.organisations.rules import totp
from kangwei.kernel.organisations.services import second_factor, sign_in
from kangwei.kernel.organisations.services.passwords import (
    PasswordTooSoon,
    PasswordUnfit,
    PasswordWrong,
)
from kangwei.kernel.organisations.tests import make

pytestmark = pytest.mark.django_db
GOOD = make.PASSWORD
ADDRESS = "/sign-in/"


def attempt(browser: Client, username: str, password: str = GOOD) -> str:
    response = browser.post(ADDRESS, {"username": username, "password": password})
    return response.content.decode() if response.status_code != 302 else response["Location"]


def kinds(username: str) -> list[str]:
    rows = SignInEvent.objects.filter(username=username).order_by("pk")
    return list(rows.values_list("kind", flat=True))


def at_time(moment: datetime) -> override_settings:
    return override_settings(KW_CLOCK=moment.isoformat())


def test_the_right_password_leads_home_and_is_journalled() -> None:
    make.account("nurse", password=GOOD)
    browser = Client()
    assert "登录" in browser.get(ADDRESS).content.decode()
    assert attempt(browser, " Nurse ") == "/"
    assert kinds("nurse") == ["success"]
    assert browser.get(reverse("organisations:me")).status_code == 200


@pytest.mark.parametrize(
    ("wanted", "leads"),
    [("/organisations/me/", "/organisations/me/"), ("https://evil.example/", "/"), ("//evil", "/")],
)
def test_afterwards_one_is_where_one_wanted_to_be_but_never_elsewhere(
    wanted: str, leads: str
) -> None:
    make.account("nurse", password=GOOD)
    response = Client().post(f"{ADDRESS}?next={wanted}", {"username": "nurse", "password": GOOD})
    assert response["Location"] == leads


def test_the_fifth_failure_locks_a_real_and_an_unknown_name_alike() -> None:
    make.account("nurse", password=GOOD)
    said = {}
    for name in ("nurse", "nobody"):
        browser = Client()
        said[name] = [attempt(browser, name, "Wrong-1x") for _ in range(6)]
        assert kinds(name) == [*["failure"] * 5, "locked", "refused_locked"]
    for real, unknown in zip(said["nurse"], said["nobody"], strict=True):
        assert _error(real) == _error(unknown)
    assert "还可尝试 4 次" in said["nurse"][0]
    assert "锁定至" in said["nurse"][4]
    assert "锁定" in attempt(Client(), "nurse")


def _error(page: str) -> str:
    return page.partition('id="si-error">')[2].partition("<")[0]


def test_a_lock_ends_after_its_time_and_when_lifted() -> None:
    nurse = make.account("nurse", password=GOOD)
    start = clock.now().replace(microsecond=0)
    with at_time(start):
        for _ in range(5):
            attempt(Client(), "nurse", "Wrong-1x")
        assert list(queries.locked_accounts(Account.objects.all(), start)) == [nurse]
    with at_time(start + timedelta(minutes=29, seconds=59)):
        assert "锁定" in attempt(Client(), "nurse")
    with at_time(start + timedelta(minutes=30)):
        assert attempt(Client(), "nurse") == "/"
        for _ in range(5):
            attempt(Client(), "nurse", "Wrong-1x")
        services.unlock_account(account=nurse, by=None, at=clock.now())
        assert queries.locked_accounts(Account.objects.all(), clock.now()).count() == 0
        assert "还可尝试 4 次" in attempt(Client(), "nurse", "Wrong-1x")
        assert attempt(Client(), "nurse") == "/"


def test_an_address_that_tries_many_names_is_locked() -> None:
    make.account("nurse", password=GOOD)
    SecurityPolicy.objects.update(address_failures_before_lock=5)
    for number in range(5):
        attempt(Client(), f"guess{number}", "Wrong-1x")
    assert "网络地址" in attempt(Client(), "nurse")
    other = Client(REMOTE_ADDR="10.0.0.9")
    assert attempt(other, "nurse") == "/"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"state": "disabled"}, "账号已停用"),
        ({"state": "suspended"}, "年审"),
        ({"valid_until": datetime(2020, 1, 1, tzinfo=UTC).date()}, "过期"),
    ],
)
def test_why_an_account_cannot_be_used_is_told_only_with_its_password(
    fields: dict[str, Any], says: str
) -> None:
    make.account("nurse", password=GOOD, **fields)
    assert says in attempt(Client(), "nurse")
    assert says not in attempt(Client(), "nurse", "Wrong-1x")


def test_the_person_is_told_of_the_last_sign_in_and_of_failures_since() -> None:
    make.account("nurse", password=GOOD)
    attempt(Client(), "nurse")
    attempt(Client(), "nurse", "Wrong-1x")
    browser = Client()
    attempt(browser, "nurse")
    page = browser.get(reverse("organisations:me")).content.decode()
    assert "上次登录" in page
    assert "1 次失败的登录尝试" in page


def test_the_sign_in_journal_refuses_change_and_deletion() -> None:
    attempt(Client(), "nobody")
    event = SignInEvent.objects.first()
    assert event is not None
    for query in (
        "UPDATE organisations_signinevent SET username = 'x' WHERE id = %s",
        "DELETE FROM organisations_signinevent WHERE id = %s",
    ):
        with (
            pytest.raises((InternalError, IntegrityError)),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(query, [event.pk])


# Forced password change and second factor


def test_a_handed_out_password_must_be_changed_before_anything_else() -> None:
    made = services.create_account(
        username="nurse", name="护士", institution=make.institution(), by=None, at=clock.now()
    )
    browser = Client()
    assert attempt(browser, "nurse", made.password) == "/"
    detour = reverse("organisations:password")
    assert browser.get("/organisations/me/")["Location"] == detour
    api = browser.get("/api/v1/organisations/me")
    assert (api.status_code, api.json()["code"]) == (403, "organisations.password_due")
    fragment = browser.get("/organisations/me/", headers={"HX-Request": "true"})
    assert fragment["HX-Redirect"] == detour
    changed = browser.post(
        detour, {"old": made.password, "new": "Mei-gui8hua", "again": "Mei-gui8hua"}
    )
    assert changed.status_code == 302
    assert browser.get("/organisations/me/").status_code == 200


def test_a_password_older_than_the_policy_must_be_changed() -> None:
    start = clock.now()
    make.account("nurse", password=GOOD, password_changed_at=start - timedelta(days=90))
    browser = Client()
    attempt(browser, "nurse")
    assert browser.get("/organisations/me/")["Location"] == reverse("organisations:password")


def test_changing_needs_the_old_one_the_rules_and_a_new_word() -> None:
    at = clock.now()
    nurse = make.account("nurse", password=GOOD, password_changed_at=at - timedelta(days=1))

    def change(old: str, new: str, moment: datetime = at) -> None:
        services.change_own_password(account=nurse, old=old, new=new, at=moment)

    with pytest.raises(PasswordWrong):
        change("Wrong-1x", "Mei-gui8hua")
    with pytest.raises(PasswordUnfit, match="至少 10 位"):
        change(GOOD, "Mg8-hua5")
    with pytest.raises(PasswordUnfit, match="用户名"):
        change(GOOD, "Nurse-8hua-x")
    with pytest.raises(PasswordUnfit, match="用过"):
        change(GOOD, GOOD)
    change(GOOD, "Mei-gui8hua")
    with pytest.raises(PasswordTooSoon):
        change("Mei-gui8hua", "Mu-dan9hua6", at + timedelta(minutes=59))
    later = at + timedelta(hours=1)
    change("Mei-gui8hua", "Mu-dan9hua6", later)
    with pytest.raises(PasswordUnfit, match="用过"):
        change("Mu-dan9hua6", "Mei-gui8hua", later + timedelta(hours=1))


def test_changing_signs_out_other_browsers_but_not_this_one() -> None:
    make.account("nurse", password=GOOD, password_changed_at=clock.now() - timedelta(days=1))
    here, there = Client(), Client()
    attempt(here, "nurse")
    attempt(there, "nurse")
    here.post(
        reverse("organisations:password"),
        {"old": GOOD, "new": "Mei-gui8hua", "again": "Mei-gui8hua"},
    )
    assert here.get("/organisations/me/").status_code == 200
    assert "reason=password" in there.get("/organisations/me/")["Location"]


def enrol(account: Account, at: datetime) -> tuple[bytes, list[str]]:
    secret = totp.from_base32(services.begin_enrolment(account=account, at=at))
    codes = services.confirm_enrolment(account=account, code=totp.code_at(secret, at), at=at)
    return secret, codes


def test_a_role_that_demands_it_leads_to_enrolment_first() -> None:
    chief = make.account("chief", password=GOOD)
    make.grant(chief, make.role("organisations.view_staff", second_factor_required=True))
    browser = Client()
    attempt(browser, "chief")
    page = reverse("organisations:second_factor")
    assert browser.get("/organisations/me/")["Location"] == page
    shown = browser.get(page).content.decode()
    assert "<svg" in shown
    secret = totp.from_base32(str(SecondFactor.objects.get(account=chief).secret))
    wrong = browser.post(page, {"code": "000000"})
    assert wrong.status_code == 422
    done = browser.post(page, {"code": totp.code_at(secret, clock.now())}).content.decode()
    assert done.count("<code>") == second_factor.RECOVERY_CODES
    assert browser.get("/organisations/me/").status_code == 200


def test_an_enrolled_account_needs_the_code_and_each_code_once() -> None:
    chief = make.account("chief", password=GOOD)
    start = clock.now().replace(microsecond=0)
    secret, recovery = enrol(chief, start)
    with at_time(start + timedelta(minutes=1)):
        browser = Client()
        assert attempt(browser, "chief") == "code/?"
        assert browser.get("/organisations/me/").status_code == 302
        code = totp.code_at(secret, clock.now())
        assert browser.post("/sign-in/code/", {"code": code})["Location"] == "/"
        assert browser.get("/organisations/me/").status_code == 200
        again = Client()
        attempt(again, "chief")
        assert "已使用" in again.post("/sign-in/code/", {"code": code}).content.decode()
        assert again.post("/sign-in/code/", {"code": recovery[0].lower()})["Location"] == "/"
        third = Client()
        attempt(third, "chief")
        assert third.post("/sign-in/code/", {"code": recovery[0]}).status_code == 422
    assert "recovery_code" in kinds("chief")


def test_the_second_step_does_not_wait_for_ever_and_needs_the_first() -> None:
    chief = make.account("chief", password=GOOD)
    start = clock.now().replace(microsecond=0)
    enrol(chief, start)
    browser = Client()
    assert browser.get("/sign-in/code/").status_code == 302
    with at_time(start):
        attempt(browser, "chief")
    with at_time(start + timedelta(minutes=5, seconds=1)):
        assert browser.get("/sign-in/code/").status_code == 302


def test_guessing_codes_locks_like_guessing_passwords() -> None:
    chief = make.account("chief", password=GOOD)
    enrol(chief, clock.now())
    browser = Client()
    attempt(browser, "chief")
    for _ in range(4):
        assert "还可尝试" in browser.post("/sign-in/code/", {"code": "000000"}).content.decode()
    assert "锁定" in browser.post("/sign-in/code/", {"code": "000000"}).content.decode()
    assert "锁定" in attempt(Client(), "chief")


# The guard


def test_idle_ends_the_session_on_the_minute_and_polling_does_not_keep_it_alive() -> None:
    nurse = make.account("nurse", password=GOOD)
    start = clock.now().replace(microsecond=0)
    browser = Client()
    with at_time(start):
        attempt(browser, "nurse")
    with at_time(start + timedelta(minutes=29)):
        assert browser.get("/session/state").json() == {"state": "open"}
    with at_time(start + timedelta(minutes=30)):
        answer = browser.get("/session/state")
        assert (answer.status_code, answer["X-Kw-Reason"]) == (401, "idle")
        assert "长时间未操作" in answer.json()["message"]
    assert nurse.sessions.get().end_reason == "idle"


def test_work_keeps_a_session_alive_until_its_longest_life() -> None:
    make.account("nurse", password=GOOD)
    start = clock.now().replace(microsecond=0)
    browser = Client()
    with at_time(start):
        attempt(browser, "nurse")
    for minutes in range(25, 12 * 60, 25):
        with at_time(start + timedelta(minutes=minutes)):
            assert browser.get("/organisations/me/").status_code == 200
    with at_time(start + timedelta(hours=12)):
        assert "reason=lifetime" in browser.get("/organisations/me/")["Location"]


def test_forced_sign_out_answers_nothing_more_and_says_why_in_each_tongue() -> None:
    nurse, chief = make.account("nurse"), make.account("chief")
    for path, headers in (
        ("/organisations/me/", {}),
        ("/organisations/me/", {"HX-Request": "true"}),
        ("/api/v1/organisations/me", {}),
    ):
        browser = make.client(nurse)
        assert browser.get(path, headers=headers).status_code == 200
        services.sign_out_everywhere(account=nurse, by=chief, at=clock.now(), reason="异常登录")
        answer = browser.get(path, headers=headers)
        if answer.status_code == 302:
            assert "reason=forced" in answer["Location"]
            assert "强制下线" in browser.get(answer["Location"]).content.decode()
        else:
            assert (answer.status_code, answer["X-Kw-Reason"]) == (401, "forced")
            assert "强制下线" in answer.content.decode()


def test_the_oldest_session_beyond_the_limit_is_signed_out_and_told() -> None:
    nurse = make.account("nurse")
    make.grant(nurse, make.role("organisations.view_staff", session_limit=2))
    browsers = [make.client(nurse) for _ in range(3)]
    assert "reason=displaced" in browsers[0].get("/organisations/me/")["Location"]
    assert browsers[1].get("/organisations/me/").status_code == 200
    assert browsers[2].get("/organisations/me/").status_code == 200


def test_disabling_ends_sessions_at_once() -> None:
    nurse = make.account("nurse")
    browser = make.client(nurse)
    services.disable_account(account=nurse, by=None, at=clock.now(), reason="离职")
    assert "reason=account" in browser.get("/organisations/me/")["Location"]


def test_signing_out_ends_the_session_and_is_a_post() -> None:
    nurse = make.account("nurse")
    browser = make.client(nurse)
    assert browser.get("/sign-out/").status_code == 405
    assert "signed_out" in browser.post("/sign-out/")["Location"]
    assert nurse.sessions.get().end_reason == "signed_out"
    assert browser.get("/session/state").status_code == 401


def test_the_guard_costs_one_query_beside_the_session_itself(
    django_assert_num_queries: object,
) -> None:
    browser = make.client(make.account())
    browser.get("/session/state")
    with django_assert_num_queries(2):  # type: ignore[operator]  # Django's session, our row
        browser.get("/session/state")


def test_a_session_key_in_the_table_cannot_be_used_as_a_cookie() -> None:
    nurse = make.account("nurse")
    browser = make.client(nurse)
    stored = AccountSession.objects.get(account=nurse).key_digest
    assert stored != browser.session.session_key
    thief = Client()
    thief.cookies["kw_session"] = stored
    assert thief.get("/organisations/me/").status_code == 302


def test_an_outsider_gains_nothing_from_timing_of_names() -> None:
    """Both paths hash once: the same work whether or not the name exists."""
    make.account("nurse", password=GOOD)
    calls: list[str] = []
    from django.contrib.auth import hashers

    original = hashers.PBKDF2PasswordHasher.encode

    def counted(self: object, password: str, *args: object, **kwargs: object) -> str:
        calls.append(password)
        return original(self, password, *args, **kwargs)  # type: ignore[arg-type]

    counts = []
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.PBKDF2PasswordHasher"]):
        nurse = Account.objects.get(username="nurse")
        nurse.set_password(GOOD)
        nurse.save()
        hashers.PBKDF2PasswordHasher.encode = counted  # type: ignore[method-assign]
        try:
            for name in ("nurse", "nobody"):
                calls.clear()
                with pytest.raises(sign_in.SignInFailed):
                    sign_in.sign_in_by_password(
                        username=name,
                        password="Wrong-1x",
                        visitor=sign_in.Visitor(),
                        at=clock.now(),
                    )
                counts.append(len(calls))
        finally:
            hashers.PBKDF2PasswordHasher.encode = original  # type: ignore[method-assign]
    assert counts == [1, 1]

"""The first administrators of an empty site."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from kangwei.kernel.organisations.models import Account, Institution
from kangwei.kernel.organisations.tests import make

pytestmark = pytest.mark.django_db


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("KW_ADMIN_USERNAME", "chief")
    monkeypatch.setenv("KW_ADMIN_PASSWORD", "Mei-gui8hua")
    monkeypatch.setenv("KW_ADMIN_INSTITUTION", "陕西省卫生健康委员会")
    return monkeypatch


@pytest.mark.usefixtures("environment")
def test_three_people_for_three_duties_and_one_root(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("setup", "--noinput")
    said = capsys.readouterr().out
    assert Institution.objects.get().name == "陕西省卫生健康委员会"
    roles = {a.username: a.grants.get().role.code for a in Account.objects.all()}
    assert roles == {"chief": "system_admin", "chief-sec": "security_admin", "chief-aud": "auditor"}
    assert Account.objects.get(username="chief").check_password("Mei-gui8hua")
    assert Account.objects.filter(must_change_password=True).count() == 3
    assert "Mei-gui8hua" not in said
    assert "chief-sec" in said


@pytest.mark.usefixtures("environment")
def test_it_is_refused_as_soon_as_any_account_exists() -> None:
    make.account()
    with pytest.raises(CommandError, match="已有账号"):
        call_command("setup", "--noinput")


def test_a_weak_password_or_a_missing_answer_leaves_nothing(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("KW_ADMIN_PASSWORD", "12345678")
    with pytest.raises(CommandError, match="三类"):
        call_command("setup", "--noinput")
    environment.delenv("KW_ADMIN_PASSWORD")
    with pytest.raises(CommandError, match="KW_ADMIN_PASSWORD"):
        call_command("setup", "--noinput")
    assert Account.objects.count() == 0
    assert Institution.objects.count() == 0

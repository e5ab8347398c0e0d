"""What the operator may ask for, and what a wrong wish is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from kangwei.supervisor.wishes import CannotStart, read

ROOT = Path("/somewhere")


def test_nothing_asked_is_our_own_database_on_port_8000() -> None:
    wishes = read({}, ROOT)
    assert (wishes.data, wishes.port, wishes.database_url) == (ROOT / ".data", 8000, "")
    assert wishes.address == "http://127.0.0.1:8000"
    assert not wishes.demo


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
    ],
)
def test_the_address_is_one_a_person_on_this_machine_can_open(bind: str, address: str) -> None:
    assert read({"KW_BIND": bind}, ROOT).address == address


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KW_PORT", "eight"),
        ("KW_PORT", "0"),
        ("KW_PORT", "65536"),
        ("KW_PORT", "８０００"),
        ("KW_BIND", "localhost"),
        ("KW_DATA", "/etc/hostname"),
        ("KW_DEMO", "maybe"),
        ("KW_PG_BIN", "/nowhere/bin"),
        ("DATABASE_URL", "mysql://root@localhost/kangwei"),
        ("DATABASE_URL", "postgresql://localhost:54x2/kangwei"),
        ("DATABASE_URL", "postgresql://localhost"),
        ("KW_DATABASE_OWNER_URL", "postgresql://owner@localhost/kangwei"),
    ],
)
def test_a_wrong_wish_is_one_sentence_naming_its_variable(name: str, value: str) -> None:
    with pytest.raises(CannotStart) as refusal:
        read({name: value}, ROOT)
    assert name in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("hosts", "host"),
    [("", "127.0.0.1"), ("*", "127.0.0.1"), (".cdc.example,10.0.0.8", "cdc.example")],
)
def test_readiness_is_asked_under_a_name_the_site_answers_to(hosts: str, host: str) -> None:
    assert read({"KW_HOSTS": hosts}, ROOT).host == host

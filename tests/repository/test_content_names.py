"""Each content of the API has a name of its own."""

from __future__ import annotations

from ninja import Schema

from kangwei.kernel.api import content
from kangwei.kernel.api.openapi import document


def test_no_two_contents_share_a_name() -> None:
    document()  # loads every router
    assert content.names_taken_twice() == []


def test_a_second_content_of_one_name_is_noticed() -> None:
    twin = type("ReasonIn", (Schema,), {"__module__": "kangwei.elsewhere"})
    try:
        assert any("ReasonIn" in line for line in content.names_taken_twice())
    finally:
        twin.__module__ = "elsewhere"

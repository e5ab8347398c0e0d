"""The menu shows what an account may open, lights one entry; help finds the nearest chapter."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.test import RequestFactory

from kangwei.kernel.screens import registry
from kangwei.kernel.screens.context import Shell
from kangwei.kernel.screens.registry import MenuItem, register_help, register_menu


@pytest.fixture(autouse=True)
def _empty_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registry", registry._Registry())


def shell(path: str, *rights: str) -> Shell:
    request = RequestFactory().get(path)
    user: Any = SimpleNamespace(is_authenticated=True, has_perm=lambda right: right in rights)
    request.user = user
    return Shell(request)


def shown(made: Shell) -> dict[str, list[str]]:
    return {group.title: [entry.title for entry in group.entries] for group in made.menu}


def lit(made: Shell) -> list[str]:
    return [entry.title for group in made.menu for entry in group.entries if entry.lit]


def test_entries_without_the_right_are_not_shown_and_empty_groups_vanish() -> None:
    register_menu(
        MenuItem("机构人员", "机构", "/manage/a/", right="a.view"),
        MenuItem("督查", "审计日志", "/audit/", right="b.view"),
        MenuItem("工作台", "首页", "/"),
    )
    assert shown(shell("/", "a.view")) == {"工作台": ["首页"], "机构人员": ["机构"]}


def test_only_the_longest_fitting_entry_is_lit() -> None:
    register_menu(
        MenuItem("工作台", "首页", "/"),
        MenuItem("报表", "报表", "/reports/"),
        MenuItem("报表", "固化报表", "/reports/snapshots/"),
        MenuItem("报表", "报告", "/reports-other/"),
    )
    assert lit(shell("/reports/snapshots/3/")) == ["固化报表"]
    assert lit(shell("/reports/dtp/")) == ["报表"]
    assert lit(shell("/reports-other/")) == ["报告"]
    assert lit(shell("/")) == ["首页"]
    assert lit(shell("/nowhere/")) == []


def test_two_entries_of_one_address_light_one() -> None:
    register_menu(MenuItem("报表", "甲", "/x/"), MenuItem("系统", "乙", "/x/"))
    assert len(lit(shell("/x/"))) == 1


def test_groups_come_in_the_order_of_a_working_day_and_unknown_ones_last() -> None:
    register_menu(
        MenuItem("系统", "任务", "/j/"),
        MenuItem("新领域", "新", "/n/"),
        MenuItem("工作台", "首页", "/"),
    )
    assert list(shown(shell("/"))) == ["工作台", "系统", "新领域"]


def test_the_same_entry_again_replaces_the_first() -> None:
    register_menu(MenuItem("系统", "任务", "/old/"))
    register_menu(MenuItem("系统", "任务", "/new/"))
    assert [item.url for item in registry.menu_items()] == ["/new/"]


def test_an_entry_whose_page_does_not_exist_here_is_left_out() -> None:
    register_menu(MenuItem("系统", "任务", "nothing:here"))
    assert shown(shell("/")) == {}


def test_a_stranger_sees_no_menu() -> None:
    register_menu(MenuItem("工作台", "首页", "/"))
    request = RequestFactory().get("/")
    request.user = SimpleNamespace(is_authenticated=False)  # type: ignore[assignment]
    assert Shell(request).menu == []


def test_help_opens_the_chapter_of_the_longest_prefix() -> None:
    register_help(prefix="/", chapter="界面")
    register_help(prefix="/reports/", chapter="报表")
    register_help(prefix="/reports/snapshots/", chapter="报表#固化")
    assert registry.help_chapter("/reports/snapshots/1/") == "报表#固化"
    assert registry.help_chapter("/reports/x/") == "报表"
    assert registry.help_chapter("/elsewhere/") == "界面"


def test_a_page_elsewhere_lights_the_entry_that_covers_it_and_leads_back() -> None:
    register_menu(
        MenuItem("机构人员", "机构", "/manage/a/", right="a.view", covers=("/ward/a/",)),
        MenuItem("机构人员", "人员", "/manage/b/"),
    )
    assert lit(shell("/ward/a/3/change/", "a.view")) == ["机构"]
    assert shell("/ward/a/3/change/", "a.view").crumbs == [("机构", "/manage/a/")]
    assert shell("/manage/a/", "a.view").crumbs == []
    assert shell("/ward/a/3/").crumbs == []  # an entry one may not open leads nowhere
    assert lit(shell("/ward/ab/", "a.view")) == []

"""Work pages, home, search, help, about and errors, as somebody at a desk meets them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse

from kangwei.kernel.organisations.tests import make
from kangwei.kernel.screens import registry
from kangwei.kernel.screens.registry import Card, SearchHit, SearchSource

pytestmark = [pytest.mark.django_db, pytest.mark.urls("kangwei.web.tests.urls")]


@pytest.fixture
def browser() -> Client:
    return make.client(make.account(right="organisations.view_institution", name="王芳"))


@pytest.fixture(autouse=True)
def _registry_restored() -> Iterator[None]:
    cards, sources = dict(registry._registry.cards), dict(registry._registry.sources)
    yield
    registry._registry.cards, registry._registry.sources = cards, sources


def body(answer: Any) -> str:
    return str(answer.content.decode())


# -- work pages -------------------------------------------------------------------------------


def test_a_stranger_is_sent_to_sign_in_and_comes_back_afterwards() -> None:
    answer = Client().get("/guarded/?a=1")
    assert answer.status_code == 302
    assert answer["Location"] == "/sign-in/?next=/guarded/%3Fa%3D1"


def test_an_open_page_that_polls_is_told_by_401_and_leaves_by_itself() -> None:
    answer = Client().get("/guarded/", headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert "请重新登录" in body(answer)


def test_without_the_right_the_page_says_which_right_is_missing() -> None:
    stranger = make.client(make.account())
    answer = stranger.get("/guarded/")
    assert answer.status_code == 403
    assert re.search("没有“查看 ?机构”权限", body(answer))


def test_with_the_right_the_page_opens_and_is_not_kept_by_the_browser(browser: Client) -> None:
    answer = browser.get("/guarded/")
    assert answer.status_code == 200
    assert "受保护的页面" in body(answer)
    assert "no-store" in answer["Cache-Control"]


def test_a_refusal_after_a_form_returns_to_the_form_with_the_sentence(browser: Client) -> None:
    came_from = "http://testserver/guarded/?x=1"
    answer = browser.post("/refusing/count/", headers={"Referer": came_from})
    assert answer["Location"] == "/guarded/?x=1"
    assert "数量应大于 0" in body(browser.get("/guarded/"))


def test_a_refusal_never_sends_the_browser_to_another_site(browser: Client) -> None:
    answer = browser.post("/refusing/count/", headers={"Referer": "https://evil.example.org/x"})
    assert answer["Location"] == "/refusing/count/"


def test_a_refusal_of_a_fragment_is_said_in_place(browser: Client) -> None:
    answer = browser.post("/refusing/count/", headers={"HX-Request": "true"})
    assert answer["HX-Retarget"] == "#kw-messages"
    assert "数量应大于 0" in body(answer)
    assert "<html" not in body(answer)


def test_what_is_absent_is_a_404_page_also_in_a_plain_view(browser: Client) -> None:
    for address in ("/refusing/absent/", "/bare/"):
        answer = browser.get(address)
        assert answer.status_code == 404
        assert "没有这张单据" in body(answer)


# -- errors -----------------------------------------------------------------------------------


def test_an_unknown_address_says_so_with_the_number_to_tell(browser: Client) -> None:
    answer = browser.get("/nowhere/")
    assert answer.status_code == 404
    page = body(answer)
    assert "页面不存在" in page
    assert answer["X-Trace-Id"] in page
    assert "kw-sidebar" in page


def test_a_strangers_error_page_shows_no_menu() -> None:
    answer = Client().get("/nowhere/")
    assert answer.status_code == 404
    assert "kw-sidebar" not in body(answer)
    assert "回到工作台" in body(answer)


def test_a_fault_of_ours_tells_nothing_of_itself(browser: Client) -> None:
    browser.raise_request_exception = False
    logging.disable(logging.CRITICAL)
    try:
        answer = browser.get("/refusing/crash/")
    finally:
        logging.disable(logging.NOTSET)
    assert answer.status_code == 500
    page = body(answer)
    assert "系统出错了" in page
    assert answer["X-Trace-Id"] in page
    assert "a fault of ours" not in page
    assert "Traceback" not in page


def test_a_form_without_the_token_is_told_that_the_page_is_too_old() -> None:
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post(reverse("home-arrange"))
    assert answer.status_code == 403
    assert "页面已过期" in body(answer)


# -- home -------------------------------------------------------------------------------------


def test_home_greets_and_shows_the_cards_of_the_role(browser: Client) -> None:
    registry.register_card(
        Card(
            "t.mine", "我的待办", lambda request: "三件事", right="organisations.view_institution"
        ),
        Card(
            "t.other", "他人卡片", lambda request: "不该看到", right="organisations.add_institution"
        ),
        Card("t.nothing", "空卡片", lambda request: ""),
    )
    page = body(browser.get("/"))
    assert "王芳" in page
    assert "三件事" in page
    assert "不该看到" not in page
    assert 'kw-home-medium">' in page


def test_a_failing_card_says_so_and_the_others_stand(
    browser: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(request: HttpRequest) -> str:
        raise RuntimeError("no figures")

    registry.register_card(
        Card("t.bad", "坏卡片", fails), Card("t.good", "好卡片", lambda request: "还在")
    )
    answer = browser.get("/")
    assert answer.status_code == 200
    assert "“坏卡片”暂时无法显示" in body(answer)
    assert "还在" in body(answer)
    assert "screens.card.failed t.bad" in caplog.text


def test_hidden_and_moved_cards_are_remembered_until_reset(browser: Client) -> None:
    registry.register_card(
        Card("t.a", "甲卡", lambda request: "甲的内容", order=1),
        Card("t.b", "乙卡", lambda request: "乙的内容", order=2),
    )
    browser.post("/home/arrange/", {"order": ["t.b", "t.a"], "show": ["t.b", "t.a"]})
    page = body(browser.get("/"))
    assert page.index("乙的内容") < page.index("甲的内容")
    browser.post("/home/arrange/", {"order": ["t.b", "t.a"], "show": ["t.a"]})
    assert "乙的内容" not in body(browser.get("/"))
    browser.post("/home/arrange/", {"reset": "1"})
    page = body(browser.get("/"))
    assert page.index("甲的内容") < page.index("乙的内容")


def test_a_card_key_that_is_none_is_not_kept(browser: Client) -> None:
    browser.post("/home/arrange/", {"order": ["<script>", "t.unknown"], "show": []})
    assert browser.get("/").status_code == 200


# -- search, help, about ----------------------------------------------------------------------


def test_search_finds_menu_entries_by_name_and_by_initials(browser: Client) -> None:
    assert "首页" in body(browser.get("/search/", {"q": "首页"}))
    assert "首页" in body(browser.get("/search/", {"q": "sy"}))


def test_search_asks_only_sources_the_account_may_ask(browser: Client) -> None:
    def found(request: HttpRequest, term: str) -> list[SearchHit]:
        return [SearchHit(f"{term}一", "/x/", "说明")]

    registry.register_search(
        SearchSource("可见", found, right="organisations.view_institution"),
        SearchSource("不可见", found, right="organisations.add_institution"),
    )
    page = body(browser.get("/search/", {"q": "疫苗"}))
    assert "可见" in page
    assert "不可见" not in page
    assert 'href="/x/"' in page


def test_a_failing_source_does_not_take_the_others_along(browser: Client) -> None:
    def fails(request: HttpRequest, term: str) -> list[SearchHit]:
        raise RuntimeError

    registry.register_search(SearchSource("坏", fails))
    assert "首页" in body(browser.get("/search/", {"q": "首页"}))


def test_search_escapes_what_was_typed(browser: Client) -> None:
    page = body(browser.get("/search/", {"q": "<b>x"}))
    assert "<b>x" not in page
    assert "没有找到" in page


def test_help_opens_the_chapter_and_searches_all(browser: Client) -> None:
    page = body(browser.get(reverse("help", args=["界面与快捷键"])))
    assert "快捷键" in page
    assert "页面的各个部分" in page
    assert "界面与快捷键 · 导出" in body(browser.get("/help/", {"q": "导出"}))
    assert browser.get("/help/no-such-chapter/").status_code == 404


def test_the_help_button_leads_to_a_chapter_that_exists(browser: Client) -> None:
    page = body(browser.get("/guarded/"))
    at = page.index('id="kw-help"')
    address = page[at:].split('href="', 1)[1].split('"', 1)[0]
    assert browser.get(address).status_code == 200


def test_about_names_versions_licences_and_facts(browser: Client) -> None:
    page = body(browser.get("/about/"))
    for text in (
        "康维 0.",
        "PostgreSQL 1",
        "Django",
        "BSD",
        "htmx",
        "2.0.4",
        "Apache ECharts",
        "未经实机验证",
        "审计日志只增不改",
    ):
        assert text in page, text


def test_own_pages_cost_few_queries(browser: Client, django_assert_max_num_queries: Any) -> None:
    browser.get("/guarded/")
    with django_assert_max_num_queries(9):
        browser.get("/guarded/")

"""Every screen opens and speaks Chinese: all an administrator can reach, collected and read."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from kangwei.kernel.evaluation.registry import engines
from kangwei.kernel.organisations.models import Account, Institution, InstitutionKind, Role, Staff
from kangwei.kernel.organisations.tests import make
from kangwei.kernel.screens import registry
from kangwei.web import urls
from tests.repository.test_habits import pages

pytestmark = pytest.mark.django_db

#: Words that are no English sentence, each with its reason.
ALLOWED = {
    word
    for words in (
        # proper names of products and projects
        "Kangwei PostgreSQL Python Linux OpenSSL Excel Word Django django unfold Apache ECharts "
        "Alpine htmx SimpleBar Material Symbols Noto Sans CJK nginx systemd git Firefox Chrome",
        # protocols, formats and their parts, as standards write them
        "OpenAPI STARTTLS Cookie Agent User Webhook webhook Token token Bearer Key key xlsx "
        "docx Content Type Idempotency cron id Lines",
        # licences, as their owners write them
        "License Licence Software Foundation Clause with exceptions exception Unlicense and or "
        "only later of the The Public Domain Lesser General Mozilla version",
        # keys of the keyboard
        "Ctrl Esc",
        # names of Word's built-in styles, and of our process in systemd and logs
        "Title Subtitle Heading Caption Normal Body Text List Bullet Number Table Grid worker",
        # codes of the calendar engine's answer
        "workday weekend holiday",
        # units of measure
        "kB ms min px",
    )
    for word in words.split()
}
#: Names of columns, codes, addresses: what somebody stored, not what a screen says.
CODE = re.compile(
    r"`[^`]*`|\{\{.*?\}\}|\{%.*?%\}|\b[\w.-]*[\d_./@:#=%-][\w./@:#=%-]*\b|\bKW_\w+\b|\b[A-Z]{2,6}\b"
)
WORD = re.compile(r"[A-Za-z]{2,}")


class Visible(HTMLParser):
    """Collects what a reader sees or a screen reader says; code and stored values are marked."""

    SILENT = {"script", "style", "code", "pre", "kbd", "template", "svg", "textarea"}
    SPOKEN = ("aria-label", "title", "placeholder", "alt")

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._silent = 0
        self._stack: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.texts += [given[name] or "" for name in self.SPOKEN if given.get(name)]
        if tag == "input" and given.get("type") in {"submit", "button"}:
            self.texts.append(given.get("value") or "")
        if tag in {"br", "img", "input", "link", "meta", "hr", "path", "rect", "circle", "stop"}:
            return
        classes = (given.get("class") or "").split()
        silent = (
            tag in self.SILENT or "material-symbols-outlined" in classes or "data-stored" in given
        )
        self._stack.append((tag, silent))
        self._silent += silent

    def handle_endtag(self, tag: str) -> None:
        while self._stack:
            opened, silent = self._stack.pop()
            self._silent -= silent
            if opened == tag:
                return

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.texts.append(data.strip())


def english_in(html: str, known: set[str]) -> list[str]:
    """Texts with English words that nothing allows."""
    reader = Visible()
    reader.feed(html)
    found = []
    for text in reader.texts:
        left = CODE.sub(" ", text)
        words = [word for word in WORD.findall(left) if word not in ALLOWED and word not in known]
        if words:
            found.append(text[:120])
    return found


@pytest.fixture
def administrator() -> Client:
    """Somebody who holds every right over everything, in a house with a few rows."""
    rights = [
        f"{app}.{code}"
        for app, code in Permission.objects.values_list("content_type__app_label", "codename")
        if apps.get_app_config(app).name.startswith("kangwei.")
    ]
    home = make.institution("陕西省卫生健康信息中心")
    clinic = make.institution("小寨社区卫生服务中心", parent=home)
    make.department(clinic, "信息科")
    make.staff(clinic, "李静")
    account = make.account(
        right=rights,
        institution=home,
        name="高振华",
        username="gaozhenhua",
        scope="everything",
        masking_level=2,
    )
    browser = make.client(account)
    browser.raise_request_exception = True
    return browser


def stored() -> set[str]:
    """Latin letters that the tables hold: codes, account names, 拼音码."""
    codes = [
        *Role.objects.values_list("code", flat=True),
        *InstitutionKind.objects.values_list("code", flat=True),
        *Institution.objects.values_list("pinyin", flat=True),
        *Staff.objects.values_list("pinyin", flat=True),
        *Account.objects.values_list("username", flat=True),
        *Account.objects.values_list("pinyin", flat=True),
        *(engine.name for engine in engines()),
        "postgres",
    ]
    return {word for code in codes for word in WORD.findall(code)}


def menu() -> list[tuple[str, str]]:
    assert urls.urlpatterns
    return [(item.title, item.path()) for item in registry.menu_items()]


def test_every_menu_entry_opens_for_an_administrator(administrator: Client) -> None:
    assert len(menu()) > 15
    failed = {}
    for title, address in menu():
        status = administrator.get(address).status_code
        if status != 200:
            failed[f"{title} {address}"] = status
    assert failed == {}


#: Pages made of codes, each with its reason.
MADE_OF_CODES = {"/interfaces/": "the reference for developers lists codes and their meanings"}


def addresses() -> list[str]:
    """Every page without a parameter, and list and form of every registered model."""
    found = [
        "/" + address
        for address, view in pages(urls.urlpatterns)
        if getattr(view, "kw_work_page", False) and "<" not in address
    ]
    for model, screen in admin.site._registry.items():
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found.append(reverse(f"{base}_changelist"))
        if not type(screen).__name__.startswith("Ledger"):
            found.append(reverse(f"{base}_add"))
    return sorted(set(found))


def read(browser: Client, address: str) -> Any:
    answer = browser.get(address, follow=True)
    is_page = answer.get("Content-Type", "").startswith("text/html")
    return answer, (
        b"".join(answer) if answer.streaming else answer.content
    ).decode() if is_page else ""


def test_no_page_answers_with_a_fault_and_every_page_speaks_chinese(administrator: Client) -> None:
    faults, english = {}, {}
    for address in addresses():
        answer, html = read(administrator, address)
        if answer.status_code >= 500:
            faults[address] = answer.status_code
        elif html and address not in MADE_OF_CODES and (found := english_in(html, stored())):
            english[address] = found[:5]
    assert faults == {}
    assert not english, "\n".join(f"{address}: {texts}" for address, texts in english.items())


def test_objects_forms_and_histories_speak_chinese(administrator: Client) -> None:
    english = {}
    for model, _screen in admin.site._registry.items():
        row = model._default_manager.first()
        if row is None:
            continue
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        for act in ("change", "history", "delete"):
            answer, html = read(administrator, reverse(f"{base}_{act}", args=[row.pk]))
            assert answer.status_code in {200, 403, 404}, (model, act, answer.status_code)
            if found := english_in(html, stored()):
                english[f"{model._meta.label} {act}"] = found[:5]
    assert english == {}


def test_pages_of_strangers_and_errors_speak_chinese(administrator: Client) -> None:
    for browser in (Client(), administrator):
        for address in ("/sign-in/", "/nowhere/", "/manage/nothing/"):
            _answer, html = read(browser, address)
            assert english_in(html, stored()) == [], address


def test_the_reader_finds_english_and_lets_codes_pass() -> None:
    assert english_in("<p>Save and continue</p>", set()) == ["Save and continue"]
    assert english_in('<input placeholder="Type to search">', set()) == ["Type to search"]
    assert english_in("<p>使用 HTTPS 与 PostgreSQL 18.6，编号 T000123</p>", set()) == []
    assert english_in("<script>var English = 1</script><code>make run</code>", set()) == []
    assert english_in('<span class="material-symbols-outlined">home</span>首页', set()) == []


def test_every_control_on_every_page_has_a_name(administrator: Client) -> None:
    """A control without label, title or aria-label is silent to who cannot see it."""
    silent = {}
    for address in addresses():
        answer, html = read(administrator, address)
        if answer.status_code == 200 and html and (found := unnamed_controls(html)):
            silent[address] = found[:4]
    assert silent == {}


class Controls(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.labelled: set[str] = set()
        self.controls: list[dict[str, str]] = []
        self._in_label = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "label":
            self._in_label += 1
            self.labelled.add(given.get("for", ""))
        if tag in {"input", "select", "textarea"} and given.get("type") not in {
            "hidden",
            "submit",
            "button",
            "reset",
        }:
            given["inside"] = "1" if self._in_label else ""
            given["tag"] = tag
            self.controls.append(given)

    def handle_endtag(self, tag: str) -> None:
        if tag == "label":
            self._in_label -= 1


def unnamed_controls(html: str) -> list[str]:
    reader = Controls()
    reader.feed(html)
    return [
        f"{control['tag']} {control.get('name') or control.get('id', '')}"
        for control in reader.controls
        if not (
            control["inside"]
            or control.get("aria-label")
            or control.get("aria-labelledby")
            or control.get("title")
            or (control.get("id") and control["id"] in reader.labelled)
        )
    ]

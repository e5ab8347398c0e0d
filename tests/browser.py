"""A browser for journeys: Debian's Chromium, driven as a person would.

    def test_a_person_signs_in(site: str, browser_page: Page) -> None:
        browser_page.goto(f"{site}/sign-in/")

A page that writes an error to its console, asks a foreign host for anything, or gets a refusal
that the test did not announce in `expected_refusals`, fails the test: sites are closed networks.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
#: What the page looked like when a journey failed.
SHOTS = Path(__file__).resolve().parent.parent / "shots"
OURS = {"127.0.0.1", "localhost", ""}  # the empty host: data: and blob: addresses


def chromium() -> str:
    """Where Chromium is; a journey without it fails and names the package, it never skips."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if not found:
        pytest.fail("缺少 Debian 软件包 chromium：请以 root 执行 apt-get install chromium。")
    fonts = Path("/usr/share/fonts")
    if not any(fonts.rglob("NotoSansCJK*")) and not any(fonts.rglob("wqy-*")):
        pytest.fail("缺少 Debian 软件包 fonts-noto-cjk：请以 root 执行 apt-get install 安装。")
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def site(live_server: Any) -> str:
    """The product, served to a real browser over HTTP; answers its address."""
    return str(live_server.url)


@pytest.fixture
def expected_refusals() -> set[int]:
    """HTTP statuses of 400 and above that this journey provokes on purpose."""
    return set()


@pytest.fixture
def browser_page(
    browser: Browser, expected_refusals: set[int], request: pytest.FixtureRequest
) -> Iterator[Page]:
    """A fresh visitor at 1440×900 who reads Chinese."""
    noticed: list[str] = []
    failed_before = request.session.testsfailed

    def heard(message: ConsoleMessage) -> None:
        # Chromium also writes a line for each refusal; those are judged by their status.
        if message.type == "error" and "Failed to load resource" not in message.text:
            noticed.append(f"console: {message.text}")

    def asked(sent: Request) -> None:
        if (urlsplit(sent.url).hostname or "") not in OURS:
            noticed.append(f"foreign host: {sent.url}")

    def answered(response: Response) -> None:
        if response.status >= 400 and response.status not in expected_refusals:
            noticed.append(f"{response.status}: {response.request.method} {response.url}")

    context = browser.new_context(
        viewport={"width": 1440, "height": 900},
        locale="zh-CN",
        timezone_id="Asia/Shanghai",
        service_workers="block",
    )
    context.set_default_timeout(15_000)
    page = context.new_page()
    context.on("request", asked)
    context.on("response", answered)
    context.on("console", heard)
    context.on("weberror", lambda error: noticed.append(f"script: {error.error}"))
    yield page
    if noticed or request.session.testsfailed > failed_before:
        page.screenshot(path=SHOTS / f"{request.node.name}.png", full_page=True)
    context.close()
    assert not noticed, "\n".join(noticed)

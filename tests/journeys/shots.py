"""Photographs every screen of a running site, light and dark, to be judged by eye. Not a test.

    python tests/journeys/shots.py http://127.0.0.1:8000 --account admin --password … --out shots/

Visits each menu entry of that account at 1440×900 and prints whatever a journey would fail on:
answers of 400 and above, console errors, requests to anywhere else.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Response, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--lang=zh-CN", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
SIZE = {"width": 1440, "height": 900}


def sign_in(page: Page, site: str, account: str, password: str) -> None:
    page.goto(urljoin(site, "/sign-in/"))
    page.get_by_label(re.compile("用户名|账号")).first.fill(account)
    page.get_by_label(re.compile("密码|口令")).first.fill(password)
    page.get_by_role("button", name=re.compile("登录")).first.click()
    page.wait_for_url(lambda address: "/sign-in" not in address)


def menu(page: Page, site: str) -> Iterator[tuple[str, str]]:
    page.goto(site)
    for link in page.locator("#kw-menu a").all():
        yield link.inner_text().splitlines()[-1].strip(), link.get_attribute("href") or "/"


def watch(context: BrowserContext, site: str, said: list[str]) -> None:
    """Note what should not be there."""
    home = urlsplit(site).netloc

    def on_response(response: Response) -> None:
        if response.status >= 400:
            said.append(f"{response.status} {response.url}")
        if (
            urlsplit(response.url).scheme.startswith("http")
            and urlsplit(response.url).netloc != home
        ):
            said.append(f"foreign {response.url}")

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error":
            said.append(f"console {message.text[:300]}")

    context.on("response", on_response)
    context.on("console", on_console)


def file_name(title: str, address: str) -> str:
    return re.sub(r"[^\w\u4e00-\u9fff]+", "-", f"{title}{urlsplit(address).path}").strip("-")


def main() -> None:
    arguments = argparse.ArgumentParser(description="Photograph every screen of a running site.")
    arguments.add_argument("site")
    arguments.add_argument("--account", default="")
    arguments.add_argument("--password", default="")
    arguments.add_argument("--session", default="", help="a session key instead of signing in")
    arguments.add_argument("--out", type=Path, default=Path("shots"))
    arguments.add_argument("--themes", default="light,dark")
    arguments.add_argument("--only", default="", help="part of the addresses to visit")
    arguments.add_argument("--also", nargs="*", default=[], help="addresses beside the menu's")
    given = arguments.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = browser.new_context(viewport=SIZE, locale="zh-CN")  # type: ignore[arg-type]
        watch(context, given.site, said)
        page = context.new_page()
        if given.session:
            cookie = {"name": "kw_session", "value": given.session, "url": given.site}
            context.add_cookies([cookie])  # type: ignore[list-item]
        else:
            sign_in(page, given.site, given.account, given.password)
        entries = [*menu(page, given.site), *((address, address) for address in given.also)]
        for theme in given.themes.split(","):
            page.evaluate(
                "theme => localStorage.setItem('adminTheme', JSON.stringify(theme))", theme
            )
            for title, address in entries:
                if given.only not in address:
                    continue
                before = len(said)
                page.goto(urljoin(given.site, address), wait_until="networkidle")
                path = given.out / f"{file_name(title, address)}-{theme}.png"
                page.screenshot(path=path)
                print(path, *said[before:], sep="\n    ")
        browser.close()
    print(f"{len(said)} 处需要查看" if said else "没有发现错误")


if __name__ == "__main__":
    main()

"""An administrator brings institutions and accounts in from a sheet; three rows are bad."""

from __future__ import annotations

import io

import openpyxl
import pytest
from playwright.sync_api import Page, expect

from kangwei.kernel.organisations.models import Account, Institution
from kangwei.kernel.organisations.services import importing
from kangwei.kernel.organisations.tests import make
from tests.journeys.people import signed_in

pytestmark = [pytest.mark.journey, pytest.mark.django_db(transaction=True)]
RIGHTS = [
    "organisations.view_institution",
    "organisations.view_account",
    "organisations.import_institution",
    "organisations.import_account",
    "organisations.grant_role",
]


def sheet(kind: str, rows: list[dict[str, str]]) -> bytes:
    """A filled-in template, as an office would send it."""
    columns = importing.COLUMNS[kind]
    book = openpyxl.Workbook()
    page = book.active
    assert page is not None
    page.append([column.heading for column in columns])
    for row in rows:
        page.append([row.get(column.key) for column in columns])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def bring_in(page: Page, site: str, kind: str, name: str, content: bytes) -> None:
    page.goto(f"{site}/organisations/imports/{kind}/")
    mime = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    page.locator("input[type=file]").set_input_files(
        {"name": name, "mimeType": mime, "buffer": content}
    )
    page.locator("#content form button.kw-primary").first.click()


def test_good_rows_come_in_and_three_bad_ones_say_why(site: str, browser_page: Page) -> None:
    region = make.region("610113000000", "雁塔区")
    county = make.institution("雁塔区疾控中心", code="YTCDC", region=region, kind="cdc_county")
    chief = make.account("chief", institution=county, name="张红梅", right=RIGHTS)
    page = browser_page
    signed_in(page, site, chief)

    clinic = {"kind": "常规接种门诊", "region": "610113", "parent": "YTCDC"}
    rows = [
        {"code": "YT001", "name": "小寨接种门诊", **clinic},
        {"code": "YT002", "name": "大雁塔接种门诊", **clinic},
        {"code": "YT003", "name": "电子城接种门诊", **clinic, "kind": "飞船"},
        {"code": "YT001", "name": "重复编码门诊", **clinic},
        {"code": "YT005", "name": "外县门诊", **clinic, "region": "619999"},
    ]
    bring_in(page, site, "institutions", "机构.xlsx", sheet("institutions", rows))
    expect(page.locator("tr.org-bad")).to_have_count(3)
    expect(page.get_by_text("飞船").first).to_be_visible()
    assert not Institution.objects.filter(code__startswith="YT00").exists()
    page.get_by_role("button", name="确认导入 2 行").click()
    expect(page.get_by_text("导入完成")).to_be_visible()
    assert set(
        Institution.objects.filter(code__startswith="YT0").values_list("code", flat=True)
    ) == {
        "YT001",
        "YT002",
    }

    people = [
        {"username": "liuyulan", "name": "刘玉兰", "institution": "YT001"},
        {"username": "liuyulan", "name": "重名者", "institution": "YT001"},
        {"username": "chenjianing", "name": "陈佳宁", "institution": "NOWHERE"},
        {"username": "wangfang", "name": "王芳", "institution": "YT002", "phone": "123"},
        {"username": "libo", "name": "李波", "institution": "YT002"},
    ]
    bring_in(page, site, "accounts", "账号.xlsx", sheet("accounts", people))
    expect(page.locator("tr.org-bad")).to_have_count(3)
    page.get_by_role("button", name="确认导入 2 行").click()
    expect(page.locator("#content")).to_contain_text("liuyulan")
    assert Account.objects.filter(username__in=["liuyulan", "libo"]).count() == 2
    assert not Account.objects.filter(username__in=["chenjianing", "wangfang"]).exists()

"""Pages and the API: what they show, what they refuse, what they cost."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make as people
from kangwei.kernel.reporting.declarations import DocumentKind, Report
from kangwei.kernel.reporting.models import (
    ColumnChoice,
    Document,
    DocumentVersion,
    Favourite,
    ReportUse,
    Snapshot,
    StyleTemplate,
)
from kangwei.kernel.reporting.outputs.word import default_template

from .test_documents import RIGHTS as DOCUMENT_RIGHTS
from .test_documents import sealed
from .test_services import RIGHTS, frozen

pytestmark = pytest.mark.django_db
PAGE = "/reporting/r/test.accounts/"


@pytest.fixture
def reader(accounts: Report) -> Account:
    return people.account(
        right=[*RIGHTS, *DOCUMENT_RIGHTS, "reporting.manage_template"],
        institution=people.institution("西安市疾控中心"),
        name="王编制",
    )


@pytest.fixture
def browser(reader: Account) -> Client:
    return people.client(reader)


@pytest.fixture
def stranger(accounts: Report) -> Client:
    return people.client(people.account(right=[*RIGHTS, *DOCUMENT_RIGHTS]))


def test_the_index_lists_what_one_may_see_and_finds_by_words(browser: Client) -> None:
    text = browser.get("/reporting/").content.decode()
    assert "账号统计" in text
    assert "报表使用统计" in text
    assert "账号统计" not in browser.get("/reporting/", {"q": "使用"}).content.decode()
    nobody = people.client(people.account())
    assert "账号统计" not in nobody.get("/reporting/").content.decode()


def test_a_report_page_shows_grouped_headings_totals_and_links(browser: Client) -> None:
    text = browser.get(PAGE, {"period": "2026-10"}).content.decode()
    assert '<th scope="colgroup" colspan="2">账号</th>' in text
    assert "合计" in text
    assert "2026年10月" in text
    assert "rp-chart-option" in text
    assert f"{PAGE}details/?" in text


def test_an_empty_address_asks_first(browser: Client) -> None:
    assert "rp-table" not in browser.get(PAGE).content.decode()
    assert not ReportUse.objects.exists()


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({"colour": "red"}, 422, "没有名为“colour”的条件"),
        ({"period": "昨天"}, 422, "无法识别“昨天”"),
        ({"period": "range", "period_from": "2026-03-01", "period_until": "x"}, 422, "无法识别"),
        ({"institution": "999999"}, 404, "没有编号为 999999 的机构"),
    ],
)
def test_what_cannot_be_asked_is_said_on_the_page(
    browser: Client, query: dict[str, str], status: int, said: str
) -> None:
    answer = browser.get(PAGE, query)
    assert answer.status_code == status
    assert said in answer.content.decode()


def test_text_of_the_data_is_never_markup(browser: Client, reader: Account) -> None:
    people.account(institution=people.institution("<script>甲", parent=reader.institution))
    text = browser.get(PAGE, {"run": "1"}).content.decode()
    assert "&lt;script&gt;甲" in text
    assert "<script>甲" not in text


def test_sorting_and_columns_are_kept_per_person(browser: Client, reader: Account) -> None:
    clinic = people.institution("乙", parent=reader.institution)
    for _ in range(2):
        people.account(institution=clinic)
    answer = browser.get(PAGE, {"run": "1"})
    kept = answer.context["kept"].result_id
    text = browser.get(PAGE, {"result": kept, "sort": "-all"}).content.decode()
    assert text.index("乙</th>") < text.index("西安市疾控中心</th>")
    assert 'aria-sort="descending"' in text
    browser.post(f"{PAGE}columns/", {"columns": ["institution", "share"]})
    assert ColumnChoice.objects.get(account=reader).columns == ["institution", "share"]
    text = browser.get(PAGE, {"run": "1"}).content.decode()
    assert '<th scope="colgroup"' not in text
    browser.post(f"{PAGE}columns/", {"reset": "1", "columns": ["share"]})
    assert not ColumnChoice.objects.exists()
    browser.post(f"{PAGE}favourite/")
    assert Favourite.objects.get().report == "test.accounts"
    browser.post(f"{PAGE}favourite/")
    assert not Favourite.objects.exists()


def test_a_report_page_costs_few_queries_however_many_rows(
    browser: Client, reader: Account, django_assert_max_num_queries: Any
) -> None:
    for _ in range(30):
        people.account(institution=people.institution(parent=reader.institution))
    browser.get(PAGE)
    with django_assert_max_num_queries(30):
        browser.get(PAGE, {"run": "1"})


def test_a_report_without_the_right_is_refused(stranger: Client) -> None:
    nobody = people.client(people.account())
    assert nobody.get(PAGE).status_code == 403
    assert Client().get(PAGE).status_code == 302
    assert stranger.get("/reporting/r/no.such/").status_code == 404


def test_snapshots_of_others_are_404_on_every_page(
    accounts: Report, reader: Account, browser: Client, stranger: Client
) -> None:
    made = frozen(accounts, reader)
    for name in ("snapshot", "print_snapshot"):
        address = reverse(f"reporting:{name}", args=[made.pk])
        assert browser.get(address).status_code == 200, name
        assert stranger.get(address).status_code == 404, name
    assert stranger.post(f"/reporting/snapshots/{made.pk}/export/").status_code == 404
    assert stranger.get("/reporting/snapshots/compare/", {"before": made.pk}).status_code == 404
    compared = browser.get("/reporting/snapshots/compare/", {"before": made.pk})
    assert "完全一致" in compared.content.decode()


def test_files_come_with_their_name_and_type(browser: Client) -> None:
    kept = browser.get(PAGE, {"period": "2026-10"}).context["kept"].result_id
    answer = browser.post(f"{PAGE}export/", {"result": kept, "format": "csv"})
    assert answer["Content-Type"].startswith("text/csv")
    assert "2026%E5%B9%B410%E6%9C%88" in answer["Content-Disposition"]
    assert answer.content.startswith("\ufeff机构".encode())
    paper = browser.get(f"{PAGE}print/", {"result": kept})
    assert "<svg" in paper.content.decode()


def test_documents_of_others_are_404_on_every_page(
    monthly: DocumentKind, reader: Account, browser: Client, stranger: Client
) -> None:
    version = sealed(monthly, reader)
    for path in ("", "print/", "file/pdf/", "file/docx/"):
        address = f"/reporting/documents/{version.pk}/{path}"
        assert browser.get(address).status_code == 200, path
        assert stranger.get(address).status_code == 404, path
    for path in ("write/", "refresh/", "seal/", "discard/", "correct/"):
        assert stranger.post(f"/reporting/documents/{version.pk}/{path}").status_code == 404, path
    assert browser.get(f"/reporting/documents/{version.pk}/file/exe/").status_code == 404


def test_a_section_saves_itself_and_tells_of_somebody_else(
    monthly: DocumentKind, reader: Account, browser: Client
) -> None:
    answer = browser.post(
        "/reporting/documents/new/",
        {"kind": monthly.code, "period": "2026-10", "institution": reader.institution_id},
    )
    address = f"{answer.headers['Location']}write/"
    first = browser.post(address, {"section": "plan", "text": "甲", "revision": "0"})
    assert first.json()["revision"] == 1
    again = browser.post(address, {"section": "plan", "text": "乙", "revision": "0"})
    assert again.status_code == 409
    assert "王编制" in again.json()["message"]


def test_a_template_is_checked_before_it_is_believed(browser: Client, reader: Account) -> None:
    def upload(content: bytes, name: str = "模板.docx") -> str:
        answer = browser.post(
            "/reporting/templates/",
            {
                "name": "本院样式",
                "institution": reader.institution_id,
                "content": SimpleUploadedFile(name, content),
            },
            follow=True,
        )
        return str(answer.content.decode())

    assert "检查通过" in upload(default_template())
    assert StyleTemplate.objects.get().institution == reader.institution
    for content, name in ((b"not a zip", "a.docx"), (default_template(), "a.exe")):
        assert "检查通过" not in upload(content, name)
    from io import BytesIO

    from docx import Document as WordFile

    file = WordFile(BytesIO(default_template()))
    file.paragraphs[0].insert_paragraph_before("{{ 不存在的字段 }}")
    broken = BytesIO()
    file.save(broken)
    assert "模板中的字段有误" in upload(broken.getvalue())
    file = WordFile(BytesIO(default_template()))
    caption = file.styles["Caption"]
    caption.element.getparent().remove(caption.element)
    poor = BytesIO()
    file.save(poor)
    assert "模板缺少样式：题注" in upload(poor.getvalue())
    assert StyleTemplate.objects.count() == 1


# ── API ──


def post(browser: Client, path: str, content: Any = None) -> Any:
    return browser.post(
        f"/api/v1{path}",
        json.dumps(content or {}),
        content_type="application/json",
        headers={"Idempotency-Key": str(uuid.uuid4())},
    )


def test_the_api_runs_drills_freezes_and_compares(browser: Client, reader: Account) -> None:
    listed = {one["code"] for one in browser.get("/api/v1/reports").json()}
    assert {"test.accounts", "reporting.usage"} <= listed
    ran = post(browser, "/reports/test.accounts/run", {"parameters": {"period": "2026-10"}}).json()
    assert ran["totals"]["all"] == 1
    assert ran["totals"]["share"] == "100"
    details = post(
        browser,
        "/reports/test.accounts/details",
        {"result": ran["result"], "column": "all", "row": 0},
    ).json()
    assert details["agrees"]
    made = post(browser, "/reports/test.accounts/freeze", {"result": ran["result"]})
    assert made.status_code == 200, made.content
    number = made.json()["id"]
    opened = browser.get(f"/api/v1/snapshots/{number}").json()
    assert opened["verified"]
    assert opened["rows"] == ran["rows"]
    people.account(institution=reader.institution)
    compared = browser.get(f"/api/v1/snapshots/{number}/compare").json()
    assert compared["counts"]["changed"] == 1
    cells = {cell["column"]: cell for cell in compared["rows"][0]["cells"]}
    assert (cells["all"]["delta"], cells["all"]["percent"]) == ("1", "100")


def test_the_api_refuses_what_the_pages_refuse(
    accounts: Report, reader: Account, browser: Client, stranger: Client
) -> None:
    wrong = post(browser, "/reports/test.accounts/run", {"parameters": {"colour": "red"}})
    assert wrong.status_code == 422
    assert wrong.json()["code"] == "reporting.unknown_parameter"
    made = frozen(accounts, reader)
    assert stranger.get(f"/api/v1/snapshots/{made.pk}").status_code == 404
    assert stranger.get("/api/v1/snapshots").json()["total"] == 0


def test_the_api_makes_writes_seals_and_hands_out_a_document(
    monthly: DocumentKind, reader: Account, browser: Client, stranger: Client
) -> None:
    made = post(
        browser,
        "/documents",
        {"kind": monthly.code, "period": "2026-10", "institution": reader.institution_id},
    ).json()
    path = f"/documents/versions/{made['id']}"
    post(browser, f"{path}/text", {"section": "plan", "text": "计划", "revision": 0})
    done = post(browser, f"{path}/seal")
    assert done.json()["number"] == "ZHYB-202610-0001"
    read = browser.get(f"/api/v1{path}").json()
    assert read["genuine"]
    assert [one["key"] for one in read["tree"]["sections"]][:2] == ["summary", "accounts"]
    assert browser.get(f"/api/v1{path}/file/pdf").content.startswith(b"%PDF")
    assert stranger.get(f"/api/v1{path}").status_code == 404
    corrected = post(browser, f"/documents/{made['document_id']}/correct", {"reason": "漏报"})
    assert corrected.json()["version"] == 2
    assert Document.objects.count() == 1


def test_plans_and_subscriptions_over_the_api(browser: Client) -> None:
    when = {"frequency": "monthly", "hour": 8, "day": 1, "parameters": {"period": "previous"}}
    plan = post(browser, "/snapshots/plans", {"report": "test.accounts", **when})
    assert plan.status_code == 200, plan.content
    number = plan.json()["id"]
    assert not post(browser, f"/snapshots/plans/{number}/stop").json()["active"]
    made = post(browser, "/reports/test.accounts/subscribe", when).json()
    assert [one["id"] for one in browser.get("/api/v1/snapshots/subscriptions").json()] == [
        made["id"]
    ]
    assert not post(browser, f"/snapshots/subscriptions/{made['id']}/cancel").json()["active"]
    assert not Snapshot.objects.exists()


def test_favourites_and_columns_over_the_api(browser: Client, reader: Account) -> None:
    path = "/reports/test.accounts"
    assert post(browser, f"{path}/favourite", {"wanted": True}).json() == {"wanted": True}
    assert Favourite.objects.filter(account=reader).count() == 1
    post(browser, f"{path}/favourite", {"wanted": False})
    assert not Favourite.objects.exists()
    chosen = post(browser, f"{path}/columns", {"columns": ["all", "nonsense"]}).json()
    assert chosen == {"columns": ["all"]}
    assert ColumnChoice.objects.get(account=reader).columns == ["all"]
    declared = post(browser, f"{path}/columns", {"columns": []}).json()["columns"]
    assert "all" in declared
    assert len(declared) > 1
    assert not ColumnChoice.objects.exists()


def test_a_template_is_brought_chosen_and_retired_over_the_api(
    monthly: DocumentKind, reader: Account, browser: Client, stranger: Client
) -> None:
    def bring(content: bytes, **fields: Any) -> Any:
        file = SimpleUploadedFile("样式.docx", content)
        data = {"name": "省厅样式", "institution": reader.institution_id, **fields}
        return browser.post("/api/v1/documents/templates", {"file": file, **data})

    assert bring(b"PK no word file").status_code == 422
    made = bring(default_template())
    assert made.status_code == 200, made.content
    number = made.json()["id"]
    assert browser.get("/api/v1/documents/templates").json()[0]["name"] == "省厅样式"
    wanted = {
        "kind": monthly.code, "period": "2026-10", "institution": reader.institution_id,
        "template": number,
    }  # fmt: skip
    missing = post(browser, "/documents", {**wanted, "template": number + 999})
    assert (missing.status_code, missing.json()["field"]) == (404, "template")
    assert post(browser, "/documents", wanted).status_code == 200
    assert DocumentVersion.objects.get().template_id == number
    assert post(stranger, f"/documents/templates/{number}/retire").status_code in {403, 404}
    assert post(browser, f"/documents/templates/{number}/retire").json()["active"] is False

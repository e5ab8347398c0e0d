"""Lists and forms: scope everywhere, query bar, export, remembered habits, two at one form."""

from __future__ import annotations

import io
from typing import Any

import openpyxl
import pytest
from django.test import Client
from django.urls import reverse

from kangwei.kernel.audit.models import Entry
from kangwei.kernel.organisations.models import Department, Institution
from kangwei.kernel.organisations.tests import make
from kangwei.kernel.screens.models import Preference

pytestmark = [pytest.mark.django_db, pytest.mark.urls("kangwei.web.tests.urls")]

LIST = "/manage/organisations/institution/"
ALL = [
    f"organisations.{act}_{model}"
    for model in ("institution", "department", "staff")
    for act in ("view", "add", "change", "delete")
]


class County:
    """A county centre with two clinics of its own, and a stranger's clinic next door."""

    def __init__(self) -> None:
        self.centre = make.institution("碑林区疾控中心", telephone="02987654321")
        self.east = make.institution("东关南街社区卫生服务中心", parent=self.centre)
        self.west = make.institution("=HYPERLINK(西门诊)", parent=self.centre)
        self.foreign = make.institution("宝鸡市金台医院")
        self.officer = make.account(right=ALL, institution=self.centre, name="王芳")
        self.browser = make.client(self.officer)


@pytest.fixture
def county() -> County:
    return County()


def text(client: Client, address: str, **query: Any) -> str:
    answer = client.get(address, query)
    assert answer.status_code == 200, (address, answer.status_code)
    return answer.content.decode()


def test_a_list_shows_ones_own_rows_and_no_foreign_one(county: County) -> None:
    page = text(county.browser, LIST)
    assert "东关南街" in page
    assert "碑林区疾控中心" in page
    assert "金台医院" not in page
    assert "共 3 条" in page


def test_a_foreign_row_is_a_404_to_look_at_to_change_and_to_read_the_history_of(
    county: County,
) -> None:
    for act in ("change", "delete", "history"):
        answer = county.browser.get(f"{LIST}{county.foreign.pk}/{act}/")
        assert answer.status_code == 404, act
        assert "数据范围" in answer.content.decode()


def test_related_choices_end_where_the_scope_ends(county: County) -> None:
    page = text(county.browser, "/manage/organisations/department/add/")
    assert "东关南街" in page
    assert "金台医院" not in page


def test_a_foreign_related_row_sent_by_hand_is_refused(county: County) -> None:
    answer = county.browser.post(
        "/manage/organisations/department/add/",
        {"institution": county.foreign.pk, "name": "信息科", "code": "IT"},
    )
    assert answer.status_code == 200
    assert not Department.objects.filter(institution=county.foreign).exists()


def test_the_query_bar_offers_only_related_rows_in_scope(county: County) -> None:
    make.department(county.east, "信息科")
    page = text(county.browser, "/manage/organisations/department/")
    bar = page[page.index('aria-label="查询条件"') : page.index("kw-list-bar")]
    assert "东关南街" in bar
    assert "金台医院" not in bar


def test_autocomplete_answers_only_rows_in_scope(county: County) -> None:
    answer = county.browser.get(
        "/manage/autocomplete/",
        {
            "app_label": "organisations",
            "model_name": "department",
            "field_name": "institution",
            "term": "",
        },
    )
    found = {row["text"] for row in answer.json()["results"]}
    assert any("东关南街" in name for name in found)
    assert not any("金台医院" in name for name in found)


def test_an_action_across_all_pages_stays_in_scope(county: County) -> None:
    answer = county.browser.post(
        LIST,
        {"action": "touch", "select_across": "1", "index": "0", "_selected_action": county.east.pk},
        follow=True,
    )
    assert "已核对 3 家机构" in answer.content.decode()
    assert Institution.objects.get(pk=county.foreign.pk).address == ""


def test_an_action_on_a_foreign_row_ticked_by_hand_touches_nothing(county: County) -> None:
    county.browser.post(
        LIST,
        {
            "action": "touch",
            "select_across": "0",
            "index": "0",
            "_selected_action": county.foreign.pk,
        },
    )
    assert Institution.objects.get(pk=county.foreign.pk).address == ""


def test_without_the_right_the_list_is_forbidden() -> None:
    stranger = make.client(make.account(right="organisations.view_department"))
    assert stranger.get(LIST).status_code == 403


def test_conditions_narrow_the_list_and_reset_shows_all(county: County) -> None:
    Institution.objects.filter(pk=county.east.pk).update(opened_on="2024-03-01", address="东大街")
    page = text(county.browser, LIST, opened_on__from="2024-03-01", opened_on__to="2024-03-01")
    assert "东关南街" in page
    assert "符合条件的机构 1 条" in page
    assert "符合条件的机构 0 条" in text(county.browser, LIST, opened_on__from="2024-03-02")
    assert "东关南街" in text(county.browser, LIST, address__icontains="东大")
    assert "东关南街" in text(county.browser, LIST, q="东关")


def test_a_date_that_is_none_is_told_and_all_rows_are_shown(county: County) -> None:
    answer = county.browser.get(LIST, {"opened_on__from": "2024-13-45"}, follow=True)
    page = answer.content.decode()
    assert "查询条件有误" in page
    assert "东关南街" in page


def test_an_unknown_parameter_is_told(county: County) -> None:
    answer = county.browser.get(LIST, {"nonsense__exact": "1"}, follow=True)
    assert "查询条件有误" in answer.content.decode()


def test_an_unscoped_related_id_in_a_condition_finds_nothing(county: County) -> None:
    make.department(county.foreign, "检验科")
    page = text(
        county.browser,
        "/manage/organisations/department/",
        institution__id__exact=county.foreign.pk,
    )
    assert "检验科" not in page


def test_the_page_size_is_remembered_by_account(county: County) -> None:
    for number in range(25):
        make.institution(f"社区站{number}", parent=county.centre)
    assert text(county.browser, LIST).count('<th scope="row"') == 20
    assert text(county.browser, LIST, size=50).count('<th scope="row"') == 28
    assert text(county.browser, LIST).count('<th scope="row"') == 28
    assert text(county.browser, LIST, size=7).count('<th scope="row"') == 28


def test_columns_are_remembered_by_account_and_the_first_stays(county: County) -> None:
    county.browser.post(f"{LIST}columns/", {"column": ["name", "kind"]})
    page = text(county.browser, LIST)
    head = page[page.index("<thead>") : page.index("</thead>")]
    assert "机构类别" in head
    assert "所在区划" not in head
    county.browser.post(f"{LIST}columns/", {})
    head = text(county.browser, LIST)
    assert "机构名称" in head[head.index("<thead>") : head.index("</thead>")]
    assert "所在区划" in text(make.client(make.account(right=ALL, institution=county.centre)), LIST)


def test_an_empty_list_says_what_to_do_next() -> None:
    alone = make.client(make.account(right=ALL, institution=make.institution()))
    page = text(alone, "/manage/organisations/department/")
    assert "还没有科室" in page
    assert "新增科室" in page
    assert "没有符合条件的记录" in text(alone, LIST, q="不存在的机构")


def rows_of(answer: Any) -> list[list[Any]]:
    book = openpyxl.load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    sheet = book.active
    assert sheet is not None
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


def test_an_export_has_chinese_headings_own_rows_masked_cells_and_no_formula(
    county: County,
) -> None:
    answer = county.browser.get(f"{LIST}export/", {"format": "xlsx"})
    rows = rows_of(answer)
    assert rows[0] == ["机构名称", "机构类别", "所在区划", "联系电话", "启用日期"]
    names = {row[0] for row in rows[1:]}
    assert names == {"碑林区疾控中心", "东关南街社区卫生服务中心", "'=HYPERLINK(西门诊)"}
    assert not any("02987654321" in str(cell) for row in rows for cell in row)
    line: Any = Entry.objects.filter(act="audit.data.exported").latest("pk")
    assert line.detail["rows"] == 3
    assert line.account_id == county.officer.pk


def test_a_csv_export_follows_the_conditions_and_the_chosen_columns(county: County) -> None:
    county.browser.post(f"{LIST}columns/", {"column": ["name", "region"]})
    answer: Any = county.browser.get(f"{LIST}export/", {"format": "csv", "q": "东关"})
    lines = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()
    assert lines[0] == "机构名称,所在区划"
    assert len(lines) == 2
    assert "东关南街" in lines[1]


def test_an_unknown_format_is_refused_and_not_journalled(county: County) -> None:
    # The journal outlives a flushed test database, so lines are counted.
    before = Entry.objects.filter(act="audit.data.exported").count()
    answer = county.browser.get(f"{LIST}export/", {"format": "exe"})
    assert answer.status_code == 422
    assert "CSV 或 XLSX" in answer.content.decode()
    assert Entry.objects.filter(act="audit.data.exported").count() == before


def test_masked_columns_are_masked_in_list_and_form_and_cannot_be_written(county: County) -> None:
    assert "02987654321" not in text(county.browser, LIST)
    form = text(county.browser, f"{LIST}{county.centre.pk}/change/")
    assert "02987654321" not in form
    assert 'name="telephone"' not in form


def test_a_ledger_offers_neither_new_nor_change_nor_delete(county: County) -> None:
    row = make.staff(county.east, "李静")
    base = "/manage/organisations/staff/"
    page = text(county.browser, base)
    assert "李静" in page
    assert "data-kw-new" not in page
    assert county.browser.get(f"{base}add/").status_code == 403
    assert county.browser.get(f"{base}{row.pk}/delete/").status_code == 403
    answer = county.browser.post(f"{base}{row.pk}/change/", {"name": "改名"})
    assert answer.status_code == 403
    row.refresh_from_db()
    assert row.name == "李静"


DEPARTMENT = "/manage/organisations/department/"


def test_two_people_at_one_form_the_second_is_told_who_was_faster(county: County) -> None:
    row = make.department(county.east, "信息科")
    first = make.client(make.account(right=ALL, institution=county.centre, name="李静"))
    address = f"{DEPARTMENT}{row.pk}/change/"
    seen = [browser.get(address).context["kw_version"] for browser in (first, county.browser)]

    def save(browser: Client, name: str, version: str) -> Any:
        data = {
            "institution": county.east.pk,
            "name": name,
            "code": row.code,
            "_kw_version": version,
        }
        return browser.post(address, data)

    assert save(first, "信息中心", seen[0]).status_code == 302
    answer = save(county.browser, "网络科", seen[1])
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "李静（" in page
    assert "没有保存" in page
    row.refresh_from_db()
    assert row.name == "信息中心"


def test_a_change_in_a_form_is_in_the_journal_and_on_the_history_page(county: County) -> None:
    row = make.department(county.east, "信息科")
    address = f"{DEPARTMENT}{row.pk}/change/"
    version = county.browser.get(address).context["kw_version"]
    data = {
        "institution": county.east.pk,
        "name": "信息中心",
        "code": row.code,
        "_kw_version": version,
    }
    assert county.browser.post(address, data).status_code == 302
    entry = Entry.objects.filter(act="organisations.department.edited").latest("pk")
    assert (entry.account_id, entry.object_id) == (county.officer.pk, str(row.pk))
    page = text(county.browser, f"{DEPARTMENT}{row.pk}/history/")
    assert "修改科室" in page
    assert "王芳" in page
    assert "信息中心" in page


def test_a_list_costs_a_steady_number_of_queries(
    county: County, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        make.institution(f"社区站{number}", parent=county.centre)
    county.browser.get(LIST)
    with django_assert_max_num_queries(20):
        county.browser.get(LIST)


def test_preferences_of_one_account_are_not_anothers(county: County) -> None:
    Preference.objects.write(county.officer, "page_size", 100)
    other = make.account(institution=county.centre)
    assert Preference.objects.read(other, "page_size", 20) == 20
    assert Preference.objects.read(county.officer, "page_size", 20) == 100


def test_the_add_button_is_found_by_the_keyboard(county: County) -> None:
    page = text(county.browser, LIST)
    assert "data-kw-new" in page
    assert reverse("admin:organisations_institution_add") in page

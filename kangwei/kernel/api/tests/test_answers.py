"""Lists, errors, the description, the catalogue of codes and the probes."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema_rs
import pytest
from django.db import OperationalError, connection
from django.test import Client
from ninja import Schema

from kangwei.kernel.api import errors, openapi, probes, registry, site, traffic
from kangwei.kernel.api.models import Traffic
from kangwei.kernel.api.registry import KwRouter
from kangwei.kernel.api.tests import sample
from kangwei.kernel.api.tests.conftest import Caller, pressed
from kangwei.kernel.api.tests.test_gate import refusal
from kangwei.kernel.audit import queries as audit
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make
from kangwei.kernel.refusals import catalogue

pytestmark = pytest.mark.django_db


# --- lists -----------------------------------------------------------------------------------


@pytest.fixture
def clinics(robot: Account) -> list[str]:
    """Three clinics below robot's own institution, and one elsewhere."""
    names = ["丙门诊", "甲门诊", "乙门诊"]
    for number, name in enumerate(names):
        make.institution(name, parent=robot.institution, code=f"C{number}")
    make.institution("别处门诊")
    return names


def test_a_list_shows_what_the_account_may_see_and_nothing_else(
    caller: Caller, clinics: list[str]
) -> None:
    body = json.loads(caller.get("/institutions").content)
    assert {"items", "total", "page", "size"} == set(body)
    assert {item["name"] for item in body["items"]} == {*clinics, caller.account.institution.name}
    assert body["total"] == 4


def test_pages_part_a_list_without_loss_or_repetition(caller: Caller, clinics: list[str]) -> None:
    pages = [
        json.loads(caller.get(f"/institutions?size=2&page={page}&order=-code").content)
        for page in (1, 2, 3)
    ]
    names = [item["code"] for page in pages for item in page["items"]]
    assert names == sorted(names, reverse=True)
    assert [len(page["items"]) for page in pages] == [2, 2, 0]
    assert len(set(names)) == 4


def test_only_named_fields_order_a_list(caller: Caller) -> None:
    body = refusal(caller.get("/institutions?order=name,-address"), 422, "api.unknown_order")
    assert body["field"] == "order"
    assert "code、name" in body["message"]


def test_an_unknown_parameter_is_named_not_ignored(caller: Caller) -> None:
    body = refusal(caller.get("/institutions?seize=10"), 422, "api.unknown_parameter")
    assert body["field"] == "seize"
    assert "size" in body["message"]


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("page=0", "page", "不能小于 1"),
        ("page=x", "page", "应为整数"),
        ("size=201", "size", "不能大于 200"),
        ("page=1&kind=%00", "kind", "空字符"),
    ],
)
def test_a_bad_parameter_is_said_in_chinese(
    caller: Caller, query: str, field: str, said: str
) -> None:
    body = refusal(caller.get(f"/institutions?{query}"), 422, "api.invalid_input")
    assert body["field"] == field
    assert said in body["message"]


def test_another_institutions_row_looks_absent(caller: Caller, clinics: list[str]) -> None:
    foreign = make.institution("别处")
    refusal(caller.get(f"/institutions/{foreign.pk}"), 404, "not_found")
    refusal(caller.get("/institutions/99999999999999999999999"), 404, "not_found")
    own = caller.account.institution
    assert json.loads(caller.get(f"/institutions/{own.pk}").content)["name"] == own.name


# --- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "status", "code", "field"),
    [
        (b"{", 400, "api.bad_json", None),
        (b"\xff\xfe", 400, "api.bad_json", None),
        (b'{"floor": NaN}', 400, "api.bad_json", None),
        (b'{"floor": 3, "note": "\\ud800"}', 400, "api.bad_json", None),
        (b"[" * 100_000, 400, "api.bad_json", None),
        (b'{"floor": 3, "note": "a\\u0000b"}', 422, "api.invalid_input", None),
        (b"{}", 422, "api.invalid_input", "floor"),
        (b"[]", 422, "api.invalid_input", "floor"),
        (b'{"floor": 31}', 422, "api.invalid_input", "floor"),
        (b'{"floor": "three"}', 422, "api.invalid_input", "floor"),
        (b'{"floor": 3, "mood": "bad"}', 422, "api.invalid_input", "mood"),
        (b'{"floor": 3, "on": "2026-02-30"}', 422, "api.invalid_input", "on"),
        (b'{"floor": 3, "note": "12345678901"}', 422, "api.invalid_input", "note"),
    ],
)
def test_bad_content_is_refused_by_field_and_does_nothing(
    caller: Caller, content: bytes, status: int, code: str, field: str | None
) -> None:
    body = refusal(caller.act("/press", content), status, code)
    assert body["field"] == field
    assert not any(letter in body["message"] for letter in "{}"), "a template not filled in"
    assert any("一" <= letter <= "鿿" for letter in body["message"])
    assert pressed() == 0


def test_a_body_of_another_type_is_415(caller: Caller) -> None:
    response = caller.act("/press", b"floor=3", content_type="application/x-www-form-urlencoded")
    assert "application/json" in refusal(response, 415, "api.wrong_content_type")["message"]


def test_a_body_too_large_is_413(caller: Caller, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    response = caller.act("/press", {"floor": 3, "note": "x" * 100})
    refusal(response, 413, "api.too_large")


def test_an_unknown_address_and_a_wrong_method_have_the_same_form(caller: Caller) -> None:
    refusal(caller.get("/nothing"), 404, "api.no_such_address")
    response = caller.get("/press")
    body = refusal(response, 405, "api.wrong_method")
    assert response["Allow"] == "POST"
    assert "POST" in body["message"]


def test_a_database_that_is_away_asks_for_patience(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OperationalError("the database system is starting up")

    monkeypatch.setattr("kangwei.kernel.api.tests.sample.paginate", away)
    response = caller.get("/institutions")
    refusal(response, 503, "api.unavailable")
    assert response["Retry-After"] == "5"


def test_the_unforeseen_is_logged_once_with_its_trace(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "kangwei.api"):
        caller.act("/press", {"floor": 3, "mood": "stumble"})
    [record] = [record for record in caplog.records if record.name == "kangwei.api"]
    assert record.exc_info is not None


def test_many_errors_are_one_sentence_and_the_rest_is_counted() -> None:
    found = errors.from_pydantic(
        [{"loc": ("body", "content", f"f{n}"), "type": "missing"} for n in range(7)]
    )
    assert found.field == "f0"
    assert found.message.startswith("f0 缺少必填项；f1 缺少必填项")
    assert "另有 2 处" in found.message


def test_a_file_passes_as_it_is(caller: Caller) -> None:
    response = caller.get("/file")
    assert (response.content, response["Content-Type"]) == (b"a,b\n", "text/csv")


def test_a_time_without_zone_is_shanghai_time_at_every_depth() -> None:
    class Inner(Schema):
        at: datetime
        note: str = ""

    class Outer(Schema):
        inner: Inner
        many: list[Inner]

    naive, utc = datetime(2026, 2, 12, 10), datetime(2026, 2, 12, 2, tzinfo=UTC)
    given = Outer(inner=Inner(at=naive), many=[Inner(at=utc), Inner(at=naive)])
    found = registry.in_local_time({"content": given, "page": 1})
    assert found["content"].inner.at == utc
    assert [one.at for one in found["content"].many] == [utc, utc]
    assert found["content"].inner.at.tzinfo is not None
    assert found["page"] == 1


# --- registry --------------------------------------------------------------------------------


def test_operations_tell_the_matrix_of_accesses_what_to_try(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "_routers", [("/sample", sample.router)])
    found = {one.name: one for one in registry.operations()}
    assert found["tests.press"].path == "/api/v1/sample/press"
    assert (found["tests.press"].method, found["tests.press"].is_act) == ("POST", True)
    assert found["tests.institutions"].right == sample.VIEW
    assert found["tests.institutions"].rows.__name__ == "Institution"  # type: ignore[union-attr]


def test_a_prefix_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_routers", [])
    registry.register_router("/sample", KwRouter(tag="样例"))
    with pytest.raises(ValueError, match="/sample is registered twice"):
        registry.register_router("/sample", KwRouter(tag="样例"))


def test_every_operation_of_the_product_names_a_right_that_exists() -> None:
    from django.contrib.auth.models import Permission

    rights = {
        f"{label}.{codename}"
        for label, codename in Permission.objects.values_list("content_type__app_label", "codename")
    }
    for one in registry.operations():
        assert one.right is None or one.right in rights, one


# --- description -----------------------------------------------------------------------------


def test_the_description_is_valid_openapi_3_1() -> None:
    from schemathesis.specs.openapi import definitions

    document = openapi.document()
    assert document["openapi"].startswith("3.1")
    definitions.OPENAPI_31_VALIDATOR.validate(document)
    names = [
        operation["operationId"]
        for methods in document["paths"].values()
        for operation in methods.values()
    ]
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_every_schema_of_the_description_is_a_valid_json_schema() -> None:
    for document in (openapi.document(), openapi.describe(sample.api)):
        for schema in document["components"]["schemas"].values():
            jsonschema_rs.meta.validate(schema)


def test_every_operation_is_described_in_chinese_with_its_errors_and_security() -> None:
    for document in (openapi.document(), openapi.describe(sample.api)):
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                place = f"{method} {path}"
                assert any("一" <= letter <= "鿿" for letter in operation["summary"]), place
                assert operation["security"] == [{"key": []}, {"session": []}], place
                assert {"401", "403", "404", "422", "429"} <= set(operation["responses"]), place


def test_acts_show_their_idempotency_key_and_their_example() -> None:
    document = openapi.describe(sample.api)
    press = document["paths"]["/api/v1/sample/press"]["post"]
    assert "Idempotency-Key" in [parameter["name"] for parameter in press["parameters"]]
    assert press["requestBody"]["content"]["application/json"]["example"] == {"floor": 3}
    assert press["x-right"] == sample.PRESS
    question = document["paths"]["/api/v1/sample/institutions"]["get"]
    names = [parameter["name"] for parameter in question["parameters"]]
    assert names == ["page", "size", "order", "kind"]


def test_the_description_and_the_codes_are_for_whoever_is_signed_in(
    client: Client, caller: Caller, settings: Any
) -> None:
    settings.ROOT_URLCONF = "kangwei.web.urls"
    for path in ("/api/v1/openapi.json", "/api/v1/codes"):
        assert client.get(path).status_code == 401
        answer = caller.client.get(path, headers={"Authorization": caller.header})
        assert answer.status_code == 200
        assert answer.json()


def test_every_code_is_unique_titled_and_has_an_error_status() -> None:
    kinds = list(catalogue())
    own = [kind for kind in kinds if kind.__module__.startswith("kangwei.")]
    shared = [code for code, count in Counter(kind.code for kind in own).items() if count > 1]
    assert shared == [], "two refusals with one code, or one without a code of its own"
    for kind in own:
        assert kind.code == kind.code.lower(), kind
        assert any("一" <= letter <= "鿿" for letter in kind.title), kind
        assert 400 <= kind.status < 600, kind
    listed = [code.code for code in errors.codes()]
    assert listed == sorted(listed)
    assert {"api.still_running", "not_found"} <= set(listed)


# --- probes ----------------------------------------------------------------------------------


def test_a_living_process_says_so_without_a_query(
    client: Client, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        assert client.get("/healthz").content == b"ok\n"


def test_a_ready_site_passes_every_check(client: Client, clerk_lags: Any) -> None:
    clerk_lags(timedelta(seconds=59))
    body = client.get("/readyz").json()
    assert body["checks"] == dict.fromkeys(("database", "tables", "queue", "journal"), "ok")
    assert body["ready"] is True


@pytest.fixture
def clerk_lags(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the oldest unchained line be this old; the test's own lines are never chained."""

    def lag(age: timedelta) -> None:
        state = dataclasses.replace(
            audit.chain_state(), oldest_unchained_at=datetime.now(UTC) - age
        )
        monkeypatch.setattr(audit, "chain_state", lambda: state)

    return lag


def test_a_journal_that_nobody_chains_is_not_ready(client: Client, clerk_lags: Any) -> None:
    clerk_lags(timedelta(seconds=61))
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "未记账" in response.json()["checks"]["journal"]


def test_a_site_that_is_not_ready_says_what_is_missing(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(probes.CHECKS, "queue", lambda: "任务队列的表不存在")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json()["checks"]["queue"] == "任务队列的表不存在"


def test_metrics_are_prometheus_text_and_count_what_was_answered(
    client: Client, caller: Caller
) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    def answered() -> dict[tuple[str, str], float]:
        text = client.get("/metrics").content.decode()
        families = {family.name: family for family in text_string_to_metric_families(text)}
        assert {"kw_requests", "kw_request_seconds", "kw_jobs", "kw_workers"} <= set(families)
        return {
            (one.labels["operation"], one.labels["status"]): one.value
            for one in families["kw_requests"].samples
        }

    before = answered()
    for _ in range(3):
        caller.get("/whoami")
    caller.get("/nothing")
    after = answered()
    whoami = ("GET /api/v1/sample/whoami", "200")
    assert after[whoami] - before.get(whoami, 0) == 3
    assert not any("nothing" in operation for operation, _ in after)


def test_metrics_are_not_for_strangers_from_afar(
    client: Client, robot: Account, settings: Any
) -> None:
    far: dict[str, Any] = {"REMOTE_ADDR": "203.0.113.9"}
    assert client.get("/metrics", **far).status_code == 401
    settings.KW_METRICS_ADDRESSES = ["203.0.113.0/24"]
    assert client.get("/metrics", **far).status_code == 200
    settings.KW_METRICS_ADDRESSES = []
    watcher = Caller(make.account(right="api.view_metrics"), scopes=["api.view_metrics"])
    answer = client.get("/metrics", headers={"Authorization": watcher.header}, **far)
    assert answer.status_code == 200
    refused = client.get("/metrics", headers={"Authorization": Caller(robot).header}, **far)
    assert refused.status_code == 403


def test_counting_survives_a_lost_database(monkeypatch: pytest.MonkeyPatch) -> None:
    traffic.flush()
    before = sum(Traffic.objects.values_list("requests", flat=True))
    traffic._sums["GET /x", 200] = (2, 0.1)

    class Lost:
        def __enter__(self) -> None:
            raise OperationalError

        def __exit__(self, *_: object) -> None: ...

    with monkeypatch.context() as patched:
        patched.setattr(connection, "cursor", Lost)
        traffic.flush()
    traffic.flush()
    assert sum(Traffic.objects.values_list("requests", flat=True)) == before + 2


def test_the_counters_are_unlogged() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relpersistence = 'u' AND relkind = 'r'")
        assert {"api_callwindow", "api_traffic"} <= {name for (name,) in cursor.fetchall()}


def test_the_product_has_one_api() -> None:
    assert site.build_api() is site.build_api()

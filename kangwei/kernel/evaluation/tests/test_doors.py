"""The three doors of trial calculation: command, interface, page."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from kangwei.kernel.audit.models import Entry
from kangwei.kernel.evaluation import registry, services
from kangwei.kernel.evaluation.registry import Engine
from kangwei.kernel.organisations.tests import make

ROOT = Path(__file__).resolve().parents[4]
CASES = [{"id": "甲", "date": "2026-02-13", "add_workdays": 3}, {"id": "乙", "date": "没有"}]
LINES = "\n".join(json.dumps(case, ensure_ascii=False) for case in CASES).encode()


def command(*arguments: str, given: bytes) -> subprocess.CompletedProcess[bytes]:
    """The command as an operator calls it, with no database anywhere and a plain locale."""
    return subprocess.run(
        [sys.executable, "manage.py", "evaluate", *arguments],
        cwd=ROOT,
        input=given,
        capture_output=True,
        check=False,
        env={
            **os.environ,
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere",
            "KW_TESTING": "1",
            "LC_ALL": "C",
        },
    )


@pytest.mark.process
class TestCommand:
    def test_lines_go_in_and_answers_come_out_in_order_without_a_database(self) -> None:
        done = command("workday", given=LINES + b"\n{\n")
        assert done.returncode == 0, done.stderr
        answers = [json.loads(line) for line in done.stdout.decode().splitlines()]
        assert [answer["id"] for answer in answers] == ["甲", "乙", None]
        assert answers[0]["result"] == "2026-02-25"
        assert answers[1]["error"]["field"] == "date"
        assert answers[2]["error"]["code"] == "evaluation.bad_json"

    def test_an_unknown_engine_is_a_sentence_on_the_other_stream(self) -> None:
        done = command("nix", given=b"")
        assert (done.returncode, done.stdout) == (2, b"")
        assert "没有名为“nix”的试算引擎" in done.stderr.decode()
        assert "workday" in done.stderr.decode()

    def test_a_reader_that_has_seen_enough_ends_it_quietly(self, tmp_path: Path) -> None:
        many = tmp_path / "many.jsonl"
        many.write_bytes(b'{"id": 0, "date": "2026-02-13"}\n' * 20_000)
        with (
            many.open("rb") as cases,
            subprocess.Popen(
                [sys.executable, "manage.py", "evaluate", "workday"],
                cwd=ROOT,
                stdin=cases,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "KW_TESTING": "1"},
            ) as process,
        ):
            assert process.stdout is not None
            assert process.stderr is not None
            assert json.loads(process.stdout.readline())["id"] == 0
            process.stdout.close()
            assert process.stderr.read() == b""
        assert process.returncode == 0


@pytest.mark.django_db
class TestInterface:
    def post(self, content: Any, engine: str = "workday") -> Any:
        return make.client(make.account()).post(
            f"/api/v1/evaluate/{engine}",
            data=json.dumps(content),
            content_type="application/json",
        )

    def test_an_array_is_answered_and_journalled_with_its_digest(self) -> None:
        answers = self.post(CASES).json()
        assert answers[0]["result"] == "2026-02-25"
        assert answers[1]["error"]["field"] == "date"
        entry = Entry.objects.filter(act="evaluation.tried").latest("id")
        assert entry.detail["engine"] == "workday"
        assert entry.detail["cases"] == 2
        assert len(entry.detail["sm3"]) == 64

    def test_the_same_cases_have_the_same_digest(self) -> None:
        self.post(CASES)
        self.post(CASES)
        digests = [
            entry.detail["sm3"]
            for entry in Entry.objects.filter(act="evaluation.tried").order_by("-id")[:2]
        ]
        assert digests[0] == digests[1]

    def test_cases_that_are_no_objects_are_answered_too(self) -> None:
        assert [answer["error"]["code"] for answer in self.post([1, "x", None]).json()] == [
            "evaluation.bad_case"
        ] * 3

    def test_an_unknown_engine_is_404(self) -> None:
        response = self.post(CASES, engine="nix")
        assert (response.status_code, response.json()["code"]) == (404, "evaluation.unknown_engine")

    def test_too_many_cases_are_413(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(services, "MOST_CASES", 1)
        response = self.post(CASES)
        assert (response.status_code, response.json()["code"]) == (413, "evaluation.too_many_cases")

    def test_the_engines_are_listed_with_a_working_example(self) -> None:
        listed = make.client(make.account()).get("/api/v1/evaluate").json()
        assert "workday" in [engine["name"] for engine in listed]
        for engine in listed:
            [answer] = self.post([engine["example"]], engine=engine["name"]).json()
            assert "error" not in answer, answer

    def test_a_stranger_is_turned_away(self, client: Client) -> None:
        assert client.get("/api/v1/evaluate").status_code == 401


@pytest.mark.django_db
class TestPage:
    def send(self, **fields: Any) -> Any:
        given = {"engine": "workday", **fields}
        return make.client(make.account()).post("/evaluation/", given)

    def test_a_dropped_file_is_answered_beside_its_cases(self) -> None:
        text = self.send(file=SimpleUploadedFile("cases.jsonl", LINES)).content.decode()
        assert "2026-02-25" in text
        assert "date 应是日期" in text
        assert "共 2 个案例" in text
        assert "1 个不能判定" in text

    def test_typed_cases_are_answered_too(self) -> None:
        assert "2026-02-25" in self.send(text=LINES.decode()).content.decode()

    def test_the_answers_are_taken_along_as_lines_or_as_a_table(self) -> None:
        lines = self.send(text=LINES.decode(), **{"as": "jsonl"})
        assert lines["Content-Disposition"] == 'attachment; filename="workday-answers.jsonl"'
        assert [json.loads(line)["id"] for line in lines.content.decode().splitlines()] == [
            "甲",
            "乙",
        ]
        table = self.send(text=LINES.decode(), **{"as": "csv"}).content.decode()
        assert table.startswith("\ufeffid,date,")
        assert len(table.splitlines()) == 3

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({}, "请选择案例文件"),
            ({"text": "   "}, "请选择案例文件"),
            ({"file": SimpleUploadedFile("x.jsonl", "王".encode("gb18030"))}, "UTF-8"),
            ({"file": SimpleUploadedFile("x.json", b"[{")}, "JSON 数组"),
            ({"engine": "nix", "text": "{}"}, "nix"),
        ],
    )
    def test_what_cannot_be_read_is_said_on_the_page(
        self, fields: dict[str, Any], said: str
    ) -> None:
        response = self.send(**fields)
        assert response.status_code == 200
        assert said in response.content.decode()

    def test_a_file_too_large_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(services, "MOST_BYTES", 10)
        assert "不能超过" in self.send(text=LINES.decode()).content.decode()

    def test_the_page_costs_few_queries(self, django_assert_max_num_queries: Any) -> None:
        browser = make.client(make.account())
        browser.get("/evaluation/")
        with django_assert_max_num_queries(12):
            assert browser.get("/evaluation/").status_code == 200

    def test_a_stranger_is_led_to_the_sign_in(self, client: Client) -> None:
        response = client.get("/evaluation/")
        assert response.status_code == 302
        assert "/sign-in/" in response["Location"]


def test_an_engine_is_registered_once() -> None:
    known = registry.find_engine("workday")
    assert known is not None
    with pytest.raises(ValueError, match="workday is registered twice"):
        registry.register_engine(Engine("workday", "", known.evaluate, {}, ""))

"""An act happens once per key: replayed, refused for other content, never half done."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.template import engines
from django.test import Client, RequestFactory

from kangwei.kernel import clock
from kangwei.kernel.api import services
from kangwei.kernel.api.idempotency import content_digest
from kangwei.kernel.api.models import IdempotentAnswer
from kangwei.kernel.api.tests import sample
from kangwei.kernel.api.tests.conftest import Caller, acts, pressed
from kangwei.kernel.api.tests.test_gate import refusal
from kangwei.kernel.audit.models import Entry
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.tests import make

KEY = "0c1f7c0e-52f1-4b7c-9a55-1f3f0f6b7a10"


@pytest.mark.django_db
class TestOneAfterTheOther:
    def test_the_same_request_gets_the_same_answer(self, caller: Caller) -> None:
        first = caller.act("/press", {"floor": 3}, key=KEY)
        again = caller.act("/press", {"floor": 3}, key=KEY)
        assert first.status_code == again.status_code == 200
        assert first.content == again.content
        assert first["Content-Type"] == again["Content-Type"] == "application/json"
        assert ("Idempotent-Replayed" in first, again["Idempotent-Replayed"]) == (False, "true")
        assert pressed() == 1

    def test_other_content_under_the_same_key_is_a_conflict(self, caller: Caller) -> None:
        caller.act("/press", {"floor": 3}, key=KEY)
        refusal(caller.act("/press", {"floor": 4}, key=KEY), 409, "api.key_reused")
        refusal(caller.act("/silent", {}, key=KEY), 409, "api.key_reused")
        assert pressed() == 1

    def test_another_account_may_use_the_same_key(self, caller: Caller) -> None:
        other = Caller(make.account(right=[sample.VIEW, sample.PRESS]))
        caller.act("/press", {"floor": 3}, key=KEY)
        assert "Idempotent-Replayed" not in other.act("/press", {"floor": 3}, key=KEY)
        assert pressed() == 2

    def test_two_keys_of_one_account_share_its_answers(self, caller: Caller) -> None:
        second = Caller(caller.account)
        caller.act("/press", {"floor": 3}, key=KEY)
        assert second.act("/press", {"floor": 3}, key=KEY)["Idempotent-Replayed"] == "true"

    def test_a_program_must_send_a_key(self, caller: Caller) -> None:
        refusal(caller.act("/press", {"floor": 3}, key=None), 422, "api.idempotency_key_missing")
        assert pressed() == 0

    @pytest.mark.parametrize("key", ["short", "with space here", "x" * 201, "键键键键键键键键"])
    def test_a_malformed_key_is_refused(self, caller: Caller, key: str) -> None:
        response = caller.act("/press", {"floor": 3}, key=key)
        refusal(response, 422, "api.idempotency_key_malformed")

    def test_a_page_may_act_without_a_key(self, robot: Account) -> None:
        browser = make.client(robot)
        for _ in range(2):
            answer = browser.post(
                "/api/v1/sample/press", data='{"floor": 3}', content_type="application/json"
            )
            assert answer.status_code == 200
        assert pressed() == 2
        assert not IdempotentAnswer.objects.exists()

    def test_an_act_without_answer_is_replayed_too(self, caller: Caller) -> None:
        codes = [caller.act("/silent", {}, key=KEY).status_code for _ in range(2)]
        assert (codes, pressed()) == ([204, 204], 1)

    def test_a_refusal_undoes_the_act_is_journalled_once_and_replayed(self, caller: Caller) -> None:
        content = {"floor": 3, "mood": "broken"}
        first = caller.act("/press", content, key=KEY)
        body = refusal(first, 409, "test.button_broken")
        assert (body["message"], body["field"]) == ("3 楼的按钮坏了，请走楼梯。", "floor")
        again = caller.act("/press", content, key=KEY)
        assert again.content == first.content
        assert pressed() == 0
        assert [act for act, _ in acts()].count("api.act.refused") == 1
        entry = Entry.objects.filter(act="api.act.refused").latest("id")
        assert entry.detail == {
            "operation": "tests.press",
            "code": "test.button_broken",
            "field": "floor",
        }

    def test_the_unforeseen_leaves_nothing_and_may_be_tried_again(self, caller: Caller) -> None:
        body = refusal(
            caller.act("/press", {"floor": 3, "mood": "stumble"}, key=KEY), 500, "api.unforeseen"
        )
        assert body["trace_id"] in body["message"]
        assert (pressed(), IdempotentAnswer.objects.count()) == (0, 0)
        assert caller.act("/press", {"floor": 3}, key=KEY).status_code == 200

    def test_a_number_beyond_its_column_is_the_callers_mistake(self, caller: Caller) -> None:
        response = caller.act("/press", {"floor": 3, "mood": "large"})
        refusal(response, 422, "api.invalid_input")
        assert pressed() == 0

    def test_an_upload_is_known_by_its_content_not_its_boundary(self, caller: Caller) -> None:
        def send(content: bytes, boundary: str) -> Any:
            body = (
                (
                    f"--{boundary}\r\nContent-Disposition: form-data; name=document; "
                    "filename=a.csv\r\nContent-Type: text/csv\r\n\r\n"
                ).encode()
                + content
                + f"\r\n--{boundary}--\r\n".encode()
            )
            return caller.act(
                "/upload", body, key=KEY, content_type=f"multipart/form-data; boundary={boundary}"
            )

        assert send(b"a,b", "one").json() == {"size": 3}
        assert send(b"a,b", "two")["Idempotent-Replayed"] == "true"
        refusal(send(b"a,c", "three"), 409, "api.key_reused")
        assert pressed() == 1

    def test_answers_are_kept_for_48_hours(self, caller: Caller) -> None:
        caller.act("/press", {"floor": 3}, key=KEY)
        written = IdempotentAnswer.objects.get().created_at
        assert services.delete_old_answers(at=written + timedelta(hours=48)) == 0
        assert services.delete_old_answers(at=written + timedelta(hours=48, seconds=1)) == 1

    def test_a_refused_request_keeps_no_answer_before_the_act(self, caller: Caller) -> None:
        refusal(caller.act("/press", {"floor": 0}, key=KEY), 422, "api.invalid_input")
        assert caller.act("/press", {"floor": 1}, key=KEY).status_code == 200


@pytest.mark.django_db
class TestForms:
    def test_a_double_click_acts_once_and_leads_to_the_same_page(self, robot: Account) -> None:
        browser = make.client(robot)
        content = {"floor": "3", "_once": "aB3-xyz"}
        places = {browser.post("/form", content)["Location"] for _ in range(3)}
        assert (len(places), pressed()) == (1, 1)

    def test_a_new_form_acts_again(self, robot: Account) -> None:
        browser = make.client(robot)
        browser.post("/form", {"floor": "3", "_once": "first-token"})
        browser.post("/form", {"floor": "3", "_once": "second-token"})
        assert pressed() == 2

    def test_a_form_that_is_redrawn_has_not_acted(self, robot: Account) -> None:
        browser = make.client(robot)
        assert browser.post("/form", {"_once": "aB3-xyz"}).status_code == 200
        assert browser.post("/form", {"floor": "3", "_once": "aB3-xyz"}).status_code == 302
        assert pressed() == 1

    def test_the_tag_gives_each_form_a_token_of_its_own(self) -> None:
        template = engines["django"].from_string("{% load once %}{% once %}")
        first, second = template.render(), template.render()
        assert first.startswith('<input type="hidden" name="_once" value="')
        assert first != second


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    @pytest.fixture(autouse=True)
    def _gate(self) -> Iterator[None]:
        sample.hold.clear()
        sample.reached.clear()
        yield
        sample.hold.set()

    @staticmethod
    def _send(header: str, content: Any, key: str) -> tuple[int, bytes, str]:
        """In a thread of its own, which has a connection of its own."""
        try:
            response = Client().post(
                "/api/v1/sample/press",
                data=json.dumps(content),
                content_type="application/json",
                headers={"Authorization": header, "Idempotency-Key": key},
            )
            return response.status_code, response.content, response.get("Retry-After", "")
        finally:
            connection.close()

    def test_twenty_at_once_with_one_key_act_once(self, caller: Caller) -> None:
        with ThreadPoolExecutor(20) as pool:
            answers = list(
                pool.map(lambda _: self._send(caller.header, {"floor": 3}, KEY), range(20))
            )
        assert pressed() == 1
        done = {body for status, body, _ in answers if status == 200}
        assert len(done) == 1, "whoever is answered is answered the same"
        assert {status for status, _, _ in answers} <= {200, 409}
        assert self._send(caller.header, {"floor": 3}, KEY)[1] in done

    def test_while_the_first_runs_the_second_is_told_to_wait(self, caller: Caller) -> None:
        content = {"floor": 3, "mood": "slow"}
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(self._send, caller.header, content, KEY)
            assert sample.reached.wait(10)
            status, body, retry_after = self._send(caller.header, content, KEY)
            assert (status, retry_after) == (409, "2")
            assert b"api.still_running" in body
            # Another key is not held up.
            assert self._send(caller.header, {"floor": 4}, str(uuid.uuid4()))[0] == 200
            sample.hold.set()
            assert first.result()[0] == 200
        assert self._send(caller.header, content, KEY)[:2] == first.result()[:2]

    def test_two_clicks_at_once_lead_to_one_page(self, robot: Account) -> None:
        session = make.client(robot).cookies

        def click(_: int) -> str:
            browser = Client()
            browser.cookies = session
            try:
                return str(browser.post("/form", {"floor": "3", "_once": "aB3"})["Location"])
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            places = set(pool.map(click, range(4)))
        assert (len(places), pressed()) == (1, 1)

    def test_a_broken_connection_before_the_commit_leaves_nothing(self, caller: Caller) -> None:
        """The server loses its database in the middle of the act: no act, no answer; try again."""
        content = {"floor": 3, "mood": "slow"}
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(self._send, caller.header, content, KEY)
            assert sample.reached.wait(10)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    " AND state = 'idle in transaction'"
                )
                assert cursor.fetchone() == (1,)
            sample.hold.set()
            status, body, retry_after = first.result()
        assert (status, retry_after) == (503, "5"), body
        assert (pressed(), IdempotentAnswer.objects.count()) == (0, 0)
        assert self._send(caller.header, content, KEY)[0] == 200
        assert pressed() == 1


@pytest.mark.django_db
def test_old_answers_are_told_by_the_clock_given(caller: Caller) -> None:
    caller.act("/press", {"floor": 3})
    assert services.delete_old_answers(at=clock.now()) == 0


def test_a_file_is_rewound_after_its_digest() -> None:
    file = SimpleUploadedFile("a.csv", b"a,b")
    request = RequestFactory().post("/x", {"document": file, "note": "n"})
    first = content_digest(request)
    [document] = request.FILES.getlist("document")
    assert document.read() == b"a,b"
    assert content_digest(request) == first

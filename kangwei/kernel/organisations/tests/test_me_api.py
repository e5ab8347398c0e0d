"""One's own account over the API: the same acts, proofs and limits as on the pages."""

from __future__ import annotations

import base64
import io
import uuid
from datetime import timedelta
from typing import Any

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from kangwei.kernel import clock
from kangwei.kernel.api import services as keys
from kangwei.kernel.audit.models import Entry
from kangwei.kernel.organisations.models import Account
from kangwei.kernel.organisations.rules import totp
from kangwei.kernel.organisations.services import importing
from kangwei.kernel.organisations.services.second_factor import is_enrolled
from kangwei.kernel.organisations.tests import make
from kangwei.kernel.organisations.tests.test_imports import sheet

pytestmark = pytest.mark.django_db
ME = "/api/v1/me"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


def act(browser: Client, path: str, content: Any = None, **headers: str) -> Any:
    headers = {"Idempotency-Key": str(uuid.uuid4()), **headers}
    return browser.post(path, content or {}, content_type="application/json", headers=headers)


@pytest.fixture
def nurse() -> Account:
    return make.account("nurse", right="api.use_api_keys")


@pytest.fixture
def browser(nurse: Account) -> Client:
    return make.client(nurse)


def test_the_password_changes_and_this_browser_stays_signed_in(
    browser: Client, nurse: Account
) -> None:
    nurse.set_password("Old-pass-2026!")
    nurse.must_change_password = True
    nurse.save()
    other = make.client(nurse)
    browser = make.client(nurse)
    assert browser.get(f"{ME}/keys").json()["code"] == "organisations.password_due"
    wrong = act(browser, f"{ME}/password", {"old": "nope", "new": "New-pass-2027!"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "old")
    done = act(browser, f"{ME}/password", {"old": "Old-pass-2026!", "new": "New-pass-2027!"})
    assert done.status_code == 204
    nurse.refresh_from_db()
    assert nurse.check_password("New-pass-2027!")
    assert browser.get(f"{ME}/keys").status_code == 200
    assert other.get(f"{ME}/keys").status_code == 401


def test_the_second_factor_is_set_up_renewed_and_removed(browser: Client, nurse: Account) -> None:
    secret = act(browser, f"{ME}/second-factor/begin").json()["secret"]
    assert act(browser, f"{ME}/second-factor/begin").json()["secret"] == secret
    raw = totp.from_base32(secret)
    now = clock.now()

    def code(steps: int) -> str:
        return totp.code_at(raw, now + timedelta(seconds=30 * steps))

    assert act(browser, f"{ME}/second-factor/confirm", {"code": "000000"}).status_code == 422
    first = act(browser, f"{ME}/second-factor/confirm", {"code": code(-1)}).json()
    assert len(first["recovery_codes"]) == 10
    assert browser.get(f"{ME}/second-factor").json() == {
        "enrolled": True, "required": False, "codes_left": 10,
    }  # fmt: skip
    again = act(browser, f"{ME}/second-factor/recovery-codes", {"code": code(0)}).json()
    assert not set(again["recovery_codes"]) & set(first["recovery_codes"])
    assert act(browser, f"{ME}/second-factor/remove", {"code": code(1)}).status_code == 204
    assert not is_enrolled(nurse)


def test_a_key_may_not_change_what_guards_the_account(nurse: Account) -> None:
    at = clock.now()
    text = keys.create_key(
        account=nurse, name="接口", scopes=["api.use_api_keys"],
        expires_at=at + timedelta(days=1), by=nurse, at=at,
    ).text  # fmt: skip
    program = Client()
    for path, content in (
        ("password", {"old": "x", "new": "y"}),
        ("second-factor/begin", None),
        ("second-factor/remove", {"code": "123456"}),
        ("signature/remove", None),
    ):
        answer = act(program, f"{ME}/{path}", content, Authorization=f"Bearer {text}")
        assert answer.status_code == 403, path
        assert "本人登录" in answer.json()["message"], path


def test_the_signature_is_brought_shown_and_removed(browser: Client, nurse: Account) -> None:
    def bring(content: bytes) -> Any:
        file = SimpleUploadedFile("sign.png", content, content_type="image/png")
        return browser.post(f"{ME}/signature", {"file": file})

    assert bring(b"GIF89a").status_code == 422
    assert bring(PNG).status_code == 204
    assert browser.get(f"{ME}/signature").content == PNG
    assert act(browser, f"{ME}/signature/remove").status_code == 204
    assert browser.get(f"{ME}/signature").status_code == 404
    assert Entry.objects.filter(act="organisations.signature.changed", kind="act").count() == 2


def test_keys_are_made_rotated_and_revoked_by_their_owner_alone(
    browser: Client, nurse: Account
) -> None:
    until = (clock.now() + timedelta(days=30)).isoformat()
    wide = {"name": "对接", "scopes": ["audit.view_entry"], "expires_at": until}
    assert act(browser, f"{ME}/keys", wide).json()["code"] == "api.key_scope_too_wide"
    made = act(browser, f"{ME}/keys", {**wide, "scopes": ["api.use_api_keys"]}).json()
    assert made["text"].startswith(f"kw_{made['key']['prefix']}_")
    number = made["key"]["id"]
    stranger = make.client(make.account(right="api.use_api_keys"))
    path = f"{ME}/keys/{number}/revoke"
    assert act(stranger, path, {"reason": "x"}).status_code == 404
    assert act(browser, f"{ME}/keys/{number}/rotate", {"expires_at": until}).status_code == 200
    assert act(browser, path, {"reason": "更换"}).json()["revoked_at"] is not None
    assert len(browser.get(f"{ME}/keys").json()) == 2


def test_an_import_runs_over_the_api_from_template_to_password_sheet() -> None:
    home = make.institution("碑林区疾控中心", code="610103")
    right = ["organisations.import_account", "organisations.create_account"]
    lead = make.account("lead", right=right, institution=home)
    browser, base = make.client(lead), "/api/v1/organisations"
    template = browser.get(f"{base}/import-templates/accounts")
    assert template["Content-Type"] == importing.XLSX
    refused = browser.get(f"{base}/import-templates/institutions")
    assert refused.status_code == 403
    rows: list[dict[str, object]] = [
        {"username": "wangli", "name": "王丽", "institution": "610103"},
        {"username": "坏名", "name": "李四", "institution": "610103"},
    ]
    file = SimpleUploadedFile(
        "a.xlsx", sheet("accounts", rows).getvalue(), content_type=importing.XLSX
    )
    batch = browser.post(f"{base}/imports/accounts", {"file": file}).json()
    assert [row["number"] for row in batch["bad"]] == [3]
    bad = browser.get(f"{base}/imports/{batch['id']}/bad-rows")
    assert openpyxl.load_workbook(io.BytesIO(bad.content)).worksheets[0].max_row == 2
    done = act(browser, f"{base}/imports/{batch['id']}/confirm").json()
    assert done["written"] == 1
    taken = act(browser, f"{base}/imports/{batch['id']}/passwords").json()
    book = openpyxl.load_workbook(io.BytesIO(base64.b64decode(taken["content"])))
    assert book.worksheets[0]["A2"].value == "wangli"
    assert act(browser, f"{base}/imports/{batch['id']}/passwords").status_code == 409

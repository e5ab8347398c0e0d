"""Senders against stand-ins, over the wire."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kangwei.kernel.notices import senders
from kangwei.kernel.notices.presets import presets
from kangwei.kernel.notices.rules.delivery import Verdict
from kangwei.kernel.notices.senders import Line, Message, base
from kangwei.kernel.notices.senders.templated import BadRecipe, Recipe
from kangwei.standins.base import Reply, Request, Standin, playing
from kangwei.standins.mail import Mail, playing_mail
from kangwei.standins.robots import DingTalk, Feishu, WeCom
from kangwei.standins.sms import Sms
from kangwei.standins.webhook import Webhook

SECRET = "SEC-kangwei-demo"
MESSAGE = Message(
    delivery_id="8d0f1d8a-64b3-4bd8-9b5f-0a9f1e3c5b77",
    title="HIS 数据库连接数过高",
    markdown="### HIS 数据库连接数过高\n\n- **系统**：HIS",
    text="HIS 数据库连接数过高\n系统：HIS",
    short="HIS 连接数过高，请处理。",
    thread="escalation-7",
    priority=3,
)


def now() -> datetime:
    return datetime.now(UTC)


def robot_line(url: str, **options: Any) -> Line:
    return Line(url, {"token": "token", "secret": SECRET}, options)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "PATIENCE", 0.3)


# --- DingTalk --------------------------------------------------------------------------------


@pytest.fixture
def dingtalk() -> Iterator[tuple[DingTalk, str]]:
    standin = DingTalk(secret=SECRET)
    with playing(standin) as url:
        yield standin, url


def test_dingtalk_takes_a_signed_message(dingtalk: tuple[DingTalk, str]) -> None:
    standin, url = dingtalk
    outcome = senders.send("dingtalk", robot_line(url), "", MESSAGE, now())
    assert (outcome.verdict, outcome.code) == (Verdict.ACCEPTED, "200")
    assert standin.received[0].text == MESSAGE.markdown


def test_signatures_with_every_awkward_character_arrive_whole(
    dingtalk: tuple[DingTalk, str],
) -> None:
    """Over many time stamps the Base64 holds / and + and =; each must arrive encoded once."""
    standin, url = dingtalk
    start = now()
    standin.clock = lambda: start
    marks = set()
    for n in range(18):
        standin.clock = lambda n=n: start + timedelta(minutes=n)  # type: ignore[misc]
        outcome = senders.send("dingtalk", robot_line(url), "", MESSAGE, standin.clock())
        assert outcome.ok, outcome.reason
        marks |= {mark for mark in ("%2F", "%2B", "%3D") if mark in standin.requests[-1].target}
    assert marks == {"%2F", "%2B", "%3D"}


def test_the_stand_in_refuses_what_is_encoded_twice_or_not_at_all(
    dingtalk: tuple[DingTalk, str],
) -> None:
    from urllib.parse import quote

    from kangwei.kernel.notices.rules.signing import dingtalk_signature

    standin, _ = dingtalk
    stamp = next(
        n
        for n in range(int(now().timestamp() * 1000), 10**14)
        if "/" in dingtalk_signature(SECRET, n)
    )
    once = quote(dingtalk_signature(SECRET, stamp), safe="")
    body = json.dumps({"msgtype": "text", "text": {"content": "x"}}).encode()

    def answer(sign: str) -> Any:
        target = f"/robot/send?access_token=token&timestamp={stamp}&sign={sign}"
        reply = standin.answer(Request("POST", target, {}, body))
        return dict(reply.body)["errcode"]  # type: ignore[arg-type]

    assert answer(once) == 0
    assert answer(quote(once, safe="")) == 310000
    assert answer(dingtalk_signature(SECRET, stamp)) == 310000


def test_a_refusal_with_http_200_is_a_failure_explained_in_chinese(
    dingtalk: tuple[DingTalk, str],
) -> None:
    _, url = dingtalk
    wrong = Line(url, {"token": "token", "secret": "wrong"})
    outcome = senders.send("dingtalk", wrong, "", MESSAGE, now())
    assert (outcome.verdict, outcome.code) == (Verdict.REFUSED, "310000")
    assert "加签密钥" in outcome.reason
    assert "服务器时间" in outcome.reason


def test_a_clock_that_is_an_hour_off_is_told_apart(dingtalk: tuple[DingTalk, str]) -> None:
    _, url = dingtalk
    outcome = senders.send("dingtalk", robot_line(url), "", MESSAGE, now() - timedelta(hours=2))
    assert outcome.code == "310000"
    assert "invalid timestamp" in outcome.body


def test_the_twenty_first_message_of_a_minute_mutes_the_robot_for_ten_minutes(
    dingtalk: tuple[DingTalk, str],
) -> None:
    standin, url = dingtalk
    begun = now()
    standin.clock = lambda: begun
    line = robot_line(url)
    assert all(senders.send("dingtalk", line, "", MESSAGE, begun).ok for _ in range(20))
    throttled = senders.send("dingtalk", line, "", MESSAGE, begun)
    assert (throttled.verdict, throttled.code) == (Verdict.THROTTLED, "130101")
    standin.clock = lambda: begun + timedelta(minutes=9)
    assert senders.send("dingtalk", line, "", MESSAGE, standin.clock()).code == "130101"
    standin.clock = lambda: begun + timedelta(minutes=10)
    assert senders.send("dingtalk", line, "", MESSAGE, standin.clock()).ok


def test_people_are_called_by_number_in_text_and_list(dingtalk: tuple[DingTalk, str]) -> None:
    standin, url = dingtalk
    called = Message(**{**vars(MESSAGE), "mentions": (("13800001111", "张伟"),)})
    assert senders.send("dingtalk", robot_line(url), "", called, now()).ok
    body = standin.received[0].body
    assert body["at"]["atMobiles"] == ["13800001111"]
    assert "@13800001111" in body["markdown"]["text"]


def test_a_keyword_is_added_where_the_robot_wants_one() -> None:
    with playing(DingTalk(keyword="康维", token="token")) as url:
        line = Line(url, {"token": "token"}, {"keyword": "康维"})
        assert senders.send("dingtalk", line, "", MESSAGE, now()).ok
        bare = senders.send("dingtalk", Line(url, {"token": "token"}), "", MESSAGE, now())
        assert bare.code == "310000"


def test_secrets_stand_in_no_kept_text_and_no_log(
    dingtalk: tuple[DingTalk, str], caplog: pytest.LogCaptureFixture
) -> None:
    standin, url = dingtalk
    caplog.set_level("DEBUG")
    line = Line(url, {"token": "very-secret-token", "secret": SECRET})
    outcome = senders.send("dingtalk", line, "", MESSAGE, now())
    assert outcome.code == "300005"
    kept = outcome.request + outcome.body + outcome.reason + caplog.text
    assert "very-secret-token" not in kept
    assert SECRET not in kept
    assert "very-secret-token" in standin.requests[-1].target


# --- WeCom and Feishu ------------------------------------------------------------------------


def test_wecom_counts_bytes_and_the_message_is_cut_to_them() -> None:
    long = Message(**{**vars(MESSAGE), "markdown": "库" * 3000, "text": "库" * 3000})
    with playing(standin := WeCom()) as url:
        line = Line(url, {"token": "token"})
        assert senders.send("wecom", line, "", long, now()).ok
        assert len(standin.received[0].text.encode()) <= 4096
        called = Message(**{**vars(long), "mentions": (("13800001111", "张伟"),)})
        assert senders.send("wecom", line, "", called, now()).ok
        assert standin.received[1].body["msgtype"] == "text"
        assert standin.received[1].body["text"]["mentioned_mobile_list"] == ["13800001111"]
        assert len(standin.received[1].text.encode()) <= 2048


def test_wecom_refuses_a_wrong_key_with_http_200() -> None:
    with playing(WeCom()) as url:
        outcome = senders.send("wecom", Line(url, {"token": "other"}), "", MESSAGE, now())
    assert (outcome.verdict, outcome.code) == (Verdict.REFUSED, "93000")


def test_feishu_is_signed_in_the_body() -> None:
    with playing(standin := Feishu(secret=SECRET)) as url:
        assert senders.send("feishu", robot_line(url), "", MESSAGE, now()).ok
        assert MESSAGE.title in standin.received[0].text
        wrong = Line(url, {"token": "token", "secret": "x"})
        outcome = senders.send("feishu", wrong, "", MESSAGE, now())
    assert (outcome.verdict, outcome.code) == (Verdict.REFUSED, "19021")


@pytest.mark.parametrize(("kind", "standin"), [("wecom", WeCom()), ("feishu", Feishu())])
def test_too_many_calls_are_told_apart_from_refusals(kind: str, standin: Standin) -> None:
    with playing(standin) as url:
        standin.behave(refuse=standin.throttled)  # type: ignore[attr-defined]
        outcome = senders.send(kind, Line(url, {"token": "token"}), "", MESSAGE, now())
    assert outcome.verdict is Verdict.THROTTLED


# --- troubles of every HTTP channel ----------------------------------------------------------


def test_an_ill_service_may_recover(dingtalk: tuple[DingTalk, str]) -> None:
    standin, url = dingtalk
    standin.behave(status=503, times=1)
    assert senders.send("dingtalk", robot_line(url), "", MESSAGE, now()).verdict is Verdict.BROKEN
    assert senders.send("dingtalk", robot_line(url), "", MESSAGE, now()).ok


def test_a_service_that_hangs_up_may_have_taken_the_message(
    dingtalk: tuple[DingTalk, str],
) -> None:
    standin, url = dingtalk
    standin.behave(hang_up=True)
    outcome = senders.send("dingtalk", robot_line(url), "", MESSAGE, now())
    assert outcome.verdict is Verdict.UNCLEAR
    assert len(standin.received) == 1


@pytest.mark.usefixtures("impatient")
def test_a_slow_service_is_not_waited_for(dingtalk: tuple[DingTalk, str]) -> None:
    standin, url = dingtalk
    standin.behave(slow=1.0)
    outcome = senders.send("dingtalk", robot_line(url), "", MESSAGE, now())
    assert outcome.verdict is Verdict.UNCLEAR
    assert outcome.latency_ms < 1000


def test_nobody_at_the_address() -> None:
    with playing(DingTalk()) as url:
        pass
    outcome = senders.send("dingtalk", robot_line(url), "", MESSAGE, now())
    assert outcome.verdict is Verdict.UNREACHABLE
    assert "连接不上" in outcome.reason


def test_a_page_instead_of_an_answer_is_no_success() -> None:
    """A proxy's sign-in page comes with HTTP 200 too."""

    class Portal(Standin):
        title = "portal"

        def answer(self, request: Request) -> Any:
            return Reply("<html>please sign in</html>")

        def refusal(self, code: int) -> Reply:
            return Reply("<html>no entry</html>")

    with playing(Portal()) as url:
        outcome = senders.send("dingtalk", robot_line(url), "", MESSAGE, now())
    assert outcome.verdict is Verdict.REFUSED
    assert "没有结果码" in outcome.reason


# --- SMS, voice, webhook ---------------------------------------------------------------------


def preset(name: str) -> dict[str, Any]:
    return next(dict(p) for p in presets() if p["name"] == name)


def sms_line(url: str, **options: Any) -> Line:
    described = preset("generic-hmac")["options"]
    return Line(url, {"secret": "sms-demo-secret"}, {**described, **options})


@pytest.mark.parametrize("kind", ["sms", "voice"])
def test_sms_and_voice_are_signed_by_their_recipe(kind: str) -> None:
    with playing(standin := Sms(), prefix="/sms") as url:
        outcome = senders.send(kind, sms_line(url), "13800001111", MESSAGE, now())
        assert outcome.ok, outcome
    assert (standin.received[0].to, standin.received[0].text) == ("13800001111", MESSAGE.short)
    assert standin.received[0].body["nonce"] == MESSAGE.delivery_id


def test_a_dead_number_is_refused_with_http_200() -> None:
    with playing(standin := Sms(), prefix="/sms") as url:
        standin.dead.add("13800001111")
        outcome = senders.send("sms", sms_line(url), "13800001111", MESSAGE, now())
    assert outcome.verdict is Verdict.REFUSED
    assert "停机或空号" in outcome.body


def test_a_text_with_quotation_marks_stays_one_value() -> None:
    sharp = Message(**{**vars(MESSAGE), "short": '他说："},{"phone":"1" 换行\n好'})
    with playing(standin := Sms(), prefix="/sms") as url:
        assert senders.send("sms", sms_line(url), "13800001111", sharp, now()).ok
    assert standin.received[0].text == sharp.short


def test_every_preset_is_a_recipe_that_can_be_read_and_says_it_is_unproven() -> None:
    for found in presets():
        secrets = dict.fromkeys(found["secrets"], "x")
        assert Recipe.read(found["options"], secrets).success
    source = (Path(__file__).parent.parent / "data" / "sms_providers.json").read_text("utf-8")
    assert "未经实机验证" in source


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"method": "DELETE"}, "请求方法"),
        ({"body": "{{ patient }}"}, "patient"),
        ({"success": "status = 200"}, "看不懂"),
        ({"steps": [{"name": "s", "algorithm": "rot13", "text": ""}]}, "算法"),
        ({"steps": [{"name": "s"}]}, "签名步骤"),
        ({"headers": {"X": "{{ nothing }}"}}, "请求头 X"),
    ],
)
def test_a_wrong_recipe_says_where(changed: dict[str, Any], told: str) -> None:
    options = {**preset("generic-hmac")["options"], **changed}
    with pytest.raises(BadRecipe, match=told):
        Recipe.read(options, {"secret": "x"})


def test_tencent_signature_follows_its_chain_of_keys() -> None:
    """The chain written out by hand over what went over the wire."""
    import hashlib
    import hmac

    class Tencent(Standin):
        title = "tencent"

        def answer(self, request: Request) -> Any:
            return Reply({"Response": {"SendStatusSet": [{"Code": "Ok"}]}})

        def refusal(self, code: int) -> Reply:
            return Reply({"Response": {"Error": {"Code": str(code)}}})

    found = preset("tencent-sms")
    at = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
    with playing(standin := Tencent()) as url:
        line = Line(url, {"secret_id": "id", "secret_key": "key"}, found["options"])
        assert senders.send("sms", line, "13800001111", MESSAGE, at).ok
    request = standin.requests[0]
    content = hashlib.sha256(request.body).hexdigest()
    canonical = (
        "POST\n/\n\ncontent-type:application/json; charset=utf-8\n"
        f"host:{request.headers['Host']}\n\ncontent-type;host\n{content}"
    )
    key = b"TC3key"
    for part in ("2026-11-20", "sms", "tc3_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = (
        f"TC3-HMAC-SHA256\n{int(at.timestamp())}\n2026-11-20/sms/tc3_request\n"
        + hashlib.sha256(canonical.encode()).hexdigest()
    )
    wanted = hmac.digest(key, text.encode(), "sha256").hex()
    assert request.headers["Authorization"].endswith(f"Signature={wanted}")


def test_a_webhook_is_signed_and_a_repetition_recognised() -> None:
    with playing(standin := Webhook()) as url:
        line = Line(url, {"secret": "webhook-demo-secret"})
        assert senders.send("webhook", line, "", MESSAGE, now()).ok
        assert senders.send("webhook", line, "", MESSAGE, now()).ok
        forged = senders.send("webhook", Line(url, {"secret": "other-secret"}), "", MESSAGE, now())
    assert forged.verdict is Verdict.REFUSED
    assert standin.deliveries == [MESSAGE.delivery_id] * 2
    assert len(standin.received) == 1


def test_a_probe_costs_no_sms() -> None:
    with playing(standin := Sms(), prefix="/sms") as url:
        assert senders.probe("sms", sms_line(url), now()).ok
        standin.behave(status=503)
        assert not senders.probe("sms", sms_line(url), now()).ok
    assert standin.received == []


# --- mail ------------------------------------------------------------------------------------

PLAIN = {"security": "none", "sender": "kangwei@example.cn"}


def test_a_mail_carries_the_delivery_id_both_parts_and_its_thread() -> None:
    with playing_mail(standin := Mail()) as address:
        outcome = senders.send("email", Line(address, {}, PLAIN), "a@example.cn", MESSAGE, now())
        assert outcome.ok, outcome
    mail = standin.messages[0]
    assert mail["Message-ID"] == f"<{MESSAGE.delivery_id}@example.cn>"
    assert mail["References"] == "<escalation-7@example.cn>"
    assert mail["Subject"] == MESSAGE.title
    parts = [part.get_content_type() for part in mail.iter_parts()]
    assert parts == ["text/plain", "text/html"]
    assert "<strong>系统</strong>" in mail.get_body(("html",)).get_content()  # type: ignore[union-attr]


@pytest.mark.parametrize(("code", "verdict"), [(550, Verdict.REFUSED), (451, Verdict.BROKEN)])
def test_a_box_that_does_not_exist_and_one_that_is_full(code: int, verdict: Verdict) -> None:
    with playing_mail(standin := Mail()) as address:
        standin.behave(refuse=code)
        outcome = senders.send("email", Line(address, {}, PLAIN), "a@example.cn", MESSAGE, now())
    assert (outcome.verdict, outcome.code) == (verdict, str(code))


def test_a_mail_server_that_hangs_up_after_taking_the_mail() -> None:
    with playing_mail(standin := Mail()) as address:
        standin.behave(hang_up=True)
        outcome = senders.send("email", Line(address, {}, PLAIN), "a@example.cn", MESSAGE, now())
    assert outcome.verdict is Verdict.UNCLEAR
    assert len(standin.messages) == 1


def test_no_mail_server_at_the_address() -> None:
    with playing_mail(Mail()) as address:
        pass
    outcome = senders.send("email", Line(address, {}, PLAIN), "a@example.cn", MESSAGE, now())
    assert outcome.verdict is Verdict.UNREACHABLE


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    """A certificate for 127.0.0.1 signed by itself, as a hospital's own authority would."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_text(pem)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, pem


def secure(pem: str = "") -> dict[str, str]:
    found = {"security": "starttls", "sender": "kangwei@example.cn", "user": "kangwei"}
    return found | ({"ca_pem": pem} if pem else {})


def test_the_password_crosses_the_wire_only_after_starttls(
    authority: tuple[ssl.SSLContext, str],
) -> None:
    context, pem = authority
    with playing_mail(standin := Mail(user="kangwei", password="pass-1234", tls=context)) as at:
        line = Line(at, {"password": "pass-1234"}, secure(pem))
        outcome = senders.send("email", line, "a@example.cn", MESSAGE, now())
        assert outcome.ok, outcome
    auth = [encrypted for encrypted, command in standin.commands if command.startswith("AUTH")]
    assert auth == [True]
    assert len(standin.messages) == 1


def test_an_unknown_authority_gets_neither_password_nor_mail(
    authority: tuple[ssl.SSLContext, str],
) -> None:
    context, _ = authority
    with playing_mail(standin := Mail(user="kangwei", password="pass-1234", tls=context)) as at:
        line = Line(at, {"password": "pass-1234"}, secure())
        outcome = senders.send("email", line, "a@example.cn", MESSAGE, now())
    assert outcome.verdict is Verdict.UNREACHABLE
    assert not [command for _, command in standin.commands if command.startswith("AUTH")]


def test_a_server_without_starttls_is_refused_not_trusted() -> None:
    with playing_mail(standin := Mail(user="kangwei", password="pass-1234")) as at:
        line = Line(at, {"password": "pass-1234"}, secure())
        outcome = senders.send("email", line, "a@example.cn", MESSAGE, now())
    assert outcome.verdict is Verdict.REFUSED
    assert "加密" in outcome.reason
    assert standin.messages == []


def test_a_wrong_password_is_told_and_not_kept(authority: tuple[ssl.SSLContext, str]) -> None:
    context, pem = authority
    with playing_mail(Mail(user="kangwei", password="pass-1234", tls=context)) as at:
        line = Line(at, {"password": "wrong-4321"}, secure(pem))
        outcome = senders.send("email", line, "a@example.cn", MESSAGE, now())
    assert (outcome.verdict, outcome.code) == (Verdict.REFUSED, "535")
    assert "wrong-4321" not in str(outcome)

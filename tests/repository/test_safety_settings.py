"""Settings of level-3 protection (等保三级) read back; every wrong value stops the start."""

from __future__ import annotations

import os
import runpy
import stat
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

SETTINGS = Path(__file__).parents[2] / "kangwei" / "web" / "settings.py"


class Start:
    """Reads settings.py afresh, as a production process with these variables would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
        self._patch = monkeypatch
        for name in [
            name for name in os.environ if name.startswith("KW_") or name == "DATABASE_URL"
        ]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("KW_TESTING", "0")
        monkeypatch.setenv("KW_DATA", str(data))

    def __call__(self, **values: str) -> dict[str, Any]:
        for name, value in values.items():
            self._patch.setenv(name, value)
        return runpy.run_path(str(SETTINGS))


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Start:
    return Start(monkeypatch, tmp_path / "data")


#: The table an assessor asks for: setting, value with HTTPS, the requirement it answers.
LEVEL_3 = [
    ("DEBUG", False, "不向用户暴露调试信息"),
    ("SESSION_COOKIE_HTTPONLY", True, "会话标识不可被脚本读取"),
    ("SESSION_COOKIE_SECURE", True, "会话标识只经加密通道传送"),
    ("SESSION_COOKIE_SAMESITE", "Lax", "会话标识不随跨站请求发送"),
    ("SESSION_EXPIRE_AT_BROWSER_CLOSE", True, "关闭浏览器即结束会话"),
    ("CSRF_COOKIE_HTTPONLY", True, "防伪令牌不可被脚本读取"),
    ("CSRF_COOKIE_SECURE", True, "防伪令牌只经加密通道传送"),
    ("CSRF_COOKIE_SAMESITE", "Lax", "防伪令牌不随跨站请求发送"),
    ("SECURE_SSL_REDIRECT", True, "明文访问转为加密访问"),
    ("SECURE_HSTS_SECONDS", 31_536_000, "浏览器一年内只用加密访问"),
    ("SECURE_CONTENT_TYPE_NOSNIFF", True, "浏览器不猜测内容类型"),
    ("SECURE_REFERRER_POLICY", "same-origin", "地址不泄露给外站"),
    ("SECURE_CROSS_ORIGIN_OPENER_POLICY", "same-origin", "窗口与外站隔离"),
    ("X_FRAME_OPTIONS", "SAMEORIGIN", "不可被外站嵌套"),
    ("FILE_UPLOAD_PERMISSIONS", 0o600, "上传文件仅本程序可读"),
    ("LANGUAGE_CODE", "zh-hans", "界面使用简体中文"),
    ("TIME_ZONE", "Asia/Shanghai", "时间采用北京时间"),
]


@pytest.mark.parametrize(("name", "value", "requirement"), LEVEL_3)
def test_level_3_settings(start: Start, name: str, value: object, requirement: str) -> None:
    assert start(KW_HTTPS="1")[name] == value, requirement


def test_sessions_end_within_a_working_day_and_uploads_are_bounded(start: Start) -> None:
    settings = start()
    assert settings["SESSION_COOKIE_AGE"] <= 12 * 3600
    assert settings["DATA_UPLOAD_MAX_MEMORY_SIZE"] <= 10 * 1024 * 1024
    assert settings["DATA_UPLOAD_MAX_NUMBER_FIELDS"] <= 10_000
    assert settings["DATA_UPLOAD_MAX_NUMBER_FILES"] <= 100


def test_passwords_are_hashed_slowly(start: Start) -> None:
    settings = start()
    hashers = settings.get("PASSWORD_HASHERS", ["django.contrib.auth.hashers.PBKDF2PasswordHasher"])
    assert not any("MD5" in hasher or "SHA1" in hasher for hasher in hashers)


def test_without_https_the_site_still_works_and_promises_nothing(start: Start) -> None:
    settings = start()
    assert settings["SECURE_HSTS_SECONDS"] == 0
    assert settings["SESSION_COOKIE_SECURE"] is False
    assert settings["SECURE_SSL_REDIRECT"] is False


def test_only_our_own_hosts_are_answered_by_default(start: Start) -> None:
    assert start()["ALLOWED_HOSTS"] == ["127.0.0.1", "localhost", "[::1]"]
    assert start(KW_HOSTS="kw.example.org, 10.1.2.3")["ALLOWED_HOSTS"] == [
        "kw.example.org",
        "10.1.2.3",
    ]


def test_headers_of_a_proxy_are_believed_only_where_one_is_named(start: Start) -> None:
    assert start()["SECURE_PROXY_SSL_HEADER"] is None
    settings = start(KW_TRUSTED_PROXIES="10.1.2.0/24", KW_HTTPS="1", KW_HOSTS=".example.org")
    assert settings["SECURE_PROXY_SSL_HEADER"] == ("HTTP_X_FORWARDED_PROTO", "https")
    assert settings["CSRF_TRUSTED_ORIGINS"] == ["https://*.example.org"]


def test_the_content_policy_names_no_foreign_source_and_no_inline_script(start: Start) -> None:
    policy = start()["KW_CONTENT_SECURITY_POLICY"]
    assert policy["default-src"] == "'none'"
    assert "'unsafe-inline'" not in policy["script-src"]
    assert "'unsafe-inline'" not in policy["style-src"]
    words = {word for sources in policy.values() for word in sources.split()}
    assert words <= {
        "'none'",
        "'self'",
        "{nonce}",
        "'unsafe-eval'",
        "'unsafe-inline'",
        "data:",
        "blob:",
    }
    assert [name for name, sources in policy.items() if "'unsafe-inline'" in sources] == [
        "style-src-attr"
    ]
    assert [name for name, sources in policy.items() if "'unsafe-eval'" in sources] == [
        "script-src"
    ]


def test_the_key_file_is_made_once_with_mode_600_and_its_keys_are_long(
    start: Start, tmp_path: Path
) -> None:
    first = start()
    path = tmp_path / "data" / "secrets.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(first["SECRET_KEY"]) >= 50
    assert len(first["SECRETS"].master) == 32
    assert start()["SECRET_KEY"] == first["SECRET_KEY"]


def test_log_lines_pass_the_filter_of_secrets(start: Start) -> None:
    logging = start()["LOGGING"]
    for name, handler in logging["handlers"].items():
        assert "secrets" in handler["filters"], name
    assert not any(logger.get("handlers") for logger in logging["loggers"].values())


def test_safety_middleware_stands_in_order(start: Start) -> None:
    order = [path.rsplit(".", 1)[-1] for path in start()["MIDDLEWARE"]]
    wanted = [
        "TraceMiddleware", "SecurityMiddleware", "SafetyHeadersMiddleware", "WhiteNoiseMiddleware",
        "SessionMiddleware", "CsrfViewMiddleware", "AuthenticationMiddleware", "OriginMiddleware",
    ]  # fmt: skip
    places = [order.index(name) for name in wanted]
    assert places == sorted(places)


WRONG = [
    ({"KW_HTTPS": "maybe"}, "KW_HTTPS"),
    ({"KW_DEMO": "2"}, "KW_DEMO"),
    ({"KW_TESTING": "perhaps"}, "KW_TESTING"),
    ({"KW_HOSTS": "*"}, "KW_HOSTS"),
    ({"KW_HOSTS": "https://kw.example.org"}, "KW_HOSTS"),
    ({"KW_HOSTS": "kw.example.org:8000"}, "KW_HOSTS"),
    ({"KW_TRUSTED_PROXIES": "proxy.example.org"}, "KW_TRUSTED_PROXIES"),
    ({"KW_TRUSTED_PROXIES": "10.1.2.3/99"}, "KW_TRUSTED_PROXIES"),
    ({"KW_LOG": "xml"}, "KW_LOG"),
    ({"KW_LOG_LEVEL": "loud"}, "KW_LOG_LEVEL"),
    ({"KW_CIPHER": "des"}, "KW_CIPHER"),
    ({"KW_AUDIT_KEPT_MONTHS": "3"}, "KW_AUDIT_KEPT_MONTHS"),
    ({"KW_NOTICES_KEPT_DAYS": "179"}, "KW_NOTICES_KEPT_DAYS"),
    ({"KW_AUDIT_KEPT_MONTHS": "many"}, "KW_AUDIT_KEPT_MONTHS"),
    ({"KW_CLOCK": "+3d"}, "KW_CLOCK"),
    ({"KW_CLOCK": "tomorrow", "KW_DEMO": "1"}, "KW_CLOCK"),
    ({"DATABASE_URL": "mysql://root@localhost/kw"}, "DATABASE_URL"),
    ({"DATABASE_URL": "postgresql://localhost"}, "DATABASE_URL"),
    ({"DATABASE_URL": "postgresql://u:p@localhost:port/kw"}, "DATABASE_URL"),
]


@pytest.mark.parametrize(("values", "named"), WRONG, ids=lambda value: str(value))
def test_a_wrong_value_stops_the_start_with_one_sentence_naming_it(
    start: Start, values: dict[str, str], named: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as stopped:
        start(**values)
    sentence = str(stopped.value)
    assert named in sentence
    assert "\n" not in sentence
    assert sentence.endswith("。")


def test_a_password_in_an_address_is_not_repeated_in_the_sentence(start: Start) -> None:
    with pytest.raises(ImproperlyConfigured) as stopped:
        start(DATABASE_URL="mysql://root:Very-Secret-9@localhost/kw")
    assert "Very-Secret-9" not in str(stopped.value)


def test_an_open_or_broken_key_file_stops_the_start(start: Start, tmp_path: Path) -> None:
    start()
    path = tmp_path / "data" / "secrets.json"
    path.chmod(0o644)
    with pytest.raises(ImproperlyConfigured, match=r"KW_SECRETS_FILE.*chmod 600"):
        start()
    path.chmod(0o600)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ImproperlyConfigured, match="KW_SECRETS_FILE"):
        start()

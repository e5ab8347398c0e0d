"""Log lines: JSON or plain, with the trace id, never with a secret (日志).

Request bodies are not logged at all; this filter is the second lock, for a secret that slips into
a message or its arguments.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from kangwei.kernel.clock import SHANGHAI

#: Names whose values never reach a log, in whatever notation: key=value, "key": "value", header.
SECRET_NAMES = (
    "password", "passwd", "pwd", "secret", "token", "authorization", "cookie", "set-cookie",
    "api_key", "api-key", "apikey", "x-api-key", "access_key", "private_key", "csrfmiddlewaretoken",
    "sessionid", "kw_session", "otp", "totp", "口令", "密码", "密钥", "验证码",
)  # fmt: skip
HIDDEN = "***"
_NAME = "|".join(re.escape(name) for name in sorted(SECRET_NAMES, key=len, reverse=True))
_PAIR = re.compile(
    rf"(?i)(['\"]?[\w.-]*(?:{_NAME})[\w.-]*['\"]?\s*[:=：]\s*)"
    r"(?:(?:bearer|basic|digest|token)\s+)?"
    r"(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\s,;&)}\]]+)"
)
_URL_PASSWORD = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://[^\s:/@]+:)[^\s@/]+(@)")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")


def hide_secrets(text: str) -> str:
    """The text with every value that a secret's name introduces replaced by three stars."""
    text = _URL_PASSWORD.sub(rf"\1{HIDDEN}\2", text)
    text = _PAIR.sub(lambda found: found.group(1) + HIDDEN, text)
    return _BEARER.sub(lambda found: f"{found.group(1)} {HIDDEN}", text)


def _is_secret(name: object) -> bool:
    lowered = str(name).lower()
    return any(word in lowered for word in SECRET_NAMES)


def hide_in(value: Any) -> Any:
    """The same for structures handed over as log arguments."""
    if isinstance(value, Mapping):
        return {key: HIDDEN if _is_secret(key) else hide_in(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return (
            type(value)([hide_in(item) for item in value])
            if not hasattr(value, "_fields")
            else value
        )
    return hide_secrets(value) if isinstance(value, str) else value


class SecretFilter(logging.Filter):
    """Runs on every handler, before a line is formatted."""

    def filter(self, record: logging.LogRecord) -> bool:
        from kangwei.web.middleware import current_trace

        if isinstance(record.msg, str):
            try:
                message = (
                    record.getMessage()
                    if not isinstance(record.args, Mapping)
                    else record.msg % hide_in(record.args)
                )
            except (TypeError, ValueError, KeyError):
                message = record.msg
            record.msg, record.args = hide_secrets(message), None
        record.trace_id = getattr(record, "trace_id", "") or current_trace.get()
        for key in [name for name in vars(record) if _is_secret(name)]:
            setattr(record, key, HIDDEN)
        if record.exc_info and not record.exc_text:
            record.exc_text = hide_secrets(logging.Formatter().formatException(record.exc_info))
        return True


_PLAIN_FIELDS = set(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "trace_id",
    "taskName",
    "request",
    "server_time",
}


class JsonFormatter(logging.Formatter):
    """One line, one JSON object: at, level, logger, message, trace_id, and what was handed over."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, SHANGHAI).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace := getattr(record, "trace_id", ""):
            line["trace_id"] = trace
        for key, value in vars(record).items():
            if key not in _PLAIN_FIELDS and not key.startswith("_"):
                line[key] = hide_in(value)
        if record.exc_text:
            line["trace"] = record.exc_text
        return json.dumps(line, ensure_ascii=False, default=str)


class PlainFormatter(logging.Formatter):
    """For a person at a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        trace = getattr(record, "trace_id", "")
        return super().format(record) + (f" [{trace}]" if trace else "")

"""An SMS and voice provider of no particular name, with the habits many of them share."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any

from kangwei.standins.base import Received, Reply, Request, Standin


class Sms(Standin):
    """POST JSON {app, phone, text, timestamp, nonce}; header X-Sign = hex HMAC-SHA256 over
    "app\\nphone\\ntimestamp\\nbody". Answers {"code": "OK", "request": …} or an error code.

    The voice provider takes the same call and reads the text out.
    """

    def __init__(
        self,
        *,
        app: str = "kangwei",
        secret: str = "sms-demo-secret",  # noqa: S107
        title: str = "短信服务",
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.title = title
        self.app = app
        self.secret = secret
        #: Numbers that are switched off or do not exist.
        self.dead: set[str] = set()

    def refusal(self, code: int) -> Reply:
        return Reply({"code": str(code), "message": "played refusal"})

    def answer(self, request: Request) -> Reply:
        if request.method == "GET":
            return Reply({"code": "OK", "message": "service is up"})
        try:
            body = request.json()
            app, phone, text = str(body["app"]), str(body["phone"]), str(body["text"])
            stamp = str(body["timestamp"])
        except (ValueError, KeyError, TypeError):
            return Reply({"code": "BAD_REQUEST", "message": "参数不完整"})
        signed = f"{app}\n{phone}\n{stamp}\n".encode() + request.body
        wanted = hmac.new(self.secret.encode(), signed, hashlib.sha256).hexdigest()
        if app != self.app or request.headers.get("X-Sign") != wanted:
            return Reply({"code": "SIGN_ERROR", "message": "签名不正确"})
        if not re.fullmatch(r"1[3-9]\d{9}", phone):
            return Reply({"code": "MOBILE_INVALID", "message": "手机号码格式不正确"})
        if phone in self.dead:
            return Reply({"code": "MOBILE_DEAD", "message": "停机或空号"})
        if not text or len(text) > 500:
            return Reply({"code": "TEXT_INVALID", "message": "内容为空或过长"})
        self.take(Received(phone, text, self.clock(), body))
        return Reply({"code": "OK", "request": str(body.get("nonce", ""))})

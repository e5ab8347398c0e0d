"""Group robots of DingTalk, WeCom and Feishu, as strict as the real ones are said to be."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from kangwei.standins.base import Received, Reply, Request, Standin

SKEW = timedelta(hours=1)
PER_MINUTE = 20
MUTED_FOR = timedelta(minutes=10)


class Robot(Standin):
    """Counts messages: more than 20 in a minute, and the robot is muted for ten minutes."""

    throttled: int

    def __init__(self, *, token: str = "token", secret: str = "", **more: Any) -> None:  # noqa: S107
        super().__init__(**more)
        self.token = token
        self.secret = secret
        self._calls: list[datetime] = []
        self._muted_until: datetime | None = None

    def is_muted(self) -> bool:
        now = self.clock()
        if self._muted_until and now < self._muted_until:
            return True
        self._calls = [call for call in self._calls if now - call < timedelta(minutes=1)]
        if len(self._calls) >= PER_MINUTE:
            self._muted_until = now + MUTED_FOR
            return True
        self._calls.append(now)
        return False

    def _too_old(self, seconds: float) -> bool:
        return abs(self.clock().timestamp() - seconds) > SKEW.total_seconds()


class DingTalk(Robot):
    """errcode 310000 for a bad signature, keyword or clock; 130101 when muted."""

    title = "钉钉群机器人"
    throttled = 130101

    def __init__(self, *, keyword: str = "", **more: Any) -> None:
        super().__init__(**more)
        self.keyword = keyword

    def refusal(self, code: int) -> Reply:
        return Reply({"errcode": code, "errmsg": "played refusal"})

    def answer(self, request: Request) -> Reply:
        if request.method != "POST" or request.path != "/robot/send":
            return Reply({"errcode": 404, "errmsg": "请求的URI地址不存在"})
        if request.query.get("access_token") != self.token:
            return Reply({"errcode": 300005, "errmsg": "token is not exist"})
        if self.secret and (complaint := self._signature_complaint(request)):
            return Reply({"errcode": 310000, "errmsg": complaint})
        try:
            body = request.json()
            kind = body["msgtype"]
            content = body[kind]
            text = content["content"] if kind == "text" else content["text"]
        except (ValueError, KeyError, TypeError):
            return Reply({"errcode": 40035, "errmsg": "缺少参数 json"})
        if kind not in ("text", "markdown", "actionCard"):
            return Reply({"errcode": 400105, "errmsg": "unsupported msgtype"})
        if len(request.body) > 20_480:
            return Reply({"errcode": 460101, "errmsg": "message too long"})
        if self.keyword and self.keyword not in text:
            return Reply({"errcode": 310000, "errmsg": "keywords not in content"})
        if self.is_muted():
            return Reply({"errcode": self.throttled, "errmsg": "send too fast"})
        self.take(Received("群", text, self.clock(), body))
        return Reply({"errcode": 0, "errmsg": "ok"})

    def _signature_complaint(self, request: Request) -> str:
        raw = request.raw_query
        stamp, sign = raw.get("timestamp", ""), raw.get("sign", "")
        if not stamp.isdigit() or self._too_old(int(stamp) / 1000):
            return "invalid timestamp"
        key = self.secret.encode()
        wanted = hmac.new(key, stamp.encode() + b"\n" + key, hashlib.sha256).digest()
        # Decoded once it must be the signature; encoded twice it still holds %2F after that.
        if unquote(sign) != base64.b64encode(wanted).decode():
            return "sign not match"
        if any(mark in sign for mark in "/+="):
            return "sign not match: not url-encoded"
        return ""


class WeCom(Robot):
    """Counts bytes of UTF-8: text at most 2048, Markdown at most 4096."""

    title = "企业微信群机器人"
    throttled = 45009

    def refusal(self, code: int) -> Reply:
        return Reply({"errcode": code, "errmsg": "played refusal"})

    def answer(self, request: Request) -> Reply:
        if request.path != "/cgi-bin/webhook/send" or request.query.get("key") != self.token:
            return Reply({"errcode": 93000, "errmsg": "invalid webhook url"})
        try:
            body = request.json()
            kind = body["msgtype"]
            text = body[kind]["content"]
        except (ValueError, KeyError, TypeError):
            return Reply({"errcode": 40058, "errmsg": "invalid request parameter"})
        limit = {"text": 2048, "markdown": 4096}.get(kind)
        if limit is None:
            return Reply({"errcode": 40008, "errmsg": "invalid message type"})
        if len(text.encode()) > limit:
            return Reply({"errcode": 40058, "errmsg": f"{kind}.content exceed max length {limit}"})
        if "mentioned_mobile_list" in body[kind] and kind != "text":
            return Reply({"errcode": 40058, "errmsg": "mentions in text only"})
        if self.is_muted():
            return Reply({"errcode": self.throttled, "errmsg": "api freq out of limit"})
        self.take(Received("群", text, self.clock(), body))
        return Reply({"errcode": 0, "errmsg": "ok"})


class Feishu(Robot):
    """The signature stands in the body, keyed by time stamp and secret over nothing."""

    title = "飞书群机器人"
    throttled = 11232

    def refusal(self, code: int) -> Reply:
        return Reply({"code": code, "msg": "played refusal", "data": {}})

    def answer(self, request: Request) -> Reply:
        if request.path != f"/open-apis/bot/v2/hook/{self.token}":
            return self._no(19001, "param invalid: incoming webhook access token invalid")
        try:
            body = request.json()
            text = self._text(body)
        except (ValueError, KeyError, TypeError, IndexError):
            return self._no(9499, "Bad Request")
        if self.secret:
            stamp = str(body.get("timestamp", ""))
            key = f"{stamp}\n{self.secret}".encode()
            wanted = base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()
            fresh = stamp.isdigit() and not self._too_old(int(stamp))
            if not fresh or body.get("sign") != wanted:
                return self._no(19021, "sign match fail or timestamp is not within one hour")
        if self.is_muted():
            return self._no(self.throttled, "too many request")
        self.take(Received("群", text, self.clock(), body))
        return Reply({"code": 0, "msg": "success", "data": {}})

    @staticmethod
    def _no(code: int, message: str) -> Reply:
        return Reply({"code": code, "msg": message, "data": {}})

    @staticmethod
    def _text(body: dict[str, Any]) -> str:
        if body["msg_type"] == "text":
            return str(body["content"]["text"])
        if body["msg_type"] != "interactive":
            raise ValueError(json.dumps(body["msg_type"]))
        card = body["card"]
        lines = [item["content"] for item in card["elements"] if item["tag"] == "markdown"]
        return "\n".join([card["header"]["title"]["content"], *lines])

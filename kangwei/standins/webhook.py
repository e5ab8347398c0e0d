"""A system that is told things over HTTP, and a heartbeat service that notes each call."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from kangwei.standins.base import Received, Reply, Request, Standin


class Webhook(Standin):
    """Checks the signature, and tells a repeated delivery from a new one by its number."""

    title = "接口推送接收方"

    def __init__(self, *, secret: str = "webhook-demo-secret", **more: Any) -> None:  # noqa: S107
        super().__init__(**more)
        self.secret = secret
        self.deliveries: list[str] = []

    def refusal(self, code: int) -> Reply:
        return Reply({"message": "played refusal"}, code)

    def answer(self, request: Request) -> Reply:
        if request.method != "POST":
            return Reply({"message": "POST only"}, 405)
        headers = {name.lower(): value for name, value in request.headers.items()}
        stamp = headers.get("x-kangwei-timestamp", "")
        signed = stamp.encode() + b"." + request.body
        wanted = hmac.new(self.secret.encode(), signed, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(headers.get("x-kangwei-signature", ""), wanted):
            return Reply({"message": "signature does not match"}, 401)
        number = headers.get("x-kangwei-delivery", "")
        repeated = number in self.deliveries
        self.deliveries.append(number)
        body = request.json()
        if not repeated:
            self.take(Received("接口", str(body.get("title", "")), self.clock(), body, headers))
        return Reply({"accepted": True, "repeated": repeated})


class Heartbeat(Standin):
    """The outside watcher: counts calls, and would raise an alarm when they stop."""

    title = "心跳接收方"

    def refusal(self, code: int) -> Reply:
        return Reply("refused", code)

    def answer(self, request: Request) -> Reply:
        self.take(Received("心跳", request.path, self.clock()))
        return Reply("OK")

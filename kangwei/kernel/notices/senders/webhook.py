"""Outgoing webhook (接口推送): our own JSON, signed, to a system that wants to know.

The receiver checks `X-Kangwei-Signature` = hex HMAC-SHA256(secret, timestamp + "." + body) and
drops a repeated `X-Kangwei-Delivery`: a message may arrive twice, never with another id.
"""

from __future__ import annotations

import json
from datetime import datetime

from kangwei.kernel.notices.rules.signing import webhook_signature
from kangwei.kernel.notices.senders.base import Line, Message, Outcome, call, knock


class Webhook:
    """One signed POST; any 2xx is acceptance."""

    def send(self, line: Line, recipient: str, message: Message, at: datetime) -> Outcome:
        body = json.dumps(
            {
                "delivery": message.delivery_id,
                "thread": message.thread,
                "title": message.title,
                "text": message.text,
                "priority": message.priority,
                "link": message.link,
                "sent_at": at.isoformat(),
                "context": dict(message.context),
            },
            ensure_ascii=False,
            default=str,
        ).encode()
        stamp = int(at.timestamp())
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "X-Kangwei-Delivery": message.delivery_id,
            "X-Kangwei-Timestamp": str(stamp),
        }
        if secret := line.secret("secret"):
            headers["X-Kangwei-Signature"] = webhook_signature(secret, stamp, body)
        outcome, _ = call(line, "POST", line.address, headers=headers, body=body)
        return outcome

    def probe(self, line: Line, at: datetime) -> Outcome:
        return knock(line, line.address)

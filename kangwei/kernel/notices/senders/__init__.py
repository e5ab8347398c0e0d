"""Senders: one module per wire format (发送器).

Each takes a channel's settings, a recipient and a message, speaks to the service and answers with
an outcome. They know neither the database nor Django, so they are tested over the wire alone.
"""

from __future__ import annotations

from datetime import datetime

from kangwei.kernel.notices.senders import mail, robots, templated, webhook
from kangwei.kernel.notices.senders.base import Line, Message, Outcome, Sender

__all__ = ["SENDERS", "Line", "Message", "Outcome", "probe", "send"]

SENDERS: dict[str, Sender] = {
    "dingtalk": robots.DingTalk(),
    "wecom": robots.WeCom(),
    "feishu": robots.Feishu(),
    "email": mail.Mail(),
    "sms": templated.Templated(),
    "voice": templated.Templated(),
    "webhook": webhook.Webhook(),
}


def send(kind: str, line: Line, recipient: str, message: Message, at: datetime) -> Outcome:
    return SENDERS[kind].send(line, recipient, message, at)


def probe(kind: str, line: Line, at: datetime) -> Outcome:
    """Is the channel well again? Without bothering people where the service allows that."""
    return SENDERS[kind].probe(line, at)

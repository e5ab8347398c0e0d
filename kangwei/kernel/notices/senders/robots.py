"""Group robots of DingTalk, WeCom and Feishu (群机器人).

All three answer HTTP 200 with an error code in the body; only the code says whether the message
was taken. Their limits count bytes of UTF-8, not characters.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from kangwei.kernel.notices.rules.delivery import Verdict
from kangwei.kernel.notices.rules.signing import dingtalk_query, feishu_signature
from kangwei.kernel.notices.rules.texts import cut_bytes
from kangwei.kernel.notices.senders.base import Line, Message, Outcome, call, refused

DINGTALK_LIMIT = 20_000
WECOM_TEXT_LIMIT = 2048
WECOM_MARKDOWN_LIMIT = 4096
FEISHU_LIMIT = 18_000

DINGTALK_ERRORS = {
    "310000": "安全设置不通过：请核对加签密钥、自定义关键词、IP 白名单，"
    "并检查服务器时间（误差不得超过 1 小时）",
    "130101": "发送太快，机器人已被限流 10 分钟",
    "300001": "机器人令牌（access_token）无效，请重新复制机器人地址",
    "300005": "机器人令牌（access_token）不存在或已停用，请在群设置中核对",
    "400013": "群已解散，请更换群机器人",
    "400101": "机器人令牌（access_token）不存在，请重新复制机器人地址",
    "400102": "机器人已停用，请在群设置中启用",
    "400105": "不支持的消息类型",
    "400106": "机器人不存在，可能已被移出群",
    "410100": "发送太快，机器人已被限流 10 分钟",
    "430101": "消息含不安全的外链",
    "430102": "消息含不合适的文本",
    "430103": "消息含不合适的图片",
    "430104": "消息含不合适的内容",
    "-1": "钉钉系统繁忙，请稍后重试",
}
WECOM_ERRORS = {
    "93000": "机器人地址中的 key 无效，请重新复制机器人地址",
    "93004": "机器人已停用，请在群中启用",
    "93008": "机器人不在群中，可能已被移出",
    "45009": "发送太快，机器人已被限流",
    "40058": "消息参数不合规，可能超过长度限制",
    "40008": "不支持的消息类型",
    "-1": "企业微信系统繁忙，请稍后重试",
}
FEISHU_ERRORS = {
    "19021": "签名校验不通过：请核对签名密钥，并检查服务器时间（误差不得超过 1 小时）",
    "19022": "来源 IP 不在白名单内",
    "19024": "消息不含机器人的自定义关键词",
    "19001": "机器人地址无效，请重新复制",
    "11232": "发送太快，机器人已被限流",
    "9499": "发送太快，机器人已被限流",
    "9500": "飞书系统繁忙，请稍后重试",
}
THROTTLED = {"130101", "410100", "45009", "11232", "9499"}
BUSY = {"-1", "9500"}

PROBE = "康维：通知渠道恢复检测，收到即表示渠道已恢复。"


class Robot(ABC):
    """A robot: one POST of JSON, and a code in the answer."""

    name: str
    errors: Mapping[str, str]
    code_fields: tuple[str, ...]

    @abstractmethod
    def url(self, line: Line, at: datetime) -> str: ...

    @abstractmethod
    def body(self, line: Line, message: Message, at: datetime) -> dict[str, Any]: ...

    def send(self, line: Line, recipient: str, message: Message, at: datetime) -> Outcome:
        outcome, answer = call(
            line,
            "POST",
            self.url(line, at),
            headers={"Content-Type": "application/json; charset=utf-8"},
            body=json.dumps(self.body(line, message, at), ensure_ascii=False).encode(),
        )
        # Only an answer with the service's own zero counts as success, whatever the status says.
        return self._judge(outcome, answer) if outcome.code else outcome

    def probe(self, line: Line, at: datetime) -> Outcome:
        message = Message(
            delivery_id=f"probe-{at:%Y%m%d%H%M%S}",
            title="通知渠道恢复检测",
            markdown=PROBE,
            text=PROBE,
            short=PROBE,
        )
        return self.send(line, "", message, at)

    def _judge(self, outcome: Outcome, answer: str) -> Outcome:
        try:
            body = json.loads(answer)
            code = next(str(body[name]) for name in self.code_fields if name in body)
        except (ValueError, TypeError, StopIteration):
            if outcome.verdict is not Verdict.ACCEPTED:
                return outcome
            return refused(outcome, f"{self.name}的应答中没有结果码，请核对渠道地址。")
        if code == "0":
            return outcome
        reason = f"{self.name}返回 {code}：{self.errors.get(code, '请对照其错误码说明处理')}。"
        verdict = (
            Verdict.THROTTLED
            if code in THROTTLED
            else Verdict.BROKEN
            if code in BUSY
            else Verdict.REFUSED
        )
        return replace(outcome, verdict=verdict, reason=reason, code=code)


def _keyword(line: Line, text: str) -> str:
    """Robots protected by a keyword refuse messages that do not contain it."""
    keyword = str(line.options.get("keyword", ""))
    return f"{text}\n\n{keyword}" if keyword and keyword not in text else text


class DingTalk(Robot):
    name = "钉钉"
    errors = DINGTALK_ERRORS
    code_fields = ("errcode",)

    def url(self, line: Line, at: datetime) -> str:
        token = quote(line.secret("token"), safe="")
        url = f"{line.address.rstrip('/')}/robot/send?access_token={token}"
        secret = line.secret("secret")
        return f"{url}&{dingtalk_query(secret, int(at.timestamp() * 1000))}" if secret else url

    def body(self, line: Line, message: Message, at: datetime) -> dict[str, Any]:
        # The group shows a mention only where the text itself contains @number.
        called = " ".join(f"@{mobile}" for mobile, _ in message.mentions)
        room = DINGTALK_LIMIT - len(called.encode()) - 200
        text = _keyword(line, cut_bytes(message.markdown, room))
        return {
            "msgtype": "markdown",
            "msgUuid": message.delivery_id,
            "markdown": {
                "title": cut_bytes(message.title, 200),
                "text": f"{text}\n\n{called}" if called else text,
            },
            "at": {
                "atMobiles": [mobile for mobile, _ in message.mentions],
                "isAtAll": message.mention_all,
            },
        }


class WeCom(Robot):
    name = "企业微信"
    errors = WECOM_ERRORS
    code_fields = ("errcode",)

    def url(self, line: Line, at: datetime) -> str:
        key = quote(line.secret("token"), safe="")
        return f"{line.address.rstrip('/')}/cgi-bin/webhook/send?key={key}"

    def body(self, line: Line, message: Message, at: datetime) -> dict[str, Any]:
        if message.mentions or message.mention_all:
            # Mentions by mobile number exist in the text type only.
            mobiles = [mobile for mobile, _ in message.mentions]
            everybody = ["@all"] if message.mention_all else []
            text = cut_bytes(f"{message.title}\n{message.text}", WECOM_TEXT_LIMIT)
            return {
                "msgtype": "text",
                "text": {"content": text, "mentioned_mobile_list": mobiles + everybody},
            }
        text = cut_bytes(message.markdown, WECOM_MARKDOWN_LIMIT)
        return {"msgtype": "markdown", "markdown": {"content": text}}


class Feishu(Robot):
    name = "飞书"
    errors = FEISHU_ERRORS
    code_fields = ("code", "StatusCode")

    def url(self, line: Line, at: datetime) -> str:
        token = quote(line.secret("token"), safe="")
        return f"{line.address.rstrip('/')}/open-apis/bot/v2/hook/{token}"

    def body(self, line: Line, message: Message, at: datetime) -> dict[str, Any]:
        names = "、".join(name for _, name in message.mentions)
        text = cut_bytes(message.markdown, FEISHU_LIMIT)
        # A card takes Markdown; people can be called by their Feishu id only, so they are named.
        text += f"\n\n请处理：{names}" if names else ""
        text += "\n<at id=all></at>" if message.mention_all else ""
        body: dict[str, Any] = {
            "msg_type": "interactive",
            "card": {
                "header": {
                    "title": {"tag": "plain_text", "content": cut_bytes(message.title, 200)},
                    "template": {3: "red", 2: "orange"}.get(message.priority, "blue"),
                },
                "elements": [{"tag": "markdown", "content": _keyword(line, text)}],
            },
        }
        if secret := line.secret("secret"):
            stamp = int(at.timestamp())
            body |= {"timestamp": str(stamp), "sign": feishu_signature(secret, stamp)}
        return body

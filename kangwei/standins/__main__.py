"""Starts every stand-in for the demonstration: `python -m kangwei.standins --port 8790`.

One HTTP port carries them all under prefixes, the next port is the mail server. The page at `/`
shows what they received and lets each be made slow, failing or refusing.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import signal
import threading

from kangwei.standins.base import Reply, Request, Server, Standin
from kangwei.standins.mail import Mail, MailServer
from kangwei.standins.robots import DingTalk, Feishu, WeCom
from kangwei.standins.sms import Sms
from kangwei.standins.webhook import Heartbeat, Webhook

#: Values the demonstration world writes into its channels; they guard nothing.
TOKEN = "demo-token"  # noqa: S105
SECRET = "SEC-kangwei-demo"  # noqa: S105

STYLE = """
body{font:14px/1.6 "PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;margin:24px;
 color:#1f2937;background:#f8fafc}h1{font-size:20px}h2{font-size:16px;margin:24px 0 8px}
table{border-collapse:collapse;width:100%;background:#fff}td,th{border:1px solid #e5e7eb;
 padding:6px 10px;text-align:left;vertical-align:top}th{background:#f1f5f9}pre{margin:0;
 white-space:pre-wrap;font:inherit}form{display:inline}button{margin-right:6px}
"""
PLAYS: dict[str, dict[str, object]] = {
    "正常": {},
    "缓慢 5 秒": {"slow": 5.0},
    "服务异常 503": {"status": 503},
    "200 带错误码": {"refuse": 310000},
    "收下后断开": {"hang_up": True},
    "重复收到": {"twice": True},
}


def everybody() -> dict[str, Standin]:
    robots: dict[str, Standin] = {
        "/dingtalk": DingTalk(token=TOKEN, secret=SECRET),
        "/dingtalk-2": DingTalk(token=TOKEN, secret=SECRET),
        "/wecom": WeCom(token=TOKEN),
        "/feishu": Feishu(token=TOKEN, secret=SECRET),
    }
    robots["/dingtalk-2"].title = "钉钉群机器人（备用）"
    return {
        **robots,
        "/sms": Sms(),
        "/voice": Sms(title="语音服务"),
        "/webhook": Webhook(),
        "/heartbeat": Heartbeat(),
    }


class Demonstration(Server):
    """The played services, and a page about them."""

    def __init__(self, mail: Mail, port: int) -> None:
        super().__init__(everybody(), port)
        self.mail = mail

    def page(self, request: Request) -> Reply | None:
        if request.path == "/":
            return Reply(self._overview())
        if request.path == "/_messages":
            report = {prefix: standin.report() for prefix, standin in self.standins.items()}
            return Reply({**report, "/mail": self.mail.report()})
        if request.path == "/_behave" and request.method == "POST":
            return self._behave(request)
        return None

    def _behave(self, request: Request) -> Reply:
        name, play = request.query.get("name", ""), request.query.get("play", "")
        standin = self.standins.get(name)
        if standin is None:
            return Reply({"message": f"没有替身服务 {name}"}, 404)
        try:
            values = PLAYS[play] if play else json.loads(request.body)
            standin.behave(**values)
        except (KeyError, ValueError, TypeError) as error:
            return Reply({"message": f"看不懂的表现：{error}"}, 422)
        if play:
            back = '<!doctype html><meta http-equiv="refresh" content="0;url=/">'
            return Reply(back + "<p>已设置。<a href='/'>返回</a></p>")
        return Reply(standin.report())

    def _overview(self) -> str:
        parts = [
            "<!doctype html><html lang='zh-CN'><meta charset='utf-8'>",
            f"<title>替身服务</title><style>{STYLE}</style><h1>替身服务收到的消息</h1>",
            "<p>这些服务在本机扮演外部系统，用于演示和测试，不会向外发送任何内容。</p>",
        ]
        for prefix, standin in self.standins.items():
            buttons = "".join(
                f"<form method='post' action='/_behave?name={prefix}&amp;play={html.escape(play)}'>"
                f"<button>{html.escape(play)}</button></form>"
                for play in PLAYS
            )
            parts.append(f"<h2>{html.escape(standin.title)} <small>{prefix}</small></h2>{buttons}")
            parts.append(_table([(m.at, m.to, m.text) for m in reversed(standin.received[-20:])]))
        parts.append(f"<h2>{self.mail.title}</h2>")
        parts.append(_table([(m.at, m.to, m.text) for m in reversed(self.mail.received[-20:])]))
        return "".join(parts)


def _table(rows: list[tuple[object, str, str]]) -> str:
    if not rows:
        return "<p>尚未收到消息。</p>"
    body = "".join(
        f"<tr><td>{str(at)[:19]}</td><td>{html.escape(to)}</td>"
        f"<td><pre>{html.escape(text)}</pre></td></tr>"
        for at, to, text in rows
    )
    return f"<table><tr><th>时间</th><th>收件方</th><th>内容</th></tr>{body}</table>"


def main() -> None:
    parser = argparse.ArgumentParser(description="替身服务：在本机扮演外部系统")
    parser.add_argument(
        "--port", type=int, default=int(os.environ.get("KW_STANDINS_PORT", "8790")),
        help="HTTP 端口，邮件服务用下一个端口（默认 8790）",
    )  # fmt: skip
    port: int = parser.parse_args().port
    mail = Mail()
    server, mail_server = Demonstration(mail, port), MailServer(mail, port + 1 if port else 0)
    server.start()
    mail_server.start()
    print(f"替身服务：{server.url('/')}  邮件：127.0.0.1:{mail_server.port}", flush=True)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    server.stop()
    mail_server.stop()


if __name__ == "__main__":
    main()

"""The stand-ins themselves: what they remember, how they misbehave, the demonstration's page."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

from kangwei.standins.base import Received, Request, playing
from kangwei.standins.robots import WeCom
from kangwei.standins.webhook import Heartbeat


def ask(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=5) as answer:
        text = answer.read().decode()
    return json.loads(text) if text[:1] in "[{" else text


def test_a_message_taken_twice_is_remembered_twice() -> None:
    standin = Heartbeat()
    standin.behave(twice=True)
    standin.answer(Request("GET", "/beat", {}, b""))
    assert [item.text for item in standin.received] == ["/beat", "/beat"]


def test_misbehaviour_can_be_limited_to_some_requests() -> None:
    with playing(standin := WeCom()) as url:
        standin.behave(refuse=45009, times=1)
        target = f"{url}/cgi-bin/webhook/send?key=token"
        body = {"msgtype": "text", "text": {"content": "x"}}
        assert ask(target, body)["errcode"] == 45009
        assert ask(target, body)["errcode"] == 0


def test_an_unknown_behaviour_is_refused() -> None:
    with pytest.raises(ValueError, match="sleepy"):
        WeCom().behave(sleepy=True)


def test_memory_is_bounded() -> None:
    standin = Heartbeat()
    for n in range(600):
        standin.take(Received("x", str(n), standin.clock()))
    assert (len(standin.received), standin.received[-1].text) == (500, "599")


@pytest.mark.process
def test_all_of_them_start_with_one_command_and_show_what_they_received() -> None:
    port = 18190
    process = subprocess.Popen(
        [sys.executable, "-m", "kangwei.standins", "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        assert str(port) in process.stdout.readline()
        base = f"http://127.0.0.1:{port}"
        body = {"msgtype": "text", "text": {"content": "断电 <b>"}}
        sent = ask(f"{base}/wecom/cgi-bin/webhook/send?key=demo-token", body)
        assert sent["errcode"] == 0
        assert ask(f"{base}/_messages")["/wecom"]["received"][0]["text"] == "断电 <b>"
        page = ask(f"{base}/")
        assert "断电 &lt;b&gt;" in page
        ask(f"{base}/_behave?name=/wecom", {"refuse": 93004})
        sent = ask(f"{base}/wecom/cgi-bin/webhook/send?key=demo-token", body)
        assert sent["errcode"] == 93004
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        if process.stdout:
            process.stdout.close()

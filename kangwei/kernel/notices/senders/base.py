"""What every sender shares: the message, the outcome, one HTTP call, and the hiding of secrets."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from kangwei.kernel.notices.rules.delivery import Verdict

#: Seconds to connect and to wait for the answer.
PATIENCE = 10.0
#: More of an answer than this is neither read nor kept.
LONGEST_ANSWER = 16_384
HIDDEN = "******"
# The HTTP library notes each address it calls; tokens stand in those addresses.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Line:
    """A channel as its sender needs it: where, with which secrets, with which habits."""

    address: str
    secrets: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def secret(self, name: str) -> str:
        return self.secrets.get(name, "")

    def hide(self, text: str) -> str:
        """The text without any of this channel's secrets, for the ledger of attempts."""
        for secret in sorted(self.secrets.values(), key=len, reverse=True):
            if len(secret) >= 4:
                text = text.replace(secret, HIDDEN)
        return text


@dataclass(frozen=True)
class Message:
    """One thing to tell, rendered; the delivery id stays the same however often it is sent."""

    delivery_id: str
    title: str
    markdown: str
    text: str
    short: str
    thread: str = ""
    link: str = ""
    priority: int = 1
    #: Mobile numbers and names of people to call by name in a group.
    mentions: tuple[tuple[str, str], ...] = ()
    mention_all: bool = False
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt, fit to be kept: secrets are hidden in `request` and `body`."""

    verdict: Verdict
    reason: str
    code: str = ""
    body: str = ""
    request: str = ""
    latency_ms: int = 0

    @property
    def ok(self) -> bool:
        return self.verdict is Verdict.ACCEPTED


class Sender(Protocol):
    """Speaks one wire format."""

    def send(self, line: Line, recipient: str, message: Message, at: datetime) -> Outcome: ...

    def probe(self, line: Line, at: datetime) -> Outcome: ...


def tls(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Certificates are always checked; a private authority (内部 CA) is added as PEM text."""
    context = ssl.create_default_context()
    if authority := options.get("ca_pem"):
        context.load_verify_locations(cadata=str(authority))
    return context


def call(
    line: Line,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str],
    body: bytes,
) -> tuple[Outcome, str]:
    """One HTTP exchange: an outcome that is ACCEPTED for now when an answer came, and its text.

    The address is handed over as finished text, so nothing encodes it a second time. Redirects
    are not followed and environment proxies not used: a message goes where it was told to.
    """
    # 20 MB that only a process that sends needs.
    import httpx

    shown = line.hide(f"{method} {url}\n{body.decode(errors='replace')}")
    began = time.perf_counter()

    def outcome(verdict: Verdict, reason: str, code: str = "", text: str = "") -> Outcome:
        spent = round((time.perf_counter() - began) * 1000)
        return Outcome(verdict, reason, code, line.hide(text), shown, spent)

    try:
        with (
            httpx.Client(verify=tls(line.options), timeout=PATIENCE, trust_env=False) as client,
            client.stream(method, url, headers=dict(headers), content=body) as answer,
        ):
            raw = b""
            for piece in answer.iter_bytes():
                raw += piece
                if len(raw) >= LONGEST_ANSWER:
                    break
            text = raw[:LONGEST_ANSWER].decode(answer.encoding or "utf-8", errors="replace")
            code = str(answer.status_code)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        return outcome(Verdict.UNREACHABLE, f"连接不上服务地址：{line.hide(str(error))}"), ""
    except httpx.TimeoutException:
        return outcome(Verdict.UNCLEAR, f"{PATIENCE:.0f} 秒内没有应答，消息可能已送达。"), ""
    except httpx.TransportError:
        return outcome(Verdict.UNCLEAR, "对方没有应答就断开了连接，消息可能已送达。"), ""
    except (httpx.InvalidURL, ssl.SSLError, UnicodeError, LookupError, ValueError) as error:
        return outcome(Verdict.REFUSED, f"渠道配置有误：{line.hide(str(error))}"), ""
    if answer.status_code == 429:
        return outcome(Verdict.THROTTLED, "服务限流（HTTP 429）。", code, text), text
    if answer.status_code >= 500:
        return outcome(Verdict.BROKEN, f"服务异常（HTTP {code}）。", code, text), text
    if not 200 <= answer.status_code < 300:
        return outcome(Verdict.REFUSED, f"服务拒绝（HTTP {code}）。", code, text), text
    return outcome(Verdict.ACCEPTED, "已接受。", code, text), text


def refused(outcome: Outcome, reason: str, code: str = "") -> Outcome:
    return replace(outcome, verdict=Verdict.REFUSED, reason=reason, code=code or outcome.code)


def knock(line: Line, url: str) -> Outcome:
    """Does the service answer at all? Any answer but an error of its own counts as well."""
    outcome, _ = call(line, "GET", url, headers={}, body=b"")
    if outcome.verdict is Verdict.REFUSED and outcome.code.isdigit():
        return replace(outcome, verdict=Verdict.ACCEPTED, reason="服务有应答。")
    return outcome

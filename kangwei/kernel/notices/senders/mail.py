"""Mail by SMTP (邮件): plain and HTML parts, the delivery id as Message-ID.

Security is STARTTLS, TLS from the start, or none – the last for a relay inside the house, such
as a gateway that speaks the national algorithms (国密网关) to the outside.
"""

from __future__ import annotations

import smtplib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import urlsplit

from kangwei.kernel.notices.rules.delivery import Verdict
from kangwei.kernel.notices.rules.texts import as_html
from kangwei.kernel.notices.senders.base import PATIENCE, Line, Message, Outcome, tls

SECURITIES = ("starttls", "tls", "none")
PORTS = {"starttls": 587, "tls": 465, "none": 25}


class Mail:
    """One message to one recipient over one connection."""

    def send(self, line: Line, recipient: str, message: Message, at: datetime) -> Outcome:
        mail = compose(line, recipient, message, at)
        return self._talk(line, mail)

    def probe(self, line: Line, at: datetime) -> Outcome:
        """Signs in and leaves again without a mail."""
        return self._talk(line, None)

    def _talk(self, line: Line, mail: EmailMessage | None) -> Outcome:
        began = time.perf_counter()
        said = mail or EmailMessage()
        shown = line.hide("\n".join(f"{name}: {value}" for name, value in said.items()))
        handed_over = False

        def outcome(verdict: Verdict, reason: str, code: str = "", body: str = "") -> Outcome:
            spent = round((time.perf_counter() - began) * 1000)
            return Outcome(verdict, line.hide(reason), code, line.hide(body), shown, spent)

        try:
            with _connected(line) as server:
                if mail is None:
                    server.noop()
                    return outcome(Verdict.ACCEPTED, "邮件服务有应答。", "250")
                handed_over = True
                server.send_message(mail)
        except smtplib.SMTPAuthenticationError as error:
            return outcome(
                Verdict.REFUSED,
                "邮箱账号或授权码不对，请核对。",
                str(error.smtp_code),
                _text(error),
            )
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            told = _decode(text)
            return outcome(_verdict(code), f"收件地址被拒绝（{code}）：{told}", str(code), told)
        except smtplib.SMTPResponseException as error:
            code, told = error.smtp_code, _text(error)
            return outcome(_verdict(code), f"邮件服务拒绝（{code}）：{told}", str(code), told)
        except smtplib.SMTPNotSupportedError:
            return outcome(Verdict.REFUSED, "邮件服务不支持所选的加密或登录方式，请改安全方式。")
        except (smtplib.SMTPException, OSError) as error:
            if handed_over:
                return outcome(
                    Verdict.UNCLEAR, "邮件服务中途断开，邮件可能已送达。", "", str(error)
                )
            return outcome(Verdict.UNREACHABLE, f"连接不上邮件服务：{error}")
        except ValueError as error:
            return outcome(Verdict.REFUSED, f"邮件配置有误：{error}")
        return outcome(Verdict.ACCEPTED, "已接受。", "250")


@contextmanager
def _connected(line: Line) -> Iterator[smtplib.SMTP]:
    security = str(line.options.get("security", "starttls"))
    if security not in SECURITIES:
        raise ValueError(f"安全方式只能是 {'、'.join(SECURITIES)}。")
    where = urlsplit(line.address if "//" in line.address else f"//{line.address}")
    host, port = where.hostname or "", where.port or PORTS[security]
    server = (
        smtplib.SMTP_SSL(host, port, timeout=PATIENCE, context=tls(line.options))
        if security == "tls"
        else smtplib.SMTP(host, port, timeout=PATIENCE)
    )
    with server:
        if security == "starttls":
            server.starttls(context=tls(line.options))
        if user := str(line.options.get("user", "")):
            server.login(user, line.secret("password"))
        yield server


def compose(line: Line, recipient: str, message: Message, at: datetime) -> EmailMessage:
    sender = str(line.options.get("sender", ""))
    domain = sender.rpartition("@")[2] or "kangwei.local"
    mail = EmailMessage()
    name = str(line.options.get("sender_name", "康维"))
    mail["From"] = Address(display_name=name, addr_spec=sender)
    mail["To"] = Address(addr_spec=recipient)
    mail["Subject"] = " ".join(message.title.split())
    mail["Date"] = format_datetime(at)
    mail["Message-ID"] = f"<{message.delivery_id}@{domain}>"
    if message.thread:
        # Mail programs show messages about the same matter as one conversation.
        mail["References"] = f"<{message.thread}@{domain}>"
        mail["In-Reply-To"] = f"<{message.thread}@{domain}>"
    mail["X-Priority"] = "1" if message.priority >= 3 else "3"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    mail.add_alternative(f"<html><body>{as_html(message.markdown)}</body></html>", subtype="html")
    return mail


def _verdict(code: int) -> Verdict:
    """4xx of SMTP passes by itself, 5xx does not."""
    return Verdict.BROKEN if 400 <= code < 500 else Verdict.REFUSED


def _text(error: smtplib.SMTPResponseException) -> str:
    return _decode(error.smtp_error)


def _decode(text: bytes | str) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else text

"""A mail server that takes everything and sends nothing on (SMTP on the loopback)."""

from __future__ import annotations

import base64
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from kangwei.standins.base import MEMORY, Behaviour, Received


class Mail:
    """Speaks enough SMTP for a strict client: EHLO, STARTTLS, AUTH PLAIN and LOGIN, DATA.

    `behaviour.refuse` is an SMTP code told at RCPT (550: no such box, 451: come back later).
    """

    title = "邮件服务"

    def __init__(
        self,
        *,
        user: str = "",
        password: str = "",
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.user, self.password, self.tls, self.clock = user, password, tls, clock
        self.behaviour = Behaviour()
        self.messages: list[EmailMessage] = []
        self.received: list[Received] = []
        #: Commands as they came, to see whether a password went over the wire unencrypted.
        self.commands: list[tuple[bool, str]] = []

    def behave(self, **values: Any) -> None:
        self.behaviour = Behaviour.read(values)

    def take(self, recipients: list[str], raw: bytes) -> None:
        message = message_from_bytes(raw, policy=policy.default)
        assert isinstance(message, EmailMessage)
        for _ in range(2 if self.behaviour.twice else 1):
            self.messages.append(message)
            text = f"{message['Subject']}"
            self.received.append(Received("、".join(recipients), text, self.clock()))
        del self.messages[:-MEMORY], self.received[:-MEMORY]

    def report(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "received": [
                {"to": item.to, "text": item.text, "at": item.at.isoformat()}
                for item in reversed(self.received)
            ],
        }


class _Session(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self.mail = self.server.mail
        self.encrypted = False
        self.signed_in = not self.mail.user
        self.recipients: list[str] = []
        self._say("220 standin.kangwei.local ESMTP")
        try:
            while line := self.rfile.readline(2048):
                command = line.decode("utf-8", errors="replace").strip()
                self.mail.commands.append((self.encrypted, command))
                if not self._obey(command):
                    return
        except (ConnectionError, ssl.SSLError, ValueError):
            return  # the client left; nothing was promised to it

    def finish(self) -> None:
        super().finish()
        if self.encrypted:
            self.rfile.close()
            self.connection.close()

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")

    def _obey(self, command: str) -> bool:
        """Answer one command; False ends the session."""
        verb = command.split(" ")[0].upper()
        behaviour = self.mail.behaviour
        match verb:
            case "EHLO" | "HELO":
                offers = ["standin.kangwei.local", "8BITMIME", "SMTPUTF8"]
                if self.mail.tls and not self.encrypted:
                    offers.append("STARTTLS")
                if self.mail.user:
                    offers.append("AUTH PLAIN LOGIN")
                for offer in offers[:-1]:
                    self._say(f"250-{offer}")
                self._say(f"250 {offers[-1]}")
            case "STARTTLS" if self.mail.tls and not self.encrypted:
                self._say("220 go ahead")
                self.request = self.mail.tls.wrap_socket(self.request, server_side=True)
                self.connection = self.request
                self.rfile = self.connection.makefile("rb", -1)
                self.wfile = _Writer(self.connection)  # type: ignore[assignment]
                self.encrypted = True
            case "AUTH":
                self._sign_in(command)
            case "MAIL" if self.signed_in:
                self.recipients = []
                self._say("250 ok")
            case "MAIL":
                self._say("530 authentication required")
            case "RCPT":
                if behaviour.refuse:
                    self._say(f"{behaviour.refuse} played refusal")
                else:
                    self.recipients.append(command.partition("<")[2].partition(">")[0])
                    self._say("250 ok")
            case "DATA":
                return self._data()
            case "NOOP" | "RSET":
                self._say("250 ok")
            case "QUIT":
                self._say("221 bye")
                return False
            case _:
                self._say("502 not understood")
        return True

    def _sign_in(self, command: str) -> None:
        parts = command.split(" ")
        if len(parts) > 1 and parts[1].upper() == "PLAIN":
            raw = parts[2] if len(parts) > 2 else self._ask("")
            _, user, password = base64.b64decode(raw).decode().split("\0")
        else:
            raw = parts[2] if len(parts) > 2 else self._ask("VXNlcm5hbWU6")
            user = base64.b64decode(raw).decode()
            password = base64.b64decode(self._ask("UGFzc3dvcmQ6")).decode()
        self.signed_in = (user, password) == (self.mail.user, self.mail.password)
        self._say("235 welcome" if self.signed_in else "535 authentication failed")

    def _ask(self, prompt: str) -> str:
        self._say(f"334 {prompt}")
        return self.rfile.readline(2048).decode().strip()

    def _data(self) -> bool:
        self._say("354 go on")
        lines: list[bytes] = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        behaviour = self.mail.behaviour
        if behaviour.slow:
            time.sleep(behaviour.slow)
        if behaviour.status:
            self._say(f"{behaviour.status} played failure")
            return True
        self.mail.take(self.recipients, b"".join(lines))
        if behaviour.hang_up:
            return False
        self._say("250 taken")
        return True


class _Writer:
    """The encrypted socket as a file that writes at once."""

    closed = False

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def write(self, raw: bytes) -> int:
        self._connection.sendall(raw)
        return len(raw)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True


class MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, mail: Mail, port: int = 0) -> None:
        self.mail = mail
        super().__init__(("127.0.0.1", port), _Session)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join(timeout=5)


@contextmanager
def playing_mail(mail: Mail) -> Iterator[str]:
    """Start the mail server on a free port and answer its address as host:port."""
    server = MailServer(mail)
    server.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        server.stop()

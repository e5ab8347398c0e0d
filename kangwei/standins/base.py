"""What every stand-in over HTTP shares: behaviour, memory, and a server on the loopback."""

from __future__ import annotations

import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

#: What a stand-in remembers; older messages are forgotten.
MEMORY = 500


@dataclass
class Behaviour:
    """How a stand-in misbehaves. Everything at its default: it does its best."""

    #: Seconds to wait before answering.
    slow: float = 0.0
    #: An HTTP status to answer with instead of the right one, e.g. 503.
    status: int = 0
    #: The service's own error code, told with HTTP 200.
    refuse: int = 0
    #: Take the message, then hang up without an answer.
    hang_up: bool = False
    #: Take the message twice, as a network that repeats itself would deliver it.
    twice: bool = False
    #: Misbehave for so many requests only; -1 is until told otherwise.
    times: int = -1

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Behaviour:
        known = {item.name: item.type for item in fields(cls)}
        if unknown := set(values) - set(known):
            raise ValueError(f"unknown behaviour: {', '.join(sorted(unknown))}")
        return cls(**values)


@dataclass(frozen=True)
class Request:
    method: str
    #: The address exactly as it came over the wire, still percent-encoded.
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def raw_query(self) -> dict[str, str]:
        """Parameters not decoded, for those who judge the encoding itself."""
        pairs = (part.partition("=") for part in urlsplit(self.target).query.split("&") if part)
        return {name: value for name, _, value in pairs}

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    body: Mapping[str, Any] | str
    status: int = 200

    def raw(self) -> tuple[str, bytes]:
        if isinstance(self.body, str):
            return "text/plain; charset=utf-8", self.body.encode()
        text = json.dumps(self.body, ensure_ascii=False)
        return "application/json; charset=utf-8", text.encode()


@dataclass
class Received:
    """One message a stand-in took, as its people would have seen it."""

    to: str
    text: str
    at: datetime
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Standin(ABC):
    """One played service. Subclasses answer a request and say how they refuse."""

    title: str

    def __init__(self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.behaviour = Behaviour()
        self.received: list[Received] = []
        self.requests: list[Request] = []
        self.clock = clock
        self._lock = threading.Lock()

    @abstractmethod
    def answer(self, request: Request) -> Reply: ...

    @abstractmethod
    def refusal(self, code: int) -> Reply: ...

    def behave(self, **values: Any) -> None:
        self.behaviour = Behaviour.read(values)

    def take(self, message: Received) -> None:
        for _ in range(2 if self.behaviour.twice else 1):
            self.received.append(message)
        del self.received[:-MEMORY]

    def handle(self, request: Request) -> Reply | None:
        """The reply, or None to hang up."""
        with self._lock:
            self.requests.append(request)
            del self.requests[:-MEMORY]
            behaviour = self.behaviour
            active = behaviour.times != 0
            if behaviour.times > 0:
                behaviour.times -= 1
        if active and behaviour.slow:
            time.sleep(behaviour.slow)
        if active and behaviour.status:
            return Reply({"message": "played failure"}, behaviour.status)
        if active and behaviour.refuse:
            return self.refusal(behaviour.refuse)
        with self._lock:
            reply = self.answer(request)
        return None if active and behaviour.hang_up else reply

    def report(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "behaviour": asdict(self.behaviour),
            "received": [
                {"to": item.to, "text": item.text, "at": item.at.isoformat()}
                for item in reversed(self.received)
            ],
        }


class Server:
    """Stand-ins mounted under prefixes of one loopback port."""

    def __init__(self, standins: Mapping[str, Standin], port: int = 0) -> None:
        self.standins = dict(standins)
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    def url(self, prefix: str = "") -> str:
        return f"http://127.0.0.1:{self.port}{prefix}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(timeout=5)

    def find(self, path: str) -> tuple[str, Standin] | None:
        fitting = [p for p in self.standins if path == p or path.startswith(p.rstrip("/") + "/")]
        best = max(fitting, key=len, default=None)
        return None if best is None else (best, self.standins[best])

    def page(self, request: Request) -> Reply | None:
        """Pages of the demonstration itself, beside the played services."""
        return None


class _Handler(BaseHTTPRequestHandler):
    owner: Server
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(self.command, self.path, dict(self.headers), self.rfile.read(length))
        reply = self.owner.page(request)
        content_type = ""
        if reply is None:
            found = self.owner.find(request.path)
            if found is None:
                reply = Reply({"message": "nobody plays here"}, 404)
            else:
                prefix, standin = found
                inner = request.target[len(prefix.rstrip("/")) :]
                reply = standin.handle(
                    Request(request.method, inner or "/", request.headers, request.body)
                )
        if reply is None:
            self.close_connection = True
            return
        content_type, raw = reply.raw()
        if isinstance(reply.body, str) and reply.body.startswith("<!doctype"):
            content_type = "text/html; charset=utf-8"
        try:
            self.send_response(reply.status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the caller lost patience; that is its right

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Tokens stand in the addresses; nothing is logged."""


@contextmanager
def playing(standin: Standin, *, prefix: str = "/") -> Iterator[str]:
    """Start one stand-in on a free port and answer its base address."""
    server = Server({prefix: standin})
    server.start()
    try:
        yield server.url(prefix.rstrip("/"))
    finally:
        server.stop()

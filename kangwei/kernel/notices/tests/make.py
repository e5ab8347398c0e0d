"""Builders of notices for tests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any

from kangwei.kernel.notices import registry
from kangwei.kernel.notices.models import (
    Address,
    Channel,
    ChannelHealth,
    DutyRoster,
    EscalationPolicy,
    Notice,
    RosterTurn,
)
from kangwei.kernel.notices.presets import presets
from kangwei.kernel.notices.registry import Template, Variable
from kangwei.kernel.notices.rules.targets import Target
from kangwei.kernel.notices.services import LevelSpec, notify, save_policy
from kangwei.kernel.notices.services.ways import shown
from kangwei.kernel.organisations.models import Account, Institution

_number = count(1)
SECRETS = {"token": "token", "secret": "SEC-kangwei-demo"}


class Clock:
    """A clock that only moves when told; the queue asks it as it asks the real one.

    It starts at the real moment, because stand-ins judge time stamps by theirs.
    """

    def __init__(self) -> None:
        self.moment = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **by: float) -> datetime:
        self.moment += timedelta(**by)
        return self.moment


def template() -> Template:
    """A registered template with one plain and one personal word."""
    found = Template(
        code="notices.test",
        name="测试",
        title="{{ what }}",
        body="### {{ what }}\n\n- 联系电话：{{ phone }}",
        short="{{ what }} {{ phone }}",
        variables=(
            Variable("what", "情况", "断电"),
            Variable("phone", "电话", "13800001111", personal="phone"),
        ),
    )
    registry.register_template(found)
    return found


def channel(
    kind: str = "dingtalk",
    address: str = "http://127.0.0.1:9",
    *,
    institution: Institution | None = None,
    secrets: Mapping[str, str] | None = None,
    **fields: Any,
) -> Channel:
    options: dict[str, Any] = {}
    if kind in ("sms", "voice"):
        options = dict(next(p for p in presets() if p["name"] == "generic-hmac")["options"])
        secrets = secrets or {"secret": "sms-demo-secret"}
    if kind == "email":
        options = {"security": "none", "sender": "kangwei@example.cn"}
    defaults = {"name": f"渠道{next(_number)}", "options": options}
    made = Channel.objects.create(
        kind=kind,
        address=address,
        institution=institution,
        secrets=json.dumps(secrets or SECRETS),
        **(defaults | fields),
    )
    ChannelHealth.objects.create(channel=made)
    return made


def address(
    account: Account, kind: str = "sms", value: str = "13800001111", **more: Any
) -> Address:
    fields: dict[str, Any] = {"verified_at": datetime(2026, 1, 1, tzinfo=UTC), **more}
    return Address.objects.create(
        account=account, kind=kind, value=value, shown=shown(kind, value), **fields
    )


def notice(*to: Target, at: datetime, what: str = "断电", key: str = "", **more: Any) -> Notice:
    template()
    return notify(
        key=key or f"test-{next(_number)}",
        template="notices.test",
        context={"what": what, "phone": "13912345678"},
        to=to,
        at=at,
        **more,
    )


def roster(*people: Account, code: str = "", **fields: Any) -> DutyRoster:
    defaults: dict[str, Any] = {
        "name": "值班",
        "institution": people[0].institution,
        "rotation": "daily",
        "handover": time(8, 30),
        "starts_on": date(2026, 1, 5),
    }
    made = DutyRoster.objects.create(code=code or f"r{next(_number)}", **(defaults | fields))
    for order, person in enumerate(people, start=1):
        RosterTurn.objects.create(roster=made, account=person, order=order)
    return made


def policy(
    *levels: tuple[int, Sequence[Target]], at: datetime, kinds: Sequence[str] = (), **fields: Any
) -> EscalationPolicy:
    number = next(_number)
    defaults: dict[str, Any] = {"code": f"p{number}", "name": f"策略{number}", "repeat_every": 0}
    return save_policy(
        policy=EscalationPolicy(**(defaults | fields)),
        levels=[LevelSpec(minutes, targets, kinds) for minutes, targets in levels],
        by=None,
        at=at,
    )


@contextmanager
def dead_address() -> Iterator[str]:
    """An address of the loopback at which nobody listens."""
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and never listening: connections are refused
        yield f"http://127.0.0.1:{held.getsockname()[1]}"

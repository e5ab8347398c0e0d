"""Whom a notice is for (通知对象), as other apps say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

TargetKind = Literal["account", "role", "duty", "robot", "address"]
TARGET_TITLES: dict[str, str] = {
    "account": "指定账号",
    "role": "机构内的角色",
    "duty": "值班表当班人",
    "robot": "群机器人或接口",
    "address": "指定地址",
}


@dataclass(frozen=True)
class Target:
    """One of: an account, a role at an institution, a duty roster, a channel, an address.

    `via` names channel kinds (`inapp`, `sms`, …); empty leaves the choice to the priority and to
    the person's own preferences.
    """

    kind: TargetKind
    account_id: int | None = None
    role: str = ""
    institution_id: int | None = None
    roster: str = ""
    channel_id: int | None = None
    address: str = ""
    mention: tuple[int, ...] = ()
    via: tuple[str, ...] = ()

    @classmethod
    def account(cls, account_id: int, *, via: tuple[str, ...] = ()) -> Target:
        return cls("account", account_id=account_id, via=via)

    @classmethod
    def role_at(cls, role: str, institution_id: int, *, via: tuple[str, ...] = ()) -> Target:
        """Everybody who holds the role (by its code) at that institution."""
        return cls("role", role=role, institution_id=institution_id, via=via)

    @classmethod
    def duty(cls, roster: str, *, via: tuple[str, ...] = ()) -> Target:
        """Whoever the roster (by its code) has on duty at the moment of the notice."""
        return cls("duty", roster=roster, via=via)

    @classmethod
    def robot(cls, channel_id: int, *, mention: tuple[int, ...] = ()) -> Target:
        """A group robot or an outgoing webhook; `mention` are accounts to call by name."""
        return cls("robot", channel_id=channel_id, mention=mention)

    @classmethod
    def at_address(cls, via: str, address: str, *, institution_id: int | None = None) -> Target:
        """A mail address or phone number of nobody who has an account."""
        return cls("address", address=address, institution_id=institution_id, via=(via,))

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in (None, "", ())}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Target:
        values = dict(stored)
        for name in ("mention", "via"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)

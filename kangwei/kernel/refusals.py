"""A refusal (拒绝): an act that may not happen, said in one sentence the user can act on.

Services raise subclasses named after what happened. The code is stable and public: pages show
the message, the API answers `{code, message, field, trace_id}`, and the catalogue of codes is
generated from the subclasses, so a refusal that is not declared cannot reach a user.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar


class Refusal(Exception):
    """Something foreseen stands in the way: the message says what, of which thing, what to do."""

    code: ClassVar[str] = "refused"
    #: One short Chinese noun phrase for the catalogue of codes.
    title: ClassVar[str] = "操作被拒绝"
    #: The HTTP status under which the API reports it.
    status: ClassVar[int] = 409

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        #: Whoever takes the refused act back calls this after it: some lines must stay, such as
        #: the count of wrong passwords.
        self.write_again: Callable[[], object] = lambda: None


class NotFound(Refusal):
    """No such row, or one of another organisation: the two look the same from outside."""

    code = "not_found"
    title = "对象不存在"
    status = 404


class NotPermitted(Refusal):
    """The account lacks the function right (功能权限)."""

    code = "not_permitted"
    title = "没有权限"
    status = 403


class Invalid(Refusal):
    """The input cannot be read as what it should be."""

    code = "invalid"
    title = "输入有误"
    status = 422


def catalogue() -> Iterator[type[Refusal]]:
    """Every declared refusal, for the documentation of codes."""
    waiting = [Refusal]
    seen: set[type[Refusal]] = set()
    while waiting:
        for kind in waiting.pop().__subclasses__():
            if kind not in seen:
                seen.add(kind)
                waiting.append(kind)
                yield kind

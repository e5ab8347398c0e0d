"""People who never lived: names, identity numbers and phones that look right and belong to nobody.

An identity number (GB 11643) here has a correct date and check digit, but its first six digits are
no place: Shaanxi has no city 6199. A phone starts with 164, a number block that is not assigned. So
no generated value can be that of a real person, and a reader who knows the codes sees it at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from random import Random

NAMES = Path(__file__).parent / "data" / "names.json"
#: The province exists, so that the number passes as one; city 99 and county 99 do not.
NOWHERE = "619999"
#: No operator holds the block 164.
NO_OPERATOR = "164"
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"
_CREDIT_SIGNS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_CREDIT_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_BODY_SIGNS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BODY_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


@dataclass(frozen=True)
class Person:
    """One generated person."""

    name: str
    sex: str  # "M" or "F"
    born_on: date
    id_number: str
    phone: str


@cache
def _words() -> dict[str, tuple[list[str], list[int]]]:
    document = json.loads(NAMES.read_text(encoding="utf-8"))
    return {
        key: ([word for word, _ in document[key]], [weight for _, weight in document[key]])
        for key in ("surnames", "female", "male")
    }


def _pick(random: Random, key: str) -> str:
    words, weights = _words()[key]
    return random.choices(words, weights)[0]


def id_number(born_on: date, serial: int, sex: str) -> str:
    """An identity number of nobody; the last digit of the serial tells the sex (odd is male)."""
    order = (serial * 2 + (1 if sex == "M" else 0)) % 1000
    body = f"{NOWHERE}{born_on:%Y%m%d}{order:03d}"
    total = sum(int(digit) * weight for digit, weight in zip(body, _WEIGHTS, strict=True))
    return body + _CHECK[total % 11]


def phone(serial: int) -> str:
    """A phone number that no operator has given out."""
    return f"{NO_OPERATOR}{serial:08d}"


def credit_code(serial: int, *, department: str = "1", category: str = "2") -> str:
    """A unified social credit code (GB 32100) of nobody: its digits check, its place is none."""
    organisation = f"{serial:08d}"
    total = sum(
        _BODY_SIGNS.index(sign) * weight
        for sign, weight in zip(organisation, _BODY_WEIGHTS, strict=True)
    )
    remainder = 11 - total % 11
    organisation += {10: "X", 11: "0"}.get(remainder, str(remainder))
    code = f"{department}{category}{NOWHERE}{organisation}"
    total = sum(
        _CREDIT_SIGNS.index(sign) * weight
        for sign, weight in zip(code, _CREDIT_WEIGHTS, strict=True)
    )
    return code + _CREDIT_SIGNS[(31 - total % 31) % 31]


def make_people(random: Random, count: int, *, today: date) -> list[Person]:
    """`count` working people between 23 and 59, with different names."""
    people: list[Person] = []
    taken: set[str] = set()
    while len(people) < count:
        sex = "F" if random.random() < 0.58 else "M"
        name = _pick(random, "surnames") + _pick(random, "female" if sex == "F" else "male")
        if name in taken:
            continue
        taken.add(name)
        serial = len(people) + 1
        born_on = today - timedelta(days=random.randint(23 * 365, 59 * 365))
        people.append(
            Person(name, sex, born_on, id_number(born_on, serial, sex), phone(serial * 137))
        )
    return people

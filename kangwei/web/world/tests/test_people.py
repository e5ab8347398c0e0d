"""Generated people look right, also to the rules of organisations, and are nobody."""

from __future__ import annotations

from datetime import date
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from kangwei.kernel.organisations.rules import identifiers
from kangwei.web.world import people

TODAY = date(2026, 11, 20)


def test_the_worked_example_of_the_check_digit_standard() -> None:
    """GB 11643 gives 11010519491231002X; the same sum over our body gives our digit."""
    body = "11010519491231002"
    total = sum(int(d) * w for d, w in zip(body, people._WEIGHTS, strict=True))
    assert people._CHECK[total % 11] == "X"


@given(seed=st.integers(0, 10_000))
def test_numbers_carry_valid_check_digits_and_an_impossible_place(seed: int) -> None:
    for person in people.make_people(Random(seed), 8, today=TODAY):
        number = person.id_number
        total = sum(int(d) * w for d, w in zip(number[:17], people._WEIGHTS, strict=True))
        assert number[17] == people._CHECK[total % 11]
        assert number.startswith("619999")
        assert number[6:14] == f"{person.born_on:%Y%m%d}"
        assert (int(number[16]) % 2 == 1) == (person.sex == "M")
        assert identifiers.problem_with_resident_id(number, TODAY) is None
        assert person.phone.startswith("164")
        assert identifiers.problem_with_mobile(person.phone) is None
        assert len(person.phone) == 11


def test_the_same_seed_gives_the_same_people_and_no_name_twice() -> None:
    first = people.make_people(Random(7), 60, today=TODAY)
    assert first == people.make_people(Random(7), 60, today=TODAY)
    assert first != people.make_people(Random(8), 60, today=TODAY)
    assert len({person.name for person in first}) == 60
    assert len({person.id_number for person in first}) == 60
    assert len({person.phone for person in first}) == 60
    assert all(23 <= (TODAY - person.born_on).days / 365 <= 59 for person in first)


def test_a_credit_code_of_nobody_has_both_check_digits() -> None:
    codes = {people.credit_code(serial) for serial in range(1, 200)}
    assert len(codes) == 199
    for code in codes:
        total = sum(
            people._CREDIT_SIGNS.index(sign) * weight
            for sign, weight in zip(code[:17], people._CREDIT_WEIGHTS, strict=True)
        )
        assert (total + people._CREDIT_SIGNS.index(code[17])) % 31 == 0
        assert identifiers.problem_with_uscc(code) is None
        assert code[2:8] == "619999"

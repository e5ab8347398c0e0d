"""The home page keeps each account's order, and shows what is new where it belongs."""

from hypothesis import given
from hypothesis import strategies as st

from kangwei.kernel.screens.home_order import Arrangement, Place, arrange, moved, read

KEYS = ["notices", "alerts", "reports", "review"]


def test_without_a_setting_the_default_order_stands_and_all_are_shown() -> None:
    assert arrange(KEYS, Arrangement()) == [Place(key, True) for key in KEYS]


def test_the_accounts_order_and_hidden_cards_are_kept() -> None:
    setting = read({"order": ["review", "notices", "alerts", "reports"], "hidden": ["alerts"]})
    assert arrange(KEYS, setting) == [
        Place("review", True),
        Place("notices", True),
        Place("alerts", False),
        Place("reports", True),
    ]


def test_a_new_card_comes_after_its_neighbour_not_at_the_bottom() -> None:
    setting = Arrangement(["reports", "notices"])
    assert [place.key for place in arrange(["notices", "alerts", "reports"], setting)] == [
        "reports",
        "notices",
        "alerts",
    ]


def test_a_card_the_account_may_no_longer_see_is_gone() -> None:
    assert [p.key for p in arrange(["notices"], Arrangement(["review", "notices"]))] == ["notices"]


def test_a_stored_setting_that_is_none_counts_as_none() -> None:
    odd: list[object] = [None, [], "x", {"order": [1, None]}, {"hidden": [3]}]
    for stored in odd:
        assert arrange(KEYS, read(stored)) == [Place(key, True) for key in KEYS]


def test_up_and_down_change_places_with_the_neighbour_and_stop_at_the_ends() -> None:
    assert moved(KEYS, "up:alerts") == ["alerts", "notices", "reports", "review"]
    assert moved(KEYS, "down:alerts") == ["notices", "reports", "alerts", "review"]
    assert moved(KEYS, "up:notices") == KEYS
    assert moved(KEYS, "down:review") == KEYS
    assert moved(KEYS, "sideways:alerts") == KEYS
    assert moved(KEYS, "up:nobody") == KEYS


keys = st.lists(st.sampled_from("abcdefgh"), unique=True)


@given(keys, keys, keys)
def test_every_allowed_card_appears_exactly_once(
    allowed: list[str], order: list[str], hidden: list[str]
) -> None:
    places = arrange(allowed, Arrangement(order, frozenset(hidden)))
    assert sorted(place.key for place in places) == sorted(allowed)
    assert all(place.visible == (place.key not in hidden) for place in places)


@given(keys, keys)
def test_cards_the_account_placed_keep_their_order(allowed: list[str], order: list[str]) -> None:
    found = [place.key for place in arrange(allowed, Arrangement(order)) if place.key in order]
    assert found == [key for key in order if key in allowed]

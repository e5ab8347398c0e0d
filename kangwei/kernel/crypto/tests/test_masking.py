"""What a reader of each level sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kangwei.kernel.crypto import masking


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ("phone", "13812345678", "138****5678"),
        ("phone", "029-85253261", "029-******61"),
        ("phone", "85253261", "85****61"),
        ("phone", "120", "***"),
        ("id_number", "610113199003078888", "610113********8888"),
        ("id_number", "61011319900307888X", "610113********888X"),
        ("id_number", "610113900307888", "610113******888"),
        ("id_number", "E12345678", "E1*****78"),
        ("name", "王明", "王*"),
        ("name", "王小明", "王*明"),
        ("name", "欧阳锋", "欧阳*"),
        ("name", "欧阳修远", "欧阳**"),
        ("name", "司马", "司*"),
        ("name", "令狐冲", "令狐*"),
        ("name", "张", "*"),
        ("name", "古丽·阿不都热依木", "古丽·******"),
        ("name", "John", "J***"),
        ("address", "陕西省西安市雁塔区小寨西路8号", "陕西省西安市雁塔区******"),
        ("address", "西安市高新区锦业路1号", "西安市高新区******"),
        ("address", "西安市雁塔区幸福小区3号楼", "西安市雁塔区******"),
        ("address", "雁塔区市场街8号", "雁塔区******"),
        ("address", "陕西省延安市宝塔区", "陕西省延安市宝塔区"),
        ("address", "小寨西路8号", "******"),
        (
            "address",
            "新疆维吾尔自治区伊犁哈萨克自治州伊宁县巴依托海镇",
            "新疆维吾尔自治区伊犁哈萨克自治州伊宁县******",
        ),
        ("email", "wang@hospital.cn", "w***@hospital.cn"),
        ("email", "not an address", "**************"),
        ("bank", "6222020200112233445", "***************3445"),
    ],
)
def test_level_one_leaves_enough_to_tell_people_apart(kind: str, text: str, shown: str) -> None:
    assert masking.mask(kind, text, masking.PARTLY) == shown


@pytest.mark.parametrize("kind", ["phone", "id_number", "name", "address", "email", "bank"])
def test_level_zero_hides_all_and_level_two_nothing(kind: str) -> None:
    text = "13812345678"
    assert set(masking.mask(kind, text, masking.HIDDEN)) == {"*"}
    assert masking.mask(kind, text, masking.FULL) == text
    assert masking.mask(kind, "", masking.HIDDEN) == ""


def test_a_kind_is_known_by_its_ending_and_the_unknown_is_hidden() -> None:
    assert masking.mask("guardian_phone", "13812345678", 1) == "138****5678"
    assert masking.mask("diagnosis", "糖尿病", 1) == "***"
    assert masking.mask("diagnosis", "糖尿病", 2) == "糖尿病"


def test_there_is_no_fourth_level() -> None:
    with pytest.raises(ValueError, match="not 3"):
        masking.mask_phone("13812345678", 3)


@given(
    st.sampled_from(["phone", "id_number", "name", "bank"]),
    st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1, max_size=30),
)
def test_level_one_never_shows_everything(kind: str, text: str) -> None:
    shown = masking.mask(kind, text, masking.PARTLY)
    assert shown != text
    assert "*" in shown


@given(st.text(max_size=40))
def test_an_address_shows_no_digit(text: str) -> None:
    shown = masking.mask_address(text, masking.PARTLY)
    assert shown == "" or not any(
        character.isdigit() and character.isascii() for character in shown
    )

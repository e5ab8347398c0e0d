"""Masking (脱敏): how much of a person's data a reader may see.

Level 0 hides all, level 1 leaves what a clerk needs to tell two people apart, level 2 shows all.
The level comes from the reader's roles. Lengths are kept where the length says nothing, so a
column of masked values still lines up.
"""

from __future__ import annotations

import re

HIDDEN, PARTLY, FULL = 0, 1, 2
STAR = "*"

#: Compound surnames (复姓) in use today; the name after them is masked, the surname stays whole.
COMPOUND_SURNAMES = frozenset(
    re.findall(
        "..",
        "欧阳太史端木上官司马东方独孤南宫万俟闻人夏侯诸葛尉迟公羊赫连澹台皇甫宗政濮阳公冶"
        "太叔申屠公孙慕容仲孙钟离长孙宇文司徒鲜于司空闾丘子车亓官司寇巫马公西颛孙壤驷公良"
        "漆雕乐正宰父谷梁拓跋夹谷轩辕令狐段干百里呼延东郭南门羊舌微生梁丘左丘东门西门南荣"
        "第五淳于单于完颜纳兰叶赫那拉耶律贺兰宿勤",
    )
)
#: Where an address stops naming a region and begins to name a door: at most three steps, none of
#: which holds a digit, a road or a village; 小区, 社区 and 园区 are doors already.
_STEP = (
    r"[^\d路街道巷号村镇乡里弄\s]{1,12}?"
    r"(?:特别行政区|自治区|自治州|自治县|自治旗|地区|省|市|盟|州|县|旗|(?<![小社园])区)"
)
_REGION = re.compile(rf"^(?:{_STEP}){{1,3}}")


def _check(level: int) -> None:
    if level not in (HIDDEN, PARTLY, FULL):
        raise ValueError(f"masking level is 0, 1 or 2, not {level}")


def _middle(text: str, front: int, back: int) -> str:
    """Keep some characters at both ends; a text too short to hide anything is hidden whole."""
    if len(text) <= front + back:
        return STAR * len(text)
    return text[:front] + STAR * (len(text) - front - back) + (text[-back:] if back else "")


def mask_phone(text: str, level: int) -> str:
    """Mobile number 138****5678; a landline keeps its area code and last two digits."""
    _check(level)
    if level == FULL or not text:
        return text
    if level == HIDDEN:
        return STAR * len(text)
    digits = re.sub(r"\D", "", text)
    if len(digits) == 11 and digits.startswith("1") and len(text) == 11:
        return _middle(text, 3, 4)
    area = re.match(r"^(0\d{2,3})-(\d{7,8})$", text)
    if area:
        return f"{area.group(1)}-{_middle(area.group(2), 0, 2)}"
    return _middle(text, min(3, len(text) // 4), min(4, len(text) // 4))


def mask_id_number(text: str, level: int) -> str:
    """Identity number (身份证号): region of six digits and the last four stay."""
    _check(level)
    if level == FULL or not text:
        return text
    if level == HIDDEN:
        return STAR * len(text)
    if len(text) in (15, 18):
        return _middle(text, 6, 4 if len(text) == 18 else 3)
    return _middle(text, min(2, len(text) // 4), min(2, len(text) // 4))


def mask_name(text: str, level: int) -> str:
    """A person's name: 王*明, 欧阳*, 王*; an ethnic name with dots keeps its first part."""
    _check(level)
    if level == FULL or not text:
        return text
    if level == HIDDEN:
        return STAR * len(text)
    dotted = re.split(r"([·•.])", text)
    if len(dotted) > 1 and dotted[0]:
        return dotted[0] + "".join(
            part if part in "·•." else STAR * len(part) for part in dotted[1:]
        )
    if len(text) == 1:
        return STAR
    if len(text) > 2 and text[:2] in COMPOUND_SURNAMES:
        return text[:2] + STAR * (len(text) - 2)
    if len(text) == 2:
        return text[0] + STAR
    if text.isascii():
        return text[0] + STAR * (len(text) - 1)
    return text[0] + STAR * (len(text) - 2) + text[-1]


def mask_address(text: str, level: int) -> str:
    """An address: down to district or county; street, house and door are hidden."""
    _check(level)
    if level == FULL or not text:
        return text
    if level == HIDDEN:
        return STAR * min(len(text), 6)
    region = _REGION.match(text)
    kept = region.group(0) if region else ""
    if len(kept) == len(text):
        return text
    return kept + STAR * 6


def mask_email(text: str, level: int) -> str:
    """A mail address: first character and domain stay."""
    _check(level)
    if level == FULL or not text:
        return text
    if level == HIDDEN:
        return STAR * len(text)
    name, at, domain = text.rpartition("@")
    if not at or not name:
        return STAR * len(text)
    return name[0] + STAR * max(len(name) - 1, 1) + "@" + domain


def mask_bank(text: str, level: int) -> str:
    """A bank account: the last four digits stay."""
    _check(level)
    if level == FULL or not text:
        return text
    if level == HIDDEN:
        return STAR * len(text)
    return _middle(text, 0, 4)


_KINDS = {
    "phone": mask_phone,
    "mobile": mask_phone,
    "id_number": mask_id_number,
    "name": mask_name,
    "address": mask_address,
    "email": mask_email,
    "bank": mask_bank,
}


def mask(kind: str, text: str, level: int) -> str:
    """Mask by kind (`guardian_phone` counts as phone); an unknown kind is hidden unless in full."""
    _check(level)
    for name, rule in _KINDS.items():
        if kind == name or kind.endswith(f"_{name}"):
            return rule(text, level)
    return text if level == FULL else STAR * min(len(text), 6)

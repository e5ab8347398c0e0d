"""Is this number well formed? (编码校验)

Each function answers None for a good number, else the reason in words that a clerk who typed it
can act on. Nothing here knows whether the number was ever issued: a check digit catches slips.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

#: Characters of GB 32100: digits and capitals without I, O, S, V, Z, which look like others.
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
ORGANISATION_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
RESIDENT_CHECKS = "10X98765432"

#: First two digits of GB/T 2260: the provinces, and 83 for residence permits of Taiwan.
PROVINCES = frozenset(
    str(code)
    for codes in (
        range(11, 16),
        range(21, 24),
        range(31, 38),
        range(41, 47),
        range(50, 55),
        range(61, 66),
        (71, 81, 82, 83),
    )
    for code in codes
)


def tidy(text: str) -> str:
    """As people paste it: spaces and hyphens dropped, full-width digits narrowed, capitals."""
    narrow = "".join(
        chr(ord(char) - 0xFEE0) if "！" <= char <= "～" else char for char in text.strip()
    )
    return re.sub(r"[\s\-]", "", narrow).upper()


def uscc_check_digit(body: str) -> str:
    """GB 32100-2015: sum of value × 3^position, modulo 31."""
    total = sum(
        USCC_ALPHABET.index(char) * pow(3, position, 31) for position, char in enumerate(body)
    )
    return USCC_ALPHABET[-total % 31]


def problem_with_uscc(code: str) -> str | None:
    """统一社会信用代码: 18 characters, the last checks the others."""
    if len(code) != 18:
        return f"统一社会信用代码应为 18 位，现为 {len(code)} 位"
    strange = sorted(set(code) - set(USCC_ALPHABET))
    if strange:
        return f"统一社会信用代码含有不允许的字符 {''.join(strange)}（不使用 I、O、S、V、Z）"
    if not code[2:8].isdigit() or code[2:4] not in PROVINCES | {"10"}:
        return "统一社会信用代码第 3 至 8 位应为登记机关的行政区划代码"
    if uscc_check_digit(code[:17]) != code[17]:
        return "统一社会信用代码校验位不符，请核对是否录入有误"
    return None


def organisation_check_digit(body: str) -> str:
    """GB 11714-1997: weights over eight characters, modulo 11."""
    value = sum(
        int(char, 36) * weight for char, weight in zip(body, ORGANISATION_WEIGHTS, strict=True)
    )
    return "0123456789X"[-value % 11]


def problem_with_organisation_code(code: str) -> str | None:
    """组织机构代码: eight characters and a check character."""
    if not re.fullmatch(r"[0-9A-Z]{8}[0-9X]", code):
        return "组织机构代码应为 8 位数字或大写字母加 1 位校验码"
    if organisation_check_digit(code[:8]) != code[8]:
        return "组织机构代码校验码不符，请核对是否录入有误"
    return None


def resident_check_digit(body: str) -> str:
    """GB 11643-1999, ISO 7064 MOD 11-2."""
    total = sum(int(char) * weight for char, weight in zip(body, RESIDENT_WEIGHTS, strict=True))
    return RESIDENT_CHECKS[total % 11]


def problem_with_resident_id(number: str, on: date) -> str | None:
    """公民身份号码: region, birthday, order, check character; `on` is the day of judging."""
    if not re.fullmatch(r"[0-9]{17}[0-9X]", number):
        return "身份证号应为 17 位数字加 1 位数字或 X"
    if number[:2] not in PROVINCES:
        return f"身份证号前两位 {number[:2]} 不是省级区划代码"
    born = birthday_of(number)
    if born is None:
        return f"身份证号中的出生日期 {number[6:14]} 不存在"
    if not date(1900, 1, 1) <= born <= on:
        return f"身份证号中的出生日期 {born} 不合理"
    if resident_check_digit(number[:17]) != number[17]:
        return "身份证号校验位不符，请核对是否录入有误"
    return None


def birthday_of(number: str) -> date | None:
    try:
        return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return None


def sex_of(number: str) -> str:
    """The 17th digit is odd for men (1) and even for women (2), as in GB/T 2261.1."""
    return "1" if int(number[16]) % 2 else "2"


def problem_with_medical_licence(code: str) -> str | None:
    """医疗机构执业许可证登记号 (WS 218): 22 characters made of organisation code (9), region (6),
    economic type (2), category (a letter and 3 digits) and management class (1)."""
    if len(code) != 22:
        return f"医疗机构登记号应为 22 位，现为 {len(code)} 位"
    if not re.fullmatch(r"[0-9A-Z]{8}[0-9X][0-9]{6}[0-9]{2}[A-Z][0-9]{3}[0-9]", code):
        return (
            "医疗机构登记号应依次为组织机构代码 9 位、区划 6 位、经济类型 2 位、"
            "类别 4 位、分类管理 1 位"
        )
    if code[9:11] not in PROVINCES:
        return f"医疗机构登记号第 10、11 位 {code[9:11]} 不是省级区划代码"
    # Institutions without an organisation code got a provisional one that starts with PDY.
    if not code.startswith("PDY"):
        inner = problem_with_organisation_code(code[:9])
        if inner:
            return f"医疗机构登记号前 9 位有误：{inner}"
    return None


def problem_with_vaccination_unit(code: str) -> str | None:
    """接种单位编码: the county's 6 digits and 4 digits of order."""
    if not re.fullmatch(r"[0-9]{10}", code) or code[:2] not in PROVINCES:
        return "接种单位编码应为 6 位区划代码加 4 位顺序号"
    return None


def problem_with_insurance_code(code: str) -> str | None:
    """国家医保定点医疗机构编码: H, the county's 6 digits, 5 digits of order."""
    if not re.fullmatch(r"[HP][0-9]{11}", code) or code[1:3] not in PROVINCES:
        return "医保定点机构编码应为字母 H（医院）或 P（药店）加 6 位区划代码和 5 位顺序号"
    return None


def problem_with_mobile(number: str) -> str | None:
    if not re.fullmatch(r"1[3-9][0-9]{9}", number):
        return "手机号应为 1 开头的 11 位数字"
    return None


def problem_with_telephone(number: str) -> str | None:
    """A mobile number, or area code and number with an optional extension."""
    if problem_with_mobile(number) is None:
        return None
    if not re.fullmatch(
        r"(0[0-9]{2,3}-?)?[2-9][0-9]{6,7}(-[0-9]{1,6})?|[49]00-?[0-9-]{7,8}", number
    ):
        return "电话应为手机号，或区号加号码，如 029-82220000"
    return None


#: Rules of the further identifiers of an institution, by their kind.
IDENTIFIER_RULES: dict[str, Callable[[str], str | None]] = {
    "organisation_code": problem_with_organisation_code,
    "medical_licence": problem_with_medical_licence,
    "vaccination_unit": problem_with_vaccination_unit,
    "insurance": problem_with_insurance_code,
}


def problem_with_identifier(kind: str, value: str) -> str | None:
    if not value:
        return "编码不能为空"
    rule = IDENTIFIER_RULES.get(kind)
    return rule(value) if rule else None

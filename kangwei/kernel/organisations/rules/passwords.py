"""May this password be used? (密码复杂度)

等保三级 asks for passwords that are hard to guess and changed regularly. Length and three of four
kinds of characters are what auditors count; names, keyboard runs and well-known words are what
attackers try first. Every fault is told at once, so that nobody has to try five times.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

ROWS = (
    "`1234567890-=",
    "qwertyuiop[]\\",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "abcdefghijklmnopqrstuvwxyz",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "qazwsxedcrfvtgbyhnujm",
)
#: What people write instead of letters: p@ssw0rd is password.
LEET = str.maketrans("@4310$5!7", "aaeiossit")
SYMBOLS = "!@#$%^&*-_=+?."
UPPER, LOWER, DIGITS = "ABCDEFGHJKLMNPQRSTUVWXYZ", "abcdefghijkmnpqrstuvwxyz", "23456789"
RUN = 4


def problems_with_password(
    password: str,
    *,
    min_length: int,
    names: Iterable[str] = (),
    common: Collection[str] = (),
) -> list[str]:
    """Every reason against the password; `names` are the person's own words (用户名, 手机号 …)."""
    found = []
    if len(password) < min_length:
        found.append(f"密码至少 {min_length} 位，现为 {len(password)} 位")
    if len(password) > 128:
        found.append("密码最长 128 位")
    if kinds_of_characters(password) < 3:
        found.append("密码应包含大写字母、小写字母、数字、符号中的至少三类")
    lowered = password.lower()
    for name in names:
        word = name.strip().lower()
        if len(word) >= 3 and (word in lowered or word[::-1] in lowered):
            found.append("密码不能包含用户名、姓名拼音或手机号")
            break
    run = keyboard_run(lowered)
    if run:
        found.append(f"密码不能包含连续的键盘或字母顺序“{run}”")
    repeated = repetition(password)
    if repeated:
        found.append(f"密码不能连续重复同一字符“{repeated}”")
    if is_common(lowered, common):
        found.append("密码是常见密码的变形，容易被猜中")
    return found


def kinds_of_characters(password: str) -> int:
    return sum(
        (
            any(char.islower() for char in password),
            any(char.isupper() for char in password),
            any(char.isdigit() for char in password),
            any(not char.isalnum() for char in password),
        )
    )


def keyboard_run(lowered: str) -> str | None:
    """The first four neighbours in a row on a keyboard or in the alphabet, either way."""
    for start in range(len(lowered) - RUN + 1):
        piece = lowered[start : start + RUN]
        if any(piece in row or piece[::-1] in row for row in ROWS):
            return piece
    return None


def repetition(password: str) -> str | None:
    for start in range(len(password) - RUN + 1):
        piece = password[start : start + RUN]
        if len(set(piece)) == 1:
            return piece
    return None


def is_common(lowered: str, common: Collection[str]) -> bool:
    """The well-known word itself, with letters replaced, or with digits and signs around it."""
    forms = {lowered, lowered.translate(LEET)}
    for form in tuple(forms):
        forms.add("".join(char for char in form if char.isalpha()))
    bare = lowered.strip("0123456789!@#$%^&*()-_=+?.~")
    forms |= {bare, bare.translate(LEET)}
    return any(form in common for form in forms if form)


def one_time_password(choose: Callable[[Sequence[str]], str], length: int) -> str:
    """A password to hand over once: no letters that look alike, all four kinds present.

    `choose` is the caller's source of chance (`secrets.choice`)."""
    length = max(length, 12)
    kinds = (UPPER, LOWER, DIGITS, SYMBOLS)
    picked = [choose(kind) for kind in kinds]
    picked += [choose(UPPER + LOWER + DIGITS) for _ in range(length - len(picked))]
    mixed = []
    while picked:
        index = int(choose([str(i) for i in range(len(picked))]))
        mixed.append(picked.pop(index))
    return "".join(mixed)

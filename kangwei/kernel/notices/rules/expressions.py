"""Did the service accept the message? A small language for saying so (成功条件).

Message services answer HTTP 200 also when they refuse, each with its own field. The condition is
written by whoever sets up the channel, so it is parsed here and never given to `eval`:

    status == 200 and body.Code == "OK"
    body.SendStatusSet[0].Code == "Ok"
    body.result in [0, "0"] or text contains "success"

Words: `status` (number), `body` (the answer's JSON), `text` (the answer as text). Comparisons
== != < <= > >= contains in; and, or, not, brackets; strings, numbers, true, false, null, lists.
A path that does not exist is null; comparing different kinds is false, never an error.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

LONGEST = 500
_TOKEN = re.compile(
    r"""\s*(?:(?P<number>-?\d+(?:\.\d+)?)|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<op>==|!=|<=|>=|<|>|\(|\)|\[|\]|,|\.)|(?P<word>[A-Za-z_][A-Za-z0-9_\-]*))""",
    re.VERBOSE,
)
_ROOTS = ("status", "body", "text")
_ORDER: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_COMPARISONS = {"==", "!=", "contains", "in", *_ORDER}

Value = object
Node = Callable[[Mapping[str, Value]], Value]


class BadExpression(ValueError):
    """The condition cannot be read; the message says where and why."""


@dataclass(frozen=True)
class Answer:
    """What a service said."""

    status: int
    text: str

    def values(self) -> dict[str, Value]:
        try:
            body: Value = json.loads(self.text)
        except ValueError:
            body = None
        return {"status": self.status, "body": body, "text": self.text}


def accepted(expression: str, answer: Answer) -> bool:
    """True when the answer fulfils the condition."""
    return bool(parse(expression)(answer.values()))


def parse(expression: str) -> Node:
    """Read a condition; BadExpression when it is not one."""
    if len(expression) > LONGEST:
        raise BadExpression(f"成功条件过长，最多 {LONGEST} 个字符。")
    reader = _Reader(expression)
    node = reader.either()
    if reader.peek() is not None:
        raise BadExpression(f"成功条件在“{reader.peek()}”处看不懂，请检查引号与括号。")
    return node


class _Reader:
    """Recursive descent over the tokens, one method per rung of precedence."""

    def __init__(self, expression: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        self._at = 0
        self._depth = 0
        position = 0
        text = expression.rstrip()
        while position < len(text):
            found = _TOKEN.match(text, position)
            if not found or not found.lastgroup:
                raise BadExpression(f"成功条件第 {position + 1} 个字符“{text[position]}”看不懂。")
            self._tokens.append((found.lastgroup, found.group(found.lastgroup)))
            position = found.end()
        if not self._tokens:
            raise BadExpression('成功条件不能为空，例如 status == 200 and body.code == "OK"。')

    def peek(self) -> str | None:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else None

    def _take(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise BadExpression("成功条件没有写完。")
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _accept(self, *words: str) -> str | None:
        if self._at < len(self._tokens):
            kind, text = self._tokens[self._at]
            if kind in ("word", "op") and text in words:
                self._at += 1
                return text
        return None

    def _expect(self, word: str) -> None:
        if not self._accept(word):
            raise BadExpression(f"成功条件缺少“{word}”。")

    def either(self) -> Node:
        nodes = [self.both()]
        while self._accept("or"):
            nodes.append(self.both())
        return nodes[0] if len(nodes) == 1 else lambda values: any(n(values) for n in nodes)

    def both(self) -> Node:
        nodes = [self.negation()]
        while self._accept("and"):
            nodes.append(self.negation())
        return nodes[0] if len(nodes) == 1 else lambda values: all(n(values) for n in nodes)

    def negation(self) -> Node:
        self._depth += 1
        if self._depth > 40:
            raise BadExpression("成功条件嵌套过深。")
        try:
            if self._accept("not"):
                inner = self.negation()
                return lambda values: not inner(values)
            if self._accept("("):
                inner = self.either()
                self._expect(")")
                return inner
            return self.comparison()
        finally:
            self._depth -= 1

    def comparison(self) -> Node:
        left = self.operand()
        sign = self._accept(*_COMPARISONS)
        if sign is None:
            return left
        right = self.operand()
        return lambda values: _compare(sign, left(values), right(values))

    def operand(self) -> Node:
        kind, text = self._take()
        if kind == "number":
            number: Value = float(text) if "." in text else int(text)
            return lambda values: number
        if kind == "string":
            string = re.sub(r"\\(.)", r"\1", text[1:-1])
            return lambda values: string
        if kind == "op" and text == "[":
            return self._list()
        if kind == "word" and text in ("true", "false", "null"):
            constant: Value = {"true": True, "false": False, "null": None}[text]
            return lambda values: constant
        if kind == "word" and text in _ROOTS:
            return self._path(text)
        raise BadExpression(f"成功条件中的“{text}”看不懂，可用 status、body、text。")

    def _list(self) -> Node:
        items: list[Node] = []
        while not self._accept("]"):
            if items:
                self._expect(",")
            items.append(self.operand())
        return lambda values: [item(values) for item in items]

    def _path(self, root: str) -> Node:
        steps: list[str | int] = []
        while sign := self._accept(".", "["):
            kind, text = self._take()
            if sign == ".":
                if kind not in ("word", "number"):
                    raise BadExpression(f"“.”之后应是字段名，不是“{text}”。")
                steps.append(text)
            else:
                if kind == "number" and text.isdigit():
                    steps.append(int(text))
                elif kind == "string":
                    steps.append(text[1:-1])
                else:
                    raise BadExpression("“[ ]”里应是序号或带引号的字段名。")
                self._expect("]")

        def read(values: Mapping[str, Value]) -> Value:
            value = values[root]
            for step in steps:
                if isinstance(value, Mapping):
                    value = value.get(str(step))
                elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                    value = value[step]
                else:
                    return None
            return value

        return read


def _compare(sign: str, left: Value, right: Value) -> bool:
    if sign == "==":
        return _same(left, right)
    if sign == "!=":
        return not _same(left, right)
    if sign == "in":
        return isinstance(right, list) and any(_same(left, item) for item in right)
    if sign == "contains":
        if isinstance(left, str) and isinstance(right, str):
            return right in left
        return isinstance(left, list) and any(_same(item, right) for item in left)
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    if isinstance(left, int | float) and isinstance(right, int | float):
        return _ORDER[sign](left, right)
    return False


def _same(left: Value, right: Value) -> bool:
    """Equality that keeps true apart from 1, as JSON does."""
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return left == right

"""SMS and voice by a described HTTP call (短信、语音).

There are as many SMS interfaces as providers, so a provider is data: method, address, headers,
body, signature steps and the condition of success. Values that may be used in all of them:
phone, text, title, code (the provider's template number), delivery_id, nonce, timestamp,
timestamp_ms, date, iso, host, path, every secret and option by its name, and each step's result.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from kangwei.kernel.notices.rules.delivery import Verdict
from kangwei.kernel.notices.rules.expressions import Answer, BadExpression, accepted, parse
from kangwei.kernel.notices.rules.signing import ALGORITHMS, ENCODINGS, Step
from kangwei.kernel.notices.rules.texts import fill, for_json, for_url, placeholders
from kangwei.kernel.notices.senders.base import Line, Message, Outcome, call, knock

METHODS = ("POST", "GET", "PUT")
BODY_KINDS: dict[str, tuple[str, Callable[[str], str]]] = {
    "json": ("application/json; charset=utf-8", for_json),
    "form": ("application/x-www-form-urlencoded; charset=utf-8", for_url),
    "text": ("text/plain; charset=utf-8", str),
}
#: One SMS carries 70 characters; longer ones are split and paid for by the part.
LONGEST_SMS = 500
WORDS = {
    "phone", "text", "title", "code", "delivery_id", "nonce", "timestamp", "timestamp_ms",
    "date", "iso", "host", "path", "body",
}  # fmt: skip
#: Options that describe the call; the others are values of the site (sign name, account …).
DESCRIPTION = {
    "method", "path", "headers", "body", "body_kind", "base64_body", "steps", "success",
    "throttled", "probe_url", "ca_pem", "preset",
}  # fmt: skip


def own_values(options: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in options.items()
        if name not in DESCRIPTION and isinstance(value, str | int)
    }


class BadRecipe(ValueError):
    """The description of the HTTP call is wrong; the message says where."""


@dataclass(frozen=True)
class Recipe:
    """How one provider wants to be called."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: str
    body_kind: str
    success: str
    steps: tuple[Step, ...] = ()
    #: Some services want the whole JSON as Base64.
    base64_body: bool = False
    #: Words of the answer that mean "too many calls".
    throttled: str = ""

    @classmethod
    def read(cls, options: Mapping[str, Any], secrets: Mapping[str, str]) -> Recipe:
        """Check a description completely, so that a mistake is seen when it is saved."""
        method, kind = str(options.get("method", "POST")), str(options.get("body_kind", "json"))
        if method not in METHODS:
            raise BadRecipe(f"请求方法只能是 {'、'.join(METHODS)}，现在是“{method}”。")
        if kind not in BODY_KINDS:
            raise BadRecipe(f"请求体类型只能是 {'、'.join(BODY_KINDS)}，现在是“{kind}”。")
        steps: list[Step] = []
        known = WORDS | set(secrets) | set(own_values(options))
        for raw in options.get("steps", []):
            try:
                step = Step(**raw)
            except TypeError:
                raise BadRecipe(f"签名步骤 {raw} 缺少 name、algorithm 或 text。") from None
            if step.algorithm not in ALGORITHMS or step.encoding not in ENCODINGS:
                raise BadRecipe(
                    f"签名步骤“{step.name}”的算法只能是 {'、'.join(ALGORITHMS)}，"
                    f"编码只能是 {'、'.join(ENCODINGS)}。"
                )
            _known(step.text + step.key, known, f"签名步骤“{step.name}”")
            known = known | {step.name}
            steps.append(step)
        recipe = cls(
            method=method,
            path=str(options.get("path", "")),
            headers=dict(options.get("headers", {})),
            body=str(options.get("body", "")),
            body_kind=kind,
            success=str(options.get("success", "status == 200")),
            steps=tuple(steps),
            base64_body=bool(options.get("base64_body", False)),
            throttled=str(options.get("throttled", "")),
        )
        _known(recipe.path, known, "请求路径")
        _known(recipe.body, known - {"body"}, "请求体")
        for name, value in recipe.headers.items():
            _known(value, known, f"请求头 {name}")
        try:
            parse(recipe.success)
            if recipe.throttled:
                parse(recipe.throttled)
        except BadExpression as error:
            raise BadRecipe(str(error)) from None
        return recipe


def _known(template: str, known: set[str], where: str) -> None:
    if unknown := sorted(placeholders(template) - known):
        raise BadRecipe(f"{where}用到了未定义的变量：{'、'.join(unknown)}。")


class Templated:
    """Fills the description and judges the answer by its condition."""

    def send(self, line: Line, recipient: str, message: Message, at: datetime) -> Outcome:
        try:
            recipe = Recipe.read(line.options, line.secrets)
        except BadRecipe as error:
            return Outcome(Verdict.REFUSED, f"渠道配置有误：{error}")
        url, headers, body = _fill(recipe, line, recipient, message, at)
        outcome, text = call(line, recipe.method, url, headers=headers, body=body)
        if not outcome.code:
            return outcome
        answer = Answer(int(outcome.code), text)
        if recipe.throttled and accepted(recipe.throttled, answer):
            return replace(outcome, verdict=Verdict.THROTTLED, reason="服务商限流，稍后再发。")
        if accepted(recipe.success, answer):
            return replace(outcome, verdict=Verdict.ACCEPTED, reason="已接受。")
        if outcome.verdict is Verdict.ACCEPTED:
            return replace(
                outcome,
                verdict=Verdict.REFUSED,
                reason=f"服务商的应答不满足成功条件 {recipe.success}，请对照其错误码说明处理。",
            )
        return outcome

    def probe(self, line: Line, at: datetime) -> Outcome:
        """A real message would cost money and wake somebody: only ask whether anybody answers."""
        return knock(line, str(line.options.get("probe_url") or line.address))


def _fill(
    recipe: Recipe, line: Line, recipient: str, message: Message, at: datetime
) -> tuple[str, dict[str, str], bytes]:
    where = urlsplit(line.address)
    moment = at.astimezone(UTC)
    values: dict[str, Any] = {
        **own_values(line.options),
        **line.secrets,
        "phone": recipient,
        "text": message.short[:LONGEST_SMS],
        "title": message.title,
        "code": line.options.get("code", ""),
        "delivery_id": message.delivery_id,
        "nonce": message.delivery_id.replace("-", ""),
        "timestamp": int(at.timestamp()),
        "timestamp_ms": int(at.timestamp() * 1000),
        "date": f"{moment:%Y-%m-%d}",
        "iso": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "host": where.netloc,
    }
    values["path"] = fill(recipe.path, values, for_url).split("?")[0]
    content_type, escape = BODY_KINDS[recipe.body_kind]

    def rendered() -> str:
        return fill(recipe.body, values, escape)

    # The body may carry a signature, or be signed: it is filled when a step first asks for it.
    for step in recipe.steps:
        if "body" not in values and "body" in placeholders(step.text):
            values["body"] = rendered()
        values[step.name] = step.result(values)
    body: str = values["body"] if "body" in values else rendered()
    raw = base64.b64encode(body.encode()) if recipe.base64_body else body.encode()
    headers = {"Content-Type": content_type}
    headers |= {name: _header(fill(value, values)) for name, value in recipe.headers.items()}
    url = line.address.rstrip("/") + fill(recipe.path, values, for_url)
    return url, headers, b"" if recipe.method == "GET" else raw


def _header(value: str) -> str:
    """A header is one line; a value with a line break would smuggle in another header."""
    return " ".join(value.split())

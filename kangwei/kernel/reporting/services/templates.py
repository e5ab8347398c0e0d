"""Style templates (样式模板): a customer's Word file, checked before it is believed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from io import BytesIO

from django.db import transaction

from kangwei.kernel.audit import services as audit
from kangwei.kernel.crypto import services as crypto
from kangwei.kernel.organisations.models import Account, Institution
from kangwei.kernel.screens import uploads

from ..models import StyleTemplate
from ..outputs.styles import STYLE_TITLES, STYLES, fields
from ..refusals import ReportNotPermitted, WrongTemplate
from ..rules.layout import Face

TEMPLATE_RIGHT = "reporting.manage_template"


@lru_cache(maxsize=1)
def house_template() -> bytes:
    from ..outputs.word import default_template

    return default_template()


@transaction.atomic
def upload_template(
    *,
    name: str,
    filename: str,
    content: bytes,
    institution: Institution | None,
    by: Account,
    at: datetime,
    styles: Mapping[str, str] | None = None,
) -> StyleTemplate:
    """Keep a template that opens, has every style, and names only fields that exist."""
    if not by.has_perm(TEMPLATE_RIGHT):
        raise ReportNotPermitted("您的角色不能维护文档样式模板；请联系本单位管理员授权。")
    scope = by.scope(TEMPLATE_RIGHT)
    if not scope.includes(institution.pk if institution else None):
        raise ReportNotPermitted("只能为数据范围内的机构上传模板；全站通用的模板由省级管理员上传。")
    if not name.strip():
        raise WrongTemplate("请填写模板名称。", field="name")
    mapping = {role: style.strip() for role, style in (styles or {}).items() if style.strip()}
    check_template(filename, content, mapping)
    template = StyleTemplate.objects.create(
        name=name.strip()[:80],
        institution=institution,
        content=content,
        digest=crypto.sm3(content),
        styles=mapping,
        uploaded_by=by,
        uploaded_at=at,
    )
    audit.record(
        act="reporting.template.uploaded",
        subject=template,
        by=by,
        at=at,
        detail={"name": template.name, "digest": template.digest},
    )
    return template


def check_template(filename: str, content: bytes, styles: Mapping[str, str]) -> None:
    """Refuse a template with one sentence that says what to change in Word."""
    # The Word libraries weigh 20 MB: a process that writes no Word does not carry them.
    from docx import Document as WordFile
    from docx.opc.exceptions import PackageNotFoundError
    from docxtpl import DocxTemplate
    from jinja2 import TemplateError
    from lxml.etree import XMLSyntaxError

    from ..outputs.word import sandbox

    uploads.check(BytesIO(content), {uploads.DOCX}, name=filename, limit=5 * uploads.MEGABYTE)
    unknown = sorted(set(styles) - set(STYLES))
    if unknown:
        raise WrongTemplate(f"没有名为“{unknown[0]}”的样式用途。", field="styles")
    try:
        document = WordFile(BytesIO(content))
    except (PackageNotFoundError, XMLSyntaxError, KeyError, ValueError):
        raise WrongTemplate("模板不能使用：文件已损坏或不是 Word 文档。", field="content") from None
    present = {style.name for style in document.styles}
    missing = [
        f"{STYLE_TITLES[role]}（{wanted}）"
        for role, wanted in {**STYLES, **styles}.items()
        if wanted not in present
    ]
    if missing:
        raise WrongTemplate(
            f"模板缺少样式：{'、'.join(missing)}；请在 Word 中建立同名样式，"
            "或在“样式对应”里选用已有样式。",
            field="styles",
        )
    try:
        trial = DocxTemplate(BytesIO(content))
        trial.render(fields(SAMPLE), jinja_env=sandbox(), autoescape=True)
        trial.save(BytesIO())
    except (TemplateError, XMLSyntaxError, KeyError, ValueError, TypeError) as wrong:
        known = "、".join(fields(SAMPLE))
        raise WrongTemplate(
            f"模板中的字段有误（{str(wrong)[:80]}）；可用字段：{known}，写作 {{{{ 标题 }}}}。",
            field="content",
        ) from None


@transaction.atomic
def retire_template(*, template: StyleTemplate, by: Account, at: datetime) -> StyleTemplate:
    """Take a template out of choice; documents written with it keep their files."""
    if not by.has_perm(TEMPLATE_RIGHT) or not by.scope(TEMPLATE_RIGHT).includes(
        template.institution_id
    ):
        raise ReportNotPermitted("您的角色不能停用这个模板；请联系上传机构的管理员。")
    template.active = False
    template.save(update_fields=["active"])
    audit.record(act="reporting.template.retired", subject=template, by=by, at=at)
    return template


SAMPLE = Face(
    title="示例",
    subtitle="示例",
    institution="示例",
    period="2026年10月",
    number="SL-202610-0001",
    version="第 1 版",
    cutoff="2026-11-01 00:00",
    cover=True,
    contents=True,
    header="示例",
    footer="示例",
    facts=(),
)

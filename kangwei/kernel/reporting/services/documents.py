"""Documents (文档): computed from records, completed by people, sealed, corrected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal

from django.db import transaction

from kangwei.kernel import clock
from kangwei.kernel.audit import services as audit
from kangwei.kernel.crypto import masking
from kangwei.kernel.crypto import services as crypto
from kangwei.kernel.organisations.models import Account, Institution

from .. import queries, registry, storage
from ..models import (
    Document,
    DocumentFile,
    DocumentSeries,
    DocumentVersion,
    StyleTemplate,
    TypedText,
)
from ..refusals import (
    DocumentExists,
    DraftExists,
    EditedMeanwhile,
    NothingSealed,
    ReportNotPermitted,
    SectionNotTyped,
    TextMissing,
    UnknownInstitution,
    UnknownKind,
    VersionClosed,
    WrongPeriod,
)
from ..rules import blocks as b
from ..rules.declarations import Column, InstitutionParameter, PeriodParameter
from ..rules.differences import CORRECTION, KIND_WORDS, Difference
from ..rules.documents import (
    DocumentContext,
    DocumentKind,
    SourceAbsent,
    build_section,
    number_of,
)
from ..rules.layout import face, flow, whole
from ..rules.periods import KIND_TITLES, Period, parse
from ..rules.results import Result
from .exporting import Exported, mask_for
from .running import require, run_report
from .templates import house_template

WRITE, SEAL, RELEASE = (
    "reporting.write_document",
    "reporting.seal_document",
    "reporting.release_document",
)
FILE_TYPES = {
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pdf": "application/pdf",
}
LONGEST_TEXT = 50_000


def require_kind(code: str, by: Account) -> DocumentKind:
    kind = registry.find_document_kind(code)
    if kind is None:
        raise UnknownKind(f"没有代码为“{code[:80]}”的文档种类；请从文档列表重新进入。")
    if not by.has_perm(kind.right):
        raise ReportNotPermitted(f"您的角色不能查看“{kind.title}”；请联系本单位管理员授权。")
    return kind


def _require(right: str, by: Account, institution_id: int | None, what: str) -> None:
    if not by.has_perm(right) or not by.scope(right).includes(institution_id):
        raise ReportNotPermitted(f"您的角色不能{what}；如工作需要，请联系本单位管理员授权。")


# ── Making and refreshing ─────────────────────────────────────────────────────────────────────


@transaction.atomic
def generate_document(
    *,
    kind: DocumentKind,
    period: str,
    institution: Institution,
    by: Account,
    at: datetime,
    cutoff: datetime | None = None,
    template: StyleTemplate | None = None,
) -> DocumentVersion:
    """Make the first draft of a document: every computed section as of the cut-off."""
    require_kind(kind.code, by)
    _require(WRITE, by, institution.pk, "编制文档")
    if not by.scope(kind.right).includes(institution.pk):
        raise UnknownInstitution("没有这个机构，或它不在您的数据范围内；请重新选择机构。")
    read = parse(period, kinds=(kind.period,), today=clock.local_day(at))
    if read is None:
        raise WrongPeriod(
            f"“{kind.title}”按{KIND_TITLES[kind.period]}编制，无法识别期间“{period[:30]}”。",
            field="period",
        )
    moment = cutoff or at
    if moment > at:
        raise WrongPeriod("数据截止时间不能晚于现在。", field="cutoff")
    # Two people making the same document at once are told apart here: one makes it.
    Institution.objects.select_for_update(of=("self",), no_key=True).get(pk=institution.pk)
    same = Document.objects.filter(
        kind=kind.code, period=read.text, institution=institution
    ).exclude(versions__state=DocumentVersion.State.DISCARDED)
    if same.exists():
        raise DocumentExists(
            f"{institution} {read.label}的“{kind.title}”已经编制过；请打开它继续编辑，"
            "已封存的请用“更正”生成新版本。"
        )
    document = Document.objects.create(
        kind=kind.code,
        title=kind.title,
        institution=institution,
        period=read.text,
        period_label=read.label,
        year=read.last_day.year,
        created_by=by,
        created_at=at,
    )
    version = DocumentVersion.objects.create(
        document=document,
        version=1,
        kind_version=kind.version,
        cutoff=moment,
        tree=b.plain(build_tree(kind, document, read, moment, by=by, at=at)),
        template=template,
        created_by=by,
        created_at=at,
    )
    audit.record(
        act="reporting.document.generated",
        subject=document,
        by=by,
        at=at,
        detail={"kind": kind.code, "period": read.text, "cutoff": moment.isoformat()},
    )
    return version


def build_tree(
    kind: DocumentKind,
    document: Document,
    period: Period,
    cutoff: datetime,
    *,
    by: Account,
    at: datetime,
    version: int = 1,
) -> b.Tree:
    """Compute every section. Each report is run once, however many sections speak of it."""
    known: dict[tuple[str, tuple[tuple[str, str], ...]], Result] = {}

    def run(code: str, parameters: Mapping[str, str]) -> Result:
        if registry.find_report(code) is None:
            raise SourceAbsent(f"报表 {code}")
        report = require(code, by)
        asked = dict(parameters)
        for parameter in report.parameters:
            if isinstance(parameter, PeriodParameter) and parameter.key not in asked:
                asked[parameter.key] = _period_for(parameter, period)
            elif isinstance(parameter, InstitutionParameter) and parameter.key not in asked:
                asked[parameter.key] = str(document.institution_id)
        place = (code, tuple(sorted(asked.items())))
        if place not in known:
            known[place] = run_report(report=report, parameters=asked, by=by, at=at, cutoff=cutoff)
        return known[place]

    context = DocumentContext(period, document.institution, cutoff, by, run)
    sources = registry.sources()
    sections = []
    for section in kind.sections:
        computed = build_section(section, context, sources)
        typed = (b.Typed(section.key),) if section.typed else ()
        sections.append(b.Section(section.key, section.title, computed + typed))
    if kind.signatures:
        sections.append(b.Section("signatures", "签署", (b.Signatures(kind.signatures),)))
    return b.Tree(
        kind=kind.code,
        kind_version=kind.version,
        title=kind.title,
        subtitle=period.label,
        institution=document.institution.name,
        period=period.label,
        cutoff=cutoff,
        sections=tuple(sections),
        number=document.number or "",
        version=version,
        cover=kind.cover,
        contents=kind.contents,
        confidential=kind.confidential,
    )


def _period_for(parameter: PeriodParameter, period: Period) -> str:
    """The document's period as the report takes it: by its own kind, else as a range of days."""
    if period.kind in parameter.kinds:
        return period.text
    return Period("range", period.start, period.end).text


def _locked_draft(version: DocumentVersion) -> DocumentVersion:
    locked = (
        DocumentVersion.objects.select_for_update(of=("self",))
        .select_related("document__institution")
        .get(pk=version.pk)
    )
    if not locked.is_draft:
        raise VersionClosed(
            f"“{locked}”{locked.get_state_display()}，不能再修改；如需改动，请用“更正”生成新版本。"
        )
    return locked


@transaction.atomic
def refresh_draft(
    *, version: DocumentVersion, by: Account, at: datetime, cutoff: datetime | None = None
) -> DocumentVersion:
    """Compute a draft's figures again, as of now or another cut-off; typed texts stay."""
    locked = _locked_draft(version)
    document = locked.document
    _require(WRITE, by, document.institution_id, "编制文档")
    kind = require_kind(document.kind, by)
    moment = cutoff or at
    if moment > at:
        raise WrongPeriod("数据截止时间不能晚于现在。", field="cutoff")
    period = _period_of(document, kind)
    tree = build_tree(kind, document, period, moment, by=by, at=at, version=locked.version)
    locked.tree, locked.cutoff, locked.kind_version = b.plain(tree), moment, kind.version
    locked.save(update_fields=["tree", "cutoff", "kind_version"])
    audit.record(
        act="reporting.document.refreshed",
        subject=document,
        by=by,
        at=at,
        detail={"version": locked.version, "cutoff": moment.isoformat()},
    )
    return locked


def _period_of(document: Document, kind: DocumentKind) -> Period:
    period = parse(
        document.period, kinds=(kind.period,), today=clock.local_day(document.created_at)
    )
    if period is None:
        raise WrongPeriod(
            f"“{kind.title}”现在按{KIND_TITLES[kind.period]}编制，与本文档的期间不符。"
        )
    return period


@transaction.atomic
def write_text(
    *,
    version: DocumentVersion,
    section: str,
    text: str,
    revision: int,
    by: Account,
    at: datetime,
) -> TypedText:
    """Save the typed text of one section.

    `revision` is the one that was opened (0: none yet). Somebody else's save in between is
    refused by name and time, so that no sentence is overwritten unseen.
    """
    locked = _locked_draft(version)
    _require(WRITE, by, locked.document.institution_id, "编制文档")
    typed = {
        block.key
        for one in b.from_plain(locked.tree).sections
        for block in one.blocks
        if isinstance(block, b.Typed)
    }
    if section not in typed:
        raise SectionNotTyped(f"章节“{section[:60]}”由系统计算，不能填写。", field="section")
    if len(text) > LONGEST_TEXT:
        raise SectionNotTyped(
            f"一个章节最多 {LONGEST_TEXT:,} 字，现在有 {len(text):,} 字；请删减或放入附件。",
            field="text",
        )
    stored = TypedText.objects.filter(version=locked, section=section).select_related("by").first()
    if stored is None:
        if revision:
            raise EditedMeanwhile("这一节已被清空，请刷新页面后重新填写。", field="revision")
        stored = TypedText.objects.create(
            version=locked, section=section, text=text, revision=1, by=by, at=at
        )
    else:
        if stored.revision != revision:
            when = stored.at.astimezone(clock.SHANGHAI)
            raise EditedMeanwhile(
                f"这一节已由 {stored.by} 在 {when:%Y-%m-%d %H:%M} 改动，您的内容没有保存；"
                "请复制您的内容，刷新页面后再合并。",
                field="revision",
            )
        stored.text, stored.by, stored.at = text, by, at
        stored.revision += 1
        stored.save(update_fields=["text", "by", "at", "revision"])
    audit.record(
        act="reporting.document.written",
        subject=locked.document,
        by=by,
        at=at,
        detail={"version": locked.version, "section": section, "characters": len(text)},
    )
    return stored


@transaction.atomic
def discard_draft(
    *, version: DocumentVersion, reason: str, by: Account, at: datetime
) -> DocumentVersion:
    """Put a draft away. It keeps no number, so none is lost."""
    locked = _locked_draft(version)
    _require(WRITE, by, locked.document.institution_id, "作废文档草稿")
    locked.state = DocumentVersion.State.DISCARDED
    locked.save(update_fields=["state"])
    audit.record(
        act="reporting.document.discarded",
        subject=locked.document,
        by=by,
        at=at,
        reason=reason,
        detail={"version": locked.version},
    )
    return locked


# ── Sealing and correcting ────────────────────────────────────────────────────────────────────


@transaction.atomic
def seal_version(*, version: DocumentVersion, by: Account, at: datetime) -> DocumentVersion:
    """Seal a draft: number, files, digest over text and files, signature. Nothing changes after.

    The number is taken here and not earlier, under a lock on its series, so that the numbers of a
    kind and year have no gap.
    """
    locked = _locked_draft(version)
    document = locked.document
    _require(SEAL, by, document.institution_id, "封存文档")
    kind = require_kind(document.kind, by)
    tree = queries.tree_of(locked)
    _require_texts(kind, tree)
    if document.number is None:
        _take_number(document, kind)
    corrections = queries.changes_since(locked)
    tree = replace(
        with_corrections(tree, locked, corrections),
        number=document.number or "",
        version=locked.version,
    )
    locked.tree = b.plain(tree)
    locked.tree_digest = crypto.sm3(storage.canonical(locked.tree))
    files = {
        form: render(locked, tree, form=form, digest=locked.tree_digest) for form in ("docx", "pdf")
    }
    digests = {form: crypto.sm3(content) for form, content in files.items()}
    locked.digest = queries.seal_digest(locked.tree_digest, digests)
    signature = crypto.sign(locked.digest.encode())
    locked.signature, locked.signature_algorithm = signature.value, signature.algorithm
    locked.signature_key = signature.kid
    locked.state, locked.sealed_by, locked.sealed_at = DocumentVersion.State.SEALED, by, at
    locked.save()
    DocumentFile.objects.bulk_create(
        DocumentFile(version=locked, format=form, content=content, digest=digests[form])
        for form, content in files.items()
    )
    audit.record(
        act="reporting.document.sealed",
        subject=document,
        by=by,
        at=at,
        detail={"version": locked.version, "number": document.number, "digest": locked.digest},
    )
    return locked


def _require_texts(kind: DocumentKind, tree: b.Tree) -> None:
    required = {section.key for section in kind.sections if section.required}
    empty = [
        section.title
        for section in tree.sections
        for block in section.blocks
        if section.key in required and isinstance(block, b.Typed) and not block.text.strip()
    ]
    if empty:
        raise TextMissing(f"必填章节还没有填写：{'、'.join(empty)}；填写后再封存。")


def _take_number(document: Document, kind: DocumentKind) -> None:
    DocumentSeries.objects.get_or_create(kind=kind.code, year=document.year)
    series = DocumentSeries.objects.select_for_update().get(kind=kind.code, year=document.year)
    series.last += 1
    series.save(update_fields=["last"])
    document.serial = series.last
    document.number = number_of(kind, _period_of(document, kind), series.last)
    document.save(update_fields=["serial", "number"])


def with_corrections(tree: b.Tree, version: DocumentVersion, found: list[Difference]) -> b.Tree:
    """Put the list of differences first: what a holder of the old copy must know."""
    if version.version == 1 or queries.sealed_before(version) is None:
        return tree
    columns = (
        Column(key="number", title="序号", definition="差异的序号。", kind="int"),
        Column(key="section", title="章节", definition="所在章节。"),
        Column(key="where", title="位置", definition="章节内的位置。"),
        Column(key="kind", title="变化", definition="新增、删除或修改。", align="center"),
        Column(key="before", title="原内容", definition="上一版的内容。"),
        Column(key="after", title="新内容", definition="本版的内容。"),
    )
    rows = tuple(
        (number, one.section, one.where, KIND_WORDS[one.kind], one.before, one.after)
        for number, one in enumerate(found, start=1)
    )
    table = b.ReportTable("与上一版的差异", columns, rows, None, (), ("number",), None)
    content: tuple[b.Block, ...] = (b.Paragraph(f"更正原因：{version.reason}"),)
    content += (table,) if rows else (b.Paragraph("与上一版相比，正文没有差异。"),)
    sections = tuple(one for one in tree.sections if one.key != CORRECTION)
    return replace(tree, sections=(b.Section(CORRECTION, "更正说明", content), *sections))


@transaction.atomic
def correct_document(
    *,
    document: Document,
    reason: str,
    by: Account,
    at: datetime,
    cutoff: datetime | None = None,
) -> DocumentVersion:
    """Start a new version of a sealed document: figures counted again, texts taken over."""
    locked = (
        Document.objects.select_for_update(of=("self",))
        .select_related("institution")
        .get(pk=document.pk)
    )
    _require(WRITE, by, locked.institution_id, "更正文档")
    if not reason.strip():
        raise SectionNotTyped("请写明更正原因，它会印在新版本的“更正说明”里。", field="reason")
    latest = queries.latest_version(locked)
    if latest.is_draft:
        raise DraftExists(f"“{locked}”已有未封存的第 {latest.version} 版草稿，请先封存或作废它。")
    sealed = locked.versions.filter(state=DocumentVersion.State.SEALED).order_by("-version").first()
    if sealed is None:
        raise NothingSealed(f"“{locked}”还没有封存过，直接编辑草稿即可，不需要更正。")
    kind = require_kind(locked.kind, by)
    number = locked.versions.order_by("-version").values_list("version", flat=True)[0] + 1
    moment = cutoff or at
    period = _period_of(locked, kind)
    tree = build_tree(kind, locked, period, moment, by=by, at=at, version=number)
    version = DocumentVersion.objects.create(
        document=locked,
        version=number,
        kind_version=kind.version,
        cutoff=moment,
        tree=b.plain(tree),
        reason=reason.strip()[:300],
        template=sealed.template,
        created_by=by,
        created_at=at,
    )
    for text in sealed.texts.all():
        TypedText.objects.create(
            version=version, section=text.section, text=text.text, by=text.by, at=text.at
        )
    audit.record(
        act="reporting.document.corrected",
        subject=locked,
        by=by,
        at=at,
        reason=reason,
        detail={"version": number},
    )
    return version


# ── Files ─────────────────────────────────────────────────────────────────────────────────────

FileFormat = Literal["docx", "pdf"]


def render(
    version: DocumentVersion,
    tree: b.Tree,
    *,
    form: str,
    digest: str = "",
    outward: bool = False,
) -> bytes:
    """Write a tree as Word or PDF; the same tree and template give the same bytes."""
    front = face(tree, digest=digest, outward=outward)
    elements = flow(tree, mask=mask_for(masking.PARTLY) if outward else whole)
    if form == "pdf":
        from ..outputs.pdf import write_pdf

        return write_pdf(front, elements, cutoff=tree.cutoff)
    template = version.template
    # Loaded when a file is written: the libraries weigh 40 MB in every process that holds them.
    from ..outputs.word import write_word

    return write_word(
        front,
        elements,
        cutoff=tree.cutoff,
        template=bytes(template.content) if template else house_template(),
        styles=template.styles if template else None,
    )


def file_of(version: DocumentVersion, form: FileFormat) -> bytes:
    """A version as a file: the sealed one as it is, a draft as it would look now."""
    if version.is_sealed:
        return bytes(version.files.get(format=form).content)
    return render(version, preview_tree(version), form=form)


def preview_tree(version: DocumentVersion) -> b.Tree:
    """What a version says, the list of corrections included."""
    tree = queries.tree_of(version)
    if version.is_sealed:
        return tree
    return with_corrections(tree, version, queries.changes_since(version))


@transaction.atomic
def download(*, version: DocumentVersion, form: FileFormat, by: Account, at: datetime) -> Exported:
    """Hand out a version as a file, with a line in the journal."""
    content = file_of(version, form)
    return _handed_out(version, content, form, by, at, outward=False)


@transaction.atomic
def release_copy(
    *, version: DocumentVersion, form: FileFormat, by: Account, at: datetime
) -> Exported:
    """A copy that leaves the customer (对外副本): the sealed text with people's names masked."""
    _require(RELEASE, by, version.document.institution_id, "导出对外副本")
    if not version.is_sealed:
        raise NothingSealed(f"“{version}”还没有封存；对外副本只能由封存的版本生成。")
    tree = queries.tree_of(version)
    content = render(version, tree, form=form, digest=version.tree_digest, outward=True)
    return _handed_out(version, content, form, by, at, outward=True)


def _handed_out(
    version: DocumentVersion,
    content: bytes,
    form: FileFormat,
    by: Account,
    at: datetime,
    *,
    outward: bool,
) -> Exported:
    document = version.document
    audit.record_export(
        what=f"文档 {document}" + ("（对外副本）" if outward else ""),
        subject=document,
        by=by,
        at=at,
        rows=1,
        format=form,
        detail={"version": version.version, "sealed": version.is_sealed, "outward": outward},
    )
    name = (
        f"{document.number or '草稿'}_{document.title}_{document.period_label}_v{version.version}"
    )
    name += "_对外" if outward else ""
    return Exported(f"{name}.{form}", FILE_TYPES[form], content)

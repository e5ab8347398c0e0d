"""Questions about reports, snapshots and documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kangwei.kernel.crypto import services as crypto
from kangwei.kernel.organisations.models import Account

from . import registry, storage
from .models import (
    ColumnChoice,
    Document,
    DocumentFile,
    DocumentVersion,
    Favourite,
    Snapshot,
    SnapshotPlan,
    TypedText,
)
from .rules import blocks
from .rules.declarations import Report
from .rules.differences import Difference, differences
from .rules.documents import DocumentKind
from .rules.results import Result


def reports_for(account: Account) -> list[Report]:
    """The reports an account may see, by group and order."""
    return [report for report in registry.reports() if account.has_perm(report.right)]


def offered_plans(account: Account) -> list[Report]:
    """Reports that name their best moment to be frozen, and have no plan in this house yet."""
    planned = SnapshotPlan.objects.filter(active=True, institution=account.institution_id)
    taken = set(planned.values_list("report", flat=True))
    return [one for one in reports_for(account) if one.freeze and one.code not in taken]


def document_kinds_for(account: Account) -> list[DocumentKind]:
    return [kind for kind in registry.document_kinds() if account.has_perm(kind.right)]


def favourites(account: Account) -> set[str]:
    return set(Favourite.objects.visible_to(account).values_list("report", flat=True))


def chosen_columns(account: Account, report: str) -> list[str] | None:
    """The columns somebody wants to see in a report; None: the declared ones."""
    found = ColumnChoice.objects.visible_to(account).filter(report=report).first()
    return None if found is None else list(found.columns)


@dataclass(frozen=True)
class Opened:
    """A snapshot read back, and whether it is still what was frozen."""

    snapshot: Snapshot
    result: Result
    verified: bool
    problem: str = ""


def open_snapshot(snapshot: Snapshot) -> Opened:
    """Read a snapshot and check its digest and signature; nothing is computed again."""
    frame = storage.unpack(snapshot.frame, column="frame")
    stored = snapshot.chunks.order_by("number").values_list("content", flat=True)
    chunks = [storage.unpack(content, column="chunk") for content in stored]
    problem = ""
    if storage.digest([frame, *chunks]) != snapshot.digest:
        problem = "内容与封存摘要不一致，可能被改动过"
    elif not crypto.verify(
        snapshot.digest.encode(),
        crypto.Signature(snapshot.signature_algorithm, snapshot.signature_key, snapshot.signature),
    ):
        problem = "签名校验未通过"
    return Opened(snapshot, storage.read_result(frame, chunks), not problem, problem)


# ── Documents ─────────────────────────────────────────────────────────────────────────────────


def texts_of(version: DocumentVersion) -> dict[str, TypedText]:
    return {text.section: text for text in version.texts.select_related("by")}


def tree_of(version: DocumentVersion) -> blocks.Tree:
    """The block tree of a version. A draft's typed texts are put in from their rows."""
    tree = blocks.from_plain(version.tree)
    return tree if version.is_sealed else with_texts(tree, texts_of(version))


def with_texts(tree: blocks.Tree, texts: dict[str, TypedText]) -> blocks.Tree:
    from dataclasses import replace

    def filled(block: blocks.Block) -> blocks.Block:
        if isinstance(block, blocks.Typed) and block.key in texts:
            text = texts[block.key]
            return blocks.Typed(block.key, text.text, str(text.by), text.at)
        return block

    sections = tuple(
        replace(section, blocks=tuple(filled(block) for block in section.blocks))
        for section in tree.sections
    )
    return replace(tree, sections=sections)


def sealed_before(version: DocumentVersion) -> DocumentVersion | None:
    """The sealed version that this one corrects."""
    return (
        DocumentVersion.objects.filter(
            document=version.document_id,
            state=DocumentVersion.State.SEALED,
            version__lt=version.version,
        )
        .order_by("-version")
        .first()
    )


def changes_since(version: DocumentVersion) -> list[Difference]:
    """What a version changes against the sealed one before it."""
    earlier = sealed_before(version)
    return [] if earlier is None else differences(tree_of(earlier), tree_of(version))


@dataclass(frozen=True)
class Verified:
    genuine: bool
    problem: str = ""


def verify_version(version: DocumentVersion) -> Verified:
    """Check a sealed version: its text, both files, the digest over all, the signature."""
    tree_text = storage.canonical(version.tree)
    if crypto.sm3(tree_text) != version.tree_digest:
        return Verified(False, "正文与封存摘要不一致")
    digests = {}
    for file in version.files.all():
        digests[file.format] = crypto.sm3(bytes(file.content))
        if digests[file.format] != file.digest:
            return Verified(False, f"{file.get_format_display()} 文件与封存摘要不一致")
    if set(digests) != set(DocumentFile.Format.values):
        return Verified(False, "封存文件不全")
    if seal_digest(version.tree_digest, digests) != version.digest:
        return Verified(False, "封存摘要不一致")
    signature = crypto.Signature(
        version.signature_algorithm, version.signature_key, version.signature
    )
    if not crypto.verify(version.digest.encode(), signature):
        return Verified(False, "签名校验未通过")
    return Verified(True)


def seal_digest(tree_digest: str, files: dict[str, str]) -> str:
    """One digest over the text and both files."""
    ordered: dict[str, Any] = {"tree": tree_digest, **files}
    return crypto.sm3(storage.canonical(ordered))


def latest_version(document: Document) -> DocumentVersion:
    """The version that counts: the last one that was not discarded, else the last."""
    versions = list(document.versions.order_by("-version"))
    kept = [one for one in versions if one.state != DocumentVersion.State.DISCARDED]
    return (kept or versions)[0]

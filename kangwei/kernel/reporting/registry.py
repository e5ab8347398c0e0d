"""The reports, document kinds and section sources that apps register at start-up."""

from __future__ import annotations

from .rules.declarations import DeclarationError, Report, check
from .rules.documents import Build, DocumentKind, check_kind

_reports: dict[str, Report] = {}
_documents: dict[str, DocumentKind] = {}
_sources: dict[str, Build] = {}


def register_report(*reports: Report) -> None:
    """Add reports; a declaration that contradicts itself stops the start and names itself."""
    for report in reports:
        check(report)
        if _reports.get(report.code, report) is not report:
            raise DeclarationError(f"report {report.code!r} is registered twice")
        _reports[report.code] = report


def register_document(*kinds: DocumentKind) -> None:
    for kind in kinds:
        check_kind(kind)
        if _documents.get(kind.code, kind) is not kind:
            raise DeclarationError(f"document {kind.code!r} is registered twice")
        if any(one.prefix == kind.prefix and one is not kind for one in _documents.values()):
            raise DeclarationError(f"document {kind.code!r}: prefix {kind.prefix} is taken")
        _documents[kind.code] = kind


def register_source(name: str, build: Build) -> None:
    """Offer the content of a section that a document kind names by `source=`."""
    _sources[name] = build


def reports() -> list[Report]:
    return sorted(_reports.values(), key=lambda one: (one.group, one.order, one.title))


def find_report(code: str) -> Report | None:
    return _reports.get(code)


def document_kinds() -> list[DocumentKind]:
    return sorted(_documents.values(), key=lambda one: (one.group, one.order, one.title))


def find_document_kind(code: str) -> DocumentKind | None:
    return _documents.get(code)


def sources() -> dict[str, Build]:
    return dict(_sources)

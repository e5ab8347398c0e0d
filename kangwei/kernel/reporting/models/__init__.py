"""Tables of reporting: results and snapshots, plans and subscriptions, documents."""

from .documents import (
    Document,
    DocumentFile,
    DocumentSeries,
    DocumentVersion,
    StyleTemplate,
    TypedText,
)
from .plans import SnapshotPlan, Subscription
from .results import (
    ColumnChoice,
    Favourite,
    KeptResult,
    ReportUse,
    Snapshot,
    SnapshotChunk,
)

__all__ = [
    "ColumnChoice",
    "Document",
    "DocumentFile",
    "DocumentSeries",
    "DocumentVersion",
    "Favourite",
    "KeptResult",
    "ReportUse",
    "Snapshot",
    "SnapshotChunk",
    "SnapshotPlan",
    "StyleTemplate",
    "Subscription",
    "TypedText",
]

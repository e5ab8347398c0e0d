"""Data scope (数据范围): whose rows an account may see, and how a query is held to it.

A scope is the union of what the grants in force reach: listed institutions, whole subtrees,
regions, or everything. It is written into queries as sub-selects on the closure table and on
region codes, so a list page costs no extra round trip however large the province is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any, ClassVar, Self, TypeVar

from django.db import models
from django.db.models import Q

M = TypeVar("M", bound=models.Model)


@dataclass(frozen=True)
class Scope:
    """Institutions one right reaches. An empty scope reaches nothing."""

    everything: bool = False
    #: Institutions reached by themselves, without what lies below them.
    listed: frozenset[int] = frozenset()
    #: Institutions reached together with everything below them.
    roots: frozenset[int] = frozenset()
    #: Significant prefixes of region codes, e.g. "6101" for Xi'an.
    regions: frozenset[str] = frozenset()
    _known: dict[int, bool] = field(default_factory=dict, compare=False, repr=False)

    def __bool__(self) -> bool:
        return self.everything or bool(self.listed or self.roots or self.regions)

    @classmethod
    def union(cls, parts: Iterable[Scope]) -> Scope:
        everything, listed, roots, regions = False, set[int](), set[int](), set[str]()
        for part in parts:
            everything = everything or part.everything
            listed |= part.listed
            roots |= part.roots
            regions |= part.regions
        if everything:
            return cls(everything=True)
        return cls(listed=frozenset(listed), roots=frozenset(roots), regions=frozenset(regions))

    def condition(self, path: str) -> Q | None:
        """The WHERE condition for the institution at `path`; None means no limit at all."""
        from kangwei.kernel.organisations.models.institutions import (
            Institution,
            InstitutionClosure,
        )

        if self.everything:
            return None
        parts: list[Q] = []
        if self.listed:
            parts.append(Q(**{f"{path}__in": sorted(self.listed)}))
        if self.roots:
            below = InstitutionClosure.objects.filter(ancestor__in=sorted(self.roots))
            parts.append(Q(**{f"{path}__in": below.values("descendant")}))
        if self.regions:
            prefixes = (Q(region__code__startswith=prefix) for prefix in sorted(self.regions))
            within = Institution.objects.filter(reduce(or_, prefixes))
            parts.append(Q(**{f"{path}__in": within.values("pk")}))
        return reduce(or_, parts) if parts else Q(pk__in=[])

    def limit(self, queryset: models.QuerySet[M], path: str) -> models.QuerySet[M]:
        """Hold a query to this scope; `path` leads to the institution ("pk" on Institution)."""
        if not self:
            return queryset.none()
        condition = self.condition(path)
        return queryset if condition is None else queryset.filter(condition)

    def includes(self, institution_id: int | None) -> bool:
        if self.everything:
            return True
        if institution_id is None or not self:
            return False
        if institution_id in self.listed or institution_id in self.roots:
            return True
        if institution_id not in self._known:
            from kangwei.kernel.organisations.models.institutions import Institution

            found = self.limit(Institution.objects.filter(pk=institution_id), "pk").exists()
            self._known[institution_id] = found
        return self._known[institution_id]

    def covers(self, other: Scope) -> bool:
        """Does this scope reach all that the other reaches? Regions count by code, not by the
        institutions they hold today: tomorrow's clinic in the district belongs to it too."""
        if self.everything or not other:
            return True
        if other.everything:
            return False
        if not all(any(want.startswith(have) for have in self.regions) for want in other.regions):
            return False
        from kangwei.kernel.organisations.models.institutions import Institution

        by_name = Scope(listed=other.listed, roots=other.roots)
        wanted = set(by_name.limit(Institution.objects.all(), "pk").values_list("pk", flat=True))
        held = self.limit(Institution.objects.filter(pk__in=wanted), "pk")
        return wanted == set(held.values_list("pk", flat=True))


class ScopedQuerySet(models.QuerySet[M]):
    """A query set whose rows belong to an institution; `visible_to` is the only way in."""

    #: The right that lets an account look at these rows.
    view_right: ClassVar[str]
    #: Where the institution stands, seen from the row.
    scope_path: ClassVar[str] = "institution"

    def visible_to(self, user: Any) -> Self:
        """The rows this account may look at (数据范围)."""
        return self.reached_by(user, self.view_right)

    def reached_by(self, user: Any, right: str) -> Self:
        """The rows this account may use this right on."""
        if not getattr(user, "is_authenticated", False):
            return self.none()
        scope: Scope = user.scope(right)
        if not scope:
            return self.none()
        condition = scope.condition(self.scope_path)
        return self.all() if condition is None else self.filter(condition)

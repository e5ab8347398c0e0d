"""The institution tree (机构树): dated parents, and the closure of today kept beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from django.db import connection, transaction
from django.db.models import Q

from kangwei.kernel.organisations.models import (
    Institution,
    InstitutionClosure,
    InstitutionParent,
)

#: Key of the advisory lock under which the tree changes: two moves at once could make a ring.
TREE_LOCK = 7_210_001


def lock_tree() -> None:
    """Hold the tree until the end of the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [TREE_LOCK])


def parents_on(day: date) -> dict[int, int]:
    """Each institution's parent on a day."""
    rows = InstitutionParent.objects.filter(
        Q(valid_to=None) | Q(valid_to__gt=day), valid_from__lte=day
    )
    return dict(rows.values_list("institution_id", "parent_id"))


def closure_of(members: Iterable[int], parents: Mapping[int, int]) -> set[tuple[int, int, int]]:
    """(ancestor, descendant, depth) for every pair; assumes that there is no ring."""
    found: set[tuple[int, int, int]] = set()
    for member in members:
        depth, above = 0, member
        found.add((member, member, 0))
        while above in parents:
            above, depth = parents[above], depth + 1
            found.add((above, member, depth))
    return found


def makes_ring(parents: Mapping[int, int], institution: int, parent: int) -> bool:
    """Would this parent stand below the institution itself?"""
    above: int | None = parent
    while above is not None:
        if above == institution:
            return True
        above = parents.get(above)
    return False


@transaction.atomic
def rebuild_closure(day: date) -> int:
    """Compute the closure of a day from the dated parents and write the differences.

    Answers how many rows differed, which is 0 whenever services kept it well.
    """
    lock_tree()
    members = Institution.objects.values_list("pk", flat=True)
    wanted = closure_of(members, parents_on(day))
    kept_rows = InstitutionClosure.objects.values_list(
        "ancestor_id", "descendant_id", "depth", "pk"
    )
    kept = {(a, d, n): pk for a, d, n, pk in kept_rows}
    surplus = [pk for key, pk in kept.items() if key not in wanted]
    missing = wanted - kept.keys()
    InstitutionClosure.objects.filter(pk__in=surplus).delete()
    InstitutionClosure.objects.bulk_create(
        [InstitutionClosure(ancestor_id=a, descendant_id=d, depth=n) for a, d, n in missing],
        batch_size=2000,
    )
    return len(surplus) + len(missing)


def follow_closure(institution_id: int, day: date) -> None:
    """Bring the closure of one subtree in line with the parents of a day."""
    parents = parents_on(day)
    below = InstitutionClosure.objects.filter(ancestor=institution_id)
    members = [*below.values_list("descendant_id", flat=True)] or [institution_id]
    wanted = closure_of(members, parents)
    InstitutionClosure.objects.filter(descendant__in=members).delete()
    InstitutionClosure.objects.bulk_create(
        [InstitutionClosure(ancestor_id=a, descendant_id=d, depth=n) for a, d, n in wanted]
    )

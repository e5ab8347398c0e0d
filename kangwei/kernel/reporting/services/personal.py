"""What a reader arranges for himself: favourites (收藏) and columns (列设置)."""

from __future__ import annotations

from collections.abc import Sequence

from kangwei.kernel.organisations.models import Account

from ..models import ColumnChoice, Favourite
from ..rules.declarations import Report


def set_favourite(*, report: Report, by: Account, wanted: bool) -> bool:
    """Keep a report at the top of the index, or let it go."""
    if wanted:
        Favourite.objects.get_or_create(account=by, report=report.code)
    else:
        Favourite.objects.filter(account=by, report=report.code).delete()
    return wanted


def is_favourite(report: Report, by: Account) -> bool:
    return Favourite.objects.filter(account=by, report=report.code).exists()


def choose_columns(*, report: Report, columns: Sequence[str], by: Account) -> list[str]:
    """Remember which columns this reader wants; choosing none goes back to the declared ones."""
    known = [column.key for column in report.columns]
    wanted = [key for key in columns if key in known]
    if wanted:
        ColumnChoice.objects.update_or_create(
            account=by, report=report.code, defaults={"columns": wanted}
        )
    else:
        ColumnChoice.objects.filter(account=by, report=report.code).delete()
    return wanted or known

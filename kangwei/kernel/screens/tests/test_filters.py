"""The kind of a column decides the control of the query bar."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from kangwei.kernel.screens import filters
from kangwei.kernel.screens.models import Preference


def test_the_control_follows_from_the_column() -> None:
    assert filters.condition_for(models.CharField()) is filters.TextCondition
    assert filters.condition_for(models.CharField(choices=[("a", "甲")])) is filters.ChoiceCondition
    assert filters.condition_for(models.BooleanField()) is filters.YesNoCondition
    assert filters.condition_for(models.DateField()) is filters.DateRangeCondition
    assert filters.condition_for(models.DateTimeField()) is filters.DateRangeCondition
    account = Preference._meta.get_field("account")
    assert filters.condition_for(account) is filters.RelatedCondition
    assert filters.condition_for(ArrayField(models.IntegerField())) is filters.ChoiceCondition

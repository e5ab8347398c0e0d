"""Start-up of evaluation (试算)."""

from django.apps import AppConfig


class EvaluationConfig(AppConfig):
    name = "kangwei.kernel.evaluation"
    label = "evaluation"
    verbose_name = "试算"

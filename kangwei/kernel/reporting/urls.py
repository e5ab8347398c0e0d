"""Addresses of reporting, under `/reporting/`."""

from django.urls import path

from .views import documents, reports, snapshots

urlpatterns = [
    path("", reports.index, name="index"),
    path("r/<str:code>/", reports.report, name="report"),
    path("r/<str:code>/details/", reports.details, name="drill"),
    path("r/<str:code>/export/", reports.export, name="export"),
    path("r/<str:code>/print/", reports.paper, name="print"),
    path("r/<str:code>/favourite/", reports.favourite, name="favourite"),
    path("r/<str:code>/columns/", reports.choose_columns, name="columns"),
    path("r/<str:code>/freeze/", snapshots.freeze_result, name="freeze"),
    path("r/<str:code>/subscribe/", snapshots.subscribe_report, name="subscribe"),
    path("runs/<int:number>/", reports.run, name="run"),
    path("runs/<int:number>/cancel/", reports.cancel_run, name="cancel_run"),
    path("snapshots/", snapshots.snapshots, name="snapshots"),
    path("snapshots/compare/", snapshots.compare, name="compare"),
    path("snapshots/<int:number>/", snapshots.snapshot, name="snapshot"),
    path("snapshots/<int:number>/export/", snapshots.export_snapshot, name="export_snapshot"),
    path("snapshots/<int:number>/print/", snapshots.print_snapshot, name="print_snapshot"),
    path("plans/", snapshots.plans, name="plans"),
    path("plans/offered/<str:code>/", snapshots.start_offered, name="start_offered_plan"),
    path("plans/<int:number>/stop/", snapshots.stop, name="stop_plan"),
    path("subscriptions/", snapshots.subscriptions, name="subscriptions"),
    path("subscriptions/<int:number>/cancel/", snapshots.unsubscribe, name="unsubscribe"),
    path("documents/", documents.documents, name="documents"),
    path("documents/new/", documents.generate, name="generate"),
    path("documents/<int:number>/", documents.document, name="document"),
    path("documents/<int:number>/write/", documents.write, name="write"),
    path("documents/<int:number>/refresh/", documents.refresh, name="refresh"),
    path("documents/<int:number>/seal/", documents.seal, name="seal"),
    path("documents/<int:number>/discard/", documents.discard, name="discard"),
    path("documents/<int:number>/correct/", documents.correct, name="correct"),
    path("documents/<int:number>/compare/", documents.compare, name="document_compare"),
    path("documents/<int:number>/print/", documents.paper, name="document_print"),
    path("documents/<int:number>/file/<str:form>/", documents.take, name="document_file"),
    path("templates/", documents.templates, name="templates"),
    path("templates/house/", documents.house, name="house_template"),
    path("templates/<int:number>/retire/", documents.retire, name="retire_template"),
]

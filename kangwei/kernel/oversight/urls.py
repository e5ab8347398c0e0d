"""Addresses of oversight, below /oversight/. No entry of the menu is the prefix of another."""

from django.urls import path

from kangwei.kernel.oversight import calendar_pages, key_pages, schedule_pages
from kangwei.kernel.oversight.views import journal, reviews

urlpatterns = [
    path("reviews/", reviews.campaigns, name="campaigns"),
    path("reviews/new/", reviews.open_campaign, name="campaign_new"),
    path("reviews/<int:pk>/", reviews.campaign, name="campaign"),
    path("reviews/<int:pk>/end/", reviews.end_campaign, name="campaign_end"),
    path("reviews/accounts/<int:account_id>/", reviews.history, name="history"),
    path("reviews/items/<int:pk>/", reviews.sheet, name="sheet"),
    path("reviews/items/<int:pk>/print/", reviews.print_sheet, name="print"),
    path("my-reviews/", reviews.mine, name="mine"),
    path("my-reviews/confirm/", reviews.confirm, name="confirm"),
    path("review-exceptions/", reviews.exceptions, name="exceptions"),
    path("review-overdue/", reviews.overdue, name="overdue"),
    path("journal/", journal.search, name="journal"),
    path("journal/export/", journal.export, name="journal_export"),
    path("journal/saved/", journal.save, name="journal_save"),
    path("journal/entries/<int:pk>/", journal.entry, name="entry"),
    path("integrity/", journal.integrity, name="integrity"),
    path("integrity/verify/", journal.verify_now, name="verify_now"),
    path("calendar/", calendar_pages.year, name="calendar"),
    path("calendar/load/", calendar_pages.load, name="calendar_load"),
    path("calendar/confirm/", calendar_pages.confirm, name="calendar_confirm"),
    path("calendar/override/", calendar_pages.override, name="calendar_override"),
    path("calendar/create/", calendar_pages.create, name="calendar_create"),
    path("keys/", key_pages.keys, name="keys"),
    path("keys/rotate/", key_pages.rotate, name="keys_rotate"),
    path("schedules/", schedule_pages.schedules, name="schedules"),
    path("schedules/<str:name>/", schedule_pages.schedule, name="schedule"),
    path("schedules/<str:name>/run-now/", schedule_pages.run_now, name="schedule_run_now"),
    path("schedules/<str:name>/pause/", schedule_pages.pause, name="schedule_pause"),
    path("schedules/<str:name>/resume/", schedule_pages.resume, name="schedule_resume"),
    path("runs/", schedule_pages.runs, name="runs"),
    path("runs/<int:pk>/cancel/", schedule_pages.cancel_run, name="cancel_run"),
]

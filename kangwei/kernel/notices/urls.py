"""Addresses of notices."""

from __future__ import annotations

from django.urls import path

from kangwei.kernel.notices.views import mine, setup, supervision

urlpatterns = [
    path("inbox/", mine.inbox, name="inbox"),
    path("bell/", mine.bell, name="bell"),
    path("inbox/read-all/", mine.read_all, name="read_all"),
    path("inbox/<uuid:pk>/", mine.message, name="message"),
    path("settings/", mine.settings, name="settings"),
    path("settings/preferences/", mine.preferences, name="preferences"),
    path("settings/quiet-hours/", mine.quiet_hours, name="quiet_hours"),
    path("addresses/new/", mine.add_address, name="add_address"),
    path("addresses/<int:pk>/code/", mine.ask_for_code, name="ask_for_code"),
    path("addresses/<int:pk>/confirm/", mine.confirm_address, name="confirm_address"),
    path("addresses/<int:pk>/remove/", mine.remove_address, name="remove_address"),
    path("addresses/<int:pk>/verify/", supervision.verify_by_hand, name="verify_by_hand"),
    path("channels/new/", setup.new_channel, name="new_channel"),
    path("channels/<int:pk>/", setup.channel, name="channel"),
    path("channels/<int:pk>/change/", setup.change_channel, name="change_channel"),
    path("channels/<int:pk>/test/", setup.test_channel, name="test_channel"),
    path("templates/", setup.templates, name="templates"),
    path("templates/<str:code>/", setup.template, name="template"),
    path("templates/<str:code>/change/", setup.change_template, name="change_template"),
    path("rosters/new/", setup.edit_roster, name="new_roster"),
    path("rosters/<int:pk>/", setup.roster, name="roster"),
    path("rosters/<int:pk>/change/", setup.edit_roster, name="change_roster"),
    path("rosters/<int:pk>/substitute/", setup.add_substitution, name="add_substitution"),
    path("substitutions/<int:pk>/cancel/", setup.cancel_substitution, name="cancel_substitution"),
    path("policies/new/", setup.edit_policy, name="new_policy"),
    path("policies/<int:pk>/", setup.policy, name="policy"),
    path("policies/<int:pk>/change/", setup.edit_policy, name="change_policy"),
    path("watch/", setup.watch, name="watch"),
    path("supervision/", supervision.supervision, name="supervision"),
    path("supervision/without-address/", supervision.without_address, name="without_address"),
    path("deliveries/<uuid:pk>/", supervision.delivery, name="delivery"),
    path("deliveries/<uuid:pk>/sending/", supervision.sending, name="sending"),
    path("deliveries/<uuid:pk>/resend/", supervision.resend, name="resend"),
    path("escalations/<int:pk>/", supervision.escalation, name="escalation"),
    path("escalations/<int:pk>/acknowledge/", supervision.acknowledge, name="acknowledge"),
    path("escalations/<int:pk>/stop/", supervision.stop, name="stop"),
]

"""Addresses of organisations; the sign-in page stands at the root."""

from __future__ import annotations

from django.urls import path

from kangwei.kernel.organisations.views import (
    accounts,
    imports,
    institutions,
    me,
    people,
    picking,
    roles,
    sign_in,
)

root_urlpatterns = [
    path("sign-in/", sign_in.page, name="sign-in"),
    path("sign-in/code/", sign_in.code, name="sign-in-code"),
    path("sign-out/", sign_in.leave, name="sign-out"),
    path("session/state", sign_in.state, name="session-state"),
]

urlpatterns = [
    path("me/", me.profile, name="me"),
    path("pick/<str:what>/", picking.pick, name="pick"),
    path("pick/<str:what>/hits/", picking.hits, name="pick_hits"),
    path("me/password/", me.password, name="password"),
    path("me/second-factor/", me.factor, name="second_factor"),
    path("me/sessions/", me.sessions, name="my_sessions"),
    path("me/sessions/<int:pk>/end/", me.end_session, name="end_session"),
    path("me/grants/", me.grants, name="my_grants"),
    path("me/grants/<int:pk>/lend/", me.lend, name="lend"),
    path("me/loans/<int:pk>/take-back/", me.take_back, name="take_back"),
    path("me/keys/", me.my_keys, name="my_keys"),
    path("me/keys/new/", me.create_key, name="create_key"),
    path("me/keys/<int:pk>/rotate/", me.rotate_key, name="rotate_key"),
    path("me/keys/<int:pk>/revoke/", me.revoke_key, name="revoke_key"),
    path("me/signature/", me.signature, name="signature"),
    path("me/signature/image/", me.signature_image, name="signature_image"),
    path("regions/", institutions.regions, name="regions"),
    path("regions/new/", institutions.add_region, name="add_region"),
    path("regions/<str:code>/merge/", institutions.merge_region, name="merge_region"),
    path("institutions/new/", institutions.create, name="create_institution"),
    path("institutions/<int:pk>/", institutions.institution, name="institution"),
    path("institutions/<int:pk>/change/", institutions.change, name="change_institution"),
    path("institutions/<int:pk>/identifiers/", institutions.identify, name="identify_institution"),
    path("institutions/<int:pk>/move/", institutions.move, name="move_institution"),
    path("institutions/<int:pk>/close/", institutions.close, name="close_institution"),
    path("institutions/<int:pk>/reopen/", institutions.reopen, name="reopen_institution"),
    path("institutions/<int:pk>/merge/", institutions.merge, name="merge_institution"),
    path(
        "institutions/<int:pk>/departments/new/", institutions.add_department, name="add_department"
    ),
    path("departments/<int:pk>/change/", institutions.change_department, name="change_department"),
    path("departments/<int:pk>/close/", institutions.close_department, name="close_department"),
    path("institutions/<int:institution_id>/staff/new/", people.create, name="create_staff"),
    path("staff/<int:pk>/", people.person, name="staff"),
    path("staff/<int:pk>/change/", people.change, name="change_staff"),
    path("staff/<int:pk>/transfer/", people.transfer, name="transfer_staff"),
    path("staff/<int:pk>/leave/", people.leave, name="leave_staff"),
    path("staff/<int:pk>/unmask/", people.unmask, name="unmask_staff"),
    path("staff/<int:pk>/qualifications/new/", people.add_qualification, name="add_qualification"),
    path(
        "qualifications/<int:pk>/remove/", people.remove_qualification, name="remove_qualification"
    ),
    path("accounts/new/", accounts.create, name="create_account"),
    path("accounts/<int:pk>/", accounts.account, name="account"),
    path("accounts/<int:pk>/change/", accounts.change, name="change_account"),
    path("accounts/<int:pk>/disable/", accounts.disable, name="disable_account"),
    path("accounts/<int:pk>/enable/", accounts.enable, name="enable_account"),
    path("accounts/<int:pk>/unlock/", accounts.unlock, name="unlock_account"),
    path("accounts/<int:pk>/reset-password/", accounts.reset_password, name="reset_password"),
    path("accounts/<int:pk>/reset-factor/", accounts.reset_factor, name="reset_second_factor"),
    path("accounts/<int:pk>/sign-out/", accounts.sign_out, name="sign_out_account"),
    path("accounts/<int:pk>/grants/new/", accounts.grant, name="grant_role"),
    path("grants/<int:pk>/revoke/", accounts.revoke, name="revoke_grant"),
    path("roles/new/", roles.create, name="create_role"),
    path("roles/<int:pk>/", roles.role, name="role"),
    path("roles/<int:pk>/change/", roles.change, name="change_role"),
    path("roles/<int:pk>/retire/", roles.retire, name="retire_role"),
    path("security-policy/", roles.policy, name="policy"),
    path("imports/<str:kind>/", imports.start, name="imports"),
    path("imports/<str:kind>/template/", imports.template, name="import_template"),
    path("imports/batch/<int:pk>/", imports.preview, name="import_batch"),
    path("imports/batch/<int:pk>/confirm/", imports.confirm, name="confirm_import"),
    path("imports/batch/<int:pk>/progress/", imports.progress, name="import_progress"),
    path("imports/batch/<int:pk>/discard/", imports.discard, name="discard_import"),
    path("imports/batch/<int:pk>/passwords/", imports.passwords, name="import_passwords"),
    path("imports/batch/<int:pk>/bad-rows/", imports.bad_rows, name="import_bad_rows"),
]

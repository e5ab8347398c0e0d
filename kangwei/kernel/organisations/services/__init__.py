"""The door through which others act on organisations (机构人员)."""

from kangwei.kernel.organisations.builtin import register_role_rights
from kangwei.kernel.organisations.services.access import (
    change_role,
    create_role,
    delegate_role,
    grant_role,
    retire_role,
    revoke_grant,
)
from kangwei.kernel.organisations.services.accounts import (
    NewAccount,
    change_account,
    create_account,
    disable_account,
    enable_account,
    reset_password,
    reset_second_factor,
    set_signature,
    suspend_account,
    unlock_account,
)
from kangwei.kernel.organisations.services.institutions import (
    change_department,
    change_institution,
    close_department,
    close_institution,
    create_department,
    create_institution,
    merge_institutions,
    move_institution,
    rebuild_closure,
    reopen_institution,
    set_identifier,
)
from kangwei.kernel.organisations.services.passwords import change_own_password
from kangwei.kernel.organisations.services.people import (
    add_qualification,
    change_staff,
    create_staff,
    leave_staff,
    remove_qualification,
    transfer_staff,
    unmask_staff,
)
from kangwei.kernel.organisations.services.policy import change_policy
from kangwei.kernel.organisations.services.regions import (
    add_region,
    import_regions,
    merge_regions,
    rename_region,
)
from kangwei.kernel.organisations.services.second_factor import (
    accept_code,
    begin_enrolment,
    confirm_enrolment,
    remove_second_factor,
    renew_recovery_codes,
)
from kangwei.kernel.organisations.services.sessions import sign_out_everywhere, sign_out_session
from kangwei.kernel.organisations.services.setup import set_up

__all__ = [
    "NewAccount",
    "accept_code",
    "add_qualification",
    "add_region",
    "begin_enrolment",
    "change_account",
    "change_department",
    "change_institution",
    "change_own_password",
    "change_policy",
    "change_role",
    "change_staff",
    "close_department",
    "close_institution",
    "confirm_enrolment",
    "create_account",
    "create_department",
    "create_institution",
    "create_role",
    "create_staff",
    "delegate_role",
    "disable_account",
    "enable_account",
    "grant_role",
    "import_regions",
    "leave_staff",
    "merge_institutions",
    "merge_regions",
    "move_institution",
    "rebuild_closure",
    "register_role_rights",
    "remove_qualification",
    "remove_second_factor",
    "rename_region",
    "renew_recovery_codes",
    "reopen_institution",
    "reset_password",
    "reset_second_factor",
    "retire_role",
    "revoke_grant",
    "set_identifier",
    "set_signature",
    "set_up",
    "sign_out_everywhere",
    "sign_out_session",
    "suspend_account",
    "transfer_staff",
    "unlock_account",
    "unmask_staff",
]

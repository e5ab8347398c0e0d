"""Tables of organisations (机构人员), in the order in which they explain each other."""

from kangwei.kernel.organisations.models.access import Duty, Grant, Role, ScopeKind
from kangwei.kernel.organisations.models.accounts import (
    Account,
    AccountState,
    PastPassword,
    RecoveryCode,
    SecondFactor,
)
from kangwei.kernel.organisations.models.imports import ImportBatch, ImportKind, ImportRow
from kangwei.kernel.organisations.models.institutions import (
    Department,
    Institution,
    InstitutionClosure,
    InstitutionIdentifier,
    InstitutionKind,
    InstitutionParent,
)
from kangwei.kernel.organisations.models.people import Employment, Qualification, Sex, Staff
from kangwei.kernel.organisations.models.regions import Region, RegionLevel
from kangwei.kernel.organisations.models.scope import Scope, ScopedQuerySet
from kangwei.kernel.organisations.models.sign_in import (
    AccountSession,
    SecurityPolicy,
    SessionEnd,
    SignInEvent,
    SignInKind,
)

__all__ = [
    "Account",
    "AccountSession",
    "AccountState",
    "Department",
    "Duty",
    "Employment",
    "Grant",
    "ImportBatch",
    "ImportKind",
    "ImportRow",
    "Institution",
    "InstitutionClosure",
    "InstitutionIdentifier",
    "InstitutionKind",
    "InstitutionParent",
    "PastPassword",
    "Qualification",
    "RecoveryCode",
    "Region",
    "RegionLevel",
    "Role",
    "Scope",
    "ScopeKind",
    "ScopedQuerySet",
    "SecondFactor",
    "SecurityPolicy",
    "SessionEnd",
    "Sex",
    "SignInEvent",
    "SignInKind",
    "Staff",
]

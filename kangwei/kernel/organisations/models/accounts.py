"""Accounts (账号): sign-ins of people, what they may do, and what proves who they are."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models import Q

from kangwei.kernel import clock
from kangwei.kernel.crypto.fields import EncryptedTextField
from kangwei.kernel.organisations.models.institutions import Institution
from kangwei.kernel.organisations.models.people import Staff
from kangwei.kernel.organisations.models.scope import Scope, ScopedQuerySet

if TYPE_CHECKING:
    from kangwei.kernel.organisations.models.access import Access


class AccountState(models.TextChoices):
    ACTIVE = "active", "正常"
    DISABLED = "disabled", "停用"
    SUSPENDED = "suspended", "暂停（未年审）"


class AccountQuerySet(ScopedQuerySet["Account"]):
    view_right = "organisations.view_account"

    def active(self, at: datetime) -> Self:
        """Accounts that may be used at this moment."""
        return self.filter(
            Q(valid_until=None) | Q(valid_until__gt=clock.local_day(at)), state=AccountState.ACTIVE
        )


class AccountManager(BaseUserManager["Account"]):
    def get_queryset(self) -> AccountQuerySet:
        return AccountQuerySet(self.model, using=self._db)

    def visible_to(self, user: Any) -> AccountQuerySet:
        return self.get_queryset().visible_to(user)

    def reached_by(self, user: Any, right: str) -> AccountQuerySet:
        return self.get_queryset().reached_by(user, right)

    def active(self, at: datetime) -> AccountQuerySet:
        return self.get_queryset().active(at)

    def get_by_natural_key(self, username: str | None) -> Account:
        return self.get(username=(username or "").strip().lower())


class Account(AbstractBaseUser):
    """A sign-in; belongs to one institution, usually to one staff member.

    There is no superuser: what an account may do is what its grants in force say.
    """

    #: Kept in lower case: nobody remembers how he spelt his own name.
    username = models.CharField(
        "用户名",
        max_length=40,
        unique=True,
        error_messages={"unique": "用户名已被使用。"},
    )
    name = models.CharField("姓名", max_length=40)
    pinyin = models.CharField("拼音码", max_length=40, blank=True, db_index=True)
    institution = models.ForeignKey(
        Institution, models.PROTECT, related_name="accounts", verbose_name="所属机构"
    )
    staff = models.ForeignKey(
        Staff,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="accounts",
        verbose_name="业务人员",
    )
    state = models.CharField(
        "状态", max_length=10, choices=AccountState.choices, default=AccountState.ACTIVE
    )
    state_reason = models.CharField("状态原因", max_length=200, blank=True)
    valid_until = models.DateField("有效期至", null=True, blank=True)
    must_change_password = models.BooleanField("下次登录须改密", default=True)
    password_changed_at = models.DateTimeField("密码修改时间", null=True, blank=True)
    signature = models.BinaryField("手写签名图片", null=True, blank=True)
    created_at = models.DateTimeField("创建时间")
    created_by = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="+", verbose_name="创建人"
    )

    objects: ClassVar[AccountManager] = AccountManager()

    #: The rights of the key this request came with; None for the person himself.
    _held_to: frozenset[str] | None = None

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]

    class Meta:
        verbose_name = "账号"
        verbose_name_plural = "账号"
        default_permissions = ("view",)
        ordering = ("username",)
        permissions = [
            ("manage_account", "维护账号"),
            ("reset_password", "重置密码、解除锁定"),
            ("reset_second_factor", "重置第二因素"),
            ("sign_out_account", "强制下线"),
            ("import_account", "批量导入账号"),
        ]
        constraints = [
            models.CheckConstraint(
                name="organisations_username_form",
                condition=Q(username__regex=r"^[a-z0-9][a-z0-9._@-]{1,39}$"),
                violation_error_message="用户名由小写字母、数字和 . _ @ - 组成，2 至 40 位。",
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.username

    def journal_label(self) -> str:
        """How the journal names the person; it keeps the words even if they change later."""
        return f"{self.name}（{self.username}）"

    def journal_roles(self) -> str:
        return "、".join(sorted({grant.role_name for grant in self.access.grants}))

    def get_full_name(self) -> str:
        return self.name

    def get_short_name(self) -> str:
        return self.name

    @property
    def is_active(self) -> bool:  # type: ignore[override]  # a column in Django, a state here
        return self.state == AccountState.ACTIVE

    def is_usable(self, at: datetime) -> bool:
        """Active, not past its last day, and its institution still open."""
        today = clock.local_day(at)
        expired = self.valid_until is not None and self.valid_until <= today
        return self.is_active and not expired and self.institution.is_open(today)

    @property
    def is_staff(self) -> bool:
        """Django's word for "may open the back office": everybody may, rights decide the rest."""
        return self.is_active

    @property
    def is_superuser(self) -> bool:
        """等保三级 wants three separate administrators; nobody is above the rights."""
        return False

    # What this account may do. Rights are read once per request: the instance lives as long.

    @property
    def access(self) -> Access:
        """Grants in force now, loaded on first use. This is the edge Django asks at, so it
        reads the clock; services that must judge another moment use `queries.access_of`."""
        if not hasattr(self, "_access"):
            from kangwei.kernel.organisations.models.access import Access

            access = Access.load(self, clock.now())
            held = self._held_to
            self._access = access if held is None else access.held_to(held)
        return self._access

    def hold_to(self, rights: Iterable[str]) -> None:
        """From here on this instance may do no more than these: a key's request (密钥权限范围)."""
        self._held_to = frozenset(rights)
        self.forget_access()

    def forget_access(self) -> None:
        """Read the rights again at the next question (after a grant changed in this request)."""
        if hasattr(self, "_access"):
            del self._access

    def has_perm(self, perm: str, obj: object = None) -> bool:
        """May this account use this right anywhere? With an object: on its institution?"""
        if not self.is_active or perm not in self.access.rights:
            return False
        if obj is None:
            return True
        institution_id = obj.pk if isinstance(obj, Institution) else _institution_of(obj)
        return institution_id is None or self.scope(perm).includes(institution_id)

    def has_perms(self, perm_list: Iterable[str], obj: object = None) -> bool:
        return all(self.has_perm(perm, obj) for perm in perm_list)

    def has_module_perms(self, app_label: str) -> bool:
        prefix = f"{app_label}."
        return self.is_active and any(right.startswith(prefix) for right in self.access.rights)

    def get_all_permissions(self, obj: object = None) -> set[str]:
        return set(self.access.rights) if self.is_active else set()

    def scope(self, right: str) -> Scope:
        """The institutions on which this account may use the right (数据范围)."""
        return self.access.scope(right) if self.is_active else Scope()

    @property
    def masking_level(self) -> int:
        """How much of personal data the screen shows at most: 0 nothing, 1 partly, 2 in full."""
        return self.access.masking_level

    def masking_level_for(self, row: object) -> int:
        """How much of this row's personal data the screen shows, by where it belongs."""
        return self.access.masking_level_at(_institution_of(row))

    @property
    def second_factor_required(self) -> bool:
        return self.access.second_factor_required


def _institution_of(row: object) -> int | None:
    found = getattr(row, "institution_id", None)
    return found if isinstance(found, int) else None


class PastPassword(models.Model):
    """A password used before, hashed, so that it is not used again soon."""

    account = models.ForeignKey(
        Account, models.CASCADE, related_name="past_passwords", verbose_name="账号"
    )
    encoded = models.CharField("密码摘要", max_length=128)
    set_at = models.DateTimeField("设置时间")

    class Meta:
        verbose_name = "历史密码"
        verbose_name_plural = "历史密码"
        default_permissions = ()
        ordering = ("account", "-set_at")

    def __str__(self) -> str:
        return f"{self.account_id} {clock.local_day(self.set_at)}"


class SecondFactor(models.Model):
    """The shared secret of an account's authenticator (动态口令), confirmed by a first code."""

    account = models.OneToOneField(
        Account, models.CASCADE, related_name="second_factor", verbose_name="账号"
    )
    secret = EncryptedTextField("密钥")
    created_at = models.DateTimeField("创建时间")
    confirmed_at = models.DateTimeField("启用时间", null=True, blank=True)
    #: The time step of the last accepted code: the same or an older code is a replay.
    last_step = models.BigIntegerField("最近使用的时间步", default=0)

    class Meta:
        verbose_name = "第二因素"
        verbose_name_plural = "第二因素"
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.account_id)


class RecoveryCode(models.Model):
    """A one-use code for the day the phone is lost; only its digest is kept."""

    account = models.ForeignKey(
        Account, models.CASCADE, related_name="recovery_codes", verbose_name="账号"
    )
    digest = models.CharField("摘要", max_length=64)
    used_at = models.DateTimeField("使用时间", null=True, blank=True)

    class Meta:
        verbose_name = "恢复码"
        verbose_name_plural = "恢复码"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=("account", "digest"), name="organisations_recovery_code_once"
            ),
        ]

    def __str__(self) -> str:
        return str(self.account_id)

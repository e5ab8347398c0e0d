"""One's own account over the API (本人): password, second factor, signature, keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth import update_session_auth_hash
from django.http import HttpResponse
from ninja import File, Schema
from ninja.files import UploadedFile
from pydantic import Field

from kangwei.kernel.api import services as keys
from kangwei.kernel.api.models import ApiKey
from kangwei.kernel.api.registry import ApiRequest, KwRouter
from kangwei.kernel.organisations import services
from kangwei.kernel.organisations.models import AccountSession, RecoveryCode
from kangwei.kernel.organisations.queries import one
from kangwei.kernel.organisations.rules import totp
from kangwei.kernel.organisations.services import accounts, second_factor, sessions
from kangwei.kernel.refusals import NotFound, NotPermitted

router = KwRouter(tag="本人")
USE_KEYS = "api.use_api_keys"


def _in_person(request: ApiRequest) -> AccountSession:
    """Who proves who he is does so himself: a key, however wide, may not change what guards it."""
    session: AccountSession | None = getattr(request, "account_session", None)
    if request.api_key is not None or session is None:
        raise NotPermitted("密码、第二因素和手写签名只能由本人登录后修改，不能用接口密钥。")
    return session


# Password (密码)


class PasswordIn(Schema):
    old: str = Field(min_length=1, max_length=128, description="原密码")
    new: str = Field(min_length=1, max_length=128, description="新密码")


@router.act("/password", right=None, summary="修改自己的密码")
def change_password(request: ApiRequest, content: PasswordIn) -> None:
    """须符合密码策略；其他地方的登录随即退出，本次登录继续有效。"""
    session = _in_person(request)
    services.change_own_password(
        account=request.user, old=content.old, new=content.new, at=request.at,
        keep_session=request.session.session_key or "",
    )  # fmt: skip
    request.user.refresh_from_db()
    update_session_auth_hash(request, request.user)
    sessions.follow_key(session, request.session.session_key or "")


# Second factor (第二因素)


class FactorOut(Schema):
    enrolled: bool = Field(description="是否已启用")
    required: bool = Field(description="角色是否必须使用")
    codes_left: int = Field(description="剩余恢复码")


class SecretOut(Schema):
    secret: str = Field(description="密钥，Base32")
    uri: str = Field(description="otpauth 地址，可生成二维码")


class SecondFactorCodeIn(Schema):
    code: str = Field(min_length=1, max_length=20, description="6 位动态口令")


class CodesOut(Schema):
    recovery_codes: list[str] = Field(description="恢复码，只返回这一次")


@router.get("/second-factor", right=None, response=FactorOut, summary="第二因素状态")
def factor(request: ApiRequest) -> Any:
    unused = RecoveryCode.objects.filter(account=request.user, used_at=None)
    return {
        "enrolled": second_factor.is_enrolled(request.user),
        "required": request.user.second_factor_required,
        "codes_left": unused.count(),
    }


@router.act("/second-factor/begin", right=None, response=SecretOut, summary="开始设置第二因素")
def begin_factor(request: ApiRequest) -> Any:
    """确认之前重复调用，得到同一个密钥。"""
    _in_person(request)
    secret = services.begin_enrolment(account=request.user, at=request.at)
    uri = totp.provisioning_uri(
        totp.from_base32(secret), account=request.user.username, issuer=totp.ISSUER
    )
    return {"secret": secret, "uri": uri}


@router.act("/second-factor/confirm", right=None, response=CodesOut, summary="启用第二因素")
def confirm_factor(request: ApiRequest, content: SecondFactorCodeIn) -> Any:
    session = _in_person(request)
    codes = services.confirm_enrolment(account=request.user, code=content.code, at=request.at)
    sessions.note_second_factor(session)
    return {"recovery_codes": codes}


@router.act(
    "/second-factor/recovery-codes", right=None, response=CodesOut, summary="重新生成恢复码"
)
def renew_codes(request: ApiRequest, content: SecondFactorCodeIn) -> Any:
    session = _in_person(request)
    codes = services.renew_recovery_codes(account=request.user, code=content.code, at=request.at)
    sessions.note_second_factor(session)
    return {"recovery_codes": codes}


@router.act("/second-factor/remove", right=None, summary="停用第二因素")
def remove_factor(request: ApiRequest, content: SecondFactorCodeIn) -> None:
    _in_person(request)
    services.remove_second_factor(account=request.user, code=content.code, at=request.at)


# Signature (手写签名)


@router.get("/signature", right=None, summary="我的手写签名（PNG）")
def signature(request: ApiRequest) -> Any:
    if not request.user.signature:
        raise NotFound("您还没有上传手写签名。")
    return HttpResponse(bytes(request.user.signature), content_type="image/png")


@router.act("/signature", right=None, summary="上传手写签名")
def set_signature(request: ApiRequest, file: File[UploadedFile]) -> None:
    """PNG 图片，不超过 200 KB。"""
    _in_person(request)
    services.set_signature(
        account=request.user, image=file.read(accounts.SIGNATURE_LIMIT + 1), at=request.at
    )


@router.act("/signature/remove", right=None, summary="删除手写签名")
def remove_signature(request: ApiRequest) -> None:
    _in_person(request)
    services.set_signature(account=request.user, image=None, at=request.at)


# Keys (接口密钥)


class ApiKeyOut(Schema):
    id: int
    name: str
    prefix: str
    scopes: list[str]
    addresses: list[str]
    calls_per_minute: int
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


class KeyIn(Schema):
    name: str = Field(min_length=1, max_length=60, description="用途")
    scopes: list[str] = Field(min_length=1, max_length=200, description="权限，不超出自己的权限")
    expires_at: datetime = Field(description="到期时间，一年之内")
    addresses: list[str] = Field(default_factory=list, max_length=50, description="允许的网段")
    calls_per_minute: int = Field(600, ge=1, le=60_000)


class RotateIn(Schema):
    expires_at: datetime = Field(description="新密钥的到期时间，一年之内")


class RevokeIn(Schema):
    reason: str = Field(min_length=1, max_length=200, description="原因")


class FreshKeyOut(Schema):
    key: ApiKeyOut
    text: str = Field(description="密钥全文，只返回这一次")


@router.get("/keys", right=None, rows=ApiKey, response=list[ApiKeyOut], summary="我的接口密钥")
def my_keys(request: ApiRequest) -> Any:
    return list(ApiKey.objects.filter(account=request.user).order_by("revoked_at", "-created_at"))


def _key(request: ApiRequest, key_id: int) -> ApiKey:
    return one(ApiKey.objects.filter(account=request.user), key_id)


@router.act("/keys", right=USE_KEYS, response=FreshKeyOut, summary="新建接口密钥")
def create_key(request: ApiRequest, content: KeyIn) -> Any:
    return keys.create_key(account=request.user, **content.dict(), by=request.user, at=request.at)


@router.act(
    "/keys/{key_id}/rotate", right=USE_KEYS, rows=ApiKey, response=FreshKeyOut, summary="轮换密钥"
)
def rotate_key(request: ApiRequest, key_id: int, content: RotateIn) -> Any:
    """旧密钥还能使用 7 天。"""
    return keys.rotate_key(
        key=_key(request, key_id), expires_at=content.expires_at, by=request.user, at=request.at
    )


@router.act(
    "/keys/{key_id}/revoke", right=None, rows=ApiKey, response=ApiKeyOut, summary="作废密钥"
)
def revoke_key(request: ApiRequest, key_id: int, content: RevokeIn) -> Any:
    return keys.revoke_key(
        key=_key(request, key_id), reason=content.reason, by=request.user, at=request.at
    )

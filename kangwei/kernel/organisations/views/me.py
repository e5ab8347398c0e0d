"""One's own pages (个人中心): profile, password, second factor, sessions, loans, keys."""

from __future__ import annotations

import io
from datetime import datetime, time
from typing import Any

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from kangwei.kernel import clock
from kangwei.kernel.api import services as keys
from kangwei.kernel.api.models import ApiKey
from kangwei.kernel.crypto import masking
from kangwei.kernel.organisations import queries, services
from kangwei.kernel.organisations.forms import (
    CodeForm,
    KeyForm,
    LoanForm,
    NoteForm,
    PasswordForm,
    ReasonForm,
    SignatureForm,
)
from kangwei.kernel.organisations.middleware import detour_of, find
from kangwei.kernel.organisations.models import (
    Account,
    AccountSession,
    Grant,
    RecoveryCode,
    SignInEvent,
)
from kangwei.kernel.organisations.rules import totp
from kangwei.kernel.organisations.services import second_factor
from kangwei.kernel.organisations.services import sessions as sessions_acts
from kangwei.kernel.organisations.services.access import LoanNotLendable
from kangwei.kernel.organisations.services.passwords import policy
from kangwei.kernel.organisations.views.acting import act, me, one
from kangwei.kernel.refusals import NotFound
from kangwei.kernel.screens.pages import page, work_page


def _tabs(here: str) -> list[tuple[str, str, bool]]:
    entries = [
        ("概况", "me"),
        ("登录会话", "my_sessions"),
        ("授权与临时授权", "my_grants"),
        ("接口密钥", "my_keys"),
    ]
    return [(title, reverse(f"organisations:{view}"), view == here) for title, view in entries]


@work_page()
def profile(request: HttpRequest) -> HttpResponse:
    account, at = me(request), clock.now()
    level = account.masking_level
    staff = account.staff
    pairs: list[tuple[str, Any]] = [
        ("用户名", account.username),
        ("姓名", account.name),
        ("所属机构", account.institution.name),
        ("科室", staff.department if staff else ""),
        ("职务", staff.position if staff else ""),
        ("手机号", masking.mask_phone(str(staff.phone), level) if staff and staff.phone else ""),
        ("账号有效期", account.valid_until or "长期"),
        ("密码修改时间", account.password_changed_at),
        ("第二因素", "已启用" if second_factor.is_enrolled(account) else "未启用"),
        ("脱敏级别", ["全部隐藏", "部分显示", "完整显示"][account.masking_level]),
    ]
    return page(
        request,
        "organisations/me.html",
        {
            "tabs_shown": _tabs("me"),
            "pairs": pairs,
            "account": account,
            "enrolled": second_factor.is_enrolled(account),
            "codes_left": RecoveryCode.objects.filter(account=account, used_at=None).count(),
            "qualifications": staff.qualifications.all() if staff else [],
            "events": SignInEvent.objects.filter(account=account).order_by("-at", "-pk")[:10],
            "today": clock.local_day(at),
        },
        title="个人中心",
    )


@sensitive_post_parameters("old", "new", "again")
@work_page()
def password(request: HttpRequest) -> HttpResponse:
    account, at = me(request), clock.now()
    rule = policy()

    def change(given: dict[str, Any]) -> str:
        services.change_own_password(
            account=account,
            old=given["old"],
            new=given["new"],
            at=at,
            keep_session=request.session.session_key or "",
        )
        account.refresh_from_db()
        update_session_auth_hash(request, account)
        session: AccountSession = request.account_session  # type: ignore[attr-defined]
        sessions_acts.follow_key(session, request.session.session_key or "")
        return "密码已修改，其他地方的登录已退出。"

    intro = (
        f"至少 {rule.password_min_length} 位，包含大写字母、小写字母、数字、符号中的三类；"
        f"不能与最近 {rule.password_history} 次相同，{rule.password_max_age_days} 天内有效。"
    )
    if account.must_change_password:
        intro = f"这是一次性密码或管理员重置的密码，请先设置自己的密码。{intro}"
    return act(
        request,
        PasswordForm(request.POST or None),
        title="修改密码",
        do=change,
        back=_onward(request),
        intro=intro,
        submit="修改密码",
    )


def _onward(request: HttpRequest) -> str:
    """Home, unless something else must be done first or was not forced at all."""
    session = find(request.session.session_key or "")
    forced = session is not None and detour_of(session, clock.now()) is not None
    return "/" if forced else reverse("organisations:me")


@work_page()
def factor(request: HttpRequest) -> HttpResponse:
    """Set up, renew or remove the second factor."""
    account, at = me(request), clock.now()
    if second_factor.is_enrolled(account):
        return _enrolled(request, account, at)
    secret = services.begin_enrolment(account=account, at=at)
    uri = totp.provisioning_uri(
        totp.from_base32(secret), account=account.username, issuer=totp.ISSUER
    )

    def confirm(given: dict[str, Any]) -> HttpResponse:
        codes = services.confirm_enrolment(account=account, code=given["code"], at=at)
        _proven(request)
        return _codes_page(request, codes)

    return act(
        request,
        CodeForm(request.POST or None),
        title="设置第二因素",
        do=confirm,
        back=reverse("organisations:me"),
        submit="启用",
        template="organisations/factor.html",
        picture=_picture(uri),
        secret=" ".join(secret[i : i + 4] for i in range(0, len(secret), 4)),
        required=account.second_factor_required,
    )


def _enrolled(request: HttpRequest, account: Account, at: datetime) -> HttpResponse:
    session: AccountSession = request.account_session  # type: ignore[attr-defined]

    def use(given: dict[str, Any]) -> HttpResponse | str:
        what = request.POST.get("what", "")
        if what == "renew":
            codes = services.renew_recovery_codes(account=account, code=given["code"], at=at)
            _proven(request)
            return _codes_page(request, codes)
        if what == "remove":
            services.remove_second_factor(account=account, code=given["code"], at=at)
            return "第二因素已停用。"
        if not services.accept_code(account=account, code=given["code"], at=at):
            raise second_factor.CodeWrong("动态口令不正确或已使用，请等待下一个。", field="code")
        _proven(request)
        return "第二因素验证通过。"

    return act(
        request,
        CodeForm(request.POST or None),
        title="第二因素",
        do=use,
        back=_onward(request) if not session.second_factor else reverse("organisations:me"),
        submit="验证",
        template="organisations/factor_enrolled.html",
        required=account.second_factor_required,
        proven=session.second_factor,
        codes_left=RecoveryCode.objects.filter(account=account, used_at=None).count(),
    )


def _proven(request: HttpRequest) -> None:
    sessions_acts.note_second_factor(request.account_session)  # type: ignore[attr-defined]


def _picture(uri: str) -> Any:
    import segno

    out = io.BytesIO()
    segno.make(uri, error="m").save(out, kind="svg", xmldecl=False, svgns=True, border=2, scale=4)
    return mark_safe(out.getvalue().decode())  # noqa: S308  # drawn by us from our own text


def _codes_page(request: HttpRequest, codes: list[str]) -> HttpResponse:
    return page(
        request,
        "organisations/shown_once.html",
        {
            "warning": "恢复码只显示这一次，请抄写或打印后妥善保管。",
            "heading": "恢复码",
            "text": "手机不在身边时，可以用一个恢复码代替动态口令登录，每个只能使用一次。",
            "lines": codes,
            "back": "/",
        },
        title="第二因素已启用",
    )


@work_page()
def sessions(request: HttpRequest) -> HttpResponse:
    account = me(request)
    return page(
        request,
        "organisations/my_sessions.html",
        {
            "tabs_shown": _tabs("my_sessions"),
            "sessions": queries.open_sessions(account),
            "current": request.account_session,  # type: ignore[attr-defined]
            "events": SignInEvent.objects.filter(account=account).order_by("-at", "-pk")[:50],
        },
        title="登录会话",
    )


@require_POST
@work_page()
def end_session(request: HttpRequest, pk: int) -> HttpResponse:
    account = me(request)
    session = one(queries.open_sessions(account), pk)
    services.sign_out_session(session=session, by=account, at=clock.now())
    messages.success(request, "该会话已退出。")
    return HttpResponseRedirect(reverse("organisations:my_sessions"))


@work_page()
def grants(request: HttpRequest) -> HttpResponse:
    account, at = me(request), clock.now()
    in_force = (
        Grant.objects.in_force(at)
        .filter(account=account)
        .select_related("role", "granted_by", "lent_from__account")
        .prefetch_related("institutions", "regions")
    )
    lent = (
        Grant.objects.filter(lent_from__account=account, revoked_at=None, valid_until__gt=at)
        .select_related("role", "account")
        .prefetch_related("institutions", "regions")
    )
    return page(
        request,
        "organisations/my_grants.html",
        {
            "tabs_shown": _tabs("my_grants"),
            "grants": in_force,
            "lent": lent,
            "may_lend": account.has_perm("organisations.delegate_role"),
        },
        title="授权与临时授权",
    )


@work_page(right="organisations.delegate_role")
def lend(request: HttpRequest, pk: int) -> HttpResponse:
    account, at = me(request), clock.now()
    grant = one(Grant.objects.in_force(at).filter(account=account), pk)

    def do(given: dict[str, Any]) -> str:
        # Colleagues of one's own institution, and whoever else one may see, can be lent to.
        username = given["to"].strip().lower()
        to = (
            Account.objects.filter(username=username, institution=account.institution).first()
            or Account.objects.visible_to(account).filter(username=username).first()
        )
        if to is None:
            raise LoanNotLendable("没有这个用户名，或不在您能看到的范围内。", field="to")
        loan = services.delegate_role(
            grant=grant, to=to, by=account, at=at, until=given["until"], reason=given["reason"],
            institutions=given["institutions"], regions=given["regions"],
        )  # fmt: skip
        return f"已将“{loan.role}”临时授权给 {to.name}，到期自动收回。"

    return act(
        request,
        LoanForm(request.POST or None, user=account),
        title=f"借出授权：{grant.role}",
        do=do,
        back=reverse("organisations:my_grants"),
        intro="借出的授权不超出您自己的范围，到期自动失效；您的授权收回或账号停用时同时失效，不能再次借出。",
        submit="借出",
    )


@work_page()
def take_back(request: HttpRequest, pk: int) -> HttpResponse:
    account, at = me(request), clock.now()
    loan = one(Grant.objects.filter(lent_from__account=account, revoked_at=None), pk)

    def do(given: dict[str, Any]) -> str:
        services.revoke_grant(grant=loan, by=account, at=at, reason=given["reason"])
        return f"已收回借给 {loan.account.name} 的“{loan.role}”。"

    return act(
        request,
        ReasonForm(request.POST or None),
        title=f"收回临时授权：{loan.role}",
        do=do,
        back=reverse("organisations:my_grants"),
        submit="收回",
        danger=True,
    )


@work_page()
def my_keys(request: HttpRequest) -> HttpResponse:
    account, at = me(request), clock.now()
    return page(
        request,
        "organisations/my_keys.html",
        {
            "tabs_shown": _tabs("my_keys"),
            "keys": ApiKey.objects.filter(account=account).order_by("revoked_at", "-created_at"),
            "titles": queries.right_titles(),
            "may_use": account.has_perm("api.use_api_keys"),
            "now": at,
        },
        title="接口密钥",
    )


def _key_form(request: HttpRequest, account: Account) -> KeyForm:
    titles = queries.right_titles()
    rights = [(right, titles.get(right, right)) for right in sorted(account.access.rights)]
    return KeyForm(request.POST or None, rights=rights)


@work_page(right="api.use_api_keys")
def create_key(request: HttpRequest) -> HttpResponse:
    account, at = me(request), clock.now()

    def do(given: dict[str, Any]) -> HttpResponse:
        fresh = keys.create_key(
            account=account,
            name=given["name"],
            scopes=given["scopes"],
            expires_at=datetime.combine(given["expires_on"], time(), clock.SHANGHAI),
            addresses=given["addresses"],
            by=account,
            at=at,
        )
        return _key_page(request, fresh.text)

    return act(
        request,
        _key_form(request, account),
        title="新建接口密钥",
        do=do,
        back=reverse("organisations:my_keys"),
        intro="密钥能做的不超过您自己的权限；请只勾选程序需要的权限。",
        submit="新建",
    )


def _key_page(request: HttpRequest, text: str) -> HttpResponse:
    return page(
        request,
        "organisations/shown_once.html",
        {
            "warning": "密钥只显示这一次，系统不保存原文。请立即复制到程序的配置中。",
            "heading": "接口密钥",
            "text": "调用接口时放在 Authorization 请求头中：Bearer 加空格加密钥。",
            "lines": [text],
            "back": reverse("organisations:my_keys"),
        },
        title="接口密钥已生成",
    )


def _own_key(account: Account, pk: int) -> ApiKey:
    return one(ApiKey.objects.filter(account=account), pk)


@work_page(right="api.use_api_keys")
def rotate_key(request: HttpRequest, pk: int) -> HttpResponse:
    account, at = me(request), clock.now()
    key = _own_key(account, pk)

    def do(given: dict[str, Any]) -> HttpResponse:
        fresh = keys.rotate_key(key=key, expires_at=at + keys.LONGEST_LIFE, by=account, at=at)
        return _key_page(request, fresh.text)

    return act(
        request,
        NoteForm(request.POST if request.method == "POST" else None),
        title=f"轮换密钥：{key.name}",
        do=do,
        back=reverse("organisations:my_keys"),
        intro="将生成权限相同的新密钥；旧密钥还能使用 7 天，请在此期间更换程序配置。",
        submit="生成新密钥",
    )


@work_page()
def revoke_key(request: HttpRequest, pk: int) -> HttpResponse:
    account, at = me(request), clock.now()
    key = _own_key(account, pk)

    def do(given: dict[str, Any]) -> str:
        keys.revoke_key(key=key, by=account, at=at, reason=given["reason"])
        return f"密钥“{key.name}”已作废。"

    return act(
        request,
        ReasonForm(request.POST or None),
        title=f"作废密钥：{key.name}",
        do=do,
        back=reverse("organisations:my_keys"),
        intro="作废立即生效，使用它的程序将无法再调用接口。",
        submit="作废",
        danger=True,
    )


@work_page()
def signature(request: HttpRequest) -> HttpResponse:
    account, at = me(request), clock.now()

    def do(given: dict[str, Any]) -> str:
        services.set_signature(account=account, image=given["signature"].read(), at=at)
        return "手写签名已更新，今后生成的文档将使用它。"

    posted = request.method == "POST"
    return act(
        request,
        SignatureForm(request.POST, request.FILES) if posted else SignatureForm(),
        title="手写签名",
        do=do,
        back=reverse("organisations:me"),
        submit="上传",
    )


@require_GET
@work_page()
def signature_image(request: HttpRequest) -> HttpResponse:
    image = me(request).signature
    if not image:
        raise NotFound("您还没有上传手写签名。")
    return HttpResponse(bytes(image), content_type="image/png")

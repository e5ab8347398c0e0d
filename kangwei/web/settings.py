"""Settings of Kangwei (康维): read from the environment once, checked, and never guessed.

Every variable is named KW_… (or DATABASE_URL). A wrong value stops the start with one sentence
that names the variable.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from kangwei.web.environment import Environment

env = Environment(os.environ)

BASE_DIR = Path(__file__).resolve().parent.parent.parent
DATA_DIR = env.path("KW_DATA", BASE_DIR / ".data")
TESTING = env.flag("KW_TESTING", "pytest" in sys.modules)
#: The demonstration mode shows sample accounts and may shift the clock; never set it in production.
DEMO = env.flag("KW_DEMO", False)
KW_CLOCK = env.clock("KW_CLOCK", allowed=DEMO or TESTING)
#: Where the demonstration's stand-ins listen; the next port is their mail server.
STANDINS_PORT = env.number("KW_STANDINS_PORT", 8790, low=1, high=65534)
DEBUG = False

SECRETS = env.secrets(DATA_DIR, ephemeral=TESTING)
SECRET_KEY = SECRETS.django
#: Cipher of stored personal data; what was written under the other one stays readable.
CIPHER = env.choice("KW_CIPHER", "sm4", {"sm4", "aes"})
#: The class that does the cryptographic work; a cryptographic machine brings its own.
CRYPTO_PROVIDER = (
    env.text("KW_CRYPTO_PROVIDER") or "kangwei.kernel.crypto.provider.SoftwareProvider"
)

#: Web and worker are the application's role; only a migration, and putting away a sealed month
#: of the journal, is done as the owner of the tables.
MIGRATING = sys.argv[1:2] == ["migrate"] or sys.argv[1:3] == ["audit", "purge-month"]
APPLICATION_ROLE: str = env.database("DATABASE_URL", DATA_DIR)["USER"]
DATABASES = {
    "default": (env.owner_database(DATA_DIR) if MIGRATING else None)
    or env.database("DATABASE_URL", DATA_DIR)
}
#: Signed anchors of the journal are appended here, outside the database; best on another machine.
ANCHOR_FILE = env.path("KW_ANCHOR_FILE", DATA_DIR / "anchors" / "anchors.jsonl")
#: The law asks for six months at least (网络安全法 第二十一条); contracts ask for more.
AUDIT_KEPT_MONTHS = env.number("KW_AUDIT_KEPT_MONTHS", 60, low=6, high=600)
#: How long the ledger of notices is kept; its digests stay in the journal.
NOTICES_KEPT_DAYS = env.number("KW_NOTICES_KEPT_DAYS", 400, low=180, high=3650)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

#: Screens stand before unfold so that our few overrides of its templates are found first.
INSTALLED_APPS = [
    "kangwei.web",
    "kangwei.kernel.screens",
    "unfold.apps.BasicAppConfig",
    "kangwei.kernel.screens.apps.KwAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "procrastinate.contrib.django",
    "kangwei.kernel.calendar",
    "kangwei.kernel.crypto",
    "kangwei.kernel.audit",
    "kangwei.kernel.jobs",
    "kangwei.kernel.api",
    "kangwei.kernel.organisations",
    "kangwei.kernel.notices",
    "kangwei.kernel.evaluation",
    "kangwei.kernel.reporting",
    "kangwei.kernel.oversight",
]

AUTH_USER_MODEL = "organisations.Account"
ROOT_URLCONF = "kangwei.web.urls"
WSGI_APPLICATION = "kangwei.web.wsgi.application"

MIDDLEWARE = [
    "kangwei.web.middleware.TraceMiddleware",
    "kangwei.kernel.api.middleware.AnswersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "kangwei.web.middleware.SafetyHeadersMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "kangwei.kernel.organisations.middleware.SessionGuard",
    "kangwei.web.middleware.ZeroCharacterMiddleware",
    "kangwei.web.middleware.OriginMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "kangwei.kernel.screens.context.shell",
            ],
        },
    },
]

LANGUAGE_CODE = "zh-hans"
TIME_ZONE = "Asia/Shanghai"
USE_I18N = True
USE_TZ = True
FORMAT_MODULE_PATH = ["kangwei.web.formats"]
LOCALE_PATHS = [BASE_DIR / "kangwei" / "web" / "locale"]

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        # Hashed names and compression; a test run has collected no files and uses plain names.
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if TESTING
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
#: Tests and journeys serve the files where they lie.
WHITENOISE_AUTOREFRESH = WHITENOISE_USE_FINDERS = TESTING

#: Pages ask for hashed names only; the plain ones would be compressed a second time for nobody.
WHITENOISE_KEEP_ONLY_HASHED_FILES = True

LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"

# -- Who may call, and how (等保三级) ---------------------------------------------------------
# tests/repository/test_safety_settings.py reads every line of this part back.

#: KW_HTTPS=1 where browsers reach us by HTTPS, by our own certificate or through a proxy.
HTTPS = env.flag("KW_HTTPS", False)
#: Proxies whose X-Forwarded-* headers are believed, as addresses or networks.
KW_TRUSTED_PROXIES = env.networks("KW_TRUSTED_PROXIES")
#: Who besides this machine may read /metrics without a key.
KW_METRICS_ADDRESSES = env.networks("KW_METRICS_ADDRESSES")
ALLOWED_HOSTS = env.hosts("KW_HOSTS") or [
    "127.0.0.1",
    "localhost",
    "[::1]",
    *(["testserver"] if TESTING else []),
]
CSRF_TRUSTED_ORIGINS = [
    f"https://{'*' if host.startswith('.') else ''}{host}" for host in ALLOWED_HOSTS if HTTPS
]

SESSION_COOKIE_NAME = "kw_session"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 12 * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
CSRF_COOKIE_NAME = "kw_csrf"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = HTTPS
CSRF_FAILURE_VIEW = "kangwei.web.errors.csrf_failure"

SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = False
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if KW_TRUSTED_PROXIES else None
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "SAMEORIGIN"
#: Alpine reads its expressions with the Function constructor, and unfold and Alpine set style
#: attributes; docs/decisions/0020 says why this is all that stays open.
KW_CONTENT_SECURITY_POLICY = {
    "default-src": "'none'",
    "script-src": "'self' {nonce} 'unsafe-eval'",
    "style-src": "'self' {nonce}",
    "style-src-attr": "'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "frame-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'self'",
    "base-uri": "'none'",
    "object-src": "'none'",
}
KW_PERMISSIONS_POLICY = (
    "accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), "
    "payment=(), usb=()"
)

#: What one request may carry; files have their own limits in kernel/screens/uploads.py.
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000
DATA_UPLOAD_MAX_NUMBER_FILES = 20
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
FILE_UPLOAD_PERMISSIONS = 0o600
FILE_UPLOAD_DIRECTORY_PERMISSIONS = 0o700

# -- Documents ----------------------------------------------------------------------------------

#: A font file for Word and PDF documents; empty: the system's Chinese font, else the shipped one.
KW_DOCUMENT_FONT = env.text("KW_DOCUMENT_FONT")

# -- Log lines ----------------------------------------------------------------------------------

LOG_FORM = env.choice("KW_LOG", "plain", {"plain", "json"})
LOG_LEVEL = env.choice("KW_LOG_LEVEL", "info", {"debug", "info", "warning", "error"}).upper()
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"secrets": {"()": "kangwei.web.logs.SecretFilter"}},
    "formatters": {
        "plain": {"()": "kangwei.web.logs.PlainFormatter"},
        "json": {"()": "kangwei.web.logs.JsonFormatter"},
    },
    "handlers": {
        "lines": {
            "class": "logging.StreamHandler",
            "formatter": LOG_FORM,
            "filters": ["secrets"],
        },
    },
    "root": {"handlers": ["lines"], "level": LOG_LEVEL},
    "loggers": {
        "django": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        # A stranger's wrong host or a 404 is no fault of ours.
        "django.security.DisallowedHost": {"level": "ERROR", "propagate": True},
        "django.request": {"level": "ERROR", "propagate": True},
        "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
        "procrastinate": {"level": "WARNING", "propagate": True},
    },
}

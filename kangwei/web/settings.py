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
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "kangwei.web",
    "unfold",
    "django.contrib.admin",
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
    "kangwei.kernel.screens",
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
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
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

LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"

ALLOWED_HOSTS = env.words("KW_HOSTS") or ["127.0.0.1", "localhost", "[::1]", "testserver"]

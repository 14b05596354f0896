"""The Anki versions that tests drive, each in a virtual environment of its own."""

import fcntl
import glob
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HARNESS = Path(__file__).resolve().parent
TESTS = HARNESS.parent
# Generated code of older clients does not work with what came later.
PROTOBUF = "protobuf==3.20.3"


@dataclass(frozen=True)
class Version:
    """One version: which Python it needs, and what pip has to be told besides its name."""

    name: str
    # The suite's own unless named.
    python: str | None = None
    requirements: tuple = ()
    # The part of the version behind a `+`, which only an older pip takes.
    build: str = ""

    @property
    def folder(self):
        return TESTS / f".venv-{self.name}"

    def wanted(self):
        """What the environment is made from, so that it is made anew when that has changed."""
        return [f"anki=={self.name}{self.build}", *self.requirements]

    def interpreter(self):
        """The Python to make the environment with; none when this machine has none that fits."""
        if self.python is None:
            return sys.executable
        on_path = shutil.which(f"python{self.python}")
        under_pyenv = Path.home() / f".pyenv/versions/{self.python}.*/bin/python{self.python}"
        candidates = [on_path] * bool(on_path) + sorted(glob.glob(str(under_pyenv)))
        return next(filter(runs, candidates), None)

    def worker(self):
        """The command that runs this version's client, which is installed first if need be."""
        stamp = self.folder / "made-from.txt"
        text = "\n".join([self.python or sys.version, *self.wanted()])
        # Both servers' tests begin with it at the same time.
        with open(TESTS / f".venv-{self.name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not stamp.exists() or stamp.read_text() != text:
                self.install()
                stamp.write_text(text)
        python = str(self.folder / "bin" / "python")
        script = HARNESS / ("old_worker.py" if self.name.startswith("2.1.") else "worker.py")
        # An assertion in this one fails on every machine but its maker's.
        options = ["-O"] if self.build else []
        return [python, *options, str(script)]

    def install(self):
        run(self.interpreter(), "-m", "venv", "--clear", self.folder)
        pip = [self.folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
        anki, *others = self.wanted()
        if self.build:
            run(*pip, "install", "--quiet", "pip<20.3")
            run(*pip, "install", "--quiet", "--no-deps", anki)
        else:
            run(*pip, "install", "--quiet", anki)
        if others:
            run(*pip, "install", "--quiet", *others)


def runs(python):
    """Whether it is more than a placeholder: pyenv puts some on the path that start nothing."""
    return subprocess.run([python, "--version"], capture_output=True).returncode == 0


def run(*words):
    subprocess.run(words, check=True)


NEWEST = Version("26.9.3")
VERSIONS = [
    NEWEST,
    Version("25.9.5"),
    Version("24.11"),
    Version("23.12.1"),
    Version("2.1.66"),
    Version("2.1.56"),
    Version("2.1.49", "3.9", (PROTOBUF,)),
    Version("2.1.44", "3.9", (PROTOBUF,)),
    Version("2.1.40", "3.9", (PROTOBUF,)),
    Version("2.1.35", "3.8", (PROTOBUF,)),
    Version("2.1.28", "3.8", (PROTOBUF,)),
    Version("2.1.26", "3.8", (PROTOBUF,)),
    Version(
        "2.1.24",
        "3.8",
        (
            "ankirspy==2.1.25",
            PROTOBUF,
            "beautifulsoup4==4.15.0",
            "decorator==5.3.1",
            "distro==1.9.0",
            "orjson==3.10.15",
            "requests==2.32.4",
        ),
        build="+359b9f5c",
    ),
]


def named(*names):
    return [version for version in VERSIONS if version.name in names]


# One of each envelope and interface, for a run of a few minutes.
SHORT = named("26.9.3", "2.1.66", "2.1.56", "2.1.28", "2.1.26")
if "RELEASE" in os.environ:
    # The one that `tests/run --release` tries.
    VERSIONS = SHORT = [Version(os.environ["RELEASE"])]
# As they might meet on one account.
GENERATIONS = named("26.9.3", "24.11", "2.1.66", "2.1.56", "2.1.28")

"""The Anki versions that tests drive, each in a virtual environment of its own."""

import glob
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
# Generated code of older clients does not work with what came later.
PROTOBUF = "protobuf==3.20.3"


@dataclass(frozen=True)
class Version:
    """One version: which Python it needs, and what pip has to be told besides its name."""

    name: str
    # The suite's own unless named.
    python: str | None = None
    requirements: tuple = ()
    # Only installers from before 2020 take a local version with this name.
    old_pip: bool = False

    @property
    def folder(self):
        return TESTS / f".venv-{self.name}"

    def wanted(self):
        """What the environment is made from, so that it is made anew when that has changed."""
        return [f"anki=={self.name}", *self.requirements]

    def interpreter(self):
        """The Python to make the environment with; none when this machine has none that fits."""
        if self.python is None:
            return sys.executable
        on_path = shutil.which(f"python{self.python}")
        under_pyenv = Path.home() / f".pyenv/versions/{self.python}.*/bin/python{self.python}"
        candidates = [on_path] * bool(on_path) + sorted(glob.glob(str(under_pyenv)))
        return next(filter(runs, candidates), None)

    def command(self):
        """How to start Python with this version of Anki, which is installed first if need be."""
        stamp = self.folder / "made-from.txt"
        text = "\n".join([self.interpreter(), *self.wanted()])
        if not stamp.exists() or stamp.read_text() != text:
            self.install()
            stamp.write_text(text)
        python = str(self.folder / "bin" / "python")
        # An assertion in this one fails on every machine but its maker's.
        return [python, "-O"] if self.old_pip else [python]

    def install(self):
        run(self.interpreter(), "-m", "venv", "--clear", self.folder)
        pip = [self.folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
        anki, *others = self.wanted()
        if self.old_pip:
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
]

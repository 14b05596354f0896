"""The files as they are installed, the same for every kind of package."""

import gzip
import os
import shutil
import stat
from pathlib import Path

from steps import copyright, tools

PACKAGING = tools.REPOSITORY / "packaging"
SYSTEMD = tools.REPOSITORY / "systemd"
UNITS = sorted(
    path.name
    for path in SYSTEMD.iterdir()
    if path.suffix in (".service", ".socket", ".timer", ".path", ".target")
)
DOC = "usr/share/doc/anki-syncd"
USERS = "# The users of anki-syncd, a line name:password or name:hash each: see anki-syncd(8).\n"
# What administrators change, and no upgrade.
CONFIGURATION = [
    "etc/anki-syncd/anki-syncd.toml",
    "etc/anki-syncd/users",
    "etc/fail2ban/filter.d/anki-syncd.conf",
    "etc/fail2ban/jail.d/anki-syncd.conf",
]
# The name by which each shell looks for it.
COMPLETIONS = {
    "anki-syncd.bash": "usr/share/bash-completion/completions/anki-syncd",
    "_anki-syncd": "usr/share/zsh/{zsh}/_anki-syncd",
    "anki-syncd.fish": "usr/share/fish/vendor_completions.d/anki-syncd.fish",
}


def completions():
    """Written by the program's own definition; their folder."""
    folder = tools.FOLDER / "completions"
    folder.mkdir(parents=True, exist_ok=True)
    words = ["cargo", "run", "--quiet", "--locked", "--example", "completions", "--", folder]
    tools.run(*words, cwd=tools.REPOSITORY)
    return folder


class Tree:
    """A folder that stands for the root of the system."""

    def __init__(self, folder):
        self.root = Path(folder)
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)

    def write(self, inside, content, mode=0o644):
        path = self.root / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)

    def copy(self, source, inside, mode=0o644):
        self.write(inside, Path(source).read_bytes(), mode)

    def compress(self, content, inside):
        self.write(f"{inside}.gz", gzip.compress(content, mtime=0))

    def files(self):
        """Each with its path inside."""
        for folder, _, names in sorted(os.walk(self.root)):
            for name in sorted(names):
                path = Path(folder) / name
                yield path, path.relative_to(self.root)

    def finish(self, epoch):
        """Modes and times that do not depend on who builds, or when."""
        for folder, _, names in os.walk(self.root, topdown=False):
            for name in names:
                os.utime(Path(folder) / name, (epoch, epoch))
            mode = stat.S_IMODE(os.stat(folder).st_mode)
            if mode != 0o755:
                os.chmod(folder, 0o755)
            os.utime(folder, (epoch, epoch))


def build(folder, architecture, binary, completions_folder, zsh):
    """Everything but what only one kind of package has."""
    tree = Tree(folder)
    tree.copy(binary, "usr/bin/anki-syncd", mode=0o755)
    for unit in UNITS:
        tree.copy(SYSTEMD / unit, f"usr/lib/systemd/system/{unit}")
    tree.copy(SYSTEMD / "anki-syncd.sysusers", "usr/lib/sysusers.d/anki-syncd.conf")
    generator = "usr/lib/systemd/system-generators/anki-syncd-generator"
    tree.copy(SYSTEMD / "anki-syncd-generator", generator, mode=0o755)
    tree.copy(PACKAGING / "anki-syncd.toml", "etc/anki-syncd/anki-syncd.toml")
    # Read by systemd as root, never by the server itself.
    tree.write("etc/anki-syncd/users", USERS, mode=0o600)
    for kind in ("filter", "jail"):
        source = PACKAGING / "fail2ban" / f"{kind}.conf"
        tree.copy(source, f"etc/fail2ban/{kind}.d/anki-syncd.conf")
    for page in sorted((PACKAGING / "man").iterdir()):
        section = page.suffix.lstrip(".")
        tree.compress(page.read_bytes(), f"usr/share/man/man{section}/{page.name}")
    for name, inside in COMPLETIONS.items():
        tree.copy(completions_folder / name, inside.format(zsh=zsh))
    for drop_in in sorted(SYSTEMD.glob("*.conf")):
        tree.copy(drop_in, f"{DOC}/examples/{drop_in.name}")
    for page in ("README.md", "CONTRIBUTING.md", "SECURITY.md"):
        tree.copy(tools.REPOSITORY / page, f"{DOC}/{page}")
    pages = (tools.REPOSITORY / "docs").rglob("*")
    for page in sorted(path for path in pages if path.is_file()):
        tree.copy(page, f"{DOC}/{page.relative_to(tools.REPOSITORY)}")
    tree.write(f"{DOC}/copyright", copyright.text(architecture.rust))
    return tree

"""The .deb: control files and maintainer scripts around the tree, packed by dpkg-deb."""

import hashlib
import os
import shutil
import subprocess
from email.utils import formatdate

from steps import binary, tools, tree

SOURCES = tree.PACKAGING / "deb"
SCRIPTS = ["postinst", "prerm", "postrm"]
# With LoadCredential=, by which the service gets its users.
SYSTEMD = "systemd (>= 247)"


def build(files, architecture, about, output):
    """Packs the tree; the path of the package."""
    root = files.root
    version = f"{about.version}-{about.revision}"
    changelog = (
        f"anki-syncd ({version}) unstable; urgency=medium\n\n"
        "  * See changelog.gz for the changes.\n\n"
        f" -- {about.maintainer}  {formatdate(about.epoch)}\n"
    )
    files.compress((tools.REPOSITORY / "CHANGELOG.md").read_bytes(), f"{tree.DOC}/changelog")
    files.compress(changelog.encode(), f"{tree.DOC}/changelog.Debian")
    files.copy(SOURCES / "lintian-overrides", "usr/share/lintian/overrides/anki-syncd")
    executable = root / "usr/bin/anki-syncd"
    fields = {
        "VERSION": version,
        "ARCHITECTURE": architecture.debian,
        "MAINTAINER": about.maintainer,
        "INSTALLED_SIZE": str(installed_kibibytes(files)),
        "DEPENDS": ", ".join([*binary.dependencies(executable), SYSTEMD]),
        "UNITS": " ".join(tree.UNITS),
    }
    sums = "".join(
        f"{hashlib.md5(path.read_bytes()).hexdigest()}  {inside}\n"
        for path, inside in files.files()
        if str(inside) not in tree.CONFIGURATION
    )
    files.write("DEBIAN/md5sums", sums)
    files.write("DEBIAN/control", filled(SOURCES / "control", fields))
    files.write("DEBIAN/conffiles", "".join(f"/{name}\n" for name in tree.CONFIGURATION))
    for name in SCRIPTS:
        files.write(f"DEBIAN/{name}", filled(SOURCES / name, fields), mode=0o755)
    files.finish(about.epoch)
    package = output / f"anki-syncd_{version}_{architecture.debian}.deb"
    tools.run(
        *["dpkg-deb", "--root-owner-group", "-Zxz", "--build", root, package],
        environment={"SOURCE_DATE_EPOCH": str(about.epoch)},
        stdout=subprocess.DEVNULL,
    )
    shutil.rmtree(root)
    return package


def filled(template, fields):
    text = template.read_text()
    for name, value in fields.items():
        text = text.replace(f"@{name}@", value)
    return text


def installed_kibibytes(files):
    """As Debian counts: each file in whole kibibytes, and one for each folder."""
    sizes = sum(-(-path.stat().st_size // 1024) for path, _ in files.files())
    return sizes + sum(1 for _ in os.walk(files.root))

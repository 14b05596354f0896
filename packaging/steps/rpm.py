"""The .rpm: the spec file over the tree, packed by rpmbuild."""

import os
import shutil
import subprocess
import time

from steps import copyright, tools, tree

SPEC = tree.PACKAGING / "rpm" / "anki-syncd.spec"
# On Arm of 32 bits libraries are in /usr/lib, in which the unit allows no execution.
LIBRARIES_IN_USR_LIB = {"armv7hl"}
LIBRARIES_DROP_IN = "# Here shared libraries are in this folder.\n[Service]\nExecPaths=-/usr/lib\n"
# Nobody else's, with what is in them.
FOLDERS = ["etc/anki-syncd", tree.DOC, "usr/share/licenses/anki-syncd"]


def build(files, architecture, about, output):
    """Packs the tree; the path of the package."""
    files.copy(tools.REPOSITORY / "CHANGELOG.md", f"{tree.DOC}/CHANGELOG.md")
    for name in ("LICENSE-MIT", "LICENSE-APACHE"):
        files.copy(tools.REPOSITORY / name, f"usr/share/licenses/anki-syncd/{name}")
    if architecture.rpm in LIBRARIES_IN_USR_LIB:
        folder = "usr/lib/systemd/system/anki-syncd.service.d"
        files.write(f"{folder}/libraries.conf", LIBRARIES_DROP_IN)
    files.finish(about.epoch)
    top = files.root.with_name(f"{files.root.name}.rpmbuild")
    shutil.rmtree(top, ignore_errors=True)
    top.mkdir()
    (top / "files").write_text("".join(f"{line}\n" for line in listed(files)))
    settings = {
        "_topdir": top,
        "_rpmdir": top / "out",
        "tree": files.root,
        "file_list": top / "files",
        "package_version": about.version,
        "package_release": about.revision,
        "licences": copyright.expression(architecture.rust),
        "maintainer": about.maintainer,
        "units": " ".join(tree.UNITS),
        "date": time.strftime("%a %b %d %Y", time.gmtime(about.epoch)),
        # The binary is finished: nothing to strip or to keep symbols of.
        "debug_package": "%{nil}",
        "__os_install_post": "%{nil}",
        "_build_id_links": "none",
        # Readable since EL 8.
        "_binary_payload": "w19.zstdio",
        # The same package wherever and whenever it is built.
        "_buildhost": "localhost",
        "use_source_date_epoch_as_buildtime": "1",
        "clamp_mtime_to_source_date_epoch": "1",
        "source_date_epoch_from_changelog": "0",
    }
    defines = [word for name, value in settings.items() for word in ("-D", f"{name} {value}")]
    tools.run(
        *["rpmbuild", "-bb", "--quiet", "--nodeps", "--target", f"{architecture.rpm}-linux"],
        *defines,
        SPEC,
        environment={"SOURCE_DATE_EPOCH": str(about.epoch)},
        stdout=subprocess.DEVNULL,
    )
    (built,) = (top / "out").rglob("*.rpm")
    package = output / built.name
    os.replace(built, package)
    shutil.rmtree(top)
    shutil.rmtree(files.root)
    return package


def listed(files):
    """The lines of the section %files."""
    yield "%defattr(-,root,root,-)"
    for top in FOLDERS:
        for folder, _, _ in sorted(os.walk(files.root / top)):
            yield f"%dir /{os.path.relpath(folder, files.root)}"
    for path, inside in files.files():
        inside = str(inside)
        if inside in tree.CONFIGURATION:
            mode = f"{path.stat().st_mode & 0o777:04o}"
            yield f"%config(noreplace) %attr({mode},root,root) /{inside}"
        elif inside.startswith("usr/share/licenses/"):
            yield f"%license /{inside}"
        elif inside.startswith((tree.DOC, "usr/share/man/")):
            yield f"%doc /{inside}"
        else:
            yield f"/{inside}"

"""The packages as files: what the distributions' checkers, readers and scanners say of them."""

import filecmp
import gzip
import json
import re
import subprocess
import zlib

import pytest

from harness import MEBIBYTE, apt
from harness.packages import BUILD, build
from harness.server import REPOSITORY

PACKAGING = REPOSITORY / "packaging"
OLDEST_GLIBC = (2, 28)
RPM_NAMES = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "armv7hl"}


def output(*words, check=True, **options):
    done = subprocess.run(
        list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    assert done.returncode == 0 or not check, done.stdout.decode(errors="replace")
    return done.stdout


@pytest.fixture(scope="session")
def unpacked(packages, architectures, tmp_path_factory):
    """The .deb of each architecture as a folder."""
    folders = {}
    for name in architectures:
        folders[name] = tmp_path_factory.mktemp(f"unpacked-{name}")
        output("dpkg-deb", "-x", packages.package("deb", name), folders[name])
    return folders


@pytest.fixture
def binaries(unpacked):
    return {name: folder / "usr/bin/anki-syncd" for name, folder in unpacked.items()}


def test_lintian_has_nothing_to_say(packages, architectures):
    apt.provide("lintian")
    for name in architectures:
        assert output("lintian", "--allow-root", packages.package("deb", name)) == b""


def test_rpmlint_finds_no_errors(packages, architectures):
    apt.provide("rpmlint")
    config = PACKAGING / "rpm" / "rpmlint.toml"
    for name in architectures:
        said = output("rpmlint", "--config", config, packages.package("rpm", RPM_NAMES[name]))
        print(said.decode())
        assert b" 0 errors, 0 warnings" in said


@pytest.mark.parametrize("page", sorted((PACKAGING / "man").iterdir()), ids=lambda path: path.name)
def test_the_man_page_renders_without_a_warning(page, unpacked):
    apt.provide("man-db")
    folder = next(iter(unpacked.values())) / "usr/share/man" / f"man{page.suffix[1:]}"
    environment = {"MANWIDTH": "80", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    for source in (page, folder / f"{page.name}.gz"):
        words = ["man", "--warnings=all", "-E", "UTF-8", "-l", source]
        done = subprocess.run(words, capture_output=True, env=environment)
        assert done.returncode == 0
        assert done.stderr == b""
        assert b"anki-syncd" in done.stdout


def test_no_symbol_is_newer_than_the_oldest_system(binaries):
    for name, binary in binaries.items():
        found = re.findall(rb"Name: GLIBC_([\d.]+)", output("readelf", "-W", "-V", binary))
        newest = max(tuple(map(int, version.split(b"."))) for version in found)
        print(f"{name}: needs glibc {'.'.join(map(str, newest))}")
        assert newest <= OLDEST_GLIBC


def test_a_scanner_finds_the_dependencies_in_the_binary(binaries, tmp_path):
    for binary in binaries.values():
        section = tmp_path / "section"
        # objcopy of this machine's binutils may not know the other processors.
        words = ["readelf", "-W", "-S", binary]
        match = re.search(rb"\.dep-v0\s+PROGBITS\s+\S+\s+(\S+)\s+(\S+)", output(*words))
        start, length = (int(number, 16) for number in match.groups())
        section = binary.read_bytes()[start : start + length]
        listed = json.loads(zlib.decompress(section))["packages"]
        named = {package["name"]: package for package in listed}
        lock = (REPOSITORY / "Cargo.lock").read_text()
        for name in ("anki-syncd", "hyper", "rusqlite", "zstd"):
            assert f'name = "{name}"\nversion = "{named[name]["version"]}"' in lock


def test_the_copyright_file_names_every_dependency_that_is_linked(unpacked, binaries):
    folder = next(iter(unpacked.values()))
    text = (folder / "usr/share/doc/anki-syncd/copyright").read_text()
    told = set(re.findall(r"^Files: crates/([^/]+)/", text, re.MULTILINE))
    words = ["cargo", "tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none"]
    words += ["--format", "{p}", "--target", "x86_64-unknown-linux-gnu"]
    tree = output(*words, cwd=REPOSITORY).decode()
    linked = {line.split()[0] for line in tree.splitlines() if line and line[0] != "["}
    assert told == linked - {"anki-syncd"}
    # Each licence that is named has its text.
    names = {
        name
        for line in re.findall(r"^License: (.*)$", text, re.MULTILINE)
        for name in re.split(r" and | or ", line)
    }
    texts = set(re.findall(r"^License: (.*)\n ", text, re.MULTILINE))
    assert names - texts <= {"Apache-2.0 with LLVM exception"}


def test_both_kinds_have_the_same_files(packages, unpacked):
    apt.provide("rpm")
    folder = unpacked["amd64"]
    deb = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    listed = output("rpm", "-qlp", packages.package("rpm", "x86_64")).decode().split()
    rpm = {path.lstrip("/") for path in listed if not (folder / path.lstrip("/")).is_dir()}
    only_deb = {path.split("/")[-1].replace("vendor-completions", "") for path in deb - rpm}
    assert only_deb == {"_anki-syncd", "anki-syncd", "changelog.gz", "changelog.Debian.gz"}
    only_rpm = {path for path in rpm - deb if "licenses" not in path}
    assert {path.split("/")[-1] for path in only_rpm} == {"_anki-syncd", "CHANGELOG.md"}
    for unit in (REPOSITORY / "systemd").glob("anki-syncd*.socket"):
        assert f"usr/lib/systemd/system/{unit.name}" in deb
    for name in ("filter", "jail"):
        assert f"etc/fail2ban/{name}.d/anki-syncd.conf" in rpm


def test_the_rpm_marks_what_upgrades_must_not_touch(packages):
    package = packages.package("rpm", "x86_64")
    query = "[%{FILENAMES} %{FILEFLAGS:fflags} %{FILEMODES:perms}\n]"
    lines = output("rpm", "-qp", "--queryformat", query, package).decode().splitlines()
    of = {line.split()[0]: line.split()[1:] for line in lines}
    assert of["/etc/anki-syncd/users"] == ["cn", "-rw-------"]
    assert of["/etc/anki-syncd/anki-syncd.toml"] == ["cn", "-rw-r--r--"]
    assert of["/usr/bin/anki-syncd"][-1] == "-rwxr-xr-x"


def test_completions_offer_what_the_help_shows(unpacked):
    folder = unpacked["amd64"]
    help = output(folder / "usr/bin/anki-syncd", "--help").decode()
    listed = help.split("Commands:\n")[1].split("\n\n")[0]
    commands = set(re.findall(r"^  ([a-z-]+)", listed, re.MULTILINE))
    assert {"user", "check", "backup"} < commands
    fish = (folder / "usr/share/fish/vendor_completions.d/anki-syncd.fish").read_text()
    offered = set(re.findall(r'__fish_anki_syncd_needs_command" .*-a "([a-z-]+)"', fish))
    assert offered == commands
    for name in ("bash-completion/completions/anki-syncd", "zsh/vendor-completions/_anki-syncd"):
        text = (folder / "usr/share" / name).read_text()
        assert "mend" not in text
        assert all(command in text for command in commands)


def test_units_refer_to_the_man_page(unpacked):
    folder = next(iter(unpacked.values())) / "usr/lib/systemd/system"
    units = sorted(folder.glob("anki-syncd*"))
    assert len(units) >= 3
    for unit in units:
        assert "\nDocumentation=man:anki-syncd(8)\n" in unit.read_text(), unit.name


def test_the_pages_are_compressed_the_same_way_every_time(unpacked):
    for page in next(iter(unpacked.values())).rglob("*.gz"):
        # No name and no time in the header.
        assert page.read_bytes()[3:8] == bytes(5)
        assert gzip.decompress(page.read_bytes())


def test_sizes_are_told(packages, architectures, unpacked):
    for name in architectures:
        installed = sum(p.stat().st_size for p in unpacked[name].rglob("*") if p.is_file())
        deb = packages.package("deb", name).stat().st_size
        rpm = packages.package("rpm", RPM_NAMES[name]).stat().st_size
        print(f"{name}: .deb {deb}, .rpm {rpm}, installed {installed} bytes")
        assert deb < 6 * MEBIBYTE
        assert installed < 20 * MEBIBYTE


def test_the_same_commit_gives_the_same_bytes(packages, long, tmp_path):
    """By default packed once more; with --long, compiled once more, in another folder."""
    if long:
        clone = tmp_path / "elsewhere"
        output("git", "clone", "--quiet", REPOSITORY, clone)
        command = clone / BUILD.relative_to(REPOSITORY)
        output(command, "--output", tmp_path / "again")
    else:
        build(tmp_path / "again")
    for path in (tmp_path / "again").iterdir():
        assert filecmp.cmp(path, packages.folder / path.name, shallow=False), path.name

"""The binary: one for each architecture, for every system since glibc 2.28."""

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from steps import tools

GLIBC = "2.28"
CARGO_TARGET = tools.FOLDER / "cargo"
# What the C library consists of; of anything else the packages would have to know.
GLIBC_PARTS = re.compile(r"(libc|libm|libpthread|libdl|librt|ld-linux-[a-z0-9-]+)\.so\.\d+")


@dataclass(frozen=True)
class Architecture:
    """Its name with Debian, with Rust, and with rpm."""

    debian: str
    rust: str
    rpm: str


ARCHITECTURES = {
    "amd64": Architecture("amd64", "x86_64-unknown-linux-gnu", "x86_64"),
    "arm64": Architecture("arm64", "aarch64-unknown-linux-gnu", "aarch64"),
    "armhf": Architecture("armhf", "armv7-unknown-linux-gnueabihf", "armv7hl"),
}


def architecture_here():
    """That of this machine."""
    for architecture in ARCHITECTURES.values():
        if architecture.rust.startswith(f"{platform.machine()}-"):
            return architecture
    raise tools.Failed(f"there is no package for the architecture {platform.machine()}")


def build(architecture):
    """Compiles it, stripped, with the list of its dependencies inside; its path."""
    tools.rust_target(architecture.rust)
    path = os.pathsep.join([str(tools.zig()), str(tools.auditable()), os.environ["PATH"]])
    tools.run(
        *["cargo-auditable", "auditable", "zigbuild", "--release", "--locked"],
        *["--bin", "anki-syncd"],
        *["--target", f"{architecture.rust}.{GLIBC}"],
        cwd=tools.REPOSITORY,
        environment={
            "PATH": path,
            "CARGO_TARGET_DIR": str(CARGO_TARGET),
            "CARGO_PROFILE_RELEASE_STRIP": "symbols",
            "CARGO": str(Path(__file__).with_name("cargo-shim")),
            "RUSTC_WRAPPER": str(Path(__file__).with_name("rustc-wrapper")),
            "PACKAGING_CARGO_HOME": os.environ.get("CARGO_HOME", str(Path.home() / ".cargo")),
            "PACKAGING_SOURCE": str(tools.REPOSITORY),
        },
    )
    return CARGO_TARGET / architecture.rust / "release" / "anki-syncd"


def glibc_needed(binary):
    """The newest version of the C library that a symbol of it asks for, as numbers."""
    names = re.findall(r"Name: GLIBC_([\d.]+)", tools.output("readelf", "-W", "-V", binary))
    return max(tuple(map(int, name.split("."))) for name in names)


def libraries(binary):
    dynamic = tools.output("readelf", "-W", "-d", binary)
    return re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)


def dependencies(binary):
    """As Debian writes them."""
    unknown = [name for name in libraries(binary) if not GLIBC_PARTS.fullmatch(name)]
    if unknown:
        raise tools.Failed(f"the binary needs {unknown}: add their packages in {__file__}")
    return [f"libc6 (>= {'.'.join(map(str, glibc_needed(binary)))})"]

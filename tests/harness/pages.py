"""The README and the pages under docs/: what they have people type, and where their links lead."""

import re
from dataclasses import dataclass

from harness.server import REPOSITORY

README = REPOSITORY / "README.md"
PAGES = [README, REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
SECURITY = REPOSITORY / "SECURITY.md"
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# In prose, these are to be typed; `anki-syncd …` without sudo only names a command.
IN_PROSE = re.compile(r"`((?:sudo|systemctl|journalctl|systemd-analyze|curl|tailscale) [^`]+)`")
COMMENT = re.compile(r"(^|\s)# .*$")


@dataclass(frozen=True)
class Command:
    """What is typed, and what is then to be written, if the command opens an editor."""

    typed: str
    lines: str = ""
    in_prose: bool = False


def name(page):
    return str(page.relative_to(REPOSITORY))


def commands(page):
    """Every command of a page, in its order."""
    text = page.read_text()
    found = []
    end = 0
    fences = list(FENCE.finditer(text))
    for number, fence in enumerate(fences):
        found += in_prose(text[end : fence.start()])
        end = fence.end()
        if fence[1] == "sh":
            following = fences[number + 1 : number + 2]
            lines = "".join(it[2] for it in following if it[1] in ("ini", "toml"))
            found += [Command(typed, lines) for typed in lines_of(fence[2])]
    found += in_prose(text[end:])
    return list(without_repeated_prose(found))


def lines_of(block):
    """One command a line, without comments; a backslash at the end goes on."""
    lines = block.replace("\\\n", " ").splitlines()
    stripped = (re.sub(" +", " ", COMMENT.sub("", line)).strip() for line in lines)
    return [line for line in stripped if line]


def in_prose(text):
    return [Command(" ".join(typed.split()), in_prose=True) for typed in IN_PROSE.findall(text)]


def without_repeated_prose(found):
    """A sentence may name what is typed elsewhere on the page."""
    in_blocks = {command.typed for command in found if not command.in_prose}
    named = set()
    for command in found:
        if not command.in_prose or command.typed not in in_blocks | named:
            yield command
        named.add(command.typed)


def anchors(page):
    """The headings, as forges make links of them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading).lower() for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def links(page):
    """What is linked to or shown, other than elsewhere on the net."""
    text = FENCE.sub("", page.read_text())
    targets = re.findall(r"\]\(([^)]+)\)", text)
    return [target for target in targets if "://" not in target]

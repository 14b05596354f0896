"""The file `copyright`: whose work is in the binary, and under which terms, as DEP-5 has it."""

import json
import re
from pathlib import Path

from steps import tools

HEAD = tools.REPOSITORY / "packaging" / "copyright.head"
# Of several licences to choose from, the first of these is taken.
PREFERRED = ["MIT", "BSD-3-Clause", "ISC", "Zlib", "Unicode-3.0", "Apache-2.0"]
# What the binary is under besides: of the project itself, and of SQLite.
ALWAYS = ["(MIT OR Apache-2.0)", "blessing"]
# By what its text begins with, or says, a file is recognised.
MARKS = {
    "MIT": "permission is hereby granted, free of charge, to any person",
    "BSD-3-Clause": "redistribution and use in source and binary forms",
    "ISC": "permission to use, copy, modify, and/or distribute this software",
    "Zlib": "this software is provided 'as-is'",
    "Unicode-3.0": "unicode license v3",
    "Apache-2.0": "apache license",
}
# Other names for what is in some crates' files, and what DEP-5 calls the licences.
DEBIAN_NAMES = {"MIT": "Expat"}
FILES = re.compile(r"(LICEN[SC]E|COPYING|COPYRIGHT)", re.IGNORECASE)
HOLDER = re.compile(
    r"\s*(?:Portions )?Copyright\b:?\s*(?:\(c\)|©)?\s*(.*[a-z].*)", re.IGNORECASE
)
# The word occurs in the licences' own text, too.
NO_HOLDER = re.compile(r"\[|\bowner\b|license|notice|holder", re.IGNORECASE)


def text(triple):
    """The whole file, for one target of Rust's."""
    own_texts = {}
    paragraphs = []
    for crate in linked(triple):
        paragraphs.append(paragraph(crate, own_texts))
    licences = [f"License: {name}\n{indented(body)}" for body, name in own_texts.items()]
    return "\n\n".join([HEAD.read_text().strip(), *paragraphs, *licences]) + "\n"


def expression(triple):
    """The same in one line, by SPDX's names."""
    names = {licence for crate in linked(triple) for licence in chosen(crate["license"])}
    return " AND ".join(sorted([*ALWAYS, *names], key=str.lower))


def linked(triple):
    """The crates whose code ends up in the binary: no tools of the build, no macros."""
    words = ["--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"]
    tree = tools.output(
        *["cargo", "tree", "--locked", "--target", triple, *words], cwd=tools.REPOSITORY
    )
    names = {tuple(line.split()[:2]) for line in tree.splitlines()}
    words = ["--format-version=1", "--locked", "--filter-platform", triple]
    metadata = json.loads(tools.output("cargo", "metadata", *words, cwd=tools.REPOSITORY))
    crates = [
        crate
        for crate in metadata["packages"]
        if crate["source"] and (crate["name"], f"v{crate['version']}") in names
    ]
    return sorted(crates, key=lambda crate: crate["name"])


def paragraph(crate, own_texts):
    """One crate's: its holders of rights, and each licence that it cannot be had without."""
    folder = Path(crate["manifest_path"]).parent
    texts = [
        # Some are written as comments.
        re.sub(r"^// ?", "", file.read_text(errors="replace"), flags=re.MULTILINE)
        for file in sorted(folder.iterdir())
        if file.is_file() and FILES.match(file.name)
    ]
    names = []
    for licence in chosen(crate["license"]):
        names.append(named(crate, licence, texts, own_texts))
    lines = [
        f"Files: crates/{crate['name']}/*",
        f"Copyright: {holders(crate, texts)}",
        f"License: {' and '.join(names)}",
    ]
    return "\n".join(lines)


def chosen(expression):
    """One licence of each part of the expression between `AND`s."""
    for part in re.split(r"\s+AND\s+", expression):
        offered = re.split(r"\s+OR\s+|\s*/\s*", part.strip("() "))
        found = [licence for licence in PREFERRED if licence in offered]
        if not found:
            raise tools.Failed(f"none of the licences {offered} is known: add one in {__file__}")
        yield found[0]


def named(crate, licence, texts, own_texts):
    """What the licence is called here: texts that differ have names of their own."""
    debian = DEBIAN_NAMES.get(licence, licence)
    if licence == "Apache-2.0":
        return debian
    mine = [terms(text) for text in texts if MARKS[licence] in plain(text)]
    if not mine:
        if licence != "MIT":
            raise tools.Failed(f"{crate['name']} comes without the text of {licence}")
        # The usual text then, of which there is one.
        mine = [terms((tools.REPOSITORY / "LICENSE-MIT").read_text())]
    # The same words, however they are spread over lines.
    for body, name in own_texts.items():
        if plain(body) == plain(mine[0]):
            return name
    name = debian if debian not in own_texts.values() else f"{debian}-{crate['name']}"
    own_texts[mine[0]] = name
    return name


def plain(text):
    words = re.sub(r"[^a-z0-9,.;:()'/ -]", " ", text.lower().replace('"', "'"))
    return " ".join(words.split())


def terms(text):
    """Without heading and holders, which are another field's."""
    kept = [
        line.rstrip()
        for line in text.splitlines()
        if not re.match(
            r"\s*(#|((The )?(MIT|BSD|zlib) Licen[sc]e|All rights reserved).{0,30}$"
            r"|(Portions )?Copyright\b.*(\d{4}|\(c\)))",
            line,
            re.IGNORECASE,
        )
    ]
    return "\n".join(kept).strip()


def holders(crate, texts):
    """As the crate's files name them, or else its authors."""
    found = []
    for text in texts:
        for line in text.splitlines():
            match = HOLDER.match(line)
            if match and not NO_HOLDER.search(match[1]):
                found.append(match[1].rstrip("."))
    authors = [re.sub(r"\s*<.*>", "", author) for author in crate["authors"]]
    of_all = list(dict.fromkeys(found)) or authors or [f"the authors of {crate['name']}"]
    return "\n ".join(of_all)


def indented(body):
    return "\n".join(f" {line}" if line.strip() else " ." for line in body.splitlines())

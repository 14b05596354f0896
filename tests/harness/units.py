"""What systemd itself says about units."""

import re


def exposure(container, *words):
    shown = container.output("systemd-analyze", "security", "--no-pager", *words)
    figure = float(re.search(r"Overall exposure level for .*: ([\d.]+)", shown)[1])
    print(f"systemd {container.systemd_version()}: exposure {figure}")
    return figure, shown


def verify(container, *units):
    # Without the first it is content with keys that it does not know. The man page that the
    # units refer to is not in here.
    options = ["--recursive-errors=no", "--man=no"]
    done = container.run("systemd-analyze", "verify", *options, *units, check=False)
    return done.returncode, done.stdout + done.stderr

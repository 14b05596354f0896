"""What systemd itself says about units."""

import re


def exposure(container, *words):
    shown = container.output("systemd-analyze", "security", "--no-pager", *words)
    figure = float(re.search(r"Overall exposure level for .*: ([\d.]+)", shown)[1])
    print(f"systemd {container.systemd_version()}: exposure {figure}")
    return figure, shown


def verify(container, *units):
    # Without the option it is content with keys that it does not know.
    done = container.run("systemd-analyze", "verify", "--recursive-errors=no", *units, check=False)
    return done.returncode, done.stdout + done.stderr

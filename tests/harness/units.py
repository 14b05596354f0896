"""What systemd itself says about units, and what keeps them from listening."""

import http.client
import re
from contextlib import contextmanager


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


def refuses(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.connect()
    except ConnectionRefusedError:
        return True
    connection.close()
    return False


@contextmanager
def taken(daemon, port):
    """By a program in the same container."""
    unit = f"taken-{port}"
    command = ["python3", "-m", "http.server", str(port)]
    daemon.container.run("systemd-run", f"--unit={unit}", *command)
    try:
        daemon.wait_for(lambda: not refuses(port))
        yield
    finally:
        daemon.systemctl("stop", unit)

"""System calls of ours: looked at, made to fail, or the last that a process makes."""

import subprocess
import time
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def traced(server, log, *options):
    """Those of a running server, by strace, for as long as this lasts."""
    pid = server.process.pid
    tracing = subprocess.Popen(
        ["strace", "--follow-forks", f"--attach={pid}", f"--output={log}", *options],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: all(is_traced(task, tracing.pid) for task in tasks(pid)))
        yield
    finally:
        tracing.terminate()
        try:
            tracing.wait(timeout=20)
        except subprocess.TimeoutExpired:
            # It may wait for ever for a thread that was killed while it was being attached, and nobody
            # else can wait for the server then.
            tracing.kill()
            tracing.wait()


def tasks(pid):
    return Path(f"/proc/{pid}/task").iterdir()


def is_traced(task, by):
    status = (task / "status").read_text()
    return f"TracerPid:\t{by}\n" in status


def wait_until(condition, timeout=20):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)

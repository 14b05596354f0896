"""An account to become, and folders that it can reach. Needs root."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.server import COMMANDS, Server

BINARY = COMMANDS["ours"][0]


@pytest.fixture(scope="session")
def account():
    """With a group besides its own."""
    assert os.geteuid() == 0, "giving up root's rights needs root"
    name = f"anki-test-{os.getpid()}"
    subprocess.run(["groupadd", "--system", f"{name}-b"], check=True)
    try:
        subprocess.run(
            ["useradd", "--system", "--user-group", "--no-create-home", f"--groups={name}-b", name],
            check=True,
        )
        (uid,), (gid,) = ids("-u", name), ids("-g", name)
        yield SimpleNamespace(name=name, uid=uid, gid=gid, groups=sorted(ids("-G", name)))
    finally:
        subprocess.run(["userdel", name], check=False)
        subprocess.run(["groupdel", f"{name}-b"], check=True)


def ids(option, name):
    return [int(word) for word in subprocess.check_output(["id", option, name]).split()]


@pytest.fixture
def place():
    """Open to all, unlike the folders that pytest makes."""
    place = Path(tempfile.mkdtemp(prefix="anki-syncd-", dir="/var/tmp"))
    place.chmod(0o755)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def elsewhere(place):
    """Has a server run where `/var/lib` is empty, with these accounts instead of the machine's."""

    def move(server, accounts):
        passwd = place / "passwd"
        passwd.write_text(accounts)
        mounts = f"mount --bind {passwd} /etc/passwd && mount -t tmpfs none /var/lib"
        script = f'{mounts} && exec "$@"'
        server.command = [shutil.which("unshare"), "--mount", "sh", "-c", script, "sh", *server.command]
        return server

    return move


@pytest.fixture
def as_root(place, account):
    """Makes servers that are started as root, with the users in a file that is root's alone."""
    servers = []

    def make(*arguments, run_as=account.name, base=None):
        users_file = place / "users"
        configuration = place / "anki-syncd.toml"
        server = Server("ours", base or place / "base", place / f"{len(servers)}.log")
        server.port = privileged_port()
        users_file.write_text("".join(f"{n}:{p}\n" for n, p in server.users.items()))
        users_file.chmod(0o600)
        lines = [f'users_file = "{users_file}"\n']
        if run_as is not None:
            lines.append(f'run_as = "{run_as}"\n')
        configuration.write_text("".join(lines))
        # More groups than a service has, so that it shows when they are kept.
        server.command = [shutil.which("setpriv"), "--groups=0,4,27", BINARY, *arguments]
        server.command += ["--config", str(configuration)]
        # The environment's users would replace those of the file.
        server.users_file = users_file
        environment = server.environment
        server.environment = lambda: {
            name: value
            for name, value in environment().items()
            if not name.startswith("SYNC_USER")
        }
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.kill()
        if server.log.exists():
            print(f"--- log\n{server.log_text()}")


def privileged_port():
    for port in range(1023, 512, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port below 1024 is free")

"""Real clients through each documented proxy, small and large."""

import random
import shutil
import time

import pytest

from harness import MEBIBYTE, collection
from harness.device import ClientError
from harness.proxy import CLIENT, FILES, SERVER

FROM = "RightmostXForwardedFor"
BOUND = 64 * MEBIBYTE
# Each setting of one column with each of every other.
SETUPS = [
    # sub-path, unix socket, TLS
    (False, False, "1.2"),
    (False, True, "1.3"),
    (True, False, "1.3"),
    (True, True, "1.2"),
]
IDS = ["root-tcp-tls1.2", "root-unix-tls1.3", "subpath-tcp-tls1.3", "subpath-unix-tls1.2"]


@pytest.fixture
def start_setup(start_server, start_activated, start_proxy):
    def start(kind, subpath, unix, tls, **settings):
        settings = {"SYNC_IP_HEADER": FROM, **settings}
        if unix:
            server = start_activated(**settings)
        else:
            server = start_server("ours", host=SERVER, **settings)
        return start_proxy(kind, server, subpath=subpath, tls=tls)

    return start


def put_media(device, files, bytes_each):
    """Many files at once; answers what there should be everywhere."""
    device.media_folder.mkdir(exist_ok=True)
    source = random.Random(1)
    content = {f"file {number}.bin": source.randbytes(bytes_each) for number in range(files)}
    for name, text in content.items():
        (device.media_folder / name).write_bytes(text)
    device.let_time_pass(device.media_folder)
    return content


def sync_all(server, template, new_device, mebibytes, files, bytes_each):
    """A first device with so much, a second one that fetches it, and a change back; with times."""
    times = {}

    def timed(what, operation):
        began = time.monotonic()
        operation()
        times[what] = round(time.monotonic() - began, 1)

    first, second = new_device(server), new_device(server)
    shutil.move(collection.grown(template, first.folder / "grown", mebibytes), first.path)
    content = put_media(first, files, bytes_each)
    first.login()
    second.login()
    assert first.sync() == "FULL_UPLOAD"
    timed("upload", first.upload)
    timed("media up", first.sync_media)
    assert second.sync() == "FULL_DOWNLOAD"
    timed("download", second.download)
    timed("media down", second.sync_media)
    assert second.media() == content
    second.add_note("from the second", "device")
    assert second.sync() == "NO_CHANGES"
    timed("sync", first.sync)
    assert first.select("select count() from notes where sfld = 'from the second'") == [[1]]
    print(f"{server.kind}: {times}")
    assert first.content() == second.content()
    return times


@pytest.mark.parametrize(("subpath", "unix", "tls"), SETUPS, ids=IDS)
@pytest.mark.parametrize("kind", FILES)
def test_a_real_client_syncs_everything(
    start_setup, template, new_trusting_device, kind, subpath, unix, tls
):
    proxy = start_setup(kind, subpath, unix, tls=[tls])
    assert proxy.ask("GET", "health").tls == f"TLSv{tls}"
    sync_all(proxy, template, new_trusting_device, 1, 30, 1000)
    lines = [line for line in proxy.upstream.log_text().splitlines() if "anna" in line]
    # Two logins, and what each device did in one line.
    assert len(lines) >= 4
    assert [line for line in lines if f"from {CLIENT})" not in line] == []


@pytest.mark.parametrize(("subpath", "unix"), [(False, False), (True, True)], ids=["tcp", "unix"])
@pytest.mark.parametrize("kind", FILES)
def test_much_goes_through_without_being_kept_in_memory(
    start_setup, template, new_trusting_device, kind, subpath, unix, long, capsys
):
    mebibytes, files = (300, 5000) if long else (20, 100)
    settings = {"tls": ["1.2", "1.3"], "MAX_SYNC_PAYLOAD_MEGS": "400"}
    proxy = start_setup(kind, subpath, unix, **settings)
    times = sync_all(proxy, template, new_trusting_device, mebibytes, files, 20_000)
    peak = proxy.upstream.peak_memory()
    with capsys.disabled():
        print(
            f"\n{kind}, {'unix' if unix else 'tcp'}: {mebibytes} MiB and {files} media files; seconds: {times};"
            f" the server's memory: {peak / MEBIBYTE:.0f} MiB"
        )
    assert peak < BOUND


@pytest.mark.parametrize("kind", FILES)
def test_a_client_that_does_not_trust_the_authority_refuses(start_setup, new_device, kind):
    proxy = start_setup(kind, False, False, tls=["1.2", "1.3"])
    with pytest.raises(ClientError, match="error sending request"):
        new_device(proxy).login()

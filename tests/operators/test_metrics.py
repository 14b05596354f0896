"""`anki-syncd status --openmetrics`, read by the parser of Prometheus's own client."""

import time
import urllib.error
import urllib.request

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from harness.device import ClientError
from harness.server import Activated, free_port
from harness.steps import logged_in, with_notes


def samples(text):
    families = text_string_to_metric_families(text)
    found = [sample for family in families for sample in family.samples]
    return {(sample.name, sample.labels.get("user")): sample.value for sample in found}


def test_what_happened_is_counted_for_each_user(running, new_device):
    first, second = with_notes(new_device(running)), logged_in(new_device(running))
    second.download()
    first.put_media("a.png", b"12345")
    first.sync_media()
    with pytest.raises(ClientError):
        second.login("wrong")
    text = running.operate("status", "--openmetrics")
    assert text.endswith("# EOF\n")
    found = samples(text)
    assert found["anki_syncd_logins_total", "anna"] == 2
    assert found["anki_syncd_syncs_total", "anna"] == 2
    assert found["anki_syncd_syncs_total", "ben"] == 0
    assert found["anki_syncd_failures_total", "anna"] == 0
    assert found["anki_syncd_stranger_failures_total", None] == 1
    assert found["anki_syncd_media_files", "anna"] == 1
    assert found["anki_syncd_media_bytes", "anna"] == 5
    assert found["anki_syncd_devices", "anna"] == 2
    for name in ("received_bytes_total", "sent_bytes_total", "collection_bytes"):
        assert found[f"anki_syncd_{name}", "anna"] > 10_000
    assert found["anki_syncd_free_bytes", None] > 1e6
    for moment in (("start", None), ("last_sync", "anna")):
        name, user = moment
        value = found[f"anki_syncd_{name}_timestamp_seconds", user]
        assert time.time() - 60 < value <= time.time()
    # What has not been is left out.
    assert ("anki_syncd_last_sync_timestamp_seconds", "ben") not in found
    assert ("anki_syncd_last_backup_timestamp_seconds", "anna") not in found


def test_a_backup_is_there_at_once(running, new_device, tmp_path):
    with_notes(new_device(running))
    running.operate("backup", "--to", tmp_path / "backups")
    found = samples(running.operate("status", "--openmetrics"))
    assert found["anki_syncd_last_backup_timestamp_seconds", "anna"] > time.time() - 60


@pytest.fixture
def watched(tmp_path):
    """As with both sockets of systemd's, of which one is for metrics alone."""
    server = Activated(tmp_path / "base", tmp_path / "server.log")
    server.metrics = f"127.0.0.1:{free_port()}"
    server.command[2:2] = [f"-l{server.metrics}", "--fdname=clients:metrics"]
    server.start()
    yield server
    server.kill()
    print(f"--- log of the server\n{server.log_text()}")


def test_the_metrics_are_on_a_socket_of_their_own(watched):
    with urllib.request.urlopen(f"http://{watched.metrics}/metrics", timeout=10) as answer:
        assert answer.headers["content-type"].startswith("application/openmetrics-text;")
        found = samples(answer.read().decode())
    assert found["anki_syncd_syncs_total", "anna"] == 0
    # Devices are not served there.
    for path, data, status in [("sync/meta", b"", 405), ("health", None, 404)]:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://{watched.metrics}/{path}", data, timeout=10)
        assert refused.value.code == status

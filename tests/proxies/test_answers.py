"""What a proxy makes of questions and answers: it may change nothing that matters."""

import http.server
import random
import re
import threading

import pytest

from harness import MEBIBYTE
from harness.device import ClientError
from harness.proxy import CLIENT, FILES, HOST, SERVER
from harness.server import USERS

FROM = "RightmostXForwardedFor"
SPOOFED = {"X-Forwarded-For": "198.51.100.1", "X-Real-IP": "198.51.100.1"}


class Stub:
    """A server that reads every request to its end and answers all of them alike."""

    socket = None
    users = USERS

    def __init__(self, status):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                if self.headers["transfer-encoding"] == "chunked":
                    while length := int(self.rfile.readline(), 16):
                        self.rfile.read(length + 2)
                    self.rfile.readline()
                else:
                    self.rfile.read(int(self.headers["content-length"]))
                body = f"said with {status}\n".encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host, self.port = self.server.server_address
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def new_stub():
    stubs = []

    def make(status):
        stubs.append(Stub(status))
        return stubs[-1]

    yield make
    for stub in stubs:
        stub.close()


def chunked(blocks):
    return iter([b"x" * 100_000] * blocks)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Check Database"),
        (403, "Email or password was incorrect"),
        (409, "Only one copy of Anki"),
        (413, "413"),
        (429, "429"),
        (500, "AnkiWeb encountered a problem"),
        (501, "Anki version is too old"),
        (503, "AnkiWeb encountered a problem"),
        (507, "507"),
    ],
)
@pytest.mark.parametrize("kind", FILES)
def test_a_refusal_reaches_the_person_as_the_server_said_it(
    new_stub, start_proxy, new_trusting_device, kind, status, message
):
    proxy = start_proxy(kind, new_stub(status))
    reply = proxy.ask("POST", "sync/upload", body=chunked(30))
    assert (reply.status, reply.text) == (status, f"said with {status}\n")
    with pytest.raises(ClientError, match=message):
        new_trusting_device(proxy).login()


@pytest.mark.parametrize("kind", FILES)
def test_a_wrong_password_is_told_and_logged_with_the_true_address(
    start_server, start_proxy, new_trusting_device, kind
):
    proxy = start_proxy(kind, start_server("ours", host=SERVER, SYNC_IP_HEADER=FROM))
    with pytest.raises(ClientError, match="Email or password was incorrect"):
        new_trusting_device(proxy).login("wrong")
    assert f"login failed ip={CLIENT} " in proxy.upstream.log_text()


@pytest.mark.parametrize("kind", FILES)
def test_nobody_can_pretend_to_be_elsewhere(start_server, start_proxy, kind):
    proxy = start_proxy(kind, start_server("ours", host=SERVER, SYNC_IP_HEADER=FROM))
    envelope = {"anki-sync": '{"v":11,"k":"nobody","c":"26.09.3,x,linux","s":""}'}
    assert proxy.ask("POST", "sync/meta", {**envelope, **SPOOFED}, b"x").status == 403
    assert f"from {CLIENT})" in proxy.upstream.log_text()
    assert "198.51.100.1" not in proxy.upstream.log_text()


@pytest.mark.parametrize("kind", FILES)
def test_media_over_the_servers_limit_is_its_413(
    start_server, start_proxy, new_trusting_device, kind
):
    proxy = start_proxy(kind, start_server("ours", MAX_SYNC_PAYLOAD_MEGS="1"))
    device = new_trusting_device(proxy)
    device.login()
    device.sync()
    device.put_media("large.bin", random.Random(1).randbytes(2 * MEBIBYTE))
    with pytest.raises(ClientError, match="413"):
        device.sync_media()


@pytest.mark.parametrize("subpath", [False, True], ids=["root", "subpath"])
@pytest.mark.parametrize("kind", FILES)
def test_the_page_shows_the_address_with_https_port_and_sub_path(
    start_server, start_proxy, kind, subpath
):
    proxy = start_proxy(kind, start_server("ours"), subpath=subpath)
    reply = proxy.ask("GET", "")
    assert reply.status == 200
    assert re.findall(r'<code class="address">(https?://[^<]*/)</code>', reply.text)[0] == proxy.url
    assert "not encrypted" not in reply.text
    # A sync/ too many.
    reply = proxy.ask("GET", "sync/")
    assert reply.status == 404 and f">{proxy.url}<" in reply.text


@pytest.mark.parametrize("kind", FILES)
def test_a_browser_is_sent_to_the_slash(start_server, start_proxy, kind):
    proxy = start_proxy(kind, start_server("ours"), subpath=True)
    proxy.prefix = "/anki"
    reply = proxy.ask("GET", "")
    assert reply.status in (301, 302, 308)
    assert reply.headers["location"] in ("/anki/", f"https://{HOST}:{proxy.port}/anki/")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("subpath", [False, True], ids=["root", "subpath"])
@pytest.mark.parametrize("kind", FILES)
def test_both_versions_of_tls_are_spoken(start_server, start_proxy, kind, subpath, version):
    proxy = start_proxy(kind, start_server("ours"), subpath=subpath)
    reply = proxy.ask("GET", "health", version=version)
    assert (reply.status, reply.tls) == (200, f"TLSv{version}")

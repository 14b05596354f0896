"""Whether a device could log in at an address: each way in which it could not is told apart."""

import http.server
import os
import select
import socket
import ssl
import subprocess
import termios
import threading
import time
from contextlib import closing, suppress

import pytest


class Server(http.server.ThreadingHTTPServer):
    """Answers everything alike: with a status, and with headers."""

    daemon_threads = True

    def __init__(self, status, headers=(), largest=None, context=None, slow_login=0):
        self.status, self.headers, self.largest = status, dict(headers), largest
        self.slow_login = slow_login
        super().__init__(("127.0.0.1", 0), Handler)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def place(self):
        return f"localhost:{self.server_port}"

    def handle_error(self, request, client_address):
        """A client that does not like the certificate goes away; that is what is tested."""


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        server = self.server
        if self.path.endswith("hostKey"):
            time.sleep(server.slow_login)
        length = int(self.headers.get("content-length", 0))
        status = server.status
        if server.largest is not None:
            # As a proxy in front of a sync server.
            status = 413 if length > server.largest else {"GET": 200, "POST": 403}[self.command]
        elif length:
            self.rfile.read(length)
        self.send_response(status)
        for name, value in server.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(*arguments, **options):
        servers.append(Server(*arguments, **options))
        return servers[-1].place

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """A certificate by a private authority, for `localhost`, for another name, and an old one."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca")
    for name, host, days in [("good", "localhost", 2), ("other", "elsewhere", 2), ("old", "localhost", -1)]:
        subject = ["-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", *subject)
        signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-copy_extensions", "copy"]
        validity = ["-days", str(days)]
        openssl("x509", "-req", "-in", f"{name}.csr", *signing, *validity, "-out", f"{name}.pem")

    return folder


def context(certificates, name, **options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    for option, value in options.items():
        setattr(context, option, value)
    return context


def ids(setup, url, *arguments, **options):
    outcome = setup.check("--url", url, *arguments, **options)
    assert all(finding["where"] == url for finding in outcome.findings)
    return outcome.ids


def test_a_server_that_answers_as_it_should_is_fine(setup):
    setup.server.start()
    assert ids(setup, setup.server.url) == {"login-answered"}
    # Which would have fail2ban lock the operator out.
    assert "login failed" not in setup.server.log_text()


def test_a_login_is_tried_with_the_password_from_standard_input(setup):
    setup.server.start()
    password = setup.server.users["anna"]
    arguments = (setup.server.url, "--user", "anna")
    assert ids(setup, *arguments, stdin=None, input=f"{password}\n") == {"login-works"}
    assert ids(setup, *arguments, stdin=None, input="wrong\n") == {"login-wrong"}


def test_a_login_that_is_slowed_down_is_waited_for(setup, serve):
    assert ids(setup, f"http://{serve(None, largest=2**40, slow_login=7)}/") == {"login-answered"}


def test_the_password_is_asked_for_once_also_with_a_repair(setup):
    setup.server.start()
    (setup.media / "a.png").unlink()
    password = setup.server.users["anna"]
    arguments = ("--repair", "--yes", "--url", setup.server.url, "--user", "anna")
    outcome = setup.check(*arguments, stdin=None, input=f"{password}\n")
    assert (outcome.ids, outcome.status) == ({"login-works"}, 0)
    assert "login failed" not in setup.server.log_text()


def test_at_a_terminal_the_password_is_asked_for_and_not_shown(setup):
    setup.server.start()
    ours, its = os.openpty()
    with subprocess.Popen(
        # Which makes the terminal the one that passwords are typed at.
        ["setsid", "--ctty", setup.server.command[0], "check", "--url", setup.server.url, "--user", "anna"],
        env=setup.environment(),
        stdin=its,
        stdout=its,
        stderr=its,
    ) as process:
        os.close(its)
        shown = b""
        while b"Password of anna: " not in shown:
            assert select.select([ours], [], [], 20)[0], shown
            shown += os.read(ours, 1000)
        # The question is there a moment before the terminal stops showing what is typed.
        while termios.tcgetattr(ours)[3] & termios.ECHO:
            time.sleep(0.01)
        os.write(ours, setup.server.users["anna"].encode() + b"\n")
        with suppress(OSError):
            while more := os.read(ours, 1000):
                shown += more
        os.close(ours)
    assert process.returncode == 0, shown
    assert setup.server.users["anna"].encode() not in shown


def test_a_port_where_nothing_listens(setup):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert ids(setup, f"http://127.0.0.1:{port}/") == {"login-refused"}


def test_a_server_that_says_nothing(setup):
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        assert ids(setup, f"http://127.0.0.1:{silent.getsockname()[1]}/") == {"login-timeout"}


def test_a_name_that_nobody_has(setup):
    assert ids(setup, "http://no-such-host.invalid:8080/") == {"login-unknown-host"}


@pytest.mark.parametrize(
    ("status", "headers", "id"),
    [
        (404, {}, "login-not-found"),
        (301, {"location": "https://localhost/"}, "login-redirected"),
        (308, {"location": "https://localhost/"}, "login-redirected"),
        (401, {}, "login-page"),
        (413, {}, "login-too-large"),
        (502, {}, "login-gateway"),
        (400, {}, "login-needs-tls"),
        (200, {}, "login-foreign"),
    ],
)
def test_what_a_proxy_answers_instead(setup, serve, status, headers, id):
    assert ids(setup, f"http://{serve(status, headers)}/") == {id}


def test_an_answer_without_the_protocols_header(setup, serve):
    url = f"http://{serve(200)}/"
    found = ids(setup, url, "--user", "anna", stdin=None, input="password\n")
    assert found == {"login-header-lost"}


def test_a_proxy_with_the_usual_limit_of_one_mebibyte(setup, serve):
    place = serve(None, largest=1024 * 1024)
    outcome = setup.check("--url", f"http://{place}/")
    assert outcome.ids == {"login-too-large"}
    assert "100 MiB" in outcome.findings[0]["what"]


@pytest.mark.parametrize(
    ("name", "phrase"),
    [("good", "that this machine trusts"), ("other", "not valid for the name"), ("old", "expired")],
)
def test_certificates_that_clients_refuse(setup, serve, certificates, name, phrase):
    if name != "good":
        setup.server.settings["SSL_CERT_FILE"] = str(certificates / "ca.pem")
    place = serve(None, largest=2**40, context=context(certificates, name))
    outcome = setup.check("--url", f"https://{place}/")
    assert outcome.ids == {"login-certificate"}
    assert phrase in outcome.findings[0]["what"]


def test_a_certificate_of_an_authority_that_is_trusted_is_fine(setup, serve, certificates):
    setup.server.settings["SSL_CERT_FILE"] = str(certificates / "ca.pem")
    place = serve(None, largest=2**40, context=context(certificates, "good"))
    assert ids(setup, f"https://{place}/") == {"login-answered"}


def test_tls_that_ios_does_not_know(setup, serve, certificates):
    setup.server.settings["SSL_CERT_FILE"] = str(certificates / "ca.pem")
    newest = context(certificates, "good", minimum_version=ssl.TLSVersion.TLSv1_3)
    assert ids(setup, f"https://{serve(None, largest=2**40, context=newest)}/") == {"tls-1.2-missing"}


def test_https_where_http_is_spoken(setup):
    setup.server.start()
    assert ids(setup, setup.server.url.replace("http:", "https:")) == {"login-not-tls"}


def test_http_where_https_is_spoken(setup, serve, certificates):
    place = serve(None, largest=2**40, context=context(certificates, "good"))
    assert ids(setup, f"http://{place}/") == {"login-needs-tls"}


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://localhost/", "http//localhost/", ""])
def test_addresses_that_the_client_refuses(setup, url):
    assert ids(setup, url) == {"url-invalid"}


@pytest.mark.parametrize("port", ["99999", "0", "http"])
def test_a_port_that_there_cannot_be(setup, port):
    """It is refused, rather than taken for the usual one."""
    outcome = setup.check("--url", f"http://localhost:{port}/")
    assert outcome.ids == {"url-invalid"}
    assert "not a number from 1 to 65535" in outcome.findings[0]["what"]


def test_a_password_in_the_address_is_never_shown(setup):
    setup.server.start()
    place = setup.server.url.removeprefix("http://")
    for address in (
        f"http://anna:hunter2@{place}",
        f"https://anna:hunter2@{place}",
        f"http://anna:hunter2@{place}anki",
        f"http://anna:a/hunter2@{place}",
        "http://anna:hunter2@localhost:99999/",
        "anna:hunter2@localhost",
    ):
        for options in ([], ["--json"]):
            done = setup.run("--url", address, *options)
            assert "…@" in done.stdout, done
            assert "hunter2" not in done.stdout + done.stderr
    assert "hunter2" not in setup.server.log_text()


def test_a_path_without_its_slash(setup, serve):
    """Anki then asks at the root: whether that works is what counts."""
    setup.server.start()
    outcome = setup.check("--url", f"{setup.server.url}anki")
    assert (outcome.ids, outcome.status) == ({"url-without-slash"}, 0)
    assert ids(setup, f"http://{serve(404)}/anki") == {"url-without-slash"}


@pytest.mark.parametrize(
    "path", ["anki/", "sync/", "msync/", "anki/sync/", "/", "sync", "sync//", "a/b/c/"]
)
def test_a_path_below_which_devices_sync_is_fine(setup, new_device, path):
    setup.server.start()
    device = new_device(setup.server)
    device.server = At(setup.server, path)
    device.login()
    device.download()
    assert device.sync() == "NO_CHANGES"
    outcome = setup.check("--url", device.server.url)
    assert outcome.status == 0
    assert outcome.ids <= {"login-answered", "url-without-slash"}
    assert outcome.ids


class At:
    """A server at another of its addresses."""

    def __init__(self, server, path):
        self.users, self.url = server.users, server.url + path


@pytest.mark.parametrize("path", ["sync/", "msync/"])
def test_an_address_with_sync_where_nobody_answers(setup, serve, path):
    assert ids(setup, f"http://{serve(404)}/{path}") == {"url-with-sync"}


def test_a_page_that_refuses_everything(setup, serve):
    place = serve(403, {"content-type": "text/html; charset=utf-8"})
    assert ids(setup, f"http://{place}/") == {"login-page"}


def test_a_bare_host_needs_no_slash(setup):
    setup.server.start()
    assert ids(setup, setup.server.url.rstrip("/")) == {"login-answered"}

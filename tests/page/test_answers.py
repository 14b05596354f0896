"""What is sent for the page, seen without a browser."""

import http.client
from contextlib import closing

import pytest


def ask(server, path="/", method="GET", **headers):
    with closing(http.client.HTTPConnection(*server.address, timeout=20)) as connection:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=headers)
        reply = connection.getresponse()
        return reply, reply.read().decode()


def test_the_page_is_not_kept_and_confined(ours):
    reply, page = ask(ours)
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["x-content-type-options"] == "nosniff"
    policy = reply.headers["content-security-policy"]
    for part in ["default-src", "base-uri", "form-action", "frame-ancestors"]:
        assert f"{part} 'none'" in policy
    assert "unsafe" not in policy
    assert "href=" not in page and "src=" not in page and "url(" not in page


def test_it_tells_no_names_of_users(start_server):
    server = start_server("ours", users={"xanthippe": "secret-password"})
    for path in ["/", "/sync/", "/xanthippe/nothing"]:
        _, page = ask(server, path)
        assert "secret-password" not in page
        assert path.startswith("/xanthippe") or "xanthippe" not in page


def test_head_is_the_same_without_the_page(ours):
    got, page = ask(ours)
    head, nothing = ask(ours, method="HEAD")
    assert head.status == 200 and nothing == ""
    assert head.headers["content-length"] == str(len(page.encode()))
    assert head.headers["content-security-policy"] == got.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/sync/", "/msync/", "//", "/sync/nothing", "/favicon.ico"])
def test_elsewhere_the_page_is_a_404(ours, path):
    reply, page = ask(ours, path)
    assert reply.status == 404
    assert f">http://{ours.host}:{ours.port}/<" in page


@pytest.mark.parametrize("path", ["/", "/sync/", "/nowhere"])
def test_what_clients_send_there_is_still_a_short_404(ours, path):
    reply, text = ask(ours, path, method="POST")
    assert reply.status == 404
    assert reply.headers["content-type"].startswith("text/plain")
    assert len(text) < 200


def test_a_hostile_host_is_not_repeated(ours):
    reply, page = ask(ours, host='"><script>alert(1)</script>')
    assert reply.status in (200, 400)
    assert "alert(1)" not in page
    _, page = ask(ours, x_forwarded_host="a'b&c", x_forwarded_prefix="/<i>")
    assert "http://a&#x27;b&amp;c/" in page
    assert "<i>" not in page


def test_a_proxy_that_is_not_trusted_is_not_believed(start_server, tmp_path):
    file = tmp_path / "anki-syncd.toml"
    file.write_text('trusted_proxies = ["192.0.2.1"]\n')
    server = start_server("ours", arguments=["--config", file])
    told = {"x_forwarded_host": "elsewhere.example", "x_forwarded_proto": "https"}
    _, page = ask(server, **told)
    assert "elsewhere.example" not in page
    assert f">http://{server.host}:{server.port}/<" in page


def test_proxies_are_spoken_of_behind_one_only(start_server, tmp_path):
    file = tmp_path / "anki-syncd.toml"
    file.write_text('trusted_proxies = ["192.0.2.1"]\n')
    server = start_server("ours", arguments=["--config", file])
    sentence = "the proxy in front of this server"
    _, page = ask(server, host="192.168.1.10:8080")
    assert sentence not in page
    _, page = ask(server, host="192.168.1.10:8080", x_forwarded_for="192.0.2.7")
    assert sentence in page


def test_a_code_for_cameras_is_there_unless_it_would_lead_nowhere(ours):
    _, page = ask(ours, host="192.168.1.10:8080")
    assert page.count("<svg") == 1
    assert "style=" not in page
    # A phone would look for the server on itself.
    _, page = ask(ours, host="localhost:8080")
    assert "<svg" not in page

"""Which addresses are served."""

import pytest

from harness.raw import CLIENT, META, Account, Connection


@pytest.mark.parametrize("path", ["/sync/meta", "//sync/meta", "/sync/sync/meta"])
def test_an_address_entered_with_a_slash_or_a_path_too_many_works(ours, path):
    assert "scm" in Account(ours).post(path, META).json()


def test_the_same_goes_for_media(ours):
    reply = Account(ours).post("/sync/msync/begin", {"v": CLIENT})
    assert reply.json()["data"]["usn"] == 0


def test_health_is_an_empty_200(ours):
    connection = Connection(ours)
    connection.socket.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
    reply = connection.reply()
    assert (reply.status, reply.body) == (200, b"")


@pytest.mark.parametrize("path", ["/nowhere", "/sync/nothing", "/sync/META", "/msync/"])
def test_an_unknown_path_is_404(ours, path):
    assert Account(ours).post(path, META).status == 404

"""Passwords as PHC strings, in every kind that the server knows."""

import base64
import hashlib

import argon2
import pytest

from harness.raw import Connection

PASSWORD = "pass:wörd with $igns"
SALT = b"sixteen bytes ok"


def unpadded(content):
    return base64.b64encode(content).decode().rstrip("=")


def pbkdf2(digest, rounds, length):
    key = hashlib.pbkdf2_hmac(digest, PASSWORD.encode(), SALT, rounds, length)
    return f"$pbkdf2-{digest}$i={rounds},l={length}${unpadded(SALT)}${unpadded(key)}"


def scrypt(log_n):
    key = hashlib.scrypt(
        PASSWORD.encode(), salt=SALT, n=1 << log_n, r=8, p=1, maxmem=64 << 20, dklen=32
    )
    return f"$scrypt$ln={log_n},r=8,p=1${unpadded(SALT)}${unpadded(key)}"


HASHES = {
    "pbkdf2-sha256": pbkdf2("sha256", 100_000, 32),
    "pbkdf2-sha512": pbkdf2("sha512", 100_000, 64),
    "argon2id": argon2.PasswordHasher().hash(PASSWORD),
    "scrypt": scrypt(14),
}


@pytest.fixture
def hashed(start_server):
    return start_server("ours", users=HASHES, PASSWORDS_HASHED="1")


def login(server, user, password):
    return Connection(server).post("/sync/hostKey", {"u": user, "p": password})


@pytest.mark.parametrize("kind", HASHES)
def test_the_password_of_a_hash_logs_in(hashed, kind):
    assert login(hashed, kind, PASSWORD).json()["key"]
    for wrong in ["", "pass", PASSWORD + " ", HASHES[kind]]:
        assert login(hashed, kind, wrong).status == 403

"""A certificate authority of one's own, and a certificate of it for this machine."""

import subprocess

NAMES = "DNS:localhost,IP:127.0.0.1,IP:::1"
DAYS = "2"


class Certificate:
    """As someone makes them who runs a server at home."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = folder / "ca.pem"
        self.chain = folder / "fullchain.pem"
        self.key = folder / "privkey.pem"
        # For programs that want everything in one file.
        self.together = folder / "together.pem"
        authority_key = folder / "ca.key"
        self.openssl(
            *["req", "-x509", "-subj", "/CN=Home", "-keyout", authority_key],
            *["-out", self.authority, "-addext", "keyUsage=critical,keyCertSign"],
        )
        self.openssl(
            *["req", "-x509", "-subj", "/CN=localhost", "-keyout", self.key],
            *["-CA", self.authority, "-CAkey", authority_key, "-out", self.chain],
            *["-addext", f"subjectAltName={NAMES}", "-addext", "basicConstraints=CA:FALSE"],
        )
        self.together.write_text(self.chain.read_text() + self.key.read_text())

    def openssl(self, *words):
        made = subprocess.run(
            ["openssl", *words, *"-newkey ec -pkeyopt ec_paramgen_curve:prime256v1".split()]
            + ["-nodes", "-days", DAYS],
            capture_output=True,
            text=True,
        )
        assert made.returncode == 0, made.stderr

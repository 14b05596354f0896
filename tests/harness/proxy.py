"""A reverse proxy with TLS in front of a server: the documented configurations, as they stand.

What is changed in them is what everybody has to change: the host name, the port, the files of the
certificate, the address of the server; and for a test the versions of TLS.
"""

import http.client
import shutil
import signal
import socket
import ssl
import subprocess
import time
from contextlib import closing
from getpass import getuser

from harness import apt
from harness.server import REPOSITORY, free_port

CONFIGURATIONS = REPOSITORY / "docs" / "proxies"
PACKAGES = {"nginx": "nginx", "caddy": "caddy", "haproxy": "haproxy"}
FILES = {
    "nginx": ("nginx.conf", "nginx-subpath.conf"),
    "caddy": ("Caddyfile", "Caddyfile-subpath"),
    "haproxy": ("haproxy.cfg", "haproxy-subpath.cfg"),
}
# Clients come from the first of its addresses, and the server listens on the other one: so it is
# seen whose address the server takes a request to come from.
HOST = "localhost"
CLIENT = socket.getaddrinfo(HOST, None)[0][4][0]
SERVER = {"127.0.0.1": "[::1]", "::1": "127.0.0.1"}[CLIENT]

NGINX = """
user {user};
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {site}
}}
"""
# The site that the sub-path is of.
NGINX_SITE = """
server {{
    listen {port} ssl;
    listen [::]:{port} ssl;
    ssl_certificate {chain};
    ssl_certificate_key {key};
    ssl_protocols {protocols};
    include {file};
}}
"""
CADDY = """
{{
	admin off
	auto_https disable_redirects
}}
import {file}
"""


class Proxy:
    """What a client sees of a server behind one; `upstream` is the server itself."""

    def __init__(self, kind, upstream, certificate, folder, subpath=False, tls=("1.2", "1.3")):
        self.kind = kind
        self.upstream = upstream
        self.users = upstream.users
        self.certificate = certificate
        self.folder = folder
        self.subpath = subpath
        self.tls = tls
        self.port = free_port()
        self.prefix = "/anki/" if subpath else "/"
        self.url = f"https://{HOST}:{self.port}{self.prefix}"
        self.process = None

    def configuration(self):
        """The documented file with this machine's names in it."""
        text = (CONFIGURATIONS / FILES[self.kind][self.subpath]).read_text()
        for ours, theirs in getattr(self, self.kind)():
            assert ours in text, f"{ours!r} is not in the configuration"
            text = text.replace(ours, theirs)
        file = self.folder / "configuration"
        file.write_text(text)
        return file

    def server(self, unix):
        """Its address, or its socket in the given form."""
        if self.upstream.socket:
            return unix.format(self.upstream.socket)
        return f"{self.upstream.host}:{self.upstream.port}"

    def nginx(self):
        if self.subpath:
            yield "127.0.0.1:8080/", f"{self.server('unix:{}:')}/"
            return
        yield "127.0.0.1:8080", self.server("unix:{}")
        yield "443 ssl", f"{self.port} ssl"
        yield "anki.example.org", HOST
        yield "/etc/ssl/anki/fullchain.pem", str(self.certificate.chain)
        yield "/etc/ssl/anki/privkey.pem", str(self.certificate.key)
        yield "TLSv1.2 TLSv1.3", self.nginx_protocols()

    def nginx_protocols(self):
        return " ".join(f"TLSv{version}" for version in self.tls)

    def caddy(self):
        yield "127.0.0.1:8080", self.server("unix/{}")
        yield "anki.example.org", f"https://{HOST}:{self.port}"
        yield "/etc/ssl/anki/fullchain.pem", str(self.certificate.chain)
        yield "/etc/ssl/anki/privkey.pem", str(self.certificate.key)
        yield "tls1.2 tls1.3", " ".join(f"tls{version}" for version in (self.tls[0], self.tls[-1]))

    def haproxy(self):
        yield "server anki 127.0.0.1:8080", f"server anki {self.server('unix@{}')}"
        yield ":::443", f":::{self.port}"
        yield "/etc/ssl/anki/haproxy.pem", str(self.certificate.together)
        versions = f"ssl-min-ver TLSv{self.tls[0]}"
        if self.tls[-1] != "1.3":
            versions += f" ssl-max-ver TLSv{self.tls[-1]}"
        yield "ssl-min-ver TLSv1.2", versions

    def command(self):
        file = self.configuration()
        main = self.folder / "main"
        if self.kind == "haproxy":
            return ["haproxy", "-db", "-f", file]
        if self.kind == "caddy":
            main.write_text(CADDY.format(file=file))
            return ["caddy", "run", "--adapter", "caddyfile", "--config", main]
        site = f"include {file};"
        if self.subpath:
            site = NGINX_SITE.format(
                port=self.port,
                chain=self.certificate.chain,
                key=self.certificate.key,
                protocols=self.nginx_protocols(),
                file=file,
            )
        main.write_text(NGINX.format(user=getuser(), folder=self.folder, site=site))
        return ["nginx", "-c", main, "-p", self.folder]

    def start(self):
        apt.provide(PACKAGES[self.kind])
        self.folder.mkdir(parents=True)
        log = self.folder / "log"
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                [shutil.which(self.kind, path="/usr/sbin:/usr/bin:/sbin:/bin"), *self.command()[1:]],
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + 20
        while not self.healthy():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.kind} did not start:\n{log.read_text()}")
            time.sleep(0.05)
        return self

    def end(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def healthy(self):
        try:
            return self.ask("GET", "health").status == 200
        except OSError:
            return False

    def context(self, version=None):
        """What a client that trusts the authority goes by, with one version of TLS if asked."""
        context = ssl.create_default_context(cafile=self.certificate.authority)
        if version:
            exactly = ssl.TLSVersion[f"TLSv{version.replace('.', '_')}"]
            context.minimum_version = context.maximum_version = exactly
        return context

    def ask(self, method, path, headers={}, body=None, version=None):
        """One request by hand, `path` being below the address; answers with its `text` read."""
        connection = http.client.HTTPSConnection(
            HOST, self.port, timeout=60, context=self.context(version)
        )
        with closing(connection):
            connection.request(method, f"{self.prefix}{path}", body, headers)
            tls = connection.sock.version()
            reply = connection.getresponse()
            reply.text = reply.read().decode()
            reply.tls = tls
            return reply

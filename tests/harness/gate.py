"""A proxy that holds back one request, or what follows its beginning, so that what it belongs to
stays under way."""

import socket
import threading
from contextlib import suppress

BLOCK = 1 << 16
PATIENCE = 60


class Gate:
    """Stands for the server towards one device; connections go through as they come."""

    def __init__(self, server, path, after=0):
        self.after = after
        self.server = server
        self.users = server.users
        self.marker = f"POST {path} ".encode()
        self.reached = threading.Event()
        self.released = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        threading.Thread(target=self.accept, daemon=True).start()

    def wait(self):
        """Returns when the request is there, waiting to be let through."""
        assert self.reached.wait(PATIENCE), "the request did not come"

    def release(self):
        self.released.set()

    def close(self):
        self.release()
        self.listener.close()

    def accept(self):
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.server.address)
                pumps = [(client, server, True), (server, client, False)]
                for source, target, held in pumps:
                    threading.Thread(
                        target=self.pump, args=(source, target, held), daemon=True
                    ).start()

    def pump(self, source, target, held):
        found, passed = False, 0
        with suppress(OSError):
            while data := source.recv(BLOCK):
                found = found or (held and self.marker in data)
                if found and passed >= self.after:
                    self.reached.set()
                    self.released.wait(PATIENCE)
                target.sendall(data)
                passed += len(data) if found else 0
            target.shutdown(socket.SHUT_WR)

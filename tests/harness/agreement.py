"""What has to hold for an account once all of its devices have synced."""

from pprint import pformat

from harness import collection
from harness.device import Device

# What "Check Database" says when it is content.
NOTHING_FOUND = ["Database rebuilt and optimized.", True]


def complaints(device):
    """What "Check Database" finds, line by line.

    Not counted: a card that one device has reviewed, and another one changed later without knowing.
    That change stays, and the client then adds the time of the review from the log.
    """
    said, _ = device.check_database()
    return [
        line
        for line in said.splitlines()
        if line not in NOTHING_FOUND and not line.startswith("Added last review time")
    ]


def settle(devices):
    """Syncs until everybody has everything; what the last one sends is news for the others."""
    for device in [*devices, *devices[:-1]]:
        assert device.sync() == "NO_CHANGES", "a full sync is asked for"


# A client that never heard that its sync was finished sends everything again with the next USN;
# the server, having it already, keeps the first one. Nobody misses anything by that.
AFTER_LOST_FINISH = ("usn",)
# A device that waited its turn stamps with what it was told before; the server counts on.
AFTER_WAITING = ("usn",)


class Inspector:
    """Looks at files of a server's, also with the client's own eyes."""

    def __init__(self, folder):
        self.device = Device(folder, server=None, user=None)

    def end(self):
        self.device.end()

    def snapshot(self, server, user="anna"):
        self.device.call("close")
        for file in self.device.folder.glob("collection.anki2*"):
            file.unlink()
        return collection.snapshot(server.folder(user) / "collection.anki2", self.device.path)

    def inspect(self, server, user="anna", left_out=()):
        """The content of the user's collection, in which there must be nothing to complain of."""
        path = self.snapshot(server, user)
        assert collection.integrity(path) == "ok"
        assert collection.unsynced(path) == {}
        content = collection.content(path, left_out)
        assert complaints(self.device) == []
        return content

    def agreed(self, server, devices, left_out=()):
        """Server and devices hold the same rows, and the client finds nothing wrong with any."""
        content = self.inspect(server, devices[0].user, left_out)
        for device in devices:
            found = collection.differences(content, device.content(left_out))
            assert not found, f"server, {device.folder.name}: {pformat(found, width=500)}"
            assert collection.unsynced(device.path) == {}
            assert complaints(device) == []
        return content

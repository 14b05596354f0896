"""Two users in the middle of something, to see whether it disturbs them."""

from harness import collection
from harness.raw import Account, Connection, frame
from harness.steps import Background


class UnderWay:
    """One user's upload, half sent, and another's conversation, stopped in its middle."""

    def __init__(self, daemon, template, tmp_path, new_device, new_gate):
        self.daemon = daemon
        self.offered = collection.grown(template, tmp_path / "offered.anki2", 3)
        self.body = frame(self.offered)
        self.uploader = Account(daemon, "anna")
        self.connection = Connection(daemon)
        self.connection.send_head("/sync/upload", self.uploader.key)
        self.connection.send_chunk(self.body[: len(self.body) // 2])

        self.device, self.witness = new_device(daemon, "ben"), new_device(daemon, "ben")
        self.device.login(), self.witness.login()
        self.device.upload()
        self.device.add_note("in the", "middle")
        self.gate = self.device.server = new_gate(daemon, "/sync/applyChunk")
        self.syncing = Background(self.device.sync)
        self.gate.wait()

    def complete(self, tmp_path):
        """Lets both go on, and looks whether all of it has arrived."""
        self.gate.release()
        self.connection.send_chunk(self.body[len(self.body) // 2 :])
        self.connection.send_end()
        assert self.connection.reply().text() == "OK"
        self.connection.close()
        self.syncing.wait()

    def check(self, tmp_path):
        served = self.uploader.download(tmp_path / "served.anki2")
        assert collection.rows(served)["notes"] == collection.rows(self.offered)["notes"]
        self.witness.download()
        assert self.witness.rows()["notes"] == self.device.rows()["notes"]
        assert len(self.device.rows()["notes"]) == 1

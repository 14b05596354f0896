"""A server whose users are listed in a file, and the commands of whoever runs it."""

import json

from harness.server import COMMANDS, Server

USERS = {"anna": "anna's pass:wörd", "ben": "b3n's secret"}
PROGRAM = COMMANDS["ours"][0]


class ListedServer(Server):
    """As an administrator sets it up who does not use the environment."""

    def __init__(self, folder):
        self.list = folder / "users"
        self.configuration = folder / "anki-syncd.toml"
        super().__init__(
            "ours",
            folder / "base",
            folder / "server.log",
            users=dict(USERS),
            arguments=["--config", self.configuration],
        )
        self.write_list("".join(f"{name}:{word}\n" for name, word in USERS.items()))
        self.configuration.write_text(f"users_file = {json.dumps(str(self.list))}\n")

    def environment(self):
        return {
            name: value
            for name, value in super().environment().items()
            if not name.startswith("SYNC_USER")
        }

    def write_list(self, text):
        self.list.write_text(text)
        self.list.chmod(0o640)

    def devices(self, *words):
        return json.loads(self.operate("device", "list", "--json", *words))

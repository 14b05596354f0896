"""Users and devices, as the operator changes them, and logging in."""

from faults.scenarios.scenario import Scenario
from faults.world import PASSWORDS, Client, NotDone
from harness.raw import META

BOTH = ("server", "command")
ANNA, BEN = ("anna", PASSWORDS["anna"]), ("ben", PASSWORDS["ben"])


class Login(Scenario):
    """The key that was answered works from then on, whether or not the device could be listed."""

    stops = True

    def __init__(self):
        self.keys = []

    def step(self, world):
        self.keys.append(Client.logged_in(world, *ANNA).key)
        if world.stop() != 0:
            raise NotDone("the server ended with an error")

    def again(self, world, done):
        self.keys.append(Client.logged_in(world, *ANNA).key)

    def after(self, world):
        for key in self.keys:
            assert not Client(world, key, "anna").done("/sync/meta", META)["empty"]


class Revoke(Scenario):
    """If it cannot be stored, the answer says so, and the device is out until the server ends."""

    targets = BOTH
    may_fall_back = True
    devices = True

    def step(self, world):
        world.command("device", "revoke", world.device_ids["anna-phone"])


class RevokeAll(Scenario):
    """One after the other: if it fails, some may be out already."""

    targets = BOTH
    may_fall_back = True
    devices = True

    def step(self, world):
        world.command("device", "revoke", "--all", "anna")

    def also(self):
        return [
            lambda world: world.command("device", "revoke", world.device_ids["anna-phone"]),
            lambda world: world.command("device", "revoke", world.device_ids["anna-laptop"]),
        ]


class UserAdd(Scenario):
    targets = BOTH
    changes_list = True
    logins = (ANNA, ("dora", "d0ra"))

    def step(self, world):
        world.command("user", "add", "dora", given="d0ra\n")


class UserPasswd(Scenario):
    targets = BOTH
    changes_list = True
    logins = (ANNA, ("anna", "new"))

    def step(self, world):
        world.command("user", "passwd", "anna", given="new\n")


class UserRename(Scenario):
    targets = BOTH
    changes_list = True
    logins = (BEN, ("benjamin", PASSWORDS["ben"]))

    def step(self, world):
        world.command("user", "rename", "ben", "benjamin")


class UserRemove(Scenario):
    targets = BOTH
    changes_list = True
    logins = (ANNA, BEN)

    def step(self, world):
        world.command("user", "remove", "ben")


class UserRemoveWithData(Scenario):
    """The command's answer may be that the user is removed, and the data are still there."""

    targets = BOTH
    changes_list = removes = True
    logins = (ANNA, BEN)

    def step(self, world):
        world.command("user", "remove", "ben", "--delete-data", "--yes")

    def also(self):
        return [lambda world: world.command("user", "remove", "ben")]

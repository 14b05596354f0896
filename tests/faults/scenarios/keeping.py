"""Backups, restores and repairs."""

from contextlib import suppress

from faults.scenarios.scenario import Scenario, put, upload
from faults.world import NotDone

BOTH = ("server", "command")


class Backup(Scenario):
    targets = BOTH

    def step(self, world):
        world.command("backup", "--to", world.backups, "anna")


class SecondBackup(Scenario):
    """Which shares media with the first, and after which that is removed."""

    targets = BOTH
    old_may_come_back = True

    def prepare(self, world):
        world.command("backup", "--to", world.backups, "anna")
        put(world.client("anna-phone"), {"four.mp3": b"4" * 5000})

    def step(self, world):
        world.command("backup", "--to", world.backups, "--keep", "1", "anna")

    def also(self):
        """Both are there until the old one has gone."""
        return [lambda world: world.command("backup", "--to", world.backups, "anna")]


class Restore(Scenario):
    """Of a snapshot. A device that has not downloaded it may then not upload."""

    targets = BOTH

    def step(self, world):
        world.command("restore", "anna", "--yes", "--at", replaced(world))

    def after(self, world):
        with suppress(NotDone):
            upload(world.client("anna-laptop"), world.files / "c.anki2")
            raise AssertionError("an upload undoes the restore")


class RestoreOfFile(Restore):
    def step(self, world):
        world.command("restore", "anna", "--yes", "--from", world.files / "b.anki2")


class AllowUpload(Scenario):
    targets = BOTH

    def prepare(self, world):
        world.command("restore", "anna", "--yes", "--from", world.files / "b.anki2")

    def step(self, world):
        world.command("restore", "anna", "--allow-upload")

    def after(self, world):
        upload(world.client("anna-laptop"), world.files / "c.anki2")


class Repair(Scenario):
    """Of media that are gone, and that came by hand; each is put right by itself."""

    targets = BOTH
    slow = True
    agreeing_media = False

    def prepare_stopped(self, world):
        media = world.base / "anna" / "media"
        (media / "one.png").unlink()
        (media / "by hand.txt").write_text("found")

    def step(self, world):
        if "not-looked-at" in (said := world.command("check", "--repair", "--yes")):
            raise NotDone(said)


def replaced(world):
    """The snapshot that the common folder has: a restore that was not confirmed adds another."""
    names = [path.name for path in (world.base / "anna/.anki-syncd/snapshots").iterdir()]
    return min(names).split(".")[0]



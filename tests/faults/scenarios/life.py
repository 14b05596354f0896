"""Starting over what a crash has left, closing what is idle, and stopping."""

import time

from faults.scenarios.media import MixedMedia
from faults.scenarios.normal import sync
from faults.scenarios.scenario import Scenario, put, upload
from faults.world import NotDone
from harness.raw import META

PATIENCE = 12


class StartOverJournal(Scenario):
    """A sync that was confirmed is in the write-ahead log when the server is killed."""

    starts_running = False

    def prepare_stopped(self, world):
        world.start()
        sync(world, world.client("anna-laptop"))
        world.kill()

    def step(self, world):
        world.begin()
        world.client("anna-phone").done("/sync/meta", META)


class StartOverMedia(Scenario):
    """A batch of media was recorded, and not all of its files moved, when the server is killed."""

    starts_running = False

    def prepare_stopped(self, world):
        def kill_at_second_file(process):
            moved = [call for call in process.calls if is_move_into_media(call)]
            if len(moved) == 2:
                process.send_signal(9)

        world.start(supervised=True)
        process = world.process
        process.before_each = lambda number: kill_at_second_file(process)
        process.arm()
        try:
            put(world.client("anna-phone"), MixedMedia.batch)
        except NotDone:
            pass
        else:
            raise AssertionError("no file was moved into the media folder")
        world.kill()

    def step(self, world):
        world.begin()
        world.client("anna-phone").done("/sync/meta", META)


def is_move_into_media(call):
    return call.name.startswith(("rename", "link")) and call.path.startswith("base/anna/media/")


class StartOverUpload(Scenario):
    """An upload was just about to replace the collection when the server is killed."""

    starts_running = False

    def prepare_stopped(self, world):
        def kill_at_replacement(process):
            if process.calls[-1].path == "base/anna/collection.anki2" and process.calls[
                -1
            ].name.startswith("rename"):
                process.send_signal(9)

        world.start(supervised=True)
        process = world.process
        process.before_each = lambda number: kill_at_replacement(process)
        process.arm()
        try:
            upload(world.client("anna-phone"), world.files / "b.anki2")
        except NotDone:
            pass
        else:
            raise AssertionError("the collection was not replaced by renaming")
        world.kill()

    def step(self, world):
        world.begin()
        world.client("anna-phone").done("/sync/meta", META)


class Stop(Scenario):
    """With databases open."""

    stops = True

    def before(self, world):
        sync(world, world.client("anna-laptop"))

    def step(self, world):
        if world.stop() != 0:
            raise NotDone("the server ended with an error")


class IdleClose(Scenario):
    """What nobody uses is closed, and is then one file."""

    slow = True

    def before(self, world):
        sync(world, world.client("anna-laptop"))

    def step(self, world):
        journal = world.base / "anna" / "collection.anki2-wal"
        deadline = time.monotonic() + PATIENCE
        while journal.exists() and world.is_running():
            if time.monotonic() > deadline:
                raise NotDone("the collection is still open")
            time.sleep(0.02)
        if not world.is_running():
            raise NotDone("the server is gone")

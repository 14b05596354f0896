"""One-way syncs."""

from http.client import HTTPException

from faults.scenarios.normal import sync
from faults.scenarios.scenario import Scenario, upload
from faults.world import NotDone
from harness import collection


class FirstUpload(Scenario):
    def step(self, world):
        upload(world.client("cleo-phone"), world.files / "b.anki2")


class UploadOverAnother(Scenario):
    def step(self, world):
        upload(world.client("anna-phone"), world.files / "b.anki2")


class UploadWhileOpen(Scenario):
    """With a journal of what the other device has synced just before."""

    def before(self, world):
        sync(world, world.client("anna-laptop"))

    def step(self, world):
        upload(world.client("anna-phone"), world.files / "b.anki2")


class UploadWithManySnapshots(Scenario):
    """Whereupon the oldest is removed, and the newest compressed."""

    loose_snapshots = True

    def prepare(self, world):
        for file in "babcabca":
            upload(world.client("anna-phone"), world.files / f"{file}.anki2")

    def step(self, world):
        upload(world.client("anna-phone"), world.files / "b.anki2")


class OldUpload(Scenario):
    """By a client of before 2023, in its envelope and schema."""

    def step(self, world):
        reply = attempt(world.old_client("anna-phone").upload, world.files / "old.anki2")
        if (reply.status, reply.body) != (200, b"OK"):
            raise NotDone(f"{reply.status} {reply.body[:200]}")


class RefusedUpload(Scenario):
    def step(self, world):
        reply = world.client("anna-phone").attempt("/sync/upload", world.files / "broken.anki2")
        assert reply.body != b"OK"
        if reply.status != 200:
            raise NotDone(f"{reply.status} {reply.body[:200]}")


class Download(Scenario):
    def step(self, world):
        path = world.work / "downloaded.anki2"
        reply = attempt(world.client("anna-laptop").post, "/sync/download", None, path)
        if reply.status != 200:
            raise NotDone(f"download: {reply.status}")
        assert_whole(path)


class OldDownload(Scenario):
    def step(self, world):
        path = world.work / "downloaded.anki2"
        attempt(world.old_client("anna-laptop").download, path)
        assert_whole(path)


def assert_whole(path):
    """What was answered with 200 is a collection, with something in it."""
    assert collection.integrity(path) == "ok"
    assert collection.rows(path)["notes"], "an empty collection was served"


def attempt(request, *arguments):
    try:
        return request(*arguments)
    except (OSError, HTTPException, AssertionError, ValueError) as error:
        raise NotDone(repr(error)) from error

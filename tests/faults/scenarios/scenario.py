"""What all scenarios have in common, and the folder that all of them begin with."""

import json
from contextlib import suppress

from faults import contents
from faults.world import PASSWORDS, Client, NotDone, running
from harness.raw import media_zip

SCHEMAS = {name: 1_690_000_000_000 + number for number, name in enumerate("abcd")}


class Scenario:
    """One operation, in steps each of which is wholly done or not at all."""

    # The processes in which faults are injected.
    targets = ("server",)
    # User and password pairs that are tried out afterwards.
    logins = ()
    # Whether the server runs when it begins.
    starts_running = True
    # Whether it ends when all has gone well.
    stops = False
    # Whether old snapshots may be there still, or gone already.
    loose_snapshots = False
    # Whether folder and database of media agree at the beginning.
    agreeing_media = True
    # Whether the devices that are listed count.
    devices = False
    # Whether what could not be stored may hold until the server ends, and no longer.
    may_fall_back = False
    # Whether what was removed is no loss when it is there again.
    old_may_come_back = False
    # Whether a list changes of which the server hears afterwards, or by the next command.
    changes_list = False
    # Whether much is removed, of which the rest may wait for the next start.
    removes = False
    # Whether one run waits for seconds, so that it is not done too often.
    slow = False

    def prepare(self, world):
        """Adds what it takes to the common folder; the server runs, and is stopped afterwards."""

    def prepare_stopped(self, world):
        """The same once it has stopped."""

    def before(self, world):
        """What the server has done before faults are injected."""

    def steps(self):
        """Each is given the world, and raises `NotDone` unless it was confirmed."""
        return [self.step]

    def also(self):
        """Other ways for it to end, of which the command's answer says that one was taken."""
        return []

    def again(self, world, done):
        """What the device or the person does next: the same, from what was not confirmed on."""
        for step in self.steps()[done:]:
            with suppress(NotDone):
                step(world)

    def after(self, world):
        """What has to be true once it was done, and costs the state to find out."""

    @classmethod
    def label(cls):
        words = "".join(f" {letter}" if letter.isupper() else letter for letter in cls.__name__)
        return "-".join(words.lower().split())


def common(world):
    """Two users with collections, media and devices, and one who has not synced yet."""
    for folder in (world.base, world.list.parent, world.backups, world.files):
        folder.mkdir(parents=True)
    world.base.chmod(0o700)
    world.list.write_text("".join(f"{user}:{word}\n" for user, word in PASSWORDS.items()))
    world.list.chmod(0o600)
    for name, words in {"a": "apple pear plum fig", "b": "red green blue", "c": "uno due"}.items():
        path = world.files / f"{name}.anki2"
        contents.collection_file(path, words.split(), SCHEMAS[name])
    contents.old_collection_file(world.files / "old.anki2")
    (world.files / "broken.anki2").write_bytes(b"SQLite format 3\0" + bytes(5000))
    with running(world):
        for name in ("anna-phone", "anna-laptop", "ben-phone", "cleo-phone"):
            user = name.split("-")[0]
            world.keys[name] = Client.logged_in(world, user, PASSWORDS[user]).key
            listed = json.loads(world.command("device", "list", "--all", "--json"))
            (new,) = {device["id"] for device in listed} - set(world.device_ids.values())
            world.device_ids[name] = new
        for name, file in [("anna-phone", "c"), ("anna-phone", "a"), ("ben-phone", "b")]:
            client = world.client(name)
            upload(client, world.files / f"{file}.anki2")
            put(client, contents.MEDIA)


# What devices do.


def upload(client, path):
    reply = client.attempt("/sync/upload", path)
    if reply.status != 200 or reply.body != b"OK":
        raise NotDone(f"upload: {reply.status} {reply.body[:200]}")


def put(client, files):
    answer = client.done("/msync/uploadChanges", media_zip(files))
    if answer["data"][0] != len(files):
        raise NotDone(f"media: {answer}")

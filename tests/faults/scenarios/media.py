"""Media, as devices send and fetch them."""

import io
import json
import zipfile

from faults.contents import MEDIA
from faults.scenarios.scenario import Scenario, put
from faults.world import NotDone
from harness.raw import CLIENT, media_zip

OTHER = {f"{word}.mp3": word.encode() * 11_000 for word in ("four", "five")}


class Media(Scenario):
    batch = {}

    def step(self, world):
        put(world.client("anna-phone"), self.batch)


class FirstMedia(Media):
    batch = OTHER

    def step(self, world):
        put(world.client("cleo-phone"), self.batch)


class NewMedia(Media):
    batch = OTHER


class ReplacedMedia(Media):
    batch = {name: content[::-1] for name, content in MEDIA.items()}


class RemovedMedia(Media):
    batch = {name: None for name in list(MEDIA)[:2]}


class IdenticalMedia(Media):
    batch = MEDIA


class MixedMedia(Media):
    """New, replaced, removed, and the same again."""

    batch = {
        "two.png": b"another two" * 800,
        "one.png": None,
        "three.png": MEDIA["three.png"],
        **OTHER,
    }


class RefusedMedia(Scenario):
    """A batch of which the last file is refused."""

    def step(self, world):
        batch = media_zip({**OTHER, "nothing.png": b""})
        reply = world.client("anna-phone").attempt("/msync/uploadChanges", batch)
        if reply.status != 400:
            raise NotDone(f"{reply.status} {reply.body[:200]}")


class MediaDownload(Scenario):
    def step(self, world):
        client = world.client("anna-laptop")
        client.done("/msync/begin", {"v": CLIENT})
        changes = client.done("/msync/mediaChanges", {"lastUsn": 0})["data"]
        assert {name for name, *_ in changes} == set(MEDIA), changes
        reply = client.attempt("/msync/downloadFiles", {"files": list(MEDIA)})
        if reply.status != 200:
            raise NotDone(f"{reply.status} {reply.body[:200]}")
        with zipfile.ZipFile(io.BytesIO(reply.body)) as archive:
            named = json.loads(archive.read("_meta"))
            assert {name: archive.read(entry) for entry, name in named.items()} == MEDIA
        client.done("/msync/mediaSanity", {"local": len(MEDIA)})

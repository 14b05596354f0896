"""As `worker.py`, for the clients from 2.1.24 to 2.1.66, whose interface changed several times."""

import inspect
import os
import sys
import time

import anki.sync
from answering import answer_requests

try:
    from anki.collection import Collection

    Collection.reopen
except (ImportError, AttributeError):
    from anki.storage import Collection

STEPS = ["NO_CHANGES", "NORMAL_SYNC", "FULL_SYNC", "FULL_DOWNLOAD", "FULL_UPLOAD"]


class Client:
    """What a device does without a server, and what all of these clients do alike."""

    def __init__(self, path):
        self.path = path
        self.open = None

    @property
    def col(self):
        if self.open is None:
            self.open = Collection(self.path)
            self.correct_ease()
        return self.open

    def correct_ease(self):
        """2.1.28 starts new collections with an ease of 2.5 %, which no other version lets pass."""
        decks = self.open.decks
        for config in either(decks, "all_config", "allConf")():
            if config["new"]["initialFactor"] < 1300:
                config["new"]["initialFactor"] = 2500
                either(decks, "update_config", "updateConf", "save")(config)
                self.open.save()

    @property
    def backend(self):
        return getattr(self.col, "_backend", None) or self.col.backend

    def close(self):
        if self.open is not None:
            close = self.open.close
            # Or the file would be of schema 11 again, whatever the version uses by itself.
            options = {"downgrade": False} if takes(close, "downgrade") else {}
            close(**options)
            self.open = None

    def login(self, endpoint, user, password):
        point_at(endpoint)
        return self.backend.sync_login(username=user, password=password).hkey

    def sync(self, endpoint, key):
        point_at(endpoint)
        outside = takes(self.col.save, "trx")
        if outside:
            self.col.save(trx=False)
        try:
            answer = self.sync_collection(endpoint, key)
        finally:
            if outside:
                self.col.db.begin()
        # What was read before is out of date.
        self.close()
        return STEPS[answer.required]

    def upload(self, endpoint, key):
        self.full_sync(endpoint, key, "full_upload")

    def download(self, endpoint, key):
        self.full_sync(endpoint, key, "full_download")

    def full_sync(self, endpoint, key, operation):
        point_at(endpoint)
        self.col.close_for_full_sync()
        try:
            getattr(self.full_syncs(), operation)(self.auth(endpoint, key))
        finally:
            reopen = self.col.reopen
            reopen(after_full_sync=True) if takes(reopen, "after_full_sync") else reopen()

    def sync_media(self, endpoint, key):
        point_at(endpoint)
        self.full_syncs().sync_media(self.auth(endpoint, key))
        status = getattr(self.col, "media_sync_status", None)
        while status is not None and status().active:
            time.sleep(0.02)

    def add_note(self, fields, notetype="Basic", deck="Default", tags=()):
        model = either(self.col.models, "by_name", "byName")(notetype)
        deck_id = self.add_deck(deck)
        note = self.new_note(model)
        # Of some notetypes there are fewer fields in one version than in another.
        note.fields = list(fields) + note.fields[len(fields) :]
        note.tags = list(tags)
        if hasattr(self.col, "add_note"):
            self.col.add_note(note, deck_id)
        else:
            note.model()["did"] = deck_id
            self.col.addNote(note)
            self.col.save()
        return note.id

    def new_note(self, model):
        if hasattr(self.col, "new_note"):
            return self.col.new_note(model)
        from anki.notes import Note

        return Note(self.col, model)

    def edit_note(self, note_id, fields):
        note = either(self.col, "get_note", "getNote")(note_id)
        note.fields = list(fields)
        if hasattr(self.col, "update_note"):
            self.col.update_note(note)
        else:
            note.flush()
            self.col.save()

    def delete_note(self, note_id):
        either(self.col, "remove_notes", "remNotes")([note_id])
        self.col.save()

    def add_deck(self, name):
        # Some of these clients never send a parent that they have made on the way.
        parts = name.split("::")
        names = ["::".join(parts[: end + 1]) for end in range(len(parts))]
        deck_id = [self.col.decks.id(name) for name in names][-1]
        self.col.save()
        return deck_id

    def review(self, cards, ease=3):
        for _ in range(cards):
            if hasattr(self.col.sched, "reset"):
                self.col.sched.reset()
            card = self.col.sched.getCard()
            either(card, "start_timer", "startTimer")()
            self.col.sched.answerCard(card, ease)
        self.col.save()

    def check_database(self):
        return either(self.col, "fix_integrity", "fixIntegrity")()

    def select(self, sql):
        return [list(row) for row in self.col.db.all(sql)]

    def named(self):
        """The names of what the tables of each version hold in another way."""
        return {
            "decks": sorted(deck["name"] for deck in self.col.decks.all()),
            "notetypes": sorted(model["name"] for model in self.col.models.all()),
            "tags": sorted(self.col.tags.all()),
        }


class NewestOfTheOld(Client):
    """2.1.57 to 2.1.66: the address is an argument, and the envelope the one of today."""

    def auth(self, endpoint, key):
        return anki.sync.SyncAuth(hkey=key, endpoint=endpoint)

    def login(self, endpoint, user, password):
        return self.col.sync_login(username=user, password=password, endpoint=endpoint).hkey

    def sync_collection(self, endpoint, key):
        return self.col.sync_collection(self.auth(endpoint, key))

    def full_syncs(self):
        return self.col


class WithOwnAuth(NewestOfTheOld):
    """2.1.44 to 2.1.56: the address comes from the environment."""

    def auth(self, endpoint, key):
        return anki.sync.SyncAuth(hkey=key, host_number=0)

    def login(self, endpoint, user, password):
        point_at(endpoint)
        return self.col.sync_login(username=user, password=password).hkey


class ByBackend(Client):
    """2.1.28 to 2.1.40: nothing but the Rust side knows of syncing."""

    def auth(self, endpoint, key):
        try:
            from anki.backend_pb2 import SyncAuth
        except ImportError:
            from anki._backend.backend_pb2 import SyncAuth
        return SyncAuth(hkey=key, host_number=0)

    def sync_collection(self, endpoint, key):
        return self.backend.sync_collection(self.auth(endpoint, key))

    def full_syncs(self):
        return self.backend


class InPython(Client):
    """2.1.24 to 2.1.26: collections are synced in Python, media in Rust."""

    STEPS = {"noChanges": "NO_CHANGES", "success": "NORMAL_SYNC", "fullSync": "FULL_SYNC"}

    def server(self, endpoint, key):
        anki.sync.SYNC_BASE = endpoint + "%s"
        return anki.sync.RemoteServer(key, None)

    def login(self, endpoint, user, password):
        key = self.server(endpoint, None).hostKey(user, password)
        if not key:
            raise RuntimeError("badAuth")
        return key

    def sync(self, endpoint, key):
        result = anki.sync.Syncer(self.col, self.server(endpoint, key)).sync()
        self.close()
        return self.STEPS.get(result, result)

    def full_sync(self, endpoint, key, operation):
        server = self.server(endpoint, key)
        syncer = anki.sync.FullSyncer(self.col, key, server.client, None)
        result = getattr(syncer, operation.replace("full_", ""))()
        self.open = None
        if operation == "full_upload" and result is not None and result is not True:
            raise RuntimeError(result)

    def sync_media(self, endpoint, key):
        self.backend.sync_media(key, endpoint + "msync/")


def point_at(endpoint):
    os.environ["SYNC_ENDPOINT"] = endpoint + "sync/"
    os.environ["SYNC_ENDPOINT_MEDIA"] = endpoint + "msync/"


def either(owner, *names):
    """The first of these that this version has."""
    return next(getattr(owner, name) for name in names if hasattr(owner, name))


def takes(function, parameter):
    return parameter in inspect.signature(function).parameters


def generation():
    if hasattr(anki.sync, "RemoteServer"):
        # Or the media sync asks a window that is not there whether to go on.
        from anki import hooks

        if hasattr(hooks, "bg_thread_progress_callback"):
            hooks.bg_thread_progress_callback.append(lambda proceed, progress: True)
        return InPython
    if not hasattr(Collection, "sync_login"):
        return ByBackend
    return NewestOfTheOld if takes(Collection.sync_login, "endpoint") else WithOwnAuth


if __name__ == "__main__":
    answer_requests(generation()(sys.argv[1]))

"""Runs inside the virtual environment of one Anki version and drives its client.

Reads one JSON request a line, `{"do": NAME, "with": {…}}`, and answers with one JSON line:
`{"value": …}` or `{"error": CLASS, "kind": …, "message": …}`. Needs nothing but the client itself.
"""

import sys
import time

from anki.collection import Collection
from anki.sync import SyncAuth
from answering import answer_requests


class Client:
    """The operations of one device; the collection is opened when it is first needed."""

    def __init__(self, path):
        self.path = path
        self.open = None

    @property
    def col(self):
        if self.open is None:
            self.open = Collection(self.path)
        return self.open

    def close(self):
        if self.open is not None:
            self.open.close()
            self.open = None

    # Against the server.

    def login(self, endpoint, user, password):
        return self.col.sync_login(username=user, password=password, endpoint=endpoint).hkey

    def status(self, endpoint, key):
        # An open client asks the server every few minutes only, and repeats itself in between.
        self.close()
        return required(self.col.sync_status(auth(endpoint, key)))

    def sync(self, endpoint, key):
        return required(self.col.sync_collection(auth(endpoint, key), False))

    def upload(self, endpoint, key):
        self.full_sync(endpoint, key, upload=True)

    def download(self, endpoint, key):
        self.full_sync(endpoint, key, upload=False)

    def full_sync(self, endpoint, key, upload):
        self.col.close_for_full_sync()
        try:
            self.col.full_upload_or_download(
                auth=auth(endpoint, key), server_usn=None, upload=upload
            )
        finally:
            self.col.reopen(after_full_sync=True)

    def sync_media(self, endpoint, key):
        self.col.sync_media(auth(endpoint, key))
        while self.col.media_sync_status().active:
            time.sleep(0.02)

    # On the device.

    def add_note(self, fields, notetype="Basic", deck="Default", tags=()):
        note = self.col.new_note(self.col.models.by_name(notetype))
        note.fields = list(fields) + note.fields[len(fields) :]
        note.tags = list(tags)
        self.col.add_note(note, self.col.decks.id(deck))
        return note.id

    def edit_note(self, note_id, fields):
        note = self.col.get_note(note_id)
        note.fields = list(fields)
        self.col.update_note(note)

    def delete_note(self, note_id):
        self.col.remove_notes([note_id])

    def add_deck(self, name):
        return self.col.decks.id(name)

    def review(self, cards, ease=3):
        for _ in range(cards):
            card = self.col.sched.getCard()
            card.start_timer()
            self.col.sched.answerCard(card, ease)

    def check_database(self):
        """What "Check Database" says, and whether it is content."""
        return self.col.fix_integrity()

    def set_unknown(self, key, value):
        """Puts a key that no version knows into one object of every kind."""
        savers, objects = self.objects()
        for save, found in zip(savers, objects):
            save({**found, key: value})
        self.col.set_config(key, value)

    def get_unknown(self, key):
        return [found.get(key) for found in self.objects()[1]] + [self.col.get_config(key)]

    def objects(self):
        """How to save a deck, a deck config and a notetype, and one of each."""
        decks, notetypes = self.col.decks, self.col.models
        return (
            [decks.save, decks.update_config, notetypes.update_dict],
            [decks.get(1), decks.get_config(1), notetypes.by_name("Basic")],
        )

    def select(self, sql):
        return self.col.db.all(sql)

    def execute(self, sql):
        self.col.db.execute(sql)

    def named(self):
        """The names of what the tables of each version hold in another way."""
        return {
            "decks": sorted(deck["name"] for deck in self.col.decks.all()),
            "notetypes": sorted(notetype["name"] for notetype in self.col.models.all()),
            "tags": sorted(self.col.tags.all()),
        }


def auth(endpoint, key):
    return SyncAuth(hkey=key, endpoint=endpoint)


def required(answer):
    """The name of the step that the client would take next, such as `NORMAL_SYNC`."""
    names = answer.DESCRIPTOR.fields_by_name["required"].enum_type.values_by_number
    return names[answer.required].name


if __name__ == "__main__":
    answer_requests(Client(sys.argv[1]))

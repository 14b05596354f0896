"""Changes of all kinds, chosen at random, within what several devices can do at a time.

Loaded into the client's process. Some changes of two people do not go together, whatever the
server does: cards that one adds to a deck which the other removes, say, or two decks of one name.
So a deck, filtered or not, whose name begins with a device's letter is this device's alone, as are
its cards; everything else is anybody's.
"""

import random

import changes

BASIC = "Basic"
REVERSED = "Basic (and reversed card)"
CLOZE = "Cloze"
NOTETYPES = [BASIC, REVERSED, CLOZE, "Basic (type in the answer)"]
SHARED = "Shared"
WORDS = "Apfel straße 日本語 🛣 ñandú tea œuvre verb 42".split()
TAGS = ["verb", "noun::häufig", "noun::selten", "日本", "leech", "x::y::z"]


def make(col, seed, count, me, others):
    """Makes that many changes and answers their names."""
    person = Person(col, random.Random(seed), me, others)
    return [person.do_something() for _ in range(count)]


class Person:
    """Somebody at a device, who does what comes to mind."""

    def __init__(self, col, chance, me, others):
        self.col = col
        self.chance = chance
        self.me = me
        self.others = others

    def do_something(self):
        habits = [name for name in dir(type(self)) if name.startswith("do_") and "some" not in name]
        while True:
            name = self.chance.choice(habits)
            # What there is nothing for is not done.
            if getattr(self, name)() is not False:
                return name.removeprefix("do_")

    # What there is.

    def word(self):
        return f"{self.chance.choice(WORDS)} {self.chance.randrange(10_000)}"

    def new_name(self):
        """A name that no other device comes upon."""
        return f"{self.me}{self.chance.randrange(1_000_000)}"

    def is_mine(self, name):
        return name.startswith(self.me + " ")

    def is_anybodys(self, name):
        return not any(name.startswith(who + " ") for who in [self.me, *self.others])

    def decks(self, wanted, filtered=False):
        return [
            deck.id
            for deck in self.col.decks.all_names_and_ids()
            if wanted(deck.name) and self.col.decks.is_filtered(deck.id) == filtered
        ]

    def shared_decks(self):
        return self.decks(self.is_anybodys)

    def own_decks(self):
        return self.decks(self.is_mine)

    def own_filtered(self):
        return self.decks(self.is_mine, filtered=True)

    def notes(self, most=3, where="true"):
        found = self.col.db.list(f"select id from notes where {where} order by id")
        return self.sample(found, most)

    def cards(self, where="true", most=4):
        decks = [*self.shared_decks(), *self.own_decks(), *self.own_filtered()]
        among = ",".join(map(str, decks))
        found = self.col.db.list(
            f"select id from cards where did in ({among}) and odid in (0,{among}) and {where}"
            " order by id"
        )
        return self.sample(found, most)

    def sample(self, found, most):
        return self.chance.sample(found, min(len(found), self.chance.randint(1, most)))

    def pick(self, found):
        return self.chance.choice(found) if found else None

    # Notes.

    def text(self, notetype):
        if notetype == CLOZE:
            # The second number is this device's, or two devices would make the same card each.
            second = 2 + sorted([self.me, *self.others]).index(self.me)
            return [f"{{{{c1::{self.word()}}}}} {{{{c{second}::{self.word()}}}}}", self.word()]
        return [f"<b>{self.word()}</b>", self.word()]

    def do_add_notes(self):
        for _ in range(self.chance.randint(1, 3)):
            self.add(self.chance.choice(NOTETYPES), self.pick(self.shared_decks()))

    def do_add_note_to_own_deck(self):
        deck = self.pick(self.own_decks())
        # With one card each, so that no note loses some cards here and the others elsewhere.
        return False if deck is None else self.add(BASIC, deck)

    def add(self, notetype, deck):
        note = self.col.new_note(self.col.models.by_name(notetype))
        note.fields = self.text(notetype)
        note.tags = self.sample(TAGS, 2)
        self.col.add_note(note, deck)

    def do_edit_notes(self):
        for note_id in self.notes():
            note = self.col.get_note(note_id)
            name = note.note_type()["name"]
            if name == CLOZE and len(self.cards(f"nid = {note_id}", 9)) != len(note.cards()):
                continue  # A new card would go to another device's deck.
            note.fields = self.text(name)
            self.col.update_note(note)

    def do_tag_notes(self):
        changes.tag(self.col, self.notes(), self.chance.choice(TAGS))

    def do_untag_notes(self):
        changes.untag(self.col, self.notes(), self.chance.choice(TAGS))

    def do_delete_notes(self):
        # An edit elsewhere may be adding a card, which nobody would then delete.
        cloze = self.col.models.id_for_name(CLOZE)
        changes.delete_many(self.col, self.notes(2, f"mid != {cloze}"))

    # Cards.

    def do_suspend(self):
        changes.suspend(self.col, self.cards("queue != -1"))

    def do_unsuspend(self):
        changes.unsuspend(self.col, self.cards("queue = -1"))

    def do_bury(self):
        changes.bury(self.col, self.cards("queue >= 0"))

    def do_unbury(self):
        changes.unbury(self.col, self.cards("queue < -1"))

    def do_flag(self):
        changes.flag(self.col, self.cards(), self.chance.randrange(8))

    def do_set_due(self):
        changes.set_due(self.col, self.cards(), self.chance.choice(["0", "3-9", "2!"]))

    def do_forget(self):
        changes.forget(self.col, self.cards("odid = 0"))

    def do_reposition(self):
        changes.reposition(self.col, self.cards("type = 0"), self.chance.randrange(1000))

    def do_move(self):
        changes.move(self.col, self.cards(), self.pick(self.shared_decks()))

    def do_move_to_own(self):
        deck = self.pick(self.own_decks())
        alone = f"(select mid from notes where id = nid) = {self.col.models.id_for_name(BASIC)}"
        return False if deck is None else changes.move(self.col, self.cards(alone), deck)

    def do_annotate(self):
        for card in self.cards():
            changes.annotate(self.col, card, f'{{"n":{self.chance.randrange(1000)}}}')

    def do_study(self):
        self.study(self.shared_decks())

    def do_study_own(self):
        return self.study([*self.own_decks(), *self.own_filtered()])

    def study(self, decks):
        deck = self.pick(decks)
        if deck is None:
            return False
        for _ in range(self.chance.randint(1, 4)):
            changes.study(self.col, deck, 1, self.chance.choice([1, 2, 3, 3, 3, 4]))
        return None

    # Decks and their options.

    def do_add_deck(self):
        self.col.decks.id(f"{SHARED}::{self.new_name()}")

    def do_add_own_deck(self):
        parent = self.pick(self.own_decks())
        own = f"{self.me} {self.new_name()}"
        self.col.decks.id(own if parent is None else f"{self.col.decks.name(parent)}::{own}")

    def do_rename_deck(self):
        leaves = self.decks(lambda name: name.startswith(f"{SHARED}::"))
        deck = self.pick(leaves)
        if deck is None:
            return False
        return changes.rename_deck(self.col, deck, f"{SHARED}::{self.new_name()}")

    def do_rename_own_deck(self):
        deck = self.pick([*self.own_decks(), *self.own_filtered()])
        if deck is None:
            return False
        return changes.rename_deck(self.col, deck, f"{self.me} {self.new_name()}")

    def do_remove_own_deck(self):
        deck = self.pick(self.own_decks())
        return False if deck is None else changes.remove_deck(self.col, deck)

    def do_describe_deck(self):
        # One key of an add-on's, since several are not kept in order.
        keys = {"desc": self.word(), "addon": self.word()}
        changes.amend_deck(self.col, self.pick(self.shared_decks()), keys)

    def do_add_options(self):
        options = changes.add_options(self.col, self.word())
        changes.use_options(self.col, self.pick(self.shared_decks()), options)

    def do_amend_options(self):
        options = self.chance.choice(self.col.decks.all_config())
        keys = {"maxTaken": self.chance.randint(10, 90), "new": {"perDay": self.chance.randint(20, 99)}}
        changes.amend_options(self.col, options["id"], keys)

    # Filtered decks.

    def do_add_filtered(self):
        # Among what is anybody's; and not without a card, which the client refuses.
        search = f'(deck:Default or "deck:{SHARED}") {self.chance.choice(["is:new", "is:due", ""])}'
        if not self.col.find_cards(f"{search} -is:suspended -is:buried -deck:filtered"):
            return False
        name = f"{self.me} {self.new_name()}"
        limit = self.chance.randint(1, 8)
        changes.add_filtered(self.col, name, search, limit, reschedule=self.chance.random() < 0.7)
        return None

    def do_rebuild_filtered(self):
        deck = self.pick(self.own_filtered())
        return False if deck is None else changes.rebuild_filtered(self.col, deck)

    def do_empty_filtered(self):
        deck = self.pick(self.own_filtered())
        return False if deck is None else changes.empty_filtered(self.col, deck)

    def do_remove_filtered(self):
        deck = self.pick(self.own_filtered())
        return False if deck is None else changes.remove_deck(self.col, deck)

    # Notetypes and settings.

    def do_restyle(self):
        css = f".card {{ content: '{self.word()}' }}"
        changes.amend_notetype(self.col, self.chance.choice(NOTETYPES), {"css": css})

    def do_amend_template(self):
        # Not of cloze notes: some of those had a card twice in the end, with either server alike.
        name = self.chance.choice([name for name in NOTETYPES if name != CLOZE])
        side = self.chance.choice(["qfmt", "afmt"])
        keys = {side: f"{{{{Front}}}} {self.word()}", "addon": self.word()}
        changes.amend_template(self.col, name, keys)

    def do_copy_notetype(self):
        changes.copy_notetype(self.col, self.chance.choice(NOTETYPES), self.new_name())

    def do_set_config(self):
        key = f"addon{self.chance.randrange(9)}"
        changes.set_config(self.col, key, [self.word(), 1.5, None])

    def do_remove_config(self):
        changes.remove_config(self.col, f"addon{self.chance.randrange(9)}")

    def do_switch_fsrs(self):
        changes.set_config(self.col, "fsrs", self.chance.random() < 0.7)

"""What people do to their collections: each a function of the collection, run inside the client.

Needs nothing but the client itself, since it is loaded into the client's process.
"""

# Notes.


def tag(col, note_ids, tags):
    col.tags.bulk_add(note_ids, tags)


def untag(col, note_ids, tags):
    col.tags.bulk_remove(note_ids, tags)


def add_many(col, count, text):
    """Notes with one card each; answers their ids."""
    from anki.collection import AddNoteRequest

    notetype = col.models.by_name("Basic")
    requests = []
    for number in range(count):
        note = col.new_note(notetype)
        note.fields = [f"{text} {number}", "back"]
        requests.append(AddNoteRequest(note, deck_id=1))
    col.add_notes(requests)
    return [request.note.id for request in requests]


def delete_many(col, note_ids):
    col.remove_notes(note_ids)


def replace_everywhere(col, note_ids, search, replacement):
    col.find_and_replace(
        note_ids=note_ids, search=search, replacement=replacement, regex=False, match_case=True
    )


# Tags.


def rename_tag(col, old, new):
    col.tags.rename(old, new)


def move_tags(col, tags, parent):
    col.tags.reparent(tags, parent)


def unfold_tag(col, tag, collapsed=False):
    col.tags.set_collapsed(tag, collapsed)


def clear_unused_tags(col):
    col.tags.clear_unused_tags()


# Cards.


def cards_of(col, note_id):
    return list(col.card_ids_of_note(note_id))


def suspend(col, cards):
    col.sched.suspend_cards(cards)


def unsuspend(col, cards):
    col.sched.unsuspend_cards(cards)


def bury(col, cards):
    col.sched.bury_cards(cards)


def unbury(col, cards):
    col.sched.unbury_cards(cards)


def flag(col, cards, flag):
    """Not by the client's own operation, which leaves the time of the change as it was: of two
    devices that flag one card each would keep its own flag for good, whatever the server does.
    """
    found = [col.get_card(card) for card in cards]
    for card in found:
        card.flags = flag
    col.update_cards(found)


def flag_quietly(col, cards, flag):
    """By the client's own operation."""
    col.set_user_flag_for_cards(flag, cards)


def move(col, cards, deck):
    col.set_deck(cards, deck)


def set_due(col, cards, days):
    col.sched.set_due_date(cards, days)


def forget(col, cards):
    col.sched.schedule_cards_as_new(cards)


def reposition(col, cards, start):
    col.sched.reposition_new_cards(
        cards, starting_from=start, step_size=1, randomize=False, shift_existing=False
    )


def annotate(col, card_id, data):
    """Custom data, as scheduling scripts leave it on a card."""
    card = col.get_card(card_id)
    card.custom_data = data
    col.update_card(card)


def study(col, deck, cards, ease=3):
    """Answers cards of a deck for as long as there are any; says how many."""
    col.decks.select(deck)
    for answered in range(cards):
        card = col.sched.getCard()
        if card is None:
            return answered
        card.start_timer()
        col.sched.answerCard(card, ease)
    return cards


# Decks and their options.


def rename_deck(col, deck, name):
    col.decks.rename(deck, name)


def move_decks(col, decks, parent):
    col.decks.reparent(decks, parent)


def remove_deck(col, deck):
    col.decks.remove([deck])


def amend_deck(col, deck, keys):
    """Sets keys of the deck's JSON, known ones or an add-on's."""
    found = col.decks.get(deck)
    found.update(keys)
    col.decks.save(found)


def deck_json(col, deck):
    return col.decks.get(deck)


def add_options(col, name):
    return col.decks.add_config_returning_id(name)


def amend_options(col, options, keys):
    found = col.decks.get_config(options)
    for key, value in keys.items():
        if isinstance(value, dict):
            found.setdefault(key, {}).update(value)
        else:
            found[key] = value
    col.decks.update_config(found)


def options_json(col, options):
    return col.decks.get_config(options)


def use_options(col, deck, options):
    found = col.decks.get(deck)
    col.decks.set_config_id_for_deck_dict(found, options)


def remove_options(col, options):
    """Changes the schema."""
    col.decks.remove_config(options)


def add_filtered(col, name, search, limit=20, reschedule=True):
    """A filtered deck, filled with what the search finds; answers its id."""
    deck = col.sched.get_or_create_filtered_deck(0)
    deck.name = name
    del deck.config.search_terms[1:]
    deck.config.search_terms[0].search = search
    deck.config.search_terms[0].limit = limit
    deck.config.reschedule = reschedule
    return col.sched.add_or_update_filtered_deck(deck).id


def rebuild_filtered(col, deck):
    col.sched.rebuild_filtered_deck(deck)


def empty_filtered(col, deck):
    col.sched.empty_filtered_deck(deck)


# Notetypes.


def amend_notetype(col, name, keys):
    """Sets keys of the notetype's JSON, known ones or an add-on's."""
    found = col.models.by_name(name)
    found.update(keys)
    col.models.update_dict(found)


def amend_template(col, name, keys):
    found = col.models.by_name(name)
    found["tmpls"][0].update(keys)
    col.models.update_dict(found)


def amend_field(col, name, keys):
    found = col.models.by_name(name)
    found["flds"][0].update(keys)
    col.models.update_dict(found)


def copy_notetype(col, name, new_name):
    found = col.models.by_name(name)
    copied = col.models.copy(found, add=False)
    copied["name"] = new_name
    return col.models.add_dict(copied).id


def add_field(col, name, field):
    """Changes the schema: the next sync has to be a full one."""
    found = col.models.by_name(name)
    col.models.add_field(found, col.models.new_field(field))
    col.models.update_dict(found)


def reshape(col, name):
    """Renames the first field and makes it the last, and adds a template: changes the schema."""
    found = col.models.by_name(name)
    col.models.rename_field(found, found["flds"][0], "Renamed")
    col.models.reposition_field(found, found["flds"][0], len(found["flds"]) - 1)
    template = col.models.new_template("Another")
    template["qfmt"] = "another {{Renamed}}"
    col.models.add_template(found, template)
    col.models.update_dict(found)


def remove_field(col, name, field):
    """Changes the schema."""
    found = col.models.by_name(name)
    col.models.remove_field(
        found, next(having for having in found["flds"] if having["name"] == field)
    )
    col.models.update_dict(found)


def change_notetype(col, note_ids, name):
    """Makes the notes ones of another notetype, field by field: changes the schema."""
    old, new = col.get_note(note_ids[0]).mid, col.models.id_for_name(name)
    info = col.models.change_notetype_info(old_notetype_id=old, new_notetype_id=new)
    request = info.input
    request.note_ids.extend(note_ids)
    col.models.change_notetype_of_notes(request)


def remove_notetype(col, name):
    """Changes the schema."""
    col.models.remove(col.models.id_for_name(name))


def notetype_json(col, name):
    return col.models.by_name(name)


# Settings.


def set_config(col, key, value):
    col.set_config(key, value)


def get_config(col, key):
    return col.get_config(key)


def remove_config(col, key):
    col.remove_config(key)


# The collection as a whole.


def undo(col):
    """Says what has been undone."""
    return col.undo().operation


def redo(col):
    return col.redo().operation


def ask_for_full_sync(col):
    col.mod_schema(check=False)


# Damage that only something other than the client does.


def execute(col, sql):
    col.db.execute(sql)

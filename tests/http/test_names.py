"""Names as people type them: phones begin with a capital letter."""

import pytest

from harness.device import ClientError

USERS = {"anna": "anna's pass:wörd", "Jürgen Groß": "j", "ben": "b", "Ben": "B"}


@pytest.fixture
def server(start_server):
    return start_server("ours", users=USERS)


def test_a_capital_letter_does_not_matter_and_the_account_is_the_same(server, new_device):
    device, phone = new_device(server), new_device(server, "Anna")
    device.login()
    device.add_note("front", "back")
    device.upload()
    phone.login(USERS["anna"])
    phone.download()
    assert phone.rows()["notes"] == device.rows()["notes"]
    phone.add_note("from the", "phone")
    assert phone.sync() == "NO_CHANGES"
    assert sorted(path.name for path in server.base.iterdir()) == [".anki-syncd", "anna"]
    devices = {device["user"] for device in server.answer("device", "list")}
    assert devices == {"anna"}


def test_other_letters_do_not_matter_either(server, new_device):
    new_device(server, "JÜRGEN GROSS").login("j")


def test_of_two_names_that_differ_in_case_only_exactly_the_typed_one_counts(server, new_device):
    for user, password, is_let_in in [
        ("ben", "b", True),
        ("Ben", "B", True),
        ("ben", "B", False),
        ("BEN", "b", False),
        ("BEN", "B", False),
    ]:
        if is_let_in:
            new_device(server, user).login(password)
        else:
            with pytest.raises(ClientError):
                new_device(server, user).login(password)

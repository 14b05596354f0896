"""Logging in with a real client."""

import pytest

from harness.device import ClientError


def test_the_right_password_gives_a_host_key_that_works(server, new_device):
    device = new_device(server)
    assert device.login()
    assert device.status() == "NO_CHANGES"


def test_a_host_key_works_for_its_own_user_only(server, new_device):
    anna, ben = new_device(server, "anna"), new_device(server, "ben")
    anna.login(), ben.login()
    assert anna.key != ben.key
    anna.add_note("hers", "alone")
    anna.upload()
    assert ben.sync() == "NO_CHANGES"


@pytest.mark.parametrize(
    ("user", "password"),
    [("anna", "wrong"), ("anna", ""), ("nobody", "b"), ("", ""), ("ben", "b ")],
)
def test_a_bad_login_is_reported_as_email_or_password_incorrect(server, new_device, user, password):
    with pytest.raises(ClientError, match="Email or password was incorrect") as error:
        new_device(server, user).login(password)
    assert error.value.kind == "AUTH"


@pytest.mark.parametrize("operation", ["sync", "upload", "download", "sync_media"])
@pytest.mark.parametrize("key", ["", "0123456789abcdef0123456789abcdef01234567"])
def test_a_wrong_host_key_asks_to_log_in_again(server, new_device, operation, key):
    device = new_device(server)
    device.key = key
    with pytest.raises(ClientError) as error:
        getattr(device, operation)()
    assert error.value.kind == "AUTH"


def test_a_refused_upload_leaves_the_collection_alone(server, new_device):
    device, stranger = new_device(server), new_device(server)
    device.login()
    device.add_note("kept", "here")
    device.upload()
    stranger.key = "stolen"
    stranger.add_note("not", "wanted")
    with pytest.raises(ClientError):
        stranger.upload()
    assert device.sync() == "NO_CHANGES"

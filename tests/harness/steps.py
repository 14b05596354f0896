"""What tests do with devices again and again."""

import threading

import pytest

from harness.device import ClientError


def logged_in(device, password=None):
    device.login(password)
    return device


def with_notes(device, count=3):
    logged_in(device)
    for number in range(count):
        device.add_note(f"note {number}", device.user)
    device.upload()
    return device


def is_asked_to_log_in(device):
    with pytest.raises(ClientError) as error:
        device.sync()
    return error.value.kind == "AUTH"


class Background(threading.Thread):
    """Something that a device does meanwhile; its failure is raised when it is waited for."""

    def __init__(self, work):
        super().__init__()
        self.work, self.failure = work, None
        self.start()

    def run(self):
        try:
            self.work()
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            self.failure = error

    def wait(self):
        self.join(60)
        assert not self.is_alive()
        if self.failure is not None:
            raise self.failure

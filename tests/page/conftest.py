"""A browser in front of a server."""

import pytest

from harness import apt
from harness.browser import PACKAGE, Browser


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    apt.provide(PACKAGE, "fonts-dejavu-core")
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.end()


@pytest.fixture
def browser(chromium):
    chromium.allow_scripts(True)
    chromium.look(1280, 900, "light")
    return chromium

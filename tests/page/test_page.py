"""The page at `/` in a real browser, at the widths and in the colours that people have.

Screenshots of the whole page are written to the folder SCREENSHOTS, by default
`target/screenshots`.
"""

import os
from pathlib import Path

import pytest

from harness import qr
from harness.server import TARGET

SCREENSHOTS = Path(os.environ.get("SCREENSHOTS", TARGET / "screenshots"))
WIDTHS = {"phone": (375, 812), "desktop": (1280, 900), "narrow": (320, 568)}
ADDRESS = "document.querySelector('.address').innerText"
# By the formula of WCAG; 4.5 is what normal text needs.
CONTRASTS = """
(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const paper = (it) => {
    for (; it; it = it.parentElement) {
      const found = rgb(getComputedStyle(it).backgroundColor);
      if (found[3] !== 0) return found;
    }
    throw new Error("nothing is painted behind it");
  };
  return [...document.querySelectorAll("body *")]
    .filter((it) => [...it.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .filter((it) => it.tagName !== "SCRIPT")
    .map((it) => {
      const [a, b] = [light(rgb(getComputedStyle(it).color)), light(paper(it))].sort((x, y) => y - x);
      return [(a + 0.05) / (b + 0.05), it.tagName, it.textContent.slice(0, 40)];
    });
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", WIDTHS)
@pytest.mark.parametrize("unfolded", [False, True], ids=["folded", "unfolded"])
def test_the_page_fits_and_can_be_read(ours, browser, device, scheme, unfolded):
    browser.look(*WIDTHS[device], scheme)
    # Where the page is, people have no name for the server.
    browser.open(f"http://192.0.2.10:{ours.port}/")
    if unfolded:
        browser.evaluate("document.querySelectorAll('details').forEach((it) => (it.open = true))")
    suffix = "-unfolded" if unfolded else ""
    browser.screenshot(SCREENSHOTS / f"{device}-{scheme}{suffix}.png")
    assert browser.evaluate("document.documentElement.scrollWidth") <= WIDTHS[device][0]
    contrasts = browser.evaluate(CONTRASTS)
    assert len(contrasts) > 30
    assert [found for found in contrasts if found[0] < 4.5] == []
    painted = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (painted == "rgb(20, 25, 31)") == (scheme == "dark")
    assert browser.complaints() == []


@pytest.mark.parametrize("host", ["192.0.2.10", "anki.example.org", "nas"])
def test_the_address_is_the_one_that_the_browser_used(ours, browser, host):
    browser.open(f"http://{host}:{ours.port}/")
    assert browser.evaluate(ADDRESS) == f"http://{host}:{ours.port}/"
    assert "not encrypted" in browser.evaluate("document.body.innerText")
    assert browser.requested() == [f"http://{host}:{ours.port}/"]
    assert browser.complaints() == []


@pytest.mark.parametrize("device", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_camera_reads_the_exact_address(ours, browser, tmp_path, device, scheme):
    browser.look(*WIDTHS[device], scheme)
    browser.open(f"http://192.0.2.10:{ours.port}/sync/")
    browser.screenshot(tmp_path / "page.png")
    assert qr.in_picture(tmp_path / "page.png") == f"http://192.0.2.10:{ours.port}/"


ANDROID = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/130.0 Mobile Safari/537.36"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0"
MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.0"


@pytest.mark.parametrize(
    ("agent", "fingers", "client"),
    [
        (None, 0, "Anki on a computer"),
        (MAC, 0, "Anki on a computer"),
        # An iPad that calls itself a Mac.
        (MAC, 5, "AnkiMobile"),
        (IPHONE, 5, "AnkiMobile"),
        (ANDROID, 5, "AnkiDroid"),
    ],
    ids=["computer", "mac", "ipad", "iphone", "android"],
)
def test_the_visitors_own_client_is_unfolded_and_no_other(ours, browser, agent, fingers, client):
    own = browser.evaluate("navigator.userAgent")
    touch = {"enabled": fingers > 0, "maxTouchPoints": max(fingers, 1)}
    browser.command("Emulation.setTouchEmulationEnabled", **touch)
    browser.command("Network.setUserAgentOverride", userAgent=agent or own)
    try:
        browser.open(ours.url)
        opened = browser.evaluate(
            "[...document.querySelectorAll('details[open] summary')].map((it) => it.innerText)"
        )
        assert [summary.split("  ")[0][: len(client)] for summary in opened] == [client]
    finally:
        browser.command("Network.setUserAgentOverride", userAgent=own)
        browser.command("Emulation.setTouchEmulationEnabled", enabled=False)


def test_the_first_sync_has_a_box_of_its_own(ours, browser):
    browser.open(ours.url)
    boxes = browser.evaluate(
        "[...document.querySelectorAll('section')].map((it) => it.querySelector('h2').innerText)"
    )
    assert "The first sync" in boxes


@pytest.mark.parametrize("path", ["sync/", "msync/", "/", "sync", "/sync/", "index.html"])
def test_a_wrong_address_gets_the_right_one(ours, browser, path):
    browser.open(f"http://192.0.2.10:{ours.port}/{path}")
    assert browser.evaluate(ADDRESS) == f"http://192.0.2.10:{ours.port}/"
    assert "does not work in Anki" in browser.evaluate("document.body.innerText")


def test_localhost_is_said_to_be_this_computer_only(ours, browser):
    browser.open(f"http://localhost:{ours.port}/")
    assert "this computer only" in browser.evaluate("document.body.innerText")


def test_the_button_copies_the_address_also_without_https(ours, browser):
    address = f"http://192.0.2.10:{ours.port}/"
    browser.open(address)
    assert browser.evaluate("isSecureContext") is False
    browser.click(".address + button")
    assert browser.evaluate("document.querySelector('button').innerText") == "Copied"
    # To look into the clipboard is allowed in a secure context only.
    browser.open(ours.url)
    browser.command("Browser.grantPermissions", permissions=["clipboardReadWrite"])
    assert browser.evaluate("navigator.clipboard.readText()") == address


def test_without_scripts_one_click_selects_the_address(ours, browser):
    browser.allow_scripts(False)
    browser.open(f"http://192.0.2.10:{ours.port}/")
    assert browser.evaluate("document.querySelector('button')") is None
    browser.click(".address")
    assert browser.evaluate("getSelection().toString()") == f"http://192.0.2.10:{ours.port}/"
    browser.screenshot(SCREENSHOTS / "without-scripts.png")


def test_the_policy_lets_nothing_else_run(ours, browser):
    browser.open(ours.url)
    browser.evaluate(
        "document.body.insertAdjacentHTML('beforeend', '<img src=/x onerror=\"window.ran = 1\">');"
        "const script = document.createElement('script'); script.textContent = 'window.ran = 2';"
        "document.body.append(script)"
    )
    assert browser.evaluate("window.ran === undefined")
    violations = [
        entry["entry"]["text"]
        for entry in browser.named("Log.entryAdded")
        if "Content Security Policy" in entry["entry"]["text"]
    ]
    assert any("image" in text for text in violations)
    assert any("script" in text for text in violations)

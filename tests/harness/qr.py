"""QR codes, as a camera reads them."""

import re

import zxingcpp
from PIL import Image

# Of a module, in pixels.
SIZE = 8
# The upper and the lower module of a character.
HALVES = {" ": (0, 0), "▀": (1, 0), "▄": (0, 1), "█": (1, 1)}
LINE = re.compile(r"\x1b\[38;5;16;48;5;231m([ ▀▄█]+)\x1b\[0m")


def in_picture(path):
    """The text of the only one in a picture."""
    return text_of(Image.open(path))


def in_terminal(shown):
    """The text of the only one among what a terminal was sent: black on white."""
    lines = LINE.findall(shown)
    rows = [[HALVES[char][half] for char in line] for line in lines for half in (0, 1)]
    picture = Image.new("L", (len(rows[0]), len(rows)), 255)
    picture.putdata([0 if dark else 255 for row in rows for dark in row])
    return text_of(picture.resize((picture.width * SIZE, picture.height * SIZE), Image.NEAREST))


def text_of(picture):
    (code,) = zxingcpp.read_barcodes(picture.convert("L"))
    assert code.format == zxingcpp.BarcodeFormat.QRCode, code.format
    return code.text

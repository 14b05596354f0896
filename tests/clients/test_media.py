"""Media up and down with real clients."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import MEBIBYTE
from harness.device import ClientError

# All in Unicode's normal form C, the only one that the protocol takes.
NAMES = [
    "plain.txt",
    "UPPER.PNG",
    "no_extension",
    "two words.jpg",
    "it's.gif",
    "“typographic”.png",
    "percent%20.txt",
    "plus+and&.txt",
    "semi;colon, comma.txt",
    "a=b#c@d!.bin",
    "(round) {curly}.ogg",
    "dots.in.name.tar.gz",
    "_underscore.css",
    "Füße.mp3",
    "café-ñ.jpg",
    "Ångström.webp",
    "Żółć.svg",
    "пример.mp3",
    "παράδειγμα.wav",
    "דוגמה.ogg",
    "مثال.png",
    "日本語.mp3",
    "中文 文件.jpg",
    "한국어.ogg",
    "ตัวอย่าง.png",
    "🎴.png",
    "👩🏽\u200d🚀 emoji.png",
    "ǆ titlecase.txt",
    "ﬁ ligature.txt",
]


def some_files(count, seed):
    """Named files of all sizes, the first ones with names that are hard to carry."""
    random_source = random.Random(seed)
    names = NAMES + [f"number {number}.bin" for number in range(len(NAMES), count)]
    sizes = [1, 2, 4096, 70_000]
    return {
        name: random_source.randbytes(sizes[number % len(sizes)] + number)
        for number, name in enumerate(names[:count])
    }


def put(device, files):
    for name, content in files.items():
        device.put_media(name, content)


@pytest.fixture
def devices(server, new_device):
    """Two devices of one person."""
    pair = new_device(server), new_device(server)
    for device in pair:
        device.login()
    return pair


def test_sixty_files_with_all_kinds_of_names_reach_the_second_device(devices):
    first, second = devices
    files = some_files(60, seed=1)
    put(first, files)
    first.sync_media()
    second.sync_media()
    assert second.media() == files
    assert first.media() == files


def test_the_server_keeps_media_as_plain_files(server, devices):
    first, _ = devices
    files = some_files(40, seed=2)
    put(first, files)
    first.sync_media()
    folder = server.folder("anna") / "media"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files


def test_replacing_and_removing_reach_the_second_device(devices):
    first, second = devices
    files = some_files(10, seed=3)
    put(first, files)
    first.sync_media()
    second.sync_media()

    first.put_media("Füße.mp3", b"new words")
    first.put_media("plain.txt", b"")
    first.remove_media("two words.jpg")
    first.put_media("added.txt", b"later")
    first.sync_media()
    second.sync_media()
    expected = {**files, "Füße.mp3": b"new words", "added.txt": b"later"}
    del expected["two words.jpg"]
    # For the client, a file without content is one that is gone.
    del expected["plain.txt"]
    assert second.media() == expected

    second.put_media("two words.jpg", b"back again")
    second.sync_media()
    first.sync_media()
    assert first.media()["two words.jpg"] == b"back again"


def test_files_added_by_two_devices_at_once_reach_both(devices):
    first, second = devices
    files = some_files(60, seed=4)
    halves = dict(list(files.items())[::2]), dict(list(files.items())[1::2])
    put(first, halves[0])
    put(second, halves[1])
    with ThreadPoolExecutor() as pool:
        list(pool.map(sync_media_until_it_works, devices))
    for device in devices:
        device.sync_media()
    assert first.media() == files
    assert second.media() == files


def sync_media_until_it_works(device):
    """A device that finds that another one has come in between starts its media sync again."""
    for _ in range(3):
        try:
            return device.sync_media()
        except ClientError:
            pass
    return device.sync_media()


def test_a_file_of_several_mebibytes_travels_whole(devices):
    first, second = devices
    files = {"large.mp4": random.Random(5).randbytes(9 * MEBIBYTE), "small.txt": b"s"}
    put(first, files)
    first.sync_media()
    second.sync_media()
    assert second.media() == files


def test_more_than_one_page_of_changes(devices):
    first, second = devices
    files = {f"{number:04}.txt": b"%d" % number for number in range(1100)}
    put(first, files)
    first.sync_media()
    second.sync_media()
    assert second.media() == files


def test_media_outlives_the_server(server, devices):
    first, second = devices
    files = some_files(5, seed=6)
    put(first, files)
    first.sync_media()
    server.restart()
    second.sync_media()
    assert second.media() == files


def test_nothing_new_costs_no_change(server, devices):
    first, second = devices
    put(first, some_files(3, seed=7))
    first.sync_media()
    for _ in range(3):
        first.sync_media()
        second.sync_media()
    assert second.media() == first.media()


def test_a_file_lost_on_the_servers_disk_comes_back_from_the_device_that_has_it(server, devices):
    first, second = devices
    files = some_files(8, seed=8)
    put(first, files)
    first.sync_media()
    (server.folder("anna") / "media" / "plain.txt").unlink()

    # The bundled server finds out when it is asked for the file; ours before.
    sync_media_until_it_works(second)
    assert second.media() == {name: files[name] for name in files if name != "plain.txt"}

    # A device with something to send compares the number of files, and then starts over.
    first.put_media("new.txt", b"new")
    with pytest.raises(ClientError, match="Please sync again"):
        first.sync_media()
    first.sync_media()
    second.sync_media()
    assert second.media() == {**files, "new.txt": b"new"}
    assert first.media() == second.media()


@pytest.mark.parametrize(("gone", "left"), [(1, 0), (60, 20), (500, 20)])
def test_a_new_device_gets_what_is_left_at_its_first_try(ours, new_device, gone, left):
    first, second = new_device(ours), new_device(ours)
    first.login(), second.login()
    files = {f"{number:03}.txt": b"%d" % number for number in range(gone + left)}
    put(first, files)
    first.sync_media()
    folder = ours.folder("anna") / "media"
    lost = random.Random(9).sample(sorted(files), gone)
    for name in lost:
        (folder / name).unlink()
    second.sync_media()
    assert second.media() == {name: files[name] for name in files if name not in lost}
    # The loss has not spread, and the device that has the files sends them again.
    first.sync_media()
    assert first.media() == files
    first.put_media("new.txt", b"new")
    sync_media_until_it_works(first)
    second.sync_media()
    assert second.media() == first.media() == {**files, "new.txt": b"new"}


@pytest.mark.parametrize("is_there", [True, False], ids=["empty folder", "no folder"])
def test_media_on_a_disk_that_is_not_mounted_are_not_taken_for_gone(ours, new_device, is_there):
    first, second = new_device(ours), new_device(ours)
    first.login(), second.login()
    first.add_note("front", "back"), first.upload()
    files = some_files(12, seed=10)
    put(first, files)
    first.sync_media()
    folder = ours.folder("anna") / "media"
    ours.stop()
    folder.rename(folder.with_name("elsewhere"))
    if is_there:
        folder.mkdir()
    ours.start()
    for _ in range(2):
        with pytest.raises(ClientError):
            second.sync_media()
    first.put_media("new.txt", b"new")
    with pytest.raises(ClientError):
        first.sync_media()
    assert "mount its disk" in ours.log_text()
    # Cards do not wait for it.
    second.download()
    if is_there:
        assert not list(folder.iterdir())
        folder.rmdir()
    folder.with_name("elsewhere").rename(folder)
    sync_media_until_it_works(first)
    second.sync_media()
    assert second.media() == first.media() == {**files, "new.txt": b"new"}

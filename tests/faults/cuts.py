"""Power cuts at system calls, and after what was confirmed."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from faults import image
from faults.cases import (
    Result,
    assert_nothing_left_over,
    assert_old_or_new,
    converge,
    eventually,
)
from faults.prepared import begin
from faults.world import free_port

# In place of a number: when all is done and confirmed.
END = 0


@dataclass(frozen=True)
class Cut:
    """Written as `scenario:target:disk:number`, by which it can be had again."""

    scenario: str
    target: str
    disk: str
    number: int

    def __str__(self):
        return f"{self.scenario}:{self.target}:{self.disk}:{self.number}"


@dataclass
class Taken:
    """The image that one cut has left."""

    cut: Cut
    path: Path
    call: object
    # How many steps had been confirmed.
    done: int


def cuts_of(prepared, disk):
    """Before every call, and at the end."""
    return [
        Cut(prepared.name, target, disk, number)
        for target, calls in prepared.calls.items()
        for number in [*range(1, len(calls) + 1), END]
    ]


def run(prepared, cuts, folder, lying=False):
    """Takes these cuts, of one target and disk, out of one run, and looks at what each has left.

    What a server does on its own account, such as to look at the users list, it does not do as
    often in every run: those after its last call are left out.
    """
    place = Path(folder) / str(os.getpid())
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    disk, port = image.DISKS[cuts[0].disk], free_port(os.getpid() % 250)
    results = []
    try:
        for taken in take(prepared, disk, cuts, place, port, lying):
            results.append(look_at(prepared, disk, taken, place, port))
            taken.path.unlink()
    except Exception as error:
        results.append(Result(cuts[0], problem=f"{type(error).__name__}: {error}"))
    return results


def take(prepared, disk, cuts, place, port, lying):
    original, folder = place / "disk.img", place / "live"
    image.make(disk, original, prepared.root)
    wanted, taken = {cut.number: cut for cut in cuts}, []
    scenario = prepared.scenario
    with image.mounted(disk, original, folder):
        world = prepared.world(folder / "root", place / "work", port)
        watched, done = [], 0

        def cut_at(number):
            if number in wanted:
                path = place / f"cut{number}.img"
                image.cut(disk, original, folder, path)
                call = watched[0].calls[number - 1] if number else "the end"
                taken.append(Taken(wanted[number], path, call, done))

        def arm(process):
            watched.append(process)
            process.before_each = cut_at
            process.arm()

        try:
            begin(scenario, world, cuts[0].target, arm, lying)
            for step in scenario.steps():
                step(world)
                done += 1
            watched[0].disarm()
            cut_at(END)
        finally:
            world.kill()
    return taken


def look_at(prepared, disk, taken, place, port):
    result = Result(taken.cut, injected=taken.call)
    folder = place / "after"
    shutil.rmtree(place / "work", ignore_errors=True)
    with image.mounted(disk, taken.path, folder):
        world = prepared.world(folder / "root", place / "work", port)
        try:
            world.start()
            eventually(lambda: assert_nothing_left_over(prepared, world, "after the start", True))
            assert_old_or_new(prepared, world, taken.done)
            converge(prepared, prepared.scenario, world, taken.done)
        except Exception as error:
            result.problem = f"{type(error).__name__}: {error}\n--- log\n{world.log_text()[-3000:]}"
        finally:
            world.kill()
    return result

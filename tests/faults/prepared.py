"""A scenario made ready: the folder that it begins with, and the states that it may end in."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from faults import scenarios, state
from faults.scenarios.scenario import SCHEMAS, common
from faults.contents import SCHEMA_11, schema_of
from faults.world import World, free_port, running

KNOWN_SCHEMAS = (*SCHEMAS.values(), schema_of(SCHEMA_11))


@dataclass
class Prepared:
    name: str
    root: Path
    keys: dict
    device_ids: dict
    # What is there after each number of steps that were done.
    states: list = field(default_factory=list)
    # What else the operator may have been answered.
    also: list = field(default_factory=list)
    # The names of files that there may be.
    files: set = field(default_factory=set)
    # The system calls by the process that makes them.
    calls: dict = field(default_factory=dict)

    @property
    def scenario(self):
        return scenarios.BY_NAME[self.name]()

    def world(self, root, work, port):
        world = World(root, work, port)
        world.keys, world.device_ids = dict(self.keys), dict(self.device_ids)
        return world

    def fresh(self, place, port):
        """A world with a copy of the folder, in place of what was there before."""
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        copied(self.root, place / "root")
        return self.world(place / "root", place / "work", port)


def copied(root, to):
    """All but sockets, which a killed server leaves."""

    def sockets(folder, names):
        return [name for name in names if (Path(folder) / name).is_socket()]

    shutil.copytree(root, to, ignore=sockets, symlinks=True, dirs_exist_ok=True)


def prepare_common(place):
    """The folder that every scenario begins with; made once."""
    place.mkdir(parents=True)
    world = World(place / "root", place / "work", free_port(0))
    common(world)
    return world.root, world.keys, world.device_ids


def prepare(name, common_root, keys, device_ids, place, port):
    """The scenario's own folder, and what is seen when nothing goes wrong."""
    scenario = scenarios.BY_NAME[name]()
    began = Prepared(name, common_root, keys, device_ids)
    world = began.fresh(place, port)
    with running(world):
        scenario.prepare(world)
    scenario.prepare_stopped(world)
    prepared = Prepared(name, world.root, world.keys, world.device_ids)
    steps = scenario.steps()
    for number in range(len(steps) + 1):
        prepared.states.append(undisturbed(prepared, steps[:number], place / "run", port))
    for step in scenario.also():
        prepared.also.append(undisturbed(prepared, [step], place / "run", port))
    for target in scenario.targets:
        prepared.calls[target] = calls_of(prepared, target, place / "run", port)
    shutil.rmtree(place / "run")
    return prepared


def undisturbed(prepared, steps, place, port):
    """What is there after these steps; the server is killed, and started again to look."""
    scenario = prepared.scenario
    world = prepared.fresh(place, port)
    if scenario.starts_running:
        world.start()
        scenario.before(world)
    for step in steps:
        step(world)
    note_files(prepared, world)
    world.kill()
    world.start()
    seen = state.observe(world, scenario, KNOWN_SCHEMAS)
    note_files(prepared, world)
    assert world.stop() == 0, world.log_text()
    note_files(prepared, world)
    return seen


def note_files(prepared, world):
    prepared.files |= state.files(world.root)


def calls_of(prepared, target, place, port):
    """The calls that one run makes, of which a fault can hit any."""
    scenario = prepared.scenario
    world = prepared.fresh(place, port)
    watched = []

    def watch(process):
        watched.append(process)
        process.arm()

    begin(scenario, world, target, watch)
    for step in scenario.steps():
        step(world)
    world.kill()
    assert watched, f"{prepared.name}: nothing was supervised in {target}"
    return watched[0].calls


def begin(scenario, world, target, arm, lying=False):
    """Up to where faults begin; `arm` gets the process that is to have them.

    A lying system says of every fsync of the server's that it is done, and does nothing.
    """
    supervised = target == "server"
    if scenario.starts_running:
        world.start(supervised or lying, lying)
        scenario.before(world)
        if supervised:
            arm(world.process)
    elif supervised:
        world.on_start = arm
    if not supervised:
        world.on_command = arm

"""One fault in one scenario, and what must be true afterwards, whatever it was."""

import errno
import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from pprint import pformat

from faults import state
from faults.faults import KINDS, OPENS, REMOVALS
from faults.prepared import KNOWN_SCHEMAS, begin
from faults.world import NotDone, free_port

LISTED = re.compile(r"/backup/\.tmp[^/]*(/media)?$")
# A server that goes on may need a moment to find out that a command was killed.
SETTLING = 2


@dataclass(frozen=True)
class Case:
    """Written as `scenario:target:kind:number`, by which it can be had again."""

    scenario: str
    target: str
    kind: str
    number: int

    def __str__(self):
        return f"{self.scenario}:{self.target}:{self.kind}:{self.number}"


@dataclass
class Result:
    case: object
    # The call that was hit; none if there was no such call in this run.
    injected: object = None
    # Why it was not confirmed.
    said: str = ""
    problem: str = ""

    def __str__(self):
        return f"{self.case} at {self.injected}: {self.problem}\n(said: {self.said})"


def cases_of(prepared):
    """Every kind of fault at every call that it can hit."""
    return [
        Case(prepared.name, target, kind.name, number)
        for target, calls in prepared.calls.items()
        for number, call in enumerate(calls, 1)
        for kind in KINDS.values()
        if kind.hits(call.name, call.creates)
    ]


def run(prepared, case, folder):
    """In a worker's own folder."""
    result = Result(case)
    world = prepared.fresh(Path(folder) / str(os.getpid()), free_port(os.getpid() % 250))
    try:
        attempt(prepared, case, world, result)
    except Exception as error:
        result.problem = f"{type(error).__name__}: {error}"
    finally:
        world.kill()
    if result.problem:
        result.problem += f"\n--- log\n{world.log_text()[-3000:]}"
    return result


def attempt(prepared, case, world, result):
    scenario, kind = prepared.scenario, KINDS[case.kind]
    done = disturbed(prepared, scenario, case, world, result)
    if not result.injected:
        return
    live = None
    if world.is_running():
        live = settled(prepared, world, done, kind, result.injected)
        if live is None and case.number % 2:
            assert_again_helps(prepared, scenario, world, done)
            done = len(prepared.states) - 1
        end_gently_or_not(world, case)
    elif scenario.starts_running and not scenario.stops and not kind.kills:
        raise AssertionError("the server has ended")
    world.kill()
    world.start()
    unable = kind.kills or kind.stays
    eventually(lambda: assert_nothing_left_over(prepared, world, "after the start", unable))
    after = assert_old_or_new(prepared, world, done)
    fell_back = scenario.may_fall_back and done == 0
    if live is not None and not matches(scenario, after, live, unable) and not fell_back:
        raise AssertionError(f"a restart changes it: {shown(live, after)}")
    converge(prepared, scenario, world, done)


def disturbed(prepared, scenario, case, world, result):
    """Does it, with the fault; how many steps were confirmed."""
    armed = []

    def arm(process):
        armed.append(process)
        process.arm(KINDS[case.kind], case.number)

    done = 0
    try:
        begin(scenario, world, case.target, arm)
        for step in scenario.steps():
            step(world)
            done += 1
    except NotDone as reason:
        result.said = str(reason)
    world.on_start = world.on_command = None
    for process in armed:
        process.disarm()
        result.injected = process.injected
    if result.injected and KINDS[case.kind].kills and case.target == "server":
        world.kill()
    return done


def end_gently_or_not(world, case):
    if case.number % 2:
        world.kill()
    elif (status := world.stop()) != 0:
        raise AssertionError(f"the server ends with {status}")


def settled(prepared, world, done, kind, call):
    """What the server shows that goes on, once it has found out; none if it has yet to hear."""
    scenario = prepared.scenario
    # Nothing can be removed of a broken disk, nor what the fault was about: that waits for a start.
    broken = kind.stays and kind.error == errno.EIO
    waits = broken or scenario.removes or call.name in REMOVALS or lists_to_remove(call)
    before = set()

    def look():
        before.clear()
        before.update(state.files(world.root))
        assert_allowed(prepared, before, "", kind.kills)

    if not waits:
        # By the server itself: once the answer is given, or as soon as a disk has room again. What
        # was seen then counts: a moment later, a snapshot may be on its way to be compressed.
        with suppress(AssertionError):
            eventually(look)
    try:
        seen = eventually(lambda: assert_old_or_new(prepared, world, done, broken))
    except AssertionError:
        if not scenario.changes_list or done == len(prepared.states) - 1:
            raise
        assert_list_and_server_are_each_old_or_new(prepared, world)
        return None
    if waits:
        return seen
    if matches(scenario, seen, prepared.states[0]):
        # What was refused has left nothing, without anybody having to come back for it.
        assert_allowed(prepared, before, "soon", kind.kills)
    eventually(
        lambda: assert_nothing_left_over(prepared, world, "in the running server", kind.kills)
    )
    return seen


def lists_to_remove(call):
    """Whether it opens a temporary folder: what is in there has to be known to be removed."""
    return call.name in OPENS and LISTED.search(call.path) is not None


def assert_list_and_server_are_each_old_or_new(prepared, world):
    """The command has failed, and said that the server has not heard of what is in the list."""
    seen = state.observe(world, prepared.scenario, KNOWN_SCHEMAS)
    for part in ({"users"}, seen.keys() - {"users"}):
        own = {name: seen.get(name) for name in part}
        expected = [{name: one.get(name) for name in part} for one in prepared.states]
        if own not in expected:
            raise AssertionError(f"neither old nor new: {shown(expected[0], own)}")


def eventually(check):
    deadline = time.monotonic() + SETTLING
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def assert_old_or_new(prepared, world, done, unfinished=False):
    """What was confirmed is there; of what was not, either all or nothing.

    An unfinished one may have left a snapshot of what was then not replaced.
    """
    scenario = prepared.scenario
    seen = state.observe(world, scenario, KNOWN_SCHEMAS)
    allowed = prepared.states[done : done + 2]
    confirmed = done == len(prepared.states) - 1
    if not confirmed or scenario.old_may_come_back:
        allowed = allowed + prepared.also
    if not any(matches(scenario, seen, expected, unfinished) for expected in allowed):
        said = "confirmed" if confirmed else "not confirmed"
        differing = [shown(expected, seen) for expected in allowed]
        raise AssertionError(f"{said}, and neither old nor new: " + "\n or ".join(differing))
    return seen


def matches(scenario, seen, expected, unfinished=False):
    loose = {"snapshots"} if scenario.loose_snapshots or unfinished else set()
    if not scenario.agreeing_media:
        loose.add("media")
    return without(seen, loose) == without(expected, loose)


def without(seen, parts):
    """What is the same whether or not these parts of a user have been changed yet."""
    if not parts:
        return seen
    return {
        name: {part: what for part, what in value.items() if part not in parts}
        if isinstance(value, dict)
        else value
        for name, value in seen.items()
        if name != "keys" or "media" not in parts
    }


def assert_nothing_left_over(prepared, world, when, unable=False):
    assert_allowed(prepared, state.files(world.root), when, unable)


def assert_allowed(prepared, files, when, unable=False):
    # A command that was killed, or whose disk is broken, cannot clean up.
    extra = {name for name in files - prepared.files if not (unable and of_command(name))}
    if extra:
        raise AssertionError(f"{when}, these are left over: {extra}")


def of_command(name):
    return name.startswith(("etc/", "backups/"))


def converge(prepared, scenario, world, done):
    """The device or the person tries again, and it ends as if nothing had been."""
    assert_again_helps(prepared, scenario, world, done)
    scenario.after(world)
    if (status := world.stop()) != 0:
        raise AssertionError(f"the server ends with {status} at last")
    if "panicked" in world.log_text():
        raise AssertionError("something panicked")


def assert_again_helps(prepared, scenario, world, done):
    scenario.again(world, done)
    world.begin()
    seen = state.without_usns(state.observe(world, scenario, KNOWN_SCHEMAS))
    also = prepared.also if scenario.old_may_come_back else []
    wanted = [state.without_usns(expected) for expected in [prepared.states[-1], *also]]
    if seen not in wanted:
        raise AssertionError(f"trying again does not help: {shown(wanted[0], seen)}")


def shown(expected, seen):
    return pformat(state.difference(expected, seen), width=160)

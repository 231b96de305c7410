# SPDX-License-Identifier: ISC
"""A thousand sessions at once: what they cost, and what those that have something to send notice of them.
Posthouse alone: with a process for each session Postfix needs more memory than most machines have."""
import statistics

from measures import Running, owner_of_sessions, smaps
from procs import BenchError, ClosedPort, Talker
from relays import Posthouse

IDLE, ACTIVE = 1000, 100
# all of them together are no stress (stress_threshold), in which idle sessions do not last
POOL = f"max_workers = {(IDLE + ACTIVE) * 14 // 11}\nmax_spare = {ACTIVE}\nlisten_backlog = 4096\n"


def active(bench, relay):
    return bench.run_tool("smtpload", "-c", ACTIVE, "-t", bench.pick(3, 1.5), "-s", 4096, "-w", 2, relay.port)["rate"]


def once(bench, relay, upstream):
    relay.more, before = POOL, relay.more
    try:
        with Running(bench, relay, upstream.port):
            alone = active(bench, relay)
            load = Talker(bench.tool("smtpload", "-c", IDLE, "-n", IDLE, "-w", 1, "-k", relay.port))
            try:
                load.answer(120)
                owners = owner_of_sessions(relay.child.family(), relay.port)
                if sum(owners.values()) != IDLE:
                    raise BenchError(f"{relay.name}: {sum(owners.values())} of {IDLE} sessions found")
                pss = statistics.median(smaps(pid)["Pss"] for pid in owners)
                total = sum(smaps(pid)["Pss"] for pid in relay.child.family()) / 1024
                beside = active(bench, relay)
            finally:
                load.stop()
    finally:
        relay.more = before
    for cell, sample in (("pss", pss), ("total", total), ("alone", alone), ("beside", beside)):
        bench.add("crowd", cell, relay.name, sample)
    bench.say(f"crowd: {relay.name} {pss:.0f} kB a session, {total:.0f} MB in all; {ACTIVE} active ones {alone:.0f}/s "
              f"alone, {beside:.0f}/s beside {IDLE} idle ones")


def measure_crowd(bench):
    upstream = ClosedPort()
    try:
        for _ in range(bench.pick(3, 1)):
            for relay in bench.relays:
                if isinstance(relay, Posthouse):
                    once(bench, relay, upstream)
    finally:
        upstream.close()

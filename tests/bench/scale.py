# SPDX-License-Identifier: ISC
"""`make bench BENCH_ARGS="--only scale"`: the relay and the operator's command with very long queues.

    due        N messages that nobody tried yet: from the start of posthoused to the first one at the upstream,
               the relay's memory for each, how long a new one takes meanwhile
    deferred   the same with a state each, due later: to the first delivery of a new one, and so on
    commands   a tenth of N, deferred: listing them and removing half, beside postqueue -p and postsuper -d

The queues are made by fillspool (and for Postfix by copying one of its own files), not sent: what is
measured is what happens then. A disk of its own, as millions of files want other inodes than large mails do.
"""
import os
import shutil
import statistics
import subprocess
import time

from disk import Disk
from measures import Sink, load_queue, others_busy, read_times, smaps
from procs import BenchError, ClosedPort, wait_until
from relays import Postfix, Posthouse

SMALL_FILES = ["-i", "4096"]  # octets of the disk for each inode
MEGABYTES = 24576
LATER = 3300  # seconds; less than retry_max: what a state says beyond it is not believed, and due at once
NEW_MESSAGES = 40


def title(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().decode(errors="replace")
    except OSError:
        return ""


def relay_process(relay):
    return wait_until(lambda: next((p for p in relay.child.family() if ": relay" in title(p)), 0), 20,
                      "a relay process")


def memory_of_relay(relay):
    """Octets of (PSS, RSS)."""
    roll = smaps(relay_process(relay))
    return roll["Pss"] << 10, roll["Rss"] << 10


def settled_memory(relay):
    """The most that it takes, once it has listed all of the queue: when it grew no more for two seconds."""
    most, still, deadline = (0, 0), time.monotonic(), time.monotonic() + 60
    while time.monotonic() < min(still + 2, deadline):
        now = memory_of_relay(relay)
        if now[0] > most[0]:
            still = time.monotonic()
        most = tuple(map(max, most, now))
        time.sleep(0.1)
    return most


class Scale:
    """The disk, the relay under test and the plan."""

    def __init__(self, bench, disk, folder):
        self.bench, self.disk, self.folder = bench, disk, folder
        self.messages = bench.scale_messages or bench.pick(1_000_000, 100_000)
        self.runs = 0

    def add(self, cell, sample, column="posthouse"):
        self.bench.add("scale", cell, column, sample)
        self.bench.say(f"scale {cell}: {column} {sample:.3g}")

    def place(self, name):
        path = os.path.join(self.disk.path, name)
        os.mkdir(path, 0o755)
        return path

    def relay(self, program):
        self.runs += 1
        return Posthouse(os.path.join(self.folder, f"scale{self.runs}"), program)

    def fill(self, spool, *words):
        self.bench.busy.append(others_busy())
        began = time.monotonic()
        run = subprocess.run(self.bench.tool("fillspool", *words, spool), capture_output=True, text=True, check=False)
        if run.returncode != 0:
            raise BenchError(f"fillspool: {run.stderr.strip()}")
        self.disk.settle()
        self.bench.say(f"scale: filled in {time.monotonic() - began:.0f} s ({' '.join(map(str, words))})")

    def empty_spool(self, program, place):
        """Made by posthoused itself, with its owners; its relay's memory with nothing to do."""
        relay, closed = self.relay(program), ClosedPort()
        try:
            relay.start(place, closed.port)
            return relay.spool, memory_of_relay(relay)
        finally:
            relay.stop()
            closed.close()

    def latency(self, relay, sink, log, busy):
        """Milliseconds from the client's 250 to the upstream, of new messages. busy: others arrive as well."""
        sent = os.path.join(self.folder, "sent")
        if not busy:
            sink.expect(NEW_MESSAGES + 3)
        self.bench.run_tool("smtpload", "-c", 1, "-n", NEW_MESSAGES, "-w", 3, "-g", 40, "-l", sent, relay.port)
        out = read_times(sent)
        if not busy:
            sink.arrived(60)
        came = {}
        deadline = time.monotonic() + 60
        while set(out) - set(came):
            if time.monotonic() > deadline:
                raise BenchError(f"{len(set(out) - set(came))} new messages did not arrive in 60 s")
            if busy:  # its log is written out when what it waits for has come
                sink.expect(1)
                sink.arrived(60)
            came = read_times(log)
        return [(came[seq] - ns) / 1e6 for seq, ns in out.items()]

    def run_relay(self, program, place, kind, empty):
        """One start of posthoused on the long queue."""
        log = os.path.join(self.folder, f"came-{kind}")
        relay = self.relay(program)
        with Sink(self.bench, log=log) as sink:
            sink.expect(1)
            began = time.monotonic_ns()
            try:
                relay.start(place, sink.port)
                if kind == "deferred":  # only a new one can be the first
                    self.bench.run_tool("smtpload", "-c", 1, "-n", 1, relay.port)
                first = sink.arrived(300)["first_ns"]
                self.add(f"start {kind}", (first - began) / 1e9)
                before_latency = memory_of_relay(relay)
                times = self.latency(relay, sink, log, kind == "due")
                most = map(max, before_latency, settled_memory(relay))
                for cell, value, before in zip(("pss", "rss"), most, empty):
                    self.add(f"{cell} {kind}", (value - before) / self.messages)
                self.add(f"latency {kind}", statistics.median(times))
                self.add(f"latency95 {kind}", sorted(times)[int(len(times) * 0.95)])
            finally:
                relay.stop()

    def relay_with_a_long_queue(self, program):
        place = self.place("long")
        spool, empty = self.empty_spool(program, place)
        self.fill(spool, "-n", self.messages)
        self.run_relay(program, place, "due", empty)
        left = len(os.listdir(os.path.join(spool, "queue")))
        self.fill(spool, "-n", self.messages - left)
        self.fill(spool, "-S", "-d", LATER)
        self.run_relay(program, place, "deferred", empty)

    # -- the commands

    def timed(self, argv, data=None, status=0):
        began = time.monotonic()
        run = subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        took = time.monotonic() - began
        if run.returncode != status:
            raise BenchError(f"{' '.join(argv)}: {run.stderr.decode(errors='replace').strip()[-500:]}")
        return took, run.stdout

    def commands_of_posthouse(self, program, count):
        command = os.path.join(os.path.dirname(program), "posthouse")
        spool, _ = self.empty_spool(program, self.place("commands"))
        self.fill(spool, "-n", count, "-s", "-d", LATER)
        for _ in range(3):
            took, out = self.timed([command, "--spool", spool, "queue"])
            if out.count(b"@bench.example") < count:
                raise BenchError(f"posthouse queue shows {out.count(b'@bench.example')} of {count}")
            self.add("list", took)
        took, _ = self.timed([command, "--spool", spool, "remove", "--from", "half@bench.example"])
        left = len(os.listdir(os.path.join(spool, "queue")))
        if left != count - count // 2:
            raise BenchError(f"posthouse remove left {left} of {count}")
        self.add("remove", took)

    def commands_of_postfix(self, relay, count):
        closed = ClosedPort()
        try:
            relay.start(self.place(f"{relay.name}-commands"), closed.port)
            load_queue(self.bench, relay, 1)
            ids = relay.multiply(count)
            self.disk.settle()
            for _ in range(3):
                took, out = self.timed(["postqueue", "-c", relay.folder, "-p"])
                if out.count(b"bench.example") < count:
                    raise BenchError(f"postqueue shows {out.count(b'bench.example')} of {count}")
                self.add("list", took, relay.name)
            half = "".join(f"{i}\n" for i in ids[:count // 2]).encode()
            took, _ = self.timed(["postsuper", "-c", relay.folder, "-d", "-"], data=half)
            self.add("remove", took, relay.name)
        finally:
            relay.stop()
            closed.close()


def measure_scale(bench):
    """Queues of a million."""
    program = next((r.program for r in bench.relays if isinstance(r, Posthouse)), None)
    folder = os.path.join(bench.folder, "scale")
    os.mkdir(folder, 0o755)
    disk = Disk(folder, MEGABYTES, bench.disk.mounted, SMALL_FILES)
    try:
        scale = Scale(bench, disk, folder)
        if program:
            scale.relay_with_a_long_queue(program)
            scale.commands_of_posthouse(program, scale.messages // 10)
        for relay in bench.relays:
            if isinstance(relay, Postfix) and not relay.tuned:
                scale.commands_of_postfix(relay, scale.messages // 10)
    finally:
        # the image goes as a whole: a million files are not removed one by one
        if not disk.mounted:
            shutil.rmtree(disk.path, ignore_errors=True)
        disk.close()

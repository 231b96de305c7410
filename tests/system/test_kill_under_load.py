# SPDX-License-Identifier: ISC
"""kill -9 of random processes under load: what was acknowledged is delivered,
duplicates have a known reason. So with each way through the service: DATA and
BDAT, LMTP, a filter's program, Mailman's lists. PH_KILL_SECONDS (default 8) is how long the
load lasts, PH_SEED repeats the choices of a run."""

import collections
import os
import random
import signal
import threading
import time

import harness
from harness import equal, wait_until
from mailman_server import FakeMailman
from smtp_peers import Client, Upstream, without_received

SECONDS = float(os.environ.get("PH_KILL_SECONDS", "8"))
CLIENTS = 6
CONFIG = 'min_spare = 3\nmax_spare = 6\nmax_workers = 20\nretry_min = "50ms"\nretry_max = "200ms"\n'


def section(remoteaddr, more="", name="main"):
    return (f'upstream "{name}" {{\n remoteaddr = "{remoteaddr}"\n probe_min = "50ms"\n probe_max = "200ms"\n'
            f' max_connections = 4\n {more}}}\n')


class Load:
    """Client threads; each message has a number of its own in its subject and its recipient."""

    def __init__(self):
        self.lock = threading.Lock()
        self.number = 0
        self.acknowledged = {}  # number: content
        self.unknown = set()  # content was sent, no answer came
        self.port = None
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(CLIENTS)]

    def run(self, seed):
        chance = random.Random(seed)
        while not self.over.is_set():
            try:
                with Client(self.port) as client:
                    for _ in range(chance.randrange(1, 20)):
                        self.one(client, chance)
                        if self.over.is_set():
                            break
            except (OSError, EOFError, AssertionError):
                self.over.wait(0.02)  # the daemon is being killed; not too fast while it is away

    def one(self, client, chance):
        with self.lock:
            self.number += 1
            number = self.number
        size = chance.choice((0, 500, 4000, 100_000))
        content = b"Subject: %d\r\n\r\n.%d\r\n" % (number, number) + b".x" * 35 * (size // 70) + b"\r\n"
        client.mail("sender@client.test", [f"m{number}@example.test"])
        client.cmd("DATA", 354)
        with self.lock:
            self.unknown.add(number)
        client.send(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        reply = client.reply()
        with self.lock:
            self.unknown.discard(number)
            if reply.code == 250:
                self.acknowledged[number] = content


def kill_under_load(t, upstream, config, roles=("worker", "worker", "relay")):
    seed = int(os.environ.get("PH_SEED", time.time_ns() % 1_000_000))
    chance = random.Random(seed)
    t.comment(f"PH_SEED={seed}")
    spool = t.tmp / "spool"
    starts = 0

    def start():
        nonlocal starts
        starts += 1
        return t.daemon(config=CONFIG + config, spool=spool, name=f"run{starts}",
                        listen=f"127.0.0.1:{reserved.port}").ready()

    reserved = harness.ReservedPort(t)  # the service keeps its port over the restarts
    relay = start()
    load = Load()
    load.port = reserved.port
    for thread in load.threads:
        thread.start()
    killed = collections.Counter()
    end = time.monotonic() + SECONDS
    masters = [end - SECONDS * 0.65, end - SECONDS * 0.3]  # when the master dies
    while time.monotonic() < end:
        # each kill follows some more accepted messages, so that every one hits a service at work
        target = len(load.acknowledged) + chance.randrange(5, 60)
        wait_until(lambda: len(load.acknowledged) >= target or time.monotonic() > end, "more messages")
        if masters and time.monotonic() > masters[0]:
            masters.pop(0)
            relay.kill9()
            wait_until(lambda: not relay.leftovers(), "the orphans to end")
            killed["master"] += 1
            relay = start()
            continue
        # each once before one comes again by chance: a busy machine does not get far
        role = chance.choice([r for r in roles if not killed[r]] or roles)
        pids = relay.children(role)
        if pids:
            try:
                os.kill(chance.choice(pids), signal.SIGKILL)
                killed[role] += 1
            except ProcessLookupError:
                pass
    load.over.set()
    for thread in load.threads:
        thread.join(harness.DEADLINE)
        assert not thread.is_alive(), "a client hangs"
    # drain: a fresh start takes up what the killed ones left
    relay.wait_empty(3 * harness.DEADLINE)
    relay.stop()

    copies = collections.Counter()
    for message in upstream.messages:
        number = int(message.rcpts[0][1:].split("@")[0])
        copies[number] += 1
        content = without_received(message.content)
        if number in load.acknowledged:
            equal(content, load.acknowledged[number], f"content of message {number}")
    lost = sorted(set(load.acknowledged) - set(copies))
    duplicates = {n: c for n, c in copies.items() if c > 1}
    unasked = set(copies) - set(load.acknowledged) - load.unknown
    t.comment(f"{len(load.acknowledged)} accepted, {len(set(load.acknowledged) & set(copies))} delivered, "
              f"{len(lost)} lost; killed: {dict(killed)}")
    t.comment(f"{len(duplicates)} delivered more than once: the relay was killed between the upstream's 250 and "
              "the removal from the spool")
    t.comment(f"{len(set(copies) & load.unknown)} delivered whose client got no answer: the worker was killed "
              "between the commit and its 250")
    equal(lost, [], "lost messages")
    equal(unasked, set(), "delivered though they were refused")
    # at most what was in flight on the connections of one relay can be doubled by its death
    deaths = killed["relay"] + killed["master"]
    assert not duplicates or deaths, f"duplicates without a killed relay: {duplicates}"
    assert killed["worker"] and killed["relay"] and killed["master"], f"not everything was killed: {killed}"
    assert len(load.acknowledged) > 50, "hardly any load"


def test_kill_under_load(t):
    upstream = Upstream(t)
    kill_under_load(t, upstream, section(harness.address(upstream)))


def test_with_chunking(t):
    """Eight messages under way on a connection: what is uncertain when it is lost is sent again, all else once."""
    upstream = Upstream(t, extensions=("PIPELINING", "8BITMIME", "CHUNKING", "ENHANCEDSTATUSCODES"))
    kill_under_load(t, upstream, section(harness.address(upstream), "chunking = always\n"))


def test_with_lmtp(t):
    upstream = Upstream(t, lmtp=True)
    kill_under_load(t, upstream, section("lmtp://" + harness.address(upstream)))


def test_with_filter(t):
    """A part of what it writes is never taken for the message, whoever dies."""
    upstream = Upstream(t)
    program = harness.put_program(t.tmp / "filter", "#!/bin/sh\nexec cat\n")
    kill_under_load(t, upstream, f'filter_command = "{program}"\n' + section(harness.address(upstream)),
                    roles=("worker", "worker", "relay", "programs", "program filter"))


def test_with_mailman(t):
    """Each name is one of Mailman's domain and no list: it waits for a listing of its own time, whatever is killed."""
    upstream, lists = Upstream(t), Upstream(t, lmtp=True)
    mailman = FakeMailman(t, ["test@example.test"])
    kill_under_load(t, upstream, f'handler = "mailman"\nmailman_url = "{mailman.url}"\n'
                    f'mailman_password_file = "{mailman.password_file}"\n'
                    + section(harness.address(upstream)) + section("lmtp://" + harness.address(lists), name="mailman"))
    equal(lists.messages, [], "at Mailman")


if __name__ == "__main__":
    harness.main(__name__)

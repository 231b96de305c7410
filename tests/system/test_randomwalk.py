# SPDX-License-Identifier: ISC
"""A random walk: mail for two upstreams that refuse, defer, drop and stall as chance has it, while operators give
orders and the relay is killed. At the end everything is let go, and what every recipient's fate was is checked.
PH_WALK_SECONDS (default 6) is how long a walk lasts, PH_WALKS (default 1) how many there are, PH_SEED repeats
the choices of one."""

import collections
import json
import os
import random
import re
import signal
import threading
import time

import harness
from harness import equal, wait_until
from smtp_peers import DROP, RESET, STALL, Client, Upstream
from test_life import Door

SECONDS = float(os.environ.get("PH_WALK_SECONDS", "6"))
WALKS = int(os.environ.get("PH_WALKS", "1"))
CONFIG = """
log_level = "debug"
min_spare = 2
max_spare = 4
retry_min = "30ms"
retry_max = "300ms"
expire_after = "{expire}"
warn_after = "{warn}"
upstream "one" {{
 remoteaddr = {{ "{one}", "{fallback}" }}
 {limits}
 max_connections = 3
 messages_per_connection = 7
 recipients_per_message = 3
 messages_per_minute = 3000
}}
upstream "two" {{
 remoteaddr = "{two}"
 {limits}
 max_connections = 2
 connection_max_age = "500ms"
}}
route {{
 recipient = "*@two.test"
 upstream = "two"
}}
"""
LIMITS = """probe_min = "30ms"
 probe_max = "200ms"
 greeting_timeout = "400ms"
 command_timeout = "400ms"
 data_timeout = "400ms"
 final_timeout = "400ms"
 attempt_timeout = "800ms"
 idle_timeout = "700ms"
"""
UPSTREAMS = ("one", "two")
KILL_MARGIN = 1.0 * harness.SLOW  # seconds in which what was delivered may not be on the disk yet


class Moody(Upstream):
    """An upstream whose answers are a matter of chance until it is told to calm down."""

    def __init__(self, t, seed):
        self.chance = random.Random(seed)
        self.calm = False
        self.seen = []  # (recipient, when its RCPT came)
        super().__init__(t)

    def decide(self, _session, phase, line):
        with self.changed:
            if phase == "RCPT":
                self.seen.append((re.search(r"<([^>]*)>", line)[1], time.time()))
            if self.calm:
                return None
            slow = phase in ("RCPT", "EOD") and self.chance.random() < 0.15
            action = self.mood(phase, self.chance.random())
        if slow:  # so that orders find messages in flight
            self.closing.wait(0.15)
        return action

    def mood(self, phase, roll):
        for action, share in MOODS.get(phase, ()):
            roll -= share
            if roll < 0:
                return action
        return None


MOODS = {
    "connect": (("554 5.3.2 not today", 0.03), ("421 4.3.2 busy", 0.03), (DROP, 0.03), (STALL, 0.02)),
    "MAIL": (("451 4.3.0 later", 0.03), ("421 4.3.2 closing", 0.01), (RESET, 0.01), ("550 5.7.1 not from you", 0.01)),
    "RCPT": (("450 4.2.1 busy", 0.12), ("452 4.5.3 too many", 0.05), ("550 5.1.1 unknown", 0.06), (DROP, 0.01),
             (STALL, 0.005), ("421 4.3.2 closing", 0.01)),
    "DATA": (("451 4.3.0 later", 0.03), (DROP, 0.01)),
    "CONTENT": ((RESET, 0.01),),
    "EOD": (("451 4.3.0 later", 0.06), ("554 5.6.0 no", 0.03), (DROP, 0.03), (STALL, 0.02), ("452 4.3.1 full", 0.02)),
}


class Message:
    def __init__(self, ident, sender, rcpts, notify):
        self.ident, self.sender, self.rcpts, self.notify = ident, sender, rcpts, notify
        self.orders = set()  # actions that were, or may have been, done to it
        self.removed = None  # when that was known
        self.removed_in_flight = False
        self.held = []  # (from, to) as far as orders tell; to None: still


class Walk:
    def __init__(self, t, seed):
        self.t, self.seed, self.chance = t, seed, random.Random(seed)
        self.one, self.two, self.fallback = (Moody(t, seed * 10 + i) for i in range(3))
        self.messages = {}  # by id
        self.lock = threading.Lock()
        self.number = 0
        self.over = threading.Event()
        self.kills = []
        self.done = collections.Counter()
        short_life = self.chance.random() < 0.5
        self.config = CONFIG.format(one=harness.address(self.one), two=harness.address(self.two),
                                    fallback=harness.address(self.fallback), limits=LIMITS,
                                    expire="3s" if short_life else "5d",
                                    warn="1s" if self.chance.random() < 0.5 else "0s")
        self.daemons = []
        self.start()

    def start(self):
        """With a port of its own, the spool of all."""
        self.daemons.append(self.t.daemon(config=self.config, name=f"walk{self.seed}.{len(self.daemons)}",
                                          spool=self.t.tmp / f"spool{self.seed}").ready())
        self.daemon = self.daemons[-1]

    @property
    def upstreams(self):
        return self.one, self.two, self.fallback

    # ---- mail

    def submit_some(self, seed):
        chance = random.Random(seed)
        while not self.over.is_set():
            try:
                with Client(self.daemon) as client:
                    for _ in range(chance.randrange(1, 6)):
                        self.submit(client, chance)
                        self.over.wait(chance.random() * 0.1)
            except (OSError, EOFError, AssertionError):
                self.over.wait(0.05)  # the service is stopping, or away

    def submit(self, client, chance):
        with self.lock:
            self.number += 1
            number = self.number
        sender = "" if chance.random() < 0.1 else f"s{number}@{chance.choice(UPSTREAMS)}.test"
        rcpts = [f"m{number}r{i}@{chance.choice(UPSTREAMS)}.test" for i in range(chance.choice((1, 1, 1, 2, 5, 8)))]
        notify = chance.choice((None, None, None, "NEVER", "SUCCESS,FAILURE,DELAY", "FAILURE"))
        client.cmd(f"MAIL FROM:<{sender}>", 250)
        for rcpt in rcpts:
            client.cmd(f"RCPT TO:<{rcpt}>" + (f" NOTIFY={notify}" if notify else ""), 250)
        size = chance.choice((10, 10, 3000, 90000))
        reply = client.data(b"Subject: %d\r\n\r\n" % number + b"x" * 70 + b"\r\n" + b"y" * size + b"\r\n")
        ident = re.search(r"\b([0-9A-Za-z]{16,})\b", reply.text)[1]
        with self.lock:
            self.messages[ident] = Message(ident, sender, rcpts, notify)

    # ---- operators and accidents

    def some_ids(self):
        with self.lock:
            known = list(self.messages.values())
        queued = set(self.daemon.queue())
        if self.chance.random() < 0.5:  # what is being sent right now is the more interesting
            flight = {f["id"] for f in Door(self.daemon).ask(ask="flight")[0]["flight"]}
            queued = queued & flight or queued
        alive = [m for m in known if m.ident in queued and m.removed is None]
        return self.chance.sample(alive, min(len(alive), self.chance.choice((1, 1, 2, 5, 20))))

    def order(self):
        action = self.chance.choice(("hold", "hold", "release", "release", "release", "remove", "requeue", "reroute",
                                     "bounce", "expire", "retry", "retry"))
        chosen = {m.ident: m for m in self.some_ids()}
        if not chosen:
            return
        more = {"upstream": self.chance.choice((*UPSTREAMS, None))} if action == "reroute" else {}
        began = time.time()
        for m in chosen.values():
            m.orders.add(action)
            if action != "hold" and m.held and m.held[-1][1] is None:
                m.held[-1] = (m.held[-1][0], began)
        if self.chance.random() < 0.1 and action not in ("reroute", "remove"):
            self.t.run([harness.BUILDDIR / "posthouse", "--spool", self.daemon.spool, action, "--yes", *chosen])
            self.done[f"posthouse {action}"] += 1
            return
        results = Door(self.daemon).do(action, *chosen, **more)
        now = time.time()
        equal(set(results), set(chosen), f"what the results of {action} are about")
        for ident, result in results.items():
            assert result["result"] in ("done", "no_change", "pending", "gone"), f"{action}: {result}"
            self.done[f"{action} {result['result']}{' in flight' if result.get('in_flight') else ''}"] += 1
            if action == "hold" and result["result"] == "done" and not result.get("in_flight"):
                chosen[ident].held.append((now, None))
            if action == "remove" and result["result"] == "done":
                chosen[ident].removed = now
                chosen[ident].removed_in_flight = bool(result.get("in_flight"))

    def suspend(self):
        upstream = self.chance.choice((*UPSTREAMS, None))
        until = self.chance.choice((None, int(time.time()) + 1))
        Door(self.daemon).ask(do="suspend", upstream=upstream, until=until, reason="by chance")
        self.done["suspend"] += 1

    def resume(self):
        door = Door(self.daemon)
        for upstream in (*UPSTREAMS, None):
            try:
                door.ask(do="resume", upstream=upstream)
            except AssertionError:  # it is not suspended
                pass

    def kill(self):
        pids = self.daemon.children("relay")
        if pids:
            os.kill(pids[0], signal.SIGKILL)
            self.kills.append(time.time())
            self.done["kill"] += 1

    def restart(self):
        """The master goes, in an orderly way or not, and a new one comes."""
        if self.chance.random() < 0.5:
            self.daemon.stop()
        else:
            self.daemon.kill9()
            self.kills.append(time.time())
            wait_until(lambda: not self.daemon.leftovers(), "the orphans to end")
            self.kills.append(time.time())
        self.done["restart"] += 1
        self.start()

    def step(self):
        roll = self.chance.random()
        try:
            if roll < 0.8:
                self.order()
            elif roll < 0.86:
                self.suspend()
            elif roll < 0.95:
                self.resume()
            elif roll < 0.97:
                Door(self.daemon).status()
            elif roll < 0.98:
                self.restart()
            else:
                self.kill()
        except (OSError, json.JSONDecodeError):  # the relay was killed, or is not there again yet
            self.done["relay away"] += 1

    def walk(self):
        threads = [threading.Thread(target=self.submit_some, args=(self.seed * 100 + i,), daemon=True)
                   for i in range(3)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.step()
            self.over.wait(self.chance.random() * 0.06)
        self.over.set()
        for thread in threads:
            thread.join(harness.DEADLINE)
            assert not thread.is_alive(), "a client hangs"

    # ---- the end

    def let_go(self):
        self.let_go_at = time.time()
        for upstream in self.upstreams:
            upstream.calm = True

        def is_empty():
            """Reports from <> that failed stay visible: they are tried anew."""
            try:
                door = Door(self.daemon)
                self.resume()
                status = door.status()["queue"]
                if status["messages"] > 0 and status["in_flight"] == 0 and status["waiting"] == 0:
                    for ids in [self.daemon.queue()[i:i + 500] for i in range(0, status["messages"], 500)]:
                        for ident in ids:
                            if ident in self.messages:
                                self.messages[ident].orders.add("requeue")
                        door.do("release", *ids)
                        door.do("requeue", *[i for i, r in door.do("retry", *ids).items()
                                             if r["result"] == "no_change" and not r.get("due")])
            except (OSError, json.JSONDecodeError):
                pass
            return not self.daemon.queue()
        try:
            wait_until(is_empty, "the queue to empty", 2 * harness.DEADLINE)
        except AssertionError:
            self.t.comment(json.dumps(Door(self.daemon).status()["queue"]))
            for ident in self.daemon.queue()[:5]:
                self.t.comment(self.t.posthouse("--spool", self.daemon.spool, "explain", ident))
            raise

    def check(self):
        copies, first, reported = self.what_arrived()
        told = collections.defaultdict(list)
        for e in [e for daemon in self.daemons for e in daemon.events()]:
            if e.get("event") in ("delivered", "uncertain", "failed", "expired") and "to" in e:
                told[e["to"], e["event"]].append(e.when)
        for m in self.messages.values():
            for rcpt in m.rcpts:
                self.check_fate(m, rcpt, copies[rcpt], reported[rcpt], told)
                self.check_copies(rcpt, copies[rcpt], told)
                self.check_reports(m, rcpt, copies[rcpt], reported[rcpt], told)
            self.check_removal(m, first)
            self.check_hold(m, first)
        return copies, reported

    def what_arrived(self):
        copies, reported = collections.defaultdict(list), collections.Counter()
        first = {}
        for upstream in self.upstreams:
            for message in upstream.messages:
                when = time.time() - (time.monotonic() - message.when)
                for rcpt in message.rcpts:
                    copies[rcpt].append(when)
                if message.sender == "" and b"message/delivery-status" in message.content:
                    for part in message.content.split(b"\r\n\r\n"):
                        found = re.search(rb"^Final-Recipient: rfc822; *(\S+)", part, re.M)
                        if found and b"Action: failed" in part:
                            reported[found[1].decode()] += 1
            for rcpt, when in upstream.seen:
                first.setdefault(rcpt, []).append(when)
        return copies, first, reported

    def check_fate(self, m, rcpt, copies, reported, told):
        """Delivered, reported, removed, or given up with nobody to be told."""
        given_up = told[rcpt, "failed"] or told[rcpt, "expired"] or m.orders & {"bounce", "expire"}
        if copies or reported or "remove" in m.orders or (m.notify == "NEVER" and given_up):
            return
        raise AssertionError(f"{rcpt} of {m.ident} (from <{m.sender}>, NOTIFY={m.notify}, orders {m.orders}): lost")

    def check_copies(self, rcpt, copies, told):
        """One more for each attempt whose outcome is uncertain, and for each kill before it could be saved."""
        spare = len(told[rcpt, "uncertain"])
        known = sorted(told[rcpt, "delivered"])
        for kill in self.kills:
            told_before = [when for when in known if when < kill]
            spare += not told_before or kill - told_before[-1] < KILL_MARGIN
        if len(copies) > 1 + spare:
            raise AssertionError(f"{rcpt} got it {len(copies)} times ({sorted(copies)}), {told[rcpt, 'uncertain']} "
                                 f"uncertain, {known} delivered, kills {self.kills}")
        if len(known) > 1 and not any(known[0] - KILL_MARGIN < k < known[-1] for k in self.kills):
            raise AssertionError(f"{rcpt} was delivered to again by a relay that knew: {known}")

    def check_reports(self, m, rcpt, copies, reported, told):
        """One report, and none about who has it; unless an operator began anew or nobody could know better."""
        if "requeue" in m.orders or self.kills or told[rcpt, "uncertain"]:
            return
        assert reported <= 1, f"{rcpt} of {m.ident}: reported {reported} times"
        assert not (reported and copies), f"{rcpt} of {m.ident}: delivered, and reported as failed"

    def check_hold(self, m, first):
        for since, until in m.held:
            for rcpt in m.rcpts:
                bad = [when for when in first.get(rcpt, ()) if since + 0.5 * harness.SLOW < when < (until or self.let_go_at)]
                assert not bad, f"{rcpt} of {m.ident} was sent to {bad[0] - since:.2f} s after it was held"

    def check_removal(self, m, first):
        """What was removed is not begun again; what was being sent then may have been let through."""
        if m.removed is None or m.removed_in_flight:
            return
        for rcpt in m.rcpts:
            late = [when for when in first.get(rcpt, ()) if when > m.removed + 0.5 * harness.SLOW]
            assert not late, f"{rcpt} of {m.ident} was sent to {late[0] - m.removed:.2f} s after its removal"


def walk(t, seed):
    w = Walk(t, seed)
    w.walk()
    w.let_go()
    w.daemon.stop()
    copies, reported = w.check()
    t.comment(f"{len(w.messages)} messages, {sum(map(len, copies.values()))} deliveries, {sum(reported.values())} "
              f"recipients reported; {dict(sorted(w.done.items()))}")
    fsck = t.run([harness.BUILDDIR / "posthouse", "--spool", w.daemon.spool, "fsck"])
    equal(fsck.returncode, 0, "fsck: " + fsck.stdout.decode())
    equal([p.name for p in (w.daemon.spool / "state").iterdir()], [], "states left behind")
    assert w.messages, "no mail at all"


def test_random_walk(t):
    seed = int(os.environ.get("PH_SEED", time.time_ns() % 1_000_000))
    for number in range(WALKS):
        t.comment(f"PH_SEED={seed + number}")
        walk(t, seed + number)


if __name__ == "__main__":
    harness.main(__name__)

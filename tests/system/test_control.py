# SPDX-License-Identifier: ISC
"""The sockets by which operators look at the relay and change the queue, spoken
to directly (posthouse-json(5)); and changes without a daemon, cut short."""

import grp
import json
import os
import pwd
import random
import signal
import socket
import stat
import time

import harness
from harness import equal, need_root, wait_until
from smtp_peers import Client, Upstream, without_received

CONTENT = b"Subject: control\r\n\r\nbody\r\n"
WAITING = 'retry_min = "1h"\nretry_max = "2h"\n'


def upstream_section(upstream, more=""):
    return f'upstream "main" {{\n remoteaddr = "{harness.address(upstream)}"\n {more}\n}}\n'


class Asker:
    """One end of a connection to a socket of the spool."""

    def __init__(self, t, relay, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(harness.DEADLINE)
        self.rest, self.fds = b"", []
        t.later(self.close)
        # a spool that lies deep has a path that no socket address takes
        folder = os.open(relay.spool, os.O_PATH | os.O_DIRECTORY)
        try:
            self.socket.connect(f"/proc/self/fd/{folder}/{name}")
        finally:
            os.close(folder)

    def close(self):
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def send(self, **request):
        self.socket.sendall(json.dumps(request).encode() + b"\n")

    def line(self):
        while b"\n" not in self.rest:
            data, fds, _flags, _address = socket.recv_fds(self.socket, 65536, 2)
            self.fds += fds
            if not data:
                raise AssertionError(f"the relay went away, behind {self.rest!r}")
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line.decode("ascii"))

    def ask(self, **request):
        """The objects of the answer, the last one included."""
        self.send(**request)
        answer = [self.line()]
        while not answer[-1].get("end"):
            answer.append(self.line())
        return answer


def waiting(t, count=1, top="", **options):
    """A daemon with mail that waits for an upstream that is down; (relay, reserved port, ids)."""
    reserved = harness.ReservedPort(t)
    relay = t.daemon(config=WAITING + top + upstream_section(reserved, 'probe_min = "50ms"\n probe_max = "500ms"'),
                     **options).ready()
    ids = submit(relay, count)
    wait_until(lambda: len(relay.queue()) == count, "the mail in the queue")
    return relay, reserved, ids


def submit(relay, count=1):
    before = len(relay.events("accepted"))
    with Client(relay) as client:
        for _ in range(count):
            client.message(CONTENT, rcpts=("rcpt@example.test",))
        client.quit()
    found = relay.wait_for("accepted", count=before + count)
    return [e["id"] for e in (found if isinstance(found, list) else [found])[before:]]


def queue(t, relay):
    return {m["queue_id"]: m for m in map(json.loads, t.posthouse("--spool", relay.spool, "queue", "--json").splitlines())}


# ---- the daemon --------------------------------------------------------------------

def test_look(t):
    relay, _reserved, ids = waiting(t, 3)
    for name in ("view", "control"):
        asker = Asker(t, relay, name)
        status = asker.ask(ask="status")[0]
        assert status["end"] and status["processes"]["master"] == relay.pid, status
        equal([w["pid"] for w in status["workers"] if w["pid"] not in relay.children("worker")], [], "unknown workers")
        equal(status["processes"]["workers"], len(status["workers"]), "workers counted")
        answer = asker.ask(ask="ids")
        equal(sorted(i for o in answer[:-1] for i in o["ids"]), sorted(ids), "ids")
        assert "flight" in asker.ask(ask="flight")[0]


def test_a_worker_at_work(t):
    relay, _reserved, _ids = waiting(t)
    view = Asker(t, relay, "view")
    with Client(relay) as client:
        client.cmd("MAIL FROM:<a@example.test>", 250)
        client.cmd("RCPT TO:<b@example.test>", 250)
        client.cmd("DATA", 354)
        busy = wait_until(lambda: [w for w in view.ask(ask="status")[0]["workers"]
                                   if w["state"] == "busy" and w["verb"] == "DATA"], "a busy worker")
        assert busy[0]["peer"].startswith("127.0.0.1:") and abs(busy[0]["since"] - time.time()) < 60, busy


def test_change(t):
    relay, reserved, ids = waiting(t, 2)
    control = Asker(t, relay, "control")
    refused = Asker(t, relay, "view").ask(do="hold", ids=ids)
    assert "only look" in refused[0]["error"], refused
    gone = "0" * 16
    answer = control.ask(do="hold", ids=[*ids, gone], reason="why not")
    equal([a.get("result") for a in answer], ["done", "done", "gone", None], "results")
    equal([m["hold_reason"] for m in queue(t, relay).values()], ["why not"] * 2, "reasons")
    held = relay.wait_for("held", count=2)
    equal({(e["by"], e["reason"]) for e in held}, {(f"uid={os.geteuid()}", "why not")}, "the log's")
    upstream = Upstream(t, reserved=reserved)
    equal(control.ask(do="release", ids=ids[:1])[0]["result"], "done", "release")
    relay.wait_for("completed", id=ids[0])
    equal([without_received(m.content) for m in upstream.messages], [CONTENT], "delivered")
    equal(control.ask(do="remove", ids=ids)[1]["result"], "done", "removal")
    relay.wait_empty()
    equal(len(upstream.messages), 1, "what the upstream got")


def test_suspension_outlives_the_relay(t):
    upstream = Upstream(t)
    relay = t.daemon(config=WAITING + upstream_section(upstream)).ready()
    equal(Asker(t, relay, "control").ask(do="suspend", upstream=None, reason="new disks"), [{"end": True}], "answer")
    suspended = (relay.spool / "suspended").read_text()
    assert suspended.startswith("posthouse-suspended/1\nall=yes ") and 'reason="new disks"' in suspended, suspended
    ident, = submit(relay)
    os.kill(relay.child("relay"), 9)
    wait_until(lambda: answers(t, relay), "the next relay")
    equal(relay.queue(), [ident], "what waits")
    equal(len(upstream.messages), 0, "sent while suspended")
    equal(Asker(t, relay, "control").ask(do="resume", upstream=None), [{"end": True}], "answer")
    equal(relay.wait_for("resumed")["by"], f"uid={os.geteuid()}", "who resumed")
    relay.wait_for("completed", id=ident)
    assert not (relay.spool / "suspended").exists()
    assert "error" in Asker(t, relay, "control").ask(do="resume", upstream=None)[0]
    assert "no-such" in Asker(t, relay, "control").ask(do="suspend", upstream="no-such")[0]["error"]


def answers(t, relay):
    try:
        return Asker(t, relay, "view").ask(ask="status")
    except (OSError, AssertionError):
        return None


def test_watch(t):
    upstream = Upstream(t)
    relay = t.daemon(config=WAITING + upstream_section(upstream)).ready()
    watcher = Asker(t, relay, "view")
    watcher.send(ask="watch")
    equal(watcher.line(), {"watching": True}, "first line")
    ident, = submit(relay)
    seen = {}
    while not {"accepted", "delivered", "completed"} <= set(seen):  # of a worker, and of the relay
        event = watcher.line()
        if event.get("id") == ident:
            seen[event["event"]] = event
    equal(seen["delivered"]["to"], "rcpt@example.test", "recipient")
    assert abs(seen["accepted"]["time_ms"] / 1000 - time.time()) < 60, seen


def test_nothing_that_a_stranger_says_ends_a_watch(t):
    """A NUL among it, which JSON has as \\u0000, and no other octet."""
    upstream = Upstream(t)
    relay = t.daemon(config=WAITING + upstream_section(upstream)).ready()
    watch = t.start([harness.BUILDDIR / "posthouse", "--spool", relay.spool, "watch"], name="watch")

    def is_seen():
        ident, = submit(relay)
        watch.wait_stdout(lambda out: ident.encode() in out or time.monotonic() > until, "a message")
        return ident.encode() in watch.stdout

    until = time.monotonic() + 0.5  # the first ones may be there before the watch is
    harness.wait_until(is_seen, "the first message")
    with Client(relay) as client:
        client.cmd(b"NOOP\0" + bytes(range(1, 10)) + b"\x1b[31m" + bytes(range(128, 256)), 500)
        client.cmd('XYZZY error="x" error=y', 500)
    until = time.monotonic() + harness.DEADLINE
    assert is_seen(), "the watch has ended"
    assert rb"NOOP\x00" in watch.stdout, watch.stdout
    watch.signal(signal.SIGTERM)
    watch.wait()


def test_sockets_go_with_the_daemon(t):
    relay, _reserved, _ids = waiting(t)
    relay.stop()
    equal([n for n in ("view", "control") if (relay.spool / n).exists()], [], "sockets left behind")


def test_reloads_are_not_seen(t):
    """Between two relays nobody listens: commands wait for the next one, and repeat what was not answered."""
    relay, _reserved, ids = waiting(t, 3)
    posthouse = [harness.BUILDDIR / "posthouse", "--spool", relay.spool]
    last = None
    for _ in range(12):
        relay.signal(signal.SIGHUP)
        for verb in (("hold", "--all"), ("status",), ("release", "--all"), ("queue",), ("status", "--json")):
            t.run([*posthouse, *verb], check=0)
        last = relay.wait_for("ready", after=last)
    assert json.loads(t.run([*posthouse, "status", "--json"], check=0).stdout)["running"]
    equal(len(relay.queue()), len(ids), "messages")


def test_crash_of_all(t):
    """The sockets stay, and nobody comes: commands say so, and do their work themselves."""
    relay, _reserved, ids = waiting(t, 1)
    family = [relay.pid, *relay.children()]
    for pid in family:
        os.kill(pid, signal.SIGKILL)
    relay.wait()
    relay.stopped = True
    wait_until(lambda: not any(harness.process_alive(pid) for pid in family), "the end of all")
    posthouse = [harness.BUILDDIR / "posthouse", "--spool", relay.spool]
    assert b"does not run" in t.run([*posthouse, "status"], check=1).stdout
    t.run([*posthouse, "hold", ids[0]], check=0)


# ---- who may --------------------------------------------------------------------------

def two_groups():
    found = [g for g in grp.getgrall() if g.gr_gid not in (0, pwd.getpwnam("nobody").pw_gid)
             and g.gr_gid not in [pwd.getpwnam(u).pw_gid for u in harness.ROOT_USERS]]
    if len(found) < 2:
        raise harness.Skip("there are no two groups to use")
    return found[:2]


AS_MEMBER = """
import os, socket, sys, json
os.setgroups([int(sys.argv[1])]); os.setresgid(54321, 54321, 54321); os.setresuid(54321, 54321, 54321)
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[2])
s.sendall(sys.argv[3].encode() + b"\\n")
data, fds = b"", []
while b'"end":true' not in data:
    more, got, _, _ = socket.recv_fds(s, 65536, 2)
    assert more
    data += more
    fds += got
print(data.decode())
for fd in fds:
    print(os.read(fd, 100000).decode())
    try:
        os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
        print("WRITABLE")
    except OSError:
        pass
"""


def test_groups(t):
    need_root()
    view, control = two_groups()
    relay, _reserved, ids = waiting(t, top=f'view_group = "{view.gr_name}"\ncontrol_group = "{control.gr_name}"\n')

    def member(group, name, request):
        return t.run(["/usr/bin/python3", "-c", AS_MEMBER, group.gr_gid, relay.spool / name, json.dumps(request)])

    for name, group in (("view", view), ("control", control)):
        found = (relay.spool / name).stat()
        equal((stat.S_IMODE(found.st_mode), found.st_gid), (0o660, group.gr_gid), f"rights of {name}")
    opened = member(view, "view", {"ask": "open", "ids": ids})
    assert b"Subject: control" in opened.stdout and b"WRITABLE" not in opened.stdout, opened
    equal(opened.stdout.count(b'"message":true'), 1, "messages handed over")
    for group, name in ((view, "control"), (control, "view")):
        assert b"PermissionError" in member(group, name, {"ask": "status"}).stderr, f"{name} is open to others"
    held = member(control, "control", {"do": "hold", "ids": ids})
    assert b'"result":"done"' in held.stdout, held
    equal(relay.wait_for("held")["by"], "uid=54321", "who it was")


AS_GROUP = """
import os, sys
os.setgroups([int(sys.argv[1])]); os.setresgid(54321, 54321, 54321); os.setresuid(54321, 54321, 54321)
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_verbs_of_members(t):
    """Each verb that looks works for who is in view_group alone; with control_group alone one looks and changes."""
    need_root()
    view, control = two_groups()
    relay, _reserved, ids = waiting(t, 2, top=f'view_group = "{view.gr_name}"\ncontrol_group = "{control.gr_name}"\n')
    out = t.tmp / "out"
    out.mkdir()
    os.chown(out, 54321, 54321)
    gone = "0" * 16

    def member(group, *args, check=0):
        return t.run(["/usr/bin/python3", "-c", AS_GROUP, group.gr_gid, harness.BUILDDIR / "posthouse", "--spool",
                      relay.spool, *args], check=check)

    # each with what must be in its output
    looks = ((["queue"], ids), (["queue", ids[0]], ids[:1]), (["queue", ids[0][:-1]], []),
             (["queue", "--to", "rcpt@example.test"], ids), (["queue", "--older", "0s"], ids),
             (["show", ids[0]], ["Subject: control", "rcpt@example.test"]), (["show", "--raw", ids[0]], ["body"]),
             (["show", "--log", ids[0]], ["accepted"]), (["show", "--json", ids[1]], [ids[1]]),
             (["summary"], ["example.test"]), (["summary", "--by", "reason", "--json", *ids], ['"messages":2']),
             (["explain", ids[0]], [ids[0], "is queued"]), (["explain", "--json", ids[0]], [ids[0]]),
             (["status"], ["main"]), (["check"], ["2 messages"]), (["help", "--complete", "--", "--spool", relay.spool, "show", ""], ids),
             (["export", "--format", "mbox"], ["Subject: control"]))
    for group in (view, control):
        for args, words in looks:
            done = member(group, *args, check=None)
            found = done.stdout.decode()
            assert args[0] == "check" or done.returncode == 0, (args, done)
            assert not [w for w in words if w not in found], (args, found, done.stderr)
    exported = member(view, "export", "--output", out / "eml", *ids)
    equal(sorted(p.name for p in (out / "eml").iterdir()),
          sorted(f"{i}.{end}" for i in ids for end in ("eml", "envelope.json")), exported)
    for args, status, words in ((["show", gone], 1, "no queued message"), (["explain", gone], 1, "There is no message"),
                                (["queue", gone], 1, "no queued message"), (["fsck"], 3, "root"),
                                (["export", "--format", "spool", "--output", out / "s"], 3, "root"),
                                (["hold", *ids], 3, control.gr_name)):
        done = member(view, *args, check=status)
        assert words in (done.stdout + done.stderr).decode(), (args, done)
    member(control, "hold", "--reason", "r", ids[0])
    equal({i: m["held"] for i, m in queue(t, relay).items()}, {ids[0]: True, ids[1]: False}, "held by a member")
    member(control, "suspend")
    member(control, "suspend", "--upstream", "main")
    resumed = member(control, "resume", "--all").stdout.decode().splitlines()
    equal(sorted(resumed), ["resumed all deliveries", "resumed deliveries to main"], "what was resumed")
    member(control, "resume", "--all", check=1)


def test_default_groups(t):
    """The group of `user` looks, nobody else changes."""
    need_root()
    relay, _reserved, _ids = waiting(t)
    view, control = ((relay.spool / name).stat() for name in ("view", "control"))
    equal((stat.S_IMODE(view.st_mode), view.st_gid), (0o660, pwd.getpwnam(harness.ROOT_USERS[0]).pw_gid), "view")
    equal(stat.S_IMODE(control.st_mode), 0o600, "control")


def test_missing_group(t):
    path = t.config('view_group = "no-such-group"\n', "127.0.0.1:9", spool=t.tmp / "spool")
    for option in ("-F", "-t"):
        done = t.run([harness.BUILDDIR / "posthoused", option, "-f", path], check=1)
        assert b"no-such-group" in done.stderr and b"groupadd" in done.stderr, done.stderr


# ---- cut short -------------------------------------------------------------------------

def test_kill9_in_the_middle_of_orders(t):
    """The relay is killed at any moment of an order: who was told "done" finds it done."""
    relay, _reserved, ids = waiting(t, 120)
    expected = {i: False for i in ids}  # held, as far as was answered; None: not known
    cut = 0
    for turn in range(12):
        wait_until(lambda: answers(t, relay), "a relay")
        action = "release" if turn % 2 else "hold"
        asker = Asker(t, relay, "control")
        victim = relay.child("relay")
        asker.send(do=action, ids=ids)
        if turn % 3:
            select_or_sleep(asker, random.random() * 0.03)
            os.kill(victim, 9)
        try:
            for _ in ids:
                answer = asker.line()
                expected[answer["id"]] = action == "hold" if answer["result"] in ("done", "no_change") else None
        except (AssertionError, ConnectionError, json.JSONDecodeError):
            cut += 1
            told = {i for i in ids if expected[i] == (action == "hold")}
            expected = {i: expected[i] if i in told else None for i in ids}
        seen = queue(t, relay)
        equal(set(seen), set(ids), "messages")
        wrong = [i for i in ids if expected[i] is not None and seen[i]["held"] != expected[i]]
        equal(wrong, [], f"{action}: answered, and not so")
    t.comment(f"{cut} orders cut short")
    assert not list((relay.spool / "corrupt").iterdir()), "something was damaged"


def select_or_sleep(asker, seconds):
    """Waits for the first octet of the answer, at most so long."""
    asker.socket.settimeout(max(seconds, 0.0005))
    try:
        asker.rest += asker.socket.recv(1)
    except (TimeoutError, BlockingIOError):
        pass
    asker.socket.settimeout(harness.DEADLINE)


def test_kill9_of_the_command_without_a_daemon(t):
    relay, _reserved, ids = waiting(t, 200)
    relay.stop()
    left = set(ids)
    for turn in range(8):
        action = ("hold", "remove", "release", "remove")[turn % 4]
        chosen = random.sample(sorted(left), len(left) // 4)
        command = t.start([harness.BUILDDIR / "posthouse", "--spool", relay.spool, action, *chosen],
                          name=f"{action}-{turn}")
        try:
            command.popen.wait(random.random() * 0.02)
        except Exception:
            os.kill(command.pid, 9)
        command.wait()
        left = {p.name for p in (relay.spool / "queue").iterdir()}
        assert left <= set(ids)
    states = {i: m["state"] for i, m in queue(t, relay).items()}
    equal(set(states), left, "messages")
    assert set(states.values()) <= {"queued", "held", "deferred"}, states
    # and a daemon takes it from there
    again = t.daemon(config=WAITING + upstream_section(harness.ReservedPort(t)), spool=relay.spool, name="again").ready()
    equal(sorted(i for o in Asker(t, again, "view").ask(ask="ids")[:-1] for i in o["ids"]), sorted(left), "ids")
    leftovers = [p.name for p in (relay.spool / "state").iterdir() if p.name not in left]
    equal(leftovers, [], "states left behind")


# ---- without a daemon --------------------------------------------------------------------

def test_changes_without_a_daemon(t):
    relay, reserved, ids = waiting(t, 3)
    config = t.tmp / "posthoused.conf"
    relay.stop()
    t.posthouse("--config", config, "hold", "--reason", "r", *ids)
    found = queue(t, relay)
    equal({m["hold_reason"] for m in found.values()}, {"r"}, "reasons")
    t.posthouse("--config", config, "remove", ids[0])
    equal(relay.queue(), sorted(ids[1:]), "what is left")
    t.posthouse("--config", config, "suspend", "--upstream", "main")
    assert (relay.spool / "suspended").exists()
    if os.geteuid() == 0:
        owner = pwd.getpwnam(harness.ROOT_USERS[0])
        made = [*(relay.spool / "state").iterdir(), relay.spool / "suspended"]
        equal({(p.name, p.stat().st_uid, p.stat().st_gid) for p in made},
              {(p.name, owner.pw_uid, owner.pw_gid) for p in made}, "owners of what root wrote")
    # the relay goes on with it
    upstream = Upstream(t, reserved=reserved)
    again = t.daemon(config=WAITING + upstream_section(upstream), spool=relay.spool, name="again").ready()
    control = Asker(t, again, "control")
    equal([a.get("result") for a in control.ask(do="release", ids=ids[1:])], ["done", "done", None], "release")
    equal(len(upstream.messages), 0, "sent while suspended")
    equal(control.ask(do="resume", upstream="main"), [{"end": True}], "resume")
    again.wait_empty()
    equal(len(upstream.messages), 2, "delivered")


def test_reports_without_a_daemon(t):
    """A message that is returned leaves, and its report is the relay's to read."""
    relay, reserved, ids = waiting(t)
    config = t.tmp / "posthoused.conf"
    relay.stop()
    t.posthouse("--config", config, "bounce", "--reason", "not wanted", *ids)
    report, = relay.queue()
    assert report not in ids
    upstream = Upstream(t, reserved=reserved)
    again = t.daemon(config=WAITING + upstream_section(upstream), spool=relay.spool, name="again").ready()
    again.wait_for("completed", id=report)
    assert b"550 5.7.0 returned by the operator: not wanted" in upstream.messages[0].content


if __name__ == "__main__":
    harness.main(__name__)

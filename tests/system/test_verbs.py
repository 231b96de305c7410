#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Selectors, and the verbs that change messages: without a daemon, against a
scripted one, interrupted and killed in the middle."""

import array
import fcntl
import hashlib
import json
import os
import pty
import pwd
import re
import select
import signal
import socket
import struct
import subprocess
import threading
import time

import harness
from harness import DEADLINE, equal
from spools import POSTHOUSE, environment, make_spool, run_posthouse

NOW = int(time.time() * 1_000_000)
BATCH = 500  # ACTION_BATCH_MAX
CHANGING = ["retry", "hold", "release", "expire", "bounce", "remove", "requeue", "reroute"]
MUST_SAY = {"reroute": ["--by-rules"]}  # what a verb does not work without


def posthouse(t, spool, *args, check=0, data=None, prefix=(), timeout=None):
    """Standard output and error as text."""
    out, errors = run_posthouse(t, "--spool", spool, *args, check=check, data=data, prefix=prefix, timeout=timeout)
    return out.decode(), errors.decode()


def ids_of(t, spool, *args, check=0, data=None):
    return posthouse(t, spool, "queue", "--ids", *args, check=check, data=data)[0].split()


def queued(t, spool):
    return {e["queue_id"]: e for e in map(json.loads, posthouse(t, spool, "queue", "--json")[0].splitlines())}


def snapshot(spool):
    """Every file's name, octets and time; the lock file is there or not."""
    return {str(p.relative_to(spool)): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
            for p in sorted(spool.rglob("*")) if p.is_file() and p.name != "lock"}


def deferred(address, reply="451 4.7.1 try again later", upstream="main"):
    return {"address": address, "status": "pending", "when": NOW - 60_000_000, "upstream": upstream, "reply": reply}


def many(count, sender="a@x.example"):
    return [{"from": sender, "to": [deferred("b@y.example")], "tries": 2, "next": NOW + 3600_000_000, "count": count}]


# ---- selectors ---------------------------------------------------------------

MESSAGES = [
    {"from": "fresh@one.example", "to": ["a@alpha.example"]},
    {"from": "", "to": [deferred("b@beta.example"), {"address": "c@alpha.example", "status": "delivered",
                                                     "when": NOW, "upstream": "other", "reply": "250 fine"}],
     "tries": 3, "next": NOW + 3600_000_000},
    {"from": "Held@Two.example", "to": ["d@sub.alpha.example"], "held": "because"},
    {"from": "bad@two.example", "to": [{"address": "e@gamma.example", "status": "failed", "when": NOW,
                                        "upstream": "main", "reply": "550 5.1.1 unknown"}], "tries": 1},
]

SELECTIONS = [
    ([], "0123"), (["--from", "one.example"], "0"), (["--from", "<>"], "1"), (["--from", "*two.example"], "23"),
    (["--from", "one.example", "--from", "<>"], "01"), (["--from", "one.example", "--state", "held"], ""),
    (["--to", "c@alpha.example"], ""), (["--to", "alpha.example"], "0"), (["--domain", ".alpha.example"], "2"),
    (["--domain", "*alpha.example"], "02"), (["--state", "queued"], "0"), (["--state", "held,failed"], "23"),
    (["--upstream", "main"], "13"), (["--upstream", "other"], ""), (["--tries", "1+"], "13"),
    (["--tries", "0"], "02"), (["--tries", "1-2"], "3"), (["--error", "TRY AGAIN"], "1"),
    (["--error", "/^5[0-9]+/"], "3"), (["--error", "fine"], ""), (["--larger", "1k"], ""),
    (["--smaller", "1k", "--limit", "2"], "01"), (["--older", "1h"], ""), (["--younger", "1h"], "0123"),
    (["--limit", "3"], "012"),
]


def test_selectors(t):
    spool, ids = make_spool(t, MESSAGES)
    for args, wanted in SELECTIONS:
        wanted = [ids[int(n)] for n in wanted]
        out, err = posthouse(t, spool, "queue", "--ids", *args, check=0 if wanted else 1)
        equal(out.split(), wanted, f"queue --ids {args}")
        assert wanted or "no queued message matches" in err, (args, err)
        table = posthouse(t, spool, "queue", *args, check=0 if wanted else 1)[0].splitlines()
        equal([row.split()[0] for row in table[1:-1]], wanted, f"queue {args}")


def test_selectors_by_id(t):
    spool, ids = make_spool(t, many(5))
    listed = "\n\n".join(reversed(ids[1:4])).encode() + b" \t\r\n"
    equal(ids_of(t, spool, "-", data=listed), ids[1:4], "ids of standard input")
    equal(ids_of(t, spool, "-", "--limit", "1", data=listed.upper()), ids[1:2], "capitals, and a limit")
    equal(ids_of(t, spool, "-", ids[0], data=listed), ids[:4], "both")
    equal(ids_of(t, spool, "-", data=b"", check=1), [], "nothing")
    out, err = posthouse(t, spool, "queue", "--ids", "-", check=1, data=ids[0].encode() + b"\n0000000000000000\n")
    equal(out.split(), [ids[0]], "what is there")
    assert "1 of 2 ids are not in the queue" in err, err
    for data, line in ((ids[0].encode() + b"\nshort\n", 2), (b"\n\n" + b"0" * 1000000, 3), (b"uuuuuuuuuuuuuuuu", 1)):
        out, err = posthouse(t, spool, "queue", "-", check=2, data=data)
        assert f"standard input, line {line}:" in err, err
    # verbs that change want to know which one is meant
    before = snapshot(spool)
    out, err = posthouse(t, spool, "remove", ids[0][:4], check=2)
    assert "5 messages begin so" in err, err
    equal(snapshot(spool), before, "the spool")
    equal(posthouse(t, spool, "remove", ids[0], ids[1][:-1] if ids[1][:-1] != ids[0][:-1] else ids[1])[0],
          "removed 2 messages\n", "output")


def test_long_queue_keeps_its_order(t):
    """More than one thread reads it."""
    spool, ids = make_spool(t, [{"from": f"u{n}@x.example", "to": ["b@y.example"], "count": 70} for n in range(30)])
    equal([e["queue_id"] for e in map(json.loads, posthouse(t, spool, "queue", "--json")[0].splitlines())], ids, "ids")
    equal(ids_of(t, spool, "--from", "u29@x.example", "--limit", "50"), ids[-70:-20], "the last ones")


# ---- usage ---------------------------------------------------------------------

def test_usage_errors(t):
    spool, ids = make_spool(t, many(2))
    before = snapshot(spool)
    wrong = [(verb, *MUST_SAY.get(verb, [])) for verb in CHANGING]
    wrong += [("remove", "--all", "--tries", "2"), ("remove", "--all", ids[0]), ("reroute", "--all"),
              ("reroute", "--all", "--via", "x", "--by-rules"), ("reroute", "--all", "--via", ""),
              ("hold", "--all", "--reason", ""), ("hold", "--all", "--reason", "x" * 501),
              ("hold", "--all", "--json", "-v"), ("hold", "--via", "x", "--all"), ("queue", "--dry-run"),
              ("hold", "u"), ("suspend", "main"), ("suspend", "--for", "soon"), ("suspend", "--for", "0"),
              ("suspend", "--upstream", ""), ("resume", "--all", "--upstream", "x"), ("resume", "--for", "1h")]
    wrong += [("hold", f"--{option}", value) for option, values in {
        "from": ["", "a b"], "to": ["<>", ""], "domain": ["a@b", ""], "upstream": [""], "state": ["wait", "held,"],
        "older": ["x", "-1", ""], "younger": ["1y"], "larger": ["many"], "smaller": ["-1"],
        "tries": ["x", "2-1"], "error": ["", "/(/", "x" * 600], "limit": ["0", "-1", "x", "99999999999"],
    }.items() for value in values]
    for args in wrong:
        out, err = posthouse(t, spool, *args, check=2)
        equal(out, "", f"standard output of {args}")
        assert err.startswith(f"posthouse: {args[0]}: ") and err.count("\n") == 1, err
        if len(args) == 3 and args[0] == "hold" and args[1].startswith("--") and args[1] not in ("--all", "--via"):
            assert args[1] in err, err
    equal(snapshot(spool), before, "the spool")


def test_dry_run_changes_nothing(t):
    spool, ids = make_spool(t, MESSAGES + many(3))
    before = snapshot(spool)
    for verb in CHANGING:
        more = MUST_SAY.get(verb, [])
        equal(posthouse(t, spool, verb, *more, "--all", "--dry-run")[0], f"would {verb} 7 messages\n", verb)
        equal(posthouse(t, spool, verb, *more, "--dry-run", "-v", ids[0])[0],
              f"{ids[0]}: would {verb}\nwould {verb} 1 message\n", verb)
        equal([json.loads(line) for line in
               posthouse(t, spool, verb, *more, "--dry-run", "--json", "--state", "held")[0].splitlines()],
              [{"id": ids[2], "result": "dry_run"}], verb)
    equal(snapshot(spool), before, "the spool")
    assert not (spool / "lock").exists(), "the lock was taken"


# ---- without a daemon --------------------------------------------------------------

def test_hold_and_release(t):
    spool, ids = make_spool(t, MESSAGES)
    out, err = posthouse(t, spool, "hold", "--from", "<>", "--from", "one.example", "--reason", "look \x1b[31m")
    equal((out, err), ("held 2 messages\n", ""), "output")
    entries = queued(t, spool)
    equal([entries[i]["state"] for i in ids], ["held", "held", "held", "failed"], "state")
    equal(entries[ids[0]]["hold_reason"], "look \x1b[31m", "reason")
    assert "\\x1b[31m" in posthouse(t, spool, "queue", ids[0])[0]
    out, _ = posthouse(t, spool, "hold", "--state", "held,failed")
    equal(out, "held 0 messages; 4 were held already, or without anybody left to try\n", "again")
    equal(posthouse(t, spool, "release", "-v", ids[1])[0], f"{ids[1]}: released\nreleased 1 message\n", "output")
    equal(queued(t, spool)[ids[1]]["state"], "deferred", "state")
    equal(queued(t, spool)[ids[1]]["next_attempt"], 0, "due now")


def test_retry_requeue_reroute(t):
    spool, ids = make_spool(t, MESSAGES)
    equal(posthouse(t, spool, "retry", "--state", "deferred")[0], "set 1 message due now\n", "output")
    entry = queued(t, spool)[ids[1]]
    equal((entry["next_attempt"], entry["tries"]), (0, 3), "due, with its tries")
    equal(posthouse(t, spool, "reroute", "--via", "elsewhere", ids[1])[0], "rerouted 1 message\n", "output")
    equal(queued(t, spool)[ids[1]]["route"], "elsewhere", "route")
    equal(ids_of(t, spool, "--upstream", "main"), [ids[1], ids[3]], "was tried there")
    equal(posthouse(t, spool, "reroute", "--by-rules", ids[1])[0], "rerouted 1 message\n", "output")
    equal(queued(t, spool)[ids[1]]["route"], None, "route")
    equal(posthouse(t, spool, "requeue", "--via", "third", ids[1], ids[3])[0], "requeued 2 messages\n", "output")
    for i in (1, 3):
        entry = queued(t, spool)[ids[i]]
        equal((entry["state"] == "failed", entry["tries"], entry["route"]), (False, 0, "third"), "as new")
    equal([r["address"] for r in queued(t, spool)[ids[1]]["delivered"]], ["c@alpha.example"], "still delivered")


def test_expire_bounce_remove(t):
    spool, ids = make_spool(t, many(3))
    results = [json.loads(line) for line in posthouse(t, spool, "bounce", "--json", "--reason", "no more", ids[0])[0]
               .splitlines()]
    equal([(r["id"], r["result"], r["error"]) for r in results], [(ids[0], "done", None)], "result")
    report = results[0]["report"]
    assert report in ids_of(t, spool), "the report is queued"
    out, _ = posthouse(t, spool, "expire", ids[1])
    equal(out, "expired 1 message; 1 report queued\n", "output")
    before = set(ids_of(t, spool))
    equal(posthouse(t, spool, "remove", "--from", "a@x.example", "--tries", "2")[0], "removed 1 message\n", "output")
    equal(before - set(ids_of(t, spool)), {ids[2]}, "what is gone")
    out, err = posthouse(t, spool, "remove", ids[2], check=1)
    equal(out, "", "output")
    assert ids[2] in err, err


def test_remove_many_in_batches(t):
    spool, ids = make_spool(t, many(BATCH + 1) + many(2, "keep@x.example"))
    out, err = posthouse(t, spool, "remove", "--from", "a@x.example")
    equal((out, err), (f"removed {BATCH + 1} messages\n", ""), "no progress bar in a pipe")
    equal(ids_of(t, spool), ids[-2:], "what is left")
    equal(sorted(p.name for p in (spool / "state").iterdir()), ids[-2:], "states")
    equal(posthouse(t, spool, "remove", "--all")[0], "removed 2 messages\n", "output")
    equal(posthouse(t, spool, "remove", "--all")[0], "The queue is empty.\n", "output")


def test_damaged_message(t):
    spool, ids = make_spool(t, many(3))
    (spool / "queue" / ids[1]).write_bytes(b"posthouse/1 unfinished")
    out, err = posthouse(t, spool, "hold", "--all", check=1)
    equal(out, "held 2 messages; 1 corrupt\n", "output")
    assert ids[1] in err and "fsck" in err, err
    equal(posthouse(t, spool, "remove", "--state", "corrupt")[0], "removed 1 message\n", "output")
    equal(ids_of(t, spool), [ids[0], ids[2]], "what is left")


def test_suspend_and_resume(t):
    spool, _ = make_spool(t, many(1))
    config = t.tmp / "posthouse.conf"
    config.write_text('localaddr = "127.0.0.1:2525"\nupstream "main" { remoteaddr = "127.0.0.1:1" }\n'
                      'upstream "other" { remoteaddr = "127.0.0.1:2" }\n')
    named = ["--config", config]
    assert posthouse(t, spool, *named, "suspend", "--for", "30m", "--reason", "new\x1b[1m disks")[0] \
        .startswith("suspended all deliveries until 2")
    equal(posthouse(t, spool, *named, "suspend", "--upstream", "other")[0],
          "suspended deliveries to other until they are resumed\n", "output")
    posthouse(t, spool, *named, "suspend", "--upstream", "third", check=1)
    posthouse(t, spool, *named, "hold", "--all", "--reason", "x", "--dry-run")
    assert "third" in posthouse(t, spool, *named, "reroute", "--all", "--via", "third", check=2)[1]
    table = posthouse(t, spool, "queue")[0].splitlines()
    assert any(re.fullmatch(r"All deliveries are suspended, to be resumed in (29|30)m: new\\x1b\[1m disks\.", line)
               for line in table), table
    assert "Deliveries to other are suspended." in table, table
    equal(posthouse(t, spool, *named, "resume")[0], "resumed all deliveries\n", "output")
    posthouse(t, spool, *named, "resume", check=1)
    posthouse(t, spool, *named, "suspend")
    equal(sorted(posthouse(t, spool, *named, "resume", "--all")[0].splitlines()),
          ["resumed all deliveries", "resumed deliveries to other"], "output")
    posthouse(t, spool, *named, "resume", "--all", check=1)
    assert "suspended" not in posthouse(t, spool, "queue")[0]


def test_lock_of_somebody_else(t):
    spool, ids = make_spool(t, many(1))
    before = snapshot(spool)
    with open(spool / "lock", "w") as lock:
        lock.write("4711\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        for args in (("remove", ids[0]), ("suspend",), ("resume", "--all")):
            out, err = posthouse(t, spool, *args, check=3)
            equal(out, "", "output")
            assert "4711" in err and "does not listen" in err, err
    equal(snapshot(spool), before, "the spool")


# ---- terminals ---------------------------------------------------------------------

def at_terminal(t, spool, *args, answer=b"", expect=b"? [y/N] "):
    """What it wrote, and its exit status; the answer is typed when it asks."""
    master, slave = pty.openpty()
    output, typed = b"", False
    with subprocess.Popen([POSTHOUSE, "--spool", spool, *args], stdin=slave, stdout=slave, stderr=slave,
                          env=environment(t), start_new_session=True) as process:
        os.close(slave)
        while True:
            ready, _, _ = select.select([master], [], [], DEADLINE)
            assert ready, f"silence after {output!r}"
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            output += data
            if expect in output and not typed:
                typed = True
                os.write(master, answer)
        status = process.wait(DEADLINE)
    os.close(master)
    return output.decode(), status


def test_terminal_is_asked(t):
    spool, ids = make_spool(t, many(4))
    for answer in (b"n\n", b"\n", b"\x04"):
        out, status = at_terminal(t, spool, "remove", "--all", answer=answer)
        assert "remove 4 messages? [y/N]" in out and "nothing was done" in out, out
        equal((status, len(ids_of(t, spool))), (1, 4), "nothing is removed")
    out, status = at_terminal(t, spool, "remove", ids[0], ids[1])
    assert "[y/N]" not in out and "removed 2 messages" in out, out
    out, status = at_terminal(t, spool, "hold", "--all")
    assert "[y/N]" not in out and "held 2 messages" in out, out
    out, status = at_terminal(t, spool, "remove", "--all", answer=b"y\n")
    assert "removed 2 messages" in out and status == 0, out
    spool, ids = make_spool(t, many(3), name="again")
    out, status = at_terminal(t, spool, "remove", "--all", "--yes")
    assert "[y/N]" not in out and "removed 3 messages" in out, out


# ---- a scripted daemon ----------------------------------------------------------------

class Relay:
    """Listens on SPOOL/control and SPOOL/view, and answers as a function of each request says."""

    def __init__(self, t, spool, answer, mode=0o600):
        self.requests, self.answer, self.spool = [], answer, spool
        self.sockets = []
        for name in ("control", "view"):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(spool / name))
            os.chmod(spool / name, mode)
            listener.listen()
            self.sockets.append(listener)
            threading.Thread(target=self.accept, args=(listener,), daemon=True).start()
        t.later(self.close)

    def close(self):
        for listener in self.sockets:
            listener.close()

    def accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        pid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                request = json.loads(line)
                self.requests.append(request)
                for part in self.answer(request, pid):
                    if part is None:
                        return
                    part, fds = part if isinstance(part, tuple) else (part, [])
                    data = (json.dumps(part) + "\n").encode()
                    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
                    connection.sendmsg([data], rights)
                    for fd in fds:
                        os.close(fd)


def result(ident, what="done", **more):
    return {"id": ident, "result": what, "in_flight": False, "next_attempt": None, "report": None, "error": None, **more}


def all_done(request, _pid):
    yield from (result(i) for i in request.get("ids", []))
    yield {"end": True}


def test_relay_is_asked_in_batches(t):
    spool, ids = make_spool(t, many(2 * BATCH + 7))
    relay = Relay(t, spool, all_done)
    before = snapshot(spool)
    for verb in CHANGING:
        relay.requests.clear()
        out, _ = posthouse(t, spool, verb, *MUST_SAY.get(verb, []), "--tries", "2")
        assert f"{2 * BATCH + 7:,} messages" in out, out
        equal([len(r["ids"]) for r in relay.requests], [BATCH, BATCH, 7], "batches")
        equal(sum((r["ids"] for r in relay.requests), []), ids, "ids")
        equal({r["do"] for r in relay.requests}, {verb}, "what")
        equal({"upstream" in r for r in relay.requests}, {verb == "reroute"}, "upstream")
    equal(snapshot(spool), before, "the spool is not touched by us")
    relay.requests.clear()
    posthouse(t, spool, "hold", "--reason", "gr\xfc\xdfe", ids[0])
    posthouse(t, spool, "requeue", "--via", "third", ids[0])
    equal([(r["ids"], r.get("reason"), r.get("upstream")) for r in relay.requests],
          [([ids[0]], "gr\xfc\xdfe", None), ([ids[0]], None, "third")], "requests")


def test_results_of_all_kinds(t):
    spool, ids = make_spool(t, many(6))

    def answer(request, _pid):
        kinds = [result(ids[0], in_flight=True), result(ids[1], "no_change"), result(ids[2], "pending"),
                 result(ids[3], "gone"), result(ids[4], "failed", error="disk \x1b[31m full"), result(ids[5])]
        yield from kinds
        yield {"end": True}

    Relay(t, spool, answer)
    out, err = posthouse(t, spool, "remove", "--all", check=1)
    equal(out, "removed 2 messages; 1 was being sent right now: done when that attempt ends; 1 was being sent right "
          "now: that attempt may still deliver; 1 was gone already; 1 was gone already; 1 failed\n", "output")
    assert f"{ids[4]}: disk \\x1b[31m full" in err, err
    out, _ = posthouse(t, spool, "remove", "--all", "-v", check=1)
    lines = out.splitlines()
    equal([line.split(":")[0] for line in lines[:-1]], ids[:4] + ids[5:], "lines")
    assert "may still deliver it" in lines[0] and "when that attempt ends" in lines[2], lines
    out, _ = posthouse(t, spool, "remove", "--all", "--json", check=1)
    equal([json.loads(line)["result"] for line in out.splitlines()],
          ["done", "no_change", "pending", "gone", "failed", "done"], "results")


def test_relay_goes_away(t):
    spool, ids = make_spool(t, many(BATCH + 10))
    count = []

    def answer(request, _pid):
        count.append(1)
        if len(count) == 1:
            yield from all_done(request, _pid)
        else:
            yield result(request["ids"][0])
            yield None

    Relay(t, spool, answer)
    out, err = posthouse(t, spool, "hold", "--all", check=3)
    assert f"held {BATCH} messages" in out and "10 messages" in err and "not known" in err, (out, err)


def test_relay_refuses(t):
    spool, ids = make_spool(t, many(1))
    Relay(t, spool, lambda request, pid: iter([{"error": "not today", "end": True}]))
    for args in (("hold", ids[0]), ("suspend",), ("resume",)):
        out, err = posthouse(t, spool, *args, check=3 if args[0] == "hold" else 1)
        assert "not today" in err, err


def test_retry_probes_a_paused_upstream(t):
    spool, ids = make_spool(t, many(2))
    relay = Relay(t, spool, all_done)
    posthouse(t, spool, "retry", "--upstream", "main")
    equal(relay.requests[1:], [{"do": "probe", "upstream": "main"}], "probe of one")
    relay.requests.clear()
    posthouse(t, spool, "retry", "--all")
    equal(relay.requests[1:], [{"do": "probe", "upstream": None}], "probe of all")
    relay.requests.clear()
    posthouse(t, spool, "retry", "--tries", "2")
    equal(len(relay.requests), 1, "no probe")


def test_interruption_ends_between_batches(t):
    spool, ids = make_spool(t, many(3 * BATCH))
    count = []

    def answer(request, pid):
        count.append(1)
        if len(count) == 2:
            os.kill(pid, signal.SIGINT)
        yield from all_done(request, pid)

    Relay(t, spool, answer)
    done = t.run([POSTHOUSE, "--spool", spool, "remove", "--all"], env=environment(t), check=-signal.SIGINT)
    equal(done.stdout.decode(),
          f"removed {2 * BATCH:,} messages; interrupted: {BATCH} messages left as they were\n", "output")
    equal(len(count), 2, "batches")


def test_queue_beside_a_relay(t):
    spool, ids = make_spool(t, many(3))
    status = {"suspended": None, "upstreams": [
        {"name": "main", "state": "paused", "last_trouble": "connection \x1b[31m refused", "suspension": None,
         "remotes": [{"paused_until": int(time.time()) + 185}, {"paused_until": int(time.time()) + 500}]},
        {"name": "slow", "state": "suspended", "remotes": [], "suspension": {"until": None, "reason": "stocktaking"}},
        {"name": "good", "state": "up", "remotes": []}]}

    def answer(request, _pid):
        yield {**({"flight": [{"id": ids[1]}, {"id": "nonsense"}, 4]} if request["ask"] == "flight" else status),
               "end": True}

    Relay(t, spool, answer)
    table = posthouse(t, spool, "queue")[0].splitlines()
    equal([" sending " in row for row in table[1:4]], [False, True, False], "marks")
    equal([re.sub(r"in [23]m", "in 3m", line) for line in table[-2:]],
          ["Upstream main is down, to be asked again in 3m: connection \\x1b[31m refused.",
           "Deliveries to slow are suspended: stocktaking."], "lines below")


def test_queue_beside_nonsense(t):
    """A relay that answers nonsense, or not in time, does not keep the queue from being seen."""
    spool, ids = make_spool(t, many(2))
    Relay(t, spool, lambda request, pid: iter([{"flight": {"a": 1}, "upstreams": ["x", {"name": 3}, None],
                                                "suspended": 7, "end": True}]))
    equal(posthouse(t, spool, "queue")[0].splitlines()[-1], "2 messages, 70 octets, 2 recipients left: 2 deferred.",
          "footer")


def test_looking_through_the_relay(t):
    """Who may not read the spool gets the descriptors from the relay."""
    harness.need_root()
    spool, ids = make_spool(t, MESSAGES + many(150))
    wanted = posthouse(t, spool, "queue", "--json")[0]
    states = {p.name for p in (spool / "state").iterdir()}

    def answer(request, _pid):
        if request["ask"] == "ids":
            yield {"ids": ids[100:]}
            yield {"ids": ids[:100]}
        for i in request.get("ids", []):
            fds = [os.open(spool / "queue" / i, os.O_RDONLY)]
            if i in states:
                fds.append(os.open(spool / "state" / i, os.O_RDONLY))
            yield {"id": i, "message": True, "state": i in states}, fds
        yield {"end": True}

    Relay(t, spool, answer, mode=0o666)
    os.chmod(spool, 0o711)
    nobody = harness.as_user(pwd.getpwnam("nobody"))
    equal(posthouse(t, spool, "queue", "--json", prefix=nobody)[0], wanted, "what nobody sees")
    equal(posthouse(t, spool, "queue", "--ids", "--state", "held", prefix=nobody)[0].split(), [ids[2]], "selected")


# ---- killed in the middle -----------------------------------------------------------------

def test_kill_in_the_middle_of_every_verb(t):
    """Afterwards every message is whole and either as before or as it should be; the verb can be repeated."""
    total = 2 * BATCH
    after = {"retry": lambda e: e["next_attempt"] == 0, "hold": lambda e: e["held"], "release": lambda e: not e["held"],
             "expire": lambda e: e["recipients"][0]["status"] == "expired",
             "bounce": lambda e: e["recipients"][0]["status"] == "failed", "requeue": lambda e: e["tries"] == 0,
             "reroute": lambda e: e["route"] == "third"}
    more = {"reroute": ["--via", "third"]}
    midway = 0
    for verb in CHANGING:
        messages = many(total)
        if verb == "release":
            messages[0]["held"] = "why"
        spool, ids = make_spool(t, messages, name=verb)
        args = [POSTHOUSE, "--spool", spool, verb, *more.get(verb, []), "--from", "a@x.example"]
        folder = spool / ("queue" if verb == "remove" else "state")
        began = times(folder)
        process = subprocess.Popen(args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(t),
                                   start_new_session=True)
        harness.wait_until(lambda: process.poll() is not None or times(folder) != began, f"{verb} to begin")
        process.kill()
        process.wait(DEADLINE)
        check_leftovers(t, spool)
        entries = queued(t, spool)
        mine = [entries[i] for i in ids if i in entries]
        assert all(e["state"] != "corrupt" for e in mine), verb
        done = total - len(mine) if verb == "remove" else sum(map(after[verb], mine))
        midway += 0 < done < total
        t.comment(f"{verb}: killed when {done} of {total} were done")
        if verb != "remove":
            equal(len(mine), total, f"{verb}: messages")
        posthouse(t, spool, verb, *more.get(verb, []), "--from", "a@x.example",
                  check=1 if verb == "remove" and done == total else 0,
                  timeout=4 * DEADLINE)  # thousands of fsyncs, where others may want the disk too
        entries = queued(t, spool)
        mine = [entries[i] for i in ids if i in entries]
        if verb == "remove":
            equal(mine, [], "all removed")
        elif verb in ("expire", "bounce"):
            # a message leaves the queue when its sender was told
            assert all(after[verb](e) for e in mine), verb
        else:
            assert len(mine) == total and all(map(after[verb], mine)), verb
        check_leftovers(t, spool)
    assert midway > 0, "no verb was killed in the middle: nothing was tested"


def check_leftovers(t, spool):
    """A crash leaves states without a message and unfinished ones, which the next start takes away; nothing else."""
    out, _ = posthouse(t, spool, "fsck", check=None)
    for line in filter(None, out.splitlines()[:-1]):
        assert "there is no message of this id" in line or ".new" in line, line
    posthouse(t, spool, "fsck", "--repair")
    posthouse(t, spool, "fsck")


def times(folder):
    """Of what has its final name."""
    found = {}
    for entry in os.scandir(folder):
        if not entry.name.endswith(".new"):
            try:
                found[entry.name] = entry.stat().st_mtime_ns
            except FileNotFoundError:
                pass
    return found


if __name__ == "__main__":
    harness.main(__name__)

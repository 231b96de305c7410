#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The verbs that look: summary, explain, show --log, status, top, watch and
check, on spools made for it and against a daemon that is none (fake_daemon.py),
and once against a real one."""

import copy
import json
import os
import re
import shlex
import signal
import subprocess
import time

import harness
from fake_daemon import NOW as NOW_S
from fake_daemon import STATUS, FakeDaemon
from harness import DEADLINE, equal, need_program, wait_until
from spools import POSTHOUSE, make_spool
from test_cli import NOW, examples, on_terminal, posthouse

ESCAPES = re.compile(rb"\x1b\[[0-9;]*m")


def spool_with_daemon(t, answers=None, messages=()):
    spool, ids = make_spool(t, list(messages))
    return spool, ids, FakeDaemon(t, spool, answers)


def status_with(**changes):
    return {**copy.deepcopy(STATUS), **changes}


# ---- colours ---------------------------------------------------------------

def test_colors(t):
    spool, _ = make_spool(t, examples())
    equal(ESCAPES.findall(posthouse(t, "--spool", spool, "queue")[0]), [], "colours in a pipe")
    colored = posthouse(t, "--spool", spool, "queue", "--color=always")[0]
    assert b"\x1b[31mfailed\x1b[0m" in colored and b"\x1b[33mheld\x1b[0m" in colored, colored
    plain = posthouse(t, "--spool", spool, "queue", "--color", "never")[0]
    ageless = re.compile(rb" +\d+[smh]\b")
    equal(ageless.sub(b"", ESCAPES.sub(b"", colored)), ageless.sub(b"", plain), "the same without colours")
    equal(ESCAPES.findall(posthouse(t, "--spool", spool, "queue", "--color=always", "--json")[0]), [], "JSON")
    assert b"not auto" in posthouse(t, "--color=sometimes", "queue", check=2)[1]
    # on_terminal() sets no TERM: a terminal that nothing is known of
    assert "\x1b" not in on_terminal(t, "--spool", spool, "queue")


# ---- summary -----------------------------------------------------------------

def many():
    """Twelve messages in three domains, of three ages, with three kinds of trouble."""
    messages = []
    for i in range(12):
        reply = (f"450 4.2.0 <u{i}@d{i % 3}.test>: busy, id={i}x{i}", f"421 4.7.0 [192.0.2.{i}] too many", None)[i % 3]
        messages.append({"from": f"s{i % 2}@from.test" if i % 4 else "", "arrived": NOW - (1, 30, 3000)[i % 3] * 60_000_000,
                         "to": [{"address": f"u{i}@D{i % 3}.test", "when": NOW, "reply": reply}], "tries": 1})
    return messages


def summary(t, spool, *args):
    return [json.loads(line) for line in posthouse(t, "--spool", spool, "summary", "--json", *args)[0].splitlines()]


def test_summary_keys(t):
    spool, _ = make_spool(t, many())
    for by, keys in (("domain", {"d0.test": 4, "d1.test": 4, "d2.test": 4}),
                     ("sender", {"<>": 3, "s0@from.test": 3, "s1@from.test": 6}),
                     ("sender-domain", {"<>": 3, "from.test": 9}),
                     ("reason", {"450 4.2.0 <address>: busy, #": 4, "421 4.7.0 [#] too many": 4, "(not tried yet)": 4}),
                     ("upstream", {"(not known)": 12})):
        total, *rows = summary(t, spool, "--by", by)
        equal({row["key"]: row["messages"] for row in rows}, keys, f"by {by}")
        equal([row["messages"] for row in rows], sorted(keys.values(), reverse=True), "most messages first")
        equal((total["row"], total["messages"], total["recipients"]), ("total", 12, 12), "the total")
        for row in rows:
            equal(sum(age["messages"] for age in row["ages"]), row["messages"], "sum of the ages")
    oldest = {row["key"]: row["oldest"] for row in summary(t, spool)[1:]}
    equal(oldest, {f"d{i}.test": NOW // 1_000_000 - (1, 30, 3000)[i] * 60 for i in range(3)}, "the oldest")


def test_summary_table(t):
    spool, _ = make_spool(t, many())
    title, total, *rows = posthouse(t, "--spool", spool, "summary")[0].decode().splitlines()
    equal(title.split(), ["DOMAIN", "MSGS", "RCPTS", "SIZE", "OLDEST", "<5m", "<10m", "<20m", "<40m", "<80m", "<160m",
                          "<320m", "<640m", "<1280m", "more"], "title")
    equal(total.split()[:3] + total.split()[5:], ["TOTAL", "12", "12", *"4 . . 4 . . . . . 4".split()], "the total")
    equal([row.split()[0] for row in rows], ["d0.test", "d1.test", "d2.test"], "rows")
    assert all(row.endswith("█" * 20) for row in rows), rows
    assert posthouse(t, "--spool", spool, "summary", env={"LC_ALL": "C"})[0].isascii()
    for columns in (60, 80, 100, 132, 200):
        for line in on_terminal(t, "--spool", spool, "summary", "--by", "reason", columns=columns).splitlines():
            assert len(line) <= columns, (columns, line)
    title, total, *rows = posthouse(t, "--spool", spool, "summary", "--buckets", "1h,1d", "--top", "1")[0].decode().splitlines()
    equal(title.split()[5:], ["<1h", "<1d", "more"], "title")
    equal(rows[1].split()[:4], ["(2", "more)", "8", "8"], "the rest")
    equal(len(summary(t, spool, "--top", "2")), 3, "JSON rows")


def test_summary_selects(t):
    spool, ids = make_spool(t, many())
    total, *rows = summary(t, spool, "--from", "<>")
    equal(total["messages"], 3, "messages from <>")
    equal(summary(t, spool, ids[0], ids[1])[0]["messages"], 2, "two by their ids")
    empty, _ = make_spool(t, [], name="empty")
    equal(posthouse(t, "--spool", empty, "summary"), (b"Nothing waits.\n", b""), "an empty spool")


def test_summary_odd_messages(t):
    odd = examples()
    odd[0]["to"] = [{"address": "a@\x1b[31m\xff"}, {"address": "b@" + "x" * 200}]
    spool, ids = make_spool(t, odd)
    (spool / "queue" / ids[1]).write_bytes(b"rubbish")
    out = posthouse(t, "--spool", spool, "summary", check=0)[0]
    assert b"(corrupt)" in out and b"\x1b" not in out, out
    for wrong in (["--by", "colour"], ["--top", "x"], ["--buckets", "2h,1h"], ["--buckets", ""], ["--nonsense"]):
        posthouse(t, "--spool", spool, "summary", *wrong, check=2)


# ---- show --------------------------------------------------------------------

def test_show_log(t):
    spool, ids = make_spool(t, examples())
    out = posthouse(t, "--spool", spool, "show", "--log", ids[0])[0].decode().splitlines()
    assert out[0].split() == "WHEN AGO WHAT TIMES RCPTS WHERE TEXT".split(), out
    assert re.search(r"Z +\d+s  accepted +1  192.0.2.1:4711$", out[1]), out
    event, = [json.loads(line) for line in posthouse(t, "--spool", spool, "show", "--log", "--json", ids[0])[0].splitlines()]
    equal((event["event"], event["id"], event["recipients"]), ("accepted", ids[0], 1), "the arrival")


def test_corrupt_is_shown(t):
    spool, ids = make_spool(t, examples())
    os.rename(spool / "queue" / ids[0], spool / "corrupt" / ids[0])
    (spool / "corrupt" / f"{ids[0]}.reason").write_bytes(b"its checksum \x1b[2J is wrong\n")
    (spool / "corrupt" / ids[1]).write_bytes(b"rub\x1bbish\n")
    os.unlink(spool / "queue" / ids[1])
    for verb in (["show"], ["explain"]):
        out = b" ".join(posthouse(t, "--spool", spool, *verb, ids[0], check=1)[0].split())
        assert rb"its checksum \x1b[2J is wrong" in out and b"fresh@example.org" in out, out
        out = posthouse(t, "--spool", spool, *verb, ids[1], check=1)[0]
        assert b"cannot be made out" in out, out
    equal(posthouse(t, "--spool", spool, "show", "--raw", ids[1], check=1)[0], b"rub\x1bbish\n", "the file")
    shown = json.loads(posthouse(t, "--spool", spool, "show", "--json", ids[0], check=1)[0])
    equal((shown["state"], shown["sender"]), ("corrupt", "fresh@example.org"), "as JSON")


# ---- explain -----------------------------------------------------------------

def explain(t, spool, ident, *args, check=0, config=None):
    before = ["--config", config] if config else ["--spool", spool]
    out = posthouse(t, *before, "explain", ident, *args, check=check)[0].decode()
    assert "\x1b" not in out, out
    for line in out.splitlines():
        assert "--json" in args or len(line) <= 100, line
    return json.loads(out) if "--json" in args else " ".join(out.split())


def test_explain_conditions(t):
    spool, ids = make_spool(t, examples())
    for ident, wanted in zip(ids, (
            ["is queued", "from 192.0.2.1:4711, which called itself client.example", "not tried yet", "posthouse hold"],
            ["without a sender", "1 delivered: done@example.net", "1 waiting: late@example.net", "450 4.2.0 mailbox busy",
             "a temporary answer (RFC 5321 4.2.1)", "for now, it is about the mailbox", "duplicate",
             "due in 59 minutes", "posthouse retry"],
            ["is held", 'It is held, because: "operator"', "posthouse release"],
            ["has failed", "there is no mailbox of that name", "for good", "posthouse requeue"],
            ["given up: x@example.net", "Nobody is left"]), strict=True):
        text = explain(t, spool, ident)
        for words in [*wanted, "The daemon does not run", ident]:
            assert words in text, f"{words!r} is not in: {text}"
    assert "There is no message" in explain(t, spool, "0" * 16, check=1)


def test_explain_strangers(t):
    evil = "\x1b]0;owned\x07\x9b31m"
    spool, (ident,) = make_spool(t, [{"from": f"a{evil}@x", "helo": evil, "peer": evil, "to": [
        {"address": f"b{evil}@y", "when": NOW, "reply": f"550 5.1.1 {evil}", "upstream": evil}], "tries": 1, "held": evil}])
    text = explain(t, spool, ident)
    assert "\x07" not in text and "\x9b" not in text and r"\x1b]0;owned\x07" in text, text
    explain(t, spool, ident, "--json")


def test_explain_routes_and_daemon(t):
    spool, ids = make_spool(t, examples())
    config = t.tmp / "x.conf"
    config.write_text(f'localaddr = "127.0.0.1:0"\nspool = "{spool}"\n'
                      'upstream "main" { remoteaddr = "a.test:25" }\nupstream "billing" { remoteaddr = "b.test:25" }\n'
                      'route { sender = "<>"  upstream = "billing" }\n')
    text = explain(t, spool, ids[0], config=config)
    assert 'goes to upstream "main", the first one, as no route matches' in text, text
    assert "is given up, and the sender is told" in text, text
    FakeDaemon(t, spool, {"flight": {"flight": [{"id": ids[0], "upstream": "main", "remote": "a.test:25",
                                                 "since": NOW_S - 3}]}})
    text = explain(t, spool, ids[1], config=config)
    for words in ('goes to upstream "billing", by route number 1', "It has been suspended for", 'because: "maintenance"',
                  "by uid=0", "nobody is tried or given up", "posthouse resume --upstream billing", "It is down", "billing.example.net:25 failed 4 times in a row", "connection refused"):
        assert words in text, f"{words!r} is not in: {text}"
    text = explain(t, spool, ids[0], config=config)
    for words in ("It is being sent now", "at a.test:25", "3 of 10 connections", "at most 60 messages a minute"):
        assert words in text, f"{words!r} is not in: {text}"
    facts = explain(t, spool, ids[0], "--json", config=config)
    equal((facts["found"], facts["daemon"], facts["in_flight"]["upstream"]), ("queued", "running", "main"), "facts")
    equal((facts["routing"][0]["goes_to"], facts["routing"][0]["upstream_state"]), ("main", "up"), "route")


# ---- status --------------------------------------------------------------------

def test_status_without_daemon(t):
    spool, _ = make_spool(t, examples())
    out = posthouse(t, "--spool", spool, "status", check=1)[0].decode()
    assert re.search(r"^Daemon +does not run$", out, re.M) and re.search(
        r"^Queue +5 messages, 2 waiting, 1 of them due, 1 held, 2 failed, the oldest \d+s$", out, re.M), out
    status = json.loads(posthouse(t, "--spool", spool, "status", "--json", check=1)[0])
    equal(status["running"], False, "running")
    posthouse(t, "--spool", t.tmp / "none", "status", check=3)


def test_status(t):
    spool, _, daemon = spool_with_daemon(t)
    out = posthouse(t, "--spool", spool, "status")[0].decode()
    for wanted in (r"^Daemon +runs, version 0.1.0, pid 4711, for 2h, as relay.test$",
                   r"^Queue +12 messages, 5 waiting, 3 of them due, 2 in flight, 1 held, 1 failed, the oldest \d+[ms]$",
                   r"^In a minute +10 queued, 9 delivered", r"^Since start +100 queued, 80 delivered",
                   r"^Suspended +upstream billing, since \d+[sm], by uid=0, ends in \d+m: maintenance$",
                   r"^Processes +master 4711, relay 4712$", r"^main +up +3/10 +2 +3 +1 +60/min +\d+s ago$",
                   r"^billing +paused .* slowed .* connection refused$", r"^  billing.example.net:25 +paused for \d+[sm]",
                   r"^ +5002  busy +\d+s  192.0.2.1:4711  DATA +7 +3 +0$"):
        assert re.search(wanted, out, re.M), f"{wanted} is not in\n{out}"
    told = json.loads(posthouse(t, "--spool", spool, "status", "--json")[0])
    equal(told, {**STATUS, "running": True}, "the object as received")
    daemon.answers["status"] = status_with(processes={"master": 11, "relay": 12, "workers": 3, "workers_busy": 1})
    assert b"Processes    master 11, relay 12, 3 workers, 1 busy" in posthouse(t, "--spool", spool, "status")[0]
    daemon.answers["status"] = status_with(suspended={"since": NOW_S, "until": None, "reason": None, "by": None})
    assert b"all deliveries" in posthouse(t, "--spool", spool, "status")[0]
    one = {"since": NOW_S, "until": None, "reason": "all of it", "by": None}
    daemon.answers["status"] = status_with(suspended=one, upstreams=[
        {"name": "main", "state": "suspended", "suspension": dict(one)}])
    equal(posthouse(t, "--spool", spool, "status")[0].count(b"all of it"), 1, "how often it is said")


def test_status_odd_answers(t):
    """Whatever sits behind the socket: an end in time, no crash, no escape sequence."""
    evil = "\x1b]0;owned\x07"
    spool, _, daemon = spool_with_daemon(t)
    for answer, status in (
            (b"rubbish\n", 3), (b"", 3), (b'{"queue":', 3), (b"[1,2]\n", 3), (b"\0\xff\n", 3), (b"\n", 3),
            (b'{"error":"' + b"\\u001b[2J" * 100 + b'"}\n', 3), ({}, 0), ({"queue": {"messages": 10 ** 18}}, 0),
            ({"upstreams": "x", "workers": 5, "queue": [], "rates": 1}, 0),
            ({"upstreams": [{"name": evil, "state": evil, "remotes": [evil, None, {}]}] * 50, "hostname": evil}, 0),
            (b"[" * 100000 + b"\n", 3), (b'{"a":' * 5000 + b"\n", 3), (status_with(started=1e300, now=-1), 0)):
        daemon.answers["status"] = answer
        out, err = posthouse(t, "--spool", spool, "status", check=status)
        assert b"\x1b" not in out + err and b"\x07" not in out + err, (answer, out, err)
        assert bool(out) == (status == 0) and bool(err) == (status == 3), (answer, out, err)
        posthouse(t, "--spool", spool, "explain", "0" * 16, check=1)
        done = t.run([POSTHOUSE, "--spool", spool, "check"])
        assert done.returncode in (0, 1, 2, 3) and done.stdout.startswith(b"POSTHOUSE "), done
        equal(done.stdout.count(b"\n"), 1, "lines of check")


# ---- check -----------------------------------------------------------------------

def check(t, spool, *args, status):
    out, err = posthouse(t, "--spool", spool, "check", *args, check=status)
    line = out.decode()
    words = ("OK", "WARNING", "CRITICAL", "UNKNOWN")[status]
    assert line.startswith(f"POSTHOUSE {words} - ") and line.count("\n") == 1 and line.count("|") <= 1, line
    equal(err, b"", "standard error")
    return line


def test_check(t):
    spool, _ = make_spool(t, examples())
    line = check(t, spool, "--no-daemon", "--critical-count", "500", "--max-age", "15m", status=0)
    assert re.fullmatch(r"POSTHOUSE OK - 5 messages, oldest \d+s, 2 failed, 1 held \| "
                        r"messages=5;;500 oldest=\d+s;900; failed=2;; held=1;;\n", line), line
    check(t, spool, "--no-daemon", "--max-count", "4", status=1)
    check(t, spool, "--no-daemon", "--max-count", "4", "--critical-count", "4", status=2)
    check(t, spool, "--no-daemon", "--critical-failed", "1", status=2)
    check(t, spool, "--no-daemon", "--max-held", "0", status=1)
    assert "does not run" in check(t, spool, status=2)
    judged = json.loads(posthouse(t, "--spool", spool, "check", "--json", check=2)[0])
    equal(judged["state"], "CRITICAL", "as JSON")
    daemon = FakeDaemon(t, spool)
    assert "upstream billing down" in check(t, spool, status=1)
    daemon.answers["status"] = status_with(upstreams=[{"name": "main", "state": "suspended"}])
    assert "upstream main suspended" in check(t, spool, "--max-age", "1h", status=0)
    check(t, spool, "--critical-age", "2m", status=2)
    daemon.answers["status"] = None
    started = time.monotonic()
    assert "|" not in check(t, spool, "--timeout", "1s", status=2)
    assert time.monotonic() - started < DEADLINE / 2
    daemon.answers["status"] = status_with(upstreams=[{"name": "a|b\nc\x1b", "state": "paused"}])
    assert r"a!b\nc\x1b" in check(t, spool, status=1)


def test_check_usage(t):
    for wrong in (["--max-age", "x"], ["--nonsense"], ["--max-count", "-1"], ["argument"], ["--max-count"]):
        posthouse(t, "check", *wrong, check=3)
    posthouse(t, "check", "--help", check=0)


# ---- watch -----------------------------------------------------------------------

def start_watch(t, spool, *args):
    return t.start([POSTHOUSE, "--spool", spool, "watch", *args], name="watch",
                   env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC"})


EVENTS = [{"event": "deferred", "time_ms": 1_700_000_000_123, "id": "0" * 16, "to": "a b@x", "reply": "450 no"},
          {"event": "delivered", "time_ms": 1_700_000_001_000, "id": "1" * 16, "from": "\x1b[2J\u202e", "n": 3}]


def test_watch(t):
    spool, _, daemon = spool_with_daemon(t)
    watch = start_watch(t, spool)
    daemon.wait_asked("watch")
    daemon.send(*EVENTS)
    lines = watch.wait_stdout(lambda out: out.count(b"\n") >= 2 and out, "two events").decode().splitlines()
    equal(lines[0], f'22:13:20 deferred id={"0" * 16} to="a b@x" reply="450 no"', "an event")
    equal(lines[1], f'22:13:21 delivered id={"1" * 16} from="\\x1b[2J\\xe2\\x80\\xae" n=3', "an event")
    watch.signal(signal.SIGINT)
    equal(watch.wait(), 0, "exit status after ^C")


def test_watch_filters_and_json(t):
    spool, _, daemon = spool_with_daemon(t)
    one = start_watch(t, spool, "--event", "delivered", "--event", "bounced", "--json")
    two = start_watch(t, spool, "--id", "0000", "--color=always")
    daemon.wait_asked("watch", 2)
    daemon.send(*EVENTS, b'{"event":3}\n', b"{}\n", {"event": "bounced", "x\x1b": 1})
    seen = one.wait_stdout(lambda out: out.count(b"\n") >= 2 and out, "two events")
    equal([json.loads(line)["event"] for line in seen.splitlines()], ["delivered", "bounced"], "events")
    assert b"\x1b" not in seen
    colored = two.wait_stdout(lambda out: b"\n" in out and out, "an event")
    assert b"\x1b[33mdeferred\x1b[0m" in colored, colored
    daemon.stop()
    equal(one.wait(), 3, "exit status at the daemon's end")
    equal(two.wait(), 3, "exit status at the daemon's end")
    equal(two.stdout.count(b"\n"), 1, "lines")
    assert any("posthouse: " in line for line in one.lines), one.lines


def test_watch_follows(t):
    spool, _, daemon = spool_with_daemon(t)
    daemon.stop()
    equal(start_watch(t, spool).wait(), 3, "exit status without a daemon")
    watch = start_watch(t, spool, "--follow")
    for count in (1, 2):
        daemon.start()
        daemon.wait_asked("watch", count)
        daemon.send(EVENTS[0])
        watch.wait_stdout(lambda out, n=count: out.count(b"\n") >= n, "the event")
        daemon.stop()
    watch.signal(signal.SIGTERM)
    equal(watch.wait(), 0, "exit status")
    posthouse(t, "watch", "--id", "not an id", check=2)


def test_watch_garbage(t):
    spool, _, daemon = spool_with_daemon(t, {"watch": b"not JSON\n"})
    equal(start_watch(t, spool).wait(), 3, "exit status")
    daemon.stop()


# ---- top ---------------------------------------------------------------------------

def test_top_batch(t):
    spool, _, daemon = spool_with_daemon(t)
    out = posthouse(t, "--spool", spool, "top", "-b", "-n", "2", "-d", "100ms")[0].decode()
    equal(len(re.findall(r"^Daemon +runs", out, re.M)), 2, "how often")
    lines = posthouse(t, "--spool", spool, "top", "-b", "-n", "2", "-d", "100ms", "--json")[0].splitlines()
    equal([json.loads(line)["hostname"] for line in lines], ["relay.test"] * 2, "JSON")
    _, err = posthouse(t, "--spool", spool, "top", "-n", "1", check=3)
    assert b"--batch" in err, err
    daemon.stop()
    posthouse(t, "--spool", spool, "top", "-b", "-n", "1", check=3)
    for wrong in (["-d", "1ms"], ["-n", "0"], ["--json"], ["x"]):
        posthouse(t, "--spool", spool, "top", *wrong, check=2)


class Tmux:
    """A terminal of a server of our own, with a shell in it."""

    def __init__(self, t, columns=150, lines=30):
        program = need_program("tmux")
        self.t = t
        self.base = [program, "-S", str(t.tmp / "tmux"), "-f", "/dev/null"]
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("TMUX")}
        self.environment.update(LC_ALL="C.UTF-8", PS1="$ ", ENV="", HOME=str(t.tmp))
        if self.call("new-session", "-d", "-x", str(columns), "-y", str(lines), "exec /bin/sh").returncode != 0:
            raise harness.Skip("tmux does not start here")
        t.later(self.call, "kill-server")

    def call(self, *args):
        return subprocess.run([*self.base, *args], env=self.environment, capture_output=True, timeout=DEADLINE, check=False)

    def screen(self):
        return self.call("capture-pane", "-p").stdout.decode()

    def keys(self, *keys):
        self.call("send-keys", *keys)

    def wait(self, pattern):
        def seen():
            screen = self.screen()
            return screen if re.search(pattern, screen, re.M) else None
        try:
            return wait_until(seen, f"{pattern} on the screen")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.screen()}") from None


def start_top(t, spool, *args, tmux=None):
    tmux = tmux or Tmux(t)
    command = shlex.join(map(str, [POSTHOUSE, "--spool", spool, "top", "-d", "200ms", *args]))
    tmux.keys(f"{command}; echo status=$?", "Enter")
    return tmux


def test_top_on_a_terminal(t):
    spool, _, daemon = spool_with_daemon(t)
    tmux = start_top(t, spool)
    tmux.wait(r"^Daemon +runs")
    screen = tmux.wait(r"q quit")
    assert "smtp.example.net:587" in screen and "192.0.2.1:4711" in screen, screen
    daemon.answers["status"] = status_with(hostname="changed.test")
    tmux.wait(r"as changed\.test")
    tmux.keys("s")
    tmux.wait(r"sort: waiting")
    tmux.keys("p")
    tmux.wait(r"PAUSED")
    daemon.answers["status"] = status_with(hostname="later.test")
    asked = len(daemon.asked)
    tmux.keys("s")
    assert "changed.test" in tmux.wait(r"sort: busy")
    equal(len(daemon.asked) - asked <= 1, True, "it asks while it is paused")
    tmux.keys("p")
    tmux.wait(r"as later\.test")
    daemon.stop()
    tmux.wait(r"What follows is old")
    assert "later.test" in tmux.screen()
    daemon.start()
    wait_until(lambda: "What follows" not in tmux.screen(), "the daemon to be back on the screen")
    tmux.call("resize-window", "-x", "60", "-y", "8")
    tmux.wait(r"scroll 1/\d+")
    tmux.keys("Down", "Down")
    tmux.wait(r"scroll 3/\d+")
    tmux.keys("Home")
    tmux.wait(r"scroll 1/\d+")
    tmux.keys("NPage")
    tmux.wait(r"scroll ([2-9]|\d\d)/\d+")
    tmux.call("resize-window", "-x", "150", "-y", "30")
    tmux.keys("q")
    screen = tmux.wait(r"^status=0")
    assert "q quit" not in screen and "Daemon" not in screen, f"the screen is not given back:\n{screen}"


def test_top_gives_the_terminal_back(t):
    spool, _, _daemon = spool_with_daemon(t)
    tmux = Tmux(t)
    for number, status in ((signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGABRT, 134)):
        start_top(t, spool, tmux=tmux)
        tmux.wait(r"^Daemon +runs")
        pane = tmux.call("display-message", "-p", "#{pane_pid}").stdout.decode().strip()
        child = subprocess.run(["ps", "--ppid", pane, "-o", "pid="], capture_output=True, check=True).stdout.split()
        os.kill(int(child[0]), number)
        tmux.wait(rf"^status={status}")
        tmux.keys("stty -a | tr ' ' '\\n' | grep -x -e echo -e -echo -e icanon -e -icanon | tr '\\n' ' '; echo fin''ished", "Enter")
        screen = tmux.wait(r"finished")
        assert re.search(r"^(icanon echo|echo icanon) *finished", screen, re.M), screen
        equal(tmux.call("display-message", "-p", "#{alternate_on} #{cursor_flag}").stdout.decode().strip(), "0 1",
              "the terminal's own screen and its cursor")
        tmux.keys("clear", "Enter")
        wait_until(lambda: "finished" not in tmux.screen(), "a clear screen")


def test_top_strangers(t):
    evil = "\x1b]0;owned\x07\x1b[2J"
    spool, _, _daemon = spool_with_daemon(t, {"status": status_with(workers=[
        {"pid": 1, "state": "busy", "peer": f"{evil}peer", "verb": f"{evil}VERB"}], hostname=f"x{evil}y")})
    tmux = start_top(t, spool)
    screen = tmux.wait(r"q quit")
    assert r"\x1b]0;owned\x07\x1b[2JVERB" in screen and r"as x\x1b]0;owned" in screen, screen
    tmux.keys("q")
    tmux.wait(r"^status=0")


# ---- a real daemon -------------------------------------------------------------------

def test_with_posthoused(t):
    """Only when this posthoused has a view socket."""
    reserved = harness.ReservedPort(t)
    daemon = t.daemon(reserved).ready()
    if not wait_until_or(lambda: (daemon.spool / "view").exists(), 2):
        raise harness.Skip("this posthoused has no view socket yet")
    watch = start_watch(t, daemon.spool, "--event", "accepted")
    wait_until(lambda: json.loads(posthouse(t, "--spool", daemon.spool, "status", "--json")[0])["queue"], "a status")
    posthouse(t, "send", "--server", f"127.0.0.1:{daemon.port}", "--from", "a@x.test", "--to", "b@y.test",
              data=b"Subject: x\r\n\r\nx\r\n")
    status = wait_until(lambda: (s := json.loads(posthouse(t, "--spool", daemon.spool, "status", "--json")[0]))
                        ["queue"]["messages"] == 1 and s, "the message in the status")
    t.comment(json.dumps(status)[:1500])
    posthouse(t, "--spool", daemon.spool, "status")
    ident, = daemon.queue()
    text = " ".join(posthouse(t, "--spool", daemon.spool, "explain", ident)[0].decode().split())
    assert "does not run" not in text, text
    watch.wait_stdout(lambda out: ident.encode() in out, "the event of the message")
    done = t.run([POSTHOUSE, "--spool", daemon.spool, "check"])
    assert done.returncode in (0, 1), done
    daemon.stop()
    equal(watch.wait(), 3, "exit status of watch")
    posthouse(t, "--spool", daemon.spool, "status", check=1)


def wait_until_or(question, seconds):
    try:
        return wait_until(question, "it", seconds)
    except AssertionError:
        return None


if __name__ == "__main__":
    harness.main(__name__)

#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""posthouse send as a load generator: what it says it did is what the server saw."""

import json
import re
import signal
import subprocess
import time

import harness
from harness import DEADLINE, equal
from smtp_peers import DROP, STALL, Upstream
from spools import POSTHOUSE, environment, run_posthouse
from terminal import Terminal

DONE, REFUSED, USAGE, UNREACHABLE, PARTLY, LATER, TLS, AUTH, UNSUPPORTED, UNCERTAIN = range(10)
TO = ("--from", "me@x.example", "--to", "you@y.example")


def argv(upstream, *args):
    return [POSTHOUSE, "send", "--server", f"127.0.0.1:{upstream.port}", *TO, *map(str, args)]


def load(t, upstream, *args, check=DONE, data=None):
    """The figures."""
    out, err = run_posthouse(t, *argv(upstream, *args, "--json")[1:], check=check, data=data)
    equal(err, b"", "on standard error")
    equal(out.count(b"\n"), 1, "lines")
    f = json.loads(out)
    equal(f["accepted"] + f["failed"] + f["not_sent"], f["messages"], "sum")
    equal(f["latency_us"]["transaction"]["count"] if f["accepted"] else 0, f["accepted"], "transactions measured")
    for name, times in f["latency_us"].items():
        if times:
            assert 0 <= times["p50"] <= times["p90"] <= times["p99"] <= times["max"] <= f["elapsed_us"], (name, times)
    return f


def test_counts(t):
    upstream = Upstream(t)
    upstream.on("EOD", lambda session, line: time.sleep(0.01))
    f = load(t, upstream, "--repeat", 200, "--connections", 7)
    equal((f["accepted"], f["connections_made"], f["errors"]), (200, 7, []), "figures")
    equal((len(upstream.messages), len(upstream.sessions)), (200, 7), "what came")
    equal(f["content_size"], sum(len(m.content) for m in upstream.messages), "octets")
    ids = {re.search(rb"^Message-ID: <[^>]+>\r$", m.content, re.M | re.I)[0] for m in upstream.messages}
    equal(len(ids), 200, "different Message-IDs")
    assert all(b"\r\nDate: " in m.content and len(m.content) > 4096 for m in upstream.messages)
    equal(upstream.most_open <= 7, True, "connections at a time")
    # never more connections than messages
    made = load(t, upstream, "--repeat", 2, "--connections", 50)["connections_made"]
    assert made in (1, 2), made


def test_per_connection(t):
    upstream = Upstream(t)
    f = load(t, upstream, "--repeat", 50, "--connections", 3, "--per-connection", 4, "--message-size", "10")
    equal(f["accepted"], 50, "accepted")
    equal(max(session.lines.count("DATA") for session in upstream.sessions), 4, "messages in a connection")
    assert all(session.lines[-1] == "QUIT" for session in upstream.sessions if len(session.lines) > 1)


def test_messages_in_turn(t):
    paths = []
    for i in range(3):
        paths.append(t.tmp / f"{i}.eml")
        paths[-1].write_bytes(f"Subject: {i}\n\n.{i}\n".encode())
    upstream = Upstream(t)
    load(t, upstream, *paths, "--repeat", 8)
    equal([m.content[-4:-2] for m in upstream.messages], [b".%d" % (i % 3) for i in range(8)], "contents")
    equal(load(t, upstream, *paths, "--connections", 2)["accepted"], 3, "each once")
    load(t, upstream, "--repeat", 2, "-", data=b"Subject: in\n\n")
    load(t, upstream, "--repeat", 2, "--subject", "built", "--text", "x")
    equal(b"Subject: built" in upstream.messages[-1].content, True, "built")


def test_rate(t):
    upstream = Upstream(t)
    f = load(t, upstream, "--repeat", 21, "--connections", 4, "--rate", 20)
    assert f["elapsed_us"] >= 1_000_000, f
    equal(f["latency_us"]["behind"]["count"], 21, "behind")
    # a server that is slow: what is not begun in time is told, not hidden
    upstream.on("EOD", lambda session, line: time.sleep(0.1))
    f = load(t, upstream, "--repeat", 10, "--rate", 1000)
    assert f["latency_us"]["behind"]["max"] > 500_000 and f["latency_us"]["transaction"]["max"] < 800_000, f
    assert f["latency_us"]["content"]["p50"] >= 90_000, f


def test_errors_by_reply(t):
    upstream = Upstream(t)
    numbers = iter(range(1000))
    upstream.on("EOD", lambda session, line: f"451 4.3.0 try later, id {next(numbers)}", times=6)
    upstream.on("MAIL", "550 5.7.1 go away", times=3)
    upstream.on("RCPT", "550 5.1.1 nobody", match="none@")
    f = load(t, upstream, "--to", "none@y", "--repeat", 20, check=PARTLY)
    equal((f["accepted"], f["failed"], f["recipients_refused"]), (11, 9, 17), "figures")
    # numbers in the text do not make it another error
    equal([e["count"] for e in f["errors"] if e["code"] == 451], [6], "451")
    equal([e["count"] for e in f["errors"] if e["enhanced"] == "5.7.1"], [3], "550 5.7.1")
    equal([e["count"] for e in f["errors"] if e["enhanced"] == "5.1.1"], [17], "550 5.1.1")
    upstream.clear()
    upstream.on("RCPT", "550 5.1.1 nobody")
    f = load(t, upstream, "--repeat", 5, check=REFUSED)
    equal((f["accepted"], f["failed"], [e["count"] for e in f["errors"]]), (0, 5, [5]), "figures")


def test_connections_that_break(t):
    upstream = Upstream(t)
    upstream.on("EOD", DROP, times=2)
    upstream.on("MAIL", "421 4.7.0 enough", times=1)
    f = load(t, upstream, "--repeat", 30, "--connections", 2, check=PARTLY)
    assert f["failed"] in (2, 3) and f["accepted"] == 30 - f["failed"], f
    equal(len(upstream.messages), f["accepted"], "messages")
    # nobody there
    upstream.clear()
    upstream.on("connect", "554 5.7.1 not you")
    f = load(t, upstream, "--repeat", 30, "--connections", 5, check=UNREACHABLE)
    assert f["not_sent"] == 30 and f["connections_failed"] >= 10 and f["connections_made"] == 0, f
    equal([e["code"] for e in f["errors"]], [554], "errors")
    upstream.clear()
    upstream.on("connect", DROP)
    load(t, upstream, "--repeat", 30, "--connections", 5, check=UNREACHABLE)


def test_lmtp(t):
    upstream = Upstream(t, lmtp=True)
    upstream.on("EOD", "550 5.2.2 full", match="full@")
    done = t.run([POSTHOUSE, "send", "--lmtp", f"127.0.0.1:{upstream.port}", *TO, "--repeat", "9", "--json"], check=0,
                 env=environment(t))
    equal(json.loads(done.stdout)["accepted"], 9, "accepted")
    equal(len(upstream.messages), 9, "messages")


def interrupt(t, upstream, *args, signals=1):
    process = subprocess.Popen(argv(upstream, *args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(t),
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    t.later(process.kill)
    upstream.wait_received(3)
    for _ in range(signals):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)  # two at once would be one
    out, err = process.communicate(timeout=DEADLINE)
    return process.returncode, out.decode(), err.decode()


def test_interrupt(t):
    """The figures so far, and no message is broken off that would have been answered."""
    upstream = Upstream(t)
    upstream.on("EOD", lambda session, line: time.sleep(0.02))
    status, out, err = interrupt(t, upstream, "--repeat", 100000, "--connections", 3)
    equal((status, err), (PARTLY, ""), "status")
    accepted = int(re.match(r"([0-9,]+) of 100,000 messages accepted", out)[1].replace(",", ""))
    equal(accepted, len(upstream.messages), "messages")
    assert "Interrupted: " in out and "transaction" in out and "p99" in out, out
    # a server that does not answer: at the second signal
    upstream.clear()
    begun = len(upstream.received)
    upstream.on("EOD", lambda session, line: STALL if len(upstream.received) > begun + 5 else None)
    process = subprocess.Popen(argv(upstream, "--repeat", 100000, "--json"), stdout=subprocess.PIPE, env=environment(t),
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    t.later(process.kill)
    upstream.wait_stall("EOD")
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    f = json.loads(process.communicate(timeout=DEADLINE)[0])
    equal((f["uncertain"], f["failed"], f["interrupted"]), (1, 0, True), "figures")
    equal(process.returncode, PARTLY, "status")


def test_progress(t):
    """A bar on a terminal, gone at the end; none elsewhere."""
    upstream = Upstream(t)
    upstream.on("EOD", lambda session, line: time.sleep(0.03))
    terminal = Terminal(t, *argv(upstream, "--repeat", 60))
    terminal.read_until(b"sending")
    terminal.read_until(b"/60")
    terminal.read_until(b"60 of 60 messages accepted")
    terminal.wait()
    _, err = run_posthouse(t, *argv(upstream, "--repeat", 30)[1:])
    equal(err, b"", "in a pipe")


def test_wrong(t):
    upstream = Upstream(t)
    (t.tmp / "m.eml").write_bytes(b"From: a@b\nTo: c@d\n\n")
    for args in (("--repeat", "0"), ("--repeat", "x"), ("--connections", "0"), ("--connections", "100000"), ("--rate", "0"),
                 ("--rate", "-1"), ("--rate", "1e9"), ("--rate", "nan"), ("--rate", ""), ("--per-connection", "0"),
                 ("--message-size", "1T"), ("--json",), ("--repeat", "2", "-v"), ("--repeat", "2", "--features"),
                 ("--message-size", "5", t.tmp / "m.eml")):
        _, err = run_posthouse(t, *argv(upstream, *args)[1:], check=USAGE, data=b"x\n")
        equal(err.count(b"\n"), 1, f"lines about {args}: {err}")
    equal(upstream.sessions, [], "connections")
    limited = ["sh", "-c", 'ulimit -n 100; exec "$@"', "sh", *argv(upstream, "--repeat", "500", "--connections", "500")]
    done = t.run(limited, check=UNREACHABLE, env=environment(t))
    assert b"ulimit -n" in done.stderr, done.stderr


if __name__ == "__main__":
    harness.main(__name__)

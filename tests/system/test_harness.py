# SPDX-License-Identifier: ISC
"""The tools of the system tests against each other, so that a test that
passes means something."""

import re
import smtplib
import ssl

import harness
from harness import equal
from smtp_peers import DROP, Authority, Client, Upstream, stuff, unstuff, without_received


def test_log_notation(_t):
    equal(harness.parse_kv(r'event=a x="b \"c\\ \x0a" y= z=1'),
          {"event": "a", "x": 'b "c\\ \n', "y": "", "z": "1"}, "pairs")
    for bad in ('x="a', "x=a\\b", "=1", "x", "X=1"):
        if harness.parse_kv(bad) is not None:
            raise AssertionError(f"{bad!r} was read as {harness.parse_kv(bad)}")
    event = harness.parse_event("2026-11-22T20:10:21.123Z posthoused[42]: event=ready pid=42 workers=5")
    equal((event, event.pid), ({"event": "ready", "pid": "42", "workers": "5"}, 42), "event")


def test_stuffing(_t):
    for content in (b"", b".\r\n", b"..\r\nx\r\n", b"a\r\n.b\r\n\r\n..\r\n"):
        equal(unstuff(stuff(content)), content, "unstuffed")
    equal(stuff(b".\r\na\r\n.\r\n"), b"..\r\na\r\n..\r\n", "stuffed")
    equal(without_received(b"Received: from a\r\n\tby b; date\r\nReceived: old\r\n\r\n"), b"Received: old\r\n\r\n",
          "content")


def test_client_and_upstream(t):
    upstream = Upstream(t)
    with Client(upstream) as client:
        client.message(b".x\r\n..y\r\nfoo\r\n.\r\n")
        client.message(b"")
        client.quit()
    equal([m.content for m in upstream.wait_messages(2)], [b".x\r\n..y\r\nfoo\r\n.\r\n", b""], "contents")


def test_rules(t):
    upstream = Upstream(t)
    upstream.on("RCPT", "550 5.1.1 no", match="bad@")
    upstream.on("EOD", DROP, times=1)
    with Client(upstream) as client:
        client.cmd("MAIL FROM:<a@b>", 250)
        client.cmd("RCPT TO:<bad@x>", 550)
        client.cmd("RCPT TO:<good@x>", 250)
        try:
            client.data(b"x\r\n")
            raise AssertionError("no drop")
        except EOFError:
            pass
    with Client(upstream) as client:
        client.message(b"y\r\n")
    equal([m.content for m in upstream.received], [b"x\r\n", b"y\r\n"], "received")
    equal([m.content for m in upstream.messages], [b"y\r\n"], "accepted")


def test_pipelining_is_noticed(t):
    upstream = Upstream(t, extensions=())
    with Client(upstream) as client:
        client.send("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n")
        client.expect(250)
        client.expect(250)
    equal(len(upstream.violations), 1, "violations")
    upstream.violations.clear()


def test_tls_and_auth(t):
    good, other = Authority(t), Authority(t, "other")
    upstream = Upstream(t, tls=good.server_context(), users={"u": "pw"})
    with smtplib.SMTP("127.0.0.1", upstream.port, local_hostname="client.test") as client:
        client.starttls(context=ssl.create_default_context(cafile=good.file))
        client.login("u", "pw")
        client.sendmail("a@b", ["c@d"], b"x\r\n")
    equal(upstream.wait_messages(1)[0].content, b"x\r\n", "content")
    client = smtplib.SMTP("127.0.0.1", upstream.port, local_hostname="client.test")
    try:
        client.starttls(context=ssl.create_default_context(cafile=other.file))
        raise AssertionError("a wrong certificate was taken")
    except ssl.SSLError:
        client.close()


def test_output_and_leftovers(t):
    process = t.start(["sh", "-c", "echo to stderr >&2; echo to stdout; sleep 1000 & wait"])
    process.wait_stdout(lambda out: re.search(rb"to stdout", out), "the word")
    harness.wait_until(lambda: len(process.leftovers()) == 2, "shell and sleep")
    process.kill_all()
    harness.wait_until(lambda: not process.leftovers(), "both to be gone")
    equal(process.lines, ["to stderr"], "standard error")


if __name__ == "__main__":
    harness.main(__name__)

# SPDX-License-Identifier: ISC
"""Extensions of SMTP that clients use, through to a real upstream: BDAT, ETRN,
VRFY, DELIVERBY. Their dialogues are in tests/transcripts."""

import json
import random
import re

import harness
from harness import equal, need_program, need_root, wait_until
from smtp_peers import Client, Upstream, without_received
from test_peers import postfix

LINES = b"".join(b"%d %s\r\n" % (n, b"." * (n % 5)) + b"." * (n % 3) + b"\r\n" for n in range(20000))


def test_bdat_behind_postfix(t):
    """In chunks of all sizes, dots and all: what comes out behind a real Postfix is what went in."""
    last = Upstream(t)
    relay = t.daemon(postfix(t, last))
    content = b"Subject: chunks\r\n\r\n" + LINES
    with Client(relay) as client:
        for size in (None, 100_000, 4097, random.randint(1000, 3000)):
            client.mail()
            client.bdat(content, size)
        client.mail()
        client.bdat(b"Subject: no line end\r\n\r\n.", 7)
        client.quit()
    relay.wait_for("completed", count=5)
    contents = [without_received(without_received(m.content)) for m in last.wait_messages(5)]
    equal(sorted(contents), sorted([content] * 4 + [b"Subject: no line end\r\n\r\n.\r\n"]), "contents behind Postfix")


def test_exim_sends_chunks(t):
    """A real client that uses CHUNKING where it is offered."""
    need_root()
    exim = need_program("exim4", "exim4-daemon-light")
    upstream = Upstream(t)
    relay = t.daemon(upstream, config='log_level = "debug"\n').ready()
    (t.tmp / "exim").mkdir()
    (t.tmp / "exim").chmod(0o777)
    t.tmp.chmod(0o755)
    (t.tmp / "exim.conf").write_text(
        f"exim_path = {exim}\nspool_directory = {t.tmp}/exim\nlog_file_path = {t.tmp}/exim/%slog\n"
        "primary_hostname = exim.test\nqualify_domain = exim.test\nkeep_environment =\n"
        "begin routers\nall:\n  driver = manualroute\n  transport = out\n  route_list = * 127.0.0.1\n  self = send\n"
        f"begin transports\nout:\n  driver = smtp\n  port = {relay.port}\n  hosts_try_chunking = *\n  hosts_avoid_tls = *\n")
    t.run([exim, "-C", t.tmp / "exim.conf", "-oi", "-odf", "-f", "a@exim.test", "b@example.test", "c@example.test"],
          check=0, data=b"Subject: exim\n\n" + LINES.replace(b"\r\n", b"\n"))
    message, = upstream.wait_messages(1)
    equal(sorted(message.rcpts), ["b@example.test", "c@example.test"], "recipients")
    assert message.content.endswith(b"\r\n\r\n" + LINES), message.content[-200:]
    assert relay.events("dialogue", received=re.compile("^BDAT ")), "it did not use BDAT"


def test_large_chunk(t):
    """A chunk is streamed like DATA: 50 MB of it cost no memory, and too much of it is dropped."""
    relay = t.daemon(Upstream(t), config='data_size_limit = "64k"\n')
    block = (b"x" * 998 + b"\r\n") * 1000
    with Client(relay) as client:
        client.mail()
        client.send(b"BDAT 50000000 LAST\r\n")
        for _ in range(50):
            client.send(block)
        client.expect(552)
        client.quit()
    if not harness.sanitized():
        for pid in relay.children("worker"):
            assert harness.peak_memory_kb(pid) < 40_000, harness.peak_memory_kb(pid)
    equal((relay.queue(), list((relay.spool / "incoming").iterdir())), ([], []), "queue and leftovers")


def test_chunks_that_break_off(t):
    """The client goes, or is reset, inside a chunk or between two: nothing is queued, nothing is left over."""
    upstream = Upstream(t)
    relay = t.daemon(upstream).ready()
    for said in (b"BDAT 10\r\nabc", b"BDAT 3\r\nabc", b"BDAT 3\r\nabcBDAT 0 LA", b"BDAT 100000 LAST\r\n" + b"x" * 90000):
        for end in (Client.close, Client.reset):
            client = Client(relay)
            client.mail()
            client.send(said)
            end(client)
    with Client(relay) as client:
        client.message()
    upstream.wait_messages(1)
    relay.wait_empty()
    equal((len(upstream.received), list((relay.spool / "incoming").iterdir())), (1, []), "messages that left, leftovers")


def test_etrn(t):
    """What waits for its retry is tried at once when a client asks for its domain, or for the upstream; and only that."""
    upstream = Upstream(t)
    upstream.on("RCPT", "450 4.2.1 not now", match="example[.](test|net)")
    relay = t.daemon(upstream, config='retry_min = "1h"\nretry_max = "2h"\n').ready()
    with Client(relay) as client:
        client.message(rcpts=["a@example.test"])
        client.message(rcpts=["b@mx.example.test"])
        client.message(rcpts=["c@example.net"])
        relay.wait_for("deferred", count=3)
        upstream.clear()
        equal(client.cmd("ETRN example.test").code, 250, "the reply to ETRN")
        flushed = relay.wait_for("flushed")
        equal(relay.wait_for("flush_asked")["node"], "example.test", "who asked for what")
        equal((flushed["messages"], flushed["looked_at"]), ("1", "3"), "messages of the domain, and those that were looked at")
        equal(upstream.wait_messages(1)[0].rcpts, ["a@example.test"], "what was tried")
        equal(client.cmd("ETRN #nosuch").code, 459, "an upstream there is not")
        relay.wait_for("completed")
        equal(len(relay.queue()), 2, "what waits on")
        # the next one has to wait: the relay has more to do
        equal(client.cmd("ETRN @example.test").code, 250, "the reply to the second ETRN")
        equal(client.cmd("ETRN #default").code, 250, "the reply to the third")
        client.quit()
    relay.wait_for("flushed", count=2, timeout=3 * harness.DEADLINE)
    equal(sorted(m.rcpts[0] for m in upstream.wait_messages(3)), ["a@example.test", "b@mx.example.test", "c@example.net"],
          "what was tried")
    relay.wait_empty()
    shown = [(e.get("domain"), e.get("subdomains"), e.get("upstream")) for e in relay.events("flush")]
    equal(shown, [("example.test", None, None), (None, "example.test", None), (None, None, "default")], "what was flushed")
    with Client(relay) as client:
        equal(client.cmd("ETRN example.test").code, 251, "ETRN while nothing waits")


def test_etrn_asks_a_paused_upstream(t):
    """An upstream that was down is asked how it is, long before its pause is over."""
    reserved = harness.ReservedPort(t)
    config = ('upstream "main" {\nremoteaddr = "127.0.0.1:%d"\nprobe_min = "30m"\nprobe_max = "30m"\n}\n' % reserved.port)
    relay = t.daemon(config=config).ready()
    with Client(relay) as client:
        client.message()
        relay.wait_for("upstream_down")
        upstream = Upstream(t, reserved=reserved)
        equal(client.cmd("ETRN #main").code, 250, "the reply")
        upstream.wait_messages(1)


def test_etrn_of_who_may_not(t):
    """Strangers do not set it going, and what is switched off is not there."""
    relay = t.daemon(Upstream(t), config='relay_from = "192.0.2.1"\n').ready()
    with Client(relay) as client:
        assert "ETRN" in client.ehlo.lines, client.ehlo
        equal(client.cmd("ETRN example.test").code, 459, "the reply to a stranger")
    relay = t.daemon(Upstream(t), config="discard_ehlo_keywords = ETRN\n", name="off").ready()
    with Client(relay) as client:
        assert "ETRN" not in client.ehlo.lines, client.ehlo
        equal(client.cmd("ETRN example.test").code, 500, "the reply where it is off")
    relay = harness.Daemon(t, ["-F", "-n", "-c", "DebuggingServer", "127.0.0.1:0"], name="debug")
    with Client(relay) as client:
        assert not {"ETRN", "CHUNKING", "DELIVERBY"} & set(client.ehlo.lines), client.ehlo
        equal(client.cmd("ETRN example.test").code, 500, "the reply where there is no queue")


UTF8 = ("jürgen@bücher.example", "用户@例え.example")


def test_utf8_addresses(t):
    """SMTPUTF8 from the client through tables, spool and commands to an upstream that has it."""
    upstream = Upstream(t, extensions=("PIPELINING", "8BITMIME", "SMTPUTF8", "DSN"))
    upstream.on("RCPT", "450 4.2.1 not now", times=1)
    (t.tmp / "senders").write_text("bücher.example allow\nжук@bücher.example reject\n* allow\n")
    (t.tmp / "rcpts").write_text("nobody@例え.example reject 550 5.1.1 Nobody\n")
    relay = t.daemon(upstream, config=f'enable_smtputf8 = yes\nretry_min = "1h"\nretry_max = "1h"\n'
                     f'sender_access = "{t.tmp}/senders"\nrecipient_access = "{t.tmp}/rcpts"\n').ready()
    with Client(relay) as client:
        equal(client.cmd("MAIL FROM:<жук@bücher.example> SMTPUTF8").code, 554, "a sender of the table")
        client.cmd(f"MAIL FROM:<{UTF8[0]}> SMTPUTF8 BODY=8BITMIME", 250)
        equal(client.cmd("RCPT TO:<nobody@例え.example>").code, 550, "a recipient of the table")
        client.cmd(f"RCPT TO:<{UTF8[1]}> NOTIFY=SUCCESS ORCPT=utf-8;{UTF8[1]}", 250)
        client.bdat("Subject: über\r\n\r\nß\r\n".encode(), 3)
    deferred = relay.wait_for("deferred")
    # its octets are escaped for the eyes of the log's reader
    equal(tuple(deferred[key].encode("latin-1").decode() for key in ("from", "to")), UTF8, "addresses in the log")
    (name,) = relay.queue()
    for args, wanted in ((["queue"], UTF8[:1]), (["queue", "--to", UTF8[1]], UTF8[:1]),
                         (["queue", "--from", "*@bücher.example"], UTF8[:1]), (["show", name], UTF8), (["explain", name], UTF8[1:])):
        shown = t.posthouse("--spool", relay.spool, *args)
        assert all(address in shown for address in wanted), (args, shown)
    entry = json.loads(t.posthouse("--spool", relay.spool, "queue", "--json"))
    equal((entry["sender"], entry["recipients"][0]["address"]), UTF8, "in JSON")
    t.posthouse("--spool", relay.spool, "retry", name)
    message, = upstream.wait_messages(1)
    equal((message.sender, *message.rcpts), UTF8, "the envelope")
    assert " SMTPUTF8" in message.mail_line, message.mail_line
    received = message.content.decode().split("Subject:")[0]
    assert " with UTF8SMTP id " in received and f"for <{UTF8[1]}>" in received, received


def test_utf8_and_decode_data(t):
    """They exclude each other, as in smtpd: the service does not start with both, and says why."""
    for config in ("decode_data = yes\nenable_smtputf8 = yes\n", "enable_smtputf8 = yes\ndecode_data = yes\n"):
        path = t.config("remoteaddr = \"127.0.0.1:1\"\n" + config, spool=t.tmp / "spool")
        for argv in (["-F", "-f", path], ["-t", "-f", path]):
            done = t.run([harness.BUILDDIR / "posthoused", *argv])
            assert done.returncode != 0 and b"decode_data and enable_smtputf8 exclude each other" in done.stderr, done
        done = t.run([harness.BUILDDIR / "posthoused", "-F", "-u", "-f", path])
        assert done.returncode != 0 and b"--smtputf8 goes with LOCALHOST:PORT" in done.stderr, done


def test_vrfy_table_is_read_again(t):
    """Like the other tables: new entries go for new sessions."""
    table = t.tmp / "vrfy"
    table.write_text("a@example.org allow\n")
    relay = t.daemon(Upstream(t), config=f'vrfy_table = "{table}"\n').ready()
    with Client(relay) as client:
        equal([client.cmd(f"VRFY {name}@example.org").code for name in "ab"], [250, 252], "replies before")
    table.write_text("a@example.org reject\nb@example.org list c@example.org\n")
    relay.signal(1)
    relay.wait_for("reloaded", what="access tables")

    def replies():
        with Client(relay) as client:
            return [client.cmd(line).code for line in ("VRFY a@example.org", "EXPN b@example.org")]
    wait_until(lambda: replies() == [550, 250], "the new table")


if __name__ == "__main__":
    harness.main(__name__)

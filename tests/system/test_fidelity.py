# SPDX-License-Identifier: ISC
"""What a client sent is what the upstream gets, byte for byte, behind the one
Received: header that the relay adds."""

import hashlib
import os
import re
import smtplib

import harness
from harness import equal
from smtp_peers import Client, Upstream, without_received

HEADER = b"From: a@client.test\r\nSubject: fidelity\r\n"

# name: content as it is given to smtplib, which stuffs dots and ends the last line
CONTENTS = {
    "plain": HEADER + b"\r\nHello\r\n",
    "leading_dots": HEADER + b"\r\n.\r\n..\r\n...\r\n.x\r\n..y\r\n\r\n.\r\n",
    "dot_first_of_all": b".\r\n.\r\n",
    "dots_elsewhere": HEADER + b"\r\nx.\r\nx.y\r\n .\r\n \r\n",
    "eight_bit": HEADER + b"\r\n" + bytes(b for b in range(1, 256) if b not in b"\r\n") + b"\r\n",
    "utf8_header": "Subject: Größe €\r\n\r\näöü\r\n".encode(),
    "long_line": HEADER + b"\r\n" + b"x" * 100_000 + b"\r\nend\r\n",
    "long_line_of_dots": HEADER + b"\r\n" + b"." * 100_000 + b"\r\n",
    "long_header": b"X-Long: " + b"y" * 70_000 + b"\r\n" + HEADER + b"\r\nbody\r\n",
    "no_final_newline": HEADER + b"\r\nno newline",
    "empty_body": HEADER + b"\r\n",
    "header_only": HEADER,
    "empty_lines": b"\r\n" * 1000,
    "blank_header": b"\r\nbody only\r\n",
    "trailing_spaces": HEADER + b"\r\nx  \r\n\t\r\n \r\n",
    "other_received": b"Received: from elsewhere\r\n by nowhere; Mon, 1 Jan 2024 00:00:00 +0000\r\n" + HEADER + b"\r\n",
    "looks_like_spool": b"posthouse/1 envelope=0 content=0\nrcpt=x\n".replace(b"\n", b"\r\n"),
    "looks_like_smtp": HEADER + b"\r\nQUIT\r\nRSET\r\nDATA\r\n",
}


def smtplib_send(relay, content, rcpts=("rcpt@example.test",), sender="a@client.test", options=("BODY=8BITMIME",)):
    with smtplib.SMTP("127.0.0.1", relay.port, local_hostname="client.test", timeout=harness.DEADLINE) as client:
        refused = client.sendmail(sender, list(rcpts), content, list(options))
    equal(refused, {}, "refused recipients")


def case(content):
    def test(t):
        upstream = Upstream(t)
        relay = t.daemon(upstream)
        smtplib_send(relay, content)
        message = upstream.wait_messages(1)[0]
        if content[-2:] != b"\r\n":
            equal(without_received(message.content), content + b"\r\n", "content")
        else:
            equal(without_received(message.content), content, "content")
        equal((message.sender, message.rcpts), ("a@client.test", ["rcpt@example.test"]), "envelope")
        relay.wait_for("completed")
        equal(relay.queue(), [], "queue")
    return test


for _name, _content in CONTENTS.items():
    globals()[f"test_{_name}"] = case(_content)


def test_no_content_at_all(t):
    """The final dot alone."""
    upstream = Upstream(t)
    relay = t.daemon(upstream)
    with Client(relay) as client:
        client.message(b"")
    equal(without_received(upstream.wait_messages(1)[0].content), b"", "content")


def test_20_megabytes(t):
    """More than any buffer, with dots at line starts everywhere; the processes must not grow with it."""
    upstream = Upstream(t)
    relay = t.daemon(upstream)
    lines = [HEADER + b"\r\n"]
    for i in range(20_000):
        lines.append(b"." * (i % 3) + os.urandom(500).hex().encode() + b"\r\n")
    content = b"".join(lines)
    assert len(content) > 20_000_000
    smtplib_send(relay, content)
    received = without_received(upstream.wait_messages(1, timeout=60 * harness.SLOW)[0].content)
    equal(hashlib.sha256(received).hexdigest(), hashlib.sha256(content).hexdigest(), "checksum of the content")
    if not harness.sanitized():
        for pid in relay.children():
            peak = harness.peak_memory_kb(pid)
            assert peak < 40_000, f"{harness.process_title(pid)} took {peak} kB for a message of 20 MB"


def test_thousand_recipients(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream)
    rcpts = [f"user{i}@example.test" for i in range(1000)]
    smtplib_send(relay, CONTENTS["plain"], rcpts=rcpts)
    equal(relay.wait_for("accepted")["rcpts"], "1000", "rcpts= of the log")
    relay.wait_for("completed")
    got = [rcpt for message in upstream.messages for rcpt in message.rcpts]
    equal(sorted(got), sorted(rcpts), "recipients")


def test_addresses(t):
    """Local parts that need quotes, the null reverse-path, a literal: the upstream gets them as they were."""
    upstream = Upstream(t)
    relay = t.daemon(upstream)
    rcpts = ['"john smith"@example.test', '"a\\"b"@example.test', "user+tag@[192.0.2.1]", "o'hara@example.test",
             "UPPER.Case@Example.TEST", "!#$%&'*+-/=?^_`{|}~@example.test", '"@"@example.test']
    with Client(relay) as client:
        client.message(sender="", rcpts=rcpts)
    message = upstream.wait_messages(1)[0]
    equal((message.sender, message.rcpts), ("", rcpts), "envelope")


def test_many_messages_in_one_session(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream)
    contents = [HEADER + b"X-Number: %d\r\n\r\n" % i + b".%d\r\n" % i * i for i in range(50)]
    with Client(relay) as client:
        for content in contents:
            client.message(content)
        client.quit()
    upstream.wait_messages(50)
    equal(sorted(without_received(m.content) for m in upstream.messages), sorted(contents), "contents")


def refuse(t, content, name="posthoused"):
    upstream = Upstream(t)
    relay = t.daemon(upstream, name=name)
    with Client(relay) as client:
        client.mail()
        client.cmd("DATA", 354)
        client.send(content + b"\r\n.\r\n")
        reply = client.expect((550, 554))
        client.message(CONTENTS["plain"])  # the session goes on, and nothing of the other is left over
    equal(without_received(upstream.wait_messages(1)[0].content), CONTENTS["plain"], "content of the next one")
    relay.wait_for("completed")
    equal(len(upstream.received), 1, "messages")
    relay.wait_for("rejected", reply=re.compile(str(reply.code)))


def test_nul_is_refused(t):
    refuse(t, HEADER + b"\r\na\0b")


def test_bare_lf_is_refused(t):
    refuse(t, HEADER + b"\r\na\nb")


def test_bare_cr_is_refused(t):
    refuse(t, HEADER + b"\r\na\rb")


def test_smuggling(t):
    """Ends of data that are none (SMTP smuggling): one message is refused, never two accepted."""
    for number, end in enumerate((b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r\n\0.\r\n")):
        refuse(t, HEADER + b"\r\nfirst" + end
               + b"MAIL FROM:<evil@client.test>\r\nRCPT TO:<victim@example.test>\r\nDATA\r\nsmuggled", f"relay{number}")


def test_normalize(t):
    """bare_newline = normalize: bare LF and bare CR become CRLF, and still end nothing."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config='bare_newline = "normalize"')
    for number, raw in enumerate((b"Subject: x\n\none\ntwo\r\n\n\r\n..\r\nthree\n\r\n.\r\n",
                                  b"Subject: x\r\n\r\nfirst\n.\nMAIL FROM:<evil@client.test>\r\n.\r\n"), 1):
        with Client(relay) as client:
            client.mail()
            client.cmd("DATA", 354)
            client.send(raw)
            client.expect(250)
        upstream.wait_messages(number)
    first, second = upstream.messages
    equal(without_received(first.content), b"Subject: x\r\n\r\none\r\ntwo\r\n\r\n\r\n.\r\nthree\r\n\r\n", "content")
    assert b"MAIL FROM:<evil" in second.content, second.content
    equal(len(upstream.received), 2, "messages")


if __name__ == "__main__":
    harness.main(__name__)

# SPDX-License-Identifier: ISC
"""Smuggling and injection: what tries to become a second message, or a command, on its way through.

Each attack is held against three things: what the client is told, what lies in the spool, and the octets that
leave for the upstream. Whoever reads those leniently (ends the content at LF . LF and the like) must see what we
meant. What is said around STARTTLS and AUTH is in test_tls and test_auth."""

import re

import harness
from harness import equal
from smtp_peers import STALL, Client, Upstream, without_received

SMUGGLED = (b"MAIL FROM:<evil@example.net>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\n"
            b"Subject: smuggled\r\n\r\nsmuggled\r\n")

# Octets that some server takes for the end of the data. Those with a lone CR, LF or a NUL are faults of the content.
ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r.\n", b"\n\n.\n\n", b"\r\r.\r\r",
        b"\r\n.\r\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\0\r\n.\0\r\n", b"\n.\0\n",
        b"\r\n\r.\r\n", b"\r\n\n.\r\n", b"\n\r.\n\r", b"\r\n.\n\r\n", b"\r\n.\r.\r\n"]
# Nothing is wrong with these, and none is an end.
NO_ENDS = [b"\r\n..\r\n", b"\r\n. \r\n", b"\r\n.\t\r\n", b"\r\n .\r\n", b"\r\n.\x0b\r\n", b"\r\n.\x85\r\n", b"\r\n.\xe2\x80\xa8\r\n",
           b"\r\n\x1a.\r\n", b"\r\n.\x04\r\n", b"\xc2\x85.\xc2\x85", b"\r\n.\x08\r\n"]


def faults(octets):
    return re.search(rb"(?<!\r)\n|\r(?!\n)|\0", octets)


def content_on_the_wire(session):
    """Between the reply to DATA and the real end: found as strictly as RFC 5321 has it."""
    found = re.findall(rb"DATA\r\n(.*?\r\n)\.\r\n", bytes(session.raw), re.S)
    return found


def check_wire(upstream):
    """No octet on the wire can be read in two ways."""
    for session in upstream.sessions:
        raw = bytes(session.raw)
        assert not faults(raw), f"on the wire: {faults(raw)} in {raw[-300:]!r}"
        for content in content_on_the_wire(session):
            lonely = re.search(rb"(?:^|\r\n)\.(?!\.)[^\r]*", content)
            assert not lonely, f"a line begins with one dot: {lonely[0]!r}"


def attack(client, octets):
    """One message with this in the middle; the reply to its end, and that there is just one reply."""
    client.mail()
    client.cmd("DATA", 354)
    client.send(b"Subject: harmless\r\n\r\nbody" + octets + SMUGGLED + b"\r\n.\r\nNOOP smuggled?\r\n")
    reply = client.reply()
    equal(client.expect(250).text, "2.0.0 OK", "the reply to what follows")
    return reply


def harmless(message, octets):
    """The one message that may arrive has all of it inside."""
    equal((message.sender, message.rcpts), ("sender@client.test", ["rcpt@example.test"]), "the envelope")
    text = without_received(message.content)
    assert text.startswith(b"Subject: harmless\r\n\r\nbody") and SMUGGLED.rstrip() in text, (octets, text)


def test_every_false_end_is_refused(t):
    """bare_newline = reject: 550, nothing in the spool, nothing leaves."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config="max_errors = 1000\n").ready()
    with Client(relay) as client:
        for octets in ENDS:
            reply = attack(client, octets)
            equal(reply.code, 550, f"the reply to the end of data with {octets!r}")
            equal(relay.queue(), [], f"the spool after {octets!r}")
        client.message()
    upstream.wait_messages(1)
    equal(len(upstream.received), 1, "messages that left")
    assert b"smuggled" not in b"".join(bytes(s.raw) for s in upstream.sessions)
    check_wire(upstream)


def test_every_false_end_is_normalized(t):
    """bare_newline = normalize: NUL is refused, all else arrives as one message with CRLF throughout."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config="bare_newline = normalize\n").ready()
    accepted = []
    with Client(relay) as client:
        for octets in ENDS:
            reply = attack(client, octets)
            equal(reply.code, 550 if b"\0" in octets else 250, f"the reply to the end of data with {octets!r}")
            if reply.code == 250:
                accepted.append(octets)
                upstream.wait_messages(len(accepted))
    for octets, message in zip(accepted, upstream.messages):
        harmless(message, octets)
    equal(len(upstream.received), len(accepted), "messages that left")
    check_wire(upstream)


def test_what_is_no_end_passes(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream, config="").ready()
    with Client(relay) as client:
        for number, octets in enumerate(NO_ENDS, 1):
            equal(attack(client, octets).code, 250, f"the reply to the end of data with {octets!r}")
            harmless(upstream.wait_messages(number)[-1], octets)
    check_wire(upstream)


def test_cut_anywhere(t):
    """However the segments fall. In the same order as on the wire, an octet at a time around the false end."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config="").ready()
    for octets in (b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r\r\n"):
        with Client(relay) as client:
            client.mail()
            client.cmd("DATA", 354)
            client.send(b"Subject: harmless\r\n\r\nbody")
            client.send_bytewise(octets + b"MAIL")
            client.send(SMUGGLED[4:] + b"\r\n.\r\n")
            client.expect(550)
            client.quit()
    equal((relay.queue(), upstream.received), ([], []), "spool and what left")


def chunked_attack(client, octets, cuts):
    """The same with BDAT: cut behind each of the places in `cuts`, counted from the false end. Whether it was accepted."""
    content = b"Subject: harmless\r\n\r\nbody" + octets + SMUGGLED
    at = content.index(SMUGGLED) - len(octets)
    places = sorted({0, *(min(max(at + cut, 0), len(content)) for cut in cuts), len(content)})
    pieces = [content[a:b] for a, b in zip(places, places[1:])]
    client.mail()
    client.send(b"".join(b"BDAT %d%s\r\n" % (len(p), b" LAST" if n == len(pieces) else b"") + p
                         for n, p in enumerate(pieces, 1)) + b"NOOP smuggled?\r\n")
    codes = [client.reply().code for _ in pieces]
    equal(client.expect(250).text, "2.0.0 OK", "the reply to what follows")
    # the first refusal ends it, and the octets of the later ones are dropped
    refused = next((n for n, code in enumerate(codes) if code != 250), len(codes))
    equal(codes, [250] * refused + [550] * (refused < len(codes)) + [503] * (len(codes) - refused - 1), f"replies to {pieces!r}")
    return refused == len(codes)


def test_false_ends_in_chunks(t):
    """BDAT: wherever it is cut, a false end is refused or made a line end, and nothing of the content is a command."""
    for mode in ("reject", "normalize"):
        upstream = Upstream(t)
        relay = t.daemon(upstream, config=f"bare_newline = {mode}\nmax_errors = 100000\n", name=mode).ready()
        accepted = []
        with Client(relay) as client:
            for octets in [*ENDS, *NO_ENDS]:
                bad = octets in ENDS and (mode == "reject" or b"\0" in octets)
                for cuts in [(), (0, 1), (1, 2), (2, 3), range(len(octets) + 4), (-1000,), (len(octets),)]:
                    equal(chunked_attack(client, octets, cuts), not bad, f"{octets!r} in {mode}, cut at {cuts}")
                    if not bad:
                        accepted.append(octets)
        upstream.wait_messages(len(accepted), timeout=60)
        equal(len(upstream.received), len(accepted), "messages that left")
        for message in upstream.messages:
            harmless(message, b"")
            assert not faults(bytes(message.content)), message.content
        check_wire(upstream)


REWRITING = ('default_domain = "new.test"\nmasquerade = "new.test"\nrewrite_headers = yes\nkeep_original_headers = yes\n'
             'remove_headers = { "X-Secret", "X-Other*" }\n'
             'rewrite {\n match = "*@old.test"\n to = "*@new.test"\n apply = { "sender", "header" }\n}\n')
# Where in the header an attack is put; %b is the attack.
FIELDS = [b"From: a@old.test%b, b@old.test\r\nSubject: x\r\n", b"From: a@old.test,%b\r\n b@old.test\r\n",
          b"From%b: a@old.test\r\n", b"X-Secret: x%by\r\nFrom: a@old.test\r\n", b"X-Secret%b: y\r\n",
          b"Reply-To: \"a%b\" <a@old.test>\r\n", b"Sender: (%b) a\r\nFrom: b\r\n", b"X-Other: y\r\n%b", b"%bFrom: a@old.test\r\n"]


def test_false_ends_in_rewritten_headers(t):
    """Fields that are held, rewritten, repeated and taken out: the attacks of above inside them, and nothing gets through."""
    for mode in ("reject", "normalize"):
        upstream = Upstream(t)
        relay = t.daemon(upstream, config=f"bare_newline = {mode}\nmax_errors = 100000\nmax_transactions = 0\n"
                         "client_messages_per_minute = 0\n" + REWRITING, name=mode).ready()
        accepted = 0
        with Client(relay) as client:
            for field in FIELDS:
                for octets in [*ENDS, *NO_ENDS, b"\r\n\r\n", b"\r\n \r\n"]:
                    client.mail()
                    client.cmd("DATA", 354)
                    client.send(field.replace(b"%b", octets) + b"X-Last: 1\r\n\r\nbody\r\n" + SMUGGLED
                                + b"\r\n.\r\nNOOP smuggled?\r\n")
                    code = client.reply().code
                    equal(client.expect(250).text, "2.0.0 OK", f"the reply to what follows {octets!r} in {field!r}")
                    bad = octets in ENDS and (mode == "reject" or b"\0" in octets)
                    equal(code, 550 if bad else 250, f"the reply to {octets!r} in {field!r}, {mode}")
                    accepted += code == 250
        upstream.wait_messages(accepted, timeout=60)
        equal(len(upstream.received), accepted, "messages that left")
        for message in upstream.messages:
            equal((message.sender, message.rcpts), ("sender@client.test", ["rcpt@example.test"]), "the envelope")
            text = bytes(message.content)
            assert SMUGGLED.rstrip() in text and not faults(text), text
            # what follows the first empty line of ours is not touched
            assert text.endswith(b"body\r\n" + SMUGGLED + b"\r\n") or text.endswith(b"body\r\n" + SMUGGLED), text
        check_wire(upstream)
        assert any(b"\r\nX-Original-From: a@old.test" in bytes(m.content) for m in upstream.messages), "it is rewritten"


def test_content_does_not_go_on_with_our_trace_fields(t):
    """What begins with white space would belong to the Received field in front of it, or to X-Original-To."""
    for name, config in (("plain", ""), ("redirected", 'redirect_all = "me@example.test"\n'),
                         ("filtered", 'rewrite_headers = yes\ndefault_domain = "a.test"\nremove_headers = "Received"\n')):
        upstream = Upstream(t)
        relay = t.daemon(upstream, config=config, name=name).ready()
        with Client(relay) as client:
            for number, octets in enumerate((b"\t(by a liar)\r\nSubject: x\r\n\r\nbody\r\n", b" \r\n", b" \r\nReceived: x\r\n"), 1):
                client.message(octets)
                content = upstream.wait_messages(number)[-1].content
                header, _, body = content.partition(b"\r\n\r\n")
                equal(body, octets, f"behind our own header, {name}: {content!r}")
                assert header.startswith(b"Received: from client.test ") and b"liar" not in header, header


def test_spool_holds_what_was_meant(t):
    """While the upstream hangs: one file, its content in canonical form, and fsck agrees."""
    upstream = Upstream(t)
    upstream.on("connect", STALL)
    relay = t.daemon(upstream, config="bare_newline = normalize\n").ready()
    with Client(relay) as client:
        equal(attack(client, b"\n.\n").code, 250, "the reply")
    (name,) = relay.queue()
    text = (relay.spool / "queue" / name).read_bytes()
    # posthouse-spool(5): behind the empty line that ends the envelope stands the content
    content = text.split(b"\n\n", 1)[1]
    assert not faults(content), content
    assert b"\r\n\r\nbody\r\n.\r\nMAIL FROM:<evil@example.net>\r\n" in content, content
    assert b"evil" not in text.split(b"\n\n", 1)[0]
    t.posthouse("--spool", relay.spool, "fsck")


def test_commands_with_more_in_them(t):
    """A command line that is no line: nothing of it, and nothing behind it up to its CRLF, is obeyed."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config="max_errors = 1000\n").ready()
    lines = [b"NOOP\nMAIL FROM:<evil@example.net>", b"NOOP\rMAIL FROM:<evil@example.net>",
             b"NOOP\0\nMAIL FROM:<evil@example.net>", b"NOOP\x00MAIL FROM:<evil@example.net>",
             b"X" * 2047 + b" MAIL FROM:<evil@example.net>", b"X" * 70000 + b"\nMAIL FROM:<evil@example.net>",
             b"RSET\n", b"MAIL FROM:<evil@example.net>\nRSET", b"EHLO x\nMAIL FROM:<evil@example.net>"]
    with Client(relay) as client:
        for line in lines:
            equal(client.cmd(line).code, 500, f"the reply to {line[:60]!r}")
            equal(client.cmd("RCPT TO:<victim@example.org>").code, 503, f"after {line[:60]!r}")
        client.message()
    equal([m.sender for m in upstream.wait_messages(1)], ["sender@client.test"], "senders")


def test_addresses_that_are_more(t):
    """In an address: line ends, brackets, literals without end. Refused, and what follows is not misread."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config="max_errors = 1000\nenable_smtputf8 = yes\n").ready()
    paths = [b'<"a\rb"@example.net>', b'<a@example.net>\rRCPT TO:<b@example.org>', b"<a@example.net", b"a@example.net>>",
             b"<a@b>c@example.net>", b'<"a"b@example.net>', b"<a@[192.0.2.1>", b"<a@[999.1.1.1]>", b"<a@192.0.2.1]>",
             b"<a@[IPv6:" + b"1:" * 1000 + b"]>", b"<a@[" + b"x" * 1900 + b"]>", b"<" + b"a" * 300 + b"@example.net>",
             b"<a@" + b"b" * 64 + b".example>", b"<a@" + b"b." * 200 + b"example>", b"<@a,@b:c@example.net", b"<a@exa mple.net>",
             b"<a@example.net\0>", b"<a\xc3\xa4@example.net>", b"<\xff\xfe@example.net>", b"<a@example.net> SIZE=1\x0bRET=HDRS",
             b'<"a\\>@example.net>', b"<a@example.net>,<b@example.net>", b"<a@example.net> <b@example.net>"]
    with Client(relay) as client:
        for path in paths:
            reply = client.cmd(b"MAIL FROM:" + path)
            assert reply.code in (500, 501, 553, 555), f"{path[:60]!r}: {reply}"
            equal(client.cmd("DATA").code, 503, f"after {path[:60]!r}")
        client.cmd("MAIL FROM:<a@example.net>", 250)
        for path in paths:
            reply = client.cmd(b"RCPT TO:" + path)
            assert reply.code in (500, 501, 553, 555), f"{path[:60]!r}: {reply}"
        equal(client.cmd("DATA").code, 554, "no recipient stands")
    equal((relay.queue(), upstream.received), ([], []), "spool and what left")


def test_names_in_headers(t):
    """What a client calls itself cannot end the Received field, nor begin another."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config="").ready()
    names = ["x) by evil (y", "x;\tevil", "[192.0.2.1]\x7f", 'a"b', "a\\b", "x" * 200, "(" * 100, "x,\ty", "<x>", "=?utf-8?q?=0d=0aX-Evil?="]
    sent = 0
    for name in names:
        with Client(relay, helo=None) as client:
            client.expect(220)
            if client.cmd(b"EHLO " + name.encode("latin-1")).code == 250:
                client.message()
                sent += 1
    assert sent >= 6, sent
    for message in upstream.wait_messages(sent):
        header = message.content.split(b"\r\n\r\n", 1)[0].decode("latin-1")
        fields = re.sub(r"\r\n[ \t]", " ", header).split("\r\n")
        equal([field.split(":")[0] for field in fields], ["Received", "Subject"], "the fields of the header")
        assert re.fullmatch(r"Received: from [^\s()<>;,\"\\]+ \(\[127\.0\.0\.1\]\) by relay\.test with ESMTP id \w+ for <rcpt@example\.test>; "
                            r"\w{3}, [\w :+-]+", fields[0]), fields[0]


def test_talking_before_the_greeting(t):
    """All in one segment, before we said a word: each command is judged in its turn, the content is content."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config="").ready()
    client = Client(relay, helo=None)
    client.send(b"EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nSubject: early\r\n\r\n"
                b"MAIL FROM:<evil@example.net>\r\n.\r\nQUIT\r\n")
    equal([client.reply().code for _ in range(7)], [220, 250, 250, 250, 354, 250, 221], "replies")
    (message,) = upstream.wait_messages(1)
    equal((message.sender, message.rcpts), ("a@example.net", ["b@example.org"]), "the envelope")
    # a client that was refused goes on as if it had not been: what it takes for content is not obeyed as a message
    client = Client(relay, helo=None)
    client.send(b"EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<>\r\nDATA\r\nRSET\r\nMAIL FROM:<>\r\n.\r\nQUIT\r\n")
    codes = [client.reply().code for _ in range(9)]
    equal(codes[:5], [220, 250, 250, 501, 554], "replies")
    equal(codes[-1], 221, "the last reply")
    equal(len(upstream.received), 1, "messages that left")


def test_lines_without_end(t):
    """A line of megabytes is content like any other, and a dot inside of it is a dot."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config="").ready()
    line = b"x" * 3_000_000 + b"." + b"y" * 70_000
    with Client(relay) as client:
        client.mail()
        client.cmd("DATA", 354)
        client.send(b"Subject: long\r\n\r\n" + line + b"\r\n.\r\n")
        client.expect(250)
    (message,) = upstream.wait_messages(1)
    equal(without_received(message.content).split(b"\r\n\r\n", 1)[1], line + b"\r\n", "the line")
    check_wire(upstream)


if __name__ == "__main__":
    harness.main(__name__)

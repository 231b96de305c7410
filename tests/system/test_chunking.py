# SPDX-License-Identifier: ISC
"""CHUNKING and BINARYMIME (RFC 3030) towards upstreams: what goes with BDAT,
what comes out of it, and what a lost connection leaves."""

import harness
from harness import equal
from smtp_peers import DROP, RESET, Client, Upstream, without_received

OFFERS = ("PIPELINING", "8BITMIME", "SIZE 0", "ENHANCEDSTATUSCODES", "CHUNKING", "BINARYMIME")
CONTENT = b"Subject: chunks\r\n\r\n.leading dot\r\n.\r\nlast\r\n"
BINARY = b"Content-Transfer-Encoding: binary\r\n\r\n\x00\xff\n.\n\r\r\n.\r\nno end"
LARGE = CONTENT + (b"y" * 70 + b"\r\n") * 30_000
FAST = 'log_level = "debug"\nretry_min = "50ms"\nretry_max = "200ms"\n'


def start(t, upstream, more="", top="", **options):
    return t.daemon(config=FAST + top + f'upstream "main" {{\n remoteaddr = "{harness.address(upstream)}"\n'
                    f' probe_min = "50ms"\n probe_max = "200ms"\n {more}\n}}\n', **options)


def submit(relay, content=CONTENT, count=1, **options):
    with Client(relay) as client:
        idents = [client.message(content, **options).lines[-1].split()[-1] for _ in range(count)]
        client.quit()
    return idents if count > 1 else idents[0]


def submit_binary(relay, content=BINARY, sender="sender@client.test"):
    with Client(relay) as client:
        assert "BINARYMIME" in client.ehlo.lines, client.ehlo
        client.mail(sender, params=" BODY=BINARYMIME")
        client.send(f"BDAT {len(content)} LAST\r\n".encode() + content)
        ident = client.expect(250).lines[-1].split()[-1]
        client.quit()
    return ident


def test_always(t):
    """Every message, small and large; nothing is stuffed."""
    upstream = Upstream(t, extensions=OFFERS)
    relay = start(t, upstream, "chunking = always\n max_connections = 1")
    submit(relay, count=20)
    submit(relay, LARGE)
    relay.wait_for("completed", count=21)
    equal(upstream.commands("DATA"), [], "DATA")
    equal(sorted({without_received(m.content) for m in upstream.messages}), sorted({CONTENT, LARGE}), "contents")
    equal({m.chunks for m in upstream.messages}, {1}, "chunks")
    equal(relay.events("uncertain"), [], "uncertain")


def test_needed_is_for_binary_only(t):
    upstream = Upstream(t, extensions=OFFERS)
    relay = start(t, upstream, "max_connections = 1", top="enable_binarymime = yes\n")
    text, binary = submit(relay), submit_binary(relay)
    relay.wait_for("completed", id=text)
    relay.wait_for("completed", id=binary)
    by_chunks = {m.chunks: m for m in upstream.messages}
    equal(without_received(by_chunks[0].content), CONTENT, "with DATA")
    equal(without_received(by_chunks[1].content), BINARY, "with BDAT")
    assert " BODY=BINARYMIME" in by_chunks[1].mail_line and "BODY=" not in by_chunks[0].mail_line, upstream.messages


def test_binary_goes_nowhere_else(t):
    """An upstream without it, or that is not to be spoken to so: a report, and not a byte of the content."""
    for number, (offers, more) in enumerate(((OFFERS[:4], ""), (OFFERS[:5], ""), (OFFERS, "chunking = never"),
                                             (OFFERS, 'discard_ehlo_keywords = "CHUNKING"'))):
        upstream = Upstream(t, extensions=offers)
        relay = start(t, upstream, more, top="enable_binarymime = yes\n", name=f"relay{number}")
        ident = submit_binary(relay)
        failed = relay.wait_for("failed", id=ident)
        assert failed["reply"].startswith("554 5.6.3 "), failed
        report, = upstream.wait_messages(1)
        equal(report.sender, "", "only the report goes")
        assert b"Status: 5.6.3" in report.content, report.content


def test_lost_connections_lose_nothing(t):
    """What was whole on the wire is uncertain and comes again, what was not is untouched."""
    for number, action in enumerate((DROP, RESET)):
        upstream = Upstream(t, extensions=OFFERS)
        upstream.on("EOD", action, times=3)
        relay = start(t, upstream, "chunking = always\n max_connections = 1", name=f"relay{number}")
        idents = set(submit(relay, count=30))
        for ident in idents:
            relay.wait_for("delivered", id=ident)
        relay.wait_empty()
        assert relay.events("uncertain"), "nothing was uncertain"
        equal(relay.events("failed"), [], "failed")


def test_a_refused_one_among_many(t):
    """The state behind a refusal does not spill over to the next ones: each begins with RSET."""
    upstream = Upstream(t, extensions=OFFERS)
    upstream.on("EOD", "554 5.6.0 not this one", "bad@example.test")
    upstream.on("RCPT", "550 5.1.1 unknown", "nobody@example.test")
    upstream.on("MAIL", "552 5.2.3 no", "refused@client.test")
    relay = start(t, upstream, "chunking = always\n max_connections = 1")
    for _ in range(6):
        submit(relay, rcpts=["good@example.test"])
        submit(relay, rcpts=["bad@example.test"], params=" RET=HDRS")
        submit(relay, rcpts=["nobody@example.test", "nobody@example.test"])
        submit(relay, sender="refused@client.test")
    relay.wait_empty()
    equal(len([m for m in upstream.messages if m.sender]), 6, "good ones")
    equal(len(relay.events("failed")), 24 - 6, "failed")
    equal(relay.events("uncertain"), [], "uncertain")


def test_lmtp_with_chunks(t):
    upstream = Upstream(t, lmtp=True, extensions=OFFERS)
    upstream.on("EOD", "452 4.2.2 full", "b@example.test$", times=1)
    relay = start(t, f"lmtp://127.0.0.1:{upstream.port}", "chunking = always\n max_connections = 1")
    for _ in range(3):
        submit(relay, rcpts=["a@example.test", "b@example.test"])
    relay.wait_for("completed", count=3)
    equal(len(relay.events("delivered")), 6, "delivered")
    equal(len(relay.events("deferred")), 1, "deferred")
    equal(upstream.commands("DATA"), [], "DATA")


if __name__ == "__main__":
    harness.main(__name__, jobs=8)

# SPDX-License-Identifier: ISC
"""LMTP upstreams (RFC 2033): each recipient has its own answer to the content,
and so its own fate. Scripted servers here; the real ones are in test_peers.py."""

import harness
from harness import equal
from smtp_peers import DROP, RESET, Authority, Client, Upstream, without_received

CONTENT = b"Subject: lmtp\r\n\r\n.body\r\n"
FAST = 'log_level = "debug"\nretry_min = "50ms"\nretry_max = "200ms"\n'
RCPTS = ("a@example.test", "b@example.test", "c@example.test")


def server(t, **options):
    return Upstream(t, lmtp=True, **options)


def start(t, remote, more="", top="", **options):
    return t.daemon(config=FAST + top + f'upstream "main" {{\n remoteaddr = "{remote}"\n'
                    f' probe_min = "50ms"\n probe_max = "200ms"\n {more}\n}}\n', **options)


def address(upstream):
    return f"lmtp://127.0.0.1:{upstream.port}"


def submit(relay, rcpts=RCPTS, content=CONTENT, **options):
    with Client(relay) as client:
        ident = client.message(content, rcpts=rcpts, **options).lines[-1].split()[-1]
        client.quit()
    relay.wait_for("accepted", id=ident)
    return ident


def test_all_get_it(t):
    upstream = server(t)
    relay = start(t, address(upstream))
    ident = submit(relay)
    relay.wait_for("completed", id=ident)
    for rcpt in RCPTS:
        event = relay.wait_for("delivered", id=ident, to=rcpt)
        equal(event["reply"], f"250 2.0.0 <{rcpt}> stored", "each has its own answer")
        equal(event["remote"], f"127.0.0.1:{upstream.port}", "remote")
    message, = upstream.messages
    equal(without_received(message.content), CONTENT, "content")
    equal(upstream.commands("LHLO"), ["LHLO relay.test"], "hello")
    relay.wait_empty()


def test_two_messages_one_connection(t):
    """The answers are counted: the second message's are not taken for the first one's."""
    upstream = server(t)
    upstream.on("RCPT", "550 5.1.1 unknown", "b@")
    relay = start(t, address(upstream), "max_connections = 1")
    idents = {submit(relay) for _ in range(5)}
    relay.wait_empty()
    equal(len([e for e in relay.events("delivered") if e["id"] in idents]), 10, "delivered")
    equal(len(relay.events("failed")), 5, "failed")
    equal(relay.events("uncertain"), [], "uncertain")
    equal(len(upstream.messages), 10, "with the reports")


def test_each_recipient_has_its_fate(t):
    """One has it, one is full for now, one is unknown only when the content is there: it bounces alone."""
    upstream = server(t)
    full = upstream.on("EOD", "452 4.2.2 mailbox full", "b@example.test$", times=1)
    upstream.on("EOD", "550 5.2.1 no such box", "c@example.test$")
    relay = start(t, address(upstream))
    ident = submit(relay)
    equal(relay.wait_for("deferred", id=ident, to="b@example.test")["reply"], "452 4.2.2 mailbox full", "deferred")
    equal(relay.wait_for("failed", id=ident, to="c@example.test")["reply"], "550 5.2.1 no such box", "failed")
    equal(relay.wait_for("delivered", id=ident, to="b@example.test")["tries"], "2", "tries")
    relay.wait_for("completed", id=ident)
    equal(len(relay.events("delivered", to="a@example.test", id=ident)), 1, "a has it once")
    mail = [m for m in upstream.wait_messages(3) if m.sender]
    equal([m.rcpts for m in mail], [list(RCPTS), ["b@example.test"]], "who was sent to")
    report, = [m for m in upstream.messages if not m.sender]
    assert b"Final-Recipient: rfc822; c@example.test" in report.content, report.content
    assert b"b@example.test" not in report.content.split(b"Final-Recipient")[1], report.content
    assert b"Diagnostic-Code: smtp; 550 5.2.1 no such box" in report.content, report.content
    equal(full.used, 1, "asked again")


def test_lost_between_the_answers(t):
    """Who was answered is done; the others may have it, and get it again."""
    for action in (DROP, RESET):
        upstream = server(t)
        upstream.on("EOD", action, "b@example.test$", times=1)
        relay = start(t, address(upstream), name=f"relay{action is RESET}")
        ident = submit(relay)
        relay.wait_for("completed", id=ident)
        equal(sorted(e["to"] for e in relay.events("delivered", id=ident)), list(RCPTS), "delivered")
        equal(sorted(e["to"] for e in relay.events("uncertain", id=ident)), list(RCPTS[1:]), "uncertain")
        equal([m.rcpts for m in upstream.received], [list(RCPTS), list(RCPTS[1:])], "who was sent to")


def test_421_between_the_answers(t):
    upstream = server(t)
    upstream.on("EOD", "421 4.3.2 going down", "b@example.test$", times=1)
    relay = start(t, address(upstream))
    ident = submit(relay)
    relay.wait_for("completed", id=ident)
    equal(sorted(e["to"] for e in relay.events("deferred", id=ident)), list(RCPTS[1:]), "deferred")


def test_refused_hello(t):
    """Trouble of the upstream, and of no message."""
    upstream = server(t)
    rule = upstream.on("LHLO", "450 4.3.0 not now", times=3)
    relay = start(t, address(upstream))
    ident = submit(relay)
    equal(relay.wait_for("upstream_down")["reason"], "greeting: not now", "reason")
    equal(relay.wait_for("delivered", id=ident, to=RCPTS[0])["tries"], "1", "tries")
    equal(rule.used, 3, "refusals")


def test_an_smtp_server_is_none(t):
    """LHLO to one that knows only EHLO: it says so, and nothing is sent to it."""
    upstream = Upstream(t)
    relay = start(t, address(upstream))
    submit(relay)
    down = relay.wait_for("upstream_down")
    assert "this is SMTP" in down["reason"], down
    equal(upstream.commands("MAIL"), [], "commands")


def test_greetings_that_are_none(t):
    for number, (greeting, reason) in enumerate((
            (b"220 a\r\n250 b\r\n", "goes on behind its greeting"), (b"HTTP/1.1 400 Bad\r\n", "not an SMTP reply"),
            (b"554 5.3.2 no\r\n", "greeting: no"), (DROP, "closed the connection"))):
        upstream = server(t)
        upstream.on("connect", greeting)
        relay = start(t, address(upstream), name=f"relay{number}")
        submit(relay)
        down = relay.wait_for("upstream_down")
        assert reason in down["reason"], down


def test_silent_server(t):
    reserved = harness.ReservedPort(t)
    reserved.socket.listen(10)
    relay = start(t, f"lmtp://127.0.0.1:{reserved.port}", 'greeting_timeout = "200ms"')
    submit(relay)
    down = relay.wait_for("upstream_down")
    equal(down["reason"], "greeting: timed out after 0.200 s waiting for: the greeting", "reason")


def test_unix_socket(t):
    path = t.tmp / "lmtp.sock"
    upstream = server(t, path=path)
    relay = start(t, f"lmtp://unix:{path}")
    ident = submit(relay)
    event = relay.wait_for("delivered", id=ident, to=RCPTS[0])
    equal(event["remote"], f"unix:{path}", "remote")
    relay.wait_for("completed", id=ident)
    equal(len(upstream.messages), 1, "messages")


def test_implicit_tls(t):
    ca = Authority(t)
    upstream = server(t, tls=ca.server_context(), implicit_tls=True)
    relay = start(t, address(upstream), f'tls = "implicit"\n tls_ca_file = "{ca.file}"')
    ident = submit(relay)
    event = relay.wait_for("delivered", id=ident, to=RCPTS[0])
    equal(event["verified"], "yes", "verified")
    assert event["tls"].startswith("TLSv1."), event


def test_without_pipelining(t):
    upstream = server(t, extensions=("8BITMIME", "ENHANCEDSTATUSCODES"))
    relay = start(t, address(upstream), "max_connections = 1")
    for _ in range(3):
        submit(relay)
    relay.wait_for("completed", count=3)
    equal(len(relay.events("delivered")), 9, "delivered")


def test_nobody_accepted(t):
    upstream = server(t)
    upstream.on("RCPT", "550 5.1.1 unknown")
    relay = start(t, address(upstream))
    ident = submit(relay, sender="")
    for rcpt in RCPTS:
        relay.wait_for("failed", id=ident, to=rcpt)
    equal(upstream.received, [], "content")


def test_a_server_that_asks_for_nobodys_content(t):
    """354 with nobody accepted: how many answers a dot would get nobody can know, so the connection ends."""
    upstream = server(t)
    upstream.on("RCPT", "550 5.1.1 unknown", "bad@")
    upstream.on("DATA", lambda session, line: None if session.rcpts else "354 go on then")
    relay = start(t, address(upstream), "max_connections = 1", top='postmaster = "pm@example.test"\n')
    bad = submit(relay, rcpts=["bad@example.test"], sender="")
    relay.wait_for("failed", id=bad)
    good = submit(relay)
    relay.wait_for("completed", id=good)
    equal(relay.events("uncertain"), [], "uncertain")


def test_it_is_shown(t):
    """status, doctor and the configuration's dump name it as it is written."""
    upstream = server(t)
    relay = start(t, address(upstream))
    relay.wait_for("ready")
    config = relay.spool.parent / "posthoused.conf"
    status = t.posthouse("--config", config, "status")
    assert f"lmtp://127.0.0.1:{upstream.port}" in status, status
    doctor = t.posthouse("--config", config, "doctor", "main", check=None)
    assert "250-PIPELINING" not in doctor and "PIPELINING: commands go in groups" in doctor, doctor


def test_bad_configurations(t):
    for more, words in (('remoteaddr = "lmtp://127.0.0.1:25"', "port 25 is SMTP's"),
                        ('remoteaddr = "lmtp://127.0.0.1"\n tls = "required"', "no STARTTLS with LMTP"),
                        ('remoteaddr = "lmtp://127.0.0.1"\n user = "u"\n password_file = "/dev/null"', "no log-in with LMTP"),
                        ('remoteaddr = "lmtp://unix:/x"\n tls = "implicit"', "makes no sense on a local socket"),
                        ('remoteaddr = "lmtp://unix:/x"\n proxy = "socks5://a:1"', "proxy has no effect on a local"),
                        ('remoteaddr = "unix:/x"', "by TCP only"), ('remoteaddr = "lmtp://unix:x"', "must be absolute"),
                        ('remoteaddr = "smtp://a"', "nothing in front but lmtp://")):
        path = t.tmp / "bad.conf"
        path.write_text(f'localaddr = "127.0.0.1:0"\nspool = "{t.tmp}/s"\nupstream "main" {{\n {more}\n}}\n')
        done = t.run([harness.BUILDDIR / "posthoused", "-t", "-f", path])
        assert done.returncode != 0 and words in done.stderr.decode(), (more, done)


if __name__ == "__main__":
    harness.main(__name__, jobs=8)

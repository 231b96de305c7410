# SPDX-License-Identifier: ISC
"""The relay against upstreams that fail in every way they can: what happens to
the message, to its recipients, and what the log says."""

import json
import re

import harness
from harness import equal, wait_until
from smtp_peers import DROP, RESET, STALL, Authority, Client, Upstream, without_received

CONTENT = b"Subject: relay\r\n\r\n.body\r\n"
LARGE = CONTENT + (b"y" * 70 + b"\r\n") * 200_000  # more than all socket buffers hold
FAST = 'log_level = "debug"\nretry_min = "50ms"\nretry_max = "200ms"\n'


def upstream_section(upstream, more=""):
    return (f'upstream "main" {{\n remoteaddr = "{harness.address(upstream)}"\n'
            f' probe_min = "50ms"\n probe_max = "200ms"\n {more}\n}}\n')


def start(t, upstream, more="", top="", **options):
    """A relay that tries again at once."""
    return t.daemon(config=FAST + top + upstream_section(upstream, more), **options)


def submit(relay, rcpts=("rcpt@example.test",), content=CONTENT, **options):
    """Sends a message; returns its queue ID."""
    with Client(relay) as client:
        ident = client.message(content, rcpts=rcpts, **options).lines[-1].split()[-1]
        client.quit()
    relay.wait_for("accepted", id=ident)
    return ident


def queue(t, relay):
    return [json.loads(line) for line in t.posthouse("--spool", relay.spool, "queue", "--json").splitlines()]


def delivered_once(relay, upstream, ident, content=CONTENT):
    relay.wait_for("completed", id=ident)
    relay.wait_empty()
    equal([without_received(m.content) for m in upstream.messages], [content], "accepted by the upstream")


# ---- trouble with the upstream as such: it is paused, the message waits ----

def test_each_probe_is_told(t):
    """Without log_level = debug too, for who reads the log in the middle of an outage."""
    reserved = harness.ReservedPort(t)
    relay = t.daemon(config=upstream_section(reserved))
    submit(relay)
    relay.wait_for("upstream_down")
    still = relay.wait_for("upstream_still_down", count=2)
    assert re.search("refused|connect", still[-1]["reason"], re.I) and float(still[-1]["pause"]) > 0, still


def test_down_at_start(t):
    reserved = harness.ReservedPort(t)
    relay = start(t, reserved)
    ident = submit(relay)
    down = relay.wait_for("upstream_down")
    assert re.search("refused|connect", down["reason"], re.I), down
    relay.wait_for("upstream_still_down", count=3)  # it is tried again and again
    equal(relay.queue(), [ident], "queue")
    upstream = Upstream(t, reserved=reserved)
    equal(relay.wait_for("delivered", id=ident)["tries"], "1", "tries: an upstream that is down costs none")
    relay.wait_for("upstream_up")
    delivered_once(relay, upstream, ident)


def test_all_connections_come_back_after_the_probe(t):
    """Behind the one message that shows an upstream to be well again, the others do not wait in a single line."""
    reserved = harness.ReservedPort(t)
    relay = start(t, reserved, "max_connections = 4\n pipelining = no").ready()  # it lists nothing: all is new mail
    submit(relay, ["good@example.test"])
    for _ in range(6):
        submit(relay, ["slow@example.test"])
    relay.wait_for("upstream_down")
    upstream = Upstream(t, reserved=reserved)
    upstream.on("RCPT", STALL, match="slow@")
    relay.wait_for("upstream_up")
    wait_until(lambda: upstream.most_open == 4, "four connections")


def upstream_trouble(phase, action):
    def test(t):
        upstream = Upstream(t)
        upstream.on(phase, action, times=2)
        relay = start(t, upstream, 'greeting_timeout = "300ms"')
        ident = submit(relay)
        relay.wait_for("upstream_down")
        delivered_once(relay, upstream, ident)
        equal(relay.events("failed"), [], "failed")
        equal(relay.wait_for("delivered")["tries"], "1", "tries")
    return test


def going_down(session, _line):
    session.say("421 4.3.2 going down")
    return DROP


for _phase in ("connect", "EHLO"):
    for _name, _action in (("drop", DROP), ("reset", RESET), ("stall", STALL), ("garbage", b"hello\r\n"),
                           ("421", going_down)):
        globals()[f"test_{_phase.lower()}_{_name}"] = upstream_trouble(_phase, _action)
for _name, _action in (("4yz", "450 4.3.2 try later"), ("5yz", "554 5.3.2 no mail here"), ("binary", b"\0\xff\xfe\r\n")):
    globals()[f"test_connect_{_name}"] = upstream_trouble("connect", _action)


def test_endless_greeting(t):
    """A line far beyond what RFC 5321 4.5.3.1.5 allows: taken or refused, but no harm done."""
    upstream = Upstream(t)
    upstream.on("connect", b"220 " + b"x" * 1_000_000 + b"\r\n", times=1)
    relay = start(t, upstream)
    delivered_once(relay, upstream, submit(relay))
    equal(relay.events("child_exited", status="killed"), [], "children that died")


def test_ehlo_unknown(t):
    """EHLO refused: HELO does."""
    upstream = Upstream(t, extensions=())
    upstream.on("EHLO", "502 5.5.1 what?")
    relay = start(t, upstream)
    delivered_once(relay, upstream, submit(relay))
    assert upstream.commands("HELO"), upstream.commands()


# ---- trouble with the transaction ------------------------------------------

def breaks_off(phase, action):
    """The connection breaks within the transaction: tried again, delivered, never failed."""
    def test(t):
        upstream = Upstream(t)
        upstream.on(phase, action, times=1)
        relay = start(t, upstream, 'command_timeout = "300ms"\n data_timeout = "300ms"\n block_timeout = "300ms"')
        content = LARGE if phase == "CONTENT" else CONTENT
        ident = submit(relay, content=content)
        delivered_once(relay, upstream, ident, content)
        equal(relay.events("failed") + relay.events("uncertain"), [], "failed or uncertain")
        assert relay.events("deferred") or relay.events("upstream_down"), "it was never logged"
    return test


for _phase in ("MAIL", "RCPT", "DATA", "CONTENT"):
    for _name, _action in (("drop", DROP), ("reset", RESET), ("stall", STALL)):
        globals()[f"test_{_phase.lower()}_{_name}"] = breaks_off(_phase, _action)
for _phase in ("MAIL", "RCPT", "DATA"):
    for _name, _action in (("garbage", b"hello\r\n"), ("binary", b"\0\xff\xfe\r\n"), ("odd_code", b"999 what\r\n"),
                           ("endless_line", b"250 " + b"x" * 100_000 + b"\r\n"),
                           ("endless_reply", b"250-x\r\n" * 5000 + b"250 x\r\n")):
        globals()[f"test_{_phase.lower()}_{_name}"] = breaks_off(_phase, _action)


def uncertain(action):
    """No answer to the final dot: logged as uncertain, tried again, the upstream gets a duplicate."""
    def test(t):
        upstream = Upstream(t)
        upstream.on("EOD", action, times=1)
        relay = start(t, upstream, 'final_timeout = "300ms"')
        ident = submit(relay)
        equal(relay.wait_for("uncertain")["id"], ident, "id of the event")
        delivered_once(relay, upstream, ident)
        equal(len(upstream.received), 2, "final dots at the upstream")
    return test


for _name, _action in (("drop", DROP), ("reset", RESET), ("stall", STALL), ("garbage", b"hello\r\n")):
    globals()[f"test_final_dot_{_name}"] = uncertain(_action)


def temporary(phase, reply):
    """A 4yz is about this message: deferred with the reply, tried again."""
    def test(t):
        upstream = Upstream(t)
        upstream.on(phase, reply, times=2)
        relay = start(t, upstream)
        ident = submit(relay)
        deferred = relay.wait_for("deferred", id=ident, to="rcpt@example.test")
        equal((deferred["tries"], deferred["reply"]), ("1", reply), "tries, reply")
        equal(relay.wait_for("delivered", id=ident)["tries"], "3", "tries at delivery")
        delivered_once(relay, upstream, ident)
        equal(relay.events("failed"), [], "failed")
    return test


def permanent(phase, reply):
    """A 5yz is final for this message: no retry, its sender is told, once."""
    def test(t):
        upstream = Upstream(t)
        upstream.on(phase, reply, times=1)
        relay = start(t, upstream)
        ident = submit(relay)
        failed = relay.wait_for("failed", id=ident, to="rcpt@example.test")
        equal(failed["reply"], reply, "reply")
        equal(relay.wait_for("bounced", id=ident)["to"], "sender@client.test", "who is told")
        relay.wait_for("completed", id=ident)
        # meanwhile another message is tried several times
        upstream.on("RCPT", "450 4.2.1 later", match="other@", times=4)
        other = submit(relay, ["other@example.test"])
        relay.wait_for("completed", id=other)
        equal([(m.sender, m.rcpts) for m in upstream.messages],
              [("", ["sender@client.test"]), ("sender@client.test", ["other@example.test"])], "delivered")
        assert reply.encode() in upstream.messages[0].content, upstream.messages[0].content
        equal(len(relay.events("failed", id=ident)), 1, "failures of the message")
        relay.wait_empty()
    return test


def test_failed_report_stays(t):
    """Nobody is told that a message from <> failed: it is kept visible, and not tried again."""
    upstream = Upstream(t)
    upstream.on("RCPT", "550 5.1.1 nobody", match="rcpt@")
    relay = start(t, upstream)
    with Client(relay) as client:
        client.message(CONTENT, sender="", rcpts=["rcpt@example.test"])
    ident = relay.wait_for("failed", to="rcpt@example.test")["id"]
    other = submit(relay, ["other@example.test"])
    relay.wait_for("completed", id=other)
    wait_until(lambda: relay.queue() == [ident], "the other message to leave the spool")
    entry, = queue(t, relay)
    rcpt, = entry["recipients"]
    equal((entry["queue_id"], rcpt["address"], rcpt["status"], rcpt["reply"]),
          (ident, "rcpt@example.test", "failed", "550 5.1.1 nobody"), "message in the queue")
    equal(relay.events("bounced"), [], "reports")


for _phase in ("MAIL", "RCPT", "DATA", "EOD"):
    globals()[f"test_{_phase.lower()}_4yz"] = temporary(_phase, "450 4.2.1 busy now")
    globals()[f"test_{_phase.lower()}_5yz"] = permanent(_phase, "550 5.7.1 never")


def test_421_in_a_transaction(t):
    """The upstream goes down for everybody: no try is counted."""
    upstream = Upstream(t)

    upstream.on("MAIL", going_down, times=2)
    relay = start(t, upstream)
    ident = submit(relay)
    delivered_once(relay, upstream, ident)
    equal(relay.events("failed"), [], "failed")


def partial(extensions):
    """One recipient each is taken, deferred and refused; only the deferred one is tried again."""
    def test(t):
        upstream = Upstream(t, extensions=extensions)
        upstream.on("RCPT", "450 4.2.1 later", match="later@", times=2)
        upstream.on("RCPT", "550 5.1.1 nobody", match="never@")
        relay = start(t, upstream)
        ident = submit(relay, ["good@example.test", "later@example.test", "never@example.test", "fine@example.test"])
        relay.wait_for("delivered", id=ident, to="later@example.test")
        equal([m.rcpts for m in upstream.messages if m.sender],
              [["good@example.test", "fine@example.test"], ["later@example.test"]], "recipients")
        equal(len(upstream.commands("RCPT TO:<never@")), 1, "attempts for the refused one")
        equal(len(upstream.commands("RCPT TO:<good@")), 1, "attempts for the good one")
        equal(len(relay.wait_for("bounced", count=1, id=ident)) > 0, True, "the sender was told")
        relay.wait_for("completed", id=ident)
        relay.stop()
        again = start(t, upstream, spool=relay.spool, name="again")
        other = submit(again, ["other@example.test"])
        again.wait_for("completed", id=other)
        equal(len(upstream.commands("RCPT TO:<never@")), 1, "attempts for the refused one, after a restart")
    return test


test_partial = partial(("PIPELINING", "8BITMIME", "SIZE"))
test_partial_without_pipelining = partial(("8BITMIME",))


def test_partial_survives_restart(t):
    """Who has the message already does not get it again after a restart."""
    upstream = Upstream(t)
    blocked = upstream.on("RCPT", "450 4.2.1 later", match="later@")
    relay = start(t, upstream)
    ident = submit(relay, ["good@example.test", "later@example.test"])
    relay.wait_for("deferred", id=ident, tries="2")
    relay.stop()
    tries = int(relay.events("deferred", id=ident)[-1]["tries"])
    again = start(t, upstream, spool=relay.spool, name="again")
    equal(int(again.wait_for("deferred", id=ident)["tries"]), tries + 1, "tries after the restart")
    blocked.times = 0
    again.wait_for("completed", id=ident)
    equal([m.rcpts for m in upstream.messages], [["good@example.test"], ["later@example.test"]], "recipients")


def test_date_in_the_far_future(t):
    """A damaged state, or a clock that was set back, does not postpone a message for years."""
    upstream = Upstream(t)
    blocked = upstream.on("MAIL", "450 4.2.1 later")
    relay = start(t, upstream)
    ident = submit(relay)
    relay.wait_for("deferred", id=ident)
    relay.stop()
    state = relay.spool / "state" / ident
    text = state.read_text()
    state.write_text(re.sub(r"next=\d{4}-", "next=2199-", text))
    assert state.read_text() != text, text
    blocked.times = 0
    start(t, upstream, spool=relay.spool, name="again").wait_for("completed", id=ident)


def test_retry_schedule(t):
    """The waits grow by the factor, with some jitter, up to the maximum."""
    upstream = Upstream(t)
    upstream.on("MAIL", "450 4.2.1 later", times=6)
    relay = t.daemon(config='retry_min = "100ms"\nretry_max = "400ms"\nretry_factor = "2"\n'
                     + upstream_section(upstream))
    ident = submit(relay)
    relay.wait_for("completed", id=ident)
    waits = [harness.parse_time(e["next"]) - e.when for e in relay.events("deferred", id=ident)]
    equal(len(waits), 6, "attempts")
    for wait, ideal in zip(waits, (0.1, 0.2, 0.4, 0.4, 0.4, 0.4)):
        assert 0.5 * ideal <= wait <= 1.5 * ideal, f"waits {waits}"


# ---- what an upstream offers -------------------------------------------------

def offers(*extensions):
    def test(t):
        upstream = Upstream(t, extensions=extensions)
        relay = start(t, upstream)
        with Client(relay) as client:
            for _ in range(5):
                client.message(CONTENT, rcpts=["a@example.test", "b@example.test"])
        upstream.wait_messages(5)
        relay.wait_for("completed", count=5)
        equal({without_received(m.content) for m in upstream.messages}, {CONTENT}, "contents")
        for message in upstream.messages:
            equal("SIZE=" in message.mail_line, any(e.startswith("SIZE") for e in extensions), message.mail_line)
    return test


test_offers_nothing = offers()
test_offers_pipelining_only = offers("PIPELINING")
test_offers_size_only = offers("SIZE")
test_offers_lower_case = offers("pipelining", "8bitmime")


def test_pipelining_switched_off(t):
    """`pipelining = no` for an upstream that offers it."""
    upstream = Upstream(t)
    upstream.pipelining = False  # takes more than one command for a breach
    relay = start(t, upstream, "pipelining = no")
    delivered_once(relay, upstream, submit(relay))


def test_eight_bit_without_8bitmime(t):
    upstream = Upstream(t, extensions=("PIPELINING",))
    relay = start(t, upstream)
    ident = submit(relay, content=b"Subject: x\r\n\r\n\xe4\r\n", params=" BODY=8BITMIME")
    assert relay.wait_for("failed", id=ident)["reply"].startswith("554 5.6.3"), relay.events("failed")
    equal(upstream.commands("MAIL"), [], "MAIL commands")
    ident = submit(relay, content=CONTENT, params=" BODY=8BITMIME")  # only says so
    relay.wait_for("delivered", id=ident)
    assert "BODY=" not in upstream.messages[0].mail_line, upstream.messages[0].mail_line


def test_eight_bit_passed(t):
    upstream = Upstream(t, extensions=("PIPELINING",))
    relay = start(t, upstream, 'eight_bit = "pass"')
    content = b"Subject: x\r\n\r\n\xe4\r\n"
    delivered_once(relay, upstream, submit(relay, content=content, params=" BODY=8BITMIME"), content)


def test_body_is_passed_on(t):
    upstream = Upstream(t)
    relay = start(t, upstream)
    content = b"Subject: x\r\n\r\n\xe4\r\n"
    delivered_once(relay, upstream, submit(relay, content=content, params=" BODY=8BITMIME"), content)
    assert "BODY=8BITMIME" in upstream.messages[0].mail_line, upstream.messages[0].mail_line


def test_size_too_small(t):
    upstream = Upstream(t, extensions=("PIPELINING", "SIZE 5000"))
    relay = start(t, upstream, top='bounce_size_limit = "1K"\n')
    large = submit(relay, content=CONTENT + b"x" * 6000 + b"\r\n")
    small = submit(relay)
    assert relay.wait_for("failed", id=large)["reply"].startswith("552 5.3.4"), relay.events("failed")
    relay.wait_for("completed", id=small)
    relay.wait_for("completed", id=large)
    relay.wait_empty()
    equal(sorted(m.sender for m in upstream.received), ["", "sender@client.test"], "messages at the upstream: a report")


# ---- connections ---------------------------------------------------------------

def test_connection_is_reused(t):
    upstream = Upstream(t)
    relay = start(t, upstream)
    for number in range(10):
        relay.wait_for("completed", id=submit(relay))
        equal(len(upstream.messages), number + 1, "messages")
    equal(len(upstream.sessions), 1, "connections for ten messages, one after the other")


def test_messages_per_connection(t):
    upstream = Upstream(t)
    relay = start(t, upstream, 'messages_per_connection = 3\n max_connections = 1')
    for _ in range(10):
        relay.wait_for("completed", id=submit(relay))
    equal(len(upstream.sessions), 4, "connections")


def test_max_connections(t):
    upstream = Upstream(t)
    stalled = upstream.on("EOD", STALL)
    relay = start(t, upstream, 'max_connections = 2\n final_timeout = "1s"\n pipelining = no')
    with Client(relay) as client:
        for _ in range(8):
            client.message(CONTENT)
    upstream.wait_received(2)
    relay.wait_for("uncertain", count=2)
    stalled.times = 0
    relay.wait_for("completed", count=8)
    equal(upstream.most_open, 2, "connections at a time")


def test_idle_connection_is_closed(t):
    upstream = Upstream(t)
    relay = start(t, upstream, 'idle_timeout = "100ms"')
    submit(relay)
    wait_until(lambda: upstream.commands("QUIT"), "QUIT of an idle connection")
    wait_until(lambda: upstream.open_sessions == 0, "the connection to be closed")
    relay.wait_for("completed", id=submit(relay))
    equal(len(upstream.messages), 2, "messages")


def test_upstream_restarts_between_messages(t):
    """The connection that was kept is gone when the next message comes: no failure, no try."""
    upstream = Upstream(t)
    relay = start(t, upstream)
    relay.wait_for("completed", id=submit(relay))
    upstream.disconnect()
    ident = submit(relay)
    relay.wait_for("completed", id=ident)
    equal(relay.events("delivered", id=ident)[0]["tries"], "1", "tries")
    equal(len(upstream.messages), 2, "messages")


# ---- encryption and credentials ----------------------------------------------

def test_auth(t):
    upstream = Upstream(t, users={"relay": "s3cret \"pass\""})
    secret = t.tmp / "secret"
    secret.write_text('s3cret "pass"\n')
    secret.chmod(0o600)
    relay = start(t, upstream, f'user = "relay"\n password_file = "{secret}"')
    delivered_once(relay, upstream, submit(relay))
    equal(upstream.messages[0].session.user, "relay", "authenticated as")
    assert not any("s3cret" in line for line in relay.lines), "the password is in the log"


def test_auth_refused(t):
    """A wrong password is the operator's trouble: the upstream is paused, no message fails."""
    upstream = Upstream(t, users={"relay": "right"})
    secret = t.tmp / "secret"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    relay = start(t, upstream, f'user = "relay"\n password_file = "{secret}"')
    ident = submit(relay)
    down = relay.wait_for("upstream_down")
    assert re.search("535|auth|login", down["reason"], re.I), down
    equal((upstream.commands("MAIL"), relay.queue()), ([], [ident]), "MAIL commands, queue")
    upstream.users["relay"] = "wrong"
    delivered_once(relay, upstream, ident)


def test_auth_not_offered(t):
    upstream = Upstream(t)
    secret = t.tmp / "secret"
    secret.write_text("x\n")
    secret.chmod(0o600)
    relay = start(t, upstream, f'user = "relay"\n password_file = "{secret}"')
    ident = submit(relay)
    relay.wait_for("upstream_still_down")
    equal((upstream.commands("MAIL"), relay.queue()), ([], [ident]), "MAIL commands, queue")


def test_starttls_required(t):
    ca = Authority(t)
    upstream = Upstream(t, tls=ca.server_context(), users={"relay": "pw"})
    secret = t.tmp / "secret"
    secret.write_text("pw")
    secret.chmod(0o600)
    relay = start(t, upstream, f'tls = "required"\n tls_ca_file = "{ca.file}"\n user = "relay"\n'
                  f' password_file = "{secret}"')
    delivered_once(relay, upstream, submit(relay))
    assert upstream.messages[0].session.tls, "not encrypted"


def test_implicit_tls(t):
    ca = Authority(t)
    upstream = Upstream(t, tls=ca.server_context(), implicit_tls=True)
    relay = start(t, upstream, f'tls = "implicit"\n tls_ca_file = "{ca.file}"')
    content = CONTENT + b"x" * 70 + b"\r\n"
    content += (b"y" * 70 + b"\r\n") * 20_000
    delivered_once(relay, upstream, submit(relay, content=content), content)


def test_starttls_many_messages(t):
    ca = Authority(t)
    upstream = Upstream(t, tls=ca.server_context())
    relay = start(t, upstream, f'tls = "required"\n tls_ca_file = "{ca.file}"')
    with Client(relay) as client:
        for _ in range(50):
            client.message(CONTENT)
    upstream.wait_messages(50)
    relay.wait_for("completed", count=50)
    equal(len(upstream.received), 50, "messages")


def not_trusted(t, upstream, more, reason):
    """The message stays, the reason is in the log, nothing was said in the clear."""
    relay = start(t, upstream, more)
    ident = submit(relay)
    down = relay.wait_for("upstream_down")
    assert re.search(reason, down["reason"], re.I), down
    relay.wait_for("upstream_still_down")
    equal((upstream.commands("MAIL"), relay.queue()), ([], [ident]), "MAIL commands, queue")
    equal(relay.events("failed"), [], "failed")


def test_wrong_authority(t):
    ca, other = Authority(t), Authority(t, "other")
    not_trusted(t, Upstream(t, tls=ca.server_context()), f'tls = "required"\n tls_ca_file = "{other.file}"',
                "certificate")


def test_wrong_name_in_certificate(t):
    ca = Authority(t)
    not_trusted(t, Upstream(t, tls=ca.server_context("DNS:other.test,IP:192.0.2.1")),
                f'tls = "required"\n tls_ca_file = "{ca.file}"', "certificate|name|127.0.0.1")


def test_starttls_required_but_not_offered(t):
    ca = Authority(t)
    not_trusted(t, Upstream(t), f'tls = "required"\n tls_ca_file = "{ca.file}"', "tls")


def test_starttls_refused(t):
    """STARTTLS answered with 454: with `required` the message waits."""
    ca = Authority(t)
    upstream = Upstream(t, tls=ca.server_context())
    upstream.on("STARTTLS", "454 4.7.0 not now", times=2)
    relay = start(t, upstream, f'tls = "required"\n tls_ca_file = "{ca.file}"')
    ident = submit(relay)
    relay.wait_for("upstream_down")
    delivered_once(relay, upstream, ident)
    assert upstream.messages[0].session.tls, "not encrypted"


def test_opportunistic(t):
    """The default on loopback: encrypted where offered, whatever the certificate; else in the clear."""
    ca = Authority(t)
    upstream = Upstream(t, tls=ca.server_context("DNS:other.test"))
    relay = start(t, upstream, 'tls = "opportunistic"')
    delivered_once(relay, upstream, submit(relay))
    assert upstream.messages[0].session.tls, "not encrypted"
    plain = Upstream(t)
    relay = start(t, plain, 'tls = "opportunistic"', name="plain")
    delivered_once(relay, plain, submit(relay))


def test_reply_smuggling_before_starttls(t):
    """What came in the clear behind the 220 of STARTTLS counts for nothing."""
    ca = Authority(t)
    upstream = Upstream(t, tls=ca.server_context())
    upstream.on("STARTTLS", b"220 go\r\n250-evil.test\r\n250 AUTH PLAIN\r\n", times=1)
    relay = start(t, upstream, f'tls = "required"\n tls_ca_file = "{ca.file}"')
    ident = submit(relay)
    delivered_once(relay, upstream, ident)
    assert upstream.messages[0].session.tls, "not encrypted"


if __name__ == "__main__":
    harness.main(__name__, jobs=8)

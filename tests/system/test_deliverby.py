# SPDX-License-Identifier: ISC
"""DELIVERBY (RFC 2852) from the client through the spool to the upstream: the
time that is left goes on, and who cannot keep it is told so, or it comes back."""

import re
import time

import harness
from harness import equal, wait_until
from smtp_peers import Client, Upstream

OFFERS = ("PIPELINING", "8BITMIME", "SIZE 0", "ENHANCEDSTATUSCODES", "DELIVERBY")
PLAIN = OFFERS[:4]
CONTENT = b"Subject: in time\r\n\r\nbody\r\n"
FAST = 'log_level = "debug"\nretry_min = "50ms"\nretry_max = "200ms"\n'


def start(t, upstream, top="", more="", **options):
    return t.daemon(config=FAST + top + f'upstream "main" {{\n remoteaddr = "{harness.address(upstream)}"\n'
                    f' probe_min = "50ms"\n probe_max = "200ms"\n {more}\n}}\n', **options)


def submit(relay, by, **options):
    with Client(relay) as client:
        assert any(line.startswith("DELIVERBY") for line in client.ehlo.lines), client.ehlo
        ident = client.message(CONTENT, params=f" BY={by}", **options).lines[-1].split()[-1]
        client.quit()
    return ident


def seconds(message):
    found = re.search(r" BY=(-?\d+);([NR]T?)", message.mail_line)
    return int(found[1]), found[2]


def test_what_is_left_goes_on(t):
    upstream = Upstream(t, extensions=OFFERS)
    relay = start(t, upstream)
    for by in ("1000;R", "-50;N", "1000;NT"):
        relay.wait_for("completed", id=submit(relay, by))
    first, second, third = (seconds(m) for m in upstream.wait_messages(4) if m.sender)
    assert 900 < first[0] < 1000 and first[1] == "R", first
    assert -150 < second[0] <= -50 and second[1] == "N", second
    assert 900 < third[0] < 1000 and third[1] == "NT", third


def test_traces(t):
    """T: a report "relayed" from each relay, of all recipients but those that are never to be spoken of."""
    upstream = Upstream(t, extensions=(*OFFERS, "DSN"))
    relay = start(t, upstream)
    with Client(relay) as client:
        client.cmd("MAIL FROM:<sender@client.test> BY=1000;RT ENVID=x", 250)
        client.cmd("RCPT TO:<one@example.test>", 250)
        client.cmd("RCPT TO:<two@example.test> NOTIFY=NEVER", 250)
        client.data(CONTENT)
    report, = (m for m in upstream.wait_messages(2) if not m.sender)
    assert b"Action: relayed" in report.content and b"one@example.test" in report.content, report.content
    assert b"two@example.test" not in report.content, report.content
    assert re.search(rb"\r\nDeliver-By-Date: \w{3}, ", report.content), report.content
    assert " BY=" not in report.mail_line, report.mail_line


def test_return_needs_an_upstream_that_keeps_time(t):
    upstream = Upstream(t, extensions=PLAIN)
    relay = start(t, upstream)
    failed = relay.wait_for("failed", id=submit(relay, "1000;R"))
    assert failed["reply"].startswith("550 5.3.3 "), failed
    report, = upstream.wait_messages(1)
    equal(report.sender, "", "it was not sent")
    assert b"Status: 5.3.3" in report.content and b"Deliver-By-Date: " in report.content, report.content


def test_return_in_less_than_it_promises(t):
    upstream = Upstream(t, extensions=(*PLAIN, "DELIVERBY 3600"))
    relay = start(t, upstream)
    failed = relay.wait_for("failed", id=submit(relay, "1000;R"))
    assert failed["reply"].startswith("550 5.4.7 "), failed
    relay.wait_for("completed", id=submit(relay, "1000;N"))


def test_notify_goes_on_without(t):
    """An upstream that knows no times takes it, and the sender is told that from here on nobody looks at the time."""
    upstream = Upstream(t, extensions=PLAIN)
    relay = start(t, upstream)
    relay.wait_for("completed", id=submit(relay, "1000;N"))
    message, report = sorted(upstream.wait_messages(2), key=lambda m: m.sender == "")
    assert " BY=" not in message.mail_line, message.mail_line
    assert b"Action: relayed" in report.content, report.content


def test_returned_in_time_whatever_the_upstream_does(t):
    """It is down: the report is there when the time is over, and leaves when the upstream is back."""
    reserved = harness.ReservedPort(t)
    relay = start(t, reserved).ready()
    ident = submit(relay, "1;R")
    other = submit(relay, "1000;R")
    expired = relay.wait_for("expired", id=ident)
    assert 0.9 < float(expired["delay"]) < 10, expired
    assert "not delivered by the time that its sender named" in expired["reply"], expired
    bounced = relay.wait_for("bounced", id=ident)
    relay.wait_for("completed", id=ident)
    assert relay.queue() == sorted([bounced["report"], other]), relay.queue()
    upstream = Upstream(t, extensions=OFFERS, reserved=reserved)
    report, = (m for m in upstream.wait_messages(2) if not m.sender)
    assert b"Status: 5.4.7" in report.content and b"Action: failed" in report.content, report.content


def test_deferred_until_the_time_is_over(t):
    upstream = Upstream(t, extensions=OFFERS)
    upstream.on("RCPT", "450 4.2.1 busy", "rcpt@example.test")
    relay = start(t, upstream)
    ident = submit(relay, "2;R")
    relay.wait_for("deferred", id=ident)
    relay.wait_for("bounced", id=ident)
    report, = upstream.wait_messages(1)
    assert b"Status: 5.4.7" in report.content, report.content


def test_told_in_time_and_tried_on(t):
    """N: one report "delayed" at that moment, long before warn_after, and no end of trying."""
    reserved = harness.ReservedPort(t)
    relay = start(t, reserved).ready()
    ident = submit(relay, "1;N")
    late = submit(relay, "-10;N")  # late from its first moment
    never = submit(relay, "1;N", sender="")
    for each in (ident, late):
        relay.wait_for("warned", id=each)
    equal(relay.events("expired"), [], "expired")
    upstream = Upstream(t, extensions=OFFERS, reserved=reserved)
    for each in (ident, late, never):
        relay.wait_for("completed", id=each)
    reports = [m.content for m in upstream.wait_messages(5) if not m.sender and b"Action: " in m.content]
    equal(len([r for r in reports if b"Action: delayed" in r and b"Status: 4." in r]), 2, "delayed")
    equal(len(relay.events("warned")), 2, "warned once")


def test_known_again_after_a_restart(t):
    """The relay was killed, the upstream is still down: the time is found in the spool."""
    reserved = harness.ReservedPort(t)
    relay = start(t, reserved).ready()
    ident = submit(relay, "3;R")
    relay.wait_for("upstream_down")
    relay.kill9()
    harness.wait_until(lambda: not relay.leftovers(), "its relay to leave the spool")
    relay = start(t, reserved, spool=relay.spool, name="again")
    relay.wait_for("expired", id=ident, timeout=90)


def test_held_mail_waits_for_its_operator(t):
    upstream = Upstream(t, extensions=OFFERS)
    upstream.on("RCPT", "450 4.2.1 busy", "rcpt@example.test")
    relay = start(t, upstream)
    ident = submit(relay, "2;R")
    relay.wait_for("deferred", id=ident)
    t.posthouse("--spool", relay.spool, "hold", ident)
    shown = t.posthouse("--spool", relay.spool, "show", ident)
    assert re.search(r"Deliver by:? .*or returned", shown), shown
    wait_until(lambda: "it is over" in t.posthouse("--spool", relay.spool, "show", ident), "the time to be over")
    equal(relay.events("expired") + relay.events("failed"), [], "held")
    t.posthouse("--spool", relay.spool, "release", ident)
    relay.wait_for("bounced", id=ident)


def test_released_behind_its_time_while_the_upstream_is_down(t):
    """Its time passed while it was held, by an operator or from its first moment: it is returned when it is released."""
    table = t.tmp / "senders"
    table.write_text("odd@client.test hold\n")
    table.chmod(0o644)
    relay = start(t, harness.ReservedPort(t), top=f'sender_access = "{table}"\n').ready()
    # the hand has some seconds to come, on a crowded machine too
    by_hand, at_once = submit(relay, "4;R"), submit(relay, "1;R", sender="odd@client.test")
    t.posthouse("--spool", relay.spool, "hold", by_hand)
    for ident in (by_hand, at_once):
        wait_until(lambda: "it is over" in t.posthouse("--spool", relay.spool, "show", ident), "the time to be over")
    time.sleep(0.1)  # and the relay looked at it
    equal(relay.events("expired"), [], "held")
    t.posthouse("--spool", relay.spool, "release", by_hand, at_once)
    for ident in (by_hand, at_once):
        relay.wait_for("bounced", id=ident)



if __name__ == "__main__":
    harness.main(__name__, jobs=8)

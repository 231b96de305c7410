# SPDX-License-Identifier: ISC
"""What a sender hears of a message that was not delivered: through the real
service, the report arriving at the same scripted upstream as the mail."""

import email
import email.policy
import json

import harness
from harness import Skip, equal, wait_until
from smtp_peers import Client, Upstream

DSN = ("PIPELINING", "8BITMIME", "SIZE 0", "ENHANCEDSTATUSCODES", "DSN")
CONTENT = b"Subject: news\r\nFrom: a@client.test\r\n\r\nThe body.\r\n"
RCPTS = ("good@example.test", "never@example.test", "fine@example.test")
FAST = ('hostname = "relay.test"\nretry_min = "50ms"\nretry_max = "100ms"\n{}\n'
        'upstream "main" {{\n remoteaddr = "{}"\n probe_min = "50ms"\n probe_max = "100ms"\n}}\n')


def start(t, upstream, more="", **options):
    return t.daemon(config=FAST.format(more, harness.address(upstream)), **options)


def submit(relay, rcpts=RCPTS, sender="a@client.test", mail="", rcpt="", content=CONTENT):
    with Client(relay) as client:
        client.cmd(f"MAIL FROM:<{sender}>{mail}", 250)
        for address in rcpts:
            client.cmd(f"RCPT TO:<{address}>{rcpt}", 250)
        return client.data(content).lines[-1].split()[-1] if content else None


def reports(upstream):
    return [m for m in upstream.messages if m.sender == ""]


def the_report(upstream):
    """The only report that the upstream got, parsed: message, the fields about it, the fields of each recipient."""
    wait_until(lambda: reports(upstream), "a report at the upstream")
    report, = reports(upstream)
    message = email.message_from_bytes(report.content, policy=email.policy.default)
    equal(message.defects, [], "defects")
    equal(message.get_content_type(), "multipart/report", "type")
    equal(message.get_param("report-type"), "delivery-status", "report-type")
    groups = message.get_payload()[1].get_payload()
    return report, message, groups[0], {g["Final-Recipient"].split("; ")[1]: g for g in groups[1:]}


def queue(t, relay):
    return [json.loads(line) for line in t.posthouse("--spool", relay.spool, "queue", "--json", check=None).splitlines()]


def test_one_of_three_is_refused(t):
    upstream = Upstream(t, extensions=DSN)
    upstream.on("RCPT", "550 5.1.1 no such user", match="never@")
    relay = start(t, upstream)
    submit(relay, mail=" ENVID=QQ+2B1 RET=FULL", rcpt=" ORCPT=rfc822;Some+2BBody@example.test")
    report, message, about, rcpts = the_report(upstream)
    equal(report.rcpts, ["a@client.test"], "who gets the report")
    equal(message["To"], "a@client.test", "To")
    equal(message["From"], "Mail Delivery System <MAILER-DAEMON@relay.test>", "From")
    equal(message["Auto-Submitted"], "auto-replied", "Auto-Submitted")
    equal(about["Reporting-MTA"], "dns; relay.test", "Reporting-MTA")
    equal(about["Original-Envelope-Id"], "QQ+1", "Original-Envelope-Id")
    equal(list(rcpts), ["never@example.test"], "recipients")
    rcpt = rcpts["never@example.test"]
    equal((rcpt["Action"], rcpt["Status"], rcpt["Remote-MTA"], rcpt["Diagnostic-Code"], rcpt["Original-Recipient"]),
          ("failed", "5.1.1", "dns; [127.0.0.1]", "smtp; 550 5.1.1 no such user", "rfc822; Some+Body@example.test"),
          "fields of the recipient")
    prose = message.get_payload()[0].get_content()
    for words in ("never@example.test", "no such user"):
        assert words in prose, prose
    assert "good@example.test" not in prose, prose
    equal(message.get_payload()[2].get_payload()[0]["Subject"], "news", "the original's subject")
    assert report.content.count(b"The body.") == 1, report.content
    relay.wait_empty()
    equal(len(upstream.messages), 2, "messages at the upstream")


def test_the_others_are_asked_what_the_client_asked(t):
    """DSN is passed on to an upstream that knows it, and not to one that does not."""
    upstream = Upstream(t, extensions=DSN)
    relay = start(t, upstream)
    submit(relay, ["b@example.test"], mail=" RET=HDRS ENVID=QQ+2B1", rcpt=" NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bc@x")
    relay.wait_empty()
    line, = upstream.commands("MAIL")
    assert line.endswith(" RET=HDRS ENVID=QQ+2B1"), line
    equal(upstream.commands("RCPT"), ["RCPT TO:<b@example.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bc@x"], "RCPT")
    equal(reports(upstream), [], "reports")


def test_success_is_confirmed_where_the_upstream_does_not(t):
    upstream = Upstream(t)
    relay = start(t, upstream)
    submit(relay, ["b@example.test"], mail=" RET=FULL", rcpt=" NOTIFY=SUCCESS")
    report, message, _about, rcpts = the_report(upstream)
    equal((rcpts["b@example.test"]["Action"], rcpts["b@example.test"]["Status"][0]), ("relayed", "2"), "what happened")
    equal(message.get_payload()[2].get_content_type(), "text/rfc822-headers", "the header only")
    assert b"The body." not in report.content, report.content
    for line in upstream.commands("MAIL") + upstream.commands("RCPT"):
        assert "RET=" not in line and "NOTIFY=" not in line, line
    relay.wait_empty()


def nobody_is_told(sender, notify):
    def test(t):
        upstream = Upstream(t)
        upstream.on("RCPT", "550 5.1.1 no such user", match="never@")
        relay = start(t, upstream)
        submit(relay, sender=sender, rcpt=f" NOTIFY={notify}" if notify else "")
        relay.wait_empty()
        equal(len(upstream.messages), 1, "messages at the upstream")
    return test


test_notify_never = nobody_is_told("a@client.test", "NEVER")
test_notify_delay_only = nobody_is_told("a@client.test", "DELAY")
test_notify_never_of_null_sender = nobody_is_told("", "NEVER")


def test_null_sender_stays_visible(t):
    """Backscatter guard: no report about a message from <>; the failure is kept where people see it."""
    upstream = Upstream(t)
    upstream.on("RCPT", "550 5.1.1 no such user", match="never@")
    relay = start(t, upstream)
    submit(relay, sender="")
    relay.wait_for("failed", to="never@example.test")
    submit(relay, ["other@example.test"])
    upstream.wait_messages(2)
    wait_until(lambda: [r["status"] for e in queue(t, relay) for r in e["recipients"]] == ["failed"],
               "the failure in the queue")
    equal([m.rcpts for m in upstream.messages], [["good@example.test", "fine@example.test"], ["other@example.test"]],
          "messages at the upstream")
    relay.stop()
    again = start(t, upstream, spool=relay.spool, name="again")
    submit(again, ["more@example.test"])
    upstream.wait_messages(3)
    equal(reports(upstream)[1:], [], "reports after a restart")
    wait_until(lambda: [r["status"] for e in queue(t, again) for r in e["recipients"]] == ["failed"],
               "nothing but the failure in the queue after a restart")


def test_postmaster_hears_of_null_senders(t):
    upstream = Upstream(t)
    upstream.on("RCPT", "550 5.1.1 no such user", match="never@")
    relay = start(t, upstream, 'postmaster = "pm@client.test"')
    submit(relay, ["never@example.test"], sender="")
    report, message, about, rcpts = the_report(upstream)
    equal(report.rcpts, ["pm@client.test"], "who gets the report")
    assert "postmaster" in message.get_payload()[0].get_content(), report.content
    equal((about["X-Posthouse-Sender"], list(rcpts)), (None, ["never@example.test"]), "what it is about")
    relay.wait_empty()


def test_a_report_that_fails_is_not_reported(t):
    """A bounce that bounces: visible, or with a postmaster told to him; and what he refuses is told to nobody."""
    upstream = Upstream(t)
    upstream.on("RCPT", "550 5.1.1 no such user", match="never@|a@client")
    relay = start(t, upstream)
    submit(relay, ["never@example.test"])
    relay.wait_for("failed", to="a@client.test")
    wait_until(lambda: [(e["sender"], r["address"], r["status"]) for e in queue(t, relay) for r in e["recipients"]]
               == [("", "a@client.test", "failed")], "the failed report in the queue")
    equal(upstream.messages, [], "messages at the upstream")
    relay.stop()
    upstream.on("RCPT", "550 5.2.1 not even he", match="pm@")
    again = start(t, upstream, 'postmaster = "pm@client.test"', name="again")
    submit(again, ["never@example.test"])
    again.wait_for("failed", to="pm@client.test")
    wait_until(lambda: [(e["sender"], r["address"], r["status"]) for e in queue(t, again) for r in e["recipients"]]
               == [("", "pm@client.test", "failed")], "the failed notice in the queue")
    equal(upstream.messages, [], "messages at the upstream")


def test_time_is_over(t):
    upstream = Upstream(t)
    upstream.on("RCPT", "450 4.2.1 mailbox busy", match="never@")
    relay = start(t, upstream, 'expire_after = "400ms"')
    submit(relay)
    _report, message, _about, rcpts = the_report(upstream)
    rcpt = rcpts["never@example.test"]
    equal((rcpt["Action"], rcpt["Status"], rcpt["Diagnostic-Code"]),
          ("failed", "5.4.7", "smtp; 450 4.2.1 mailbox busy"), "fields of the recipient")
    assert "time for trying was over" in message.get_payload()[0].get_content(), message
    relay.wait_empty()


def test_a_delay_is_told_once(t):
    upstream = Upstream(t)
    busy = upstream.on("RCPT", "450 4.2.1 mailbox busy", match="never@")
    relay = start(t, upstream, 'warn_after = "200ms"')
    ident = submit(relay)
    _report, message, _about, rcpts = the_report(upstream)
    rcpt = rcpts["never@example.test"]
    equal((rcpt["Action"], rcpt["Status"]), ("delayed", "4.2.1"), "fields of the recipient")
    assert rcpt["Will-Retry-Until"], rcpt
    assert "DO NOT NEED TO DO ANYTHING" in message.get_payload()[0].get_content(), message
    tries = len(relay.events("deferred", id=ident))
    relay.wait_for("deferred", id=ident, count=tries + 3)
    busy.times = 0
    relay.wait_empty()
    equal(len(reports(upstream)), 1, "warnings")


def test_a_message_refused_as_a_whole(t):
    """One report for all recipients, and no more of it than bounce_size_limit."""
    upstream = Upstream(t)
    upstream.on("EOD", "554 5.6.0 not with us", match="example.test")
    relay = start(t, upstream, 'bounce_size_limit = "100"')
    submit(relay, content=CONTENT + b"x" * 70 + b"\r\n")
    report, message, _about, rcpts = the_report(upstream)
    equal(sorted(rcpts), sorted(RCPTS), "recipients")
    equal({r["Status"] for r in rcpts.values()}, {"5.6.0"}, "Status")
    equal(message.get_payload()[2].get_content_type(), "text/rfc822-headers", "the header only")
    assert b"The body." not in report.content, report.content
    relay.wait_empty()


def test_a_kill_loses_no_report(t):
    """kill -9 at a random moment between the refusal and the report: it comes, and always the same."""
    upstream = Upstream(t)
    upstream.on("RCPT", "550 5.1.1 no such user", match="never@")
    relay = start(t, upstream)
    count = 15
    for number in range(count):
        submit(relay, ["never@example.test"], sender=f"a{number}@client.test")
        if number % 3 == 0:
            relay.stopped = True
            relay.kill_all()  # with its children: none of them may go on
            wait_until(lambda was=relay: not was.leftovers(), "all its processes to end")
            relay = start(t, upstream, spool=relay.spool, name=f"again{number}")
    relay.wait_empty()
    told = {}
    for report in reports(upstream):
        message = email.message_from_bytes(report.content, policy=email.policy.default)
        told.setdefault(report.rcpts[0], set()).add(message["Message-ID"])
    equal(sorted(told), sorted(f"a{n}@client.test" for n in range(count)), "who was told")
    equal([ids for ids in told.values() if len(ids) != 1], [], "senders who got two different reports")


def test_python_reads_it_as_mailing_lists_do(t):
    """flufl.bounce finds the address that bounced."""
    try:
        from flufl.bounce import all_failures
    except ImportError as e:
        raise Skip("flufl.bounce is missing (python3-flufl.bounce)") from e
    upstream = Upstream(t)
    upstream.on("RCPT", "550 5.1.1 no such user", match="never@")
    submit(start(t, upstream))
    report, _message, _about, _rcpts = the_report(upstream)
    temporary, permanent = all_failures(email.message_from_bytes(report.content))
    equal((set(temporary), set(permanent)), (set(), {b"never@example.test"}), "what it finds")


if __name__ == "__main__":
    harness.main(__name__)

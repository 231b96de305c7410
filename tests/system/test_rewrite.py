#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Addresses rewritten on their way: what the upstream sees, what the debug handler prints, what the log says; and
random headers rewritten, held against Python's own reading of them."""

import email.utils
import os
import random
import re
import smtplib

import harness
from harness import BUILDDIR, equal, wait_until
from smtp_peers import Client, Upstream, without_received

DSN = ("PIPELINING", "8BITMIME", "SIZE 0", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8")
ENVELOPE = """
default_domain = "example.org"
masquerade = { "example.org" }
masquerade_exceptions = { "root" }
rewrite {
	match = { "*@old.example", ".old.example" }
	to = "*@new.example"
	apply = { "sender", "recipient", "header" }
}
rewrite {
	match = { "app@app.local" }
	to = "noreply@example.org"
}
"""


def relay(t, config, **options):
    upstream = Upstream(t, extensions=DSN)
    upstream.rcpt_lines = []
    upstream.on("RCPT", lambda _session, line: upstream.rcpt_lines.append(line))
    return upstream, t.daemon(upstream, config=config, **options).ready()


def submit(daemon, sender, rcpts, content, **options):
    with smtplib.SMTP("127.0.0.1", daemon.port) as client:
        return client.sendmail(sender, rcpts, content, **options)


def aliases(t, text, name="aliases"):
    path = t.tmp / name
    path.write_text(text)
    return path


def test_envelope(t):
    upstream, daemon = relay(t, ENVELOPE)
    content = b"From: joe@host.example.org\r\nTo: x@old.example\r\nX-A: b\r\n\r\n.dots\r\n\xfc\r\n"
    submit(daemon, "joe@host.example.org", ["root", "x@old.example", "y@sub.OLD.example", "z@else.example", "Postmaster"],
           content, mail_options=["BODY=8BITMIME"])
    got = upstream.wait_messages(1)[0]
    equal(got.sender, "joe@example.org", "sender")
    equal(got.rcpts, ["root@example.org", "x@new.example", "y@new.example", "z@else.example", "Postmaster@example.org"],
          "recipients")
    # one knob is not the other: the header is as it was
    equal(without_received(got.content), content, "content")
    # RFC 3461 5.2.1: what the client named is what a report will name
    equal([re.search(r"ORCPT=(\S+)", line)[1] if "ORCPT" in line else None for line in upstream.rcpt_lines],
          ["rfc822;root", "rfc822;x@old.example", "rfc822;y@sub.OLD.example", None, "rfc822;Postmaster"], "ORCPT")
    accepted = daemon.wait_for("accepted")
    equal(accepted["from"], "joe@host.example.org", "what the client said")
    equal(daemon.wait_for("rewritten", id=accepted["id"], **{"from": "joe@example.org"})["from_was"], "joe@host.example.org",
          "sender in the log")
    equal(daemon.wait_for("rewritten", id=accepted["id"], to="x@new.example")["to_was"], "x@old.example",
          "recipient in the log")
    wait_until(lambda: len(daemon.events("delivered", to="y@new.example")) == 1, "the delivery in the log")


def test_what_stays(t):
    upstream, daemon = relay(t, ENVELOPE)
    submit(daemon, "", ["a@b.example"], b"A: b\r\n\r\n")
    submit(daemon, "root@host.example.org", ["x@host.example.org"], b"A: b\r\n\r\n")
    submit(daemon, "app@app.local", ["app@app.local"], b"A: b\r\n\r\n")
    got = sorted((m.sender, *m.rcpts) for m in upstream.wait_messages(3))
    equal(got, [("", "a@b.example"), ("noreply@example.org", "app@app.local"),
                ("root@host.example.org", "x@host.example.org")], "null sender, exception, what a rule is not for")


def test_notify_and_orcpt_survive(t):
    upstream, daemon = relay(t, ENVELOPE)
    with Client(daemon.port) as client:
        client.cmd("MAIL FROM:<a@b.example> RET=HDRS ENVID=e1", 250)
        client.cmd("RCPT TO:<x@old.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;q@q.example", 250)
        client.cmd("RCPT TO:<y> NOTIFY=NEVER", 250)
        client.data(b"A: b\r\n\r\n")
    got = upstream.wait_messages(1)[0]
    assert "ENVID=e1" in got.mail_line and "RET=HDRS" in got.mail_line, got.mail_line
    equal(upstream.rcpt_lines, ["RCPT TO:<x@new.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;q@q.example",
                                "RCPT TO:<y@example.org> NOTIFY=NEVER ORCPT=rfc822;y"], "RCPT")


def test_without_a_domain_only_where_there_is_one(t):
    _, daemon = relay(t, 'masquerade = { "example.org" }')
    with Client(daemon.port) as client:
        client.cmd("MAIL FROM:<joe>", 501)
        client.cmd("MAIL FROM:<joe@example.org>", 250)
        client.cmd("RCPT TO:<root>", 501)
        client.cmd("RCPT TO:<postmaster>", 250)


def test_sendmail_to_root(t):
    """What cron does: `sendmail root`, and /etc/aliases says who that is."""
    socket = t.tmp / "submit"
    file = aliases(t, "# who reads it\nroot: admin@example.org,\n\t\"second one\"@example.net, ops\nops: o1@example.org, o2\n")
    config = f'aliases = "{file}"\ndefault_domain = "example.com"'
    upstream, daemon = relay(t, config, listen=f"unix:{socket}")
    (t.tmp / "posthoused.conf").chmod(0o644)
    t.run([BUILDDIR / "posthouse-sendmail", "-C", t.tmp / "posthoused.conf", "-f", "cron@host.test", "root"], check=0,
          data=b"Subject: cron\n\nran\n")
    got = upstream.wait_messages(1)[0]
    equal(got.rcpts, ["admin@example.org", '"second one"@example.net', "o1@example.org", "o2@example.com"], "recipients")
    accepted = daemon.wait_for("accepted")
    equal(accepted["to"], "root@relay.test", "as the command said it")
    equal(daemon.wait_for("rewritten", id=accepted["id"], to="admin@example.org")["to_was"], "root@relay.test", "log")
    # who has no alias still goes somewhere
    t.run([BUILDDIR / "posthouse-sendmail", "-C", t.tmp / "posthoused.conf", "-f", "a@b.example", "nobody@localhost", "joe"],
          check=0, data=b"Subject: x\n\ny\n")
    got = upstream.wait_messages(2)[1]
    equal(sorted(got.rcpts), ["joe@relay.test", "nobody@localhost"], "not in the file")


def test_aliases_alone_take_names(t):
    upstream, daemon = relay(t, f'aliases = "{aliases(t, "root: admin@example.org")}"')
    submit(daemon, "daemon", ["root", "joe"], b"A: b\r\n\r\n")
    got = upstream.wait_messages(1)[0]
    equal((got.sender, got.rcpts), ("daemon@relay.test", ["admin@example.org", "joe@relay.test"]), "envelope")


def test_too_many_recipients(t):
    """Bounded as all recipients are; the client is told to send the rest again."""
    file = aliases(t, "all: " + ", ".join(f"u{i}@example.org" for i in range(90)) + "\n")
    upstream, daemon = relay(t, f'max_recipients = 100\naliases = "{file}"')
    with Client(daemon.port) as client:
        client.mail("a@b.example", ["all@localhost"] + [f"x{i}@example.org" for i in range(10)])
        assert "4.5.3" in repr(client.cmd("RCPT TO:<x10@example.org>", 452))
        client.cmd("RCPT TO:<U5@example.org>", 452)  # local parts differ
        client.cmd("RCPT TO:<u5@example.org>", 250)  # there already
        client.data(b"A: b\r\n\r\n")
    equal(len(upstream.wait_messages(1)[0].rcpts), 100, "recipients")


def test_aliases_are_reloaded(t):
    file = aliases(t, "root: first@example.org\n")
    upstream, daemon = relay(t, f'aliases = "{file}"\nmin_spare = 1\nmax_spare = 1')

    def root_is():
        count = len(upstream.messages) + 1
        submit(daemon, "a@b.example", ["root"], b"A: b\r\n\r\n")
        return upstream.wait_messages(count)[-1].rcpts

    equal(root_is(), ["first@example.org"], "root")
    (t.tmp / "new").write_text("root: second@example.org\n")
    os.replace(t.tmp / "new", file)
    wait_until(lambda: root_is() == ["second@example.org"], "the new aliases to be used", 30)
    (t.tmp / "new").write_text("root: third@example.org\nbad: |/bin/cat\n")
    os.replace(t.tmp / "new", file)
    refused = daemon.wait_for("reload_refused", timeout=30)
    assert f"{file}:2: " in refused["msg"] and "is a command" in refused["msg"], refused
    equal(root_is(), ["second@example.org"], "root after a bad file")


def test_invalid_results_are_temporary(t):
    """What becomes no address is refused for now: nothing is accepted that could not be sent, and nothing bounces."""
    domain = ".".join(["a" * 60] * 3) + ".example"
    upstream, daemon = relay(t, f"""
rewrite_headers = yes
rewrite {{
	match = {{ "*@old.example" }}
	to = "*@{domain}"
	apply = {{ "sender", "recipient", "header" }}
}}""")
    long = "l" * 80
    with Client(daemon.port) as client:
        assert "4.3.0" in repr(client.cmd(f"MAIL FROM:<{long}@old.example>", 451))
        failed = daemon.wait_for("rewrite_failed", what="from")
        assert "longer than 256" in failed["msg"] and failed["address"].startswith("lll"), failed
        client.cmd("MAIL FROM:<short@old.example>", 250)
        client.cmd(f"RCPT TO:<{long}@old.example>", 451)
        client.cmd("RCPT TO:<b@c.example>", 250)
        client.data(f"From: <{long}@old.example>\r\n\r\n".encode(), 451)
        daemon.wait_for("rewrite_failed", what="header")
        # and the session goes on
        client.message(b"From: s@old.example\r\n\r\n", sender="short@old.example")
    got = upstream.wait_messages(1)
    equal([m.sender for m in got], [f"short@{domain}"], "what was sent")
    assert without_received(got[0].content).startswith(f"From: s@{domain}\r\n".encode()), got[0].content
    daemon.wait_empty()


def test_headers(t):
    upstream, daemon = relay(t, ENVELOPE + """
rewrite_headers = yes
keep_original_headers = yes
remove_headers = { "X-Mailer", "X-Internal-*", "Received" }
""")
    content = (b"Received: from inside ([10.0.0.1])\r\n\tby x; Thu, 1 Jan 1970 00:00:00 +0000\r\n"
               b"DKIM-Signature: v=1;\r\n\tb=abc\r\n"
               b"FROM: =?utf-8?q?J=C3=B6?= (of \"x@host.example.org\")\r\n\t<joe@host.example.org>\r\n"
               b"x-internal-: 1\r\n\t2\r\nX-Internal-Host: 10.0.0.1\r\nX-MAILER : mutt\r\nX-Mailer-Not: kept\r\n"
               b"Sender: x@old.example\r\nReply-To: Us: a@old.example, b@c.example;\r\nResent-From: q\r\n"
               b"To: joe@host.example.org\r\n\r\n"
               b"From: joe@host.example.org\r\nX-Mailer: body\r\n.\r\n..\r\n\xff\r\n")
    submit(daemon, "joe@host.example.org", ["a@b.example"], content, mail_options=["BODY=8BITMIME"])
    got = upstream.wait_messages(1)[0]
    # our own Received is there, the client's is not
    equal(without_received(got.content),
          b"DKIM-Signature: v=1;\r\n\tb=abc\r\n"
          b"FROM: =?utf-8?q?J=C3=B6?= (of \"x@host.example.org\")\r\n\t<joe@example.org>\r\n"
          b"X-Original-FROM: =?utf-8?q?J=C3=B6?= (of \"x@host.example.org\")\r\n\t<joe@host.example.org>\r\n"
          b"X-Mailer-Not: kept\r\n"
          b"Sender: x@new.example\r\nX-Original-Sender: x@old.example\r\n"
          b"Reply-To: Us: a@new.example, b@c.example;\r\nX-Original-Reply-To: Us: a@old.example, b@c.example;\r\n"
          b"Resent-From: q@example.org\r\nX-Original-Resent-From: q\r\n"
          b"To: joe@host.example.org\r\n\r\n"
          b"From: joe@host.example.org\r\nX-Mailer: body\r\n.\r\n..\r\n\xff\r\n", "content")
    changes = daemon.wait_for("rewritten", fields_rewritten="4")
    equal(changes["fields_removed"], "4", "removed")
    daemon.wait_for("remove_headers")  # the warning about Received


def test_nothing_to_change_changes_nothing(t):
    """Byte for byte, with every knob on: lines of any length, 8-bit, dots, odd headers, sizes around the buffers."""
    upstream, daemon = relay(t, ENVELOPE + """
rewrite_headers = yes
keep_original_headers = yes
remove_headers = { "X-Nobody-Has-This", "Y-*" }
""")
    rng = random.Random(11)
    bodies = [b"", b"\r\n", b".\r\n", b"no header at all\r\n", b"From:\r\n\r\nx\r\n", b"From: not an address\r\n\r\n.\r\n",
              b"From: a@b.example\r\n\r\n" + b"x" * 5000 + b"\r\n", b"Subject: " + b"s" * 70000 + b"\r\n\r\n",
              b"From: " + b" a@b.example,\r\n" * 9000 + b" c@d.example\r\n\r\n\r\n",
              b"From: a@b.example\r\n\r\n" + rng.randbytes(300000).replace(b"\r", b"").replace(b"\n", b"\r\n").replace(b"\0", b"")
              + b"\r\n"]
    with Client(daemon.port) as client:
        for content in bodies:
            client.mail("a@b.example", ["c@d.example"], " BODY=8BITMIME")
            client.cmd("DATA", 354)
            data = b"".join(b"." + line if line.startswith(b".") else line for line in content.splitlines(True)) + b".\r\n"
            while data:
                n = rng.choice((1, 3, 100, 5000, 70000))
                client.send(data[:n])
                data = data[n:]
            client.expect(250)
    got = upstream.wait_messages(len(bodies))
    equal(sorted(without_received(m.content) for m in got), sorted(bodies), "contents")
    skipped = daemon.wait_for("rewrite_skipped", count=2)
    assert any("64" in e["msg"] or "65536" in e["msg"] for e in skipped), skipped


# ---- Python's reading of the same headers ------------------------------------------

def mapped(address):
    """The rules of ENVELOPE for one address, said again."""
    if not address:
        return address
    local, at, domain = address.rpartition("@")
    if not at:
        local, domain = address, "example.org"
    if domain.lower() == "old.example" or domain.lower().endswith(".old.example"):
        return f"{local}@new.example"
    if f"{local}@{domain}".lower() == "app@app.local":
        return "noreply@example.org"
    if domain.lower().endswith(".example.org") and local.lower() != "root":
        return f"{local}@example.org"
    return f"{local}@{domain}"


def random_addresses(rng):
    """A list of addresses in all the forms that RFC 5322 has."""
    def address():
        local = rng.choice(("joe", "root", "a.b+c", '"quoted one"', '"a,b"', "app", "x_y"))
        domain = rng.choice(("example.org", "host.example.org", "Deep.Host.EXAMPLE.org", "old.example", "sub.old.example",
                             "app.local", "[192.0.2.1]", "else.example", "notexample.org"))
        return f"{local}@{domain}"

    def comment():
        return rng.choice(("", "", "", "(c)", "(a (nested) one)", "(with, comma)", "(a@b.example)"))

    def space():
        return rng.choice(("", " ", " ", "\r\n ", "\r\n\t", "  "))

    def one():
        form = rng.randrange(6)
        if form == 0:
            return address()
        if form == 1:
            return f"<{address()}>"
        name = rng.choice(("Joe Doe", '"Doe, Joe"', "=?utf-8?b?SsO2?=", '"<x@host.example.org>"', "Joe", '"a\\"b"'))
        if form == 2:
            return f"{name} <{address()}>{space()}{comment()}"
        if form == 3:
            return f"{name}{space() or ' '}{comment()} <{address()}>"
        if form == 4:
            return f"{address()} {comment()}"
        return rng.choice(("plainname", "root", "daemon (the)"))

    return rng.choice((",", ", ", ",\r\n\t", " ,")).join(one() for _ in range(rng.randrange(1, 6)))


def test_random_headers_as_python_reads_them(t):
    upstream, daemon = relay(t, ENVELOPE + 'rewrite_headers = yes\nkeep_original_headers = yes\nremove_headers = { "X-R*" }')
    rng = random.Random(20)
    sent = {}
    with smtplib.SMTP("127.0.0.1", daemon.port) as client:
        for number in range(60):
            fields = [("X-Number", str(number))]
            for _ in range(rng.randrange(1, 6)):
                name = rng.choice(("From", "Sender", "Reply-To", "REPLY-TO", "Resent-Sender", "To", "Cc", "X-Removed", "Subject"))
                fields.append((name, rng.choice(("", " ")) + random_addresses(rng)))
            sent[number] = fields
            header = "".join(f"{name}:{value}\r\n" for name, value in fields)
            client.sendmail("a@b.example", ["c@d.example"], header + "\r\nFrom: body@host.example.org\r\n")
    for got in upstream.wait_messages(len(sent)):
        header, _, body = without_received(got.content).decode().partition("\r\n\r\n")
        equal(body, "From: body@host.example.org\r\n", "body")
        seen = re.findall(r"^([^:\r\n]+):((?:[^\r\n]|\r\n[ \t])*)(?:\r\n|$)", header + "\r\n", re.M)
        check_fields(sent[int(dict(seen)["X-Number"])], seen)


def read_addresses(text):
    """As Python reads them. Where strict is the default (fixes of CVE-2023-27043) a comma in a comment makes it give up."""
    try:
        return email.utils.getaddresses([text], strict=False)
    except TypeError:  # an older one
        return email.utils.getaddresses([text])


def check_fields(before, after):
    after = list(after)
    for name, value in before:
        if name == "X-Removed":
            continue
        got_name, got = after.pop(0)
        equal(got_name, name, "order")
        changes = name.lower() in ("from", "sender", "reply-to", "resent-sender")
        addresses = read_addresses(value.replace("\r\n", ""))
        wanted = [(phrase, mapped(address)) for phrase, address in addresses] if changes else addresses
        equal(read_addresses(got.replace("\r\n", "")), wanted, f"{name}:{value!r}")
        if wanted == addresses:
            equal(got, value, "an unchanged field")
        else:
            equal(after.pop(0), ("X-Original-" + name, value), "the original")
    equal(after, [], "more fields")


# ---- copies and redirection ------------------------------------------------------------

def test_always_bcc(t):
    upstream, daemon = relay(t, 'always_bcc = "archive@example.org"')
    submit(daemon, "a@b.example", ["c@d.example"], b"A: b\r\n\r\n")
    got = upstream.wait_messages(1)[0]
    equal(got.rcpts, ["c@d.example", "archive@example.org"], "recipients")
    assert "NOTIFY=NEVER" in upstream.rcpt_lines[1] and "NOTIFY" not in upstream.rcpt_lines[0], upstream.rcpt_lines
    assert b"archive" not in got.content, got.content
    submit(daemon, "", ["c@d.example"], b"A: b\r\n\r\n")
    equal(upstream.wait_messages(2)[1].rcpts, ["c@d.example"], "a report")


def test_redirect_all(t):
    upstream, daemon = relay(t, 'redirect_all = "staging@example.org"\ndefault_domain = "example.com"')
    warning = daemon.wait_for("redirect_all")
    assert "staging@example.org" in warning["msg"] and "ALL MAIL" in warning["msg"], warning
    submit(daemon, "a@b.example", ["c@d.example", "root"], b"To: c@d.example\r\n\r\n.\r\n")
    got = upstream.wait_messages(1)[0]
    equal(got.rcpts, ["staging@example.org"], "recipients")
    assert "NOTIFY=NEVER" in upstream.rcpt_lines[0], upstream.rcpt_lines
    equal(without_received(got.content),
          b"X-Original-To: c@d.example\r\nX-Original-To: root\r\nTo: c@d.example\r\n\r\n.\r\n", "content")
    submit(daemon, "", ["e@f.example"], b"A: b\r\n\r\n")
    equal(upstream.wait_messages(2)[1].rcpts, ["staging@example.org"], "reports too")


def test_debug_handler(t):
    daemon = t.daemon(config=ENVELOPE + 'handler = "debug"\nrewrite_headers = yes\nremove_headers = { "X-*" }').ready()
    submit(daemon, "joe@host.example.org", ["root"], b"From: joe@host.example.org\r\nX-A: b\r\n\r\nX-A: c\r\n")
    text = daemon.wait_stdout(lambda out: b"END MESSAGE" in out and out, "the message").decode()
    assert "b'From: joe@example.org'" in text and "b'X-A: c'" in text and "b'X-A: b'" not in text, text
    daemon.wait_for("rewritten", to="root@example.org")


# ---- what is wrong is told at the start --------------------------------------------------

def check(t, config, status):
    (t.tmp / "spool-x").mkdir(exist_ok=True)
    file = t.config(config + '\nhandler = "debug"', spool=t.tmp / "spool-x")
    done = t.run([BUILDDIR / "posthoused", "-t", "-f", file])
    equal(done.returncode, status, f"{config}: {done.stderr}")
    return file, done.stderr.decode()


def test_bad_values(t):
    for line, words in (
            ('default_domain = "a b"', "default_domain: "), ('masquerade = { "x@y" }', "masquerade: "),
            ('masquerade = { "example.org" }\nmasquerade_exceptions = { "a@b" }', "masquerade_exceptions: "),
            ('masquerade_exceptions = { "root" }', "no effect without masquerade"),
            ('alias_domains = { "example.org" }', "no effect without aliases"),
            ('keep_original_headers = yes', "no effect without rewrite_headers"),
            ('rewrite_headers = yes', "no effect without default_domain"),
            ('remove_headers = { "*" }', "remove_headers: "), ('remove_headers = { "X-A: b" }', "remove_headers: "),
            ('remove_headers = { "X-*-Y" }', "remove_headers: "),
            ('always_bcc = "nobody"', "always_bcc: "), ('redirect_all = "a@b, c@d"', "redirect_all: "),
            ('aliases = "aliases"', "aliases: ")):
        file, told = check(t, line, 1)
        assert re.search(rf"{re.escape(str(file))}:\d+: .*{re.escape(words)}", told), (line, told)
    for section, words in (
            ('match = "a@b"\n', "no to"), ('to = "a@b"\n', "no match"), ('match = {}\nto = "a@b"\n', "match: the list is empty"),
            ('match = "a@b"\nto = "nobody"\n', "to: "), ('match = "a@b"\nto = "<a@b>"\n', "to: "),
            ('match = "a@"\nto = "a@b"\n', "match: "), ('match = "a@b"\nto = "a@b"\napply = "all"\n', "apply: "),
            ('match = "<>"\nto = "a@b"\n', "match: ")):
        file, told = check(t, "rewrite {\n" + section + "}\n", 1)
        assert re.search(rf"{re.escape(str(file))}:\d+: .*{re.escape(words)}", told), (section, told)
    _, told = check(t, 'rewrite {\nmatch = "*@b.example"\nto = "a@b"\n}\nrewrite {\nmatch = "c@b.example"\nto = "a@b"\n}\n', 1)
    assert "rewrite 2 is never used" in told, told
    check(t, 'rewrite {\nmatch = "*@b.example"\nto = "a@b"\n}\nrewrite {\nmatch = "c@b.example"\nto = "a@b"\n'
             'apply = "recipient"\n}\n', 0)


def test_bad_aliases(t):
    file = aliases(t, "ok: a@b.example\npipe: \"|/bin/cat\"\nfile: /var/mail/x\nloop: pool\npool: loop\n")
    _, told = check(t, f'aliases = "{file}"', 1)
    assert f'{file}:2: alias "pipe": ' in told and "(and 1 more error" in told, told
    file = aliases(t, "loop: pool\npool: LOOP@localhost\n")
    _, told = check(t, f'aliases = "{file}"', 1)
    assert "leads back to itself" in told and f"{file}:" in told, told
    _, told = check(t, f'aliases = "{t.tmp}/missing"', 1)
    assert "missing: cannot open the aliases: No such file" in told, told
    _, told = check(t, f'aliases = "{t.tmp}"', 1)
    assert "not a regular file" in told, told
    # the service does not start either
    file = aliases(t, "a: |b\n")
    daemon = t.daemon(config=f'aliases = "{file}"\nhandler = "debug"')
    equal(daemon.wait(), 1, "exit status")
    assert any("is a command" in line for line in daemon.lines), daemon.lines


def test_aliases_only_root_may_read(t):
    """The master reads them, before it gives up what the workers never have."""
    harness.need_root()
    file = aliases(t, "root: admin@example.org\n")
    file.chmod(0o600)
    upstream, daemon = relay(t, f'aliases = "{file}"')
    submit(daemon, "a@b.example", ["root"], b"A: b\r\n\r\n")
    equal(upstream.wait_messages(1)[0].rcpts, ["admin@example.org"], "recipients")


if __name__ == "__main__":
    harness.main(__name__)

# SPDX-License-Identifier: ISC
"""Delivery status notifications as another program reads them: what
tests/unit/print_report writes is taken apart by Python's email, whatever
replies, addresses and originals hold."""

import email
import email.policy
import re
import resource
import subprocess

import harness
from harness import BUILDDIR, equal

PROGRAM = BUILDDIR / "tests" / "unit" / "print_report"
ORIGINAL = b"Received: from x\r\nSubject: hi\r\n\r\nbody\r\n"


def quoted(value):
    """A value in the notation of the spool (base/kv.h)."""
    octets = value if isinstance(value, bytes) else str(value).encode()
    return '"' + "".join(f"\\x{c:02x}" if c < 32 or c > 126 or c in b'"\\' else chr(c) for c in octets) + '"'


def described(lines, content):
    text = "".join(" ".join(f"{key}={quoted(value)}" for key, value in line.items()) + "\n" for line in lines)
    return text.encode() + b"\n" + content


def report(*rcpts, content=ORIGINAL, kind="failed", sender=None, **head):
    first = {"report": kind, "limit": head.pop("limit", 50000)}
    for key in ("to", "hostname", "postmaster", "until"):
        if key in head:
            first[key] = head.pop(key)
    second = {"from": sender if sender is not None else "from@example.org"}
    second.update(head)
    rcpts = [{"rcpt": r} if isinstance(r, (str, bytes)) else r for r in rcpts]
    done = subprocess.run([PROGRAM], input=described([first, second, *rcpts], content), capture_output=True,
                          timeout=harness.DEADLINE, check=False)
    equal((done.returncode, done.stderr), (0, b""), "print_report")
    check_lines(done.stdout, content)
    return done.stdout


def check_lines(raw, content=b""):
    """RFC 5322 2.1.1 and 2.3: but for a whole original, which is returned as it was."""
    before, _, behind = raw.rpartition(content) if content else (raw, b"", b"")
    for line in before.split(b"\r\n") + behind.split(b"\r\n"):
        assert b"\r" not in line and b"\n" not in line, f"a bare line end: {line!r}"
        assert len(line) <= 998, f"a line of {len(line)} octets: {line[:60]!r}"
        assert b"\0" not in line and b"\x1b" not in line, f"a control: {line!r}"


class Parsed:
    def __init__(self, raw):
        self.top = email.message_from_bytes(raw, policy=email.policy.default)
        equal(self.top.defects, [], "defects of the report")
        equal(self.top.get_content_type(), "multipart/report", "type")
        self.parts = self.top.get_payload()
        equal(len(self.parts), 3, "parts")
        self.prose = self.parts[0].get_content()
        equal(self.top.get_param("report-type"), self.parts[1].get_content_subtype(), "report-type (RFC 6522 3)")
        # the parser knows message/delivery-status only; the groups are read by hand, from the raw text
        boundary = self.top.get_boundary().encode()
        self.raw_parts = raw.split(b"\r\n--" + boundary)[1:]
        equal(len(self.raw_parts), 4, "raw parts")
        equal(self.raw_parts[3], b"--\r\n", "the closing boundary")
        body = self.raw_parts[1].split(b"\r\n\r\n", 1)[1]
        groups = [email.message_from_bytes(g + b"\r\n", policy=email.policy.compat32)
                  for g in body.rstrip(b"\r\n").split(b"\r\n\r\n")]
        self.message, self.rcpts = groups[0], groups[1:]
        self.returned = self.raw_parts[2].split(b"\r\n\r\n", 1)[1]


def fields(message):
    return [name for name, _ in message.items()]


def unfolded(value):
    return re.sub(r"\r?\n\s+", " ", value)


def test_every_field_of_a_failure(_t):
    p = Parsed(report({"rcpt": "bob@example.net", "orcpt": "rfc822;Bob+2BX@example.net", "remote": "mx.example.net:25",
                       "reply": "550 5.1.1 no such user"},
                      {"rcpt": "eve@example.net", "status": "expired", "remote": "[2001:db8::1]:587",
                       "reply": "connection refused"}, envid="QQ+2B1"))
    equal(p.top["From"], "Mail Delivery System <MAILER-DAEMON@mx.example.org>", "From")
    equal(p.top["To"], "from@example.org", "To")
    equal(p.top["MIME-Version"], "1.0", "MIME-Version")
    equal(p.top["Auto-Submitted"], "auto-replied", "Auto-Submitted")
    equal(p.top["Message-ID"], "<0m4x7f3q9zkab1ce@mx.example.org>", "Message-ID")
    equal(p.top["Date"].datetime.timestamp(), 1795000000.0, "Date")
    equal("Subject" in p.top and "Undelivered" in p.top["Subject"], True, "Subject")
    equal("Content-Transfer-Encoding" in p.top, False, "an encoding that is not needed")
    equal([part.get_content_type() for part in p.parts],
          ["text/plain", "message/delivery-status", "message/rfc822"], "types")
    equal(len(p.parts[1].get_payload()), 3, "groups as Python's parser sees them")
    equal(p.message.items(), [
        ("Reporting-MTA", "dns; mx.example.org"), ("Original-Envelope-Id", "QQ+1"),
        ("X-Posthouse-Queue-ID", "0m4x7f3q9zkab1cd"), ("X-Posthouse-Sender", "rfc822; from@example.org"),
        ("Arrival-Date", p.message["Arrival-Date"])], "fields about the message")
    when = p.rcpts[0]["Last-Attempt-Date"]
    equal(p.rcpts[0].items(), [
        ("Original-Recipient", "rfc822; Bob+X@example.net"), ("Final-Recipient", "rfc822; bob@example.net"),
        ("Action", "failed"), ("Status", "5.1.1"), ("Remote-MTA", "dns; mx.example.net"),
        ("Diagnostic-Code", "smtp; 550 5.1.1 no such user"), ("Last-Attempt-Date", when)], "the first recipient")
    equal(p.rcpts[1].items(), [
        ("Final-Recipient", "rfc822; eve@example.net"), ("Action", "failed"), ("Status", "5.4.7"),
        ("Remote-MTA", "dns; [IPv6:2001:db8::1]"), ("Diagnostic-Code", "x-posthouse; connection refused"),
        ("Last-Attempt-Date", when)], "the second recipient")
    equal(email.utils.parsedate_to_datetime(when).timestamp(), 1795000000.0, "Last-Attempt-Date")
    for words in ("could not be delivered", "bob@example.net", "no such user", "mx.example.net", "eve@example.net",
                  "connection refused", "What you can do"):
        equal(words in p.prose, True, f"{words!r} in the words for people")
    equal(p.returned, ORIGINAL, "the original")


def test_a_delay_calms_down(_t):
    p = Parsed(report({"rcpt": "b@example.net", "reply": "451 4.7.1 later", "remote": "192.0.2.1:25"}, kind="delayed",
                      until=86400))
    equal(p.rcpts[0]["Action"], "delayed", "Action")
    equal(p.rcpts[0]["Status"], "4.7.1", "Status")
    equal(p.rcpts[0]["Remote-MTA"], "dns; [192.0.2.1]", "Remote-MTA")
    until = email.utils.parsedate_to_datetime(p.rcpts[0]["Will-Retry-Until"])
    equal(until.timestamp(), 1795086400.0, "Will-Retry-Until")
    equal("DO NOT NEED TO DO ANYTHING" in p.prose, True, "the words")
    equal(p.rcpts[0]["Will-Retry-Until"] in p.prose, True, "until when it is tried, in the words")
    # RFC 3461 4.3: no failure, no body
    equal(p.parts[2].get_content_type(), "text/rfc822-headers", "type of the third part")
    equal(p.returned, b"Received: from x\r\nSubject: hi\r\n", "the header")


def test_it_was_relayed(_t):
    p = Parsed(report({"rcpt": "b@example.net", "reply": "250 2.1.5 ok", "remote": "mx:25"}, kind="relayed"))
    equal((p.rcpts[0]["Action"], p.rcpts[0]["Status"]), ("relayed", "2.1.5"), "Action and Status")
    equal(p.parts[2].get_content_type(), "text/rfc822-headers", "type of the third part")


def test_postmaster_is_told_why_he_gets_it(_t):
    p = Parsed(report("b@example.net", sender="", to="pm@example.org", postmaster="yes"))
    equal(p.top["To"], "pm@example.org", "To")
    equal("Postmaster" in p.top["Subject"] and "postmaster" in p.prose, True, "it says so")
    equal("X-Posthouse-Sender" in p.message, False, "a sender that is none")


STATUS = [  # kind, reply, expired, Status
    ("failed", "550 5.7.26 x", False, "5.7.26"), ("failed", "550 no code", False, "5.0.0"),
    ("failed", "554", False, "5.0.0"), ("failed", "550 4.7.1 wrong class", False, "5.7.1"),
    ("failed", "550 5.1.1234 x", False, "5.0.0"), ("failed", "550 5.1 x", False, "5.0.0"),
    ("failed", "550 5.1.1", False, "5.1.1"), ("failed", "550 5.1.1x", False, "5.0.0"),
    ("failed", "returned by the operator", False, "5.7.0"), ("failed", "550 5.7.1 returned", False, "5.7.1"),
    ("failed", "", False, "5.7.0"), ("failed", "451 4.3.2 x", True, "5.4.7"), ("failed", "no route", True, "5.4.7"),
    ("delayed", "451 4.3.2 x", False, "4.3.2"), ("delayed", "451 x", False, "4.0.0"),
    ("delayed", "TLS: bad certificate", False, "4.4.0"), ("delayed", "", False, "4.4.0"),
    ("relayed", "250 ok", False, "2.0.0"), ("relayed", "", False, "2.0.0"),
]


def test_status_follows_from_the_reply(_t):
    for kind, reply, expired, status in STATUS:
        rcpt = {"rcpt": "b@x", "reply": reply}
        if expired:
            rcpt["status"] = "expired"
        p = Parsed(report(rcpt, kind=kind))
        equal(p.rcpts[0]["Status"], status, f"{kind} {reply!r}")
        kind_of = "smtp" if re.match(r"[2-5]\d\d( |$)", reply) else "x-posthouse"
        equal(p.rcpts[0]["Diagnostic-Code"], f"{kind_of}; {reply}" if reply else None, f"{kind} {reply!r}")


HOSTILE = [
    b"550 x\r\nAction: delivered", b"550 x\n\nFinal-Recipient: rfc822; forged@x", b"550 \x1b[2J\x07 \x9b31m",
    b"550 " + b"x" * 5000, b"550 " + b"word " * 3000, b"550 " + b" " * 5000 + b"x", b"550 \xff\xfe\xc3", b"\0\0\0",
    b"550 " + "é".encode() * 3000, b"550 \xe2\x80\xae\xe2\x80\xa8 turned", b"\r\n\r\n--=_", b" ", b"550",
    b"550 5.1.1 " + b"y" * 900 + b" " + b"z" * 900,
]


def check_shape(raw, count):
    """Only our fields, once each, in groups as many as there should be."""
    p = Parsed(raw)
    equal(fields(p.top), ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Auto-Submitted",
                          "Content-Type"] + ["Content-Transfer-Encoding"] * ("Content-Transfer-Encoding" in p.top),
          "fields of the header")
    equal(len(p.rcpts), count, "recipients")
    known = ["Original-Recipient", "Final-Recipient", "Action", "Status", "Remote-MTA", "Diagnostic-Code",
             "Last-Attempt-Date"]
    for rcpt in p.rcpts:
        equal([f for f in fields(rcpt) if f not in known], [], "unknown fields of a recipient")
        equal(len(set(fields(rcpt))), len(rcpt.items()), "fields that come twice")
        equal(rcpt["Action"], "failed", "Action")
    return p


def test_hostile_replies_inject_nothing(_t):
    for utf8 in (False, True):
        for reply in HOSTILE:
            if b"\0" in reply:
                reply = reply.replace(b"\0", b"\1")
            raw = report({"rcpt": "é@x" if utf8 else "b@x", "reply": reply, "remote": "mx:25"})
            check_shape(raw, 1)


def test_hostile_addresses_inject_nothing(_t):
    names = [b'"a b  c"@x', b'"a\\"b"@x', b"a\r\nX: y@x", b"a\tb@x", b"a\x7f\x1b@x", b"x" * 700 + b"@y",
             b"x" * 9000 + b"@y", b'"' + b" " * 2000 + b'"@y', b"<>@x", b"@", b"a@x\n\nb"]
    for name in names:
        p = check_shape(report({"rcpt": name, "orcpt": b"rfc822;" + name.replace(b" ", b"+20")}, to=name, sender=name), 1)
        if b'"a' in name:
            equal(p.rcpts[0]["Final-Recipient"], "rfc822; " + name.decode(), "a quoted address")
            equal(p.rcpts[0]["Original-Recipient"], "rfc822; " + name.decode(), "as original recipient")
    check_shape(report("b@x", hostname="evil\r\nX: y", envid="a+0D+0AX:+20y"), 1)
    for orcpt in ("no-semicolon", ";", "rfc822;", "a\r\nX;b", "rfc822;a+0D+0AX", "x" * 600 + ";y", "rfc822;" + "z" * 3000):
        check_shape(report({"rcpt": "b@x", "orcpt": orcpt}), 1)
    for remote in ("mx:25", "lmtp://127.0.0.1:24", "unix:/run/x", "a b:25", "\r\nX: y", "h" * 5000, ""):
        check_shape(report({"rcpt": "b@x", "remote": remote}), 1)


def test_addresses_that_are_not_ascii(_t):
    raw = report({"rcpt": "jörg@müller.example", "orcpt": "utf-8;j\\x{F6}rg@example", "reply": "550 5.1.1 weiß nicht"},
                 "b@x", to="é@example.org", sender="é@example.org", smtputf8="yes",
                 content="Subject: ü\r\n\r\nö\r\n".encode())
    p = Parsed(raw)
    equal([part.get_content_type() for part in p.parts],
          ["text/plain", "message/global-delivery-status", "message/global"], "types (RFC 6533)")
    equal(p.top["Content-Transfer-Encoding"], "8bit", "encoding")
    for words in ("To: <é@example.org>\r\n", "Final-Recipient: utf-8; jörg@müller.example\r\n",
                  "Original-Recipient: utf-8; j\\x{F6}rg@example\r\n", "Final-Recipient: rfc822; b@x\r\n",
                  "smtp; 550 5.1.1 weiß nicht\r\n", "charset=utf-8"):
        equal(words.encode() in raw, True, words)
    # RET=HDRS, and nothing of UTF-8 without such an address
    p = Parsed(report("é@x", ret="HDRS", smtputf8="yes", content="Subject: ü\r\n\r\nö\r\n".encode()))
    equal(p.parts[2].get_content_type(), "message/global-headers", "type of the third part")
    p = Parsed(report({"rcpt": "b@x", "reply": "550 weiß nicht"}))
    equal(p.rcpts[0]["Diagnostic-Code"], "smtp; 550 wei?? nicht", "an odd reply in a report in ASCII")


def test_what_is_returned(_t):
    body = b"Subject: hi\r\n\r\n" + b"x" * 100 + b"\r\n"
    for ret, limit, whole in (("", 1000, True), ("FULL", 1000, True), ("HDRS", 1000, False),
                              ("", len(body), True), ("", len(body) - 1, False), ("FULL", 10, False), ("", 0, False)):
        head = {"ret": ret} if ret else {}
        p = Parsed(report("b@x", content=body, limit=limit, **head))
        equal(p.parts[2].get_content_type(), "message/rfc822" if whole else "text/rfc822-headers", f"{ret} {limit}")
        equal(p.returned, body if whole else b"Subject: hi\r\n", f"{ret} {limit}")


def test_odd_originals(_t):
    for content in (b"", b"\r\n", b"\r\nbody only\r\n", b"no header", b"x" * 3000 + b"\r\n\r\nb\r\n", b"\r\n" * 5000,
                    b"A: b\r\n--=_0m4x7f3q9zkab1ce-\r\nC: d\r\n\r\n"):
        Parsed(report("b@x", content=content))
        p = Parsed(report("b@x", content=content, ret="HDRS"))
        equal(len(p.returned) <= len(content) + 30, True, "a header that grew")
    # 8 bits: as they are
    content = b"Subject: \xfc\r\n\r\n\xff\xfe\r\n"
    p = Parsed(report("b@x", content=content))
    equal(p.top["Content-Transfer-Encoding"], "8bit", "encoding of the report")
    equal(p.parts[2]["Content-Transfer-Encoding"], "8bit", "encoding of the original")
    equal(p.returned, content, "the original")


def test_a_header_without_an_end(_t):
    for content in (b"X: " + b"y" * (3 << 20), b"X: y\r\n" * 500000, b"X: " + b"\xbf" * (1 << 20)):
        p = Parsed(report("b@x", content=content, ret="HDRS"))
        equal(100000 < len(p.returned) < 140000, True, f"{len(p.returned)} octets returned")


def test_fifty_thousand_recipients(_t):
    raw = report({"rcpt": "bob@example.net", "reply": "550 5.1.1 " + "no such user " * 20, "count": 50000})
    p = Parsed(raw)
    equal(len(p.rcpts), 50000, "recipients")
    equal(len(p.prose) < 100000, True, "the words for people stay short")
    equal("49900 more" in p.prose, True, "and say so")


def test_memory_does_not_grow_with_the_original(_t):
    """The program may have 24 MB of address space more than it needs for a small one."""
    content = ORIGINAL + (b"x" * 998 + b"\r\n") * 100000
    lines = [{"report": "failed", "limit": 1 << 30}, {"from": "a@b"}, {"rcpt": "b@x"}]

    def limited():
        resource.setrlimit(resource.RLIMIT_DATA, (24 << 20, 24 << 20))
    if harness.sanitized():
        raise harness.Skip("the sanitizer needs the memory")
    done = subprocess.run([PROGRAM], input=described(lines, content), capture_output=True, preexec_fn=limited,
                          timeout=harness.DEADLINE, check=False)
    equal(done.returncode, 0, "print_report with little memory")
    equal(content in done.stdout, True, "the original")


if __name__ == "__main__":
    harness.main(__name__)

# SPDX-License-Identifier: ISC
"""Each method of smtplib beside its counterpart in `posthouse send`, with the same scripted server: the same commands
on the wire but for REASONS, which posthouse-smtpd(7) repeats, and for each exception its exit status.
test_send_transcript.py compares what is printed."""

import smtplib
import sys

import harness
from harness import BUILDDIR, ReservedPort, equal
from smtp_peers import DROP, Upstream

POSTHOUSE = BUILDDIR / "posthouse"
DONE, REFUSED, USAGE, UNREACHABLE, PARTLY, LATER, TLS, AUTH, UNSUPPORTED, UNCERTAIN = range(10)

REASONS = {
    "capitals": "Commands are in capitals, and so is SIZE.",
    "pipelining": "Where PIPELINING is offered commands go out together, but with --no-pipelining.",
    "parameters": "MAIL has BODY= and SMTPUTF8 by itself where the message needs them and the server offers them.",
    "quiet": "No RSET is said before QUIT.",
    "once": "After a refused log-in no other mechanism is tried with the same password.",
}

SESSION = """
import smtplib, sys, email
port = int(sys.argv[1])
def SMTP(*args, **more):
    return smtplib.SMTP('127.0.0.1', port, *args, local_hostname='me.test', **more)
try:
    {script}
except Exception as e:
    print(type(e).__name__, *e.args, file=sys.stderr)
"""


def theirs(t, upstream, script, *args, content=""):
    """What smtplib does; the exception's name and arguments, if one was raised."""
    port = upstream if isinstance(upstream, int) else upstream.port
    script = script.replace("\n", "\n    ")
    return t.run([sys.executable, "-c", SESSION.format(script=script), port, *args], check=0, data=content.encode()).stderr.decode()


def ours(t, upstream, *args, check=DONE, content=""):
    port = upstream if isinstance(upstream, int) else upstream.port
    done = t.run([POSTHOUSE, "send", "--server", f"127.0.0.1:{port}", "--helo", "me.test", "--no-pipelining", *args],
                 check=check, data=content.encode())
    return done.stdout.decode(), done.stderr.decode()


def server(t, extensions=("SIZE 0", "8BITMIME", "DSN", "HELP"), **more):
    return Upstream(t, extensions=extensions, **more)


def said(upstream):
    """The commands of its last session, as they are the same in both."""
    found = []
    for line in upstream.sessions[-1].lines:
        verb, blank, rest = line.partition(" ")
        if verb.upper() in ("MAIL", "RCPT") and ">" in rest:
            path, _, parameters = rest.rpartition(">")
            rest = path + ">" + "".join(" " + word.upper() for word in sorted(parameters.split(), key=str.upper))
        found.append(verb.upper() + blank + rest)
    if found[-2:] == ["RSET", "QUIT"]:  # "quiet"
        found[-2:] = ["QUIT"]
    return found


def side_by_side(t, upstream, script, args, check=DONE, content="Subject: x\n\nbody\n"):
    error = theirs(t, upstream, script, content)
    one = said(upstream)
    before = len(upstream.sessions)
    out, err = ours(t, upstream, *args, check=check, content=content)
    equal(len(upstream.sessions), before + 1, "sessions of posthouse send")
    equal(said(upstream), one, "commands")
    return one, error, out, err


MESSAGE = ("--from", "a@x", "--to", "b@y", "--no-add-headers")
SEND = "s.sendmail('a@x', ['b@y'], sys.argv[2]); s.quit()"


def test_greeting(t):
    upstream = server(t)
    lines, *_ = side_by_side(t, upstream, f"s = SMTP(); {SEND}", MESSAGE)
    equal(lines, ["EHLO me.test", "MAIL FROM:<a@x> SIZE=20", "RCPT TO:<b@y>", "DATA", "QUIT"], "commands")
    upstream.on("EHLO", "502 5.5.1 what?")
    lines, *_ = side_by_side(t, upstream, f"s = SMTP(); {SEND}", MESSAGE)
    equal(lines, ["EHLO me.test", "HELO me.test", "MAIL FROM:<a@x>", "RCPT TO:<b@y>", "DATA", "QUIT"], "commands")
    upstream.on("HELO", "502 5.5.1 what?")
    theirs(t, upstream, f"s = SMTP(); {SEND}", "x")
    equal(upstream.sessions[-1].lines, ["ehlo me.test", "helo me.test"], "commands of smtplib")
    ours(t, upstream, *MESSAGE, check=UNREACHABLE, content="x\n")
    equal(upstream.sessions[-1].lines[:2], ["EHLO me.test", "HELO me.test"], "commands")


def test_ports(t):
    equal((smtplib.SMTP_PORT, smtplib.SMTP_SSL_PORT, smtplib.LMTP_PORT), (25, 465, 2003), "smtplib's")
    for args, port in (((), 25), (("--tls", "implicit"), 465)):
        # whether somebody listens there does not matter
        done = t.run([POSTHOUSE, "send", "--server", "127.0.0.1", "--noop", "--transcript", "python", "--timeout", "5s", *args])
        assert f"('127.0.0.1', {port})".encode() in done.stderr, done.stderr
    done = t.run([POSTHOUSE, "send", "--lmtp", "127.0.0.1", "--noop", "--transcript", "python", "--timeout", "5s"])
    assert b"('127.0.0.1', 24)" in done.stderr, done.stderr


def test_connect(t):
    upstream = server(t)
    upstream.on("connect", "554 5.7.1 not you")
    error = theirs(t, upstream, "SMTP()")
    equal(error, "SMTPConnectError 554 b'5.7.1 not you'\n", "smtplib")
    _, err = ours(t, upstream, *MESSAGE, check=UNREACHABLE, content="x\n")
    assert "554 5.7.1 not you" in err, err
    closed = ReservedPort(t).port
    assert theirs(t, closed, "SMTP()").startswith("ConnectionRefusedError")
    ours(t, closed, *MESSAGE, check=UNREACHABLE, content="x\n")


def test_quit(t):
    for script in ("s = SMTP(); s.ehlo(); s.noop(); s.quit()", "with SMTP() as s:\n    s.ehlo(); s.noop()"):
        lines, *_ = side_by_side(t, server(t), script, ["--noop"])
        equal(lines[-1], "QUIT", "the last one")
    # close() alone leaves without a word; here nothing does
    upstream = server(t)
    theirs(t, upstream, "s = SMTP(); s.ehlo(); s.close()")
    equal(upstream.sessions[-1].lines, ["ehlo me.test"], "smtplib")


def test_commands(t):
    script = "s = SMTP(); s.ehlo(); s.verify('b@y'); s.vrfy('<c@y>'); s.expn('list'); s.help(); s.help('MAIL'); s.noop(); s.rset(); s.noop(); s.quit()"
    lines, *_ = side_by_side(t, server(t), script, ["--vrfy", "b@y", "--vrfy", "c@y", "--expn", "list", "--help-verb", "--command",
                                                    "HELP MAIL", "--noop", "--command", "RSET", "--noop"], check=REFUSED)
    equal(lines[1:-1], ["VRFY b@y", "VRFY c@y", "EXPN list", "HELP", "HELP MAIL", "NOOP", "RSET", "NOOP"], "commands")


def test_docmd(t):
    upstream = server(t)
    upstream.on("XFOO", "250-one\r\n250 two")
    _, _, out, _ = side_by_side(t, upstream, "s = SMTP(); s.ehlo(); s.docmd('XFOO', 'bar'); s.putcmd('noop'); s.getreply(); s.quit()",
                                ["--command", "XFOO bar", "--noop"], check=DONE)
    equal(out.splitlines()[:2], ["250-one", "250 two"], "replies")
    # no second command in the first
    before = len(upstream.sessions)
    assert theirs(t, upstream, "s = SMTP(); s.docmd('noop', 'x\\r\\nrset')").startswith("ValueError")
    ours(t, upstream, "--command", "NOOP x\r\nRSET", check=USAGE)
    assert not any("rset" in line.lower() for session in upstream.sessions[before:] for line in session.lines)


def test_options(t):
    script = ("s = SMTP(); s.sendmail('a@x', ['b@y'], sys.argv[2], mail_options=['body=8bitmime', 'RET=HDRS', 'ENVID=1'], "
              "rcpt_options=['NOTIFY=SUCCESS,FAILURE']); s.quit()")
    lines, *_ = side_by_side(t, server(t), script, [*MESSAGE, "--body-type", "8bitmime", "--ret", "hdrs", "--envid", "1", "--notify",
                                                    "success,failure"])
    equal(lines[1:3], ["MAIL FROM:<a@x> BODY=8BITMIME ENVID=1 RET=HDRS SIZE=20", "RCPT TO:<b@y> NOTIFY=SUCCESS,FAILURE"], "commands")
    # those that have no option of their own
    script = "s = SMTP(); s.sendmail('a@x', ['b@y'], sys.argv[2], mail_options=['X-FOO=1'], rcpt_options=['X-BAR']); s.quit()"
    side_by_side(t, server(t), script, [*MESSAGE, "--mail-option", "X-FOO=1", "--rcpt-option", "X-BAR"])
    for reply in ("250 2.1.5 OK", "251 will forward"):
        upstream = server(t)
        upstream.on("RCPT", reply)
        side_by_side(t, upstream, f"s = SMTP(); {SEND}", MESSAGE)


def test_other_codes(t):
    """252, and any other 2yz, is a yes (RFC 5321 4.2.1); smtplib knows 250 and 251 only."""
    for phase, exception in (("RCPT", "SMTPRecipientsRefused"), ("MAIL", "SMTPSenderRefused"), ("EOD", "SMTPDataError")):
        upstream = server(t)
        upstream.on(phase, "252 2.5.0 I will try")
        assert theirs(t, upstream, f"s = SMTP(); {SEND}", "x: y\n\n").startswith(exception), phase
        before = len(upstream.messages)
        ours(t, upstream, *MESSAGE, content="x: y\n\n")
        equal(len(upstream.messages), before + 1, f"messages after 252 to {phase}")


def test_addresses(t):
    """quoteaddr()"""
    for text in ("b@y", "<b@y>", "Name <b@y>", '"Name, N." <b@y>', "b@y (comment)", '"b b"@y', "b@[192.0.2.1]"):
        upstream = server(t)
        theirs(t, upstream, f"s = SMTP(); s.sendmail({text!r}, [{text!r}], 'x'); s.quit()")
        one = [line for line in said(upstream) if line[:4] == "RCPT"]
        ours(t, upstream, "--from", "a@x", "--to", text, content="x: y\n\n")
        equal([line for line in said(upstream) if line[:4] == "RCPT"], one, f"RCPT of {text!r}")
    side_by_side(t, server(t), "s = SMTP(); s.sendmail('', ['b@y'], sys.argv[2]); s.quit()", ["--from", "<>", *MESSAGE[2:]])


def test_line_ends(t):
    """quotedata(), data(): the octets of the content are the same."""
    for content in ("a: b\n\n.\n..\n.x\nlast\n", "a: b\r\n\r\n.\r\n..\r\n", "a: b\n\nno end", "a: b\r\n\r\nmixed\nends\r\n\n.\n", "a: b\n\n", "a: b\n\nx\ry\r"):
        upstream = server(t)
        theirs(t, upstream, f"s = SMTP(); s.sendmail('a@x', ['b@y'], {content!r}); s.quit()")
        ours(t, upstream, *MESSAGE, content=content)
        one, other = (message.content for message in upstream.wait_messages(2))
        equal(other, one, f"content of {content!r}")


def test_sendmail(t):
    upstream = server(t)
    upstream.on("RCPT", "550 5.1.1 nobody", match="never@")
    upstream.on("RCPT", "451 4.2.1 later", match="later@")
    script = "s = SMTP(); print(sorted(s.sendmail('a@x', ['b@y', 'never@y', 'later@y'], sys.argv[2])), file=sys.stderr); s.quit()"
    _, error, _, err = side_by_side(t, upstream, script, [*MESSAGE, "--to", "never@y, later@y"], check=PARTLY)
    equal(error, "['later@y', 'never@y']\n", "smtplib's dictionary")
    for text in ("<never@y>", "550 5.1.1 nobody", "<later@y>", "451 4.2.1 later"):
        assert text.strip("<>") in err, err
    equal([message.rcpts for message in upstream.messages], [["b@y"]] * 2, "recipients")


def test_send_message(t):
    content = "From: a@x\nSender: s@x\nTo: b@y, Name <c@y>\nCc: d@y\nBcc: e@y\nSubject: x\n\nbody\n"
    upstream = server(t)
    theirs(t, upstream, "s = SMTP(); s.send_message(email.message_from_string(sys.argv[2])); s.quit()", content)
    ours(t, upstream, "-t", "--no-add-headers", content=content)
    one, other = upstream.wait_messages(2)
    equal((other.sender, sorted(other.rcpts)), (one.sender, sorted(one.rcpts)), "envelope")
    equal(other.content, one.content, "content")
    assert b"Bcc" not in one.content
    # sent again
    resent = "Resent-Date: x\nResent-From: r@x\nResent-To: f@y\nResent-Bcc: g@y\n"
    theirs(t, upstream, "s = SMTP(); s.send_message(email.message_from_string(sys.argv[2])); s.quit()", resent + content)
    ours(t, upstream, "-t", "--no-add-headers", content=resent + content)
    one, other = upstream.wait_messages(4)[2:]
    equal((other.sender, sorted(other.rcpts)), (one.sender, sorted(one.rcpts)), "envelope")
    equal((other.sender, sorted(other.rcpts)), ("r@x", ["f@y", "g@y"]), "envelope")
    equal(other.content, one.content, "content")
    # twice: nobody knows which of them is meant
    error = theirs(t, upstream, "s = SMTP(); s.send_message(email.message_from_string(sys.argv[2])); s.quit()", 2 * resent + content)
    assert error.startswith("ValueError"), error
    _, err = ours(t, upstream, "-t", "--no-add-headers", content=2 * resent + content, check=USAGE)
    assert "more than once" in err and "--to" in err, err
    equal(len(upstream.messages), 4, "messages")


def secret(t, text="s3cret"):
    path = t.tmp / f"secret-{text}"
    path.write_text(text + "\n")
    path.chmod(0o600)
    return path


def test_login(t):
    for mechanisms in ("PLAIN", "LOGIN", "PLAIN LOGIN"):
        for password in ("s3cret", "wrong"):
            upstream = server(t, users={"u": "s3cret"})
            upstream.on("EHLO", f"250-upstream.test\r\n250 AUTH {mechanisms}")
            error = theirs(t, upstream, f"s = SMTP(); s.login('u', {password!r}); {SEND}", "x: y\n\n")
            one = [line.split()[1] for line in said(upstream) if line.startswith("AUTH")]
            _, err = ours(t, upstream, "--tls", "none", "--user", "u", "--password-file", secret(t, password), *MESSAGE, content="x: y\n\n",
                          check=DONE if password == "s3cret" else AUTH)
            other = [line.split()[1] for line in said(upstream) if line.startswith("AUTH")]
            equal(error.split(" ")[0] if error else "", "" if password == "s3cret" else "SMTPAuthenticationError", "smtplib")
            equal(other[0], one[0], f"mechanism of {mechanisms}")
            if password == "wrong":
                assert "535" in err, err
                equal((len(one), len(other)), (len(mechanisms.split()), 1), "attempts")  # "once"


EXCEPTIONS = (
    # phase, what the server says, smtplib's exception, our status
    ("connect", "554 5.7.1 no", "SMTPConnectError", UNREACHABLE),
    ("connect", DROP, "SMTPServerDisconnected", UNREACHABLE),
    ("EHLO", DROP, "SMTPServerDisconnected", UNREACHABLE),
    ("EHLO HELO", "550 5.7.1 no", "SMTPHeloError", UNREACHABLE),
    ("MAIL", "550 5.7.1 no", "SMTPSenderRefused", REFUSED),
    ("MAIL", "450 4.7.1 later", "SMTPSenderRefused", LATER),
    ("RCPT", "550 5.1.1 no", "SMTPRecipientsRefused", REFUSED),
    ("RCPT", "450 4.1.1 later", "SMTPRecipientsRefused", LATER),
    ("DATA", "554 5.6.0 no", "SMTPDataError", REFUSED),
    ("EOD", "554 5.6.0 no", "SMTPDataError", REFUSED),
    ("EOD", "452 4.3.1 full", "SMTPDataError", LATER),
    ("EOD", DROP, "SMTPServerDisconnected", UNCERTAIN),
    ("MAIL", DROP, "SMTPServerDisconnected", UNREACHABLE),
)


def test_exceptions(t):
    for phase, action, exception, status in EXCEPTIONS:
        upstream = server(t)
        for one in phase.split():
            upstream.on(one, action)
        error = theirs(t, upstream, f"s = SMTP(); {SEND}", "x: y\n\nz\n")
        equal(error.split()[0], exception, f"{phase}: {action}")
        _, err = ours(t, upstream, *MESSAGE, content="x: y\n\nz\n", check=status)
        if isinstance(action, str) and action[:1].isdigit():
            assert action in err, f"{phase}: {err}"
    for call, args, status in (("s.ehlo(); s.mail('a@x', ['SMTPUTF8'])", ("--smtputf8",), UNSUPPORTED), ("s.starttls()", ("--tls", "required"), TLS),
                               ("s.login('u', 'p')", ("--tls", "none", "--user", "u", "--password-file", secret(t)), AUTH)):
        upstream = server(t)
        equal(theirs(t, upstream, f"s = SMTP(); {call}").split()[0], "SMTPNotSupportedError", call)
        ours(t, upstream, *MESSAGE, *args, content="x: y\n\nz\n", check=status)


def test_the_module_as_a_program(t):
    upstream = server(t)
    code = ("import smtplib, sys\n"
            f"source = open(smtplib.__file__).read().replace('SMTP_PORT = 25', 'SMTP_PORT = {upstream.port}')\n"
            "exec(compile(source, 'smtplib', 'exec'), {'__name__': '__main__'})\n")
    t.run([sys.executable, "-c", code], check=0, data=b"a@x\nb@y\nSubject: x\n\nbody\n")
    ours(t, upstream, *MESSAGE, content="Subject: x\n\nbody\n")
    one, other = upstream.wait_messages(2)
    equal((other.sender, other.rcpts, other.content), (one.sender, one.rcpts, one.content), "message")


if __name__ == "__main__":
    harness.main(__name__)

# SPDX-License-Identifier: ISC
"""posthouse send --transcript beside smtplib with set_debuglevel: the same dialogue with the same scripted server
makes the same lines. What differs is said in alike()."""

import re
import sys

import harness
from certificates import Pki
from harness import BUILDDIR, equal
from smtp_peers import Authority, Upstream

POSTHOUSE = BUILDDIR / "posthouse"
CONTENT = "Subject: it's\r\nFrom: a@x\r\n\r\n.dot \"quoted\" \\ and\ttab\r\n..\r\nlast\r\n"

# what smtplib does, in Python, with the server's port, the content, and more
SESSION = """
import smtplib, sys, ssl
port, content = int(sys.argv[1]), sys.argv[2]
ca, user = sys.argv[3], sys.argv[4]
context = ssl.create_default_context(cafile=ca) if ca else None
class Watched:
    def __init__(self, *args, **more):
        self.debuglevel = {level}
        super().__init__(*args, **more)
class SMTP(Watched, smtplib.SMTP): pass
class SMTP_SSL(Watched, smtplib.SMTP_SSL): pass
class LMTP(Watched, smtplib.LMTP): pass
try:
    {script}
except smtplib.SMTPException as e:
    print(type(e).__name__)
"""
SEND = "s.sendmail('a@x', {rcpts!r}, content.encode()); s.quit()"


def python(t, upstream, script, level=1, content=CONTENT, ca="", user=""):
    done = t.run([sys.executable, "-c", SESSION.format(level=level, script=script), upstream.port, content, ca, user], check=0)
    return done.stderr.decode().splitlines()


def ours(t, upstream, *args, style="python", content=CONTENT, check=0, server=None):
    done = t.run([POSTHOUSE, "send", *(server or ("--server", f"127.0.0.1:{upstream.port}")), "--transcript", style,
                  "--helo", "me.test", "--no-pipelining", *args], check=check, data=content.encode())
    return [line for line in done.stderr.decode().splitlines() if not line.startswith("posthouse: ")]


def message(*rcpts):
    return ["--from", "a@x", "--no-add-headers", *(word for rcpt in rcpts for word in ("--to", rcpt))]


def alike(lines):
    """What we say otherwise than smtplib, made alike."""
    out, skip = [], 0
    for line in lines:
        if line.startswith("send: 'rset\\r"):  # before QUIT it changes nothing, so we do not say it
            skip = 3  # and its reply
        if line.startswith("send: '"):
            line = line.lower()  # commands are in capitals
            line = re.sub(r"^(send: 'auth \S+) .*", r"\1 ***\\r\\n'", line)  # and secrets are masked
        if skip > 0:
            skip -= 1
        else:
            out.append(line)
    return out


def plain_server(t, extensions=("8BITMIME", "SIZE 0", "HELP"), **options):
    return Upstream(t, extensions=extensions, **options)


def side_by_side(t, upstream, script, args, **options):
    theirs = python(t, upstream, script, **{k: v for k, v in options.items() if k in ("content", "ca", "user")})
    mine = ours(t, upstream, *args, **{k: v for k, v in options.items() if k in ("content", "check", "server")})
    assert len(theirs) > 8, theirs
    equal("\n".join(alike(mine)), "\n".join(alike(theirs)), "transcript")
    return theirs, mine


def smtp(more=""):
    return f"s = SMTP('127.0.0.1', port, local_hostname='me.test'); {more}"


def test_a_message(t):
    script = smtp(SEND.format(rcpts=["b@y", "c@y"]))
    theirs, mine = side_by_side(t, plain_server(t), script, message("b@y", "c@y"))
    # the content, octet by octet
    content = [line for line in mine if line.startswith("send: b")]
    equal(content, [line for line in theirs if line.startswith("send: b")], "content")
    assert "..dot" in content[0] and "...\\r\\n" in content[0], content


def test_quotes(t):
    """repr() chooses the quotes by what stands between them."""
    for body in ("'", '"', "'\"", "\\", "\x01\t\x7f", "é"):
        content = f"Subject: q\r\n\r\n{body}\r\n"
        if body == "é":
            upstream = plain_server(t, extensions=("8BITMIME", "SIZE 0"))
            script = smtp("s.ehlo(); s.sendmail('a@x', ['b@y'], content.encode(), mail_options=['BODY=8BITMIME']); s.quit()")
            theirs, mine = python(t, upstream, script, content=content), ours(t, upstream, *message("b@y"), content=content)
            equal([m for m in mine if m.startswith("send: b")], [m for m in theirs if m.startswith("send: b")], "content")
            equal([m.lower() for m in mine if "mail from" in m.lower()], [m.lower() for m in theirs if "mail FROM" in m], "MAIL")
            continue
        side_by_side(t, plain_server(t), smtp(SEND.format(rcpts=["b@y"])), message("b@y"), content=content)


def test_replies_of_all_kinds(t):
    upstream = plain_server(t)
    upstream.on("connect", b"220-one\r\n220-  two \r\n220 it's \xff three\r\n")
    upstream.on("RCPT", b"251-will\r\n251 forward\r\n")
    upstream.on("EOD", b"250-2.0.0 \xc3\xa9\r\n250\r\n")
    side_by_side(t, upstream, smtp(SEND.format(rcpts=["b@y"])), message("b@y"))


def test_refused_recipients(t):
    upstream = plain_server(t)
    upstream.on("RCPT", "550 5.1.1 nobody", match="never@")
    side_by_side(t, upstream, smtp(SEND.format(rcpts=["never@y", "b@y"])), message("never@y", "b@y"), check=4)


def test_all_refused(t):
    for phase, text in (("RCPT", "550 5.1.1 nobody"), ("MAIL", "452 4.3.1 full"), ("DATA", "554 no"), ("EOD", "554 no")):
        upstream = plain_server(t)
        upstream.on(phase, text)
        script = smtp(f"""
    try: s.sendmail('a@x', ['b@y'], content.encode())
    finally: s.quit()""").replace("; \n", "\n")
        side_by_side(t, upstream, script, message("b@y"), check=5 if phase == "MAIL" else 1)


def test_helo(t):
    """A server without EHLO: HELO, and no SIZE."""
    upstream = plain_server(t)
    upstream.on("EHLO", "500 5.5.1 what?")
    side_by_side(t, upstream, smtp(SEND.format(rcpts=["b@y"])), message("b@y"))
    equal(upstream.commands("MAIL"), ["mail FROM:<a@x>", "MAIL FROM:<a@x>"], "MAIL")


def test_starttls_and_login(t):
    authority = Authority(t)
    upstream = plain_server(t, tls=authority.server_context(), users={"user": "s3cret"})
    secret = t.tmp / "secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    script = smtp("s.starttls(context=context); s.login('user', 's3cret'); " + SEND.format(rcpts=["b@y"]))
    theirs, mine = side_by_side(t, upstream, script, [*message("b@y"), "--tls", "required", "--tls-ca", authority.file, "--user",
                                                      "user", "--password-file", secret], ca=authority.file)
    assert any("AUTH PLAIN AHVz" in line for line in theirs), "smtplib shows the password"
    assert not any("AHVz" in line for line in mine), mine


def test_smtp_ssl(t):
    ca = Pki(t)
    upstream = plain_server(t, tls=ca.pair("IP:127.0.0.1").server_context(), implicit_tls=True)
    script = ("s = SMTP_SSL('127.0.0.1', port, local_hostname='me.test', context=context); " + SEND.format(rcpts=["b@y"]))
    theirs, _ = side_by_side(t, upstream, script, [*message("b@y"), "--tls", "implicit", "--tls-ca", ca.file], ca=ca.file)
    assert theirs[0].startswith("connect: ("), theirs[0]


def test_source_address(t):
    script = "s = SMTP('127.0.0.1', port, local_hostname='me.test', source_address=('127.0.0.1', 0)); " + SEND.format(rcpts=["b@y"])
    theirs, _ = side_by_side(t, plain_server(t), script, [*message("b@y"), "--source-address", "127.0.0.1"])
    assert theirs[0].endswith("('127.0.0.1', 0)"), theirs[0]


def test_lmtp(t):
    upstream = plain_server(t, lmtp=True)
    script = "s = LMTP('127.0.0.1', port, local_hostname='me.test'); " + SEND.format(rcpts=["b@y"])
    side_by_side(t, upstream, script, message("b@y"), server=("--lmtp", f"127.0.0.1:{upstream.port}"))
    # of several recipients smtplib reads one reply and takes the next one for QUIT's; here each is told of
    mine = ours(t, upstream, *message("b@y", "c@y"), server=("--lmtp", f"127.0.0.1:{upstream.port}"))
    equal(sum(line.startswith("data: (250") for line in mine), 2, "replies to the content")


def test_commands(t):
    upstream = plain_server(t)
    upstream.on("VRFY", "250-2.1.5 <b@y>\r\n250 2.1.5 <c@y>")
    upstream.on("HELP", "214-topics\r\n214 end")
    script = smtp("s.ehlo(); s.verify('b'); s.expn('list'); s.help(); s.noop(); s.docmd('rset x'); s.quit()")
    side_by_side(t, upstream, script, ["--vrfy", "b", "--expn", "list", "--help-verb", "--noop", "--command", "rset x"], check=1)


def test_utf8(t):
    """An address beyond ASCII: smtplib's str, shown as it is where it can be."""
    upstream = plain_server(t, extensions=("8BITMIME", "SIZE 0", "SMTPUTF8"))
    script = smtp("s.ehlo(); s.sendmail('jürgen@x', ['b@y'], content.encode(), mail_options=['SMTPUTF8']); s.quit()")
    done = t.run([sys.executable, "-c", SESSION.format(level=1, script=script), upstream.port, CONTENT, "", ""], check=0,
                 env={"PYTHONUTF8": "1", "LC_ALL": "C.UTF-8"})
    theirs = [line for line in done.stderr.decode().splitlines() if "mail FROM" in line]
    done = t.run([POSTHOUSE, "send", "--server", f"127.0.0.1:{upstream.port}", "--transcript", "python", "--helo", "me.test",
                  "--from", "jürgen@x", "--to", "b@y", "--no-add-headers"], check=0, data=CONTENT.encode(), env={"LC_ALL": "C.UTF-8"})
    mine = [line for line in done.stderr.decode().splitlines() if "MAIL FROM" in line]
    equal([line.lower() for line in mine], [line.lower() for line in theirs], "MAIL")


def test_time_of_day(t):
    upstream = plain_server(t)
    script = smtp(SEND.format(rcpts=["b@y"]))
    theirs, mine = python(t, upstream, script, level=2), ours(t, upstream, *message("b@y"), style="python-times")
    clock = re.compile(r"^\d\d:\d\d:\d\d(?:\.\d{6})? ")
    for line in (*theirs, *mine):
        assert clock.match(line), line
    equal(alike([clock.sub("", line) for line in mine]), alike([clock.sub("", line) for line in theirs]), "transcript")


def test_pipelined(t):
    """The same lines in another order; each "data:" beside the reply it is about."""
    upstream = Upstream(t)
    done = t.run([POSTHOUSE, "send", "--server", f"127.0.0.1:{upstream.port}", "--transcript", "python", *message("b@y", "c@y")],
                 check=0, data=CONTENT.encode())
    lines = done.stderr.decode().splitlines()
    at = lines.index("data: (354, b'go ahead')")
    equal(lines[at - 2:at], ["reply: b'354 go ahead\\r\\n'", "reply: retcode (354); Msg: b'go ahead'"], "before the line of DATA")
    assert lines.index("send: 'DATA\\r\\n'") < lines.index("reply: b'250 2.1.0 OK\\r\\n'"), lines
    equal(lines.count("data: (250, b'2.0.0 stored')"), 1, "the end of data")


def test_people(t):
    upstream = Upstream(t, extensions=("SIZE 0",))
    upstream.on("MAIL", "250 2.1.0 \x1b[31mred\x1b]0;title\x07")
    lines = ours(t, upstream, *message("b@y"), style="times")
    for line in lines:
        assert re.match(r"^ +\d+\.\d{3} (?:S: |C: |== )", line) and "\x1b" not in line and "\x07" not in line, line
    text = "\n".join(re.sub(r"^ +\S+ ", "", line) for line in lines)
    assert f"== session with 127.0.0.1:{upstream.port}" in text, text
    assert re.search(r"^C: \. +\(after \d+ octets of content\)$", text, re.M), text
    both = t.run([POSTHOUSE, "send", "--server", f"127.0.0.1:{upstream.port}", "-vv", *message("b@y")], check=0,
                 data=CONTENT.encode()).stderr.decode()
    assert "== session" in both, both


def test_several_connections(t):
    """A server that ends its connections after a message: each greeting is known for what it is."""
    upstream = plain_server(t)
    upstream.on("MAIL", lambda session, _: "421 4.7.0 enough" if sum("MAIL" in word for word in session.lines) > 1 else None)
    box = t.tmp / "box"
    box.write_text("".join(f"From x\nFrom: {word}@x\n\nbody\n\n" for word in ("first", "second", "third")))
    lines = ours(t, upstream, "--to", "b@y", "--no-add-headers", "--format", "mbox", box)
    equal((len(upstream.messages), len(upstream.sessions)), (3, 3), "messages, connections")
    equal(lines.count("connect: b'upstream.test ESMTP'"), 3, "greetings")
    equal(lines.count("data: (250, b'2.0.0 stored')"), 3, "ends of data")
    for word in ("first", "second", "third"):
        assert any(line.startswith("send: b'From: " + word) for line in lines), word


def test_styles(t):
    upstream = Upstream(t)
    done = t.run([POSTHOUSE, "send", "--server", f"127.0.0.1:{upstream.port}", "--transcript", "pretty", *message("b@y")], check=2,
                 data=CONTENT.encode())
    assert b"plain, times, python" in done.stderr, done.stderr
    equal(upstream.sessions, [], "connections")


if __name__ == "__main__":
    harness.main(__name__)

# SPDX-License-Identifier: ISC
"""The session half of posthouse send: what a server announces and is asked, what MAIL and RCPT say, TLS, LMTP, the
way there, the exit status of each class of failure, and servers that mean no good."""

import pathlib
import re
import smtplib
import socket
import ssl
import threading
import time

import harness
from certificates import HERE, Pki, self_signed
from harness import BUILDDIR, DEADLINE, equal
from smtp_peers import DROP, RESET, STALL, Upstream
from test_upstream_tls import private
from test_upstream_way import HttpProxy, microsocks

POSTHOUSE = BUILDDIR / "posthouse"
CONTENT = b"Subject: x\n\nbody\n"
DONE, REFUSED, USAGE, UNREACHABLE, PARTLY, LATER, TLS, AUTH, UNSUPPORTED, UNCERTAIN = range(10)
MESSAGE = ("--from", "a@x", "--to", "b@y")


def send(t, upstream, *args, check=DONE, data=CONTENT, **options):
    remote = upstream if isinstance(upstream, str) else f"127.0.0.1:{upstream.port}"
    done = t.run([POSTHOUSE, "send", "--server", remote, *args], check=check, data=data, **options)
    return done.stdout.decode(), done.stderr.decode()


# ---- what it announces, what it is asked ----------------------------------------------------


def test_features(t):
    """As smtplib reads them."""
    words = ("PIPELINING", "SIZE 1000", "8BITMIME", "AUTH PLAIN LOGIN", "AUTH=LOGIN CRAM-MD5", "X-Odd a b", "dsn")
    upstream = Upstream(t, extensions=words)
    out, _ = send(t, upstream, "--features")
    equal(out.splitlines(), list(words), "features")
    with smtplib.SMTP("127.0.0.1", upstream.port) as client:
        client.ehlo()
        for name in ("size", "SIZE", "X-ODD", "Dsn", "auth", "chunking", "SIZ", "x", "PIPELINING "):
            send(t, upstream, "--has-extension", name.strip(), check=DONE if client.has_extn(name.strip()) else REFUSED)
    for wanted, found in (("AUTH PLAIN", True), ("auth login", True), ("AUTH CRAM-MD5", True), ("AUTH GSSAPI", False),
                          ("AUTH PLAI", False), ("SIZE 1000", True), ("SIZE 100", False)):
        send(t, upstream, "--has-extension", wanted, check=DONE if found else REFUSED)
    equal(upstream.messages, [], "messages")


def test_features_under_tls(t):
    """Only the last EHLO counts (RFC 3207 4.2)."""
    ca = Pki(t)
    upstream = Upstream(t, tls=ca.pair(HERE).server_context(), users={"u": "p"})
    send(t, upstream, "--tls", "none", "--has-extension", "STARTTLS")
    send(t, upstream, "--tls", "none", "--has-extension", "AUTH", check=REFUSED)
    send(t, upstream, "--tls", "required", "--tls-ca", ca.file, "--has-extension", "AUTH")
    send(t, upstream, "--tls", "required", "--tls-ca", ca.file, "--has-extension", "STARTTLS", check=REFUSED)


def test_helo_only(t):
    upstream = Upstream(t)
    upstream.on("EHLO", "502 5.5.1 what?")
    out, err = send(t, upstream, "--features", "--helo", "me.test")
    equal((out, upstream.sessions[0].lines), ("", ["EHLO me.test", "HELO me.test", "QUIT"]), "features, dialogue")
    assert "no extensions" in err, err
    send(t, upstream, *MESSAGE)
    equal(upstream.messages[0].mail_line, "MAIL FROM:<a@x>", "MAIL")
    # an option of MAIL would be a syntax error to it
    _, err = send(t, upstream, *MESSAGE, "--mail-option", "X=1", check=UNSUPPORTED)
    assert "HELO" in err, err


def test_commands(t):
    upstream = Upstream(t)
    upstream.on("VRFY", "250-2.1.5 One <one@y>\r\n250 2.1.5 <two@y>")
    upstream.on("EXPN", "450 4.2.1 busy")
    upstream.on("HELP", "214-2.0.0 a\r\n214 2.0.0 b")
    out, _ = send(t, upstream, "--vrfy", "one two@y", "--noop", "--command", "HELP MAIL", "--help-verb")
    equal(out, "250-2.1.5 One <one@y>\n250 2.1.5 <two@y>\n250 2.0.0 OK\n" + 2 * "214-2.0.0 a\n214 2.0.0 b\n", "replies")
    equal(upstream.sessions[0].lines[1:], ["VRFY one two@y", "NOOP", "HELP MAIL", "HELP", "QUIT"], "commands")
    send(t, upstream, "--noop", "--expn", "list", check=LATER)
    send(t, upstream, "--expn", "list", "--command", "UNKNOWN", check=REFUSED)
    # a whole dialogue, step by step
    out, _ = send(t, upstream, "--command", "MAIL FROM:<a@x>", "--command", "RCPT TO:<b@y>", "--command", "RSET")
    equal([line[:3] for line in out.splitlines()], ["250"] * 3, "replies")


def test_commands_that_are_none(t):
    upstream = Upstream(t)
    for line in ("DATA", "data ", "BDAT 10 LAST", "QUIT", "STARTTLS", "AUTH PLAIN x", "NOOP\r\nMAIL FROM:<>", "a\nb", "", " NOOP", "\x01"):
        _, err = send(t, upstream, "--command", line, check=USAGE)
        assert err.count("\n") == 1, err
    for line in ("", "a\r\nQUIT"):
        send(t, upstream, "--vrfy", line, check=USAGE)
    equal(upstream.sessions, [], "connections")
    send(t, upstream, "--command", "NOOP " + "x" * 3000, check=USAGE)
    for more in (MESSAGE, ("-t",), ("--ret", "full"), ("file",)):
        assert "not both" in send(t, upstream, "--noop", *more, check=USAGE)[1]


def test_a_server_that_leaves(t):
    for action, status in (("421 4.3.2 bye", UNREACHABLE), (DROP, UNREACHABLE), (RESET, UNREACHABLE)):
        upstream = Upstream(t)
        upstream.on("NOOP", action)
        out, err = send(t, upstream, "--noop", "--vrfy", "x", check=status)
        equal((out, err.count("\n")), (f"{action}\n" if isinstance(action, str) else "", 1), "output, lines of trouble")
        equal(upstream.commands("VRFY"), [], "behind it")
    upstream = Upstream(t)
    upstream.on("NOOP", STALL)
    started = time.monotonic()
    assert "timed out" in send(t, upstream, "--noop", "--timeout", "1s", check=UNREACHABLE)[1]
    assert time.monotonic() - started < DEADLINE / 2


class Liar:
    """Says what it is told to anything: each is sent in answer to a line."""

    def __init__(self, t, *says):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.says = says
        t.later(self.listener.close)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client:
                try:
                    lines = client.makefile("rb")
                    for text in self.says:
                        client.sendall(text)
                        if not lines.readline():
                            break
                except OSError:
                    pass


def test_servers_that_mean_no_good(t):
    hello = (b"220 x\r\n", b"250-x\r\n250 HELP\r\n")
    nasty = b"250-\x1b]0;title\x07\x1b[2J\x9b31m\r\n250-" + "‮\u0085​".encode() + b"\xff\x00\r\n250 e\r\n"
    for option in (("-v",), ("-vv",), ("--transcript", "python"), ()):
        out, err = send(t, Liar(t, *hello, nasty, b"221 x\r\n"), "--vrfy", "x", *option, check=DONE)
        for text in (out, err):
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f‮​]", text), repr(text)
        assert "\\x1b" in out, out
    out, _ = send(t, Liar(t, hello[0], b"250-x\r\n250-\x1b[2J\x07\r\n250 HELP\r\n", b"221 x\r\n"), "--features")
    equal(out, "\\x1b[2J\\x07\nHELP\n", "features")
    for bad in (b"250-" + b"x" * 100000 + b"\r\n", b"250-x\r\n" * 100000, b"\x00" * 100000, b"hello\r\n", b"250 x\r\n250 y\r\n"):
        out, err = send(t, Liar(t, *hello, bad), "--noop", "--noop", "--timeout", "5s", check=UNREACHABLE)
        assert len(out) < 20000 and len(err) < 1000 and err.count("\n") == 1, (len(out), err)
        out, err = send(t, Liar(t, hello[0], bad), "--features", "--noop", "--timeout", "5s", check=UNREACHABLE)
        assert len(out) < 20000 and len(err) < 1000 and err.count("\n") == 1, (len(out), err)


# ---- MAIL and RCPT -------------------------------------------------------------------------


ALL = ("PIPELINING", "8BITMIME", "SIZE 0", "DSN", "SMTPUTF8", "DELIVERBY", "CHUNKING", "BINARYMIME", "REQUIRETLS", "X-MINE")


def said(upstream):
    session = upstream.sessions[-1]
    return (next(line for line in session.lines if line.startswith("MAIL")),
            [line for line in session.lines if line.startswith("RCPT")])


def test_options_of_mail_and_rcpt(t):
    upstream = Upstream(t, extensions=ALL)
    size = "SIZE=" + str(len(CONTENT.replace(b"\n", b"\r\n")))
    for args, mail, rcpt in (
            (("--ret", "full"), f"{size} RET=FULL", ""),
            (("--ret", "HDRS", "--envid", "a b+c="), f"{size} RET=HDRS ENVID=a+20b+2Bc+3D", ""),
            (("--notify", "success,delay"), size, " NOTIFY=SUCCESS,DELAY"),
            (("--notify", "NEVER"), size, " NOTIFY=NEVER"),
            (("--orcpt", "old@y"), size, " ORCPT=rfc822;old@y"),
            (("--orcpt", "x400;a=b"), size, " ORCPT=x400;a+3Db"),
            (("--size", "123456"), "SIZE=123456", ""),
            (("--body-type", "8bitmime"), f"{size} BODY=8BITMIME", ""),
            (("--body-type", "7bit"), size, ""),
            (("--smtputf8",), f"{size} SMTPUTF8", ""),
            (("--mail-option", "X-A=1", "--mail-option", "Y", "--rcpt-option", "Z=2"), f"{size} X-A=1 Y", " Z=2")):
        send(t, upstream, *MESSAGE, "--no-add-headers", *args)
        equal(said(upstream), (f"MAIL FROM:<a@x> {mail}", [f"RCPT TO:<b@y>{rcpt}"]), " ".join(args))
    send(t, upstream, *MESSAGE, "--to", "c@y", "--notify", "failure")
    equal(said(upstream)[1], [f"RCPT TO:<{r}> NOTIFY=FAILURE" for r in ("b@y", "c@y")], "RCPT")


def test_deliver_by(t):
    upstream = Upstream(t, extensions=("SIZE 0", "DELIVERBY 60"))
    for by, pattern in (("100;R", r"BY=(?:100|9\d);R"), ("3600;nt", r"BY=3(?:600|5\d\d);NT"), ("-5;N", r"BY=-\d+;N")):
        send(t, upstream, *MESSAGE, "--deliver-by", by)
        assert re.fullmatch(rf"MAIL FROM:<a@x> SIZE=\d+ {pattern}", said(upstream)[0]), said(upstream)
    _, err = send(t, upstream, *MESSAGE, "--deliver-by", "30;R", check=UNSUPPORTED)
    assert "60" in err, err


def test_chunks(t):
    upstream = Upstream(t, extensions=("PIPELINING", "8BITMIME", "CHUNKING", "BINARYMIME"))
    dots = b"Subject: x\r\n\r\n.\r\n..a\r\n" + b"x" * 70000 + b"\r\n"
    for args, bdat, mail in (((), False, ""), (("--chunking", "always"), True, ""),
                             (("--body-type", "binarymime"), True, " BODY=BINARYMIME")):
        send(t, upstream, *MESSAGE, *args, "--no-add-headers", data=dots)
        equal(upstream.messages[-1].content, dots, "content")
        equal(any(line.startswith("BDAT") for line in upstream.sessions[-1].lines), bdat, f"BDAT with {args}")
        equal(said(upstream)[0], "MAIL FROM:<a@x>" + mail, "MAIL")
    send(t, upstream, *MESSAGE, "--body-type", "binarymime", "--chunking", "never", check=UNSUPPORTED)


def test_options_nobody_offers(t):
    """They are not left out in silence: nothing is sent."""
    bare = Upstream(t, extensions=("PIPELINING",))
    for word, *args in (("DSN", "--ret", "full"), ("DSN", "--envid", "x"), ("DSN", "--notify", "never"), ("DSN", "--orcpt", "x@y"),
                        ("SIZE", "--size", "1"), ("8BITMIME", "--body-type", "8bitmime"), ("SMTPUTF8", "--smtputf8"),
                        ("DELIVERBY", "--deliver-by", "60;R"), ("REQUIRETLS", "--requiretls"),
                        ("CHUNKING|BINARYMIME", "--body-type", "binarymime")):
        _, err = send(t, bare, *MESSAGE, *args, check=UNSUPPORTED)
        assert re.search(f"offers no (?:{word})\n", err), (args, err)
    equal(bare.commands("MAIL"), [], "MAIL")
    # nor when the operator does not want them
    _, err = send(t, Upstream(t, extensions=ALL), *MESSAGE, "--ret", "full", "--discard-ehlo", "DSN,SIZE", check=UNSUPPORTED)
    assert "offers no DSN" in err, err
    # announced, but the session is not what REQUIRETLS asks for
    _, err = send(t, Upstream(t, extensions=ALL), *MESSAGE, "--requiretls", check=UNSUPPORTED)
    assert "not encrypted" in err, err
    _, err = send(t, Upstream(t, extensions=("SIZE 10",)), *MESSAGE, check=UNSUPPORTED)
    assert "552 5.3.4" in err, err
    _, err = send(t, bare, "--from", "jürgen@x", "--to", "b@y", "--no-add-headers", check=UNSUPPORTED)
    assert "SMTPUTF8" in err, err


def test_options_that_are_wrong(t):
    upstream = Upstream(t, extensions=ALL)
    for args in (("--ret", "all"), ("--envid", ""), ("--envid", "x" * 101), ("--envid", "é"), ("--notify", ""), ("--notify", "never,delay"),
                 ("--notify", "often"), ("--orcpt", ""), ("--orcpt", "é@x"), ("--orcpt", "; x"), ("--size", "0"), ("--size", "-1"),
                 ("--size", "1k"), ("--body-type", "9bit"), ("--deliver-by", "1"), ("--deliver-by", "0;R"), ("--deliver-by", "x;N"),
                 ("--mail-option", ""), ("--mail-option", "a b"), ("--mail-option", "a\r\nRSET"), ("--mail-option", "size=5"),
                 ("--mail-option", "x" * 501), ("--rcpt-option", "NOTIFY=NEVER"), ("--orcpt", "z@y", "--to", "c@y")):
        _, err = send(t, upstream, *MESSAGE, *args, check=USAGE)
        equal(err.count("\n"), 1, f"lines about {args}")
    _, err = send(t, upstream, *MESSAGE, "--body-type", "7bit", data="ü".encode(), check=USAGE)
    equal(upstream.sessions, [], "connections")


# ---- TLS --------------------------------------------------------------------------------------


def pin(t, pair):
    done = t.run(["sh", "-c", f"openssl x509 -in {pair.cert} -noout -pubkey | openssl pkey -pubin -outform der"
                              " | openssl dgst -sha256 -binary | base64"], check=0)
    return "sha256//" + done.stdout.decode().strip()


def test_who_the_server_is(t):
    ca = Pki(t)
    right, stranger = ca.pair(HERE), self_signed(t)
    for implicit, mode in ((False, "required"), (True, "implicit")):
        good = Upstream(t, tls=right.server_context(), implicit_tls=implicit)
        bad = Upstream(t, tls=stranger.server_context(), implicit_tls=implicit)
        known = ("--tls", mode, "--tls-ca", ca.file)
        send(t, good, *MESSAGE, *known)
        send(t, bad, *MESSAGE, *known, check=TLS)
        send(t, good, *MESSAGE, *known, "--tls-pin", pin(t, right))
        send(t, good, *MESSAGE, *known, "--tls-pin", pin(t, stranger), check=TLS)
        send(t, bad, *MESSAGE, "--tls", mode, "--tls-verify", "pin", "--tls-pin", pin(t, stranger))
        send(t, bad, *MESSAGE, "--tls", mode, "--tls-verify", "none")
        _, err = send(t, bad, *MESSAGE, "--tls", mode, "--tls-verify", "none", "-vv")
        assert re.search(r"== session with .*, TLSv1\.\d TLS_\S+, verified: no", err), err
        # who demands to be kept from strangers is, also then
        send(t, bad, *MESSAGE, "--tls", mode, "--tls-verify", "none", "--requiretls", check=UNSUPPORTED)
        equal((len(good.messages), len(bad.messages)), (2, 3), "messages")


def test_no_tls_there(t):
    plain = Upstream(t)
    send(t, plain, *MESSAGE, "--tls", "required", check=TLS)
    send(t, Liar(t, b"220 x ESMTP\r\n"), *MESSAGE, "--tls", "implicit", check=TLS)
    ca = Pki(t)
    refusing = Upstream(t, tls=ca.pair(HERE).server_context())
    refusing.on("STARTTLS", "454 4.7.0 not now")
    send(t, refusing, *MESSAGE, "--tls", "required", "--tls-ca", ca.file, check=TLS)
    equal(plain.messages + refusing.messages, [], "messages")


def test_client_certificate(t):
    ca = Pki(t)
    ours = ca.pair(None, name="ours")
    upstream = Upstream(t, tls=ca.pair(HERE).server_context(clients=ca.file))
    known = ("--tls", "required", "--tls-ca", ca.file)
    private(ours.key)
    seen = []
    upstream.on("MAIL", lambda session, _line: seen.append(session.socket.getpeercert()["subject"]), times=1)
    send(t, upstream, *MESSAGE, *known, "--tls-cert", ours.cert, "--tls-key", ours.key)
    equal(seen, [((("commonName", "ours"),),)], "who we are")
    # relative to where we are; one file with both
    private(t.tmp / "both.pem", ours.cert.read_text() + ours.key.read_text())
    send(t, upstream, *MESSAGE, *known, "--tls-cert", "both.pem")
    send(t, upstream, *MESSAGE, *known, check=TLS)
    equal(len(upstream.messages), 2, "messages")
    ours.key.chmod(0o644)
    _, err = send(t, upstream, *MESSAGE, *known, "--tls-cert", ours.cert, "--tls-key", ours.key, check=UNREACHABLE)
    assert str(ours.key) in err, err


def test_old_versions(t):
    ca = Pki(t)
    upstream = Upstream(t, tls=ca.pair(HERE).server_context())
    upstream.tls.maximum_version = ssl.TLSVersion.TLSv1_2
    known = ("--tls", "required", "--tls-ca", ca.file)
    send(t, upstream, *MESSAGE, *known, "--tls-min-version", "1.3", check=TLS)
    send(t, upstream, *MESSAGE, *known, "--tls-min-version", "1.2")


# ---- LMTP ---------------------------------------------------------------------------------------


def lmtp(t, remote, *args, check=DONE):
    done = t.run([POSTHOUSE, "send", "--lmtp", remote, "--from", "a@x", *args], check=check, data=CONTENT)
    return done.stdout.decode(), done.stderr.decode()


def test_lmtp(t):
    upstream = Upstream(t, lmtp=True)
    three = ("--to", "b@y,c@y,d@y")
    out, _ = lmtp(t, f"127.0.0.1:{upstream.port}", *three)
    equal(out.count("250 2.0.0"), 3, f"results in {out!r}")
    assert out.startswith("b@y: 250 "), out
    equal(upstream.sessions[0].lines[0].split()[0], "LHLO", "greeting")
    upstream.on("EOD", "550 5.2.2 full", match="c@y")
    out, err = lmtp(t, f"lmtp://127.0.0.1:{upstream.port}", *three, check=PARTLY)
    equal(out.count("\n"), 2, f"results in {out!r}")
    assert "c@y: refused: 550 5.2.2 full" in err, err
    upstream.on("EOD", "450 4.2.2 later")
    out, err = lmtp(t, f"127.0.0.1:{upstream.port}", *three, check=LATER)
    equal((out, err.count("refused for now")), ("", 3), "results")
    upstream.clear()
    upstream.on("RCPT", "550 5.1.1 who?", match="b@")
    out, err = lmtp(t, f"127.0.0.1:{upstream.port}", *three, check=PARTLY)
    equal((out.count("\n"), err.count("\n")), (2, 1), "results, refusals")


def test_lmtp_lost_between_the_answers(t):
    upstream = Upstream(t, lmtp=True)
    upstream.on("EOD", DROP, match="c@y")
    out, err = lmtp(t, f"127.0.0.1:{upstream.port}", "--to", "b@y,c@y,d@y", check=UNCERTAIN)
    equal(out.count("\n"), 1, f"results in {out!r}")
    assert "may have been accepted" in err, err


def test_lmtp_sockets(t):
    path = t.tmp / "lmtp"
    upstream = Upstream(t, lmtp=True, path=path)
    for remote in (f"unix:{path}", str(path), f"lmtp://unix:{path}"):
        lmtp(t, remote, "--to", "b@y")
    equal(len(upstream.messages), 3, "messages")
    done = t.run([POSTHOUSE, "send", "--lmtp", path, "--features", "--noop"], check=0)
    assert b"PIPELINING\n" in done.stdout and b"250 2.0.0" in done.stdout, done.stdout
    lmtp(t, str(t.tmp / "none"), "--to", "b@y", check=UNREACHABLE)


def test_lmtp_is_not_smtp(t):
    upstream = Upstream(t)
    lmtp(t, f"127.0.0.1:{upstream.port}", "--to", "b@y", check=UNREACHABLE)
    for args in (("--tls", "required"), ("--user", "x"), ("--tls", "opportunistic")):
        lmtp(t, f"127.0.0.1:{upstream.port}", "--to", "b@y", *args, check=USAGE)
    lmtp(t, "127.0.0.1:25", "--to", "b@y", check=USAGE)
    for says in ((b"220 x\r\n220 y\r\n",), (b"554 no\r\n",), (b"220 x\r\n", b"500 what\r\n"), (b"220 x\r\n", b"x" * 10000), (b"",)):
        liar = Liar(t, *says)
        done = t.run([POSTHOUSE, "send", "--lmtp", f"127.0.0.1:{liar.port}", "--noop", "--timeout", "1s"], check=UNREACHABLE)
        equal(done.stderr.count(b"\n"), 1, f"lines about {says}")


def test_unix_socket(t):
    """Our own daemon's."""
    upstream, path = Upstream(t), t.tmp / "submit"
    relay = t.daemon(upstream, config=f'localaddr = {{ "unix:{path}" }}\n').ready()
    out, _ = send(t, f"unix:{path}", *MESSAGE)
    assert out.startswith(f"unix:{path}: 250 "), out
    upstream.wait_messages(1)
    send(t, f"unix:{path}", "--has-extension", "PIPELINING")
    relay.stop()
    send(t, f"unix:{path}", *MESSAGE, check=UNREACHABLE)


# ---- the way there --------------------------------------------------------------------------------


def test_proxies(t):
    upstream = Upstream(t)
    proxy = HttpProxy(t, user="relay:sesame")
    secret = private(t.tmp / "secret", "sesame")
    via = ("--proxy", f"http://127.0.0.1:{proxy.port}", "--proxy-user", "relay", "--proxy-password-file")
    _, err = send(t, upstream, *MESSAGE, *via, secret, "-vv")
    assert f"by way of 127.0.0.1:{proxy.port}" in err and "sesame" not in err, err
    send(t, upstream, *via, secret, "--noop")
    send(t, upstream, *MESSAGE, *via, private(t.tmp / "wrong", "x"), check=UNREACHABLE)
    equal(len(upstream.messages), 1, "messages")
    for wrong in (("--proxy", "ftp://x:1"), ("--proxy-user", "x"), ("--proxy", "http://user:word@x:1")):
        send(t, upstream, *MESSAGE, *wrong, check=USAGE)


def test_socks(t):
    upstream, proxy = Upstream(t), microsocks(t)
    send(t, upstream, *MESSAGE, "--proxy", f"socks5h://127.0.0.1:{proxy.port}")
    equal(len(upstream.messages), 1, "messages")


def test_source_address_and_family(t):
    upstream = Upstream(t)
    seen = []
    upstream.on("MAIL", lambda session, _line: seen.append(session.socket.getpeername()[0]))
    send(t, upstream, *MESSAGE, "--source-address", "127.0.0.3")
    equal(seen, ["127.0.0.3"], "the server sees")
    for args, status in ((("--source-address", "nonsense!"), UNREACHABLE), (("--address-family", "ipv5"), USAGE),
                         (("--address-family", "ipv6"), USAGE), (("--source-address", "192.0.2.77"), UNREACHABLE)):
        send(t, upstream, *MESSAGE, *args, check=status)


# ---- classes of failures ------------------------------------------------------------------------------


def test_exit_statuses(t):
    """One row a class and where it happens; the classes of the manual."""
    for phase, action, status in (
            ("connect", "554 5.3.2 closed", UNREACHABLE), ("connect", "421 4.3.2 busy", UNREACHABLE), ("connect", DROP, UNREACHABLE),
            ("EHLO", DROP, UNREACHABLE), ("MAIL", "550 5.7.1 no", REFUSED), ("MAIL", "451 4.3.0 later", LATER), ("MAIL", DROP, UNREACHABLE),
            ("RCPT", "550 5.1.1 no", REFUSED), ("RCPT", "450 4.2.1 later", LATER), ("DATA", "554 5.5.1 no", REFUSED),
            ("DATA", "451 4.3.0 later", LATER), ("EOD", "554 5.6.0 no", REFUSED), ("EOD", "452 4.3.1 full", LATER),
            ("EOD", DROP, UNCERTAIN), ("EOD", RESET, UNCERTAIN), ("MAIL", "421 4.3.2 leaving", LATER)):
        upstream = Upstream(t)
        upstream.on(phase, action)
        send(t, upstream, *MESSAGE, check=status)
    mixed = Upstream(t)
    mixed.on("RCPT", "550 5.1.1 no", match="never")
    mixed.on("RCPT", "450 4.2.1 no", match="later")
    for rcpts, status in (("b@y,never@y", PARTLY), ("b@y,later@y", PARTLY), ("never@y,later@y", REFUSED), ("later@y,later@z", LATER)):
        out, err = send(t, mixed, "--from", "a@x", "--to", rcpts, check=status)
        equal(len(re.findall(r"@[yz]: refused", err)), sum("b@" not in r for r in rcpts.split(",")), "refusals told")
    equal(len(mixed.messages), 2, "messages")


def test_manual_tells_all_statuses(_t):
    manual = (pathlib.Path(harness.SRCDIR) / "man/posthouse.1.in").read_text().split(".Sh EXIT STATUS")[1].split(".Sh ")[0]
    equal(re.findall(r"^\.It (\d)$", manual, re.M), [str(i) for i in range(10)], "statuses in posthouse(1)")


def test_rules_between_options(t):
    for args in (("--tls-pin", "sha256//" + "A" * 43 + "="), ("--tls-key", "/x"), ("--tls", "none", "--tls-cert", "/x"),
                 ("--auth", "PLAIN"), ("--auth", "NONSENSE"), ("--password-file", "/x"), ("--token-file", "/x"), ("--tls", "maybe"),
                 ("--user", "u"), ("--user", "u", "--password-file", "/x", "--token-file", "/y"), ("--tls-verify", "maybe"),
                 ("--tls-min-version", "2"), ("--timeout", "0"), ("--tls", "required", "--tls-verify", "pin"), ("--lmtp", "127.0.0.1:1"),
                 ("--auth", "EXTERNAL"), ("--discard-ehlo", "X-NONE")):
        _, err = send(t, "127.0.0.1:1", *MESSAGE, *args, check=USAGE)
        equal(err.count("\n"), 1, f"lines about {args}")


if __name__ == "__main__":
    harness.main(__name__)

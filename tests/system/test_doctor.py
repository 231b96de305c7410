# SPDX-License-Identifier: ISC
"""posthouse doctor against upstreams that are good, wrong, slow and hostile, and on machines that are not well."""

import json
import os
import pwd
import re
import socket
import subprocess
import time

import harness
from harness import BUILDDIR, ROOT_USERS, ReservedPort, Skip, equal, need_program, need_root
from smtp_peers import DROP, RESET, STALL, Authority, Upstream
from test_auth_backends import Dovecot
from test_peers import postfix

LEVELS = ("ok", "warning", "skipped", "failed")


def write_config(t, upstream, more="", name="d.conf", top=""):
    """upstream: the keys of the section."""
    path = t.tmp / name
    path.write_text(f'localaddr = "127.0.0.1:0"\nspool = "{t.tmp}/spool"\nhostname = "relay.test"\n'
                    f'user = "{ROOT_USERS[0]}"\nsmtp_user = "{ROOT_USERS[1]}"\n{top}\n'
                    f'upstream "main" {{\n{upstream}\n}}\n{more}\n')
    return path


def secret(t, text="word", name="secret", mode=0o600):
    path = t.tmp / name
    path.write_text(text + "\n")
    path.chmod(mode)
    return path


class Report:
    """What doctor said, as JSON; and that its other output says the same."""

    def __init__(self, t, config, *args, timeout=None):
        began = time.monotonic()
        run = t.run([BUILDDIR / "posthouse", "--config", config, "doctor", "--json", *args], timeout=timeout)
        self.took = time.monotonic() - began
        self.raw = run.stdout
        self.stderr = run.stderr.decode()
        lines = [json.loads(line) for line in run.stdout.decode("ascii").splitlines()]
        self.findings, self.total = lines[:-1], lines[-1]
        self.status = run.returncode
        for finding in self.findings:
            equal(set(finding), {"upstream", "remoteaddr", "check", "level", "text", "advice"}, "members")
        count = {level: sum(f["level"] == level for f in self.findings) for level in LEVELS}
        equal(self.total, {"ok": count["ok"], "warnings": count["warning"], "skipped": count["skipped"],
                           "failed": count["failed"]}, "the count")
        equal(self.status, 1 if count["failed"] else 0, f"exit status of {self.findings}")
        assert not re.search(rb"[^\x20-\x7e\n]", self.raw), f"not printable: {self.raw!r}"

    def of(self, check, level=None, upstream=None):
        return [f for f in self.findings if f["check"] == check and (level is None or f["level"] == level)
                and (upstream is None or f["upstream"] == upstream)]

    def has(self, check, level, text, advice=None):
        for f in self.of(check, level):
            if re.search(text, f["text"]) and (advice is None or re.search(advice, f["advice"] or "")):
                return f
        raise AssertionError(f"no {level} {check} with {text!r} -> {advice!r} among\n" + "\n".join(map(str, self.findings)))

    def failed(self):
        return sorted({f["check"] for f in self.findings if f["level"] == "failed"})


def address(upstream):
    return f'remoteaddr = "127.0.0.1:{upstream.port}"'


# ---- upstreams ---------------------------------------------------------------

def good(t, **more):
    authority = Authority(t)
    upstream = Upstream(t, tls=authority.server_context(), users={"relay@example.org": "word"},
                        extensions=("PIPELINING", "8BITMIME", "SIZE 50000000", "ENHANCEDSTATUSCODES", "DSN"), **more)
    keys = (f'{address(upstream)}\ntls = required\ntls_ca_file = "{authority.file}"\n'
            f'user = "relay@example.org"\npassword_file = "{secret(t)}"')
    return upstream, keys


def test_good(t):
    upstream, keys = good(t)
    report = Report(t, write_config(t, keys), "main")
    equal(report.failed(), [], "what failed")
    report.has("greeting", "ok", "^220 upstream.test")
    report.has("tls", "ok", "its certificate is verified")
    report.has("tls", "ok", r"^TLSv1\.[23], ")
    report.has("tls", "warning", r"certificate 1: CN=server \(.*127.0.0.1.*CN=Test CA", "renew it soon")  # of two days
    report.has("tls", "ok", "sha256//")
    report.has("ehlo", "ok", "^PIPELINING: ")
    report.has("ehlo", "ok", "^SIZE: messages up to 48M")
    report.has("auth", "ok", 'logged in as "relay@example.org" with PLAIN')
    equal({f["upstream"] for f in report.findings}, {"main"}, "what was looked at")
    equal(upstream.received, [], "messages")
    equal(upstream.commands("MAIL"), [], "MAIL")
    assert upstream.commands("QUIT"), "it hung up without QUIT"
    # the same for people, in the same number of lines with a level
    text = t.posthouse("--config", t.tmp / "d.conf", "doctor", "main")
    lines = re.findall(r"^  (ok|warning|skipped|failed) +([a-z]+): ", text, re.M)
    equal([(f["level"], f["check"]) for f in report.findings], lines, "as text")
    assert text.startswith(f"Upstream main, 127.0.0.1:{upstream.port}\n"), text
    for word in ("word", "d29yZA"):
        assert f'"{word}' not in text and f" {word} " not in text, text


def test_send(t):
    upstream, keys = good(t)
    config = write_config(t, keys)
    report = Report(t, config, "--send", "you@example.net", "main")
    report.has("send", "ok", "from <relay@example.org> to <you@example.net> was taken: 250 2.0.0 stored")
    [message] = upstream.messages
    equal((message.sender, message.rcpts), ("relay@example.org", ["you@example.net"]), "envelope")
    for field in (b"Date: ", b"Message-ID: ", b"Subject: Posthouse test message", b"Auto-Submitted: "):
        assert field in message.content, message.content
    Report(t, config, "--send", "you@example.net", "--from", "me@example.com", "main")
    equal(upstream.messages[-1].sender, "me@example.com", "sender")
    for args, word in ((("--send", "x y"), b"--send x y"), (("--send", "a@b.test", "--from", "x y"), b"--from x y")):
        run = t.run([BUILDDIR / "posthouse", "--config", config, "doctor", *args], check=2)
        assert word in run.stderr and not run.stdout, run
    for phase, reply, text in (("MAIL", "550 5.7.60 SendAsDenied", "at MAIL: 550 5.7.60"),
                               ("RCPT", "554 5.7.1 relay access denied", "at RCPT: 554 5.7.1"),
                               ("EOD", "554 5.7.1 spam", "at the message: 554 5.7.1 spam"),
                               ("EOD", DROP, "may have been accepted")):
        upstream.clear()
        upstream.on(phase, reply)
        Report(t, config, "--send", "you@example.net", "main").has("send", "failed", text)
    equal(len([m for m in upstream.received if m.accepted]), 2, "messages taken")
    run = t.run([BUILDDIR / "posthouse", "--config", config, "doctor", "--send", "not an address", "main"])
    equal(run.returncode, 2, run.stdout + run.stderr)
    run = t.run([BUILDDIR / "posthouse", "--config", config, "doctor", "--from", "a@b.example", "main"])
    equal(run.returncode, 2, "--from without --send")


def test_verbose_hides_the_password(t):
    _upstream, keys = good(t)
    report = Report(t, write_config(t, keys), "-v", "main")
    assert "C: EHLO relay.test" in report.stderr and "C: AUTH PLAIN ***" in report.stderr, report.stderr
    assert "word" not in report.stderr, report.stderr


def test_auth_refused(t):
    upstream, keys = good(t)
    secret(t, "wrong")
    report = Report(t, write_config(t, keys), "main")
    report.has("auth", "failed", "535 5.7.8 wrong", "are both right")
    equal(report.failed(), ["auth"], "what failed")
    report.has("ehlo", "ok", "^AUTH: PLAIN LOGIN")  # what was seen before is told
    (t.tmp / "secret").chmod(0o644)
    report = Report(t, write_config(t, keys), "main")
    report.has("settings", "warning", "read by everyone")
    report.has("auth", "skipped", "not tried: .*read by everyone")
    report.has("tls", "ok", "verified")
    assert upstream.sessions


def test_no_starttls(t):
    upstream = Upstream(t)
    report = Report(t, write_config(t, f"{address(upstream)}\ntls = required"), "main")
    report.has("tls", "failed", "offers no STARTTLS", "right port")
    report.has("greeting", "ok", "220")
    report.has("auth", "skipped", "tls failed")
    equal(report.failed(), ["tls"], "what failed")
    report = Report(t, write_config(t, f"{address(upstream)}\ntls = opportunistic"), "main")
    report.has("tls", "ok", "does not leave this machine")
    report.has("auth", "ok", "no user is configured")


def expired_context(t, authority):
    """A certificate that was over long ago."""
    context = authority.server_context(name="expired")
    openssl, folder = need_program("openssl"), t.tmp
    t.run([openssl, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout",
           folder / "old.key", "-out", folder / "old.csr", "-subj", "/CN=old"], check=0)
    (folder / "old.ext").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n")
    # `openssl x509` has no dates before 3.4; `ca` has
    (folder / "ca.cnf").write_text(f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index.txt\nnew_certs_dir={folder}\nserial={folder}/serial\n"
                                   "default_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n")
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("1000\n")
    t.run([openssl, "ca", "-batch", "-config", folder / "ca.cnf", "-cert", authority.file, "-keyfile", authority.key, "-in",
           folder / "old.csr", "-out", folder / "old.pem", "-startdate", "20200101000000Z", "-enddate", "20210101000000Z",
           "-extfile", folder / "old.ext", "-notext"], check=0)
    context.load_cert_chain(folder / "old.pem", folder / "old.key")
    return context


def test_certificates(t):
    authority = Authority(t)
    other = Authority(t, "other")
    cases = [
        (expired_context(t, authority), authority, "expired", "renew"),
        (authority.server_context("DNS:mail.example.org", "wrong-name"), authority, "name|match", "remoteaddr"),
        (authority.server_context(name="unknown"), other, "issuer|self", "tls_ca_file"),
    ]
    for context, trusted, reason, advice in cases:
        for implicit in (False, True):
            upstream = Upstream(t, tls=context, implicit_tls=implicit)
            keys = f'{address(upstream)}\ntls = {"implicit" if implicit else "required"}\ntls_ca_file = "{trusted.file}"'
            report = Report(t, write_config(t, keys), "main")
            report.has("tls", "failed", reason, advice)
            equal(report.failed(), ["tls"], reason)
            report.has("ehlo", "skipped", "tls|greeting")
            assert report.of("tls", upstream="main")[1:], "the certificate itself is not told"


def test_pin(t):
    upstream, keys = good(t)
    found = Report(t, write_config(t, keys), "main").has("tls", "ok", "its key, as tls_pin takes it: ")
    pin = found["text"].split(": ")[1]
    report = Report(t, write_config(t, keys + f'\ntls_pin = "{pin}"'), "main")
    equal(report.failed(), [], "with the pin that was told")
    wrong = "sha256//" + "A" * 43 + "="
    report = Report(t, write_config(t, keys + f'\ntls_pin = "{wrong}"'), "main")
    report.has("tls", "failed", "pin|key")
    assert upstream.sessions


def test_wrong_kind_of_tls(t):
    plain = Upstream(t)
    report = Report(t, write_config(t, f"{address(plain)}\ntls = implicit"), "--timeout", "3s", "main")
    report.has("tls", "failed", ".", "from the first byte|s_client")
    report.has("greeting", "skipped", "TLS comes first")
    harness.wait_until(lambda: plain.open_sessions == 0, "the sessions to end")
    plain.violations.clear()  # a hello of TLS is no SMTP
    implicit = Upstream(t, tls=Authority(t).server_context(), implicit_tls=True)
    report = Report(t, write_config(t, f"{address(implicit)}\ntls = required"), "--timeout", "1s", "main")
    report.has("greeting", "failed", "timed out", "tls = implicit")
    assert report.took < 10 * harness.SLOW, report.took


def test_hanging(t):
    """Whatever the step, it ends in time, and what was reached is told."""
    for phase, check, args in (("connect", "greeting", ()), ("EHLO", "ehlo", ()), ("STARTTLS", "tls", ()), ("AUTH", "auth", ()),
                               ("MAIL", "send", ("--send", "you@example.net")), ("RCPT", "send", ("--send", "you@example.net")),
                               ("QUIT", None, ())):
        upstream, keys = good(t)
        upstream.on(phase, STALL)
        report = Report(t, write_config(t, keys), "--timeout", "1s", *args, "main")
        equal(report.failed(), [check] if check else [], f"stalled in {phase}")
        if check:
            assert "timed out" in str(report.of(check, "failed")), report.findings
        # QUIT has its own five seconds
        assert report.took < 9 * harness.SLOW, f"{phase}: {report.took}"


def test_silent_port(t):
    """Connections that nobody takes: the backlog does."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    t.later(listener.close)
    report = Report(t, write_config(t, f'remoteaddr = "127.0.0.1:{listener.getsockname()[1]}"'), "--timeout", "1s", "main")
    report.has("connect", "ok", "127.0.0.1")
    report.has("greeting", "failed", "timed out")


def test_closed_port(t):
    port = ReservedPort(t).port
    report = Report(t, write_config(t, f'remoteaddr = "127.0.0.1:{port}"'), "main")
    config = write_config(t, f'remoteaddr = "127.0.0.1:25"\nproxy = "socks5h://127.0.0.1:{port}"')
    Report(t, config, "main").has("connect", "failed", "refused", "proxy: does it run")
    report.has("connect", "failed", "refused", "right one")
    report.has("auth", "skipped", "not reached: connect failed")


def test_no_such_name(t):
    """A label of 64 octets is no name for any resolver, with or without a network."""
    report = Report(t, write_config(t, f'remoteaddr = "{"x" * 64}.invalid:25"'), "--timeout", "5s", "main")
    report.has("resolve", "failed", "xxx", "getent ahosts")
    report.has("connect", "skipped", "resolve failed")


HOSTILE = [b"220 \x1b[31mred\x1b]0;title\x07\r\n", b"\x00\xff\xfe\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n",
           b"2" * 100000, b"220-a\r\n" * 3000, b"554 go away\r\n", b"220 " + b"y" * 1500 + b"\r\n", b"\r\n\r\n", b""]


def test_garbage(t):
    """Nothing of it reaches the terminal raw, or memory without end."""
    for number, data in enumerate(HOSTILE):
        upstream = Upstream(t)
        upstream.on("connect", lambda session, _line, data=data: (session.say(data), DROP)[1])
        config = write_config(t, address(upstream))
        report = Report(t, config, "--timeout", "2s", "main")
        equal(report.failed() in (["greeting"], ["ehlo"]), True, f"{number}: {report.findings}")
        assert len(report.raw) < 100000
        run = t.run([BUILDDIR / "posthouse", "--config", config, "--color", "never", "doctor", "-v", "--timeout", "2s", "main"])
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f-\xff]", run.stdout + run.stderr), run.stdout


def test_hostile_ehlo(t):
    upstream = Upstream(t, extensions=("PIPELINING", "X-\x1b[2J \x07", "SIZE 99999999999999999999999", "LIMITS RCPTMAX=-1 MAILMAX=x",
                                       "AUTH", "SIZE", "=", " "))
    report = Report(t, write_config(t, address(upstream)), "main")
    report.has("ehlo", "ok", "SIZE: no fixed limit")
    report.has("ehlo", "warning", "without 8BITMIME")
    equal(report.of("ehlo", "failed"), [], "failed")
    upstream = Upstream(t, extensions=("PIPELINING", *(f"X-{i}" for i in range(1000)), "8BITMIME"))
    report = Report(t, write_config(t, address(upstream)), "main")
    report.has("ehlo|greeting".split("|")[bool(report.of("greeting", "failed"))], "ok|failed".split("|")[bool(report.failed())], ".")
    upstream = Upstream(t, extensions=("PIPELINING", *(f"X-{i} {'y' * 100}" for i in range(20)), "8BITMIME"))
    report = Report(t, write_config(t, address(upstream)), "main")
    report.has("ehlo", "ok", "more than is looked at")
    equal(report.of("ehlo", "warning"), [], "said to be missing, though it was announced")


def test_reset(t):
    for phase in ("connect", "EHLO"):
        upstream = Upstream(t)
        upstream.on(phase, RESET)
        report = Report(t, write_config(t, address(upstream)), "--timeout", "3s", "main")
        assert report.failed() in (["connect"], ["greeting"], ["ehlo"]), report.findings


def test_several(t):
    """Each address of each upstream that is wanted, and no other."""
    one, two, three = Upstream(t), Upstream(t), Upstream(t)
    config = write_config(t, f'remoteaddr = {{ "127.0.0.1:{one.port}", "127.0.0.1:{two.port}" }}\ntls = none',
                          f'upstream "other" {{ {address(three)} tls = none }}')
    report = Report(t, config)
    equal(sorted({(f["upstream"], f["remoteaddr"]) for f in report.findings if f["upstream"]}),
          sorted([("main", f"127.0.0.1:{one.port}"), ("main", f"127.0.0.1:{two.port}"), ("other", f"127.0.0.1:{three.port}")]), "all")
    assert report.of("configuration", "ok"), "this machine is missing"
    equal({f["upstream"] for f in Report(t, config, "other").findings}, {"other"}, "one")
    equal({f["upstream"] for f in Report(t, config, "--local").findings}, {None}, "--local")
    equal({f["upstream"] for f in Report(t, config, "--local", "other").findings}, {None, "other"}, "--local and one")
    run = t.run([BUILDDIR / "posthouse", "--config", config, "doctor", "nobody"])
    equal(run.returncode, 2, "an upstream that does not exist")
    assert b"nobody" in run.stderr
    equal(len(two.sessions), 2, "connections: one to see, one to talk")


# ---- this machine ---------------------------------------------------------------

def test_bad_configuration(t):
    config = write_config(t, 'remoteaddr = "127.0.0.1:25"\nnonsense = 1\nmax_connections = many')
    report = Report(t, config)
    report.has("configuration", "failed", "d.conf:.*nonsense")
    report.has("configuration", "failed", "max_connections")
    report.has("spool", "skipped", "configuration failed")
    report.has("clock", "ok|warning".split("|")[0] if report.of("clock", "ok") else "warning", ".")
    equal({f["upstream"] for f in report.findings}, {None}, "no upstream")
    equal(Report(t, config, "main").failed(), ["configuration"], "of an upstream")
    report = Report(t, t.tmp / "missing.conf")
    report.has("configuration", "failed", "missing.conf")


def test_secrets(t):
    upstream, keys = good(t)
    secret(t, mode=0o644)
    report = Report(t, write_config(t, keys), "--local")
    report.has("secrets", "failed", "read by everyone.*chmod")
    (t.tmp / "secret").unlink()
    Report(t, write_config(t, keys), "--local").has("secrets", "failed", "No such file", "install -m 600")
    secret(t)
    report = Report(t, write_config(t, keys), "--local")
    report.has("secrets", "ok", "can be read")
    report.has("files", "ok", "tls_ca_file")
    equal(upstream.sessions, [], "an upstream was asked with --local")


def test_daemon(t):
    """Before, beside and after a running one; and nothing of it is disturbed."""
    upstream = Upstream(t)
    free = ReservedPort(t)
    port = free.port
    free.socket.close()
    text = f'localaddr = "127.0.0.1:{port}"\nupstream "main" {{ {address(upstream)} tls = none }}\n'
    daemon = t.daemon(upstream, config=text)
    daemon.ready()
    config = t.tmp / "posthoused.conf"
    report = Report(t, config)
    report.has("daemon", "ok", rf"pid {daemon.pid}\)")
    report.has("listeners", "ok", rf'127.0.0.1:{port}: answers "220 relay.test')
    report.has("spool", "ok", "as they should be")
    report.has("space", "ok", "free")
    assert not daemon.events("session_failed"), daemon.lines
    before = sorted(str(p) for p in daemon.spool.rglob("*"))
    daemon.stop()
    report = Report(t, config)
    report.has("daemon", "warning", "does not run", "start")
    report.has("listeners", "ok", f"127.0.0.1:{port}: free")
    equal(sorted(str(p) for p in daemon.spool.rglob("*") if p.name not in ("view", "control")),
          [p for p in before if not p.endswith(("/view", "/control"))], "the spool")
    # somebody else has the port
    other = socket.socket()
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    other.bind(("127.0.0.1", port))
    other.listen(1)
    t.later(other.close)
    Report(t, config).has("listeners", "failed", "taken by process|another program", "localaddr|ss -ltnp")
    # and is taken for the daemon's by nobody: now ours cannot have it
    daemon2 = t.daemon(upstream, config=text.replace(str(port), "0"), name="two", spool=daemon.spool)
    daemon2.ready()
    Report(t, config).has("listeners", "failed", "and not posthoused|nobody listens", "localaddr|restart")


def test_hanging_daemon(t):
    """A daemon that is there and does not answer."""
    upstream = Upstream(t)
    daemon = t.daemon(upstream)
    daemon.ready()
    relay = daemon.child("relay")
    os.kill(relay, 19)
    try:
        config = write_config(t, address(upstream))
        report = Report(t, config, "--local", "--timeout", "1s")
        t.comment(str(report.of("daemon")))
        config.write_text(config.read_text().replace(f"{t.tmp}/spool", str(daemon.spool)))
        report = Report(t, config, "--local", "--timeout", "1s")
        report.has("daemon", "failed", ".", "log")
        assert report.took < 10 * harness.SLOW
    finally:
        os.kill(relay, 18)


def test_spool_modes(t):
    upstream = Upstream(t)
    daemon = t.daemon(upstream)
    daemon.ready()
    daemon.stop()
    config = write_config(t, address(upstream))
    config.write_text(config.read_text().replace(f"{t.tmp}/spool", str(daemon.spool)))
    Report(t, config, "--local").has("spool", "ok", "as they should be")
    (daemon.spool / "queue").chmod(0o777)
    Report(t, config, "--local").has("spool", "failed", "written by everyone", "chmod o-w")


def mounted(t, *mount, folder):
    need_root()
    folder.mkdir()
    done = subprocess.run(["mount", *map(str, mount), str(folder)], capture_output=True, check=False)
    if done.returncode != 0:
        raise Skip(f"cannot mount: {done.stderr.decode().strip()}")
    t.later(lambda: subprocess.run(["umount", str(folder)], check=True))


def with_spool_in(t, folder, more=""):
    """A spool that a daemon made there."""
    upstream = Upstream(t)
    folder.chmod(0o755)
    daemon = t.daemon(upstream, spool=folder / "spool")
    daemon.ready()
    daemon.stop()
    config = write_config(t, address(upstream), top=more)
    config.write_text(config.read_text().replace(f'"{t.tmp}/spool"', f'"{folder}/spool"'))
    return config


def test_spool_on_tmpfs(t):
    folder = t.tmp / "tmpfs"
    mounted(t, "-t", "tmpfs", "none", folder=folder)
    report = Report(t, with_spool_in(t, folder), "--local")
    report.has("filesystem", "warning", "is on tmpfs: queued mail is lost", "disk")


def test_full_disk(t):
    """An ext4 of its own that is filled up, then mounted read-only."""
    need_root()
    mkfs = need_program("mkfs.ext4", "e2fsprogs")
    image, folder = t.tmp / "disk.img", t.tmp / "disk"
    with open(image, "wb") as f:
        f.truncate(96 << 20)
    t.run([mkfs, "-q", "-N", "2000", image], check=0)
    mounted(t, "-o", "loop", image, folder=folder)
    config = with_spool_in(t, folder, "min_free = 4M")
    report = Report(t, config, "--local")
    report.has("filesystem", "ok", "is on ext4")
    report.has("space", "ok", "free")
    report.has("space", "warning", "only .* files can be made")
    with open(folder / "filler", "wb") as f:
        try:
            while f.write(bytes(1 << 20)):
                f.flush()
        except OSError:
            pass
        try:
            f.close()
        except OSError:
            pass
    Report(t, config, "--local").has("space", "failed", "less than min_free", "make room")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    Report(t, config, "--local").has("space", "failed", "read-only", "dmesg")


def test_as_another_user(t):
    """Who may not look is told so, and what would be seen as root."""
    need_root()
    upstream, keys = good(t)
    daemon = t.daemon(upstream, config=f'upstream "main" {{\n{keys}\n}}\n')
    daemon.ready()
    import pwd
    user = harness.as_user(pwd.getpwnam("games"))
    config = t.tmp / "posthoused.conf"
    config.chmod(0o644)
    run = t.run([*user, BUILDDIR / "posthouse", "--config", config, "doctor", "--json"])
    if run.returncode == 126 or not run.stdout:
        raise Skip("the build folder is not for other users")
    found = [json.loads(line) for line in run.stdout.decode().splitlines()][:-1]
    by_check = {f["check"]: f for f in found}
    equal(by_check["secrets"]["level"], "warning", str(by_check["secrets"]))
    assert "root" in by_check["secrets"]["advice"], by_check["secrets"]
    equal(by_check["auth"]["level"], "skipped", str(by_check["auth"]))
    equal(by_check["greeting"]["level"], "ok", str(by_check["greeting"]))


# ---- what clients meet ------

def listener_config(t, listener, top=""):
    path = t.tmp / "l.conf"
    path.write_text(f'spool = "{t.tmp}/spool"\nhostname = "relay.test"\nuser = "{ROOT_USERS[0]}"\nsmtp_user = "{ROOT_USERS[1]}"\n'
                    f'remoteaddr = "127.0.0.1:25"\n{top}\nlistener "in" {{\nlocaladdr = "127.0.0.1:0"\n{listener}\n}}\n')
    return path


def test_listener_certificates(t):
    authority = Authority(t)
    authority.server_context("DNS:relay.test", "one")
    authority.server_context("DNS:relay.test", "two")
    keys = 'tls = starttls\ntls_cert = "{0}/{1}.pem"\ntls_key = "{0}/{2}.key"'
    report = Report(t, listener_config(t, keys.format(t.tmp, "one", "one")), "--local")
    report.has("certificates", "warning", r'listener "in": .*one.pem .relay.test, .*([Ee][Cc]).* ends at', "renew")  # of two days
    report = Report(t, listener_config(t, keys.format(t.tmp, "one", "one"), "tls_expiry_warning = 1h"), "--local")
    report.has("certificates", "ok", "one.pem.*until")
    Report(t, listener_config(t, keys.format(t.tmp, "one", "two")), "--local").has("certificates", "failed", "one.pem|two.key", "not start")
    Report(t, listener_config(t, keys.format(t.tmp, "none", "one")), "--local").has("certificates", "failed", "none.pem")
    top = keys.format(t.tmp, "none", "one").replace("tls = starttls\n", "")
    two = 'tls = none\n}\nlistener "out" {\nlocaladdr = "127.0.0.1:0"\ntls = starttls'
    found = Report(t, listener_config(t, two, top), "--local").of("certificates")
    equal(len(found), 1, f"of the listener without TLS nothing: {found}")
    expired_context(t, authority)
    Report(t, listener_config(t, keys.format(t.tmp, "old", "old")), "--local").has("certificates", "failed", "old.pem.*expired.*renew", "not start")


def test_token_folder(t):
    """A folder for tokens that is missing, or somebody else's: doctor and `oauth refresh` say the command that helps."""
    need_root()
    port = ReservedPort(t).port
    folder = t.tmp / "tokens"
    config = write_config(t, f'remoteaddr = "127.0.0.1:{port}"\ntls = none\nuser = "u"\noauth = client_credentials\n'
                             f'oauth_token_url = "http://127.0.0.1:{port}/"\noauth_client_id = "c"\n'
                             f'oauth_client_secret_file = "{secret(t)}"\noauth_token_file = "{folder}/main.json"')
    command = f"install -d -m 700 -o {ROOT_USERS[0]} {folder}"
    for _ in range(2):
        Report(t, config, "main").has("token", "failed", "folder", command)
        run = t.run([BUILDDIR / "posthouse", "--config", config, "oauth", "refresh", "main"])
        assert command.encode() in run.stderr, run.stderr
        folder.mkdir(exist_ok=True)  # now it is root's
    t.run(command.split(), check=0)
    Report(t, config, "main").has("token", "warning", "none yet", "oauth refresh")
    run = t.run([BUILDDIR / "posthouse", "--config", config, "oauth", "refresh", "main"])
    assert b"onnect" in run.stderr and b"install" not in run.stderr, run.stderr


def test_switches(t):
    """What is right for a while only."""
    config = listener_config(t, "", 'redirect_all = "stage@example.org"\nrelay_from_anyone = yes\nrelay_from = "0.0.0.0/0"')
    report = Report(t, config, "--local")
    report.has("configuration", "warning", "redirect_all: .*stage@example.org", "rehearsals")
    report.has("configuration", "warning", "relay_from_anyone", "name your networks")
    equal(Report(t, listener_config(t, ""), "--local").of("configuration", "warning"), [], "without them")


def test_folders(t):
    """What posthoused makes in a folder that must be there."""
    for key in ("pid_file", "outbox"):
        config = listener_config(t, "", f'{key} = "{t.tmp}/gone/x"')
        Report(t, config, "--local").has("files", "failed", f"{key}: .*there is no folder {t.tmp}/gone", "mkdir")
    (t.tmp / "gone").mkdir()
    equal(Report(t, config, "--local").of("files"), [], "with the folder")
    config = listener_config(t, "auth = offered\nauth_without_tls = yes",
                             f'auth_oauth_introspection_url = "https://127.0.0.1:1/"\nauth_oauth_ca_file = "{t.tmp}/ca.pem"')
    Report(t, config, "--local").has("files", "failed", "auth_oauth_ca_file", "no client can log in with a token")


def test_tables(t):
    table, aliases = t.tmp / "senders", t.tmp / "aliases"
    table.write_text("bad@example.org reject\n")
    aliases.write_text("root: admin@example.org\n")
    config = listener_config(t, "", f'sender_access = "{table}"\naliases = "{aliases}"')
    report = Report(t, config, "--local")
    report.has("tables", "ok", "can be used")
    report.has("tables", "ok", "aliases: .* has 1")
    table.write_text("bad@example.org reject\nworse@example.org nonsense\nworst@example.org what\n")
    aliases.write_text("root: |/bin/sh\n")
    report = Report(t, config, "--local")
    equal(len(report.of("tables", "failed")), 3, "errors")
    report.has("tables", "failed", "senders:2.*nonsense", "not start")
    report.has("tables", "failed", "aliases:1")


def test_logins(t):
    users = t.tmp / "users"
    users.write_text("nonsense\n")
    users.chmod(0o600)
    config = listener_config(t, "auth = offered\nauth_without_tls = yes", f'auth_users_file = "{users}"\nauth_user = "{ROOT_USERS[0]}"')
    report = Report(t, config, "--local")
    report.has("logins", "failed", "users:1", "cannot log in")
    report.has("logins", "warning", "nobody can log in", "posthouse user add")
    report.has("users", "ok", "auth_user")
    if os.geteuid() == 0:
        report.has("logins", "failed", f'cannot be read by user "{ROOT_USERS[0]}"', "chgrp.*chmod 640")
        os.chown(users, 0, pwd.getpwnam(ROOT_USERS[0]).pw_gid)
        users.chmod(0o640)
        assert not [f for f in Report(t, config, "--local").of("logins") if "cannot be read" in f["text"]], "as its group"
        t.tmp.chmod(0o700)  # a folder above it that the user cannot enter
        Report(t, config, "--local").has("logins", "failed", f'cannot be read by user "{ROOT_USERS[0]}"', "namei")
        t.tmp.chmod(0o755)
    users.chmod(0o644)
    Report(t, config, "--local").has("logins", "failed", "users.*everyone", "put right")
    users.unlink()
    Report(t, config, "--local").has("logins", "failed", "users", "user add")
    for name, options in (("alice", ()), ("printer", ("--cram-md5", "--no-scram"))):
        t.run([BUILDDIR / "posthouse", "--config", config, "user", "add", "--stdin", *options, name], data=b"word\n", check=0)
    report = Report(t, config, "--local")
    report.has("logins", "ok", "2 users can log in, 1 of them by SCRAM; so SCRAM-SHA-256 is offered to nobody")
    assert not [f for f in report.of("logins") if "CRAM-MD5" in f["text"]], "where it is not named it is not offered"
    config = listener_config(t, 'auth = offered\nauth_without_tls = yes\nauth_mechanisms = { "PLAIN", "CRAM-MD5" }',
                             f'auth_users_file = "{users}"\nauth_user = "{ROOT_USERS[0]}"')
    report = Report(t, config, "--local")
    report.has("logins", "warning", 'listener "in" offers CRAM-MD5 to all, and 1 of 2 users cannot', "auth_mechanisms")
    config = listener_config(t, "auth = offered\nauth_without_tls = yes", f'auth_dovecot_socket = "{t.tmp}/nobody"\nauth_user = "{ROOT_USERS[0]}"')
    Report(t, config, "--local").has("logins", "failed", "nobody", "Dovecot running")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{t.tmp}/nobody")
        listener.listen()
        os.chmod(t.tmp / "nobody", 0o600)
        if os.geteuid() == 0:
            Report(t, config, "--local").has("logins", "failed", "nobody: user .* may not connect", "0660")
        os.chmod(t.tmp / "nobody", 0o666)
        Report(t, config, "--local").has("logins", "ok", "Dovecot takes connections")
    config = listener_config(t, "auth = offered\nauth_without_tls = yes", 'auth_pam_service = "posthouse-has-no-such"')
    Report(t, config, "--local").has("logins", "failed", "posthouse-has-no-such", "does not start")
    for server, level in ((Upstream(t), "ok"), (ReservedPort(t), "failed")):
        config = listener_config(t, "auth = offered\nauth_without_tls = yes",
                                 f'auth_oauth_introspection_url = "http://127.0.0.1:{server.port}/introspect"')
        Report(t, config, "--local").has("logins", level, f"127.0.0.1:{server.port}/introspect")
    equal(Report(t, listener_config(t, "", f'auth_users_file = "{users}"'), "--local").of("logins"), [], "where nobody may log in")


# ---- a real one ---------------------------------------------------------------

def test_postfix(t):
    """Postfix with STARTTLS, and AUTH by Dovecot, as the upstream."""
    need_root()
    authority = Authority(t)
    authority.server_context()
    users = t.tmp / "passwd"
    users.write_text("relay:{PLAIN}word\n")
    dovecot = Dovecot(t, users)
    dovecot.socket.chmod(0o666)  # Postfix asks it as its own user
    next_hop = Upstream(t)
    server = postfix(t, next_hop, "tlsmgr unix - - n 1000? 1 tlsmgr\n", main=f"""
smtpd_tls_cert_file = {t.tmp}/server.pem
smtpd_tls_key_file = {t.tmp}/server.key
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {dovecot.socket}
mynetworks = 192.0.2.0/24
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
""")
    keys = (f'remoteaddr = "127.0.0.1:{server.port}"\ntls = required\ntls_ca_file = "{authority.file}"\n'
            f'user = "relay"\npassword_file = "{secret(t)}"')
    report = Report(t, write_config(t, keys), "--send", "you@example.net", "main")
    equal(report.failed(), [], f"what failed in {report.findings}")
    report.has("greeting", "ok", "ESMTP Postfix")
    report.has("tls", "ok", "^TLSv1.3, ")
    report.has("ehlo", "warning", "SIZE: messages up to 9.8M", "data_size_limit = 10240000")
    report.has("ehlo", "ok", "^AUTH: .*PLAIN")
    for text in ("ETRN", "VRFY", "DSN", "CHUNKING"):
        report.has("ehlo", "ok", f"^{text}")
    assert not [f for f in report.of("ehlo") if "not known" in f["text"]], report.of("ehlo")
    report.has("auth", "ok", 'logged in as "relay"')
    report.has("send", "ok", "queued as")
    next_hop.wait_messages()
    secret(t, "wrong")
    Report(t, write_config(t, keys), "main").has("auth", "failed", "^535 5.7.8", "are both right")
    keys = keys.replace("user = ", "#").replace("password_file = ", "#")
    Report(t, write_config(t, keys), "--send", "you@example.net", "main").has("send", "failed", "at (RCPT|MAIL): .*Relay access denied")


if __name__ == "__main__":
    harness.main(__name__)

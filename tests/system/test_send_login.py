# SPDX-License-Identifier: ISC
"""posthouse send logs in with each mechanism: at our own daemon, at Dovecot's submission service, and at a scripted
server for tokens. Whatever is shown of it, no secret is."""

import base64
import grp
import os
import pwd
import re

import harness
import terminal
from certificates import HERE, Pki
from harness import BUILDDIR, Skip, equal, need_program, need_root, wait_until
from smtp_peers import Authority, Upstream
from test_auth import PASSWORD, start as auth_daemon
from test_upstream_auth import PASSWORD as CYRUS_PASSWORD, sasl_postfix
from test_upstream_tls import private
from test_upstream_way import listens

POSTHOUSE = BUILDDIR / "posthouse"
CONTENT = b"Subject: x\n\nbody\n"
DONE, USAGE, UNREACHABLE, AUTH = 0, 2, 3, 7
SECRETS = ("correct horse", "open sesame", "t0ken-of-mine")


def send(t, port, *args, check=DONE):
    done = t.run([POSTHOUSE, "send", "--server", f"127.0.0.1:{port}", *args], check=check, data=None)
    out, err = done.stdout.decode(), done.stderr.decode()
    for word in SECRETS:
        coded = base64.b64encode(word.encode()).decode().rstrip("=")
        assert word not in out + err and coded[1:-2] not in out + err, f"a secret is shown: {out}{err}"
    # PLAIN has it behind other octets, so in another place of the base64
    for text in re.findall(r"[A-Za-z0-9+/]{12,}=*", out + err):
        try:
            decoded = base64.b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            continue
        assert not any(word.encode() in decoded for word in SECRETS), f"a secret is shown: {err}"
    return out, err


def secret(t, text=PASSWORD, name="secret"):
    return private(t.tmp / name, text)


def styles():
    return ((), ("-v",), ("-vv",), ("--transcript", "python"), ("--transcript", "python-times"))


# ---- our own daemon ----------------------------------------------------------------------------------


def test_own_daemon(t):
    relay = auth_daemon(t)
    file = secret(t)
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        for style in styles():
            out, err = send(t, relay.port, "--user", "alice", "--password-file", file, "--auth", mechanism, "--noop", *style)
            equal(out, "250 2.0.0 OK\n", f"NOOP after {mechanism}")
            assert not style or f"AUTH {mechanism}" in err, err
        relay.wait_for("authenticated", user="alice", mechanism=mechanism)
    # by preference: what shows least of the password
    _, err = send(t, relay.port, "-v", "--user", "alice", "--password-file", file, "--noop")
    assert "AUTH CRAM-MD5" in err, err
    _, err = send(t, relay.port, "-v", "--user", "alice", "--password-file", file, "--noop", "--auth", "login,plain")
    assert "AUTH PLAIN ***" in err, err


def test_failures(t):
    relay = auth_daemon(t)
    good, wrong = secret(t), secret(t, "open sesame", "wrong")
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):
        for style in styles():
            _, err = send(t, relay.port, "--user", "alice", "--password-file", wrong, "--auth", mechanism, "--noop", *style, check=AUTH)
            assert "535" in err, err
    _, err = send(t, relay.port, "--user", "nobody", "--password-file", good, "--noop", check=AUTH)
    _, err = send(t, relay.port, "--user", "alice", "--password-file", good, "--auth", "DIGEST-MD5", "--noop", check=AUTH)
    assert "no AUTH mechanism in common" in err, err
    _, err = send(t, Upstream(t).port, "--user", "alice", "--password-file", good, "--noop", check=AUTH)
    assert "offers no AUTH" in err, err


def test_temporary(t):
    upstream = Upstream(t, users={"u": "open sesame"})
    upstream.on("AUTH", "454 4.7.0 not now")
    _, err = send(t, upstream.port, "--user", "u", "--password-file", secret(t, "open sesame"), "--noop", check=AUTH)
    assert "454 4.7.0" in err, err


def test_messages_go_behind_it(t):
    upstream = Upstream(t, users={"u": "open sesame"})
    file = secret(t, "open sesame")
    for args, status in (((), 1), (("--user", "u", "--password-file", file), DONE)):
        done = t.run([POSTHOUSE, "send", "--server", f"127.0.0.1:{upstream.port}", "--from", "a@x", "--to", "b@y", *args], check=status,
                     data=CONTENT)
        assert status == DONE or b"530" in done.stderr, done.stderr
    equal(len(upstream.messages), 1, "messages")


def test_scram(t):
    """Where libcurl can; else it is said before anything is tried."""
    relay = auth_daemon(t)
    can = b"gsasl" in t.run([need_program("curl"), "-V"], check=0).stdout
    _, err = send(t, relay.port, "--user", "alice", "--password-file", secret(t), "--auth", "SCRAM-SHA-256", "--noop",
                  check=DONE if can else USAGE)
    assert can or "built without GNU SASL" in err, err


# ---- secrets that are none --------------------------------------------------------------------------


def test_secret_files(t):
    upstream = Upstream(t, users={"u": "open sesame"})
    open_to_all = secret(t, "open sesame", "open")
    open_to_all.chmod(0o644)
    (t.tmp / "folder").mkdir()
    for bad in (open_to_all, t.tmp / "none", t.tmp / "folder", secret(t, "", "empty"), secret(t, "two\nlines", "two")):
        for option in ("--password-file", "--token-file"):
            _, err = send(t, upstream.port, "--user", "u", option, bad, "--noop", check=UNREACHABLE)
            assert str(bad) in err and err.count("\n") == 1, err
    equal(upstream.sessions, [], "connections")
    # relative to where we are
    secret(t, "open sesame", "here")
    send(t, upstream.port, "--user", "u", "--password-file", "here", "--noop")


def test_nobody_is_asked_without_a_terminal(t):
    _, err = send(t, Upstream(t).port, "--user", "u", "--noop", check=USAGE)
    assert "--password-file" in err, err


def test_asked_on_the_terminal(t):
    upstream = Upstream(t, users={"u": "open sesame"})
    for typed, status in ((b"open sesame\n", DONE), (b"wrong\n", AUTH)):
        term = terminal.Terminal(t, POSTHOUSE, "send", "--server", f"127.0.0.1:{upstream.port}", "--user", "u", "-v", "--noop")
        term.type_at(b"Password for u: ", typed)
        term.read_until(b"250 2.0.0 OK" if status == DONE else b"535")
        assert b"sesame" not in term.seen, term.seen
        equal(os.waitstatus_to_exitcode(term.wait()), status, "exit status")


# ---- tokens -----------------------------------------------------------------------------------------


def token_server(t, *mechanisms):
    authority = Authority(t)
    upstream = Upstream(t, tls=authority.server_context(),
                        tokens={m: (lambda token: token == "t0ken-of-mine") for m in mechanisms})
    return upstream, ("--tls", "required", "--tls-ca", authority.file)


def test_tokens(t):
    for mechanism in ("XOAUTH2", "OAUTHBEARER"):
        upstream, known = token_server(t, mechanism)
        file = secret(t, "t0ken-of-mine", "token")
        for style in styles():
            send(t, upstream.port, *known, "--user", "me@x", "--token-file", file, "--noop", *style)
        equal(set(upstream.logins), {(mechanism, "me@x", "t0ken-of-mine")}, "logins")
        for style in styles():
            _, err = send(t, upstream.port, *known, "--user", "me@x", "--token-file", secret(t, "open sesame", "old"), "--noop", *style,
                          check=AUTH)
    # a token is no password
    upstream = Upstream(t, users={"u": "t0ken-of-mine"})
    _, err = send(t, upstream.port, "--user", "u", "--token-file", secret(t, "t0ken-of-mine", "token"), "--noop", check=AUTH)
    assert "no AUTH mechanism in common" in err, err
    equal(upstream.commands("AUTH"), [], "AUTH")


# ---- Dovecot ------------------------------------------------------------------------------------------


class Submission:
    """Dovecot's submission service, which passes on to a scripted server."""

    def __init__(self, t, ca, last, mechanisms, certificate_names=False):
        need_root()
        program = need_program("dovecot", "dovecot-core")
        need_program("/usr/lib/dovecot/submission", "dovecot-submissiond")
        try:
            internal, login = pwd.getpwnam("dovecot"), pwd.getpwnam("dovenull")
        except KeyError:
            raise Skip("there are no users dovecot and dovenull") from None
        server = ca.pair(HERE, name="dovecot")
        users = t.tmp / "passwd"
        users.write_text("alice:{PLAIN}correct horse\nours:{PLAIN}\n")
        os.chown(users, 0, internal.pw_gid)
        users.chmod(0o640)
        t.tmp.chmod(0o755)
        self.port = harness.ReservedPort(t).port
        self.log = t.tmp / "dovecot.log"
        config = t.tmp / "dovecot.conf"
        config.write_text(f"""
base_dir = {t.tmp}/run
state_dir = {t.tmp}/state
log_path = {self.log}
protocols = submission
default_internal_user = {internal.pw_name}
default_internal_group = {grp.getgrgid(internal.pw_gid).gr_name}
default_login_user = {login.pw_name}
hostname = dovecot.test
ssl = required
ssl_cert = <{server.cert}
ssl_key = <{server.key}
{'ssl_ca = <' + str(ca.file) if certificate_names else ''}
{'ssl_verify_client_cert = yes' if certificate_names else ''}
{'auth_ssl_username_from_cert = yes' if certificate_names else ''}
{'ssl_require_crl = no' if certificate_names else ''}
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
mail_location = maildir:{t.tmp}/mail/%u
submission_relay_host = 127.0.0.1
submission_relay_port = {last.port}
submission_relay_trusted = no
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%n {users}
  {'override_fields = nopassword=y' if certificate_names else ''}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={t.tmp}/mail/%u
}}
service submission-login {{
  inet_listener submission {{
    address = 127.0.0.1
    port = {self.port}
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
""")
        self.process = t.start([program, "-F", "-c", config], name="dovecot")
        wait_until(lambda: listens(self.port) or self.process.popen.poll() is not None, "Dovecot to listen")
        if self.process.popen.poll() is not None:
            raise AssertionError("dovecot ended: " + "\n".join(self.process.lines) + self.text())

    def text(self):
        return self.log.read_text() if self.log.exists() else ""


def test_dovecot(t):
    ca, last = Pki(t), Upstream(t, extensions=("8BITMIME", "SIZE 0", "PIPELINING"))
    server = Submission(t, ca, last, "plain login cram-md5")
    known = ("--tls", "required", "--tls-ca", ca.file, "--user", "alice", "--password-file", secret(t))
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5"):  # of DIGEST-MD5, libcurl does not understand what Dovecot says
        try:
            out, err = send(t, server.port, *known, "--auth", mechanism, "--noop", "-v")
        except AssertionError as e:
            raise AssertionError(f"{e}\n{server.text()}") from None
        assert f"AUTH {mechanism}" in err and out.startswith("250"), (out, err)
    _, err = send(t, server.port, *known[:-1], secret(t, "open sesame", "wrong"), "--noop", check=AUTH)
    assert "535" in err, err
    t.run([POSTHOUSE, "send", "--server", f"127.0.0.1:{server.port}", *known, "--from", "a@x", "--to", "b@y"], check=0, data=CONTENT)
    equal(last.wait_messages(1)[0].rcpts, ["b@y"], "recipients behind Dovecot")


def test_postfix(t):
    """And Cyrus SASL behind it."""
    ca, last = Pki(t), Upstream(t)
    server = sasl_postfix(t, ca, last, "PLAIN LOGIN CRAM-MD5 DIGEST-MD5")
    known = ("--tls", "required", "--tls-ca", ca.file, "--user", "relay@postfix.test")
    for mechanism in ("PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5"):
        _, err = send(t, server.port, *known, "--password-file", secret(t, CYRUS_PASSWORD), "--auth", mechanism, "--noop", "-v")
        assert f"AUTH {mechanism}" in err and "sesame" not in err, err


def test_external(t):
    """Our certificate's name is who we are."""
    ca = Pki(t)
    ours, last = ca.pair(None, name="ours"), Upstream(t)
    private(ours.key)
    server = Submission(t, ca, last, "external", certificate_names=True)
    known = ("--tls", "required", "--tls-ca", ca.file, "--tls-cert", ours.cert, "--tls-key", ours.key, "--auth", "EXTERNAL")
    try:
        out, err = send(t, server.port, *known, "--noop", "-v")
    except AssertionError as e:
        raise AssertionError(f"{e}\n{server.text()}") from None
    assert out.startswith("250") and "AUTH EXTERNAL" in err, (out, err)
    send(t, server.port, "--tls", "required", "--tls-ca", ca.file, "--auth", "EXTERNAL", "--noop", check=USAGE)


if __name__ == "__main__":
    harness.main(__name__)

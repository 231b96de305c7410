# SPDX-License-Identifier: ISC
"""Who knows the clients' credentials: users file, PAM and a real Dovecot, driven through tests/unit/auth_check."""

import base64
import grp
import hashlib
import hmac
import os
import pathlib
import pwd
import re
import secrets
import subprocess

import harness
from harness import AUTH_USER, BUILDDIR, Skip, equal, need_program, need_root
from smtp_peers import Client, Upstream

POSTHOUSE = BUILDDIR / "posthouse"
CHECK = BUILDDIR / "tests/unit/auth_check"


def b64(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


class Backend:
    """A running auth_check."""

    def __init__(self, t, kind, target, *client):
        if not CHECK.exists():
            raise Skip(f"{CHECK} is not built (make check builds it)")
        self.popen = subprocess.Popen([CHECK, kind, target, *client], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      encoding="utf-8")
        t.later(self.close)

    def close(self):
        self.popen.stdin.close()
        equal(self.popen.wait(harness.DEADLINE), 0, "exit status of auth_check")

    def say(self, *fields):
        self.popen.stdin.write("\t".join(fields) + "\n")
        self.popen.stdin.flush()
        return self.popen.stdout.readline().rstrip("\n").split("\t")

    def verify(self, name, password):
        return self.say("verify", name, password)


def users_file(t, *users, name="users"):
    """A users file that posthouse made: (name, password, options...)."""
    path = t.tmp / name
    for user, password, *options in users:
        t.run([POSTHOUSE, "user", "add", "--file", path, "--stdin", *options, user], check=0, data=f"{password}\n".encode())
    return path


# ---- mechanisms, from the client's side -----------------------------------------------

def hmac256(key, data):
    return hmac.new(key, data.encode(), hashlib.sha256).digest()


class Scram:
    """SCRAM-SHA-256 (RFC 7677)."""

    def __init__(self, name, password):
        self.password = password
        self.bare = f"n={name},r={secrets.token_hex(12)}"
        self.server = None

    def first(self):
        return b64("n,," + self.bare)

    def final(self, challenge):
        text = base64.b64decode(challenge).decode()
        nonce, salt, count = (part[2:] for part in text.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(salt), int(count))
        client = hmac256(salted, "Client Key")
        without_proof = "c=biws,r=" + nonce
        whole = f"{self.bare},{text},{without_proof}"
        signature = hmac256(hashlib.sha256(client).digest(), whole)
        self.server = hmac256(hmac256(salted, "Server Key"), whole)
        return b64(without_proof + ",p=" + b64(bytes(a ^ b for a, b in zip(client, signature))))

    def verify(self, challenge):
        equal(base64.b64decode(challenge).decode(), "v=" + b64(self.server), "the server's signature")


def cram(name, password, challenge):
    return b64(f"{name} {hmac.new(password.encode(), base64.b64decode(challenge), hashlib.md5).hexdigest()}")


def plain(name, password):
    return b64(f"\0{name}\0{password}")


# ---- the users file --------------------------------------------------------------------------

def test_users_of_every_kind(t):
    path = users_file(t, ("Alice@Example.org", "secret a"), ("bob", "b\u00e4r", "--scheme", "sha512crypt", "--no-scram"),
                      ("carol", "c", "--scram-only", "--iterations", "4096"),
                      ("dave", "d:{x} y", "--scheme", "bcrypt", "--cram-md5"))
    users = Backend(t, "users", path)
    equal(users.say("mechanisms"), ["mechanisms", "PLAIN LOGIN CRAM-MD5"], "mechanisms")
    for name, password, user in (("Alice@Example.org", "secret a", "Alice@Example.org"), ("BOB", "b\u00e4r", "bob"),
                                 ("alice@example.ORG", "secret a", "Alice@Example.org"), ("bob", "ba\u0308r", "bob"),
                                 ("carol", "c", "carol"), ("dave", "d:{x} y", "dave")):
        equal(users.verify(name, password), ["ok", user], f"login of {name}")
    for name, password in (("bob", "bar"), ("bob", ""), ("carol", "C"), ("dave", "d"), ("nobody", "x"), ("", "x")):
        equal(users.verify(name, password)[0], "failed", f"login of {name} with {password}")
    equal(users.say("lookup", "dave")[-1], "d:{x} y", "secret for CRAM-MD5")
    equal(users.say("lookup", "bob")[0], "failed", "bob has no secret")
    equal(users.say("lookup", "CAROL")[:3], ["secret", "carol", "4096"], "verifier")


def test_verifier_is_what_a_client_computes(t):
    path = users_file(t, ("alice", "pencil", "--iterations", "5000"))
    user, count, salt, stored, server = Backend(t, "users", path).say("lookup", "alice")[1:6]
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", base64.b64decode(salt), 5000)
    equal((user, count), ("alice", "5000"), "user and iterations")
    equal(base64.b64decode(stored), hashlib.sha256(hmac256(salted, "Client Key")).digest(), "StoredKey")
    equal(base64.b64decode(server), hmac256(salted, "Server Key"), "ServerKey")


def test_time_tells_nothing(t):
    """An unknown user, a locked one and one whose line is wrong take the time of a wrong password."""
    path = users_file(t, *((f"user{i}", "x", "--scheme", "sha512crypt") for i in range(3)))
    with path.open("a") as file:
        file.write("shut:!\nlate:{PLAIN}x::::::nologin\nbad:{FOO}x\n")
    # dear enough that the noise of the machine does not matter
    path.write_text(re.sub(r"\$6\$([^$]*)\$", r"$6$rounds=60000$\1$", path.read_text()))
    users = Backend(t, "users", path)

    schedstat = pathlib.Path(f"/proc/{users.popen.pid}/schedstat")
    if not schedstat.exists():
        raise Skip("the kernel does not tell how long a process has run")

    def took(name):
        """Time on a CPU, in ms: how busy the machine is does not matter."""
        times = []
        for _ in range(7):
            before = int(schedstat.read_text().split()[0])
            equal(users.verify(name, "y")[0], "failed", name)
            times.append((int(schedstat.read_text().split()[0]) - before) / 1e6)
        return min(times)

    known = took("user1")
    for name in ("user2", "nobody", "no body", "shut", "late", "bad"):
        least = took(name)
        t.comment(f"{name}: {least:.2f} ms, a known one {known:.2f} ms")
        # without a hashing it would be a hundredth; CPUs that change their pace, or are shared, differ by two or so
        assert least > known / 5, f"{name}: {least:.2f} ms, known ones {known:.2f} ms"


# ---- PAM -----------------------------------------------------------------------------------------

def test_pam_without_a_service(t):
    run = t.run([CHECK, "pam", "posthouse-no-such-service"], check=1)
    assert re.search(rb"built without PAM|PAM has no service posthouse-no-such-service: make the file /etc/pam.d/",
                     run.stderr), run.stderr


# ---- Dovecot -----------------------------------------------------------------------------------------

class Dovecot:
    """Its auth service alone, in a folder of the test."""

    def __init__(self, t, users, more="", mechanisms="plain login cram-md5 scram-sha-256"):
        need_root()
        program = need_program("dovecot", "dovecot-core")
        try:
            internal, login = pwd.getpwnam("dovecot"), pwd.getpwnam("dovenull")
        except KeyError:
            raise Skip("there are no users dovecot and dovenull") from None
        os.chown(users, 0, internal.pw_gid)
        os.chmod(users, 0o640)
        self.log = t.tmp / "dovecot.log"
        self.socket = t.tmp / "run/client"
        config = t.tmp / "dovecot.conf"
        config.write_text(f"""
base_dir = {t.tmp}/run
state_dir = {t.tmp}/state
log_path = {self.log}
protocols =
ssl = no
default_internal_user = {internal.pw_name}
default_internal_group = {grp.getgrgid(internal.pw_gid).gr_name}
default_login_user = {login.pw_name}
auth_mechanisms = {mechanisms}
auth_failure_delay = 0
passdb {{
  driver = passwd-file
  args = scheme=CRYPT username_format=%Lu {users}
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}}
service auth {{
  unix_listener client {{
    user = {AUTH_USER}
    mode = 0600
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0
  }}
}}
{more}""")
        self.process = t.start([program, "-F", "-c", config], name="dovecot")
        harness.wait_until(lambda: self.socket.exists() or self.process.popen.poll() is not None, "Dovecot's socket")
        if self.process.popen.poll() is not None:
            raise AssertionError("dovecot ended: " + "\n".join(self.process.lines) + self.text())

    def text(self):
        return self.log.read_text() if self.log.exists() else ""


def dovecot_users(t):
    path = t.tmp / "passwd"
    path.write_text("alice@example.org:{PLAIN}wonder land\nbob:{PLAIN}b\n"
                    "late:{PLAIN}l::::::nologin reason=on_holiday\nreal:{PLAIN}r::::::user=renamed\n")
    return path


def test_dovecot_mechanisms(t):
    dovecot = Dovecot(t, dovecot_users(t), mechanisms="plain login anonymous external cram-md5 scram-sha-256")
    equal(sorted(Backend(t, "dovecot", dovecot.socket).say("mechanisms")[1].split()),
          ["CRAM-MD5", "LOGIN", "PLAIN", "SCRAM-SHA-256"], "mechanisms")


def test_dovecot_logins(t):
    dovecot = Dovecot(t, dovecot_users(t))
    tls = Backend(t, "dovecot", dovecot.socket, "192.0.2.1", "tls")
    equal(tls.say("exchange", "PLAIN", plain("Alice@Example.org", "wonder land")), ["ok", "alice@example.org"], "PLAIN")
    equal(tls.say("exchange", "PLAIN", plain("alice@example.org", "x"))[0], "failed", "PLAIN with a wrong password")
    equal(tls.say("exchange", "PLAIN", plain("mallory", "x"))[0], "failed", "PLAIN of nobody")
    equal(tls.say("exchange", "PLAIN"), ["challenge", ""], "PLAIN without an initial response")
    equal(tls.say(plain("bob", "b")), ["ok", "bob"], "its answer")
    equal(tls.say("exchange", "LOGIN"), ["challenge", b64("Username:")], "LOGIN")
    equal(tls.say(b64("bob")), ["challenge", b64("Password:")], "LOGIN, the name")
    equal(tls.say(b64("b")), ["ok", "bob"], "LOGIN, the password")
    equal(tls.say("exchange", "LOGIN")[0], "challenge", "LOGIN")
    equal(tls.say("-")[0], "failed", "given up by the client")
    challenge = tls.say("exchange", "CRAM-MD5")
    equal(tls.say(cram("bob", "b", challenge[1])), ["ok", "bob"], "CRAM-MD5")
    challenge = tls.say("exchange", "CRAM-MD5")
    equal(tls.say(cram("bob", "x", challenge[1]))[0], "failed", "CRAM-MD5 with a wrong password")
    scram = Scram("bob", "b")
    challenge = tls.say("exchange", "SCRAM-SHA-256", scram.first())
    challenge = tls.say(scram.final(challenge[1]))
    equal(challenge[0], "challenge", "SCRAM: what the server says at last")
    scram.verify(challenge[1])
    equal(tls.say(""), ["ok", "bob"], "SCRAM-SHA-256")
    local = Backend(t, "dovecot", dovecot.socket, "unix")
    equal(local.say("exchange", "PLAIN", plain("bob", "b")), ["ok", "bob"], "PLAIN over the unix socket")
    equal(tls.say("exchange", "PLAIN", plain("real", "r")), ["ok", "renamed"], "a user whom Dovecot calls otherwise")
    equal(tls.say("exchange", "NTLM")[0], "temporary", "a mechanism that is not there")
    equal(tls.say("exchange", "PLAIN", "????")[0], "failed", "no base64")
    equal(tls.say("exchange", "PLAIN", b64("nonsense"))[0], "failed", "no PLAIN")
    text = dovecot.text()
    assert "BUG" not in text, text


def test_dovecot_failures_of_its_own(t):
    out_of_order = t.tmp / "checkpassword"
    out_of_order.write_text("exit 111\n")  # a temporary problem, by its interface
    out_of_order.chmod(0o644)
    dovecot = Dovecot(t, dovecot_users(t), f"passdb {{\n driver = checkpassword\n args = /bin/sh {out_of_order}\n}}\n")
    tls = Backend(t, "dovecot", dovecot.socket, "192.0.2.1", "tls")
    equal(tls.say("exchange", "PLAIN", plain("bob", "b")), ["ok", "bob"], "a user of the first file")
    answer = tls.say("exchange", "PLAIN", plain("down", "x"))
    equal(answer[0], "temporary", f"a user whom Dovecot cannot verify: {answer} {dovecot.text()}")
    dovecot.process.kill_all()
    answer = tls.say("exchange", "PLAIN", plain("bob", "b"))
    equal(answer[0], "temporary", "Dovecot is gone")
    assert str(dovecot.socket) in answer[1], answer
    equal(tls.say("mechanisms")[0], "temporary", "mechanisms of nobody")


def test_one_file_for_both(t):
    """Dovecot verifies by a file that posthouse made, and posthouse by one that doveadm made hashes for."""
    doveadm = need_program("doveadm", "dovecot-core")
    path = users_file(t, ("alice", "secret a"), ("bob", "b", "--scheme", "sha512crypt", "--no-scram"),
                      ("carol", "c", "--scheme", "bcrypt"))
    dovecot = Dovecot(t, path)
    tls = Backend(t, "dovecot", dovecot.socket, "192.0.2.1", "tls")
    for name, password in (("alice", "secret a"), ("bob", "b"), ("carol", "c")):
        equal(tls.say("exchange", "PLAIN", plain(name, password)), ["ok", name], f"Dovecot about {name}: {dovecot.text()}")
        equal(tls.say("exchange", "PLAIN", plain(name, "x"))[0], "failed", f"Dovecot about {name}")
    theirs = t.tmp / "theirs"
    schemes = ("CRYPT", "BLF-CRYPT", "SHA512-CRYPT", "SHA256-CRYPT", "MD5-CRYPT", "SCRAM-SHA-256", "PLAIN", "PLAIN.b64")
    lines = []
    for scheme in schemes:
        made = t.run([doveadm, "-O", "pw", "-s", scheme, "-p", "pencil"], check=0).stdout.decode().strip()
        lines.append(f"{scheme}:{made}:1000:1000::/home/x:/bin/sh:userdb_quota_rule=*:storage=1G\n")
    theirs.write_text("".join(lines))
    theirs.chmod(0o600)
    users = Backend(t, "users", theirs)
    for scheme in schemes:
        equal(users.verify(scheme, "pencil"), ["ok", scheme], f"{scheme} of doveadm")
        equal(users.verify(scheme, "Pencil")[0], "failed", f"{scheme} of doveadm, another password")


# ---- the daemon -----------------------------------------------------------------------------------------

AUTH = "auth = offered\nauth_without_tls = yes\nauth_failure_delay = 0\n"


def offered(client):
    return {word for line in client.ehlo.lines if line.startswith("AUTH ") for word in line.split()[1:]}


def answer_scram(client, name, password):
    """The reply that ends AUTH SCRAM-SHA-256."""
    scram = Scram(name, password)
    reply = client.cmd("AUTH SCRAM-SHA-256 " + scram.first())
    if reply.code == 334:
        reply = client.cmd(scram.final(reply.text))
    if reply.code == 334:
        scram.verify(reply.text)
        reply = client.cmd("")
    return reply


def test_daemon_with_dovecot(t):
    """Its mechanisms are offered and work; without it, clients are told to come back; it is found again."""
    users = dovecot_users(t)
    dovecot = Dovecot(t, users)
    relay = t.daemon(Upstream(t), config=f'{AUTH}auth_dovecot_socket = "{dovecot.socket}"\n'
                     'auth_mechanisms = { "PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256" }\n').ready()
    with Client(relay) as client:
        equal(offered(client), {"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"}, "mechanisms")
        equal(client.cmd("AUTH PLAIN " + plain("bob", "x")).code, 535, "a wrong password")
        equal(answer_scram(client, "bob", "x").code, 535, "SCRAM with a wrong password")
        equal(answer_scram(client, "bob", "b").code, 235, "SCRAM")
    relay.wait_for("authenticated", user="bob", mechanism="SCRAM-SHA-256")
    with Client(relay) as client:
        challenge = client.cmd("AUTH CRAM-MD5", 334)
        equal(client.cmd(cram("Alice@Example.org", "wonder land", challenge.text)).code, 235, "CRAM-MD5")
    relay.wait_for("authenticated", user="alice@example.org", mechanism="CRAM-MD5")
    with Client(relay) as client:
        client.cmd("AUTH LOGIN", 334)
        client.cmd(b64("real"), 334)
        equal(client.cmd(b64("r")).code, 235, "LOGIN")
    relay.wait_for("authenticated", user="renamed")
    dovecot.process.kill_all()
    with Client(relay) as client:
        equal(client.cmd("AUTH PLAIN " + plain("bob", "b")).code, 454, "without Dovecot")
    (t.tmp / "run/master.pid").unlink(missing_ok=True)
    dovecot.socket.unlink(missing_ok=True)
    Dovecot(t, users)
    with Client(relay) as client:
        equal(client.cmd("AUTH PLAIN " + plain("bob", "b")).code, 235, "with another Dovecot")


def test_daemon_with_pam(t):
    """A service of our own, in a view of /etc/pam.d that only this daemon has."""
    need_root()
    unshare = need_program("unshare", "util-linux")
    services, script = t.tmp / "pam.d", t.tmp / "script"
    services.mkdir()
    script.write_text("password=$(tr -d '\\000')\n[ \"$password\" = 'open sesame' ] && [ \"$PAM_USER\" = alibaba ] &&"
                      "[ \"$PAM_RHOST\" = 127.0.0.1 ]\n")
    script.chmod(0o644)
    (services / "posthouse-test").write_text(f"auth sufficient pam_exec.so expose_authtok quiet /bin/sh {script}\n"
                                             "auth required pam_deny.so\naccount required pam_permit.so\n")
    (services / "other").write_text("auth required pam_deny.so\naccount required pam_deny.so\n")
    own = [unshare, "--mount", "/bin/sh", "-c", 'mount --bind "$0" /etc/pam.d && exec "$@"', services]
    if t.run([*own, "true"]).returncode != 0:
        raise Skip("nothing can be mounted here")
    run = t.run([CHECK, "pam", "posthouse-no-such-service"])
    if b"built without PAM" in run.stderr:
        raise Skip("built without PAM")
    relay = t.daemon(Upstream(t), config=f'{AUTH}auth_pam_service = "posthouse-test"\n', prefix=own).ready()
    with Client(relay) as client:
        equal(offered(client), {"PLAIN", "LOGIN"}, "mechanisms")
        for name, password, code in (("alibaba", "open barley", 535), ("kasim", "open sesame", 535), ("root", "", 535),
                                     ("alibaba", "open sesame", 235)):
            equal(client.cmd("AUTH PLAIN " + plain(name, password)).code, code, f"{name}, {password}")
    relay.wait_for("authenticated", user="alibaba")


def check_configuration(t, text):
    config = t.tmp / "auth.conf"
    config.write_text('localaddr = "127.0.0.1:25"\nremoteaddr = "127.0.0.1:26"\n' + AUTH + text)
    run = t.run([BUILDDIR / "posthoused", "-t", "-n", "-f", config])
    return run.returncode, run.stderr.decode()


def test_check_tells_every_mistake(t):
    path = users_file(t, ("alice", "secret a"))
    equal(check_configuration(t, f'auth_users_file = "{path}"\n'), (0, ""), "a good file")
    with path.open("a") as file:
        file.write("# more\nbob:{FOO}x\nALICE:!\ncarol:geheim\n")
    status, text = check_configuration(t, f'auth_users_file = "{path}"\n')
    equal(status, 1, "status")
    for line, what in ((3, "unknown scheme {FOO}"), (4, "user alice stands in line 1 already"), (5, "no whole hash")):
        assert re.search(rf"^posthoused: {re.escape(str(path))}:{line}: .*{re.escape(what)}", text, re.M), text
    assert "geheim" not in text, text
    path.chmod(0o644)
    status, text = check_configuration(t, f'auth_users_file = "{path}"\n')
    assert status == 1 and f"auth_users_file: users file {path} can be read by everyone (mode 0644)" in text, text
    status, text = check_configuration(t, f'auth_users_file = "{t.tmp}/none"\n')
    assert status == 1 and "No such file" in text, text
    status, text = check_configuration(t, 'auth_pam_service = "posthouse-no-such-service"\n')
    assert status == 1 and "auth_pam_service: PAM " in text, text
    equal(check_configuration(t, f'auth_dovecot_socket = "{t.tmp}/none"\n'), (0, ""), "Dovecot may come later")
    status, text = check_configuration(t, f'auth_dovecot_socket = "/{"x" * 120}"\n')
    assert status == 1 and "auth_dovecot_socket: " in text, text
    status, text = check_configuration(t, f'auth_dovecot_socket = "/x"\nauth_users_file = "{path}"\n')
    assert status == 1 and "exclude each other" in text, text


if __name__ == "__main__":
    harness.main(__name__)

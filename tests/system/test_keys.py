# SPDX-License-Identifier: ISC
"""The process with the private keys: who has them and who has not, its death, new keys, its rights."""

import json
import os
import pwd
import re
import shutil
import signal
import ssl
import subprocess
import threading
import time

import harness
from certificates import Pki, TlsClient, openssl_client
from harness import Skip, equal, need_root, wait_until
from smtp_peers import Client, Upstream

CONTENT = b"Subject: keys\r\n\r\nbody\r\n"
KINDS = ("rsa", "ec", "ed25519")
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class World:
    """A daemon with a certificate of each kind, by name (rsa.test ...), in files that can be replaced."""

    def __init__(self, t, mode="starttls", more="", kinds=KINDS, **options):
        self.t, self.pki, self.upstream, self.kinds = t, Pki(t), Upstream(t), kinds
        for kind in kinds:
            self.renew(kind, "first")
        files = {what: ", ".join(f'"{self.file(kind, what)}"' for kind in kinds) for what in ("pem", "key")}
        if "CREDENTIALS_DIRECTORY" in options.get("env", {}):
            files["key"] = files["key"].replace(f'"{t.tmp}/', '"credential:')
        self.relay = t.daemon(self.upstream, config=f'tls = {mode}\ntls_cert = {{ {files["pem"]} }}\n'
                              f'tls_key = {{ {files["key"]} }}\n{more}', **options).ready()

    def file(self, kind, what):
        return self.t.tmp / f"live-{kind}.{what}"

    def renew(self, kind, name):
        pair = self.pki.pair(f"DNS:{kind}.test", key=kind, name=f"{name}-{kind}")
        for source, what in ((pair.key, "key"), (pair.cert, "pem")):
            shutil.copy2(source, f"{self.file(kind, what)}.new")
            os.rename(f"{self.file(kind, what)}.new", self.file(kind, what))

    def connect(self, kind, version=None):
        return TlsClient(self.relay, self.pki.context(least=version, most=version), name=f"{kind}.test")

    def shown(self, kind):
        with self.connect(kind) as client:
            client.cmd("QUIT", 221)
            return client.common_name()

    def reload(self):
        last = self.relay.events("reloaded", what="certificates")[-1:]
        os.kill(self.relay.pid, signal.SIGHUP)
        self.relay.wait_for("reloaded", what="certificates", after=last[0] if last else None)

    def wait_keys(self, but=()):
        """The one process with keys that is none of those."""
        def only():
            found = self.relay.children("keys")
            return found[0] if len(found) == 1 and found[0] not in but else 0
        return wait_until(only, "one other process with keys")


# ---- handshakes ------------------------------------------------------------------------------------

def test_kinds_of_keys(t):
    w = World(t)
    for kind in KINDS:
        for version in (V12, V13):
            with w.connect(kind, version) as client:
                equal(client.common_name(), f"first-{kind}", "name in the certificate")
                client.message(CONTENT)
                client.cmd("QUIT", 221)
    w.relay.wait_for("accepted", count=6)
    equal(len(w.relay.children("keys")), 1, "processes with keys")
    equal([e for e in w.relay.events("tls_failed")], [], "failed handshakes")


def test_old_versions_and_key_exchange(t):
    """What the legacy profile has and no other one: the key is used for it where it is offered, by each listener."""
    pki = Pki(t)
    pair = pki.pair(key="rsa")
    relay = t.daemon(Upstream(t), config=pair.config() + 'tls = starttls\nlistener old {\n localaddr = "127.0.0.1:0" tls_profile = legacy\n}\n'
                     'listener usual {\n localaddr = "127.0.0.1:0"\n}\n').ready()
    old, usual = (relay.wait_for("listening", listener=name)["localaddr"].rpartition(":")[2] for name in ("old", "usual"))
    for options in (("-tls1", "-cipher", "AES128-SHA:@SECLEVEL=0"), ("-tls1_1", "-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"),
                    ("-tls1_2", "-cipher", "AES128-GCM-SHA256"), ("-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"),
                    ("-tls1_3",)):
        text, _status = openssl_client(t, old, *options)
        assert "221 2.0.0" in text, (options, text)
    assert "221 2.0.0" in openssl_client(t, usual, "-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256")[0]
    assert "221 2.0.0" not in openssl_client(t, usual, "-tls1_2", "-cipher", "AES128-GCM-SHA256")[0]
    equal(relay.events("keys_refused"), [], "what was asked for and refused")


def test_none_without_tls(t):
    relay = t.daemon(Upstream(t), config=f'localaddr = {{ "127.0.0.1:0", "unix:{t.tmp}/s" }}\n').ready()
    equal(relay.children("keys"), [], "processes with keys")
    relay.stop()


# ---- where the keys are, and where not ----------------------------------------------------------------

def numbers(key):
    """The secret numbers of a key, as OpenSSL's text has them: octets, the highest first."""
    text = subprocess.run(["openssl", "pkey", "-in", key, "-text", "-noout"], check=True, capture_output=True, text=True).stdout
    found = re.findall(r"^(?:priv|prime1|prime2|privateExponent):\n((?:    [0-9a-f:]+\n)+)", text, re.M)
    assert found, text
    return [bytes.fromhex(re.sub(r"[:\s]", "", number)).lstrip(b"\0") for number in found]


def memory_of(pid):
    """Everything the process has, whether it may write to it or not."""
    try:
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
            for line in maps:
                begin, end, mode, name = re.match(r"(\w+)-(\w+) (\S+) \S+ \S+ \S+\s*(.*)", line).groups()
                if mode[0] == "r" and not name.startswith("[v"):
                    mem.seek(int(begin, 16))
                    yield mem.read(int(end, 16) - int(begin, 16))
    except PermissionError:
        raise Skip("the memory of another process cannot be read here")


def copies(pid, secrets):
    """How many of these are there, in either order of octets (OpenSSL keeps the lowest first, files the highest), whole
    or the first half: what is left of one that was overwritten in part would do as well."""
    memory = list(memory_of(pid))
    assert sum(map(len, memory)) > 100000, f"memory of {pid}"
    return {number: sum(part.count(form) for part in memory for form in (number, number[::-1], number[:len(number) // 2]))
            for number in secrets}


def test_only_one_process_has_them(t):
    """The master, the workers, the relay, the auth process, the monitor: not one octet, after handshakes, reloads,
    restarts, and in another executable; the keys come as systemd hands them over."""
    if harness.sanitized():
        raise Skip("the memory of a sanitizer is without an end")
    users = t.tmp / "users"
    users.write_text("")
    users.chmod(0o600)
    if os.geteuid() == 0:
        shutil.chown(users, harness.AUTH_USER)
    w = World(t, more=f'auth = offered\nauth_users_file = "{users}"\nmin_spare = 2\nmax_spare = 3\nmetrics_listen = "127.0.0.1:0"\n',
              env={**os.environ, "CREDENTIALS_DIRECTORY": str(t.tmp)})
    secrets = {kind: numbers(w.file(kind, "key")) for kind in KINDS}
    equal([len(secrets[kind]) for kind in KINDS], [3, 1, 1], "secret numbers")

    def look(gone=()):
        for kind in KINDS:  # each worker has used each key, or so
            for _ in range(4):
                equal(w.shown(kind).partition("-")[2], kind, "certificate")
        keys = w.wait_keys()
        for kind in KINDS:
            found = copies(keys, secrets[kind])
            assert all(found.values()), f"the process with keys has no {kind}: the test looks for the wrong thing"
        every = [number for kind in KINDS for number in secrets[kind]] + [*gone]
        others = [w.relay.pid, *w.relay.children("worker"), *map(w.relay.child, ("relay", "auth", "monitor"))]
        looked = 0
        for pid in others:
            try:
                found = copies(pid, every)
            except (FileNotFoundError, ProcessLookupError, AssertionError):
                # a worker too many, or of before, ends when it has no client: what has gone has no memory
                wait_until(lambda pid=pid: pid not in w.relay.children(), f"{pid}, which has no memory, to be gone")
                continue
            equal({n.hex()[:8]: c for n, c in found.items() if c}, {}, f"secrets in the memory of {pid} of {others}")
            looked += 1
        assert looked >= 6, f"only {looked} of {others} stayed"  # four of them are one of a kind
        equal(sum(copies(keys, gone).values()), 0, "old keys in the process with the new ones")

    look()
    before = w.wait_keys()
    gone = [number for kind in KINDS for number in secrets[kind]]
    for kind in KINDS:
        w.renew(kind, "second")
        secrets[kind] = numbers(w.file(kind, "key"))
    w.reload()
    wait_until(lambda: w.shown("ec") == "second-ec", "the new certificate")
    w.wait_keys(but=[before])
    look(gone)
    for role in ("relay", "auth", "keys"):
        os.kill(old := w.relay.child(role), signal.SIGKILL)
        wait_until(lambda old=old, role=role: w.relay.children(role) not in ([], [old]), f"another {role}")
    look(gone)
    before, ready = w.wait_keys(), len(w.relay.events("ready"))
    os.kill(w.relay.pid, signal.SIGUSR2)
    w.relay.wait_for("ready", count=ready + 1)
    w.wait_keys(but=[before])
    look(gone)


def held(pid):
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            pass
    return found


def test_descriptors_and_rights(t):
    """Nobody but the master holds the file with the keys; the process that read it holds no file, no port."""
    need_root()
    w = World(t, more='handler = "spool"\n')
    w.shown("ec")
    keys = w.wait_keys()
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{keys}/status").read().splitlines() if ":\t" in line)
    user = pwd.getpwnam(harness.KEYS_USER)
    equal(status["Uid"].split(), [str(user.pw_uid)] * 4, "users")
    equal(status["Gid"].split(), [str(user.pw_gid)] * 4, "groups")
    equal(status["NoNewPrivs"].strip(), "1", "no new privileges")

    listening = {line.split()[9] for line in open("/proc/net/tcp").read().splitlines()[1:] if line.split()[3] == "0A"}
    ours = held(keys)
    equal([name for name in ours if name.startswith("/") and name != "/dev/null"], [], "files of the process with keys")
    equal([name for name in ours if name[8:-1] in listening], [], "ports of it")
    for pid in (keys, *w.relay.children("worker"), w.relay.child("relay")):
        equal([name for name in held(pid) if "memfd:keys" in name], [], f"the keys' file in {pid}")
    # to the kernel its memory is root's: nobody else may look into it, its own user included
    for name in ("mem", "environ", "maps"):
        equal(os.stat(f"/proc/{keys}/{name}").st_uid, 0, f"owner of {name}")


# ---- death ------------------------------------------------------------------------------------------------

def test_killed_under_load(t):
    """Handshakes go on with the next one: the question is put again. Sessions that are there notice nothing."""
    w = World(t, more="min_spare = 4\nmax_spare = 8\nmax_workers = 20\n")
    stop, trouble, served = threading.Event(), [], []

    def client():
        while not stop.is_set():
            try:
                with w.connect("ec") as c:
                    c.cmd("QUIT", 221)
                served.append(1)
            except (OSError, EOFError, AssertionError) as e:
                trouble.append(repr(e))

    with w.connect("rsa") as session:
        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        dead = []
        for _ in range(4):
            count = len(served)
            wait_until(lambda count=count: len(served) > count + 10, "sessions")
            dead.append(keys := w.wait_keys(but=dead))
            os.kill(keys, signal.SIGKILL)
        w.wait_keys(but=dead)
        count = len(served)
        wait_until(lambda: len(served) > count + 10, "sessions")
        stop.set()
        for thread in threads:
            thread.join()
        session.message(CONTENT)
        session.cmd("QUIT", 221)
    equal(trouble, [], f"failures beside {len(served)} sessions")
    equal(len(w.relay.events("child_exited", role="keys", signal=re.compile("KILL"))), 4, "deaths in the log")


def test_the_files_are_not_needed_again(t):
    """A new process has the keys that were checked, whatever became of the files meanwhile."""
    w = World(t, kinds=("ec",))
    w.file("ec", "key").write_text("garbage")
    w.relay.wait_for("reload_refused")
    for _ in range(2):
        os.kill(keys := w.wait_keys(), signal.SIGKILL)
        w.wait_keys(but=[keys])
        equal(w.shown("ec"), "first-ec", "certificate")


def test_stuck(t):
    """One that does not answer holds nobody for long, and those who want no TLS not at all."""
    w = World(t, more="min_spare = 3\n")
    keys = w.wait_keys()
    os.kill(keys, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with Client(w.relay) as waiting:
            waiting.cmd("STARTTLS", 220)
            context = w.pki.context()
            thread = threading.Thread(target=lambda: _try(lambda: context.wrap_socket(waiting.socket, server_hostname="ec.test")))
            thread.start()
            with Client(w.relay) as other:
                other.message(CONTENT)
            assert time.monotonic() - began < 8, "waited for the other one"
            w.relay.wait_for("tls_failed", reason=re.compile("key process did not answer in time"))
            thread.join()
            assert 9 < time.monotonic() - began < 25, time.monotonic() - began
    finally:
        os.kill(keys, signal.SIGCONT)
    equal(w.shown("ec"), "first-ec", "certificate")
    equal(w.wait_keys(), keys, "still the same")


def _try(function):
    try:
        function()
    except OSError:
        pass


def test_stop(t):
    """It ends when the workers have: also one that is stuck."""
    w = World(t, more="stop_timeout = 1s\n")
    with w.connect("ec"):
        w.relay.stop()
    other = World(t, more="stop_timeout = 1s\n", name="stuck")
    os.kill(other.wait_keys(), signal.SIGSTOP)
    other.relay.signal(signal.SIGTERM)
    other.relay.wait_for("killed", msg=re.compile("^keys "))
    other.relay.wait_for("stopped")


def test_master_killed(t):
    w = World(t)
    pids = [w.wait_keys(), *w.relay.children("worker")]
    w.relay.kill9()
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), "all of them to leave")


# ---- new keys ------------------------------------------------------------------------------------------------

def test_old_sessions_use_old_keys(t):
    """Who connected before a renewal can still begin TLS, with the old certificate; then the old keys go."""
    w = World(t, more="min_spare = 2\n")
    old = w.wait_keys()
    with TlsClient(w.relay) as client:
        w.renew("ec", "second")
        w.reload()
        wait_until(lambda: w.shown("ec") == "second-ec", "the new certificate")
        equal(len(w.relay.children("keys")), 2, "processes with keys")
        client.start_tls(w.pki.context(), name="ec.test")
        equal(client.common_name(), "first-ec", "certificate of the old session")
        client.cmd("EHLO client.test", 250)
        client.message(CONTENT)
        client.cmd("QUIT", 221)
    w.wait_keys(but=[old])
    equal([e for e in w.relay.events("child_exited") if e["status"] != "done"], [], "disorderly ends")


def test_other_files_leave_it_alone(t):
    """A reload of tables replaces the workers and not the keys."""
    table = t.tmp / "clients"
    table.write_text("192.0.2.1 reject\n")
    w = World(t, more=f'client_access = "{table}"\n')
    keys, workers = w.wait_keys(), set(w.relay.children("worker"))
    table.write_text("192.0.2.2 reject\n")
    w.relay.wait_for("reloaded", what=re.compile("access|tables"))
    wait_until(lambda: not workers & set(w.relay.children("worker")), "other workers")
    equal(w.wait_keys(), keys, "the process with keys")
    equal(w.shown("ec"), "first-ec", "certificate")


def test_another_configuration(t):
    """TLS is configured, its profile is changed, and it is taken out again, while the service runs."""
    pki = Pki(t)
    pair = pki.pair(key="rsa")
    spool, path = t.tmp / "spool-posthoused", None

    def write(more):
        return t.config(f"min_spare = 2\n{more}", upstream, spool=spool, listen=port)

    upstream, port = Upstream(t), "127.0.0.1:0"
    relay = t.daemon(upstream, config="min_spare = 2\n").ready()
    equal(relay.children("keys"), [], "processes with keys")
    port = f"127.0.0.1:{relay.port}"
    path = t.tmp / "posthoused.conf"

    def change(more):
        last = relay.events("ready")[-1]
        equal(write(more), path, "the file")
        os.kill(relay.pid, signal.SIGHUP)
        relay.wait_for("ready", after=last)

    change("")  # the port has a number from here on
    change(f"tls = starttls\n{pair.config()}")
    with TlsClient(relay, pki.context()) as session:
        session.message(CONTENT)
        first = relay.child("keys")
        change(f"tls = starttls\ntls_profile = legacy\n{pair.config()}")
        wait_until(lambda: "221 2.0.0" in openssl_client(t, relay.port, "-tls1_2", "-cipher", "AES128-GCM-SHA256")[0], "legacy")
        equal(len(relay.children("keys")), 2, "processes with keys beside an old session")
        if os.geteuid() == 0:
            for pid in [*relay.children("keys"), *relay.children("worker"), relay.child("relay")]:
                equal([name for name in held(pid) if "memfd:keys" in name], [], f"the keys' file in {pid}")
        session.message(CONTENT)
        session.cmd("QUIT", 221)
    wait_until(lambda: first not in relay.children("keys"), "the first set to be gone")
    change("")
    wait_until(lambda: relay.children("keys") == [], "no process with keys")
    with Client(relay) as client:
        assert "STARTTLS" not in client.ehlo.lines, client.ehlo
    equal([e for e in relay.events("child_exited") if e["status"] != "done"], [], "disorderly ends")


# ---- what operators see -----------------------------------------------------------------------------------------

def test_configuration(t):
    need_root()
    pki = Pki(t)

    def check(more, tls="starttls"):
        certificate = "" if tls == "none" else pki.pair().config()
        path = t.config(f"tls = {tls}\n{certificate}{more}", "127.0.0.1:9", spool=t.tmp / "spool", name="check")
        done = t.run([harness.BUILDDIR / "posthoused", "-t", "-f", path])
        return done.returncode, done.stderr.decode()

    equal(check("tls_expiry_warning = 0\n"), (0, ""), "a good one")
    status, text = check('keys_user = "no-such-user-here"\n')
    assert status == 1 and 'user "no-such-user-here" does not exist: useradd' in text, text
    equal(check('keys_user = "no-such-user-here"\n', tls="none")[0], 0, "where it is not needed")
    for user, what in ((harness.ROOT_USERS[1], "smtp_user"), (harness.AUTH_USER, "auth_user")):
        status, text = check(f'user = "sys"\nsmtp_user = "{harness.ROOT_USERS[1]}"\nauth_user = "{harness.AUTH_USER}"\nkeys_user = "{user}"\n')
        assert user == "nobody" or (status == 1 and f"keys_user and {what} are the same" in text), text
    status, text = check('keys_user = "root"\n')
    assert status == 1 and "root" in text, text


def test_status_and_doctor(t):
    w = World(t)
    status = json.loads(t.posthouse("--config", t.tmp / "posthoused.conf", "status", "--json"))
    equal(status["processes"]["keys"], True, "status")
    assert "keys ready" in t.posthouse("--config", t.tmp / "posthoused.conf", "status")
    done = t.run([harness.BUILDDIR / "posthouse", "--config", t.tmp / "posthoused.conf", "doctor", "--local"])
    for kind in KINDS:
        assert f"live-{kind}.pem" in done.stdout.decode(), done.stdout.decode()


if __name__ == "__main__":
    harness.main(__name__)

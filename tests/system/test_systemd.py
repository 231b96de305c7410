# SPDX-License-Identifier: ISC
"""What the service and whoever supervises it say to each other: sd_notify(3), the watchdog, sockets that are
passed (sd_listen_fds(3)), credentials; and the files of contrib/systemd as systemd's own tools judge them.
test_systemd_units.py runs the units."""

import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import struct
import sys
import threading
import time

import harness
from certificates import Pki, TlsClient
from harness import BUILDDIR, SRCDIR, Skip, equal, need_program, need_root, wait_until
from smtp_peers import Client, Upstream

UNITS = BUILDDIR / "contrib" / "systemd"
SMALL = "min_spare = 1\nmax_spare = 2\nmax_workers = 4\n"


class Supervisor:
    """A notify socket, and all that was said on it: a list of (pid, {key: value})."""

    def __init__(self, t, abstract=False, reads=True):
        self.address = f"@posthouse-{os.getpid()}-{t.name}" if abstract else str(t.tmp / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind("\0" + self.address[1:] if abstract else self.address)
        if not abstract:
            os.chmod(self.address, 0o777)
        self.said = []
        self.changed = threading.Condition()
        t.later(self.close)
        if reads:
            threading.Thread(target=self.read, daemon=True).start()

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def environment(self, **more):
        return {**os.environ, "NOTIFY_SOCKET": self.address, **more}

    def read(self):
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(8192, 256)
            except OSError:
                return
            if not data:
                return
            pid = next(struct.unpack("iii", d)[0] for _, kind, d in ancillary if kind == socket.SCM_CREDENTIALS)
            pairs = dict(line.split("=", 1) for line in data.decode().splitlines())
            with self.changed:
                self.said.append((pid, pairs))
                self.changed.notify_all()

    def wait_for(self, key, matching="", after=0):
        """The index of the first message from `after` on that has the key."""
        end = time.monotonic() + harness.DEADLINE
        with self.changed:
            while True:
                for i in range(after, len(self.said)):
                    if key in self.said[i][1] and re.search(matching, self.said[i][1][key]):
                        return i
                assert time.monotonic() < end, f"nobody said {key} {matching}: {self.said[-8:]}"
                self.changed.wait(0.2)

    def message(self, index):
        return self.said[index][1]


# ---- what it says ------------------------------------------------------------


def test_a_life(t):
    """Ready, a reload, a stop: in this order, and from nobody but the master."""
    s = Supervisor(t)
    relay = t.daemon(9, config=SMALL + "stop_timeout = 7s\n", env=s.environment())
    ready = s.wait_for("READY")
    equal(s.message(ready)["READY"], "1", "READY")
    assert re.match(r"Ready: \d+ workers?, 0 with a client", s.message(ready)["STATUS"]), s.message(ready)
    relay.ready()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    relay.signal(signal.SIGHUP)
    reloading = s.wait_for("RELOADING", after=ready + 1)
    begun = int(s.message(reloading)["MONOTONIC_USEC"])
    assert before <= begun <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000, s.message(reloading)
    s.wait_for("READY", after=reloading + 1)
    relay.stop()
    stopping = s.wait_for("STOPPING", after=reloading)
    assert int(s.message(stopping)["EXTEND_TIMEOUT_USEC"]) >= 7_000_000 + 2_000_000, s.message(stopping)
    equal({pid for pid, _ in s.said}, {relay.pid}, "who speaks")


def test_status_follows(t):
    """The one line that `systemctl status` shows tells of clients and of the queue."""
    s = Supervisor(t)
    relay = t.daemon(1, config=SMALL, env=s.environment()).ready()  # nobody listens on port 1
    with Client(relay) as client:
        client.message()
        s.wait_for("STATUS", r"1 with a client; 1 message in the queue")
        client.quit()
    s.wait_for("STATUS", r"0 with a client; 1 message in the queue", after=1)


def test_refused_reload_is_seen(t):
    """What is wrong by then, and was not when 'systemctl reload' had it checked, is more than a line in the log."""
    s = Supervisor(t)
    relay = t.daemon(9, config=SMALL, env=s.environment()).ready()
    config = t.tmp / "posthoused.conf"
    good = config.read_text()
    at = s.wait_for("READY")
    for text, pattern in ((good + "nonsense = 1\n", "; the last reload was refused, the log says why$"),
                          (good, r"^Ready: [^;]*(; \d+ messages in the queue|; the queue is being read)?$")):
        config.write_text(text)
        relay.signal(signal.SIGHUP)
        at = s.wait_for("READY", after=s.wait_for("RELOADING", after=at + 1))
        assert re.search(pattern, s.message(at)["STATUS"]), s.message(at)


def test_abstract_socket(t):
    s = Supervisor(t, abstract=True)
    t.daemon(9, config=SMALL, env=s.environment()).ready()
    s.wait_for("READY")


def test_nobody_reads(t):
    """A supervisor that hangs does not make the service hang."""
    s = Supervisor(t, reads=False)
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=SMALL, env=s.environment(WATCHDOG_USEC="2000000")).ready()
    full = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    full.setblocking(False)
    with full:
        try:
            while True:
                full.sendto(b"X=1", s.address)
        except BlockingIOError:
            pass
        last = None
        for _ in range(3):
            relay.signal(signal.SIGHUP)
            last = relay.wait_for("reload", after=last)
        with Client(relay) as client:
            client.message()
            client.quit()
        upstream.wait_messages(1)
        relay.stop()


def test_rubbish_in_the_environment(t):
    for variables in ({"NOTIFY_SOCKET": "relative/path"}, {"NOTIFY_SOCKET": "/" + "x" * 200},
                      {"NOTIFY_SOCKET": str(t.tmp / "missing"), "WATCHDOG_USEC": "1000000"},
                      {"NOTIFY_SOCKET": "", "WATCHDOG_USEC": "-1"}, {"WATCHDOG_USEC": "99999999999999999999999"}):
        t.daemon(9, config=SMALL, env={**os.environ, **variables}, name="odd").ready().stop()


# ---- a start that fails --------------------------------------------------------


def failed_start(t, s, config, env=None):
    relay = t.daemon(9, config=config, env=env or s.environment())
    equal(relay.wait(), 1, "exit status")
    relay.stopped = True
    return s.message(s.wait_for("STATUS"))


def test_port_in_use(t):
    s = Supervisor(t)
    with socket.create_server(("127.0.0.1", 0)) as other:
        said = failed_start(t, s, f'localaddr = "127.0.0.1:{other.getsockname()[1]}"\n{SMALL}')
    assert "already in use" in said["STATUS"], said
    equal(said.get("ERRNO"), "98", "ERRNO")
    assert not any("READY" in m for _, m in s.said), s.said


def test_bad_configuration(t):
    s = Supervisor(t)
    said = failed_start(t, s, "min_spares = 1\n")
    assert "--check" in said["STATUS"], said


# ---- the watchdog ----------------------------------------------------------------


def test_watchdog_is_fed(t):
    s = Supervisor(t)
    relay = t.daemon(9, config=SMALL, env=s.environment(WATCHDOG_USEC="4000000"))
    first = s.wait_for("WATCHDOG")
    second = s.wait_for("WATCHDOG", after=first + 1)
    s.wait_for("WATCHDOG", after=second + 1)
    relay.ready()


def test_watchdog_of_another_process(t):
    """WATCHDOG_PID says whom it means. What comes later is proof that nothing came before."""
    s = Supervisor(t)
    relay = t.daemon(9, config=SMALL, env=s.environment(WATCHDOG_USEC="400000", WATCHDOG_PID="1")).ready()
    with Client(relay):
        s.wait_for("STATUS", "1 with a client")  # a tick that would have fed it, too
    assert not any("WATCHDOG" in m for _, m in s.said), s.said


def test_capabilities_are_given_up(t):
    """Started as the unit does it: an ordinary user with one capability. Nobody but the master keeps it."""
    need_root()
    import pwd
    nobody = pwd.getpwnam("nobody")
    setpriv = need_program("setpriv", "util-linux")
    port = free_low_port()
    spool = t.tmp / "spool"
    spool.mkdir(mode=0o700)
    os.chown(spool, nobody.pw_uid, nobody.pw_gid)
    relay = t.daemon(9, config=f'localaddr = "127.0.0.1:{port}"\n{SMALL}', spool=spool,
                     prefix=[setpriv, f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups",
                             "--inh-caps=-all,+net_bind_service", "--ambient-caps=+net_bind_service",
                             "--bounding-set=-all,+net_bind_service"]).ready()
    for pid in [relay.pid, *relay.children()]:
        facts = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
        wanted = 1 << 10 if pid == relay.pid else 0
        equal([int(facts[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")], [wanted] * 3, harness.process_title(pid))


def free_low_port():
    for i in range(400):
        port = 600 + (os.getpid() * 7 + i) % 400  # not the one that the same test beside us finds
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise Skip("no free port below 1024")


# ---- sockets that are passed -------------------------------------------------------

LAUNCH = """
import os, sys
count, names = int(sys.argv[1]), sys.argv[2]
fds = [int(n) for n in sys.argv[3].split(",")] if sys.argv[3] else []
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
os.environ["LISTEN_FDS"] = str(count)
os.environ["LISTEN_PID"] = str(os.getpid()) if sys.argv[4] == "us" else sys.argv[4]
if names != "-":
    os.environ["LISTEN_FDNAMES"] = names
for fd in range(3 + len(fds), 200):
    try:
        os.close(fd)
    except OSError:
        pass
os.execv(sys.argv[5], sys.argv[5:])
"""


def passing(t, sockets, names="-", count=None, pid="us", **options):
    """Daemon options that pass these sockets."""
    return {"prefix": [sys.executable, "-c", LAUNCH, str(len(sockets) if count is None else count), names,
                       ",".join(str(s.fileno()) for s in sockets), pid],
            "pass_fds": [s.fileno() for s in sockets], **options}


def tcp(host="127.0.0.1", backlog=16, dual=False):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if ":" in host:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
    s.bind((host, 0))
    if backlog:
        s.listen(backlog)
    return s


def unix(path):
    s = socket.socket(socket.AF_UNIX)
    s.bind(str(path))
    os.chmod(path, 0o666)
    s.listen(16)
    return s


def test_passed_by_address(t):
    """Clients that came before the service did are served, and the same socket serves the next service."""
    upstream = Upstream(t)
    with tcp() as s:
        port = s.getsockname()[1]
        config = f'localaddr = "127.0.0.1:{port}"\n{SMALL}'
        for name in ("one", "two"):
            with Client(port, helo=None) as early:  # in the backlog: nobody accepts yet
                relay = t.daemon(upstream, config=config, name=name, **passing(t, [s]))
                early.expect(220)
                early.cmd("EHLO client.test", 250)
                early.message()
                early.quit()
            relay.wait_for("delivered")
            relay.stop()
    equal(len(upstream.messages), 2, "messages")


def test_passed_and_bound(t):
    """One address is passed, the other one is not."""
    with tcp() as s:
        port = s.getsockname()[1]
        relay = t.daemon(9, config=f'localaddr = {{ "127.0.0.1:{port}", "127.0.0.1:0" }}\n{SMALL}', **passing(t, [s]))
        ports = relay.ports(2)
        equal(ports[0], port, "the first")
        assert ports[1] != port
        for one in ports:
            with Client(one) as client:
                client.quit()


def test_passed_by_name(t):
    """A listener that sockets are named after has all of these, and not its localaddr."""
    with tcp() as a, tcp() as b, tcp("::1") as c:
        sockets = [a, b, c]
        config = ('listener "lan" { localaddr = "127.0.0.1:9" }\nlistener "other" { localaddr = "[::1]:0" }\n' + SMALL)
        config = config.replace("[::1]:0", f"[::1]:{c.getsockname()[1]}")
        relay = t.daemon(9, config=config, **passing(t, sockets, names="lan:lan:whatever")).ready()
        seen = {(e["listener"], e["localaddr"]) for e in relay.events("listening")}
        equal(seen, {("lan", f"127.0.0.1:{a.getsockname()[1]}"), ("lan", f"127.0.0.1:{b.getsockname()[1]}"),
                     ("other", f"[::1]:{c.getsockname()[1]}")}, "listeners")


def test_unix_socket_stays(t):
    """Who made its file removes it: not we."""
    path = t.tmp / "submit"
    with unix(path) as s:
        relay = t.daemon(9, config=f'localaddr = "unix:{path}"\n{SMALL}', **passing(t, [s])).ready()
        with Client(str(path)) as client:
            client.quit()
        relay.stop()
        assert stat.S_ISSOCK(path.stat().st_mode)
        relay = t.daemon(9, config=f'localaddr = "unix:{path}"\n{SMALL}', name="again", **passing(t, [s])).ready()
        with Client(str(path)) as client:
            client.quit()


def test_passed_and_reload(t):
    with tcp() as s:
        port = s.getsockname()[1]
        relay = t.daemon(9, config=f'listener "lan" {{ localaddr = "127.0.0.1:1" }}\n{SMALL}',
                         **passing(t, [s], names="lan")).ready()
        relay.signal(signal.SIGHUP)
        relay.wait_for("reload")
        with Client(port) as client:
            client.quit()


def test_not_for_us(t):
    """The variables were inherited from somebody whom they were meant for."""
    with tcp() as s:
        relay = t.daemon(9, config=SMALL, **passing(t, [s], pid="1")).ready()
        assert relay.port != s.getsockname()[1]


def refused(t, sockets, expected, config=None, **options):
    relay = t.daemon(9, config=config or f'localaddr = "127.0.0.1:0"\n{SMALL}', **passing(t, sockets, **options))
    equal(relay.wait(), 1, "exit status")
    relay.stopped = True
    text = relay.wait_for("start_failed")["msg"]
    assert re.search(expected, text), text


def test_nobodys_socket(t):
    """Mail would wait in it for ever."""
    with tcp() as s:
        refused(t, [s], rf'"spare" that was passed \(127\.0\.0\.1:{s.getsockname()[1]}\) is no listener', names="spare")


def test_unusable_sockets(t):
    with tcp(backlog=0) as s:
        refused(t, [s], '"deaf" that was passed does not listen', names="deaf")
    with tcp("::", dual=True) as s:
        refused(t, [s], "BindIPv6Only=ipv6-only")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        refused(t, [s], "TCP or unix stream socket")
    with open("/dev/null") as s:
        refused(t, [s], "cannot listen on it")
    with tcp() as s:
        refused(t, [s], "more sockets than were passed", count=3)  # 4 is another file of the service's own by then
    with tcp() as s:
        refused(t, [s], "not a number of sockets", count=300)


def test_socket_activate(t):
    """systemd's own tool: it waits for a client, and only then starts the service."""
    program = need_program("systemd-socket-activate", "systemd")
    with tcp() as probe:
        port = probe.getsockname()[1]
    upstream = Upstream(t)
    config = t.config(f'localaddr = "127.0.0.1:{port}"\n{SMALL}', upstream, spool=t.tmp / "spool")
    t.start([program, "-l", f"127.0.0.1:{port}", BUILDDIR / "posthoused", "-F", "-f", config], name="activate")
    wait_until(lambda: is_open(port), "systemd-socket-activate to listen")
    with Client(port) as client:
        client.message()
        client.quit()
    upstream.wait_messages(1)


def is_open(port):
    """Without connecting, which would start the service."""
    wanted = f":{port:04X} "
    return any(wanted in line and line.split()[3] == "0A" for line in pathlib.Path("/proc/net/tcp").read_text().splitlines())


# ---- credentials -------------------------------------------------------------------


def credentials(t, **files):
    folder = t.tmp / "credentials"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        (folder / name).chmod(0o400)
    return {**os.environ, "CREDENTIALS_DIRECTORY": str(folder)}


def test_certificate_is_a_credential(t):
    pki = Pki(t)
    pair = pki.pair("DNS:relay.test")
    env = credentials(t, crt=pathlib.Path(pair.cert).read_bytes(), key=pathlib.Path(pair.key).read_bytes())
    config = 'tls = starttls\ntls_cert = "credential:crt"\ntls_key = "credential:key"\n' + SMALL
    relay = t.daemon(9, config=config, env=env).ready()
    with TlsClient(relay, pki.context(), name="relay.test") as client:
        client.quit()


def test_missing_credential(t):
    """It is told at the start which one, and by --check; --dump shows the configuration as it is written."""
    config = t.config('tls = starttls\ntls_cert = "credential:crt"\n' + SMALL, 9, spool=t.tmp / "spool")
    program = BUILDDIR / "posthoused"
    said = t.run([program, "--check", "-f", config], check=1).stderr.decode()
    assert "tls_cert: credential:crt: no credentials were passed" in said, said
    assert 'tls_cert = { "credential:crt" }' in t.run([program, "--dump", "-f", config], check=0).stdout.decode()
    said = t.run([program, "--check", "-f", config], check=1, env=credentials(t)).stderr.decode()
    assert "credentials/crt" in said, said


# ---- the files -----------------------------------------------------------------------


def analyze(t, *words, check=None):
    return t.run([need_program("systemd-analyze", "systemd"), *words], check=check)


def exposure(t, unit):
    """By systemd-analyze security; None where this version cannot tell without a running systemd."""
    done = analyze(t, "security", "--offline=true", "--no-pager", unit)
    found = re.search(rb"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    if not found:
        raise Skip(f"systemd-analyze security --offline: {done.stderr.decode().strip()[:100]}")
    return float(found[1])


def test_exposure(t):
    assert exposure(t, UNITS / "posthouse.service") <= 1.5, exposure(t, UNITS / "posthouse.service")
    assert exposure(t, UNITS / "posthouse-check.service") <= 1.0


def test_exposure_with_separate_users(t):
    """What it costs is what the manual says (2.7, by systemd 252)."""
    shutil.copy(UNITS / "posthouse.service", t.tmp)
    folder = t.tmp / "posthouse.service.d"
    folder.mkdir()
    shutil.copy(UNITS / "separate-users.conf", folder)
    seen = exposure(t, t.tmp / "posthouse.service")
    assert 1.5 < seen <= 2.8, seen


def test_units_verify(t):
    """Nothing that systemd does not know, or only with a warning; with the programs where the units have them."""
    for unit in (*UNITS.glob("posthouse*.s*"), SRCDIR / "contrib/systemd/posthouse-check.timer"):
        text = re.sub(r"(?m)^(Exec\w+=)\S*/(posthouse\w*)", rf"\1{BUILDDIR}/\2", unit.read_text())
        (t.tmp / unit.name).write_text(text)
    done = analyze(t, "verify", "--man=no", *sorted(t.tmp.glob("posthouse*.*")))
    said = [line for line in (done.stdout + done.stderr).decode().splitlines() if "posthouse" in line]
    equal(said, [], "what systemd-analyze verify says")


def test_users(t):
    """sysusers.conf makes all users that the configuration names without being asked."""
    program = need_program("systemd-sysusers", "systemd")
    root = t.tmp / "root"
    (root / "etc").mkdir(parents=True)
    t.run([program, f"--root={root}", SRCDIR / "contrib/systemd/sysusers.conf"], check=0)
    made = {line.split(":")[0] for line in (root / "etc/passwd").read_text().splitlines()}
    (t.tmp / "plain.conf").write_text('localaddr = "127.0.0.1:0"\nremoteaddr = "127.0.0.1:9"\n')
    defaults = t.run([BUILDDIR / "posthoused", "--dump", "-f", t.tmp / "plain.conf"], check=0).stdout.decode()
    wanted = set(re.findall(r'^\w*user = "?(posthouse[\w-]*)', defaults, re.M))
    if os.geteuid() == 0:
        assert len(wanted) >= 4, defaults
    assert wanted <= made, wanted - made
    members = re.search(r"^posthouse-smtp:[^:]*:\d+:(.*)$", (root / "etc/group").read_text(), re.M)
    equal(members[1], "posthouse", "members of the workers' group")


def test_folders(t):
    need_root()  # to give them their owners
    program, users = need_program("systemd-tmpfiles", "systemd"), need_program("systemd-sysusers", "systemd")
    root = t.tmp / "root"
    for folder in ("etc/sysusers.d", "etc/tmpfiles.d"):
        (root / folder).mkdir(parents=True)
    shutil.copy(SRCDIR / "contrib/systemd/sysusers.conf", root / "etc/sysusers.d/posthouse.conf")
    shutil.copy(UNITS / "tmpfiles.conf", root / "etc/tmpfiles.d/posthouse.conf")
    t.run([users, f"--root={root}", "posthouse.conf"], check=0)
    t.run([program, f"--root={root}", "--create", "posthouse.conf"], check=0)
    spool = next(root.glob("**/spool/posthouse"))
    equal(stat.S_IMODE(spool.stat().st_mode), 0o711, "mode of the spool")
    uid = int(re.search(r"^posthouse:[^:]*:(\d+)", (root / "etc/passwd").read_text(), re.M)[1])
    equal(spool.stat().st_uid, uid, "owner of the spool")


if __name__ == "__main__":
    harness.main(__name__)

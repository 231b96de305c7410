# SPDX-License-Identifier: ISC
"""What somebody can do who took over one of our processes: system calls are made inside the running ones (tests/sandbox/
inject, by ptrace from root), as they would make them, and each forbidden thing is seen to be refused, and told of."""

import os
import pathlib
import platform
import pwd
import re
import shutil
import signal
import socket
import sys
import time

import harness
from certificates import Pki, TlsClient
from harness import AUTH_USER, BUILDDIR, Skip, equal, need_root, wait_until
from smtp_peers import Client, Upstream

CONTENT = b"Subject: sandbox\r\n\r\nsecret of the first\r\n"
WORKERS = 24
O_RDONLY, O_WRONLY, O_CREAT, O_DIRECTORY = os.O_RDONLY, os.O_WRONLY, os.O_CREAT, os.O_DIRECTORY
PTRACE_ATTACH, PROT_RX, MAP_ANON, CLONE_NEWUSER = 16, 5, 0x22, 0x10000000
KILLED = "killed KILL"


# ---- a service that has everything --------------------------------------------------------

class World:
    """One daemon with all roles, two messages in its queue, and secrets in files."""

    def __init__(self, t, one_user=False, more="", prefix=()):
        need_root()
        if platform.machine() != "x86_64":
            raise Skip("system calls are injected on x86-64 only")
        if harness.sanitized():
            raise Skip("built with a sanitizer: there is no sandbox")
        self.t = t
        self.pki = Pki(t)
        pair = self.pki.pair()
        self.key = pair.key
        self.home = t.tmp / "home"
        self.home.mkdir()
        self.secret = t.tmp / "secret"
        self.secret.write_text("upstream's password\n")
        (t.tmp / "logins").mkdir()  # who may read a file may read its folder
        self.users = t.tmp / "logins/users"
        t.posthouse("user", "--file", self.users, "--stdin", "add", "alice", data=b"password\n")
        program = harness.put_program(t.tmp / "program", "#!/bin/sh\ncat\n")
        owner = pwd.getpwnam("nobody" if one_user else AUTH_USER)
        shutil.chown(self.users, owner.pw_uid, owner.pw_gid)
        for path in (self.users, self.secret, self.key):
            path.chmod(0o600)
        if one_user:
            prefix = [*harness.as_user(owner), *prefix]
            for path in (self.home, self.secret, self.key):
                shutil.chown(path, owner.pw_uid, owner.pw_gid)
        self.dead = harness.ReservedPort(t)
        self.other = Upstream(t)  # what nobody here is to connect to
        scratch = t.tmp / "scratch"  # where messages lie that go through a program: all workers may look in there
        scratch.mkdir()
        scratch.chmod(0o1777)
        config = "".join(f"{line}\n" for line in (
            'metrics_listen = "127.0.0.1:0"', "tls = starttls", pair.config(), "auth = offered", "auth_without_tls = yes", f'auth_users_file = "{self.users}"',
            f'filter_command = {{ "{program}" }}', f"min_spare = {WORKERS}", f"max_spare = {2 * WORKERS}", "max_workers = 100",
            f'upstream "main" {{\n  remoteaddr = "127.0.0.1:{self.dead.port}"\n  user = "u"\n  tls = none\n  auth_mechanisms = "CRAM-MD5"\n'
            f'  password_file = "{self.secret}"\n}}'))
        self.relay = t.daemon(None, config=config + more, spool=self.home / "spool", prefix=prefix,
                              env={**os.environ, "TMPDIR": str(scratch)})
        self.relay.violations_expected = True
        self.relay.ready()
        with Client(self.relay) as client:
            client.message(CONTENT)
            client.message(CONTENT)
        self.ids = self.relay.queue()
        equal(len(self.ids), 2, "messages queued")

    @property
    def queue(self):
        return self.home / "spool/queue"

    def worker(self):
        """One that waits for a client, and not the same as before when that was killed."""
        return wait_until(lambda: ([p for p in self.relay.children("worker") if harness.process_title(p).endswith("worker")]
                                   or [0])[-1], "a worker")

    def pid(self, role):
        if role == "master":
            return self.relay.pid
        return self.worker() if role == "worker" else self.relay.child(role)

    @property
    def message(self):
        return self.queue / self.ids[0]

    def check(self, role, name, calls, expected, told):
        """Makes the calls inside the role; what the last one came to, and what the log says of it."""
        last = self.relay.events_seen[-1]
        pid = self.pid(role)
        seen = inject(self.t, pid, *calls)
        assert re.fullmatch(expected, seen[-1]), f"{role}: {name}: {seen}"
        if told:
            event = self.relay.wait_for("sandbox_violation", after=last, pid=pid)
            equal((event["role"], event["syscall"], event["action"]), (role, told, "killed" if seen[-1] == KILLED else "refused"),
                  f"{role}: {name}")
            assert seen[-1] != KILLED or "seccomp = log" in event["msg"], event
        if seen[-1] == KILLED:
            self.relay.wait_for("child_exited", after=last, pid=pid, signal="KILL")
            if role != "worker":
                wait_until(lambda: self.relay.children(role) and self.relay.child(role) != pid, f"the next {role}")
                wait_until(lambda: waits(self.relay.child(role)), f"{role} to be under its filter")
        else:
            assert harness.process_alive(pid), f"{role} did not survive {name}"

    def still_serves(self):
        with TlsClient(self.relay, self.pki.context()) as client:
            client.cmd("AUTH PLAIN AGFsaWNlAHBhc3N3b3Jk", 235)
            client.message(CONTENT)
        wait_until(lambda: len(self.relay.queue()) == 3, "the message in the queue")


def waits(pid):
    """It is under its filter, and waits for work."""
    try:
        status = open(f"/proc/{pid}/status", encoding="ascii").read()
    except OSError:
        return False
    return "\nSeccomp:\t2" in status and "\nState:\tS" in status


def inject(t, pid, *calls):
    words = []
    for call in calls:
        words += [*([","] if words else []), *map(str, call)]
    wait_until(lambda: waits(pid), f"process {pid} to wait")
    done = t.run([BUILDDIR / "tests/sandbox/inject", pid, *words])
    if done.returncode != 0:
        raise AssertionError(f"inject {words}: {done.stderr.decode()}")
    return done.stdout.decode().splitlines()


# ---- what is refused -------------------------------------------------------------------------

def open_file(path, flags=O_RDONLY):
    return ("open", f"s:{path}", flags, 0o600)


def quiet(w):
    """Refused by modes and Landlock, without a word: (what, calls)."""
    outside = f"/tmp/posthouse-outside-{w.relay.pid}"
    return [
        ("the upstream's password", [open_file(w.secret)]),
        ("the key of the certificate", [open_file(w.key)]),
        ("what users log in with", [open_file(w.users)]),
        ("write outside", [open_file(outside, O_WRONLY | O_CREAT)]),
        ("a folder outside", [("mkdir", f"s:{outside}", 0o700)]),
        ("the master's memory", [open_file(f"/proc/{w.relay.pid}/mem")]),
        ("its own memory", [open_file("/proc/self/mem", O_WRONLY)]),
    ]


def loud(w, sibling):
    """Refused by seccomp: (what, calls, name in the log)."""
    return [
        ("run a program", [("execve", "s:/bin/sh", "p:/bin/sh", 0)], "execve"),
        ("debug another process", [("ptrace", PTRACE_ATTACH, sibling, 0, 0)], "ptrace"),
        ("read another's memory", [("process_vm_readv", sibling, "z:16", 1, "z:16", 1, 0)], "process_vm_readv"),
        ("become root", [("setresuid", 0, 0, 0)], "setresuid"),
        ("a namespace", [("unshare", CLONE_NEWUSER)], "unshare"),
        ("a raw socket", [("socket", socket.AF_INET, socket.SOCK_RAW, 1)], "socket"),
        ("the kernel's virtual machine", [("bpf", 0, 0, 0)], "bpf"),
    ]


def worker_is_confined(w):
    first, outside = w.queue / w.ids[0], w.t.tmp / "moved"
    for what, calls in [
            *quiet(w),
            ("read a message", [open_file(first)]),
            ("change a message", [open_file(first, O_WRONLY)]),
            ("list the queue", [open_file(w.queue, O_RDONLY | O_DIRECTORY)]),
            ("remove a message", [("unlink", f"s:{first}")]),
            ("move a message away", [("rename", f"s:{first}", f"s:{outside}")]),
            # else it could be opened by that name: what is written there may be written
            ("a second name for a message", [("link", f"s:{first}", f"s:{w.queue.parent}/incoming/second")]),
            ("a message in another's place", [open_file(w.queue.parent / "incoming/mine", O_WRONLY | O_CREAT),
                                              ("rename", f"s:{w.queue.parent}/incoming/mine", f"s:{first}")]),
            ("system files", [open_file("/etc/passwd")])]:
        w.check("worker", what, calls, "EACCES|EPERM|ENOENT|EXDEV", None)
    for what, calls in [("the kernel's rings", [("io_uring_setup", 8, "z:128")]),
                        ("a process unseen", [("clone3", "z:88", 88)])]:
        w.check("worker", what, calls, "ENOSYS", None)
    for what, calls, told in [
            *loud(w, w.relay.child("relay")),
            ("end the master", [("kill", w.relay.pid, signal.SIGKILL)], "kill"),
            ("a copy of itself", [("fork",)], "fork"),
            ("a thread", [("clone", 0x10f00, 0, 0, 0, 0)], "clone"),
            ("connect", [("socket", socket.AF_INET, socket.SOCK_STREAM, 0), ("connect", "@", f"4:{w.other.port}", 16)], "socket"),
            ("local services", [("socket", socket.AF_UNIX, socket.SOCK_STREAM, 0), ("connect", "@", "u:/run/x", 110)], "socket"),
            ("connect by a socket it has", [("connect", 0, f"4:{w.other.port}", 16)], "connect"),
            ("code of its own", [("mmap", 0, 4096, PROT_RX, MAP_ANON, -1, 0)], "mmap"),
            ("readable for others", [("chmod", f"s:{first}", 0o644)], "chmod"),
            ("list by a descriptor it has", [("getdents64", 0, "z:256", 256)], "getdents64")]:
        w.check("worker", what, calls, KILLED, told)
    equal(w.relay.queue(), w.ids, "the queue")
    w.still_serves()


def test_worker(t):
    worker_is_confined(World(t))


def test_worker_of_one_user(t):
    """Without root at the start there is no user to hide behind: the rest must do."""
    need_landlock()
    worker_is_confined(World(t, one_user=True))


def test_datagrams(t):
    """What a worker has open and what it may open sends to nobody but whom it was made for."""
    w = World(t)
    service = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    path = w.t.tmp / "service"
    service.bind(str(path))
    path.chmod(0o777)
    pid = w.worker()
    sockets = [fd for fd in os.listdir(f"/proc/{pid}/fd") if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:")]
    assert len(sockets) > 4, sockets
    # of a pair of packets the address is ignored
    inject(t, pid, *[("sendto", fd, f"s:{fd:>3}", 3, socket.MSG_NOSIGNAL, f"u:{path}", 110) for fd in sockets])
    try:
        fd = int(service.recv(3))
        raise AssertionError(f"descriptor {fd} sends to everybody")
    except BlockingIOError:
        pass
    w.check("worker", "a pair of them", [("socketpair", socket.AF_UNIX, socket.SOCK_DGRAM, 0, "z:8")], KILLED, "socketpair")
    w.still_serves()


def test_scoreboard(t):
    """Who can write to what workers share cannot have the master end the others: only modules have a deadline there."""
    w = World(t)
    pids = sorted(p for p in w.relay.children("worker"))
    pid, seen = pids[0], {}
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "r+b", 0) as mem:
        for line in maps:
            span, modes = line.split()[:2]
            begin, end = (int(x, 16) for x in span.split("-"))
            if modes != "rw-s":
                continue
            mem.seek(begin)
            data = mem.read(end - begin)
            places = {p: data.find(p.to_bytes(4, "little")) for p in pids}
            if sum(at >= 0 for at in places.values()) > WORKERS / 2:
                seen = {at: begin for at in places.values() if at >= 0}
                break
        at = sorted(seen)
        size = min(b - a for a, b in zip(at, at[1:]))
        for place in at:  # the end of a slot: the deadline, two texts (master/scoreboard.h)
            mem.seek(seen[place] + place - 8 + size - 88)
            mem.write((1).to_bytes(8, "little") + b"module".ljust(40, b"\0") + b"function".ljust(40, b"\0"))
    end = time.monotonic() + 2.5  # the master looks each second
    while time.monotonic() < end:
        time.sleep(0.1)
        assert not w.relay.events("module_timeout"), w.relay.events("module_timeout")
    equal([p for p in pids if not harness.process_alive(p)], [], "workers ended")
    w.still_serves()


def need_landlock(least=2):
    abi = landlock_abi()
    if abi < least:
        raise Skip(f"this kernel's Landlock is of ABI {abi}, not {least}")


def landlock_abi():
    import ctypes
    abi = ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1)
    return max(abi, 0)


def credentials(w):
    """A file that is in /run as systemd's credentials are, and that our user may read."""
    folder = pathlib.Path(f"/run/posthouse-test-{w.relay.pid}")
    folder.mkdir()
    w.t.later(shutil.rmtree, folder)
    secret = folder / "key"
    secret.write_text("secret")
    secret.chmod(0o644)
    return secret


def relay_is_confined(w, one_user):
    w.check("relay", "what others are given", [open_file(credentials(w))], "EACCES", None)
    w.check("relay", "who has which name", [open_file("/etc/nsswitch.conf")], r"\d+|ENOENT", None)
    for what, calls in quiet(w):
        # it has the password already; as one user with it, and in /etc, it could read the file again
        w.check("relay", what, calls, "EACCES|EPERM|ENOENT", None)
    if landlock_abi() >= 4:
        w.check("relay", "connect elsewhere", [("socket", socket.AF_INET, socket.SOCK_STREAM, 0),
                                               ("connect", "@", f"4:{w.other.port}", 16)], "EACCES", None)
    w.check("relay", "its own queue", [open_file(w.queue / w.ids[0])], r"\d+", None)
    cases = loud(w, w.worker())
    for what, calls, told in cases[:2] + [("end the master", [("kill", w.relay.pid, signal.SIGKILL)], "kill"),
                                          ("a process", [("fork",)], "fork")]:
        w.check("relay", what, calls, KILLED, told)
    assert not w.other.sessions
    w.still_serves()


def test_relay(t):
    need_landlock()
    relay_is_confined(World(t), False)


def test_relay_of_one_user(t):
    need_landlock()
    relay_is_confined(World(t, one_user=True), True)


def auth_is_confined(w):
    for what, calls in quiet(w):
        if what != "what users log in with":
            w.check("auth", what, calls, "EACCES|EPERM|ENOENT", None)
    w.check("auth", "the queue", [open_file(w.queue / w.ids[0])], "EACCES", None)
    cases = loud(w, w.worker())
    for what, calls, told in cases[:2] + [
            ("connect", [("socket", socket.AF_INET, socket.SOCK_STREAM, 0), ("connect", "@", f"4:{w.other.port}", 16)], "socket")]:
        w.check("auth", what, calls, KILLED, told)
    if landlock_abi() >= 6:
        w.check("auth", "end the master", [("kill", w.relay.pid, signal.SIGKILL)], "EPERM", None)
    w.still_serves()


def test_auth(t):
    need_landlock()
    auth_is_confined(World(t))


def test_auth_of_one_user(t):
    need_landlock()
    # the users file is in a folder of its own there: the folder's other files would be readable
    auth_is_confined(World(t, one_user=True))


def test_keys(t):
    """It opens no file at all, of whatever name."""
    w = World(t)
    for what, calls, told in [("a message", [open_file(w.message)], "open"),
                              ("the upstream's password", [open_file(w.secret)], "open"), *loud(w, w.worker())[:2],
                              ("connect", [("socket", socket.AF_INET, socket.SOCK_STREAM, 0)], "socket")]:
        w.check("keys", what, calls, KILLED, told)
    w.still_serves()


def monitor_is_confined(w):
    for what, calls in [*quiet(w), ("a message", [open_file(w.message)]), ("system files", [open_file("/etc/passwd")]),
                        ("list the queue", [open_file(w.queue, O_RDONLY | O_DIRECTORY)])]:
        w.check("monitor", what, calls, "EACCES|EPERM|ENOENT", None)
    for what, calls, told in [*loud(w, w.worker())[:2], ("end the master", [("kill", w.relay.pid, signal.SIGKILL)], "kill"),
                              ("connect", [("socket", socket.AF_INET, socket.SOCK_STREAM, 0)], "socket")]:
        w.check("monitor", what, calls, KILLED, told)
    w.still_serves()


def test_monitor(t):
    need_landlock()
    monitor_is_confined(World(t))


def test_monitor_of_one_user(t):
    need_landlock()
    monitor_is_confined(World(t, one_user=True))


def test_logger(t):
    """Who writes the log's file has one. It has no listener: it writes what the master would say of it."""
    need_landlock()
    w = World(t)
    log = t.tmp / "posthouse.log"
    relay = t.daemon(w.dead, config=f'log = "{log}"\n')
    relay.violations_expected = True
    wait_until(lambda: log.exists() and "event=ready" in log.read_text(), "the service to be ready")

    def logger():
        found = [pid for pid in harness.processes_of_session(relay.pid) if harness.process_title(pid).endswith("logger")]
        return found[0] if found else 0

    for what, calls in [*quiet(w), ("a message", [open_file(w.message)]), ("its own log", [open_file(log)])]:
        seen = inject(t, logger(), *calls)
        assert seen[-1] in ("EACCES", "EPERM", "ENOENT"), f"{what}: {seen}"
    for what, calls, _ in [*loud(w, w.worker())[:2],
                           ("connect", [("socket", socket.AF_INET, socket.SOCK_STREAM, 0)], "socket")]:
        pid = logger()
        seen = inject(t, pid, *calls)
        # or the call's number: the kernel has taken it back, and ends the process when it goes on
        assert not seen or seen[-1] == "killed SYS" or re.fullmatch(r"\d+", seen[-1]), f"{what}: {seen}"
        wait_until(lambda: logger() not in (0, pid), f"{what}: the next one, {seen}")


def test_programs(t):
    """What an operator's program may be is not known: only what no such program needs is refused, with an error."""
    w = World(t)
    # its user is nobody else's
    for what, calls in [*[case for case in quiet(w) if case[0] in ("the upstream's password", "the key of the certificate",
                                                                   "what users log in with", "the master's memory")],
                        ("a message", [open_file(w.message)]), ("the queue", [open_file(w.queue, O_RDONLY | O_DIRECTORY)])]:
        w.check("programs", what, calls, "EACCES", None)
    for what, calls, told in [("debug another process", [("ptrace", PTRACE_ATTACH, w.worker(), 0, 0)], "ptrace"),
                              ("mount", [("mount", "s:none", "s:/tmp", "s:tmpfs", 0, 0)], "mount"),
                              ("a namespace", [("unshare", CLONE_NEWUSER)], "unshare")]:
        w.check("programs", what, calls, "EPERM", told)
    w.still_serves()


def test_programs_of_one_user(t):
    need_landlock(6)
    w = World(t, one_user=True)
    w.check("programs", "end the master", [("kill", w.relay.pid, signal.SIGKILL)], "EPERM", None)
    w.still_serves()


def test_worker_of_proxy(t):
    """It has the upstream's password, and may connect; to the upstream's port, and to begin nothing."""
    need_landlock(4)
    w = World(t)
    relay = w.relay = t.daemon(w.dead, config='handler = "proxy"\nmin_spare = 10\nmax_spare = 12\n',
                             env={**os.environ, "TMPDIR": str(t.tmp / "scratch")}).ready()
    relay.violations_expected = True
    for what, calls in [*quiet(w), ("a message", [open_file(w.message)]), ("what others are given", [open_file(credentials(w))]),
                        ("connect elsewhere", [("socket", socket.AF_INET, socket.SOCK_STREAM, 0),
                                               ("connect", "@", f"4:{w.other.port}", 16)])]:
        w.check("worker", what, calls, "EACCES|EPERM|ENOENT", None)
    w.check("worker", "the upstream", [("socket", socket.AF_INET, socket.SOCK_STREAM, 0),
                                       ("connect", "@", f"4:{w.dead.port}", 16)], "ECONNREFUSED", None)
    for what, calls, told in [*loud(w, w.worker()), ("end the master", [("kill", relay.pid, signal.SIGKILL)], "kill"),
                              ("a copy of itself", [("fork",)], "fork")]:
        w.check("worker", what, calls, KILLED, told)
    assert not w.other.sessions


def gave_up(w):
    """What no role has any more, whoever it is."""
    for role in ("worker", "relay", "auth", "keys", "programs", "monitor"):
        pid = w.pid(role)
        status = dict(line.split(":\t", 1) for line in open(f"/proc/{pid}/status", encoding="ascii") if ":\t" in line)
        equal({name: status[name].strip() for name in ("NoNewPrivs", "Seccomp", "CapEff", "CapPrm", "CapAmb", "CapInh")},
              {"NoNewPrivs": "1", "Seccomp": "2", **dict.fromkeys(("CapEff", "CapPrm", "CapAmb", "CapInh"), "0" * 16)}, role)
        assert "0" not in status["Uid"].split() and "0" not in status["Gid"].split(), f"{role}: {status}"
        limits = dict(re.findall(r"^(Max .*?)  +(\S+)", open(f"/proc/{pid}/limits", encoding="ascii").read(), re.M))
        if role in ("worker", "monitor"):
            equal(limits["Max processes"], "0", f"{role}: processes")
            assert int(limits["Max open files"]) < 1000, f"{role}: {limits}"


def test_what_each_gave_up(t):
    gave_up(World(t))


def test_what_each_gave_up_of_one_user(t):
    gave_up(World(t, one_user=True))


def test_memory_is_nobodys(t):
    """Others of the same user see neither memory nor descriptors, and cannot debug."""
    w = World(t, one_user=True)
    look = ("import os,sys,ctypes\n"
            "for p in sys.argv[1:]:\n"
            "  for name in ('mem', 'environ', 'maps'):\n"
            "    try: open(f'/proc/{p}/{name}', 'rb').read(1); print(p, name)\n"
            "    except PermissionError: pass\n"
            "  try: print(p, os.listdir(f'/proc/{p}/fd'))\n"
            "  except PermissionError: pass\n"
            "  if ctypes.CDLL(None).ptrace(16, int(p), 0, 0) == 0: print(p, 'ptrace')\n")
    # the master has no key in its memory, and the file with them open
    for role in ("master", "worker", "relay", "auth", "keys", "programs", "monitor"):
        pid = w.pid(role)
        done = t.run([*harness.as_user(pwd.getpwnam("nobody")), sys.executable, "-c", look, pid], check=0)
        equal(done.stdout.decode(), "", f"what can be seen of {role}")
    for role in ("worker", "relay", "auth", "keys", "monitor"):
        limits = open(f"/proc/{w.pid(role)}/limits", encoding="ascii").read()
        assert re.search(r"^Max core file size +0 +0 ", limits, re.M), f"{role}: {limits}"


# ---- the modes -----------------------------------------------------------------------------------

def test_log(t):
    """Told of, and done: the way to find out what a table lacks."""
    w = World(t, more="seccomp = log\n")
    pid = w.worker()
    seen = inject(t, pid, ("socket", socket.AF_INET, socket.SOCK_STREAM, 0))
    assert int(seen[0]) > 2, seen
    event = w.relay.wait_for("sandbox_violation", pid=pid)
    equal((event["role"], event["syscall"], event["action"]), ("worker", "socket", "allowed"), "what is told")
    assert harness.process_alive(pid)
    # files are Landlock's
    equal(inject(t, pid, open_file("/etc/passwd")), ["EACCES"], "a file")
    # again and again: told once a second
    inject(t, pid, *[("socket", socket.AF_INET, socket.SOCK_STREAM, 0)] * 40)
    assert len(w.relay.events("sandbox_violation")) <= 5, w.relay.events("sandbox_violation")
    w.still_serves()


def test_off(t):
    w = World(t, one_user=True, more="seccomp = off\nlandlock = no\n")
    event = w.relay.wait_for("sandbox")
    equal((event["seccomp"], event["landlock"]), ("off", "0"), "what the log says")
    for role in ("worker", "relay", "auth", "keys", "programs", "monitor"):
        status = open(f"/proc/{w.pid(role)}/status", encoding="ascii").read()
        assert "\nSeccomp:\t0" in status, role
    w.still_serves()


def test_switched_off_by_a_reload(t):
    """Who has no filter has no listener of another's either: with one a process answers for what others may do."""
    need_root()
    if harness.sanitized():
        raise Skip("built with a sanitizer: there is no sandbox")
    relay = t.daemon(harness.ReservedPort(t), config="min_spare = 1\n").ready()
    if relay.wait_for("sandbox").get("lacks", "").find("seccomp") >= 0:
        raise Skip("there are no seccomp listeners here")
    config = t.config("min_spare = 1\nseccomp = off\n", harness.ReservedPort(t), spool=relay.spool,
                      listen=f"127.0.0.1:{relay.port}")
    before = relay.child("worker")
    relay.signal(signal.SIGHUP)
    relay.wait_for("ready", count=2)
    assert config.name == "posthoused.conf"
    pid = wait_until(lambda: [p for p in relay.children("worker") if p != before], "a worker without a filter")[0]
    files = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    equal([f for f in files if "seccomp" in f], [], "listeners in a worker")


def test_what_there_is_is_told(t):
    relay = t.daemon(harness.ReservedPort(t), config="").ready()
    event = relay.wait_for("sandbox")
    if harness.sanitized():
        assert "sanitizer" in event["lacks"], event
        return
    equal((event["seccomp"], event["landlock"]), ("enforce", str(landlock_abi())), "what the log says")


def test_where_there_is_none(t):
    """An old kernel does not know the calls, a container forbids them: everything works, and it is told what is missing."""
    for what, error in (("seccomp", "ENOSYS"), ("seccomp", "EPERM"), ("landlock", "ENOSYS"), ("landlock", "EPERM")):
        w = World(t, one_user=error == "EPERM", prefix=[BUILDDIR / "tests/sandbox/inject", "--without", what, error])
        event = w.relay.wait_for("sandbox")
        equal((event["seccomp"], event["landlock"]),
              ("off", str(landlock_abi())) if what == "seccomp" else ("enforce", "0"), f"{what}, {error}")
        assert re.search("no seccomp filters" if what == "seccomp" else "no Landlock", event["lacks"]), event
        # the other fences are there
        pid = w.worker()
        if what == "landlock":
            w.check("worker", "a file", [open_file(w.secret)], "EACCES" if error == "ENOSYS" else r"\d+", None)
            w.check("worker", "connect", [("socket", socket.AF_INET, socket.SOCK_STREAM, 0)], KILLED, "socket")
        elif landlock_abi() >= 2:
            equal(inject(t, pid, open_file("/etc/passwd")), ["EACCES"], "a file")
        w.still_serves()
        w.relay.stop()
        shutil.rmtree(w.home)
        shutil.rmtree(w.t.tmp / "scratch")
        shutil.rmtree(w.t.tmp / "logins")


def test_beside_a_listener_of_the_container(t):
    """One listener is all that a process can have: then the kernel ends who does the forbidden, and the log says SYS."""
    w = World(t, prefix=[BUILDDIR / "tests/sandbox/inject", "--listener"])
    assert "no seccomp listeners" in w.relay.wait_for("sandbox")["lacks"]
    pid = w.worker()
    seen = inject(t, pid, ("socket", socket.AF_INET, socket.SOCK_STREAM, 0))
    # or the call's number: the kernel has taken it back, and ends the process when it goes on
    assert seen[0] in ("killed SYS", "41"), seen
    w.relay.wait_for("child_exited", pid=pid, signal="SYS")
    w.still_serves()


def test_in_the_midst_of_content(t):
    """A session is lost, and no message: who sent half of one comes again, who sent the whole has an answer."""
    w = World(t)
    with Client(w.relay) as client, Client(w.relay) as other:
        other.mail()
        client.mail()
        client.cmd("DATA", 354)
        client.send(CONTENT * 1000)
        port = client.socket.getsockname()[1]
        pid = [p for p in w.relay.children("worker") if harness.process_title(p).endswith(f":{port}")][0]
        inject(t, pid, ("execve", "s:/bin/sh", "p:/bin/sh", 0))
        equal(client.at_eof(), b"", "what the client hears")
        event = w.relay.wait_for("sandbox_violation", pid=pid)
        equal((event["role"], event["syscall"], event["action"]), ("worker", "execve", "killed"), "what is told")
        equal(w.relay.queue(), w.ids, "the queue")
        other.data(CONTENT)
    wait_until(lambda: len(w.relay.queue()) == 3, "the other's message")


def test_in_vain_again_and_again(t):
    """Whoever gets workers killed keeps nobody from being served."""
    w = World(t)
    begin = time.monotonic()
    for _ in range(2 * WORKERS):
        inject(t, w.worker(), ("execve", "s:/bin/sh", "p:/bin/sh", 0))
    with Client(w.relay) as client:
        client.message(CONTENT)
    t.comment(f"{2 * WORKERS} workers killed and replaced in {time.monotonic() - begin:.1f} s")
    w.relay.wait_for("sandbox_violation", syscall="execve")


if __name__ == "__main__":
    harness.main(__name__)

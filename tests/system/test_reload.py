# SPDX-License-Identifier: ISC
"""HUP and USR2: the configuration and the executable change while clients come and go, and nothing is lost."""

import concurrent.futures
import os
import pwd
import re
import shutil
import signal
import socket
import threading
import time

import harness
from certificates import Pki, TlsClient
from harness import AUTH_USER, BUILDDIR, Skip, equal, put_program, wait_until
from smtp_peers import STALL, Client, Upstream
from test_auth import PASSWORD, mechanisms, plain
from test_systemd import Supervisor

CONTENT = b"Subject: reload\r\n\r\nbody\r\n"
POOL = "min_spare = 2\nmax_spare = 4\nmax_workers = 30\n"


class World:
    """A daemon whose configuration file, and whose executable, can be replaced."""

    def __init__(self, t, config="", own_program=False, name="posthoused", **options):
        self.t, self.upstream, self.program = t, Upstream(t), None
        if own_program:
            self.program = t.tmp / f"bin-{name}" / "posthoused"
            self.program.parent.mkdir()
            self.put_program()
        self.relay = t.daemon(self.upstream, config=POOL + config, program=self.program, name=name, **options).ready()
        self.file = t.tmp / f"{name}.conf"
        self.text = self.file.read_text()
        self.seen = self.relay.events_seen[-1]

    def put_program(self, name="posthoused"):
        """As a package does it: a new file takes the name of the old one."""
        source = BUILDDIR / name
        if not source.exists():
            raise Skip(f"{source} is not built (make check builds it)")
        put_program(self.program, source.read_bytes())

    def put_script(self, text):
        put_program(self.program, "#!/bin/sh\n" + text)

    def put(self, text=None, **keys):
        """Writes the file anew: other text, or other values of keys (None: without that key)."""
        text = self.text if text is None else text
        for key, value in keys.items():
            text = re.sub(rf"^{key} = .*\n", "", text, flags=re.M)
            if value is not None:
                text = f"{key} = {value}\n" + text
        self.text = text
        fresh = self.file.with_name("fresh.conf")
        fresh.write_text(text)
        os.rename(fresh, self.file)

    def signal(self, number):
        self.seen = self.relay.events_seen[-1]
        os.kill(self.relay.pid, number)

    def wait_first(self, name, **fields):
        return self.relay.wait_for(name, **fields)

    def wait(self, name, **fields):
        return self.relay.wait_for(name, after=self.seen, **fields)

    def reload(self, *args, **keys):
        """And waits until all is in place."""
        self.put(*args, **keys)
        self.signal(signal.SIGHUP)
        self.wait("reloaded", what="configuration")
        self.wait("ready")

    def refused(self, why, *args, **keys):
        before = self.text
        self.put(*args, **keys)
        self.signal(signal.SIGHUP)
        refusal = self.wait("reload_refused", msg=re.compile(why))
        equal(refusal["kept"], "the old", "what is kept")
        self.put(before)

    def upgrade(self):
        self.signal(signal.SIGUSR2)
        self.wait("ready")

    def executable(self):
        return harness.executable(self.relay.pid)

    def runs_another(self, before):
        return before is None or self.executable() != before

    def delivers(self):
        before = len(self.upstream.messages)
        with Client(self.relay) as client:
            client.message(CONTENT)
            client.quit()
        self.upstream.wait_messages(before + 1)

    def hostname(self):
        with Client(self.relay) as client:
            name = client.greeting.text.split()[0]
            client.quit()
        return name

    def is_clean(self):
        """No child ended in disorder."""
        equal([e for e in self.relay.events("child_exited") if e["status"] != "done"], [], "disorderly ends")


# ---- all at once --------------------------------------------------------------------

class Load:
    """Clients that come as fast as they can; whatever goes wrong for one of them is kept."""

    def __init__(self, world, kinds):
        self.world, self.stop = world, threading.Event()
        self.trouble, self.sessions, self.accepted = [], 0, []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(kind, number)) for number, kind in enumerate(kinds)]
        for thread in self.threads:
            thread.start()

    def _run(self, kind, number):
        count = 0
        while not self.stop.is_set():
            count += 1
            try:
                sent = kind(self.world, f"c{number}n{count}")
            except Exception as e:
                self.trouble.append(f"{kind.__name__} {count}: {e!r}")
                return
            with self.lock:
                self.sessions += 1
                self.accepted += sent

    def wait_sessions(self, count):
        """That many more."""
        wanted = self.sessions + count
        wait_until(lambda: self.sessions >= wanted or self.trouble, f"{count} more sessions")

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(harness.DEADLINE)
        equal(self.trouble, [], "failed sessions")


def look_in(world, name):
    with Client(world.relay) as client:
        client.cmd("NOOP", 250)
        client.cmd("QUIT", 221)
    return []


def send_one(world, name):
    with Client(world.relay) as client:
        client.message(CONTENT, sender=f"{name}@client.test")
        client.cmd("QUIT", 221)
    return [name]


def send_slowly(world, name):
    """A session that outlives several generations."""
    sent = []
    with Client(world.relay) as client:
        for number in range(6):
            client.message(CONTENT, sender=f"{name}m{number}@client.test")
            sent.append(f"{name}m{number}")
            world.load_slowness.wait(0.15)
        client.cmd("QUIT", 221)
    return sent


def log_in_and_send(world, name):
    with TlsClient(world.relay, world.pki.context()) as client:
        client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}", 235)
        client.message(CONTENT, sender=f"{name}@client.test")
        client.cmd("QUIT", 221)
    return [name]


def auth_config(t, pki):
    users = t.tmp / "users"
    t.posthouse("user", "--file", users, "--stdin", "--cram-md5", "add", "alice", data=PASSWORD.encode() + b"\n")
    if os.geteuid() == 0:
        shutil.chown(users, AUTH_USER, pwd.getpwnam(AUTH_USER).pw_gid)
    users.chmod(0o600)
    return (f'auth = offered\nauth_users_file = "{users}"\nauth_failure_delay = 0\ntls = starttls\n' + pki.pair().config())


def check_all_arrived(world, load):
    world.upstream.wait_messages(len(load.accepted))
    senders = [m.sender.partition("@")[0] for m in world.upstream.messages]
    equal(sorted(set(senders)), sorted(load.accepted), "accepted and delivered")
    equal(len(senders) - len(set(senders)), 0, "duplicates")
    wait_until(lambda: not world.relay.queue(), "an empty spool")


def test_load_over_reloads_and_upgrades(t):
    """Thousands of sessions over 20 reloads and 5 executables: each is served, each message arrives once."""
    pki = Pki(t)
    world = World(t, auth_config(t, pki) + 'metrics_listen = {"127.0.0.1:0"}\n', own_program=True)
    figures = world.wait_first("metrics_listening")["localaddr"]
    world.pki, world.load_slowness = pki, threading.Event()
    load = Load(world, [look_in, look_in, send_one, send_one, send_slowly, send_slowly, log_in_and_send])
    for turn in range(25):
        if turn % 5 == 4:
            world.put_program("posthoused" if turn % 2 else "tests/reload/posthoused_other")
            old = world.executable()
            world.upgrade()
            assert world.runs_another(old), "the executable is another"
        else:
            world.reload(hostname=f'"turn{turn}.test"', max_recipients=100 + turn)
        assert not load.trouble, load.trouble
        load.wait_sessions(60)
    load.end()
    t.comment(f"{load.sessions} sessions, {len(load.accepted)} messages over 20 reloads and 5 upgrades")
    check_all_arrived(world, load)
    world.is_clean()
    equal(world.relay.events("tls_failed") + world.relay.events("auth_error"), [], "trouble in the log")
    # figures are asked for where they were, and nothing was done that a role may not do
    with socket.create_connection(("127.0.0.1", int(figures.rpartition(":")[2]))) as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1."), "figures"
    equal(world.relay.events("sandbox_violation"), [], "violations")
    wait_until(lambda: len(world.relay.children("auth")) == 1, "the auth processes of old generations to be gone")


# ---- what changes ---------------------------------------------------------------------

def test_keys_of_each_kind(t):
    world = World(t)
    relay = world.relay
    old = Client(relay)
    world.reload(hostname='"fresh.test"', data_size_limit=1000, log_level="debug", listen_backlog=7)
    with Client(relay) as client:
        equal(client.greeting.text.split()[0], "fresh.test", "hostname")
        assert any(line == "SIZE 1000" for line in client.ehlo.lines), client.ehlo
        client.cmd("MAIL FROM:<a@b.test> SIZE=2000", 552)
    world.wait("dialogue")
    # who was there before goes on as it was
    old.cmd("MAIL FROM:<a@b.test> SIZE=2000", 250)
    old.cmd("RSET", 250)
    old.quit()
    # another upstream, for what is queued already, too
    world.upstream.on("MAIL", "451 4.3.0 not here")
    with Client(relay) as client:
        client.message(CONTENT)
    relay.wait_for("deferred")
    other = Upstream(t)
    world.reload(remoteaddr=f'"127.0.0.1:{other.port}"', retry_min="1s", log_level=None, retry_max="1s")
    other.wait_messages(1)
    # a rule, and a table
    table = t.tmp / "clients"
    table.write_text("127.0.0.1 reject\n")
    world.reload(client_access=f'"{table}"')
    equal(Client(relay, helo=None).reply().code, 554, "a client of the table")
    world.reload(client_access=None)
    with Client(relay) as client:
        client.message(CONTENT)
    other.wait_messages(2)
    world.is_clean()


def test_pool_grows_and_shrinks(t):
    """max_workers may be larger than it was at the start, and smaller."""
    world = World(t, "limits_exempt = {\"127.0.0.0/8\"}\n")
    world.reload(max_workers=4, max_spare=2, min_spare=1)
    clients = [Client(world.relay) for _ in range(4)]
    fifth = socket.create_connection(("127.0.0.1", world.relay.port))
    fifth.settimeout(0.3)
    try:
        equal(fifth.recv(100), b"", "said to one too many")
    except socket.timeout:
        pass
    world.reload(max_workers=60)
    fifth.settimeout(harness.DEADLINE)
    assert fifth.recv(100).startswith(b"220 "), "who waited is served"
    fifth.close()
    clients += [Client(world.relay) for _ in range(46)]
    for client in clients:
        client.cmd("NOOP", 250)
    for client in clients:
        client.quit()
    world.delivers()
    world.is_clean()


def test_handlers(t):
    """From one without a spool to the spool; not back, as nobody would deliver what is in it."""
    world = World(t, 'handler = "proxy"\n')
    world.delivers()
    old = Client(world.relay)
    world.reload(handler=None)
    old.message(CONTENT)
    old.quit()
    world.delivers()
    world.relay.child("relay")
    world.refused("handler cannot change", handler='"proxy"')
    world.refused("handler cannot change", handler='"debug"')
    world.delivers()
    world.is_clean()


def test_pid_file_moves(t):
    folder = t.tmp / "run"
    folder.mkdir()
    world = World(t, f'pid_file = "{folder}/a"\n', own_program=True)
    world.reload(pid_file=f'"{folder}/b"')
    assert not (folder / "a").exists(), "the old pid file"
    equal((folder / "b").read_text().strip(), str(world.relay.pid), "pid file")
    world.put_program()
    world.upgrade()
    equal((folder / "b").read_text().strip(), str(world.relay.pid), "pid file")
    world.reload(pid_file=None)
    equal(list(folder.iterdir()), [], "pid files")
    world.reload(pid_file=f'"{folder}/c"')
    world.relay.stop()
    equal(list(folder.iterdir()), [], "pid files after a stop")


def test_old_sessions_keep_their_auth(t):
    """STARTTLS and AUTH of a session that began before: with what held then; its auth process goes with it."""
    pki = Pki(t)
    world = World(t, auth_config(t, pki))
    relay = world.relay
    old, older = TlsClient(relay), TlsClient(relay)
    first = relay.child("auth")
    world.reload(auth=None, auth_users_file=None, auth_failure_delay=None)
    with TlsClient(relay, pki.context()) as client:
        equal(mechanisms(client), None, "AUTH now")
    equal(relay.children("auth"), [first], "auth processes")
    for client in (old, older):
        client.start_tls(pki.context())
        client.ehlo = client.cmd("EHLO client.test", 250)
        assert mechanisms(client), "AUTH in the old session"
        client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}", 235)
        client.message(CONTENT)
    old.quit()
    equal(relay.children("auth"), [first], "auth processes")
    older.quit()
    wait_until(lambda: not relay.children("auth"), "the old auth process to end")
    world.upstream.wait_messages(2)
    # and on again, for who comes from now on
    again = Client(relay)
    world.reload("auth = offered\nauth_without_tls = yes\nauth_failure_delay = 0\n"
                 f'auth_users_file = "{t.tmp}/users"\n' + world.text)
    equal(mechanisms(again), None, "AUTH in the old session")
    with Client(relay) as client:
        client.cmd(f"AUTH PLAIN {plain('alice', PASSWORD)}", 235)
    again.quit()
    world.is_clean()


# ---- listeners ---------------------------------------------------------------------------

def listening(world, count, after=None):
    return {e["listener"]: e["localaddr"] for e in world.relay.wait_for("listening", count=count, after=after)[:count]}


def client_at(address, helo="client.test"):
    return Client(int(address.rpartition(":")[2]), helo=helo)


def take_turn(client):
    client.expect(220)
    client.cmd("QUIT", 221)


def test_listeners_come_and_go(t):
    """An address that stays keeps its socket; who waits in the backlog of one that goes is served first."""
    world = World(t, 'listener "a" { localaddr = "127.0.0.1:0" }\nlistener "b" { localaddr = "127.0.0.1:0" }\n'
                  "limits_exempt = {\"127.0.0.0/8\"}\n")
    at = listening(world, 2)
    # all workers busy, and more clients in the backlogs
    world.reload(max_workers=3, min_spare=1, max_spare=2)
    busy = [client_at(at["a"]) for _ in range(3)]
    waiting = [client_at(at[name], helo=None) for name in "bab" for _ in range(4)]
    path = t.tmp / "submit"
    t.tmp.chmod(0o755)
    world.put(world.text.replace('listener "b" { localaddr = "127.0.0.1:0" }', f'listener "c" {{ localaddr = "unix:{path}" }}'))
    world.signal(signal.SIGHUP)
    world.wait("reloaded", what="configuration")
    equal([e["what"] for e in world.relay.events("reloaded") if e["what"] != "configuration"], [], "what is not there")
    world.wait("listening", listener="c")
    for client in busy:
        client.quit()
    with concurrent.futures.ThreadPoolExecutor(len(waiting)) as pool:
        for done in [pool.submit(take_turn, client) for client in waiting]:
            done.result()
    world.wait("ready")

    def is_refused():
        try:
            socket.create_connection(("127.0.0.1", int(at["b"].rpartition(":")[2])), timeout=0.5).close()
        except ConnectionRefusedError:
            return True
        except socket.timeout:
            pass
        return False
    wait_until(is_refused, "the address that is gone to be closed")
    client_at(at["a"]).quit()
    local = socket.socket(socket.AF_UNIX)
    local.connect(str(path))
    assert local.recv(100).startswith(b"220 "), "greeting"
    local.close()
    # the other way round: the socket file goes, the name of the other changes
    world.reload(re.sub(r'listener "c" \{.*\}\n', "", world.text).replace('listener "a"', 'listener "z"'))
    assert not path.exists(), "the file of a socket that is gone"
    client_at(at["a"]).quit()
    equal(world.wait("listening", listener="z")["localaddr"], at["a"], "address of the renamed listener")
    world.is_clean()


def test_address_written_otherwise(t):
    """The same address in other words is the same socket; one within it cannot be had."""
    world = World(t)
    port = world.relay.port
    with Client(world.relay) as client:
        world.reload(localaddr=f'"127.0.0.1:{port}"')
        client.cmd("NOOP", 250)
    world.delivers()
    world.refused("already in use", localaddr=f'"0.0.0.0:{port}"')
    world.delivers()


# ---- what is refused -----------------------------------------------------------------------

def test_bad_configurations(t):
    pki = Pki(t)
    world = World(t)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        occupied = f'listener "x" {{ localaddr = "127.0.0.1:{taken.getsockname()[1]}" }}\n'
        for why, args in (("posthoused.conf:1: .*nonsense", {"text": "nonsense = 1\n" + world.text}),
                          ("max_spare", {"max_spare": 1000}),
                          ("spool cannot change", {"spool": f'"{t.tmp}/elsewhere"'}),
                          ("No such file", {"sender_access": f'"{t.tmp}/none"'}),
                          ("No such file", {"tls_cert": f'"{t.tmp}/none"', "tls": "starttls"}),
                          ("already in use", {"text": world.text.replace("localaddr", occupied + "#")})):
            world.refused(why, **args)
            equal(world.hostname(), "relay.test", "hostname")
    # every mistake of it is told
    world.refused("nonsense", "nonsense = 1\nmax_workers = many\n" + world.text)
    world.wait("reload_refused", msg=re.compile("max_workers"))
    # as root, whose files the others read or write
    if os.geteuid() == 0:
        world.refused("user cannot change", user='"games"')
        world.refused("user.*no-such-user", auth_user='"no-such-user"', auth="offered", auth_without_tls="yes",
                      auth_users_file='"/nowhere"')
    world.file.rename(t.tmp / "away")
    world.signal(signal.SIGHUP)
    world.wait("reload_refused", msg=re.compile("No such file"))
    (t.tmp / "away").rename(world.file)
    world.delivers()
    world.reload(hostname='"good.test"', **{"tls": "starttls"}, text=pki.pair().config() + world.text)
    equal(world.hostname(), "good.test", "hostname")
    world.delivers()
    world.is_clean()


def test_two_at_once(t):
    """The file that is there at the last HUP counts, also when one is being read."""
    world = World(t)
    for turn in range(5):
        world.put(hostname=f'"first{turn}.test"')
        world.signal(signal.SIGHUP)
        os.kill(world.relay.pid, signal.SIGHUP)
        world.put(hostname=f'"second{turn}.test"')
        os.kill(world.relay.pid, signal.SIGHUP)
        wait_until(lambda n=turn: world.hostname() == f"second{n}.test", "the last configuration")
    world.delivers()
    world.is_clean()


def test_stop_in_the_midst(t):
    for number in (signal.SIGHUP, signal.SIGUSR2):
        world = World(t, "stop_timeout = 2s\n", name=f"relay{number}")
        client = Client(world.relay)
        client.cmd("MAIL FROM:<a@b.test>", 250)
        os.kill(world.relay.pid, number)
        world.relay.wait_for("reload" if number == signal.SIGHUP else "upgrade")
        begin = time.monotonic()
        world.relay.stop()
        assert time.monotonic() - begin < 8, "the stop is bounded"
        client.close()


def test_stop_with_old_generations(t):
    """All of them are told, and ended when they do not hear."""
    pki = Pki(t)
    world = World(t, auth_config(t, pki) + "stop_timeout = 1s\n")
    clients = [Client(world.relay)]
    for turn in range(3):
        world.reload(hostname=f'"turn{turn}.test"')
        clients.append(Client(world.relay))
    equal(len(world.relay.children("auth")), 4, "auth processes")
    for client in clients:
        client.cmd("MAIL FROM:<a@b.test>", 250)
    begin = time.monotonic()
    for pid in world.relay.children("auth")[:1]:
        os.kill(pid, signal.SIGSTOP)
    world.relay.stop()
    assert 1 <= time.monotonic() - begin < 8, "the stop is bounded"
    world.relay.wait_for("killed")


def test_slow_relay(t):
    """The next relay waits for the one before, and that not for ever; what it carried is sent again."""
    world = World(t, "stop_timeout = 2s\n")
    world.upstream.on("EOD", STALL, times=1)
    with Client(world.relay) as client:
        client.message(CONTENT)
    world.upstream.wait_stall("EOD")
    old = world.relay.child("relay")
    world.put(hostname='"fresh.test"', retry_min="1s", retry_max="1s")
    world.signal(signal.SIGHUP)
    world.wait("reloaded", what="configuration")
    with Client(world.relay) as client:  # is accepted meanwhile
        client.message(CONTENT)
    equal(world.relay.children("relay"), [old], "relays")
    world.wait("ready")
    world.upstream.wait_messages(2)
    assert world.relay.child("relay") != old, "another relay"
    # one that does not hear at all
    os.kill(stuck := world.relay.child("relay"), signal.SIGSTOP)
    world.reload(hostname='"again.test"')
    world.wait("killed")
    assert not harness.process_alive(stuck), "the relay that did not hear"
    world.delivers()


def test_states_that_the_disk_did_not_take(t):
    """The relay after it, and that of the next executable, know who has the message already, and save it at last."""
    world = World(t, 'retry_min = "10m"\nretry_max = "10m"\n', own_program=True)
    in_the_way = []

    def obstruct(_session, _line):
        in_the_way.append(world.relay.spool / "state" / f"{world.relay.queue()[0]}.new")
        in_the_way[0].mkdir()

    world.upstream.on("RCPT", "450 4.2.0 full", match="later@")
    world.upstream.on("EOD", obstruct, times=1)
    with Client(world.relay) as client:
        client.cmd("MAIL FROM:<a@client.test> RET=HDRS", 250)
        client.cmd("RCPT TO:<now@example.test> NOTIFY=SUCCESS", 250)
        client.cmd("RCPT TO:<later@example.test>", 250)
        client.data(CONTENT)
        client.quit()
    ident = world.wait("unsaved")["id"]
    for change in (lambda: world.reload(hostname='"fresh.test"'), world.upgrade, world.reload):
        change()
        world.wait("unsaved", id=ident)
    equal(len(world.upstream.messages), 1, "deliveries")
    in_the_way[0].rmdir()
    world.upstream.wait_messages(2)
    equal([m.rcpts for m in world.upstream.messages], [["now@example.test"], ["a@client.test"]], "deliveries, and the report")
    assert "status=delivered" in (world.relay.spool / "state" / ident).read_text(), "who has it"
    world.is_clean()


def test_children_that_die(t):
    world = World(t, auth_config(t, Pki(t)))
    for turn in range(6):
        world.put(hostname=f'"turn{turn}.test"')
        world.signal(signal.SIGHUP)
        for role in ("worker", "relay", "auth"):
            for pid in world.relay.children(role)[:2]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        world.wait("ready")
        wait_until(lambda n=turn: world.hostname() == f"turn{n}.test", "the new configuration")
    world.delivers()


# ---- the executable ----------------------------------------------------------------------------

def test_upgrade(t):
    """Same process, same children to their end, same socket; the session that was open goes on."""
    world = World(t, own_program=True)
    old = Client(world.relay)
    workers, port = set(world.relay.children("worker")), world.relay.port
    old.cmd("MAIL FROM:<a@b.test>", 250)
    for name in ("tests/reload/posthoused_other", "posthoused", "posthoused"):
        before = world.executable()
        world.put_program(name)
        world.upgrade()
        assert world.runs_another(before), "the executable is another"
        equal(world.wait("listening")["localaddr"], f"127.0.0.1:{port}", "address")
        world.delivers()
    wait_until(lambda: len(workers & set(world.relay.children("worker"))) == 1, "the idle workers to be gone")
    old.cmd("RCPT TO:<c@d.test>", 250)
    old.data(CONTENT)
    old.quit()
    world.upstream.wait_messages(4)
    wait_until(lambda: not workers & set(world.relay.children("worker")), "the last worker to be gone")
    world.reload(hostname='"fresh.test"')
    equal(world.hostname(), "fresh.test", "hostname")
    world.is_clean()


def test_watchdog_over_an_upgrade(t):
    """The next executable is not ready before the relay has made way; who supervises hears from it all the same."""
    s = Supervisor(t)
    world = World(t, "stop_timeout = 3s\n", own_program=True, env=s.environment(WATCHDOG_USEC="2000000"))
    world.upstream.on("EOD", STALL, times=1)
    with Client(world.relay) as client:
        client.message(CONTENT)
    world.upstream.wait_stall("EOD")
    world.put_program()
    world.signal(signal.SIGUSR2)
    world.wait("listening")  # says the next executable
    since = len(s.said)
    ready = s.wait_for("READY", after=since)
    assert s.wait_for("WATCHDOG", after=since) < ready, f"it was quiet: {s.said[since:]}"


def test_upgrade_by_command_line(t):
    """Without a configuration file, and with a spool named from where it was started."""
    program = t.tmp / "posthoused"
    put_program(program, (BUILDDIR / "posthoused").read_bytes())
    upstream = Upstream(t)
    relay = harness.Daemon(t, ["-F", "--spool", "here", "127.0.0.1:0", f"127.0.0.1:{upstream.port}"], spool=t.tmp / "here",
                           program="posthoused", cwd=t.tmp,
                           env={**os.environ, "PATH": f"{t.tmp}:{os.environ['PATH']}"})
    relay.ready()
    put_program(program, (BUILDDIR / "posthoused").read_bytes())
    for turn in range(3):
        os.kill(relay.pid, signal.SIGUSR2)
        relay.wait_for("ready", count=turn + 2)
        with Client(relay) as client:
            client.message(CONTENT)
        upstream.wait_messages(turn + 1)
    assert harness.executable(relay.pid) in (None, program.stat().st_ino), "executable"


def test_bad_executables(t):
    """Each is refused before anything has happened."""
    world = World(t, own_program=True)
    before = world.executable()
    for script, why in (("echo 'nothing works here' >&2; exit 1\n", "nothing works here"),
                        ("kill -SEGV $$\n", "SIGSEGV"),
                        # as an executable that does not know what is left to it
                        ('for a; do case $a in --handover=*) echo "posthoused: unknown option" >&2; exit 2;; esac; done\n',
                         "^unknown option")):
        world.put_script(script)
        world.signal(signal.SIGUSR2)
        world.wait("upgrade_refused", what="executable", msg=re.compile(why))
        world.delivers()
    put_program(world.program, b"no program")
    world.signal(signal.SIGUSR2)
    world.wait("upgrade_refused", what="executable", msg=re.compile("format error"))
    world.program.unlink()
    world.signal(signal.SIGUSR2)
    world.wait("upgrade_refused", what="executable", msg=re.compile("No such file"))
    # a good one, but not with this configuration
    world.put_program()
    good = world.text
    world.put("nonsense = 1\n" + good)
    world.signal(signal.SIGUSR2)
    world.wait("upgrade_refused", what="configuration", msg=re.compile("nonsense"))
    world.put(good)
    equal(world.executable(), before, "executable")
    world.delivers()
    world.upgrade()
    world.delivers()
    world.is_clean()


def test_way_back(t):
    """One that passes every test and then cannot start: the old one goes on in its place."""
    for where in ("start", "worker", "crash"):
        world = World(t, own_program=True, name=f"relay{where}", env={**os.environ, "PH_OTHER": where})
        before, old = world.executable(), Client(world.relay)
        for turn in range(2):
            world.put_program("tests/reload/posthoused_other")
            world.signal(signal.SIGUSR2)
            world.wait("upgrade_failed")
            world.wait("ready")
            equal(world.executable(), before, "executable")
            old.cmd("NOOP", 250)
            world.delivers()
        old.message(CONTENT)
        old.quit()
        # and from there to one that can
        world.put_program()
        world.upgrade()
        assert world.runs_another(before), "the executable is another"
        world.delivers()
        world.relay.stop()


def test_replaced_while_tried(t):
    """What runs is what was tried. And a HUP that came meanwhile is not forgotten when nothing becomes of it."""
    s = Supervisor(t)
    world = World(t, own_program=True, env=s.environment())
    before, here, go = world.executable(), t.tmp / "here", t.tmp / "go"
    world.put_script(f"""for a; do case $a in
--check) touch {here}; for n in 0 1 2 3 4 5 6 7 8 9; do [ -e {go} ] && exit 0; sleep 1; done;;
esac; done
exit 3
""")
    world.signal(signal.SIGUSR2)
    wait_until(here.exists, "the try")
    world.put(hostname='"meanwhile.test"')
    os.kill(world.relay.pid, signal.SIGHUP)
    world.put_script("exit 4\n")
    go.touch()
    world.wait("upgrade_refused", what="executable", msg=re.compile("replaced while it was tried"))
    world.wait("reloaded")
    wait_until(lambda: world.hostname() == "meanwhile.test", "the new name")
    equal(world.executable(), before, "executable")
    s.wait_for("READY", after=s.wait_for("RELOADING", after=s.wait_for("RELOADING") + 1))
    equal([key for _, said in s.said for key in said if key in ("READY", "RELOADING")],
          ["READY", "RELOADING", "READY", "RELOADING", "READY"], "what the supervisor is told")
    world.is_clean()


def test_broken_at_the_wrong_moment(t):
    """The configuration is written anew between its try and its use: nobody can start with it, until it is there."""
    world = World(t, own_program=True)
    before, old, away = world.executable(), Client(world.relay), t.tmp / "away.conf"
    world.put_script(f"""for a; do case $a in
--check) cp -p {world.file} {away}; : >{world.file}; exit 0;;
esac; done
(sleep 2; mv {away} {world.file}) >/dev/null 2>&1 </dev/null &
exec {BUILDDIR}/posthoused "$@"
""")
    world.signal(signal.SIGUSR2)
    world.wait("upgrade_failed", msg=re.compile("is missing"))
    world.wait("ready")
    equal(world.executable(), before, "executable")
    world.delivers()
    old.message(CONTENT)
    old.quit()
    world.upstream.wait_messages(2)
    world.is_clean()


def test_full_pool(t):
    """Sessions of before take all places, and last: that is ready all the same, and nobody goes back or ends for it."""
    world = World(t, own_program=True)
    world.reload(max_workers=2, min_spare=1, max_spare=2)
    old = [Client(world.relay) for _ in range(2)]
    world.reload(hostname='"fresh.test"')
    for _ in range(2):
        before = world.executable()
        world.put_program()
        world.upgrade()
        assert world.runs_another(before), "the executable is another"
    equal(world.hostname(), "fresh.test", "hostname")
    for client in old:
        client.message(CONTENT)
        client.quit()
    world.upstream.wait_messages(2)
    world.is_clean()


def test_new_executable_dies(t):
    """In the midst of taking over: as a master that is killed, its children end when they may, and no mail is lost."""
    world = World(t, own_program=True, env={**os.environ, "PH_OTHER": "exit"})
    client = Client(world.relay)
    client.message(CONTENT)
    world.put_program("tests/reload/posthoused_other")
    world.relay.stopped = True
    os.kill(world.relay.pid, signal.SIGUSR2)
    equal(world.relay.popen.wait(harness.DEADLINE), 3, "exit status")
    wait_until(lambda: not world.relay.leftovers(), "its children to be gone")
    world.upstream.wait_messages(1)
    again = t.daemon(world.upstream, config=POOL, spool=world.relay.spool, name="again").ready()
    with Client(again) as fresh:
        fresh.message(CONTENT)
    world.upstream.wait_messages(2)


def test_killed_masters(t):
    """In the midst of a reload, and of an upgrade: whatever moment that is, all is gone soon after."""
    for turn, number in enumerate((signal.SIGHUP, signal.SIGUSR2) * 3):
        world = World(t, "stop_timeout = 2s\n", name=f"relay{turn}")
        client = Client(world.relay)
        os.kill(world.relay.pid, number)
        time.sleep(0.01 * turn)  # any moment will do
        world.relay.kill9()
        wait_until(lambda w=world: not w.relay.leftovers(), "its children to be gone")
        client.close()


def test_background(t):
    """Started by a relative name, and with another working directory since."""
    (t.tmp / "d").mkdir()
    put_program(t.tmp / "d/posthoused", (BUILDDIR / "posthoused").read_bytes())
    upstream = Upstream(t)
    log = t.tmp / "log"
    path = t.config(f'log = "{log}"\n', upstream, spool=t.tmp / "spool")
    done = t.start(["./d/posthoused", "-f", path.name, "--pid-file", t.tmp / "pid"])
    equal(done.wait(), 0, "exit status")
    pid = int((t.tmp / "pid").read_text())
    t.later(lambda: os.kill(pid, signal.SIGKILL) if harness.process_alive(pid) else None)

    def events(text):
        return log.read_text().count(text) if log.exists() else 0

    wait_until(lambda: events("event=ready") == 1, "the first generation")
    path.write_text(path.read_text().replace("relay.test", "fresh.test"))
    os.kill(pid, signal.SIGHUP)
    wait_until(lambda: events("event=ready") == 2, "the second generation")
    os.kill(pid, signal.SIGUSR2)
    wait_until(lambda: events("event=ready") == 3, "the next executable")
    port = int(re.search(r"localaddr=127.0.0.1:(\d+)", log.read_text())[1])
    with Client(port) as client:
        equal(client.greeting.text.split()[0], "fresh.test", "hostname")
        client.message(CONTENT)
    upstream.wait_messages(1)
    equal(int((t.tmp / "pid").read_text()), pid, "pid file")
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not harness.process_alive(pid), "the end")
    assert not (t.tmp / "pid").exists(), "the pid file after the end"


if __name__ == "__main__":
    harness.main(__name__)

# SPDX-License-Identifier: ISC
"""The master: children that die, the pool that grows and shrinks, stopping,
rights, and what it says when it cannot start."""

import os
import pathlib
import pwd
import re
import signal
import socket
import time

import harness
from harness import equal, need_root, wait_until
from smtp_peers import STALL, Client, Upstream, delivers, without_received

CONTENT = b"Subject: supervision\r\n\r\nbody\r\n"
USAGE_ERROR, CONFIG_ERROR = 2, 1  # exit status


def small_pool(extra=""):
    return f"min_spare = 2\nmax_spare = 3\nmax_workers = 12\n{extra}"


# ---- children that die -----------------------------------------------------

def test_killed_worker_is_replaced(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=small_pool()).ready()
    delivers(relay, upstream)
    for pid in relay.children("worker"):
        os.kill(pid, signal.SIGKILL)
        gone = relay.wait_for("child_exited", pid=pid)
        equal(gone["role"], "worker", "role")
        assert re.search("9|kill", gone["status"], re.I), gone
    delivers(relay, upstream)


def test_killed_in_a_session(t):
    """The client of a killed worker loses its connection, the others notice nothing."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=small_pool()).ready()
    with Client(relay) as other, Client(relay) as client:
        other.mail()
        victim = worker_of(relay, client)
        os.kill(victim, signal.SIGKILL)
        relay.wait_for("child_exited", pid=victim)
        equal(client.at_eof(), b"", "what the killed session still said")
        other.data(CONTENT)
    delivers(relay, upstream)


def worker_of(relay, client):
    """The process whose title says that it has this client."""
    peer = f"127.0.0.1:{client.socket.getsockname()[1]}"

    def find():
        return next((pid for pid in relay.children("worker") if peer in harness.process_title(pid).split()), 0)
    return wait_until(find, "the worker of the session")


def test_killed_relay_is_restarted(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=small_pool()).ready()
    delivers(relay, upstream)
    for _ in range(2):
        victim = relay.child("relay")
        os.kill(victim, signal.SIGKILL)
        equal(relay.wait_for("child_exited", pid=victim)["role"], "relay", "role")
        delivers(relay, upstream)  # accepted at once, delivered when the relay is back
        assert relay.child("relay") != victim


def test_restart_backs_off(t):
    """A relay that dies over and over is started less and less often; mail is accepted all the while."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=small_pool()).ready()
    # kill each one as it appears, until the next is long in coming
    waits = []
    for _ in range(4):
        victim = relay.child("relay")
        os.kill(victim, signal.SIGKILL)
        relay.wait_for("child_exited", pid=victim)
        started = time.monotonic()
        relay.child("relay")
        waits.append(time.monotonic() - started)
    assert waits[-1] > waits[0] + 0.2, f"no back-off: the restarts took {[round(w, 2) for w in waits]} s"
    delivers(relay, upstream)


def test_killed_master_leaves_nothing(t):
    """The children of a killed master end by themselves, the lock is free, the next start has all mail."""
    reserved = harness.ReservedPort(t)
    relay = t.daemon(reserved, config=small_pool()).ready()
    with Client(relay) as idle, Client(relay) as client:
        client.message(CONTENT)
        relay.kill9()
        assert idle.at_eof()[:4] in (b"421 ", b""), "an odd last word to an idle session"
    wait_until(lambda: not relay.leftovers(), "the orphans to end")
    equal(len(relay.queue()), 1, "messages in the spool")
    upstream = Upstream(t, reserved=reserved)
    again = t.daemon(upstream, config=small_pool(), spool=relay.spool, name="again").ready()
    equal(without_received(upstream.wait_messages(1)[0].content), CONTENT, "content")
    again.wait_for("completed")


def test_restart_beside_an_old_session(t):
    """A session of a killed master's worker may finish; it does not keep the next start from the port."""
    upstream = Upstream(t)
    port = harness.ReservedPort(t).port
    relay = t.daemon(upstream, config=small_pool(), listen=f"127.0.0.1:{port}").ready()
    with Client(relay) as old:
        old.mail()
        relay.kill9()
        wait_until(lambda: len(relay.leftovers()) == 1, "all but the worker of the session to end")
        again = t.daemon(upstream, config=small_pool() + 'stop_timeout = "3s"\n', listen=f"127.0.0.1:{port}",
                         spool=relay.spool, name="again").ready()
        delivers(again, upstream)
        old.data(CONTENT)
    wait_until(lambda: not relay.leftovers(), "the old worker to end")
    # nobody told the new relay of the old worker's message: it looks, once there can be no old worker any more
    upstream.wait_messages(2)
    again.wait_for("completed", count=2)


# ---- stopping ----------------------------------------------------------------

def stop_with(number):
    def test(t):
        upstream = Upstream(t)
        relay = t.daemon(upstream, config=small_pool()).ready()
        with Client(relay) as idle, Client(relay) as busy, Client(relay) as writing:
            busy.mail()
            writing.mail()
            writing.cmd("DATA", 354)
            writing.send(b"Subject: x\r\n")
            relay.signal(number)
            relay.wait_for("stopping")
            equal(idle.expect(421).code, 421, "reply to the idle session")
            equal(idle.at_eof(), b"", "rest")
            # nobody new gets in, but who is in the middle of it may finish
            writing.send(b"\r\nbody\r\n.\r\n")
            writing.expect(250)
            busy.data(CONTENT)
            for client in (writing, busy):
                client.expect(421)
                client.at_eof()
        relay.stop()
        relay.wait_for("stopped")
        # what was accepted last is either delivered already or in the spool
        equal(len(upstream.messages) + len(relay.queue()), 2, "messages")
        try:
            Client(relay).close()
            raise AssertionError("it still listens")
        except OSError:
            pass
    return test


test_stop_term = stop_with(signal.SIGTERM)
test_stop_int = stop_with(signal.SIGINT)


def test_stop_is_bounded(t):
    """A session that does not come to its end is ended; so is a delivery that hangs."""
    upstream = Upstream(t)
    upstream.on("EOD", STALL)
    relay = t.daemon(upstream, config=small_pool('stop_timeout = "500ms"')).ready()
    with Client(relay) as client:
        client.message(CONTENT)
        upstream.wait_received(1)
        client.mail()
        client.cmd("DATA", 354)
        client.send(b"Subject: x\r\n")
        relay.stop()
        assert client.at_eof()[:4] in (b"421 ", b""), "an odd last word"
    equal(len(relay.queue()), 1, "messages in the spool")


def test_second_signal_is_harmless(t):
    relay = t.daemon(Upstream(t), config=small_pool()).ready()
    relay.signal(signal.SIGTERM)
    try:
        relay.signal(signal.SIGTERM)
    except ProcessLookupError:
        pass
    relay.stop()


def test_signals_in_the_house(t):
    """A Ctrl-C reaches the children, too: it is still an orderly stop."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=small_pool()).ready()
    delivers(relay, upstream)
    with Client(relay) as busy:
        busy.mail()
        for pid in relay.children():
            os.kill(pid, signal.SIGINT)
        relay.signal(signal.SIGINT)
        busy.data(CONTENT)
    relay.stop()
    equal(len(upstream.messages) + len(relay.queue()), 2, "messages")


def test_stray_signal(t):
    """SIGUSR1 means nothing here, as yet; it does not end the service."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=small_pool()).ready()
    for pid in [relay.pid, *relay.children()]:
        os.kill(pid, signal.SIGUSR1)
    delivers(relay, upstream)


# ---- the pool ------------------------------------------------------------------

def test_pool_grows_and_shrinks(t):
    relay = t.daemon(Upstream(t), config=small_pool()).ready()
    wait_until(lambda: len(relay.children("worker")) >= 2, "min_spare workers")
    clients = [Client(relay) for _ in range(8)]
    wait_until(lambda: len(relay.children("worker")) >= 10, "8 busy and 2 spare workers")
    clients += [Client(relay) for _ in range(4)]
    equal(len(relay.children("worker")), 12, "max_workers")
    for client in clients:
        client.quit()
    wait_until(lambda: len(relay.children("worker")) <= 3, "max_spare workers")
    equal(relay.events("child_exited", status=re.compile("signal|kill")), [], "workers that were killed")


def test_more_clients_than_workers(t):
    """Those beyond max_workers wait in the backlog and are served in turn."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config="min_spare = 1\nmax_spare = 1\nmax_workers = 2\n").ready()
    first, second = Client(relay), Client(relay)
    third = Client(relay, helo=None)
    third.socket.settimeout(0.3)
    try:
        third.reply()
        raise AssertionError("a third session at max_workers = 2")
    except TimeoutError:
        pass
    third.socket.settimeout(harness.DEADLINE)
    first.quit()
    third.expect(220)
    third.cmd("EHLO third.test", 250)
    third.message(CONTENT)
    third.quit()
    second.quit()
    upstream.wait_messages(1)


def test_max_requests(t):
    """A worker retires after so many sessions; no client notices."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config="min_spare = 1\nmax_spare = 1\nmax_workers = 3\nmax_requests = 3\n").ready()
    seen = set()
    for _ in range(12):
        with Client(relay) as client:
            seen.add(worker_of(relay, client))
            client.message(CONTENT)
            client.quit()
    upstream.wait_messages(12)
    assert len(seen) >= 4, f"12 sessions in {len(seen)} workers"
    delivers(relay, upstream)


# ---- starting --------------------------------------------------------------------

def refuses(t, args, status, *words):
    """posthoused ends with this status and says these words."""
    done = t.run([harness.BUILDDIR / "posthoused", *args], check=status)
    text = (done.stderr + done.stdout).decode()
    for word in words:
        assert re.search(word, text), f"no {word!r} in: {text}"
    return text


def test_port_taken(t):
    taken = socket.socket()
    t.later(taken.close)
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    port = taken.getsockname()[1]
    refuses(t, ["-F", "--spool", t.tmp / "spool", f"127.0.0.1:{port}", "127.0.0.1:9"], 1, f"127.0.0.1:{port}", "already")


def test_all_errors_of_a_configuration(t):
    """Every one in a single run, each with file and line."""
    path = t.tmp / "bad.conf"
    path.write_text('localaddr = "127.0.0.1:0"\n'
                    'remoteaddr = "127.0.0.1:9"\n'
                    'no_such_key = "x"\n'
                    'retry_min = "soon"\n'
                    'max_workers = -5\n'
                    'bare_newline = "perhaps"\n'
                    'relay_from = {"10.0.0.0/33"}\n')
    for option in ("-F", "-t"):
        text = refuses(t, [option, "-f", path], CONFIG_ERROR, *(f"bad.conf:{n}: " for n in (3, 4, 5, 6, 7)))
        for word in ("no_such_key", "retry_min", "max_workers", "bare_newline", "10.0.0.0/33"):
            assert word in text, f"no {word} in: {text}"


def test_check_of_a_good_configuration(t):
    path = t.config("max_workers = 20\n", "127.0.0.1:9", spool=t.tmp / "spool")
    refuses(t, ["-t", "-f", path], 0)
    assert not (t.tmp / "spool").exists(), "a check made the spool"


def test_missing_configuration(t):
    refuses(t, ["-F", "-f", t.tmp / "none.conf"], CONFIG_ERROR, "none.conf", "No such file")


def test_socket_in_no_folder(t):
    refuses(t, ["-F", "-c", "debug", f"unix:{t.tmp}/none/socket"], 1, f"unix:{t.tmp}/none/socket.*folder does not exist")


def test_usage(t):
    refuses(t, ["--no-such-option"], USAGE_ERROR, "no-such-option.*posthoused --help")
    refuses(t, ["-F", "no-port"], USAGE_ERROR, "no-port")
    refuses(t, ["-h"], 0, "posthoused", "-c")
    refuses(t, ["-V"], 0, "[0-9]+\\.[0-9]+")


def test_no_open_relay_by_accident(t):
    path = t.tmp / "open.conf"
    path.write_text('localaddr = "127.0.0.1:0"\nremoteaddr = "127.0.0.1:9"\nrelay_from = {"0.0.0.0/0"}\n')
    refuses(t, ["-t", "-f", path], CONFIG_ERROR, "open.conf:3:", "relay_from_anyone")


def test_second_instance_on_one_spool(t):
    relay = t.daemon(Upstream(t)).ready()
    refuses(t, ["-F", "--spool", relay.spool, "127.0.0.1:0", "127.0.0.1:9"], 1, str(relay.spool), str(relay.pid))


def test_several_listeners(t):
    """IPv4, IPv6 and a unix socket at once."""
    upstream = Upstream(t)
    folder = t.tmp / "run"
    folder.mkdir()
    folder.chmod(0o777)
    addresses = ['"127.0.0.1:0"', f'"unix:{folder}/smtp"']
    ipv6 = True
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        addresses.append('"[::1]:0"')
    except OSError:
        ipv6 = False
        t.comment("no IPv6 here")
    relay = t.daemon(upstream, config=f"localaddr = {{{', '.join(addresses)}}}\n").ready()
    events = relay.wait_for("listening", count=len(addresses))
    for event in events:
        where = event["localaddr"]
        if where.startswith("unix:"):
            client = Client(f"{folder}/smtp")
        elif where.startswith("["):
            client = Client(int(where.rpartition(":")[2]), family=socket.AF_INET6)
        else:
            client = Client(int(where.rpartition(":")[2]))
        client.message(CONTENT)
        client.quit()
    upstream.wait_messages(len(addresses))
    peers = {e["peer"].split(":")[0] for e in relay.wait_for("accepted", count=len(addresses))}
    equal(peers, {"127.0.0.1", "unix"} | ({"["} if ipv6 else set()), "peers in the log")
    # a stale socket of a killed master is no obstacle
    relay.kill9()
    wait_until(lambda: not relay.leftovers(), "the orphans to end")
    again = t.daemon(upstream, config=f'localaddr = "unix:{folder}/smtp"\n', name="again").ready()
    with Client(f"{folder}/smtp") as client:
        client.message(CONTENT)
    again.stop()
    assert not pathlib.Path(f"{folder}/smtp").exists(), "the socket stays after a stop"


def test_signals_of_habit(t):
    """What other daemons take for reload or reopen ends nothing; without a file there is no configuration to read."""
    upstream = Upstream(t)
    relay = t.daemon(upstream).ready()
    os.kill(relay.pid, signal.SIGHUP)
    relay.wait_for("reload", msg=re.compile("there is no configuration file"))
    os.kill(relay.pid, signal.SIGUSR1)
    relay.wait_for("signal_ignored")
    delivers(relay, upstream)


def test_pid_file(t):
    folder = t.tmp / "run"
    folder.mkdir()
    relay = t.daemon(Upstream(t), config=f'pid_file = "{folder}/pid"\n').ready()
    equal((folder / "pid").read_text().strip(), str(relay.pid), "pid file")
    relay.stop()
    assert not (folder / "pid").exists(), "the pid file stays after a stop"


def test_pid_file_of_another(t):
    """A second service that fails to start leaves the first one's alone; a symbolic link is not followed."""
    folder = t.tmp / "run"
    folder.mkdir()
    keys = f'pid_file = "{folder}/pid"\n'
    relay = t.daemon(Upstream(t), config=keys).ready()
    refuses(t, ["-F", "-f", t.config(keys, "127.0.0.1:9", spool=relay.spool, name="second")], 1, "in use")
    equal((folder / "pid").read_text().strip(), str(relay.pid), "pid file")
    (folder / "precious").write_text("precious")
    (folder / "pid").unlink()
    (folder / "pid").symlink_to("precious")
    refuses(t, ["-F", "-f", t.config(keys, "127.0.0.1:9", spool=t.tmp / "other", name="third")], 1, "pid file")
    equal((folder / "precious").read_text(), "precious", "what the link points to")


# ---- rights ----------------------------------------------------------------------

def ids_of(pid):
    """(uid, gid, supplementary groups, permitted capabilities) of a process: all four uids must be one."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()

    def numbers(key, base=10):
        return [int(n, base) for n in re.search(rf"^{key}:[ \t]*(.*)$", status, re.M)[1].split()]
    uids, gids = set(numbers("Uid")), set(numbers("Gid"))
    assert len(uids) == 1 and len(gids) == 1, f"mixed ids of {harness.process_title(pid)}: {uids} {gids}"
    return uids.pop(), gids.pop(), set(numbers("Groups")), numbers("CapPrm", 16)[0]


def test_rights_are_dropped(t):
    """As root with a configuration: relay and workers run as users of their own, without a capability."""
    need_root()
    if harness.ROOT_USERS[0] == harness.ROOT_USERS[1]:
        raise harness.Skip("there are no two system users")
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=small_pool()).ready()
    delivers(relay, upstream)
    user, smtp_user = (pwd.getpwnam(name) for name in harness.ROOT_USERS)
    for role, account in (("relay", user), ("worker", smtp_user)):
        pids = relay.children(role)
        assert pids, f"no {role}"
        for pid in pids:
            uid, _gid, groups, capabilities = ids_of(pid)
            equal((uid, capabilities), (account.pw_uid, 0), f"uid and capabilities of {role}")
            assert 0 not in groups, f"{role} is in group root"
    # a worker may not list or read the queue
    code = f"import os; os.listdir({str(relay.spool / 'queue')!r})"
    done = t.run([*harness.as_user(smtp_user), "/usr/bin/python3", "-c", code])
    assert b"PermissionError" in done.stderr, "the workers' user can list the queue"


def test_quick_command_line_as_root(t):
    """Without a file it becomes nobody, as smtpd does; with -n it changes nothing."""
    need_root()
    nobody = pwd.getpwnam("nobody").pw_uid
    for args, uid in (([], nobody), (["-n"], 0)):
        upstream = Upstream(t)
        relay = t.daemon(upstream, args=args, name=f"uid{uid}").ready()
        delivers(relay, upstream)
        for pid in relay.children():
            equal(ids_of(pid)[0], uid, f"uid of {harness.process_title(pid)}")
        relay.stop()


def test_folders_above_the_spool(t):
    """Made when missing, whatever the umask, so that the user it becomes gets there."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, spool=t.tmp / "new" / "folder" / "spool", umask=0o077).ready()
    delivers(relay, upstream)


def test_missing_user(t):
    need_root()
    path = t.config('user = "no-such-user-here"\nsmtp_user = "nor-this-one"\n', "127.0.0.1:9", spool=t.tmp / "spool")
    for option in ("-F", "-t"):
        refuses(t, [option, "-f", path], 1, "no-such-user-here", "nor-this-one", "useradd|adduser|sysusers")


def test_as_ordinary_user(t):
    """Everything works without root, and nothing is left that root would be needed to clean."""
    upstream = Upstream(t)
    if os.geteuid() != 0:
        relay = t.daemon(upstream, config=small_pool()).ready()
        expected = os.geteuid()
    else:
        nobody = pwd.getpwnam("nobody")
        expected = nobody.pw_uid
        if t.run([*harness.as_user(nobody), harness.BUILDDIR / "posthoused", "-V"]).returncode != 0:
            raise harness.Skip("nobody cannot reach the build folder")
        home = t.tmp / "home"
        home.mkdir()
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
        relay = t.daemon(upstream, config=small_pool('user = "ignored"\nsmtp_user = "ignored"\n'),
                         spool=home / "spool", prefix=harness.as_user(nobody)).ready()
    delivers(relay, upstream)
    relay.wait_for("completed")
    for pid in [relay.pid, *relay.children()]:
        equal(ids_of(pid)[0], expected, f"uid of {harness.process_title(pid)}")


def test_relay_from(t):
    """Who may not relay is told so at RCPT, and its message goes nowhere."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config='relay_from = {"192.0.2.0/24"}\n').ready()
    with Client(relay) as client:
        client.cmd("MAIL FROM:<a@client.test>", (250, 550, 554))
        reply = client.cmd("RCPT TO:<b@example.test>")
        assert reply.code in (550, 554), reply
        client.cmd("DATA", (503, 554))
        client.quit()
    relay.wait_for("rejected")
    equal(upstream.sessions, [], "connections to the upstream")


if __name__ == "__main__":
    harness.main(__name__)

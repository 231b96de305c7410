# SPDX-License-Identifier: ISC
"""More clients than workers: the backlog waits, stress shortens time-outs,
who keeps a worker waiting goes first, and who cannot be served is told so.

All clients here come from this machine, so the configurations take the privileges of
127.0.0.0/8 away where strangers are wanted."""

import os
import re
import select
import shutil
import signal
import socket
import ssl
import threading
import time

import certificates
import harness
from harness import DEADLINE, equal, wait_until
from smtp_peers import Client, Upstream, stuff

CONTENT = b"Subject: crowd\r\n\r\nbody\r\n"
# nobody goes unless a test says so
QUIET = ("stress_timeout = 0\nshed_after = 0\nbacklog_timeout = 0\n"
         'limits_exempt = { "127.0.0.2" }\nclient_connections = 0\n')


def pool(workers, extra, quiet=QUIET):
    """A configuration with so many workers; of a key that stands there twice the last one counts here."""
    keys = {}
    for line in f"min_spare = 1\nmax_spare = 1\nmax_workers = {workers}\n{quiet}{extra}".splitlines():
        if line.strip():
            keys[re.match(r"\s*(\w+)", line)[1] if "{" not in line or "=" in line else line] = line
    return "\n".join(keys.values())


def wait_busy(relay, count):
    """Until so many workers have a client (the greeting says that it was accepted)."""
    wait_until(lambda: sum(re.search(r": worker (127|unix)", harness.process_title(pid)) is not None for pid in relay.children("worker"))
               >= count, f"{count} busy workers")


def connect(relay, source=None):
    """A connection that says nothing, and perhaps is not even accepted."""
    return Client(relay, helo=None, source=source)


def is_silent(client):
    """Nothing has come, and the connection stands."""
    return not client.buffer and not select.select([client.socket], [], [], 0)[0]


def expect_end(client, code, enhanced):
    reply = client.expect(code)
    assert reply.text.startswith(enhanced), reply
    equal(client.at_eof(), b"", "what came behind the last reply")


def counted(relay, key):
    return sum(int(e[key]) for e in relay.events("overload"))


# ---- the backlog ------------------------------------------------------------


def test_the_backlog_waits(t):
    """Nobody is refused for coming while all are busy; the first one that leaves makes room."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=pool(2, "")).ready()
    with Client(relay) as first, Client(relay) as second:
        late = [connect(relay) for _ in range(3)]
        relay.wait_for("stress", state="begins")
        second.message(CONTENT)
        assert all(map(is_silent, late)), "somebody was served by nobody"
        first.quit()
        late[0].expect(220)
        late[0].cmd("QUIT", 221)
        late[1].expect(220)
        second.quit()
        late[2].expect(220)
        late[2].cmd("EHLO late.test", 250)
        late[2].message(CONTENT)
        for client in late:
            client.close()
    upstream.wait_messages(2)
    equal(relay.events("overload"), [], "lines about clients that went")


def test_who_waits_too_long_hears_why(t):
    """Workers that are busy with clients that may stay: 421 for the others, a line in the log each second at most."""
    relay = t.daemon(9, config=pool(2, "backlog_timeout = 300ms")).ready()
    with Client(relay) as first, Client(relay) as second:
        for _ in range(2):
            late = [connect(relay) for _ in range(20)]
            for client in late:
                expect_end(client, 421, "4.3.2 relay.test ")
                client.close()
        first.cmd("NOOP", 250)
        second.cmd("NOOP", 250)
    with Client(relay) as client:  # there is room again
        client.quit()
    wait_until(lambda: counted(relay, "turned_away") == 40, "40 clients in the log")
    lines = relay.events("overload")
    for before, after in zip(lines, lines[1:]):
        assert after.when - before.when > 0.9, f"{before}, then {after}"


def test_of_those_in_the_backlog_local_clients_go_last(t):
    """A child turns away 128 at most, and the next one comes a second later: the local client is not among the first."""
    path = t.tmp / "submit"
    relay = t.daemon(9, config=pool(1, f'backlog_timeout = 300ms\nlocaladdr = {{ "unix:{path}", "127.0.0.1:0" }}')).ready()
    port = relay.ports(2)[0]
    with Client(port) as busy, connect(str(path)) as local:
        crowd = [connect(port) for _ in range(140)]
        for client in crowd[:100]:
            expect_end(client, 421, "4.3.2 ")
        assert is_silent(local), "the local client went before others"
        busy.quit()
        for client in crowd:
            client.close()
        local.expect(220)


def test_no_word_in_clear_to_who_wants_tls(t):
    relay = t.daemon(9, config=pool(1, "tls = implicit\nbacklog_timeout = 300ms\n"
                                       + certificates.self_signed(t).config())).ready()
    with connect(relay):
        wait_busy(relay, 1)
        with connect(relay) as late:
            equal(late.at_eof(), b"", "what came before any handshake")
    wait_until(lambda: counted(relay, "turned_away") == 1, "a client that was turned away")


def test_programs_that_hang_leave_nobody_without_a_word(t):
    """No worker waits for its client here: there is nobody who could go."""
    gate = Gate(t)
    relay = t.daemon(config=gate.config(pool(2, "shed_after = 100ms\nstress_timeout = 100ms\n"
                                                "backlog_timeout = 300ms"))).ready()
    with Client(relay) as first, Client(relay) as second:
        for client in (first, second):
            client.mail()
            client.cmd("DATA", 354)
            client.send(stuff(CONTENT) + b".\r\n")
        gate.wait_for(2)
        with connect(relay) as late:
            expect_end(late, 421, "4.3.2 ")
        gate.open()
        first.expect(250)
        second.expect(250)
    equal(counted(relay, "shed") + counted(relay, "slow"), 0, "clients that went")


# ---- who goes -----------------------------------------------------------------


class Gate:
    """A program that takes messages and answers when it may."""

    def __init__(self, t):
        self.folder = t.tmp / "gate"
        self.folder.mkdir()
        self.folder.chmod(0o777)
        self.program = harness.put_program(t.tmp / "program", '#!/bin/sh\ncat > /dev/null\n: > "$1/there.$$"\n'
                                           'while [ ! -e "$1/open" ]; do sleep 0.02; done\n')

    def config(self, text):
        return f'{text}\nhandler = exec\nexec_command = {{ "{self.program}", "{self.folder}" }}\n'

    def wait_for(self, count):
        wait_until(lambda: len(list(self.folder.glob("there.*"))) >= count, f"{count} programs under way")

    def open(self):
        (self.folder / "open").touch()


def test_who_keeps_us_waiting_longest_goes(t):
    relay = t.daemon(9, config=pool(3, "shed_after = 200ms")).ready()
    clients = [Client(relay) for _ in range(3)]
    clients[0].message(CONTENT)  # it began first, but it has been worth it
    with Client(relay) as late:  # its greeting means: one has gone
        expect_end(clients[1], 421, "4.3.2 relay.test ")
        clients[0].cmd("NOOP", 250)
        clients[2].cmd("NOOP", 250)
        late.quit()
    event = relay.wait_for("overload")
    equal((event["shed"], event["turned_away"]), ("1", "0"), "counts")
    equal(event["peer"], f"127.0.0.1:{clients[1].socket.getsockname()[1]}", "who")
    for client in clients:
        client.close()


def test_who_came_before_a_reload_goes_too(t):
    """A session of an earlier generation takes up a worker as others do."""
    relay = t.daemon(9, config=pool(2, "shed_after = 500ms")).ready()
    with Client(relay) as old:
        relay.signal(signal.SIGHUP)
        relay.wait_for("ready", count=2)
        with Client(relay) as fresh, Client(relay) as late:
            expect_end(old, 421, "4.3.2 relay.test ")
            fresh.cmd("NOOP", 250)
            late.quit()


def test_keeping_busy_is_no_help(t):
    """One octet of content at a time, or one NOOP after the other: neither brings a message."""
    for what in ("octets", "noops"):
        # a rate that single octets never come to, however fast this machine is
        relay = t.daemon(9, config=pool(2, "shed_after = 1s\nmax_commands = 0\nmin_data_rate = 1000000"),
                         name=what).ready()
        loris = Client(relay)
        if what == "octets":
            loris.mail()
            loris.cmd("DATA", 354)
        with Client(relay) as other, connect(relay) as late:
            end = time.monotonic() + DEADLINE
            while is_silent(late):
                assert time.monotonic() < end, "nobody went"
                try:
                    loris.send("x" if what == "octets" else "NOOP\r\n")
                except OSError:
                    break
                other.message(CONTENT)  # as often: what it has waited for is forgotten each time
            late.expect(220)
            replies = loris.at_eof()
            assert b"421 4.3.2 relay.test " in replies, replies[-200:]
            other.quit()
        loris.close()


def test_an_end_of_data_is_answered(t):
    """Whoever else has to go, again and again: not who waits for us."""
    gate = Gate(t)
    relay = t.daemon(config=gate.config(pool(2, "shed_after = 100ms\nstress_timeout = 200ms"))).ready()
    with Client(relay) as sender:
        sender.mail()
        sender.cmd("DATA", 354)
        sender.send(stuff(CONTENT) + b".\r\n")
        gate.wait_for(1)
        others = [connect(relay) for _ in range(6)]
        for client in others:
            client.expect(220)
        for client in others[:-1]:  # each of them went for the next one
            client.expect(421)
        assert is_silent(sender)
        gate.open()
        sender.expect(250)
        for client in others:
            client.close()


def test_strangers_first_and_local_clients_last(t):
    path = t.tmp / "submit"
    relay = t.daemon(9, config=pool(3, f'shed_after = 200ms\nlocaladdr = {{ "127.0.0.1:0", "unix:{path}" }}')).ready()
    local = Client(str(path))  # these have been waited for longest
    privileged = Client(relay, source="127.0.0.2")
    stranger = Client(relay)
    late = []
    for victim in (stranger, privileged, local):
        late.append(Client(str(path)))
        expect_end(victim, 421, "4.3.2 ")
        victim.close()
    for client in late:
        client.quit()


def users_file(t):
    path = t.tmp / "users"
    t.posthouse("user", "--file", path, "--stdin", "add", "bob", data=b"secret\n")
    if os.geteuid() == 0:
        shutil.chown(path, harness.AUTH_USER)
    return path


def test_users_are_no_strangers(t):
    users = users_file(t)
    relay = t.daemon(9, config=pool(2, f'shed_after = 200ms\nauth = offered\nauth_without_tls = yes\n'
                                       f'auth_users_file = "{users}"')).ready()
    with Client(relay) as user:
        user.cmd("AUTH PLAIN AGJvYgBzZWNyZXQ=", 235)
        with Client(relay) as stranger, Client(relay) as late:
            expect_end(stranger, 421, "4.3.2 ")
            user.cmd("NOOP", 250)
            late.quit()


def behind_proxy(port, address):
    """A client with this address that comes by the proxy 127.0.0.3; it has sent its EHLO."""
    client = connect(port, source="127.0.0.3")
    client.send(f"PROXY TCP4 {address} 192.0.2.254 40000 25\r\n")
    return client


def test_behind_a_proxy_each_client_counts_for_itself(t):
    """Neither the proxy's connections nor what it may do are theirs: the share, and who has to go first."""
    exempt = 'limits_exempt = { "127.0.0.3", "192.0.2.9" }'
    relay = t.daemon(9, config=pool(3, f'client_connections = 2\nshed_after = 200ms\nproxy_protocol = "127.0.0.3"\n'
                                       f"stress_client_connections = 2\n{exempt}")).ready()
    privileged = behind_proxy(relay.port, "192.0.2.9")
    privileged.expect(220)
    strangers = [behind_proxy(relay.port, "192.0.2.1") for _ in range(2)]
    for client in strangers:
        client.expect(220)
    with behind_proxy(relay.port, "192.0.2.1") as third:  # it has a worker as one of the strangers has to go for it
        expect_end(strangers[0], 421, "4.3.2 ")
        strangers[0].close()
        third.expect(220)
        with behind_proxy(relay.port, "192.0.2.1") as another:
            expect_end(strangers[1], 421, "4.3.2 ")
            strangers[1].close()
            another.expect(220)
            another.cmd("NOOP", 250)
        privileged.cmd("NOOP", 250)
    privileged.close()
    peers = {e["peer"].rpartition(":")[0] for e in relay.events("overload")}
    equal(peers, {"192.0.2.1"}, "who went, as the log has it")

    relay = t.daemon(9, name="share", config=pool(6, f'client_connections = 2\nproxy_protocol = "127.0.0.3"\n'
                                                     f"stress_threshold = 100\n{exempt}")).ready()
    with behind_proxy(relay.port, "192.0.2.1") as one, behind_proxy(relay.port, "192.0.2.1") as two:
        one.expect(220)
        two.expect(220)
        with behind_proxy(relay.port, "192.0.2.1") as three, behind_proxy(relay.port, "192.0.2.2") as other:
            expect_end(three, 421, "4.7.0 Error: too many connections from 192.0.2.1")
            other.expect(220)


def test_logins_that_fail_keep_nobody_out(t):
    """Their answers are held back: that is time for which the client has its worker, and no end of it is in sight."""
    users = users_file(t)
    relay = t.daemon(9, config=pool(1, f'shed_after = 1s\nauth = offered\nauth_without_tls = yes\nauth_failure_delay = 400ms\n'
                                       f'auth_users_file = "{users}"')).ready()
    with Client(relay) as guesser, connect(relay) as late:
        guesser.send(b"AUTH PLAIN AGJvYgB3cm9uZw==\r\n" * 15)
        late.expect(220)
        replies = guesser.at_eof().split(b"\r\n")
        assert replies[-2].startswith(b"421 4.3.2 "), replies
        assert 1 <= len([r for r in replies if r.startswith(b"535")]) < 8, replies
    # one that succeeds, however long it takes, begins anew
    relay = t.daemon(9, name="user", config=pool(1, f'shed_after = 1s\nauth = offered\nauth_without_tls = yes\n'
                                                    f'auth_failure_delay = 3s\nauth_users_file = "{users}"')).ready()
    with Client(relay) as user, connect(relay) as late:
        user.cmd("AUTH PLAIN AGJvYgB3cm9uZw==", 535)
        expect_end(user, 421, "4.3.2 ")
        late.expect(220)
        late.cmd("EHLO late.test", 250)
        late.cmd("AUTH PLAIN AGJvYgBzZWNyZXQ=", 235)
        late.cmd("NOOP", 250)


# ---- all the ways to stall ------------------------------------------------------


def test_stalling_in_every_way(t):
    """With one worker, each of these would keep everybody else out."""
    users = users_file(t)
    relay = t.daemon(9, config=pool(1, "shed_after = 100ms\nmax_commands = 0") + f"""
{certificates.self_signed(t).config()}
auth_users_file = "{users}"
listener "clear" {{ localaddr = "127.0.0.1:0"  tls = starttls  auth = offered  auth_without_tls = yes }}
listener "tls" {{ localaddr = "127.0.0.1:0"  tls = implicit }}
listener "behind" {{ localaddr = "127.0.0.1:0"  proxy_protocol = "127.0.0.3" }}
""").ready()
    clear, implicit, behind = relay.ports(3)

    def stall(port, *said, source=None, helo="stall.test"):
        client = Client(port, helo=helo, source=source)
        for line in said:
            client.cmd(line)
        return client

    def takes_no_reply():
        client = Client(clear, helo=None)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.expect(220)
        client.socket.settimeout(0.2)
        try:
            while True:
                client.send(b"HELP\r\n" * 1000)
        except socket.timeout:
            pass
        return client

    ways = {
        "connect": lambda: connect(clear),
        "greeting": lambda: stall(clear),
        "transaction": lambda: stall(clear, "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>"),
        "content": lambda: stall(clear, "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>", "DATA"),
        "chunk": lambda: chunk(stall(clear, "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>")),
        "auth": lambda: stall(clear, "AUTH PLAIN"),
        "starttls": lambda: stall(clear, "STARTTLS"),
        "handshake": lambda: connect(implicit),
        "half a hello": lambda: half_a_hello(implicit),
        "proxy header": lambda: connect(behind, source="127.0.0.3"),
        "replies": takes_no_reply,
    }
    for what, way in ways.items():
        staller = way()
        t.comment(what)
        wait_busy(relay, 1)
        with Client(clear) as client:  # its greeting is the proof
            client.quit()
        staller.close()


def chunk(client):
    client.send("BDAT 1000000 LAST\r\nonly this")
    return client


def half_a_hello(port):
    client = connect(port)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="relay.test")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    client.send(outgoing.read()[:50])
    return client


def test_rubbish_ends(t):
    """Commands without end, and nothing but commands."""
    relay = t.daemon(9, config=pool(2, "max_commands = 50")).ready()
    for flood in (b"NOOP\r\n", b"RSET\r\n", b"MAIL FROM:<a@b.test>\r\nRSET\r\n", b"EHLO again.test\r\n",
                  b"VRFY x\r\n", b"MAIL FROM:<a@b.test>\r\n" + b"RCPT TO:<c@d.test>\r\n" * 10 + b"RSET\r\n"):
        with Client(relay) as client:
            client.send(flood * 60)
            rest = client.at_eof()
            assert re.search(rb"\r\n421 4\.7\.0 relay\.test Error: too many (commands|errors)[^\r]*\r\n$", rest), (flood, rest[-200:])
    with Client(relay) as client:  # many recipients, many messages: that is what we are for
        for _ in range(60):
            client.mail(rcpts=["c@d.test"] * 3)
            client.data(CONTENT)
        client.quit()


# ---- stress ---------------------------------------------------------------------------


def test_stress_shortens_time_outs(t):
    """Of those who wait already (by the master), and of those who come (by themselves)."""
    relay = t.daemon(9, config=pool(4, "stress_threshold = 50\nstress_timeout = 300ms")).ready()
    with Client(relay) as first:
        with Client(relay) as second:
            expect_end(first, 421, "4.3.2 relay.test ")
            begun = relay.wait_for("stress", state="begins")
            equal((begun["busy"], begun["max_workers"]), ("2", "4"), "numbers")
            second.expect(421)
        with Client(relay) as third:  # stress goes on for a while, and this one began in it
            expect_end(third, 421, "4.4.2 relay.test ")
    assert counted(relay, "shed") == 0, "nobody was waiting"
    relay.wait_for("stress", state="over")
    with Client(relay) as last, Client(relay) as busy:  # and is over
        busy.message(CONTENT)
        last.quit()
        busy.quit()


def test_stress_and_those_of_this_machine(t):
    path = t.tmp / "submit"
    relay = t.daemon(9, config=pool(4, "stress_threshold = 50\nstress_timeout = 300ms\n"
                                       f'localaddr = {{ "127.0.0.1:0", "unix:{path}" }}')).ready()
    with Client(str(path)) as local, Client(relay) as other:
        relay.wait_for("stress", state="begins")
        with Client(str(path)) as another:  # begins in it
            other.expect(421)
            local.cmd("NOOP", 250)
            with Client(relay) as late:
                late.expect(421)
            another.cmd("NOOP", 250)


def test_stress_has_less_patience_with_errors(t):
    relay = t.daemon(9, config=pool(4, "stress_threshold = 50\nstress_max_errors = 2")).ready()
    with Client(relay) as first, Client(relay) as second:
        relay.wait_for("stress", state="begins")
        with Client(relay) as third:
            third.cmd("XYZZY", 500)
            third.cmd("XYZZY", 500)
            expect_end(third, 421, "4.7.0 ")
        for _ in range(3):  # the second one may have begun in it, too
            first.cmd("XYZZY", 500)
        first.quit()
        second.quit()


def test_stress_and_the_share_of_a_client(t):
    relay = t.daemon(9, config=pool(6, "stress_threshold = 50\nclient_connections = 5\n"
                                       "stress_client_connections = 2")).ready()
    one = [Client(relay) for _ in range(3)]
    with connect(relay) as fourth:
        expect_end(fourth, 421, "4.7.0 ")
    with Client(relay, source="127.0.0.3") as another:
        another.quit()
    for client in one:
        client.quit()


def test_a_flood_of_refusals_is_no_flood_of_lines(t):
    relay = t.daemon(9, config=pool(6, "client_connections = 1\nstress_threshold = 100")).ready()
    with Client(relay, source="127.0.0.3"):
        for _ in range(500):
            with connect(relay, source="127.0.0.3") as client:
                client.expect(421)
    wait_until(lambda: sum(int(e["not_logged"]) for e in relay.events("flood"))
               + len(relay.events("rejected")) == 500, "all 500, said or counted")
    seconds = relay.events("rejected")[-1].when - relay.events("rejected")[0].when + 2
    assert len(relay.events("rejected")) <= 20 * seconds, (len(relay.events("rejected")), seconds)
    assert len(relay.events("session", end="refused")) <= len(relay.events("rejected")), "a line for each end"
    lines = relay.events("flood")
    for before, after in zip(lines, lines[1:]):
        assert after.when - before.when > 0.9, f"{before}, then {after}"


def test_rubbish_and_what_nobody_may_is_no_flood_of_lines(t):
    """One client after the other that says nonsense, or asks for what it may not: the lines have a ceiling."""
    relay = t.daemon(9, config=pool(6, "stress_threshold = 100\nrelay_from = { }")).ready()
    said = {b"XYZZY\r\n" * 20: ("rejected", 20),
            b"EHLO a.test\r\nMAIL FROM:<a@b.test>\r\n" + b"RCPT TO:<c@d.test>\r\n" * 20: ("rejected", 200),
            b"EHLO a.test\r\n" + b"NOOP\r\n" * 1000: ("session", 20)}
    for flood, (event, most) in said.items():
        before = relay.wait_for("ready") if not relay.events("flood") else relay.events()[-1]
        for _ in range(150):
            with connect(relay) as client:
                client.send(flood)
                assert b"421 4.7.0 " in client.at_eof()
        lines = relay.events(event, after=before)
        seconds = lines[-1].when - lines[0].when + 2
        assert len(lines) <= most * seconds, (flood[:40], len(lines), seconds)
        if event == "rejected":
            relay.wait_for("flood", after=before)
        t.comment(f"{event}: {len(lines)} lines in {seconds - 2:.1f} s")


# ---- with everything else that happens ---------------------------------------------------


def test_a_crowd_and_a_stop(t):
    """Clients in the backlog and slow ones do not keep the service from stopping."""
    relay = t.daemon(9, config=pool(2, "shed_after = 100ms\nbacklog_timeout = 200ms")).ready()
    crowd = [connect(relay) for _ in range(30)]
    relay.wait_for("overload")
    relay.stop()
    for client in crowd:
        client.close()


def test_slow_clients_of_the_executable_before_this_one_go_too(t):
    """Its workers write how long they wait to memory that the new master does not have."""
    relay = t.daemon(9, config=pool(2, "shed_after = 500ms")).ready()
    old = [Client(relay) for _ in range(2)]
    relay.signal(signal.SIGUSR2)
    relay.wait_for("ready", count=2)
    with Client(relay) as busy, connect(relay) as late:
        end = time.monotonic() + DEADLINE
        while is_silent(late):
            assert time.monotonic() < end, "nobody went"
            busy.message(CONTENT)
        late.expect(220)
        gone = [client for client in old if not is_silent(client)]
        assert gone, "somebody else went for it"
        expect_end(gone[0], 421, "4.3.2 ")
        busy.cmd("NOOP", 250)
    for client in old:
        client.close()


def test_killed_workers_in_a_crowd(t):
    """What a dead worker left in the shared memory does not harm the next one's client."""
    relay = t.daemon(9, config=pool(2, "shed_after = 100ms")).ready()
    with Client(relay), Client(relay):
        for pid in relay.children("worker"):
            os.kill(pid, 9)
            relay.wait_for("child_exited", pid=pid)
    for _ in range(3):
        with Client(relay) as client:
            client.message(CONTENT)
            client.quit()


def test_all_is_delivered_in_a_crowd(t):
    """Slow ones all the time, and more clients than workers: who has a message to bring brings it, once."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=pool(4, "shed_after = 100ms")).ready()
    stop = threading.Event()
    accepted, trouble = [], []

    def loris():
        while not stop.is_set():
            try:
                with connect(relay) as client:
                    client.socket.settimeout(1)
                    client.at_eof()
            except OSError:
                pass

    def sender(number):
        for n in range(5):
            for _ in range(100):  # 421 means: come again
                try:
                    with Client(relay) as client:
                        client.mail(sender=f"{number}.{n}@client.test")
                        client.data(CONTENT)
                        accepted.append((number, n))
                        client.quit()
                        break
                except (AssertionError, EOFError, OSError) as e:
                    if "421" not in str(e) and not isinstance(e, (EOFError, OSError)):
                        trouble.append(e)
                        return
            else:
                trouble.append(f"{number} never got through")

    threads = [threading.Thread(target=loris) for _ in range(8)]
    threads += [threading.Thread(target=sender, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads[8:]:
        thread.join(DEADLINE)
    stop.set()
    for thread in threads:
        thread.join(DEADLINE)
    equal(trouble, [], "trouble")
    equal(len(accepted), 30, "messages that were accepted")
    upstream.wait_messages(30)
    relay.wait_empty()
    senders = sorted(m.sender for m in upstream.messages)
    equal(len(set(senders)), len(senders), "messages, each once")


if __name__ == "__main__":
    harness.main(__name__)

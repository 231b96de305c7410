# SPDX-License-Identifier: ISC
"""Figures and health: what is counted, over HTTP and as a file; hung processes, full disks and crowds as health
sees them; and that none of this is ever in the way of mail."""

import base64
import http.client
import os
import pwd
import re
import shutil
import signal
import socket
import threading
import time

import harness
from harness import BUILDDIR, Skip, equal, need_program, need_root, wait_until
from smtp_peers import Client, Upstream, delivers

CONTENT = b"Subject: figures\r\n\r\nbody\r\n"
LISTEN = 'metrics_listen = "127.0.0.1:0"\n'
SOON = 'min_spare = 2\nmax_spare = 2\nmax_workers = 4\n'


def door(relay):
    """The port where it answers HTTP."""
    return int(relay.wait_for("metrics_listening")["localaddr"].rpartition(":")[2])


def get(relay, path, headers=None, method="GET"):
    """Status, content type, text."""
    connection = http.client.HTTPConnection("127.0.0.1", door(relay), timeout=harness.DEADLINE)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()
    finally:
        connection.close()


_SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (-?[0-9.]+|\+Inf)$')


def parse(text):
    """OpenMetrics, strictly enough to find what is wrong: (name, labels) -> value."""
    lines = text.split("\n")
    equal(lines[-2:], ["# EOF", ""], "the end")
    found, kinds, family = {}, {}, None
    for line in lines[:-2]:
        if line.startswith("# "):
            _hash, word, name, rest = line.split(" ", 3)
            if word == "TYPE":
                assert name not in kinds, f"{name} stands twice"
                kinds[name] = rest
                family = name
            else:
                assert word in ("UNIT", "HELP") and name == family, line
                assert word != "UNIT" or name.endswith("_" + rest), line
            continue
        match = _SAMPLE.match(line)
        assert match, f"no sample: {line!r}"
        suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}[kinds[family]]
        assert match[1] in [family + s for s in suffixes], f"{line} in the family {family}"
        labels = frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
        assert (match[1], labels) not in found, f"{line} stands twice"
        found[match[1], labels] = float(match[3])
    return found


def figures(relay):
    status, kind, text = get(relay, "/metrics")
    equal((status, kind), (200, "application/openmetrics-text; version=1.0.0; charset=utf-8"), "the answer")
    return parse(text)


def value(found, name, **labels):
    return found.get((name, frozenset(labels.items())))


def wait_value(relay, wanted, name, **labels):
    wait_until(lambda: value(figures(relay), name, **labels) == wanted, f"{name} {labels} to be {wanted}")


def wait_health(relay, status, pattern, path="/health"):
    """Waits for this answer; pattern: what one of its lines says."""
    def look():
        answer = get(relay, path)
        return answer if answer[0] == status and re.search(pattern, answer[2], re.M) else None
    try:
        return wait_until(look, f"{path} to say {status} {pattern}", 60 * harness.SLOW)
    except AssertionError as e:
        raise AssertionError(f"{e}; it says {get(relay, path)}") from None


# ---- what is counted ---------------------------------------------------------

def test_a_message_is_counted_all_the_way(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=LISTEN).ready()
    with Client(relay) as client:
        client.message(CONTENT, rcpts=("a@x.example", "b@x.example"))
        client.cmd("RCPT TO:<x@y.example>", 503)
        client.quit()
    upstream.wait_messages(1)
    relay.wait_for("completed")
    wait_value(relay, 1, "posthouse_sessions_total", listener="default", end="quit")
    f = figures(relay)
    equal(value(f, "posthouse_messages_accepted_total", listener="default"), 1, "messages")
    equal(value(f, "posthouse_recipients_accepted_total", listener="default"), 2, "recipients")
    equal(value(f, "posthouse_message_size_bytes_sum"), len(CONTENT), "octets")
    equal(value(f, "posthouse_message_size_bytes_bucket", le="1024.0"), 1, "small ones")
    equal(value(f, "posthouse_session_duration_seconds_count", listener="default"), 1, "sessions that were measured")
    for verb, count in (("EHLO", 1), ("MAIL", 1), ("RCPT", 3), ("QUIT", 1), ("DATA", 1), ("AUTH", 0)):
        equal(value(f, "posthouse_commands_total", verb=verb), count, verb)
    equal(value(f, "posthouse_rejections_total", reason="session", code="503"), 1, "rejections")
    equal(value(f, "posthouse_queued_total"), 1, "queued")
    equal(value(f, "posthouse_recipients_total", upstream="default", result="delivered"), 2, "delivered")
    equal(value(f, "posthouse_queue_duration_seconds_count", upstream="default"), 2, "time in queue")
    equal(value(f, "posthouse_attempt_duration_seconds_count", upstream="default"), 1, "attempts")
    equal(value(f, "posthouse_upstream_replies_total", upstream="default", code="250"), 1, "replies")
    equal(value(f, "posthouse_upstream_state", upstream="default", state="up"), 1, "the upstream")
    assert value(f, "posthouse_spool_free_bytes") > 0 and value(f, "posthouse_spool_size_bytes") > 0
    assert abs(value(f, "posthouse_start_time_seconds") - time.time()) < 600
    assert value(f, "posthouse_relay_heartbeat_age_seconds") < 60
    version = get(relay, "/metrics")[2]
    assert re.search(r'^posthouse_build_info\{version="\d+\.\d+\.\d+"\} 1$', version, re.M), version


def test_our_own_question_is_no_client(t):
    relay = t.daemon(Upstream(t), config=LISTEN + "log_level = debug\n").ready()
    wait_health(relay, 200, r"^worker: ok: one answered")
    f = figures(relay)
    equal(sum(v for (name, _l), v in f.items() if name == "posthouse_sessions_total"), 0, "sessions")
    equal(sum(v for (name, _l), v in f.items() if name == "posthouse_commands_total"), 0, "commands")
    equal(value(f, "posthouse_probes_total", result="answered") >= 1, True, "probes")
    for event in ("session", "dialogue", "rejected", "accepted"):
        equal(relay.events(event), [], event)
    equal(relay.queue(), [], "the queue")
    equal(list((relay.spool / "incoming").iterdir()), [], "what it left in incoming/")


def test_refusals_have_reasons(t):
    table = t.tmp / "recipients"
    table.write_text("no@x.example REJECT no\nlater@x.example DEFER later\n")
    relay = t.daemon(Upstream(t), config=LISTEN + f'recipient_access = "{table}"\n').ready()
    with Client(relay) as client:
        client.cmd("MAIL FROM:<a@b.example>", 250)
        no = client.cmd("RCPT TO:<no@x.example>").code
        later = client.cmd("RCPT TO:<later@x.example>").code
        client.cmd("RCPT TO:<later@x.example>", later)
        client.quit()
    f = figures(relay)
    equal(value(f, "posthouse_rejections_total", reason="recipient_access", code=str(no)), 1, "REJECT")
    equal(value(f, "posthouse_rejections_total", reason="recipient_access", code=str(later)), 2, "DEFER")


def test_an_upstream_in_trouble(t):
    upstream = Upstream(t)
    upstream.on("RCPT", "450 4.2.0 later", match="slow@", times=1)
    upstream.on("RCPT", "550 5.1.1 no", match="no@")
    relay = t.daemon(upstream, config=LISTEN).ready()
    for rcpt in ("slow@x.example", "no@x.example"):
        with Client(relay) as client:
            client.message(CONTENT, rcpts=(rcpt,))
            client.quit()
    relay.wait_for("deferred")
    relay.wait_for("failed")
    relay.wait_for("delivered")  # the report to the sender
    f = figures(relay)
    equal(value(f, "posthouse_recipients_total", upstream="default", result="deferred"), 1, "deferred")
    equal(value(f, "posthouse_recipients_total", upstream="default", result="failed"), 1, "failed")
    equal(value(f, "posthouse_upstream_replies_total", upstream="default", code="550"), 1, "550")
    equal(value(f, "posthouse_upstream_slowdowns_total", upstream="default") >= 1, True, "450 is a wish for less")
    wait_value(relay, 1, "posthouse_queue_messages", state="waiting")
    assert value(figures(relay), "posthouse_queue_oldest_age_seconds") > 0
    equal(value(f, "posthouse_queue_duration_seconds_count", upstream="default"), 1, "the report to the sender")


def test_an_upstream_that_is_down(t):
    relay = t.daemon(harness.ReservedPort(t), config=LISTEN).ready()
    with Client(relay) as client:
        client.message(CONTENT)
        client.quit()
    relay.wait_for("upstream_down")
    wait_value(relay, 1, "posthouse_upstream_state", upstream="default", state="paused")
    f = figures(relay)
    equal(value(f, "posthouse_upstream_state", upstream="default", state="up"), 0, "up")
    assert value(f, "posthouse_upstream_troubles_total", upstream="default") >= 1
    equal(value(f, "posthouse_upstream_waiting_messages", upstream="default"), 1, "waiting")
    equal(get(relay, "/health")[0], 200, "mail is taken all the same")
    t.posthouse("--spool", relay.spool, "suspend", "--upstream", "default")
    wait_value(relay, 1, "posthouse_upstream_state", upstream="default", state="suspended")


def test_logins_are_counted(t):
    users = t.tmp / "users"
    t.posthouse("user", "--file", users, "--stdin", "add", "alice", data=b"secret\n")
    if os.geteuid() == 0:
        shutil.chown(users, harness.AUTH_USER, pwd.getpwnam(harness.AUTH_USER).pw_gid)
    users.chmod(0o600)
    relay = t.daemon(Upstream(t), config=LISTEN + 'auth = offered\nauth_without_tls = yes\nauth_failure_delay = 0\n'
                     f'auth_users_file = "{users}"\n').ready()
    for password, code in (("wrong", 535), ("secret", 235)):
        with Client(relay) as client:
            client.cmd("AUTH PLAIN " + base64.b64encode(f"\0alice\0{password}".encode()).decode(), code)
            client.quit()
    wait_value(relay, 1, "posthouse_auth_attempts_total", mechanism="PLAIN", result="ok")
    equal(value(figures(relay), "posthouse_auth_attempts_total", mechanism="PLAIN", result="failed"), 1, "failed")


def test_processes_that_die_are_counted_and_leave_their_figures(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=LISTEN).ready()
    delivers(relay, upstream)
    relay.wait_for("completed")
    for role in ("relay", "worker"):
        pid = relay.child(role)
        os.kill(pid, signal.SIGKILL)
        relay.wait_for("child_exited", pid=pid)
    wait_value(relay, 1, "posthouse_process_exits_total", role="relay", status="killed")
    delivers(relay, upstream)
    wait_value(relay, 2, "posthouse_recipients_total", upstream="default", result="delivered")
    f = figures(relay)
    equal(value(f, "posthouse_process_exits_total", role="worker", status="killed"), 1, "workers that were killed")
    equal(value(f, "posthouse_messages_accepted_total", listener="default"), 2, "messages of both")


# ---- who asks ----------------------------------------------------------------

def test_both_formats_and_promtool(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=LISTEN).ready()
    delivers(relay, upstream)
    status, kind, text = get(relay, "/metrics", {"Accept": "text/plain"})
    equal((status, kind), (200, "text/plain; version=0.0.4; charset=utf-8"), "the older format")
    prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
    assert get(relay, "/metrics", {"Accept": prometheus})[1].startswith("application/openmetrics-text")
    equal(get(relay, "/metrics", method="HEAD")[2], "", "the body of HEAD")
    equal(get(relay, "/nothing")[0], 404, "another path")
    equal(get(relay, "/metrics", method="POST")[0], 405, "POST")
    run = t.run([need_program("promtool", "prometheus"), "check", "metrics"], data=text.encode())
    equal((run.returncode, run.stdout + run.stderr), (0, b""), "promtool check metrics")


def test_a_unix_socket(t):
    path = t.tmp / "door" / "metrics"
    path.parent.mkdir()
    relay = t.daemon(Upstream(t), config=f'metrics_listen = "unix:{path}"\n').ready()
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendall(b"GET /live HTTP/1.0\r\n\r\n")
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while data := s.recv(65536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b"\r\n\r\nok\nrelay: ok" in answer, answer
    relay.stop()
    assert not path.exists(), "the socket is left"


def test_nobody_asks(t):
    """Without a key for it there is no such process."""
    relay = t.daemon(Upstream(t), config="").ready()
    equal(relay.children("monitor"), [], "monitors")
    equal(relay.events("metrics_listening"), [], "where it listens")


def test_strangers_are_to_be_named(t):
    for text, wanted in (('metrics_listen = "0.0.0.0:0"\n', "metrics_listen 0.0.0.0:0 can be reached from other machines"),
                         ('metrics_listen = "192.0.2.1:9225"\n', "metrics_from"),
                         ('metrics_listen = "127.0.0.1"\n', "port"),
                         ('metrics_file = "/x/posthouse.txt"\n', ".prom")):
        path = t.config(text, 1, spool=t.tmp / "spool")
        run = t.run([BUILDDIR / "posthoused", "-t", "-f", path])
        equal(run.returncode, 1, text)
        assert wanted in run.stderr.decode(), run.stderr
        assert re.search(rb"posthoused\.conf:\d+: ", run.stderr), run.stderr
    path = t.config('metrics_listen = "0.0.0.0:0"\nmetrics_from = {"192.0.2.0/24"}\n', 1, spool=t.tmp / "spool")
    equal(t.run([BUILDDIR / "posthoused", "-t", "-f", path]).returncode, 0, "with metrics_from")


def test_strangers_hear_403(t):
    """In a network of its own, where the machine has two more addresses: one may ask, one may not."""
    need_root()
    own = [need_program("unshare", "util-linux"), "--net", "/bin/sh", "-c",
           'ip link set lo up && ip address add 192.0.2.1/32 dev lo && ip address add 192.0.2.2/32 dev lo && exec "$@"', "sh"]
    need_program("ip", "iproute2")
    if t.run([*own, "true"]).returncode != 0:
        raise Skip("no network namespaces here")
    relay = t.daemon(1, config='metrics_listen = "192.0.2.1:0"\nmetrics_from = {"192.0.2.2/32"}\n', prefix=own).ready()
    curl = [need_program("nsenter", "util-linux"), f"--net=/proc/{relay.pid}/ns/net", need_program("curl"), "-s",
            "-o", t.tmp / "answer", "-w", "%{http_code}", f"http://192.0.2.1:{door(relay)}/metrics", "--interface"]
    equal(t.run([*curl, "192.0.2.1"]).stdout, b"403", "one that is not named")
    assert "metrics_from" in (t.tmp / "answer").read_text()
    equal(t.run([*curl, "192.0.2.2"]).stdout, b"200", "one that is")


def test_slow_and_rude_ones_are_in_nobodys_way(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=LISTEN).ready()
    slow = []
    for i in range(60):
        s = socket.create_connection(("127.0.0.1", door(relay)))
        s.sendall((b"", b"GET /met", b"\0" * 20, b"GET / HTTP/1.1\r\nHost:")[i % 4])
        slow.append(s)
    equal(get(relay, "/live")[0], 200, "beside sixty slow ones")
    delivers(relay, upstream)
    for s in slow:
        s.close()
    with socket.create_connection(("127.0.0.1", door(relay))) as s:
        try:
            s.sendall(b"GET /" + b"x" * 100000)
        except OSError:
            pass
        assert s.recv(100).startswith(b"HTTP/1.1 431 "), "an endless request"
    equal(get(relay, "/live")[0], 200, "afterwards")
    equal(relay.events("child_exited"), [], "processes that ended")


# ---- the file -----------------------------------------------------------------

def folder_for(t):
    folder = t.tmp / "textfile"
    folder.mkdir()
    if os.geteuid() == 0:
        shutil.chown(folder, harness.ROOT_USERS[1])
    return folder


def test_the_file(t):
    folder = folder_for(t)
    path = folder / "posthouse.prom"
    relay = t.daemon(Upstream(t), config=f'metrics_file = "{path}"\n').ready()
    wait_until(path.exists, "the file")
    equal([p.name for p in folder.iterdir()], [path.name], "what is in the folder")
    equal(path.stat().st_mode & 0o777, 0o644, "its mode")
    text = path.read_text()
    assert "posthouse_healthy 1\n" in text and "# EOF" not in text, text
    relay.stop()
    assert not path.exists(), "it says that all is well, and nobody is there"


def test_a_folder_that_is_not_there(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=f'metrics_file = "{t.tmp}/none/posthouse.prom"\n').ready()
    assert "none/posthouse.prom" in relay.wait_for("metrics_file_failed")["msg"]
    delivers(relay, upstream)


# ---- health ---------------------------------------------------------------------

def test_health_of_one_that_is_well(t):
    relay = t.daemon(Upstream(t), config=LISTEN).ready()
    wait_health(relay, 200, r"\Aok\nrelay: ok: its loop turns\nworker: ok: one answered \d+ s ago\nspool: ok: ")
    f = figures(relay)
    equal(value(f, "posthouse_healthy"), 1, "posthouse_healthy")
    for check in ("relay", "worker", "spool"):
        equal(value(f, "posthouse_health_check", check=check), 1, check)


def test_without_a_spool(t):
    relay = t.daemon(Upstream(t), config=LISTEN + 'handler = "proxy"\n').ready()
    wait_health(relay, 200, r"^worker: ok: one answered")
    assert "spool: ok: this handler has none" in get(relay, "/health")[2]


def test_a_relay_that_hangs(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=LISTEN).ready()
    pid = relay.child("relay")
    os.kill(pid, signal.SIGSTOP)
    wait_health(relay, 503, r"^relay: failed: its loop has not turned for 1\d s")
    equal(get(relay, "/live")[0], 200, "not yet for a restart")
    equal(value(figures(relay), "posthouse_healthy"), 0, "posthouse_healthy")
    os.kill(pid, signal.SIGCONT)
    wait_health(relay, 200, "^relay: ok")
    delivers(relay, upstream)


def test_workers_that_hang(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=LISTEN + SOON).ready()
    wait_health(relay, 200, "^worker: ok: one answered")
    pids = relay.children("worker")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    wait_health(relay, 503, r"^worker: failed: \d are idle, and none answered for 1\d s")
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    wait_health(relay, 200, "^worker: ok: one answered")
    delivers(relay, upstream)


def test_a_crowd_is_healthy_as_long_as_it_moves(t):
    relay = t.daemon(Upstream(t), config=LISTEN + "min_spare = 1\nmax_spare = 2\nmax_workers = 2\nclient_connections = 0\n").ready()
    wait_health(relay, 200, "^worker: ok: one answered")
    done = threading.Event()
    clients = [Client(relay) for _ in range(2)]

    def chat(client):
        while not done.wait(0.3):
            client.cmd("NOOP", 250)

    threads = [threading.Thread(target=chat, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        wait_health(relay, 200, "^worker: ok: all 2 workers are busy, and their sessions move on")
        assert value(figures(relay), "posthouse_probes_total", result="busy") >= 1
    finally:
        done.set()
        for thread in threads:
            thread.join()
    for client in clients:
        client.quit()
        client.close()
    wait_health(relay, 200, "^worker: ok: one answered")


def test_a_spool_without_room(t):
    relay = t.daemon(Upstream(t), config=LISTEN + "min_free = 900000G\n").ready()
    wait_health(relay, 503, "^spool: failed: a message could not be begun")
    assert "min_free" in relay.wait_for("spool_error")["msg"]
    equal(get(relay, "/live")[0], 200, "no restart makes room")


def test_a_spool_that_cannot_be_written(t):
    relay = t.daemon(Upstream(t), config=LISTEN).ready()
    wait_health(relay, 200, "^spool: ok")
    (relay.spool / "incoming").rename(relay.spool / "incoming.away")
    shutil.rmtree(relay.spool / "incoming.away")  # what the workers hold open is gone
    wait_health(relay, 503, "^spool: failed")
    relay.wait_for("spool_error", msg=re.compile("incoming"))


def test_a_relay_that_dies_again_and_again(t):
    """It is started again by the master: not healthy until then, and no reason to restart everything."""
    relay = t.daemon(Upstream(t), config=LISTEN).ready()
    shutil.rmtree(relay.spool / "state")
    (relay.spool / "state").write_text("no folder\n")
    os.kill(relay.child("relay"), signal.SIGKILL)
    relay.wait_for("relay_failed", count=2)
    wait_health(relay, 503, "^relay: failed: it is not running")
    equal(get(relay, "/live")[0], 200, "/live")


# ---- reload and upgrade -------------------------------------------------------------

TWO = LISTEN + """upstream "one" {{ remoteaddr = "127.0.0.1:{port}" }}
{more}"""


def test_a_reload_keeps_the_figures(t):
    """Counters go on, gauges are of what is configured, and the same port answers all the time."""
    upstream = Upstream(t)
    other = 'upstream "other" { remoteaddr = "127.0.0.1:1" }\nroute { sender = "never@x.example" upstream = "other" }\n'
    relay = t.daemon(config=TWO.format(port=upstream.port, more=other)).ready()
    delivers(relay, upstream)
    relay.wait_for("completed")
    wait_value(relay, 1, "posthouse_upstream_state", upstream="other", state="up")
    started = value(figures(relay), "posthouse_start_time_seconds")
    t.config(TWO.format(port=upstream.port, more="max_workers = 77\n"), spool=relay.spool)
    relay.signal(signal.SIGHUP)
    relay.wait_for("reloaded")
    wait_value(relay, 77, "posthouse_workers_max")
    delivers(relay, upstream)
    wait_value(relay, 2, "posthouse_recipients_total", upstream="one", result="delivered")
    f = figures(relay)
    equal(value(f, "posthouse_messages_accepted_total", listener="default"), 2, "messages")
    equal(value(f, "posthouse_upstream_state", upstream="other", state="up"), None, "an upstream that is not configured any more")
    equal(value(f, "posthouse_upstream_state", upstream="one", state="up"), 1, "the one that is")
    assert value(f, "posthouse_reloads_total", result="done") >= 1, "reloads"
    equal(value(f, "posthouse_start_time_seconds"), started, "when it was started")
    wait_health(relay, 200, "^worker: ok: one answered")
    (t.tmp / "posthoused.conf").write_text("rubbish\n")
    relay.signal(signal.SIGHUP)
    relay.wait_for("reload_refused")
    wait_until(lambda: value(figures(relay), "posthouse_reloads_total", result="refused") >= 1, "the refusal to be counted")


def test_an_upgrade_begins_anew(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=LISTEN).ready()
    delivers(relay, upstream)
    relay.wait_for("completed")
    first = relay.wait_for("ready")
    relay.signal(signal.SIGUSR2)
    relay.wait_for("ready", after=first)
    delivers(relay, upstream)
    wait_value(relay, 1, "posthouse_recipients_total", upstream="default", result="delivered")
    wait_health(relay, 200, "^worker: ok: one answered")


# ---- the monitor is in nobody's way -----------------------------------------------

def test_a_monitor_that_dies(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=LISTEN).ready()
    delivers(relay, upstream)
    pid = relay.child("monitor")
    os.kill(pid, signal.SIGKILL)
    equal(relay.wait_for("child_exited", pid=pid)["role"], "monitor", "role")
    delivers(relay, upstream)
    wait_health(relay, 200, "^worker: ok: one answered")
    equal(value(figures(relay), "posthouse_messages_accepted_total", listener="default"), 2, "what was counted before")


def test_a_monitor_that_hangs(t):
    """Nobody waits for it; a client finds a worker, though what it asked the workers lies on their line."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=LISTEN + SOON).ready()
    wait_health(relay, 200, "^worker: ok: one answered")
    os.kill(relay.child("monitor"), signal.SIGSTOP)
    for _ in range(10):
        delivers(relay, upstream)
    relay.signal(signal.SIGTERM)
    relay.wait_for("killed", msg=re.compile("monitor"))  # it did not stop in time, like any other
    relay.stopped = True
    equal(relay.wait(), 0, "exit status")


def test_a_monitor_that_would_hang_for_long_ends_itself(t):
    """The alarm is a matter of half a minute, so only that it is set is looked at."""
    relay = t.daemon(Upstream(t), config=LISTEN).ready()
    pid = relay.child("monitor")
    os.kill(pid, signal.SIGALRM)
    equal(relay.wait_for("child_exited", pid=pid)["signal"], "ALRM", "its end")


def test_rights(t):
    """As root from a file the monitor is smtp_user, and holds neither spool nor clients' sockets."""
    need_root()
    relay = t.daemon(Upstream(t), config=LISTEN).ready()
    pid = relay.child("monitor")
    status = open(f"/proc/{pid}/status").read()
    uid = pwd.getpwnam(harness.ROOT_USERS[1]).pw_uid
    assert re.search(rf"^Uid:\s+{uid}\s+{uid}\s+{uid}\s+{uid}$", status, re.M), status
    held = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    assert not [h for h in held if str(relay.spool) in h], held
    tcp = {line.split()[9] for line in open("/proc/net/tcp").read().splitlines()[1:] if line.split()[3] == "0A"
           and int(line.split()[1].split(":")[1], 16) == relay.port}
    assert tcp and not [h for h in held if h.removeprefix("socket:[").rstrip("]") in tcp], held


if __name__ == "__main__":
    harness.main(__name__)

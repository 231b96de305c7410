# SPDX-License-Identifier: ISC
"""No message and no client waits for what does not come: a notice that was lost,
a clock that was set, a disk that was full, an upstream that takes few connections."""

import json
import os
import pwd
import shutil
import signal
import threading
import time

import harness
from harness import BUILDDIR, equal, wait_until
from smtp_peers import DROP, STALL, Client, Upstream

CONTENT = b"Subject: stuck\r\n\r\nbody\r\n"
FAST = 'retry_min = "50ms"\nretry_max = "200ms"\n'
DAY_US = 86400 * 10**6


def config(upstream, upstream_keys="", top=FAST):
    return (f'{top}upstream "main" {{\n remoteaddr = "{harness.address(upstream)}"\n'
            f' probe_min = "50ms"\n probe_max = "200ms"\n {upstream_keys}\n}}\n')


def make_spool(t, **message):
    """A spool with a message that the daemon of a test may read; returns it and the message's ID."""
    spool = t.tmp / "spool"
    content = t.tmp / "content.eml"
    content.write_bytes(CONTENT)
    text = json.dumps({"from": "a@client.test", "to": [{"address": "b@example.test"}], "content": str(content), **message})
    done = t.run([BUILDDIR / "tests/spool/make_spool", spool], check=0, data=text.encode())
    give_to_relay(spool)
    return spool, done.stdout.decode().strip()


def give_to_relay(spool):
    if os.geteuid() == 0:
        account = pwd.getpwnam(harness.ROOT_USERS[0])
        for path in [spool, *spool.rglob("*")]:
            os.chown(path, account.pw_uid, account.pw_gid)


# ---- clocks ----------------------------------------------------------------------

def test_id_from_the_future(t):
    """A worker keeps the order of IDs when the clock is set back; its messages leave at once all the same."""
    upstream = Upstream(t)
    spool, ident = make_spool(t, made=int(time.time() * 1e6) + DAY_US)
    relay = t.daemon(config=config(upstream), spool=spool).ready()
    relay.wait_for("completed", id=ident)


def test_next_attempt_in_the_far_future(t):
    """Written while the clock was wrong: no wait is longer than retry_max."""
    upstream = Upstream(t)
    spool, ident = make_spool(t, tries=1, next=int(time.time() * 1e6) + DAY_US)
    relay = t.daemon(config=config(upstream), spool=spool).ready()
    relay.wait_for("completed", id=ident)


# ---- the spool ---------------------------------------------------------------------

def test_spool_that_could_not_be_listed(t):
    """The relay is asked to list it, cannot, and does when it can; though nothing else happens."""
    if os.geteuid() != 0:
        raise harness.Skip("needs a relay without the rights of who makes the message")
    upstream = Upstream(t)
    outside, ident = make_spool(t)
    relay = t.daemon(config=config(upstream, top=FAST + 'log_level = "debug"\n'), spool=t.tmp / "live").ready()
    queue = relay.spool / "queue"
    mode = queue.stat().st_mode & 0o7777
    shutil.move(outside / "queue" / ident, queue / ident)  # as by a worker that died before it could say so
    queue.chmod(0o300)
    os.kill(relay.child("worker"), signal.SIGKILL)
    relay.wait_for("spool_error")
    queue.chmod(mode)
    relay.wait_for("completed", id=ident)


def test_states_that_the_disk_did_not_take(t):
    """Many deferrals that cannot be recorded cost no descriptors, and are recorded though mail keeps coming."""
    upstream = Upstream(t)
    busy = upstream.on("EOD", "451 4.3.0 busy", match="later@")
    slow = 'retry_min = "10m"\nretry_max = "10m"\nmin_spare = 1\nmax_spare = 1\nmax_workers = 2\n'
    relay = t.daemon(config=config(upstream, "max_connections = 2", top=slow), limits=["--nofile=64"]).ready()
    state = relay.spool / "state"
    mode = state.stat().st_mode & 0o7777
    state.chmod(0o500)
    with Client(relay) as client:
        for _ in range(80):
            client.message(CONTENT, rcpts=("later@example.test",))
        relay.wait_for("unsaved", count=80)
        equal(len(upstream.messages), 0, "messages taken")
        client.message(CONTENT)
        upstream.wait_messages(1)
        busy.times = 0
        state.chmod(mode)
        end = time.monotonic() + harness.DEADLINE
        while len(list(state.iterdir())) < 80:
            assert time.monotonic() < end, f"{len(list(state.iterdir()))} of 80 states were recorded"
            client.message(CONTENT)
            time.sleep(0.2)


def test_one_that_cannot_be_recorded(t):
    """Its report cannot be made, as its file went away; what else waits to be recorded does not wait for it."""
    upstream = Upstream(t)
    upstream.on("EOD", "454 4.3.0 not now", match="later@")
    answer = threading.Event()
    upstream.on("EOD", lambda _session, _line: answer.wait(harness.DEADLINE) and "554 5.6.0 no", match="gone@")
    slow = 'retry_min = "10m"\nretry_max = "10m"\n'
    relay = t.daemon(config=config(upstream, "max_connections = 4\n pipelining = no", top=slow)).ready()
    state = relay.spool / "state"
    mode = state.stat().st_mode & 0o7777
    with Client(relay) as client:
        client.message(CONTENT, rcpts=("gone@example.test",))
        upstream.wait_received()
        state.chmod(0o500)
        for _ in range(3):
            client.message(CONTENT, rcpts=("later@example.test",))
        relay.wait_for("unsaved", count=3)
    gone, = [i for i in relay.queue() if i not in {e["id"] for e in relay.events("unsaved")}]
    (relay.spool / "queue" / gone).unlink()
    answer.set()
    relay.wait_for("unsaved", count=4)
    state.chmod(mode)
    wait_until(lambda: len(list(state.iterdir())) >= 3, "the others to be recorded")


# ---- connections ---------------------------------------------------------------------

def test_upstream_that_takes_few_connections(t):
    """It works with those it has; that it refuses more is no reason to stop, nor to ask with each message."""
    upstream = Upstream(t)
    refused = []

    def few(session, _line):
        if upstream.open_sessions <= 2:
            return None
        refused.append(session)
        session.say("421 4.7.0 too many connections from you")
        return DROP

    relay = t.daemon(config=config(upstream, 'probe_min = "1s"\n probe_max = "1s"\n max_connections = 8').replace(
        ' probe_min = "50ms"\n probe_max = "200ms"\n', "")).ready()
    with Client(relay) as client:
        client.message(CONTENT)
        upstream.wait_messages(1)
        upstream.on("connect", few)
        upstream.on("EOD", lambda _session, _line: time.sleep(0.01))
        for _ in range(150):
            client.message(CONTENT)
    upstream.wait_messages(151)
    t.comment(f"{len(refused)} connections refused")
    assert 0 < len(refused) < 30, f"{len(refused)} connections refused for 150 messages"
    equal(relay.events("upstream_down"), [], "down")
    equal(len(relay.events("upstream_crowded")), 1, "said that it takes no more")


def test_probe_beside_a_connection_that_hangs(t):
    """An old connection waits for an answer; a new one finds out that the upstream is well again."""
    upstream = Upstream(t)
    upstream.on("EOD", STALL, match="hangs@")
    relay = t.daemon(config=config(upstream, "pipelining = no")).ready()
    with Client(relay) as client:
        client.message(CONTENT, rcpts=("hangs@example.test",))
        upstream.wait_stall("EOD")
        upstream.on("connect", "421 4.3.2 going down", times=2)
        client.message(CONTENT)
        relay.wait_for("upstream_down")
        relay.wait_for("completed")
        relay.wait_for("upstream_up")


# ---- clients ---------------------------------------------------------------------------

def test_killed_worker_has_an_heir(t):
    """The kernel wakes one worker a client. Should that one die first, a new one finds the client waiting:
    so one comes though there are spare ones enough, who sleep."""
    relay = t.daemon(Upstream(t), config="min_spare = 1\nmax_spare = 3\nmax_workers = 3\n").ready()
    clients = [Client(relay), Client(relay)]
    wait_until(lambda: len(relay.children("worker")) == 3, "three workers")
    for client in clients:
        client.quit()
    before = set(relay.children("worker"))
    os.kill(min(before), signal.SIGKILL)
    wait_until(lambda: set(relay.children("worker")) - before, "a new worker")


if __name__ == "__main__":
    harness.main(__name__)

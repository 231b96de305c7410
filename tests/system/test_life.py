# SPDX-License-Identifier: ISC
"""The life of a queued message: several upstreams and addresses, limits and
pace, expiry and delay, and what operators do to it while it is being sent."""

import json
import os
import re
import signal
import socket
import time

import harness
from harness import equal, wait_until
from smtp_peers import DROP, STALL, Client, Upstream

CONTENT = b"Subject: life\r\n\r\nbody\r\n"
FAST = ('log_level = "debug"\nretry_min = "50ms"\nretry_max = "200ms"\n')
PROBE = 'probe_min = "50ms"\n probe_max = "200ms"\n'


def upstream_section(name, remotes, more=""):
    addresses = ", ".join(f'"{harness.address(r)}"' if not isinstance(r, str) else f'"{r}"' for r in remotes)
    return f'upstream "{name}" {{\n remoteaddr = {{ {addresses} }}\n {PROBE} {more}\n}}\n'


def start(t, *sections, top="", fast=FAST, **options):
    return t.daemon(config=fast + top + "".join(sections), **options).ready()


def submit(relay, rcpts=("rcpt@example.test",), content=CONTENT, **options):
    with Client(relay) as client:
        ident = client.message(content, rcpts=rcpts, **options).lines[-1].split()[-1]
        client.quit()
    relay.wait_for("accepted", id=ident)
    return ident


class Door:
    """The relay's control socket."""

    def __init__(self, relay, name="control"):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(harness.DEADLINE)
        here = os.getcwd()
        self.socket.connect(os.path.relpath(relay.spool / name, here))
        self.file = self.socket.makefile("rb")

    def ask(self, **request):
        """The objects of the answer, but for the end."""
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        answers = []
        while True:
            answer = json.loads(self.file.readline())
            if "error" in answer and "id" not in answer:
                raise AssertionError(f"{request}: {answer['error']}")
            if answer.pop("end", False):
                return answers + ([answer] if answer else [])
            answers.append(answer)

    def status(self):
        return self.ask(ask="status")[0]

    def do(self, action, *ids, **more):
        """The results by id."""
        return {a["id"]: a for a in self.ask(do=action, ids=list(ids), **more) if "id" in a}


# ---- several addresses ----------------------------------------------------------

def test_second_address_and_return(t):
    """The second address serves while the first is down; the first is asked again, and used when it is well."""
    reserved, second = harness.ReservedPort(t), Upstream(t)
    relay = start(t, upstream_section("main", [reserved, second]))
    ident = submit(relay)
    down = relay.wait_for("upstream_down")
    equal((down["upstream"], down["remoteaddr"]), ("main", harness.address(reserved)), "what is down")
    equal(relay.wait_for("delivered", id=ident)["remote"], harness.address(second), "delivered by")
    first = Upstream(t, reserved=reserved)

    def arrives():
        relay.wait_for("completed", id=submit(relay))
        return first.messages
    wait_until(arrives, "mail at the first address")
    equal(relay.wait_for("upstream_up")["remoteaddr"], harness.address(first), "what is up again")
    wait_until(lambda: second.open_sessions == 0, "the fall-back's connections to be closed")
    before = len(second.messages)
    for _ in range(5):
        relay.wait_for("completed", id=submit(relay))
    equal(len(second.messages), before, "messages at the fall-back after that")


def test_weights(t):
    """New connections go to neighbours with weights in proportion."""
    heavy, light = Upstream(t), Upstream(t)
    relay = start(t, upstream_section("main", [f"{harness.address(heavy)} weight=3", f"{harness.address(light)} weight=1"],
                                      "messages_per_connection = 1"))
    for _ in range(8):
        relay.wait_for("completed", id=submit(relay))
    equal((len(heavy.messages), len(light.messages)), (6, 2), "messages")


def test_all_addresses_down(t):
    reserved = [harness.ReservedPort(t), harness.ReservedPort(t)]
    relay = start(t, upstream_section("main", reserved))
    ident = submit(relay)
    relay.wait_for("upstream_down", remoteaddr=harness.address(reserved[0]))
    relay.wait_for("upstream_down", remoteaddr=harness.address(reserved[1]))
    status, = [u for u in Door(relay).status()["upstreams"]]
    assert status["state"] in ("paused", "probing"), status
    upstream = Upstream(t, reserved=reserved[1])
    equal(relay.wait_for("delivered", id=ident)["remote"], harness.address(upstream), "delivered by")
    equal(relay.events("delivered", id=ident)[0]["tries"], "1", "tries")


# ---- several upstreams -----------------------------------------------------------

ROUTE = 'route {\n recipient = "*@other.test"\n upstream = "other"\n}\n'


def test_half_of_the_recipients_go(t):
    """One upstream is down: recipients of the other get the message at once, the rest when it is back."""
    reserved, other = harness.ReservedPort(t), Upstream(t)
    relay = start(t, upstream_section("main", [reserved]), upstream_section("other", [other]), ROUTE)
    submit(relay, ["x@main.test"])
    relay.wait_for("upstream_down", upstream="main")
    ident = submit(relay, ["a@main.test", "b@other.test", "c@main.test", "d@other.test"])
    other.wait_messages(1)
    equal(other.messages[0].rcpts, ["b@other.test", "d@other.test"], "recipients")
    for _ in range(3):  # not behind the dead one
        relay.wait_for("completed", id=submit(relay, ["e@other.test"]))
    main = Upstream(t, reserved=reserved)
    relay.wait_for("completed", id=ident)
    main.wait_messages(2)
    equal(sorted(m.rcpts for m in main.messages), [["a@main.test", "c@main.test"], ["x@main.test"]], "recipients")
    equal({e["tries"] for e in relay.events("delivered")}, {"1"}, "tries")


def test_both_down_and_the_second_returns(t):
    """A message for two upstreams that are both down waits for either."""
    reserved = [harness.ReservedPort(t), harness.ReservedPort(t)]
    relay = start(t, upstream_section("main", [reserved[0]]), upstream_section("other", [reserved[1]]), ROUTE)
    ident = submit(relay, ["x@main.test", "y@other.test"])
    relay.wait_for("upstream_down", upstream="main")
    relay.wait_for("upstream_down", upstream="other")
    other = Upstream(t, reserved=reserved[1])
    equal(relay.wait_for("delivered", id=ident)["to"], "y@other.test", "delivered to")
    main = Upstream(t, reserved=reserved[0])
    relay.wait_for("completed", id=ident)
    equal((len(main.messages), len(other.messages)), (1, 1), "messages")


def test_routes_after_a_restart(t):
    """Routes are not in the spool: what is queued follows the new ones."""
    reserved, other = harness.ReservedPort(t), Upstream(t)
    relay = start(t, upstream_section("main", [reserved]), upstream_section("other", [other]))
    ident = submit(relay, ["a@other.test"])
    relay.wait_for("upstream_down", upstream="main")
    relay.stop()
    again = start(t, upstream_section("main", [reserved]), upstream_section("other", [other]), ROUTE,
                  spool=relay.spool, name="again")
    equal(again.wait_for("delivered", id=ident)["upstream"], "other", "upstream")


# ---- limits -------------------------------------------------------------------------

def test_recipients_per_message(t):
    upstream = Upstream(t)
    relay = start(t, upstream_section("main", [upstream], "recipients_per_message = 2"))
    ident = submit(relay, [f"r{i}@example.test" for i in range(5)])
    relay.wait_for("completed", id=ident)
    equal([m.rcpts for m in upstream.messages],
          [["r0@example.test", "r1@example.test"], ["r2@example.test", "r3@example.test"], ["r4@example.test"]],
          "transactions")
    equal({e["tries"] for e in relay.events("delivered")}, {"1"}, "tries of the recipients")


def test_messages_per_minute(t):
    """A tenth of a minute's worth at once, then one in its time."""
    upstream = Upstream(t)
    relay = start(t, upstream_section("main", [upstream], "messages_per_minute = 120"))
    with Client(relay) as client:
        for _ in range(14):
            client.message(CONTENT)
    upstream.wait_messages(14)
    whens = sorted(m.when for m in upstream.messages)
    took = whens[-1] - whens[0]
    assert took >= 0.8, f"two messages beyond the burst of twelve, at two a second, came after {took} s"


def test_connection_max_age(t):
    upstream = Upstream(t)
    relay = start(t, upstream_section("main", [upstream], 'connection_max_age = "300ms"\n max_connections = 1'))
    end = time.monotonic() + 1
    while time.monotonic() < end:
        relay.wait_for("completed", id=submit(relay))
    assert len(upstream.sessions) >= 3, f"{len(upstream.sessions)} connections in a second"


def test_slowed_and_recovered(t):
    """421, 450, 451 and 452 make it fewer connections, and success more; told once each."""
    upstream = Upstream(t)
    busy = upstream.on("MAIL", "451 4.3.2 too fast", times=12)
    relay = start(t, upstream_section("main", [upstream], "max_connections = 4\n pipelining = no"))
    with Client(relay) as client:
        for _ in range(60):
            client.message(CONTENT)
    slowed = relay.wait_for("upstream_slowed")
    assert slowed["upstream"] == "main" and int(slowed["connections"]) < 4, slowed
    relay.wait_for("upstream_recovered")
    relay.wait_for("completed", count=60)
    equal(busy.used, 12, "times it said so")
    equal((len(relay.events("upstream_slowed")), len(relay.events("upstream_recovered"))), (1, 1), "log lines")


def test_attempt_timeout(t):
    """However the upstream keeps each single deadline: a transaction takes no longer than that."""
    upstream = Upstream(t, extensions=("8BITMIME",))

    def slowly(session, _line):
        for _ in range(100):
            session.say("250-wait")
            if session.upstream.closing.wait(0.05):
                return DROP
        return "250 2.1.5 at last"
    upstream.on("RCPT", slowly, times=1)
    relay = start(t, upstream_section("main", [upstream], 'attempt_timeout = "400ms"\n final_timeout = "300ms"'))
    ident = submit(relay)
    deferred = relay.wait_for("deferred", id=ident)
    assert re.search(r"not done after 0\.400 s, in phase rcpt", deferred["reply"]), deferred
    relay.wait_for("completed", id=ident)


def test_attempt_timeout_spares_who_waits_behind(t):
    upstream = Upstream(t)
    upstream.on("EOD", STALL, match="stuck@", times=1)
    relay = start(t, upstream_section("main", [upstream], 'attempt_timeout = "500ms"\n final_timeout = "500ms"\n'
                                      ' max_connections = 1'))
    with Client(relay) as client:
        client.message(CONTENT, rcpts=["stuck@example.test"])
        upstream.wait_stall("EOD")
        client.message(CONTENT, rcpts=["behind@example.test"])
    relay.wait_for("uncertain", to="stuck@example.test")
    equal(relay.wait_for("delivered", to="behind@example.test")["tries"], "1", "tries of the one behind")
    equal(relay.wait_for("delivered", to="stuck@example.test")["tries"], "2", "tries of the stuck one")


# ---- time -----------------------------------------------------------------------------

def test_expires_with_a_last_try(t):
    """The next try is never later than the expiry, and is the last one; the sender is told."""
    upstream = Upstream(t)
    upstream.on("RCPT", "450 4.2.1 later", match="rcpt@")
    relay = start(t, upstream_section("main", [upstream]), fast='retry_min = "800ms"\nretry_max = "1s"\n',
                  top='expire_after = "1s"\n')
    ident = submit(relay)
    expired = relay.wait_for("expired", id=ident)
    equal((expired["reply"], expired["tries"]), ("450 4.2.1 later", "3"), "last reply, tries")
    assert 1 <= float(expired["delay"]) < 5, expired
    relay.wait_for("bounced", id=ident, to="sender@client.test")
    relay.wait_for("completed", id=ident)
    report, = upstream.wait_messages(1)
    equal((report.sender, report.rcpts), ("", ["sender@client.test"]), "the report")
    assert b"450 4.2.1 later" in report.content, report.content


def test_expires_while_its_upstream_is_down(t):
    reserved = harness.ReservedPort(t)
    relay = start(t, upstream_section("main", [reserved]), top='expire_after = "1s"\n')
    ident = submit(relay)
    expired = relay.wait_for("expired", id=ident)
    assert re.match('expired while upstream "main" could not be reached: connect: ', expired["reply"]), expired
    report = relay.wait_for("bounced", id=ident, to="sender@client.test")["report"]
    relay.wait_for("completed", id=ident)
    # the report has no sender: it expires in its turn, and stays
    relay.wait_for("expired", id=report)
    wait_until(lambda: Door(relay).status()["queue"]["failed"] == 1, "the report to be kept")
    equal(relay.queue(), [report], "queue")


def test_suspended_and_held_do_not_expire(t):
    reserved = harness.ReservedPort(t)
    relay = start(t, upstream_section("main", [reserved]), upstream_section("other", [reserved]), ROUTE,
                  top='expire_after = "1s"\n')
    door = Door(relay)
    door.ask(do="suspend", upstream="main", until=None, reason="works")
    submit(relay, ["a@main.test"])
    held = submit(relay, ["b@other.test"])
    equal(door.do("hold", held, reason="look")[held]["result"], "done", "hold")
    gone = submit(relay, ["c@other.test"])
    relay.wait_for("expired", id=gone)
    relay.wait_for("bounced", id=gone)
    time.sleep(1.2)  # nothing is to happen: more than a sweep
    equal([e["id"] for e in relay.events("expired", to=re.compile("@(main|other).test"))], [gone], "expired")


def test_delay_is_told_once(t):
    upstream = Upstream(t)
    upstream.on("RCPT", "450 4.2.1 later", match="rcpt@")
    relay = start(t, upstream_section("main", [upstream]), top='warn_after = "500ms"\n')
    ident = submit(relay)
    warned = relay.wait_for("warned", id=ident)
    equal(warned["to"], "sender@client.test", "who is told")
    report, = upstream.wait_messages(1)
    assert b"Action: delayed" in report.content, report.content
    relay.wait_for("completed", id=warned["report"])
    relay.wait_for("deferred", after=relay.events("completed")[-1], count=10)
    relay.stop()
    again = start(t, upstream_section("main", [upstream]), top='warn_after = "500ms"\n', spool=relay.spool, name="again")
    again.wait_for("deferred", id=ident, count=10)
    equal(len(relay.events("warned")) + len(again.events("warned")), 1, "warnings")


def test_who_was_reported_waits_no_more(t):
    """One refused, two put off with different words: what the operator sees is about those who wait."""
    upstream = Upstream(t)
    upstream.on("RCPT", "550 5.1.1 no such user", match="never@")
    upstream.on("RCPT", "450 4.2.1 busy", match="one@")
    upstream.on("RCPT", "452 4.2.2 full", match="two@")
    relay = start(t, upstream_section("main", [upstream]))
    ident = submit(relay, ["never@example.test", "one@example.test", "two@example.test"])
    relay.wait_for("bounced", id=ident)
    relay.wait_for("deferred", id=ident, count=8)

    def ask(*words):
        return t.run([harness.BUILDDIR / "posthouse", "--spool", relay.spool, *words], check=0).stdout.decode()
    reasons = ask("summary", "--by", "reason")
    assert "no such user" not in reasons and "busy" in reasons and "full" in reasons, reasons
    assert "no such user" not in ask("queue"), "the reply to somebody who was dealt with"
    history = ask("show", "--log", ident)
    # two before the report, two behind it, however often they were put off
    assert 2 <= history.count(" deferred ") <= 4, history
    assert re.search(r" reported .* report \w{16} to sender@client.test", history), history


# ---- operators -----------------------------------------------------------------------------

def in_flight(t, phase="EOD", rcpts=("rcpt@example.test",), **more):
    """A message whose upstream does not answer."""
    upstream = Upstream(t)
    stalled = upstream.on(phase, STALL)
    relay = start(t, upstream_section("main", [upstream], "max_connections = 1\n" + more.pop("section", "")), **more)
    ident = submit(relay, rcpts)
    upstream.wait_stall(phase)
    return upstream, stalled, relay, ident, Door(relay)


def test_removal_wins_against_an_attempt(t):
    upstream, stalled, relay, ident, door = in_flight(t)
    flight, = door.ask(ask="flight")[0]["flight"]
    equal((flight["id"], flight["recipients"]), (ident, 1), "what is being sent")
    result = door.do("remove", ident)[ident]
    equal((result["result"], result.get("in_flight")), ("done", True), "result")
    equal(relay.queue(), [], "queue")
    relay.wait_for("removed", id=ident)
    stalled.times = 0
    upstream.disconnect()
    relay.wait_for("uncertain", id=ident)
    relay.wait_for("completed", id=submit(relay, ["other@example.test"]))
    equal([m.rcpts for m in upstream.messages], [["other@example.test"]], "delivered")
    equal(list((relay.spool / "state").iterdir()), [], "states")
    equal(door.do("remove", ident)[ident]["result"], "gone", "a second removal")


def test_hold_outlives_the_attempt(t):
    upstream, stalled, relay, ident, door = in_flight(t, phase="RCPT")
    equal(door.do("hold", ident, reason="look at it")[ident]["result"], "done", "hold")
    stalled.times = 0
    upstream.disconnect()
    relay.wait_for("deferred", id=ident)
    wait_until(lambda: door.status()["queue"]["held"] == 1, "the message to be held")
    relay.wait_for("completed", id=submit(relay, ["other@example.test"]))
    os.kill(relay.child("relay"), signal.SIGKILL)
    wait_until(lambda: relay.events("child_exited"), "the relay to end")
    relay.wait_for("completed", id=submit(relay, ["third@example.test"]))
    equal(relay.queue(), [ident], "queue")
    door = Door(relay)
    wait_until(lambda: door.status()["queue"]["held"] == 1, "the message to be held after a restart")
    equal(door.do("release", ident)[ident]["result"], "done", "release")
    relay.wait_for("completed", id=ident)


def test_orders_wait_for_the_end_of_an_attempt(t):
    upstream, stalled, relay, ident, door = in_flight(t, phase="RCPT")
    upstream.on("EOD", "250 2.0.0 yes")
    equal(door.do("bounce", ident, reason="no such thing")[ident]["result"], "pending", "bounce")
    equal(door.do("retry", ident)[ident]["result"], "no_change", "retry")
    stalled.times = 0
    upstream.disconnect()
    relay.wait_for("returned" if relay.events("returned") else "deferred", id=ident)
    wait_until(lambda: ident not in relay.queue(), "the message to be returned")
    report, = upstream.wait_messages(1)
    equal((report.sender, b"no such thing" in report.content), ("", True), "the report")


def test_hold_behind_an_order_that_waits(t):
    """What was ordered last counts, although the hold is done at once and the other order at the attempt's end."""
    upstream, stalled, relay, ident, door = in_flight(t, phase="RCPT")
    equal(door.do("requeue", ident)[ident]["result"], "pending", "requeue")
    equal(door.do("hold", ident)[ident]["result"], "done", "hold")
    stalled.times = 0
    upstream.disconnect()
    relay.wait_for("requeued", id=ident)
    relay.wait_for("completed", id=submit(relay, ["other@example.test"]))
    equal(door.status()["queue"]["held"], 1, "messages held")
    equal([m.rcpts for m in upstream.messages], [["other@example.test"]], "delivered")
    equal(door.do("release", ident)[ident]["result"], "done", "release")
    relay.wait_for("completed", id=ident)


def test_actions_on_what_waits(t):
    upstream = Upstream(t)
    upstream.on("RCPT", "450 4.2.1 later", match="rcpt@")
    relay = start(t, upstream_section("main", [upstream]), fast='retry_min = "1h"\nretry_max = "2h"\n')
    idents = [submit(relay) for _ in range(4)]
    relay.wait_for("deferred", count=4)
    door = Door(relay)
    wait_until(lambda: door.status()["queue"]["waiting"] == 4, "all four to wait")
    equal({r["result"] for r in door.do("retry", *idents).values()}, {"done"}, "retry")
    relay.wait_for("deferred", count=8)
    upstream.clear()
    hold, remove, retry, expire = idents
    wait_until(lambda: door.status()["queue"]["waiting"] == 4, "all four to wait again")
    equal(door.do("hold", hold)[hold]["result"], "done", "hold")
    equal(door.do("remove", remove)[remove]["result"], "done", "remove")
    equal(door.do("expire", expire)[expire]["result"], "done", "expire")
    equal(door.do("retry", retry)[retry]["result"], "done", "retry")
    relay.wait_for("completed", id=retry)
    wait_until(lambda: relay.queue() == [hold], "all but the held one to be gone")
    wait_until(lambda: door.status()["queue"] | {"oldest_arrived": 0} == {
        "messages": 1, "due": 0, "waiting": 0, "in_flight": 0, "held": 1, "failed": 0, "unsaved": 0,
        "oldest_arrived": 0}, "the figures to say so")
    equal([i for a in door.ask(ask="ids") for i in a["ids"]], [hold], "ids")


def test_suspension(t):
    """Nothing is begun for a suspended upstream, across restarts; the end comes by itself."""
    upstream, other = Upstream(t), Upstream(t)
    sections = upstream_section("main", [upstream]), upstream_section("other", [other]), ROUTE
    relay = start(t, *sections)
    Door(relay).ask(do="suspend", upstream="main", until=None, reason="works on the line")
    equal(relay.wait_for("suspended")["reason"], "works on the line", "reason")
    ident = submit(relay, ["a@main.test", "b@other.test"])
    relay.wait_for("delivered", id=ident, to="b@other.test")
    relay.stop()
    again = start(t, *sections, spool=relay.spool, name="again")
    door = Door(again)
    main = door.status()["upstreams"][0]
    equal((main["state"], main["suspension"]["reason"]), ("suspended", "works on the line"), "status")
    again.wait_for("completed", id=submit(again, ["c@other.test"]))
    equal(upstream.sessions, [], "connections to the suspended one")
    door.ask(do="suspend", upstream="main", until=int(time.time()) + 2, reason="a little more")
    again.wait_for("resumed", upstream="main")
    again.wait_for("completed", id=ident)
    # of all
    door.ask(do="suspend", upstream=None, until=None, reason="all")
    last = submit(again, ["d@other.test"])
    wait_until(lambda: door.status()["upstreams"][1]["due"] == 1, "the message to be due")
    door.ask(do="resume", upstream=None)
    again.wait_for("completed", id=last)


def test_probe_ends_a_pause(t):
    reserved = harness.ReservedPort(t)
    relay = t.daemon(config=FAST + f'upstream "main" {{\n remoteaddr = "{harness.address(reserved)}"\n'
                     ' probe_min = "1h"\n probe_max = "2h"\n}\n').ready()
    ident = submit(relay)
    relay.wait_for("upstream_down")
    upstream = Upstream(t, reserved=reserved)
    Door(relay).ask(do="probe", upstream="main")
    relay.wait_for("completed", id=ident)
    equal(len(upstream.messages), 1, "messages")


# ---- what is found at the start ------------------------------------------------------------

def make_spool(t, *messages):
    """A spool with these messages (tests/spool/make_spool.c); returns its path."""
    program = harness.BUILDDIR / "tests" / "spool" / "make_spool"
    if not program.exists():
        raise harness.Skip(f"{program} is not built (make check does)")
    spool = t.tmp / "spool"
    text = "\n".join(json.dumps(m) for m in messages)
    idents = t.run([program, spool], check=0, data=text.encode()).stdout.decode().split()
    if os.geteuid() == 0:  # as if the relay's user had made them
        t.run(["chown", "-R", harness.ROOT_USERS[0], spool], check=0)
    return spool, idents


def test_states_are_looked_at_after_the_start(t):
    """Held, failed, deferred, due and finished messages are told apart, and only what is due goes."""
    upstream = Upstream(t)
    now = int(time.time() * 1e6)

    def message(address, **state):
        return {"from": "s@client.test", "to": [{"address": address} | state.pop("rcpt", {})]} | state
    spool, idents = make_spool(
        t, message("held@example.test", held="look", tries=1),
        message("failed@example.test", rcpt={"status": "failed", "when": now, "reply": "550 no"}, tries=1)
        | {"from": ""},
        message("later@example.test", tries=1, next=now + 1800_000_000),
        message("due@example.test", tries=3, next=now - 1000),
        message("fresh@example.test"),
        message("done@example.test", rcpt={"status": "delivered", "when": now}, tries=1))
    relay = start(t, upstream_section("main", [upstream]), fast='retry_max = "1h"\n', spool=spool)
    upstream.wait_messages(2)
    equal(sorted(m.rcpts[0] for m in upstream.messages), ["due@example.test", "fresh@example.test"], "delivered")
    door = Door(relay)
    wait_until(lambda: door.status()["queue"] | {"oldest_arrived": 0} == {
        "messages": 3, "due": 0, "waiting": 1, "in_flight": 0, "held": 1, "failed": 1, "unsaved": 0,
        "oldest_arrived": 0}, "the figures")
    equal(relay.queue(), sorted(idents[:3]), "queue")


def test_many_for_a_dead_upstream(t):
    """Thousands that wait for an upstream that is down keep nobody else's mail from going."""
    reserved, other = harness.ReservedPort(t), Upstream(t)
    spool, idents = make_spool(t, {"from": "s@client.test", "to": [{"address": "a@main.test"}], "count": 3000},
                               {"from": "s@client.test", "to": [{"address": "b@other.test"}], "count": 10})
    sections = upstream_section("main", [reserved]), upstream_section("other", [other]), ROUTE
    relay = start(t, *sections, fast="", spool=spool)
    other.wait_messages(10)
    relay.wait_for("completed", id=submit(relay, ["c@other.test"]))
    door = Door(relay)
    wait_until(lambda: door.status()["upstreams"][0]["waiting"] == 3000, "the others to wait for their upstream")
    assert len(idents) == 3010 and len(relay.queue()) == 3000, len(relay.queue())
    main = Upstream(t, reserved=reserved)
    door.ask(do="probe", upstream="main")
    main.wait_messages(3000)
    relay.wait_empty()


# ---- crashes ------------------------------------------------------------------------------

def test_killed_between_deliveries(t):
    """Who was delivered to, and that was saved, is never sent to again; nobody is lost."""
    upstream = Upstream(t)
    relay = start(t, upstream_section("main", [upstream], "recipients_per_message = 1\n max_connections = 2"))
    rcpts = [f"r{i}@example.test" for i in range(40)]
    idents = [submit(relay, rcpts[:20]), submit(relay, rcpts[20:])]
    for enough in (5, 15, 25):
        upstream.wait_messages(enough)
        os.kill(relay.child("relay"), signal.SIGKILL)
    for ident in idents:
        relay.wait_for("completed", id=ident)
    got = [m.rcpts[0] for m in upstream.messages]
    equal(sorted(set(got)), sorted(rcpts), "who got it")
    # what was on its way at a crash may come twice: each of two connections, at each of three crashes, two at a time
    assert len(got) <= 40 + 3 * 2 * 2, f"{len(got)} deliveries of 40"


def test_killed_after_the_answer_was_saved(t):
    upstream = Upstream(t)
    upstream.on("RCPT", "450 4.2.1 later", match="later@", times=3)
    relay = start(t, upstream_section("main", [upstream]), fast='retry_min = "300ms"\nretry_max = "1s"\n')
    ident = submit(relay, ["good@example.test", "later@example.test"])
    for tries in ("1", "2"):
        relay.wait_for("deferred", id=ident, tries=tries)
        # the log comes before the disk
        state = relay.spool / "state" / ident
        wait_until(lambda: state.exists() and f"tries={tries} " in state.read_text(), "the state to be saved")
        os.kill(relay.child("relay"), signal.SIGKILL)
        wait_until(lambda: len(relay.events("child_exited")) == int(tries), "the relay to end")
    relay.wait_for("completed", id=ident)
    equal([m.rcpts for m in upstream.messages], [["good@example.test"], ["later@example.test"]], "deliveries")
    equal(relay.events("deferred", id=ident)[-1]["tries"], "3", "tries go on")


if __name__ == "__main__":
    harness.main(__name__, jobs=8)

# SPDX-License-Identifier: ISC
"""Who may relay, tables of clients, senders, recipients and users, held mail, limits over all workers."""

import json
import os
import re
import signal
import time

import certificates
import harness
from harness import equal, wait_until
from smtp_peers import Client, Upstream
from spools import make_spool

CONTENT = b"Subject: test\r\n\r\nHello\r\n"


def tables(t, **texts):
    """The files, and the keys that name them."""
    for name, text in texts.items():
        (t.tmp / name).write_text(text)
    return "".join(f'{name} = "{t.tmp / name}"\n' for name in texts)


def daemon(t, config, upstream=None, **options):
    upstream = upstream or Upstream(t)
    return t.daemon(upstream, config=config, **options).ready(), upstream


def queue(t, relay):
    return [json.loads(line) for line in t.posthouse("--spool", relay.spool, "queue", "--json").splitlines()]


def codes(client, sender, *rcpts):
    """The codes of MAIL and of each RCPT; the transaction is over then."""
    seen = [client.cmd(f"MAIL FROM:<{sender}>").code, *(client.cmd(f"RCPT TO:<{r}>").code for r in rcpts)]
    client.cmd("RSET", 250)
    return seen


# ---- who may relay ---------------------------------------------------------------------

def test_who_may_relay(t):
    relay, _ = daemon(t, 'relay_from = "127.0.0.2"\nlistener "a" {\n localaddr = { "127.0.0.1:0", "unix:%s" }\n}\n' % (t.tmp / "s"))
    for source, code in (("127.0.0.1", 554), ("127.0.0.2", 250), ("127.0.0.3", 554)):
        with Client(relay, source=source) as client:
            equal(codes(client, "a@example.org", "b@example.net"), [250, code], source)
    with Client(str(t.tmp / "s")) as client:
        equal(codes(client, "a@example.org", "b@example.net"), [250, 250], "by the unix socket")
    first = relay.wait_for("rejected", verb="RCPT", rule="relay_from")
    equal(first["reply"], "554 5.7.1 Relay access denied: 127.0.0.1 is not in relay_from", "reply")


def test_certificates_may_relay(t):
    pki, other = certificates.Pki(t), certificates.Pki(t, "other")
    server, host, stranger = (pki.pair(f"DNS:{name}") for name in ("mail.test", "host.example.org", "host.example.net"))
    friend, liar = (other.pair(f"DNS:{name}", name=name) for name in ("printer.example.com", "host.example.org"))
    text = t.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", friend.cert], check=0).stdout.decode()
    relay, _ = daemon(t, server.config() + f'tls = "starttls"\ntls_client_cert = "ask"\ntls_client_ca = "{pki.file}"\n'
                      f'relay_from = "192.0.2.0/24"\nrelay_from_cert = {{ "sha256:{text.strip().partition("=")[2]}", "name:*.example.org" }}\n')
    for what, pair, code in (("no certificate", None, 554), ("by fingerprint", friend, 250), ("by name", host, 250),
                             ("another name", stranger, 554), ("the name, by nobody we trust", liar, 554)):
        with certificates.TlsClient(relay, pki.context(client=pair)) as client:
            equal(codes(client, "a@example.org", "b@example.net"), [250, code], what)


def test_no_open_relay_by_accident(t):
    """Whatever tables, limits and exemptions there are: a stranger is refused."""
    config = tables(t, client_access="* allow\n127.0.0.3 allow\n", sender_access="* allow\n", recipient_access="* allow\n")
    relay, _ = daemon(t, config + 'relay_from = {}\nlimits_exempt = { "0.0.0.0/0", "::/0" }\nclient_connections = 0\n')
    for source in ("127.0.0.1", "127.0.0.3"):
        with Client(relay, source=source) as client:
            equal(codes(client, "a@example.org", "b@example.net"), [250, 554], source)


# ---- tables -------------------------------------------------------------------------------

def test_tables(t):
    config = tables(t, sender_access="# senders\nexample.org reject 550 5.1.8 Not from here\nuser@example.org allow\n",
                    recipient_access="gone@ reject 550 5.1.1 No such user: %s%n\nslow.example defer\n",
                    client_access="127.0.0.4 reject Go away\n127.0.0.5 defer\nunix allow\n")
    relay, upstream = daemon(t, config)
    with Client(relay) as client:
        for sender in ("x@example.org", "X@Example.ORG", '"x"@example.org'):
            equal(client.cmd(f"MAIL FROM:<{sender}>", 550).lines, ["5.1.8 Not from here"], sender)
        equal(codes(client, "user@example.org", "gone@example.net", "x@slow.example", "ok@example.net"), [250, 550, 450, 250], "codes")
        client.message(CONTENT, sender="user@example.org")
    upstream.wait_messages(1)
    relay.wait_for("rejected", verb="MAIL", rule="sender_access:2")
    equal(relay.wait_for("rejected", verb="RCPT", rule="recipient_access:1")["reply"], "550 5.1.1 No such user: %s%n", "reply")
    for source, code in (("127.0.0.4", 554), ("127.0.0.5", 421)):
        client = Client(relay, helo=None, source=source)
        client.expect(code)
        equal(client.at_eof(), b"", "behind the refusal")
    relay.wait_for("rejected", rule="client_access:1")


def test_wrong_tables_are_told_at_once(t):
    config = tables(t, sender_access="a b c\nexample.org frobnicate\nok.example allow\n", client_access="10.0.0.1/8 allow\n",
                    recipient_access="ok.example allow\n", auth_senders="carol\n")
    conf = t.config(config + 'xclient_from = "127.0.0.1"\n', "127.0.0.1:9", spool=t.tmp / "spool")
    done = t.run([harness.BUILDDIR / "posthoused", "-t", "-f", conf], check=1)
    told = done.stderr.decode().splitlines()
    for wanted in (f"{t.tmp}/client_access:1: ", f"{t.tmp}/sender_access:1: ", f"{t.tmp}/sender_access:2: ",
                   f"{t.tmp}/auth_senders:1: "):
        equal(len([line for line in told if wanted in line]), 1, f"lines about {wanted}: {told}")
    equal(len(told), 4, "lines")


def test_tables_are_read_again(t):
    config = tables(t, sender_access="old.example reject\n")
    relay, _ = daemon(t, config)

    def verdicts():
        with Client(relay) as client:
            return [codes(client, f"x@{name}.example")[0] for name in ("old", "new")]

    equal(verdicts(), [554, 250], "before")
    (t.tmp / "sender_access.next").write_text("new.example reject 553 Use the other one\n")
    os.rename(t.tmp / "sender_access.next", t.tmp / "sender_access")
    relay.wait_for("reloaded", what="access tables")
    wait_until(lambda: verdicts() == [250, 553], "the new entries")
    # a bad one is refused, with the place, and what is in use stays
    (t.tmp / "sender_access").write_text("new.example reject\nnonsense\n")
    relay.wait_for("reload_refused", msg=re.compile(r"sender_access:2: "))
    equal(verdicts(), [250, 553], "after a bad one")
    os.unlink(t.tmp / "sender_access")
    relay.signal(signal.SIGHUP)
    relay.wait_for("reload_refused", msg=re.compile(r"No such file"))
    equal(verdicts(), [250, 553], "after it is gone")


def test_users_and_their_senders(t):
    config = tables(t, auth_senders="carol carol@example.org .example.com\n* %u@home.test\n")
    relay, upstream = daemon(t, config + 'xclient_from = "127.0.0.1"\nhostname = "home.test"\nrelay_from = {}\n')
    with Client(relay) as client:
        client.cmd("XCLIENT ADDR=192.0.2.1 LOGIN=carol", 220)
        client.cmd("EHLO x", 250)
        for sender, code in (("carol@example.org", 250), ("x@sub.example.com", 250), ("", 250), ("dave@example.org", 553),
                             ("carol@home.test", 553)):
            equal(codes(client, sender, "b@example.net"), [code, 250 if code == 250 else 503], sender)
        client.message(CONTENT, sender="carol@example.org")
    with Client(relay) as client:
        client.cmd("XCLIENT ADDR=192.0.2.1 LOGIN=da+20ve", 220)
        client.cmd("EHLO x", 250)
        reply = client.cmd("MAIL FROM:<carol@example.org>", 553)
        equal(reply.lines, ["5.7.1 Sender address rejected: not owned by user da ve"], "words")
    upstream.wait_messages(1)
    relay.wait_for("rejected", rule="auth_senders", reply=re.compile("^553 5.7.1 "))


# ---- held mail -----------------------------------------------------------------------------

def submit(relay, sender="a@example.org", rcpts=("b@example.net",), content=CONTENT, **options):
    with Client(relay, **options) as client:
        client.message(content, sender=sender, rcpts=rcpts)
        client.quit()


def held_by(t, relay):
    return {m["queue_id"]: m["hold_reason"] for m in queue(t, relay) if m["held"]}


HOLDS = {"sender_access": "odd.example hold an odd one\n", "recipient_access": "watched.example hold\nfree.example allow\n",
         "client_access": "127.0.0.9 hold from \\\"there\\\"\n"}


def test_held_until_released(t):
    relay, upstream = daemon(t, tables(t, **HOLDS))
    submit(relay, "x@odd.example")
    submit(relay, rcpts=("b@example.net", "c@watched.example"))
    submit(relay, source="127.0.0.9")
    submit(relay, "free@example.org")
    upstream.wait_messages(1)
    equal([m.sender for m in upstream.messages], ["free@example.org"], "delivered")
    accepted = relay.wait_for("accepted", count=4)
    held = {e["id"]: e["hold"] for e in accepted if "hold" in e}
    equal(sorted(held.values()), ["an odd one", 'from \\"there\\"', "held by recipient_access"], "reasons in the log")
    equal(held_by(t, relay), held, "held")
    ids = [e["id"] for e in accepted[:3]]
    for verb in ("show", "explain"):
        assert "an odd one" in t.posthouse("--spool", relay.spool, verb, ids[0]), verb
    assert "an odd one" in t.posthouse("--spool", relay.spool, "summary", "--by", "reason"), "summary"
    assert "hold=" in (relay.spool / "queue" / ids[0]).read_text("latin-1"), "the envelope"
    equal([p.name for p in (relay.spool / "state").iterdir()], [], "states")
    # neither a retry nor the next start sends it
    t.posthouse("--spool", relay.spool, "retry", *ids)
    relay.stop()
    conf = t.tmp / "posthoused.conf"
    again = t.daemon(config=conf.read_text(), spool=relay.spool, name="again").ready()
    submit(again, "free@example.org")
    upstream.wait_messages(2)
    equal(held_by(t, again), held, "held after the next start")
    # a relay that is killed knows it again
    os.kill(again.child("relay"), signal.SIGKILL)
    submit(again, "free@example.org")
    upstream.wait_messages(3)
    equal(held_by(t, again), held, "held after the relay was killed")
    # without its state, too: what a power cut may take
    t.posthouse("--spool", relay.spool, "hold", "--reason", "by hand", ids[1])
    t.posthouse("--spool", relay.spool, "release", ids[0])
    upstream.wait_messages(4)
    equal(upstream.messages[3].sender, "x@odd.example", "released")
    t.posthouse("--spool", relay.spool, "release", *ids[1:])
    upstream.wait_messages(6)
    again.wait_empty()


def test_released_for_good(t):
    """A release while nothing can be sent outlives the relay, and its state is what says so."""
    reserved = harness.ReservedPort(t)
    relay = t.daemon(reserved, config=tables(t, **HOLDS) + 'upstream "main" {\n remoteaddr = "127.0.0.1:%d"\n probe_min = 1\n probe_max = 1\n}\n'
                     % reserved.port).ready()
    submit(relay, "x@odd.example")
    submit(relay, "y@odd.example")
    first, second = [e["id"] for e in relay.wait_for("accepted", count=2)]
    t.posthouse("--spool", relay.spool, "release", first)
    equal(list(held_by(t, relay)), [second], "held")
    os.kill(relay.child("relay"), signal.SIGKILL)
    relay.kill9()
    wait_until(lambda: not relay.leftovers(), "the children to be gone")
    equal(list(held_by(t, relay)), [second], "held, nobody running")
    # a release without a daemon counts as well; a state that is lost leaves the message held
    upstream = Upstream(t, reserved=reserved)
    (relay.spool / "state" / first).rename(t.tmp / "state")
    equal(sorted(held_by(t, relay)), sorted([first, second]), "held when the state is lost")
    (t.tmp / "state").rename(relay.spool / "state" / first)
    again = t.daemon(config=(t.tmp / "posthoused.conf").read_text(), spool=relay.spool, name="again").ready()
    upstream.wait_messages(1)
    equal([m.sender for m in upstream.messages], ["x@odd.example"], "delivered")
    again.stop()
    t.posthouse("--config", t.tmp / "again.conf", "release", second)
    third = t.daemon(config=(t.tmp / "again.conf").read_text(), spool=relay.spool, name="third").ready()
    upstream.wait_messages(2)
    third.wait_empty()


def test_held_mail_is_carried(t):
    """Exported and imported: held there as here, unless it was released."""
    relay, upstream = daemon(t, tables(t, **HOLDS))
    upstream.on("MAIL", "450 4.3.0 later")
    submit(relay, "x@odd.example")
    submit(relay, "y@odd.example")
    first, second = [e["id"] for e in relay.wait_for("accepted", count=2)]
    t.posthouse("--spool", relay.spool, "release", second)
    relay.wait_for("deferred", id=second)
    relay.stop()
    for form in ("eml", "mbox", "spool"):
        t.posthouse("--spool", relay.spool, "export", "--format", form, "--output", t.tmp / f"out-{form}")
        spool = t.tmp / "out-spool" if form == "spool" else make_spool(t, [], f"in-{form}")[0]
        if form != "spool":
            t.posthouse("--spool", spool, "import", t.tmp / f"out-{form}")
        listed = [json.loads(line) for line in t.posthouse("--spool", spool, "queue", "--json").splitlines()]
        equal(sorted((m["sender"], m["held"]) for m in listed), [("x@odd.example", True), ("y@odd.example", False)], form)


# ---- limits -----------------------------------------------------------------------------------

LIMITS = "limits_exempt = {}\nmin_spare = 4\nmax_spare = 8\nmax_workers = 20\n"


def connections(relay, source, count):
    """As many clients at once; those that got a greeting, and the codes of the others."""
    clients = [Client(relay, helo=None, source=source) for _ in range(count)]
    replies = [c.reply() for c in clients]
    return [c for c, r in zip(clients, replies) if r.code == 220], [r for r in replies if r.code != 220]


def test_connections_over_all_workers(t):
    relay, _ = daemon(t, LIMITS + "client_connections = 5\n")
    good, bad = connections(relay, "127.0.0.5", 12)
    equal((len(good), [r.code for r in bad]), (5, [421] * 7), "greetings")
    assert "too many connections from 127.0.0.5" in bad[0].lines[0], bad[0]
    relay.wait_for("rejected", rule="client_connections", count=7)
    others, _bad = connections(relay, "127.0.0.6", 3)
    equal(len(others), 3, "others")
    # what a connection counted for comes back: by QUIT, by a client that vanishes, by a worker that is killed
    good[0].cmd("QUIT", 221)
    good[1].reset()
    name = "127.0.0.5:%d" % good[2].socket.getsockname()[1]
    killed = [pid for pid in relay.children("worker") if harness.process_title(pid).endswith(name)]
    equal(len(killed), 1, f"workers of {name}")
    os.kill(killed[0], signal.SIGKILL)

    def three_more():
        more, _ = connections(relay, "127.0.0.5", 3)
        for client in more:
            client.close()
        return len(more) == 3
    wait_until(three_more, "three connections that were given back")
    for client in good[3:] + others:
        client.close()


def test_a_share_while_many_are_served(t):
    relay, _ = daemon(t, "limits_exempt = {}\nmin_spare = 2\nmax_spare = 4\nmax_workers = 16\nclient_connections = 15\n")
    good, _ = connections(relay, "127.0.0.5", 13)
    equal(len(good), 13, "of 16 workers")
    bad = Client(relay, helo=None, source="127.0.0.5")
    bad.expect(421)
    relay.wait_for("rejected", rule="client_share")
    other = Client(relay, helo=None, source="127.0.0.6")
    other.expect(220)


def test_messages_and_recipients_a_minute(t):
    relay, upstream = daemon(t, LIMITS + "client_messages_per_minute = 4\nclient_recipients_per_minute = 6\n")
    seen = []
    for _ in range(7):  # each by a worker that may be another
        with Client(relay, source="127.0.0.5") as client:
            seen.append(codes(client, "a@example.org", "b@example.net")[0])
    equal(seen, [250] * 4 + [450] * 3, "MAIL")
    relay.wait_for("rejected", rule="client_messages_per_minute", count=3, reply=re.compile("^450 4.7.1 "))
    with Client(relay, source="127.0.0.6") as client:
        equal(codes(client, "a@example.org", *["b@example.net", "c@example.net"] * 4)[1:],
              [250, 250] + [250] * 6, "the same recipient again is not one more")
        client.cmd("MAIL FROM:<a@example.org>", 250)
        equal([client.cmd(f"RCPT TO:<r{i}@example.net>").code for i in range(6)], [250] * 4 + [450] * 2, "RCPT")
    relay.wait_for("rejected", rule="client_recipients_per_minute", count=2)
    with Client(relay, source="127.0.0.7") as client:
        client.message(CONTENT)
    upstream.wait_messages(1)


def test_limits_of_users(t):
    relay, _ = daemon(t, 'xclient_from = "127.0.0.1"\nuser_connections = 2\nuser_messages_per_minute = 3\nuser_recipients_per_minute = 100\n')
    clients = [Client(relay) for _ in range(4)]
    got = [c.cmd(f"XCLIENT ADDR=192.0.2.{i} LOGIN=carol").code for i, c in enumerate(clients)]
    equal(got, [220, 220, 421, 421], "connections of one user from everywhere")
    relay.wait_for("rejected", rule="user_connections", count=2)
    clients[0].cmd("EHLO x", 250)
    equal([codes(clients[0], "a@example.org")[0] for _ in range(4)], [250] * 3 + [450], "messages")
    relay.wait_for("rejected", rule="user_messages_per_minute")
    clients[1].cmd("XCLIENT ADDR=192.0.2.1 LOGIN=dave", 220)
    with Client(relay) as client:
        client.cmd("XCLIENT ADDR=192.0.2.1 LOGIN=carol", 220)


def test_killed_workers_wedge_nobody(t):
    """Workers are killed at any moment while clients come and go: counts stay right, and all are served."""
    relay, upstream = daemon(t, LIMITS + "client_connections = 4\nclient_messages_per_minute = 1000000\n")
    end = time.monotonic() + 3
    while time.monotonic() < end:
        for pid in relay.children("worker")[:2]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for _ in range(5):
            try:
                submit(relay, source="127.0.0.5")
            except (EOFError, AssertionError, OSError):
                pass

    def four_and_not_five():
        good, bad = connections(relay, "127.0.0.5", 6)
        for client in good:
            client.close()
        return (len(good), len(bad)) == (4, 2)
    wait_until(four_and_not_five, "four connections of six", 20)
    wait_until(lambda: len(connections(relay, "127.0.0.6", 1)[0]) == 1, "another client")


def test_implicit_tls_is_refused_before_the_handshake(t):
    pki = certificates.Pki(t)
    relay, _ = daemon(t, pki.pair().config() + 'tls = "implicit"\n' + tables(t, client_access="127.0.0.4 reject\n"))
    client = Client(relay, helo=None, source="127.0.0.4")
    equal(client.at_eof(), b"", "what is said")
    relay.wait_for("rejected", rule="client_access:1")
    with certificates.TlsClient(relay, pki.context(), implicit=True) as client:
        client.message(CONTENT)


if __name__ == "__main__":
    harness.main()

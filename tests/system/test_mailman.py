# SPDX-License-Identifier: ISC
"""Handler "mailman": what is for a list goes to Mailman, the rest upstream; and nothing leaves, or is lost, while Mailman
cannot be asked. Against the real Mailman 3 core (Debian package mailman3) and a scripted REST API."""

import grp
import json
import pwd
import re
import time

from harness import BUILDDIR, DEADLINE, ReservedPort, as_user, equal, main, need_root, put_program, wait_until
from mailman_server import FakeMailman, Mailman, free_port
from smtp_peers import Client, Upstream

FAST = 'handler = "mailman"\nlog_level = "debug"\nretry_min = "50ms"\nretry_max = "200ms"\n'
SHORT = "probe_min = 100ms\n probe_max = 200ms\n idle_timeout = 1s\n"


def config(mailman, main_upstream, lists_upstream, top=""):
    return (FAST + f'mailman_url = "{mailman.url}"\nmailman_password_file = "{mailman.password_file}"\n' + top
            + f'upstream "main" {{\n remoteaddr = "127.0.0.1:{main_upstream.port}"\n {SHORT}}}\n'
            + f'upstream "mailman" {{\n remoteaddr = "127.0.0.1:{lists_upstream.port}"\n {SHORT}}}\n')


def send(relay, *recipients, sender="ann@example.com", text="hello"):
    """Gives the message to the relay; its id."""
    with Client(relay) as c:
        c.cmd(f"MAIL FROM:<{sender}>", 250)
        for r in recipients:
            c.cmd(f"RCPT TO:<{r}>", 250)
        c.cmd("DATA", 354)
        reply = c.cmd(f"From: {sender}\r\nTo: {recipients[0]}\r\nSubject: {text}\r\n"
                      f"Message-ID: <{time.monotonic_ns()}@example.com>\r\n\r\n{text}\r\n.", 250)
    return re.search(r"[0-9a-z]{16,}", reply.text)[0]


def recipients(upstream):
    return sorted(r for m in upstream.received for r in m.rcpts)


def test_lists_go_to_mailman_and_the_rest_upstream(t):
    mailman = FakeMailman(t, ["test@lists.example.org", "a-b@lists.example.org"], {"example.net": "out.example.net"})
    mailman.lists.append("ann@example.net")
    main_upstream, lists = Upstream(t), Upstream(t)
    relay = t.daemon(config=config(mailman, main_upstream, lists)).ready()
    listed = ["test@lists.example.org", "Test-Owner@Lists.Example.ORG", "test-bounces+x=y.org@lists.example.org",
              "test-confirm+0a1b@lists.example.org", "a-b-request@lists.example.org", "ann@out.example.net",
              "ann-leave@example.net"]
    others = ["bob@example.com", "nobody@lists.example.org", "test@example.com", "test-foo@lists.example.org",
              "test-admin@lists.example.org"]
    send(relay, *listed, *others)
    relay.wait_empty()
    equal(recipients(lists), sorted(listed), "at Mailman")
    equal(recipients(main_upstream), sorted(others), "at the upstream")
    # names that are no lists may have to wait for the next listing, and go in a transaction of their own then
    assert len(lists.received) == 1 and len(main_upstream.received) <= 2, (lists.received, main_upstream.received)


def test_a_no_is_believed_only_of_a_new_listing(t):
    """The list is made after the first listing: its first message waits for the next one, and goes to Mailman."""
    mailman = FakeMailman(t, ["test@lists.example.org"])
    main_upstream, lists = Upstream(t), Upstream(t)
    relay = t.daemon(config=config(mailman, main_upstream, lists, 'mailman_refresh = 1h\n')).ready()
    relay.wait_for("mailman_listed", lists="1")
    equal(mailman.count(), 1, "listings at the start")
    send(relay, "test@lists.example.org")
    relay.wait_empty()
    equal(mailman.count(), 1, "listings for a list that is known")
    mailman.lists.append("new@lists.example.org")
    send(relay, "new-owner@lists.example.org")
    relay.wait_empty()
    equal(mailman.count(), 2, "listings when a name is not known")
    equal(recipients(lists), ["new-owner@lists.example.org", "test@lists.example.org"], "at Mailman")
    # and one that is taken away is no list any more, once that is known
    send(relay, "bob@example.com")
    relay.wait_empty()
    equal(mailman.count(), 2, "listings for a domain that is not Mailman's")
    equal(recipients(main_upstream), ["bob@example.com"], "at the upstream")


def test_listings_are_coalesced(t):
    """A hundred messages to names that are no lists: one listing a second at most, and each of them is younger."""
    mailman = FakeMailman(t, ["test@lists.example.org"])
    main_upstream, lists = Upstream(t), Upstream(t)
    relay = t.daemon(config=config(mailman, main_upstream, lists, 'mailman_refresh = 1h\n')).ready()
    began = time.monotonic()
    for i in range(100):
        send(relay, f"nobody{i}@lists.example.org")
    relay.wait_empty()
    took = time.monotonic() - began
    equal(len(recipients(main_upstream)), 100, "at the upstream")
    equal(recipients(lists), [], "at Mailman")
    assert mailman.count() <= took + 2, f"{mailman.count()} listings in {took:.1f} s"
    when = [moment for path, moment in mailman.requests if path.startswith("/3.1/domains")]
    gaps = [b - a for a, b in zip(when, when[1:])]
    assert all(gap > 0.9 for gap in gaps), f"listings too close to each other: {gaps}"


def test_paged(t):
    names = [f"list{i}@lists.example.org" for i in range(250)]
    mailman = FakeMailman(t, names)
    main_upstream, lists = Upstream(t), Upstream(t)
    relay = t.daemon(config=config(mailman, main_upstream, lists)).ready()
    relay.wait_for("mailman_listed", lists="250", domains="1")
    pages = [path for path, _ in mailman.requests if path.startswith("/3.1/lists")]
    equal([re.search(r"page=(\d+)", p)[1] for p in pages], ["1", "2", "3"], "pages asked for")
    send(relay, names[0], names[99], names[100], names[249], "list250@lists.example.org")
    relay.wait_empty()
    equal(recipients(lists), sorted([names[0], names[99], names[100], names[249]]), "at Mailman")


def test_lists_that_change_while_they_are_read(t):
    """A list goes away between two pages: what slipped over the edge must not be taken for no list."""
    names = [f"list{i:03}@lists.example.org" for i in range(150)]
    mailman = FakeMailman(t, names)

    def shrink(path):
        if "/lists?" in path and "page=2" in path and len(mailman.lists) == 150:
            del mailman.lists[0]
        return None
    mailman.on(shrink)
    main_upstream, lists = Upstream(t), Upstream(t)
    relay = t.daemon(config=config(mailman, main_upstream, lists)).ready()
    relay.wait_for("mailman_listed", lists="149")
    send(relay, names[100])
    relay.wait_empty()
    equal(recipients(lists), [names[100]], "at Mailman")


def dead_mailman(t, more="", lists=("test@lists.example.org",)):
    mailman = FakeMailman(t, lists)
    main_upstream, list_upstream = Upstream(t), Upstream(t)
    relay = t.daemon(config=config(mailman, main_upstream, list_upstream, more)).ready()
    relay.wait_for("mailman_listed")
    return mailman, main_upstream, list_upstream, relay


def test_a_dead_mailman_defers(t):
    """Known lists are delivered, other names of its domains wait, everybody else is not concerned."""
    mailman, main_upstream, lists, relay = dead_mailman(t)
    mailman.on((503, b"sorry"))
    waiting = send(relay, "new@lists.example.org", "bob@example.com", "test@lists.example.org")
    relay.wait_for("mailman_down")
    relay.wait_for("waiting", id=waiting, to="new@lists.example.org", recipients="1")
    wait_until(lambda: recipients(main_upstream) == ["bob@example.com"], "the upstream's part")
    wait_until(lambda: recipients(lists) == ["test@lists.example.org"], "Mailman's part")
    # a restart knows what was known
    relay.stop()
    relay = t.daemon(config=config(mailman, main_upstream, lists), spool=relay.spool, name="again").ready()
    again = send(relay, "test-request@lists.example.org", "carol@example.com")
    relay.wait_for("delivered", id=again, to="test-request@lists.example.org")
    relay.wait_for("delivered", id=again, to="carol@example.com")
    relay.wait_for("mailman_down")
    relay.wait_for("waiting", id=waiting)
    wait_until(lambda: relay.queue() == [waiting], "one message to be left")
    mailman.lists.append("new@lists.example.org")
    mailman.clear()
    relay.wait_empty()
    relay.wait_for("mailman_up", lists="2")
    assert "new@lists.example.org" in recipients(lists), "it went elsewhere"
    equal(recipients(main_upstream), ["bob@example.com", "carol@example.com"], "at the upstream")


def test_a_mailman_that_was_never_seen(t):
    """Nothing is known of its domains, so nothing leaves; where they are named, the others do."""
    nobody = ReservedPort(t)
    mailman = FakeMailman(t)
    mailman.url = f"http://127.0.0.1:{nobody.port}/3.1"
    main_upstream, lists = Upstream(t), Upstream(t)
    text = config(mailman, main_upstream, lists)
    relay = t.daemon(config=text).ready()
    waiting = send(relay, "bob@example.com")
    event = relay.wait_for("waiting", id=waiting)
    assert "refused" in event["reason"] or "connect" in event["reason"].lower(), event
    equal(main_upstream.received, [], "at the upstream")
    relay.stop()
    relay = t.daemon(config=text + 'mailman_domains = { "lists.example.org" }\n', spool=relay.spool, name="again").ready()
    relay.wait_for("delivered", id=waiting)
    kept = send(relay, "test@lists.example.org", "carol@example.com")
    relay.wait_for("delivered", id=kept, to="carol@example.com")
    relay.wait_for("waiting", id=kept, to="test@lists.example.org")
    equal(lists.received, [], "at Mailman")


def test_expiry_while_mailman_is_dead(t):
    mailman, main_upstream, lists, relay = dead_mailman(t, 'expire_after = 3s\npostmaster = "root@example.com"\n')
    mailman.on("close")
    waiting = send(relay, "new@lists.example.org", sender="ann@example.com")
    event = relay.wait_for("expired", id=waiting)
    assert "could not be found out whether this is a mailing list" in event["reply"], event
    relay.wait_empty()
    wait_until(lambda: recipients(main_upstream) == ["ann@example.com"], "the report")
    assert b"new@lists.example.org" in main_upstream.received[0].content
    equal(lists.received, [], "at Mailman")


def test_nonsense_from_the_rest_api(t):
    """Whatever it answers: the old listing stays, and the names that it does not have wait."""
    mailman, main_upstream, lists, relay = dead_mailman(t)
    bad = ((200, b"{}"), (200, b"x" * (2 << 20)), (302, b""), "close", (200, b'{"total_size": 7, "entries": []}'),
           (200, b'{"total_size": 1, "entries": [{"fqdn_listname": "a b@example.org"}]}'))
    one_by_one = json.dumps({"total_size": 1000000, "entries": [{"mail_host": "a.example.org"}]}).encode()
    for i, answer in enumerate((*bad, (200, one_by_one))):
        mailman.on(answer)
        waiting = send(relay, "new@lists.example.org")
        relay.wait_for("mailman_down", count=i + 1)
        sent = send(relay, "test@lists.example.org", "bob@example.com")
        relay.wait_for("delivered", id=sent, to="test@lists.example.org")
        relay.wait_for("delivered", id=sent, to="bob@example.com")
        assert waiting in relay.queue(), f"{answer}: it did not wait"
        mailman.clear()
        relay.wait_for("delivered", id=waiting, to="new@lists.example.org", upstream="main")
    relay.wait_empty()


def test_a_mailman_that_hangs_holds_nobody_up(t):
    mailman, main_upstream, lists, relay = dead_mailman(t)
    mailman.on("stall")
    waiting = send(relay, "new@lists.example.org")
    mailman.wait_requests(1, "/3.1/domains")
    began = time.monotonic()
    for i in range(5):
        sent = send(relay, f"bob{i}@example.com", "test@lists.example.org")
        relay.wait_for("delivered", id=sent, to="test@lists.example.org")
        relay.wait_for("delivered", id=sent, to=f"bob{i}@example.com")
    assert time.monotonic() - began < 9, "the event loop waited for Mailman"
    wait_until(lambda: relay.queue() == [waiting], "one message to be left")
    event = relay.wait_for("mailman_down", timeout=DEADLINE)
    assert "timed out" in event["reason"].lower() or "timeout" in event["reason"].lower(), event
    relay.stop()


def test_stopped_while_asking(t):
    mailman, main_upstream, lists, relay = dead_mailman(t)
    mailman.on("stall")
    send(relay, "new@lists.example.org")
    mailman.wait_requests(2, "/3.1/domains")
    began = time.monotonic()
    relay.stop()
    assert time.monotonic() - began < 5, "a listing is nothing to wait for"


def test_maps_as_a_fall_back(t):
    """The map's yes is good enough while Mailman cannot be asked; a name it does not have waits."""
    mapfile = t.tmp / "postfix_lmtp"
    mapfile.write_text("# AUTOMATICALLY GENERATED\n"
                       "/^mapped@lists\\.example\\.org$/           lmtp:[127.0.0.1]:8024\n"
                       "/^mapped-bounces(\\+.*)?@lists\\.example\\.org$/ lmtp:[127.0.0.1]:8024\n")
    mailman, main_upstream, lists, relay = dead_mailman(t, f'mailman_maps = "{mapfile}"\n')
    mailman.on((503, b""))
    waiting = send(relay, "new@lists.example.org")
    relay.wait_for("mailman_down")
    sent = send(relay, "mapped@lists.example.org", "mapped-bounces+a=b@lists.example.org")
    relay.wait_for("delivered", id=sent, count=2)
    equal(recipients(lists), ["mapped-bounces+a=b@lists.example.org", "mapped@lists.example.org"], "at Mailman")
    # Mailman writes the map anew: it is read again
    mapfile.with_suffix(".new").write_text(mapfile.read_text() + "new@lists.example.org  lmtp:[127.0.0.1]:8024\n")
    mapfile.with_suffix(".new").rename(mapfile)
    relay.wait_for("delivered", id=waiting, to="new@lists.example.org")
    relay.wait_empty()
    equal(main_upstream.received, [], "at the upstream")


def test_maps_alone(t):
    """mailman_url = none: the map is the listing, read when it is another one, believed when it says no."""
    mapfile = t.tmp / "postfix_lmtp"
    mapfile.write_text("mapped@lists.example.org   lmtp:[127.0.0.1]:8024\n")
    mapfile.chmod(0o644)
    main_upstream, lists = Upstream(t), Upstream(t)
    relay = t.daemon(config=FAST + f'mailman_url = "none"\nmailman_maps = "{mapfile}"\n'
                     f'upstream "main" {{\n remoteaddr = "127.0.0.1:{main_upstream.port}"\n}}\n'
                     f'upstream "mailman" {{\n remoteaddr = "127.0.0.1:{lists.port}"\n}}\n').ready()
    send(relay, "mapped@lists.example.org", "nobody@lists.example.org", "bob@example.com")
    relay.wait_empty()
    equal(recipients(lists), ["mapped@lists.example.org"], "at Mailman")
    equal(recipients(main_upstream), ["bob@example.com", "nobody@lists.example.org"], "at the upstream")
    mapfile.write_text("mapped@lists.example.org  lmtp:x\nnew@lists.example.org lmtp:x\n")
    send(relay, "new@lists.example.org")
    relay.wait_empty()
    equal(recipients(lists), ["mapped@lists.example.org", "new@lists.example.org"], "at Mailman")
    # one that cannot be read says nothing: who is not known waits
    mapfile.write_text("what is this?\n")
    waiting = send(relay, "other@lists.example.org")
    event = relay.wait_for("waiting", id=waiting)
    assert "postfix_lmtp" in event["reason"] and "line 1" in event["reason"], event


def test_an_operators_choice_counts(t):
    """Who says in so many words where a message goes is believed, also about a list."""
    mailman, main_upstream, lists, relay = dead_mailman(t)
    mailman.on((503, b""))
    waiting = send(relay, "new@lists.example.org")
    relay.wait_for("waiting", id=waiting)
    t.posthouse("--spool", relay.spool, "--config", t.tmp / "posthoused.conf", "reroute", "--via", "main", waiting)
    relay.wait_empty()
    equal(recipients(main_upstream), ["new@lists.example.org"], "at the upstream")


def words(text):
    return re.sub(r"\s+", " ", text)


def test_an_operator_sees_what_waits_and_why(t):
    mailman, main_upstream, lists, relay = dead_mailman(t)
    conf = ("--config", t.tmp / "posthoused.conf")
    assert re.search(r"Mailman:? +up, 1 list in 1 domain, asked \S+ ago", t.posthouse(*conf, "status")), \
        t.posthouse(*conf, "status")
    mailman.on((503, b""))
    main_upstream.on("RCPT", "450 4.2.0 later", match="bob")
    lists.on("RCPT", "450 4.2.1 busy", match="test@")
    waiting = send(relay, "new@lists.example.org", "bob@example.com", "test@lists.example.org", "newer@lists.example.org")
    relay.wait_for("waiting", id=waiting)
    relay.wait_for("deferred", id=waiting, to="bob@example.com")
    relay.wait_for("deferred", id=waiting, to="test@lists.example.org")

    status = words(t.posthouse(*conf, "status"))
    assert "down, 1 list in 1 domain" in status and "answered with status 503" in status, status
    queue = words(t.posthouse(*conf, "queue"))
    assert "Mailman cannot be asked which addresses are lists, to be asked again" in queue, queue
    assert "answered with status 503" in queue, queue
    for running in (True, False):  # a dead daemon must not change what is said about the message
        said = words(t.posthouse(*conf, "explain", waiting))
        assert ("new@lists.example.org, and 1 more like it, waits, because it is not known whether it is one of Mailman's mailing lists."
                in said), said
        assert 'test@lists.example.org goes to upstream "mailman", as it is one of Mailman\'s mailing lists.' in said, said
        assert 'bob@example.com goes to upstream "main"' in said, said
        if running:
            assert "Mailman cannot be asked now: " in said and "status 503" in said, said
        facts = json.loads(t.posthouse(*conf, "explain", "--json", waiting))
        ways = {r["address"]: (r["goes_to"], r["list"]) for r in facts["routing"]}
        equal(ways, {"new@lists.example.org": (None, None), "newer@lists.example.org": (None, None),
                     "bob@example.com": ("main", False),
                     "test@lists.example.org": ("mailman", True)}, "ways")
        shown = words(t.posthouse(*conf, "show", waiting))
        assert "waits until it is known whether it is one of Mailman's lists" in shown, shown
        assert "goes to mailman (one of Mailman's lists)" in shown, shown
        summary = t.posthouse(*conf, "summary", "--by", "upstream")
        assert "(Mailman's, or not)" in summary and "main" in summary, summary
        equal(t.posthouse(*conf, "queue", "--ids", "--upstream", "mailman").split(), [waiting], "by upstream")
        if running:
            relay.stop()


def test_seen_through_the_relay(t):
    """Who may look at the queue and not read the spool sees the same."""
    need_root()
    group = grp.getgrgid(pwd.getpwnam("games").pw_gid)
    mailman, main_upstream, lists, relay = dead_mailman(t, f'view_group = "{group.gr_name}"\n')
    mailman.on((503, b""))
    waiting = send(relay, "new@lists.example.org", "test@lists.example.org")
    lists.on("RCPT", "450 4.2.1 busy")
    relay.wait_for("waiting", id=waiting)
    (t.tmp / "posthoused.conf").chmod(0o644)
    done = t.run([*as_user(pwd.getpwnam("games")), BUILDDIR / "posthouse", "--config", t.tmp / "posthoused.conf",
                  "explain", waiting], check=0)
    said = words(done.stdout.decode())
    assert "new@lists.example.org waits, because it is not known" in said, said


def test_the_first_section_may_be_mailmans(t):
    """Who is no list never goes there for want of another rule."""
    mailman = FakeMailman(t, ["test@lists.example.org"])
    main_upstream, lists = Upstream(t), Upstream(t)
    relay = t.daemon(config=FAST + f'mailman_url = "{mailman.url}"\nmailman_password_file = "{mailman.password_file}"\n'
                     f'upstream "mailman" {{\n remoteaddr = "127.0.0.1:{lists.port}"\n}}\n'
                     f'upstream "main" {{\n remoteaddr = "127.0.0.1:{main_upstream.port}"\n}}\n').ready()
    send(relay, "test@lists.example.org", "bob@example.com")
    relay.wait_empty()
    equal(recipients(lists), ["test@lists.example.org"], "at Mailman")
    equal(recipients(main_upstream), ["bob@example.com"], "at the upstream")


# ---- Mailman 2 ------------------------------------------------------------------------------

ALIASES = """\
# STANZA START: test
test:             "|/usr/lib/mailman/mail/mailman post test"
test-admin:       "|/usr/lib/mailman/mail/mailman admin test"
test-bounces:     "|/usr/lib/mailman/mail/mailman bounces test"
test-join:        "|/usr/lib/mailman/mail/mailman join test"
full:             "|/usr/lib/mailman/mail/mailman post full"
gone:             "|/usr/lib/mailman/mail/mailman post gone"
"""

# notes what it gets, and ends as the list's name says
PROGRAM = r"""#!/bin/sh
out=$(mktemp "$DIR/run-XXXXXX") && { printf '%s\n' "$*" "$SENDER" "$RECIPIENT"; cat; } >"$out.tmp" &&
	mv "$out.tmp" "$out.done"
case $2 in
full) echo "no room"; exit 75 ;;
gone) echo "no such list"; exit 67 ;;
slow) sleep 60 ;;
esac
exit 0
"""


class Mailman2:
    def __init__(self, t, aliases=ALIASES):
        self.dir = t.tmp / "mailman2"
        self.dir.mkdir()
        self.dir.chmod(0o777)
        self.program, self.aliases = t.tmp / "mailman", t.tmp / "aliases"
        put_program(self.program, PROGRAM.replace("$DIR", str(self.dir)))
        self.aliases.write_text(aliases)
        self.aliases.chmod(0o644)

    def runs(self):
        """(arguments, sender, recipient, message) of each run, sorted."""
        return sorted(tuple(f.read_text().split("\n", 3)) for f in self.dir.glob("*.done"))

    def config(self, main_upstream, more=""):
        return (FAST + f'mailman_command = "{self.program}"\nmailman_maps = "{self.aliases}"\n'
                f'mailman_domains = "lists.example.org"\n{more}'
                f'upstream "main" {{\n remoteaddr = "127.0.0.1:{main_upstream.port}"\n}}\n')


def test_mailman2(t):
    """The program is run once for each recipient that the aliases know, with what they say, and its status counts."""
    mailman, main_upstream = Mailman2(t), Upstream(t)
    relay = t.daemon(config=mailman.config(main_upstream)).ready()
    sent = send(relay, "test@lists.example.org", "test-admin@lists.example.org", "bob@example.com", "TEST-join@lists.example.org",
                "test-bounces+x=y.org@lists.example.org", "gone@lists.example.org", "nobody@lists.example.org")
    relay.wait_for("delivered", id=sent, upstream="mailman", count=4)
    relay.wait_for("delivered", id=sent, upstream="main", count=2)
    event = relay.wait_for("failed", id=sent, to="gone@lists.example.org")
    assert event["reply"].startswith("550 5.1.1") and "no such list" in event["reply"], event
    relay.wait_empty()
    runs = mailman.runs()
    equal([(r[0], r[1], r[2]) for r in runs],
          [("admin test", "ann@example.com", "test-admin@lists.example.org"),
           ("bounces test", "ann@example.com", "test-bounces+x=y.org@lists.example.org"),
           ("join test", "ann@example.com", "TEST-join@lists.example.org"),
           ("post gone", "ann@example.com", "gone@lists.example.org"),
           ("post test", "ann@example.com", "test@lists.example.org")], "runs")
    message = runs[4][3]
    assert message.startswith("Received: ") and message.endswith("\n\nhello\n") and "\r" not in message, message
    equal(sorted(r for m in main_upstream.received for r in m.rcpts if r != "ann@example.com"),
          ["bob@example.com", "nobody@lists.example.org"], "at the upstream")
    assert any(m.rcpts == ["ann@example.com"] and b"no such list" in m.content for m in main_upstream.received), "no report"


def test_mailman2_defers(t):
    """A temporary failure is tried again, and does not do what was done once more."""
    mailman, main_upstream = Mailman2(t), Upstream(t)
    relay = t.daemon(config=mailman.config(main_upstream)).ready()
    sent = send(relay, "test@lists.example.org", "full@lists.example.org")
    relay.wait_for("deferred", id=sent, to="full@lists.example.org", count=3)
    event = relay.wait_for("deferred", id=sent)
    assert "exit status 75: no room" in event["reply"], event
    equal([r[0] for r in mailman.runs()].count("post test"), 1, "runs for who has it")
    mailman.program.write_text(mailman.program.read_text().replace("exit 75", "exit 0"))
    relay.wait_for("delivered", id=sent, to="full@lists.example.org")
    relay.wait_empty()


def test_mailman2_program_in_trouble(t):
    """One that hangs is killed, one that is gone pauses its upstream; others go on, and nothing is lost."""
    mailman, main_upstream = Mailman2(t, ALIASES + 'slow: "|/usr/lib/mailman/mail/mailman post slow"\n'), Upstream(t)
    relay = t.daemon(config=mailman.config(main_upstream, "mailman_timeout = 1s\n")).ready()
    sent = send(relay, "slow@lists.example.org", "bob@example.com")
    relay.wait_for("delivered", id=sent, to="bob@example.com")
    event = relay.wait_for("deferred", id=sent, to="slow@lists.example.org")
    assert "did not end in time" in event["reply"], event
    t.posthouse("--config", t.tmp / "posthoused.conf", "remove", "--yes", sent)
    mailman.program.rename(mailman.program.with_suffix(".away"))
    waiting = send(relay, "test@lists.example.org", "test-admin@lists.example.org")
    relay.wait_for("upstream_down", upstream="mailman")
    sent = send(relay, "carol@example.com")
    relay.wait_for("delivered", id=sent)
    said = words(t.posthouse("--config", t.tmp / "posthoused.conf", "explain", waiting))
    assert "one of Mailman's mailing lists" in said and "is down" in said, said
    equal(relay.queue(), [waiting], "waits")
    mailman.program.with_suffix(".away").rename(mailman.program)
    relay.wait_for("delivered", id=waiting, count=2, timeout=2 * DEADLINE)
    relay.wait_empty()


def test_mailman2_stopped_while_it_runs(t):
    """A stop waits for a run as for any delivery, and no longer than its grace; then it comes again."""
    mailman, main_upstream = Mailman2(t, ALIASES + 'slow: "|/usr/lib/mailman/mail/mailman post slow"\n'), Upstream(t)
    relay = t.daemon(config=mailman.config(main_upstream, "stop_timeout = 1s\n")).ready()
    sent = send(relay, "slow@lists.example.org", "test@lists.example.org")
    wait_until(mailman.runs, "the program to run")
    began = time.monotonic()
    relay.stop()
    assert time.monotonic() - began < 15, "the stop took too long"
    assert sent in relay.queue()
    mailman.program.write_text(mailman.program.read_text().replace("slow) sleep 60 ;;", ""))
    relay = t.daemon(config=mailman.config(main_upstream), spool=relay.spool, name="again").ready()
    relay.wait_for("delivered", id=sent, to="slow@lists.example.org")
    relay.wait_empty()


# ---- the command line of smtpd ---------------------------------------------------------------


def test_mailman2_killed_while_it_runs(t):
    """Who has it does not get it again: what became of a recipient is saved before the program runs for the next."""
    mailman, main_upstream = Mailman2(t, ALIASES + 'slow: "|/usr/lib/mailman/mail/mailman post slow"\n'), Upstream(t)
    relay = t.daemon(config=mailman.config(main_upstream)).ready()
    sent = send(relay, "test@lists.example.org", "slow@lists.example.org")
    wait_until(lambda: [r[0] for r in mailman.runs()] == ["post slow", "post test"], "both to run")
    relay.kill_all()
    mailman.program.write_text(mailman.program.read_text().replace("slow) sleep 60 ;;", ""))
    relay = t.daemon(config=mailman.config(main_upstream), spool=relay.spool, name="again").ready()
    relay.wait_for("delivered", id=sent, to="slow@lists.example.org")
    relay.wait_empty()
    equal([r[0] for r in mailman.runs()].count("post test"), 1, "runs for who had it")


def test_class_of_smtpd(t):
    """posthoused -c MailmanProxy, with Mailman's own defaults: 127.0.0.1:8001, restadmin, restpass, LMTP at 8024."""
    done = t.run([BUILDDIR / "posthoused", "--dump", "-n", "-c", "smtpd.MailmanProxy", "--spool", t.tmp / "s",
                  "localhost:8025", "localhost:25"], check=0).stdout.decode()
    assert 'handler = "mailman"' in done and 'mailman_url = "http://localhost:8001/3.1"' in done, done
    assert re.search(r'upstream "default" \{\s+remoteaddr = \{ "localhost:25" \}', done), done
    assert re.search(r'upstream "mailman" \{\s+remoteaddr = \{ "lmtp://127.0.0.1:8024" \}', done), done


# ---- the real Mailman 3 ---------------------------------------------------------------------


def real_config(mailman, main_upstream, top=""):
    return (FAST + f'mailman_url = "{mailman.url}"\nmailman_password_file = "{mailman.password_file}"\n' + top
            + f'upstream "main" {{\n remoteaddr = "127.0.0.1:{main_upstream.port}"\n {SHORT}}}\n'
            + f'upstream "mailman" {{\n remoteaddr = "lmtp://127.0.0.1:{mailman.lmtp_port}"\n {SHORT}}}\n')


def test_real_mailman(t):
    """The whole way: a post goes to Mailman by LMTP, and what it makes of it comes back through us to the members."""
    port = free_port()  # ours, which Mailman has to know before we listen
    mailman = Mailman(t, smtp_port=port)
    mailman.add_domain("lists.example.org")
    mailman.add_domain("example.net", "out.example.net")
    mailman.add_list("test@lists.example.org")
    mailman.add_list("ann@example.net")
    mailman.add_member("test@lists.example.org", "member@example.com")
    main_upstream = Upstream(t)
    relay = t.daemon(config=real_config(mailman, main_upstream), listen=f"127.0.0.1:{port}").ready()
    relay.wait_for("mailman_listed", lists="2", domains="3")
    sent = send(relay, "test@lists.example.org", "bob@example.com")
    relay.wait_for("delivered", id=sent, to="test@lists.example.org", upstream="mailman")
    relay.wait_for("delivered", id=sent, to="bob@example.com", upstream="main")
    wait_until(lambda: recipients(main_upstream) == ["bob@example.com", "member@example.com"], "the list's mail")
    post = next(m for m in main_upstream.received if m.rcpts == ["member@example.com"])
    assert post.sender.startswith("test-bounces"), post
    assert b"List-Id: <test.lists.example.org>" in post.content, post.content

    # every sub-address is one for both of us
    subs = ["owner", "request", "join", "leave", "subscribe", "unsubscribe", "bounces", "confirm+0123456789abcdef",
            "bounces+member=example.com"]
    many = [f"test-{sub}@lists.example.org" for sub in subs] + ["ann@out.example.net", "ann-owner@example.net",
                                                                "TEST@LISTS.example.org"]
    sent = send(relay, *many)
    relay.wait_for("delivered", id=sent, upstream="mailman", count=len(many))

    # a list that is made now is known at its first message, one that goes is none any more
    mailman.add_list("new@lists.example.org")
    sent = send(relay, "new@lists.example.org", "nobody@lists.example.org")
    relay.wait_for("delivered", id=sent, to="new@lists.example.org", upstream="mailman")
    relay.wait_for("delivered", id=sent, to="nobody@lists.example.org", upstream="main")
    mailman.remove_list("new@lists.example.org")
    send(relay, "other@lists.example.org")
    relay.wait_for("mailman_listed", lists="2", count=2)
    sent = send(relay, "new@lists.example.org")
    relay.wait_for("delivered", id=sent, to="new@lists.example.org", upstream="main")


def test_real_mailman_dies(t):
    """Its processes are killed and frozen: what waits is delivered when it is back, once."""
    mailman = Mailman(t)
    mailman.add_domain("lists.example.org")
    mailman.add_list("test@lists.example.org")
    main_upstream = Upstream(t)
    relay = t.daemon(config=real_config(mailman, main_upstream)).ready()
    relay.wait_for("mailman_listed", lists="1")
    mailman.stop()
    known, unknown = send(relay, "test@lists.example.org"), send(relay, "new@lists.example.org")
    relay.wait_for("upstream_down", upstream="mailman")
    relay.wait_for("waiting", id=unknown)
    equal(relay.queue(), sorted([known, unknown]), "waits")
    mailman.start()
    mailman.add_list("new@lists.example.org")
    relay.wait_for("delivered", id=known, upstream="mailman")
    relay.wait_for("delivered", id=unknown, upstream="mailman")
    relay.wait_empty()
    equal(main_upstream.received, [], "at the upstream")
    # frozen: connections are taken, and nothing is said
    mailman.freeze()
    waiting = send(relay, "more@lists.example.org")
    sent = send(relay, "bob@example.com")
    relay.wait_for("delivered", id=sent)
    relay.wait_for("waiting", id=waiting)
    mailman.resume()
    relay.wait_for("delivered", id=waiting, upstream="main")


def test_real_maps(t):
    """What the real Mailman writes for Postfix, in both of its forms, is understood."""
    main_upstream = Upstream(t)
    for form in ("hash", "regex"):
        mailman = Mailman(t, maps=form)
        mailman.add_domain("lists.example.org")
        mailman.add_list("a-b.c@lists.example.org")
        (mailman.data / "postfix_lmtp").chmod(0o644)  # else it is its group's
        relay = t.daemon(config=FAST + f'mailman_url = "none"\nmailman_maps = "{mailman.data}/postfix_lmtp"\n'
                         f'upstream "main" {{\n remoteaddr = "127.0.0.1:{main_upstream.port}"\n}}\n'
                         f'upstream "mailman" {{\n remoteaddr = "lmtp://127.0.0.1:{mailman.lmtp_port}"\n}}\n',
                         name=form).ready()
        sent = send(relay, "a-b.c@lists.example.org", "a-b.c-bounces+x=y.org@lists.example.org",
                    "a-b.c-confirm+77@lists.example.org", "axb.c@lists.example.org")
        relay.wait_for("delivered", id=sent, upstream="mailman", count=3)
        relay.wait_for("delivered", id=sent, to="axb.c@lists.example.org", upstream="main")
        relay.stop()
        mailman.stop()


def test_wrong_password(t):
    mailman = Mailman(t)
    mailman.password_file.write_text("wrong\n")
    main_upstream = Upstream(t)
    relay = t.daemon(config=real_config(mailman, main_upstream)).ready()
    event = relay.wait_for("mailman_down")
    assert "401" in event["reason"] and "mailman_password_file" in event["reason"], event
    assert "wrong" not in event["reason"], event


if __name__ == "__main__":
    main()

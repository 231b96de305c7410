# SPDX-License-Identifier: ISC
"""The handler "proxy": each step of a client runs its twin with the upstream,
and what the client hears is what the upstream said."""

import json
import os
import re
import select
import signal
import socket
import threading

import harness
from harness import ReservedPort, equal, python_with_smtpd, wait_until
from smtp_peers import DROP, RESET, STALL, Authority, Client, Upstream, without_received
from test_peers import postfix

ONE_WORKER = "min_spare = 1\nmax_spare = 1\nmax_workers = 1\n"
BODY = b"Subject: proxied\r\n\r\n.leading dot\r\n.\r\n..\r\nlast\r\n"
ENDLESS = b"Subject: much\r\n\r\n" + (b"y" * 70 + b"\r\n") * 100000  # more than fits into anybody's buffer


def proxy(t, remote=None, config="", **options):
    """posthoused with the handler; one worker, so that who has which connection is known."""
    text = f'handler = "proxy"\nlog_level = "debug"\n{ONE_WORKER}{config}'
    return t.daemon(remote, config=text, **options)


def upstream_section(name, remotes, more=""):
    quoted = ", ".join(f'"{harness.address(r)}"' for r in remotes)
    return f'upstream "{name}" {{\n remoteaddr = {{{quoted}}}\n tls = "none"\n {more}\n}}\n'


# ---- replies ---------------------------------------------------------------


def test_each_reply_is_the_upstreams(t):
    upstream = Upstream(t)
    upstream.on("MAIL", "250 2.1.0 sender noted, says the upstream")
    upstream.on("RCPT", "250-2.1.5 first line\r\n250 2.1.5 and another", match="good")
    upstream.on("RCPT", "550 5.1.1 nobody of that name", match="unknown")
    upstream.on("RCPT", "450 4.2.0 come back later", match="greylisted")
    upstream.on("RCPT", "553 no enhanced code here", match="plain")
    upstream.on("EOD", "250 2.6.0 stored as 4711")
    daemon = proxy(t, upstream)
    with Client(daemon) as client:
        equal(client.cmd("MAIL FROM:<a@client.test>", 250).lines, ["2.1.0 sender noted, says the upstream"], "MAIL")
        equal(client.cmd("RCPT TO:<good@example.test>", 250).lines, ["2.1.5 first line", "2.1.5 and another"], "RCPT")
        equal(client.cmd("RCPT TO:<unknown@example.test>", 550).text, "5.1.1 nobody of that name", "RCPT")
        equal(client.cmd("RCPT TO:<greylisted@example.test>", 450).text, "4.2.0 come back later", "RCPT")
        equal(client.cmd("RCPT TO:<plain@example.test>", 553).text, "5.0.0 no enhanced code here", "RCPT")
        equal(client.data(BODY).text, "2.6.0 stored as 4711", "end of data")
        client.quit()
    message = upstream.wait_messages()[0]
    equal(message.rcpts, ["good@example.test"], "recipients")
    equal(without_received(message.content), BODY, "content")
    delivered = daemon.wait_for("delivered", to="good@example.test", reply="250 2.6.0 stored as 4711")
    assert delivered["id"].encode() in message.content.split(b";")[0], "the id stands in Received and log"


def test_strangers_say_nothing_upstream(t):
    """Who may not relay is refused here: not a word of it goes to the upstream, and no word of the upstream to it."""
    upstream = Upstream(t)
    upstream.on("MAIL", "451 4.7.1 secret of the upstream")
    daemon = proxy(t, upstream, "relay_from = {}\n")
    with Client(daemon) as client:
        client.cmd("MAIL FROM:<probe@client.test>", 250)
        client.cmd("RCPT TO:<victim@example.test>", 554)
        client.cmd("DATA", 554)
        client.cmd("RSET", 250)
        client.quit()
    equal([line for s in upstream.sessions for line in s.lines if not line.startswith(("EHLO", "QUIT"))], [], "commands upstream")


def test_rewritten_for_an_upstream_without_dsn(t):
    """What rewriting adds of DSN by itself (ORCPT, a copy without notifications) is no reason to refuse anything."""
    upstream = Upstream(t)
    daemon = proxy(t, upstream, 'rewrite {\n match = "*@old.test"\n to = "*@new.test"\n apply = "recipient"\n}\n'
                   'always_bcc = "archive@example.test"\n')
    with Client(daemon) as client:
        assert "DSN" not in client.ehlo.text, client.ehlo
        client.message(BODY, rcpts=("bob@old.test",))
    equal(upstream.wait_messages()[0].rcpts, ["bob@new.test", "archive@example.test"], "recipients")


def test_refusals_of_the_message(t):
    upstream = Upstream(t)
    daemon = proxy(t, upstream)
    with Client(daemon) as client:
        for phase, reply in (("MAIL", "550 5.7.1 not you"), ("MAIL", "451 4.7.1 greylisted"), ("DATA", "554 5.5.0 no data"),
                             ("DATA", "451 4.3.0 no data now"), ("EOD", "554 5.7.1 it is spam"), ("EOD", "452 4.3.1 disk full")):
            rule = upstream.on(phase, reply)
            code, text = int(reply[:3]), reply[4:]
            if phase == "MAIL":
                equal(client.cmd("MAIL FROM:<a@client.test>", code).text, text, reply)
            elif phase == "DATA":
                client.mail()
                equal(client.cmd("DATA", code).text, text, reply)
            else:
                equal(client.message(BODY, code=code).text, text, reply)
            upstream.rules.remove(rule)
        # what is wrong with our credentials or is no answer at all is not passed on
        for phase, reply, seen in (("MAIL", "530 5.7.0 Authentication required", "4.3.0 Authentication required"),
                                   ("MAIL", "535 5.7.8 wrong", "4.3.0 wrong"),
                                   ("MAIL", "354 go", "4.3.0 The next server gave an answer that makes no sense"),
                                   ("MAIL", "421 4.3.2 shutting down", "4.3.2 shutting down")):
            rule = upstream.on(phase, reply)
            equal(client.cmd("MAIL FROM:<a@client.test>", 451).text, seen, reply)
            upstream.rules.remove(rule)
        for reply in ("250 2.0.0 odd", "221 2.0.0 odd"):
            rule = upstream.on("DATA", reply)
            client.mail()
            client.cmd("DATA", 451)
            upstream.rules.remove(rule)
        client.message(BODY)
        client.quit()
    equal(len(upstream.messages), 1, "messages")


def test_pipelined_client(t):
    upstream = Upstream(t)
    upstream.on("RCPT", "550 5.1.1 no", match="bad")
    daemon = proxy(t, upstream)
    with Client(daemon) as client:
        client.send("MAIL FROM:<a@client.test>\r\nRCPT TO:<bad@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n")
        equal([client.reply().code for _ in range(4)], [250, 550, 250, 354], "replies")
        client.send(b"Subject: x\r\n\r\nx\r\n.\r\nMAIL FROM:<c@client.test>\r\nRSET\r\nQUIT\r\n")
        equal([client.reply().code for _ in range(4)], [250, 250, 250, 221], "replies")
    equal(upstream.wait_messages()[0].rcpts, ["b@example.test"], "recipients")


def test_250_comes_after_the_upstreams(t):
    upstream = Upstream(t)
    gate = threading.Event()

    def wait(_session, _line):
        gate.wait(harness.DEADLINE)

    upstream.on("EOD", wait)
    daemon = proxy(t, upstream)
    with Client(daemon) as client:
        client.mail()
        client.cmd("DATA", 354)
        client.send(BODY + b".\r\n")
        upstream.wait_received()
        assert not select.select([client.socket], [], [], 0.3)[0], "an answer before the upstream's"
        gate.set()
        client.expect(250)


# ---- content ----------------------------------------------------------------


def test_content_passes_as_it_is(t):
    upstream = Upstream(t)
    daemon = proxy(t, upstream, 'data_size_limit = "100M"\n')
    contents = [BODY, b"", b"\r\n", b".\r\n", b".", b"no header at all", b" folded\r\n", b"Subject: 8 bit\r\n\r\n\xff\xe4\r\n",
                b"Subject: long\r\n\r\n" + b"".join(b".%d %s\r\n" % (i, b"x" * (i % 900)) for i in range(20000))]
    with Client(daemon) as client:
        for content in contents:
            client.mail()
            client.cmd("DATA", 354)
            ended = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
            client.send(re.sub(rb"(?m)^\.", b"..", ended) + b".\r\n")
            client.expect(250)
            # what begins with white space is no header field: an empty line keeps it from going on with ours
            expected = b"\r\n" + ended if ended.startswith(b" ") else ended
            equal(without_received(upstream.messages[-1].content), expected, f"content {content[:20]!r}")


def test_content_cut_at_every_octet(t):
    upstream = Upstream(t)
    daemon = proxy(t, upstream, "x_peer = yes\n")
    with Client(daemon) as client:
        client.mail()
        client.cmd("DATA", 354)
        client.send_bytewise(b"A: 1\r\nB: 2\r\n\r\n..x\r\n...\r\n\r\n.\r\n")
        client.expect(250)
    equal(without_received(upstream.messages[0].content),
          b"A: 1\r\nB: 2\r\nX-Peer: 127.0.0.1\r\n\r\n.x\r\n..\r\n\r\n", "content")


def test_x_peer(t):
    upstream = Upstream(t)
    daemon = proxy(t, upstream, "x_peer = yes\n")
    cases = [(b"A: 1\r\n\r\nbody\r\n\r\nmore\r\n", b"A: 1\r\nX-Peer: 127.0.0.1\r\n\r\nbody\r\n\r\nmore\r\n"),
             (b"\r\nbody\r\n", b"X-Peer: 127.0.0.1\r\n\r\nbody\r\n"),
             (b"A: 1\r\n", b"A: 1\r\nX-Peer: 127.0.0.1\r\n")]
    with Client(daemon) as client:
        for content, expected in cases:
            client.message(content)
            equal(without_received(upstream.messages[-1].content), expected, f"content {content!r}")


def test_a_broken_off_message_gets_no_final_dot(t):
    upstream = Upstream(t)
    daemon = proxy(t, upstream)
    for how in ("close", "reset"):
        client = Client(daemon)
        client.mail()
        client.cmd("DATA", 354)
        client.send(ENDLESS)
        getattr(client, how)()
    with Client(daemon) as client:  # the worker is through with them
        client.message(BODY)
    equal(len(upstream.received), 1, "final dots")
    wait_until(lambda: upstream.open_sessions == 1, "the connections of broken messages to be closed")


def test_a_refused_message_gets_no_final_dot(t):
    """What we find wrong ourselves: too large, a bare newline."""
    upstream = Upstream(t)
    daemon = proxy(t, upstream, "data_size_limit = 2000\n")
    with Client(daemon) as client:
        equal(client.message(b"x" * 900 + b"\r\n" + b"y" * 1200 + b"\r\n", code=552).code, 552, "too large")
        client.mail()
        client.cmd("DATA", 354)
        client.send(b"Subject: smuggling\r\n\r\n\n.\r\nMAIL FROM:<x@y>\r\n\r\n.\r\n")
        client.expect(550)
        client.message(BODY)
    equal([without_received(m.content) for m in upstream.received], [BODY], "what arrived")


# ---- connections ---------------------------------------------------------------


def test_one_connection_serves_many_sessions(t):
    upstream = Upstream(t)
    daemon = proxy(t, upstream)
    for _ in range(5):
        with Client(daemon) as client:
            client.message(BODY)
            client.message(BODY)
            client.quit()
    equal(len(upstream.sessions), 1, "connections")
    equal(upstream.commands("RSET"), [], "nothing was left open, so nothing is reset")
    with Client(daemon) as client:
        client.mail()
        client.quit()
    with Client(daemon) as client:
        client.mail()
        client.cmd("RSET", 250)
        client.message(BODY)
    equal(len(upstream.sessions), 1, "connections")
    equal(len(upstream.commands("RSET")), 2, "RSET behind each transaction that was given up")
    equal(upstream.messages[-1].rcpts, ["rcpt@example.test"], "recipients")


def test_a_connection_that_died_is_replaced(t):
    upstream = Upstream(t)
    daemon = proxy(t, upstream)

    def message(where):
        with Client(daemon) as client:
            client.message(BODY)
        return where

    message("first")
    # closed while nobody used it, without a word and with one
    for farewell in (b"", b"421 4.4.2 idle for too long\r\n", b"250 2.0.0 who knows\r\n"):
        session = upstream.sessions[-1]
        if farewell:
            session.say(farewell)
        if not farewell.startswith(b"250"):
            session.socket.shutdown(socket.SHUT_RDWR)
        message(farewell)
    equal(len(upstream.sessions), 4, "connections")
    # it looks alive and dies of MAIL
    for action in (DROP, RESET, "421 4.3.2 restarting"):
        upstream.on("MAIL", action, times=1)
        message(action)
    equal(len(upstream.sessions), 7, "connections")
    equal(len(upstream.messages), 7, "messages")
    equal(daemon.events("upstream_down"), [], "the address is none the worse for it")


def test_an_unused_connection_quits(t):
    upstream = Upstream(t)
    daemon = proxy(t, config=upstream_section("main", [upstream], 'idle_timeout = "300ms"'))
    with Client(daemon) as client:
        client.message(BODY)
    wait_until(lambda: upstream.commands("QUIT"), "QUIT")
    wait_until(lambda: upstream.open_sessions == 0, "the connection to end")
    with Client(daemon) as client:
        client.message(BODY)


def test_connections_have_limits(t):
    upstream = Upstream(t)
    daemon = proxy(t, config=upstream_section("main", [upstream], "messages_per_connection = 2\nrecipients_per_message = 2"))
    with Client(daemon) as client:
        for _ in range(4):
            client.message(BODY)
        client.mail(rcpts=("a@example.test", "b@example.test"))
        client.cmd("RCPT TO:<c@example.test>", 452)
        client.data(BODY)
    equal(len(upstream.sessions), 3, "connections")
    equal(upstream.messages[-1].rcpts, ["a@example.test", "b@example.test"], "recipients")


def test_stop_says_quit(t):
    upstream = Upstream(t)
    daemon = proxy(t, upstream)
    with Client(daemon) as client:
        client.message(BODY)
        client.quit()
    daemon.stop()
    wait_until(lambda: upstream.commands("QUIT"), "QUIT")


# ---- upstreams that fail ---------------------------------------------------------


def test_fail_over(t):
    down, refusing, good = ReservedPort(t), Upstream(t), Upstream(t)
    refusing.on("connect", "554 5.3.2 no service")
    daemon = proxy(t, config=upstream_section("main", [down, refusing, good]))
    for _ in range(2):
        with Client(daemon) as client:
            client.message(BODY)
    equal(len(good.messages), 2, "messages")
    daemon.wait_for("upstream_down", remoteaddr=f"127.0.0.1:{down.port}")
    daemon.wait_for("upstream_down", remoteaddr=f"127.0.0.1:{refusing.port}", reason=re.compile("no service"))
    # an address that takes connections and leaves at MAIL
    leaving, other = Upstream(t), Upstream(t)
    leaving.on("MAIL", "421 4.3.2 leaving")
    daemon = proxy(t, config=upstream_section("main", [leaving, other]), name="second")
    with Client(daemon) as client:
        client.message(BODY)
    equal(len(other.messages), 1, "messages")


def test_upstream_down_and_up_again(t):
    port = ReservedPort(t)
    daemon = proxy(t, port)
    with Client(daemon) as client:
        assert "DSN" in client.ehlo.lines, "what may be there is not taken out while that is not known"
        for _ in range(3):
            equal(client.cmd("MAIL FROM:<a@client.test>", 451).text,
                  "4.4.1 The next server cannot be reached now; try again later", "MAIL")
        upstream = Upstream(t, reserved=port)
        client.message(BODY)
    daemon.wait_for("upstream_down")
    daemon.wait_for("upstream_up")
    equal(len(upstream.messages), 1, "messages")


def test_a_slow_upstream_is_left_alone_for_a_while(t):
    """A time-out costs a client its length; those behind it hear 451 at once."""
    upstream = Upstream(t)
    upstream.on("connect", STALL)
    daemon = proxy(t, config=upstream_section("main", [upstream], 'greeting_timeout = "1500ms"\nprobe_min = "1h"\nprobe_max = "1h"'))
    with Client(daemon) as client:
        client.cmd("MAIL FROM:<a@client.test>", 451)
        client.cmd("MAIL FROM:<a@client.test>", 451)
    with Client(daemon) as client:
        client.cmd("MAIL FROM:<a@client.test>", 451)
    daemon.wait_for("upstream_down", reason=re.compile("greeting"))
    equal(len(daemon.events("upstream_down")), 1, "upstream_down")
    equal(len(upstream.sessions), 1, "connections")


def test_lost_in_each_phase(t):
    upstream = Upstream(t)
    daemon = proxy(t, upstream)
    for action in (DROP, RESET, "421 4.3.2 going down"):
        for phase in ("RCPT", "DATA", "EOD"):
            with Client(daemon) as client:
                rule = upstream.on(phase, action, times=1)
                client.cmd("MAIL FROM:<a@client.test>", 250)
                code = 451 if phase == "RCPT" else 250
                client.cmd("RCPT TO:<b@example.test>", code)
                if phase == "RCPT":
                    client.cmd("RCPT TO:<c@example.test>", (250, 451))
                if phase == "DATA":
                    client.cmd("DATA", 451)
                if phase == "EOD":
                    client.data(BODY, 451)
                client.cmd("RSET", 250)
                upstream.rules.remove(rule)
                client.message(BODY)  # the client's session lives on
                client.quit()
    equal(len(daemon.events("uncertain")), 2, "only where the end of data got no answer")
    equal(len(upstream.messages), 9, "accepted messages")


def test_lost_answer_is_451_and_uncertain(t):
    upstream = Upstream(t)
    upstream.on("EOD", STALL, times=1)
    daemon = proxy(t, config=upstream_section("main", [upstream], 'final_timeout = "500ms"'))
    with Client(daemon) as client:
        reply = client.message(BODY, rcpts=("a@example.test", "b@example.test"), code=451)
        equal(reply.text, "4.4.2 The next server did not answer at the end of the message; try again later", "reply")
        seen = daemon.wait_for("uncertain", count=2)
        equal([e["to"] for e in seen], ["a@example.test", "b@example.test"], "recipients")
        assert "final-dot" in seen[0]["reply"] and seen[0]["remote"], seen
        client.message(BODY)


def test_deadlines(t):
    upstream = Upstream(t)
    for phase, setting in (("MAIL", "command_timeout"), ("RCPT", "command_timeout"), ("DATA", "data_timeout")):
        rule = upstream.on(phase, STALL)
        daemon = proxy(t, config=upstream_section("main", [upstream], f'{setting} = "400ms"'), name=phase)
        with Client(daemon) as client:
            codes = [client.cmd(line).code for line in ("MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>", "DATA")]
        equal(451 in codes and 354 not in codes, True, f"{phase}: {codes}")
        upstream.rules.remove(rule)
        daemon.stop()


def test_an_upstream_that_takes_nothing(t):
    upstream = Upstream(t)
    upstream.on("CONTENT", STALL)
    daemon = proxy(t, config='data_size_limit = "100M"\n' + upstream_section("main", [upstream], 'block_timeout = "600ms"'))
    with Client(daemon) as client:
        client.mail()
        client.cmd("DATA", 354)
        client.send(b"Subject: big\r\n\r\n" + b"x" * 70 + b"\r\n")
        client.send((b"y" * 70 + b"\r\n") * 500000 + b".\r\n")
        client.expect(451)
    equal(upstream.received, [], "final dots")


def test_an_upstream_that_refuses_in_the_content(t):
    upstream = Upstream(t)

    def early(session, _line):
        session.say("354 go")
        session.fill()
        session.say("552 5.3.4 far too much")
        session.wait_for_end()
        raise EOFError

    upstream.on("DATA", early, times=1)
    daemon = proxy(t, upstream, 'data_size_limit = "100M"\n')
    with Client(daemon) as client:
        client.mail()
        client.cmd("DATA", 354)
        client.send(b"Subject: big\r\n\r\n" + (b"y" * 70 + b"\r\n") * 200000 + b".\r\n")
        equal(client.expect(552).text, "5.3.4 far too much", "the upstream's words")
        client.message(BODY)
    equal(len(upstream.received), 1, "final dots")


def test_an_upstream_that_is_no_smtp_server(t):
    upstream = Upstream(t)
    daemon = proxy(t, upstream)
    with Client(daemon) as client:
        for phase, noise in (("MAIL", b"HTTP/1.1 400 Bad Request\r\n\r\n"), ("RCPT", b"\0\xff" * 3000 + b"\r\n"),
                             ("DATA", b"250-a\r\n354 b\r\n"), ("EOD", b"250-" + b"x\r\n250-" * 500 + b"\r\n")):
            rule = upstream.on(phase, noise, times=2)
            codes = [client.cmd(line).code for line in ("MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>", "DATA")]
            if codes[2] == 354:
                client.send(b"x\r\n.\r\n")
                codes.append(client.reply().code)
            assert 451 in codes, (phase, codes)
            client.cmd("RSET", 250)
            upstream.rules.remove(rule)
        client.message(BODY)
        client.quit()


# ---- processes --------------------------------------------------------------------


def test_a_killed_worker_leaves_nothing_half_said(t):
    upstream = Upstream(t)
    daemon = proxy(t, upstream)
    client = Client(daemon)
    client.mail()
    client.cmd("DATA", 354)
    client.send(ENDLESS[:300000])
    os.kill(daemon.child("worker"), signal.SIGKILL)
    assert b"250" not in client.at_eof(), "a message was promised"
    with Client(daemon) as again:
        again.message(BODY)
    equal(len(upstream.received), 1, "final dots")


def test_a_stop_does_not_wait_for_a_silent_upstream(t):
    upstream = Upstream(t)
    upstream.on("EOD", STALL)
    daemon = proxy(t, upstream, 'stop_timeout = "500ms"\n')
    client = Client(daemon)
    client.mail()
    client.cmd("DATA", 354)
    client.send(BODY + b".\r\n")
    upstream.wait_stall("EOD")
    daemon.stop()
    assert client.at_eof().startswith(b"451 4.4.2"), "the client hears of it"
    daemon.wait_for("uncertain", reply=re.compile("stops"))


# ---- what is offered -----------------------------------------------------------------


def test_ehlo_offers_what_both_have(t):
    rich = Upstream(t, extensions=("PIPELINING", "SIZE 1000000", "8BITMIME", "DSN", "SMTPUTF8", "DELIVERBY 60",
                                   "X-OTHER"))
    poor = Upstream(t, extensions=("SIZE 500000",))
    plain = 'enable_smtputf8 = yes\n'
    with Client(proxy(t, rich, plain, name="rich")) as client:
        assert {"8BITMIME", "DSN", "SMTPUTF8", "DELIVERBY"} <= set(client.ehlo.lines) and "X-OTHER" not in client.ehlo.lines, client.ehlo
        size = int(next(line for line in client.ehlo.lines if line.startswith("SIZE "))[5:])
        assert 990000 < size < 1000000, "what the trace fields need is kept back"
        client.cmd(f"MAIL FROM:<a@b.test> SIZE={size + 1}", 552)
        client.cmd(f"MAIL FROM:<a@b.test> SIZE={size} BODY=8BITMIME RET=HDRS ENVID=abc SMTPUTF8", 250)
        client.cmd("RSET", 250)
        client.cmd("MAIL FROM:<a@b.test> BY=30;R", 550)  # the upstream cannot
        client.cmd("MAIL FROM:<a@b.test> BY=3600;RT", 250)
        assert re.search(r" BY=3(600|59\d);RT", rich.commands("MAIL")[-1]), rich.commands("MAIL")
        client.cmd("RSET", 250)
        client.cmd(f"MAIL FROM:<a@b.test> SIZE={size} BODY=8BITMIME RET=HDRS ENVID=abc SMTPUTF8", 250)
        client.cmd("RCPT TO:<c@d.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c@d.test", 250)
        client.data("Subject: \u00fc\r\n\r\n".encode())
    equal(rich.commands("RCPT")[-1], "RCPT TO:<c@d.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c@d.test", "RCPT upstream")
    mail = rich.commands("MAIL")[-1]
    for word in ("BODY=8BITMIME", "SMTPUTF8", "RET=HDRS", "ENVID=abc"):
        assert f" {word}" in mail, mail
    assert int(re.search(r" SIZE=(\d+)", mail)[1]) <= 1000000, mail
    with Client(proxy(t, poor, plain, name="poor")) as client:
        assert not {"8BITMIME", "DSN", "SMTPUTF8"} & set(client.ehlo.lines), client.ehlo
        client.cmd("MAIL FROM:<a@b.test> BODY=8BITMIME", 555)
        client.mail()
        equal(client.data("Subject: \u00fc\r\n\r\n".encode(), 554).text,
              "5.6.3 The message has 8-bit content and the next server offers no 8BITMIME", "8-bit content")
        client.message(BODY)
    equal(len(poor.received), 1, "final dots")
    both = upstream_section("one", [rich]) + upstream_section("two", [poor]) + \
        'route {\n sender = "*@two.test"\n upstream = "two"\n}\n'
    with Client(proxy(t, config=plain + both, name="both")) as client:
        assert not {"8BITMIME", "DSN", "SMTPUTF8"} & set(client.ehlo.lines), "what all of them have"


def test_chunks(t):
    """BDAT of the client: DATA upstream, but for what is BINARYMIME, which only BDAT can carry."""
    upstream = Upstream(t, extensions=("PIPELINING", "8BITMIME", "CHUNKING", "BINARYMIME"))
    daemon = proxy(t, upstream, "enable_binarymime = yes\n")
    with Client(daemon) as client:
        assert {"CHUNKING", "BINARYMIME"} <= set(client.ehlo.lines), client.ehlo
        client.mail()
        client.send(b"BDAT 12\r\nSubject: x\r\n")
        client.expect(250)
        client.send(b"BDAT 5 LAST\r\n\r\n.\r\n")
        client.expect(250)
        equal(without_received(upstream.messages[0].content), b"Subject: x\r\n\r\n.\r\n", "content by DATA")
        binary = b"Subject: x\r\n\r\n" + bytes(range(256)) * 1000
        client.mail(params=" BODY=BINARYMIME")
        client.send(b"BDAT %d LAST\r\n" % len(binary) + binary)
        client.expect(250)
        equal(without_received(upstream.messages[1].content), binary, "content by BDAT")
        assert " BODY=BINARYMIME" in upstream.messages[1].mail_line, upstream.messages[1].mail_line
        upstream.on("BDAT", "552 5.3.4 too much", times=1)
        client.mail(params=" BODY=BINARYMIME")
        client.send(b"BDAT %d LAST\r\n" % len(binary) + binary)
        equal(client.expect(552).text, "5.3.4 too much", "refused chunk")
        client.message(BODY)
    with Client(proxy(t, Upstream(t, extensions=("CHUNKING",)), "enable_binarymime = yes\n", name="poor")) as client:
        assert "BINARYMIME" not in client.ehlo.lines, client.ehlo


def test_promises_that_cannot_be_kept_any_more(t):
    """Offered to this client, and gone with the connection: temporary, as the next EHLO knows better."""
    upstream = Upstream(t, extensions=("DSN", "8BITMIME"))
    daemon = proxy(t, upstream)
    with Client(daemon) as client:
        client.message(BODY)
        upstream.extensions = ("8BITMIME",)
        upstream.sessions[0].socket.shutdown(socket.SHUT_RDWR)
        client.cmd("MAIL FROM:<a@b.test> ENVID=x", 451)
        client.cmd("MAIL FROM:<a@b.test>", 250)
        client.cmd("RCPT TO:<c@d.test> NOTIFY=SUCCESS", 451)
        client.cmd("RCPT TO:<c@d.test>", 250)
        client.data(BODY)
    with Client(daemon) as client:
        assert "DSN" not in client.ehlo.lines, client.ehlo


# ---- what stands in front of it ----------------------------------------------------------


def test_filter_and_rewriting(t):
    """Both stand between the session and this handler, and pass on what it is asked between sessions."""
    upstream = Upstream(t)
    more = f'filter_command = {{"/bin/sed", "s/one/two/"}}\nprogram_user = "{harness.PROGRAM_USER}"\nmasquerade = "example.test"\n'
    daemon = proxy(t, config=more + upstream_section("main", [upstream], 'idle_timeout = "200ms"'))
    with Client(daemon) as client:
        client.message(b"Subject: x\r\n\r\none\r\n", sender="a@host.example.test")
        client.quit()
    wait_until(lambda: upstream.commands("QUIT"), "QUIT")
    with Client(daemon) as client:
        client.message(BODY)
    first = upstream.messages[0]
    equal((first.sender, without_received(first.content)), ("a@example.test", b"Subject: x\r\n\r\ntwo\r\n"), "the message")


# ---- routes -----------------------------------------------------------------------------


def test_routes_by_sender(t):
    one, two = Upstream(t), Upstream(t)
    daemon = proxy(t, config=upstream_section("one", [one]) + upstream_section("two", [two])
                   + 'route {\n sender = "*@two.test"\n upstream = "two"\n}\n')
    two.on("MAIL", "250 2.1.0 this is two")
    with Client(daemon) as client:
        client.message(BODY)
        equal(client.cmd("MAIL FROM:<x@two.test>", 250).text, "2.1.0 this is two", "MAIL goes to its upstream at once")
        client.cmd("RCPT TO:<y@z.test>", 250)
        client.data(BODY)
    equal([len(one.messages), len(two.messages)], [1, 1], "messages")


def test_routes_by_recipient(t):
    one, two = Upstream(t), Upstream(t)
    daemon = proxy(t, config=upstream_section("one", [one]) + upstream_section("two", [two])
                   + 'route {\n recipient = "*@two.test"\n upstream = "two"\n}\n')
    with Client(daemon) as client:
        client.cmd("MAIL FROM:<a@b.test>", 250)
        client.cmd("RCPT TO:<x@one.test>", 250)
        equal(client.cmd("RCPT TO:<x@two.test>", 452).text,
              "4.5.3 This recipient goes another way; send it a copy of its own", "RCPT")
        client.cmd("RCPT TO:<y@one.test>", 250)
        client.data(BODY)
        two.on("MAIL", "550 5.1.8 not from him")
        client.cmd("MAIL FROM:<a@b.test>", 250)
        equal(client.cmd("RCPT TO:<x@two.test>", 550).text, "5.1.8 not from him", "MAIL's answer comes with RCPT")
        client.cmd("RCPT TO:<x@one.test>", 250)
        client.cmd("RSET", 250)
        two.clear()
        client.message(BODY, rcpts=("x@two.test",))
    equal([m.rcpts for m in one.messages], [["x@one.test", "y@one.test"]], "messages of one")
    equal([m.rcpts for m in two.messages], [["x@two.test"]], "messages of two")


# ---- credentials, TLS -----------------------------------------------------------------------


def test_credentials_and_tls(t):
    """The password's file is for root, or for us, alone; the worker logs in with it over TLS that is verified."""
    ca = Authority(t)
    upstream = Upstream(t, tls=ca.server_context(), users={"relay": "sesame"},
                        extensions=("8BITMIME", "REQUIRETLS", "SIZE 0"))
    secret = t.tmp / "secret"
    secret.write_text("sesame\n")
    secret.chmod(0o600)
    keys = f'tls = "required"\n tls_ca_file = "{ca.file}"\n user = "relay"\n password_file = "{secret}"'
    daemon = proxy(t, config=f'upstream "main" {{\n remoteaddr = "127.0.0.1:{upstream.port}"\n {keys}\n}}\n')
    with Client(daemon) as client:
        client.message(BODY)
        client.message(BODY)
    equal((upstream.sessions[0].tls, upstream.sessions[0].user, len(upstream.sessions)), (True, "relay", 1), "session")
    delivered = daemon.wait_for("delivered", count=2)[0]
    equal((delivered["tls"], delivered["verified"]), ("TLSv1.3", "yes"), "TLS, verified")
    assert "sesame" not in "\n".join(daemon.lines), "the password is in the log"
    upstream.users["relay"] = "changed"
    upstream.sessions[0].socket.shutdown(socket.SHUT_RDWR)
    with Client(daemon) as client:
        client.cmd("MAIL FROM:<a@b.test>", 451)
    daemon.wait_for("upstream_down", reason=re.compile("535"))


def test_a_secret_that_cannot_be_read(t):
    """At the start, not at the first message."""
    secret = t.tmp / "secret"
    secret.write_text("sesame\n")
    secret.chmod(0o644)
    keys = f'user = "relay"\n password_file = "{secret}"'
    path = t.config('handler = "proxy"\n' + upstream_section("main", ["127.0.0.1:1"], keys), spool=t.tmp / "spool")
    done = t.run([harness.BUILDDIR / "posthoused", "-F", "-f", path], check=1)
    assert b"secret" in done.stderr and b"everyone" in done.stderr, done.stderr


# ---- others ------------------------------------------------------------------------------------


def smtpd_pure_proxy(t, upstream):
    """Python's own; decode_data as it does not work without."""
    python = python_with_smtpd()
    code = ("import asyncore, smtpd, sys\n"
            f"server = smtpd.PureProxy(('127.0.0.1', 0), ('127.0.0.1', {upstream.port}), decode_data=True)\n"
            "print(server.socket.getsockname()[1], file=sys.stderr, flush=True)\n"
            "asyncore.loop()\n")
    process = t.start([python, "-u", "-W", "ignore", "-c", code], name="PureProxy")
    process.port = int(wait_until(lambda: process.lines, "PureProxy's port")[0])
    return process


def test_side_by_side_with_pure_proxy(t):
    """What Python's class sends on, ours does, but for the Received field; and where its answers are untrue, ours differ."""
    theirs, ours = Upstream(t), Upstream(t)
    ends = [(smtpd_pure_proxy(t, theirs), theirs), (proxy(t, ours, "x_peer = yes\n"), ours)]
    contents = [BODY, b"Subject: x\r\nTo: y\r\n\r\nbody\r\n\r\n\r\n", b"\r\nno header\r\n", b"A: only a header\r\n",
                b"one line\r\n\r\n"]  # not an empty one: smtpd waits for CRLF in front of the dot
    for end, upstream in ends:
        with Client(end) as client:
            for i, content in enumerate(contents):
                client.message(content, sender=f"a{i}@client.test" if i else "", rcpts=("x@example.test", "y@example.test"))
            client.quit()
        upstream.wait_messages(len(contents))
    # smtpd drops the last line end, and smtplib adds none behind an empty line
    equal([(m.sender, m.rcpts, without_received(m.content).rstrip()) for m in ours.messages],
          [(m.sender, m.rcpts, m.content.rstrip()) for m in theirs.messages], "what arrived")
    for upstream in (theirs, ours):
        upstream.on("RCPT", "550 5.1.1 nobody", match="nobody")
        upstream.on("EOD", "554 5.7.1 refused", match="spam")
    seen = []
    for end, _upstream in ends:
        with Client(end) as client:
            codes = [client.cmd(line).code for line in ("MAIL FROM:<a@b.test>", "RCPT TO:<nobody@b.test>", "RCPT TO:<c@d.test>")]
            codes.append(client.data(b"x\r\n").code)
            client.mail(sender="spam@b.test")
            client.cmd("DATA", 354)
            client.send(b"x\r\n.\r\n")
            seen.append([*codes, client.reply().code])
    # it only connects when it has told the client 250, and then loses what is refused
    equal(seen, [[250, 250, 250, 250, 250], [250, 550, 250, 250, 554]], "replies of PureProxy, of ours")
    equal([m.rcpts for m in ours.messages[-1:]], [["c@d.test"]], "recipients")


def test_postfix_as_upstream(t):
    last = Upstream(t)
    daemon = proxy(t, postfix(t, last))
    with Client(daemon) as client:
        assert {"8BITMIME", "DSN"} <= set(client.ehlo.lines), client.ehlo
        assert "queued as" in client.message(BODY).text, "Postfix's words"
        client.cmd("MAIL FROM:<>", 250)
        refused = client.cmd("RCPT TO:<@@>").code
        assert refused >= 500, refused
        client.cmd("RCPT TO:<rcpt@example.test> NOTIFY=NEVER", 250)
        client.data(b"Subject: again\r\n\r\n" + (b"z" * 70 + b"\r\n") * 20000)
        client.quit()
    messages = last.wait_messages(2)
    assert any(m.content.endswith(BODY.partition(b"\r\n\r\n")[2]) for m in messages), "the content"
    daemon.wait_for("delivered", count=2, reply=re.compile("queued as"))


# ---- the configuration ------------------------------------------------------------------------


def check(t, text, remote="127.0.0.1:1"):
    path = t.config(f'handler = "proxy"\n{text}', remote, spool=t.tmp / "spool", name="check")
    done = t.run([harness.BUILDDIR / "posthoused", "-t", "-f", path])
    return done.returncode, done.stderr.decode()


def test_what_does_not_go_with_it(t):
    equal(check(t, ""), (0, ""), "a good one")
    (t.tmp / "secret").write_text("x\n")
    (t.tmp / "secret").chmod(0o600)
    status, said = check(t, 'upstream "u" {\n remoteaddr = "a.test:587"\n oauth = "client_credentials"\n user = "u"\n'
                         'oauth_token_url = "https://a.test/"\n oauth_client_id = "i"\n'
                         f'oauth_client_secret_file = "{t.tmp}/secret"\n}}\n', None)
    assert status == 1 and "nobody renews" in said, said
    status, said = check(t, 'upstream "u" {\n remoteaddr = "127.0.0.1:1"\n messages_per_minute = 5\n}\n', None)
    assert status == 1 and "messages_per_minute has no effect" in said, said
    status, said = check(t, 'upstream "u" {\n remoteaddr = "lmtp://127.0.0.1:24"\n}\n', None)
    assert status == 1 and "one a recipient" in said, said
    path = t.config('handler = "proxy"\n', spool=t.tmp / "spool", name="nowhere")
    done = t.run([harness.BUILDDIR / "posthoused", "-t", "-f", path], check=1)
    assert b"remoteaddr is missing" in done.stderr, done.stderr


def test_there_is_no_spool(t):
    upstream = Upstream(t)
    daemon = proxy(t, upstream)
    with Client(daemon) as client:
        client.message(BODY)
    assert not daemon.spool.exists(), "nothing was spooled, and no place made for it"
    equal(daemon.children("relay"), [], "relay processes")
    assert "spool" not in daemon.wait_for("ready"), "ready"
    for verb in ("queue", "status"):
        done = t.run([harness.BUILDDIR / "posthouse", "--config", t.tmp / "posthoused.conf", verb], check=3)
        assert b'handler "proxy" has no spool' in done.stderr, done.stderr
    done = t.run([harness.BUILDDIR / "posthouse", "--config", t.tmp / "posthoused.conf", "doctor", "--json"])
    spool = [line for line in done.stdout.decode().splitlines() if '"check":"spool"' in line.replace(" ", "")]
    assert spool and "skipped" in spool[0] and "no spool" in spool[0], done.stdout


def test_an_earlier_handlers_spool(t):
    """What lies there is told, and nothing is put beside it where no relay would find it."""
    upstream = Upstream(t)
    before = t.daemon(upstream, config='handler = "spool"\n')
    upstream.close()
    with Client(before) as client:
        client.message(BODY)
    before.stop()
    daemon = proxy(t, upstream)
    equal(daemon.spool, before.spool, "spool")

    def verb(*words, check):
        done = t.run([harness.BUILDDIR / "posthouse", words[0], "--config", t.tmp / "posthoused.conf", *words[1:]],
                     check=check)
        return " ".join((done.stdout + done.stderr).decode().split())
    for words in (("send", "--queue", "--from", "a@example.test", "--to", "b@example.test", "--text", "x"),
                  ("import", "--from", "a@example.test", "--to", "b@example.test", "/dev/null"), ("suspend",)):
        assert 'handler "proxy" ' in verb(*words, check=3), words
    assert not (before.spool / "suspended").exists(), "suspended"
    said = verb("status", check=1)
    assert 'handler "proxy" has no relay' in said and "does not run" not in said and "1 messages" in said, said
    equal(json.loads(verb("status", "--json", check=1))["handler"], "proxy", "status")
    assert "UNKNOWN - the handler has no relay" in verb("check", check=3), "check"
    assert "1 message waits in " in verb("doctor", "--local", check=None), "doctor"
    assert "1 message, " in verb("queue", check=0), "queue"


def test_quick_command_line(t):
    """The class name of smtpd, and no configuration."""
    upstream = Upstream(t)
    environment = {**os.environ, "HOME": "/nonexistent", "XDG_STATE_HOME": "/nonexistent/state"}
    daemon = harness.Daemon(t, ["-F", "-n", "-c", "PureProxy", "127.0.0.1:0", f"127.0.0.1:{upstream.port}"],
                            env=environment)
    with Client(daemon) as client:
        client.message(BODY)
    equal(without_received(upstream.messages[0].content), BODY, "content")


if __name__ == "__main__":
    harness.main(__name__)

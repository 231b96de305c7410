# SPDX-License-Identifier: ISC
"""The SMTP server over real sockets: segments cut in every way, clients that
talk too early, too much or not at all."""

import random
import re
import time

import harness
import transcripts
from harness import equal
from smtp_peers import Client, Upstream, without_received

CONTENT = b"Subject: dialogue\r\n\r\n.dot\r\nbody\r\n"
SESSION = (b"EHLO client.test\r\nMAIL FROM:<a@client.test>\r\nRCPT TO:<b@example.test>\r\nRCPT TO:<c@example.test>\r\n"
           b"DATA\r\nSubject: dialogue\r\n\r\n..dot\r\nbody\r\n.\r\n"
           b"MAIL FROM:<d@client.test>\r\nRCPT TO:<e@example.test>\r\nRSET\r\nNOOP\r\nQUIT\r\n")
SESSION_CODES = [220, 250, 250, 250, 250, 354, 250, 250, 250, 250, 250, 221]


def configured(key, value):
    """A transcript's setting as the configuration has it."""
    return "{ " + ", ".join(value.split()) + " }" if key == "discard_ehlo_keywords" else f'"{value}"'


def codes_until_eof(client):
    codes = []
    try:
        while True:
            codes.append(client.reply().code)
    except EOFError:
        return codes


def in_pieces(cut):
    """A whole session in one go, cut into segments in some way: the replies and the message are the same."""
    def test(t):
        upstream = Upstream(t)
        relay = t.daemon(upstream)
        with Client(relay, helo=None) as client:
            for piece in cut(SESSION):
                client.send(piece)
            equal(codes_until_eof(client), SESSION_CODES, "reply codes")
        message = upstream.wait_messages(1)[0]
        equal((message.sender, message.rcpts), ("a@client.test", ["b@example.test", "c@example.test"]), "envelope")
        equal(without_received(message.content), CONTENT, "content")
    return test


def _at_random(data):
    chance = random.Random(1)
    while data:
        size = chance.randrange(1, 12)
        yield data[:size]
        data = data[size:]


test_one_segment = in_pieces(lambda data: [data])
test_byte_by_byte = in_pieces(lambda data: [data[i:i + 1] for i in range(len(data))])
test_random_pieces = in_pieces(_at_random)
test_cut_in_line_ends = in_pieces(lambda data: [p for line in data.split(b"\n")[:-1] for p in (line, b"\n")])
test_cut_between_cr_and_dot = in_pieces(lambda data: re.split(rb"(?<=\r)|(?<=\.)", data))


def transcript(script):
    """A dialogue of tests/transcripts over TCP; what was accepted arrives at the upstream."""
    def test(t):
        binary = script.settings.get("enable_binarymime") == "yes"
        upstream = Upstream(t, extensions=("PIPELINING", "8BITMIME", "SMTPUTF8", *(("CHUNKING", "BINARYMIME") if binary else ())))
        settings = {"hostname": "relay.example.org", "max_errors": "100", **script.settings}
        if settings.pop("peer", "") == "stranger":
            settings["relay_from"] = "192.0.2.0/24"
        if settings.pop("vrfy_table", "") == "yes":
            (t.tmp / "vrfy").write_text(transcripts.VRFY_TABLE)
            settings["vrfy_table"] = str(t.tmp / "vrfy")
        relay = t.daemon(upstream, config="".join(f"{key} = {configured(key, value)}\n" for key, value in settings.items())).ready()
        script.play(relay.port)
        for content in script.contents:
            # among them reports of our own, for who asked to be told of success
            harness.wait_until(lambda: content in [without_received(m.content) for m in upstream.messages
                                                   if m.content.startswith(b"Received:")],
                               f"{content[:200]!r} at the upstream")
    return test


for _script in transcripts.all_transcripts():
    # a server with less than 100 recipients exists in memory only: RFC 5321 4.5.3.1.8
    if int(_script.settings.get("max_recipients", 1000)) >= 100:
        globals()["test_transcript_" + _script.name.replace("-", "_")] = transcript(_script)


def test_transcripts_are_there(_t):
    equal(len(transcripts.all_transcripts()) > 15, True, "a good number of transcripts")


def test_pipelined_refusals(t):
    """Each command of a group has its reply, in order; DATA without a valid recipient does not swallow what follows."""
    relay = t.daemon(Upstream(t), config="data_size_limit = \"1M\"\n")
    with Client(relay) as client:
        client.send(b"MAIL FROM:<a@client.test> SIZE=2000000\r\nRCPT TO:<b@example.test>\r\nDATA\r\n"
                    b"MAIL FROM:<a@client.test>\r\nRCPT TO:<no brackets\r\nDATA\r\nRSET\r\nQUIT\r\n")
        equal(codes_until_eof(client), [552, 503, 503, 250, 501, 554, 250, 221], "reply codes")


def test_early_talker(t):
    """Commands before the greeting are answered in order, after it."""
    relay = t.daemon(Upstream(t))
    with Client(relay, helo=None) as client:
        client.send(b"EHLO early.test\r\nNOOP\r\n")
        equal([client.reply().code for _ in range(3)], [220, 250, 250], "reply codes")


def test_bare_lf_in_commands(t):
    """A command ended by LF alone is refused with a hint, and never run."""
    upstream = Upstream(t)
    relay = t.daemon(upstream)
    with Client(relay) as client:
        client.send(b"MAIL FROM:<a@client.test>\n")
        reply = client.expect(500)
        assert "<LF>" in reply.text, reply
        client.send(b"\r\n")
        client.cmd("RCPT TO:<b@example.test>", 503)
        client.quit()
    with Client(relay) as client:
        client.send(b"MAIL FROM:<a@client.test>\nRCPT TO:<b@example.test>\nDATA\n")
        codes = codes_until_eof(client)
        assert codes and set(codes) <= {500, 421}, codes
    equal(upstream.sessions, [], "connections to the upstream")


def test_bad_lines(t):
    """Anything that is no command: a 5yz each, and the session goes on."""
    relay = t.daemon(Upstream(t))
    for line in (b"", b" ", b"WHAT", b"\xff\xfe\xfd", b"MAIL\0FROM", b"a\rb", b"x" * 5000, b"MAIL FROM:<" + b"y" * 3000,
                 b"EHLO", b"MAIL", b"MAIL FROM:", b"MAIL FROM:a@b@c", b"MAIL FROM:<a@b> NONSENSE=1",
                 b"MAIL FROM:<a@b> SIZE=x", b"MAIL FROM:<a@b> BODY=9BIT", b"RCPT TO:<a@b>", b"DATA", b"%s%n%p",
                 b"MAIL FROM:<" + b"l" * 260 + b"@b>", b"MAIL FROM:<a@" + b"d" * 256 + b">"):
        with Client(relay) as client:
            reply = client.cmd(line)
            assert 500 <= reply.code < 600, f"{line[:40]!r}: {reply}"
            client.cmd("NOOP", 250)
            client.quit()


def test_error_budget(t):
    relay = t.daemon(Upstream(t), config="max_errors = 5\n")
    with Client(relay) as client:
        for _ in range(5):
            client.cmd("NONSENSE", 500)
        client.expect(421)
        equal(client.at_eof(), b"", "rest")
    with Client(relay) as client:  # the next session starts anew
        client.message(CONTENT)


def test_oversize(t):
    """SIZE at MAIL, and content that grows beyond the limit without having said so."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config='data_size_limit = "100k"\n')
    with Client(relay) as client:
        assert "SIZE 102400" in client.ehlo.lines, client.ehlo
        client.cmd("MAIL FROM:<a@client.test> SIZE=102401", 552)
        client.mail(params=" SIZE=100")
        client.data(b"x" * 998 + b"\r\n" + (b"y" * 998 + b"\r\n") * 200, 552)
        exact = b"z" * 1022 + b"\r\n"
        client.message(exact * 100, params=" SIZE=102400")
        client.mail()
        client.data(exact * 100 + b"z\r\n", 552)
        client.quit()
    equal(without_received(upstream.wait_messages(1)[0].content), exact * 100, "content")
    relay.wait_for("completed")
    equal(len(upstream.received), 1, "messages")


def test_oversize_sender_does_not_fill_memory(t):
    """A client that never stops sending: read to the end, thrown away."""
    relay = t.daemon(Upstream(t), config='data_size_limit = "64k"\n')
    with Client(relay) as client:
        client.mail()
        client.cmd("DATA", 354)
        block = (b"x" * 998 + b"\r\n") * 1000
        for _ in range(50):
            client.send(block)
        client.send(b".\r\n")
        client.expect(552)
        client.quit()
    if not harness.sanitized():
        for pid in relay.children("worker"):
            assert harness.peak_memory_kb(pid) < 40_000, harness.peak_memory_kb(pid)
    equal(list((relay.spool / "incoming").iterdir()), [], "leftovers in incoming/")


def test_more_than_a_thousand_recipients(t):
    """The first 1,000 are taken, the others are told 452 (RFC 5321 4.5.3.1.10), and the message goes to the 1,000."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config="max_recipients = 1000\n")
    with Client(relay) as client:
        client.cmd("MAIL FROM:<a@client.test>", 250)
        client.send(b"".join(b"RCPT TO:<u%d@example.test>\r\n" % i for i in range(1010)))
        codes = [client.reply().code for _ in range(1010)]
        equal((codes.count(250), codes[1000:]), (1000, [452] * 10), "accepted and refused")
        client.data(CONTENT)
    relay.wait_for("completed")
    got = [rcpt for message in upstream.messages for rcpt in message.rcpts]
    equal(len(set(got)), 1000, "recipients")
    equal(len(got), 1000, "recipients, with repetitions")


def timed_out(config, act, codes=(421,)):
    def test(t):
        relay = t.daemon(Upstream(t), config=config)
        with Client(relay) as client:
            act(client)
            started = time.monotonic()
            equal(client.expect(codes).code, 421, "reply")
            equal(client.at_eof(), b"", "rest")
            assert time.monotonic() - started < 10 * harness.SLOW, "it took its time"
        with Client(relay) as client:  # the worker is free for the next one
            client.message(CONTENT)
        equal(list((relay.spool / "incoming").iterdir()), [], "leftovers in incoming/")
    return test


def _in_data(client):
    client.mail()
    client.cmd("DATA", 354)
    client.send(b"Subject: x\r\n")


test_command_timeout = timed_out('command_timeout = "200ms"\n', lambda client: None)
test_half_a_command_timeout = timed_out('command_timeout = "200ms"\n', lambda client: client.send(b"MAIL FR"))
test_data_timeout = timed_out('data_timeout = "200ms"\n', _in_data)
test_session_timeout = timed_out('session_timeout = "300ms"\nmessage_timeout = "300ms"\n', lambda client: client.cmd("NOOP", 250))
test_message_timeout = timed_out('message_timeout = "300ms"\n', _in_data)


def test_slow_drip(t):
    """An octet now and then does not keep a worker for ever: the message has a deadline as a whole."""
    relay = t.daemon(Upstream(t), config='message_timeout = "500ms"\ndata_timeout = "400ms"\n')
    with Client(relay) as client:
        client.mail()
        client.cmd("DATA", 354)
        end = time.monotonic() + harness.DEADLINE
        client.socket.settimeout(0.05)
        said = b""
        while not said:
            assert time.monotonic() < end, "the drip goes on for ever"
            try:
                client.send(b"x")
                said = client.socket.recv(100)
            except TimeoutError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                return
        equal(said[:4], b"421 ", "the last word")


def test_client_vanishes(t):
    """In every state, with FIN and with RST: nothing is delivered, nothing is left behind."""
    upstream = Upstream(t)
    relay = t.daemon(upstream)
    steps = [b"", b"MAIL FROM:<a@client.test>\r\n", b"RCPT TO:<b@example.test>\r\n", b"DATA\r\n",
             b"Subject: x\r\n\r\nhalf a", b" line\r\n", b"."]
    for end in ("close", "reset"):
        for count in range(1, len(steps) + 1):
            client = Client(relay)
            for step in steps[:count]:
                client.send(step)
            getattr(client, end)()
    with Client(relay) as client:
        client.message(CONTENT)
    relay.wait_for("completed")
    equal([without_received(m.content) for m in upstream.received], [CONTENT], "messages")
    harness.wait_until(lambda: not list((relay.spool / "incoming").iterdir()), "incoming/ to be empty")
    equal(relay.events("child_exited"), [], "children that died")


def test_reply_is_lost(t):
    """The client vanishes right behind its final dot: the message was committed, so it is delivered."""
    upstream = Upstream(t)
    relay = t.daemon(upstream)
    client = Client(relay)
    client.mail()
    client.cmd("DATA", 354)
    client.send(b"Subject: x\r\n\r\nbody\r\n.\r\n")
    client.socket.shutdown(harness.socket.SHUT_WR)
    client.expect(250)
    client.close()
    upstream.wait_messages(1)


def test_client_that_does_not_read(t):
    """It sends commands and never reads the replies: its worker does not wait for ever, others are served."""
    relay = t.daemon(Upstream(t), config='command_timeout = "500ms"\nmin_spare = 1\nmax_spare = 1\nmax_workers = 1\n')
    deaf = Client(relay)
    deaf.socket.settimeout(0.5)
    try:
        for _ in range(2000):
            deaf.send(b"NOOP\r\n" * 5000)
    except (TimeoutError, BrokenPipeError, ConnectionResetError):
        pass
    with Client(relay) as client:
        client.message(CONTENT)
    deaf.close()


def test_injection_in_the_log(t):
    """What strangers say cannot forge a log line or a pair in it."""
    relay = t.daemon(Upstream(t), args=["-d"])
    evil = b'x" event=delivered id=1 \x1b[2J\\'
    with Client(relay, helo=None) as client:
        client.expect(220)
        client.cmd(b"EHLO " + evil)
        client.cmd(b"NONSENSE " + evil, 500)
        client.cmd(b"MAIL FROM:<" + evil + b"@client.test>")
        client.cmd("QUIT", 221)
    relay.stop()
    equal(relay.events("delivered"), [], "forged events")
    for line in relay.lines:
        assert harness.parse_event(line) is not None, f"not in the notation: {line!r}"
        assert "\x1b" not in line, f"an escape sequence: {line!r}"


def test_transcript_with_d(t):
    """-d shows both sides of the dialogue, content left out."""
    relay = t.daemon(Upstream(t), args=["-d"])
    with Client(relay) as client:
        client.message(b"Subject: private\r\n\r\nsecret\r\n")
        client.quit()
    relay.wait_for("completed")
    relay.stop()
    text = "\n".join(relay.lines)
    assert "MAIL FROM:<sender@client.test>" in text and "354 End data" in text, text
    assert "secret" not in text, "the content is in the log"


if __name__ == "__main__":
    harness.main(__name__)

# SPDX-License-Identifier: ISC
"""Modules: what they get and may answer, the examples of contrib/modules, and modules that crash, hang, leave, answer
nonsense or are none: one session ends with a line in the log, the service goes on, nobody is told 250."""

import os
import re
import shutil
import threading
import time

import harness
from harness import BUILDDIR, SRCDIR, equal, need_program, sanitized, wait_until
from smtp_peers import Client, Upstream, without_received

CONTENT = b"Subject: module\r\n\r\n.dot\r\nbody\r\n"
# a sanitizer is to let crash what is meant to
CRASHING = dict(os.environ, ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0:handle_abort=0:"
                "detect_leaks=0")
POOL = "min_spare = 2\nmax_spare = 3\nmax_workers = 12\n"


def built(t, name, as_name=None):
    """A copy that everybody may read, in the folder of the test; the daemon wants nobody else to write to it."""
    folder = "contrib/modules" if name in ("maildir", "doorman") else "tests/modules"
    source = BUILDDIR / folder / f"{name}.so"
    copy = t.tmp / f"{as_name or name}.so"
    beside = t.tmp / f".{name}.new"
    shutil.copyfile(source, beside)
    beside.chmod(0o755)
    beside.rename(copy)
    return copy


def trouble(t, handler="module", extra="", arguments=(), name="trouble", **options):
    words = ", ".join(f'"{a}"' for a in arguments)
    return t.daemon(config=f'{POOL}handler = "{handler}"\nmodule = "{built(t, name)}"\n'
                           + (f"module_arguments = {{{words}}}\n" if words else "") + extra, env=CRASHING, **options).ready()


def said(daemon, what, after=None):
    return daemon.wait_for("module", after=after, module="trouble", msg=re.compile(what))["msg"]


# ---- process_message ---------------------------------------------------------------


def test_process_message(t):
    """The arguments that smtpd gives, in smtpd's form."""
    relay = trouble(t, extra="enable_smtputf8 = yes\n")
    with Client(relay) as client:
        assert "SMTPUTF8" in client.ehlo.text, client.ehlo
        client.mail("alice@example.net", (), " BODY=8BITMIME size=33")
        client.cmd("RCPT TO:<bob@example.org>", 250)
        client.cmd("RCPT TO:<carol@example.org>", 250)
        client.data(CONTENT)
        equal(said(relay, "^process"),
              "process 127.0.0.1 <alice@example.net> <bob@example.org> <carol@example.org> [BODY=8BITMIME,SIZE=33,] [] "
              "state 1 26 0:Subject: module\n\n.dot\nbody", "what process_message got")
        last = relay.wait_for("accepted")
        client.message(b"", sender="")
        equal(said(relay, "^process", after=last), "process 127.0.0.1 <> <rcpt@example.test> [] [] state 1 0 0:",
              "of an empty message")


def test_decode_data(t):
    """No options, no 8BITMIME, and text is text."""
    relay = trouble(t, extra="decode_data = yes\n")
    with Client(relay) as client:
        assert "8BITMIME" not in client.ehlo.text, client.ehlo
        client.mail("alice@example.net", ("bob@example.org",), " SIZE=10")
        client.data("caf\u00e9\r\n".encode())
        equal(said(relay, "^process"), "process 127.0.0.1 <alice@example.net> <bob@example.org> None[] None[] state 1 5 "
              "0:caf\xc3\xa9", "arguments")
        assert "UTF-8" in client.message(b"caf\xe9\r\n", code=554).text
        equal(len(relay.events("module", msg=re.compile("^process"))), 1, "calls")
        client.quit()


def test_streaming_module_gets_no_data(t):
    relay = trouble(t, name="streams")
    with Client(relay) as client:
        client.message(CONTENT)
        assert said(relay, "^process").endswith("state 1 0 -1:(null)"), said(relay, "^process")


def test_large_message(t):
    """It is mapped, not held in memory."""
    relay = trouble(t, extra="data_size_limit = 64M\n")
    line = b"0123456789" * 99 + b"\r\n"
    count = 50_000_000 // len(line)
    with Client(relay) as client:
        client.mail()
        client.data(line * count)
        equal(re.search(r"state 1 (\d+) 0", said(relay, "^process"))[1], str(count * (len(line) - 1) - 1), "octets")
        client.quit()


def test_replies_of_process_message(t):
    relay = trouble(t)
    with Client(relay) as client:
        for number, code in ((250, 250), (251, 251), (450, 450), (554, 554)):
            client.cmd(f"XNEXT process_message code {number}", 250)
            equal(client.message(CONTENT, code=code).text, "these words", f"text of {code}")
        client.cmd("XNEXT process_message lf 250", 250)
        equal(client.message(CONTENT).lines, ["one", "two"], "two lines")
        client.quit()
    relay.wait_for("accepted", count=3)


# ---- hooks --------------------------------------------------------------------------


def test_verbs(t):
    relay = trouble(t, "debug", arguments=("keyword=XTROUBLE 1 2",))
    with Client(relay, helo="announce.example") as client:
        assert "XTROUBLE 1 2" in client.ehlo.lines and "XHERE yes" in client.ehlo.lines, client.ehlo
        assert "XHERE yes" not in client.cmd("EHLO other", 250).lines
        for function, line, code in (("smtp_MAIL", "MAIL FROM:<a@b.example>", 550), ("sender", "MAIL FROM:<a@b.example>", 450),
                                     ("smtp_HELO", "HELO x", 501), ("smtp_NOOP", "NOOP", 250),
                                     ("smtp_NOOP", "NOOP", 550), ("smtp_HELP", "HELP", 214)):
            client.cmd(f"XNEXT {function} code {code}", 250)
            equal(client.cmd(line, code).text, "these words", line)
        client.cmd("MAIL FROM:<change@example.net>", 250)
        equal(client.cmd("XASK 7").text, "changed@example.net 0", "mailfrom")
        for function, line, code in (("smtp_RCPT", "RCPT TO:<a@b.example>", 550), ("recipient", "RCPT TO:<a@b.example>", 451)):
            client.cmd(f"XNEXT {function} code {code}", 250)
            equal(client.cmd(line, code).text, "these words", line)
        client.cmd("DATA", 554)
        client.cmd("RCPT TO:<c@b.example>", 250)
        client.cmd("XNEXT smtp_DATA code 451", 250)
        client.cmd("DATA", 451)
        client.cmd("XNEXT data_begin code 452", 250)
        client.cmd("DATA", 452)
        for function, code in (("data_chunk", 554), ("data_end", 451)):
            client.cmd(f"XNEXT {function} code {code}", 250)
            equal(client.message(CONTENT, code=code).text, "these words", function)
        client.message(CONTENT)
        client.quit()


def test_state(t):
    """Channel state by the numbers of posthouse/module.h."""
    relay = trouble(t)
    with Client(relay, helo=None) as client:
        client.expect(220)
        port = client.socket.getsockname()[1]
        equal(client.cmd("XASK 1").text, f"127.0.0.1:{port} {port}", "peer")
        equal(client.cmd("XASK 3").text, f"127.0.0.1:{port} 0", "addr, extended_smtp")
        equal(client.cmd("XASK 6").text, " 33554432", "seen_greeting, data_size_limit")
        equal(client.cmd("XASK 7").text, "(null) 0", "mailfrom, decode_data")
        client.cmd("EHLO me.example", 250)
        equal(client.cmd("XASK 5").text, "relay.test 0", "fqdn, num_bytes")
        equal(client.cmd("XASK 6").text, "me.example 33554432", "seen_greeting")
        client.mail("", ("a@b.example", "c@b.example"))
        equal(client.cmd("XASK 7").text, " 0", "mailfrom")
        equal(client.cmd("XASK 4").text, "default 2", "listener, rcpttos")
        equal(client.cmd("xask   10 ").text.split()[0], "xask", "received_lines")
        assert int(client.cmd("XASK 10").text.split()[-1]) > 2, "conn"
        equal(client.cmd("XASK 999").text, "(null) -1", "what there is not")
        equal(client.cmd("XDO thread").text, "nothing -1", "in another thread")
        client.quit()


def test_nonsense_ends_the_session(t):
    relay = trouble(t, "debug")
    cases = [("XDO return 7", "neither"), ("XDO crlf 250", "no reply"), ("XDO code 354", "no reply"),
             ("XDO code 199", "no reply"), ("XDO code 600", "no reply"), ("XDO code -1", "no reply"),
             ("XDO control 250", "no reply"), ("XDO utf8 250", "no reply"), ("XDO large 250", "no reply"),
             ("XDO return 1", "no reply"), ("XNEXT smtp_MAIL code 250|MAIL FROM:<a@b.example>", "only be refused"),
             ("XNEXT sender code 250|MAIL FROM:<a@b.example>", "only be refused"),
             ("XNEXT smtp_DATA code 354|MAIL FROM:<a@b.example>|RCPT TO:<a@b.example>|DATA", "no reply"),
             ("XNEXT smtp_RSET code 550|RSET", "cannot be answered"), ("XNEXT smtp_QUIT code 550|QUIT", "cannot be answered"),
             ("XNEXT smtp_EHLO code 250|EHLO x", "only be refused"), ("XNEXT smtp_AUTH code 235|AUTH PLAIN", "only be refused"),
             ("XNEXT smtp_STARTTLS code 220|STARTTLS", "only be refused")]
    for lines, reason in cases:
        before = relay.events("module_fault")
        with Client(relay) as client:
            for line in lines.split("|"):
                reply = client.cmd(line)
            equal(reply.code, 421, lines)
            equal(client.at_eof(), b"", f"{lines}: what follows")
        fault = relay.wait_for("module_fault", after=before[-1] if before else None, module="trouble")
        assert reason in fault["reason"], (lines, fault)
    assert not relay.events("accepted") and not relay.events("child_exited")


def test_421_of_channel_open(t):
    relay = trouble(t, "debug")
    refused = 0
    with Client(relay) as client:
        client.cmd("XNEXT channel_open code 554", 250)
        client.quit()
    for _ in range(20):  # whichever worker has it
        with Client(relay, helo=None) as client:
            if client.reply().code == 554:
                refused += 1
                equal(client.at_eof(), b"", "what follows the refusal")
    equal(refused, 1, "sent away")


# ---- crashes ------------------------------------------------------------------------

CRASHES = [("segv 0", "SEGV"), ("abort 0", "ABRT"), ("exit 0", None), ("_exit 0", None), ("exit 3", None),
           ("stack 0", "SEGV"), ("kill 0", "KILL")]


def test_crash_ends_one_session(t):
    relay = trouble(t, "debug")
    with Client(relay) as other:
        other.mail()
        for what, sig in CRASHES:
            before = relay.events("child_exited")
            with Client(relay) as client:
                client.send(f"XDO {what}\r\n")
                equal(client.at_eof(), b"", f"{what}: an answer")
            gone = relay.wait_for("child_exited", after=before[-1] if before else None, role="worker", module="trouble",
                                  function="smtp_XDO")
            if sig:
                equal(gone.get("signal"), sig, what)
            with Client(relay) as client:
                client.cmd("NOOP", 250)
        other.data(CONTENT)
        other.quit()


FUNCTIONS = [("replied", "NOOP"), ("channel_close", "QUIT"), ("sender", "MAIL"), ("recipient", "MAIL RCPT"),
             ("data_begin", "MAIL RCPT DATA"), ("data_chunk", "MAIL RCPT DATA ."), ("data_end", "MAIL RCPT DATA ."),
             ("process_message", "MAIL RCPT DATA ."), ("data_abort", "MAIL RCPT DATA close")]
LINES = {"MAIL": "MAIL FROM:<a@b.example>", "RCPT": "RCPT TO:<c@b.example>", ".": "x\r\n."}


def test_crash_in_each_function(t):
    relay = trouble(t)
    for function, steps in FUNCTIONS:
        before = relay.events("child_exited")
        with Client(relay) as client:
            client.cmd(f"XNEXT {function} segv", 250) if function != "replied" else client.send("XNEXT replied segv\r\n")
            *first, last = steps.split()
            for step in first:
                client.cmd(LINES.get(step, step))
            if last == "close":
                client.close()
            else:
                client.send(LINES.get(last, last) + "\r\n")
                assert b"250" not in client.at_eof(), f"{function}: acknowledged"
        relay.wait_for("child_exited", after=before[-1] if before else None, module="trouble", function=function)
    assert not relay.events("accepted")
    with Client(relay) as client:
        client.message(CONTENT)
        client.quit()


def test_nothing_is_spooled_by_a_crash(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=f'{POOL}module = "{built(t, "trouble")}"\n', env=CRASHING).ready()
    for function in ("data_chunk", "data_end"):
        with Client(relay) as client:
            client.cmd(f"XNEXT {function} segv", 250)
            client.mail()
            client.cmd("DATA", 354)
            client.send(CONTENT + b".\r\n")
            equal(client.at_eof(), b"", function)
        relay.wait_for("child_exited", function=function)
    with Client(relay) as client:
        client.message(CONTENT)
        client.quit()
    upstream.wait_messages(1)
    equal(without_received(upstream.messages[0].content), CONTENT, "the message that was not lost")
    relay.wait_empty()


def test_what_does_not_come_back(t):
    relay = trouble(t, "debug", extra="module_timeout = 1s\n")
    for what in ("hang", "spin"):
        before = relay.events("module_timeout")
        with Client(relay) as client:
            client.send(f"XDO {what}\r\n")
            with Client(relay) as other:
                other.message(CONTENT)
                other.quit()
            equal(client.at_eof(), b"", f"{what}: an answer")
        after = before[-1] if before else None
        late = relay.wait_for("module_timeout", after=after, module="trouble", function="smtp_XDO")
        relay.wait_for("child_exited", after=after, pid=late["pid"], signal="KILL", function="smtp_XDO")


def test_a_crowd_of_crashes(t):
    """A thousand in a row by one client; the others are served, and quickly."""
    count = 100 if sanitized() else 1000
    relay = trouble(t, "debug", extra="log = stderr\n")
    waits, stop, failed = [], threading.Event(), []

    def others():
        while not stop.is_set():
            begin = time.monotonic()
            try:
                with Client(relay) as client:
                    client.message(CONTENT)
                    client.quit()
            except Exception as e:  # told by the test's thread
                failed.append(repr(e))
                return
            waits.append(time.monotonic() - begin)

    thread = threading.Thread(target=others)
    begin = time.monotonic()
    thread.start()
    for _ in range(count):
        with Client(relay, helo=None) as client:
            client.expect(220)
            client.send("XDO segv\r\n")
            client.at_eof()
    took = time.monotonic() - begin
    stop.set()
    thread.join(harness.DEADLINE)
    equal(failed, [], "sessions of others")
    relay.wait_for("child_exited", count=count, module="trouble")
    waits.sort()
    t.comment(f"{count} crashes in {took:.1f} s; {len(waits)} sessions of others meanwhile, median "
              f"{waits[len(waits) // 2] * 1000:.1f} ms, longest {waits[-1] * 1000:.0f} ms")
    assert waits[-1] < 5 * harness.SLOW, "a session of others waited for the crashes"
    assert len(waits) >= count / 20, "the others were hardly served"


def test_crash_on_mail_of_the_outbox(t):
    """It stays there, the rest of the outbox gets through, and clients are served."""
    upstream = Upstream(t)
    outbox = t.tmp / "outbox"
    config = f'{POOL}outbox = "{outbox}"\nmodule_timeout = 1s\nmodule = "{built(t, "trouble")}"\n'
    t.daemon(upstream, config=config, name="first").ready().stop()
    for name, text in (("msg-1", "CRASH"), ("msg-2", "good"), ("msg-3", "CRASH"), ("msg-4", "good")):
        (outbox / name).write_bytes(b"EHLO me\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@b.example>\r\nDATA\r\n"
                                    + text.encode() + b"\r\n.\r\nQUIT\r\n")
        (outbox / name).chmod(0o644)
    relay = t.daemon(upstream, config=config, spool=t.tmp / "spool-first", name="second", env=CRASHING).ready()
    relay.wait_for("child_exited", role="outbox session", module="trouble", function="data_chunk", count=2)
    relay.wait_for("outbox", result="submitted", count=2)
    assert "module" in relay.wait_for("outbox", result="deferred", file="msg-3")["reason"]
    equal(sorted(p.name for p in (outbox / "taken").iterdir()), ["msg-1", "msg-3"], "what stays")
    with Client(relay) as client:
        client.message(CONTENT)
        client.quit()
    upstream.wait_messages(3)
    assert not relay.events("child_exited", role="worker"), "no worker died"


def test_crash_behind_mail_of_the_outbox(t):
    """Its message is in the spool: played again it would be sent again, each minute."""
    upstream = Upstream(t)
    outbox = t.tmp / "outbox"
    config = f'{POOL}outbox = "{outbox}"\nmodule_timeout = 1s\nmodule = "{built(t, "trouble")}"\n'
    t.daemon(upstream, config=config, name="first").ready().stop()
    (outbox / "msg-1").write_bytes(b"EHLO me\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@b.example>\r\nDATA\r\n"
                                   b"good\r\n.\r\nXDO segv\r\nQUIT\r\n")
    (outbox / "msg-1").chmod(0o644)
    relay = t.daemon(upstream, config=config, spool=t.tmp / "spool-first", name="second", env=CRASHING).ready()
    relay.wait_for("child_exited", role="outbox session", module="trouble")
    assert "in the spool" in relay.wait_for("outbox", result="refused", file="msg-1")["reason"]
    equal(list((outbox / "taken").iterdir()), [], "what is played again")
    assert (outbox / "refused/msg-1").exists()
    upstream.wait_messages(1)


# ---- the start ----------------------------------------------------------------------

WRONG = [("abi", "ABI 2"), ("size", "cannot be the size"), ("name", "letters, digits"), ("open", "no open()"),
         ("symbol", "no symbol posthouse_module"), ("crash", "crashed when it was loaded"),
         ("exit", "ended the process"), ("undefined", "there_is_no_such_function"), ("process", "no process_message()")]


def refused(t, lines, expected):
    config = t.config(lines, spool=t.tmp / "spool")
    for argument in ("-t", "-F"):
        done = t.run([BUILDDIR / "posthoused", argument, "-f", config], check=1, env=CRASHING)
        text = done.stderr.decode()
        assert expected in text, f"{argument}: {expected!r} not in {text!r}"
        assert "event=ready" not in text, text


def test_what_is_no_module(t):
    for kind, expected in WRONG:
        refused(t, f'handler = "module"\nmodule = "{built(t, "wrong_" + kind)}"', expected)
    text = t.tmp / "text.so"
    text.write_text("no shared object\n")
    refused(t, f'handler = "module"\nmodule = "{text}"', "cannot load this module")
    refused(t, f'handler = "module"\nmodule = "{t.tmp}/missing.so"', "No such file")
    refused(t, f'handler = "module"\nmodule = "{t.tmp}"', "is no file")
    refused(t, 'handler = "module"', "set module to the path")
    refused(t, 'handler = "debug"\nmodule_arguments = {"x"}', "set module")


def test_in_front_of_proxy(t):
    """What handler proxy keeps between sessions is looked after behind a module, too."""
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=f'{POOL}handler = "proxy"\nmodule = "{built(t, "trouble")}"\n', env=CRASHING).ready()
    for _ in range(3):
        with Client(relay) as client:
            client.message(CONTENT)
            client.quit()
    equal(len(upstream.received), 3, "messages upstream")
    equal(relay.events("child_exited", status="killed"), [], "dead workers")


def test_who_refuses_data_refuses_chunks(t):
    """BDAT is no way around smtp_DATA, and a refusal makes no commands of the octets that follow (smuggling)."""
    relay = trouble(t)
    inside = b"NOOP\r\nMAIL FROM:<smuggled@client.test>\r\n"
    with Client(relay) as client:
        for attack in ([(inside, b" LAST")], [(inside, b""), (inside, b""), (b"", b" LAST")], [(inside * 500, b""), (b"x", b" LAST")]):
            client.cmd("XNEXT smtp_DATA code 550", 250)  # this once: what follows the first chunk is dropped all the same
            client.mail()
            client.send(b"".join(b"BDAT %d%s\r\n%s" % (len(octets), last, octets) for octets, last in attack) + b"VRFY end\r\n")
            equal(client.expect(550).text, "these words", "the module's refusal")
            for _ in attack[1:]:
                client.expect(503)
            client.expect(252)
        client.mail()
        client.bdat(CONTENT, 7)
        client.cmd("XNEXT smtp_DATA return 7", 250)
        client.mail()
        client.send(b"BDAT 10\r\n")  # the session ends: nobody waits for the octets
        client.expect(421)
        equal(client.at_eof(), b"", "after it")
    relay.wait_for("accepted")
    equal(len(relay.events("accepted")), 1, "messages taken")


def test_others_may_not_write_to_it(t):
    module = built(t, "trouble")
    for mode in (0o775, 0o757):
        module.chmod(mode)
        refused(t, f'handler = "module"\nmodule = "{module}"', "may write to this module")
    if os.geteuid() == 0:
        module.chmod(0o755)
        os.chown(module, 65533, 65533)
        refused(t, f'handler = "module"\nmodule = "{module}"', "belongs to user id 65533")


def test_what_does_not_want_to_begin(t):
    module = built(t, "trouble")
    for argument, expected in (("error=no database", 'module "trouble": no database'), ("open=return", "open() returned 0"),
                               ("open=segv", "crashed when it was loaded"), ("open=exit", "ended the process"),
                               ("open=hang", "did not begin within"), ("add=PROXY", "PROXY: this verb cannot"),
                               ("add=two words", "a verb is a word"), ("add=NOOP", "NOOP: this verb was added"),
                               ("keyword=AUTH PLAIN", "the service's own"), ("keyword=-x", "a line of EHLO")):
        if argument == "open=return":  # 3, as act() has it
            expected = "open() returned 3"
        refused(t, f'handler = "debug"\nmodule = "{module}"\nmodule_arguments = {{"{argument}"}}\nmodule_timeout = 1s',
                expected)


def test_command_line(t):
    """-c FILE.so, as smtpd's -c CLASS."""
    module = built(t, "trouble")
    relay = t.daemon(args=["-c", f"./{module.name}"], cwd=t.tmp).ready()
    with Client(relay) as client:
        client.message(CONTENT)
        said(relay, "^process")
        client.quit()
    done = t.run([BUILDDIR / "posthoused", "-c", "missing.so", "127.0.0.1:0"], check=1)
    assert b"cannot find this module" in done.stderr, done.stderr


def test_reload(t):
    """Another file at its place: tried, and then workers have it; a bad one is not taken, also not by new workers."""
    relay = trouble(t, "debug")
    with Client(relay) as old:
        built(t, "wrong_abi", as_name="trouble")
        relay.signal(1)
        relay.wait_for("reload_refused", what="module", msg=re.compile("ABI"))
        for _ in range(2):
            with Client(relay) as client:  # the workers that follow have the old one still
                client.send("XDO segv\r\n")
                client.at_eof()
        with Client(relay) as client:
            client.cmd("XASK 1", 250)
        built(t, "doorman", as_name="trouble")
        relay.signal(1)
        relay.wait_for("reloaded", what="module")

        def replaced():
            with Client(relay) as client:
                return "XPING" in client.ehlo.lines
        wait_until(replaced, "workers with the new module")
        old.cmd("XASK 1", 250)
        old.quit()


# ---- the examples -------------------------------------------------------------------

def test_maildir(t):
    folder = t.tmp / "maildir"
    folder.mkdir()
    folder.chmod(0o777)
    relay = t.daemon(config=f'{POOL}handler = "module"\nmodule = "{built(t, "maildir")}"\n'
                            f'module_arguments = {{"{folder}/box"}}').ready()
    with Client(relay) as client:
        name = client.message(CONTENT).text.split()[-1]
        client.quit()
    equal((folder / "box/new" / name).read_bytes(),
          b"Return-Path: <sender@client.test>\nSubject: module\n\n.dot\nbody\n", "in the Maildir")
    equal(os.listdir(folder / "box/tmp"), [], "left in tmp")
    shutil.rmtree(folder / "box/new")
    with Client(relay) as client:
        client.message(CONTENT, code=451)
        relay.wait_for("module", module="maildir", msg=re.compile("cannot store it"))
        client.quit()


def test_doorman(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=f'module = "{built(t, "doorman")}"\n'
                                      'module_arguments = {"deny-sender=bad.example", "deny-word=XYZZY"}\n').ready()
    with Client(relay) as client:
        assert "XPING" in client.ehlo.lines, client.ehlo
        equal(client.cmd("XPING a b", 250).text, "2.0.0 pong 1 a b", "answer")
        equal(client.cmd("xping", 250).text, "2.0.0 pong 2 ", "answer")
        equal(client.cmd("HELP XPING", 250).text, "2.0.0 Syntax: XPING [word]", "help")
        equal(client.cmd("VRFY Postmaster", 250).text, "2.1.5 <postmaster>", "postmaster")
        client.cmd("VRFY bob", 252)
        client.cmd("MAIL FROM:<x@BAD.example>", 550)
        client.message(b"This is XYZZY\r\n", code=554)
        client.mail()
        client.cmd("DATA", 354)
        for piece in (b"This is XY", b"ZZ", b"Y cut\r\n.\r\n"):
            client.send(piece)
            time.sleep(0.05)  # pieces of their own, mostly; the answer is the same if not
        client.expect(554)
        client.message(CONTENT)
        client.quit()
    upstream.wait_messages(1)


def test_header_is_enough(t):
    """The example of the manual, compiled with what pkg-config says of an installed header and nothing else."""
    compiler = os.environ.get("CC", "cc").split()
    need_program(compiler[0], "gcc")
    need_program("pkg-config")
    root = t.tmp / "installed"
    t.run(["make", "-s", "-C", BUILDDIR, "install-posthouseincludeHEADERS", "install-nodist_pkgconfigDATA",
           f"DESTDIR={root}"], check=0, timeout=120)
    env = dict(os.environ, PKG_CONFIG_PATH=str(next(root.rglob("posthouse-module.pc")).parent),
               PKG_CONFIG_SYSROOT_DIR=str(root), PKG_CONFIG_ALLOW_SYSTEM_CFLAGS="1")
    flags = t.run(["pkg-config", "--cflags", "posthouse-module"], check=0, env=env).stdout.decode().split()
    page = (SRCDIR / "man/posthouse-module.3.in").read_text()
    source = page.split(".\\\" example begins")[1].split(".\\\" example ends")[0]
    source = re.sub(r"^\.(Bd|Ed).*\n", "", source, flags=re.M).replace("\\e", "\\").replace("\\&", "")
    (t.tmp / "hello.c").write_text(source)
    for words in ([*compiler, "-std=c99"], [*compiler]):
        t.run([*words, "-Wall", "-Wextra", "-Werror", "-pedantic", "-shared", "-fPIC", *flags, "-o", t.tmp / "hello.so",
               t.tmp / "hello.c"], check=0)
    if shutil.which("g++"):
        t.run(["g++", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", *flags, "-x", "c++",
               next(root.rglob("module.h"))], check=0)
    (t.tmp / "hello.so").chmod(0o755)
    relay = t.daemon(config=f'handler = "module"\nmodule = "{t.tmp}/hello.so"').ready()
    with Client(relay) as client:
        client.message(CONTENT)
        client.quit()
    relay.wait_for("module", msg=re.compile("26 octets from sender@client.test"))


if __name__ == "__main__":
    harness.main(__name__)

#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Programs that get messages: the handler exec, filters, the process that runs them, the examples of contrib/programs,
and process_message side by side with Python's own smtpd."""

import email
import json
import os
import pwd
import re
import signal
import textwrap
import threading
import time

import harness
from harness import BUILDDIR, SRCDIR, equal, need_root, python_with_smtpd, wait_until
from smtp_peers import Client, Upstream, without_received

CONTENT = b"From: a@client.test\r\nSubject: hello\r\n\r\nbody\r\n.dot\r\n"
AS_LF = CONTENT.replace(b"\r\n", b"\n")
EXAMPLES = SRCDIR / "contrib/programs"
TRY_LATER = "Error: the message could not be processed; try again later"


def script(t, text, name="program", interpreter="/bin/sh"):
    """A program that everybody may execute."""
    return harness.put_program(t.tmp / name, f"#!{interpreter}\n{textwrap.dedent(text)}")


def folder(t, name="out"):
    """One that programs may write to."""
    path = t.tmp / name
    path.mkdir(exist_ok=True)
    path.chmod(0o777)
    return path


def words(*command):
    return "{ " + ", ".join(f'"{w}"' for w in command) + " }"


def exec_daemon(t, *command, more="", **options):
    return t.daemon(config=f'handler = "exec"\nexec_command = {words(*command)}\n{more}\n', **options).ready()


def keeper(t, after=""):
    """Keeps each message that it gets under a number in a folder; returns program and folder."""
    out = folder(t)
    return script(t, f"""
        cd {out} && mkdir lock.$$ && n=$(ls -d lock.* | wc -l)
        env > env.$n && cat > message.$n && printf '%s\\n' "$@" > args.$n
        {after}
        """), out


# ---- what it gets, and what it says -----------------------------------------------------


def test_message_and_envelope(t):
    program, out = keeper(t)
    relay = exec_daemon(t, program, "--from=%{sender}", "--", "%{recipient}", "%{client_helo}")
    with Client(relay, helo="there.test") as client:
        equal([e for e in client.ehlo.lines[1:] if e.split()[0] in ("DSN", "BINARYMIME", "REQUIRETLS", "8BITMIME", "CHUNKING")],
              ["8BITMIME", "CHUNKING"], "extensions")
        client.cmd("MAIL FROM:<a$HOME|`id`@client.test> BODY=8BITMIME SIZE=60", 250)
        client.cmd("RCPT TO:<-x@example.test>", 250)
        client.cmd('RCPT TO:<"$(id) b"@example.test>', 250)
        equal(client.data(CONTENT).text, "2.0.0 OK", "reply")
    equal((out / "message.1").read_bytes(), AS_LF, "content")
    equal((out / "args.1").read_text().split("\n")[:-1],
          ["--from=a$HOME|`id`@client.test", "--", "-x@example.test", '"$(id) b"@example.test', "there.test"], "arguments")
    env = (out / "env.1").read_text()
    lines = dict(line.split("=", 1) for line in env.split("\n") if "=" in line)
    for key, value in {"SENDER": "a$HOME|`id`@client.test", "RECIPIENT": "-x@example.test", "CLIENT_ADDRESS": "127.0.0.1",
                       "CLIENT_HELO": "there.test", "CLIENT_PROTOCOL": "ESMTP", "LISTENER": "default",
                       "MAIL_OPTIONS": "BODY=8BITMIME SIZE=60", "MESSAGE_SIZE": str(len(CONTENT))}.items():
        equal(lines.get(key), value, key)
    assert 'RECIPIENTS=-x@example.test\n"$(id) b"@example.test\n' in env, env
    # nothing of ours, and nothing of who started us
    known = {"SENDER", "RECIPIENT", "RECIPIENTS", "PEER", "CLIENT_ADDRESS", "CLIENT_PORT", "CLIENT_HELO", "CLIENT_PROTOCOL",
             "LISTENER", "MAIL_OPTIONS", "MESSAGE_SIZE", "PATH", "SHELL", "HOME", "USER", "LOGNAME", "TZ", "PWD", "OLDPWD", "_",
             "SHLVL"}
    equal(sorted(set(lines) - known), [], "variables")
    equal(relay.wait_for("accepted")["rcpts"], "2", "accepted")


def test_crlf(t):
    program, out = keeper(t)
    relay = exec_daemon(t, program, more="exec_newline = crlf")
    with Client(relay) as client:
        client.message(CONTENT)
    equal((out / "message.1").read_bytes(), CONTENT, "content")


def test_content_is_whole(t):
    """A megabyte of everything, in BDAT and in DATA; null sender; UTF-8 addresses."""
    program, out = keeper(t)
    relay = exec_daemon(t, program, more="enable_smtputf8 = yes")
    line = bytes(b for b in range(1, 256) if b not in b"\r\n") + b"\r\n"
    big = b"Subject: big\r\n\r\n" + line * 4000
    with Client(relay) as client:
        client.message(big, sender="", params=" BODY=8BITMIME")
        client.cmd("MAIL FROM:<grün@client.test> SMTPUTF8".encode(), 250)
        client.cmd("RCPT TO:<blau@example.test>", 250)
        client.send(b"BDAT %d\r\n" % 10 + big[:10])
        client.expect(250)
        client.send(b"BDAT %d LAST\r\n" % (len(big) - 10) + big[10:])
        client.expect(250)
    for n in (1, 2):
        equal((out / f"message.{n}").read_bytes(), big.replace(b"\r\n", b"\n"), "content")
    assert "\nSENDER=\n" in "\n" + (out / "env.1").read_text()
    assert "\nSENDER=grün@client.test\n" in "\n" + (out / "env.2").read_text()


def exits_of_the_manual():
    """(status, code, enhanced) of the table in posthouse-program(7)."""
    page = (BUILDDIR / "man/posthouse-program.7").read_text()
    return [(int(s), int(c), e) for s, c, e in re.findall(r"^\.It EX_\w+ Ta (\d+) Ta (\d+) (\S+) Ta", page, re.M)]


def test_replies(t):
    """The subject says what the program prints and how it ends."""
    program = script(t, "read -r _ line; printf \"${line%|*}\"; exit ${line##*|}\n")
    relay = exec_daemon(t, program)
    table = exits_of_the_manual()
    equal(len(table), 16, "rows of the manual")
    cases = [(f"|{status}", code, enhanced, None) for status, code, enhanced in table]
    cases += [
        ("|1", 451, "4.3.0", TRY_LATER), ("|127", 451, "4.3.0", TRY_LATER), ("|255", 451, "4.3.0", TRY_LATER),
        ("250 2.6.0 Thank you|0", 250, "2.6.0", "Thank you"), ("Thank you|0", 250, "2.0.0", "Thank you"),
        ("250|0", 250, "2.0.0", "OK"), ("252 hm|0", 252, "2.0.0", "hm"),
        ("554 No|0", 554, "5.0.0", "No"), ("450 4.7.1 Not yet\\nmore\\n|0", 450, "4.7.1", "Not yet"),
        ("550 5.7.1 Spam|69", 550, "5.7.1", "Spam"), ("550 Spam|1", 550, "5.0.0", "Spam"),
        ("550 5.1.1|69", 550, "5.1.1", "Error: the message is not accepted"),
        ("550 4.7.1 odd|77", 550, "5.7.1", "4.7.1 odd"),
        ("451 4.2.2 full|69", 451, "4.2.2", "full"), ("Full up|75", 451, "4.3.0", "Full up"),
        # a good word does not make good what failed
        ("250 2.0.0 OK|75", 451, "4.3.0", TRY_LATER), ("250 OK|1", 451, "4.3.0", TRY_LATER),
        ("354 go on|0", 250, "2.0.0", "354 go on"), ("999 x|0", 250, "2.0.0", "999 x"), ("2500 x|0", 250, "2.0.0", "2500 x"),
        ("\\r\\n550 no|0", 250, "2.0.0", "OK"), ("a\\033[2Jb\\303\\274|0", 250, "2.0.0", "a?[2Jb??"),
        ("250 x\\r\\n221 bye\\r\\n|0", 250, "2.0.0", "x"),
    ]
    with Client(relay) as client:
        for subject, code, enhanced, text in cases:
            reply = client.message(f"Subject: {subject}\r\n\r\n".encode(), code=code)
            equal(len(reply.lines), 1, f"lines of the reply to {subject!r}")
            equal(reply.text.split(" ", 1)[0], enhanced, f"enhanced code for {subject!r}")
            if text is not None:
                equal(reply.text.split(" ", 1)[1], text, f"text for {subject!r}")
        # nothing that one message did is left for the next
        client.message(b"Subject: |0\r\n\r\n")


def test_long_line_of_output(t):
    relay = exec_daemon(t, script(t, "head -c 100000 /dev/zero | tr '\\0' x\n"))
    with Client(relay) as client:
        equal(client.message().text, "2.0.0 " + "x" * 480, "reply")


def test_arguments_that_look_like_options(t):
    program, out = keeper(t)
    relay = exec_daemon(t, program, "%{sender}", "%{recipient}")
    with Client(relay) as client:
        equal(client.cmd("MAIL FROM:<-f@client.test>").code, 553, "sender")
        client.cmd("MAIL FROM:<f@client.test>", 250)
        equal(client.cmd("RCPT TO:<-oQ/tmp@example.test>").code, 553, "recipient")
        client.cmd("RCPT TO:<x@example.test>", 250)
        client.data(CONTENT)
    equal((out / "args.1").read_text(), "f@client.test\nx@example.test\n", "arguments")


def test_helo_that_looks_like_an_option(t):
    """It is known only at the end: refused for good, as it would be the same each time."""
    program, out = keeper(t)
    relay = exec_daemon(t, program, "%{client_helo}")
    with Client(relay, helo="-rf") as client:
        client.message(code=554)
    equal(list(out.iterdir()), [], "nothing ran")
    relay.wait_for("program", end="refused", reason=re.compile("CLIENT_HELO"))


def test_more_recipients_than_a_program_can_be_told(t):
    program, out = keeper(t)
    relay = exec_daemon(t, program, more="max_recipients = 1000")
    taken = []
    with Client(relay) as client:
        client.cmd("MAIL FROM:<a@client.test>", 250)
        for i in range(400):
            address = f"{i:04}{'x' * 200}@example.test"
            reply = client.cmd(f"RCPT TO:<{address}>")
            if reply.code == 452:
                break
            taken.append(address)
        equal((reply.code, 250 < len(taken) < 350), (452, True), f"after {len(taken)} recipients")
        client.data(CONTENT)
    env = (out / "env.1").read_text()
    equal(re.search(r"^RECIPIENTS=((?:\d+x+@example.test\n?)+)", env, re.M)[1].split(), taken, "recipients")


# ---- what must not run -------------------------------------------------------------------


def test_broken_off_messages_run_nothing(t):
    program, out = keeper(t)
    relay = exec_daemon(t, program, more="data_size_limit = 10K")
    with Client(relay) as client:
        client.mail()
        client.cmd("DATA", 354)
        client.send(CONTENT)
        client.reset()
    with Client(relay) as client:
        client.mail()
        client.cmd("RSET", 250)
        client.mail()
        equal(client.data(b"x" * 70 + b"\r\n" + b"y" * 20000 + b"\r\n", code=552).code, 552, "too big")
        client.mail()
        client.cmd("DATA", 354)
        client.send(b"bare\nnewline\r\n.\r\n")
        client.expect(550)
        equal(list(out.iterdir()), [], "what ran")
        client.message(CONTENT)
    equal((out / "message.1").read_bytes(), AS_LF, "content")


# ---- programs in disorder -------------------------------------------------------------------


def test_start_without_the_program(t):
    for command, why in ((t.tmp / "nothing", "No such file or directory"), (t.tmp, "is no program")):
        config = t.config(f'handler = "exec"\nexec_command = "{command}"\n', spool=t.tmp / "s")
        for args in (("-t",), ("-F",)):
            done = t.run([BUILDDIR / "posthoused", *args, "-f", config], check=1)
            assert f"exec_command: {command}" in done.stderr.decode() and why in done.stderr.decode(), done.stderr
    plain = script(t, "true\n", "plain")
    plain.chmod(0o644)
    config = t.config(f'remoteaddr = "127.0.0.1:1"\nfilter_command = "{plain}"\n', spool=t.tmp / "s")
    done = t.run([BUILDDIR / "posthoused", "-t", "-f", config], check=1)
    assert b"cannot be executed by user" in done.stderr and b"Permission denied" in done.stderr, done.stderr
    plain.chmod(0o755)
    t.run([BUILDDIR / "posthoused", "-t", "-f", config], check=0)


def test_program_vanishes_later(t):
    program, out = keeper(t)
    relay = exec_daemon(t, program)
    aside = t.tmp / "aside"
    with Client(relay) as client:
        program.rename(aside)
        equal(client.message(code=451).text, "4.3.0 " + TRY_LATER, "reply")
        relay.wait_for("program", end="failed", reason=re.compile("No such file"))
        aside.rename(program)
        client.message(CONTENT)
    equal((out / "message.1").read_bytes(), AS_LF, "content")


def test_deadline(t):
    """The program and what it started are gone by the time of the answer."""
    out = folder(t)
    program = script(t, f"echo $$ > {out}/main; sleep 600 & echo $! > {out}/child; wait\n")
    relay = exec_daemon(t, program, more="exec_timeout = 400ms")
    with Client(relay) as client:
        began = time.monotonic()
        client.message(code=451)
        assert time.monotonic() - began >= 0.4
    relay.wait_for("program", end="timed_out")
    for name in ("main", "child"):
        pid = int((out / name).read_text())
        wait_until(lambda: not harness.process_alive(pid), f"{name} to be gone")


def test_daemons_of_programs_end(t):
    """What a program starts and leaves, in whatever session, ends with it, and delays nothing."""
    out = folder(t)
    program = script(t, f"""
        import os, sys, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                open("{out}/pid.tmp", "w").write(str(os.getpid()))
                os.rename("{out}/pid.tmp", "{out}/pid")
                time.sleep(600)
            os._exit(0)
        while not os.path.exists("{out}/pid"):
            time.sleep(0.01)
        """, interpreter="/usr/bin/env python3")
    relay = exec_daemon(t, program)
    with Client(relay) as client:
        client.message()
    pid = int((out / "pid").read_text())
    wait_until(lambda: not harness.process_alive(pid), "the daemon to be gone")


def test_stderr_is_logged(t):
    program = script(t, "printf 'Traceback\\n  event=accepted id=1\\033[2J\\n' >&2; exit 1\n")
    relay = exec_daemon(t, program)
    with Client(relay) as client:
        client.message(code=451)
    first, second = relay.wait_for("program_stderr", count=2, command="exec", **{"from": "sender@client.test"})
    equal((first["text"], second["text"]), ("Traceback", "  event=accepted id=1\x1b[2J"), "lines")
    relay.wait_for("program", exit="1", sysexit="unknown", run=first["run"])
    equal(relay.events("accepted"), [], "forged")


# ---- the processes ---------------------------------------------------------------------------


def test_rights(t):
    """As program_user with its groups, without ways back, and without any descriptor of ours."""
    need_root()
    out = folder(t)
    program = script(t, f"""
        exec > {out}/report 2>&1
        id; umask; pwd; grep NoNewPrivs /proc/self/status; ls /proc/self/fd | wc -l; tty
        ls {t.tmp}/spool-posthoused/queue; cat /etc/shadow; readlink /proc/self/fd/0 | sed 's/posthouse[^ ]*/NAME/'
        exit 0
        """)
    relay = t.daemon(Upstream(t), config=f'filter_command = "{program}"\n').ready()
    with Client(relay) as client:
        client.message(code=451)
    report = (out / "report").read_text().split("\n")
    account = pwd.getpwnam(harness.PROGRAM_USER)
    assert report[0].startswith(f"uid={account.pw_uid}({harness.PROGRAM_USER}) gid={account.pw_gid}("), report[0]
    equal(report[1:6], ["0077", "/", "NoNewPrivs:\t1", "4", "not a tty"], "surroundings")
    assert report[6].endswith("Permission denied") and report[7].endswith("Permission denied"), report
    equal(report[8], "/tmp/NAME (deleted)", "standard input")
    for pid in relay.children("programs"):
        equal(os.stat(f"/proc/{pid}").st_uid in (0, account.pw_uid), True, "owner")
        status = open(f"/proc/{pid}/status").read()
        equal(re.search(r"^Uid:\s+(\d+)\s+(\d+)", status, re.M).groups(), (str(account.pw_uid),) * 2, "user of programs")
        names = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        equal([n for n in names if "spool" in n], [], "the program process's files")


def test_user_that_is_missing(t):
    need_root()
    program = script(t, "true\n")
    config = t.config(f'handler = "exec"\nexec_command = "{program}"\nprogram_user = "no-such-user"\n', spool=t.tmp / "s")
    done = t.run([BUILDDIR / "posthoused", "-t", "-f", config], check=1)
    assert b'user "no-such-user" does not exist: useradd' in done.stderr, done.stderr
    # nobody needs one who has no programs
    config = t.config('handler = "debug"\nprogram_user = "no-such-user"\n', spool=t.tmp / "s")
    t.run([BUILDDIR / "posthoused", "-t", "-f", config], check=0)


def test_no_process_without_programs(t):
    relay = t.daemon(config='handler = "debug"\n').ready()
    equal(relay.children("programs"), [], "program processes")


def test_ceiling(t):
    """More messages than programs may run: the others wait, and get their turn."""
    out = folder(t)
    program = script(t, f"mkdir {out}/$$; ls {out} | wc -l; sleep 0.1; rmdir {out}/$$\n")
    relay = exec_daemon(t, program, more="max_programs = 2\nmin_spare = 8\n")
    seen = []

    def send():
        with Client(relay) as client:
            seen.append(int(client.message().text.split()[1]))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal((len(seen), max(seen) <= 2), (8, True), f"running at a time: {seen}")


def test_process_is_killed(t):
    """The session gets 451 and goes on; the program is ended; another process takes over."""
    out = folder(t)
    program = script(t, f"""
        read -r line
        [ "$line" = "Subject: slow" ] || exit 0
        echo $$ > {out}/pid.tmp; mv {out}/pid.tmp {out}/pid
        sleep 600
        """)
    relay = exec_daemon(t, program)
    with Client(relay) as client:
        client.mail()
        client.cmd("DATA", 354)
        client.send(b"Subject: slow\r\n\r\n.\r\n")
        pid = int(wait_until(lambda: (out / "pid").exists() and (out / "pid").read_text(), "the program"))
        os.kill(relay.child("programs"), signal.SIGKILL)
        client.expect(451)
        wait_until(lambda: not harness.process_alive(pid), "the program to be gone")
        relay.wait_for("child_exited", role="programs")
        client.message()


def test_client_leaves_while_it_runs(t):
    """It cannot be known what the client knows: the program is not disturbed, its message was whole."""
    out = folder(t)
    program = script(t, f"touch {out}/began; sleep 0.5; touch {out}/done\n")
    relay = exec_daemon(t, program)
    client = Client(relay)
    client.mail()
    client.cmd("DATA", 354)
    client.send(CONTENT + b".\r\n")
    wait_until(lambda: (out / "began").exists(), "the program")
    client.reset()
    wait_until(lambda: (out / "done").exists(), "its end")
    relay.wait_for("accepted")


def test_worker_is_killed(t):
    out = folder(t)
    program = script(t, f"echo $$ > {out}/pid.tmp; mv {out}/pid.tmp {out}/pid; sleep 600\n")
    relay = exec_daemon(t, program)
    with Client(relay) as client:
        client.mail()
        client.cmd("DATA", 354)
        client.send(CONTENT + b".\r\n")
        pid = int(wait_until(lambda: (out / "pid").exists() and (out / "pid").read_text(), "the program"))
        os.kill(relay.child("worker 127"), signal.SIGKILL)
        wait_until(lambda: not harness.process_alive(pid), "the program to be gone")
    relay.wait_for("program", end="abandoned")


def test_stop_lets_programs_finish(t):
    out = folder(t)
    program = script(t, f"touch {out}/began; sleep 0.7; echo 250 2.0.0 finished\n")
    relay = exec_daemon(t, program)
    with Client(relay) as client, Client(relay) as late:
        late.mail()
        late.cmd("DATA", 354)
        client.mail()
        client.cmd("DATA", 354)
        client.send(CONTENT + b".\r\n")
        wait_until(lambda: (out / "began").exists(), "the program")
        relay.signal(signal.SIGTERM)
        relay.wait_for("stopping")
        # whoever is in the middle of a message has it run yet
        late.send(CONTENT + b".\r\n")
        equal(client.expect(250).text, "2.0.0 finished", "reply")
        equal(late.expect(250).text, "2.0.0 finished", "reply of the late one")
    relay.stop()


def test_stop_ends_programs_that_do_not(t):
    out = folder(t)
    program = script(t, f"trap '' TERM; echo $$ > {out}/pid.tmp; mv {out}/pid.tmp {out}/pid; while :; do sleep 1; done\n")
    relay = exec_daemon(t, program, more="stop_timeout = 300ms")
    with Client(relay) as client:
        client.mail()
        client.cmd("DATA", 354)
        client.send(CONTENT + b".\r\n")
        pid = int(wait_until(lambda: (out / "pid").exists() and (out / "pid").read_text(), "the program"))
        relay.stop()
        assert not harness.process_alive(pid), "the program outlives the service"
        said = client.at_eof()
        assert not said.startswith(b"250"), said


# ---- filters ------------------------------------------------------------------------------------


def filtering(t, command, more="", **options):
    upstream = Upstream(t)
    relay = t.daemon(upstream, config=f"filter_command = {words(*command)}\n{more}\n", **options).ready()
    return upstream, relay


def test_filter_changes_the_message(t):
    program = script(t, "echo X-Filter: yes; sed -e 's/body/changed/'; printf 'no line end'\n")
    upstream, relay = filtering(t, [program])
    with Client(relay) as client:
        assert "BINARYMIME" not in client.ehlo.lines
        assert "DSN" in client.ehlo.lines
        reply = client.message(CONTENT, rcpts=("a@example.test", "b@example.test"))
        assert reply.text.startswith("2.0.0 OK queued as "), reply
    got = upstream.wait_messages(1)[0]
    equal(without_received(got.content), b"X-Filter: yes\r\n" + CONTENT.replace(b"body", b"changed") + b"no line end\r\n",
          "content")
    equal((got.sender, got.rcpts), ("sender@client.test", ["a@example.test", "b@example.test"]), "envelope")


def test_filter_refuses(t):
    program = script(t, """
        cat > /dev/null
        echo "550 5.7.1 $SENDER may not"
        exit 77
        """)
    upstream, relay = filtering(t, [program])
    with Client(relay) as client:
        equal(client.message(code=550).text, "5.7.1 sender@client.test may not", "reply")
        client.mail()
        client.cmd("RSET", 250)
    equal((relay.queue(), upstream.messages), ([], []), "what went on")


def test_filter_in_disorder(t):
    """Whatever it is: 451, nothing goes on, and the service is well."""
    program = script(t, r"""
        read -r _ how
        case $how in
        empty) exit 0 ;;
        status) cat; exit 3 ;;
        killed) cat; kill -KILL $$ ;;
        cr) printf 'a\rb\n' ;;
        nul) printf 'a\0b\n' ;;
        much) head -c 200000 /dev/zero | tr '\0' 'x' ;;
        slow) sleep 600 ;;
        good) echo "Subject: good"; cat ;;
        esac
        """)
    upstream, relay = filtering(t, [program], more="filter_timeout = 500ms\ndata_size_limit = 100K")
    with Client(relay) as client:
        for how in ("empty", "status", "killed", "cr", "nul", "much", "slow"):
            reply = client.message(f"Subject: {how}\r\n\r\n".encode(), code=451)
            equal(reply.text, "4.3.0 " + TRY_LATER, f"reply for {how}")
        client.message(b"Subject: good\r\n\r\nx\r\n")
    for end in ("killed", "bad_output", "too_much", "timed_out"):
        relay.wait_for("program", command="filter", end=end)
    relay.wait_for("filter_failed")
    equal([without_received(m.content) for m in upstream.wait_messages(1)], [b"Subject: good\r\n\r\nx\r\n"], "what went on")


def test_filter_output_is_whole(t):
    """What it started may still be writing when it ends itself, with status 0: its output is over when nobody writes."""
    program = script(t, """
        read -r _ how
        echo "Subject: $how"
        case $how in
        late) exec 3<&0; (sleep 0.5; cat <&3; echo last line) & exit 0 ;;
        never) sleep 600 & exit 0 ;;
        daemon) setsid sleep 600 & exit 0 ;;
        refused) sleep 600 & exit 77 ;;
        esac
        """)
    upstream, relay = filtering(t, [program], more="filter_timeout = 3s")
    with Client(relay) as client:
        client.message(b"Subject: late\r\n\r\nbody\r\n")
        client.message(b"Subject: refused\r\n\r\nbody\r\n", code=550)
        for how in (b"never", b"daemon"):
            client.message(b"Subject: %s\r\n\r\nbody\r\n" % how, code=451)
    relay.wait_for("program", command="filter", end="timed_out")
    equal([without_received(m.content) for m in upstream.wait_messages(1)],
          [b"Subject: late\r\n\r\nbody\r\nlast line\r\n"], "what went on")


def test_filter_before_rewriting(t):
    """A program cannot get around what is rewritten; and its white space in front cannot continue our Received."""
    program = script(t, "printf ' forged by me\\n'; echo 'From: root@host.example.org'; cat\n")
    upstream, relay = filtering(t, [program], more="""
masquerade = { "example.org" }
rewrite_headers = yes
remove_headers = { "X-Secret" }
""")
    with Client(relay) as client:
        client.message(b"X-Secret: s\r\nSubject: x\r\n\r\n")
    content = upstream.wait_messages(1)[0].content
    header, _, body = content.partition(b"\r\n\r\n")
    assert header.startswith(b"Received: ") and b"forged" not in header, content
    assert body.startswith(b" forged by me\r\n"), body
    program.write_text("#!/bin/sh\necho 'From: root@host.example.org'; echo 'X-Secret: t'; cat\n")
    with Client(relay) as client:
        client.message(b"Subject: x\r\n\r\n")
    content = without_received(upstream.wait_messages(2)[1].content)
    equal(content, b"From: root@example.org\r\nSubject: x\r\n\r\n", "content")


def test_filter_and_exec(t):
    program, out = keeper(t)
    mark = script(t, "echo X-Mark: 1; cat\n", "mark")
    relay = exec_daemon(t, program, more=f'filter_command = "{mark}"')
    with Client(relay) as client:
        client.message(CONTENT)
    equal((out / "message.1").read_bytes(), b"X-Mark: 1\n" + AS_LF, "content")


def test_filter_of_another_handler(t):
    mark = script(t, "echo X-Mark: 1; cat\n", "mark")
    relay = t.daemon(config=f'handler = "debug"\nfilter_command = "{mark}"\n').ready()
    with Client(relay) as client:
        client.message(b"Subject: x\r\n\r\nbody\r\n")
    relay.wait_stdout(lambda text: b"X-Mark: 1" in text and b"body" in text and b"END MESSAGE" in text, "the message")


# ---- the examples ---------------------------------------------------------------------------------


def example(t, name):
    """Where program_user can reach it."""
    return harness.put_program(t.tmp / name, (EXAMPLES / name).read_bytes())


def test_example_process_message(t):
    relay = exec_daemon(t, example(t, "process_message.py"))
    with Client(relay) as client:
        client.message(CONTENT, sender="", rcpts=("a@example.test", "b@example.test"))
        equal(client.message(b"From: x\r\n\r\nsubject: y\r\n", code=554).text,
              "5.6.0 A message without a subject is not for me", "reply")
    relay.wait_for("program_stderr", text=f"{len(AS_LF) - 1} octets from <> at 127.0.0.1 for a@example.test, b@example.test")


def test_example_file_it(t):
    maildir = folder(t, "Maildir")
    for name in ("tmp", "new", "cur"):
        (maildir / name).mkdir()
        (maildir / name).chmod(0o777)
    relay = exec_daemon(t, example(t, "file-it"), maildir)
    with Client(relay, helo="there.test") as client:
        client.message(CONTENT, rcpts=("a@example.test", "b`id`$HOME@example.test"))
        client.message(CONTENT)
        found = sorted((maildir / "new").iterdir())
        equal((len(found), list((maildir / "tmp").iterdir())), (2, []), "files")
        first = min(found, key=lambda f: f.stat().st_mtime_ns).read_bytes()
        assert first.startswith(b"Return-Path: <sender@client.test>\nDelivered-To: a@example.test\n"
                                b"Delivered-To: b`id`$HOME@example.test\nReceived: from there.test (127.0.0.1)\n\tby "), first
        assert first.endswith(AS_LF), first
        os.rename(maildir / "new", maildir / "old")
        client.message(code=451)
    relay.wait_for("program_stderr", text=re.compile("is no Maildir"))


def test_example_add_footer(t):
    upstream, relay = filtering(t, [example(t, "add-footer.py"), "Grüße from the shop floor"])
    messages = [
        b"Subject: plain\r\n\r\nbody\r\n",
        "Subject: utf8\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrün\r\n".encode(),
        b"Subject: html\r\nContent-Type: text/html\r\n\r\n<p>x\r\n",
        b"Subject: odd\r\nContent-Type: text/plain; charset=klingon\r\n\r\nbody\r\n",
    ]
    with Client(relay) as client:
        for content in messages:
            client.message(content, params=" BODY=8BITMIME")
    got = {m["Subject"]: m for m in (email.message_from_bytes(m.content) for m in upstream.wait_messages(len(messages)))}
    equal([got[s]["X-Footer"] for s in ("plain", "utf8", "html", "odd")], ["added", "added", "none", "none"], "marks")
    for subject, text in (("plain", "body"), ("utf8", "Grün")):
        body = got[subject].get_payload(decode=True).decode()
        equal(body.replace("\r\n", "\n"), f"{text}\n-- \nGrüße from the shop floor\n", subject)
    equal(got["odd"].get_payload(), "body\r\n", "odd")
    equal(t.run([example(t, "add-footer.py")]).returncode, 78, "without a footer")


# ---- side by side with smtpd ----------------------------------------------------------------------------

RECORD = """
import json, os, sys

def record(peer, mailfrom, rcpttos, data, mail_options, rcpt_options):
    with open(sys.argv[1], "a") as f:
        print(json.dumps([peer[0], mailfrom, rcpttos, data.decode("latin-1"), mail_options, rcpt_options]), file=f)
    for line in data.split(b"\\n"):
        if line.startswith(b"X-Reply: "):
            return line[9:].decode()
    return None
"""

SMTPD = RECORD + """
import asyncore, smtpd

class Server(smtpd.SMTPServer):
    def process_message(self, peer, mailfrom, rcpttos, data, **kwargs):
        return record(peer, mailfrom, rcpttos, data, kwargs["mail_options"], kwargs["rcpt_options"])

server = Server(("127.0.0.1", 0), None, enable_SMTPUTF8=True)
print(server.socket.getsockname()[1], flush=True)
asyncore.loop()
"""


SESSIONS = [
    ("a@client.test", ["x@example.test"], b"Subject: x\r\n\r\nbody\r\n", ""),
    ("", ["x@example.test", "y@example.test"], b"Subject: x\r\n\r\n.dots\r\n..\r\n", ""),
    # no empty one: smtpd never sees its end
    ("a@client.test", ["x@example.test"], b"x\r\n", " SIZE=10"),
    ("a@client.test", ["x@example.test"], b"\r\n\r\n", " BODY=8BITMIME SIZE=20"),
    ("a@client.test", ["x@example.test"], "Subject: ü\r\n\r\nä\r\n".encode(), " BODY=8BITMIME"),
    ("ä@client.test", ["ö@example.test"], b"Subject: x\r\n\r\n", " BODY=8BITMIME SMTPUTF8"),
    ("a@client.test", ["x@example.test"], b"X-Reply: 554 5.7.1 no\r\n\r\n", ""),
    ("a@client.test", ["x@example.test"], b"X-Reply: 451 4.7.1 not now\r\n\r\n", ""),
    ("a@client.test", ["x@example.test"], b"X-Reply: 250 2.6.0 gladly\r\n\r\n", ""),
    ("a@client.test", ["x@example.test"], b"X-Reply: 252 2.5.0 perhaps\r\n\r\n", ""),
]


def converse(port):
    replies = []
    with Client(port) as client:
        for sender, rcpts, content, params in SESSIONS:
            client.cmd(f"MAIL FROM:<{sender}>{params}".encode(), 250)
            for rcpt in rcpts:
                client.cmd(f"RCPT TO:<{rcpt}>".encode(), 250)
            client.cmd("DATA", 354)
            client.send((b"." + content if content.startswith(b".") else content).replace(b"\r\n.", b"\r\n..") + b".\r\n")
            replies.append(client.reply())
        client.quit()
    return replies


def test_side_by_side_with_smtpd(t):
    """The same arguments reach process_message, and what it returns reaches the client; 250 OK is 250 2.0.0 OK here."""
    python = python_with_smtpd()
    out = folder(t)
    (t.tmp / "smtpd_server.py").write_text(SMTPD)
    theirs = t.start([python, "-W", "ignore", t.tmp / "smtpd_server.py", out / "theirs"])
    their_replies = converse(int(theirs.wait_stdout(lambda text: text.strip(), "its port")))
    text = (EXAMPLES / "process_message.py").read_text()
    before, _, after = text.partition("def process_message(")
    program = script(t, before.partition("\n")[2] + RECORD + "\nprocess_message = record\n" + "def main(" + after.partition("def main(")[2],
                     interpreter="/usr/bin/env python3")
    relay = exec_daemon(t, program, out / "ours", more="enable_smtputf8 = yes")
    our_replies = converse(relay.port)
    ours, theirs = ([json.loads(line) for line in (out / name).read_text().splitlines()] for name in ("ours", "theirs"))
    for session, mine, python_s in zip(SESSIONS, ours, theirs):
        equal(mine, python_s, f"arguments for {session}")
    equal(len(ours), len(SESSIONS), "messages")
    equal([(r.code, r.text.replace("2.0.0 OK", "OK")) for r in our_replies], [(r.code, r.text) for r in their_replies], "replies")


if __name__ == "__main__":
    harness.main(__name__)

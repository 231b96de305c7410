# SPDX-License-Identifier: ISC
"""Real programs on both sides: swaks, smtplib, Postfix's smtp-source as
clients, Python's smtpd, Postfix's smtp-sink and Postfix itself as upstreams."""

import ast
import email
import email.policy
import os
import pathlib
import re
import shutil
import sys

import harness
from harness import Skip, equal, need_program, need_root, wait_until
from smtp_peers import Client, Upstream, without_received

BODY = b"Subject: peers\r\n\r\n.leading dot\r\nsecond line\r\n.\r\n..\r\nlast\r\n"


def python_smtpd(t):
    """Python's own DebuggingServer; .port and .messages() are added to its process."""
    if sys.version_info >= (3, 12):
        raise Skip("Python's smtpd went away with 3.12")
    code = ("import asyncore, smtpd, sys\n"
            "server = smtpd.DebuggingServer(('127.0.0.1', 0), None)\n"
            "print(server.socket.getsockname()[1], file=sys.stderr, flush=True)\n"
            "asyncore.loop()\n")
    process = t.start([sys.executable, "-u", "-W", "ignore", "-c", code], name="smtpd")
    process.port = int(wait_until(lambda: process.lines, "smtpd's port")[0])

    def messages(count):
        def split(out):
            found = re.findall(rb"-+ MESSAGE FOLLOWS -+\n(.*?)-+ END MESSAGE -+\n", out, re.S)
            return len(found) >= count and found
        return [[ast.literal_eval(line) if line.startswith(("b'", 'b"')) else line
                 for line in message.decode("latin-1").splitlines()]
                for message in process.wait_stdout(split, f"{count} messages")]
    process.messages = messages
    return process


def without_peer_header(lines):
    """smtpd prints `mail options: ...` and an X-Peer: line that nobody sent."""
    if lines and isinstance(lines[0], str):
        assert lines[0].startswith(("mail options:", "rcpt options:")), lines[0]
        lines = [line for line in lines if isinstance(line, bytes)]
    return [line for line in lines if not line.startswith(b"X-Peer: ")]


def test_python_smtpd_as_upstream(t):
    smtpd = python_smtpd(t)
    relay = t.daemon(smtpd)
    other = b"Subject: 8 bit\r\n\r\n\xe4\xf6\xfc\r\n"
    with Client(relay) as client:
        client.message(BODY)
        client.message(other, params=" BODY=8BITMIME")
    # two messages may take two connections, and arrive in any order
    texts = sorted(without_received(b"\r\n".join(without_peer_header(message)) + b"\r\n")
                   for message in smtpd.messages(2))
    equal(texts, sorted([BODY, other]), "contents at smtpd")
    relay.wait_for("completed", count=2)


def test_smtplib_to_smtpd(t):
    """The README's promise to those who used smtpd: both ends of Python's library, our relay between."""
    smtpd = python_smtpd(t)
    relay = t.daemon(smtpd)
    code = ("import smtplib, sys\n"
            "from email.message import EmailMessage\n"
            "m = EmailMessage()\n"
            "m['From'], m['To'], m['Subject'] = 'a@client.test', 'b@example.test', 'Grüße'\n"
            "m.set_content('Hällo\\n.\\nline\\n')\n"
            "with smtplib.SMTP('127.0.0.1', int(sys.argv[1]), local_hostname='client.test') as s:\n"
            "    s.send_message(m)\n")
    t.run([sys.executable, "-c", code, relay.port], check=0)
    lines = without_peer_header(smtpd.messages(1)[0])
    assert b"From: a@client.test" in lines and b"." in lines, lines


def test_debug_handler_prints_what_smtpd_prints(t):
    """-c DebuggingServer: the same client, the same output, but for the client's port."""
    smtpd = python_smtpd(t)
    # it has no spool, so it needs no place for one either
    environment = {**os.environ, "HOME": "/nonexistent", "XDG_STATE_HOME": "/nonexistent/state"}
    ours = harness.Daemon(t, ["-F", "-n", "-c", "DebuggingServer", "127.0.0.1:0"], env=environment)
    for port in (smtpd.port, ours.port):
        with Client(port) as client:
            client.message(BODY)
            client.message(b"Subject: no body\r\n", sender="")
            client.message(b"no header\r\n\r\nit's \"quoted\" \\ \xff\r\n")
            client.message(b"Subject: x\r\n\r\nx\r\n", params=" BODY=8BITMIME SIZE=100")
            client.quit()
    smtpd.messages(4)
    ours.wait_stdout(lambda out: out.count(b" END MESSAGE ") == 4, "4 messages")
    equal(ours.stdout.decode("latin-1"), smtpd.stdout.decode("latin-1"), "output")


def swaks(t, relay, *more, data=None):
    need_program("swaks")
    argv = ["swaks", "--server", f"127.0.0.1:{relay.port}", "--helo", "swaks.test", "--from", "a@client.test",
            "--timeout", "20", *more]
    if data is not None:
        (t.tmp / "message").write_bytes(data)
        argv += ["--data", f"@{t.tmp}/message"]
    return t.run(argv, check=0)


def test_swaks(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream)
    swaks(t, relay, "--to", "b@example.test,c@example.test", data=BODY.replace(b"\r\n", b"\n"))
    message = upstream.wait_messages(1)[0]
    equal(message.rcpts, ["b@example.test", "c@example.test"], "recipients")
    assert without_received(message.content).rstrip() == BODY.rstrip(), message.content


def test_swaks_pipelining(t):
    upstream = Upstream(t)
    relay = t.daemon(upstream)
    done = swaks(t, relay, "--to", "b@example.test", "--pipeline", data=BODY.replace(b"\r\n", b"\n"))
    assert b"PIPELINING" in done.stdout, done.stdout
    equal(upstream.wait_messages(1)[0].sender, "a@client.test", "sender")


def smtp_sink(t, *args):
    need_program("smtp-sink", "postfix")
    port = harness.ReservedPort(t).port
    argv = ["smtp-sink", *args, f"127.0.0.1:{port}", "64"]
    if os.geteuid() == 0:
        argv[1:1] = ["-u", "nobody"]
    process = t.start(argv)
    process.port = port

    def listens():
        assert process.popen.poll() is None, f"smtp-sink ended: {process.lines}"
        try:
            Client(port, helo=None).close()
            return True
        except OSError:
            return False
    wait_until(listens, "smtp-sink to listen")
    return process


def smtp_source(t, relay, *args):
    need_program("smtp-source", "postfix")
    return t.run(["smtp-source", "-f", "a@client.test", "-M", "client.test", *args, f"127.0.0.1:{relay.port}"],
                 check=0, timeout=2 * harness.DEADLINE)


def source_to_sink(t, sink_args=(), source_args=(), count=100):
    dumps = t.tmp / "dumps"
    dumps.mkdir()
    dumps.chmod(0o777)
    sink = smtp_sink(t, *sink_args, "-d", f"{dumps}/m.")
    relay = t.daemon(sink)
    smtp_source(t, relay, "-m", count, "-s", "4", "-l", "4096", "-N", "-t", "user@example.test", *source_args)
    relay.wait_for("completed", count=count)
    relay.wait_empty()
    dumped = [p.read_bytes() for p in dumps.iterdir()]
    equal(len(dumped), count, "messages in smtp-sink's folder")
    rcpts = {re.search(rb"^X-Rcpt-Args: <(.*)>", d, re.M)[1] for d in dumped}
    equal(len(rcpts), count, "different recipients at smtp-sink")
    for d in dumped:
        assert len(d) > 4096, len(d)


def test_smtp_source_to_smtp_sink(t):
    source_to_sink(t)


def test_smtp_source_one_message_a_session(t):
    source_to_sink(t, source_args=["-d"])


def test_smtp_sink_without_extensions(t):
    """An upstream that knows HELO only, no PIPELINING."""
    source_to_sink(t, sink_args=["-e"], count=20)


def test_smtp_sink_without_pipelining(t):
    source_to_sink(t, sink_args=["-p"], count=20)


POSTFIX_MAIN = """
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
myhostname = postfix.test
mydestination =
local_recipient_maps =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtputf8_enable = no
local_header_rewrite_clients =
default_transport = smtp:[127.0.0.1]:{next}
smtpd_peername_lookup = no
smtpd_recipient_restrictions = check_recipient_access inline:{{refused.test=reject}}, permit_mynetworks, reject
"""

POSTFIX_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


def postfix(t, upstream, services="", main="", files=None):
    """A Postfix of its own in the test's folder, which sends everything on to `upstream`; files: more of its
    configuration's folder."""
    need_root()
    need_program("postfix")
    master = pathlib.Path("/usr/lib/postfix/sbin/master")
    if not master.exists():
        raise Skip(f"{master} is missing")
    port = harness.ReservedPort(t).port
    folder = t.tmp / "postfix"
    for name in ("", "queue", "data", "config"):
        (folder / name).mkdir(mode=0o755)
    for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved",
                 "trace", "public", "maildrop", "pid"):
        (folder / "queue" / name).mkdir()
        if name != "pid":
            shutil.chown(folder / "queue" / name, "postfix")
    shutil.chown(folder / "queue" / "public", "postfix", "postdrop")
    shutil.chown(folder / "data", "postfix")
    (folder / "config/main.cf").write_text(POSTFIX_MAIN.format(dir=folder, next=upstream.port) + main)
    (folder / "config/master.cf").write_text(POSTFIX_MASTER.format(port=port) + services)
    for name, text in (files or {}).items():
        (folder / "config" / name).parent.mkdir(exist_ok=True)
        (folder / "config" / name).write_text(text)
    process = t.start([master, "-c", folder / "config", "-s"], name="postfix")
    process.port, process.config = port, folder / "config"

    def greets():
        assert process.popen.poll() is None, f"Postfix ended: {process.lines}"
        try:
            Client(port).close()
            return True
        except OSError:
            return False
    wait_until(greets, "Postfix to listen")
    return process


def test_postfix_as_upstream(t):
    last = Upstream(t)
    relay = t.daemon(postfix(t, last))
    with Client(relay) as client:
        client.message(BODY, rcpts=["one@example.test", "two@example.test"])
        client.message(b"Subject: 8 bit\r\n\r\n\xe4\xf6\xfc " + b"long " * 1000 + b"\r\n", params=" BODY=8BITMIME")
        client.quit()
    relay.wait_for("completed", count=2)
    first, second = sorted(last.wait_messages(2), key=lambda m: len(m.content))
    equal(without_received(without_received(first.content)), BODY, "content behind Postfix")
    equal(sorted(first.rcpts), ["one@example.test", "two@example.test"], "recipients behind Postfix")
    assert b"\xe4\xf6\xfc long" in second.content, second.content


def test_postfix_refuses_a_recipient(t):
    """A real server's 5yz to one recipient of a pipelined group."""
    last = Upstream(t)
    relay = t.daemon(postfix(t, last))
    with Client(relay) as client:
        client.message(BODY, rcpts=["good@example.test", "unknown@refused.test", "also@example.test"])
        client.quit()
    relay.wait_for("delivered", to="good@example.test")
    relay.wait_for("delivered", to="also@example.test")
    failed = relay.wait_for("failed", to="unknown@refused.test")
    assert failed["reply"].startswith("554 5.7.1"), failed
    # the report may leave Postfix first
    message, = [m for m in last.wait_messages(2) if m.sender]
    equal(sorted(message.rcpts), ["also@example.test", "good@example.test"], "recipients")


def test_postfix_takes_a_report(t):
    """What was refused by Postfix goes back through it: it takes the report, and changes nothing in it."""
    last = Upstream(t)
    relay = t.daemon(postfix(t, last))
    with Client(relay) as client:
        client.message(BODY, rcpts=["unknown@refused.test"])
        client.message(b"Subject: 8 bit\r\n\r\n\xe4\xf6\xfc\r\n", rcpts=["other@refused.test"], params=" BODY=8BITMIME")
        client.quit()
    for report in last.wait_messages(2):
        equal((report.sender, report.rcpts), ("", ["sender@client.test"]), "envelope of the report")
        message = email.message_from_bytes(report.content, policy=email.policy.default)
        equal((message.defects, message.get_content_type()), ([], "multipart/report"), "the report")
        rcpt = message.get_payload()[1].get_payload()[1]
        equal((rcpt["Action"], rcpt["Status"]), ("failed", "5.7.1"), "Action and Status")
        assert rcpt["Diagnostic-Code"].startswith("smtp; 554 5.7.1"), rcpt["Diagnostic-Code"]
    assert any(b"\xe4\xf6\xfc" in m.content for m in last.messages), "the 8-bit original"


def test_postfix_is_asked_for_notifications(t):
    """Postfix understands the DSN parameters that are passed on: its own report has the envelope id and ORCPT."""
    last = Upstream(t)
    relay = t.daemon(postfix(t, last))
    with Client(relay) as client:
        client.cmd("MAIL FROM:<sender@client.test> RET=HDRS ENVID=QQ+2B1", 250)
        client.cmd("RCPT TO:<good@example.test> NOTIFY=SUCCESS ORCPT=rfc822;Some+2BBody@example.test", 250)
        client.data(BODY)
        client.quit()
    report, = [m for m in last.wait_messages(2) if m.sender == ""]
    message = email.message_from_bytes(report.content, policy=email.policy.default)
    about, rcpt = message.get_payload()[1].get_payload()
    equal(about["Original-Envelope-Id"], "QQ+1", "Original-Envelope-Id")
    equal((rcpt["Action"], rcpt["Original-Recipient"]), ("relayed", "rfc822;Some+Body@example.test"), "the recipient")


# ---- LMTP, and BDAT, to real servers ---------------------------------------

DOVECOT = """
protocols = lmtp
base_dir = {dir}/run
instance_name = posthouse-test
log_path = {dir}/log
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{dir}/mail/%n
mail_home = {dir}/mail/%n
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 0
first_valid_gid = 0
auth_verbose = yes
lmtp_save_to_detail_mailbox = no
postmaster_address = postmaster@example.test
passdb {{
  driver = passwd-file
  args = {dir}/users
}}
userdb {{
  driver = passwd-file
  args = {dir}/users
  default_fields = uid={uid} gid={gid}
}}
service anvil {{
  chroot =
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener lmtp {{
    mode = 0666
  }}
}}
"""


def dovecot(t):
    """Dovecot's LMTP server, with boxes for one@, two@ and three@, on .port and .path; .mail(name) is what is in one."""
    need_root()
    program = need_program("dovecot")
    if not pathlib.Path("/usr/lib/dovecot/lmtp").exists():
        raise Skip("dovecot-lmtpd is missing")
    import grp
    import pwd
    user = pwd.getpwnam("nobody")
    port = harness.ReservedPort(t).port
    folder = t.tmp / "dovecot"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "mail").mkdir()
    shutil.chown(folder / "mail", user.pw_uid, user.pw_gid)
    (folder / "users").write_text("".join(f"{name}@example.test:{{PLAIN}}x::::::\n" for name in ("one", "two", "three")))
    (folder / "conf").write_text(DOVECOT.format(dir=folder, port=port, user="nobody", uid=user.pw_uid, gid=user.pw_gid,
                                                group=grp.getgrgid(user.pw_gid).gr_name))
    process = t.start([program, "-F", "-c", folder / "conf"], name="dovecot")
    process.port, process.path = port, folder / "run/lmtp"

    def log():
        return (folder / "log").read_text() if (folder / "log").exists() else ""

    def answers():
        assert process.popen.poll() is None, f"Dovecot ended: {process.lines} {log()}"
        try:
            Client(port, helo=None).close()
            return True
        except OSError:
            return False
    wait_until(answers, "Dovecot to listen")
    process.mail = lambda name: [path.read_bytes() for path in sorted((folder / "mail" / name).glob("new/*"))]
    process.log = log
    return process


def lmtp_section(remote, more=""):
    return (f'log_level = "debug"\nretry_min = "50ms"\nupstream "main" {{\n remoteaddr = "{remote}"\n'
            f' max_connections = 1\n {more}\n}}\n')


def test_dovecot_lmtp(t):
    """Each recipient has its own answer: who has no box is reported, the others have it."""
    peer = dovecot(t)
    for number, (remote, more) in enumerate(((f"lmtp://127.0.0.1:{peer.port}", ""), (f"lmtp://unix:{peer.path}", ""),
                                             (f"lmtp://127.0.0.1:{peer.port}", "chunking = always"))):
        relay = t.daemon(config=lmtp_section(remote, more), name=f"relay{number}")
        with Client(relay) as client:
            ids = [client.message(BODY, sender="two@example.test", rcpts=rcpts).lines[-1].split()[-1] for rcpts in
                   (["one@example.test", "nobody@example.test", "two@example.test"], ["three@example.test"])]
            client.quit()
        for ident in ids:
            relay.wait_for("completed", id=ident)
        relay.wait_empty()
        failed, = relay.events("failed")
        equal((failed["to"], failed["reply"][:3]), ("nobody@example.test", "550"), "failed")
        equal(sorted(e["to"] for e in relay.events("delivered", id=ids[0])), ["one@example.test", "two@example.test"], "delivered")
        equal(relay.events("uncertain"), [], "uncertain")
        sent = [e["sent"] for e in relay.events("upstream_dialogue") if "sent" in e]
        equal(any(line.startswith("BDAT ") for line in sent), "always" in more, "BDAT")
    for name, count in (("one", 3), ("three", 3), ("two", 6)):  # three reports came to two@
        equal(len(peer.mail(name)), count, f"messages of {name}")
    text = peer.mail("one")[0].replace(b"\r\n", b"\n")
    assert text.endswith(BODY.replace(b"\r\n", b"\n")), text


AIOSMTPD = """
import asyncio, sys
from aiosmtpd.lmtp import LMTP
class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("unknown"):
            return "550 5.1.1 unknown"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"
    async def handle_DATA(self, server, session, envelope):
        print(envelope.rcpt_tos, repr(envelope.content), flush=True)
        return "\\r\\n".join("452 4.2.2 full" if rcpt.startswith("full") else "250 2.0.0 stored for " + rcpt
                            for rcpt in envelope.rcpt_tos)
async def main():
    server = await asyncio.get_running_loop().create_server(lambda: LMTP(Handler(), enable_SMTPUTF8=True), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], file=sys.stderr, flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def test_aiosmtpd_lmtp(t):
    """Python's other server, whose handler answers for each recipient."""
    python = next((p for p in (sys.executable, "/usr/bin/python3")
                   if t.run([p, "-c", "import aiosmtpd.lmtp"]).returncode == 0), None)
    if not python:
        raise Skip("Python's aiosmtpd is missing")
    peer = t.start([python, "-u", "-c", AIOSMTPD], name="aiosmtpd")
    port = int(wait_until(lambda: peer.lines, "its port")[0])
    relay = t.daemon(config=lmtp_section(f"lmtp://127.0.0.1:{port}"))
    with Client(relay) as client:
        ident = client.message(BODY, sender="", rcpts=["a@example.test", "unknown@example.test", "full@example.test",
                                                       "b@example.test"]).lines[-1].split()[-1]
        client.quit()
    for rcpt in ("a", "b"):
        equal(relay.wait_for("delivered", id=ident, to=f"{rcpt}@example.test")["reply"],
              f"250 2.0.0 stored for {rcpt}@example.test", "answer")
    equal(relay.wait_for("deferred", id=ident)["to"], "full@example.test", "deferred")
    equal(relay.wait_for("failed", id=ident)["to"], "unknown@example.test", "failed")


def test_postfix_with_chunks(t):
    """Postfix takes BDAT, pipelined as we send it, small and large, with a refusal among them."""
    last = Upstream(t)
    peer = postfix(t, last)
    relay = t.daemon(config=f'log_level = "debug"\nupstream "main" {{\n remoteaddr = "127.0.0.1:{peer.port}"\n max_connections = 1\n'
                     ' chunking = always\n}\n')
    large = BODY + b"line of a large message\r\n" * 20_000
    with Client(relay) as client:
        for _ in range(10):
            client.message(BODY, rcpts=["one@example.test"])
            client.message(BODY, sender="", rcpts=["unknown@refused.test"])
        client.message(large)
        client.quit()
    relay.wait_for("delivered", count=11)
    relay.wait_for("failed", count=10)
    equal(relay.events("uncertain"), [], "uncertain")
    sent = [e["sent"] for e in relay.events("upstream_dialogue") if "sent" in e]
    assert "DATA" not in sent and len([line for line in sent if line.startswith("BDAT ")]) >= 11, sent
    contents = [without_received(without_received(m.content)) for m in last.wait_messages(11)]
    equal(sorted(set(contents)), sorted({BODY, large}), "contents behind Postfix")


if __name__ == "__main__":
    harness.main(__name__)

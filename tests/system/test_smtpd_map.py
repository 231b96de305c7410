# SPDX-License-Identifier: ISC
"""posthouse-smtpd(7) has a row for each public name of Python's smtpd and smtplib, and each row has tests that exist.

In the page's source a row has comments:
    .\\" maps: NAME ...    names of Python's: "smtpd.SMTPServer.process_message", "smtplib.SMTP(host)" for a constructor's
                          argument, "--size" for an option
    .\\" tests: TEST ...   "tests/system/FILE.py:function", "tests/unit/FILE.c:test" or "tests/transcripts/FILE.txt"
and a difference:
    .\\" differs: KEY      of REASONS in test_smtpd_dialogues.py or test_smtplib_methods.py, whose sentence follows
"""

import ast
import importlib.util
import re
import shutil
import subprocess
import sys

import harness
from harness import SRCDIR, equal

PAGE = SRCDIR / "man/posthouse-smtpd.7.in"

# As Python 3.11 has them, for machines without it; test_list_is_pythons compares. MailmanProxy went away earlier.
NAMES = """
smtpd.COMMASPACE smtpd.DATA_SIZE_DEFAULT smtpd.DEBUGSTREAM smtpd.DebuggingServer smtpd.DebuggingServer.process_message
smtpd.Devnull smtpd.Devnull.flush smtpd.Devnull.write smtpd.NEWLINE smtpd.Options smtpd.Options.classname
smtpd.Options.enable_SMTPUTF8 smtpd.Options.setuid smtpd.Options.size_limit smtpd.PureProxy smtpd.PureProxy(args)
smtpd.PureProxy(kwargs) smtpd.PureProxy.process_message smtpd.SMTPChannel smtpd.SMTPChannel(addr)
smtpd.SMTPChannel(conn) smtpd.SMTPChannel(data_size_limit) smtpd.SMTPChannel(decode_data)
smtpd.SMTPChannel(enable_SMTPUTF8) smtpd.SMTPChannel(map) smtpd.SMTPChannel(server) smtpd.SMTPChannel.COMMAND
smtpd.SMTPChannel.DATA smtpd.SMTPChannel.__addr smtpd.SMTPChannel.__conn smtpd.SMTPChannel.__data
smtpd.SMTPChannel.__fqdn smtpd.SMTPChannel.__greeting smtpd.SMTPChannel.__line smtpd.SMTPChannel.__mailfrom
smtpd.SMTPChannel.__peer smtpd.SMTPChannel.__rcpttos smtpd.SMTPChannel.__server smtpd.SMTPChannel.__state
smtpd.SMTPChannel.addr smtpd.SMTPChannel.collect_incoming_data smtpd.SMTPChannel.command_size_limit
smtpd.SMTPChannel.command_size_limits smtpd.SMTPChannel.conn smtpd.SMTPChannel.data_size_limit
smtpd.SMTPChannel.enable_SMTPUTF8 smtpd.SMTPChannel.extended_smtp smtpd.SMTPChannel.found_terminator
smtpd.SMTPChannel.fqdn smtpd.SMTPChannel.mail_options smtpd.SMTPChannel.mailfrom
smtpd.SMTPChannel.max_command_size_limit smtpd.SMTPChannel.num_bytes smtpd.SMTPChannel.peer smtpd.SMTPChannel.push
smtpd.SMTPChannel.rcpt_options smtpd.SMTPChannel.rcpttos smtpd.SMTPChannel.received_data
smtpd.SMTPChannel.received_lines smtpd.SMTPChannel.require_SMTPUTF8 smtpd.SMTPChannel.seen_greeting
smtpd.SMTPChannel.smtp_DATA smtpd.SMTPChannel.smtp_EHLO smtpd.SMTPChannel.smtp_EXPN smtpd.SMTPChannel.smtp_HELO
smtpd.SMTPChannel.smtp_HELP smtpd.SMTPChannel.smtp_MAIL smtpd.SMTPChannel.smtp_NOOP smtpd.SMTPChannel.smtp_QUIT
smtpd.SMTPChannel.smtp_RCPT smtpd.SMTPChannel.smtp_RSET smtpd.SMTPChannel.smtp_VRFY smtpd.SMTPChannel.smtp_server
smtpd.SMTPChannel.smtp_state smtpd.SMTPServer smtpd.SMTPServer(data_size_limit) smtpd.SMTPServer(decode_data)
smtpd.SMTPServer(enable_SMTPUTF8) smtpd.SMTPServer(localaddr) smtpd.SMTPServer(map) smtpd.SMTPServer(remoteaddr)
smtpd.SMTPServer.channel_class smtpd.SMTPServer.data_size_limit smtpd.SMTPServer.enable_SMTPUTF8
smtpd.SMTPServer.handle_accepted smtpd.SMTPServer.process_message smtpd.__version__ smtpd.parseargs smtpd.program
smtpd.usage
smtplib.CRLF smtplib.LMTP smtplib.LMTP(host) smtplib.LMTP(local_hostname) smtplib.LMTP(port)
smtplib.LMTP(source_address) smtplib.LMTP(timeout) smtplib.LMTP.connect smtplib.LMTP.ehlo_msg smtplib.LMTP.file
smtplib.LMTP.sock smtplib.LMTP_PORT smtplib.OLDSTYLE_AUTH smtplib.SMTP smtplib.SMTP(host) smtplib.SMTP(local_hostname)
smtplib.SMTP(port) smtplib.SMTP(source_address) smtplib.SMTP(timeout) smtplib.SMTP.__enter__ smtplib.SMTP.__exit__
smtplib.SMTP.auth smtplib.SMTP.auth_cram_md5 smtplib.SMTP.auth_login smtplib.SMTP.auth_plain smtplib.SMTP.close
smtplib.SMTP.command_encoding smtplib.SMTP.connect smtplib.SMTP.data smtplib.SMTP.debuglevel smtplib.SMTP.default_port
smtplib.SMTP.docmd smtplib.SMTP.does_esmtp smtplib.SMTP.ehlo smtplib.SMTP.ehlo_msg smtplib.SMTP.ehlo_or_helo_if_needed
smtplib.SMTP.ehlo_resp smtplib.SMTP.esmtp_features smtplib.SMTP.expn smtplib.SMTP.file smtplib.SMTP.getreply
smtplib.SMTP.has_extn smtplib.SMTP.helo smtplib.SMTP.helo_resp smtplib.SMTP.help smtplib.SMTP.local_hostname
smtplib.SMTP.login smtplib.SMTP.mail smtplib.SMTP.noop smtplib.SMTP.password smtplib.SMTP.putcmd smtplib.SMTP.quit
smtplib.SMTP.rcpt smtplib.SMTP.rset smtplib.SMTP.send smtplib.SMTP.send_message smtplib.SMTP.sendmail
smtplib.SMTP.set_debuglevel smtplib.SMTP.sock smtplib.SMTP.source_address smtplib.SMTP.starttls smtplib.SMTP.timeout
smtplib.SMTP.user smtplib.SMTP.verify smtplib.SMTP.vrfy smtplib.SMTPAuthenticationError smtplib.SMTPConnectError
smtplib.SMTPDataError smtplib.SMTPException smtplib.SMTPHeloError smtplib.SMTPNotSupportedError
smtplib.SMTPRecipientsRefused smtplib.SMTPRecipientsRefused(recipients) smtplib.SMTPRecipientsRefused.args
smtplib.SMTPRecipientsRefused.recipients smtplib.SMTPResponseException smtplib.SMTPResponseException(code)
smtplib.SMTPResponseException(msg) smtplib.SMTPResponseException.args smtplib.SMTPResponseException.smtp_code
smtplib.SMTPResponseException.smtp_error smtplib.SMTPSenderRefused smtplib.SMTPSenderRefused(code)
smtplib.SMTPSenderRefused(msg) smtplib.SMTPSenderRefused(sender) smtplib.SMTPSenderRefused.args
smtplib.SMTPSenderRefused.sender smtplib.SMTPSenderRefused.smtp_code smtplib.SMTPSenderRefused.smtp_error
smtplib.SMTPServerDisconnected smtplib.SMTP_PORT smtplib.SMTP_SSL smtplib.SMTP_SSL(certfile) smtplib.SMTP_SSL(context)
smtplib.SMTP_SSL(host) smtplib.SMTP_SSL(keyfile) smtplib.SMTP_SSL(local_hostname) smtplib.SMTP_SSL(port)
smtplib.SMTP_SSL(source_address) smtplib.SMTP_SSL(timeout) smtplib.SMTP_SSL.certfile smtplib.SMTP_SSL.context
smtplib.SMTP_SSL.default_port smtplib.SMTP_SSL.keyfile smtplib.SMTP_SSL_PORT smtplib.bCRLF smtplib.quoteaddr
smtplib.quotedata
""".split()
OPTIONS = ("-n --nosetuid -V --version -c --class -s --size -u --smtputf8 -d --debug -h --help localhost:localport "
           "remotehost:remoteport python_-m_smtplib").split()
OLDER = ["smtpd.MailmanProxy"]


# ---- what Python has --------------------------------------------------------------------------


def module_source(name):
    """Of the module in a Python of 3.11 or before, or None: for smtpd the one that still has it."""
    for python in ("/usr/bin/python3.11", shutil.which("python3.11"), shutil.which("python3.10"), sys.executable):
        if not python:
            continue
        ask = f"import importlib.util as u; s = u.find_spec({name!r}); print(s.origin if s else '')"
        try:
            found = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False).stdout.strip()
        except OSError:
            continue
        if found:
            with open(found, encoding="utf-8") as f:
                return f.read(), python
    return None, None


def public(name):
    return not name.startswith("_") or name in ("__version__", "__enter__", "__exit__")


def arguments(function):
    a = function.args
    return [arg.arg for arg in (*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg)))][1:]


def targets(node):
    """Names that an assignment gives a value, self.NAME as ".NAME"."""
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        for part in target.elts if isinstance(target, ast.Tuple) else [target]:
            if isinstance(part, ast.Name):
                yield part.id
            elif isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == "self":
                yield "." + part.attr


def names_of_class(prefix, node):
    yield prefix
    for item in node.body:
        if isinstance(item, ast.FunctionDef):
            old = item.name.startswith("__") and not item.name.endswith("__")  # smtpd's deprecated properties
            if item.name == "__init__":
                yield from (f"{prefix}({argument})" for argument in arguments(item))
            elif public(item.name) or old:
                yield f"{prefix}.{item.name}"
            for inner in ast.walk(item):
                if isinstance(inner, ast.Assign):
                    yield from (prefix + name for name in targets(inner) if name[0] == "." and public(name[1:]))
        elif isinstance(item, ast.Assign):
            yield from (f"{prefix}.{name}" for name in targets(item) if public(name))


def names_of(module, source):
    for node in ast.parse(source).body:
        for inner in node.body if isinstance(node, ast.If) and "have_ssl" in ast.dump(node.test) else [node]:
            if isinstance(inner, ast.ClassDef):
                yield from names_of_class(f"{module}.{inner.name}", inner)
            elif isinstance(inner, ast.FunctionDef) and public(inner.name):
                yield f"{module}.{inner.name}"
            elif isinstance(inner, ast.Assign):
                yield from (f"{module}.{name}" for name in targets(inner) if public(name))


def names_of_python(module):
    source, _python = module_source(module)
    return sorted(set(names_of(module, source))) if source else None


# ---- what the page has --------------------------------------------------------------------------


def rows():
    """(names, tests, text) of each row of the page."""
    for item in re.split(r"^\.It\b", PAGE.read_text(), flags=re.M)[1:]:
        item = re.split(r"^\.El", item, flags=re.M)[0]
        names, tests = (" ".join(re.findall(rf'^\.\\" {kind}: (.*)$', item, re.M)).split() for kind in ("maps", "tests"))
        if names or tests:
            yield names, tests, item


def test_list_is_pythons(t):
    for module in ("smtpd", "smtplib"):
        found = names_of_python(module)
        if found is None:
            t.comment(f"this machine's Python has no {module}: the list of this test stands for it")
            continue
        if module == "smtplib" and not sys.version.startswith("3.11") and module_source("smtpd")[0] is None:
            t.comment("another Python than 3.11: its smtplib may have more or less")
            continue
        listed = sorted(name for name in NAMES if name.startswith(module + "."))
        equal(listed, found, f"names of {module} in this test")


def test_every_name_has_a_row(_t):
    mapped = [name for names, _tests, _text in rows() for name in names]
    wanted = [*NAMES, *OPTIONS, *OLDER]
    equal(sorted(set(wanted) - set(mapped)), [], "names without a row")
    # the arguments of methods, which the list does not have
    equal([name for name in set(mapped) - set(wanted) if not re.search(r"\.\w+\.\w+\(\w+\)$", name)], [], "rows of names that there are not")
    twice = sorted({name for name in mapped if mapped.count(name) > 1})
    equal(twice, [], "names with two rows")


def test_every_row_has_tests(_t):
    for names, tests, text in rows():
        assert names, f"a row without names:{text}"
        assert tests, f"{names[0]}: no test holds it"
        for test in tests:
            path, _, function = test.partition(":")
            assert (SRCDIR / path).exists(), f"{names[0]}: there is no {path}"
            if path.endswith(".txt"):
                continue
            source = (SRCDIR / path).read_text()
            if path.endswith(".c"):
                there = re.search(rf"^START_TEST\({re.escape(function)}\)$", source, re.M) or (
                    f"static void {function}(" in source or f"{{ \"{function}\"" in source)
            else:
                there = re.search(rf"^(def {function}\(|(\w+, )*{function}(, \w+)* = )", source, re.M)
            assert there and function, f"{names[0]}: there is no test {test}"


def test_every_difference_is_told(_t):
    text = PAGE.read_text()
    for file in ("test_smtpd_dialogues", "test_smtplib_methods"):
        spec = importlib.util.spec_from_file_location(file, SRCDIR / f"tests/system/{file}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        for key, sentence in module.REASONS.items():
            match = re.search(rf'^\.\\" differs: {key}\n((?:[^.].*\n)+)', text, re.M)
            assert match, f"posthouse-smtpd(7) does not tell of {key} ({file})"
            told = " ".join(match[1].replace(r"\&", "").replace(r"\-", "-").split())
            equal(told, sentence, f"what posthouse-smtpd(7) tells of {key}")
            text = text.replace(match[0], "")
    equal(re.findall(r'differs: (.*)', text), [], "differences that no test knows")


if __name__ == "__main__":
    harness.main(__name__)

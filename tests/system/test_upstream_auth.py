# SPDX-License-Identifier: ISC
"""AUTH to a real server: Postfix with STARTTLS and Cyrus SASL (its own file of
users), with each mechanism that both know; and what is said when they know
none in common."""

import pathlib
import re
import shutil

from certificates import HERE, Pki
from harness import Skip, equal, need_program, need_root
from smtp_peers import Upstream
from test_peers import postfix
from test_relay import start, submit
from test_upstream_tls import not_started, private

PASSWORD = "sesame öffne dich"

MAIN = """
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtpd_tls_CAfile = {ca}
smtpd_tls_ask_ccert = yes
smtpd_tls_received_header = yes
smtpd_tls_session_cache_database =
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {folder}
smtpd_sasl_local_domain = postfix.test
smtpd_sasl_security_options = noanonymous
smtpd_sasl_tls_security_options = noanonymous
smtpd_sasl_authenticated_header = yes
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_relay_restrictions = permit_sasl_authenticated, reject
"""


def sasl_postfix(t, ca, last, mechanisms):
    """It offers these mechanisms under TLS and takes mail only from relay@postfix.test."""
    need_root()
    need_program("saslpasswd2", "sasl2-bin")
    plugins = [p.name for p in pathlib.Path("/usr/lib").glob("*/sasl2/lib*.so")]
    for word in ("sasldb", *(m.split("-SHA")[0].replace("-", "").lower() for m in mechanisms.split())):
        if f"lib{word}.so" not in plugins:
            raise Skip(f"Cyrus SASL's plugin {word} is missing (Debian packages libsasl2-modules, libsasl2-modules-db)")
    server = ca.pair(HERE, name="postfix")
    users = t.tmp / "sasldb"
    t.run(["saslpasswd2", "-p", "-c", "-f", users, "-u", "postfix.test", "relay"], check=0, data=PASSWORD.encode())
    shutil.chown(users, "postfix")
    sasl = f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: {users}\nmech_list: {mechanisms}\n"
    return postfix(t, last, services="tlsmgr unix - - n 1000? 1 tlsmgr\n", files={"sasl/smtpd.conf": sasl},
                   main=MAIN.format(cert=server.cert, key=server.key, ca=ca.file, folder=t.tmp / "postfix/config/sasl"))


def upstream_keys(t, ca, more=""):
    secret = private(t.tmp / "secret", PASSWORD)
    return (f'tls = "required"\n tls_ca_file = "{ca.file}"\n user = "relay@postfix.test"\n'
            f' password_file = "{secret}"\n {more}')


def mechanism(name):
    def case(t):
        ca, last = Pki(t), Upstream(t)
        server = sasl_postfix(t, ca, last, "PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-256")
        relay = start(t, server, upstream_keys(t, ca, f'auth_mechanisms = {{ "{name}" }}'))
        ident = submit(relay)
        delivered = relay.wait_for("delivered", id=ident)
        equal((delivered["tls"], delivered["verified"]), ("TLSv1.3", "yes"), "TLS, verified")
        sent = [e["sent"] for e in relay.events("upstream_dialogue") if "sent" in e]
        assert any(line.startswith(f"AUTH {name}") for line in sent), sent
        assert "sesame" not in "\n".join(relay.lines), "the password is in the log"
        received = last.wait_messages(1)[0].content
        assert re.search(rb"Authenticated sender: relay@postfix.test", received), received
        assert re.search(rb"using TLSv1.3", received), received
    return case


test_plain = mechanism("PLAIN")
test_login = mechanism("LOGIN")
test_cram_md5 = mechanism("CRAM-MD5")
test_digest_md5 = mechanism("DIGEST-MD5")


def test_the_best_of_all(t):
    """Nothing said: the mechanism that shows least of the password."""
    ca, last = Pki(t), Upstream(t)
    relay = start(t, sasl_postfix(t, ca, last, "PLAIN LOGIN CRAM-MD5"), upstream_keys(t, ca))
    relay.wait_for("delivered", id=submit(relay))
    sent = [e["sent"] for e in relay.events("upstream_dialogue") if "sent" in e]
    assert "AUTH CRAM-MD5" in sent, sent


def test_none_in_common(t):
    ca, last = Pki(t), Upstream(t)
    relay = start(t, sasl_postfix(t, ca, last, "SCRAM-SHA-256"), upstream_keys(t, ca, "auth_mechanisms = { PLAIN, LOGIN }"))
    ident = submit(relay)
    reason = relay.wait_for("upstream_down")["reason"]
    equal(reason, "auth: no AUTH mechanism in common: the server offers SCRAM-SHA-256; we may use PLAIN LOGIN "
          "(auth_mechanisms)", "reason")
    equal(relay.queue(), [ident], "queue")


def test_wrong_password(t):
    ca, last = Pki(t), Upstream(t)
    server = sasl_postfix(t, ca, last, "PLAIN")
    keys = upstream_keys(t, ca)
    private(t.tmp / "secret", "another")
    relay = start(t, server, keys)
    ident = submit(relay)
    reason = relay.wait_for("upstream_down")["reason"]
    assert re.match("auth: .*authentication fail", reason), reason
    relay.wait_for("upstream_still_down")
    equal((relay.queue(), relay.events("failed")), ([ident], []), "queue, failed")


def test_scram_is_refused_at_the_start_where_libcurl_cannot(t):
    if b"gsasl" in t.run([need_program("curl"), "-V"], check=0).stdout:
        raise Skip("this libcurl can do SCRAM")
    secret = private(t.tmp / "secret", "x")
    not_started(t, f'user = "u"\n password_file = "{secret}"\n auth_mechanisms = {{ "SCRAM-SHA-256" }}',
                'upstream "main": auth_mechanisms: .* built without GNU SASL and cannot do SCRAM-SHA-256')


if __name__ == "__main__":
    import harness
    harness.main(__name__)

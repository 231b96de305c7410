# SPDX-License-Identifier: ISC
"""Certificates of all kinds, good and bad, made with openssl when a test runs, and SMTP clients in TLS."""

import base64
import datetime
import hashlib
import ssl

from harness import need_program
from smtp_peers import Authority, Client

KEYS = {"ec": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"], "rsa": ["-newkey", "rsa:2048"],
        "rsa1024": ["-newkey", "rsa:1024"], "ed25519": ["-newkey", "ed25519"]}
HERE = "IP:127.0.0.1"  # the subjectAltName of an upstream of a test


class Pair:
    """A certificate and its key: PEM files."""

    def __init__(self, test, cert, key):
        self.test, self.cert, self.key = test, cert, key

    def config(self):
        return f'tls_cert = "{self.cert}"\ntls_key = "{self.key}"\n'

    @property
    def pin(self):
        """As tls_pin takes it."""
        openssl = need_program("openssl")
        public = self.test.run([openssl, "x509", "-in", self.cert, "-pubkey", "-noout"], check=0).stdout
        der = self.test.run([openssl, "pkey", "-pubin", "-outform", "DER"], check=0, data=public).stdout
        return "sha256//" + base64.b64encode(hashlib.sha256(der).digest()).decode()

    def server_context(self, most=None, clients=None):
        """For a server that shows it, however bad it is; most: its newest version of TLS; clients: the file of the
        authority of which clients must show a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.load_cert_chain(self.cert, self.key)
        if most:
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = most
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        return context


def self_signed(test, name="self", names=HERE):
    pair = Pair(test, test.tmp / f"{name}.pem", test.tmp / f"{name}.key")
    test.run([need_program("openssl"), "req", "-x509", *KEYS["ec"], "-nodes", "-days", "2", "-keyout", pair.key,
              "-out", pair.cert, "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}"], check=0)
    return pair


class Pki(Authority):
    """An authority that signs what is asked for."""

    def __init__(self, test, name="ca"):
        super().__init__(test, name)
        self.count = 0

    def pair(self, names="DNS:mail.test", key="ec", name=None, ends=2, begins=-1, ca=None, digest="sha256"):
        """names: a subjectAltName, or None; begins, ends: in days from now; ca: another one (.file, .key) that signs."""
        self.count += 1
        name = name or f"pair{self.count}"
        folder = self.test.tmp
        files = Pair(self.test, folder / f"{name}.pem", folder / f"{name}.key")
        request = folder / f"{name}.csr"
        self.test.run([self.openssl, "req", "-new", *KEYS[key], "-nodes", "-keyout", files.key, "-out", request,
                       "-subj", f"/CN={name}"], check=0)
        extensions = f"subjectAltName={names}\n" * bool(names) + "basicConstraints=CA:FALSE"
        self._sign(request, files.cert, extensions, begins, ends, ca or self, digest)
        files.key.chmod(0o600)
        files.cert.chmod(0o644)
        return files

    def authority(self, name):
        """One that this one signs."""
        pair = self.pair(None, name=name)
        self._sign(self.test.tmp / f"{name}.csr", pair.cert, "basicConstraints=critical,CA:TRUE", -1, 2, self, "sha256")
        pair.file = pair.cert
        return pair

    def _sign(self, request, cert, extensions, begins, ends, ca, digest):
        def day(n):
            when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=n)
            return when.strftime("%Y%m%d%H%M%SZ")

        folder = self.test.tmp / f"{cert.name}.d"
        folder.mkdir(exist_ok=True)
        (folder / "index").write_text("")
        (folder / "conf").write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={folder}/index\nnew_certs_dir={folder}\nrand_serial=yes\n"
            f"default_md={digest}\npolicy=p\nx509_extensions=x\nunique_subject=no\n[p]\ncommonName=supplied\n"
            f"[x]\n{extensions}\n")
        self.test.run([self.openssl, "ca", "-batch", "-notext", "-config", folder / "conf", "-in", request, "-out", cert,
                       "-cert", ca.file, "-keyfile", ca.key, "-startdate", day(begins), "-enddate", day(ends)], check=0)

    def context(self, least=None, most=None, client=None, ciphers=None):
        """A client's context that trusts this authority."""
        context = ssl.create_default_context(cafile=self.file)
        if least:
            context.minimum_version = least
        if most:
            context.maximum_version = most
        if client:
            context.load_cert_chain(client.cert, client.key)
        if ciphers:
            context.set_ciphers(ciphers)
        return context


class TlsClient(Client):
    """context None: it stays in the clear until start_tls(); implicit: TLS from the first octet."""

    def __init__(self, remote, context=None, name="mail.test", implicit=False, session=None, helo="client.test"):
        super().__init__(remote, helo=None)
        self.session = session
        if implicit:
            self.wrap(context, name)
        if helo is not None:
            self.greeting = self.expect(220)
            self.ehlo = self.cmd(f"EHLO {helo}", 250)
            if context and not implicit:
                self.start_tls(context, name)
                self.ehlo = self.cmd(f"EHLO {helo}", 250)

    def wrap(self, context, name):
        self.socket = context.wrap_socket(self.socket, server_hostname=name, suppress_ragged_eofs=False,
                                          session=self.session)

    def start_tls(self, context, name="mail.test"):
        self.cmd("STARTTLS", 220)
        assert self.buffer == b"", f"said in the clear behind 220: {self.buffer!r}"
        self.wrap(context, name)

    def common_name(self):
        return dict(pair[0] for pair in self.socket.getpeercert()["subject"])["commonName"]

    def fingerprint(self):
        return self.socket.getpeercert(True)


def openssl_client(test, port, *options, data="EHLO client.test\r\nQUIT\r\n", starttls=True):
    """openssl s_client; returns what it and the server said, and its exit status."""
    done = test.run([need_program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof", "-crlf",
                     *(["-starttls", "smtp"] if starttls else []), *options], data=data.replace("\r", "").encode())
    return (done.stdout + done.stderr).decode("latin-1"), done.returncode

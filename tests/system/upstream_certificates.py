# SPDX-License-Identifier: ISC
"""Certificates of every kind, good and bad, made by openssl while a test runs."""

import base64
import datetime
import hashlib
import ssl

from harness import need_program

CA_CONFIG = """\
[ca]
default_ca = this
[this]
dir = {dir}
database = $dir/index.txt
serial = $dir/serial
new_certs_dir = $dir
policy = any
email_in_dn = no
unique_subject = no
[any]
commonName = supplied
"""


class Certificate:
    """.cert and .key are PEM files."""

    def __init__(self, test, cert, key):
        self.test, self.cert, self.key = test, cert, key

    @property
    def pin(self):
        """As tls_pin takes it."""
        openssl = need_program("openssl")
        public = self.test.run([openssl, "x509", "-in", self.cert, "-pubkey", "-noout"], check=0).stdout
        der = self.test.run([openssl, "pkey", "-pubin", "-outform", "DER"], check=0, data=public).stdout
        return "sha256//" + base64.b64encode(hashlib.sha256(der).digest()).decode()

    def context(self, most=None, clients=None):
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


def self_signed(test, name="self", alt="IP:127.0.0.1"):
    cert, key = test.tmp / f"{name}.pem", test.tmp / f"{name}.key"
    test.run([need_program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
              "-nodes", "-days", "2", "-keyout", key, "-out", cert, "-subj", f"/CN={name}",
              "-addext", f"subjectAltName={alt}"], check=0)
    return Certificate(test, cert, key)


def issue(authority, name="server", alt="IP:127.0.0.1", start=-1, end=1, key="ec", digest="sha256"):
    """Signed by the authority (smtp_peers.Authority), valid from start to end in days from now."""
    test, openssl = authority.test, authority.openssl
    folder = test.tmp / f"{name}.ca"
    folder.mkdir()
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01\n")
    (folder / "config").write_text(CA_CONFIG.format(dir=folder))
    (folder / "extensions").write_text((f"subjectAltName = {alt}\n" if alt else "") + "basicConstraints = CA:FALSE\n")
    cert, key_file, request = test.tmp / f"{name}.pem", test.tmp / f"{name}.key", folder / "request"
    algorithm = ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"] if key == "ec" else [key]
    test.run([openssl, "req", "-new", "-newkey", *algorithm, "-nodes", "-keyout", key_file, "-out", request,
              "-subj", f"/CN={name}"], check=0)
    now = datetime.datetime.now(datetime.timezone.utc)
    dates = [(now + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%SZ") for days in (start, end)]
    test.run([openssl, "ca", "-batch", "-notext", "-config", folder / "config", "-extfile", folder / "extensions",
              "-cert", authority.file, "-keyfile", authority.key, "-md", digest, "-in", request, "-out", cert,
              "-startdate", dates[0], "-enddate", dates[1]], check=0)
    return Certificate(test, cert, key_file)

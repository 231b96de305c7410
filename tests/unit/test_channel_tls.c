/* SPDX-License-Identifier: ISC */
/*
 * upstream/tls over real sockets: certificates of every kind, pins, client
 * certificates, versions; each failure with a reason that says what to look at.
 */
#include "channel_world.h"
#include "unit.h"

static void required(struct upstream_settings *s)
{
	s->tls = UPSTREAM_TLS_REQUIRED;
}

static void implicit(struct upstream_settings *s)
{
	s->tls = UPSTREAM_TLS_IMPLICIT;
}

/* ---- certificates of servers --------------------------------------------------------- */

START_TEST(every_bad_certificate_is_told)
{
	static const struct {
		enum cert cert;
		const char *text, *more;
	} rows[] = {
		{ CERT_EXPIRED, "certificate has expired", "valid from" },
		{ CERT_NOT_YET, "certificate is not yet valid", "valid from" },
		{ CERT_UNKNOWN_CA, "unable to get local issuer certificate", "issuer CN=another authority" },
		{ CERT_SELF_SIGNED, "self-signed certificate", "subject CN=a server, issuer CN=a server" },
		{ CERT_SMALL_KEY, "EE certificate key too weak", "RSA 1024" },
		{ CERT_SHA1, "CA signature digest algorithm too weak", "" },
		{ CERT_MD5, "CA signature digest algorithm too weak", "" },
		{ CERT_WRONG_NAME, "it is for other.example, not for the host name '127.0.0.1'", "" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct upstream_tls_info info;
		struct client c;
		char step[10];

		snprintf(step, sizeof(step), "tls? %d", rows[i].cert);
		fails(&c, SCRIPT(TRIED, step), required, UPSTREAM_TLS_HANDSHAKE, rows[i].text);
		ck_assert_msg(strstr(c.why.reply.text, rows[i].more), "%s", c.why.reply.text);
		ck_assert(strncmp(c.why.reply.text, "certificate not accepted: ", 26) == 0);
		info = c.tls_at_end;
		ck_assert_uint_ge(info.chain_count, 1); /* for posthouse doctor, though it failed */
		ck_assert_str_eq(info.chain[0].subject, "CN=a server");
		ck_assert_int_eq(info.verified, UPSTREAM_NOT_VERIFIED);
		client_release(&c);
		fails(&c, SCRIPT(step), implicit, UPSTREAM_TLS_HANDSHAKE, rows[i].text);
		client_release(&c);
	}
}
END_TEST

START_TEST(a_session_tells_of_its_tls)
{
	struct client c;
	const struct upstream_certificate *cert = &c.tls.chain[0];
	int64_t hour_us = (int64_t)3600 * 1000000;

	works(&c, SCRIPT("tls 0", SENDS_ONE()), implicit);
	ck_assert_str_eq(c.tls.version, "TLSv1.3");
	ck_assert(strncmp(c.tls.cipher, "TLS_", 4) == 0);
	ck_assert_int_eq(c.tls.verified, UPSTREAM_VERIFIED_CA);
	ck_assert_int_eq(c.features.verified, UPSTREAM_VERIFIED_CA);
	ck_assert_str_eq(c.features.tls_version, "TLSv1.3");
	ck_assert_uint_eq(c.tls.chain_count, 1);
	ck_assert_str_eq(cert->subject, "CN=a server");
	ck_assert_str_eq(cert->issuer, "CN=the authority");
	ck_assert_str_eq(cert->names, "127.0.0.1, localhost");
	ck_assert_str_eq(cert->key, "EC P-256");
	ck_assert_str_eq(cert->signature, "RSA-SHA256");
	ck_assert_uint_eq(strlen(cert->pin), 8 + 44);
	ck_assert_int_eq(cert->not_after_wall_us - cert->not_before_wall_us, 4 * hour_us);
	client_release(&c);

	works(&c, SCRIPT(SENDS_ONE()), NULL);
	ck_assert_str_eq(c.features.tls_version, "");
	ck_assert(!c.has_tls);
	client_release(&c);
}
END_TEST

/* Where nothing is verified nothing is claimed: not even of a certificate that is right. */
static void opportunistic(struct upstream_settings *s)
{
	s->tls = UPSTREAM_TLS_OPPORTUNISTIC;
}

START_TEST(opportunistic_claims_nothing)
{
	static const int certificates[] = { CERT_GOOD, CERT_EXPIRED, CERT_SMALL_KEY, CERT_SHA1 };

	for (size_t i = 0; i < sizeof(certificates) / sizeof(*certificates); i++) {
		char step[20];
		struct client c;

		snprintf(step, sizeof(step), "tls %d %s", certificates[i], i == 1 ? "1.0" : "");
		works(&c, SCRIPT(TRIED, step, "< EHLO", "> 250-me", "> 250-REQUIRETLS", "> 250 PIPELINING", GROUP("a"),
				 TAKEN, "data", "> 250 ok", QUIT),
		      opportunistic);
		ck_assert(c.has_tls && c.features.requiretls);
		ck_assert_int_eq(c.tls.verified, UPSTREAM_NOT_VERIFIED);
		ck_assert_int_eq(c.features.verified, UPSTREAM_NOT_VERIFIED);
		ck_assert_str_eq(c.features.tls_version, i == 1 ? "TLSv1" : "TLSv1.3");
		client_release(&c);
	}
}
END_TEST

/* ---- pins ------------------------------------------------------------------------------- */

static char good_pin[200], wrong_pin[100];

/* The pin as a session tells it: what an operator would copy. */
static void learn_pins(void)
{
	struct client c;

	works(&c, SCRIPT("tls 0", SENDS_ONE()), implicit);
	strcpy(wrong_pin, "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	snprintf(good_pin, sizeof(good_pin), "%s;%s", wrong_pin, c.tls.chain[0].pin);
	client_release(&c);
}

static void with_good_pin(struct upstream_settings *s)
{
	implicit(s);
	s->tls_pin = good_pin;
}

static void with_wrong_pin(struct upstream_settings *s)
{
	implicit(s);
	s->tls_pin = wrong_pin;
}

static void good_pin_alone(struct upstream_settings *s)
{
	with_good_pin(s);
	s->tls_ca_file = NULL;
	s->tls_verify = UPSTREAM_VERIFY_PIN;
}

static void wrong_pin_alone(struct upstream_settings *s)
{
	good_pin_alone(s);
	s->tls_pin = wrong_pin;
}

START_TEST(a_pinned_key_is_wanted)
{
	struct client c;

	learn_pins();
	works(&c, SCRIPT("tls 0", SENDS_ONE()), with_good_pin);
	ck_assert_int_eq(c.tls.verified, UPSTREAM_VERIFIED_CA);
	client_release(&c);
	works(&c, SCRIPT("tls 0", SENDS_ONE()), good_pin_alone);
	ck_assert_int_eq(c.tls.verified, UPSTREAM_VERIFIED_PIN);
	client_release(&c);
	for (int alone = 0; alone < 2; alone++) {
		fails(&c, SCRIPT("tls? 0"), alone ? wrong_pin_alone : with_wrong_pin, UPSTREAM_TLS_HANDSHAKE,
		      "the server's key is not one of tls_pin: it is sha256//");
		ck_assert_msg(strstr(c.why.reply.text, strchr(good_pin, ';') + 1), "%s", c.why.reply.text);
		client_release(&c);
	}
	/* the pin does not make up for the rest */
	fails(&c, SCRIPT("tls? 2"), with_good_pin, UPSTREAM_TLS_HANDSHAKE, "certificate has expired");
	client_release(&c);
}
END_TEST

/* ---- versions ----------------------------------------------------------------------------- */

static void from_1_0(struct upstream_settings *s)
{
	implicit(s);
	s->tls_min_version = UPSTREAM_TLS_MIN_1_0;
}

static void from_1_3(struct upstream_settings *s)
{
	implicit(s);
	s->tls_min_version = UPSTREAM_TLS_MIN_1_3;
}

START_TEST(old_versions_are_refused_or_allowed)
{
	struct client c;

	works(&c, SCRIPT("tls 0 1.2", SENDS_ONE()), implicit);
	ck_assert_str_eq(c.tls.version, "TLSv1.2");
	client_release(&c);
	fails(&c, SCRIPT("tls? 0 1.1"), implicit, UPSTREAM_TLS_HANDSHAKE,
	      "protocol version\" (it speaks no version of TLS that tls_min_version allows");
	client_release(&c);
	fails(&c, SCRIPT("tls? 0 1.2"), from_1_3, UPSTREAM_TLS_HANDSHAKE, "tls_min_version");
	client_release(&c);
	works(&c, SCRIPT("tls 0 1.0", SENDS_ONE()), from_1_0);
	ck_assert_str_eq(c.tls.version, "TLSv1");
	ck_assert_int_eq(c.tls.verified, UPSTREAM_VERIFIED_CA);
	client_release(&c);
	fails(&c, SCRIPT("tls? 2 1.0"), from_1_0, UPSTREAM_TLS_HANDSHAKE, "certificate has expired");
	client_release(&c);
	fails(&c, SCRIPT("> 220 no TLS here", "eof"), implicit, UPSTREAM_TLS_HANDSHAKE, "does not speak TLS here");
	client_release(&c);
}
END_TEST

/* ---- our certificate ----------------------------------------------------------------------- */

static char *client_pem, *client_cert, *client_key, *stranger_pem, *encrypted_key, *other_key;

static void make_pems(void)
{
	client_pem = certs_pem(CERT_CLIENT, true, true, NULL);
	client_cert = certs_pem(CERT_CLIENT, true, false, NULL);
	client_key = certs_pem(CERT_CLIENT, false, true, NULL);
	stranger_pem = certs_pem(CERT_CLIENT_UNKNOWN, true, true, NULL);
	encrypted_key = certs_pem(CERT_CLIENT, false, true, "a phrase");
	other_key = certs_pem(CERT_CLIENT_UNKNOWN, false, true, NULL);
}

static void free_pems(void)
{
	free(client_pem);
	free(client_cert);
	free(client_key);
	free(stranger_pem);
	free(encrypted_key);
	free(other_key);
}

static struct upstream_blob blob(const char *text)
{
	return (struct upstream_blob){ text, text ? strlen(text) : 0 };
}

static void in_one_file(struct upstream_settings *s)
{
	implicit(s);
	s->tls_cert = blob(client_pem);
}

static void in_two_files(struct upstream_settings *s)
{
	implicit(s);
	s->tls_cert = blob(client_cert);
	s->tls_key = blob(client_key);
}

static void of_a_stranger(struct upstream_settings *s)
{
	implicit(s);
	s->tls_cert = blob(stranger_pem);
}

static void external(struct upstream_settings *s)
{
	in_one_file(s);
	s->mechanisms = 1u << UPSTREAM_EXTERNAL;
}

static void external_as(struct upstream_settings *s)
{
	external(s);
	s->user = "relay";
}

START_TEST(a_client_certificate_is_shown)
{
	/* TLS 1.2 refuses inside the handshake, 1.3 behind it */
	static const char *const versions[] = { "1.2", "1.3" };
	struct client c;
	char yes[30], no[30];

	for (size_t i = 0; i < 2; i++) {
		snprintf(yes, sizeof(yes), "tls 0 %s client", versions[i]);
		snprintf(no, sizeof(no), "tls? 0 %s client", versions[i]);
		works(&c, SCRIPT(yes, SENDS_ONE()), in_one_file);
		client_release(&c);
		works(&c, SCRIPT(yes, SENDS_ONE()), in_two_files);
		client_release(&c);
		fails(&c, SCRIPT(no), implicit, UPSTREAM_TLS_HANDSHAKE, "(it wants a client certificate: tls_cert)");
		client_release(&c);
		fails(&c, SCRIPT(no), of_a_stranger, UPSTREAM_TLS_HANDSHAKE,
		      "alert \"unknown CA\" (it was shown the client certificate of tls_cert)");
		client_release(&c);
	}
}
END_TEST

START_TEST(external_logs_in_with_it)
{
	struct client c;

	works(&c, SCRIPT("tls 0 client", "> 220 hi", "< EHLO", "> 250-me", "> 250-AUTH PLAIN EXTERNAL",
			 "> 250 PIPELINING", "< AUTH EXTERNAL =", "> 235 in", GROUP("a"), TAKEN, "data", "> 250 ok",
			 QUIT),
	      external);
	client_release(&c);
	works(&c, SCRIPT("tls 0 client", "> 220 hi", "< EHLO", "> 250-me", "> 250-AUTH PLAIN EXTERNAL",
			 "> 250 PIPELINING", "< AUTH EXTERNAL cmVsYXk=", "> 235 in", GROUP("a"), TAKEN, "data",
			 "> 250 ok", QUIT),
	      external_as);
	client_release(&c);
	fails(&c, SCRIPT("tls 0 client", "> 220 hi", "< EHLO", "> 250-me", "> 250 AUTH PLAIN", "eof"), external,
	      UPSTREAM_AUTH, "no AUTH mechanism in common: the server offers PLAIN; we may use EXTERNAL");
	client_release(&c);
	fails(&c, SCRIPT("tls 0 client", "> 220 hi", "< EHLO", "> 250 me", "eof"), external, UPSTREAM_AUTH,
	      "the server offers no AUTH");
	client_release(&c);
}
END_TEST

START_TEST(half_a_pair_is_noticed_at_the_start)
{
	const struct {
		const char *cert, *key, *text; /* NULL: well */
	} rows[] = {
		{ client_pem, NULL, NULL },
		{ client_cert, client_key, NULL },
		{ client_cert, NULL, "tls_cert: there is no private key (PEM) in it, and no tls_key" },
		{ client_key, client_key, "tls_cert: there is no certificate (PEM) in it" },
		{ "x", client_key, "tls_cert: there is no certificate (PEM) in it" },
		{ client_cert, "-----BEGIN PRIVATE KEY-----\nx", "tls_key: there is no private key (PEM) in it" },
		{ client_cert, other_key, "tls_key: the private key does not belong to the certificate" },
		{ client_cert, encrypted_key, "tls_key: the private key is encrypted" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct upstream_settings s = { .tls = UPSTREAM_TLS_REQUIRED, .tls_cert = blob(rows[i].cert),
					       .tls_key = blob(rows[i].key) };
		struct err e = { 0, "" };

		ck_assert_int_eq(upstream_settings_check(&s, &e), rows[i].text ? -1 : 0);
		ck_assert_msg(!rows[i].text || strstr(e.text, rows[i].text), "%s", e.text);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("channel_tls");
	int status;

	certs_open();
	make_pems();
	UNIT_CASE(s, every_bad_certificate_is_told, a_session_tells_of_its_tls, opportunistic_claims_nothing,
		  a_pinned_key_is_wanted, old_versions_are_refused_or_allowed, a_client_certificate_is_shown,
		  external_logs_in_with_it, half_a_pair_is_noticed_at_the_start);
	status = unit_run(s);
	free_pems();
	certs_close();
	return status;
}

/* SPDX-License-Identifier: ISC */
/*
 * TLS over a client's socket. Runs in a worker.
 *
 * OpenSSL reads and writes through a BIO of ours, which waits like the stream
 * in the clear does (deadline, stop) and notes why it gave up. So nothing a
 * client does keeps us inside of OpenSSL: each octet comes by the deadline.
 */
#include "listener/stream_internal.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "keys/client.h"
#include "listener/tls_internal.h"
#include "listener/tls_names.h"

/*
 * A handshake is a few packets each way: who needs longer is broken or holds us up. The deadline for a command
 * (minutes, RFC 5321) is meant for people and queues.
 */
#define HANDSHAKE_MS 60000
/* A ClientHello and a chain of certificates at OpenSSL's own limits, 128 and 100 KiB. */
#define HANDSHAKE_BYTES_MAX (256 << 10)

struct stream_tls {
	struct stream *stream;
	SSL *ssl;
	bool established;
	bool broken; /* neither to be read nor written any more */
	/* of the call under way, for the BIO */
	int64_t deadline_mono_ms;
	bool stoppable;
	enum io_result result; /* why the BIO gave up; IO_OK: it did not */
	size_t received; /* until it is established */

	/* OpenSSL asks for the head of a record, then for its body: small ones are read at once. */
	unsigned char ahead[2048];
	size_t ahead_start, ahead_end;

	struct session_tls info;
	char fingerprint[2 * EVP_MAX_MD_SIZE + 1];
	char server_name[TLS_NAME_MAX + 1];
	struct tls_names names;
};

/* ---- the BIO ------------------------------------------------------------------------- */

static int give_up(BIO *bio, struct stream_tls *t, enum io_result result)
{
	t->result = result;
	switch (result) {
	case IO_TIMEOUT:
	case IO_STOP:
	case IO_SHED:
		BIO_set_retry_read(bio); /* the state stays good for our last words */
		return -1;
	case IO_EOF:
		return 0;
	case IO_OK:
	case IO_ERROR:
		break;
	}
	return -1;
}

static int bio_read(BIO *bio, char *data, int cap)
{
	struct stream_tls *t = BIO_get_data(bio);
	bool small = (size_t)cap < sizeof(t->ahead);
	enum io_result r;
	size_t n = 0;

	BIO_clear_retry_flags(bio);
	if (t->ahead_start == t->ahead_end) {
		if (!t->established && t->received > HANDSHAKE_BYTES_MAX)
			return give_up(bio, t, IO_ERROR);
		r = stream_receive(t->stream, small ? (char *)t->ahead : data,
				   small ? sizeof(t->ahead) : (size_t)cap, t->deadline_mono_ms, t->stoppable,
				   &n);
		if (r != IO_OK)
			return give_up(bio, t, r);
		t->received += n;
		if (!small)
			return (int)n;
		t->ahead_start = 0;
		t->ahead_end = n;
	}
	n = t->ahead_end - t->ahead_start;
	if (n > (size_t)cap)
		n = (size_t)cap;
	memcpy(data, t->ahead + t->ahead_start, n);
	t->ahead_start += n;
	return (int)n;
}

/* All of it or nothing more: what went out of a record that is cut short is nobody's to know. */
static int bio_write(BIO *bio, const char *data, int len)
{
	struct stream_tls *t = BIO_get_data(bio);
	enum io_result r;

	BIO_clear_retry_flags(bio);
	if (t->broken)
		return -1;
	r = stream_send(t->stream, data, (size_t)len, t->deadline_mono_ms);
	if (r == IO_OK)
		return len;
	t->result = r;
	t->broken = true;
	return -1;
}

static long bio_ctrl(BIO *bio, int what, long number, void *pointer)
{
	const struct stream_tls *t = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	if (what == BIO_CTRL_EOF)
		return t->result == IO_EOF;
	return what == BIO_CTRL_FLUSH;
}

static BIO *bio_new(struct stream_tls *t)
{
	static BIO_METHOD *method; /* one for the life of the process */
	BIO *bio;

	if (!method) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
		BIO_meth_set_read(method, bio_read);
		BIO_meth_set_write(method, bio_write);
		BIO_meth_set_ctrl(method, bio_ctrl);
	}
	bio = BIO_new(method);
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	return bio;
}

static void prepare(struct stream_tls *t, int64_t deadline_mono_ms, bool stoppable)
{
	t->deadline_mono_ms = deadline_mono_ms;
	t->stoppable = stoppable;
	t->result = IO_OK;
	ERR_clear_error();
}

/*
 * What the failure of a call means; IO_OK: nothing, it is to be made again. The deadline is asked for here as
 * well: records without content, of which there may be plenty, never wait for anything.
 */
static enum io_result judge(struct stream_tls *t, int returned)
{
	switch (SSL_get_error(t->ssl, returned)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		if (t->result != IO_OK)
			return t->result;
		if (t->stoppable && stream_must_stop(t->stream))
			return IO_STOP;
		return clock_mono_ms() >= t->deadline_mono_ms ? IO_TIMEOUT : IO_OK;
	case SSL_ERROR_ZERO_RETURN:
		return IO_EOF; /* close_notify */
	default:
		t->broken = true;
		/* an end without close_notify is cut off, by whomever (RFC 8446 6.1) */
		return t->result == IO_TIMEOUT ? IO_TIMEOUT : IO_ERROR;
	}
}

/* ---- what there is to say of it --------------------------------------------------------- */

/* RFC 9266 from TLS 1.3 on. Before, the first Finished is unique only with RFC 7627. */
static void take_binding(struct stream_tls *t)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	struct session_tls *info = &t->info;

	if (SSL_version(t->ssl) >= TLS1_3_VERSION) {
		if (SSL_export_keying_material(t->ssl, info->binding, 32, label, sizeof(label) - 1, NULL, 0,
					       1) != 1)
			return;
		info->binding_type = "tls-exporter";
		info->binding_len = 32;
	} else if (SSL_get_extms_support(t->ssl) == 1) {
		/* the client's comes first, but for a resumed session */
		info->binding_len =
			info->resumed ? SSL_get_finished(t->ssl, info->binding, sizeof(info->binding))
				      : SSL_get_peer_finished(t->ssl, info->binding, sizeof(info->binding));
		if (info->binding_len > sizeof(info->binding))
			info->binding_len = 0;
		info->binding_type = info->binding_len > 0 ? "tls-unique" : NULL;
	}
}

static void take_client(struct stream_tls *t)
{
	X509 *cert = SSL_get0_peer_certificate(t->ssl);
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (!cert || X509_digest(cert, EVP_sha256(), digest, &len) != 1)
		return;
	for (unsigned i = 0; i < len; i++) {
		t->fingerprint[2 * i] = "0123456789abcdef"[digest[i] >> 4];
		t->fingerprint[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
	}
	t->info.fingerprint = t->fingerprint;
	if (!t->stream->server->has_client_ca || SSL_get_verify_result(t->ssl) != X509_V_OK)
		return;
	tls_names_of(cert, true, &t->names);
	t->info.verified = true;
	t->info.names = (const char *const *)t->names.name;
	t->info.name_count = t->names.count;
}

static void take_info(struct stream_tls *t)
{
	const char *asked = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);

	t->info.version = SSL_get_version(t->ssl);
	t->info.cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(t->ssl));
	t->info.resumed = SSL_session_reused(t->ssl);
	if (asked && tls_host_name(asked, t->server_name))
		t->info.server_name = t->server_name;
	take_binding(t);
	take_client(t);
}

/* ---- for stream.c -------------------------------------------------------------------------- */

static enum io_result shake_hands(struct stream_tls *t)
{
	enum io_result r;
	int n;

	keys_client_forget_trouble();
	do {
		ERR_clear_error();
		n = SSL_do_handshake(t->ssl);
		if (n == 1)
			return IO_OK;
		r = judge(t, n);
	} while (r == IO_OK);
	return r;
}

static void explain(const struct stream_tls *t, enum io_result r, struct err *e)
{
	switch (r) {
	case IO_TIMEOUT:
		err_set(e, "the handshake took too long");
		return;
	case IO_STOP:
		err_set(e, "the service is stopping");
		return;
	case IO_SHED:
		err_set(e, "the handshake took too long for a busy server");
		return;
	case IO_OK:
	case IO_EOF:
	case IO_ERROR:
		break;
	}
	if (t->result == IO_EOF || r == IO_EOF)
		err_set(e, t->received > 0 ? "the client hung up in the handshake" : "the client hung up");
	else if (t->received > HANDSHAKE_BYTES_MAX)
		err_set(e, "the client's part of the handshake is too large");
	else if (t->result == IO_ERROR)
		err_set(e, "the connection broke");
	else if (keys_client_trouble()) /* OpenSSL only knows that something went wrong inside */
		err_set(e, "%s", keys_client_trouble());
	else
		tls_reason(t->ssl, e);
}

enum io_result stream_tls_start(struct stream *s, int64_t deadline_mono_ms, struct err *e)
{
	struct stream_tls *t = mem_alloc(sizeof(*t));
	int64_t latest = clock_mono_ms() + HANDSHAKE_MS;
	enum io_result r;
	BIO *bio;

	s->tls = t;
	t->stream = s;
	t->ssl = SSL_new(s->server->ctx);
	if (!t->ssl) {
		t->broken = true;
		err_set(e, "OpenSSL cannot begin a handshake");
		return IO_ERROR;
	}
	bio = bio_new(t);
	SSL_set_bio(t->ssl, bio, bio);
	SSL_set_accept_state(t->ssl);
	prepare(t, latest < deadline_mono_ms ? latest : deadline_mono_ms, true);
	r = shake_hands(t);
	if (r != IO_OK) {
		t->broken = true;
		explain(t, r, e);
		ERR_clear_error();
		return t->result == IO_EOF && t->received == 0 ? IO_EOF : r;
	}
	t->established = true;
	take_info(t);
	return IO_OK;
}

enum io_result stream_tls_read(struct stream_tls *t, void *data, size_t cap, int64_t deadline_mono_ms,
			       size_t *got)
{
	enum io_result r = IO_ERROR;

	if (t->broken)
		return IO_ERROR;
	do {
		/* also while OpenSSL has something left: who never lacks data must not outlive the service */
		if (stream_must_stop(t->stream))
			return IO_STOP;
		prepare(t, deadline_mono_ms, true);
		if (SSL_read_ex(t->ssl, data, cap, got))
			return IO_OK;
		r = judge(t, 0);
	} while (r == IO_OK);
	return r;
}

enum io_result stream_tls_write(struct stream_tls *t, const void *data, size_t len, int64_t deadline_mono_ms)
{
	enum io_result r;
	size_t written;

	if (t->broken)
		return IO_ERROR;
	if (len == 0)
		return IO_OK;
	do {
		prepare(t, deadline_mono_ms, false);
		if (SSL_write_ex(t->ssl, data, len, &written))
			return IO_OK; /* without partial writes it is all of it */
		r = judge(t, 0);
	} while (r == IO_OK);
	t->broken = true;
	return r;
}

const struct session_tls *stream_tls_info(const struct stream_tls *t)
{
	return t->established ? &t->info : NULL;
}

void stream_tls_end(struct stream_tls *t)
{
	if (t->established && !t->broken) {
		prepare(t, clock_mono_ms(), false); /* if there is no room for it now, so be it */
		SSL_shutdown(t->ssl);
	}
	ERR_clear_error();
	SSL_free(t->ssl);
	tls_names_release(&t->names);
	OPENSSL_cleanse(t->info.binding, sizeof(t->info.binding));
	free(t);
}

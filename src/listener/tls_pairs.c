/* SPDX-License-Identifier: ISC */
/* See tls_pairs.h. */
#include "listener/tls_pairs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/descriptors.h"
#include "base/file.h"
#include "keys/provider.h"
#include "keys/vault.h"
#include "listener/tls_internal.h"

/* Certificates of a listener's pairs, by position, each with its chain. */
struct listener_certs {
	STACK_OF(X509) * *pair; /* owned */
	size_t count;
	uint32_t first_key; /* number in the vault of the first pair's; the others follow */
};

struct tls_pairs {
	struct listener_certs *listener; /* by index of the settings; owned */
	size_t count;
	int vault_fd;
};

/* ---- in the child -------------------------------------------------------------------- */

/* Key exchange by RSA and old digests are for the profile that has them (tls.c). */
static unsigned may_of(enum tls_profile profile)
{
	switch (profile) {
	case TLS_PROFILE_MODERN:
		return 0;
	case TLS_PROFILE_INTERMEDIATE:
		return VAULT_MAY_EXCHANGE;
	case TLS_PROFILE_LEGACY:
		break;
	}
	return VAULT_MAY_EXCHANGE | VAULT_MAY_OLD | VAULT_MAY_DECRYPT;
}

static int write_number(int fd, uint32_t number)
{
	return file_write_all(fd, &number, sizeof(number));
}

static int write_certificate(int fd, const X509 *cert)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der), result = -1;

	if (len > 0 && write_number(fd, (uint32_t)len) == 0)
		result = file_write_all(fd, der, (size_t)len);
	OPENSSL_free(der);
	return result;
}

static int write_certificates(int fd, const struct tls_pair *pair, struct err *e)
{
	int count = sk_X509_num(pair->chain);
	int result = write_number(fd, (uint32_t)count + 1);

	if (result == 0)
		result = write_certificate(fd, pair->cert);
	for (int i = 0; i < count && result == 0; i++)
		result = write_certificate(fd, sk_X509_value(pair->chain, i));
	if (result < 0)
		err_set(e, "%s: the certificates cannot be passed on", pair->file);
	return result;
}

static int pass_pairs(const struct tls_settings *s, int fd, int vault_fd, struct err *e)
{
	for (size_t i = 0; i < s->cert_count; i++) {
		struct tls_pair pair;
		int result = tls_pair_load(&pair, s->cert[i], s->key_count ? s->key[i] : NULL, s->in_date, e);

		if (result == 0) {
			result = vault_put(vault_fd, pair.key, may_of(s->profile), e);
			if (result == 0)
				result = write_certificates(fd, &pair, e);
			tls_pair_release(&pair);
		}
		if (result < 0) {
			err_prefix(e, "listener \"%s\"", s->listener);
			return -1;
		}
	}
	return 0;
}

/* What is said: certificates, and at the end of a failure its reason, for which the exit status stands. */
static _Noreturn void read_in_child(const struct tls_settings *settings, size_t count, int fd, int vault_fd)
{
	struct err e;
	int result = 0;

	for (size_t i = 0; i < count && result == 0; i++)
		result = pass_pairs(&settings[i], fd, vault_fd, &e);
	if (result < 0)
		(void)file_write_all(fd, e.text, sizeof(e.text));
	_exit(result < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* ---- in the master ----------------------------------------------------------------------- */

struct cursor {
	const unsigned char *at, *end;
};

static bool read_number(struct cursor *c, uint32_t *number)
{
	if ((size_t)(c->end - c->at) < sizeof(*number))
		return false;
	memcpy(number, c->at, sizeof(*number));
	c->at += sizeof(*number);
	return true;
}

static X509 *read_certificate(struct cursor *c)
{
	const unsigned char *der;
	uint32_t len;
	X509 *cert;

	if (!read_number(c, &len) || len > (size_t)(c->end - c->at))
		return NULL;
	der = c->at;
	cert = d2i_X509(NULL, &der, (long)len);
	c->at += len;
	return cert;
}

static STACK_OF(X509) * read_certificates(struct cursor *c)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	uint32_t count;
	X509 *cert;

	if (!read_number(c, &count))
		count = 0;
	for (uint32_t i = 0; i < count && (cert = read_certificate(c)); i++)
		sk_X509_push(certs, cert);
	if (count > 0 && (uint32_t)sk_X509_num(certs) == count)
		return certs;
	sk_X509_pop_free(certs, X509_free);
	return NULL;
}

static int take_certificates(struct tls_pairs *pairs, const struct tls_settings *settings, struct cursor *c)
{
	uint32_t number = 0;

	for (size_t i = 0; i < pairs->count; i++) {
		struct listener_certs *l = &pairs->listener[i];

		l->pair = mem_array(settings[i].cert_count, sizeof(*l->pair));
		l->first_key = number;
		for (; l->count < settings[i].cert_count; l->count++, number++) {
			l->pair[l->count] = read_certificates(c);
			if (!l->pair[l->count])
				return -1;
		}
	}
	return 0;
}

/* The words of a failure stand at the end, whatever came before. */
static void take_reason(const unsigned char *data, size_t len, int status, struct err *e)
{
	if (WIFEXITED(status) && len >= sizeof(e->text)) {
		char text[sizeof(e->text)];

		memcpy(text, data + len - sizeof(text), sizeof(text));
		text[sizeof(text) - 1] = '\0';
		err_set(e, "%s", text);
	} else {
		err_set(e, "the process that reads certificates and keys ended before it was done");
	}
}

/* What the child says, until it ends. */
static int hear(struct tls_pairs *pairs, const struct tls_settings *settings, int fd, pid_t pid,
		struct err *e)
{
	unsigned char *data = mem_alloc(VAULT_BYTES_MAX);
	struct cursor c = { data, data };
	size_t len = 0;
	int status = -1, result = -1, error = 0;

	if (file_read_all(fd, data, VAULT_BYTES_MAX, &len) < 0)
		error = errno;
	close(fd); /* more than that, and it dies of it */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	c.end = data + len;
	if (error != 0)
		err_set_os(e, error, "cannot hear the process that reads certificates and keys");
	else if (status != 0)
		take_reason(data, len, status, e);
	else if (take_certificates(pairs, settings, &c) < 0)
		err_set(e, "the process that reads certificates and keys is not to be understood");
	else
		result = vault_seal(pairs->vault_fd, e);
	free(data);
	return result;
}

static int read_apart(struct tls_pairs *pairs, const struct tls_settings *settings, struct err *e)
{
	int fd[2];
	pid_t pid;

	pairs->vault_fd = vault_new(e);
	if (pairs->vault_fd < 0)
		return -1;
	if (pipe2(fd, O_CLOEXEC) < 0) {
		err_set_os(e, errno, "cannot make a pipe");
		return -1;
	}
	pid = fork();
	if (pid == 0) {
		close(fd[0]);
		read_in_child(settings, pairs->count, fd[1], pairs->vault_fd);
	}
	close(fd[1]);
	if (pid > 0)
		return hear(pairs, settings, fd[0], pid, e);
	err_set_os(e, errno, "cannot start a process that reads certificates and keys");
	close(fd[0]);
	return -1;
}

struct tls_pairs *tls_pairs_read(const struct tls_settings *settings, size_t count, struct err *e)
{
	struct tls_pairs *pairs = mem_alloc(sizeof(*pairs));

	pairs->count = count;
	pairs->vault_fd = -1;
	pairs->listener = mem_array(count, sizeof(*pairs->listener));
	if (read_apart(pairs, settings, e) == 0)
		return pairs;
	tls_pairs_free(pairs);
	return NULL;
}

void tls_pairs_free(struct tls_pairs *pairs)
{
	if (!pairs)
		return;
	for (size_t i = 0; i < pairs->count; i++) {
		for (size_t k = 0; k < pairs->listener[i].count; k++)
			sk_X509_pop_free(pairs->listener[i].pair[k], X509_free);
		free(pairs->listener[i].pair);
	}
	free(pairs->listener);
	tls_pairs_close_vault(pairs);
	free(pairs);
}

int tls_pairs_vault(const struct tls_pairs *pairs)
{
	return pairs->vault_fd;
}

void tls_pairs_close_vault(struct tls_pairs *pairs)
{
	descriptors_close(&pairs->vault_fd);
}

/* ---- for tls.c ----------------------------------------------------------------------------------- */

int tls_pairs_get(const struct tls_pairs *pairs, size_t index, size_t position, const char *cert_file,
		  struct tls_pair *pair, struct err *e)
{
	const struct listener_certs *l = &pairs->listener[index];
	EVP_PKEY *key = keys_provider_key(X509_get0_pubkey(sk_X509_value(l->pair[position], 0)),
					  l->first_key + (uint32_t)position, e);

	if (!key) {
		err_prefix(e, "%s", cert_file);
		return -1;
	}
	tls_pair_take(pair, cert_file, X509_chain_up_ref(l->pair[position]), key);
	return 0;
}

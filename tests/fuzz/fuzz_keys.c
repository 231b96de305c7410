/* SPDX-License-Identifier: ISC */
/*
 * What a worker sends to the key process. Promise: whatever it is, there is an answer of the right form; nothing is
 * signed but what a TLS server signs, nothing is decrypted with a key that is not for it, and what was cut or has
 * something behind it is refused.
 */
#include <openssl/ec.h>
#include <stddef.h>
#include <string.h>

#include "fuzz.h"
#include "keys/statement.h"
#include "keys/use.h"

static struct vault_key keys[2];
static const struct vault vault = { keys, 2 };

static void make_keys(void)
{
	if (keys[0].key)
		return;
	keys[0] = (struct vault_key){ EVP_EC_gen("P-256"), VAULT_MAY_EXCHANGE };
	keys[1] = (struct vault_key){ EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), 0 };
}

static void check(const struct keys_request *r, size_t len, const struct keys_answer *a)
{
	ASSERT(a->version == KEYS_VERSION && a->len <= KEYS_ANSWER_MAX);
	ASSERT(a->result == KEYS_REFUSED || a->result == KEYS_DONE || a->result == KEYS_FAILED);
	ASSERT((a->result == KEYS_DONE) == (a->len > 0));
	if (a->result == KEYS_REFUSED)
		return;
	ASSERT(len == offsetof(struct keys_request, data) + r->len);
	ASSERT(r->scheme == (r->key == 0 ? KEYS_ECDSA : KEYS_EDDSA));
	ASSERT(keys_statement_of(r->data, r->len) == KEYS_STATEMENT_VERIFY ||
	       (r->key == 0 && keys_statement_of(r->data, r->len) == KEYS_STATEMENT_EXCHANGE));
	ASSERT(r->len + 1 > KEYS_DATA_MAX || keys_statement_of(r->data, r->len + 1) == KEYS_STATEMENT_NONE);
	ASSERT(keys_statement_of(r->data, r->len - 1) == KEYS_STATEMENT_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keys_request request = { 0 };
	struct keys_answer answer;

	make_keys();
	if (size > sizeof(request))
		size = sizeof(request);
	memcpy(&request, data, size);
	keys_use(&vault, &request, size, &answer);
	check(&request, size, &answer);
	/* the same as a request whose frame is right, so that more gets to what is inside */
	request.version = KEYS_VERSION;
	request.key &= 1;
	request.scheme = request.key == 0 ? KEYS_ECDSA : KEYS_EDDSA;
	request.digest = request.key == 0 ? KEYS_SHA256 : KEYS_NO_DIGEST;
	if (size < offsetof(struct keys_request, data))
		return 0;
	request.len = (uint32_t)(size - offsetof(struct keys_request, data));
	keys_use(&vault, &request, size, &answer);
	check(&request, size, &answer);
	return 0;
}

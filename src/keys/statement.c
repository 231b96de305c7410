/* SPDX-License-Identifier: ISC */
/* See statement.h. Pure; in the key process. */
#include "keys/statement.h"

#include <string.h>

#define RANDOMS 64 /* of client and server, 32 octets each */

/* RFC 8446 4.4.3: 64 blanks, the context, a NUL, the transcript's hash: SHA-256 or SHA-384 */
static bool is_verify(const unsigned char *data, size_t len)
{
	static const char context[] = "TLS 1.3, server CertificateVerify";
	const size_t head = 64 + sizeof(context); /* with the NUL */

	if (len != head + 32 && len != head + 48)
		return false;
	for (size_t i = 0; i < 64; i++)
		if (data[i] != ' ')
			return false;
	return memcmp(data + 64, context, sizeof(context)) == 0;
}

/* Of TLS 1.2 and before; what is in this place of anything else is hardly one of these, with nothing behind it. */
static const struct {
	unsigned char number, octets; /* of a point */
	bool is_plain; /* else its first octet says that it is not compressed (RFC 8422 5.4.1) */
} curves[] = {
	{ 23, 65, false }, { 24, 97, false }, { 25, 133, false }, /* secp256r1, secp384r1, secp521r1 */
	{ 26, 65, false }, { 27, 97, false }, { 28, 129, false }, /* brainpool (RFC 7027) */
	{ 29, 32, true },  { 30, 56, true }, /* x25519, x448 */
};

/* RFC 8422 5.4: curve_type named_curve(3), the curve, a point of its own length. */
static bool is_ecdhe(const unsigned char *data, size_t len)
{
	if (len < 5 || data[0] != 3 || data[1] != 0 || len != 4 + (size_t)data[3])
		return false;
	for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++)
		if (data[2] == curves[i].number)
			return data[3] == curves[i].octets && (curves[i].is_plain || data[4] == 4);
	return false;
}

/* A number with its length in two octets in front; returns what is behind it, NULL: it is cut. */
static const unsigned char *number(const unsigned char *at, const unsigned char *end, size_t *len)
{
	if (end - at < 2)
		return NULL;
	*len = (size_t)at[0] << 8 | at[1];
	at += 2;
	return (size_t)(end - at) < *len ? NULL : at + *len;
}

/* RFC 5246 7.4.3: the prime, the generator (2 in all groups in use), the server's public value. */
static bool is_dhe(const unsigned char *data, size_t len)
{
	const unsigned char *end = data + len;
	size_t prime = 0, generator = 0, value = 0;
	const unsigned char *at = number(data, end, &prime), *two;

	at = at ? number(at, end, &generator) : NULL;
	two = at && generator == 1 ? at - 1 : NULL;
	at = at ? number(at, end, &value) : NULL;
	return at == end && prime >= 128 && prime % 8 == 0 && data[2] & 0x80 && two && *two == 2 &&
	       value > 0 && value <= prime;
}

enum keys_statement keys_statement_of(const unsigned char *data, size_t len)
{
	if (is_verify(data, len))
		return KEYS_STATEMENT_VERIFY;
	if (len > RANDOMS &&
	    (is_ecdhe(data + RANDOMS, len - RANDOMS) || is_dhe(data + RANDOMS, len - RANDOMS)))
		return KEYS_STATEMENT_EXCHANGE;
	return KEYS_STATEMENT_NONE;
}

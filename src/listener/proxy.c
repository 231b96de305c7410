/* SPDX-License-Identifier: ISC */
/* See proxy.h. Runs in a worker. */
#include "listener/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "listener/stream.h"

static const unsigned char signature[12] = "\r\n\r\n\0\r\nQUIT\n"; /* 2.2 */

#define V2_FIXED 16 /* signature, version and command, family, length */

enum { V2_LOCAL = 0x20, V2_PROXY = 0x21 };
enum { V2_UNSPEC = 0x00, V2_TCP4 = 0x11, V2_TCP6 = 0x21, V2_UNIX = 0x31 };
enum { V2_TCP4_BYTES = 12, V2_TCP6_BYTES = 36 };

static int malformed(struct err *e, const char *why)
{
	err_set(e, "no PROXY header: %s; is this peer a proxy, and configured to send one?", why);
	return -1;
}

static size_t v2_length(const unsigned char *data)
{
	return V2_FIXED + ((size_t)data[14] << 8 | data[15]);
}

static int v2_wants(const unsigned char *data, size_t len, struct err *e)
{
	if (len < V2_FIXED)
		return (int)(V2_FIXED - len);
	if (v2_length(data) > PROXY_HEADER_MAX)
		return malformed(e, "it is too long");
	return (int)(v2_length(data) - len);
}

/* Its end is not told in advance: octet by octet, so that none of what follows is taken. */
static int v1_wants(const unsigned char *data, size_t len, struct err *e)
{
	if (memcmp(data, "PROXY ", 6) != 0)
		return malformed(e, "the first octets are of neither version");
	if (data[len - 1] == '\n')
		return data[len - 2] == '\r' ? 0 : malformed(e, "its line does not end with CRLF");
	return len < PROXY_V1_MAX ? 1 : malformed(e, "it is too long");
}

int proxy_wants(const unsigned char *data, size_t len, struct err *e)
{
	if (len < sizeof(signature))
		return (int)(sizeof(signature) - len);
	return memcmp(data, signature, sizeof(signature)) == 0 ? v2_wants(data, len, e)
							       : v1_wants(data, len, e);
}

/* ---- what it says ------------------------------------------------------------------ */

static void set_client(struct sockaddr_storage *client, int family, const void *address, uint16_t port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)client;
	struct sockaddr_in *in = (struct sockaddr_in *)client;

	memset(client, 0, sizeof(*client));
	if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)address)) {
		family = AF_INET;
		address = (const unsigned char *)address + 12;
	}
	client->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		memcpy(&in->sin_addr, address, sizeof(in->sin_addr));
		in->sin_port = htons(port);
	} else {
		memcpy(&in6->sin6_addr, address, sizeof(in6->sin6_addr));
		in6->sin6_port = htons(port);
	}
}

static int v2_parse(const unsigned char *data, size_t len, enum proxy_said *said,
		    struct sockaddr_storage *client, struct err *e)
{
	const unsigned char *addresses = data + V2_FIXED;
	size_t room = len - V2_FIXED;

	*said = PROXY_ITSELF;
	if (data[12] == V2_LOCAL)
		return 0;
	if (data[12] != V2_PROXY)
		return malformed(e, "its version or command is unknown");
	switch (data[13]) {
	case V2_UNSPEC:
	case V2_UNIX:
		return 0;
	case V2_TCP4:
		if (room < V2_TCP4_BYTES)
			return malformed(e, "it is too short for its addresses");
		set_client(client, AF_INET, addresses, (uint16_t)(addresses[8] << 8 | addresses[9]));
		break;
	case V2_TCP6:
		if (room < V2_TCP6_BYTES)
			return malformed(e, "it is too short for its addresses");
		set_client(client, AF_INET6, addresses, (uint16_t)(addresses[32] << 8 | addresses[33]));
		break;
	default:
		return malformed(e, "the connection it tells of is not TCP");
	}
	*said = PROXY_CLIENT;
	return 0;
}

static bool parse_port(const char *text, uint64_t *port)
{
	return num_parse_u64(text, strlen(text), 65535, port);
}

/* "PROXY TCP4 192.0.2.1 192.0.2.2 4711 25": one blank between, nothing else (2.1) */
static int v1_parse(const unsigned char *data, size_t len, enum proxy_said *said,
		    struct sockaddr_storage *client, struct err *e)
{
	char line[PROXY_V1_MAX + 1], *word[5], *save = NULL;
	unsigned char address[16], other[16];
	uint64_t port, other_port;
	size_t words = 0;
	int family;

	if (memchr(data, '\0', len))
		return malformed(e, "it has a NUL");
	memcpy(line, data, len - 2);
	line[len - 2] = '\0';
	*said = PROXY_ITSELF;
	/* what stands behind UNKNOWN must be ignored */
	if (strcmp(line + 6, "UNKNOWN") == 0 || strncmp(line + 6, "UNKNOWN ", 8) == 0)
		return 0;
	if (strstr(line, "  "))
		return malformed(e, "its fields are not separated by one blank");
	for (char *w = strtok_r(line + 6, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (words == 5)
			return malformed(e, "it has too many fields");
		word[words++] = w;
	}
	if (words != 5 || (strcmp(word[0], "TCP4") != 0 && strcmp(word[0], "TCP6") != 0))
		return malformed(e, "its line is not \"PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT\"");
	family = word[0][3] == '4' ? AF_INET : AF_INET6;
	if (inet_pton(family, word[1], address) != 1 || inet_pton(family, word[2], other) != 1 ||
	    !parse_port(word[3], &port) || !parse_port(word[4], &other_port))
		return malformed(e, "an address or port in it is none");
	set_client(client, family, address, (uint16_t)port);
	*said = PROXY_CLIENT;
	return 0;
}

int proxy_parse(const unsigned char *data, size_t len, enum proxy_said *said, struct sockaddr_storage *client,
		struct err *e)
{
	int wants = proxy_wants(data, len, e);

	if (wants != 0)
		return wants < 0 ? -1 : malformed(e, "it is incomplete");
	return data[0] == signature[0] ? v2_parse(data, len, said, client, e)
				       : v1_parse(data, len, said, client, e);
}

/* ---- from the connection ------------------------------------------------------------- */

static enum io_result failed(enum io_result result, size_t len, struct err *e)
{
	switch (result) {
	case IO_OK:
		break;
	case IO_TIMEOUT:
		err_set(e, "no PROXY header in time (%zu octets came)", len);
		break;
	case IO_EOF:
		err_set(e, "the connection was closed before the end of a PROXY header");
		break;
	case IO_ERROR:
		err_set(e, "the connection broke before the end of a PROXY header");
		break;
	case IO_STOP:
		err_set(e, "the service stops");
		break;
	case IO_SHED:
		err_set(e, "no PROXY header yet, and others wait for a worker");
		break;
	}
	return result;
}

enum io_result proxy_read(int fd, struct control *control, int64_t deadline_mono_ms, enum proxy_said *said,
			  struct sockaddr_storage *client, struct err *e)
{
	unsigned char data[PROXY_HEADER_MAX];
	struct stream stream;
	size_t len = 0;
	int wants;

	stream_init(&stream, fd, control);
	while ((wants = proxy_wants(data, len, e)) > 0) {
		size_t got;
		enum io_result result =
			stream.io.ops->read(&stream.io, data + len, (size_t)wants, deadline_mono_ms, &got);

		if (result != IO_OK)
			return failed(result, len, e);
		len += got;
	}
	if (wants < 0 || proxy_parse(data, len, said, client, e) < 0)
		return IO_ERROR;
	return IO_OK;
}

/* SPDX-License-Identifier: ISC */
/*
 * What came in from the client and was not used yet, and the command lines
 * in it (RFC 5321 2.3.8: only CRLF ends a line). Pure: the session reads into
 * it. Bounded: a line that is too long is dropped while it comes in, and the
 * large buffer that DATA uses exists only as long as something is in it.
 *
 * A command line with a bare LF in it is never executed, and neither is what
 * stands behind the LF up to the next CRLF; otherwise whoever gets an LF into
 * one parameter of a client that speaks for him could add commands. It is
 * answered at the LF, though, not at the CRLF: a client that ends its lines
 * with LF only would wait for ever. How the input is cut makes no difference.
 */
#ifndef SESSION_INPUT_H
#define SESSION_INPUT_H

#include <stdbool.h>
#include <stddef.h>

#define INPUT_LINE_MAX                                                                                       \
	2048 /* a command with its CRLF; RFC 5321 4.5.3.1.4 asks for 512 and more with extensions */
#define INPUT_AUTH_LINE_MAX (12288 + 2) /* RFC 4954 4: AUTH and the answers to its challenges */
#define INPUT_SMALL 8192
#define INPUT_LARGE 65536

struct input {
	char *data; /* small, or INPUT_LARGE bytes on the heap */
	size_t cap;
	size_t start, end; /* what is unused: data[start..end) */
	size_t scanned; /* data[start..scanned) has no LF */
	size_t line_max; /* INPUT_LINE_MAX, or what AUTH needs */
	bool too_long; /* the beginning of this line was dropped */
	bool poisoned; /* this line had a bare LF and was answered for */
	char small[INPUT_SMALL];
};

void input_init(struct input *in);
void input_release(struct input *in);

/* Where the next bytes may be put, and how many: at least one. Then tell how many came. */
size_t input_room(struct input *in, char **at);
void input_added(struct input *in, size_t n);

/* The first n octets of data[start..end) were used, by someone who does not want lines. */
void input_took(struct input *in, size_t n);

/*
 * Forgets all that came in, and any line that was under way: it was not said under the protection there is
 * now.
 */
void input_discard(struct input *in);

/*
 * Overwrites what was taken already: there was a secret in it, and this process serves others after this
 * client.
 */
void input_forget(struct input *in);

enum input_event {
	INPUT_LINE, /* a command line without its CRLF */
	INPUT_MORE, /* there is no complete line */
	/* the others are lines that must not be executed, with what is known of them for the log */
	INPUT_TOO_LONG,
	INPUT_BARE_CR,
	INPUT_NUL,
	INPUT_BARE_LF, /* the rest of the line up to CRLF is dropped without another event, unless: */
	INPUT_BARE_LF_AGAIN /* a second one in the same line: this client does not know CRLF */
};

/* The next line; it stays valid until the next call of input_room. */
enum input_event input_line(struct input *in, const char **line, size_t *len);

/* For DATA: the large buffer; back to the small one if what is left over leaves room in it. */
void input_widen(struct input *in);
void input_narrow(struct input *in);

#endif

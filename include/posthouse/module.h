/* SPDX-License-Identifier: ISC */
/*
 * posthouse/module.h: the interface of Posthouse to shared objects that take part in its SMTP sessions: what
 * subclasses of smtpd's SMTPServer and SMTPChannel are in Python. posthouse-module(3) has the whole story and
 * an example.
 *
 * A module exports one symbol, posthouse_module, a constant that says which functions it has. Everything it
 * may ask of Posthouse is a function of the table it gets in open(); no structure of Posthouse's is shared
 * but those in this file, and these only ever grow at their end. A module compiled with this header runs with
 * every later version of the same ABI number; with an earlier one POSTHOUSE_HAS() tells whether a function of
 * the table is there.
 *
 * Rules
 *  - A module lives in a worker process, with the rights of smtp_user. There are many workers, and each
 *    serves one session at a time: nothing is shared between workers, and nothing survives one.
 *  - Every function of the module is called in the worker's main thread, never two at a time.
 *  - Strings and arrays a function gets, or gets back from the table, are Posthouse's, and valid until that
 *    function returns. What a function hands to the table is copied.
 *  - A channel may be used in functions that get it, until they return, and in the thread they were called
 *    in. Any other use answers NULL or -1.
 *  - A function must return within module_timeout (posthouse.conf(5)); else the worker is killed.
 *  - A module must not: call exit(), fork() without exec(), change signal handling, user, umask, working
 *    directory or locale, close descriptors it did not open, or read from or write to the connection. Threads of
 *    its own must block all signals and be gone before close() returns.
 *  - A module that crashes, hangs or answers nonsense ends its session. What was not acknowledged is the
 *    client's still.
 */
#ifndef POSTHOUSE_MODULE_H
#define POSTHOUSE_MODULE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes only when an old module could not run any more. */
#define POSTHOUSE_MODULE_ABI 1

struct posthouse_server; /* the service, as one worker has it: smtpd's SMTPServer */
struct posthouse_channel; /* one client's session: smtpd's SMTPChannel */

/* What functions return that may decide. Anything else is nonsense. */
enum {
	POSTHOUSE_PASS = 0, /* go on with Posthouse's own, as a call of the method of the superclass would */
	POSTHOUSE_REPLY = 1 /* what was set with reply() or push() is the answer */
};

/* ---- what can be asked ------------------------------------------------------------------- */

/* text(): NULL where there is none. In brackets what smtpd calls it. */
enum {
	POSTHOUSE_PEER = 1, /* "192.0.2.1:4711", "[2001:db8::1]:4711", "unix:uid=1000,pid=42" [peer] */
	POSTHOUSE_PEER_ADDRESS = 2, /* "192.0.2.1", "2001:db8::1", "unix" [peer[0]] */
	POSTHOUSE_ADDR = 3, /* whom the socket is connected to: a proxy, perhaps; NULL: no socket [addr] */
	POSTHOUSE_LISTENER = 4, /* name of the listener it came in by */
	POSTHOUSE_FQDN = 5, /* hostname of the service [fqdn] */
	POSTHOUSE_SEEN_GREETING = 6, /* what HELO or EHLO said, "" before [seen_greeting] */
	POSTHOUSE_MAILFROM = 7, /* as the client said it, "" for <>; NULL outside of a transaction [mailfrom] */
	POSTHOUSE_MAIL_OPTIONS = 8, /* upper case, separated by blanks [mail_options] */
	POSTHOUSE_RCPT_OPTIONS = 9, /* of the last RCPT, as in smtpd [rcpt_options] */
	POSTHOUSE_RECEIVED_LINE = 10, /* the command line under way, without line end [received_lines, joined] */
	POSTHOUSE_VERB = 11, /* "MAIL" */
	POSTHOUSE_AUTH_USER = 12, /* who logged in */
	POSTHOUSE_TLS_VERSION = 13, /* "TLSv1.3"; NULL: in the clear */
	POSTHOUSE_TLS_CIPHER = 14,
	POSTHOUSE_TLS_SERVER_NAME = 15, /* SNI */
	POSTHOUSE_TLS_FINGERPRINT = 16, /* SHA-256 of the client's certificate, in hexadecimal digits */
	POSTHOUSE_QUEUE_ID = 17 /* once the message has one: in replied() to its end */
};

/* number(): -1 where there is none. */
enum {
	POSTHOUSE_PEER_PORT = 1, /* [peer[1]] */
	POSTHOUSE_SMTP_STATE = 2, /* POSTHOUSE_COMMAND or POSTHOUSE_DATA [smtp_state] */
	POSTHOUSE_EXTENDED_SMTP = 3, /* EHLO, not HELO [extended_smtp] */
	POSTHOUSE_RCPTTO_COUNT = 4, /* [len(rcpttos)] */
	POSTHOUSE_NUM_BYTES = 5, /* of the content so far [num_bytes] */
	POSTHOUSE_DATA_SIZE_LIMIT = 6, /* 0: none [data_size_limit] */
	POSTHOUSE_DECODE_DATA = 7, /* [decode_data] */
	POSTHOUSE_ENABLE_SMTPUTF8 = 8, /* [enable_SMTPUTF8] */
	POSTHOUSE_REQUIRE_SMTPUTF8 = 9, /* MAIL said SMTPUTF8 [require_SMTPUTF8] */
	/* the socket, for getsockname(2), getsockopt(2) and the like: never to be read, written or closed
	   [conn] */
	POSTHOUSE_CONN = 10,
	POSTHOUSE_TLS_VERIFIED = 11 /* the client's certificate chains to tls_client_ca */
};
enum { POSTHOUSE_COMMAND = 0, POSTHOUSE_DATA = 1 };

/* server_text(); server_number() takes POSTHOUSE_DATA_SIZE_LIMIT, _DECODE_DATA and _ENABLE_SMTPUTF8. */
enum {
	POSTHOUSE_SERVER_VERSION = 1, /* "0.4.0" */
	POSTHOUSE_SERVER_FQDN = 2,
	POSTHOUSE_SERVER_HANDLER = 3, /* "module": then process_message() is called; "spool" ... */
	POSTHOUSE_SERVER_MODULE = 4 /* path of this module */
};

enum { POSTHOUSE_LOG_ERROR = 3, POSTHOUSE_LOG_WARNING = 4, POSTHOUSE_LOG_INFO = 6, POSTHOUSE_LOG_DEBUG = 7 };

/*
 * smtp_MAIL() and the like. arg: what stands behind the verb, without blanks at its ends, "" when there is
 * nothing; of AUTH the mechanism only. data is what channel_open() left.
 */
typedef int posthouse_verb_function(void *data, struct posthouse_channel *channel, const char *arg);

/* add_verb(); the second half is for verbs that Posthouse does not have. */
enum {
	/*
	 * Called before anything is checked, as a method of a subclass would be: out of order, too, and
	 * without an argument. Without this flag it is called when the command is allowed now, and has an
	 * argument if it needs one.
	 */
	POSTHOUSE_VERB_FIRST = 1,
	POSTHOUSE_VERB_NEEDS_ARGUMENT = 2, /* 501 without */
	POSTHOUSE_VERB_NO_ARGUMENT = 4, /* 501 with */
	POSTHOUSE_VERB_BEFORE_HELO = 8, /* else 503 */
	POSTHOUSE_VERB_NOT_IN_TRANSACTION = 16, /* 503 between MAIL and the end of the message */
	POSTHOUSE_VERB_IN_CLEAR = 32 /* where TLS is required: allowed before it */
};

struct posthouse_api {
	uint32_t abi; /* POSTHOUSE_MODULE_ABI of Posthouse */
	uint32_t size; /* of this structure as Posthouse has it: see POSTHOUSE_HAS() */

	/* -- in open() only; 0, or -1: then open() fails, with a log line that says why -- */
	/*
	 * MAIL: defines what smtp_MAIL() does. A name that is not known to Posthouse becomes a new command,
	 * which POSTHOUSE_PASS answers with 500; syntax is for HELP and 501 ("XPING [word]"; NULL: the name).
	 * The function of DATA is called, with "", for the BDAT that would begin a message, too, behind that
	 * of BDAT if there is one: what it refuses does not come in by the other way.
	 */
	int (*add_verb)(struct posthouse_server *server, const char *name, const char *syntax, unsigned flags,
			posthouse_verb_function *run);
	/* One line of the answer to EHLO: "XPING 1 2". */
	int (*add_keyword)(struct posthouse_server *server, const char *line);
	/* Why open() is about to return something else than 0: for the operator. */
	void (*error)(struct posthouse_server *server, const char *text);

	/* -- at any time in the main thread, close() included -- */
	/* A line in the log of the service, with the name of the module. Any octets: they are escaped. */
	void (*log)(struct posthouse_server *server, int level, const char *text);
	const char *(*server_text)(struct posthouse_server *server, int which);
	int64_t (*server_number)(struct posthouse_server *server, int which);

	/* -- in functions that get a channel -- */
	struct posthouse_server *(*smtp_server)(struct posthouse_channel *channel);
	const char *(*text)(struct posthouse_channel *channel, int which);
	int64_t (*number)(struct posthouse_channel *channel, int which);
	/* As the client said it; NULL: behind the last. */
	const char *(*rcptto)(struct posthouse_channel *channel, size_t index);
	/* The message that process_message() got; NULL elsewhere. [received_data] */
	const char *(*received_data)(struct posthouse_channel *channel, size_t *len);
	/*
	 * The answer, for POSTHOUSE_REPLY; the last one counts. code: 200 to 299, or 400 to 599; enhanced:
	 * "5.7.1" of the same class, or NULL; text: printable ASCII, lines separated by "\n", at most 1000
	 * octets. -1, and nothing is set, for anything else.
	 */
	int (*reply)(struct posthouse_channel *channel, int code, const char *enhanced, const char *text);
	/* The same from one line as smtpd's push() takes it: "550 5.7.1 Not here". */
	int (*push)(struct posthouse_channel *channel, const char *line);
	/*
	 * In the function of a verb that then returns POSTHOUSE_PASS: the command goes on with this argument,
	 * as super().smtp_MAIL(arg) would. -1: no such text can be one. Not of AUTH, BDAT, DATA, STARTTLS,
	 * XCLIENT, QUIT and RSET.
	 */
	int (*set_argument)(struct posthouse_channel *channel, const char *arg);
	/* In a function of EHLO: one more line of this answer. */
	int (*announce)(struct posthouse_channel *channel, const char *line);
};

/* Whether the table has this function: POSTHOUSE_HAS(api, announce). */
#define POSTHOUSE_HAS(api, member)                                                                           \
	((api)->size >= offsetof(struct posthouse_api, member) + sizeof((api)->member))

/* ---- what a module is -------------------------------------------------------------------- */

/* flags of struct posthouse_module: what process_message() gets as data */
enum {
	POSTHOUSE_MODULE_CRLF = 1, /* the content as it came, lines ended by CRLF; without: as smtpd has it */
	POSTHOUSE_MODULE_NO_DATA = 2 /* NULL: data_chunk() saw it, nothing is kept */
};

/* Each function but open may be NULL. */
struct posthouse_module {
	uint32_t abi; /* POSTHOUSE_MODULE_ABI */
	uint32_t size; /* sizeof(struct posthouse_module) */
	uint32_t flags;
	const char *name; /* for the log; letters, digits, '-' and '_' */

	/*
	 * A worker begins. argv: module_arguments, argc of them, then NULL; argv and server live until
	 * close(), the table as long as the process. *state goes to channel_open() and close(). 0: good;
	 * anything else: the worker, and the service if it is only starting, ends.
	 */
	int (*open)(const struct posthouse_api *api, struct posthouse_server *server, int argc,
		    const char *const *argv, void **state);
	void (*close)(void *state); /* the worker ends in order. Not promised: processes die */

	/*
	 * A client is there; nothing was said. *data (NULL unless set) goes to all functions below. REPLY
	 * with 400 and above sends it away without a greeting, and there is no channel_close(). Called again,
	 * behind channel_close(), after STARTTLS and XCLIENT: what was said before counts no more.
	 */
	int (*channel_open)(void *state, struct posthouse_channel *channel, void **data);
	void (*channel_close)(void *data, struct posthouse_channel *channel);

	/*
	 * Each reply goes out. verb: "" for the greeting, "?" for no command; text: lines separated by "\n"
	 */
	void (*replied)(void *data, struct posthouse_channel *channel, const char *verb, int code,
			const char *text);

	/*
	 * A transaction, whatever the handler. Each may refuse (REPLY with 400 and above) before the handler
	 * is asked.
	 *   sender       MAIL was good: the address without brackets, "" for <>
	 *   recipient    RCPT was good, and the client may send to it
	 *   data_begin   DATA or BDAT; there is at least one recipient
	 *   data_chunk   the content in pieces of any size, lines ended by CRLF, dots unstuffed (with
	 *                enable_binarymime any octets); after a refusal no more
	 *   data_end     all of it was seen and is within the limits; nothing is acknowledged yet
	 *   data_abort   instead of data_end, or behind it when the handler refused: the message is not taken
	 */
	int (*sender)(void *data, struct posthouse_channel *channel, const char *mailfrom);
	int (*recipient)(void *data, struct posthouse_channel *channel, const char *rcptto);
	int (*data_begin)(void *data, struct posthouse_channel *channel);
	int (*data_chunk)(void *data, struct posthouse_channel *channel, const char *chunk, size_t len);
	int (*data_end)(void *data, struct posthouse_channel *channel);
	void (*data_abort)(void *data, struct posthouse_channel *channel);

	/*
	 * handler = "module": what becomes of a message. PASS (Python's None): 250, it is the module's from
	 * here on. REPLY with 200 to 299: the same in other words; with 400 and above: refused, it stays the
	 * client's.
	 *
	 * peer           the client's address
	 * mailfrom       "" for <>
	 * rcpttos        NULL behind the last one
	 * content        len octets and a NUL behind them, not to be written to. As in smtpd lines end with
	 *                "\n", and the last one with nothing (but see flags). With decode_data it is valid UTF-8
	 * mail_options   upper case, NULL behind the last one; NULL with decode_data, as in smtpd
	 * rcpt_options   the same, of the last RCPT
	 */
	int (*process_message)(void *data, struct posthouse_channel *channel, const char *peer,
			       const char *mailfrom, const char *const *rcpttos, const char *content,
			       size_t len, const char *const *mail_options, const char *const *rcpt_options);
};

/* In front of the definition of posthouse_module. */
#if defined(__GNUC__)
#define POSTHOUSE_MODULE_EXPORT __attribute__((visibility("default")))
#else
#define POSTHOUSE_MODULE_EXPORT
#endif
extern POSTHOUSE_MODULE_EXPORT const struct posthouse_module posthouse_module;

#ifdef __cplusplus
}
#endif

#endif

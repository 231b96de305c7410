/* SPDX-License-Identifier: ISC */
/*
 * Why a call failed, as a sentence an operator can act on. A function that
 * can fail returns 0 or -1 and takes a `struct err *` as its last argument,
 * never NULL; it is written only on failure. The sentence names the object
 * (file, id, key, address). Lower layers fill it, the owner of the unit of
 * work (session, attempt, child, command) logs or prints it, once.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

struct err {
	int os_error; /* errno value behind it, 0 when there is none */
	char text[512]; /* NUL terminated, no newline; may hold foreign bytes: escape before output */
};

/* A failure of our own judgement: os_error becomes 0. */
void err_set(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A failed system call: ": " and the system's words for os_error are appended. */
void err_set_os(struct err *e, int os_error, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Puts more context in front of what is there: "context: old text". */
void err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif

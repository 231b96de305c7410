/* SPDX-License-Identifier: ISC */
/*
 * Assertions for our own bugs, always on: a mail relay that has lost its
 * bearings stops, and the master starts a fresh one. Never used on input.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#define ASSERT(cond) \
	((cond) ? (void)0 : assert_failed(#cond, __FILE__, __LINE__))

/* Prints the broken assumption on standard error and aborts. */
_Noreturn void assert_failed(const char *cond, const char *file, int line);

#endif

/* SPDX-License-Identifier: ISC */
/* What ps(1) shows for a process: "posthoused: worker 127.0.0.1:4711 MAIL". */
#ifndef BASE_PROCTITLE_H
#define BASE_PROCTITLE_H

/* Once, in main, before threads: takes over the memory of argv and environ (both are moved). */
void proctitle_init(int argc, char **argv);
/* "posthoused: " and this, cut to the room there is; a no-op before proctitle_init. */
void proctitle_set(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif

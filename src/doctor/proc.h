/* SPDX-License-Identifier: ISC */
/* Which sockets of this machine listen, and whose they are, as /proc tells it. Reads only. */
#ifndef DOCTOR_PROC_H
#define DOCTOR_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "doctor/world.h"

/* One line of /proc/net/tcp or tcp6; false when it is none of a socket that listens. Pure. */
bool proc_parse_tcp(const char *line, struct doctor_listening *out);
/* At most DOCTOR_LISTENING_MAX; -1 when /proc/net/tcp cannot be read. */
int proc_listening(struct doctor_listening *out, size_t *count);
/* Needs root for processes of other users. That process if it has the socket, else the first one found that does. */
bool proc_socket_owner(unsigned long inode, pid_t first, pid_t *pid, char *name, size_t cap);

#endif

/* SPDX-License-Identifier: ISC */
/* A client's address as it is counted by: IPv4 as it is, of IPv6 the network of 64 bits (on the link each host). Pure. */
#ifndef AUTH_ADDRESS_H
#define AUTH_ADDRESS_H

#include <stdbool.h>

#include "auth/protocol.h"

#define AUTH_ADDRESS_TEXT_MAX 64

/*
 * "192.0.2.1", "2001:db8::1", "fe80::1%eth0", "unix"; an IPv4 address in IPv6's clothes becomes IPv4. Anything else is
 * nobody that is known.
 */
struct auth_address auth_address_parse(const char *text);
/* Whether it came over the wire as parse would make it. */
bool auth_address_is_valid(const struct auth_address *a);
/* "192.0.2.1", "2001:db8::1", "unix", "unknown"; returns out. */
const char *auth_address_format(const struct auth_address *a, char out[AUTH_ADDRESS_TEXT_MAX]);
/* Loopback or a local socket: somebody on this machine, and nobody knows who. */
bool auth_address_is_local(const struct auth_address *a);
/* The address that failures are booked under. */
struct auth_address auth_address_group(const struct auth_address *a);
bool auth_address_same(const struct auth_address *a, const struct auth_address *b);

#endif

/* SPDX-License-Identifier: ISC */
/* See relay_internal.h: connections of the SMTP client, and those that are a program's runs, as one thing. */
#include "relay/relay_internal.h"

#include <stdio.h>
#include <string.h>

void carry_open(struct relay_conn *rc, const struct upstream_conn_ops *ops)
{
	const struct relay_remote_config *to = rc->remote->config;
	struct relay *r = rc->upstream->relay;

	if (to->program)
		rc->program = program_conn_open(r->base, to->program, to->settings.idle_timeout_ms, ops, rc);
	else
		rc->conn = upstream_conn_open(r->client, &to->settings, ops, rc);
}

void carry_kick(struct relay_conn *rc)
{
	if (rc->program)
		program_conn_kick(rc->program);
	else
		upstream_conn_kick(rc->conn);
}

void carry_quit(struct relay_conn *rc)
{
	if (rc->program)
		program_conn_quit(rc->program);
	else
		upstream_conn_quit(rc->conn);
}

void carry_abort(struct relay_conn *rc)
{
	if (rc->program)
		program_conn_abort(rc->program);
	else
		upstream_conn_abort(rc->conn);
}

size_t carry_in_flight(const struct relay_conn *rc)
{
	return rc->program ? program_conn_in_flight(rc->program) : upstream_conn_in_flight(rc->conn);
}

/* A program announces nothing, and limits nothing. */
const struct upstream_features *carry_features(const struct relay_conn *rc)
{
	static const struct upstream_features none;

	return rc->program ? &none : upstream_conn_features(rc->conn);
}

/* RFC 8689 is about where a message is relayed to; a program has it on this machine. */
bool carry_can_requiretls(const struct relay_conn *rc)
{
	return rc->program || upstream_can_requiretls(carry_features(rc));
}

void carry_note_way(const struct relay_conn *rc, struct attempt *a)
{
	const struct upstream_features *f = carry_features(rc);

	a->upstream_does_dsn = f->dsn;
	a->upstream_does_deliverby = f->deliverby;
	a->upstream_is_final = rc->program || rc->remote->config->settings.lmtp;
	a->verified = f->verified;
	snprintf(a->tls_version, sizeof(a->tls_version), "%s", f->tls_version);
	if (rc->program)
		return;
	snprintf(a->remote, sizeof(a->remote), "%s", upstream_conn_remote(rc->conn));
	snprintf(a->via, sizeof(a->via), "%s", upstream_conn_via(rc->conn));
}

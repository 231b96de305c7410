/* SPDX-License-Identifier: ISC */
/* See carry.h. */
#include "cli/carry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/num.h"
#include "cli/json.h"
#include "smtp/header.h"
#include "spool/format.h"
#include "submit/submit.h"

#define CARRY_VERSION 1

bool carry_format_find(const char *name, enum carry_format *format)
{
	static const char *const names[] = {
		[CARRY_EML] = "eml", [CARRY_MBOX] = "mbox", [CARRY_SPOOL] = "spool"
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(name, names[i]) == 0) {
			*format = (enum carry_format)i;
			return true;
		}
	}
	return false;
}

/* ---- what may be believed ---------------------------------------------------------- */

static bool is_xtext(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

/* It will stand in SMTP commands: as strict as where the addresses of a header come in. */
static int check_envelope(const struct envelope *env, struct err *e)
{
	if (strlen(env->sender) > ADDRESS_MAX || !address_is_safe(env->sender)) {
		err_set(e, "%s: not an address to send from", env->sender);
		return -1;
	}
	if (env->envid && !is_xtext(env->envid)) {
		err_set(e, "%s: not an envelope id", env->envid);
		return -1;
	}
	if (env->rcpt_count > SUBMIT_RCPT_MAX) {
		err_set(e, "more than %u recipients", SUBMIT_RCPT_MAX);
		return -1;
	}
	for (size_t i = 0; i < env->rcpt_count; i++) {
		const struct envelope_rcpt *r = &env->rcpt[i];

		if (!r->address[0] || strlen(r->address) > ADDRESS_MAX || !address_is_safe(r->address) ||
		    (r->orcpt && !is_xtext(r->orcpt))) {
			err_set(e, "%s: not an address to send to", r->address);
			return -1;
		}
	}
	return 0;
}

/* ---- header fields ------------------------------------------------------------------ */

#define FIELD "X-Posthouse-"

bool carry_to_fields(const struct envelope *env, const struct spool_state *st, struct buf *out)
{
	struct buf text;
	const char *line, *newline;
	size_t rcpt = 0, lines = 0;
	bool ok;

	buf_init(&text, FORMAT_ENVELOPE_MAX);
	ok = format_envelope(env, &text);
	for (line = text.data; ok && *line != '\n' && (newline = strchr(line, '\n')); line = newline + 1) {
		const char *name = "Envelope";

		if (st->released &&
		    strncmp(line, "hold=", 5) == 0) /* who released it here does not want it held there */
			continue;
		if (strncmp(line, "from=", 5) == 0)
			name = "From";
		else if (strncmp(line, "to=", 3) == 0)
			name = st->rcpt[rcpt++].status == RCPT_PENDING ? "To" : "Done";
		ok = buf_addf(out, FIELD "%s: ", name) && buf_add(out, line, (size_t)(newline - line)) &&
		     buf_adds(out, "\r\n");
		lines++;
	}
	buf_release(&text);
	return ok && buf_addf(out, FIELD "End: %zu\r\n", lines);
}

/* The value of the line's field, or NULL when it is another field. */
static const char *value_of(const char *line, const char *name)
{
	size_t len = strlen(name);

	if (strncmp(line, FIELD, sizeof(FIELD) - 1) != 0 || strncmp(line + sizeof(FIELD) - 1, name, len) != 0)
		return NULL;
	line += sizeof(FIELD) - 1 + len;
	return strncmp(line, ": ", 2) == 0 ? line + 2 : NULL;
}

/* One line, NUL terminated and without its end, of the block: 1 taken, 0 the last one, -1 none of ours. */
static int take_field(const char *line, struct buf *text, size_t *lines, bool *nobody)
{
	const char *end = value_of(line, "End"), *value = value_of(line, "Envelope");
	uint64_t count;

	if (end)
		return num_parse_u64(end, strlen(end), SIZE_MAX, &count) && count == *lines ? 0 : -1;
	++*lines;
	if (value_of(line, "Done"))
		return 1;
	if (!value)
		value = value_of(line, "From");
	if (!value) {
		value = value_of(line, "To");
		*nobody &= !value;
	}
	return value && buf_adds(text, value) && buf_addc(text, '\n') ? 1 : -1;
}

/* Collects the spool's text of the envelope from the fields. */
static int collect_fields(const char *at, size_t len, struct buf *text, bool *nobody, size_t *used)
{
	const char *end = at + len, *start = at;
	size_t lines = 0;
	int r = 1;

	while (r == 1) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t line_len = newline ? (size_t)(newline - at) : 0;
		char *line;

		if (!newline)
			return -1;
		line = mem_strndup(at, line_len - (line_len > 0 && at[line_len - 1] == '\r'));
		r = take_field(line, text, &lines, nobody);
		free(line);
		at = newline + 1;
	}
	*used = (size_t)(at - start);
	return r;
}

enum carried carry_from_fields(const char *data, size_t len, struct envelope *env, size_t *used,
			       struct err *e)
{
	static const char first[] = FIELD "Envelope: id=";
	enum carried result = CARRIED_BAD;
	bool nobody = true;
	struct buf text;

	*used = 0;
	if (len < sizeof(first) - 1 || memcmp(data, first, sizeof(first) - 1) != 0)
		return CARRIED_NONE;
	buf_init(&text, FORMAT_ENVELOPE_MAX);
	if (collect_fields(data, len, &text, &nobody, used) < 0) {
		err_set(e, "its " FIELD " fields are damaged");
	} else if (nobody) {
		result = CARRIED_NOBODY;
	} else {
		buf_addc(&text, '\n');
		if (format_parse_envelope(text.data, text.len, env, e) == 0 && check_envelope(env, e) == 0)
			result = CARRIED_ENVELOPE;
	}
	buf_release(&text);
	return result;
}

/* ---- JSON ----------------------------------------------------------------------------- */

static int put_address(json_t *o, const char *key, const char *text, struct err *e)
{
	json_t *value;

	if (!text)
		return 0;
	value = json_string(text);
	if (!value) {
		err_set(e, "%s: not UTF-8, which JSON cannot hold: export it with --format mbox or spool",
			text);
		return -1;
	}
	json_put_key(o, key, value);
	return 0;
}

static int rcpt_to_json(const struct envelope_rcpt *r, const struct rcpt_state *st, json_t *list,
			struct err *e)
{
	json_t *o = json_object(), *notify = json_array();

	json_append_new(list, o);
	for (size_t i = 0; i < ENVELOPE_NOTIFY_COUNT; i++)
		if (r->notify & envelope_notify_names[i].flag)
			json_append_new(notify, json_string(envelope_notify_names[i].name));
	json_put_key(o, "notify", notify);
	json_put_key(o, "status", json_string(rcpt_status_name(st->status)));
	json_put_key(o, "tries", json_integer(st->tries));
	json_put_key(o, "reply", json_text_or_null(st->reply));
	return put_address(o, "address", r->address, e) < 0 ? -1 : put_address(o, "orcpt", r->orcpt, e);
}

int carry_to_json(const struct envelope *env, const struct spool_state *st, json_t **out, struct err *e)
{
	json_t *o = json_object(), *list = json_array();
	char stamp[CLOCK_UTC_MAX];
	int r = 0;

	json_put_key(o, "posthouse_envelope", json_integer(CARRY_VERSION));
	json_put_key(o, "id", json_string(env->id));
	json_put_key(o, "arrived", json_string(clock_format_utc(env->arrived_wall_us, stamp)));
	json_put_key(o, "peer", json_text_or_null(env->peer));
	json_put_key(o, "helo", json_text_or_null(env->helo));
	json_put_key(o, "protocol", json_text_or_null(env->protocol));
	json_put_key(o, "listener", json_text_or_null(env->listener));
	json_put_key(o, "body", json_string(envelope_body_names[env->body]));
	json_put_key(o, "smtputf8", json_boolean(env->smtputf8));
	json_put_key(o, "requiretls", json_boolean(env->requiretls));
	if (env->by.mode != DELIVER_BY_NONE) {
		json_put_key(o, "deliver_by", json_string(clock_format_utc(env->by.wall_us, stamp)));
		json_put_key(o, "by_mode", json_string(deliver_by_letters(&env->by)));
	}
	if (env->ret != RET_UNSET)
		json_put_key(o, "ret", json_string(env->ret == RET_FULL ? "FULL" : "HDRS"));
	json_put_key(o, "recipients", list);
	for (size_t i = 0; r == 0 && i < env->rcpt_count; i++)
		r = rcpt_to_json(&env->rcpt[i], &st->rcpt[i], list, e);
	if (r == 0)
		r = put_address(o, "sender", env->sender, e);
	if (r == 0)
		r = put_address(o, "envid", env->envid, e);
	if (r == 0)
		r = put_address(o, "auth", env->auth_user, e);
	if (r == 0 && !st->released) /* as above */
		r = put_address(o, "hold", env->hold, e);
	if (r == 0)
		*out = o;
	else
		json_decref(o);
	return r;
}

static void take_text(const json_t *o, const char *key, char **field)
{
	const char *text = json_get_text(o, key);

	if (text)
		envelope_set(field, text, strlen(text));
}

static int rcpt_from_json(const json_t *o, struct envelope *env, struct err *e)
{
	const char *address = json_get_text(o, "address"), *status = json_get_text(o, "status");
	const json_t *notify = json_get_array(o, "notify");
	struct envelope_rcpt *r;

	if (!address) {
		err_set(e, "a recipient without an address");
		return -1;
	}
	if (status && strcmp(status, rcpt_status_name(RCPT_PENDING)) != 0)
		return 0;
	r = envelope_add_rcpt(env, address, strlen(address));
	take_text(o, "orcpt", &r->orcpt);
	for (size_t i = 0; i < json_array_size(notify); i++) {
		const char *word = json_string_value(json_array_get(notify, i));

		for (size_t j = 0; word && j < ENVELOPE_NOTIFY_COUNT; j++)
			if (strcmp(word, envelope_notify_names[j].name) == 0)
				r->notify |= envelope_notify_names[j].flag;
	}
	return 0;
}

/* False: a time without a mode, the other way round, or values that are none. */
static bool take_deliver_by(const json_t *o, struct deliver_by *by)
{
	const char *when = json_get_text(o, "deliver_by"), *mode = json_get_text(o, "by_mode");

	if (!when && !mode)
		return true;
	return when && mode && clock_parse_utc(when, &by->wall_us) && by->wall_us > 0 &&
	       deliver_by_parse_letters(mode, strlen(mode), by);
}

enum carried carry_from_json(const json_t *o, struct envelope *env, struct err *e)
{
	const char *body = json_get_text(o, "body"), *ret = json_get_text(o, "ret");
	const json_t *list = json_get_array(o, "recipients");

	if (json_get_int(o, "posthouse_envelope", 0) != CARRY_VERSION || !json_get_text(o, "sender") ||
	    !list) {
		err_set(e, "not an envelope of this version of posthouse");
		return CARRIED_BAD;
	}
	take_text(o, "sender", &env->sender);
	take_text(o, "peer", &env->peer);
	take_text(o, "helo", &env->helo);
	take_text(o, "protocol", &env->protocol);
	take_text(o, "listener", &env->listener);
	take_text(o, "envid", &env->envid);
	take_text(o, "auth", &env->auth_user);
	take_text(o, "hold", &env->hold);
	env->smtputf8 = json_is_true(json_object_get(o, "smtputf8"));
	env->requiretls = json_is_true(json_object_get(o, "requiretls"));
	for (unsigned i = 0; body && i < ENVELOPE_BODY_COUNT; i++)
		if (strcmp(body, envelope_body_names[i]) == 0)
			env->body = (enum envelope_body)i;
	if (ret)
		env->ret = strcmp(ret, "HDRS") == 0 ? RET_HDRS : RET_FULL;
	for (size_t i = 0; i < json_array_size(list); i++)
		if (rcpt_from_json(json_array_get(list, i), env, e) < 0)
			return CARRIED_BAD;
	if (!take_deliver_by(o, &env->by)) {
		err_set(e, "deliver_by and by_mode are no time and mode (N, R, NT, RT)");
		return CARRIED_BAD;
	}
	if (check_envelope(env, e) < 0)
		return CARRIED_BAD;
	return env->rcpt_count > 0 ? CARRIED_ENVELOPE : CARRIED_NOBODY;
}

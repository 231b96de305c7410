/* SPDX-License-Identifier: ISC */
/* See submit.h: the envelope from options and header. Pure. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "smtp/header.h"
#include "submit/submit.h"

/* An envelope being made. */
struct making {
	struct envelope *env;
	const struct submit_options *options;
};

static bool has_domain(const char *address)
{
	const char *at = strrchr(address, '@');

	/* "a@b" in quotes is a local part */
	return at && !(address[0] == '"' && strchr(at, '"'));
}

/*
 * "root" is somebody on this machine; who is called so is known by its name elsewhere. *full is to be freed.
 */
static bool complete(const struct making *m, const char *address, char **full, struct err *e)
{
	if (!m->options->sendmail_rules || address[0] == '\0' || has_domain(address))
		*full = mem_strdup(address);
	else
		*full = mem_printf("%s@%s", address, m->options->hostname);
	if (strlen(*full) <= ADDRESS_MAX)
		return true;
	err_set(e, "\"%.60s...\" is longer than %d octets", *full, ADDRESS_MAX);
	/* it may be the envelope's own sender, which is freed with it */
	free(*full);
	*full = NULL;
	return false;
}

static bool add_recipient(void *ctx, const char *address, struct err *e)
{
	struct making *m = ctx;
	struct envelope *env = m->env;
	char *full;

	if (address[0] == '\0') {
		err_set(e, "<> is no recipient");
		return false;
	}
	if (env->rcpt_count >= SUBMIT_RCPT_MAX) {
		err_set(e, "more than %u recipients", SUBMIT_RCPT_MAX);
		return false;
	}
	if (!complete(m, address, &full, e))
		return false;
	envelope_add_rcpt(env, full, strlen(full));
	free(full);
	return true;
}

static bool take_sender(void *ctx, const char *address, struct err *e)
{
	struct making *m = ctx;

	return m->env->sender || complete(m, address, &m->env->sender, e);
}

/* All fields of a name, one after the other. */
static int from_fields(const struct buf *header, const char *name,
		       bool (*each)(void *ctx, const char *address, struct err *e), struct making *m,
		       struct err *e)
{
	const char *at = header->data, *end = header->data + header->len;
	struct header_field f;

	while (header_next(&at, end, &f)) {
		if (!header_is(&f, name) || header_addresses(f.value, f.value_len, each, m, e) == 0)
			continue;
		err_prefix(e, "%s", name);
		return -1;
	}
	return 0;
}

static unsigned count_fields(const struct buf *header, const char *const names[], size_t count)
{
	const char *at = header->data, *end = header->data + header->len;
	struct header_field f;
	unsigned found = 0;

	while (header_next(&at, end, &f))
		for (size_t i = 0; i < count; i++)
			found += header_is(&f, names[i]);
	return found;
}

static const char *const resent_recipients[] = { "Resent-To", "Resent-Cc", "Resent-Bcc" };

/*
 * Sent again, with its own sender and recipients in front of the author's (RFC 5322 3.6.6), and -t: it is
 * these that are meant. Without -t the header names nobody, and who sends it is who was its sender at first.
 */
static bool is_resent(const struct buf *header, const struct submit_options *options)
{
	return options->read_recipients && count_fields(header, resent_recipients, 3) > 0;
}

/* As smtplib: two blocks may stand in any order, and to send it to the wrong ones is worse than to ask. */
static bool is_resent_once(const struct buf *header, struct err *e)
{
	static const char *const once[] = { "Resent-Date", "Resent-From", "Resent-To" };

	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
		if (count_fields(header, &once[i], 1) < 2)
			continue;
		err_set(e, "the message was sent again more than once (%s): name its recipients with --to",
			once[i]);
		return false;
	}
	return true;
}

static int set_sender(struct making *m, const struct buf *header, struct err *e)
{
	/* RFC 5322 3.6.2: Sender is who sent it, where From names the authors */
	static const char *const resent[] = { "Resent-Sender", "Resent-From" };
	static const char *const names[] = { "Sender", "From", "Return-Path" };
	const char *from = m->options->from;
	struct envelope *env = m->env;

	if (from && (from[0] == '\0' || strcmp(from, "<>") == 0)) {
		env->sender = mem_strdup("");
		return 0;
	}
	if (from) {
		err_set(e, "\"%.60s\" is no address", from);
		if (header_addresses(from, strlen(from), take_sender, m, e) == 0 && env->sender)
			return 0;
		err_prefix(e, m->options->sendmail_rules ? "-f" : "--from");
		return -1;
	}
	if (is_resent(header, m->options) && !m->options->sendmail_rules)
		for (size_t i = 0; i < sizeof(resent) / sizeof(resent[0]) && !env->sender; i++)
			if (from_fields(header, resent[i], take_sender, m, e) < 0)
				return -1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && !env->sender; i++)
		if (from_fields(header, names[i], take_sender, m, e) < 0)
			return -1;
	if (env->sender)
		return 0;
	err_set(e, "the sender is missing: the message has no From, name one with --from");
	return -1;
}

static int compare_rcpt(const void *a, const void *b)
{
	const struct envelope_rcpt *const *ra = a, *const *rb = b;
	int order = strcmp((*ra)->address, (*rb)->address);

	/* of equals the first stays first */
	return order ? order : (*ra > *rb) - (*ra < *rb);
}

/* Somebody in To and in Cc gets it once. */
static void drop_duplicates(struct envelope *env)
{
	struct envelope_rcpt **sorted = mem_array(env->rcpt_count + 1, sizeof(struct envelope_rcpt *));
	size_t kept = 0;

	for (size_t i = 0; i < env->rcpt_count; i++)
		sorted[i] = &env->rcpt[i];
	qsort(sorted, env->rcpt_count, sizeof(struct envelope_rcpt *), compare_rcpt);
	for (size_t i = env->rcpt_count; i > 1; i--) {
		if (strcmp(sorted[i - 1]->address, sorted[i - 2]->address) != 0)
			continue;
		free(sorted[i - 1]->address);
		sorted[i - 1]->address = NULL;
	}
	for (size_t i = 0; i < env->rcpt_count; i++)
		if (env->rcpt[i].address)
			env->rcpt[kept++] = env->rcpt[i];
	env->rcpt_count = kept;
	free(sorted);
}

static int add_header_recipients(struct making *m, const struct buf *header, struct err *e)
{
	static const char *const plain[] = { "To", "Cc", "Bcc" };
	bool again = is_resent(header, m->options);

	if (again && !m->options->sendmail_rules && !is_resent_once(header, e))
		return -1;
	for (size_t i = 0; i < 3; i++)
		if (from_fields(header, again ? resent_recipients[i] : plain[i], add_recipient, m, e) < 0)
			return -1;
	return 0;
}

static const char *no_recipients(const struct submit_options *options)
{
	if (options->read_recipients)
		return "no recipients: To, Cc and Bcc name nobody";
	return options->sendmail_rules
		       ? "no recipients: name them on the command line, or take the header's with -t"
		       : "no recipients: name them with --to, or take the header's with -t";
}

enum submit_result envelope_from_header(struct envelope *env, const struct buf *header,
					const struct submit_options *options, struct err *e)
{
	struct making m = { env, options };

	if (set_sender(&m, header, e) < 0)
		return SUBMIT_INVALID;
	for (size_t i = 0; i < options->to_count; i++) {
		const char *to = options->to[i];

		if (header_addresses(to, strlen(to), add_recipient, &m, e) < 0) {
			err_prefix(e, options->sendmail_rules ? "recipient" : "--to");
			return SUBMIT_INVALID;
		}
	}
	if (options->read_recipients && add_header_recipients(&m, header, e) < 0)
		return SUBMIT_INVALID;
	if (env->rcpt_count == 0) {
		err_set(e, "%s", no_recipients(options));
		return SUBMIT_NOBODY;
	}
	drop_duplicates(env);
	env->smtputf8 = !text_is_ascii(env->sender);
	for (size_t i = 0; i < env->rcpt_count; i++)
		env->smtputf8 |= !text_is_ascii(env->rcpt[i].address);
	return SUBMIT_OK;
}

/* SPDX-License-Identifier: ISC */
/*
 * Mail that an operator imports was written by anybody. 'm' and an mbox, 'w' and the content of a message for one,
 * 'e' and a message that may bring its envelope in fields, 'j' and an envelope as JSON.
 * Promises: however an mbox is cut into pieces, the same messages come out of it; what goes into one comes out
 * again as one message; no address or parameter that is taken could end an SMTP command or a line of the spool.
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "cli/carry.h"
#include "cli/mbox.h"
#include "fuzz.h"
#include "smtp/header.h"
#include "spool/format.h"
#include "submit/submit.h"

#define CEILING (1u << 24)

/* ---- mbox ----------------------------------------------------------------------- */

/* Messages behind each other, a NUL before each. */
static bool on_begin(void *ctx)
{
	return buf_addc(ctx, '\0');
}

static bool on_text(void *ctx, const char *data, size_t len)
{
	return buf_add(ctx, data, len);
}

/* How many messages; out is initialised here. */
static size_t read_box(const char *data, size_t len, size_t step, struct buf *out, bool *stray)
{
	struct mbox_reader r;
	size_t messages = 0;

	buf_init(out, CEILING);
	mbox_reader_init(&r, on_begin, on_text, out);
	for (size_t at = 0; at < len; at += step)
		ASSERT(mbox_read(&r, data + at, len - at < step ? len - at : step));
	ASSERT(mbox_read_end(&r));
	for (size_t i = 0; i < out->len; i++)
		messages += out->data[i] == '\0';
	*stray = r.stray;
	return messages;
}

static void fuzz_box(const char *data, size_t len)
{
	struct buf whole, cut;
	bool stray, stray_cut;

	if (memchr(data, '\0', len))
		return;
	read_box(data, len, len + 1, &whole, &stray);
	for (size_t step = 1; step < 8; step++) {
		read_box(data, len, step, &cut, &stray_cut);
		ASSERT(stray == stray_cut && cut.len == whole.len && memcmp(cut.data, whole.data, cut.len) == 0);
		buf_release(&cut);
	}
	buf_release(&whole);
}

static void fuzz_write(const char *data, size_t len)
{
	struct buf content, box, got;
	struct mbox_writer w;
	bool after_cr = false, stray;

	if (memchr(data, '\0', len))
		return;
	buf_init(&content, CEILING);
	buf_init(&box, CEILING);
	ASSERT(crlf_convert(&after_cr, data, len, &content));
	for (size_t i = 0; i < 2; i++) {
		ASSERT(mbox_put_separator("a@b", 0, &box));
		mbox_writer_init(&w);
		ASSERT(mbox_write(&w, content.data, content.len, &box) && mbox_write_end(&w, &box));
	}
	ASSERT(read_box(box.data, box.len, box.len + 1, &got, &stray) == 2 && !stray);
	buf_release(&got);
	buf_release(&box);
	buf_release(&content);
}

/* ---- envelopes -------------------------------------------------------------------- */

static void check_word(const char *text, size_t max)
{
	ASSERT(strlen(text) <= max);
	for (; *text; text++)
		ASSERT((unsigned char)*text >= ' ' && *text != 0x7f);
}

static void check_envelope(struct envelope *env)
{
	struct envelope again;
	struct buf text;
	struct err e;

	check_word(env->sender, ADDRESS_MAX);
	if (env->envid)
		check_word(env->envid, CEILING);
	for (size_t i = 0; i < env->rcpt_count; i++) {
		ASSERT(env->rcpt[i].address[0]);
		check_word(env->rcpt[i].address, ADDRESS_MAX);
		if (env->rcpt[i].orcpt)
			check_word(env->rcpt[i].orcpt, CEILING);
	}
	/* what import does with it */
	strcpy(env->id, "0m4x7f3q9zkab1cd");
	env->arrived_wall_us = 1795000000000000;
	buf_init(&text, FORMAT_ENVELOPE_MAX);
	if (format_envelope(env, &text)) {
		envelope_init(&again);
		ASSERT(format_parse_envelope(text.data, text.len, &again, &e) == 0);
		ASSERT(strcmp(again.sender, env->sender) == 0 && again.rcpt_count == env->rcpt_count);
		envelope_release(&again);
	}
	buf_release(&text);
}

static void fuzz_message(const char *data, size_t len)
{
	char *const to[] = { (char *)(uintptr_t)"b@y" };
	const struct submit_options options[] = {
		{ .read_recipients = true, .hostname = "h.example" },
		{ .read_recipients = true, .hostname = "h.example", .sendmail_rules = true, .to = to, .to_count = 1 },
	};
	struct envelope env;
	struct buf header;
	struct err e = { 0 };
	size_t used;

	envelope_init(&env);
	switch (carry_from_fields(data, len, &env, &used, &e)) {
	case CARRIED_ENVELOPE:
		check_envelope(&env);
		break;
	case CARRIED_BAD:
		ASSERT(e.text[0]);
		break;
	case CARRIED_NOBODY:
	case CARRIED_NONE:
		break;
	}
	ASSERT(used <= len);
	envelope_release(&env);
	buf_init(&header, SUBMIT_HEADER_MAX);
	for (size_t i = 0; buf_add(&header, data, len) && i < sizeof(options) / sizeof(*options); i++) {
		envelope_init(&env);
		if (envelope_from_header(&env, &header, &options[i], &e) == SUBMIT_OK)
			check_envelope(&env);
		envelope_release(&env);
		buf_clear(&header);
	}
	buf_release(&header);
}

static void fuzz_json(const char *data, size_t len)
{
	json_t *o = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
	struct envelope env;
	struct err e = { 0 };

	if (!o)
		return;
	envelope_init(&env);
	if (carry_from_json(o, &env, &e) == CARRIED_ENVELOPE)
		check_envelope(&env);
	envelope_release(&env);
	json_decref(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy;

	if (size == 0)
		return 0;
	/* of exactly that size: nothing may be read behind it */
	copy = mem_alloc(size);
	memcpy(copy, data + 1, size - 1);
	if (data[0] == 'm')
		fuzz_box(copy, size - 1);
	else if (data[0] == 'w')
		fuzz_write(copy, size - 1);
	else if (data[0] == 'e')
		fuzz_message(copy, size - 1);
	else if (data[0] == 'j')
		fuzz_json(copy, size - 1);
	free(copy);
	return 0;
}

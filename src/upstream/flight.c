/* SPDX-License-Identifier: ISC */
/* See flight.h. */
#include "upstream/flight.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/assert.h"

void flight_init(struct flight *f, struct upstream_txn *t, bool rset, bool bdat, bool lmtp)
{
	memset(f, 0, sizeof(*f));
	f->txn = t;
	f->rcpt_count = t->rcpt_count;
	f->rset = rset;
	f->bdat = bdat;
	f->accepted = lmtp ? mem_alloc(t->rcpt_count / 8 + 1) : NULL;
	f->total = flight_content_index(f) + 1;
	content_init(&f->content, bdat);
}

void flight_release(struct flight *f)
{
	free(f->accepted);
	f->accepted = NULL;
}

size_t flight_data_index(const struct flight *f)
{
	return (size_t)f->rset + 1 + f->rcpt_count;
}

size_t flight_content_index(const struct flight *f)
{
	return flight_data_index(f) + !f->bdat;
}

enum flight_step flight_step(const struct flight *f, size_t i, size_t *rcpt)
{
	*rcpt = 0;
	if (f->rset && i == 0)
		return FLIGHT_RSET;
	if (i >= flight_content_index(f))
		return FLIGHT_CONTENT;
	if (i == flight_data_index(f))
		return FLIGHT_DATA;
	i -= f->rset;
	if (i == 0)
		return FLIGHT_MAIL;
	*rcpt = i - 1;
	return FLIGHT_RCPT;
}

bool flight_is_out(const struct flight *f, uint64_t wire_bytes)
{
	return f->is_whole && wire_bytes >= f->end_at;
}

enum upstream_phase flight_phase(const struct flight *f, uint64_t wire_bytes)
{
	size_t rcpt;

	switch (flight_step(f, f->answered, &rcpt)) {
	case FLIGHT_RSET:
	case FLIGHT_MAIL:
		return UPSTREAM_MAIL;
	case FLIGHT_RCPT:
		return UPSTREAM_RCPT;
	case FLIGHT_DATA:
		return UPSTREAM_DATA;
	case FLIGHT_CONTENT:
		break;
	}
	return flight_is_out(f, wire_bytes) ? UPSTREAM_FINAL_DOT : UPSTREAM_CONTENT;
}

void flight_accept(struct flight *f, size_t rcpt)
{
	f->rcpt_accepted++;
	if (f->accepted)
		f->accepted[rcpt / 8] |= (unsigned char)(1u << rcpt % 8);
}

size_t flight_take_final(struct flight *f)
{
	size_t i = f->next_final;

	while (!(f->accepted[i / 8] & 1u << i % 8))
		i++;
	ASSERT(i < f->rcpt_count);
	f->next_final = i + 1;
	return i;
}

void flight_expect_content(struct flight *f)
{
	f->total = flight_content_index(f) + (f->accepted ? f->rcpt_accepted : 1);
}

void flight_cut_short(struct flight *f)
{
	f->total = f->sent > flight_data_index(f) ? flight_data_index(f) + 1 : f->sent;
}

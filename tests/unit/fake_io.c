/* SPDX-License-Identifier: ISC */
/* See fake_io.h. */
#include "fake_io.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

static size_t piece(struct fake_io *f, size_t most)
{
	switch (f->cut) {
	case FAKE_WHOLE:
		break;
	case FAKE_BYTES:
		return 1;
	case FAKE_RANDOM:
		/* mostly small pieces, now and then a large one */
		return 1 + (size_t)rand_r(&f->seed) % (rand_r(&f->seed) % 8 ? (most < 12 ? most : 12) : most);
	}
	return most;
}

static enum io_result fake_read(struct session_io *io, void *data, size_t cap, int64_t deadline_mono_ms,
				size_t *got)
{
	struct fake_io *f = (struct fake_io *)io;

	ASSERT(cap > 0);
	f->reads++;
	f->last_deadline = deadline_mono_ms;
	if (f->len == 0 && !(f->more && f->more(f, f->ctx)))
		return f->at_end;
	*got = piece(f, f->len < cap ? f->len : cap);
	ASSERT(*got > 0 && *got <= cap);
	memcpy(data, f->data, *got);
	f->data += *got;
	f->len -= *got;
	f->largest_read = *got > f->largest_read ? *got : f->largest_read;
	return IO_OK;
}

static enum io_result fake_write(struct session_io *io, const void *data, size_t len,
				 int64_t deadline_mono_ms)
{
	struct fake_io *f = (struct fake_io *)io;

	(void)deadline_mono_ms;
	ASSERT(len > 0);
	f->writes++;
	if (f->write_result == IO_OK)
		ASSERT(buf_add(&f->out, data, len));
	return f->write_result;
}

static void fake_interruptible(struct session_io *io, bool yes)
{
	((struct fake_io *)io)->interruptible = yes;
}

static enum io_result fake_start_tls(struct session_io *io, int64_t deadline_mono_ms, struct err *e)
{
	struct fake_io *f = (struct fake_io *)io;

	(void)deadline_mono_ms;
	if (!f->can_tls || f->start_tls_result != IO_OK) {
		err_set(e, "the test says so");
		return f->can_tls ? f->start_tls_result : IO_ERROR;
	}
	f->is_tls = true;
	return IO_OK;
}

static const struct session_tls *fake_tls(struct session_io *io)
{
	struct fake_io *f = (struct fake_io *)io;

	return f->is_tls ? &f->tls : NULL;
}

static const struct session_io_ops ops = { fake_read, fake_write, fake_interruptible, fake_start_tls, fake_tls };

void fake_io_init(struct fake_io *f, const char *data, size_t len, enum fake_cut cut)
{
	memset(f, 0, sizeof(*f));
	f->io.ops = &ops;
	f->data = data;
	f->len = len;
	f->cut = cut;
	f->seed = 1;
	f->at_end = IO_EOF;
	f->write_result = IO_OK;
	f->tls.version = "TLSv1.3";
	f->tls.cipher = "TLS_AES_256_GCM_SHA384";
	buf_init(&f->out, 1 << 24);
}

void fake_io_release(struct fake_io *f)
{
	buf_release(&f->out);
}

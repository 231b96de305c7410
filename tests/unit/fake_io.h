/* SPDX-License-Identifier: ISC */
/*
 * A client in memory: its bytes come cut as the test wants, what the session
 * writes is kept. When the bytes are used up, `more` may bring others (seeing
 * what was written so far), else reads end with `at_end`.
 */
#ifndef TESTS_FAKE_IO_H
#define TESTS_FAKE_IO_H

#include "base/buf.h"
#include "session/io.h"

enum fake_cut { FAKE_WHOLE, FAKE_BYTES, FAKE_RANDOM };

struct fake_io {
	struct session_io io;
	const char *data; /* what is to be read; the test's */
	size_t len;
	enum fake_cut cut;
	unsigned seed; /* for FAKE_RANDOM */
	/* true: data and len were set anew */
	bool (*more)(struct fake_io *f, void *ctx);
	void *ctx;
	enum io_result at_end;
	enum io_result write_result;
	struct buf out; /* everything written */
	int64_t last_deadline; /* of the last read */
	size_t reads, writes, largest_read;
	bool interruptible;
	/* STARTTLS: offered when start_tls_result was set by the test; then tls is what the session sees */
	bool can_tls;
	enum io_result start_tls_result;
	struct session_tls tls;
	bool is_tls;
};

void fake_io_init(struct fake_io *f, const char *data, size_t len, enum fake_cut cut);
void fake_io_release(struct fake_io *f);

#endif

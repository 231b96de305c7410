/* SPDX-License-Identifier: ISC */
/*
 * What a program may have written, and how it ended. Two octets are the kind of end and the exit status, the rest is the
 * output. Promise: one reply to the end of data, on the wire in lines of printable ASCII; positive only after status 0,
 * and never longer than a line may be.
 */
#include <string.h>

#include "fuzz.h"
#include "handler/program_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct program_outcome o = { .end = PROGRAM_EXITED };
	struct smtp_reply reply = { .code = 0 };
	enum handler_verdict verdict;
	struct buf wire;

	if (size < 2)
		return 0;
	o.end = (enum program_end)(data[0] % PROGRAM_ENDS);
	o.status = data[1];
	o.text_len = size - 2 < PROGRAM_TEXT_MAX ? size - 2 : PROGRAM_TEXT_MAX;
	memcpy(o.text, data + 2, o.text_len);
	verdict = program_reply(&o, &reply);
	ASSERT((verdict == HANDLER_ACCEPT) == (reply.code / 100 == 2));
	ASSERT(reply.code / 100 == 2 || reply.code / 100 == 4 || reply.code / 100 == 5);
	ASSERT(verdict == HANDLER_REFUSE || (o.end == PROGRAM_EXITED && o.status == 0));
	ASSERT(!reply.enhanced[0] || reply.enhanced[0] == '0' + reply.code / 100);
	buf_init(&wire, 4096);
	ASSERT(smtp_reply_write(&reply, &wire) && wire.len > 4 && wire.len <= 512);
	for (size_t i = 0; i + 2 < wire.len; i++)
		ASSERT(wire.data[i] >= ' ' && wire.data[i] <= '~');
	buf_release(&wire);
	return 0;
}

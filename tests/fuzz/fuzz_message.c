/* SPDX-License-Identifier: ISC */
/*
 * Files of the spool. The first octet chooses what the rest is: a message
 * file, the envelope of one (with a first line that fits), the state of one
 * with three recipients, or such a state without its checksum (which is put
 * behind it). Promise: a file is read, or said to be corrupt and why; what was
 * read is whole.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "fuzz.h"
#include "spool/checksum.h"
#include "spool/message.h"
#include "spool/spool.h"
#include "spool/state.h"

#define ID "1k0wgj84c0z3c03e"

static char folder[] = "/tmp/posthouse-fuzz.XXXXXX";
static struct spool spool;

static void clean_up(void)
{
	static const char *const names[] = { "queue/" ID, "state/" ID, "incoming", "queue",
					     "state",     "corrupt",   "lock" };

	spool_close(&spool);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char *name = mem_printf("%s/%s", folder, names[i]);

		remove(name);
		free(name);
	}
	rmdir(folder);
}

static void set_up(void)
{
	struct err e;

	ASSERT(mkdtemp(folder));
	ASSERT(spool_prepare(folder, (uid_t)-1, (gid_t)-1, (gid_t)-1, &e) == 0);
	ASSERT(spool_open(&spool, folder, SPOOL_READ, SPOOL_SYNC_FILE, &e) == 0);
	atexit(clean_up);
}

static void put_file(int dir, const char *head, const uint8_t *data, size_t size, const char *tail)
{
	int fd = openat(dir, ID, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	bool ok = fd >= 0 && write(fd, head, strlen(head)) == (ssize_t)strlen(head) &&
		  write(fd, data, size) == (ssize_t)size &&
		  write(fd, tail, strlen(tail)) == (ssize_t)strlen(tail);

	ASSERT(ok);
	close(fd);
}

static void check_message(const struct spool_message *m)
{
	char data[4096];
	uint64_t at = 0;
	ssize_t n = 1;
	struct err e;

	ASSERT(m->env.sender && strcmp(m->env.id, ID) == 0);
	for (size_t i = 0; i < m->env.rcpt_count; i++)
		ASSERT(m->env.rcpt[i].address);
	while (at < m->content_bytes && (n = spool_message_read(m, at, data, sizeof(data), &e)) > 0)
		at += (uint64_t)n;
	ASSERT(n >= 0 && at == m->content_bytes);
}

static void try_message(bool verify)
{
	struct spool_message m;
	struct err e = { 0 };

	switch (spool_message_open(&m, &spool, ID, verify, &e)) {
	case SPOOL_READ_OK:
		check_message(&m);
		spool_message_close(&m);
		break;
	case SPOOL_READ_CORRUPT:
		ASSERT(e.text[0] && memchr(e.text, '\0', sizeof(e.text)));
		break;
	case SPOOL_READ_GONE:
	case SPOOL_READ_FAILED:
		ASSERT(false);
	}
}

static void try_state(void)
{
	struct spool_state st;
	struct err e = { 0 };

	spool_state_init(&st, 3);
	switch (spool_state_load(&st, &spool, ID, &e)) {
	case SPOOL_READ_OK:
		ASSERT(st.rcpt_count == 3);
		break;
	case SPOOL_READ_CORRUPT:
		ASSERT(e.text[0] && memchr(e.text, '\0', sizeof(e.text)));
		break;
	case SPOOL_READ_GONE:
	case SPOOL_READ_FAILED:
		ASSERT(false);
	}
	spool_state_release(&st);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char head[128] = "", tail[32] = "";

	if (size == 0 || size > 1 << 16)
		return 0;
	if (!spool.path)
		set_up();
	size--;
	switch (data[0] % 4) {
	case 1:
		snprintf(
			head, sizeof(head),
			"posthouse/1 envelope=%010zu content=%020d dots=0 eightbit=0 xxh3=0000000000000000\n",
			size, 0);
		break;
	case 3:
		snprintf(tail, sizeof(tail), "xxh3=%016" PRIx64 "\n", checksum_of(data + 1, size));
		break;
	}
	if (data[0] % 4 < 2) {
		put_file(spool.queue_fd, head, data + 1, size, "");
		try_message(false);
		try_message(true);
	} else {
		put_file(spool.state_fd, "", data + 1, size, tail);
		try_state();
	}
	return 0;
}

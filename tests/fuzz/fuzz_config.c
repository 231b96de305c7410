/* SPDX-License-Identifier: ISC */
/*
 * Fuzz target: a configuration file. Whatever it holds, loading reports or
 * succeeds; what was loaded is printed, and what was printed loads again to
 * the same. Included files are those of the file system, read only.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "config/config.h"
#include "config/dump.h"

static void count(void *ctx, const char *message)
{
	unsigned *errors = ctx;

	ASSERT(strchr(message, '\n') == NULL);
	*errors += 1;
}

static int load(struct config *cfg, const void *data, size_t len, unsigned *errors)
{
	int fd = memfd_create("config", MFD_CLOEXEC);
	char name[40];
	int result;

	ASSERT(fd >= 0);
	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, (const char *)data + done, len - done);

		ASSERT(n > 0);
		done += (size_t)n;
	}
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	*errors = 0;
	config_init(cfg);
	result = config_load(cfg, name, count, errors);
	ASSERT((result == 0) == (*errors == 0));
	close(fd);
	return result;
}

static void dump(const struct config *cfg, struct buf *out)
{
	buf_init(out, CONFIG_DUMP_MAX);
	config_dump(cfg, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct config cfg, again;
	struct buf first, second;
	unsigned errors;

	if (load(&cfg, data, len, &errors) == 0) {
		dump(&cfg, &first);
		ASSERT(load(&again, first.data, first.len, &errors) == 0);
		dump(&again, &second);
		ASSERT(strcmp(first.data, second.data) == 0);
		buf_release(&first);
		buf_release(&second);
		config_release(&again);
	}
	config_release(&cfg);
	return 0;
}

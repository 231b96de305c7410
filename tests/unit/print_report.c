/* SPDX-License-Identifier: ISC */
/*
 * print_report: writes the report (manage/report.h) that standard input describes, for test_report.py.
 * Lines of key=value as in the spool, an empty line, then the content of the original:
 *
 *   report=failed|delayed|relayed to=... hostname=... limit=OCTETS [postmaster=yes] [until=SECONDS]
 *   from=... [envid=...] [ret=FULL|HDRS] [smtputf8=yes]
 *   rcpt=ADDRESS [orcpt=...] [status=expired] [remote=...] [reply=...] [count=N]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/kv.h"
#include "manage/report.h"

#define NOW_US 1795000000000000

struct description {
	struct report report;
	struct spool_message m;
	struct spool_state st;
	size_t rcpt_cap; /* of st.rcpt */
	char *to, *hostname; /* owned */
};

static void take(struct description *d, const char *key, char *value, size_t len)
{
	struct envelope *env = &d->m.env;
	size_t last = env->rcpt_count - 1;

	if (strcmp(key, "report") == 0) {
		d->report.kind = value[0] == 'f'   ? REPORT_FAILED
				 : value[0] == 'd' ? REPORT_DELAYED
						   : REPORT_RELAYED;
	} else if (strcmp(key, "to") == 0) {
		envelope_set(&d->to, value, len);
	} else if (strcmp(key, "hostname") == 0) {
		envelope_set(&d->hostname, value, len);
	} else if (strcmp(key, "limit") == 0) {
		d->report.return_limit_bytes = strtoull(value, NULL, 10);
	} else if (strcmp(key, "postmaster") == 0) {
		d->report.for_postmaster = true;
	} else if (strcmp(key, "until") == 0) {
		d->report.retry_until_wall_us = NOW_US + atoll(value) * 1000000;
	} else if (strcmp(key, "from") == 0) {
		envelope_set(&env->sender, value, len);
	} else if (strcmp(key, "envid") == 0) {
		envelope_set(&env->envid, value, len);
	} else if (strcmp(key, "ret") == 0) {
		env->ret = value[0] == 'F' ? RET_FULL : RET_HDRS;
	} else if (strcmp(key, "smtputf8") == 0) {
		env->smtputf8 = true;
	} else if (strcmp(key, "rcpt") == 0) {
		envelope_add_rcpt(env, value, len);
		if (d->st.rcpt_count == d->rcpt_cap) {
			d->rcpt_cap = d->rcpt_cap ? d->rcpt_cap * 2 : 4;
			d->st.rcpt = mem_resize(d->st.rcpt, d->rcpt_cap, sizeof(*d->st.rcpt));
		}
		d->st.rcpt[d->st.rcpt_count++] =
			(struct rcpt_state){ .status = RCPT_FAILED, .when_wall_us = NOW_US };
	} else if (strcmp(key, "orcpt") == 0) {
		envelope_set(&env->rcpt[last].orcpt, value, len);
	} else if (strcmp(key, "status") == 0) {
		d->st.rcpt[last].status = RCPT_EXPIRED;
	} else if (strcmp(key, "remote") == 0) {
		d->st.rcpt[last].remote = mem_strdup(value);
	} else if (strcmp(key, "reply") == 0) {
		d->st.rcpt[last].reply = mem_strdup(value);
	} else if (strcmp(key, "count") == 0) {
		for (size_t n = strtoul(value, NULL, 10); n > 1; n--) {
			const struct rcpt_state first = d->st.rcpt[last];

			take(d, "rcpt", env->rcpt[last].address, strlen(env->rcpt[last].address));
			if (first.reply)
				d->st.rcpt[d->st.rcpt_count - 1].reply = mem_strdup(first.reply);
		}
	} else {
		fprintf(stderr, "print_report: unknown key %s\n", key);
		exit(2);
	}
}

/* Lines until an empty one. */
static void read_description(struct description *d)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;

	while ((len = getline(&line, &cap, stdin)) > 1) {
		char *at = line, *end = line + len - 1;
		struct kv_pair pair;
		enum kv_result r;

		while ((r = kv_next(&at, end, &pair)) == KV_PAIR)
			take(d, pair.key, pair.value, pair.len);
		if (r == KV_BAD) {
			fprintf(stderr, "print_report: bad line\n");
			exit(2);
		}
	}
	free(line);
}

static void read_content(struct spool_message *m)
{
	char block[65536];
	size_t n;

	m->fd = memfd_create("original", MFD_CLOEXEC);
	while ((n = fread(block, 1, sizeof(block), stdin)) > 0) {
		if (write(m->fd, block, n) != (ssize_t)n)
			exit(2);
		m->content_bytes += n;
		for (size_t i = 0; i < n; i++)
			m->has_eightbit |= (block[i] & 0x80) != 0;
	}
}

static int print(void *ctx, const char *data, size_t len, struct err *e)
{
	(void)ctx;
	(void)e;
	return fwrite(data, 1, len, stdout) == len ? 0 : -1;
}

int main(void)
{
	struct description d = { .hostname = mem_strdup("mx.example.org"),
				 .to = mem_strdup("from@example.org") };
	struct err e = { 0 };
	size_t *rcpt;
	int r;

	envelope_init(&d.m.env);
	strcpy(d.m.env.id, "0m4x7f3q9zkab1cd");
	envelope_set(&d.m.env.sender, "from@example.org", 16);
	d.m.env.arrived_wall_us = NOW_US - 3600000000;
	read_description(&d);
	read_content(&d.m);
	rcpt = mem_array(d.st.rcpt_count, sizeof(*rcpt));
	for (size_t i = 0; i < d.st.rcpt_count; i++)
		rcpt[i] = i;
	d.report.hostname = d.hostname;
	d.report.to = d.to;
	d.report.original = &d.m;
	d.report.state = &d.st;
	d.report.rcpt = rcpt;
	d.report.rcpt_count = d.st.rcpt_count;
	d.report.report_id = "0m4x7f3q9zkab1ce";
	d.report.now_wall_us = NOW_US;
	r = report_write(&d.report, print, NULL, &e);
	if (r < 0)
		fprintf(stderr, "print_report: %s\n", e.text);
	spool_message_close(&d.m);
	spool_state_release(&d.st);
	free(rcpt);
	free(d.to);
	free(d.hostname);
	return r < 0;
}

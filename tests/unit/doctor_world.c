/* SPDX-License-Identifier: ISC */
/* See doctor_world.h. */
#include "doctor_world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "unit.h"

static void make_address(const char *host, uint16_t port, struct doctor_address *a)
{
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)&a->address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&a->address;

	memset(a, 0, sizeof(*a));
	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		a->len = sizeof(*in);
		return;
	}
	ck_assert_msg(inet_pton(AF_INET6, host, &in6->sin6_addr) == 1, "%s", host);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	a->len = sizeof(*in6);
}

static int fake_resolve(void *ctx, const char *host, uint16_t port, int timeout_ms, struct doctor_address *out,
			size_t *count, struct err *e)
{
	struct fake_world *w = ctx;
	struct in_addr in;

	(void)timeout_ms;
	*count = 0;
	if (inet_pton(AF_INET, host, &in) == 1) {
		make_address(host, port, &out[(*count)++]);
		return 0;
	}
	if (w->resolve_error) {
		err_set(e, "%s: %s", host, w->resolve_error);
		return -1;
	}
	while (*count < 4 && w->resolve[*count]) {
		make_address(w->resolve[*count], port, &out[*count]);
		(*count)++;
	}
	return 0;
}

static int fake_connect(void *ctx, const struct doctor_address *to, int timeout_ms, char *line, size_t cap,
			struct err *e)
{
	struct fake_world *w = ctx;
	int error = w->connect_error[w->connects++ % 4];

	(void)to;
	(void)timeout_ms;
	if (error) {
		err_set(e, "%s", strerror(error));
		e->os_error = error;
		return -1;
	}
	if (line)
		snprintf(line, cap, "%s", w->line ? w->line : "");
	return 0;
}

static void fake_talk(void *ctx, const struct dialogue_plan *plan, struct dialogue *out)
{
	struct fake_world *w = ctx;
	size_t count = 0;

	w->talks++;
	w->asked = *plan->settings;
	*out = w->outcome;
	while (w->script && w->script[count])
		count++;
	out->line = mem_array(count + 1, sizeof(*out->line));
	for (out->line_count = 0; out->line_count < count; out->line_count++)
		out->line[out->line_count] = (struct dialogue_line){ w->script[out->line_count][0] == 'S',
								     mem_strdup(w->script[out->line_count] + 3) };
}

static int fake_http(void *ctx, const struct http_request *request, struct http_answer *answer, struct err *e)
{
	const struct fake_world *w = ctx;

	if (w->http_status == 0) {
		err_set(e, "%s: %s", request->url, w->http_body ? w->http_body : "refused");
		return -1;
	}
	answer->status = w->http_status;
	buf_init(&answer->body, HTTP_ANSWER_MAX);
	buf_adds(&answer->body, w->http_body);
	return 0;
}

static int fake_listening(void *ctx, struct doctor_listening *out, size_t *count)
{
	struct fake_world *w = ctx;

	for (*count = 0; *count < 4 && w->listening[*count]; (*count)++) {
		char host[64];
		const char *colon = strrchr(w->listening[*count], ':');

		snprintf(host, sizeof(host), "%.*s", (int)(colon - w->listening[*count]), w->listening[*count]);
		make_address(host, (uint16_t)atoi(colon + 1), &out[*count].at);
		out[*count].inode = 100 + *count;
	}
	return w->listening_result;
}

static bool fake_owner(void *ctx, unsigned long inode, pid_t first, pid_t *pid, char *name, size_t cap)
{
	struct fake_world *w = ctx;

	(void)inode;
	(void)first;
	*pid = w->owner;
	snprintf(name, cap, "other");
	return w->owner > 0;
}

static bool fake_is_local(void *ctx, const struct doctor_address *a)
{
	(void)a;
	return !((struct fake_world *)ctx)->is_elsewhere;
}

static enum doctor_daemon fake_daemon(void *ctx, const char *spool, int timeout_ms, pid_t *master, struct err *e)
{
	struct fake_world *w = ctx;

	(void)spool;
	(void)timeout_ms;
	*master = w->master;
	err_set(e, "the daemon's words");
	return w->daemon;
}

static int fake_statvfs(void *ctx, const char *path, struct statvfs *out)
{
	(void)path;
	*out = ((struct fake_world *)ctx)->statvfs;
	return 0;
}

static int fake_filesystem(void *ctx, const char *spool, const char **name, bool *is_volatile, bool *has_journal,
			   struct err *e)
{
	struct fake_world *w = ctx;

	if (!w->filesystem) {
		err_set_os(e, EACCES, "%s", spool);
		return -1;
	}
	*name = w->filesystem;
	*is_volatile = w->is_volatile;
	*has_journal = w->has_journal;
	return 0;
}

static int fake_synchronised(void *ctx)
{
	return ((struct fake_world *)ctx)->synchronised;
}

static int64_t fake_now(void *ctx)
{
	return ((struct fake_world *)ctx)->now_wall_us;
}

static void fake_sandbox(void *ctx, struct sandbox_support *support)
{
	*support = ((struct fake_world *)ctx)->sandbox;
}

static bool fake_open_files(void *ctx, pid_t pid, uint64_t *most)
{
	(void)pid;
	*most = ((struct fake_world *)ctx)->open_files;
	return *most > 0;
}

void fake_world_init(struct fake_world *w)
{
	*w = (struct fake_world){ .line = "220 relay.test ESMTP",
				  .daemon = DOCTOR_DAEMON_ABSENT,
				  .statvfs = { .f_bavail = 1 << 20, .f_frsize = 4096, .f_files = 1 << 20, .f_favail = 1 << 20 },
				  .filesystem = "ext4",
				  .has_journal = true,
				  .synchronised = 1,
				  .now_wall_us = WORLD_NOW_US,
				  .open_files = 100000,
				  .sandbox = { SECCOMP_LISTENERS, true, false, 6 },
				  .resolve = { "192.0.2.1" } };
	w->world = (struct doctor_world){ .ctx = w,
					  .resolve = fake_resolve,
					  .connect = fake_connect,
					  .talk = fake_talk,
					  .http = fake_http,
					  .listening = fake_listening,
					  .owner = fake_owner,
					  .is_local = fake_is_local,
					  .daemon = fake_daemon,
					  .statvfs = fake_statvfs,
					  .filesystem = fake_filesystem,
					  .clock_synchronised = fake_synchronised,
					  .now_wall_us = fake_now,
					  .open_files = fake_open_files,
					  .sandbox = fake_sandbox };
}

void expect_advice(const struct findings *f, const char *check, enum finding_level level, const char *text,
		   const char *advice)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct finding *one = &f->item[i];

		if (strcmp(one->check, check) == 0 && one->level == level && strstr(one->what, text) &&
		    (!advice || (one->advice && strstr(one->advice, advice))))
			return;
	}
	fprintf(stderr, "# there is no %s %s: %s -> %s among\n", finding_level_name(level), check, text, advice ? advice : "");
	for (size_t i = 0; i < f->count; i++)
		fprintf(stderr, "#   %s %s: %s -> %s\n", finding_level_name(f->item[i].level), f->item[i].check, f->item[i].what,
			f->item[i].advice ? f->item[i].advice : "");
	ck_abort_msg("no %s %s: %s -> %s", finding_level_name(level), check, text, advice ? advice : "");
}

void expect(const struct findings *f, const char *check, enum finding_level level, const char *text)
{
	expect_advice(f, check, level, text, NULL);
}

/* SPDX-License-Identifier: ISC */
/* Checks of the machine: its name, its clock, its limits. See local.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "config/options.h"
#include "doctor/local.h"
#include "sandbox/support.h"

#define SECOND_US INT64_C(1000000)
#define YEAR_US (365 * 86400 * SECOND_US)
#define CLOCK_LEAST_US (55 * YEAR_US) /* the end of 2024: this program is younger */
#define CLOCK_MOST_US (110 * YEAR_US)
#define CLOCK_FUTURE_US (3600 * SECOND_US)
#define FILES_BESIDE 64 /* that a process has open besides its connections */

void check_hostname(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;
	struct doctor_address found[DOCTOR_ADDRESSES_MAX];
	const char *name = d->cfg->hostname;
	char text[DOCTOR_ADDRESS_TEXT_MAX];
	struct err e;
	size_t count;

	if (name[0] == '[') {
		finding_add(f, FINDING_OK, "%s, an address", name);
		return;
	}
	if (!strchr(name, '.')) {
		finding_add(f, FINDING_WARNING,
			    "\"%s\" has no domain: upstreams may refuse it in EHLO, and Message-IDs made "
			    "with it are not unique",
			    name);
		finding_advise(f, "hostname = \"%s.example.org\", with your domain",
			       strcmp(name, "localhost") ? name : "relay");
		return;
	}
	if (d->world->resolve(d->world->ctx, name, 25, d->timeout_ms, found, &count, &e) < 0 || count == 0) {
		finding_add(f, FINDING_WARNING, "%s does not resolve here (%s)", name, e.text);
		finding_advise(f, "to a smarthost that seldom matters; some refuse names in EHLO that DNS "
				  "does not have");
		return;
	}
	doctor_address_format(&found[0], text);
	*strrchr(text, ':') = '\0';
	finding_add(f, FINDING_OK, "%s is %s", name, text);
}

/* Files that were written by a clock ahead of this one. */
static void files_of_the_future(const struct doctor_local *d, struct findings *f, int64_t now_wall_us)
{
	const char *const path[] = { d->config_file, d->spool };
	struct stat st;

	for (size_t i = 0; i < 2; i++) {
		if (!path[i] || stat(path[i], &st) != 0 ||
		    (int64_t)st.st_mtim.tv_sec * SECOND_US < now_wall_us + CLOCK_FUTURE_US)
			continue;
		finding_add(f, FINDING_WARNING, "%s was written in the future: the clock was set back",
			    path[i]);
		finding_advise(f, "if it is wrong now, certificates look invalid and mail waits too long");
	}
}

void check_clock(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;
	int64_t now = d->world->now_wall_us(d->world->ctx);
	char text[CLOCK_UTC_MAX];

	if (now < CLOCK_LEAST_US || now > CLOCK_MOST_US) {
		finding_add(f, FINDING_FAILED, "it is not %s", clock_format_utc(now, text));
		finding_advise(f, "certificates do not verify and mail expires by a wrong clock: set it, and "
				  "run an NTP client");
		return;
	}
	clock_format_utc(now, text);
	snprintf(text + 19, sizeof(text) - 19, "Z");
	switch (d->world->clock_synchronised(d->world->ctx)) {
	case 1:
		finding_add(f, FINDING_OK, "%s, synchronised", text);
		break;
	case 0:
		finding_add(f, FINDING_WARNING, "%s; the kernel says that nobody synchronises it", text);
		finding_advise(f,
			       "run an NTP client (systemd-timesyncd, chrony); in a container its host does");
		break;
	default:
		finding_add(f, FINDING_OK, "%s; whether it is synchronised cannot be seen", text);
		break;
	}
	files_of_the_future(d, f, now);
}

void check_limits(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;
	uint64_t needed = FILES_BESIDE, most;

	/* the relay has all connections; a message being sent is a file more */
	for (size_t i = 0; i < d->cfg->upstream_count; i++)
		needed += 2 * (uint64_t)d->cfg->upstream[i].max_connections;
	if (!d->world->open_files(d->world->ctx, d->master, &most)) {
		finding_add(f, FINDING_SKIPPED, "the limit of open files of process %ld cannot be seen",
			    (long)d->master);
		return;
	}
	if (most < needed) {
		finding_add(f, FINDING_FAILED,
			    "%" PRIu64
			    " open files are allowed to %s, max_connections of all upstreams need %" PRIu64,
			    most, d->master ? "posthoused" : "programs started here", needed);
		finding_advise(f, "LimitNOFILE= in the service, ulimit -n, or a lower max_connections");
		return;
	}
	finding_add(f, FINDING_OK, "%" PRIu64 " open files are allowed, the relay needs up to %" PRIu64, most,
		    needed);
}

/* What is kept from our own processes, as far as this machine can (sandbox/support.h). */
void check_sandbox(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;
	struct sandbox_support support;
	char lacks[400];

	if (d->cfg->seccomp == SANDBOX_OFF || !d->cfg->landlock) {
		finding_add(f, FINDING_WARNING, "%s%s%s: who takes over a process may do more than it needs",
			    d->cfg->seccomp == SANDBOX_OFF ? "seccomp = off" : "",
			    d->cfg->seccomp == SANDBOX_OFF && !d->cfg->landlock ? ", " : "",
			    d->cfg->landlock ? "" : "landlock = no");
		finding_advise(f, "take it out of the configuration when it is not needed any more");
		return;
	}
	if (d->cfg->seccomp == SANDBOX_LOG) {
		finding_add(f, FINDING_WARNING,
			    "seccomp = log: what a process has no business with is told of, and done");
		finding_advise(f, "when the log has no event=sandbox_violation: seccomp = enforce");
		return;
	}
	d->world->sandbox(d->world->ctx, &support);
	if (!sandbox_support_lacks(&support, lacks, sizeof(lacks))) {
		finding_add(f, FINDING_OK, "seccomp, and Landlock of ABI %d", support.landlock_abi);
		return;
	}
	finding_add(f, sandbox_support_is_poor(&support) ? FINDING_WARNING : FINDING_OK, "%s", lacks);
	if (sandbox_support_is_poor(&support))
		finding_advise(f,
			       "the service works without; a container may be told to allow seccomp(2) and "
			       "landlock_create_ruleset(2)");
}

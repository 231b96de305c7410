/* SPDX-License-Identifier: ISC */
/* See notify.h. Runs in the master. */
#include "daemon/notify.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"

#define STATUS_EVERY_MS 5000 /* at most: every message wakes the supervisor */
#define MARGIN_MS 5000 /* for the last words of a stop, beyond its time */

/* ---- the protocol ------------------------------------------------------------------- */

/* A path, or a name in the abstract namespace behind '@'. What is none of these is no supervisor of ours. */
static bool find_socket(struct sockaddr_un *sun, socklen_t *len)
{
	const char *name = getenv("NOTIFY_SOCKET");
	size_t n = name ? strlen(name) : 0;

	if (n < 2 || n >= sizeof(sun->sun_path) || (name[0] != '/' && name[0] != '@'))
		return false;
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	memcpy(sun->sun_path, name, n);
	if (name[0] == '@')
		sun->sun_path[0] = '\0';
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (name[0] == '/'));
	return true;
}

static void tell(const char *text)
{
	struct sockaddr_un sun;
	socklen_t len;
	int fd;

	if (!find_socket(&sun, &len))
		return;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&sun, len) < 0) {
		/* nobody reads, or nobody is there: the next message says it again */
	}
	close(fd);
}

/* A line of the protocol ends with the line: what strangers may have put into a message of ours must not begin another. */
static void one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static void tell_status(struct notify *n, const char *before, const char *status)
{
	char text[NOTIFY_STATUS_MAX + 160];

	snprintf(n->status, sizeof(n->status), "%s", status);
	one_line(n->status);
	n->status_mono_ms = clock_mono_ms();
	snprintf(text, sizeof(text), "%sSTATUS=%s", before, n->status);
	tell(text);
}

/* ---- what there is to be told --------------------------------------------------------- */

bool notify_is_wanted(void)
{
	struct sockaddr_un sun;
	socklen_t len;

	return find_socket(&sun, &len);
}

static bool number_of(const char *variable, uint64_t *value)
{
	const char *text = getenv(variable);

	return text && num_parse_u64(text, strlen(text), INT64_MAX, value);
}

void notify_init(struct notify *n)
{
	uint64_t usec, pid;

	memset(n, 0, sizeof(*n));
	/* WATCHDOG_PID: whom it means; who went into the background since is another */
	if (!notify_is_wanted() || !number_of("WATCHDOG_USEC", &usec) || usec < 1000 ||
	    (getenv("WATCHDOG_PID") && !(number_of("WATCHDOG_PID", &pid) && pid == (uint64_t)getpid())))
		return;
	n->watchdog_ms = (int64_t)(usec / 1000);
}

void notify_go_on(struct notify *n)
{
	n->was_ready = true;
}

const char *notify_status(const struct notify_facts *f, char *out)
{
	int n = snprintf(out, NOTIFY_STATUS_MAX, "Ready: %u worker%s, %u with a client", f->workers,
			 f->workers == 1 ? "" : "s", f->busy);

	if (f->has_queue && f->queued == UINT_MAX)
		n += snprintf(out + n, NOTIFY_STATUS_MAX - (size_t)n, "; the queue is being read");
	else if (f->has_queue)
		n += snprintf(out + n, NOTIFY_STATUS_MAX - (size_t)n, "; %u message%s in the queue",
			      f->queued, f->queued == 1 ? "" : "s");
	if (f->refused)
		snprintf(out + n, NOTIFY_STATUS_MAX - (size_t)n,
			 "; the last reload was refused, the log says why");
	return out;
}

void notify_ready(struct notify *n, const struct notify_facts *f)
{
	char status[NOTIFY_STATUS_MAX];

	n->ready = true;
	tell_status(n, "READY=1\n", notify_status(f, status));
}

void notify_reloading(struct notify *n)
{
	char before[80];

	snprintf(before, sizeof(before), "RELOADING=1\nMONOTONIC_USEC=%lld\n", (long long)clock_mono_us());
	tell_status(n, before, "Reloading the configuration");
}

void notify_stopping(struct notify *n, int64_t at_most_ms)
{
	char before[80], status[NOTIFY_STATUS_MAX];

	snprintf(before, sizeof(before), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld\n",
		 (long long)(at_most_ms + MARGIN_MS) * 1000);
	snprintf(status, sizeof(status), "Stopping: sessions and deliveries under way have %lld s",
		 (long long)(at_most_ms + 999) / 1000);
	tell_status(n, before, status);
}

void notify_failed(struct notify *n, const struct err *why)
{
	char before[40] = "";

	if (why->os_error > 0)
		snprintf(before, sizeof(before), "ERRNO=%d\n", why->os_error);
	tell_status(n, before, why->text);
}

/* ---- while it runs ------------------------------------------------------------------- */

static void feed(struct notify *n, bool alive, const struct err *why)
{
	int64_t now = clock_mono_ms();

	if (n->watchdog_ms == 0)
		return;
	if (!alive) {
		if (!n->starved)
			log_msg(LOG_LEVEL_ERROR, "watchdog_starved",
				"%s: the supervisor is not told that all is well, and will restart the service",
				why->text);
		n->starved = true;
		return;
	}
	if (n->starved)
		log_msg(LOG_LEVEL_INFO, "watchdog_fed", "all is well again");
	n->starved = false;
	/* four times as often as it wants, so that one late turn is not the last */
	if (now - n->fed_mono_ms < n->watchdog_ms / 4)
		return;
	n->fed_mono_ms = now;
	tell("WATCHDOG=1");
}

void notify_tick(struct notify *n, const struct notify_facts *f, bool alive, const struct err *why)
{
	char status[NOTIFY_STATUS_MAX];

	if (!(n->ready || n->was_ready) || !notify_is_wanted())
		return;
	feed(n, alive, why);
	if (!n->ready)
		return;
	if (clock_mono_ms() - n->status_mono_ms < STATUS_EVERY_MS)
		return;
	if (alive)
		notify_status(f, status);
	else
		snprintf(status, sizeof(status), "In trouble: %.150s", why->text);
	one_line(status); /* as the last one is */
	if (strcmp(status, n->status) != 0)
		tell_status(n, "", status);
}

/* SPDX-License-Identifier: ISC */
/*
 * A module for Posthouse, posthouse-module(3): what comes in goes into a Maildir, whomever it is for. An
 * example of process_message(); Python's smtpd would have a subclass of SMTPServer here.
 *
 *   handler = "module"   module = ".../maildir.so"   module_arguments = {"/var/mail/test"}
 *
 * Compile: cc -shared -fPIC $(pkg-config --cflags posthouse-module) -o maildir.so maildir.c
 *
 * What 250 means: the message is in new/ under its name, and both are synced. Anything else is 451, and the
 * client keeps it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <posthouse/module.h>

static const struct posthouse_api *api;
static struct posthouse_server *server;

struct maildir {
	int tmp, new; /* the folders */
	unsigned count; /* of messages by this worker: makes names unique */
};

static void complain(const char *what, const char *name)
{
	char text[600];

	snprintf(text, sizeof(text), "%s: %s: %s", name, what, strerror(errno));
	api->log(server, POSTHOUSE_LOG_ERROR, text);
}

static int open_folder(const char *top, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -1;
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int maildir_open(const struct posthouse_api *the_api, struct posthouse_server *the_server, int argc,
			const char *const *argv, void **state)
{
	struct maildir *m;
	int cur = -1;

	api = the_api;
	server = the_server;
	if (argc != 1 || argv[0][0] != '/') {
		api->error(server, "module_arguments: one is needed, the absolute path of a Maildir");
		return -1;
	}
	m = calloc(1, sizeof(*m));
	if (!m)
		return -1;
	if ((mkdir(argv[0], 0700) < 0 && errno != EEXIST) || (cur = open_folder(argv[0], "cur")) < 0 ||
	    (m->tmp = open_folder(argv[0], "tmp")) < 0 || (m->new = open_folder(argv[0], "new")) < 0) {
		char text[600];

		snprintf(text, sizeof(text), "%s: cannot open this Maildir: %s", argv[0], strerror(errno));
		api->error(server, text);
		free(m);
		return -1;
	}
	close(cur);
	*state = m;
	return 0;
}

static void maildir_close(void *state)
{
	struct maildir *m = state;

	close(m->tmp);
	close(m->new);
	free(m);
}

/* Channels need no data of their own: they share the state. */
static int channel_open(void *state, struct posthouse_channel *channel, void **data)
{
	(void)channel;
	*data = state;
	return POSTHOUSE_PASS;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int store(const struct maildir *m, const char *name, const char *mailfrom, const char *content,
		 size_t len)
{
	int fd = openat(m->tmp, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char head[400];

	if (fd < 0)
		return -1;
	/* RFC 5321 4.4: who delivers puts the sender into the header */
	snprintf(head, sizeof(head), "Return-Path: <%s>\n", mailfrom);
	if (write_all(fd, head, strlen(head)) < 0 || write_all(fd, content, len) < 0 ||
	    write_all(fd, "\n", 1) < 0 || fsync(fd) < 0 || renameat(m->tmp, name, m->new, name) < 0 ||
	    fsync(m->new) < 0) {
		int error = errno;

		close(fd);
		unlinkat(m->tmp, name, 0);
		errno = error;
		return -1;
	}
	close(fd);
	return 0;
}

static int process_message(void *data, struct posthouse_channel *channel, const char *peer,
			   const char *mailfrom, const char *const *rcpttos, const char *content, size_t len,
			   const char *const *mail_options, const char *const *rcpt_options)
{
	struct maildir *m = data;
	struct timespec now;
	char name[100], reply[160];

	(void)peer;
	(void)rcpttos;
	(void)mail_options;
	(void)rcpt_options;
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(name, sizeof(name), "%lld.M%06ldP%ldQ%u.posthouse", (long long)now.tv_sec,
		 now.tv_nsec / 1000, (long)getpid(), ++m->count);
	if (store(m, name, mailfrom, content, len) < 0) {
		complain("cannot store it", name);
		api->reply(channel, 451, "4.3.0", "Message could not be stored; try again later");
		return POSTHOUSE_REPLY;
	}
	snprintf(reply, sizeof(reply), "OK, delivered as %s", name);
	api->reply(channel, 250, "2.0.0", reply);
	return POSTHOUSE_REPLY;
}

POSTHOUSE_MODULE_EXPORT const struct posthouse_module posthouse_module = {
	.abi = POSTHOUSE_MODULE_ABI,
	.size = sizeof(struct posthouse_module),
	.name = "maildir",
	.open = maildir_open,
	.close = maildir_close,
	.channel_open = channel_open,
	.process_message = process_message,
};

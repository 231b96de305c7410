/* SPDX-License-Identifier: ISC */
/*
 * Checks of the spool: is it there and ours, on what, how much room, and does the daemon run on it. See
 * local.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/num.h"
#include "doctor/local.h"

#define LOW_FACTOR 4 /* so many times min_free is little */
#define INODES_LOW 10000
#define INODES_NONE 100
#define CORRUPT_MAX 1000 /* counted */

static const char *const folders[] = { "", "/incoming", "/queue", "/state", "/corrupt" };

/* Who should own it: the relay's user, or whoever runs it all. */
static bool owner_is_good(const struct doctor_local *d, uid_t owner)
{
	const struct passwd *pw = d->cfg->user ? getpwnam(d->cfg->user) : NULL;

	return owner == 0 || owner == d->world->euid || (pw && pw->pw_uid == owner);
}

/* False: the checks behind cannot look. */
static bool folder(const struct doctor_local *d, struct findings *f, const char *path)
{
	struct stat st;

	if (lstat(path, &st) != 0) {
		finding_add(f, FINDING_FAILED, "%s: %s", path, strerror(errno));
		if (errno == EACCES)
			finding_advise(f, "to look at it, run this as root");
		return false;
	}
	if (!S_ISDIR(st.st_mode)) {
		finding_add(f, FINDING_FAILED, "%s is not a directory", path);
		finding_advise(f,
			       "posthoused does not follow links here: move it away, or name another spool");
		return false;
	}
	if (st.st_mode & S_IWOTH) {
		finding_add(f, FINDING_FAILED, "%s can be written by everyone (mode %04o)", path,
			    (unsigned)st.st_mode & 07777);
		finding_advise(f,
			       "chmod o-w %s, then look at what is in it; posthoused does not start before",
			       path);
		return false;
	}
	if (!owner_is_good(d, st.st_uid)) {
		finding_add(f, FINDING_FAILED, "%s belongs to user id %ld", path, (long)st.st_uid);
		finding_advise(f, "chown it to the user of the relay (user = \"%s\"), or name another spool",
			       d->cfg->user ? d->cfg->user : "");
		return false;
	}
	return true;
}

static void count_corrupt(const struct doctor_local *d, struct findings *f)
{
	char path[4096];
	const struct dirent *entry;
	size_t count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/corrupt", d->spool);
	dir = opendir(path);
	while (dir && count < CORRUPT_MAX && (entry = readdir(dir)))
		count += entry->d_name[0] != '.' && !strstr(entry->d_name, ".reason");
	if (dir)
		closedir(dir);
	if (count > 0) {
		finding_add(f, FINDING_WARNING,
			    "%zu message%s put aside in %s/corrupt, with the reasons beside", count,
			    count == 1 ? " is" : "s are", d->spool);
		finding_advise(
			f, "posthouse queue --state corrupt lists them, posthouse-spool(5) tells what to do");
	}
}

/* What an earlier handler left there waits for ever. */
static void look_for_left(const struct doctor_local *d, struct findings *f)
{
	char path[4096];
	const struct dirent *entry;
	size_t count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/queue", d->spool);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	if (count == 0) {
		finding_add(f, FINDING_SKIPPED, "handler \"%s\" has no spool", d->cfg->handler);
		return;
	}
	finding_add(f, FINDING_WARNING,
		    "%zu message%s in %s, but handler \"%s\" has no relay that delivers what is there", count,
		    count == 1 ? " waits" : "s wait", d->spool, d->cfg->handler);
	finding_advise(f, "run posthoused with handler = \"spool\" on it until posthouse queue is empty");
}

void check_spool(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;
	char path[4096];

	if (!config_has_spool(d->cfg)) {
		look_for_left(d, f);
		return;
	}
	if (access(d->spool, F_OK) != 0 && errno == ENOENT) {
		finding_add(f, FINDING_SKIPPED, "%s does not exist yet: posthoused makes it when it starts",
			    d->spool);
		return;
	}
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", d->spool, folders[i]);
		if (!folder(d, f, path))
			return;
	}
	finding_add(f, FINDING_OK, "%s: directories, owners and modes are as they should be", d->spool);
	count_corrupt(d, f);
}

void check_filesystem(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;
	bool is_volatile, has_journal;
	const char *name;
	struct err e;

	if (d->world->filesystem(d->world->ctx, d->spool, &name, &is_volatile, &has_journal, &e) < 0) {
		finding_add(f, FINDING_WARNING, "%s", e.text);
		if (e.os_error == EACCES)
			finding_advise(f, "to look at it, run this as root");
	} else if (is_volatile) {
		finding_add(f, FINDING_WARNING,
			    "%s is on %s: queued mail is lost when this machine or container goes", d->spool,
			    name);
		finding_advise(f, "put the spool on a disk (spool = ..., or mount one there)");
	} else if (strcmp(name, "nfs") == 0) {
		finding_add(f, FINDING_WARNING,
			    "%s is on nfs: what is durable, and when, is up to its server", d->spool);
		finding_advise(f, "put the spool on a local disk");
	} else if (!has_journal) {
		finding_add(f, FINDING_OK,
			    "%s is on %s, without a journal that keeps the order of names: each message "
			    "costs two syncs",
			    d->spool, name);
	} else {
		finding_add(f, FINDING_OK, "%s is on %s", d->spool, name);
	}
}

static void inodes(struct findings *f, const struct statvfs *v)
{
	if (v->f_files == 0) /* btrfs and others make them as needed */
		return;
	if (v->f_favail < INODES_NONE) {
		finding_add(f, FINDING_FAILED, "%ju files can be made, of %ju", (uintmax_t)v->f_favail,
			    (uintmax_t)v->f_files);
		finding_advise(f,
			       "clients are answered 452: remove files there, or make a larger file system");
	} else if (v->f_favail < INODES_LOW) {
		finding_add(f, FINDING_WARNING, "only %ju files can be made, of %ju; a message is one or two",
			    (uintmax_t)v->f_favail, (uintmax_t)v->f_files);
		finding_advise(f, "remove files there, or make a larger file system");
	}
}

void check_space(void *subject, struct findings *f)
{
	const struct doctor_local *d = subject;
	uint64_t bytes, least = d->cfg->min_free_bytes;
	struct statvfs v;
	char is[16], wanted[16];

	if (d->world->statvfs(d->world->ctx, d->spool, &v) != 0) {
		finding_add(f, FINDING_FAILED, "%s: %s", d->spool, strerror(errno));
		return;
	}
	if (v.f_flag & ST_RDONLY) {
		finding_add(f, FINDING_FAILED, "%s: the file system is mounted read-only", d->spool);
		finding_advise(f, "the kernel does that after an error of the disk: look at dmesg, then "
				  "mount it read-write");
		return;
	}
	bytes = (uint64_t)v.f_bavail * v.f_frsize;
	num_format_size(bytes, is, sizeof(is));
	num_format_size(least, wanted, sizeof(wanted));
	if (bytes < least) {
		finding_add(f, FINDING_FAILED, "%s free, less than min_free (%s): clients are answered 452",
			    is, wanted);
		finding_advise(f, "make room on the file system of %s", d->spool);
	} else if (bytes < LOW_FACTOR * least) {
		finding_add(f, FINDING_WARNING, "%s free; below %s (min_free) clients are answered 452", is,
			    wanted);
		finding_advise(f, "make room on the file system of %s", d->spool);
	} else {
		finding_add(f, FINDING_OK, "%s free; %s are kept (min_free)", is, wanted);
	}
	inodes(f, &v);
}

void check_daemon(void *subject, struct findings *f)
{
	struct doctor_local *d = subject;
	struct err e;

	if (!config_has_spool(d->cfg)) {
		finding_add(f, FINDING_SKIPPED, "handler \"%s\" has no relay that could be asked",
			    d->cfg->handler);
		d->daemon = DOCTOR_DAEMON_DENIED;
		return;
	}
	d->daemon = d->world->daemon(d->world->ctx, d->spool, d->timeout_ms, &d->master, &e);
	switch (d->daemon) {
	case DOCTOR_DAEMON_RUNS:
		finding_add(f, FINDING_OK, "posthoused runs on %s (pid %ld) and answers", d->spool,
			    (long)d->master);
		return;
	case DOCTOR_DAEMON_ABSENT:
		finding_add(f, FINDING_WARNING, "posthoused does not run on %s", d->spool);
		finding_advise(f, "start it (%s%s), and look at its log for start_failed if it does not stay",
			       d->config_file ? "posthoused -f " : "posthoused",
			       d->config_file ? d->config_file : "");
		return;
	case DOCTOR_DAEMON_DENIED:
		finding_add(f, FINDING_SKIPPED, "whether posthoused runs: %s", e.text);
		return;
	case DOCTOR_DAEMON_FAILED:
		finding_add(f, FINDING_FAILED, "posthoused: %s", e.text);
		finding_advise(f, "look at its log; posthouse status says more");
		return;
	}
}

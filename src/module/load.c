/* SPDX-License-Identifier: ISC */
/*
 * The shared object: whether it may be trusted with being run, and whether it is a module. Loading runs its
 * constructors already, so everything that can be known of the file comes first.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "module/module_internal.h"

#define DESC_LEAST (offsetof(struct posthouse_module, process_message) + sizeof(void *)) /* of ABI 1 */
#define DESC_MOST 4096 /* beyond it is no size */

/* Whoever can write to it is whoever runs. */
static int check_file(const struct module_settings *settings, struct err *e)
{
	const char *path = settings->path;
	int fd = settings->fd >= 0 ? settings->fd : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int r = -1;

	if (fd < 0 || fstat(fd, &st) < 0)
		err_set_os(e, errno, "%s: cannot open this module", path);
	else if (!S_ISREG(st.st_mode))
		err_set(e, "%s: this module is no file", path);
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		err_set(e, "%s: others than its owner may write to this module: chmod go-w %s", path, path);
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		err_set(e,
			"%s: this module belongs to user id %ld, who could put any code into the service: "
			"chown root %s",
			path, (long)st.st_uid, path);
	else
		r = 0;
	if (fd >= 0 && fd != settings->fd)
		close(fd);
	return r;
}

static bool is_name(const char *name)
{
	size_t len =
		name ? strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") : 0;

	return len > 0 && len <= 32 && name[len] == '\0';
}

static int take_descriptor(struct module *m, const struct posthouse_module *desc, struct err *e)
{
	const char *path = m->settings->path;

	if (desc->abi != POSTHOUSE_MODULE_ABI) {
		err_set(e,
			"%s: this module has ABI %lu, this posthoused %d: compile it with the "
			"posthouse/module.h of "
			"this version",
			path, (unsigned long)desc->abi, POSTHOUSE_MODULE_ABI);
		return -1;
	}
	if (desc->size < DESC_LEAST || desc->size > DESC_MOST) {
		err_set(e, "%s: %lu octets cannot be the size of posthouse_module", path,
			(unsigned long)desc->size);
		return -1;
	}
	/* what a newer header has behind ours is not called; what an older one lacks stays NULL */
	memcpy(&m->desc, desc, desc->size < sizeof(m->desc) ? desc->size : sizeof(m->desc));
	if (!is_name(m->desc.name)) {
		err_set(e, "%s: the name of this module is not of 1 to 32 letters, digits, '-' and '_'",
			path);
		return -1;
	}
	if (!m->desc.open) {
		err_set(e, "%s: module \"%s\" has no open()", path, m->desc.name);
		return -1;
	}
	if (strcmp(m->settings->handler, "module") == 0 && !m->desc.process_message) {
		err_set(e, "%s: module \"%s\" has no process_message(), which handler = \"module\" needs",
			path, m->desc.name);
		return -1;
	}
	return 0;
}

int module_load(struct module *m, struct err *e)
{
	const char *path = m->settings->path, *why;
	const struct posthouse_module *desc;
	char name[40];

	if (check_file(m->settings, e) < 0)
		return -1;
	/* without /proc, by its name */
	snprintf(name, sizeof(name), "/proc/self/fd/%d", m->settings->fd);
	if (m->settings->fd >= 0 && access(name, R_OK) == 0)
		path = name;
	/* all symbols now: not in the middle of a session */
	m->object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!m->object) {
		why = dlerror();
		err_set(e, "%s: cannot load this module: %s", m->settings->path,
			why ? why : "no reason given");
		return -1;
	}
	path = m->settings->path;
	desc = dlsym(m->object, "posthouse_module");
	if (!desc) {
		err_set(e, "%s: this is no module: it has no symbol posthouse_module", path);
		return -1;
	}
	return take_descriptor(m, desc, e);
}

void module_unload(struct module *m)
{
	if (m->object)
		dlclose(m->object);
	m->object = NULL;
}

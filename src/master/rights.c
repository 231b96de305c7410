/* SPDX-License-Identifier: ISC */
/* See rights.h. */
#include "master/rights.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"

int rights_of_user(struct rights *r, const char *user, struct err *e)
{
	struct passwd *pw;

	memset(r, 0, sizeof(*r));
	errno = 0;
	pw = getpwnam(user);
	if (!pw && errno != 0) {
		err_set_os(e, errno, "user \"%s\": cannot look it up", user);
		return -1;
	}
	if (!pw) {
		err_set(e, "user \"%s\" does not exist: useradd --system --user-group --no-create-home --shell /usr/sbin/nologin %s",
			user, user);
		return -1;
	}
	if (pw->pw_uid == 0) {
		err_set(e, "user \"%s\" is root: name one with less rights", user);
		return -1;
	}
	r->change = true;
	r->uid = pw->pw_uid;
	r->gid = pw->pw_gid;
	return 0;
}

int rights_of_group(gid_t *gid, const char *group, struct err *e)
{
	struct group *gr;

	errno = 0;
	gr = getgrnam(group);
	if (!gr && errno != 0) {
		err_set_os(e, errno, "group \"%s\": cannot look it up", group);
		return -1;
	}
	if (!gr) {
		err_set(e, "group \"%s\" does not exist: groupadd --system %s", group, group);
		return -1;
	}
	*gid = gr->gr_gid;
	return 0;
}

void rights_add_group(struct rights *r, gid_t gid)
{
	ASSERT(r->extra_count < RIGHTS_EXTRA_MAX);
	r->extra_gid[r->extra_count++] = gid;
}

void rights_add_groups_of(struct rights *r, const char *user)
{
	gid_t gid[RIGHTS_EXTRA_MAX];
	int count = RIGHTS_EXTRA_MAX;

	/* -1: there are more; those that fit are there */
	if (getgrouplist(user, r->gid, gid, &count) < 0)
		count = RIGHTS_EXTRA_MAX;
	for (int i = 0; i < count && r->extra_count < RIGHTS_EXTRA_MAX; i++)
		if (gid[i] != r->gid)
			rights_add_group(r, gid[i]);
}

/*
 * Started with capabilities and not as root (systemd's AmbientCapabilities=): they were for listening, which is done.
 * Nobody that we execute has them any more; we neither, where a filter of system calls does not forbid to give up what
 * it takes for a privilege (systemd's @privileged does).
 */
static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	(void)syscall(SYS_capset, &header, none);
}

int rights_drop(const struct rights *r, struct err *e)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		err_set_os(e, errno, "cannot give up new privileges");
		return -1;
	}
	if (!r->change) {
		if (geteuid() != 0) /* root that stays root was told to */
			drop_capabilities();
		return 0;
	}
	if (setgroups(r->extra_count, r->extra_gid) < 0 ||
	    setresgid(r->gid, r->gid, r->gid) < 0 || setresuid(r->uid, r->uid, r->uid) < 0) {
		err_set_os(e, errno, "cannot become user id %ld", (long)r->uid);
		return -1;
	}
	if (setresuid(0, 0, 0) == 0 || geteuid() != r->uid || getegid() != r->gid) {
		err_set(e, "user id %ld could still become root", (long)r->uid);
		return -1;
	}
	return 0;
}

/* SPDX-License-Identifier: ISC */
/* See rights.h. */
#include "master/rights.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int rights_of_user(struct rights *r, const char *user, struct err *e)
{
	struct passwd *pw;

	memset(r, 0, sizeof(*r));
	r->extra_gid = (gid_t)-1;
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

int rights_drop(const struct rights *r, struct err *e)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		err_set_os(e, errno, "cannot give up new privileges");
		return -1;
	}
	if (!r->change)
		return 0;
	if (setgroups(r->extra_gid == (gid_t)-1 ? 0 : 1, &r->extra_gid) < 0 ||
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

/* SPDX-License-Identifier: ISC */
/* filter.h and watch.h of a program that was built without libseccomp: there is no filter, and that is said. */
#include "sandbox/filter.h"
#include "sandbox/watch.h"

#include <stddef.h>

bool sandbox_filter_is_built(void)
{
	return false;
}

bool sandbox_filter_can_notify(void)
{
	return false;
}

struct sandbox_filter *sandbox_filter_new(unsigned calls, enum sandbox_mode mode, bool notify, struct err *e)
{
	(void)calls;
	(void)mode;
	(void)notify;
	err_set(e, "this program was built without libseccomp");
	return NULL;
}

void sandbox_filter_free(struct sandbox_filter *f)
{
	(void)f;
}

int sandbox_filter_enter(const struct sandbox_filter *f, int *listener, struct err *e)
{
	(void)f;
	*listener = -1;
	err_set(e, "this program was built without libseccomp");
	return -1;
}

const char *sandbox_call_name(uint32_t arch, int number)
{
	(void)arch;
	(void)number;
	return "?";
}

struct sandbox_watch *sandbox_watch_new(void (*report)(void *ctx, const struct sandbox_violation *v),
					void *ctx, struct err *e)
{
	(void)report;
	(void)ctx;
	err_set(e, "this program was built without libseccomp");
	return NULL;
}

void sandbox_watch_free(struct sandbox_watch *w)
{
	(void)w;
}

int sandbox_watch_fd(const struct sandbox_watch *w)
{
	(void)w;
	return -1;
}

void sandbox_watch_run(struct sandbox_watch *w)
{
	(void)w;
}

int sandbox_watch_hand_over(struct sandbox_watch *w, const struct sandbox_subject *subject, int listener,
			    struct err *e)
{
	(void)w;
	(void)subject;
	(void)listener;
	err_set(e, "this program was built without libseccomp");
	return -1;
}

void sandbox_watch_leave(struct sandbox_watch *w)
{
	(void)w;
}

void sandbox_watch_each(struct sandbox_watch *w,
			void (*each)(void *ctx, const struct sandbox_subject *s, int listener), void *ctx)
{
	(void)w;
	(void)each;
	(void)ctx;
}

int sandbox_watch_add(struct sandbox_watch *w, const struct sandbox_subject *s, int listener, struct err *e)
{
	(void)w;
	(void)s;
	(void)listener;
	err_set(e, "this program was built without libseccomp");
	return -1;
}

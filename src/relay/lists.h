/* SPDX-License-Identifier: ISC */
/*
 * Recipients that are mailing lists (routes.lists, manage/route.h): who answers
 * that, learns it from a Mailman while the relay runs (daemon/relay_lists.c).
 * The relay keeps whom nobody can judge yet waiting and asks again when told
 * that something changed.
 */
#ifndef RELAY_LISTS_H
#define RELAY_LISTS_H

struct event_base;
struct json_t; /* jansson's */
struct upstream;

struct relay_lists_ops {
	/*
	 * In the relay's event loop; changed() is called from there, never from inside these functions or
	 * from ask.
	 */
	void (*start)(void *c, struct event_base *base, struct upstream *client, void (*changed)(void *ctx), void *ctx);
	void (*stop)(void *c);
	/* Why it cannot be found out now; NULL: nothing is wrong. Valid until the next changed(). */
	const char *(*trouble)(void *c);
	struct json_t *(*describe)(void *c); /* for the status: an object */
};

struct relay_lists {
	const struct relay_lists_ops *ops;
	void *c;
};

#endif

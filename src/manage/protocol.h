/* SPDX-License-Identifier: ISC */
/*
 * What `posthouse` and the relay say to each other on two unix sockets in the
 * spool directory: SPOOL/view (group view_group: looking) and SPOOL/control
 * (group control_group: looking and changing). JSON lines both ways
 * (posthouse-json(5) has the schema): a request is one object on one line, the answer
 * any number of objects, the last of which has "end": true, and "error": "..." when it failed.
 * The relay takes the next request of a connection when the answer before was read.
 *
 *   {"ask":"status"}                    one object: processes, workers, upstreams, queue, rates
 *   {"ask":"flight"}                    {"flight":[...]}: the messages being sent now: {"id","upstream","remote",
 *                                       "since"}
 *   {"ask":"ids"}                       all ids the relay knows: {"ids":[...]} as many lines as it takes
 *   {"ask":"open","ids":[...]}          for who may not read the spool: {"id":...,"message":BOOL,"state":BOOL} for
 *                                       each in order, and with the octets of that line the descriptors (read only)
 *                                       of what is true, message first, by SCM_RIGHTS; at most PROTOCOL_OPEN_MAX ids
 *   {"ask":"lists"}                     {"lists":BOOL} and, if true, the descriptor of SPOOL/lists (mailman/directory.h)
 *   {"ask":"watch"}                     {"watching":true}, then log events of all processes as they happen, until
 *                                       the asker goes: {"event":...,"time_ms":EPOCH,KEY:"VALUE"...}.
 *                                       {"event":"watch_lost","lines":N}: so many could not be told
 *   {"do":"hold","ids":[...],"reason":"..."}   any action (manage/action.h); at most ACTION_BATCH_MAX ids, each once;
 *                                       {"id","result","in_flight","next_attempt","report","error"} a message.
 *                                       reroute has "upstream":"main"|null too, requeue may
 *   {"do":"suspend","upstream":"main"|null,"until":EPOCH|null,"reason":"..."}   {"do":"resume","upstream":...}
 *   {"do":"probe","upstream":...|null}  ends the pause of an upstream that is down: it is asked now
 *
 * "reason" and "until" may be left out; any other key is an error, and so is one that comes twice. Who asks
 * is known by SO_PEERCRED. Ceilings: PROTOCOL_LINE_MAX a request, a bounded number of connections, a deadline
 * for an unfinished request, a bounded queue of what a slow reader has not taken (then it is cut off).
 */
#ifndef MANAGE_PROTOCOL_H
#define MANAGE_PROTOCOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "manage/action.h"
#include "spool/id.h"

#define PROTOCOL_VIEW_SOCKET "view"
#define PROTOCOL_CONTROL_SOCKET "control"
#define PROTOCOL_LINE_MAX (64u << 10)
#define PROTOCOL_OPEN_MAX 64
#define PROTOCOL_REASON_MAX 500 /* octets */
#define PROTOCOL_UPSTREAM_MAX 255

enum protocol_verb {
	PROTOCOL_STATUS,
	PROTOCOL_FLIGHT,
	PROTOCOL_IDS,
	PROTOCOL_OPEN,
	PROTOCOL_LISTS,
	PROTOCOL_WATCH,
	PROTOCOL_ACTION,
	PROTOCOL_SUSPEND,
	PROTOCOL_RESUME,
	PROTOCOL_PROBE
};

struct protocol_request {
	enum protocol_verb verb;
	enum action action; /* ACTION */
	struct spool_id *id; /* OPEN, ACTION: at least one, each once; owned */
	size_t id_count;
	const char *reason; /* NULL: none; inside json, like upstream */
	const char *upstream; /* NULL: all, or (reroute, requeue) by the rules */
	int64_t until_wall_us; /* SUSPEND; 0: until resumed */
	json_t *json; /* owned */
};

/* "do" and not "ask": only on the control socket. */
bool protocol_is_change(enum protocol_verb verb);
/* One line, without its newline. Pure. 0: release it; -1 and e: what is wrong with it. */
int protocol_parse(struct protocol_request *r, const char *line, size_t len, struct err *e);
void protocol_request_release(struct protocol_request *r);

/*
 * A log line as the object of "watch"; NULL: it is not key=value. line is overwritten; line[len] must exist.
 */
json_t *protocol_event(char *line, size_t len, int64_t now_wall_us);

/* An item of an order as the object of the answer, and back (-1: it is none). */
json_t *protocol_result(const struct action_item *item);
int protocol_parse_result(const json_t *o, struct action_item *item);

#endif

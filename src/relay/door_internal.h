/* SPDX-License-Identifier: ISC */
/* What door.c (sockets, connections, deadlines), door_answer.c and door_watch.c share. */
#ifndef RELAY_DOOR_INTERNAL_H
#define RELAY_DOOR_INTERNAL_H

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "manage/protocol.h"
#include "relay/door.h"

enum door_socket { DOOR_VIEW, DOOR_CONTROL };
#define DOOR_SOCKETS 2

enum conn_mode {
	CONN_READING, /* between answers, or the answer is all in the output */
	CONN_SENDING_IDS,
	CONN_SENDING_FILES,
	CONN_WATCHING,
	CONN_CLOSING /* what is in the output is its last */
};

struct door_conn {
	struct door *door;
	struct door_conn *next;
	struct bufferevent *bev;
	enum door_socket socket;
	uid_t uid;
	char by[32]; /* "uid=1000" */
	enum conn_mode mode;
	bool at_eof; /* the asker has said all; what it asked for is still answered */
	struct event *deadline;
	bool request_begun; /* the deadline is that of a half request */
	unsigned char (*ids)[10]; /* SENDING_IDS: packed; owned */
	size_t id_count, id_next;
	struct protocol_request open; /* SENDING_FILES */
	size_t open_next;
	struct event *writable; /* SENDING_FILES: the socket is full */
};

struct door {
	struct door_setup setup;
	struct event_base *base;
	struct evconnlistener *listener[DOOR_SOCKETS];
	struct event *accept_again; /* after descriptors had run out */
	struct event *lines; /* of the other processes */
	struct door_conn *conns;
	unsigned watchers, id_streams;
	uint64_t lost_told;
};

/* ---- door.c ---- */

/* Appends an object and a newline to the output; the reference is stolen. */
void conn_send(struct door_conn *c, json_t *o);
void conn_send_end(struct door_conn *c); /* {"end":true} */
void conn_send_error(struct door_conn *c, const char *text); /* ends the answer */
/* Nothing more is read; it is closed when its output is gone, or soon. */
void conn_close_soon(struct door_conn *c);
void conn_free(struct door_conn *c);
/* It is in mode READING again: takes what waits in the input. May free it. */
void conn_work(struct door_conn *c);

/* ---- door_answer.c ---- */

/* One line of the input, in mode READING with an empty output. */
void answer_line(struct door_conn *c, const char *line, size_t len);
/* The output is empty: more of an answer that is sent in pieces. */
void answer_more(struct door_conn *c);

/* ---- door_watch.c ---- */

int watch_open(struct door *d, struct err *e);
void watch_close(struct door *d);
void watch_begin(struct door_conn *c);
void watch_end(struct door_conn *c); /* it leaves mode WATCHING */

#endif

/* SPDX-License-Identifier: ISC */
/* A door to a relay that is played, on a spool in a temporary folder, and an asker in the same process. */
#ifndef TESTS_DOOR_WORLD_H
#define TESTS_DOOR_WORLD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/door.h"
#include "spool/id.h"
#include "spool/spool.h"

#define PATIENCE_MS 20000
#define WORLD_FOLDER "/tmp/posthouse-door-XXXXXX" /* the spool is in it */

extern char dir[400]; /* the spool */
extern struct spool spool;
extern struct event_base *base;
extern struct door *the_door;
extern struct door_setup door_setup;
extern int events[2]; /* [1]: where other processes send their lines */
extern _Atomic bool watched;
extern _Atomic uint64_t lost;
extern size_t id_total; /* how many messages it says it knows */
extern char told[2000]; /* what the relay was told to do */

void id_of(size_t i, struct spool_id *id); /* of its i-th message */
void open_spool(const char *below);
void open_door(void);
void setup(void);
void teardown(void);

struct asker {
	int fd;
	char *data; /* what was received; NUL terminated */
	size_t len, cap;
	bool at_end;
};

void turn(void); /* the event loop, once */
void ask_open(struct asker *a, const char *name);
void ask_close(struct asker *a);
void ask_send(struct asker *a, const char *text);
void take(struct asker *a); /* what is there */
/* Turns the loop until the text is there, or (NULL) the end; all that was received. */
const char *ask_wait(struct asker *a, const char *until);
const char *answer_to(struct asker *a, const char *request);
size_t count(const char *text, char c);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * What `posthouse` and the relay say to each other on two unix sockets in the
 * spool directory: SPOOL/view (group view_group: looking) and SPOOL/control
 * (group control_group: looking and changing). JSON lines both ways
 * (posthouse-json(5) has the schema): a request is one object on one line, the answer
 * any number of objects, the last of which has "end": true, or "error": "...".
 *
 *   {"ask":"status"}                    one object: processes, workers, upstreams, queue, rates
 *   {"ask":"flight"}                    the messages being sent now: {"id","upstream","remote","since"}
 *   {"ask":"ids"}                       all ids the relay knows: {"ids":[...]} as many lines as it takes
 *   {"ask":"open","ids":[...]}          for who may not read the spool: the descriptors (read only) of message
 *                                       and state, by SCM_RIGHTS; at most PROTOCOL_OPEN_MAX ids
 *   {"ask":"watch"}                     log events of all processes as they happen, until the asker goes
 *   {"do":"hold","ids":[...],"reason":"..."}   any action (manage/action.h); at most ACTION_BATCH_MAX ids;
 *                                       {"id","result",...} a message
 *   {"do":"suspend","upstream":"main"|null,"until":EPOCH|null,"reason":"..."}   {"do":"resume","upstream":...}
 *   {"do":"probe","upstream":...|null}  ends the pause of an upstream that is down: it is asked now
 *
 * Who asks is known by SO_PEERCRED. Ceilings: PROTOCOL_LINE_MAX a request, a bounded number of connections,
 * a deadline for an unfinished request, a bounded queue of what a slow reader has not taken (then it is cut off).
 */
#ifndef MANAGE_PROTOCOL_H
#define MANAGE_PROTOCOL_H

#define PROTOCOL_VIEW_SOCKET "view"
#define PROTOCOL_CONTROL_SOCKET "control"
#define PROTOCOL_LINE_MAX (64u << 10)
#define PROTOCOL_OPEN_MAX 64

#endif

/* SPDX-License-Identifier: ISC */
/*
 * What a worker's sessions tell: a log line each, the counters and the present verb of the scoreboard, the
 * process title. Strangers' text reaches the log through base/log.h only, which escapes it.
 */
#include "daemon/worker_internal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/proctitle.h"
#include "figures/figures.h"

static void on_verb(void *ctx, const char *verb)
{
	struct worker *w = ctx;

	scoreboard_note(w->start->slot, NULL, verb);
	/* after AUTH or XCLIENT it is another */
	if (!*verb)
		atomic_store(&w->start->slot->wait.rank, access_rank(&w->access));
	else
		figures_add(FIGURE_COMMANDS, figure_word(FIGURE_COMMANDS, 0, verb, strlen(verb)), 0, 1);
}

static void on_content(void *ctx, size_t octets)
{
	struct worker *w = ctx;

	atomic_fetch_add(&w->start->slot->wait.content_octets, octets);
}

/* What protects the present session, if anything does. (Mail of the outbox has no stream.) */
static void add_tls(const struct worker *w, struct log_line *line)
{
	const struct session_tls *tls = w->in_session ? stream_tls_of(&w->stream) : NULL;

	if (!tls)
		return;
	log_str(line, "tls", tls->version);
	log_str(line, "cipher", tls->cipher);
	log_str(line, "fingerprint", tls->fingerprint);
}

static void count_accepted(const struct envelope *env, uint64_t size_bytes)
{
	unsigned listener = figures_find(FIGURES_LISTENERS, env->listener);

	figures_add(FIGURE_MESSAGES_ACCEPTED, listener, 0, 1);
	figures_add(FIGURE_RECIPIENTS_ACCEPTED, listener, 0, env->rcpt_count);
	figures_observe(FIGURE_MESSAGE_BYTES, 0, (int64_t)size_bytes);
	figures_observe(FIGURE_RECEIVE_SECONDS, 0, clock_wall_us() - env->arrived_wall_us);
}

static void on_accepted(void *ctx, const struct envelope *env, uint64_t size_bytes,
			const struct smtp_reply *reply)
{
	struct worker *w = ctx;
	struct log_line line;

	(void)reply;
	w->messages++;
	client_wait_new_episode(&w->start->slot->wait);
	atomic_fetch_add(&w->start->slot->accepted, 1);
	count_accepted(env, size_bytes);
	log_begin(&line, LOG_LEVEL_INFO, "accepted");
	if (env->id[0])
		log_str(&line, "id", env->id);
	log_str(&line, "peer", env->peer);
	log_str(&line, "listener", env->listener);
	log_str(&line, "helo", env->helo);
	log_str(&line, "proto", env->protocol);
	log_str(&line, "from", env->sender);
	log_int(&line, "rcpts", (int64_t)env->rcpt_count);
	if (env->rcpt_count == 1)
		log_str(&line, "to", env->rcpt[0].address);
	add_tls(w, &line);
	if (env->auth_user)
		log_str(&line, "user", env->auth_user);
	log_int(&line, "size", (int64_t)size_bytes);
	if (env->hold)
		log_str(&line, "hold", env->hold);
	log_seconds(&line, "took", (clock_wall_us() - env->arrived_wall_us) / 1000);
	log_end(&line);
}

/* What the refusal came from, once: "sender_access:12", "client_connections" ... */
static void add_rule(struct worker *w, struct log_line *line)
{
	if (w->access.rule[0])
		log_str(line, "rule", w->access.rule);
	w->access.rule[0] = '\0';
}

static void count_rejected(const struct worker *w, const struct smtp_reply *reply)
{
	const char *rule = w->access.rule[0] ? w->access.rule : "session";
	char code[12];

	snprintf(code, sizeof(code), "%d", reply->code);
	figures_add(FIGURE_REJECTIONS, figure_word(FIGURE_REJECTIONS, 0, rule, strcspn(rule, ":")),
		    figure_word(FIGURE_REJECTIONS, 1, code, strlen(code)), 1);
}

/*
 * Who is refused something has that for nothing, and a line costs us: of a flood there are some in each second, and
 * how many there were more.
 */
static bool is_worth_a_line(struct worker *w, enum scoreboard_lines about)
{
	w->unsaid = !scoreboard_may_log(w->start->board, about, clock_mono_ms());
	return !w->unsaid;
}

/* verb "": instead of the greeting */
static enum scoreboard_lines lines_of(const char *verb, const struct smtp_reply *reply)
{
	bool is_no_command = reply->code >= 500 && reply->code <= 504; /* RFC 5321 4.2.2: syntax, order */

	return !*verb || is_no_command ? LINES_OF_TALK : LINES_OF_MAIL;
}

static void on_rejected(void *ctx, const struct envelope *env, const char *verb, const char *text, size_t len,
			const struct smtp_reply *reply)
{
	struct worker *w = ctx;
	struct log_line line;
	struct buf oneline;

	atomic_fetch_add(&w->start->slot->rejected, 1);
	count_rejected(w, reply);
	if (!is_worth_a_line(w, lines_of(verb, reply)))
		return;
	buf_init(&oneline, 2 * SMTP_REPLY_TEXT_MAX);
	smtp_reply_oneline(reply, &oneline);
	log_begin(&line, LOG_LEVEL_INFO, "rejected");
	log_str(&line, "peer", env->peer);
	log_str(&line, "listener", env->listener);
	log_str(&line, "helo", env->helo);
	log_str(&line, "verb", verb);
	log_str(&line, "user", env->auth_user);
	log_str(&line, "from", env->sender);
	add_rule(w, &line);
	log_str(&line, "reply", oneline.data);
	log_strn(&line, "line", text, len < 300 ? len : 300);
	log_end(&line);
	buf_release(&oneline);
}

static void on_peer(void *ctx, const char *text)
{
	struct worker *w = ctx;

	snprintf(w->peer.text, sizeof(w->peer.text), "%s", text);
	scoreboard_note(w->start->slot, text, NULL);
	proctitle_set("worker %s", text);
}

/* Those of strangers fail all the time: no more than a line, and no error of ours. */
void worker_log_handshake(struct worker *w, const struct session_tls *tls, const struct err *why)
{
	struct log_line line;

	if (tls)
		figures_add(FIGURE_TLS_SESSIONS,
			    figure_word(FIGURE_TLS_SESSIONS, 0, tls->version, strlen(tls->version)),
			    tls->resumed, 1);
	else
		figures_add(FIGURE_TLS_FAILURES, w->figure, 0, 1);
	if (!tls && !is_worth_a_line(w, LINES_OF_TALK))
		return;
	if (tls) {
		log_begin(&line, LOG_LEVEL_DEBUG, "tls");
		log_str(&line, "peer", w->peer.text);
		add_tls(w, &line);
		log_str(&line, "name", tls->server_name);
		log_int(&line, "resumed", tls->resumed);
		if (tls->fingerprint)
			log_int(&line, "verified", tls->verified);
	} else {
		log_begin(&line, LOG_LEVEL_INFO, "tls_failed");
		log_str(&line, "peer", w->peer.text);
		log_str(&line, "listener", w->listener);
		log_str(&line, "reason", why->text);
	}
	log_end(&line);
}

static void on_tls(void *ctx, const struct session_tls *tls, const struct err *why)
{
	worker_log_handshake(ctx, tls, why);
}

static void on_trace(void *ctx, bool from_client, const char *text, size_t len)
{
	struct worker *w = ctx;
	struct log_line line;

	log_begin(&line, LOG_LEVEL_DEBUG, "dialogue");
	log_str(&line, "peer", w->peer.text);
	log_strn(&line, from_client ? "received" : "sent", text, len);
	log_end(&line);
}

void worker_listen_to_sessions(struct worker *w)
{
	w->events =
		(struct session_events){ .verb = on_verb,
					 .accepted = on_accepted,
					 .content = on_content,
					 .rejected = on_rejected,
					 .peer = on_peer,
					 .tls = on_tls,
					 .trace = log_wants(LOG_LEVEL_DEBUG, "dialogue") ? on_trace : NULL,
					 .ctx = w };
}

/* ---- outside of the dialogue ---------------------------------------------------------- */

/* How a session ended, where nothing else in the log tells of it, and not in a flood. */
static bool is_end_worth_a_line(struct worker *w, enum session_end end)
{
	switch (end) {
	case SESSION_QUIT:
	case SESSION_LOST:
	case SESSION_TLS_FAILED:
	case SESSION_SHED: /* these come in crowds: the master has a line for them together */
		return false;
	case SESSION_TIMED_OUT:
	case SESSION_TOO_MANY_ERRORS:
		return !w->unsaid && (w->messages > 0 || is_worth_a_line(w, LINES_OF_TALK));
	case SESSION_STOPPED:
	case SESSION_REFUSED: /* there was a line about that */
		break;
	}
	return !w->unsaid;
}

void worker_log_session(struct worker *w, enum session_end end, int64_t began_mono_ms)
{
	const char *name = session_end_name(end);
	struct log_line line;

	figures_add(FIGURE_SESSIONS, w->figure, figure_word(FIGURE_SESSIONS, 1, name, strlen(name)), 1);
	figures_observe(FIGURE_SESSION_SECONDS, w->figure, (clock_mono_ms() - began_mono_ms) * 1000);
	log_begin(&line, is_end_worth_a_line(w, end) ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "session");
	log_str(&line, "peer", w->peer.text);
	log_str(&line, "end", session_end_name(end));
	log_int(&line, "messages", w->messages);
	log_seconds(&line, "took", clock_mono_ms() - began_mono_ms);
	log_end(&line);
}

void worker_log_proxy_failed(struct worker *w, const struct err *why)
{
	struct log_line line;

	/* a proxy's checks whether we are there, or all its clients while it is set up wrongly */
	if (!is_worth_a_line(w, LINES_OF_TALK))
		return;
	log_begin(&line, LOG_LEVEL_WARNING, "proxy_failed");
	log_str(&line, "peer", w->peer.text);
	log_str(&line, "listener", w->listener);
	log_str(&line, "reason", why->text);
	log_end(&line);
}

void worker_log_flush(const struct worker *w, const char *name)
{
	struct log_line line;

	log_begin(&line, LOG_LEVEL_INFO, "flush_asked");
	log_str(&line, "peer", w->peer.text);
	log_str(&line, "listener", w->listener);
	log_str(&line, "node", name);
	log_end(&line);
}

void worker_log_refused(struct worker *w, const struct smtp_reply *reply)
{
	struct envelope env;

	envelope_init(&env);
	envelope_set(&env.peer, w->peer.text, strlen(w->peer.text));
	envelope_set(&env.listener, w->listener, strlen(w->listener));
	on_rejected(w, &env, "", "", 0, reply);
	envelope_release(&env);
}

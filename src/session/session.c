/* SPDX-License-Identifier: ISC */
/*
 * The loop of a session: greeting, commands, farewell; replies out, input in,
 * deadlines. What a command means stands in verb_*.c.
 *
 * Bytes that a client sent before it saw the greeting or the answer to EHLO
 * are not special: nothing it could say earlier counts for more than what it
 * says later, since each command is judged in the state in which its turn
 * comes.
 */
#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "session/session_internal.h"

#define OUT_MAX 65536 /* more than any one reply and what is gathered before it */
#define FAREWELL_MS 2000 /* for the last words to a client that may not be listening */

int64_t session_deadline_in(int64_t timeout_ms)
{
	int64_t now = clock_mono_ms();

	return timeout_ms > 0 && timeout_ms < CLOCK_NEVER - now ? now + timeout_ms : CLOCK_NEVER;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void session_finish(struct session *s, enum session_end end)
{
	if (!s->over)
		s->end = end;
	s->over = true;
}

static void tell_verb(const struct session *s, const char *verb)
{
	if (s->events && s->events->verb)
		s->events->verb(s->events->ctx, verb);
}

bool session_fill(struct session *s, int64_t deadline_mono_ms)
{
	int64_t deadline = earlier(deadline_mono_ms, earlier(s->session_deadline, s->message_deadline));
	enum io_result result = IO_TIMEOUT;
	size_t room, got = 0;
	char *at;

	if (s->over || !session_flush(s))
		return false;
	room = input_room(&s->in, &at);
	/* asked here too: where there is always something to read nobody waits for a deadline */
	if (clock_mono_ms() < deadline)
		result = s->io->ops->read(s->io, at, room, deadline, &got);
	switch (result) {
	case IO_OK:
		input_added(&s->in, got);
		return true;
	case IO_EOF:
	case IO_ERROR:
		session_finish(s, SESSION_LOST);
		return false;
	case IO_TIMEOUT:
		session_hang_up(s, SESSION_TIMED_OUT, "4.4.2", "Error: timeout exceeded, closing connection");
		return false;
	case IO_SHED:
		session_shed(s);
		return false;
	case IO_STOP:
		break;
	}
	session_hang_up(s, SESSION_STOPPED, "4.3.2", "Service shutting down, closing connection");
	return false;
}

void session_begin_transaction(struct session *s)
{
	s->state = COMMAND_MAIL;
	s->message_deadline = session_deadline_in(s->cfg->message_timeout_ms);
	s->io->ops->interruptible(s->io, false);
}

void session_end_transaction(struct session *s, bool told_handler)
{
	if (!(s->state & COMMAND_TRANSACTION))
		return;
	if (!told_handler)
		s->handler->ops->abort(s->handler);
	envelope_reset(&s->env);
	rcpt_set_release(&s->rcpts);
	s->rcpt_refused = false;
	s->state = COMMAND_GREETED;
	s->message_deadline = CLOCK_NEVER;
	s->io->ops->interruptible(s->io, true);
}

bool session_wants_content(const struct session *s, struct smtp_reply *refusal)
{
	if (s->state != COMMAND_MAIL)
		return true;
	if (s->rcpt_refused)
		smtp_reply_set(refusal, 554, "5.5.1", "Error: no valid recipients");
	else
		smtp_reply_set(refusal, 503, "5.5.1", "Error: need RCPT command");
	return false;
}

struct session_client session_client(const struct session *s)
{
	return (struct session_client){
		.peer = s->peer, .tls = session_tls(s), .helo = s->env.helo, .auth_user = s->env.auth_user
	};
}

bool session_may_relay(const struct session *s)
{
	struct session_client client = session_client(s);

	return s->cfg->policy && s->cfg->policy->ops->may_relay(s->cfg->policy, &client);
}

void session_start_over(struct session *s)
{
	session_end_transaction(s, false);
	s->state = COMMAND_START;
	s->extended = false;
	envelope_set(&s->env.helo, "", 0);
	free(s->env.auth_user);
	s->env.auth_user = NULL;
	s->in.line_max = INPUT_LINE_MAX;
}

/* smtpd repeats the command in upper case; strangers' octets become '?' in smtp_reply_set. */
static void reply_unknown(struct session *s, const struct command *cmd)
{
	char name[41];
	size_t len = cmd->name_len < sizeof(name) ? cmd->name_len : sizeof(name) - 1;

	if (s->hidden) {
		session_reply(s, 500, "5.5.2", "Error: command not recognized");
		return;
	}
	for (size_t i = 0; i < len; i++)
		name[i] = cmd->name[i] >= 'a' && cmd->name[i] <= 'z' ? (char)(cmd->name[i] - 'a' + 'A')
								     : cmd->name[i];
	name[len] = '\0';
	session_reply(s, 500, "5.5.2", "Error: command \"%s\" not recognized", name);
}

static bool is_protected(const struct session *s, const struct command_verb *verb, struct smtp_reply *refusal)
{
	if (s->cfg->tls != SESSION_TLS_REQUIRED || (verb->flags & COMMAND_IN_CLEAR) || session_tls(s))
		return true;
	smtp_reply_set(refusal, 530, "5.7.0", "Must issue a STARTTLS command first");
	return false;
}

/* The states of the table and the presence of an argument; what stands against the command otherwise. */
static bool is_in_order(const struct session *s, const struct command_verb *verb, size_t arg_len,
			struct smtp_reply *refusal)
{
	if (!(verb->states & s->state) && s->state == COMMAND_START)
		smtp_reply_set(refusal, 503, "5.5.1", "Error: send HELO first");
	else if (s->state == COMMAND_BDAT && (verb->states & COMMAND_RCPT) && !(verb->states & COMMAND_BDAT))
		smtp_reply_set(refusal, 503, "5.5.1", "Error: no %s after BDAT", verb->name); /* RFC 3030 2 */
	else if (!(verb->states & s->state))
		smtp_reply_set(refusal, 503, "5.5.1", "Error: %s", verb->out_of_order);
	else if ((verb->argument == COMMAND_NO_ARGUMENT && arg_len > 0) ||
		 (verb->argument == COMMAND_NEEDS_ARGUMENT && arg_len == 0))
		session_set_syntax(s, verb, NULL, refusal);
	else
		return true;
	return false;
}

static void refuse(struct session *s, const struct command *cmd, const struct smtp_reply *refusal)
{
	if (cmd->verb->flags & COMMAND_OCTETS)
		bdat_refuse(s, cmd->arg, cmd->arg_len, refusal);
	else
		session_send(s, refusal);
}

static void dispatch(struct session *s, const struct command *cmd)
{
	const struct command_verb *verb = cmd->verb;
	const char *arg = cmd->arg;
	size_t len = cmd->arg_len;
	struct smtp_reply refusal;

	if (!is_protected(s, verb, &refusal))
		refuse(s, cmd, &refusal);
	else if (hooks_take(s, verb, HOOK_FIRST, &arg, &len))
		return;
	else if (!is_in_order(s, verb, len, &refusal))
		refuse(s, cmd, &refusal);
	else if (hooks_take(s, verb, HOOK_IN_ORDER, &arg, &len))
		return;
	else if (verb->run)
		verb->run(s, arg, len);
	else
		reply_unknown(s, cmd);
}

/*
 * What is no command, but may have a password in it: AUTH written wrongly, or what follows it in some
 * clients.
 */
static bool may_be_secret(const struct session *s)
{
	size_t blanks = 0;

	while (blanks < s->line_len && (s->line[blanks] == ' ' || s->line[blanks] == '\t'))
		blanks++;
	return s->secret_may_follow ||
	       (s->line_len - blanks >= 4 && strncasecmp(s->line + blanks, "AUTH", 4) == 0);
}

/* Anything else may be the secret, in the wrong place: base64 is longer, or has letters of both cases. */
static bool looks_like_mechanism(const char *word, size_t len)
{
	bool upper = false, lower = false;

	for (size_t i = 0; i < len; i++) {
		bool is_upper = word[i] >= 'A' && word[i] <= 'Z', is_lower = word[i] >= 'a' && word[i] <= 'z';

		if (!is_upper && !is_lower && word[i] != '-' && word[i] != '_' &&
		    (word[i] < '0' || word[i] > '9'))
			return false;
		upper = upper || is_upper;
		lower = lower || is_lower;
	}
	return len <= 20 && !(upper && lower); /* RFC 4422 3.1 */
}

/*
 * What is known of the line in log and trace: all of it, but of AUTH the mechanism at most. Also of lines
 * that are not obeyed: they are in the log more than others.
 */
static void show_line(struct session *s, const struct command *cmd)
{
	s->hidden = cmd->verb ? (cmd->verb->flags & COMMAND_SECRET) != 0 : may_be_secret(s);
	if (s->hidden && cmd->verb) {
		const char *space = memchr(cmd->arg, ' ', cmd->arg_len);
		size_t word = space ? (size_t)(space - cmd->arg) : cmd->arg_len;
		bool named = looks_like_mechanism(cmd->arg, word);

		snprintf(s->shown, sizeof(s->shown), "%s %.*s%s", cmd->verb->name, named ? (int)word : 0,
			 cmd->arg,
			 !named  ? "***"
			 : space ? " ***"
				 : "");
	} else if (s->hidden) {
		strcpy(s->shown, "***");
	}
	if (s->hidden) {
		s->line = s->shown;
		s->line_len = strlen(s->shown);
	}
	session_trace(s, true, s->line, s->line_len);
}

bool session_knows(const struct session *s, const struct command_verb *verb)
{
	if (!verb || (verb->extension & s->cfg->discard))
		return false;
	return !(verb->flags & COMMAND_ANNOUNCED) || (s->extended && session_offers_any(s, verb->extension));
}

/* Returns whether the reply may wait for others. */
static bool run_line(struct session *s, const struct command *cmd)
{
	if (cmd->name_len == 0) {
		session_reply(s, 500, "5.5.2", "Error: bad syntax");
		return false;
	}
	if (!session_knows(s, cmd->verb)) {
		reply_unknown(s, cmd);
		return false;
	}
	s->verb = cmd->verb->name;
	s->chunks_refused = s->chunks_refused && (cmd->verb->flags & COMMAND_OCTETS);
	s->secret_may_follow = false;
	tell_verb(s, s->verb);
	dispatch(s, cmd);
	tell_verb(s, "");
	if (!(cmd->verb->flags & COMMAND_BRINGS_MAIL))
		session_spend_command(s);
	if (cmd->verb->flags & COMMAND_SECRET)
		s->secret_may_follow = !s->env.auth_user;
	return cmd->verb->flags & COMMAND_GATHERS;
}

/*
 * " BDAT 10", "BDAT\t10": no command of ours, but whoever wrote it sends the octets, and a server that is
 * more lenient would take them for content. What is too long is no command, however much of it is there.
 */
static bool may_bring_octets(const struct session *s)
{
	const char *at = s->line, *end = s->line + s->line_len;

	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	return s->line_len + 2 <= s->in.line_max && end - at >= 4 && strncasecmp(at, "BDAT", 4) == 0 &&
	       (end - at == 4 || at[4] == ' ' || at[4] == '\t');
}

/* One line from the input, if a whole one is there; false when there is none. */
static bool run_next(struct session *s)
{
	enum input_event event = input_line(&s->in, &s->line, &s->line_len);
	bool gather = false, octets;
	struct command cmd;

	if (event == INPUT_MORE)
		return false;
	octets = may_bring_octets(s);
	s->verb = "?";
	if (command_parse(s->line, s->line_len, &cmd) && !cmd.verb)
		cmd.verb = hooks_find(s, cmd.name, cmd.name_len);
	show_line(s, &cmd);
	/* a proxy may need several lines, and then passes on what its client says */
	if (s->xclient_told && !(cmd.verb && (cmd.verb->flags & COMMAND_OF_PROXY)))
		s->proxy_done = true;
	switch (event) {
	case INPUT_LINE:
		gather = run_line(s, &cmd);
		break;
	case INPUT_MORE:
		break;
	case INPUT_TOO_LONG:
		session_reply(s, 500, "5.5.2", "Error: line too long");
		break;
	case INPUT_BARE_CR:
		session_reply(s, 500, "5.5.2", "Error: bare <CR> in command");
		break;
	case INPUT_NUL:
		if (s->line_len == 1) { /* in the signature of a PROXY header, version 2 */
			verb_proxy(s, "", 0);
			break;
		}
		session_reply(s, 500, "5.5.2", "Error: NUL in command");
		break;
	case INPUT_BARE_LF:
		session_reply(s, 500, "5.5.2", "Error: bare <LF>, a command must end with <CR><LF>");
		break;
	case INPUT_BARE_LF_AGAIN:
		session_hang_up(s, SESSION_TOO_MANY_ERRORS, "4.7.0",
				"Error: commands must end with <CR><LF>");
		break;
	}
	/* not obeyed, but its octets follow all the same */
	if (octets &&
	    (event != INPUT_LINE || !session_knows(s, cmd.verb) || !(cmd.verb->flags & COMMAND_OCTETS)))
		bdat_lost(s);
	s->line = "";
	s->line_len = 0;
	if (s->hidden)
		input_forget(&s->in);
	if (!gather && !s->over)
		session_flush(s);
	return true;
}

static void run_commands(struct session *s)
{
	int64_t deadline = session_deadline_in(s->cfg->command_timeout_ms);

	while (!s->over) {
		if (run_next(s)) {
			/* for the next command as a whole: one octet a minute does not keep a worker */
			deadline = session_deadline_in(s->cfg->command_timeout_ms);
			continue;
		}
		input_narrow(&s->in);
		session_fill(s, deadline);
	}
}

static void init(struct session *s)
{
	s->state = COMMAND_START;
	s->verb = "";
	s->line = "";
	s->session_deadline = session_deadline_in(s->cfg->session_timeout_ms);
	s->message_deadline = CLOCK_NEVER;
	input_init(&s->in);
	buf_init(&s->out, OUT_MAX);
	rcpt_set_init(&s->rcpts);
	envelope_init(&s->env);
	envelope_set(&s->env.peer, s->peer->text, strlen(s->peer->text));
	envelope_set(&s->env.listener, s->peer->listener, strlen(s->peer->listener));
	s->io->ops->interruptible(s->io, true);
}

enum session_end session_run(const struct session_config *cfg, const struct session_peer *peer,
			     struct session_io *io, struct handler *handler,
			     const struct session_events *events)
{
	struct session *s = mem_alloc(sizeof(*s));
	enum session_end end;

	s->cfg = cfg;
	s->peer = peer;
	s->io = io;
	s->handler = handler;
	s->events = events;
	init(s);
	if (peer->refusal) {
		session_send(s, peer->refusal);
		session_finish(s, SESSION_REFUSED);
	} else if (hooks_begin(s)) {
		session_reply(s, 220, NULL, "%s ESMTP Posthouse", cfg->hostname);
	}
	run_commands(s);
	/* the last words first: a client does not wait for a handler that cleans up */
	session_flush_by(s, session_deadline_in(FAREWELL_MS));
	session_end_transaction(s, false);
	hooks_end(s);
	end = s->end;
	input_release(&s->in);
	buf_release(&s->out);
	envelope_release(&s->env);
	free(s);
	return end;
}

const char *session_end_name(enum session_end end)
{
	switch (end) {
	case SESSION_QUIT:
		return "quit";
	case SESSION_LOST:
		return "lost";
	case SESSION_TIMED_OUT:
		return "timeout";
	case SESSION_TOO_MANY_ERRORS:
		return "errors";
	case SESSION_STOPPED:
		return "stopped";
	case SESSION_SHED:
		return "shed";
	case SESSION_REFUSED:
		return "refused";
	case SESSION_TLS_FAILED:
		return "tls-failed";
	}
	return "?";
}

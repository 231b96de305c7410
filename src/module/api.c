/* SPDX-License-Identifier: ISC */
/*
 * The table of functions that a module gets (posthouse/module.h has their contracts). Whatever is asked at
 * the wrong time, in another thread or with nonsense is answered with NULL or -1, and changes nothing.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "module/module_internal.h"
#include "module/reply.h"

#define LOG_TEXT_MAX 2000 /* octets of one line of a module's in the log */

/* ---- the server ------------------------------------------------------------------------- */

static bool may_use(const struct module *m)
{
	return m->function && pthread_equal(m->thread, pthread_self());
}

static int api_add_verb(struct posthouse_server *server, const char *name, const char *syntax, unsigned flags,
			posthouse_verb_function *run)
{
	return server->opening && may_use(server->module)
		       ? module_add_verb(server->module, name, syntax, flags, run)
		       : -1;
}

static int api_add_keyword(struct posthouse_server *server, const char *line)
{
	struct module *m = server->module;

	return server->opening && may_use(m) ? module_add_keyword(m, &m->keywords, line) : -1;
}

static void api_error(struct posthouse_server *server, const char *text)
{
	if (!server->opening || !may_use(server->module) || server->has_error)
		return;
	err_set(&server->error, "%.400s", text ? text : "(null)");
	server->has_error = true;
}

static enum log_level level_of(int level)
{
	switch (level) {
	case POSTHOUSE_LOG_ERROR:
		return LOG_LEVEL_ERROR;
	case POSTHOUSE_LOG_WARNING:
		return LOG_LEVEL_WARNING;
	case POSTHOUSE_LOG_DEBUG:
		return LOG_LEVEL_DEBUG;
	default:
		return LOG_LEVEL_INFO;
	}
}

static void api_log(struct posthouse_server *server, int level, const char *text)
{
	struct log_line line;

	if (!text || !may_use(server->module))
		return;
	log_begin(&line, level_of(level), "module");
	log_str(&line, "module", server->module->desc.name);
	log_strn(&line, "msg", text, strnlen(text, LOG_TEXT_MAX));
	log_end(&line);
}

static const char *api_server_text(struct posthouse_server *server, int which)
{
	const struct module_settings *s = server->module->settings;

	if (!may_use(server->module))
		return NULL;
	switch (which) {
	case POSTHOUSE_SERVER_VERSION:
		return PACKAGE_VERSION;
	case POSTHOUSE_SERVER_FQDN:
		return s->hostname;
	case POSTHOUSE_SERVER_HANDLER:
		return s->handler;
	case POSTHOUSE_SERVER_MODULE:
		return s->path;
	default:
		return NULL;
	}
}

static int64_t server_number(const struct module_settings *s, int which)
{
	switch (which) {
	case POSTHOUSE_DATA_SIZE_LIMIT:
		return s->data_size_limit_bytes < INT64_MAX ? (int64_t)s->data_size_limit_bytes : INT64_MAX;
	case POSTHOUSE_DECODE_DATA:
		return s->decode_data;
	case POSTHOUSE_ENABLE_SMTPUTF8:
		return s->enable_smtputf8;
	default:
		return -1;
	}
}

static int64_t api_server_number(struct posthouse_server *server, int which)
{
	return may_use(server->module) ? server_number(server->module->settings, which) : -1;
}

/* ---- the channel ------------------------------------------------------------------------- */

static bool has_channel(const struct posthouse_channel *ch)
{
	return ch->session && may_use(ch->module);
}

static struct posthouse_server *api_smtp_server(struct posthouse_channel *ch)
{
	return &ch->module->server;
}

/* Whom the socket is connected to, whoever that says it speaks for. */
static const char *connected_to(struct posthouse_channel *ch)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof(a);
	char host[INET6_ADDRSTRLEN] = "";

	if (ch->module->conn_fd < 0 || getpeername(ch->module->conn_fd, (struct sockaddr *)&a, &len) < 0)
		return NULL;
	if (a.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&a;

		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		snprintf(ch->shown, sizeof(ch->shown), "%s:%u", host, ntohs(in->sin_port));
	} else if (a.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)&a;

		inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof(host));
		snprintf(ch->shown, sizeof(ch->shown), "[%s]:%u", host, ntohs(in->sin6_port));
	} else {
		snprintf(ch->shown, sizeof(ch->shown), "unix");
	}
	return ch->shown;
}

static const char *tls_text(const struct session_tls *tls, int which)
{
	if (!tls)
		return NULL;
	switch (which) {
	case POSTHOUSE_TLS_VERSION:
		return tls->version;
	case POSTHOUSE_TLS_CIPHER:
		return tls->cipher;
	case POSTHOUSE_TLS_SERVER_NAME:
		return tls->server_name;
	case POSTHOUSE_TLS_FINGERPRINT:
		return tls->fingerprint;
	default:
		return NULL;
	}
}

static const char *envelope_text(const struct envelope *env, int which)
{
	switch (which) {
	case POSTHOUSE_SEEN_GREETING:
		return env->helo;
	case POSTHOUSE_MAILFROM:
		return env->sender;
	case POSTHOUSE_MAIL_OPTIONS:
		return env->mail_options;
	case POSTHOUSE_RCPT_OPTIONS:
		return env->rcpt_options;
	case POSTHOUSE_AUTH_USER:
		return env->auth_user;
	case POSTHOUSE_QUEUE_ID:
		return env->id[0] ? env->id : NULL;
	default:
		return NULL;
	}
}

/* The line is not ended by a NUL where the session has it. */
static const char *line_text(struct posthouse_channel *ch, const struct session_view *view)
{
	buf_clear(&ch->line);
	buf_add(&ch->line, view->line, view->line_len);
	return ch->line.data;
}

static const char *api_text(struct posthouse_channel *ch, int which)
{
	struct session_view view;

	if (!has_channel(ch))
		return NULL;
	session_look(ch->session, &view);
	switch (which) {
	case POSTHOUSE_PEER:
		return view.client.peer->text;
	case POSTHOUSE_PEER_ADDRESS:
		return view.client.peer->address;
	case POSTHOUSE_ADDR:
		return connected_to(ch);
	case POSTHOUSE_LISTENER:
		return view.client.peer->listener;
	case POSTHOUSE_FQDN:
		return ch->module->settings->hostname;
	case POSTHOUSE_RECEIVED_LINE:
		return line_text(ch, &view);
	case POSTHOUSE_VERB:
		return view.verb;
	default:
		break;
	}
	return view.client.tls && tls_text(view.client.tls, which) ? tls_text(view.client.tls, which)
								   : envelope_text(view.env, which);
}

static int64_t port_of(const char *peer)
{
	const char *colon = strrchr(peer, ':');

	return strncmp(peer, "unix", 4) == 0 || !colon ? -1 : strtol(colon + 1, NULL, 10);
}

static int64_t api_number(struct posthouse_channel *ch, int which)
{
	struct session_view view;

	if (!has_channel(ch))
		return -1;
	session_look(ch->session, &view);
	switch (which) {
	case POSTHOUSE_PEER_PORT:
		return port_of(view.client.peer->text);
	case POSTHOUSE_SMTP_STATE:
		return ch->in_data ? POSTHOUSE_DATA : POSTHOUSE_COMMAND;
	case POSTHOUSE_EXTENDED_SMTP:
		return view.extended;
	case POSTHOUSE_RCPTTO_COUNT:
		return (int64_t)view.env->rcpt_count;
	case POSTHOUSE_NUM_BYTES:
		return (int64_t)ch->num_bytes;
	case POSTHOUSE_REQUIRE_SMTPUTF8:
		return view.env->smtputf8;
	case POSTHOUSE_CONN:
		return ch->module->conn_fd;
	case POSTHOUSE_TLS_VERIFIED:
		return view.client.tls && view.client.tls->verified;
	default:
		return server_number(ch->module->settings, which);
	}
}

static const char *api_rcptto(struct posthouse_channel *ch, size_t index)
{
	struct session_view view;

	if (!has_channel(ch))
		return NULL;
	session_look(ch->session, &view);
	return index < view.env->rcpt_count ? view.env->rcpt[index].address : NULL;
}

static const char *api_received_data(struct posthouse_channel *ch, size_t *len)
{
	if (!has_channel(ch) || !ch->received)
		return NULL;
	if (len)
		*len = ch->received_len;
	return ch->received;
}

/* ---- answers ------------------------------------------------------------------------------ */

static int api_reply(struct posthouse_channel *ch, int code, const char *enhanced, const char *text)
{
	return has_channel(ch) && module_reply_set(&ch->reply, code, enhanced, text) ? 0 : -1;
}

static int api_push(struct posthouse_channel *ch, const char *line)
{
	return has_channel(ch) && module_reply_parse(&ch->reply, line) ? 0 : -1;
}

static bool is_argument(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return len == 0 || (text[0] != ' ' && text[len - 1] != ' ');
}

static int api_set_argument(struct posthouse_channel *ch, const char *arg)
{
	const struct command_verb *verb = ch->verb;
	size_t len;

	if (!has_channel(ch) || !verb || !arg || !verb->run ||
	    (verb->flags & (COMMAND_SECRET | COMMAND_WATCHED | COMMAND_OCTETS)) ||
	    verb->argument == COMMAND_NO_ARGUMENT)
		return -1;
	len = strnlen(arg, ch->argument.ceiling + 1);
	if (len > ch->argument.ceiling || !is_argument(arg, len) ||
	    (len == 0 && verb->argument == COMMAND_NEEDS_ARGUMENT))
		return -1;
	buf_clear(&ch->argument);
	buf_add(&ch->argument, arg, len);
	ch->has_argument = true;
	return 0;
}

static int api_announce(struct posthouse_channel *ch, const char *line)
{
	struct module *m = ch->module;

	if (!has_channel(ch) || !ch->verb || strcmp(ch->verb->name, "EHLO") != 0 ||
	    (line &&
	     m->keywords.len + ch->keywords.len + strnlen(line, MODULE_KEYWORDS_MAX) >= MODULE_KEYWORDS_MAX))
		return -1;
	return module_add_keyword(m, &ch->keywords, line);
}

const struct posthouse_api module_api = {
	.abi = POSTHOUSE_MODULE_ABI,
	.size = sizeof(module_api),
	.add_verb = api_add_verb,
	.add_keyword = api_add_keyword,
	.error = api_error,
	.log = api_log,
	.server_text = api_server_text,
	.server_number = api_server_number,
	.smtp_server = api_smtp_server,
	.text = api_text,
	.number = api_number,
	.rcptto = api_rcptto,
	.received_data = api_received_data,
	.reply = api_reply,
	.push = api_push,
	.set_argument = api_set_argument,
	.announce = api_announce,
};

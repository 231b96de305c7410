/* SPDX-License-Identifier: ISC */
/* See relay_lists.h. */
#include "daemon/relay_lists.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/mailman.h"
#include "config/secret.h"
#include "mailman/directory.h"
#include "manage/json.h"

struct relay_mailman {
	struct directory_settings settings;
	struct directory *directory; /* NULL: not open */
	struct route_lists routes;
	struct relay_lists lists;
	struct relay_program program; /* of Mailman 2 */
	char *password; /* owned */
};

/* ---- what the routes ask ----------------------------------------------------------------- */

static enum route_listed ask(void *ctx, const char *address, int64_t arrived_wall_us)
{
	const struct relay_mailman *m = ctx;

	switch (directory_ask(m->directory, address, arrived_wall_us)) {
	case LISTS_YES:
		return ROUTE_LISTED_YES;
	case LISTS_UNKNOWN:
		return ROUTE_LISTED_UNKNOWN;
	case LISTS_NO:
		break;
	}
	return ROUTE_LISTED_NO;
}

/* ---- what the relay asks ------------------------------------------------------------------- */

static void lists_start(void *c, struct event_base *base, struct upstream *client, void (*changed)(void *ctx),
			void *ctx)
{
	directory_start(((struct relay_mailman *)c)->directory, base, client, changed, ctx);
}

static void lists_stop(void *c)
{
	directory_stop(((struct relay_mailman *)c)->directory);
}

static const char *lists_trouble(void *c)
{
	return directory_trouble(((struct relay_mailman *)c)->directory);
}

static json_t *lists_describe(void *c)
{
	const struct relay_mailman *m = c;
	struct directory_facts f = directory_facts(m->directory);
	json_t *o = json_object(), *domains = json_array();

	for (size_t i = 0; i < f.domains; i++)
		json_array_append_new(domains, json_text_or_null(f.domain[i]));
	free((void *)(uintptr_t)f.domain);
	json_put_key(o, "url", json_text_or_null(m->settings.url));
	json_put_key(o, "state", json_string(f.is_down ? "down" : f.listed_wall_us ? "up" : "unknown"));
	json_put_key(o, "lists", json_integer((json_int_t)f.lists));
	json_put_key(o, "domains", domains);
	json_put_key(o, "listed", json_seconds_or_null(f.listed_wall_us));
	json_put_key(o, "next", json_seconds_or_null(f.next_wall_us));
	json_put_key(o, "last_error", json_text_or_null(f.trouble));
	json_put_key(o, "last_error_at", json_seconds_or_null(f.trouble ? f.trouble_wall_us : 0));
	json_put_key(o, "map_error", json_text_or_null(f.map_trouble));
	return o;
}

static const struct relay_lists_ops lists_ops = { lists_start, lists_stop, lists_trouble, lists_describe };

/* ---- Mailman 2 ------------------------------------------------------------------------------- */

/* "owner test" of the aliases: what is to be done, and with which list. */
static int put_facts(void *ctx, struct program_job *job, const char *recipient, struct err *e)
{
	const struct relay_mailman *m = ctx;
	const char *value = directory_value(m->directory, recipient),
		   *space = value ? strchr(value, ' ') : NULL;
	char *action;
	bool fits;

	if (!space) {
		err_set(e, "Mailman's aliases do not say what is to be done for this address");
		return -1;
	}
	action = mem_strndup(value, (size_t)(space - value));
	fits = program_job_put(job, FACT_ACTION, action) && program_job_put(job, FACT_LIST, space + 1);
	free(action);
	if (fits)
		return 0;
	err_set(e, "the name of the list is too long");
	return -1;
}

const struct relay_program *relay_mailman_program(struct relay_mailman *m, int request_fd)
{
	m->program.request_fd = request_fd;
	return &m->program;
}

/* ---- from the configuration ------------------------------------------------------------------ */

int relay_mailman_new(struct relay_mailman **out, const struct config *cfg, struct err *e)
{
	struct relay_mailman *m;
	char *password;

	*out = NULL;
	if (!config_is_mailman(cfg))
		return 0;
	if (!cfg->mailman_password_file)
		password = mem_strdup(CONFIG_MAILMAN_PASSWORD);
	else if (secret_read(cfg->mailman_password_file, &password, e) < 0) {
		err_prefix(e, "mailman_password_file");
		return -1;
	}
	m = mem_alloc(sizeof(*m));
	m->password = password;
	m->settings = (struct directory_settings){
		.url = config_mailman_url(cfg),
		.user = cfg->mailman_user,
		.password = m->password,
		.map = (const char *const *)cfg->mailman_maps,
		.map_count = cfg->mailman_maps_count,
		.domain = (const char *const *)cfg->mailman_domains,
		.domain_count = cfg->mailman_domains_count,
		.refresh_ms = cfg->mailman_refresh_ms,
	};
	m->routes = (struct route_lists){ ask, m, config_mailman_upstream(cfg) };
	m->lists = (struct relay_lists){ &lists_ops, m };
	m->program = (struct relay_program){ .command = PROGRAM_MAILMAN,
					     .request_fd = -1,
					     .timeout_ms = cfg->mailman_timeout_ms,
					     .put = put_facts,
					     .ctx = m };
	*out = m;
	return 0;
}

void relay_mailman_open(struct relay_mailman *m, const struct spool *spool)
{
	if (m)
		m->directory = directory_new(&m->settings, spool);
}

void relay_mailman_free(struct relay_mailman *m)
{
	if (!m)
		return;
	if (m->directory)
		directory_free(m->directory);
	secret_free(m->password);
	free(m);
}

const struct route_lists *relay_mailman_routes(const struct relay_mailman *m)
{
	return m ? &m->routes : NULL;
}

const struct relay_lists *relay_mailman_lists(const struct relay_mailman *m)
{
	return m ? &m->lists : NULL;
}

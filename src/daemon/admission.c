/* SPDX-License-Identifier: ISC */
/* See admission.h. Runs in the master. */
#include "daemon/admission.h"

#include <string.h>

#include "base/log.h"
#include "handler/handler.h"

/* Of one client in stress, when nothing is configured: an eighth of the workers. */
#define SHARE(max_workers) ((max_workers) >= 16 ? (max_workers) / 8 : 2)

/* So many busy workers are stress. */
static unsigned stress_workers(const struct config *cfg)
{
	return (cfg->max_workers * cfg->stress_threshold + 99) / 100;
}

struct shed_policy admission_shed_policy(const struct config *cfg)
{
	return (struct shed_policy){ .stress_workers = stress_workers(cfg),
				     .stress_timeout_ms = cfg->stress_timeout_ms,
				     .shed_after_ms = cfg->shed_after_ms,
				     .backlog_timeout_ms = cfg->backlog_timeout_ms,
				     .min_rate = cfg->min_data_rate };
}

void admission_init(struct admission *a, const struct config *cfg, const struct handler_kind *handler)
{
	memset(a, 0, sizeof(*a));
	a->files = (struct access_files){
		.rules = { cfg->client_access, cfg->sender_access, cfg->recipient_access, cfg->vrfy_table },
		.owners = cfg->auth_senders,
		.may_hold = handler->ops->facts->spools,
	};
	a->settings = (struct access_settings){
		.relays = handler->ops->facts->relays,
		.verifies = cfg->vrfy_table,
		.verifies_for_anyone = cfg->vrfy_for_anyone,
		.default_domain = cfg->default_domain ? cfg->default_domain : cfg->hostname,
		.relay_from = cfg->relay_from,
		.relay_from_count = cfg->relay_from_count,
		.relay_from_cert = (const char *const *)cfg->relay_from_cert,
		.relay_from_cert_count = cfg->relay_from_cert_count,
		.exempt = cfg->limits_exempt,
		.exempt_count = cfg->limits_exempt_count,
		.client = { cfg->client_connections, cfg->client_messages_per_minute,
			    cfg->client_recipients_per_minute },
		.user = { cfg->user_connections, cfg->user_messages_per_minute,
			  cfg->user_recipients_per_minute },
		.crowd = stress_workers(cfg),
		.share = cfg->stress_client_connections ? cfg->stress_client_connections
							: SHARE(cfg->max_workers),
		.tables = &a->tables,
	};
}

void admission_count(struct admission *a, const struct limits *limits, unsigned slots)
{
	a->limits = *limits;
	a->limits.slots = slots;
	a->settings.limits = &a->limits;
}

/* ---- tables (reload.h) ------------------------------------------------------------ */

static const char *file(void *ctx, size_t index)
{
	const struct access_files *f = &((struct admission *)ctx)->files;
	const char *all[RULES_KINDS + 1] = { f->rules[RULES_CLIENT], f->rules[RULES_SENDER],
					     f->rules[RULES_RECIPIENT], f->rules[RULES_VRFY], f->owners };

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (all[i] && index-- == 0)
			return all[i];
	return NULL;
}

/* Every error is told once: the last one by err, those before it when the next one comes. */
struct telling {
	struct admission *a;
	struct err *last;
	bool some;
};

static void take_error(void *ctx, const char *message)
{
	struct telling *t = ctx;

	if (t->some && t->a->report)
		t->a->report(t->a->ctx, t->last->text);
	else if (t->some)
		log_msg(LOG_LEVEL_ERROR, "table_error", "%s", t->last->text);
	err_set(t->last, "%s", message);
	t->some = true;
}

static int load(void *ctx, struct err *e)
{
	struct admission *a = ctx;
	struct telling telling = { .a = a, .last = e };

	return access_tables_load(&a->beside, &a->files, take_error, &telling);
}

static void swap(void *ctx)
{
	struct admission *a = ctx;

	access_tables_release(&a->tables);
	a->tables = a->beside;
	memset(&a->beside, 0, sizeof(a->beside));
}

static void drop(void *ctx)
{
	access_tables_release(&((struct admission *)ctx)->beside);
}

static void release(void *ctx)
{
	access_tables_release(&((struct admission *)ctx)->tables);
}

void admission_watch(struct admission *a, struct reload *r)
{
	struct reloadable tables = { .what = "access tables",
				     .file = file,
				     .load = load,
				     .swap = swap,
				     .drop = drop,
				     .release = release,
				     .ctx = a };

	if (file(a, 0))
		reload_add(r, &tables);
}

/* SPDX-License-Identifier: ISC */
/* See settings.h. Runs in the operator's command; reads, never writes. */
#include "cli/settings.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/cli.h"
#include "config/paths.h"

/* Where `posthoused` without a file is expected: the seed's own default. */
#define QUICK_SERVER "localhost:8025"

static void report_error(void *ctx, const char *message)
{
	(void)ctx;
	cli_error("%s", message);
}

static void report_nothing(void *ctx, const char *message)
{
	(void)ctx;
	(void)message;
}

/*
 * 1 and cfg loaded, 0 and cfg untouched when there is no file that we may
 * read, -1 and e when it was named or is bad.
 */
static int load(const char *config_file, struct config *cfg, config_report *report, struct err *e)
{
	if (!config_file) {
		config_file = CONFIG_DEFAULT_FILE;
		if (access(config_file, R_OK) != 0)
			return 0;
	}
	config_init(cfg);
	if (config_load(cfg, config_file, report, NULL) == 0)
		return 1;
	config_release(cfg);
	err_set(e, "%s: it could not be used", config_file);
	return -1;
}

int settings_config(const char *config_file, struct config *cfg, struct err *e)
{
	int loaded = load(config_file, cfg, report_error, e);

	if (loaded == 0)
		config_init(cfg);
	return loaded;
}

/*
 * Where posthoused without a configuration file may have put its spool: a
 * user's own, or as root one of two beside the system's.
 */
static char *default_spool(struct err *e)
{
	static const char *const of_root[] = { CONFIG_SYSTEM_SPOOL, CONFIG_SYSTEM_SPOOL "-nobody",
					       CONFIG_SYSTEM_SPOOL "-root" };
	size_t count = geteuid() == 0 ? sizeof(of_root) / sizeof(of_root[0]) : 1;
	char private[PATH_MAX];

	for (size_t i = 0; i < count; i++)
		if (access(of_root[i], F_OK) == 0)
			return mem_strdup(of_root[i]);
	if (geteuid() == 0)
		return mem_strdup(CONFIG_SYSTEM_SPOOL);
	return config_private_spool(private, sizeof(private), e) == 0 ? mem_strdup(private) : NULL;
}

/* What an earlier handler left there can be looked at. */
static int spool_of(const struct config *cfg, char **path, struct err *e)
{
	if (!config_has_spool(cfg) && access(cfg->spool, F_OK) != 0) {
		err_set(e, "handler \"%s\" has no spool, so nothing waits here; for another one",
			cfg->handler);
		return -1;
	}
	*path = mem_strdup(cfg->spool);
	return 0;
}

int settings_spool(const char *config_file, char **path, struct err *e)
{
	struct config cfg;
	int r;

	switch (load(config_file, &cfg, report_error, e)) {
	case 1:
		r = spool_of(&cfg, path, e);
		config_release(&cfg);
		return r;
	case 0:
		*path = default_spool(e);
		return *path ? 0 : -1;
	default:
		return -1;
	}
}

char *settings_spoolless(const char *config_file)
{
	char *handler = NULL;
	struct config cfg;
	struct err e;

	if (load(config_file, &cfg, report_nothing, &e) != 1)
		return NULL;
	if (!config_has_spool(&cfg))
		handler = mem_strdup(cfg.handler);
	config_release(&cfg);
	return handler;
}

int settings_server(const char *config_file, struct endpoint *server, struct err *e)
{
	struct config cfg;
	int loaded = load(config_file, &cfg, report_error, e);

	if (loaded < 0)
		return -1;
	if (loaded == 0)
		return endpoint_parse(QUICK_SERVER, -1, server, e);
	for (size_t i = 0; i < cfg.listener_count; i++) {
		const struct config_listener *l = &cfg.listener[i];

		for (size_t j = 0; j < l->localaddr_count; j++) {
			if (l->localaddr[j].kind != ENDPOINT_TCP || l->localaddr[j].port == 0)
				continue;
			*server = l->localaddr[j];
			endpoint_make_reachable(server);
			config_release(&cfg);
			return 0;
		}
	}
	config_release(&cfg);
	err_set(e, "the configuration has no localaddr with a fixed TCP port");
	return -1;
}

char *settings_hostname(const char *config_file)
{
	struct config cfg;
	struct err e;
	char *name;

	if (load(config_file, &cfg, report_nothing, &e) <= 0)
		config_init(&cfg);
	name = mem_strdup(cfg.hostname);
	config_release(&cfg);
	return name;
}

/* SPDX-License-Identifier: ISC */
/*
 * See confine_internal.h: which files and ports a role needs by its configuration. What a role has open when it is
 * confined (its log, what it read at its start) needs no right. Where a file may be replaced by another one while
 * we run, by an editor or a renewal, the right is the folder's.
 */
#include "daemon/confine_internal.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/mailman.h"
#include "config/paths.h"
#include "config/programs.h"
#include "handler/facts.h"

#define DOMAIN_PORT 53

/* ---- what several have in common --------------------------------------------------------- */

static int allow_below(struct sandbox_domain *d, const char *folder, const char *name, unsigned may,
		       struct err *e)
{
	char *path = mem_printf("%s/%s", folder, name);
	int r = sandbox_domain_path(d, path, may, e);

	free(path);
	return r;
}

/* What the C library opens when it likes. */
static int allow_common(struct sandbox_domain *d, struct err *e)
{
	static const char *const read[] = { "/dev/urandom", "/dev/random", "/sys/devices/system/cpu" };

	for (size_t i = 0; i < sizeof(read) / sizeof(read[0]); i++)
		if (sandbox_domain_path(d, read[i], MAY_READ | MAY_LIST, e) < 0)
			return -1;
	return sandbox_domain_path(d, "/dev/null", MAY_READ | MAY_WRITE, e);
}

/* Where resolv.conf is a link to: mostly into /run, of which it must not be all. */
static int allow_resolv_conf(struct sandbox_domain *d, struct err *e)
{
	char *file = realpath("/etc/resolv.conf", NULL);
	size_t folder = file ? (size_t)(strrchr(file, '/') - file) : 0;
	bool alone = folder == 0 || (folder == 4 && strncmp(file, "/run", 4) == 0);
	int r = alone ? sandbox_domain_path(d, file, MAY_READ, e)
		      : sandbox_domain_folder_of(d, file, MAY_READ | MAY_LIST, e);

	free(file);
	return r;
}

/*
 * Looking names up and verifying certificates: resolv.conf, hosts, nsswitch.conf, the modules that it names, the
 * system's certificates. They are replaced by renaming, so their folders it must be; their modes still count. Not
 * /run: there systemd puts the credentials of the service, which its user may read, the keys of certificates too.
 */
static int allow_resolver(struct sandbox_domain *d, struct err *e)
{
	static const char *const read[] = {
		"/etc",
		"/usr",
		"/lib",
		"/lib64",
		"/var/lib/sss/mc",
		"/var/lib/ca-certificates",
		/* who writes resolv.conf, or has names of its own */
		"/run/NetworkManager",
		"/run/connman",
		"/run/netconfig",
		"/run/nscd",
		"/run/resolvconf",
		"/run/systemd/resolve",
	};

	for (size_t i = 0; i < sizeof(read) / sizeof(read[0]); i++)
		if (sandbox_domain_path(d, read[i], MAY_READ | MAY_LIST, e) < 0)
			return -1;
	if (allow_resolv_conf(d, e) < 0)
		return -1;
	return sandbox_domain_connect(d, DOMAIN_PORT, e); /* answers that do not fit into a datagram */
}

/* A file without a name in it (base/file.h). */
static int allow_temporary(struct sandbox_domain *d, struct err *e)
{
	const char *folder = getenv("TMPDIR");

	return sandbox_domain_path(d, folder && folder[0] == '/' ? folder : "/tmp",
				   MAY_READ | MAY_WRITE | MAY_MAKE | MAY_REMOVE, e);
}

/* The port of a URL; 0: it has none. */
static uint16_t port_of(const char *url)
{
	const char *host = strstr(url, "://"), *end, *colon;
	unsigned long port;

	if (!host)
		return 0;
	end = host + 3 + strcspn(host + 3, "/?#");
	for (colon = end; colon > host + 3 && *colon != ':' && *colon != ']';)
		colon--;
	if (*colon == ':') {
		port = strtoul(colon + 1, NULL, 10);
		return port <= UINT16_MAX ? (uint16_t)port : 0;
	}
	if (strncmp(url, "https:", 6) == 0)
		return 443;
	return strncmp(url, "http:", 5) == 0 ? 80 : 1080;
}

static int allow_url(struct sandbox_domain *d, const char *url, struct err *e)
{
	return url && port_of(url) != 0 ? sandbox_domain_connect(d, port_of(url), e) : 0;
}

static int allow_upstream(struct sandbox_domain *d, const struct config_upstream *u, struct err *e)
{
	for (size_t i = 0; i < u->remoteaddr_count; i++)
		if (u->remoteaddr[i].endpoint.kind == ENDPOINT_TCP &&
		    sandbox_domain_connect(d, u->remoteaddr[i].endpoint.port, e) < 0)
			return -1;
	if ((u->source_address.ipv4 || u->source_address.ipv6) && sandbox_domain_bind_any(d, e) < 0)
		return -1;
	return allow_url(d, u->proxy, e) < 0 || allow_url(d, u->oauth_token_url, e) < 0 ||
			       sandbox_domain_folder_of(d, u->tls_ca_file, MAY_READ, e) < 0 ||
			       sandbox_domain_folder_of(d, u->oauth_ca_file, MAY_READ, e) < 0
		       ? -1
		       : 0;
}

static int allow_upstreams(struct sandbox_domain *d, const struct config *cfg, struct err *e)
{
	if (allow_resolver(d, e) < 0)
		return -1;
	for (size_t i = 0; i < cfg->upstream_count; i++)
		if (allow_upstream(d, &cfg->upstream[i], e) < 0)
			return -1;
	return 0;
}

/* ---- the roles ------------------------------------------------------------------------------ */

/* Makes a file here, writes it, moves it there; reading and listing are the relay's. */
static int allow_creating(struct sandbox_domain *d, const char *spool, struct err *e)
{
	if (allow_below(d, spool, "incoming", MAY_WRITE | MAY_MAKE | MAY_REMOVE | MAY_MOVE, e) < 0)
		return -1;
	return allow_below(d, spool, "queue", MAY_MAKE | MAY_MOVE, e);
}

int confine_worker_paths(struct sandbox_domain *d, const struct config *cfg, struct err *e)
{
	enum handler_id handler = handler_find(cfg->handler);
	bool spools = handler_facts[handler].spools;

	if (allow_common(d, e) < 0 || (spools && allow_creating(d, cfg->spool, e) < 0) ||
	    sandbox_domain_path(d, cfg->outbox, MAY_ALL_FILES | MAY_MAKE_FOLDERS, e) < 0)
		return -1;
	if (handler == HANDLER_PROXY && allow_upstreams(d, cfg, e) < 0)
		return -1;
	/* where a message lies that does not go into the spool, or goes through a program before */
	return !spools || config_runs_programs(cfg) ? allow_temporary(d, e) : 0;
}

static int allow_tokens(struct sandbox_domain *d, const struct config_upstream *u, struct err *e)
{
	char file[4096];

	if (u->oauth == OAUTH_NONE)
		return 0;
	return sandbox_domain_folder_of(d, config_oauth_token_file(u, file, sizeof(file)), MAY_ALL_FILES, e);
}

int confine_relay_paths(struct sandbox_domain *d, const struct config *cfg, struct err *e)
{
	if (allow_common(d, e) < 0 || allow_upstreams(d, cfg, e) < 0 ||
	    sandbox_domain_path(d, cfg->spool,
				MAY_ALL_FILES | MAY_MAKE_FOLDERS | MAY_MAKE_SOCKETS | MAY_MAKE_ODD, e) < 0)
		return -1;
	for (size_t i = 0; i < cfg->upstream_count; i++)
		if (allow_tokens(d, &cfg->upstream[i], e) < 0)
			return -1;
	if (!config_is_mailman(cfg))
		return 0;
	for (size_t i = 0; i < cfg->mailman_maps_count; i++)
		if (sandbox_domain_folder_of(d, cfg->mailman_maps[i], MAY_READ | MAY_LIST, e) < 0)
			return -1;
	return allow_url(d, config_mailman_url(cfg), e);
}

int confine_auth_paths(struct sandbox_domain *d, const struct config *cfg, struct err *e)
{
	if (allow_common(d, e) < 0 || sandbox_domain_folder_of(d, cfg->auth_users_file, MAY_READ, e) < 0)
		return -1;
	if (!cfg->auth_oauth_introspection_url)
		return 0;
	return allow_resolver(d, e) < 0 || allow_url(d, cfg->auth_oauth_introspection_url, e) < 0 ||
			       sandbox_domain_folder_of(d, cfg->auth_oauth_ca_file, MAY_READ, e) < 0
		       ? -1
		       : 0;
}

int confine_monitor_paths(struct sandbox_domain *d, const struct config *cfg, struct err *e)
{
	if (allow_common(d, e) < 0)
		return -1;
	return sandbox_domain_folder_of(d, cfg->metrics_file, MAY_WRITE | MAY_MAKE | MAY_REMOVE, e);
}

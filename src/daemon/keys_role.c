/* SPDX-License-Identifier: ISC */
/*
 * The key process: its rights, then keys_server_run. It opens no file: the
 * keys were checked, and are passed on by the master without having been in
 * its memory. It reads nothing of a stranger but the fixed structures of
 * workers (keys/protocol.h).
 */
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"
#include "base/proctitle.h"
#include "daemon/inherit.h"
#include "daemon/listener_tls.h"
#include "daemon/service.h"
#include "figures/figures.h"
#include "keys/server.h"

#define THREADS_MAX 16
#define SPARE_CLIENTS 16 /* workers that end while others begin */

static unsigned threads(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1 ? 1 : cpus > THREADS_MAX ? THREADS_MAX : (unsigned)cpus;
}

int keys_main(void *ctx, struct child_start *start)
{
	struct service *s = ctx;
	struct keys_server_config config = { .control = &start->control,
					     .max_clients = s->cfg->max_workers + SPARE_CLIENTS,
					     .threads = threads(),
					     .ready = &s->board->shared->ready[ROLE_KEYS] };
	struct vault vault;
	struct err e;
	int vault_fd, r = -1;

	/* what its memory will hold is for no core file and no debugger */
	prctl(PR_SET_DUMPABLE, 0);
	figures_become_nobody();
	proctitle_set("keys");
	listener_tls_take_keys(s->tls, &vault_fd, &config.line_fd);
	inherit_as(s, ROLE_KEYS);
	if (rights_drop(&s->keys_rights, &e) == 0 && vault_read(&vault, vault_fd, &e) == 0) {
		close(vault_fd);
		config.vault = &vault;
		r = confine_enter(&s->confine, ROLE_KEYS, &e) == 0 ? keys_server_run(&config, &e) : -1;
		vault_release(&vault);
	}
	if (r < 0)
		log_msg(LOG_LEVEL_ERROR, "keys_failed", "%s", e.text);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* SPDX-License-Identifier: ISC */
/* See rewrite_log.h. */
#include "rewrite/rewrite_log.h"

#include <string.h>

#include "base/log.h"

static void begin(struct log_line *line, enum log_level level, const char *event, const struct envelope *env)
{
	log_begin(line, level, event);
	if (env->id[0])
		log_str(line, "id", env->id);
}

void rewrite_log_sender(const struct envelope *env, const char *was)
{
	struct log_line line;

	if (strcmp(env->sender, was) == 0)
		return;
	begin(&line, LOG_LEVEL_INFO, "rewritten", env);
	log_str(&line, "from", env->sender);
	log_str(&line, "from_was", was);
	log_end(&line);
}

void rewrite_log_recipient(const struct envelope *env, const char *was, const char *is)
{
	struct log_line line;

	if (was && strcmp(is, was) == 0)
		return;
	begin(&line, LOG_LEVEL_INFO, "rewritten", env);
	log_str(&line, "to", is);
	log_str(&line, "to_was", was);
	log_end(&line);
}

void rewrite_log_header(const struct envelope *env, const struct header_filter *filter)
{
	struct log_line line;

	if (filter->rewritten + filter->removed > 0) {
		begin(&line, LOG_LEVEL_INFO, "rewritten", env);
		log_int(&line, "fields_rewritten", filter->rewritten);
		log_int(&line, "fields_removed", filter->removed);
		log_end(&line);
	}
	if (filter->skipped > 0) {
		begin(&line, LOG_LEVEL_WARNING, "rewrite_skipped", env);
		log_str(&line, "peer", env->peer);
		log_int(&line, "fields", filter->skipped);
		log_str(&line, "msg", filter->why.text);
		log_end(&line);
	}
}

void rewrite_log_failed(const struct envelope *env, const char *what, const char *address, const char *why)
{
	struct log_line line;

	begin(&line, LOG_LEVEL_ERROR, "rewrite_failed", env);
	log_str(&line, "peer", env->peer);
	log_str(&line, "what", what);
	log_str(&line, "address", address);
	log_str(&line, "msg", why);
	log_end(&line);
}

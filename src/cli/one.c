/* SPDX-License-Identifier: ISC */
/* See one.h. */
#include "cli/one.h"

#include <string.h>

#include "cli/access.h"
#include "cli/corrupt.h"
#include "cli/lookup.h"

#define CANDIDATES_SHOWN 10

enum cli_status one_operand(struct cli *cli, const char **typed)
{
	struct id_prefix prefix;
	char **operands;
	int count;

	operands = args_operands(&cli->args, &count);
	if (count != 1)
		return cli_usage_error(cli,
				       count == 0 ? "which message? its ID is missing" : "one ID at a time");
	if (!id_prefix_parse(operands[0], &prefix))
		return cli_usage_error(cli, "%s: not (the beginning of) a queue id", operands[0]);
	*typed = operands[0];
	return CLI_DONE;
}

static enum cli_status ambiguous(const struct id_prefix *prefix, const struct id_list *list, int64_t now_wall_us)
{
	char age[16];

	cli_error("%s: the ids of %zu messages begin so: type more of the one you mean", prefix->text,
		  list->count);
	for (size_t i = 0; i < list->count && i < CANDIDATES_SHOWN; i++) {
		struct spool_id id;

		id_list_get(list, i, &id);
		fprintf(stderr, "  %s  %s old\n", id.text,
			term_age(spool_id_wall_us(id.text), now_wall_us, age, sizeof(age)));
	}
	if (list->count > CANDIDATES_SHOWN)
		fprintf(stderr, "  and %zu more\n", list->count - CANDIDATES_SHOWN);
	return CLI_USAGE;
}

enum cli_status one_find(struct cli *cli, const struct spool *s, const char *typed, int64_t now_wall_us,
			 struct spool_id *out)
{
	enum cli_status status = CLI_DONE;
	struct id_prefix prefix;
	struct id_list list;
	struct err e;

	if (!id_prefix_parse(typed, &prefix))
		return CLI_USAGE;
	if (id_prefix_is_whole(&prefix)) { /* whole: no need to list a long queue */
		memcpy(out->text, prefix.text, sizeof(out->text));
		return CLI_DONE;
	}
	id_list_init(&list);
	if (access_ids(cli, s, &prefix, 1, &list, &e) < 0 ||
	    (list.count == 0 && corrupt_scan(&list, s, &prefix, 1, &e) < 0)) {
		cli_error("%s", e.text);
		status = CLI_UNREACHABLE;
	} else if (list.count == 0) {
		cli_error("%s: no queued message's id begins so", prefix.text);
		status = CLI_NOTHING;
	} else if (list.count > 1) {
		status = ambiguous(&prefix, &list, now_wall_us);
	} else {
		id_list_get(&list, 0, out);
	}
	id_list_release(&list);
	return status;
}

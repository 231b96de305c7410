/* SPDX-License-Identifier: ISC */
/* See log_entry.h. */
#include "cli/log_entry.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "cli/json.h"
#include "manage/protocol.h"

#define DAY_US (INT64_C(86400) * 1000000)

/* What stands in front of an event. */
struct head {
	int64_t wall_us; /* 0: unknown */
	const char *program; /* NULL: unknown */
	int64_t pid;
};

static bool is_ours(const char *program)
{
	return strcmp(program, "posthoused") == 0 || strcmp(program, "posthouse") == 0;
}

/* ---- times ---------------------------------------------------------------------------- */

/* RFC 3339, any number of digits in the fraction; the end of it, or NULL. */
static const char *read_rfc3339(const char *text, int64_t *wall_us)
{
	struct tm tm = { 0 };
	int64_t fraction_us = 0, offset_s = 0;
	int used = 0, hours, minutes;
	const char *at;

	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
		   &tm.tm_min, &tm.tm_sec, &used) != 6)
		return NULL;
	at = text + used;
	if (*at == '.') {
		int64_t unit = 100000;

		for (at++; *at >= '0' && *at <= '9'; at++, unit /= 10)
			fraction_us += (*at - '0') * unit;
	}
	if (*at == 'Z') {
		at++;
	} else if ((*at == '+' || *at == '-') && sscanf(at + 1, "%2d:%2d%n", &hours, &minutes, &used) == 2) {
		offset_s = (*at == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
		at += 1 + used;
	} else {
		return NULL;
	}
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*wall_us = ((int64_t)timegm(&tm) - offset_s) * 1000000 + fraction_us;
	return at;
}

/* RFC 3164 has no year: the last one in which it is not later than the file was written, but for clocks that differ. */
static const char *read_bsd(const char *text, int64_t latest_wall_us, int64_t *wall_us)
{
	time_t latest = (time_t)((latest_wall_us + DAY_US) / 1000000), then;
	struct tm now, tm = { 0 };
	const char *end = strptime(text, "%b %d %H:%M:%S", &tm);

	if (!end || !localtime_r(&latest, &now))
		return NULL;
	for (int back = 0; back < 2; back++) {
		struct tm one = tm;

		one.tm_year = now.tm_year - back;
		one.tm_isdst = -1;
		then = mktime(&one);
		if (then <= latest)
			break;
	}
	*wall_us = (int64_t)then * 1000000;
	return end;
}

/* ---- what stands in front ---------------------------------------------------------------- */

/* "posthoused[123]:" */
static bool read_program(char *word, struct head *head)
{
	size_t len = strlen(word);
	char *bracket = strchr(word, '[');
	uint64_t pid;

	if (!bracket || len < 4 || strcmp(word + len - 2, "]:") != 0 ||
	    !num_parse_u64(bracket + 1, (size_t)(word + len - 2 - (bracket + 1)), INT32_MAX, &pid))
		return false;
	*bracket = '\0';
	head->program = word;
	head->pid = (int64_t)pid;
	return is_ours(word);
}

static char *next_word(char **at)
{
	char *word = *at, *space = strchr(word, ' ');

	if (!space)
		return NULL;
	*space = '\0';
	*at = space + 1;
	return word;
}

/* The event behind it, or NULL. Whose line it is stands in the first or second word behind the time, nowhere else. */
static char *read_head(char *line, int64_t latest_wall_us, struct head *head)
{
	const char *end = read_rfc3339(line, &head->wall_us);
	char *at, *word;

	if (!end)
		end = read_bsd(line, latest_wall_us, &head->wall_us);
	if (!end || *end != ' ')
		return NULL;
	at = line + (end - line) + 1;
	word = next_word(&at);
	if (!word)
		return NULL;
	if (strchr(word, '['))
		return read_program(word, head) ? at : NULL;
	word = next_word(&at); /* the other one was the host */
	return word && read_program(word, head) ? at : NULL;
}

/* ---- the event ----------------------------------------------------------------------------- */

static json_t *with_head(json_t *o, const struct head *head)
{
	if (!o)
		return NULL;
	if (head->wall_us > 0)
		json_put_key(o, "time_ms", json_integer(head->wall_us / 1000));
	else
		json_object_del(o, "time_ms");
	if (head->program) {
		json_put_key(o, "_program", json_string(head->program));
		json_put_key(o, "_pid", json_integer(head->pid));
	}
	return o;
}

/* The decimal numbers of the journal are text. */
static int64_t get_number(const json_t *o, const char *key)
{
	const char *text = json_get_text(o, key);
	uint64_t n = 0;

	return text && num_parse_u64(text, strlen(text), INT64_MAX, &n) ? (int64_t)n : 0;
}

static json_t *parse_plain(char *text, size_t len, const struct head *head);

/* Of journalctl: what was said is in it, as it was said. */
static json_t *parse_journal(const json_t *record)
{
	const char *message = json_get_text(record, "MESSAGE"),
		   *program = json_get_text(record, "SYSLOG_IDENTIFIER");
	struct head head = { .wall_us = get_number(record, "__REALTIME_TIMESTAMP"),
			     .program = program,
			     .pid = get_number(record, "_PID") };
	json_t *o;
	char *text;

	if (!message || !program || !is_ours(program))
		return NULL;
	text = strdup(message);
	o = text ? parse_plain(text, strlen(text), &head) : NULL;
	if (text && !o &&
	    message[0] != '{') { /* it was written to standard error, and has a time and a name in front */
		strcpy(text, message);
		o = log_entry_parse(text, strlen(text), head.wall_us);
	}
	free(text);
	return o;
}

static json_t *parse_json(const char *text, size_t len, const struct head *head)
{
	json_t *o = json_loadb(text, len, JSON_ALLOW_NUL, NULL), *event = NULL;

	if (json_get_text(o, "event"))
		event = json_incref(o);
	else if (json_get_text(o, "MESSAGE") && !head->program) /* not inside of another record */
		event = parse_journal(o);
	json_decref(o);
	return event;
}

/* Key=value or an object, with nothing in front. */
static json_t *parse_plain(char *text, size_t len, const struct head *head)
{
	if (strncmp(text, "event=", 6) == 0)
		return with_head(protocol_event(text, len, 0), head);
	return text[0] == '{' ? parse_json(text, len, head) : NULL;
}

json_t *log_entry_parse(char *line, size_t len, int64_t latest_wall_us)
{
	struct head head = { 0 };
	char *event;

	line[len] = '\0';
	if (strlen(line) != len)
		return NULL; /* no log of ours has NULs */
	if (line[0] == '{' || strncmp(line, "event=", 6) == 0)
		return parse_plain(line, len, &head);
	event = read_head(line, latest_wall_us, &head);
	return event ? parse_plain(event, strlen(event), &head) : NULL;
}

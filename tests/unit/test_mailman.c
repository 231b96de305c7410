/* SPDX-License-Identifier: ISC */
/* mailman/: the sets of names and what they answer, the REST API's answers, the maps, and SPOOL/lists. */
#include <event2/event.h>
#include <unistd.h>

#include "base/clock.h"
#include "mailman/directory.h"
#include "mailman/map.h"
#include "mailman/map_file.h"
#include "mailman/rest.h"
#include "mailman/snapshot.h"
#include "spool_world.h"
#include "unit.h"

static struct lists *set(enum lists_kind kind, const char *const *names)
{
	struct lists *l = lists_new(kind);

	for (; *names; names++)
		ck_assert(lists_add(l, *names, strlen(*names), NULL));
	return l;
}

static enum lists_found find(const struct lists *l, const char *address)
{
	return lists_find(l, address, NULL);
}

START_TEST(test_subaddresses)
{
	static const char *const names[] = { "Test@Lists.Example.org", "a-b.c@lists.example.org",
					     "test-owner@example.net", "test@example.net", NULL };
	static const char *const known[] = {
		"test@lists.example.org", "TEST@LISTS.EXAMPLE.ORG", "test-owner@lists.example.org",
		"test-bounces@lists.example.org", "test-bounces+ann=example.com@lists.example.org",
		"test-confirm+0123abcd@lists.example.org", "test-join@lists.example.org",
		"test-leave@lists.example.org", "test-request@lists.example.org",
		"test-subscribe@lists.example.org", "Test-Unsubscribe@lists.example.org",
		"test+anything@lists.example.org", "a-b.c@lists.example.org", "a-b.c-owner@lists.example.org",
		"test-owner@example.net", "test-owner-owner@example.net", "test-owner+x-y@example.net",
	};
	static const char *const unknown[] = {
		"nobody@lists.example.org", "test-foo@lists.example.org", "test-admin@lists.example.org",
		"-owner@lists.example.org", "test-@lists.example.org", "test-owner-owner@lists.example.org",
		"testowner@lists.example.org", "a@lists.example.org", "+test@lists.example.org",
		"est@lists.example.org",
	};
	static const char *const foreign[] = { "test@example.com", "test@x.lists.example.org", "test", "", "@",
					       "@lists.example.org", "test@", "test@example.org" };
	struct lists *l = set(LISTS_OF_LISTS, names);

	lists_seal(l);
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		ck_assert_msg(find(l, known[i]) == LISTS_LIST, "%s", known[i]);
	for (size_t i = 0; i < sizeof(unknown) / sizeof(*unknown); i++)
		ck_assert_msg(find(l, unknown[i]) == LISTS_NONE, "%s", unknown[i]);
	for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++)
		ck_assert_msg(find(l, foreign[i]) == LISTS_FOREIGN, "%s", foreign[i]);
	lists_free(l);
}
END_TEST

START_TEST(test_domains)
{
	static const char *const names[] = { "ann@example.net", NULL };
	struct lists *l = set(LISTS_OF_LISTS, names);

	ck_assert(lists_add_domain(l, "Empty.example.net", 17, NULL));
	ck_assert(lists_add_domain(l, "out.example.net", 15, "example.net")); /* Mailman's alias_domain */
	ck_assert(lists_add_domain(l, "out.example.net", 15, NULL));
	lists_seal(l);
	ck_assert_int_eq(find(l, "ann@out.example.net"), LISTS_LIST);
	ck_assert_int_eq(find(l, "ann-leave@out.example.net"), LISTS_LIST);
	ck_assert_int_eq(find(l, "ann@example.net"), LISTS_LIST);
	ck_assert_int_eq(find(l, "bob@out.example.net"), LISTS_NONE);
	ck_assert_int_eq(find(l, "bob@empty.example.net"), LISTS_NONE);
	ck_assert_uint_eq(lists_domain_count(l), 3);
	ck_assert_uint_eq(lists_count(l), 1);
	lists_free(l);
}
END_TEST

START_TEST(test_bad_names)
{
	static const char *const bad[] = { "", "@", "@example.org", "ann@", "a b@example.org", "a\n@example.org",
					   "a@example.org\x7f" };
	char address[LISTS_NAME_MAX + 20];
	struct lists *l = lists_new(LISTS_OF_LISTS);

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		ck_assert_msg(!lists_add(l, bad[i], strlen(bad[i]), NULL), "%s", bad[i]);
	ck_assert(!lists_add(l, "a\0b@example.org", 15, NULL));
	ck_assert(!lists_add_domain(l, "a@b", 3, NULL));
	memset(address, 'a', sizeof(address));
	memcpy(address + LISTS_NAME_MAX, "@example.org", 13);
	ck_assert(!lists_add(l, address, strlen(address), NULL));
	ck_assert(lists_add(l, "ann@example.org", 15, NULL));
	lists_seal(l);
	ck_assert_int_eq(find(l, address), LISTS_FOREIGN); /* too long to be a list's */
	address[LISTS_NAME_MAX - 14] = '\0';
	strcat(address, "@example.org");
	ck_assert_int_eq(find(l, address), LISTS_NONE);
	lists_free(l);
}
END_TEST

/* Which answer is believed when. */
START_TEST(test_answers)
{
	static const char *const listed[] = { "test@lists.example.org", NULL };
	static const char *const mapped[] = { "new@lists.example.org", "new-owner@lists.example.org", NULL };
	struct lists *configured = lists_new(LISTS_OF_LISTS), *none = lists_new(LISTS_OF_LISTS);
	struct lists *l = set(LISTS_OF_LISTS, listed), *m = set(LISTS_OF_ADDRESSES, mapped);
	const int64_t before = 100, then = 200, after = 300;

	ck_assert(lists_add_domain(configured, "lists.example.net", 17, NULL));
	lists_seal(configured);
	lists_seal(none);
	lists_seal(l);
	lists_seal(m);
#define ASK(address, when, ...) lists_ask(&(struct lists_known){ __VA_ARGS__ }, address, when)
	/* a listing: its yes is always believed, its no when it is newer than the message */
	ck_assert_int_eq(ASK("test@lists.example.org", after, none, l, then, NULL), LISTS_YES);
	ck_assert_int_eq(ASK("test@lists.example.org", before, none, l, then, NULL), LISTS_YES);
	ck_assert_int_eq(ASK("ann@lists.example.org", before, none, l, then, NULL), LISTS_NO);
	ck_assert_int_eq(ASK("ann@lists.example.org", then, none, l, then, NULL), LISTS_UNKNOWN);
	ck_assert_int_eq(ASK("ann@lists.example.org", after, none, l, then, NULL), LISTS_UNKNOWN);
	ck_assert_int_eq(ASK("ann@example.com", after, none, l, then, NULL), LISTS_NO);
	/* named by the operator, without a list in it */
	ck_assert_int_eq(ASK("ann@lists.example.net", after, configured, l, then, NULL), LISTS_UNKNOWN);
	ck_assert_int_eq(ASK("ann@lists.example.net", before, configured, l, then, NULL), LISTS_NO);
	/* the map helps where the listing is too old */
	ck_assert_int_eq(ASK("new@lists.example.org", after, none, l, then, m), LISTS_YES);
	ck_assert_int_eq(ASK("new@lists.example.org", before, none, l, then, m), LISTS_NO);
	ck_assert_int_eq(ASK("bob@lists.example.org", after, none, l, then, m), LISTS_UNKNOWN);
	ck_assert_int_eq(ASK("new-join@lists.example.org", after, none, NULL, 0, m), LISTS_UNKNOWN);
	ck_assert_int_eq(ASK("new-owner@lists.example.org", after, none, NULL, 0, m), LISTS_YES);
	ck_assert_int_eq(ASK("ann@example.com", after, none, NULL, 0, m), LISTS_NO);
	/* Mailman never answered: what is known are its domains, or nothing, and then nobody leaves */
	ck_assert_int_eq(ASK("ann@lists.example.net", after, configured, NULL, 0, NULL), LISTS_UNKNOWN);
	ck_assert_int_eq(ASK("ann@example.com", after, configured, NULL, 0, NULL), LISTS_NO);
	ck_assert_int_eq(ASK("ann@example.com", after, none, NULL, 0, NULL), LISTS_UNKNOWN);
	/* a Mailman without lists and domains has none */
	ck_assert_int_eq(ASK("ann@example.com", after, none, none, then, NULL), LISTS_NO);
	lists_free(configured);
	lists_free(none);
	lists_free(l);
	lists_free(m);
}
END_TEST

/* ---- the REST API ------------------------------------------------------------------------- */

START_TEST(test_rest_urls)
{
	char *url = rest_url("http://localhost:8001/3.1/", REST_LISTS, 3);

	ck_assert_str_eq(url, "http://localhost:8001/3.1/lists?count=100&page=3");
	free(url);
	url = rest_url("http://localhost:8001/3.1", REST_DOMAINS, 1);
	ck_assert_str_eq(url, "http://localhost:8001/3.1/domains?count=100&page=1");
	free(url);
}
END_TEST

static int read_page(struct lists *l, enum rest_collection what, const char *body, struct rest_page *page, struct err *e)
{
	return rest_read(l, what, 200, body, strlen(body), page, e);
}

START_TEST(test_rest_pages)
{
	struct lists *l = lists_new(LISTS_OF_LISTS);
	struct rest_page page;
	struct err e;

	ck_assert_int_eq(read_page(l, REST_DOMAINS, "{\"start\": 0, \"total_size\": 2, \"entries\": ["
				   "{\"alias_domain\": \"x.example.net\", \"mail_host\": \"example.net\"},"
				   "{\"alias_domain\": null, \"mail_host\": \"lists.example.org\"}]}", &page, &e), 0);
	ck_assert_uint_eq(page.total, 2);
	ck_assert_uint_eq(page.count, 2);
	ck_assert_int_eq(read_page(l, REST_LISTS, "{\"start\": 0, \"total_size\": 3, \"entries\": ["
				   "{\"fqdn_listname\": \"test@lists.example.org\", \"description\": \"\\u2026\"}]}",
				   &page, &e), 0);
	ck_assert_uint_eq(page.total, 3);
	ck_assert_uint_eq(page.count, 1);
	ck_assert_int_eq(read_page(l, REST_LISTS, "{\"start\": 0, \"total_size\": 0, \"http_etag\": \"x\"}", &page, &e), 0);
	ck_assert_uint_eq(page.count, 0);
	lists_seal(l);
	ck_assert_int_eq(find(l, "test@lists.example.org"), LISTS_LIST);
	ck_assert_int_eq(find(l, "test@x.example.net"), LISTS_NONE);
	ck_assert_uint_eq(lists_domain_count(l), 3);
	lists_free(l);
}
END_TEST

START_TEST(test_rest_nonsense)
{
	static const char *const bad[] = {
		"", "{", "[]", "{}", "null", "7", "<!DOCTYPE html>", "{\"total_size\": \"3\"}", "{\"total_size\": -1}",
		"{\"total_size\": 1000001}", "{\"total_size\": 1, \"entries\": {}}", "{\"total_size\": 1, \"entries\": [{}]}",
		"{\"total_size\": 1, \"entries\": [7]}", "{\"total_size\": 1, \"entries\": [{\"fqdn_listname\": 7}]}",
		"{\"total_size\": 1, \"entries\": [{\"fqdn_listname\": \"test\"}]}",
		"{\"total_size\": 1, \"entries\": [{\"fqdn_listname\": \"a\\u0000b@example.org\"}]}",
		"{\"total_size\": 1, \"entries\": [{\"fqdn_listname\": \"a\\nb@example.org\"}]}",
		"{\"total_size\": 1, \"total_size\": 2}",
	};
	char many[8192] = "{\"total_size\": 101, \"entries\": [";
	struct rest_page page;
	struct err e;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct lists *l = lists_new(LISTS_OF_LISTS);

		ck_assert_msg(read_page(l, REST_LISTS, bad[i], &page, &e) < 0, "%s", bad[i]);
		ck_assert(e.text[0]);
		lists_free(l);
	}
	for (int i = 0; i < REST_PAGE + 1; i++)
		sprintf(many + strlen(many), "%s{\"fqdn_listname\": \"l%d@example.org\"}", i ? "," : "", i);
	strcat(many, "]}");
	for (int i = 0; i < 3; i++) {
		static const long status[] = { 401, 404, 503 };
		struct lists *l = lists_new(LISTS_OF_LISTS);

		ck_assert_int_lt(rest_read(l, REST_LISTS, status[i], "{\"total_size\": 0}", 17, &page, &e), 0);
		ck_assert_ptr_nonnull(strstr(e.text, i == 0 ? "mailman_password_file" : i == 1 ? "mailman_url" : "503"));
		ck_assert_int_lt(read_page(l, REST_LISTS, many, &page, &e), 0);
		lists_free(l);
	}
}
END_TEST

/* ---- maps ----------------------------------------------------------------------------------- */

static const char hash_map[] =
	"# AUTOMATICALLY GENERATED BY MAILMAN ON 2026-11-23 05:26:00\n#\n    \n"
	"# Aliases which are visible only in the @lists.example.org domain.\n"
	"a-b.c@lists.example.org                  lmtp:[127.0.0.1]:18024\n"
	"a-b.c-confirm@lists.example.org          lmtp:[127.0.0.1]:18024\n\n";
static const char regex_map[] =
	"# generated\n    \n"
	"/^a-b\\.c@lists\\.example\\.org$/                  lmtp:[127.0.0.1]:18024\n"
	"/^a-b\\.c-confirm(\\+.*)?@lists\\.example\\.org$/   lmtp:[127.0.0.1]:18024\r\n";
static const char aliases[] =
	"# The ultimate loop stopper address\nmailman-loop: /var/lib/mailman/data/owner-bounces.mbox\n\n"
	"# STANZA START: test\n"
	"test:             \"|/usr/lib/mailman/mail/mailman post test\"\n"
	"test-admin:       \"|/usr/lib/mailman/mail/mailman admin test\"\n"
	"test-confirm :    \"|/usr/lib/mailman/mail/mailman confirm test\"\n"
	"# STANZA END: test";

START_TEST(test_map_of_mailman3)
{
	static const char *const texts[] = { hash_map, regex_map };
	struct err e;

	for (int i = 0; i < 2; i++) {
		struct lists *l = lists_new(LISTS_OF_ADDRESSES);

		ck_assert_msg(map_read(l, texts[i], strlen(texts[i]), &e) == 0, "%s", e.text);
		lists_seal(l);
		ck_assert_uint_eq(lists_count(l), 2);
		ck_assert_int_eq(find(l, "a-b.c@lists.example.org"), LISTS_LIST);
		ck_assert_int_eq(find(l, "a-b.c-confirm+12ab@lists.example.org"), LISTS_LIST);
		ck_assert_int_eq(find(l, "a-b.c-owner@lists.example.org"), LISTS_NONE);
		ck_assert_int_eq(find(l, "a-bxc@lists.example.org"), LISTS_NONE);
		lists_free(l);
	}
}
END_TEST

START_TEST(test_map_of_mailman2)
{
	struct lists *l = lists_new(LISTS_OF_ADDRESSES);
	const char *value;
	struct err e;

	ck_assert(lists_add_domain(l, "lists.example.org", 17, NULL));
	ck_assert_msg(map_read(l, aliases, strlen(aliases), &e) == 0, "%s", e.text);
	lists_seal(l);
	ck_assert_uint_eq(lists_count(l), 3);
	ck_assert_int_eq(lists_find(l, "Test@lists.example.org", &value), LISTS_LIST);
	ck_assert_str_eq(value, "post test");
	ck_assert_int_eq(lists_find(l, "test-admin@lists.example.org", &value), LISTS_LIST);
	ck_assert_str_eq(value, "admin test");
	ck_assert_int_eq(lists_find(l, "test-confirm+5678@lists.example.org", &value), LISTS_LIST);
	ck_assert_str_eq(value, "confirm test");
	ck_assert_int_eq(lists_find(l, "test-request@lists.example.org", &value), LISTS_NONE);
	ck_assert_ptr_null(value);
	ck_assert_int_eq(find(l, "mailman-loop@lists.example.org"), LISTS_NONE);
	ck_assert_int_eq(find(l, "test@example.org"), LISTS_FOREIGN);
	lists_free(l);
}
END_TEST

START_TEST(test_map_nonsense)
{
	static const char *const bad[] = {
		"test@example.org\n", "test@example.org smtp:[h]\n", "test lmtp:[h]:1\n", "hello world\n",
		"/^(a|b)@example\\.org$/ lmtp:[h]:1\n", "/^a@example\\.org/ lmtp:[h]:1\n", "/^$/ lmtp:x\n", ": \"|x y z\"\n",
		"test: \"|mailman\"\n", "test: \"|post test\"\n", "@example.org lmtp:[h]:1\n", "/ lmtp:1\n",
		"test:\n", "a b: \"|mailman post test\"\n", "te\x01st: \"|mailman post test\"\n",
	};
	struct err e;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct lists *l = lists_new(LISTS_OF_ADDRESSES);

		ck_assert_msg(map_read(l, bad[i], strlen(bad[i]), &e) < 0, "%s", bad[i]);
		ck_assert_ptr_nonnull(strstr(e.text, "line 1 "));
		lists_free(l);
	}
	/* cut anywhere it is read or refused, and nothing is read behind its end */
	for (size_t n = 0; n < sizeof(regex_map) + sizeof(aliases); n++) {
		struct lists *l = lists_new(LISTS_OF_ADDRESSES);
		const char *text = n < sizeof(regex_map) ? regex_map : aliases;
		size_t len = n < sizeof(regex_map) ? n : n - sizeof(regex_map);
		char *cut = malloc(len + 1);

		memcpy(cut, text, len);
		(void)map_read(l, cut, len, &e);
		free(cut);
		lists_free(l);
	}
}
END_TEST

START_TEST(test_map_files)
{
	char path[] = "/tmp/posthouse-map-XXXXXX", other[64];
	int fd = mkstemp(path);
	struct map_file m = { 0 };
	struct lists *l = lists_new(LISTS_OF_ADDRESSES);
	struct err e;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, hash_map, strlen(hash_map)), (ssize_t)strlen(hash_map));
	ck_assert(!map_file_is_same(&m, path));
	ck_assert_msg(map_file_read(&m, path, l, &e) == 0, "%s", e.text);
	ck_assert(map_file_is_same(&m, path));
	ck_assert_int_eq(write(fd, "oops\n", 5), 5);
	ck_assert(!map_file_is_same(&m, path));
	ck_assert_int_lt(map_file_read(&m, path, l, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, path));
	close(fd);
	unlink(path);
	ck_assert(!map_file_is_same(&m, path));
	ck_assert_int_lt(map_file_read(&m, path, l, &e), 0);
	snprintf(other, sizeof(other), "/tmp");
	ck_assert_int_lt(map_file_read(&m, other, l, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.text, "no regular file"));
	lists_free(l);
}
END_TEST

/* ---- SPOOL/lists ------------------------------------------------------------------------------- */

START_TEST(test_snapshot)
{
	static const char *const names[] = { "test@lists.example.org", "\xc3\xa4@lists.example.org", NULL };
	struct lists *l = set(LISTS_OF_LISTS, names), *back = NULL;
	struct spool s;
	int64_t asked;
	char file[256];
	struct err e;
	FILE *f;

	spool_world_open(&s);
	ck_assert_int_eq(snapshot_load(&back, LISTS_OF_LISTS, &asked, &s, &e), SNAPSHOT_MISSING);
	ck_assert(lists_add_domain(l, "out.example.org", 15, "lists.example.org"));
	ck_assert(lists_add(l, "bare", 4, "post bare"));
	lists_seal(l);
	ck_assert_msg(snapshot_save(l, 1234567890123456, &s, &e) == 0, "%s", e.text);
	ck_assert_msg(snapshot_load(&back, LISTS_OF_LISTS, &asked, &s, &e) == SNAPSHOT_OK, "%s", e.text);
	ck_assert_int_eq(asked, 1234567890123456);
	ck_assert(lists_equal(l, back));
	ck_assert(!lists_equal(l, NULL));
	ck_assert_int_eq(find(back, "test-owner@out.example.org"), LISTS_LIST);
	lists_free(back);
	/* a flipped octet is noticed */
	snprintf(file, sizeof(file), "%s/lists", s.path);
	f = fopen(file, "r+");
	ck_assert_ptr_nonnull(f);
	fseek(f, 30, SEEK_SET);
	fputc('X', f);
	fclose(f);
	ck_assert_int_eq(snapshot_load(&back, LISTS_OF_LISTS, &asked, &s, &e), SNAPSHOT_BAD);
	ck_assert_ptr_nonnull(strstr(e.text, "damaged"));
	lists_free(l);
	spool_world_close(&s);
}
END_TEST

/* ---- a listing and the clock --------------------------------------------------------------------- */

static void no_matter(void *ctx)
{
	(void)ctx;
}

START_TEST(test_no_of_an_old_listing_after_a_step_of_the_clock)
{
	static const int64_t second = 1000000, begin = 1700000000 * second, hour = 3600 * second;
	static const char *const nobody = "new@lists.example.org";
	char path[] = "/tmp/posthouse-map-XXXXXX";
	const char *const maps[] = { path }, *const domains[] = { "lists.example.org" };
	const struct directory_settings settings = { .map = maps, .map_count = 1, .domain = domains, .domain_count = 1,
						     .refresh_ms = 3600000 };
	struct event_base *base = event_base_new();
	struct directory_facts facts;
	struct directory *d;
	struct spool s;

	ck_assert_int_ge(mkstemp(path), 0);
	spool_world_open(&s);
	clock_freeze(begin, 1000000);
	d = directory_new(&settings, &s);
	directory_start(d, base, NULL, no_matter, NULL);
	event_base_loop(base, EVLOOP_ONCE);
	facts = directory_facts(d);
	ck_assert_int_eq(facts.listed_wall_us, begin);
	free((void *)(uintptr_t)facts.domain);
	ck_assert_int_eq(directory_ask(d, nobody, begin - second), LISTS_NO);
	/* of a message behind the listing nothing is known, wherever the clock goes */
	clock_freeze(begin + 10 * second, 1010000);
	ck_assert_int_eq(directory_ask(d, nobody, begin + 10 * second), LISTS_UNKNOWN);
	clock_freeze(begin + hour, 1011000);
	ck_assert_int_eq(directory_ask(d, nobody, begin + 10 * second), LISTS_UNKNOWN);
	ck_assert_int_eq(directory_ask(d, nobody, begin + hour), LISTS_UNKNOWN);
	clock_freeze(begin - hour, 1012000);
	ck_assert_int_eq(directory_ask(d, nobody, begin + 10 * second), LISTS_UNKNOWN);
	ck_assert_int_eq(directory_ask(d, nobody, begin - hour), LISTS_UNKNOWN);
	clock_thaw();
	directory_stop(d);
	directory_free(d);
	event_base_free(base);
	spool_world_close(&s);
	unlink(path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("mailman");

	UNIT_CASE(suite, test_subaddresses, test_domains, test_bad_names, test_answers, test_rest_urls, test_rest_pages,
		  test_rest_nonsense, test_map_of_mailman3, test_map_of_mailman2, test_map_nonsense, test_map_files,
		  test_snapshot, test_no_of_an_old_listing_after_a_step_of_the_clock);
	return unit_run(suite);
}

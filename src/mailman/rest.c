/* SPDX-License-Identifier: ISC */
/* See rest.h. */
#include "mailman/rest.h"

#include <jansson.h>
#include <string.h>

#include "base/alloc.h"

char *rest_url(const char *base, enum rest_collection what, size_t page)
{
	size_t len = strlen(base);

	while (len > 0 && base[len - 1] == '/')
		len--;
	return mem_printf("%.*s/%s?count=%d&page=%zu", (int)len, base,
			  what == REST_LISTS ? "lists" : "domains", REST_PAGE, page);
}

/* A member that is a text without NULs; NULL: it is none. */
static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static int take_list(struct lists *into, const json_t *entry, struct err *e)
{
	const char *name = text_of(entry, "fqdn_listname");

	if (name && strchr(name, '@') && lists_add(into, name, strlen(name), NULL))
		return 0;
	err_set(e, "a list has a fqdn_listname that is none: \"%.100s\"", name ? name : "");
	return -1;
}

/* An alias domain is how the lists of the domain are called outside. */
static int take_domain(struct lists *into, const json_t *entry, struct err *e)
{
	const char *host = text_of(entry, "mail_host"), *alias = text_of(entry, "alias_domain");

	if (host && lists_add_domain(into, host, strlen(host), NULL) &&
	    (!alias || !alias[0] || lists_add_domain(into, alias, strlen(alias), host)))
		return 0;
	err_set(e, "a domain has a name that is none: \"%.100s\", alias \"%.100s\"", host ? host : "",
		alias ? alias : "");
	return -1;
}

static int take_entries(struct lists *into, enum rest_collection what, const json_t *entries, struct err *e)
{
	for (size_t i = 0; i < json_array_size(entries); i++) {
		const json_t *entry = json_array_get(entries, i);

		if ((what == REST_LISTS ? take_list(into, entry, e) : take_domain(into, entry, e)) < 0)
			return -1;
	}
	return 0;
}

static int check_status(long status, struct err *e)
{
	if (status == 200)
		return 0;
	if (status == 401)
		err_set(e, "401: it does not know mailman_user with the password in mailman_password_file "
			   "(admin_user and admin_pass in Mailman's [webservice])");
	else if (status == 404)
		err_set(e, "404: there is no REST API of Mailman 3 at mailman_url");
	else
		err_set(e, "answered with status %ld", status);
	return -1;
}

int rest_read(struct lists *into, enum rest_collection what, long status, const char *body, size_t len,
	      struct rest_page *page, struct err *e)
{
	const json_t *total, *entries;
	json_t *answer;
	int r = -1;

	if (check_status(status, e) < 0)
		return -1;
	answer = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
	total = json_object_get(answer, "total_size");
	entries = json_object_get(answer, "entries"); /* left out when there are none */
	if (!json_is_integer(total) || json_integer_value(total) < 0 || (entries && !json_is_array(entries)))
		err_set(e, "the answer is no listing of Mailman 3");
	else if (json_integer_value(total) > (json_int_t)REST_TOTAL_MAX)
		err_set(e, "it has more than %u lists", REST_TOTAL_MAX);
	else if (json_array_size(entries) > REST_PAGE)
		err_set(e, "a page has more entries than were asked for");
	else
		r = take_entries(into, what, entries, e);
	if (r == 0)
		*page = (struct rest_page){ (size_t)json_integer_value(total), json_array_size(entries) };
	json_decref(answer);
	return r;
}

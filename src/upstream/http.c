/* SPDX-License-Identifier: ISC */
/* See http.h. Runs in the relay, in the auth process's children and in the operator's command. */
#include "upstream/http.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/url.h"
#include "upstream/conn.h"
#include "upstream/transfer.h"

#define HEADERS_MAX (64 << 10) /* octets of all header lines of an answer */

struct http_call {
	struct transfer transfer; /* first */
	struct upstream *u; /* NULL: it blocks */
	CURL *easy;
	struct curl_slist *headers;
	char *form, *authorization; /* owned: libcurl points to the first, and the second is a secret */
	char *url; /* owned */
	bool is_plain; /* http: to this machine only, whatever a name resolves to */
	size_t header_bytes;
	bool too_large;
	struct http_answer answer;
	http_done *done;
	void *ctx;
	struct event *failed; /* NULL: it was begun */
	char error[CURL_ERROR_SIZE];
};

/* ---- libcurl's callbacks ----------------------------------------------------------- */

static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
	struct http_call *c = ctx;

	if (buf_add(&c->answer.body, data, size * count))
		return size * count;
	c->too_large = true;
	return 0;
}

static size_t on_header(char *data, size_t size, size_t count, void *ctx)
{
	struct http_call *c = ctx;

	(void)data;
	c->header_bytes += size * count;
	c->too_large = c->too_large || c->header_bytes > HEADERS_MAX;
	return c->too_large ? 0 : size * count;
}

static bool is_loopback(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 ==
		       127;
	return address->sa_family == AF_INET6 &&
	       IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct http_call *c = ctx;

	(void)purpose;
	/* "localhost" is what a resolver says it is */
	if (c->is_plain && !is_loopback(&address->addr))
		return CURL_SOCKET_BAD;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- set-up --------------------------------------------------------------------------- */

static bool set_long(struct http_call *c, CURLoption option, long value)
{
	return curl_easy_setopt(c->easy, option, value) == CURLE_OK;
}

static bool set_pointer(struct http_call *c, CURLoption option, const void *value)
{
	return curl_easy_setopt(c->easy, option, value) == CURLE_OK;
}

static bool set_callbacks(struct http_call *c)
{
	return curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
	       set_pointer(c, CURLOPT_WRITEDATA, c) &&
	       curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
	       set_pointer(c, CURLOPT_HEADERDATA, c) &&
	       curl_easy_setopt(c->easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) == CURLE_OK &&
	       set_pointer(c, CURLOPT_OPENSOCKETDATA, c) &&
	       set_pointer(c, CURLOPT_PRIVATE, (void *)&c->transfer) &&
	       set_pointer(c, CURLOPT_ERRORBUFFER, c->error);
}

static bool set_way(struct http_call *c, const struct http_request *r)
{
	long ms = r->timeout_ms < INT_MAX ? (long)r->timeout_ms : INT_MAX;

	/* what is said in the clear stays on this machine */
	const char *proxy = c->is_plain ? NULL : r->proxy;

	/* a proxy of the environment or ~/.netrc is no configuration of a daemon */
	return set_pointer(c, CURLOPT_PROXY, proxy ? proxy : "") && set_pointer(c, CURLOPT_NOPROXY, "") &&
	       (!proxy || !r->proxy_user ||
		(set_pointer(c, CURLOPT_PROXYUSERNAME, r->proxy_user) &&
		 set_pointer(c, CURLOPT_PROXYPASSWORD, r->proxy_password))) &&
	       set_long(c, CURLOPT_NETRC, CURL_NETRC_IGNORED) && set_long(c, CURLOPT_NOSIGNAL, 1) &&
	       set_long(c, CURLOPT_QUICK_EXIT, 1) && set_long(c, CURLOPT_TIMEOUT_MS, ms > 0 ? ms : 1) &&
	       set_long(c, CURLOPT_CONNECTTIMEOUT_MS, ms > 0 ? ms : 1) &&
	       /* the SMTP client's sessions share the multi handle: nothing is kept there for later */
	       set_long(c, CURLOPT_FRESH_CONNECT, 1) && set_long(c, CURLOPT_FORBID_REUSE, 1);
}

static bool set_tls(struct http_call *c, const struct http_request *r)
{
	return set_long(c, CURLOPT_SSL_VERIFYPEER, 1) && set_long(c, CURLOPT_SSL_VERIFYHOST, 2) &&
	       set_long(c, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2) &&
	       (!r->ca_file ||
		(set_pointer(c, CURLOPT_CAINFO, r->ca_file) && set_pointer(c, CURLOPT_CAPATH, NULL)));
}

static void add_header(struct http_call *c, const char *header)
{
	struct curl_slist *longer = curl_slist_append(c->headers, header);

	ASSERT(longer);
	c->headers = longer;
}

static bool set_request(struct http_call *c, const struct http_request *r)
{
	add_header(c, "Accept: application/json");
	if (r->form)
		add_header(c, "Expect:"); /* no second round trip for a few hundred octets */
	if (r->bearer) {
		c->authorization = mem_printf("Authorization: Bearer %s", r->bearer);
		add_header(c, c->authorization);
	}
	return set_pointer(c, CURLOPT_URL, c->url) &&
	       set_pointer(c, CURLOPT_PROTOCOLS_STR, c->is_plain ? "http" : "https") &&
	       set_pointer(c, CURLOPT_USERAGENT, PACKAGE_NAME "/" PACKAGE_VERSION) &&
	       set_long(c, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1) &&
	       set_long(c, CURLOPT_FOLLOWLOCATION, 0) && set_pointer(c, CURLOPT_HTTPHEADER, c->headers) &&
	       (!c->form || (set_long(c, CURLOPT_POSTFIELDSIZE, (long)strlen(c->form)) &&
			     set_pointer(c, CURLOPT_POSTFIELDS, c->form))) &&
	       (!r->user || (set_long(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) &&
			     set_pointer(c, CURLOPT_USERNAME, r->user) &&
			     set_pointer(c, CURLOPT_PASSWORD, r->password ? r->password : "")));
}

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
}

static void call_free(struct http_call *c)
{
	if (c->easy)
		curl_easy_cleanup(c->easy);
	if (c->failed)
		event_free(c->failed);
	for (struct curl_slist *h = c->headers; h; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(c->headers);
	wipe(c->form);
	wipe(c->authorization);
	free(c->url);
	http_answer_release(&c->answer);
	free(c);
}

void http_answer_release(struct http_answer *answer)
{
	buf_wipe(&answer->body);
}

/* A call that cannot be begun at all has its reason in error and easy NULL. */
static struct http_call *call_new(const struct http_request *r)
{
	struct http_call *c = mem_alloc(sizeof(*c));
	struct err e;

	c->url = mem_strdup(r->url);
	c->form = mem_strdup_or_null(r->form);
	buf_init(&c->answer.body, r->answer_max ? r->answer_max : HTTP_ANSWER_MAX);
	if (url_check(r->url, &e) < 0) {
		snprintf(c->error, sizeof(c->error), "%.200s", e.text);
		return c;
	}
	c->is_plain = url_is_plain(r->url);
	c->easy = curl_easy_init();
	ASSERT(c->easy);
	if (set_callbacks(c) && set_way(c, r) && set_tls(c, r) && set_request(c, r))
		return c;
	snprintf(c->error, sizeof(c->error), "libcurl refuses an option (%s)", curl_version());
	curl_easy_cleanup(c->easy);
	c->easy = NULL;
	return c;
}

/* ---- how it went ------------------------------------------------------------------------ */

static void describe(const struct http_call *c, CURLcode result, struct err *e)
{
	long os_error = 0;

	if (c->too_large) {
		err_set(e, "%s: the answer is larger than %zu octets", c->url,
			c->header_bytes > HEADERS_MAX ? (size_t)HEADERS_MAX : c->answer.body.ceiling);
		return;
	}
	if (c->easy)
		curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &os_error);
	if (result == CURLE_COULDNT_CONNECT && os_error != 0)
		err_set(e, "%s: %s: %s", c->url, c->error[0] ? c->error : curl_easy_strerror(result),
			strerror((int)os_error));
	else
		err_set(e, "%s: %s", c->url, c->error[0] ? c->error : curl_easy_strerror(result));
}

static int conclude(struct http_call *c, CURLcode result, struct err *e)
{
	if (result == CURLE_OK && !c->too_large &&
	    curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &c->answer.status) == CURLE_OK)
		return 0;
	describe(c, result, e);
	return -1;
}

int http_perform(const struct http_request *request, struct http_answer *answer, struct err *e)
{
	struct http_call *c;
	int r = -1;

	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write(2) */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		err_set(e, "libcurl does not start");
		return -1;
	}
	c = call_new(request);
	r = conclude(c, c->easy ? curl_easy_perform(c->easy) : CURLE_FAILED_INIT, e);
	if (r == 0) {
		*answer = c->answer;
		buf_init(&c->answer.body, HTTP_ANSWER_MAX);
	}
	call_free(c);
	curl_global_cleanup();
	return r;
}

/* ---- on the event loop ---------------------------------------------------------------- */

static void finish(struct http_call *c, CURLcode result)
{
	struct err e;

	if (conclude(c, result, &e) == 0)
		c->done(c->ctx, &c->answer, NULL);
	else
		c->done(c->ctx, NULL, &e);
}

static void call_done(struct transfer *t, CURLcode result)
{
	struct http_call *c = (struct http_call *)t;

	curl_multi_remove_handle(c->u->multi, c->easy);
	finish(c, result);
	call_free(c);
}

/* What could not even be begun is told from the event loop, too. */
static void on_failed(evutil_socket_t fd, short events, void *ctx)
{
	struct http_call *c = ctx;

	(void)fd;
	(void)events;
	finish(c, CURLE_FAILED_INIT);
	call_free(c);
}

struct http_call *http_begin(struct upstream *u, const struct http_request *request, http_done *done,
			     void *ctx)
{
	struct http_call *c = call_new(request);

	c->u = u;
	c->done = done;
	c->ctx = ctx;
	c->transfer.done = call_done;
	if (c->easy) {
		ASSERT(curl_multi_add_handle(u->multi, c->easy) == CURLM_OK);
		return c;
	}
	c->failed = evtimer_new(u->base, on_failed, c);
	ASSERT(c->failed);
	event_active(c->failed, EV_TIMEOUT, 0);
	return c;
}

void http_cancel(struct http_call *c)
{
	if (c->easy)
		curl_multi_remove_handle(c->u->multi, c->easy);
	call_free(c);
}

/* SPDX-License-Identifier: ISC */
/* See socket.h. Runs in the master. */
#include "listener/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "listener/peer.h"

void listening_init(struct listening_set *set)
{
	set->item = NULL;
	set->count = 0;
}

static void remove_file(const struct listening *l)
{
	if (l->endpoint.kind == ENDPOINT_UNIX && !l->keep_file && !l->shared)
		unlink(l->endpoint.path);
}

void listening_release(struct listening_set *set, bool remove_files)
{
	for (size_t i = 0; i < set->count; i++) {
		if (remove_files)
			remove_file(&set->item[i]);
		close(set->item[i].fd);
	}
	free(set->item);
	listening_init(set);
}

static void add(struct listening_set *set, int fd, const struct endpoint *ep, const char *listener)
{
	struct listening *l;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	set->item = mem_resize(set->item, set->count + 1, sizeof(*set->item));
	l = &set->item[set->count++];
	memset(l, 0, sizeof(*l));
	l->fd = fd;
	l->listener = listener;
	l->endpoint = *ep;
	if (ep->kind == ENDPOINT_UNIX || getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		endpoint_format(ep, l->address);
	else
		peer_format_address((const struct sockaddr *)&ss, l->address, sizeof(l->address));
}

/* Explains the failures an operator meets, in their words. */
static void explain_bind(struct err *e, int os_error, const char *address)
{
	if (os_error == EADDRINUSE)
		err_set(e, "%s: address already in use: stop who listens there (ss -ltnp shows it) or change localaddr",
			address);
	else if (os_error == EACCES)
		err_set(e, "%s: not permitted: ports below 1024 need root or CAP_NET_BIND_SERVICE", address);
	else if (os_error == EADDRNOTAVAIL)
		err_set(e, "%s: this machine does not have that address", address);
	else
		err_set_os(e, os_error, "%s: cannot listen", address);
	e->os_error = os_error;
}

static int bind_tcp(const struct addrinfo *ai, unsigned backlog, struct err *e)
{
	char address[ENDPOINT_TEXT_MAX];
	int one = 1, fd;

	peer_format_address(ai->ai_addr, address, sizeof(address));
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		err_set_os(e, errno, "%s: cannot make a socket", address);
		return -1;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    (ai->ai_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, (int)backlog) < 0) {
		explain_bind(e, errno, address);
		close(fd);
		return -1;
	}
	return fd;
}

/* ---- sockets that are open already ------------------------------------------------ */

/* What it is bound to, in the notation of the configuration. -1: no stream socket of ours. */
static int endpoint_of(int fd, struct endpoint *ep, struct err *e)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss), type_len = sizeof(int);
	char text[ENDPOINT_TEXT_MAX];
	int type = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&ss, &len) < 0) {
		err_set_os(e, errno, "descriptor %d: cannot listen on it", fd);
		return -1;
	}
	if (type != SOCK_STREAM ||
	    (ss.ss_family != AF_INET && ss.ss_family != AF_INET6 && ss.ss_family != AF_UNIX)) {
		err_set(e, "descriptor %d: a TCP or unix stream socket is wanted to listen on", fd);
		return -1;
	}
	if (ss.ss_family == AF_UNIX) {
		const struct sockaddr_un *sun = (const struct sockaddr_un *)&ss;

		*ep = (struct endpoint){ .kind = ENDPOINT_UNIX };
		memcpy(ep->path, sun->sun_path, sizeof(ep->path) - 1);
		return 0;
	}
	return endpoint_parse(peer_format_address((struct sockaddr *)&ss, text, sizeof(text)), -1, ep, e);
}

int listening_adopt(struct listening_set *set, int fd, const struct endpoint *ep, const char *listener,
		    unsigned backlog, struct err *e)
{
	struct endpoint bound;
	char text[ENDPOINT_TEXT_MAX];
	int flags = fcntl(fd, F_GETFL);

	if (endpoint_of(fd, &bound, e) < 0)
		return -1;
	/* one that listens already gets the new backlog, and keeps who waits in it */
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
	    listen(fd, (int)backlog) < 0) {
		err_set_os(e, errno, "%s: cannot listen on this open socket", endpoint_format(&bound, text));
		return -1;
	}
	add(set, fd, ep ? ep : &bound, listener);
	return 0;
}

static int share(struct listening_set *set, struct listening *l, const struct endpoint *ep,
		 const char *listener, unsigned backlog, struct err *e)
{
	int fd = fcntl(l->fd, F_DUPFD_CLOEXEC, 3);

	if (fd < 0) {
		err_set_os(e, errno, "%s: cannot go on listening", l->address);
		return -1;
	}
	if (listening_adopt(set, fd, ep, listener, backlog, e) < 0) {
		close(fd);
		return -1;
	}
	set->item[set->count - 1].keep_file = l->keep_file;
	set->item[set->count - 1].shared = true;
	l->taken = true;
	return 0;
}

static bool is_same_endpoint(const struct endpoint *a, const struct endpoint *b)
{
	if (a->kind != b->kind)
		return false;
	return a->kind == ENDPOINT_UNIX ? strcmp(a->path, b->path) == 0
					: a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* Without its port: of those that the system chose, two are for two endpoints. */
static bool is_same_host(const char *a, const char *b)
{
	size_t len = (size_t)(strrchr(a, ':') - a);

	return len == (size_t)(strrchr(b, ':') - b) && strncmp(a, b, len) == 0;
}

static bool has_host(const struct listening_set *set, size_t from, const char *address)
{
	for (size_t i = from; i < set->count; i++)
		if (is_same_host(set->item[i].address, address))
			return true;
	return false;
}

/* All that `open` has for the endpoint: a name may have several addresses. listener NULL: anybody's. */
static int share_endpoint(struct listening_set *set, struct listening_set *open, const struct endpoint *ep,
			  const char *owner, const char *listener, unsigned backlog, struct err *e)
{
	size_t before = set->count;

	for (size_t i = 0; open && i < open->count; i++) {
		struct listening *l = &open->item[i];

		if (l->taken || !is_same_endpoint(&l->endpoint, ep) ||
		    (owner && strcmp(l->listener, owner) != 0) || has_host(set, before, l->address))
			continue;
		if (share(set, l, ep, listener, backlog, e) < 0)
			return -1;
	}
	return 0;
}

static struct listening *find_address(struct listening_set *open, const char *address)
{
	for (size_t i = 0; open && i < open->count; i++)
		if (!open->item[i].taken && strcmp(open->item[i].address, address) == 0)
			return &open->item[i];
	return NULL;
}

void listening_give_back(struct listening_set *open)
{
	for (size_t i = 0; i < open->count; i++)
		open->item[i].taken = false;
}

/*
 * No new connections; those whose handshake is under way come to its end. A plain close would reset who waits in
 * the backlog, and would do so to who comes between a last accept and the close.
 */
static void shut_door(const struct listening *l)
{
	/* at the socket a packet begins with its TCP header: a SYN that is no SYN-ACK is dropped, all else passes */
	static struct sock_filter no_syn[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
	};
	static const struct sock_fprog program = { sizeof(no_syn) / sizeof(*no_syn), no_syn };

	if (l->endpoint.kind == ENDPOINT_TCP)
		(void)setsockopt(l->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
	else
		remove_file(l);
}

void listening_settle(struct listening_set *set, struct listening_set *open, struct listening_set *going)
{
	for (size_t i = 0; i < set->count; i++)
		set->item[i].shared = false;
	for (size_t i = 0; open && i < open->count; i++) {
		if (open->item[i].taken) {
			close(open->item[i].fd);
			continue;
		}
		shut_door(&open->item[i]);
		going->item = mem_resize(going->item, going->count + 1, sizeof(*going->item));
		going->item[going->count] = open->item[i];
		going->item[going->count++].listener = NULL; /* its name goes with its configuration */
	}
	if (!open)
		return;
	free(open->item);
	listening_init(open);
}

bool listening_has_clients(const struct listening_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		struct pollfd p = { set->item[i].fd, POLLIN, 0 };

		if (poll(&p, 1, 0) > 0)
			return true;
	}
	return false;
}

/* ---- new ones ----------------------------------------------------------------------- */

static int bind_or_share(struct listening_set *set, struct listening_set *open, const struct addrinfo *ai,
			 const struct endpoint *ep, const char *listener, unsigned backlog, struct err *e)
{
	char address[ENDPOINT_TEXT_MAX];
	struct listening *l = find_address(open, peer_format_address(ai->ai_addr, address, sizeof(address)));
	int fd;

	if (l)
		return share(set, l, ep, listener, backlog, e);
	fd = bind_tcp(ai, backlog, e);
	if (fd < 0)
		return -1;
	add(set, fd, ep, listener);
	return 0;
}

/* open: NULL, or what is there already */
static int add_tcp(struct listening_set *set, struct listening_set *open, const struct endpoint *ep,
		   const char *listener, unsigned backlog, struct err *e)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM }, *list, *ai;
	char port[8], text[ENDPOINT_TEXT_MAX];
	size_t before = set->count;
	int r;

	snprintf(port, sizeof(port), "%u", (unsigned)ep->port);
	r = getaddrinfo(ep->host[0] ? ep->host : NULL, port, &hints, &list);
	if (r != 0) {
		err_set(e, "%s: cannot resolve: %s", endpoint_format(ep, text), gai_strerror(r));
		return -1;
	}
	for (ai = list; ai; ai = ai->ai_next) {
		if (bind_or_share(set, open, ai, ep, listener, backlog, e) == 0)
			continue;
		/* a name whose IPv6 half this machine cannot serve is fine when the other half can */
		if (e->os_error != EAFNOSUPPORT && e->os_error != EADDRNOTAVAIL)
			break;
	}
	freeaddrinfo(list);
	if (!ai && set->count > before)
		return 0;
	while (set->count > before)
		close(set->item[--set->count].fd);
	return -1;
}

/* Is a server behind this socket file? */
static bool is_served(const struct sockaddr_un *sun)
{
	/* a full backlog is an answer, too, and not to be waited for */
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool served = fd < 0 || connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) == 0 ||
		      (errno != ECONNREFUSED && errno != ENOENT);

	if (fd >= 0)
		close(fd);
	return served;
}

static int add_unix(struct listening_set *set, const struct endpoint *ep, const char *listener, unsigned backlog,
		    struct err *e)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;
	mode_t mask;
	bool bound;
	int fd;

	strcpy(sun.sun_path, ep->path);
	if (lstat(ep->path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode)) {
			err_set(e, "unix:%s: something that is no socket is there already: remove it or change localaddr",
				ep->path);
			return -1;
		}
		if (is_served(&sun)) {
			err_set(e, "unix:%s: address already in use: another process listens there", ep->path);
			return -1;
		}
		unlink(ep->path);
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/*
	 * Every local user may submit: SO_PEERCRED tells who it was. By the umask and not by chmod, which
	 * would follow what the owner of the directory may have put in its place; we may be root.
	 */
	mask = umask(0111);
	bound = fd >= 0 && bind(fd, (const struct sockaddr *)&sun, sizeof(sun)) == 0;
	umask(mask);
	if (!bound || listen(fd, (int)backlog) < 0) {
		if (errno == ENOENT)
			err_set(e, "unix:%s: cannot listen: its folder does not exist, make it first", ep->path);
		else
			err_set_os(e, errno, "unix:%s: cannot listen", ep->path);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	add(set, fd, ep, listener);
	return 0;
}

int listening_take(struct listening_set *set, struct listening_set *open, const struct endpoint *ep,
		   const char *listener, unsigned backlog, struct err *e)
{
	size_t before = set->count;

	if (share_endpoint(set, open, ep, listener, listener, backlog, e) < 0 ||
	    (set->count == before && share_endpoint(set, open, ep, NULL, listener, backlog, e) < 0)) {
		while (set->count > before)
			close(set->item[--set->count].fd);
		return -1;
	}
	if (set->count > before)
		return 0;
	if (ep->kind == ENDPOINT_UNIX)
		return add_unix(set, ep, listener, backlog, e);
	return add_tcp(set, open, ep, listener, backlog, e);
}

unsigned listening_waiting(const struct listening *l)
{
	struct pollfd pfd = { l->fd, POLLIN, 0 };
	struct tcp_info info;
	socklen_t len = sizeof(info);

	/* of a listening socket the kernel tells its queue there (tcp_get_info) */
	if (l->endpoint.kind == ENDPOINT_TCP && getsockopt(l->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	    len > offsetof(struct tcp_info, tcpi_unacked) && info.tcpi_unacked > 0)
		return info.tcpi_unacked;
	return poll(&pfd, 1, 0) == 1;
}

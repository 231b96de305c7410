/* SPDX-License-Identifier: ISC */
/* See tls_tickets.h. */
#include "listener/tls_tickets.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

#define READ_TRIES 1000 /* a writer that died between its two increments must not hold us */

struct shared {
	_Atomic unsigned sequence; /* odd while the keys are being written */
	struct tls_ticket_key key[2]; /* the one that issues, the one before it (no name: none) */
};

struct tls_tickets {
	struct shared *writable; /* of the owner alone: a fork does not get it */
	const struct shared *shared;
	int64_t lifetime_ms;
	pid_t owner;
};

/* ---- the memory --------------------------------------------------------------------- */

/*
 * Two views of one page: the master's own can be written and is not there in
 * a child (MADV_DONTFORK); the other one cannot be made writable by whoever
 * takes over a worker, as the file behind it is sealed before it is made.
 */
static int map_shared(struct tls_tickets *t, struct err *e)
{
	int fd = memfd_create("posthouse-tickets", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *rw = MAP_FAILED, *ro = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, sizeof(struct shared)) == 0)
		rw = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (rw != MAP_FAILED) {
		/* an older kernel does not know the last one: then the view is only as good as its protection */
		if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) < 0)
			(void)fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
		ro = mmap(NULL, sizeof(struct shared), PROT_READ, MAP_SHARED, fd, 0);
	}
	if (ro == MAP_FAILED || madvise(rw, sizeof(struct shared), MADV_DONTFORK) < 0) {
		err_set_os(e, errno, "cannot make the memory for the keys of TLS session tickets");
		if (ro != MAP_FAILED)
			munmap(ro, sizeof(struct shared));
		if (rw != MAP_FAILED)
			munmap(rw, sizeof(struct shared));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	close(fd);
	(void)madvise(rw, sizeof(struct shared), MADV_DONTDUMP);
	(void)madvise(ro, sizeof(struct shared), MADV_DONTDUMP);
	t->writable = rw;
	t->shared = ro;
	return 0;
}

/* ---- writing: the master ------------------------------------------------------------- */

static bool make_key(struct tls_ticket_key *key)
{
	key->born_mono_ms = clock_mono_ms();
	return RAND_bytes(key->name, sizeof(key->name)) == 1 &&
	       RAND_priv_bytes(key->aes, sizeof(key->aes)) == 1 &&
	       RAND_priv_bytes(key->hmac, sizeof(key->hmac)) == 1;
}

static void publish(struct tls_tickets *t, const struct tls_ticket_key *key)
{
	struct shared *s = t->writable;

	atomic_fetch_add(&s->sequence, 1);
	s->key[1] = s->key[0];
	s->key[0] = *key;
	atomic_fetch_add(&s->sequence, 1);
}

bool tls_tickets_tick(struct tls_tickets *t)
{
	struct tls_ticket_key key;
	bool made;

	if (clock_mono_ms() - t->shared->key[0].born_mono_ms < t->lifetime_ms / 2)
		return false;
	/* without randomness the old key goes on: no ticket is worth a stop */
	made = make_key(&key);
	if (made)
		publish(t, &key);
	OPENSSL_cleanse(&key, sizeof(key));
	return made;
}

struct tls_tickets *tls_tickets_new(int64_t lifetime_ms, struct err *e)
{
	struct tls_tickets *t = mem_alloc(sizeof(*t));
	struct tls_ticket_key key;

	t->lifetime_ms = lifetime_ms;
	t->owner = getpid();
	if (map_shared(t, e) < 0) {
		free(t);
		return NULL;
	}
	if (!make_key(&key)) {
		err_set(e, "OpenSSL has no random numbers for the keys of TLS session tickets");
		tls_tickets_free(t);
		return NULL;
	}
	publish(t, &key);
	OPENSSL_cleanse(&key, sizeof(key));
	return t;
}

void tls_tickets_free(struct tls_tickets *t)
{
	if (!t)
		return;
	if (getpid() == t->owner) {
		OPENSSL_cleanse(t->writable->key, sizeof(t->writable->key));
		munmap(t->writable, sizeof(*t->writable));
	}
	munmap((void *)(uintptr_t)t->shared, sizeof(*t->shared));
	free(t);
}

void tls_tickets_leave(struct tls_tickets *t)
{
	if (!t)
		return;
	/* the kernel clears the page when the last of them has ended */
	munmap(t->writable, sizeof(*t->writable));
	munmap((void *)(uintptr_t)t->shared, sizeof(*t->shared));
	free(t);
}

int64_t tls_tickets_lifetime_ms(const struct tls_tickets *t)
{
	return t->lifetime_ms;
}

/* ---- reading: anybody ----------------------------------------------------------------- */

static bool read_key(const struct shared *s, unsigned index, struct tls_ticket_key *key)
{
	for (unsigned n = 0; n < READ_TRIES; n++) {
		unsigned before = atomic_load(&s->sequence);

		*key = s->key[index];
		atomic_thread_fence(memory_order_acquire);
		if (before % 2 == 0 && atomic_load(&s->sequence) == before)
			return true;
	}
	return false;
}

static bool is_usable(const struct tls_tickets *t, const struct tls_ticket_key *key)
{
	/* also when the master is late, or gone */
	return key->born_mono_ms > 0 && clock_mono_ms() - key->born_mono_ms < t->lifetime_ms;
}

enum tls_ticket_use tls_tickets_find(const struct tls_tickets *t, const unsigned char *name,
				     struct tls_ticket_key *key)
{
	/* issued it is whatever its age: who comes back with it decides */
	if (!name && read_key(t->shared, 0, key))
		return TLS_TICKET_CURRENT;
	for (unsigned i = 0; name && i < 2; i++) {
		if (!read_key(t->shared, i, key) || !is_usable(t, key))
			continue;
		if (memcmp(key->name, name, sizeof(key->name)) == 0)
			return i == 0 ? TLS_TICKET_CURRENT : TLS_TICKET_OLD;
	}
	OPENSSL_cleanse(key, sizeof(*key));
	return TLS_TICKET_UNKNOWN;
}

/* SPDX-License-Identifier: ISC */
/*
 * Landlock: which files a process may reach by their paths, which TCP ports, and whom it may signal. What is
 * open already stays open. Kernels know more of it the newer they are (its ABI); what one does not know is left
 * out, and sandbox_domain_abi() says what it knows.
 *
 * A right is bound to the file or folder that is there now, and holds for all below it. A file that is replaced
 * by another one is to be reached by its folder.
 */
#ifndef SANDBOX_DOMAIN_H
#define SANDBOX_DOMAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* What may be done below a path; a set of bits. */
enum sandbox_may {
	MAY_READ = 1 << 0, /* open files for reading */
	MAY_LIST = 1 << 1, /* folders, too */
	MAY_WRITE = 1 << 2, /* open files for writing, cut them */
	MAY_MAKE = 1 << 3, /* make files */
	MAY_REMOVE = 1 << 4,
	MAY_MOVE = 1 << 5, /* into and out of this folder, from and to another; with MAY_MAKE or MAY_REMOVE */
	MAY_MAKE_FOLDERS = 1 << 6, /* and remove them */
	MAY_MAKE_SOCKETS = 1 << 7,
	MAY_MAKE_ODD = 1 << 8, /* links, pipes, devices: for who moves whatever lies there */
	MAY_ALL_FILES = MAY_READ | MAY_LIST | MAY_WRITE | MAY_MAKE | MAY_REMOVE | MAY_MOVE,
};

/* What is taken away. */
enum sandbox_domain_kind {
	DOMAIN_FILES = 1 << 0, /* files and folders */
	DOMAIN_TCP = 1 << 1, /* binding and connecting; ABI 4 (Linux 6.7) */
	DOMAIN_SIGNALS = 1 << 2, /* to processes outside of it; ABI 6 (Linux 6.12) */
	DOMAIN_ABSTRACT = 1 << 3, /* connecting to abstract unix sockets of those outside; ABI 6 */
};

#define DOMAIN_LEAST_ABI                                                                                     \
	2 /* before it (Linux 5.19) no file could be moved to another folder, and we do move */
#define DOMAIN_TCP_ABI 4
#define DOMAIN_SCOPE_ABI 6

/* 0: this kernel has no Landlock, or it is switched off. */
int sandbox_domain_abi(void);

struct sandbox_domain {
	int fd; /* -1: nothing is to be taken away, or nothing can be */
	uint64_t files; /* rights that the kernel was told of */
	bool tcp;
};

/* kinds: a set of enum sandbox_domain_kind; those that the kernel does not know are left out. */
int sandbox_domain_begin(struct sandbox_domain *d, unsigned kinds, struct err *e);
/* A path that is not there gives no right, which is no failure. NULL is fine. */
int sandbox_domain_path(struct sandbox_domain *d, const char *path, unsigned may, struct err *e);
/* The same for the folder that the file is in. */
int sandbox_domain_folder_of(struct sandbox_domain *d, const char *file, unsigned may, struct err *e);
int sandbox_domain_connect(struct sandbox_domain *d, uint16_t port, struct err *e);
/* To an address of ours, before it connects: to a port that the kernel chooses. */
int sandbox_domain_bind_any(struct sandbox_domain *d, struct err *e);
/* From here on, for this process and those it forks, for good. PR_SET_NO_NEW_PRIVS must be set. Ends d. */
int sandbox_domain_enter(struct sandbox_domain *d, struct err *e);
void sandbox_domain_abort(struct sandbox_domain *d);

#endif

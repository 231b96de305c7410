/* SPDX-License-Identifier: ISC */
/* See proc.h. */
#include "doctor/proc.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TCP_STATE_LISTEN 0x0a /* the kernel's include/net/tcp_states.h */

/* "0100007F": words of four bytes, each in the host's order. */
static bool parse_words(const char *hex, size_t words, void *out)
{
	for (size_t i = 0; i < words; i++) {
		char word[9];
		uint32_t value;
		char *end;

		memcpy(word, hex + 8 * i, 8);
		word[8] = '\0';
		value = (uint32_t)strtoul(word, &end, 16);
		if (end != word + 8)
			return false;
		memcpy((char *)out + 4 * i, &value, 4);
	}
	return true;
}

bool proc_parse_tcp(const char *line, struct doctor_listening *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)&out->at.address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)&out->at.address;
	char address[33];
	unsigned port, state;

	/* sl: local_address remote_address st tx:rx tr:when retransmits uid timeout inode */
	if (sscanf(line, " %*u: %32[0-9A-Fa-f]:%4x %*[0-9A-Fa-f]:%*4x %2x %*x:%*x %*x:%*x %*x %*u %*u %lu",
		   address, &port, &state, &out->inode) != 4 ||
	    state != TCP_STATE_LISTEN || port > 65535)
		return false;
	memset(&out->at, 0, sizeof(out->at));
	if (strlen(address) == 8) {
		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)port);
		out->at.len = sizeof(*in);
		return parse_words(address, 1, &in->sin_addr);
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons((uint16_t)port);
	out->at.len = sizeof(*in6);
	return strlen(address) == 32 && parse_words(address, 4, &in6->sin6_addr);
}

int proc_listening(struct doctor_listening *out, size_t *count)
{
	static const char *const files[] = { "/proc/net/tcp", "/proc/net/tcp6" };
	int result = -1;
	char line[512];

	*count = 0;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		FILE *f = fopen(files[i], "re");

		if (!f)
			continue;
		result = 0;
		while (*count < DOCTOR_LISTENING_MAX && fgets(line, sizeof(line), f))
			if (proc_parse_tcp(line, &out[*count]))
				(*count)++;
		fclose(f);
	}
	return result;
}

static void read_name(pid_t pid, char *name, size_t cap)
{
	char file[64];
	ssize_t n = -1;
	int fd;

	snprintf(file, sizeof(file), "/proc/%ld/comm", (long)pid);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, name, cap - 1);
		close(fd);
	}
	name[n > 0 ? n : 0] = '\0';
	name[strcspn(name, "\n")] = '\0';
}

static bool has_socket(const char *pid, const char *wanted)
{
	char folder[64], link[64];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(folder, sizeof(folder), "/proc/%.20s/fd", pid);
	dir = opendir(folder);
	while (dir && !found && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		found = strcmp(link, wanted) == 0;
	}
	if (dir)
		closedir(dir);
	return found;
}

bool proc_socket_owner(unsigned long inode, pid_t first, pid_t *pid, char *name, size_t cap)
{
	char wanted[64], text[24];
	struct dirent *entry;
	bool found;
	DIR *dir;

	snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
	snprintf(text, sizeof(text), "%ld", (long)first);
	found = first > 0 && has_socket(text, wanted);
	if (found) {
		*pid = first;
		read_name(first, name, cap);
		return true;
	}
	dir = opendir("/proc");
	while (dir && !found && (entry = readdir(dir))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || !has_socket(entry->d_name, wanted))
			continue;
		*pid = (pid_t)strtol(entry->d_name, NULL, 10);
		read_name(*pid, name, cap);
		found = true;
	}
	if (dir)
		closedir(dir);
	return found;
}

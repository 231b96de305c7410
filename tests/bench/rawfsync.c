/* SPDX-License-Identifier: ISC */
/*
 * The raw limit of a disk for a mail relay: N processes that do nothing but
 * create a file, write it, fsync and close it, for a time. No network, no
 * protocol: what no relay that keeps its promise with a file a message can
 * pass with as many sessions. `make bench` compares the relays with it.
 *
 *   rawfsync [-p PROCESSES] [-s BYTES] [-t SECONDS] [-r] FOLDER
 *
 * With -r each file is written in FOLDER/incoming and renamed to FOLDER/queue
 * before its fsync, as Posthouse's spool does. Prints one line of JSON. The
 * files are removed after the clock has stopped.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool.h"

#define PROCESSES_MAX 1000

/* Shared by all processes; a count stands on a cache line of its own. */
struct shared {
	_Atomic int ready, go, stop, failed;
	struct {
		_Atomic uint64_t files;
		char pad[56];
	} of[PROCESSES_MAX];
};

struct job {
	const char *folder;
	size_t bytes;
	bool rename;
	unsigned processes;
	double seconds;
};

static bool one_file(const struct job *job, const char *block, unsigned who, uint64_t n)
{
	char name[512], queued[512];
	int fd;
	bool good;

	snprintf(name, sizeof(name), "%s%s/%u-%ju", job->folder, job->rename ? "/incoming" : "", who,
		 (uintmax_t)n);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	good = write(fd, block, job->bytes) == (ssize_t)job->bytes;
	if (good && job->rename) {
		snprintf(queued, sizeof(queued), "%s/queue/%u-%ju", job->folder, who, (uintmax_t)n);
		good = rename(name, queued) == 0;
	}
	good = good && fsync(fd) == 0;
	return close(fd) == 0 && good;
}

static void remove_files(const struct job *job, unsigned who, uint64_t count)
{
	char name[512];

	for (uint64_t n = 0; n < count; n++) {
		snprintf(name, sizeof(name), "%s%s/%u-%ju", job->folder, job->rename ? "/queue" : "", who,
			 (uintmax_t)n);
		unlink(name);
	}
}

static _Noreturn void writer(struct shared *sh, const struct job *job, unsigned who)
{
	char *block = malloc(job->bytes);
	uint64_t n = 0;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (!block) {
		atomic_fetch_add(&sh->failed, 1);
		_exit(1);
	}
	memset(block, 'x', job->bytes);
	atomic_fetch_add(&sh->ready, 1);
	while (!atomic_load(&sh->go))
		usleep(200);
	while (!atomic_load_explicit(&sh->stop, memory_order_relaxed)) {
		if (!one_file(job, block, who, n)) {
			fprintf(stderr, "rawfsync: %s: %s\n", job->folder, strerror(errno));
			atomic_fetch_add(&sh->failed, 1);
			break;
		}
		n++;
		atomic_store_explicit(&sh->of[who].files, n, memory_order_relaxed);
	}
	/* one more may have been made after the parent read the count */
	remove_files(job, who, n + 1);
	_exit(0);
}

static void make_folders(const char *folder)
{
	static const char *const part[] = { "incoming", "queue" };
	char name[512];

	for (size_t i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s/%s", folder, part[i]);
		if (mkdir(name, 0700) < 0 && errno != EEXIST)
			tool_die("%s: %s", name, strerror(errno));
	}
}

static void options(int argc, char **argv, struct job *job)
{
	int opt;

	*job = (struct job){ .bytes = 4096, .processes = 10, .seconds = 2 };
	while ((opt = getopt(argc, argv, "p:s:t:r")) != -1) {
		switch (opt) {
		case 'p':
			job->processes = (unsigned)tool_number(optarg, 1, PROCESSES_MAX);
			break;
		case 's':
			job->bytes = (size_t)tool_number(optarg, 1, 1 << 30);
			break;
		case 't':
			job->seconds = tool_seconds(optarg);
			break;
		case 'r':
			job->rename = true;
			break;
		default:
			tool_die("usage: rawfsync [-p PROCESSES] [-s BYTES] [-t SECONDS] [-r] FOLDER");
		}
	}
	if (optind + 1 != argc)
		tool_die("one folder is wanted");
	job->folder = argv[optind];
}

/* Starts all writers and waits until each is ready for the start. */
static void start_writers(struct shared *sh, const struct job *job)
{
	for (unsigned i = 0; i < job->processes; i++) {
		pid_t pid = fork();

		if (pid < 0) {
			atomic_store(&sh->stop, 1);
			atomic_store(&sh->go, 1);
			tool_die("fork: %s", strerror(errno));
		}
		if (pid == 0)
			writer(sh, job, i);
	}
	while (atomic_load(&sh->ready) + atomic_load(&sh->failed) < (int)job->processes)
		usleep(1000);
}

int main(int argc, char **argv)
{
	struct shared *sh =
		mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int64_t begin_ns, end_ns;
	uint64_t files = 0;
	struct job job;

	tool_name = "rawfsync";
	options(argc, argv, &job);
	if (sh == MAP_FAILED)
		tool_die("mmap: %s", strerror(errno));
	if (job.rename)
		make_folders(job.folder);
	start_writers(sh, &job);
	begin_ns = tool_now_ns();
	atomic_store(&sh->go, 1);
	usleep((useconds_t)(job.seconds * 1e6));
	end_ns = tool_now_ns();
	for (unsigned i = 0; i < job.processes; i++)
		files += atomic_load(&sh->of[i].files);
	atomic_store(&sh->stop, 1);
	while (wait(NULL) > 0 || errno == EINTR)
		;
	if (atomic_load(&sh->failed))
		return 1;
	printf("{\"files\": %ju, \"seconds\": %.6f, \"rate\": %.1f}\n", (uintmax_t)files,
	       tool_between(begin_ns, end_ns), (double)files / tool_between(begin_ns, end_ns));
	return 0;
}

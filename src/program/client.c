/* SPDX-License-Identifier: ISC */
/* See client.h. Runs in workers and in the relay. */
#include "program/client.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"

const char *const program_end_names[PROGRAM_ENDS] = { "exited",   "killed",     "timed_out", "failed",
						      "too_much", "bad_output", "refused",   "lost" };

void program_job_init(struct program_job *job, enum program_command command)
{
	*job = (struct program_job){ .command = command, .input_fd = -1, .output_fd = -1 };
	buf_init(&job->facts, PROGRAM_JOB_MAX - sizeof(struct program_job_header));
}

void program_job_release(struct program_job *job)
{
	buf_release(&job->facts);
}

bool program_job_put(struct program_job *job, enum program_fact fact, const char *value)
{
	size_t before = job->facts.len, text;

	if (!value)
		return true;
	/* never 0, so that a text that is missing shows */
	if (!buf_addc(&job->facts, (char)(fact + 1)))
		return false;
	text = job->facts.len;
	if (!buf_add(&job->facts, value, strlen(value) + 1)) {
		job->facts.len = before;
		return false;
	}
	for (char *c = job->facts.data + text; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	job->fact_count++;
	return true;
}

/* ---- beginning ------------------------------------------------------------------- */

/* The job into its socket, where nothing has been before: there is room. */
static int send_job(int fd, const struct program_job *job)
{
	const struct program_job_header header = { .version = PROGRAM_VERSION,
						   .fact_count = job->fact_count,
						   .offset = job->input_offset,
						   .length = job->input_fd >= 0 ? job->input_octets : 0 };
	const int size = 2 * PROGRAM_JOB_MAX;
	int pass[2];
	size_t count = 0;
	struct buf packet;
	int result;

	/* refused beyond what the system allows; what that is by default is enough */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (job->input_fd >= 0)
		pass[count++] = job->input_fd;
	if (job->output_fd >= 0)
		pass[count++] = job->output_fd;
	buf_init(&packet, PROGRAM_JOB_MAX);
	buf_add(&packet, &header, sizeof(header));
	buf_add(&packet, job->facts.data, job->facts.len);
	result = descriptors_send(fd, packet.data, packet.len, pass, count);
	buf_release(&packet);
	return result;
}

int program_begin(int request_fd, const struct program_job *job, struct err *e)
{
	const struct program_request request = { PROGRAM_VERSION, job->command };
	int pair[2], failed;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		err_set_os(e, errno, "%s: no socket to have it run", program_command_names[job->command]);
		return -1;
	}
	failed = send_job(pair[0], job) < 0 ||
				 descriptors_send(request_fd, &request, sizeof(request), &pair[1], 1) < 0
			 ? errno
			 : 0;
	close(pair[1]);
	if (!failed)
		return pair[0];
	close(pair[0]);
	err_set_os(e, failed, "%s: the process that runs programs cannot be asked",
		   program_command_names[job->command]);
	return -1;
}

/* ---- the outcome ------------------------------------------------------------------ */

static void lose(struct program_outcome *out)
{
	*out = (struct program_outcome){ .end = PROGRAM_LOST };
}

bool program_finish(int fd, struct program_outcome *out)
{
	struct program_answer answer;
	ssize_t n = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_TRUNC);

	/* told once, before what was sent to us, when the other side closed without having read all */
	if (n < 0 && errno == ECONNRESET)
		n = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT | MSG_TRUNC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	lose(out);
	if (n < (ssize_t)offsetof(struct program_answer, text) || n > (ssize_t)sizeof(answer) ||
	    answer.version != PROGRAM_VERSION || answer.end >= PROGRAM_LOST ||
	    answer.text_len != (size_t)n - offsetof(struct program_answer, text))
		return true;
	out->end = (enum program_end)answer.end;
	out->status = answer.status;
	out->output_octets = answer.output_octets;
	out->text_len = answer.text_len;
	memcpy(out->text, answer.text, answer.text_len);
	return true;
}

/* ---- waiting ------------------------------------------------------------------------ */

static int wait_ms(int64_t deadline_mono_ms)
{
	int64_t left = deadline_mono_ms - clock_mono_ms();

	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* Until fd is ready, at most to the deadline or the end of a stop's grace. */
static bool await(int fd, short events, struct control *control, int64_t deadline_mono_ms)
{
	for (;;) {
		struct pollfd fds[2] = { { fd, events, 0 },
					 { control->stopping ? -1 : control->fd, POLLIN, 0 } };
		int64_t until = control->stop_by_mono_ms < deadline_mono_ms ? control->stop_by_mono_ms
									    : deadline_mono_ms;

		if (poll(fds, 2, wait_ms(until)) > 0) {
			if (fds[1].revents)
				control_read(control);
			if (fds[0].revents)
				return true;
		}
		if (clock_mono_ms() >= until)
			return false;
	}
}

void program_run(const struct program_line *line, const struct program_job *job, struct program_outcome *out)
{
	int64_t deadline = clock_mono_ms() + line->setting[job->command].timeout_ms + PROGRAM_WAIT_MS;
	bool answered = false;
	struct err e;
	int fd;

	lose(out);
	/* while the process is being restarted the line may fill up */
	while ((fd = program_begin(line->request_fd, job, &e)) < 0)
		if (e.os_error != EAGAIN || !await(line->request_fd, POLLOUT, line->control, deadline))
			return;
	while (!answered && await(fd, POLLIN, line->control, deadline))
		answered = program_finish(fd, out);
	close(fd);
}

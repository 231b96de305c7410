/* SPDX-License-Identifier: ISC */
/* See program_run.h. Runs in a worker. */
#include "handler/program_run.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "smtp/received.h"

static enum handler_verdict take_address(const struct program_setting *s, enum program_fact fact,
					 const char *address, struct smtp_reply *reply)
{
	if (program_takes(s, fact, address))
		return HANDLER_ACCEPT;
	/* RFC 3463 3.2: X.1.7 and X.1.3, bad mailbox address syntax */
	smtp_reply_set(reply, 553, fact == FACT_SENDER ? "5.1.7" : "5.1.3",
		       "Error: an address that begins with \"-\" is not taken here");
	return HANDLER_REFUSE;
}

enum handler_verdict program_run_mail(const struct program_setting *s, const struct envelope *env,
				      struct smtp_reply *reply)
{
	return take_address(s, FACT_SENDER, env->sender, reply);
}

enum handler_verdict program_run_rcpt(const struct program_setting *s, const struct envelope *env,
				      struct smtp_reply *reply)
{
	size_t octets = 0;

	for (size_t i = 0; i < env->rcpt_count; i++)
		octets += strlen(env->rcpt[i].address) + 2;
	if (octets > PROGRAM_RECIPIENTS_BYTES) {
		smtp_reply_set(reply, 452, "4.5.3", "Error: too many recipients");
		return HANDLER_REFUSE;
	}
	return take_address(s, FACT_RECIPIENT, env->rcpt[env->rcpt_count - 1].address, reply);
}

static void put_client(struct program_job *job, const struct envelope *env)
{
	char address[SMTP_PEER_ADDRESS_MAX];
	const char *port = strncmp(env->peer, "unix", 4) == 0 ? NULL : strrchr(env->peer, ':');

	program_job_put(job, FACT_PEER, env->peer);
	program_job_put(job, FACT_CLIENT_ADDRESS, smtp_peer_address(env->peer, address));
	program_job_put(job, FACT_CLIENT_PORT, port ? port + 1 : NULL);
	program_job_put(job, FACT_CLIENT_HELO, env->helo);
	program_job_put(job, FACT_CLIENT_PROTOCOL, env->protocol);
	program_job_put(job, FACT_LISTENER, env->listener);
	program_job_put(job, FACT_SASL_USERNAME, env->auth_user);
	program_job_put(job, FACT_TLS_CIPHER, env->tls_cipher);
}

static void put_message(struct program_job *job, const struct envelope *env, uint64_t size)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)size);
	/* first what must not be missing: the room for it was kept at RCPT */
	ASSERT(program_job_put(job, FACT_SENDER, env->sender));
	for (size_t i = 0; i < env->rcpt_count; i++)
		ASSERT(program_job_put(job, FACT_RECIPIENT, env->rcpt[i].address));
	ASSERT(program_job_put(job, FACT_MESSAGE_SIZE, text));
	program_job_put(job, FACT_MAIL_OPTIONS, env->mail_options);
	program_job_put(job, FACT_RCPT_OPTIONS, env->rcpt_options);
}

void program_run_message(const struct program_line *line, enum program_command command,
			 const struct envelope *env, const struct content_file *input,
			 const struct content_file *output, struct program_outcome *out)
{
	struct program_job job;

	program_job_init(&job, command);
	put_message(&job, env, input->size);
	put_client(&job, env);
	job.input_fd = input->fd;
	job.input_octets = input->size;
	job.output_fd = output ? output->fd : -1;
	program_run(line, &job, out);
	program_job_release(&job);
}

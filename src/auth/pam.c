/* SPDX-License-Identifier: ISC */
/*
 * Passwords verified by PAM: pam_authenticate, then pam_acct_mgmt. Modules
 * may block, fork and read what the auth process may read; it all happens in
 * the child of one exchange (backend.h). How long a failure is held back is
 * decided there too, so the modules' own delay is turned off.
 */
#include "auth/pam.h"

#ifdef HAVE_PAM

#include <security/pam_appl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth/prep.h"
#include "base/alloc.h"

#define SERVICE_MAX 64

struct pam_backend {
	struct auth_backend backend;
	char *service;
	char *folder; /* NULL: the system's */
};

/* What the modules ask is answered from here. */
struct talk {
	const char *name, *password;
	char said[128]; /* the last error message of a module, for our log */
};

/* ---- the conversation --------------------------------------------------------------- */

static void keep_message(struct talk *talk, const char *text)
{
	strncpy(talk->said, text ? text : "", sizeof(talk->said) - 1);
}

static void drop_answers(struct pam_response *answers, int count)
{
	for (int i = 0; i < count; i++)
		prep_free(answers[i].resp);
	free(answers);
}

/*
 * A prompt with echo asks for the name, one without for the password: there is nothing else that a client
 * gave.
 */
static int converse(int count, const struct pam_message **message, struct pam_response **response, void *ctx)
{
	struct pam_response *answers;
	struct talk *talk = ctx;

	if (count <= 0 || count > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	answers = mem_array((size_t)count, sizeof(*answers));
	for (int i = 0; i < count; i++) {
		switch (message[i]->msg_style) {
		case PAM_PROMPT_ECHO_OFF:
			answers[i].resp = mem_strdup(talk->password);
			break;
		case PAM_PROMPT_ECHO_ON:
			answers[i].resp = mem_strdup(talk->name);
			break;
		case PAM_ERROR_MSG:
			keep_message(talk, message[i]->msg);
			break;
		case PAM_TEXT_INFO:
			break;
		default: /* of another PAM's invention */
			drop_answers(answers, count);
			return PAM_CONV_ERR;
		}
	}
	*response = answers;
	return PAM_SUCCESS;
}

/* The delay after a failure is the auth process's to keep. */
static void no_delay(int status, unsigned delay_us, void *ctx)
{
	(void)status;
	(void)delay_us;
	(void)ctx;
}

/* ---- verifying -------------------------------------------------------------------------- */

/*
 * What says that these credentials are not good. Everything else says that PAM, or what it asks, is out of
 * order.
 */
static enum auth_result result_of(int status)
{
	static const int refusals[] = {
		PAM_AUTH_ERR,     PAM_USER_UNKNOWN,      PAM_MAXTRIES,
		PAM_PERM_DENIED,  PAM_CRED_INSUFFICIENT, PAM_ACCT_EXPIRED,
		PAM_CRED_EXPIRED, PAM_AUTHTOK_EXPIRED,   PAM_NEW_AUTHTOK_REQD,
	};

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		if (status == refusals[i])
			return AUTH_FAILED;
	return AUTH_TEMPORARY;
}

static enum auth_result refused(const struct pam_backend *pam, pam_handle_t *h, const char *step, int status,
				const struct talk *talk, struct err *e)
{
	err_set(e, "PAM service %s: %s: %s%s%s%s", pam->service, step, pam_strerror(h, status),
		talk->said[0] ? " (" : "", talk->said, talk->said[0] ? ")" : "");
	return result_of(status);
}

static int set_items(pam_handle_t *h, const struct auth_client *client)
{
	union {
		void (*function)(int status, unsigned delay_us, void *ctx);
		const void *item;
	} delay = { .function = no_delay };
	int status = PAM_SUCCESS;

	if (strcmp(client->address, "unix") != 0)
		status = pam_set_item(h, PAM_RHOST, client->address);
	/* pam_access, pam_time and others want one */
	if (status == PAM_SUCCESS)
		status = pam_set_item(h, PAM_TTY, "posthouse");
	if (status == PAM_SUCCESS)
		status = pam_set_item(h, PAM_FAIL_DELAY, delay.item);
	return status;
}

/* Modules may have mapped the name to another: that is who has logged in. */
static enum auth_result take_user(pam_handle_t *h, char user[AUTH_USER_MAX], struct err *e)
{
	const void *item = NULL;

	if (pam_get_item(h, PAM_USER, &item) != PAM_SUCCESS || !item || strlen(item) == 0 ||
	    strlen(item) >= AUTH_USER_MAX) {
		err_set(e, "PAM gives no name for the user, or one that is longer than %d octets",
			AUTH_USER_MAX - 1);
		return AUTH_TEMPORARY;
	}
	memcpy(user, item, strlen(item) + 1);
	return AUTH_OK;
}

static enum auth_result run(const struct pam_backend *pam, pam_handle_t *h, const struct auth_client *client,
			    const struct talk *talk, char user[AUTH_USER_MAX], int *status, struct err *e)
{
	const int flags = PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK;

	*status = set_items(h, client);
	if (*status != PAM_SUCCESS)
		return refused(pam, h, "preparing", *status, talk, e);
	*status = pam_authenticate(h, flags);
	if (*status != PAM_SUCCESS)
		return refused(pam, h, "authentication", *status, talk, e);
	*status = pam_acct_mgmt(h, flags);
	if (*status != PAM_SUCCESS)
		return refused(pam, h, "account", *status, talk, e);
	return take_user(h, user, e);
}

static enum auth_result start_and_run(const struct pam_backend *pam, const struct auth_client *client,
				      struct talk *talk, char user[AUTH_USER_MAX], struct err *e)
{
	const struct pam_conv conv = { converse, talk };
	pam_handle_t *h = NULL;
	enum auth_result result;
	int status = pam->folder ? pam_start_confdir(pam->service, talk->name, &conv, pam->folder, &h)
				 : pam_start(pam->service, talk->name, &conv, &h);

	if (status != PAM_SUCCESS) {
		/* pam_strerror takes the handle and does not look at it */
		err_set(e, "PAM service %s cannot be started: %s", pam->service, pam_strerror(h, status));
		return AUTH_TEMPORARY;
	}
	result = run(pam, h, client, talk, user, &status, e);
	pam_end(h, status);
	return result;
}

static enum auth_result pam_verify(struct auth_backend *b, const struct auth_client *client, const char *name,
				   const char *password, char user[AUTH_USER_MAX], struct err *e)
{
	const struct pam_backend *pam = (const struct pam_backend *)b;
	struct talk talk = { .password = password };
	enum auth_result result = AUTH_FAILED;
	char *prepared;

	if (!password[0]) { /* RFC 4616 2 */
		err_set(e, "empty password");
		return AUTH_FAILED;
	}
	/* no controls, and no form of a name that only looks like another */
	if (prep_text(name, PREP_QUERY, &prepared, e) < 0) {
		err_prefix(e, "this cannot be the name of a user");
		return AUTH_FAILED;
	}
	talk.name = prepared;
	if (!prepared[0] || strlen(prepared) >= AUTH_USER_MAX)
		err_set(e, "this cannot be the name of a user");
	else
		result = start_and_run(pam, client, &talk, user, e);
	prep_free(prepared);
	return result;
}

static int pam_mechanisms(struct auth_backend *b, struct buf *out, struct err *e)
{
	(void)b;
	(void)e;
	buf_adds(out, "PLAIN LOGIN");
	return 0;
}

/* ---- opening -------------------------------------------------------------------------------- */

static void pam_close(struct auth_backend *b)
{
	struct pam_backend *pam = (struct pam_backend *)b;

	free(pam->service);
	free(pam->folder);
	free(pam);
}

static const struct auth_backend_ops pam_ops = {
	.name = "pam",
	.mechanisms = pam_mechanisms,
	.verify = pam_verify,
	.close = pam_close,
};

/* It becomes the name of a file. PAM itself makes capitals small. */
static bool is_service_name(const char *service)
{
	size_t len = strlen(service);

	return len > 0 && len <= SERVICE_MAX && service[0] != '.' && service[0] != '-' &&
	       strspn(service, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == len;
}

static bool has_file(const char *folder, const char *service)
{
	char *path = mem_printf("%s/%s", folder, service);
	bool found = access(path, F_OK) == 0;

	free(path);
	return found;
}

/* For a service without a file PAM takes that of "other", which mostly refuses everybody without a word. */
static bool service_is_there(const char *service, const char *folder)
{
	static const char *const folders[] = { "/etc/pam.d", "/usr/lib/pam.d", "/usr/share/pam.d", NULL };

	if (folder)
		return has_file(folder, service);
	for (const char *const *f = folders; *f; f++)
		if (has_file(*f, service))
			return true;
	return access("/etc/pam.d", F_OK) != 0 && access("/etc/pam.conf", F_OK) == 0;
}

struct auth_backend *auth_pam_open_in(const char *service, const char *folder, struct err *e)
{
	struct pam_backend *pam;

	if (!is_service_name(service)) {
		err_set(e, "PAM service \"%s\": a name is of small letters, digits, '_', '.' and '-'",
			service);
		return NULL;
	}
	if (!service_is_there(service, folder)) {
		err_set(e, "PAM has no service %s: make the file %s/%s", service,
			folder ? folder : "/etc/pam.d", service);
		return NULL;
	}
	pam = mem_alloc(sizeof(*pam));
	pam->backend.ops = &pam_ops;
	pam->service = mem_strdup(service);
	pam->folder = mem_strdup_or_null(folder);
	return &pam->backend;
}

#else

struct auth_backend *auth_pam_open_in(const char *service, const char *folder, struct err *e)
{
	(void)folder;
	err_set(e, "PAM service %s: this program was built without PAM (configure --with-pam)", service);
	return NULL;
}

#endif

struct auth_backend *auth_pam_open(const char *service, struct err *e)
{
	return auth_pam_open_in(service, NULL, e);
}

/* SPDX-License-Identifier: ISC */
/* See presets.h. A new one: a row here, and one in the table of posthouse.conf(5). */
#include "config/presets.h"

#include <string.h>

#include "base/assert.h"
#include "config/options.h"
#include "config/types.h"

#define REFRESH (1u << OAUTH_REFRESH_TOKEN)
#define CLIENT (1u << OAUTH_CLIENT_CREDENTIALS)
#define DEVICE (1u << OAUTH_DEVICE_CODE)
#define MICROSOFT "https://login.microsoftonline.com/organizations/oauth2/v2.0"

/* A limit that is higher than our default (recipients_per_message: 100, which RFC 5321 has every server take) is
 * no reason to send more at once: it stands in the manual and not here. */
const struct preset presets[] = {
	{ "brevo",
	  "Brevo (Sendinblue)",
	  NULL,
	  { { "remoteaddr", "smtp-relay.brevo.com:587", 0 } },
	  "https://developers.brevo.com/docs/smtp-integration" },
	{ "fastmail",
	  "Fastmail",
	  NULL,
	  { { "remoteaddr", "smtp.fastmail.com:465", 0 } },
	  "https://www.fastmail.help/hc/en-us/articles/1500000278342" },
	{ "gmail",
	  "Gmail, Google Workspace",
	  NULL,
	  /* Google's device flow does not give out this scope */
	  { { "remoteaddr", "smtp.gmail.com:587", 0 },
	    { "recipients_per_message", "100", 0 },
	    { "oauth_token_url", "https://oauth2.googleapis.com/token", REFRESH },
	    { "oauth_scope", "https://mail.google.com/", REFRESH } },
	  "https://support.google.com/a/answer/166852 "
	  "https://developers.google.com/workspace/gmail/imap/xoauth2-protocol" },
	{ "google-relay",
	  "Google Workspace SMTP relay service",
	  NULL,
	  { { "remoteaddr", "smtp-relay.gmail.com:587", 0 } },
	  "https://support.google.com/a/answer/2956491" },
	{ "icloud",
	  "iCloud Mail",
	  NULL,
	  { { "remoteaddr", "smtp.mail.me.com:587", 0 } },
	  "https://support.apple.com/102198" },
	{ "mailgun",
	  "Mailgun",
	  NULL,
	  { { "remoteaddr", "smtp.mailgun.org:587", 0 } },
	  "https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages" },
	{ "mailgun-eu",
	  "Mailgun, region EU",
	  NULL,
	  { { "remoteaddr", "smtp.eu.mailgun.org:587", 0 } },
	  "https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages" },
	{ "mailjet",
	  "Mailjet",
	  NULL,
	  { { "remoteaddr", "in-v3.mailjet.com:587", 0 } },
	  "https://dev.mailjet.com/smtp-relay/configuration/" },
	{ "mandrill",
	  "Mailchimp Transactional (Mandrill)",
	  NULL,
	  { { "remoteaddr", "smtp.mandrillapp.com:587", 0 } },
	  "https://mailchimp.com/developer/transactional/docs/smtp-integration/" },
	{ "office365",
	  "Microsoft 365, Exchange Online",
	  NULL,
	  { { "remoteaddr", "smtp.office365.com:587", 0 },
	    { "max_connections", "3", 0 },
	    { "messages_per_minute", "30", 0 },
	    /* client_credentials goes to the tenant's own URL, which nobody else knows */
	    { "oauth_token_url", MICROSOFT "/token", REFRESH | DEVICE },
	    { "oauth_device_url", MICROSOFT "/devicecode", DEVICE },
	    { "oauth_scope", "https://outlook.office.com/SMTP.Send offline_access", REFRESH | DEVICE },
	    { "oauth_scope", "https://outlook.office365.com/.default", CLIENT } },
	  "https://learn.microsoft.com/en-us/exchange/troubleshoot/send-emails/smtp-submission-improvements "
	  "https://learn.microsoft.com/en-us/exchange/client-developer/legacy-protocols/"
	  "how-to-authenticate-an-imap-pop-smtp-application-by-using-oauth" },
	{ "postmark",
	  "Postmark",
	  NULL,
	  { { "remoteaddr", "smtp.postmarkapp.com:587", 0 },
	    { "max_connections", "10", 0 },
	    { "recipients_per_message", "50", 0 } },
	  "https://postmarkapp.com/support/article/do-we-have-rate-limits-for-smtp "
	  "https://postmarkapp.com/llms.txt" },
	{ "sendgrid",
	  "Twilio SendGrid",
	  NULL,
	  { { "remoteaddr", "smtp.sendgrid.net:587", 0 },
	    { "user", "apikey", 0 },
	    { "messages_per_connection", "5000", 0 } },
	  "https://www.twilio.com/docs/sendgrid/for-developers/sending-email/integrating-with-the-smtp-api" },
	/* a host for each region, and regions come and go */
	{ "ses",
	  "Amazon SES",
	  "email-smtp.REGION.amazonaws.com:587",
	  { { "recipients_per_message", "50", 0 } },
	  "https://docs.aws.amazon.com/ses/latest/dg/quotas.html" },
	{ "smtp2go",
	  "SMTP2GO",
	  NULL,
	  { { "remoteaddr", "mail.smtp2go.com:587", 0 } },
	  "https://developers.smtp2go.com/docs/smtp-relay" },
	{ "socketlabs",
	  "SocketLabs",
	  NULL,
	  { { "remoteaddr", "smtp.socketlabs.com:587", 0 },
	    { "max_connections", "10", 0 },
	    { "messages_per_connection", "50", 0 } },
	  "https://help.socketlabs.com/docs/smtp-server-restrictions" },
	{ "sparkpost",
	  "SparkPost",
	  NULL,
	  { { "remoteaddr", "smtp.sparkpostmail.com:587", 0 },
	    { "user", "SMTP_Injection", 0 },
	    { "max_connections", "10", 0 },
	    { "messages_per_connection", "100", 0 } },
	  "https://developers.sparkpost.com/api/smtp/ "
	  "https://support.sparkpost.com/docs/tech-resources/smtp-rest-api-performance" },
	{ "sparkpost-eu",
	  "SparkPost, region EU",
	  NULL,
	  { { "remoteaddr", "smtp.eu.sparkpostmail.com:587", 0 },
	    { "user", "SMTP_Injection", 0 },
	    { "max_connections", "10", 0 },
	    { "messages_per_connection", "100", 0 } },
	  "https://developers.sparkpost.com/api/smtp/ "
	  "https://support.sparkpost.com/docs/tech-resources/smtp-rest-api-performance" },
	{ "yahoo",
	  "Yahoo Mail",
	  NULL,
	  { { "remoteaddr", "smtp.mail.yahoo.com:465", 0 }, { "recipients_per_message", "100", 0 } },
	  "https://help.yahoo.com/kb/SLN4075.html" },
	{ "zoho",
	  "Zoho Mail, personal addresses",
	  NULL,
	  { { "remoteaddr", "smtp.zoho.com:587", 0 } },
	  "https://www.zoho.com/mail/help/zoho-smtp.html" },
	{ "zoho-pro",
	  "Zoho Mail, addresses of an organisation",
	  NULL,
	  { { "remoteaddr", "smtppro.zoho.com:587", 0 } },
	  "https://www.zoho.com/mail/help/zoho-smtp.html" },
};
const size_t preset_count = sizeof(presets) / sizeof(presets[0]);

const struct preset *preset_find(const char *name)
{
	for (size_t i = 0; i < preset_count; i++)
		if (strcmp(presets[i].name, name) == 0)
			return &presets[i];
	return NULL;
}

static void put(const struct preset_value *v, struct config_upstream *u, bool only_unset)
{
	const struct config_option *o = config_option_find(CONFIG_UPSTREAM, v->key, strlen(v->key));
	struct err e;

	ASSERT(o);
	if (only_unset && *(char *const *)(const void *)((const char *)u + o->offset))
		return;
	if (o->type->list)
		o->type->clear(o, u);
	ASSERT(o->type->parse(o, u, v->value, &e) == 0);
}

void preset_apply(const struct preset *p, struct config_upstream *u)
{
	for (const struct preset_value *v = p->value; v->key; v++)
		if (v->grants == 0)
			put(v, u, false);
}

void preset_apply_oauth(const struct preset *p, struct config_upstream *u)
{
	for (const struct preset_value *v = p->value; v->key; v++)
		if (v->grants & (1u << u->oauth))
			put(v, u, true); /* they all are texts */
}

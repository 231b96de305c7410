/* SPDX-License-Identifier: ISC */
/* See presets.h. A new one: a row here, and one in the table of posthouse.conf(5). */
#include "config/presets.h"

#include <string.h>

#include "base/assert.h"
#include "config/options.h"
#include "config/types.h"

/* A limit that is higher than our default (recipients_per_message: 100, which RFC 5321 has every server take) is
 * no reason to send more at once: it stands in the manual and not here. */
const struct preset presets[] = {
	{ "brevo", "Brevo (Sendinblue)", NULL,
	  { { "remoteaddr", "smtp-relay.brevo.com:587" } },
	  "https://developers.brevo.com/docs/smtp-integration" },
	{ "fastmail", "Fastmail", NULL,
	  { { "remoteaddr", "smtp.fastmail.com:465" } },
	  "https://www.fastmail.help/hc/en-us/articles/1500000278342" },
	{ "gmail", "Gmail, Google Workspace", NULL,
	  { { "remoteaddr", "smtp.gmail.com:587" }, { "recipients_per_message", "100" } },
	  "https://support.google.com/a/answer/166852" },
	{ "google-relay", "Google Workspace SMTP relay service", NULL,
	  { { "remoteaddr", "smtp-relay.gmail.com:587" } },
	  "https://support.google.com/a/answer/2956491" },
	{ "icloud", "iCloud Mail", NULL,
	  { { "remoteaddr", "smtp.mail.me.com:587" } },
	  "https://support.apple.com/102198" },
	{ "mailgun", "Mailgun", NULL,
	  { { "remoteaddr", "smtp.mailgun.org:587" } },
	  "https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages" },
	{ "mailgun-eu", "Mailgun, region EU", NULL,
	  { { "remoteaddr", "smtp.eu.mailgun.org:587" } },
	  "https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages" },
	{ "mailjet", "Mailjet", NULL,
	  { { "remoteaddr", "in-v3.mailjet.com:587" } },
	  "https://dev.mailjet.com/smtp-relay/configuration/" },
	{ "mandrill", "Mailchimp Transactional (Mandrill)", NULL,
	  { { "remoteaddr", "smtp.mandrillapp.com:587" } },
	  "https://mailchimp.com/developer/transactional/docs/smtp-integration/" },
	{ "office365", "Microsoft 365, Exchange Online", NULL,
	  { { "remoteaddr", "smtp.office365.com:587" },
	    { "max_connections", "3" },
	    { "messages_per_minute", "30" } },
	  "https://learn.microsoft.com/en-us/exchange/troubleshoot/send-emails/smtp-submission-improvements" },
	{ "postmark", "Postmark", NULL,
	  { { "remoteaddr", "smtp.postmarkapp.com:587" },
	    { "max_connections", "10" },
	    { "recipients_per_message", "50" } },
	  "https://postmarkapp.com/support/article/do-we-have-rate-limits-for-smtp https://postmarkapp.com/llms.txt" },
	{ "sendgrid", "Twilio SendGrid", NULL,
	  { { "remoteaddr", "smtp.sendgrid.net:587" },
	    { "user", "apikey" },
	    { "messages_per_connection", "5000" } },
	  "https://www.twilio.com/docs/sendgrid/for-developers/sending-email/integrating-with-the-smtp-api" },
	/* a host for each region, and regions come and go */
	{ "ses", "Amazon SES", "email-smtp.REGION.amazonaws.com:587",
	  { { "recipients_per_message", "50" } },
	  "https://docs.aws.amazon.com/ses/latest/dg/quotas.html" },
	{ "smtp2go", "SMTP2GO", NULL,
	  { { "remoteaddr", "mail.smtp2go.com:587" } },
	  "https://developers.smtp2go.com/docs/smtp-relay" },
	{ "socketlabs", "SocketLabs", NULL,
	  { { "remoteaddr", "smtp.socketlabs.com:587" },
	    { "max_connections", "10" },
	    { "messages_per_connection", "50" } },
	  "https://help.socketlabs.com/docs/smtp-server-restrictions" },
	{ "sparkpost", "SparkPost", NULL,
	  { { "remoteaddr", "smtp.sparkpostmail.com:587" },
	    { "user", "SMTP_Injection" },
	    { "max_connections", "10" },
	    { "messages_per_connection", "100" } },
	  "https://developers.sparkpost.com/api/smtp/ https://support.sparkpost.com/docs/tech-resources/smtp-rest-api-performance" },
	{ "sparkpost-eu", "SparkPost, region EU", NULL,
	  { { "remoteaddr", "smtp.eu.sparkpostmail.com:587" },
	    { "user", "SMTP_Injection" },
	    { "max_connections", "10" },
	    { "messages_per_connection", "100" } },
	  "https://developers.sparkpost.com/api/smtp/ https://support.sparkpost.com/docs/tech-resources/smtp-rest-api-performance" },
	{ "yahoo", "Yahoo Mail", NULL,
	  { { "remoteaddr", "smtp.mail.yahoo.com:465" }, { "recipients_per_message", "100" } },
	  "https://help.yahoo.com/kb/SLN4075.html" },
	{ "zoho", "Zoho Mail, personal addresses", NULL,
	  { { "remoteaddr", "smtp.zoho.com:587" } },
	  "https://www.zoho.com/mail/help/zoho-smtp.html" },
	{ "zoho-pro", "Zoho Mail, addresses of an organisation", NULL,
	  { { "remoteaddr", "smtppro.zoho.com:587" } },
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

void preset_apply(const struct preset *p, struct config_upstream *u)
{
	for (const struct preset_value *v = p->value; v->key; v++) {
		const struct config_option *o = config_option_find(CONFIG_UPSTREAM, v->key, strlen(v->key));
		struct err e;

		ASSERT(o);
		if (o->type->list)
			o->type->clear(o, u);
		ASSERT(o->type->parse(o, u, v->value, &e) == 0);
	}
}

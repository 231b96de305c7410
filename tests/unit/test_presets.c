/* SPDX-License-Identifier: ISC */
/* The table of presets, and what it does in a configuration. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/dump.h"
#include "config/options.h"
#include "config/presets.h"
#include "config_files.h"
#include "unit.h"

/* Each value is one its key takes; hosts are names; TLS never falls below required. */
START_TEST(test_table)
{
	for (size_t i = 0; i < preset_count; i++) {
		const struct preset *p = &presets[i];
		struct config cfg;
		char *text;
		bool has_host = false;

		ck_assert_ptr_eq(preset_find(p->name), p);
		ck_assert_msg(i == 0 || strcmp(presets[i - 1].name, p->name) < 0, "%s: not in order", p->name);
		ck_assert_msg(strncmp(p->source, "https://", 8) == 0, "%s: no source", p->name);
		for (const struct preset_value *v = p->value; v->key; v++) {
			ck_assert_msg(config_option_find(CONFIG_UPSTREAM, v->key, strlen(v->key)), "%s: %s", p->name, v->key);
			ck_assert_msg(strcmp(v->key, "tls") != 0, "%s: tls goes by the port", p->name);
			has_host = has_host || strcmp(v->key, "remoteaddr") == 0;
		}
		ck_assert_msg(has_host == !p->remoteaddr_like, "%s", p->name);

		text = mem_printf("localaddr = :1\nupstream a { preset = \"%s\" user = u password_file = /p %s%s%s }", p->name,
				  has_host ? "" : "remoteaddr = \"", has_host ? "" : p->remoteaddr_like, has_host ? "" : "\"");
		files_load_good(&cfg, text);
		ck_assert_uint_ge(cfg.upstream[0].remoteaddr_count, 1);
		for (size_t k = 0; k < cfg.upstream[0].remoteaddr_count; k++) {
			const struct endpoint *ep = &cfg.upstream[0].remoteaddr[k].endpoint;
			size_t len = strlen(ep->host);

			ck_assert_int_eq(ep->kind, ENDPOINT_TCP);
			ck_assert_msg(strchr(ep->host, '.') && strspn(&ep->host[len - 1], "abcdefghijklmnopqrstuvwxyz") == 1,
				      "%s: %s is no name", p->name, ep->host);
			ck_assert_int_eq(cfg.upstream[0].tls,
					 ep->port == 465 ? UPSTREAM_TLS_IMPLICIT : UPSTREAM_TLS_REQUIRED);
		}
		config_release(&cfg);
		free(text);
	}
}
END_TEST

START_TEST(test_section_wins)
{
	struct config cfg;
	const struct config_upstream *u;

	/* whatever stands first */
	files_load_good(&cfg, "localaddr = :1\nupstream a { max_connections = 7 preset = office365 remoteaddr = { \"a.example:587\", \"b.example:587\" } }\n"
			      "upstream b { preset = office365 }\nupstream c { remoteaddr = \"c.example\" }");
	u = cfg.upstream;
	ck_assert_uint_eq(u[0].max_connections, 7);
	ck_assert_uint_eq(u[0].messages_per_minute, 30);
	ck_assert_uint_eq(u[0].remoteaddr_count, 2);
	ck_assert_str_eq(u[0].remoteaddr[0].endpoint.host, "a.example");
	ck_assert_uint_eq(u[1].max_connections, 3);
	ck_assert_str_eq(u[1].remoteaddr[0].endpoint.host, "smtp.office365.com");
	ck_assert_ptr_null(u[2].preset);
	ck_assert_uint_eq(u[2].messages_per_minute, 0);
	config_release(&cfg);
}
END_TEST

START_TEST(test_tls)
{
	struct config cfg;

	files_load_good(&cfg, "localaddr = :1\nupstream a { preset = smtp2go remoteaddr = \"mail.smtp2go.com:2525\" }\n"
			      "upstream b { preset = smtp2go remoteaddr = \"mail.smtp2go.com:465\" }\n"
			      "upstream c { preset = smtp2go tls = none }\nupstream d { remoteaddr = \"mail.smtp2go.com:2525\" }\n"
			      "upstream e { preset = smtp2go remoteaddr = { \"a.example:2525\", \"b.example:587\" } }\n");
	ck_assert_int_eq(cfg.upstream[0].tls, UPSTREAM_TLS_REQUIRED);
	ck_assert_int_eq(cfg.upstream[1].tls, UPSTREAM_TLS_IMPLICIT);
	ck_assert_int_eq(cfg.upstream[2].tls, UPSTREAM_TLS_NONE);
	ck_assert_int_eq(cfg.upstream[3].tls, UPSTREAM_TLS_OPPORTUNISTIC);
	ck_assert_int_eq(cfg.upstream[4].tls, UPSTREAM_TLS_REQUIRED);
	config_release(&cfg);
}
END_TEST

/* What belongs to a grant comes with that grant, and only where the section has nothing itself. */
START_TEST(test_oauth)
{
	struct config cfg;
	const struct config_upstream *u;

	files_load_good(&cfg, "localaddr = :1\nupstream a { preset = office365 user = \"a@x.example\" oauth = device_code oauth_client_id = i }\n"
			      "upstream b { preset = office365 user = \"a@x.example\" oauth = client_credentials oauth_client_id = i"
			      " oauth_client_secret_file = /s oauth_token_url = \"https://t.example/\" }\n"
			      "upstream c { preset = gmail user = \"a@x.example\" password_file = /p }\n"
			      "upstream d { preset = gmail user = \"a@x.example\" oauth_scope = x oauth = refresh_token oauth_client_id = i }\n");
	u = cfg.upstream;
	ck_assert_str_eq(u[0].oauth_token_url, "https://login.microsoftonline.com/organizations/oauth2/v2.0/token");
	ck_assert_str_eq(u[0].oauth_device_url, "https://login.microsoftonline.com/organizations/oauth2/v2.0/devicecode");
	ck_assert_str_eq(u[0].oauth_scope, "https://outlook.office.com/SMTP.Send offline_access");
	ck_assert_str_eq(u[1].oauth_token_url, "https://t.example/");
	ck_assert_str_eq(u[1].oauth_scope, "https://outlook.office365.com/.default");
	ck_assert_ptr_null(u[2].oauth_token_url);
	ck_assert_ptr_null(u[2].oauth_scope);
	ck_assert_str_eq(u[3].oauth_token_url, "https://oauth2.googleapis.com/token");
	ck_assert_str_eq(u[3].oauth_scope, "x");
	config_release(&cfg);
}
END_TEST

START_TEST(test_errors)
{
	struct buf errors;
	struct config cfg;

	files_check_errors("localaddr = :1\nupstream a {\npreset = ses\n}\n",
			   "t.conf:3: upstream \"a\" has no remoteaddr: preset \"ses\" has a host for each region, "
			   "remoteaddr = \"email-smtp.REGION.amazonaws.com:587\"\n");
	/* the account's own name is missing, not the preset's */
	files_check_errors("localaddr = :1\nupstream a {\npreset = sendgrid\n}\n", "t.conf:2: user without password_file\n");
	/* one message, with the names there are */
	buf_init(&errors, 4096);
	ck_assert_int_eq(files_load(&cfg, "localaddr = :1\nupstream a {\npreset = gmial\n}\n", &errors), -1);
	ck_assert_msg(strncmp(errors.data, "t.conf:3: preset: \"gmial\" is not one of brevo, ", 45) == 0, "%s", errors.data);
	ck_assert_ptr_nonnull(strstr(errors.data, ", zoho-pro\n"));
	ck_assert_uint_eq(errors.len, strcspn(errors.data, "\n") + 1);
	buf_release(&errors);
	config_release(&cfg);
}
END_TEST

/* The dump has the values, and reads as the same configuration. */
START_TEST(test_dump)
{
	struct config cfg;
	struct buf one, two;

	files_load_good(&cfg, "localaddr = :1\nupstream a { preset = sendgrid password_file = /p }");
	buf_init(&one, CONFIG_DUMP_MAX);
	buf_init(&two, CONFIG_DUMP_MAX);
	config_dump(&cfg, &one);
	config_release(&cfg);
	ck_assert_ptr_nonnull(strstr(one.data, "\tpreset = \"sendgrid\"\n"));
	ck_assert_ptr_nonnull(strstr(one.data, "\tmessages_per_connection = 5000\n"));
	ck_assert_ptr_nonnull(strstr(one.data, "\tuser = \"apikey\"\n"));
	ck_assert_ptr_nonnull(strstr(one.data, "\ttls = required\n"));
	files_load_good(&cfg, one.data);
	config_dump(&cfg, &two);
	config_release(&cfg);
	ck_assert_str_eq(one.data, two.data);
	buf_release(&one);
	buf_release(&two);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("presets");
	TCase *c = tcase_create("presets");

	tcase_add_checked_fixture(c, files_enter, files_leave);
	tcase_add_test(c, test_table);
	tcase_add_test(c, test_section_wins);
	tcase_add_test(c, test_tls);
	tcase_add_test(c, test_oauth);
	tcase_add_test(c, test_errors);
	tcase_add_test(c, test_dump);
	suite_add_tcase(s, c);
	return s;
}

int main(void)
{
	return unit_run(suite());
}

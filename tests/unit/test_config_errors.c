/* SPDX-License-Identifier: ISC */
/* config/: files with mistakes; every message, with its line. */
#include "config/config.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "config_files.h"
#include "unit.h"

#define PIN "sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
#define URL "https://login.example/t"
#define REFRESH "oauth = refresh_token oauth_client_id = i oauth_token_url = '" URL "'"
#define UP(port, lines) "localaddr = :1\nupstream a { remoteaddr = b" port "\n" lines " }"

static const struct {
	const char *text, *errors;
} bad_files[] = {
	/* keys */
	{ GOOD "spol = x\n", "t.conf:3: unknown key \"spol\"\n" },
	{ GOOD "spol = { x, y } min_spare = 6 zork=1", "t.conf:3: unknown key \"spol\"\nt.conf:3: unknown key \"zork\"\n" },
	{ GOOD "a|b = x", "t.conf:3: unknown key \"a|b\"\n" },
	{ GOOD "_ = x\ntitle = x", "t.conf:3: unknown key \"_\"\nt.conf:4: unknown key \"title\"\n" },
	{ GOOD "'spool' = x", "t.conf:3: unknown key \"'spool'\"\n" },
	{ GOOD "tls_pin = none", "t.conf:3: unknown key \"tls_pin\"\n" },
	{ "remoteaddr = a\nlistener l {\n localaddr = :1\n spool = /x\n title = x }",
	  "t.conf:4: unknown key \"spool\" in section listener\nt.conf:5: unknown key \"title\" in section listener\n" },
	{ GOOD "spool = /a\n#\nspool = /b", "t.conf:5: spool is set twice, first at t.conf:3\n" },
	{ GOOD "spool = /a\nspool = { /b }", "t.conf:4: spool is set twice, first at t.conf:3\n" },
	{ GOOD "relay_from = {} relay_from = {}", "t.conf:3: relay_from is set twice, first at t.conf:3\n" },
	{ GOOD "handler += spool", "t.conf:3: \"+=\" is not known: write the whole list with \"=\"\n" },
	{ GOOD "handler+=spool", "t.conf:3: \"+=\" is not known: write the whole list with \"=\"\n" },
	/* the line, past everything that can stand on lines before */
	{ "# one\n\n/* two\n three */ // four\nlocaladdr = { # five\n ':1', /* six\n seven */ ':2'\n}\nremoteaddr = a\nzork = 1",
	  "t.conf:10: unknown key \"zork\"\n" },
	{ "remoteaddr=a\nlistener x {\n#\n localaddr = {\n':1',\n#\n'x y'\n}\n}\n#\nmin_spare =\n\nx",
	  "t.conf:7: localaddr: \"x y\": not a host name or address\nt.conf:13: min_spare: \"x\" is not a number\n" },
	{ "\r\n" GOOD "min_spare = 5\r\nmin_spire = 5\r\n", "t.conf:5: unknown key \"min_spire\"\n" },
	/* handler mailman */
	{ GOOD "mailman_domains = l.example", "t.conf:3: mailman_... has no effect: set handler = \"mailman\"\n" },
	{ GOOD "handler = mailman\nmailman_upstream = x",
	  "t.conf:4: mailman_upstream: there is no upstream \"x\"\n" },
	{ "localaddr = :1\nhandler = mailman",
	  "t.conf:2: remoteaddr is missing: where is mail to go that is not for one of Mailman's lists?\n" },
	{ GOOD "handler = mailman\nmailman_url = none",
	  "t.conf:4: mailman_url = none without mailman_maps: nothing would say which lists there are\n" },
	{ GOOD "handler = mailman\nmailman_command = /m",
	  "t.conf:4: mailman_command without mailman_maps: which lists there are, Mailman 2 says in its data/aliases alone\n" },
	{ GOOD "handler = mailman\nmailman_command = /m\nmailman_maps = /a",
	  "t.conf:5: mailman_command without mailman_domains: the aliases of Mailman 2 name no domains\n" },
	{ GOOD "handler = mailman mailman_url = none mailman_maps = /a\nmailman_password_file = /p",
	  "t.conf:4: mailman_password_file has no effect: Mailman is not asked over mailman_url\n" },
	{ GOOD "handler = mailman\nmailman_url = 'http://lists.example.org:8001/3.1'",
	  "t.conf:4: mailman_url: http would show secrets on their way: https, or a server on this machine (127.0.0.1)\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = b }\nupstream mailman {\nremoteaddr = 'program:mailman'\n}",
	  "t.conf:4: remoteaddr: program:mailman is for the upstream of mailman_upstream, with mailman_command\n" },
	{ "localaddr = :1 handler = mailman\nupstream a { remoteaddr = b }\nupstream mailman { remoteaddr = 'program:mailman' }",
	  "t.conf:3: remoteaddr: program:mailman is for the upstream of mailman_upstream, with mailman_command\n" },
	{ "localaddr = :1 handler = mailman mailman_command = /m mailman_maps = /a mailman_domains = d\n"
	  "upstream a { remoteaddr = b }\nupstream mailman { remoteaddr = c }",
	  "t.conf:3: remoteaddr: with mailman_command the upstream \"mailman\" has remoteaddr = \"program:mailman\"\n" },
	{ "localaddr = :1 handler = mailman mailman_command = /m mailman_maps = /a mailman_domains = d\n"
	  "upstream a { remoteaddr = b }\nupstream mailman { remoteaddr = { 'program:mailman', c } tls = none }",
	  "t.conf:3: remoteaddr: program:mailman goes with no other address\n" },
	{ "localaddr = :1 handler = mailman mailman_command = /m mailman_maps = /a mailman_domains = d\n"
	  "upstream a { remoteaddr = b }\nupstream mailman { remoteaddr = 'program:mailman' tls = required }",
	  "t.conf:3: tls, user and proxy have no effect on a program (program:mailman)\n" },
	/* values */
	{ GOOD "min_spare = 0", "t.conf:3: min_spare: \"0\" is not from 1 to 10000\n" },
	{ GOOD "min_spare = -1", "t.conf:3: min_spare: \"-1\" is not a number\n" },
	{ GOOD "min_spare = ''", "t.conf:3: min_spare: \"\" is not a number\n" },
	{ GOOD "max_workers = 99999999999999999999", "t.conf:3: max_workers: \"99999999999999999999\" is not a number\n" },
	{ GOOD "min_free = 1E", "t.conf:3: min_free: \"1E\" is not a size (a number of bytes, or one with K, M, G or T)\n" },
	{ GOOD "data_size_limit = 2T", "t.conf:3: data_size_limit: \"2T\" is not from 0 to 1T\n" },
	{ GOOD "stop_timeout = 5 retry_min = '5 m'",
	  "t.conf:3: retry_min: \"5 m\" is not a time (a number of seconds, or one with ms, s, m, h, d or w)\n" },
	{ GOOD "command_timeout = 0", "t.conf:3: command_timeout: \"0\" is not from 1ms to 1d\n" },
	{ GOOD "retry_factor = 0.5", "t.conf:3: retry_factor: \"0.5\" is not from 1 to 100\n" },
	{ GOOD "retry_factor = 1.2345", "t.conf:3: retry_factor: \"1.2345\" is not a number with at most three decimals\n" },
	{ GOOD "retry_factor = '1,5'", "t.conf:3: retry_factor: \"1,5\" is not a number with at most three decimals\n" },
	{ GOOD "retry_factor = .5", "t.conf:3: retry_factor: \".5\" is not a number with at most three decimals\n" },
	{ GOOD "retry_factor = 1.", "t.conf:3: retry_factor: \"1.\" is not a number with at most three decimals\n" },
	{ GOOD "filter_command = cat", "t.conf:3: filter_command: \"cat\" is not an absolute path\n" },
	{ GOOD "filter_command = { /bin/cat, \"-x%{recipent}\" }",
	  "t.conf:3: filter_command: \"%{recipent}\" is nothing that a program can be told: %{sender}, %{recipient} ... are\n" },
	{ GOOD "exec_command = { /bin/cat, \"%{sender\" }",
	  "t.conf:3: exec_command: \"%{sender\" is nothing that a program can be told: %{sender}, %{recipient} ... are\n" },
	{ GOOD "module = m.so", "t.conf:3: module: \"m.so\" is not an absolute path\n" },
	{ GOOD "module_arguments = x", "t.conf:3: module_arguments has no effect: set module\n" },
	{ GOOD "module = /m.so module_timeout = 10ms", "t.conf:3: module_timeout: \"10ms\" is not from 1s to 10m\n" },
	{ GOOD "handler = exec",
	  "t.conf:3: exec_command is missing: handler \"exec\" gives each message to a program\n" },
	{ GOOD "filter_command = /bin/cat program_user = posthouse",
	  "t.conf:3: program_user and user are the same: programs could reach all that this one has\n" },
	{ GOOD "filter_command = /bin/cat program_user = x auth_user = x",
	  "t.conf:3: program_user and auth_user are the same: programs could reach all that this one has\n" },
	{ GOOD "max_programs = 0", "t.conf:3: max_programs: \"0\" is not from 1 to 1000\n" },
	{ GOOD "spool_sync = fast", "t.conf:3: spool_sync: \"fast\" is not one of auto, file or strict\n" },
	{ GOOD "log_level = INFO",
	  "t.conf:3: log_level: \"INFO\": the level is not one of error, warning, info or debug\n" },
	{ GOOD "log_level = { info, 'smtp=debug' }",
	  "t.conf:3: log_level: \"smtp=debug\": the part is not one of service, client, auth, relay, upstream, program or "
	  "module\n" },
	{ GOOD "log = file",
	  "t.conf:3: log: \"file\" is not one of auto, stderr, syslog or journal, and no absolute path\n" },
	{ GOOD "log_format = xml", "t.conf:3: log_format: \"xml\" is not one of text or json\n" },
	{ GOOD "log = journal\nlog_format = json",
	  "t.conf:4: log_format = json has no effect on log = journal: it gets each pair as a field of its own\n" },
	{ GOOD "bare_newline = 1", "t.conf:3: bare_newline: \"1\" is not one of reject or normalize\n" },
	{ GOOD "decode_data = maybe", "t.conf:3: decode_data: \"maybe\" is neither yes nor no\n" },
	{ GOOD "spool = here", "t.conf:3: spool: \"here\" is not an absolute path\n" },
	{ GOOD "spool = \"\"", "t.conf:3: spool: it is empty\n" },
	{ GOOD "user = 'a b' smtp_user = -x",
	  "t.conf:3: user: \"a b\" is not the name of a user\nt.conf:3: smtp_user: \"-x\" is not the name of a user\n" },
	{ GOOD "hostname = a..b",
	  "t.conf:3: hostname: \"a..b\" is neither a domain name nor an address literal like [192.0.2.1]\n" },
	{ GOOD "relay_from = { 10.0.0.1/8, ::1, x }",
	  "t.conf:3: relay_from: \"10.0.0.1/8\": bits are set behind the prefix length 8; write the network's first address\n"
	  "t.conf:3: relay_from: \"x\" is not a network (ADDRESS/BITS)\n" },
	{ "localaddr = :1 remoteaddr = unix:/x",
	  "t.conf:1: remoteaddr: \"unix:/x\": an upstream is reached by TCP only, but for lmtp://unix:PATH\n" },
	{ "localaddr = :1 remoteaddr = :25",
	  "t.conf:1: remoteaddr: \":25\": a host, and a port from 1 to 65535, are needed to connect to\n" },
	{ GOOD "handler = { spool }", "t.conf:3: handler takes one value, not a list\n" },
	/* words and signs */
	{ GOOD "spool\n", "t.conf:3: spool has no value: write spool = VALUE\n" },
	{ GOOD "spool /x\nzork", "t.conf:3: spool has no value: write spool = VALUE\n"
				 "t.conf:4: \"zork\" is neither a key with \"=\" nor the name of a section\n" },
	{ GOOD "spool =", "t.conf:3: spool has no value\n" },
	{ GOOD "spool = = /x", "t.conf:3: spool has no value\nt.conf:3: unexpected \"=\"\n"
			       "t.conf:3: \"/x\" is neither a key with \"=\" nor the name of a section\n" },
	{ GOOD "}\n,\n)\n", "t.conf:3: unexpected \"}\"\nt.conf:4: unexpected \",\"\nt.conf:5: unexpected \")\"\n" },
	{ GOOD "{ }", "t.conf:3: unexpected \"{\"\n" },
	/* of all listeners: told once */
	{ "listener a { localaddr = \":1\" } listener b { localaddr = \":2\" } remoteaddr = x\nxclient_from = y",
	  "t.conf:2: xclient_from: \"y\" is not a network (ADDRESS/BITS)\n" },
	{ GOOD "relay_from = { ::1,\n {", "t.conf:3: the list that begins here is not closed with \"}\"\n"
					     "t.conf:4: unexpected \"{\" in a list\n" },
	{ GOOD "relay_from = {\n", "t.conf:3: the list that begins here is not closed with \"}\"\n" },
	{ GOOD "spool = \"/x\nmin_spare = x", "t.conf:3: the string that begins here is not closed on its line\n"
					      "t.conf:4: min_spare: \"x\" is not a number\n" },
	{ GOOD "spool = '/x", "t.conf:3: the string that begins here is not closed on its line\n" },
	{ GOOD "spool = \"/x\\", "t.conf:3: the string that begins here is not closed on its line\n" },
	{ GOOD "spool = \"/\\n\"", "t.conf:3: a backslash in \"...\" may only stand before \", \\ or $\n" },
	{ GOOD "spool = '/\\\"'", "t.conf:3: a backslash in '...' may only stand before ' or \\\n" },
	{ GOOD "spool = '/a\tb'", "t.conf:3: a string may not have control characters\n" },
	{ GOOD "spool = /a*b/c", "t.conf:3: '*' has no place here: put the value in \"...\"\n" },
	{ GOOD "spool = $HOME/x", "t.conf:3: '$' has no place here: put the value in \"...\"\n" },
	{ GOOD "spool = C:\\x", "t.conf:3: '\\' has no place here: put the value in \"...\"\n" },
	{ GOOD "spool = /a\001b\nzork = 1", "t.conf:3: byte 0x01 has no place here\nt.conf:4: unknown key \"zork\"\n" },
	{ GOOD "* = 1", "t.conf:3: '*' has no place here: put the value in \"...\"\n" },
	{ GOOD "\n/* x\n", "t.conf:4: the comment that begins here is not closed with */\n" },
	{ GOOD "spool = \"${PH_TEST_UNSET}\"",
	  "t.conf:3: the environment variable PH_TEST_UNSET is not set; ${PH_TEST_UNSET:-TEXT} gives it a default\n" },
	{ GOOD "spool = \"${a\"\nspool_sync = \"}\"",
	  "t.conf:3: write ${NAME} or ${NAME:-DEFAULT} for an environment variable, \\$ for a dollar sign\n"
	  "t.conf:4: spool_sync: \"}\" is not one of auto, file or strict\n" },
	/* what libconfuse finds ends the parse; what came before is still told, what is missing is not */
	{ "zork = 1\nmin_spare = x\nrelay_from = { ::1 ::2 }\nmax_spare = x",
	  "t.conf:1: unknown key \"zork\"\nt.conf:2: min_spare: \"x\" is not a number\nt.conf:3: unexpected token '::2'\n" },
	/* sections */
	{ GOOD "metrics_listen = 127.0.0.1", "t.conf:3: metrics_listen: \"127.0.0.1\": the port is missing (HOST:PORT)\n" },
	{ GOOD "metrics_listen = { localhost:1, unix:/m, [::]:2 }",
	  "t.conf:3: metrics_listen [::]:2 can be reached from other machines: name those that may ask in metrics_from, or "
	  "use 127.0.0.1 or a unix socket\n" },
	{ GOOD "metrics_from = nobody\nmetrics_file = /x/prom", "t.conf:3: metrics_from: \"nobody\" is not a network (ADDRESS/BITS)\n"
	  "t.conf:4: metrics_file: node_exporter reads files whose names end in .prom\n" },
	{ GOOD "lisener x { localaddr = :1 zork = 2 y { } }\nzork = 1",
	  "t.conf:3: unknown section \"lisener\"\nt.conf:4: unknown key \"zork\"\n" },
	{ "remoteaddr = a\nlistener { localaddr = :1 }", "t.conf:2: section listener needs a name: listener \"NAME\" { ... }\n" },
	{ "remoteaddr = a\nlistener '' { localaddr = :1 }",
	  "t.conf:2: listener \"\": a name has 1 to 64 letters, digits, dots, hyphens and underscores\n" },
	{ "remoteaddr = a\nlistener a { localaddr = :1 }\nlistener \"a\" { localaddr = :2 }",
	  "t.conf:3: listener \"a\" stands twice\n" },
	{ "remoteaddr = a\nlistener a { localaddr = :1 upstream b { } }", "t.conf:2: unknown section \"upstream\"\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = a }\nupstream b {\nremoteaddr = b\ntls = x }",
	  "t.conf:5: tls: \"x\" is not one of none, opportunistic, required or implicit\n" },
	{ GOOD "upstream a {\n remoteaddr = a\n}\nlistener b {\n localaddr = :1\n}",
	  "t.conf:1: localaddr and a section listener exclude each other: put it into the section\n"
	  "t.conf:2: remoteaddr and a section upstream exclude each other: put it into the section\n" },
	{ "localaddr = :1\nupstream a {\nremoteaddr = a", "t.conf:2: the section that begins here is not closed with \"}\"\n" },
	{ "localaddr = :1 upstream a {\n tls = none }", "t.conf:1: upstream \"a\" has no remoteaddr\n" },
	{ "remoteaddr = a listener a {\n }", "t.conf:1: listener \"a\" has no localaddr\n" },
	{ "remoteaddr = a\nlistener a {\n localaddr = {} }", "t.conf:2: listener \"a\" has no localaddr\n" },
	/* rules */
	{ "", "t.conf: remoteaddr is missing: handler \"spool\" relays to an upstream\n"
	      "t.conf: localaddr is missing: there is nothing to listen on\n" },
	{ "localaddr = 'x y'\nremoteaddr = :x",
	  "t.conf:1: localaddr: \"x y\": not a host name or address\n"
	  "t.conf:2: remoteaddr: \":x\": the port must be a number from 0 to 65535\n" },
	{ GOOD "\n\nmin_spare = 21", "t.conf:5: min_spare (21) is more than max_spare (20)\n" },
	{ GOOD "min_spare = 4\nmax_spare = 3", "t.conf:4: min_spare (4) is more than max_spare (3)\n" },
	{ GOOD "max_spare = 201", "t.conf:3: max_spare (201) is more than max_workers (200)\n" },
	{ GOOD "max_spare = x\nmax_workers = 1", "t.conf:3: max_spare: \"x\" is not a number\n" },
	{ GOOD "auth_users_file = \"/u\"\nauth_pam_service = \"p\"",
	  "t.conf:4: auth_users_file, auth_pam_service and auth_dovecot_socket exclude each other\n" },
	{ GOOD "auth_dovecot_socket = \"/u\"\nauth_pam_service = \"p\"",
	  "t.conf:4: auth_users_file, auth_pam_service and auth_dovecot_socket exclude each other\n" },
	{ GOOD "auth_users_file = \"users\"", "t.conf:3: auth_users_file: \"users\" is neither an absolute path nor credential:NAME\n" },
	{ GOOD "auth_dovecot_socket = \"sock\"", "t.conf:3: auth_dovecot_socket: \"sock\" is not an absolute path\n" },
	{ GOOD "vrfy_for_anyone = yes", "t.conf:3: vrfy_for_anyone has no effect without vrfy_table\n" },
	{ GOOD "decode_data = yes enable_binarymime = on", "t.conf:3: decode_data and enable_binarymime exclude each other\n" },
	{ GOOD "decode_data = yes enable_smtputf8 = on", "t.conf:3: decode_data and enable_smtputf8 exclude each other\n" },
	{ GOOD "message_timeout = 3h", "t.conf:3: message_timeout is longer than session_timeout\n" },
	{ GOOD "retry_max = 1s", "t.conf:3: retry_min is longer than retry_max\n" },
	{ "localaddr = { :1, :0, :0,\n 'unix:/a', ':1' }\nremoteaddr = a", "t.conf:1: localaddr: \":1\" stands twice\n" },
	{ "remoteaddr = a\nlistener a { localaddr = 'unix:/a' }\nlistener b {\n localaddr = { :1, 'unix:/a' } }",
	  "t.conf:4: localaddr: \"unix:/a\" stands twice\n" },
	{ GOOD "relay_from = { 10.0.0.0/8, 0.0.0.0/0 }",
	  "t.conf:3: relay_from lets everyone relay, or a great part of the Internet; if an open relay is wanted, say so: relay_from_anyone = yes\n" },
	{ GOOD "relay_from_cert = { sha256:12:34, \"name:\", \"name:*\", \"name:*.org\", name:-x, name:a@b@, md5:00, name:a.example }",
	  "t.conf:3: relay_from_cert: \"sha256:12:34\": write sha256: and the 64 digits of a certificate's fingerprint, or name:HOST\n"
	  "t.conf:3: relay_from_cert: \"name:\": a host name, a mail address, or *.DOMAIN is wanted behind name:\n"
	  "t.conf:3: relay_from_cert: \"name:*\": a host name, a mail address, or *.DOMAIN is wanted behind name:\n"
	  "t.conf:3: relay_from_cert: \"name:*.org\" lets everyone relay who gets a certificate below \"org\": name a domain of yours\n"
	  "t.conf:3: relay_from_cert: \"name:-x\": a host name, a mail address, or *.DOMAIN is wanted behind name:\n"
	  "t.conf:3: relay_from_cert: \"name:a@b@\": a host name, a mail address, or *.DOMAIN is wanted behind name:\n"
	  "t.conf:3: relay_from_cert: \"md5:00\": write sha256: and the 64 digits of a certificate's fingerprint, or name:HOST\n" },
	{ GOOD "relay_from_cert = name:a.example",
	  "t.conf:3: relay_from_cert has no effect: no listener asks for certificates (tls, tls_client_cert)\n" },
	{ GOOD "tls = required tls_cert = /c tls_client_cert = ask\nrelay_from_cert = name:a.example",
	  "t.conf:4: relay_from_cert: \"name:a.example\" has no effect: names count below a tls_client_ca, and no listener has one\n" },
	{ GOOD "auth_senders = /t", "t.conf:3: auth_senders has no effect: no listener has auth\n" },
	{ GOOD "relay_from = ::/0",
	  "t.conf:3: relay_from lets everyone relay, or a great part of the Internet; if an open relay is wanted, say so: relay_from_anyone = yes\n" },
	{ GOOD "relay_from = { 0.0.0.0/1, 128.0.0.0/2, 129.0.0.0/8, 192.0.0.0/2 }",
	  "t.conf:3: relay_from lets everyone relay, or a great part of the Internet; if an open relay is wanted, say so: relay_from_anyone = yes\n" },
	{ GOOD "relay_from = { 0.0.0.0/1, 128.0.0.0/2, 192.0.0.0/3 }",
	  "t.conf:3: relay_from lets everyone relay, or a great part of the Internet; if an open relay is wanted, say so: relay_from_anyone = yes\n" },
	{ GOOD "relay_from = 192.0.0.0/2",
	  "t.conf:3: relay_from lets everyone relay, or a great part of the Internet; if an open relay is wanted, say so: relay_from_anyone = yes\n" },
	{ GOOD "relay_from = { 64.0.0.0/4, 80.0.0.0/4 }",
	  "t.conf:3: relay_from lets everyone relay, or a great part of the Internet; if an open relay is wanted, say so: relay_from_anyone = yes\n" },
	{ GOOD "relay_from = { 2000::/4, 3000::/4 }",
	  "t.conf:3: relay_from lets everyone relay, or a great part of the Internet; if an open relay is wanted, say so: relay_from_anyone = yes\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = b:587\n user = u }", "t.conf:3: user without password_file\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = b:587\n password_file = /p }", "t.conf:3: password_file without user\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = b\n user = u password_file = /p }",
	  "t.conf:3: user: the password could be read on its way to b: set tls = required or implicit\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = b:587\n user = u password_file = /p\n tls = none }",
	  "t.conf:4: user: the password could be read on its way to b: set tls = required or implicit\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = 127.0.0.1\n user = u password_file = /p\n proxy = 'socks5://p:1080' }",
	  "t.conf:4: user: the password could be read on its way to 127.0.0.1: set tls = required or implicit\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = b\n tls_ca_file = /p }",
	  "t.conf:3: tls_ca_file has no effect: certificates are verified with tls = required or implicit only\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = b\n probe_max = 1s }", "t.conf:3: probe_min is longer than probe_max\n" },
	{ GOOD "retry_max = 6d", "t.conf:3: retry_max is longer than expire_after: messages would expire waiting for "
				 "their next try\n" },
	{ GOOD "warn_after = 5d", "t.conf:3: warn_after is not shorter than expire_after: no warning would ever be sent; 0 is "
				  "for none\n" },
	{ GOOD "postmaster = root", "t.conf:3: postmaster: \"root\" is not a mail address (like postmaster@example.org): "
				    "domain is missing\n" },
	{ GOOD "postmaster = \"<a@b>\"\npostmaster = c", "t.conf:3: postmaster: \"<a@b>\" is not a mail address (like "
		"postmaster@example.org): something stands behind the address\n"
		"t.conf:4: postmaster is set twice, first at t.conf:3\n" },
	{ GOOD "view_group = 'a b'\ncontrol_group = a:b", "t.conf:3: view_group: \"a b\" is not the name of a group\n"
							   "t.conf:4: control_group: \"a:b\" is not the name of a group\n" },
	/* several upstreams and their addresses */
	{ "localaddr = :1\nupstream a { remoteaddr = b }\nupstream a {\nremoteaddr = c }", "t.conf:3: upstream \"a\" stands twice\n" },
	{ "localaddr = :1\nremoteaddr = { 'a weight=0', 'b weight=1001',\n'c weight=x', 'd wait=1', 'e weight=1 2', 'f weight=' }",
	  "t.conf:2: remoteaddr: \"a weight=0\": a weight is a number from 1 to 1000\n"
	  "t.conf:2: remoteaddr: \"b weight=1001\": a weight is a number from 1 to 1000\n"
	  "t.conf:3: remoteaddr: \"c weight=x\": a weight is a number from 1 to 1000\n"
	  "t.conf:3: remoteaddr: \"d wait=1\": only weight=NUMBER may follow the address\n"
	  "t.conf:3: remoteaddr: \"e weight=1 2\": nothing may follow the weight\n"
	  "t.conf:3: remoteaddr: \"f weight=\": a weight is a number from 1 to 1000\n" },
	{ "localaddr = :1\nremoteaddr = { 'weight=1' }", "t.conf:2: remoteaddr: \"weight=1\": a host, and a port from 1 to 65535, are needed to connect to\n" },
	{ "localaddr = :1\nremoteaddr = {\na, b,\n'A:25 weight=1' }", "t.conf:3: remoteaddr: \"A:25\" stands twice in upstream \"default\"\n" },
	{ "localaddr = :1\nupstream u {\nremoteaddr = { a:587, b:587, c:465, d } }",
	  "t.conf:3: upstream \"u\": set tls: it would not be the same for a:587 and c:465\n" },
	{ "localaddr = :1\nremoteaddr = { a:587, '127.0.0.1:587' }",
	  "t.conf:2: upstream \"default\": set tls: it would not be the same for a:587 and 127.0.0.1:587\n" },
	{ "localaddr = :1\nupstream u { remoteaddr = { 127.0.0.1, a } tls = none\nuser = u password_file = /p }",
	  "t.conf:3: user: the password could be read on its way to a: set tls = required or implicit\n" },
	{ "localaddr = :1\nupstream u { remoteaddr = a\nattempt_timeout = 9m }",
	  "t.conf:3: attempt_timeout is shorter than final_timeout: the upstream would never get the time that final_timeout "
	  "gives it\n" },
	/* TLS of listeners */
	{ GOOD "tls = opportunistic", "t.conf:3: tls: \"opportunistic\" is not one of none, starttls, required or implicit\n" },
	{ GOOD "tls = starttls", "t.conf:3: listener \"default\": tls needs a certificate: set tls_cert (and tls_key)\n" },
	{ GOOD "tls = starttls tls_cert = c.pem", "t.conf:3: tls_cert: \"c.pem\" is neither an absolute path nor credential:NAME\n" },
	{ GOOD "tls = starttls tls_cert = { /c, /d }\ntls_key = /k",
	  "t.conf:4: listener \"default\": 1 files in tls_key for 2 in tls_cert: they go in pairs, in the same order\n" },
	{ GOOD "tls = required tls_cert = /c discard_ehlo_keywords = STARTTLS",
	  "t.conf:3: listener \"default\": discard_ehlo_keywords has STARTTLS, and tls = required\n" },
	{ GOOD "tls_cert = /c", "t.conf:3: tls_cert has no effect: set tls = starttls, required or implicit\n" },
	{ GOOD "tls_client_cert = ask",
	  "t.conf:3: tls_client_cert and tls_client_ca have no effect: set tls = starttls, required or implicit\n" },
	{ GOOD "tls = implicit tls_cert = /c\ntls_client_cert = required",
	  "t.conf:4: tls_client_cert = required needs tls_client_ca: without it any certificate would do\n" },
	{ GOOD "tls = implicit tls_cert = /c\ntls_client_ca = /ca",
	  "t.conf:4: tls_client_ca has no effect: set tls_client_cert = ask or required\n" },
	{ GOOD "tls = implicit tls_cert = /c tls_ticket_lifetime = 8d",
	  "t.conf:3: tls_ticket_lifetime: \"8d\" is not from 0s to 7d\n" },
	/* a unix socket has none, so nothing is missing, and nothing used */
	{ "localaddr = 'unix:/s' remoteaddr = x\ntls = required tls_cert = /c",
	  "t.conf:2: tls_cert has no effect: set tls = starttls, required or implicit\n" },
	/* an upstream's TLS, AUTH and way */
	{ UP(":465", "tls_ca_file = /p tls_verify = pin\ntls_pin = '" PIN "'"),
	  "t.conf:3: tls_ca_file has no effect with tls_verify = pin\n" },
	{ UP("", "tls_pin = '" PIN "'"),
	  "t.conf:3: tls_pin has no effect: keys are compared with tls = required or implicit only\n" },
	{ UP(":465", "tls_pin = { 'sha256//', 'sha1//x', '" PIN "=', 'sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF;=' }"),
	  "t.conf:3: tls_pin: \"sha256//\" is not sha256// and the base64 of a key's SHA-256\n"
	  "t.conf:3: tls_pin: \"sha1//x\" is not sha256// and the base64 of a key's SHA-256\n"
	  "t.conf:3: tls_pin: \"" PIN "=\" is not sha256// and the base64 of a key's SHA-256\n"
	  "t.conf:3: tls_pin: \"sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF;=\" is not sha256// and the base64 of a "
	  "key's SHA-256\n" },
	{ UP(":465", "discard_ehlo_keywords = STARTTLS"),
	  "t.conf:3: upstream \"a\": discard_ehlo_keywords cannot have STARTTLS: say tls = none\n" },
	{ UP(":465", "discard_ehlo_keywords = { DSN, ETRN }"),
	  "t.conf:3: upstream \"a\": discard_ehlo_keywords cannot have ETRN, which no upstream is asked for\n" },
	{ UP(":465", "tls_verify = pin"), "t.conf:3: tls_verify = pin needs a tls_pin: nothing would be verified\n" },
	{ UP(":465", "tls_verify = none"), "t.conf:3: tls_verify: \"none\" is not one of ca or pin\n" },
	{ UP("", "tls_min_version = 1.2"), "t.conf:3: tls_min_version has no effect: without tls = required or implicit "
					   "the session would go on in the clear\n" },
	{ UP(":465", "tls_min_version = SSLv3"),
	  "t.conf:3: tls_min_version: \"SSLv3\" is not one of auto, 1.0, 1.1, 1.2 or 1.3\n" },
	{ UP(":465", "tls_key = /k"), "t.conf:3: tls_key without tls_cert\n" },
	{ UP("", "tls = none\ntls_cert = /c"), "t.conf:4: tls_cert has no effect with tls = none\n" },
	{ UP(":465", "tls_cert = c.pem"),
	  "t.conf:3: tls_cert: \"c.pem\" is neither an absolute path nor credential:NAME\n" },
	{ UP(":465", "user = u\npassword_file = 'credential:../x'"),
	  "t.conf:4: password_file: \"credential:../x\": \"../x\" is not the name of a credential\n" },
	{ UP(":465", "auth_mechanisms = { PLAIN, CRAM }"),
	  "t.conf:3: auth_mechanisms: \"CRAM\" is not one of PLAIN, LOGIN, CRAM-MD5, DIGEST-MD5, SCRAM-SHA-1, SCRAM-SHA-256, "
	  "XOAUTH2, OAUTHBEARER, EXTERNAL\n" },
	{ UP(":465", "auth_mechanisms = PLAIN"), "t.conf:3: auth_mechanisms without user\n" },
	{ UP(":465", "auth_mechanisms = { EXTERNAL, PLAIN } user = u password_file = /p tls_cert = /c"),
	  "t.conf:3: auth_mechanisms: EXTERNAL stands alone: it uses the certificate, the others a password\n" },
	{ UP(":465", "auth_mechanisms = EXTERNAL"), "t.conf:3: auth_mechanisms: EXTERNAL needs a tls_cert\n" },
	{ UP("", "auth_mechanisms = EXTERNAL\ntls_cert = /c"),
	  "t.conf:4: auth_mechanisms: EXTERNAL needs tls = required or implicit\n" },
	{ UP(":465", "auth_mechanisms = EXTERNAL tls_cert = /c user = u\npassword_file = /p"),
	  "t.conf:4: password_file has no effect: EXTERNAL uses the certificate\n" },
	{ UP("", "proxy = 'https://a:1'"),
	  "t.conf:3: proxy: \"https://a:1\" does not begin with socks5h://, socks5://, socks4a:// or http://\n" },
	{ UP("", "proxy = 'http://u:p@a:1'"),
	  "t.conf:3: proxy: \"http://u:p@a:1\": after http:// there is a host and a port only (for a user: proxy_user)\n" },
	{ UP("", "proxy = 'socks5h://a:0'"),
	  "t.conf:3: proxy: \"socks5h://a:0\": a host and a port from 1 to 65535 are needed\n" },
	{ UP("", "proxy = 'socks5h://unix:/a'"),
	  "t.conf:3: proxy: \"socks5h://unix:/a\": after socks5h:// there is a host and a port only (for a user: proxy_user)\n" },
	{ UP("", "proxy_user = u\nproxy_password_file = /p"), "t.conf:4: proxy_user without proxy\n" },
	{ UP("", "proxy = 'http://a:1'\nproxy_user = u"), "t.conf:4: proxy_user without proxy_password_file\n" },
	{ UP("", "proxy = 'http://a:1'\nproxy_password_file = /p"), "t.conf:4: proxy_password_file without proxy_user\n" },
	{ UP("", "proxy = 'socks4a://a:1' proxy_user = u\nproxy_password_file = /p"),
	  "t.conf:4: proxy_password_file: SOCKS 4a has no password\n" },
	{ UP("", "source_address = { 1.2.3, 'a/b', 192.0.2.1, 192.0.2.2, eth0, eth1 }"),
	  "t.conf:3: source_address: \"1.2.3\" is neither an IP address nor the name of a network interface\n"
	  "t.conf:3: source_address: \"a/b\" is neither an IP address nor the name of a network interface\n"
	  "t.conf:3: source_address: \"192.0.2.2\": there is an IPv4 address already, \"192.0.2.1\"\n"
	  "t.conf:3: source_address: \"eth1\": there is an interface already, \"eth0\"\n" },
	{ UP("", "source_address = 192.0.2.1\naddress_family = ipv6"),
	  "t.conf:4: source_address \"192.0.2.1\" is of IPv4, and address_family = ipv6\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = { b, 192.0.2.1 }\naddress_family = ipv6 }",
	  "t.conf:3: remoteaddr 192.0.2.1 can never be reached: address_family and source_address leave only IPv6\n" },
	{ "localaddr = :1\nupstream a { remoteaddr = '[::1]:25'\nsource_address = 192.0.2.1 }",
	  "t.conf:3: remoteaddr ::1 can never be reached: address_family and source_address leave only IPv4\n" },
	/* OAuth 2 */
	{ UP(":465", "user = u\noauth = device_code"), "t.conf:4: oauth without oauth_token_url: where are tokens to be asked for?\n" },
	{ UP(":465", "user = u oauth = refresh_token\noauth_token_url = '" URL "'"),
	  "t.conf:4: oauth without oauth_client_id: as whom are tokens to be asked for?\n" },
	{ UP(":465", "user = u\noauth = device_code oauth_client_id = i oauth_token_url = '" URL "'"),
	  "t.conf:4: oauth = device_code without oauth_device_url\n" },
	{ UP(":465", "user = u " REFRESH "\noauth_device_url = '" URL "'"),
	  "t.conf:4: oauth_device_url has no effect: it is for oauth = device_code\n" },
	{ UP(":465", "user = u\noauth = client_credentials oauth_client_id = i oauth_token_url = '" URL "'"),
	  "t.conf:4: oauth = client_credentials without oauth_client_secret_file: the secret is all that says who asks\n" },
	{ UP(":465", REFRESH), "t.conf:3: oauth without user: the mailbox that the token is for\n" },
	{ UP(":465", REFRESH " user = u\npassword_file = /p"),
	  "t.conf:4: oauth and password_file exclude each other: the token is instead of a password\n" },
	{ UP("", REFRESH " tls = opportunistic\nuser = u"),
	  "t.conf:4: user: the password could be read on its way to b: set tls = required or implicit\n" },
	{ UP(":465", REFRESH " user = u\nauth_mechanisms = { XOAUTH2, PLAIN }"),
	  "t.conf:4: auth_mechanisms: with oauth only OAUTHBEARER and XOAUTH2 can be used\n" },
	{ UP(":465", "user = u password_file = /p\nauth_mechanisms = XOAUTH2"),
	  "t.conf:4: auth_mechanisms: OAUTHBEARER and XOAUTH2 need a token, so oauth is to say how to get it\n" },
	{ UP(":465", "oauth_token_url = '" URL "'"), "t.conf:3: oauth_token_url has no effect without oauth\n" },
	{ UP(":465", "oauth_client_id = i"), "t.conf:3: oauth_client_id has no effect without oauth\n" },
	{ UP(":465", "oauth_client_secret_file = /s"), "t.conf:3: oauth_client_secret_file has no effect without oauth\n" },
	{ UP(":465", "oauth_scope = s"), "t.conf:3: oauth_scope has no effect without oauth\n" },
	{ UP(":465", "oauth_ca_file = /s"), "t.conf:3: oauth_ca_file has no effect without oauth\n" },
	{ UP(":465", "oauth_token_file = /s"), "t.conf:3: oauth_token_file has no effect without oauth\n" },
	{ UP(":465", REFRESH " user = u\noauth_token_url = 'http://login.example/t'"),
	  "t.conf:4: oauth_token_url is set twice, first at t.conf:3\n" },
	{ UP(":465", "user = u oauth = refresh_token oauth_client_id = i\noauth_token_url = 'http://login.example/t'"),
	  "t.conf:4: oauth_token_url: http would show secrets on their way: https, or a server on this machine (127.0.0.1)\n" },
	{ GOOD "auth_oauth_client_id = i", "t.conf:3: auth_oauth_... has no effect without auth_oauth_introspection_url\n" },
	{ GOOD "auth_oauth_introspection_url = '" URL "'\nauth_oauth_client_secret_file = /p",
	  "t.conf:4: auth_oauth_client_secret_file without auth_oauth_client_id\n" },
	/* routes */
	{ GOOD "route x { upstream = default }", "t.conf:3: section route has no name: route { ... }\n" },
	{ GOOD "route {\n}\nroute { sender = a\nzork = 1 }", "t.conf:3: the route has no upstream\n"
		"t.conf:5: the route has no upstream\n"
		"t.conf:5: route 2 is never used: route 1, before it, takes all that it would take\n"
		"t.conf:6: unknown key \"zork\" in section route\n" },
	{ GOOD "route { sender = a\nupstream = main }", "t.conf:4: upstream: there is no upstream \"main\"\n" },
	{ GOOD "route { upstream = '' }", "t.conf:3: upstream: it is empty\n" },
	{ GOOD "route { sender = {\na,\n'*.b' } recipient = <>\nauth_user = 'a*' upstream = default }",
	  "t.conf:5: sender: \"*.b\" is no pattern: write user@domain, *@domain, domain, .domain (its subdomains), <> or *\n"
	  "t.conf:5: recipient: \"<>\" is no pattern: write user@domain, *@domain, domain, .domain (its subdomains) or *\n"
	  "t.conf:6: auth_user: \"a*\" is no pattern: write name, user@domain, *@domain or *\n" },
	{ GOOD "\nroute { sender = {} upstream = default }", "t.conf:4: sender: the list is empty: leave the key out to match all\n" },
	{ GOOD "route { upstream = default }\nroute { sender = a\nrecipient = b\nupstream = default }",
	  "t.conf:5: route 2 is never used: route 1, before it, takes all that it would take\n" },
	{ GOOD "route { sender = .a upstream = default }\nroute { recipient = c\nupstream = default }\nroute {\nsender = { x.a, y@z.a }\n"
	       "upstream = default }", "t.conf:7: route 3 is never used: route 1, before it, takes all that it would take\n" },
	{ GOOD "route { sender = '@' upstream = default }\nroute { sender = a upstream = default }",
	  "t.conf:3: sender: \"@\" is no pattern: write user@domain, *@domain, domain, .domain (its subdomains), <> or *\n" },
	/* the section that is meant may be the one that cannot be read */
	{ "localaddr = :1\nremoteaddr = a\nupstrem b { }\nroute { upstream = b }", "t.conf:3: unknown section \"upstrem\"\n" },
	/* include */
	{ GOOD "include(\"none.conf\")", "t.conf:3: include(\"none.conf\"): cannot be opened: No such file or directory\n" },
	{ GOOD "include(\"/\")", "t.conf:3: include(\"/\"): is not a regular file\n" },
	{ GOOD "include(none.conf)\nzork = 1", "t.conf:3: write include(\"FILE\")\nt.conf:4: unknown key \"zork\"\n" },
	{ GOOD "include(\"\")", "t.conf:3: write include(\"FILE\")\n" },
	{ GOOD "include(\"a\", \"b\")", "t.conf:3: write include(\"FILE\")\n" },
	{ GOOD "include(\"${PATH}\")", "t.conf:3: the name of an included file may not have \\ or $\n" },
	{ GOOD "exec(\"a\")", "t.conf:3: unexpected \"(\": only include(\"FILE\") has one\n" },
	{ GOOD "spool = include(\"a\")", "t.conf:3: unexpected \"(\": only include(\"FILE\") has one\n"
					 "t.conf:3: spool: \"include\" is not an absolute path\n" },
};

START_TEST(test_bad_files)
{
	struct config cfg;
	struct buf errors;

	unsetenv("PH_TEST_UNSET");
	files_load(&cfg, bad_files[_i].text, &errors);
	ck_assert_msg(strcmp(errors.data, bad_files[_i].errors) == 0, "for\n%s\nexpected\n%sgot\n%s", bad_files[_i].text,
		      bad_files[_i].errors, errors.data);
	buf_release(&errors);
	config_release(&cfg);

	/* libconfuse's lexer is global: nothing of a bad file may be left in it */
	files_load_good(&cfg, GOOD);
	config_release(&cfg);
}
END_TEST

START_TEST(test_not_a_file)
{
	char *path = mem_printf("%s/t.conf", files_dir);
	struct config cfg;
	struct buf errors;

	files_load(&cfg, NULL, &errors);
	ck_assert_str_eq(errors.data, "t.conf: cannot be opened: No such file or directory\n");
	buf_release(&errors);
	config_release(&cfg);
	ck_assert_int_eq(mkdir(path, 0700), 0); /* flex would end the process here */
	files_load(&cfg, NULL, &errors);
	ck_assert_str_eq(errors.data, "t.conf: is not a regular file\n");
	buf_release(&errors);
	config_release(&cfg);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0); /* reading it would wait for ever */
	files_load(&cfg, NULL, &errors);
	ck_assert_str_eq(errors.data, "t.conf: is not a regular file\n");
	buf_release(&errors);
	config_release(&cfg);
	free(path);
}
END_TEST

START_TEST(test_nul_and_size)
{
	static const char text[] = GOOD "spool = /a\0b\nmin_spare = \"\0\"\nzork = 1";
	struct config cfg;
	struct buf errors;
	char *big = mem_alloc(1 << 21);

	files_put("t.conf", text, sizeof(text) - 1);
	files_load(&cfg, NULL, &errors);
	ck_assert_str_eq(errors.data, "t.conf:3: byte 0x00 has no place here\n"
				      "t.conf:3: \"b\" is neither a key with \"=\" nor the name of a section\n"
				      "t.conf:4: a string may not have control characters\n"
				      "t.conf:5: unknown key \"zork\"\n");
	buf_release(&errors);
	config_release(&cfg);

	memset(big, ' ', (1 << 21) - 1);
	files_check_errors(big, "t.conf: too long: a configuration has at most 1048576 bytes, includes counted\n");
	free(big);
}
END_TEST

START_TEST(test_many_errors)
{
	struct config cfg;
	struct buf text, errors;
	size_t lines = 0;

	buf_init(&text, 1 << 20);
	for (int i = 0; i < 150; i++)
		buf_adds(&text, "zork = 1\n");
	files_load(&cfg, text.data, &errors);
	for (const char *c = errors.data; *c; c++)
		lines += *c == '\n';
	ck_assert_uint_eq(lines, 101);
	ck_assert_ptr_nonnull(strstr(errors.data, "t.conf:100: unknown key \"zork\"\nand 52 more errors\n"));
	buf_release(&errors);
	buf_release(&text);
	config_release(&cfg);
}
END_TEST

START_TEST(test_ceilings)
{
	struct config cfg;
	struct buf text, errors;

	buf_init(&text, 1 << 20);
	buf_adds(&text, GOOD "relay_from = {\n");
	for (int i = 0; i < 1001; i++)
		buf_addf(&text, "%s::1", i ? ",\n" : "");
	buf_adds(&text, "}");
	files_check_errors(text.data, "t.conf:1004: relay_from: a list has at most 1000 values\n");
	buf_clear(&text);
	buf_adds(&text, "remoteaddr = a\n");
	for (int i = 0; i < 101; i++)
		buf_addf(&text, "listener l%d { localaddr = :%d }\n", i, i + 1);
	files_check_errors(text.data, "t.conf: more than 100 sections listener\n");
	buf_clear(&text);
	buf_adds(&text, GOOD);
	for (int i = 0; i < 100; i++)
		buf_adds(&text, "a { ");
	files_load(&cfg, text.data, &errors);
	ck_assert_ptr_nonnull(strstr(errors.data, "t.conf:3: too many braces within braces\n"));
	buf_release(&errors);
	config_release(&cfg);
	buf_release(&text);
}
END_TEST

/* ---- include ------------------------------------------------------------------------ */

START_TEST(test_include)
{
	static const char a[] = "min_spare = 7\n\nlistener one {\n include(\"b.conf\") }\n";
	static const char b[] = "# comment\nlocaladdr = :1025\n";
	char *absolute = mem_printf("remoteaddr = a include(\"%s/a.conf\") max_spare = 8", files_dir);
	struct config cfg;

	files_put("a.conf", a, strlen(a));
	files_put("b.conf", b, strlen(b));
	files_load_good(&cfg, "remoteaddr = a\ninclude(\"a.conf\")\nmax_spare = 8");
	ck_assert_uint_eq(cfg.min_spare, 7);
	ck_assert_uint_eq(cfg.max_spare, 8);
	ck_assert_uint_eq(cfg.listener_count, 1);
	ck_assert_uint_eq(cfg.listener[0].localaddr[0].port, 1025);
	config_release(&cfg);
	files_load_good(&cfg, absolute);
	ck_assert_uint_eq(cfg.max_spare, 8);
	config_release(&cfg);
	free(absolute);
}
END_TEST

START_TEST(test_include_errors)
{
	static const char a[] = "#\nmin_spare = x\ninclude(\"b.conf\") zork = 1\n";
	static const char b[] = "\nspool = /a\n}\nlistener x {\nspool =\n";

	files_put("a.conf", a, strlen(a));
	files_put("b.conf", b, strlen(b));
	files_check_errors("max_spare = x remoteaddr = a\ninclude('a.conf')\nspool = /b\nmax_workers = x\ninclude(\"b.conf\")",
		     "t.conf:1: max_spare: \"x\" is not a number\n"
		     "t.conf:3: spool is set twice, first at b.conf:2\n"
		     "t.conf:4: max_workers: \"x\" is not a number\n"
		     "a.conf:2: min_spare: \"x\" is not a number\n"
		     "a.conf:3: unknown key \"zork\"\n"
		     "b.conf:3: unexpected \"}\"\n"
		     "b.conf:4: the section that begins here is not closed with \"}\"\n"
		     "b.conf:4: listener \"x\" has no localaddr\n"
		     "b.conf:5: spool has no value\n"
		     "b.conf:2: spool is set twice, first at b.conf:2\n"
		     "b.conf:3: unexpected \"}\"\n"
		     "b.conf:4: the section that begins here is not closed with \"}\"\n"
		     "b.conf:4: listener \"x\" stands twice\n"
		     "b.conf:4: listener \"x\" has no localaddr\n"
		     "b.conf:5: spool has no value\n");
	/* circles end, whatever way round */
	files_check_errors(GOOD "include(\"t.conf\")", "t.conf:3: include(\"t.conf\"): it would include itself\n");
	files_put("a.conf", "include('b.conf')", strlen("include('b.conf')"));
	files_put("b.conf", "\ninclude('./a.conf')", strlen("\ninclude('./a.conf')"));
	files_check_errors(GOOD "include('a.conf')", "b.conf:2: include(\"./a.conf\"): it would include itself\n");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("config_errors");
	TCase *c = tcase_create("errors");
	const TTest *const tests[] = {
		test_not_a_file, test_nul_and_size, test_many_errors, test_ceilings, test_include, test_include_errors,
	};

	tcase_add_checked_fixture(c, files_enter, files_leave);
	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, test_bad_files, 0, (int)(sizeof(bad_files) / sizeof(bad_files[0])));
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(c, tests[i]);
	suite_add_tcase(s, c);
	return unit_run(s);
}

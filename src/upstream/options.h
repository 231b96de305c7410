/* SPDX-License-Identifier: ISC */
/*
 * From settings to libcurl's options, a function for each subject: the way
 * there, TLS, AUTH. What libcurl is to call back is channel.c's.
 */
#ifndef UPSTREAM_OPTIONS_H
#define UPSTREAM_OPTIONS_H

#include <curl/curl.h>
#include <stdbool.h>

#include "upstream/upstream.h"

/* False: libcurl refused one. It keeps copies of all strings, not of the certificate and key. */
bool options_set(CURL *easy, const struct upstream_settings *settings, enum upstream_tls tls);

/* The connection is there: libcurl's fallback of a deadline is now for what follows. */
bool options_set_connected(CURL *easy, const struct upstream_settings *settings);

/* The mechanisms that may be used: those of the settings, or all that want what the settings have. */
unsigned options_mechanisms(const struct upstream_settings *settings);
/* The session is to begin with AUTH. */
bool options_want_auth(const struct upstream_settings *settings);
/* Certificates, or a pinned key, are to be right. */
bool options_verify(enum upstream_tls tls);

/* "PLAIN LOGIN": a set of mechanisms as text */
#define OPTIONS_MECHANISMS_TEXT_MAX 160
const char *options_mechanisms_text(unsigned mechanisms, char out[OPTIONS_MECHANISMS_TEXT_MAX]);

#endif

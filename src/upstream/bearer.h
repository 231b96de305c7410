/* SPDX-License-Identifier: ISC */
/*
 * Why a server refuses a token: OAUTHBEARER and XOAUTH2 say it in a challenge
 * (334 and base64 of JSON, RFC 7628 3.2.2) before the 535, which mostly tells
 * nothing. Pure.
 */
#ifndef UPSTREAM_BEARER_H
#define UPSTREAM_BEARER_H

#include "smtp/reply.h"

#define BEARER_REASON_MAX 301

/* The challenge of a 334, decoded: printable ASCII, other octets as '?', cut to size. "" when it is no such reason. */
void bearer_read_challenge(const char *base64, char out[BEARER_REASON_MAX]);
/* Appends it to the text of the refusing reply; cuts where that is full. */
void bearer_explain(struct smtp_reply *reply, const char *reason);

#endif

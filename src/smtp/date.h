/* SPDX-License-Identifier: ISC */
/* Dates in message headers (RFC 5322 3.3) and in listings. */
#ifndef SMTP_DATE_H
#define SMTP_DATE_H

#include <stdint.h>

#define SMTP_DATE_MAX 48
/* "Sun, 22 Nov 2026 20:10:21 +0000", in the local time zone, into out; returns out. Never localised. */
const char *smtp_date_format(int64_t wall_us, char out[SMTP_DATE_MAX]);

#endif

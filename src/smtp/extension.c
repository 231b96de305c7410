/* SPDX-License-Identifier: ISC */
/* See extension.h. */
#include "smtp/extension.h"

const char *const smtp_extension_names[SMTP_EXTENSION_COUNT] = { SMTP_EXTENSION_NAMES };

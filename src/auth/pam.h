/* SPDX-License-Identifier: ISC */
/* The PAM backend beyond backend.h: what its test needs. */
#ifndef AUTH_PAM_H
#define AUTH_PAM_H

#include "auth/backend.h"

/* auth_pam_open with the folder that has the service's file; NULL: the system's. */
struct auth_backend *auth_pam_open_in(const char *service, const char *folder, struct err *e);

#endif

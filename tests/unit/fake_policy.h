/* SPDX-License-Identifier: ISC */
/* Two policies for tests of the session: everybody may do all, or nobody may relay. */
#ifndef TESTS_FAKE_POLICY_H
#define TESTS_FAKE_POLICY_H

#include "session/policy.h"

extern struct session_policy fake_policy_open, fake_policy_closed;

#endif

/* SPDX-License-Identifier: ISC */
/*
 * What every fuzz target has: the one function that libFuzzer calls, and a
 * check that ends the process when a promise is broken, in every build.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif

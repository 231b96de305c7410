/* SPDX-License-Identifier: ISC */
/*
 * What every unit program shares: a main() body that runs one suite with
 * libcheck (a process per test) and speaks TAP on standard output.
 */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <check.h>
#include <stdlib.h>

static inline int unit_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_set_tap(runner, "-");
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Adds a test to a case; keeps a suite readable as a list. */
#define UNIT_CASE(suite, ...)                                                                   \
	do {                                                                                    \
		const TTest *const unit_tests_[] = { __VA_ARGS__ };                            \
		TCase *unit_case_ = tcase_create("all");                                        \
		tcase_set_timeout(unit_case_, 60);                                              \
		for (size_t unit_i_ = 0; unit_i_ < sizeof(unit_tests_) / sizeof(*unit_tests_); unit_i_++) \
			tcase_add_test(unit_case_, unit_tests_[unit_i_]);                       \
		suite_add_tcase(suite, unit_case_);                                             \
	} while (0)

#endif

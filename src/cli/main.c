/* SPDX-License-Identifier: ISC */
/* The operator's command. All of it is in the library, where the tests reach it; cli/verbs.c comes first. */
#include "base/stdfiles.h"
#include "cli/cli.h"

int main(int argc, char **argv)
{
	stdfiles_open();
	return cli_main(argc, argv);
}

/* SPDX-License-Identifier: ISC */
/* Shared objects that are no modules for this posthoused, each in its own way: -DWRONG_... says how. */
#include <stdlib.h>

#include <posthouse/module.h>

#if defined(WRONG_CRASH)
__attribute__((constructor)) static void crash(void)
{
	abort();
}
#endif

#if defined(WRONG_EXIT)
__attribute__((constructor)) static void leave(void)
{
	_Exit(0);
}
#endif

#if defined(WRONG_UNDEFINED)
int there_is_no_such_function(void);
#endif

__attribute__((unused)) static int wrong_open(const struct posthouse_api *api,
					      struct posthouse_server *server, int argc,
					      const char *const *argv, void **state)
{
	(void)api;
	(void)server;
	(void)argc;
	(void)argv;
	(void)state;
#if defined(WRONG_UNDEFINED)
	return there_is_no_such_function();
#else
	return 0;
#endif
}

#if !defined(WRONG_SYMBOL)
POSTHOUSE_MODULE_EXPORT const struct posthouse_module posthouse_module = {
#if defined(WRONG_ABI)
	.abi = POSTHOUSE_MODULE_ABI + 1,
#else
	.abi = POSTHOUSE_MODULE_ABI,
#endif
#if defined(WRONG_SIZE)
	.size = 12,
#else
	.size = sizeof(struct posthouse_module),
#endif
#if defined(WRONG_NAME)
	.name = "two words\n",
#else
	.name = "wrong",
#endif
#if !defined(WRONG_OPEN)
	.open = wrong_open,
#endif
};
#endif

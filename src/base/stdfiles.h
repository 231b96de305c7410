/* SPDX-License-Identifier: ISC */
/* Standard input, output and error of a program that was started without them. */
#ifndef BASE_STDFILES_H
#define BASE_STDFILES_H

/*
 * The first thing in main(). Whichever of the three is closed becomes /dev/null, so that no file, pipe or socket
 * of ours gets its number, and what is printed or logged ends up in a queue or a protocol. Opened the wrong way
 * round: reading or writing fails as it would have, and is told of as before.
 */
void stdfiles_open(void);

#endif

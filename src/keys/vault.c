/* SPDX-License-Identifier: ISC */
/* See vault.h. Put in by a child of the master that ends at once; taken out in the key process. */
#include "keys/vault.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

struct head {
	uint32_t may;
	uint32_t len; /* of the DER behind it */
};

int vault_new(struct err *e)
{
	int fd = memfd_create("keys", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("keys", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* whoever opens it anew, by the master's folder in /proc, has to be root: the master is not dumpable */
	if (fd < 0 || fchmod(fd, 0600) < 0) {
		err_set_os(e, errno, "cannot make a file in memory for private keys");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

int vault_put(int fd, const EVP_PKEY *key, unsigned may, struct err *e)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
	unsigned char *der = NULL;
	int len = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : 0, result = -1;
	struct head head = { .may = may, .len = len > 0 ? (uint32_t)len : 0 };

	if (len <= 0)
		err_set(e, "OpenSSL cannot write the private key");
	else if (file_write_all(fd, &head, sizeof(head)) < 0 || file_write_all(fd, der, (size_t)len) < 0)
		err_set_os(e, errno, "the file in memory for private keys");
	else
		result = 0;
	if (len > 0)
		OPENSSL_clear_free(der, (size_t)len);
	PKCS8_PRIV_KEY_INFO_free(info); /* overwrites */
	ERR_clear_error();
	return result;
}

int vault_seal(int fd, struct err *e)
{
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
		return 0;
	err_set_os(e, errno, "cannot seal the file in memory for private keys");
	return -1;
}

static int parse(struct vault *v, const unsigned char *data, size_t len)
{
	size_t at = 0;

	while (at < len) {
		const unsigned char *der = data + at + sizeof(struct head);
		struct head head;
		EVP_PKEY *key;

		if (len - at < sizeof(head) || v->count == VAULT_KEYS_MAX)
			return -1;
		memcpy(&head, data + at, sizeof(head));
		if (head.len > len - at - sizeof(head))
			return -1;
		key = d2i_AutoPrivateKey(NULL, &der, (long)head.len);
		if (!key)
			return -1;
		v->item[v->count++] = (struct vault_key){ .key = key, .may = head.may };
		at += sizeof(head) + head.len;
	}
	return 0;
}

int vault_read(struct vault *v, int fd, struct err *e)
{
	unsigned char *data = NULL;
	ssize_t got = -1;
	struct stat st;
	int result = -1;

	*v = (struct vault){ .item = mem_array(VAULT_KEYS_MAX, sizeof(*v->item)) };
	if (fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= VAULT_BYTES_MAX) {
		data = mem_alloc((size_t)st.st_size);
		/* by position: the offset is shared with everyone who has this descriptor */
		got = pread(fd, data, (size_t)st.st_size, 0);
	}
	if (got > 0 && got == st.st_size)
		result = parse(v, data, (size_t)got);
	if (data)
		OPENSSL_cleanse(data, (size_t)st.st_size);
	free(data);
	ERR_clear_error();
	if (result < 0) {
		vault_release(v);
		err_set(e, "the private keys that were put by cannot be read again");
	}
	return result;
}

void vault_release(struct vault *v)
{
	for (size_t i = 0; i < v->count; i++)
		EVP_PKEY_free(v->item[i].key);
	free(v->item);
	*v = (struct vault){ .count = 0 };
}

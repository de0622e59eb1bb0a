/* The file with the key of all sites: one line of hex or base64, for its owner's eyes only. */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h> /* sodium_hex2bin(), sodium_base642bin() */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

#define TEXT_MAX 256 /* a key in hex has 64 digits */
#define BLANKS " \t\r\n"

__attribute__((format(printf, 4, 5))) static int fail(char *error, size_t error_bytes,
                                                      const char *path, const char *format, ...)
{
    va_list args;
    int at = snprintf(error, error_bytes, "%s: ", path);

    if (at >= 0 && (size_t)at < error_bytes) {
        va_start(args, format);
        vsnprintf(error + at, error_bytes - (size_t)at, format, args);
        va_end(args);
    }
    return -EINVAL;
}

/* Every byte of the text has to be of the key or blank. */
static bool parse(const char *text, size_t bytes, uint8_t key[GX_PSK_BYTES])
{
    size_t key_bytes = 0;

    if (sodium_hex2bin(key, GX_PSK_BYTES, text, bytes, BLANKS, &key_bytes, NULL) == 0 &&
        key_bytes == GX_PSK_BYTES)
        return true;
    return sodium_base642bin(key, GX_PSK_BYTES, text, bytes, BLANKS, &key_bytes, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           key_bytes == GX_PSK_BYTES;
}

static int check_file(int fd, const char *path, char *error, size_t error_bytes)
{
    struct stat stat;

    if (fstat(fd, &stat) != 0)
        return fail(error, error_bytes, path, "cannot be read: %s", strerror(errno));
    if (!S_ISREG(stat.st_mode))
        return fail(error, error_bytes, path, "is no file; `key` names a file with the key");
    if (stat.st_mode & 077)
        return fail(error, error_bytes, path,
                    "mode %04o lets others at the key: chmod 600 it, and make a new key if "
                    "anybody may have read this one",
                    (unsigned)stat.st_mode & 07777);
    return 0;
}

int gx_config_key_load(const struct gx_config *config, uint8_t key[GX_PSK_BYTES], char *error,
                       size_t error_bytes)
{
    char text[TEXT_MAX];
    int fd = open(config->key, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t bytes = 0;
    int rc;

    if (fd < 0) {
        rc = -errno;
        fail(error, error_bytes, config->key, "cannot be read: %s%s", strerror(errno),
             errno == ENOENT ? "; gxctl key generate makes a key" : "");
        return rc;
    }
    rc = check_file(fd, config->key, error, error_bytes);
    if (rc == 0)
        bytes = read(fd, text, sizeof(text));
    if (rc == 0 && bytes < 0)
        rc = fail(error, error_bytes, config->key, "cannot be read: %s", strerror(errno));
    else if (rc == 0 && !parse(text, (size_t)bytes, key))
        rc = fail(error, error_bytes, config->key,
                  "holds no key: %d bytes in hex (%d digits) or base64, as gxctl key generate "
                  "makes",
                  GX_PSK_BYTES, 2 * GX_PSK_BYTES);
    sodium_memzero(text, sizeof(text));
    close(fd);
    return rc;
}

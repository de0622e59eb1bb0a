#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define BASE64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static struct gx_config config;
static uint8_t key[GX_PSK_BYTES];
static char error[512];

static int load(const char *text, mode_t mode)
{
    int fd, rc;

    memset(key, 0xee, sizeof(key));
    strcpy(config.key, "/tmp/gx-test-key-XXXXXX");
    fd = mkstemp(config.key);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    rc = gx_config_key_load(&config, key, error, sizeof(error));
    unlink(config.key);
    return rc;
}

static void loads(const char *text)
{
    assert_int_equal(load(text, 0600), 0);
    for (uint8_t i = 0; i < sizeof(key); i++)
        assert_int_equal(key[i], i);
}

static void refused(const char *text, mode_t mode, const char *message)
{
    assert_int_equal(load(text, mode), -EINVAL);
    assert_memory_equal(error, config.key, strlen(config.key));
    if (!strstr(error, message))
        fail_msg("'%s' lacks '%s'", error, message);
}

static void hex_and_base64_are_keys(void **state)
{
    (void)state;
    loads(HEX "\n");
    loads(HEX);
    loads("  " HEX "\r\n\n");
    loads(BASE64 "\n");
}

static void anything_else_is_no_key(void **state)
{
    (void)state;
    refused("", 0600, "holds no key: 32 bytes in hex (64 digits) or base64");
    refused("\n", 0600, "holds no key");
    refused("secret\n", 0600, "holds no key");
    refused(HEX "00\n", 0600, "holds no key");
    refused("0" HEX "\n", 0600, "holds no key");
    refused(HEX "\n" HEX "\n", 0600, "holds no key");
    refused("AAAA\n", 0600, "holds no key");
    refused(HEX " is the key\n", 0600, "holds no key");
}

static void key_that_others_may_read_is_refused(void **state)
{
    (void)state;
    refused(HEX "\n", 0644, "mode 0644 lets others at the key: chmod 600");
    refused(HEX "\n", 0640, "mode 0640");
    refused(HEX "\n", 0602, "mode 0602");
    assert_int_equal(load(HEX "\n", 0400), 0);
}

static void file_that_is_none_is_said(void **state)
{
    (void)state;
    strcpy(config.key, "/tmp/gx-test-no-such-key");
    assert_int_equal(gx_config_key_load(&config, key, error, sizeof(error)), -ENOENT);
    assert_non_null(strstr(error, "gxctl key generate makes a key"));
    strcpy(config.key, "/tmp");
    assert_int_equal(gx_config_key_load(&config, key, error, sizeof(error)), -EINVAL);
    assert_string_equal(error, "/tmp: is no file; `key` names a file with the key");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hex_and_base64_are_keys),
        cmocka_unit_test(anything_else_is_no_key),
        cmocka_unit_test(key_that_others_may_read_is_refused),
        cmocka_unit_test(file_that_is_none_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

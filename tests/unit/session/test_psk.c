/* What docs/protocol.md says of keys, byte for byte: the numbers here are of another implementation of that page, in Python. Two
 * gxds of one version would agree on other bytes just as well; those of two versions would not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <sodium.h> /* crypto_scalarmult_base() */

#include "session/psk.h"

#define LANE 3u

static struct gx_psk psk;

static void count_up(uint8_t *out, size_t bytes, uint8_t from)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)(from + i);
}

static int setup(void **state)
{
    uint8_t secret[GX_PSK_BYTES];

    (void)state;
    count_up(secret, sizeof secret, 0);
    gx_psk_init(&psk, secret);
    return gx_aead_init();
}

static void each_use_has_a_key_of_its_own(void **state)
{
    static const uint8_t hello[32] = {0xe4, 0x39, 0x38, 0x5a, 0xdf, 0xe6, 0xd1, 0xbd,
                                      0x6d, 0xee, 0x50, 0xc4, 0xa7, 0x28, 0xfd, 0x2d,
                                      0x82, 0x1c, 0xbb, 0xd4, 0x31, 0xca, 0x4b, 0x2b,
                                      0x59, 0xf6, 0x84, 0x10, 0xb9, 0x1f, 0xb3, 0x51};
    static const uint8_t session[32] = {0x24, 0x31, 0xad, 0x53, 0x49, 0xc3, 0xcf, 0xdb,
                                        0x33, 0x63, 0x55, 0x64, 0x71, 0xbe, 0x54, 0xa6,
                                        0xe6, 0x9b, 0x3d, 0xab, 0xc1, 0x9c, 0xa4, 0x54,
                                        0xbb, 0xfb, 0x19, 0x4f, 0xed, 0x9b, 0xea, 0x76};

    (void)state;
    assert_memory_equal(psk.hello, hello, sizeof hello);
    assert_memory_equal(psk.session, session, sizeof session);
}

static void the_tag_of_a_hello(void **state)
{
    static const uint8_t right[GX_AEAD_TAG_BYTES] = {0xa2, 0x9e, 0xbe, 0xf9, 0x6f, 0xb6,
                                                     0xf2, 0x54, 0x85, 0x02, 0xe5, 0xf9,
                                                     0x6f, 0x12, 0x83, 0xe0};
    uint8_t header[GX_HEADER_BYTES], payload[20], tag[GX_AEAD_TAG_BYTES];

    (void)state;
    count_up(header, sizeof header, 0x40);
    count_up(payload, sizeof payload, 0x80);
    gx_psk_hello_tag(&psk, "ams", "zrh", LANE, header, payload, sizeof payload, tag);
    assert_memory_equal(tag, right, sizeof right);
}

/* A key is seen by what it makes of zeros. */
static void assert_key(const struct gx_aead *key, const struct gx_aead *right)
{
    static const uint8_t zeros[16];
    uint8_t out[2][16], tag[2][GX_AEAD_TAG_BYTES];

    gx_aead_seal(key, 7, zeros, sizeof zeros, zeros, sizeof zeros, out[0], tag[0]);
    gx_aead_seal(right, 7, zeros, sizeof zeros, zeros, sizeof zeros, out[1], tag[1]);
    assert_memory_equal(out[0], out[1], sizeof out[0]);
    assert_memory_equal(tag[0], tag[1], sizeof tag[0]);
}

static void the_keys_of_a_session_at_both_ends(void **state)
{
    static const uint8_t keys[2][GX_AEAD_KEY_BYTES] = {
        {0x1e, 0x6a, 0x01, 0x58, 0x8e, 0x80, 0xd0, 0x3a, 0xaf, 0xab, 0xdb, 0x5e, 0x97, 0x06, 0x6a,
         0x71},
        {0x50, 0x4c, 0x98, 0x00, 0x00, 0x34, 0x9d, 0xcb, 0xe4, 0xfe, 0x6e, 0x93, 0xeb, 0x4c, 0x28,
         0xe4}};
    static const uint8_t ivs[2][GX_AEAD_IV_BYTES] = {
        {0x6d, 0xfd, 0x85, 0x0c, 0x8f, 0x9d, 0xf9, 0x8a, 0xbd, 0x85, 0x4a, 0x2a},
        {0xce, 0xbc, 0x6c, 0x10, 0xef, 0x90, 0x99, 0xbb, 0x70, 0xeb, 0xce, 0x19}};
    uint8_t secrets[2][GX_HELLO_KEY_BYTES], publics[2][GX_HELLO_KEY_BYTES];
    uint8_t list_digest[GX_HELLO_DIGEST_BYTES];
    struct gx_aead right[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        count_up(secrets[i], sizeof secrets[i], (uint8_t)(100 * i + 1));
        assert_int_equal(crypto_scalarmult_base(publics[i], secrets[i]), 0);
        gx_aead_key(&right[i], keys[i], ivs[i]);
    }
    count_up(list_digest, sizeof list_digest, 0xa0);
    const struct gx_psk_end first = {"ams", 0x1122334455667788, 0x99aabbcc, publics[0]};
    const struct gx_psk_end second = {"zrh", 0x8877665544332211, 0x01020304, publics[1]};
    for (int i = 0; i < 2; i++) {
        struct gx_aead tx, rx;

        assert_true(
            gx_psk_derive(&psk, LANE, list_digest, &first, &second, i == 0, secrets[i], &tx, &rx));
        assert_key(&tx, &right[i]);
        assert_key(&rx, &right[1 - i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_use_has_a_key_of_its_own),
        cmocka_unit_test(the_tag_of_a_hello),
        cmocka_unit_test(the_keys_of_a_session_at_both_ends),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}

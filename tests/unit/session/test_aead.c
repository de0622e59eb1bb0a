/* AES-128-GCM: the published vectors of McGrew and Viega (test cases 1 to 4 of the GCM submission to NIST), and every size
 * against plain C written from FIPS 197 and SP 800-38D. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "session/aead.h"
#include "session/random.h"

#define BYTES_MAX 9000

static struct gx_aead aead;

static size_t unhex(const char *hex, uint8_t *out)
{
    size_t count = strlen(hex) / 2;

    for (size_t i = 0; i < count; i++) {
        const char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        out[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return count;
}

/* ---- plain C ---- */

struct plain {
    uint8_t round_keys[11][16];
    uint8_t h[16];
};

static uint8_t times_two(uint8_t x)
{
    return (uint8_t)(x << 1 ^ (x >> 7) * 0x1b);
}

static uint8_t times(uint8_t x, uint8_t y)
{
    uint8_t sum = 0;

    for (; y; y >>= 1, x = times_two(x))
        if (y & 1)
            sum ^= x;
    return sum;
}

/* The inverse, which is the 254th power, then the affine map. */
static uint8_t substitute(uint8_t x)
{
    uint8_t inverse = 1, result = 0x63;

    for (int i = 0; i < 254; i++)
        inverse = times(inverse, x);
    for (int i = 0; i < 5; i++)
        result ^= (uint8_t)(inverse << i | inverse >> (8 - i));
    return result;
}

static uint8_t box[256];

static void plain_block(const struct plain *plain, const uint8_t in[16], uint8_t out[16])
{
    uint8_t state[16], shifted[16];

    for (int i = 0; i < 16; i++)
        state[i] = in[i] ^ plain->round_keys[0][i];
    for (int round = 1; round <= 10; round++) {
        for (int i = 0; i < 16; i++)
            shifted[i] = box[state[(i + 4 * (i % 4)) % 16]];
        for (int i = 0; i < 16; i++) {
            const uint8_t *column = shifted + i / 4 * 4;

            state[i] = round == 10
                           ? shifted[i]
                           : (uint8_t)(times_two(column[i % 4]) ^ times(column[(i + 1) % 4], 3) ^
                                       column[(i + 2) % 4] ^ column[(i + 3) % 4]);
            state[i] ^= plain->round_keys[round][i];
        }
    }
    memcpy(out, state, 16);
}

static void plain_key(struct plain *plain, const uint8_t key[16])
{
    static const uint8_t zeros[16];
    uint8_t constant = 1;

    for (int i = 0; i < 256; i++)
        box[i] = substitute((uint8_t)i);
    memcpy(plain->round_keys[0], key, 16);
    for (int round = 1; round <= 10; round++, constant = times_two(constant)) {
        const uint8_t *old = plain->round_keys[round - 1];
        uint8_t *new = plain->round_keys[round];

        for (int i = 0; i < 16; i++)
            new[i] = i < 4 ? old[i] ^ box[old[12 + (i + 1) % 4]] : old[i] ^ new[i - 4];
        for (int i = 0; i < 16; i += 4)
            new[i] ^= constant;
    }
    plain_block(plain, zeros, plain->h);
}

/* x = x·h in GF(2^128), the first bit highest. */
static void plain_multiply(uint8_t x[16], const uint8_t h[16])
{
    uint8_t sum[16] = {0}, v[16];

    memcpy(v, h, 16);
    for (int bit = 0; bit < 128; bit++) {
        uint8_t last = v[15] & 1;

        for (int i = 0; i < 16; i++)
            sum[i] ^= (uint8_t)(v[i] * (x[bit / 8] >> (7 - bit % 8) & 1));
        for (int i = 15; i > 0; i--)
            v[i] = (uint8_t)(v[i] >> 1 | v[i - 1] << 7);
        v[0] = (uint8_t)(v[0] >> 1 ^ last * 0xe1);
    }
    memcpy(x, sum, 16);
}

static void plain_hash(uint8_t sum[16], const uint8_t h[16], const uint8_t *in, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 16) {
        for (size_t i = at; i < bytes && i < at + 16; i++)
            sum[i - at] ^= in[i];
        plain_multiply(sum, h);
    }
}

static void plain_seal(const struct plain *plain, const uint8_t nonce[12], const uint8_t *head,
                       size_t head_bytes, const uint8_t *in, size_t bytes, uint8_t *out,
                       uint8_t tag[16])
{
    uint8_t counter[16] = {0}, pad[16], lengths[16] = {0};
    uint32_t block = 1;

    memcpy(counter, nonce, 12);
    counter[15] = 1;
    plain_block(plain, counter, tag);
    for (size_t at = 0; at < bytes; at += 16) {
        block++;
        counter[14] = (uint8_t)(block >> 8);
        counter[15] = (uint8_t)block;
        plain_block(plain, counter, pad);
        for (size_t i = at; i < bytes && i < at + 16; i++)
            out[i] = in[i] ^ pad[i - at];
    }
    memset(pad, 0, sizeof pad);
    plain_hash(pad, plain->h, head, head_bytes);
    plain_hash(pad, plain->h, out, bytes);
    for (size_t i = 0; i < 8; i++) {
        lengths[7 - i] = (uint8_t)(8 * head_bytes >> 8 * i);
        lengths[15 - i] = (uint8_t)(8 * bytes >> 8 * i);
    }
    plain_hash(pad, plain->h, lengths, 16);
    for (int i = 0; i < 16; i++)
        tag[i] ^= pad[i];
}

/* ---- tests ---- */

static void check_vector(const char *key, const char *iv, const char *text, const char *head,
                         const char *cipher, const char *tag)
{
    uint8_t k[16], v[12], p[64], a[64], c[64], t[16], out[64], made[16];
    size_t bytes = unhex(text, p), head_bytes = unhex(head, a);

    unhex(key, k);
    unhex(iv, v);
    unhex(cipher, c);
    unhex(tag, t);
    gx_aead_key(&aead, k, v);
    gx_aead_seal(&aead, 0, a, head_bytes, p, bytes, out, made);
    assert_memory_equal(out, c, bytes);
    assert_memory_equal(made, t, sizeof t);
    assert_true(gx_aead_open(&aead, 0, a, head_bytes, c, bytes, out, t));
    assert_memory_equal(out, p, bytes);
}

#define KEY "feffe9928665731c6d6a8f9467308308"
#define IV "cafebabefacedbaddecaf888"
#define TEXT                                                                                       \
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"                             \
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
#define CIPHER                                                                                     \
    "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"                             \
    "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"

static void published_vectors_hold(void **state)
{
    (void)state;
    check_vector("00000000000000000000000000000000", "000000000000000000000000", "", "", "",
                 "58e2fccefa7e3061367f1d57a4e7455a");
    check_vector("00000000000000000000000000000000", "000000000000000000000000",
                 "00000000000000000000000000000000", "", "0388dace60b6a392f328c2b971b2fe78",
                 "ab6e47d42cec13bdf53a67b21257bddf");
    check_vector(KEY, IV, TEXT "1aafd255", "", CIPHER "473f5985",
                 "4d5c2af327cd64a62cf35abd2ba6fab4");
    check_vector(KEY, IV, TEXT, "feedfacedeadbeeffeedfacedeadbeefabaddad2", CIPHER,
                 "5bc94fbc3221a5db94fae95ae7121a47");
}

static void every_size_agrees_with_plain_c(void **state)
{
    static uint8_t in[BYTES_MAX], out[BYTES_MAX + 1], right[BYTES_MAX];
    static const size_t sizes[] = {0,   1,   15,  16,   17,   63,   64,  100,
                                   255, 256, 257, 1000, 1408, 4097, 8896};
    uint8_t key[16], iv[12], head[32], tag[16], right_tag[16];
    struct gx_random random;
    struct plain plain;

    (void)state;
    gx_random_init(&random, 7);
    gx_random_fill(&random, in, sizeof in);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint64_t number = gx_random_u64(&random) >> gx_random_u64(&random) % 64;

        gx_random_fill(&random, key, sizeof key);
        gx_random_fill(&random, iv, sizeof iv);
        gx_random_fill(&random, head, sizeof head);
        gx_aead_key(&aead, key, iv);
        for (int j = 0; j < 8; j++)
            iv[11 - j] ^= (uint8_t)(number >> 8 * j);
        plain_key(&plain, key);
        plain_seal(&plain, iv, head, sizeof head, in, sizes[i], right, right_tag);
        memset(out, 0xee, sizeof out);
        gx_aead_seal(&aead, number, head, sizeof head, in, sizes[i], out, tag);
        assert_memory_equal(out, right, sizes[i]);
        assert_int_equal(out[sizes[i]], 0xee);
        assert_memory_equal(tag, right_tag, sizeof tag);
        /* In place. */
        assert_true(gx_aead_open(&aead, number, head, sizeof head, out, sizes[i], out, tag));
        assert_memory_equal(out, in, sizes[i]);
        gx_aead_seal(&aead, number, head, sizeof head, out, sizes[i], out, tag);
        assert_memory_equal(out, right, sizes[i]);
    }
}

static void nothing_at_all_may_be_sealed(void **state)
{
    static const uint8_t zeros[16];
    uint8_t head[32] = {1}, tag[16];

    (void)state;
    gx_aead_key(&aead, zeros, zeros);
    gx_aead_seal(&aead, 1, head, sizeof head, NULL, 0, NULL, tag);
    assert_true(gx_aead_open(&aead, 1, head, sizeof head, NULL, 0, NULL, tag));
    assert_false(gx_aead_open(&aead, 2, head, sizeof head, NULL, 0, NULL, tag));
}

static int setup(void **state)
{
    (void)state;
    return gx_aead_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors_hold),
        cmocka_unit_test(every_size_agrees_with_plain_c),
        cmocka_unit_test(nothing_at_all_may_be_sealed),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}

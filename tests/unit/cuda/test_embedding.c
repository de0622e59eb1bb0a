/* trainer/cuda/embedding.cu against trainer/cpu/layers.c. */
#include "arrays.h"
#include "device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/layers.h"
#include "cuda/embedding.h"

struct shape {
    uint32_t batch, context, width, vocab, shift;
};

/* Few tokens (many pieces each, merged), many (one piece each), one, and a token in every piece's number of rows. */
static const struct shape shapes[] = {
    {1, 1, 1, 1, 0},      {3, 5, 8, 4, 0},      {4, 33, 40, 3, 0},
    {4, 33, 40, 3, 1},    {2, 100, 7, 1, 0},    {5, 40, 264, 900, 0},
    {2, 48, 304, 700, 0}, {2, 48, 8, 65536, 0}, {1, 33, 1032, 2, 0},
};
#define EACH_CASE(type, i)                                                                         \
    for (enum gx_dtype type = GX_DTYPE_FP32; type <= GX_DTYPE_BF16; type++)                        \
        for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)

/* Skewed, as text is: half of the rows hold the first two tokens. */
static uint16_t *tokens_random(uint32_t rows, uint32_t vocab)
{
    uint16_t *tokens = malloc(rows * sizeof(*tokens));
    assert_non_null(tokens);
    for (uint32_t i = 0; i < rows; i++)
        tokens[i] = (uint16_t)arrays_below(vocab > 2 && arrays_below(2) ? 2 : vocab);
    return tokens;
}

/* 16-bit numbers on the device, in an array of that many bytes. */
static struct array tokens_upload(const uint16_t *tokens, uint32_t rows)
{
    struct array a = {.memory = test_upload(tokens, rows * sizeof(*tokens))};
    a.at = a.memory;
    return a;
}

static void forward_of(enum gx_dtype type, struct shape s)
{
    const uint32_t rows = s.batch * s.context;
    const uint64_t count = (uint64_t)rows * s.width;
    uint16_t *tokens = tokens_random(rows, s.vocab);
    struct array wte = array_random(type, (uint64_t)s.vocab * s.width, s.shift, 1.0f);
    struct array wpe = array_random(type, (uint64_t)s.context * s.width, 0, 1.0f);
    struct array y = array_output(type, count, s.shift), in = tokens_upload(tokens, rows);
    float *want = calloc(count, sizeof(float));
    gx_gpu_embedding_forward(type, y.at, in.at, wte.at, wpe.at, rows, s.context, s.width,
                             test_stream());
    gx_embedding_forward(want, tokens, wte.values, wpe.values, rows, s.context, s.width);
    for (uint64_t i = 0; i < count; i++)
        want[i] = dtype_rounded(type, want[i]);
    array_equal(&y, want, "y");
    array_free(&wte), array_free(&wpe), array_free(&y), array_free(&in);
    free(want), free(tokens);
}

static void backward_of(enum gx_dtype type, struct shape s, bool add)
{
    const uint32_t rows = s.batch * s.context;
    const uint64_t wte_count = (uint64_t)s.vocab * s.width,
                   wpe_count = (uint64_t)s.context * s.width;
    uint16_t *tokens = tokens_random(rows, s.vocab);
    uint32_t *counts = malloc(((size_t)s.vocab + 1) * sizeof(*counts));
    void *index = malloc(gx_token_index_bytes(rows));
    memset(index, 0xff, gx_token_index_bytes(rows));
    gx_token_index_fill(index, counts, tokens, rows, s.vocab);
    struct array on_device = {.memory = test_upload(index, gx_token_index_bytes(rows))};
    struct array dy = array_random(type, (uint64_t)rows * s.width, s.shift, 1.0f);
    struct array dwte = array_random(GX_DTYPE_FP32, wte_count, 0, 1.0f);
    struct array dwpe = array_random(GX_DTYPE_FP32, wpe_count, 0, 1.0f);
    struct array scratch = array_bytes(gx_gpu_embedding_scratch_bytes(rows, s.width));
    float *want_wte = malloc(wte_count * sizeof(float));
    float *want_wpe = calloc(wpe_count, sizeof(float));
    memcpy(want_wte, dwte.values, wte_count * sizeof(float));
    if (add)
        memcpy(want_wpe, dwpe.values, wpe_count * sizeof(float));
    gx_embedding_backward(want_wte, want_wpe, dy.values, tokens, rows, s.context, s.width);
    gx_gpu_embedding_backward(type, dwte.at, dwpe.at, dy.at, on_device.memory, scratch.at, rows,
                              s.context, s.width, add, test_stream());
    array_near(&dwte, want_wte, 2e-5f, 2e-6f, "dwte");
    array_near(&dwpe, want_wpe, 2e-6f, 2e-6f, "dwpe");
    array_free(&on_device), array_free(&dy), array_free(&dwte), array_free(&dwpe);
    array_free(&scratch);
    free(want_wte), free(want_wpe), free(index), free(counts), free(tokens);
}

static void forward_is_the_cpus(void **state)
{
    (void)state;
    EACH_CASE(type, i)
    forward_of(type, shapes[i]);
}

static void backward_is_the_cpus(void **state)
{
    (void)state;
    EACH_CASE(type, i)
    backward_of(type, shapes[i], (i + type) % 2);
}

int main(int argc, char **argv)
{
    arrays_seed(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_is_the_cpus),
        cmocka_unit_test(backward_is_the_cpus),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

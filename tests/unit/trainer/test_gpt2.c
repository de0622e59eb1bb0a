/* trainer/model/gpt2.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/gpt2.h"

static struct gx_gpt2 model_of(uint32_t vocab, uint32_t context, uint32_t layers, uint32_t heads,
                               uint32_t width)
{
    const struct gx_gpt2_config config = {vocab, context, layers, heads, width};
    struct gx_gpt2 model;
    struct gx_failure failure;
    assert_int_equal(gx_gpt2_init(&model, &config, &failure), 0);
    return model;
}

static void the_counts_are_those_of_gpt2(void **state)
{
    (void)state;
    assert_int_equal(model_of(50257, 1024, 12, 12, 768).param_count, 124439808);
    assert_int_equal(model_of(50257, 1024, 24, 16, 1024).param_count, 354823168);
    assert_int_equal(model_of(50257, 1024, 36, 20, 1280).param_count, 774030080);
    assert_int_equal(model_of(50257, 1024, 48, 25, 1600).param_count, 1557611200);
}

static void the_tensors_lie_in_llm_cs_order(void **state)
{
    (void)state;
    static const char *const names[] = {"wte",      "wpe",      "ln1w", "ln1b", "qkvw", "qkvb",
                                        "attprojw", "attprojb", "ln2w", "ln2b", "fcw",  "fcb",
                                        "fcprojw",  "fcprojb",  "lnfw", "lnfb"};
    const struct gx_gpt2 m = model_of(50257, 1024, 12, 12, 768);
    uint64_t offset = 0;
    for (int i = 0; i < GX_GPT2_TENSOR_COUNT; i++) {
        const struct gx_tensor *t = &m.tensors[i];
        assert_string_equal(t->name, names[i]);
        assert_int_equal(t->offset, offset);
        assert_int_equal(t->count, t->shape[0] * t->shape[1] * t->shape[2]);
        offset += t->count;
    }
    assert_int_equal(m.tensors[GX_QKVW].shape[1], 3 * 768);
    assert_int_equal(m.tensors[GX_FCPROJW].shape[1], 768);
    assert_int_equal(m.tensors[GX_FCPROJW].shape[2], 4 * 768);
}

static void weight_decay_is_for_matrices(void **state)
{
    (void)state;
    const struct gx_gpt2 m = model_of(256, 64, 4, 4, 128);
    for (int i = 0; i < GX_GPT2_TENSOR_COUNT; i++) {
        const char *name = m.tensors[i].name;
        bool vector = strncmp(name, "ln", 2) == 0 || name[strlen(name) - 1] == 'b';
        assert_int_equal(m.tensors[i].decay, !vector);
    }
}

static double deviation(const float *p, uint64_t count)
{
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < count; i++)
        sum += (double)p[i];
    for (uint64_t i = 0; i < count; i++)
        squares += pow((double)p[i] - sum / (double)count, 2);
    assert_true(fabs(sum / (double)count) < 1e-3);
    return sqrt(squares / (double)count);
}

static void the_start_has_gpt2s_deviations(void **state)
{
    (void)state;
    const struct gx_gpt2 m = model_of(256, 64, 4, 4, 128);
    float *p = calloc(m.param_count, sizeof(float));
    assert_non_null(p);
    gx_gpt2_randomize(&m, p, 1);
    const double residual = 0.02 / sqrt(8.0);
    for (int i = 0; i < GX_GPT2_TENSOR_COUNT; i++) {
        const struct gx_tensor *t = &m.tensors[i];
        const bool proj = i == GX_ATTPROJW || i == GX_FCPROJW;
        const bool gain = i == GX_LN1W || i == GX_LN2W || i == GX_LNFW;
        if (t->decay)
            assert_true(fabs(deviation(p + t->offset, t->count) / (proj ? residual : 0.02) - 1) <
                        0.03);
        for (uint64_t j = 0; !t->decay && j < t->count; j++)
            assert_true(p[t->offset + j] == (gain ? 1.0f : 0.0f));
    }
    free(p);
}

static void another_seed_starts_elsewhere(void **state)
{
    (void)state;
    const struct gx_gpt2 m = model_of(16, 4, 1, 1, 8);
    float *a = calloc(m.param_count, sizeof(float)), *b = calloc(m.param_count, sizeof(float));
    gx_gpt2_randomize(&m, a, 1);
    gx_gpt2_randomize(&m, b, 1);
    assert_memory_equal(a, b, m.param_count * sizeof(float));
    gx_gpt2_randomize(&m, b, 2);
    assert_memory_not_equal(a, b, m.param_count * sizeof(float));
    free(a);
    free(b);
}

static void a_width_that_heads_do_not_divide_is_named(void **state)
{
    (void)state;
    const struct gx_gpt2_config config = {256, 64, 4, 3, 128};
    struct gx_gpt2 model;
    struct gx_failure failure;
    assert_int_equal(gx_gpt2_init(&model, &config, &failure), -EINVAL);
    assert_non_null(strstr(failure.text, "width 128"));
    assert_non_null(strstr(failure.text, "heads 3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_counts_are_those_of_gpt2),
        cmocka_unit_test(the_tensors_lie_in_llm_cs_order),
        cmocka_unit_test(weight_decay_is_for_matrices),
        cmocka_unit_test(the_start_has_gpt2s_deviations),
        cmocka_unit_test(another_seed_starts_elsewhere),
        cmocka_unit_test(a_width_that_heads_do_not_divide_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

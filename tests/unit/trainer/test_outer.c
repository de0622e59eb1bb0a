/* trainer/outer.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "outer.h"
#include "philox.h"

#define COUNT 1001u

static float theta[COUNT], momentum[COUNT], delta[COUNT], other[COUNT];

static void draw(float *x, uint64_t seed)
{
    for (uint32_t i = 0; i < COUNT; i++)
        x[i] = gx_philox_normal(seed, GX_PHILOX_INIT, i);
}

/* torch.optim.SGD(lr, momentum, nesterov=True) with the pseudo-gradient as gradient, in double. */
static void steps_equal_nesterov_sgd(void **state)
{
    (void)state;
    static double t[COUNT], v[COUNT];
    draw(theta, 1);
    memset(momentum, 0, sizeof(momentum));
    for (uint32_t i = 0; i < COUNT; i++)
        t[i] = (double)theta[i], v[i] = 0;
    for (uint64_t round = 1; round <= 6; round++) {
        draw(delta, 10 + round);
        gx_outer_step(theta, momentum, delta, COUNT, 0.7f, 0.9f);
        for (uint32_t i = 0; i < COUNT; i++) {
            double g = (double)delta[i];
            v[i] = (double)0.9f * v[i] + g;
            t[i] -= (double)0.7f * (g + (double)0.9f * v[i]);
        }
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_true(fabs(t[i] - (double)theta[i]) < 2e-5);
        assert_true(fabs(v[i] - (double)momentum[i]) < 2e-5);
    }
}

static void a_step_of_one_without_momentum_goes_to_the_mean(void **state)
{
    (void)state;
    float local[COUNT];
    draw(theta, 1);
    memset(momentum, 0, sizeof(momentum));
    for (uint32_t i = 0; i < COUNT; i++)
        local[i] = theta[i] * 0.5f;
    gx_outer_delta(delta, theta, local, COUNT);
    gx_outer_step(theta, momentum, delta, COUNT, 1.0f, 0.0f);
    assert_memory_equal(theta, local, sizeof(local));
}

static void a_rebase_keeps_local_work(void **state)
{
    (void)state;
    float local[] = {5.0f, 1.0f}, before[] = {4.0f, 2.0f}, after[] = {4.5f, 1.0f};
    gx_outer_rebase(local, after, before, 2);
    assert_true(local[0] == 5.5f && local[1] == 0.0f);
}

static void the_digest_is_xxh3_of_theta_then_momentum(void **state)
{
    (void)state;
    char hex[GX_OUTER_DIGEST_CHARS], again[GX_OUTER_DIGEST_CHARS], want[GX_OUTER_DIGEST_CHARS];
    draw(theta, 1);
    draw(momentum, 2);
    memcpy(other, theta, sizeof(other));
    gx_outer_digest(hex, theta, momentum, COUNT);

    static float both[2 * COUNT];
    memcpy(both, theta, sizeof(theta));
    memcpy(both + COUNT, momentum, sizeof(momentum));
    XXH128_hash_t h = XXH3_128bits(both, sizeof(both));
    snprintf(want, sizeof(want), "%016llx%016llx", (unsigned long long)h.high64,
             (unsigned long long)h.low64);
    assert_string_equal(hex, want);

    other[COUNT - 1] = nextafterf(other[COUNT - 1], 10.0f);
    gx_outer_digest(again, other, momentum, COUNT);
    assert_string_not_equal(hex, again);
    gx_outer_digest(again, theta, NULL, COUNT);
    assert_string_not_equal(hex, again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_equal_nesterov_sgd),
        cmocka_unit_test(a_step_of_one_without_momentum_goes_to_the_mean),
        cmocka_unit_test(a_rebase_keeps_local_work),
        cmocka_unit_test(the_digest_is_xxh3_of_theta_then_momentum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

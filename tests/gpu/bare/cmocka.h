/* As much of cmocka as tests/unit/cuda/ uses: a machine with a GPU is often bare. A test that fails is left by longjmp; TAP
 * on stdout; the exit status is the number of failures. */
#ifndef GX_TESTS_GPU_CMOCKA_H
#define GX_TESTS_GPU_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*function)(void **state);
};

extern jmp_buf bare_failed;

#define cmocka_unit_test(f)                                                                        \
    {                                                                                              \
#f, f                                                                                      \
    }
#define cmocka_run_group_tests(tests, setup, teardown)                                             \
    bare_run(tests, sizeof(tests) / sizeof((tests)[0]))
#define cmocka_run_group_tests_name(name, tests, setup, teardown)                                  \
    cmocka_run_group_tests(tests, setup, teardown)

int bare_run(const struct CMUnitTest *tests, size_t count);
void bare_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

#define fail_msg(...) bare_fail(__FILE__, __LINE__, __VA_ARGS__)
#define print_message(...) printf(__VA_ARGS__)
#define assert_true(x) ((x) ? (void)0 : bare_fail(__FILE__, __LINE__, "%s", #x))
#define assert_false(x) assert_true(!(x))
#define assert_non_null(x) assert_true((x) != NULL)
#define assert_null(x) assert_true((x) == NULL)
#define assert_int_equal(a, b)                                                                     \
    do {                                                                                           \
        const long long bare_a = (long long)(a), bare_b = (long long)(b);                          \
        if (bare_a != bare_b)                                                                      \
            bare_fail(__FILE__, __LINE__, "%s is %lld, not %lld", #a, bare_a, bare_b);             \
    } while (0)
#define assert_in_range(x, low, high) assert_true((x) >= (low) && (x) <= (high))
#define assert_memory_equal(a, b, bytes) assert_true(memcmp(a, b, bytes) == 0)

#endif

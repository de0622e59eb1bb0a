#include "cmocka.h"

#include <stdlib.h>

jmp_buf bare_failed;

void bare_fail(const char *file, int line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("# %s:%d: ", file, line);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
    longjmp(bare_failed, 1);
}

static int passes(const struct CMUnitTest *test)
{
    void *state = NULL;
    if (setjmp(bare_failed) != 0)
        return 0;
    test->function(&state);
    return 1;
}

int bare_run(const struct CMUnitTest *tests, size_t count)
{
    int failures = 0;
    printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        const int passed = passes(&tests[i]);
        failures += !passed;
        printf("%s %zu - %s\n", passed ? "ok" : "not ok", i + 1, tests[i].name);
        fflush(stdout);
    }
    return failures;
}

#include "failure.h"

#include <stdarg.h>
#include <stdio.h>

int gx_fail(struct gx_failure *failure, int error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(failure->text, sizeof(failure->text), format, args);
    va_end(args);
    return error;
}

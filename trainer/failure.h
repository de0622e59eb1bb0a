/* gx_failure: one line for the user that says what failed and what would be right. */
#ifndef GX_TRAINER_FAILURE_H
#define GX_TRAINER_FAILURE_H

struct gx_failure {
    char text[512];
};

/* Writes the line and returns `error` (a negative errno), so that a caller can `return gx_fail(…)`. */
int gx_fail(struct gx_failure *failure, int error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif

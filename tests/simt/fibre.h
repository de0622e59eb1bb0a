/* gx_fibre: a flow of control of its own stack, switched by hand and announced to AddressSanitizer. */
#ifndef GX_TESTS_SIMT_FIBRE_H
#define GX_TESTS_SIMT_FIBRE_H

#include <stddef.h>

struct gx_fibre {
    void *top;  /* where its registers are saved while it is not running */
    void *fake; /* AddressSanitizer's */
    const void *stack;
    size_t stack_bytes;
    void (*entry)(void);
};

/* Gives a fibre a stack (never given back); the first switch to it calls entry(), which must not return. */
void gx_fibre_create(struct gx_fibre *fibre, void (*entry)(void));

/* Goes on with `to`; returns when somebody switches back to `from`, the running one. The thread's own flow is a fibre that
 * begins as all zeros. */
void gx_fibre_switch(struct gx_fibre *from, struct gx_fibre *to);

#endif

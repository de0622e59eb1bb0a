/* gx_fec_kernel: products of a matrix over GF(2^8) and rows of bytes, for one instruction set. */
#ifndef GX_FEC_KERNEL_H
#define GX_FEC_KERNEL_H

#include <stdint.h>

/* At most this many destinations in one call: bounds the kernels' tables on the stack. */
#define GX_FEC_GROUP 8u

struct gx_fec_dot {
    uint32_t bytes; /* of each row, a multiple of 64 */
    uint32_t source_count;
    uint32_t dest_count;           /* 1 to GX_FEC_GROUP */
    const uint8_t *coefficients;   /* [dest_count][source_count] */
    const uint8_t *const *sources; /* [source_count] */
    const uint8_t *const *added;   /* [dest_count], what a sum begins with; NULL: zeros */
    uint8_t *const *dests;         /* [dest_count], each overwritten */
};

struct gx_fec_kernel {
    const char *name;
    void (*init)(void); /* called once by gx_fec_init() where cpuid allows the kernel */
    void (*dot)(const struct gx_fec_dot *dot);
};

extern const struct gx_fec_kernel gx_fec_isal;
#ifdef __x86_64__
extern const struct gx_fec_kernel gx_fec_isal_avx;
extern const struct gx_fec_kernel gx_fec_gfni;
#endif

/* The product of two elements. */
uint8_t gx_fec_multiply(uint8_t a, uint8_t b);

#endif

/* gx_tokenize: text to token files (trainer/data.h has the layout), one token a byte.
 *
 * Split     the text's last part is for validation, the same whatever --part says; the rest is divided into --part's
 *           equal pieces, so that sites train on different text and are measured on one.
 */
#ifndef GX_TOKENS_TOKENS_H
#define GX_TOKENS_TOKENS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct gx_text {
    uint8_t *bytes;
    size_t count;
};

struct gx_split {
    size_t train_first, train_count;
    size_t val_first, val_count;
};

/* Reads all of `in`, calling progress(bytes so far) about every 16 MiB. -errno. The caller frees text->bytes. */
int gx_text_read(struct gx_text *text, FILE *in, void (*progress)(size_t bytes));

/* Part `part` (1 to parts). -EINVAL when a piece would be empty. */
int gx_split_compute(struct gx_split *split, size_t count, double val_fraction, uint32_t part,
                     uint32_t parts);

/* Writes a token file under a temporary name, then renames it. -EFBIG above the format's 2^31 - 1 tokens, or -errno. */
int gx_tokens_write(const char *path, const uint8_t *bytes, size_t count);

#endif

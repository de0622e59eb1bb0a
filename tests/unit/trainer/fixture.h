/* What the trainer's tests share: a folder of its own for each test, token files, options of a tiny model. */
#ifndef GX_TRAINER_FIXTURE_H
#define GX_TRAINER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data.h"
#include "train.h"

struct fixture {
    char dir[64];
    char train_path[96], val_path[96], checkpoint_path[96], json_path[96];
    FILE *table;
};

static inline void fixture_write(const char *path, int32_t magic, int32_t version, int32_t count,
                                 const uint16_t *tokens, size_t stored)
{
    int32_t header[GX_TOKENS_HEADER_BYTES / 4] = {magic, version, count};
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(header, sizeof(header), 1, f), 1);
    assert_int_equal(fwrite(tokens, sizeof(*tokens), stored, f), stored);
    fclose(f);
}

/* Text with something to learn: a sentence again and again. */
static inline void fixture_text(const char *path, const char *sentence, size_t count)
{
    uint16_t *tokens = calloc(count, sizeof(*tokens));
    assert_non_null(tokens);
    for (size_t i = 0; i < count; i++)
        tokens[i] = (uint8_t)sentence[i % strlen(sentence)];
    fixture_write(path, GX_TOKENS_MAGIC, GX_TOKENS_VERSION, (int32_t)count, tokens, count);
    free(tokens);
}

static inline int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    if (!f)
        return -1;
    strcpy(f->dir, "/tmp/gx-trainer-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->train_path, sizeof(f->train_path), "%s/train.bin", f->dir);
    snprintf(f->val_path, sizeof(f->val_path), "%s/val.bin", f->dir);
    snprintf(f->checkpoint_path, sizeof(f->checkpoint_path), "%s/ckpt", f->dir);
    snprintf(f->json_path, sizeof(f->json_path), "%s/log.json", f->dir);
    fixture_text(f->train_path, "the quick brown fox jumps over the lazy dog. ", 2000);
    fixture_text(f->val_path, "the lazy dog jumps over the quick brown fox. ", 500);
    f->table = fopen("/dev/null", "w");
    *state = f;
    return f->table ? 0 : -1;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    DIR *dir = opendir(f->dir);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[400];
        snprintf(path, sizeof(path), "%s/%s", f->dir, e->d_name);
        if (e->d_name[0] != '.')
            unlink(path);
    }
    if (dir)
        closedir(dir);
    rmdir(f->dir);
    fclose(f->table);
    free(f);
    return 0;
}

/* A model of some thousand parameters, on one thread. */
static inline struct gx_train_options fixture_options(const struct fixture *f)
{
    return (struct gx_train_options){
        .run = "test",
        .data_path = f->train_path,
        .val_path = f->val_path,
        .model = {.vocab = 256, .context = 8, .layers = 1, .heads = 2, .width = 16},
        .batch = 4,
        .inner_steps = 5,
        .rounds = 4,
        .seed = 7,
        .threads = 1,
        .lr = 0.01f,
        .warmup_steps = 2,
        .format = GX_FP32,
        .outer_lr = 0.7f,
        .outer_momentum = 0.9f,
        .val_batches = 2,
    };
}

#endif

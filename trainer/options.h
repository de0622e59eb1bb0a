/* gx_train_options: gx-train's command line. One table gives the parser and --help. */
#ifndef GX_TRAINER_OPTIONS_H
#define GX_TRAINER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "device.h"
#include "failure.h"
#include "gx.h"
#include "model/gpt2.h"

#define GX_GPU_OWN UINT32_MAX /* the place of this rank among those of its machine */

enum gx_device_choice { GX_DEVICE_AUTO, GX_DEVICE_CPU, GX_DEVICE_CUDA };

struct gx_train_options {
    const char *socket_path; /* NULL: train alone */
    const char *run;
    const char *data_path;
    const char *val_path;
    struct gx_gpt2_config model;
    uint32_t batch;
    uint64_t inner_steps; /* H */
    uint64_t rounds;
    uint64_t seed;
    enum gx_device_choice device;
    uint32_t threads;
    uint32_t gpu;
    enum gx_precision precision;
    enum gx_recompute recompute;
    enum gx_attention attention;
    bool deterministic;
    bool outer_offload;
    float lr;
    uint64_t warmup_steps;
    enum gx_format format;
    float outer_lr;
    float outer_momentum;
    uint32_t val_batches;
    uint32_t sample_bytes;
    const char *checkpoint_path; /* NULL: none */
    const char *json_path;       /* NULL: none */
    bool help;
};

/* Fills in defaults, then the arguments; strings point into argv. -EINVAL with a line that quotes what is wrong. */
int gx_train_options_parse(struct gx_train_options *options, int argc, char **argv,
                           struct gx_failure *failure);

void gx_train_options_help(FILE *out);

#endif

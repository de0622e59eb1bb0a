#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, U32, U64, REAL, FORMAT, FLAG, DEVICE, PRECISION, RECOMPUTE, ATTENTION };

/* The values of the last four: enums, in the order of the words. */
static const char *const devices[] = {"auto", "cpu", "cuda", NULL};
static const char *const precisions[] = {"default", "fp32", "tf32", "bf16", NULL};
static const char *const recomputes[] = {"none", "cheap", "layers", NULL};
static const char *const attentions[] = {"auto", "own", "cudnn", NULL};
static const char *const *const words_of[] = {[DEVICE] = devices,
                                              [PRECISION] = precisions,
                                              [RECOMPUTE] = recomputes,
                                              [ATTENTION] = attentions};

struct option {
    const char *name;
    const char *value; /* what --help calls it; "" of a FLAG, which has none */
    enum kind kind;
    size_t offset;
    double min, max; /* of numbers */
    const char *help;
};

#define AT(field) offsetof(struct gx_train_options, field)
#define U32_MAX 4294967295.0
#define U64_MAX 1e15 /* exact as a double; nobody counts further */

static const struct option options_table[] = {
    {"-s", "SOCKET", TEXT, AT(socket_path), 0, 0, "gxd's socket; without it the site trains alone"},
    {"--run", "NAME", TEXT, AT(run), 0, 0, "the run that this site takes part in (with -s)"},
    {"--data", "FILE", TEXT, AT(data_path), 0, 0, "tokens to train on (gx-tokens makes them)"},
    {"--val", "FILE", TEXT, AT(val_path), 0, 0, "tokens to validate on, the same at every site"},
    {"--layers", "N", U32, AT(model.layers), 1, U32_MAX, "layers [4]"},
    {"--width", "N", U32, AT(model.width), 1, U32_MAX, "channels, a multiple of heads [128]"},
    {"--heads", "N", U32, AT(model.heads), 1, U32_MAX, "attention heads [4]"},
    {"--context", "N", U32, AT(model.context), 1, U32_MAX, "tokens in a sequence [64]"},
    {"--vocab", "N", U32, AT(model.vocab), 1, 65536, "size of the vocabulary [256, bytes]"},
    {"--batch", "N", U32, AT(batch), 1, 1 << 20, "sequences in an inner step [8]"},
    {"--inner-steps", "N", U64, AT(inner_steps), 1, U64_MAX, "inner steps in a round [50]"},
    {"--rounds", "N", U64, AT(rounds), 1, U64_MAX, "rounds [10]"},
    {"--seed", "N", U64, AT(seed), 0, U64_MAX, "initial weights and order of the data [1]"},
    {"--device", "NAME", DEVICE, AT(device), 0, 0,
     "cuda, cpu, or auto: a GPU if one answers [auto]"},
    {"--gpu", "N", U32, AT(gpu), 0, 1023, "number of the GPU [the rank's place on its machine]"},
    {"--threads", "N", U32, AT(threads), 1, 1024, "CPU threads [OMP_NUM_THREADS, or 1]"},
    {"--precision", "NAME", PRECISION, AT(precision), 0, 0,
     "of a GPU: bf16 (with FP32 masters), tf32 or fp32 [bf16; a CPU has fp32]"},
    {"--recompute", "WHAT", RECOMPUTE, AT(recompute), 0, 0,
     "not kept on a GPU but computed again: none, cheap, layers [none]"},
    {"--attention", "NAME", ATTENTION, AT(attention), 0, 0,
     "of a GPU in bf16: own, cudnn, or auto: cuDNN's where it is installed [own]"},
    {"--deterministic", "", FLAG, AT(deterministic), 0, 0,
     "on a GPU: the same bits again (nothing is chosen by timing it)"},
    {"--outer-offload", "", FLAG, AT(outer_offload), 0, 0,
     "keep the shared parameters in host memory, not on the GPU"},
    {"--lr", "X", REAL, AT(lr), 0, 10, "AdamW's largest learning rate [0.002]"},
    {"--warmup", "N", U64, AT(warmup_steps), 0, U64_MAX, "inner steps of warm-up [50]"},
    {"--format", "NAME", FORMAT, AT(format), 0, 0,
     "of contributions: fp32, bf16, int8, e3m0 [fp32]"},
    {"--outer-lr", "X", REAL, AT(outer_lr), 0, 10, "learning rate of the outer step [0.7]"},
    {"--outer-momentum", "X", REAL, AT(outer_momentum), 0, 0.9999, "its Nesterov momentum [0.9]"},
    {"--val-batches", "N", U32, AT(val_batches), 1, 1 << 20, "batches in a validation [20]"},
    {"--sample", "N", U32, AT(sample_bytes), 0, 1 << 20, "tokens of text written at the end [200]"},
    {"--checkpoint", "FILE", TEXT, AT(checkpoint_path), 0, 0,
     "written after every round; if it exists, the run is resumed from it"},
    {"--json", "FILE", TEXT, AT(json_path), 0, 0, "log, one JSON object a line"},
};

#define OPTION_COUNT (sizeof(options_table) / sizeof(options_table[0]))

void gx_train_options_help(FILE *out)
{
    fputs(
        "usage: gx-train --data FILE --val FILE [-s SOCKET --run NAME] [option …]\n\n"
        "Trains a GPT-2 on this site's text. With -s it takes part in a run through the gxd "
        "behind\n"
        "SOCKET (DiLoCo: inner steps, exchange, outer step); without, it trains alone with the "
        "same\n"
        "inner steps. Several processes train together as one site, each with its part of a batch, "
        "when\n"
        "mpirun starts them, or RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT are set, as torchrun "
        "does.\n\n",
        out);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &options_table[i];
        int used = fprintf(out, "  %s %s", o->name, o->value);
        fprintf(out, "%*s%s\n", used < 26 ? 26 - used : 1, "", o->help);
    }
    fputs("  --help                  this text\n\n"
          "Exit status: 0 done, 1 failed, 2 usage, 3 no gxd behind SOCKET.\n",
          out);
}

static const struct option *find(const char *name, size_t length)
{
    if (length == strlen("--socket") && strncmp(name, "--socket", length) == 0)
        return &options_table[0];
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (strlen(options_table[i].name) == length &&
            strncmp(options_table[i].name, name, length) == 0)
            return &options_table[i];
    return NULL;
}

static int bad_number(const struct option *o, const char *text, struct gx_failure *failure)
{
    return gx_fail(failure, -EINVAL, "%s %s: must be %s from %.15g to %.15g", o->name, text,
                   o->kind == REAL ? "a number" : "a whole number", o->min, o->max);
}

static int set_integer(const struct option *o, void *field, const char *text,
                       struct gx_failure *failure)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] < '0' || text[0] > '9' ||
        (double)v < o->min || (double)v > o->max)
        return bad_number(o, text, failure);
    if (o->kind == U32)
        *(uint32_t *)field = (uint32_t)v;
    else
        *(uint64_t *)field = v;
    return 0;
}

static int set_real(const struct option *o, float *field, const char *text,
                    struct gx_failure *failure)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || !(v >= o->min && v <= o->max))
        return bad_number(o, text, failure);
    *field = (float)v;
    return 0;
}

static int set_format(const struct option *o, enum gx_format *field, const char *text,
                      struct gx_failure *failure)
{
    if (gx_format_parse(text, field) == 0)
        return 0;
    return gx_fail(failure, -EINVAL, "%s %s: must be fp32, bf16, int8 or e3m0", o->name, text);
}

/* Enums are ints here. */
static int set_word(const struct option *o, int *field, const char *text,
                    struct gx_failure *failure)
{
    const char *const *words = words_of[o->kind];
    char all[64] = "";
    for (int i = 0; words[i]; i++) {
        if (strcmp(words[i], text) == 0) {
            *field = i;
            return 0;
        }
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s",
                 i == 0         ? ""
                 : words[i + 1] ? ", "
                                : " or ",
                 words[i]);
    }
    return gx_fail(failure, -EINVAL, "%s %s: must be %s", o->name, text, all);
}

static int set(struct gx_train_options *options, const struct option *o, const char *text,
               struct gx_failure *failure)
{
    void *field = (char *)options + o->offset;
    switch (o->kind) {
    case TEXT:
        if (*text == '\0')
            return gx_fail(failure, -EINVAL, "%s: needs a %s, not an empty one", o->name, o->value);
        *(const char **)field = text;
        return 0;
    case U32:
    case U64:
        return set_integer(o, field, text, failure);
    case REAL:
        return set_real(o, field, text, failure);
    case FORMAT:
        return set_format(o, field, text, failure);
    case DEVICE:
    case PRECISION:
    case RECOMPUTE:
    case ATTENTION:
        return set_word(o, field, text, failure);
    case FLAG:
        *(bool *)field = true;
        return 0;
    }
    return -EINVAL;
}

static void set_defaults(struct gx_train_options *o)
{
    *o = (struct gx_train_options){
        .model = {.vocab = 256, .context = 64, .layers = 4, .heads = 4, .width = 128},
        .batch = 8,
        .inner_steps = 50,
        .rounds = 10,
        .seed = 1,
        .threads = 1,
        .attention = GX_ATTENTION_OWN,
        .gpu = GX_GPU_OWN,
        .lr = 0.002f,
        .warmup_steps = 50,
        .format = GX_FP32,
        .outer_lr = 0.7f,
        .outer_momentum = 0.9f,
        .val_batches = 20,
        .sample_bytes = 200,
    };
    const char *omp = getenv("OMP_NUM_THREADS");
    long threads = omp ? strtol(omp, NULL, 10) : 0;
    if (threads >= 1 && threads <= 1024)
        o->threads = (uint32_t)threads;
}

static int check(const struct gx_train_options *o, struct gx_failure *failure)
{
    if (!o->data_path || !o->val_path)
        return gx_fail(failure, -EINVAL, "%s FILE is required (see --help)",
                       o->data_path ? "--val" : "--data");
    if (o->socket_path && !o->run)
        return gx_fail(failure, -EINVAL, "-s %s: needs --run NAME as well", o->socket_path);
    if (o->run && strlen(o->run) >= GX_NAME_MAX)
        return gx_fail(failure, -EINVAL, "--run %s: must be at most %d bytes", o->run,
                       GX_NAME_MAX - 1);
    if (o->warmup_steps >= o->inner_steps * o->rounds)
        return gx_fail(failure, -EINVAL,
                       "--warmup %" PRIu64 ": must be below inner steps times rounds, %" PRIu64,
                       o->warmup_steps, o->inner_steps * o->rounds);
    if (o->device == GX_DEVICE_CPU &&
        (o->precision == GX_PRECISION_TF32 || o->precision == GX_PRECISION_BF16))
        return gx_fail(failure, -EINVAL, "--precision %s: --device cpu computes in fp32",
                       precisions[o->precision]);
    if (o->attention == GX_ATTENTION_CUDNN &&
        (o->device == GX_DEVICE_CPU || o->deterministic || o->precision == GX_PRECISION_TF32 ||
         o->precision == GX_PRECISION_FP32))
        return gx_fail(failure, -EINVAL,
                       "--attention cudnn: computes on a GPU, in bf16, and not the same bits every "
                       "time: leave out %s",
                       o->device == GX_DEVICE_CPU ? "--device cpu"
                       : o->deterministic         ? "--deterministic"
                                                  : "--precision");
    /* A site that was left out for the whole run still offers a weight that gxd takes. */
    double tokens = (double)o->inner_steps * (double)o->rounds * o->batch * o->model.context;
    if (tokens > (double)GX_WEIGHT_MAX)
        return gx_fail(
            failure, -EINVAL,
            "%.0f tokens in all: must be at most %.0f (rounds, inner steps, batch, context)",
            tokens, (double)GX_WEIGHT_MAX);
    struct gx_gpt2 model;
    return gx_gpt2_init(&model, &o->model, failure);
}

int gx_train_options_parse(struct gx_train_options *options, int argc, char **argv,
                           struct gx_failure *failure)
{
    set_defaults(options);
    bool warmup_given = false;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            options->help = true;
            return 0;
        }
        const char *equals = strncmp(arg, "--", 2) == 0 ? strchr(arg, '=') : NULL;
        const struct option *o = find(arg, equals ? (size_t)(equals - arg) : strlen(arg));
        if (!o)
            return gx_fail(failure, -EINVAL, "%s: unknown option (see --help)", arg);
        if (o->kind == FLAG && equals)
            return gx_fail(failure, -EINVAL, "%s: takes no value", arg);
        if (o->kind != FLAG && !equals && ++i == argc)
            return gx_fail(failure, -EINVAL, "%s: needs a value: %s", arg, o->value);
        int rc = set(options, o, equals ? equals + 1 : argv[i], failure);
        if (rc != 0)
            return rc;
        warmup_given = warmup_given || o->offset == AT(warmup_steps);
    }
    /* A short run still has a cosine. */
    uint64_t tenth = options->inner_steps * options->rounds / 10;
    if (!warmup_given && options->warmup_steps > tenth)
        options->warmup_steps = tenth;
    return check(options, failure);
}

/* gx-train: trains one site's model, with other sites through gxd, or alone. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "device.h"
#include "diloco.h"
#include "options.h"
#include "ranks.h"
#include "team.h"
#include "train.h"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_NO_GXD };

/* NULL, with a line in `failure`: the device that was asked for is not to be had. */
static const struct gx_device *choose_device(const struct gx_train_options *options, bool quiet,
                                             struct gx_failure *failure)
{
#ifdef GX_CUDA
    const char *why;
    if (options->device == GX_DEVICE_CUDA ||
        (options->device == GX_DEVICE_AUTO && gx_cuda_present(&why)))
        return &gx_cuda_device;
#else
    const char *why = "this gx-train was built without CUDA";
    if (options->device == GX_DEVICE_CUDA) {
        gx_fail(failure, -ENODEV, "--device cuda: %s: `make deps CUDA=1`, then make again", why);
        return NULL;
    }
#endif
    if (options->precision == GX_PRECISION_TF32 || options->precision == GX_PRECISION_BF16) {
        gx_fail(failure, -ENODEV,
                "--precision: only a GPU has tf32 and bf16, and there is none: %s",
                options->device == GX_DEVICE_AUTO ? why : "--device cpu");
        return NULL;
    }
    if (options->device == GX_DEVICE_AUTO && !quiet)
        fprintf(stderr, "gx-train: no GPU, so the CPU: %s\n", why);
    return &gx_cpu_device;
}

static struct gx_train train;

/* One line, and with one write: mpirun mixes what ranks write. Where the ranks failed, they know why. */
static void complain(const struct gx_ranks *ranks, const struct gx_failure *failure)
{
    char who[32] = "";
    const char *why = ranks->failure.text;
    if (strcmp(why, failure->text) == 0)
        why = "";
    if (ranks->count > 1)
        snprintf(who, sizeof(who), "rank %u: ", ranks->rank);
    fprintf(stderr, "gx-train: %s%s%s%s\n", who, failure->text, *why ? ": " : "", why);
}

/* Rank 0's whole life: the site's. */
static int lead(const struct gx_train_options *options, struct gx_ranks *ranks)
{
    const struct gx_device *device = choose_device(options, false, &train.failure);
    int rc = !device
                 ? -ENODEV
                 : gx_train_init(&train, options, device, ranks->count > 1 ? ranks : NULL, stdout);
    if (rc == 0)
        rc = options->socket_path ? gx_diloco_run(&train) : gx_train_alone(&train);
    if (rc == 0)
        rc = gx_train_finish(&train);
    if (rc != 0)
        complain(ranks, &train.failure);
    const int status = rc == 0 ? EXIT_OK : train.gxd_missing ? EXIT_NO_GXD : EXIT_FAILED;
    if (rc != 0)
        gx_ranks_abort(ranks, status);
    gx_train_fini(&train);
    return status;
}

static int serve(const struct gx_train_options *options, struct gx_ranks *ranks)
{
    const struct gx_device_config config = gx_train_device_config(options);
    struct gx_failure failure;
    struct gx_gpt2 model;
    const struct gx_device *device = choose_device(options, true, &failure);
    int rc = device ? gx_gpt2_init(&model, &options->model, &failure) : -ENODEV;
    if (rc == 0)
        rc = gx_team_serve(ranks, device, &model, &config, &failure);
    if (rc == 0)
        return EXIT_OK;
    complain(ranks, &failure);
    gx_ranks_abort(ranks, EXIT_FAILED);
    return EXIT_FAILED;
}

int main(int argc, char **argv)
{
    struct gx_train_options options;
    struct gx_failure failure;
    if (gx_train_options_parse(&options, argc, argv, &failure) != 0) {
        fprintf(stderr, "gx-train: %s\n", failure.text);
        return EXIT_USAGE;
    }
    if (options.help) {
        gx_train_options_help(stdout);
        return EXIT_OK;
    }
    signal(SIGPIPE, SIG_IGN); /* gxd's death is an error code, not a signal */
    struct gx_ranks ranks;
    int status = EXIT_FAILED;
    int rc = gx_ranks_init(&ranks);
    if (options.gpu == GX_GPU_OWN)
        options.gpu = ranks.local_rank;
    if (rc == 0)
        status = ranks.rank == 0 ? lead(&options, &ranks) : serve(&options, &ranks);
    else
        complain(&ranks, &ranks.failure);
    if (status != EXIT_OK)
        gx_ranks_abort(&ranks, status);
    gx_ranks_fini(&ranks);
    return status;
}

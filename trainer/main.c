/* gx-train: trains one site's model, with other sites through gxd, or alone. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "device.h"
#include "diloco.h"
#include "options.h"
#include "train.h"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_NO_GXD };

/* NULL, with a line in `failure`: the device that was asked for is not to be had. */
static const struct gx_device *choose_device(const struct gx_train_options *options,
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
    if (options->device == GX_DEVICE_AUTO)
        fprintf(stderr, "gx-train: no GPU, so the CPU: %s\n", why);
    return &gx_cpu_device;
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
    static struct gx_train train;
    const struct gx_device *device = choose_device(&options, &failure);
    if (!device) {
        fprintf(stderr, "gx-train: %s\n", failure.text);
        return EXIT_FAILED;
    }
    int rc = gx_train_init(&train, &options, device, stdout);
    if (rc == 0)
        rc = options.socket_path ? gx_diloco_run(&train) : gx_train_alone(&train);
    if (rc == 0)
        rc = gx_train_finish(&train);
    if (rc != 0)
        fprintf(stderr, "gx-train: %s\n", train.failure.text);
    gx_train_fini(&train);
    if (rc != 0)
        return train.gxd_missing ? EXIT_NO_GXD : EXIT_FAILED;
    return EXIT_OK;
}

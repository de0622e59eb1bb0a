/* gx-train: trains one site's model, with other sites through gxd, or alone. */
#include <signal.h>
#include <stdio.h>

#include "device.h"
#include "diloco.h"
#include "options.h"
#include "train.h"

enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_NO_GXD };

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
    int rc = gx_train_init(&train, &options, &gx_cpu_device, stdout);
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

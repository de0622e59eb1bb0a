/* The program gxd: options, signals, and one gateway (main.h). */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h> /* sodium_init() */
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>

#include "arena/guard.h"
#include "main.h"

#define EXIT_CONFIG 2

/* ---- options ---- */

static void help(FILE *out)
{
    fputs("gxd: the gateway of one site: exchanges contributions with the other sites' gateways.\n"
          "\n"
          "  gxd -c FILE            run with this config file\n"
          "  gxd -c FILE --check    check the config file and end\n"
          "  gxd --help | --version\n"
          "\n"
          "Logs to stderr, a line an event. SIGTERM leaves the run and ends within 2 s.\n"
          "Exit: 0 ended in order, 1 failed, 2 usage or config.\n"
          "\n"
          "Keys of the config file:\n",
          out);
    gx_config_help(out);
}

static const char *options_parse(int argc, char **argv, bool *check)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    const char *path = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'k':
            *check = true;
            break;
        case 'h':
            help(stdout);
            exit(EXIT_SUCCESS);
        case 'V':
            puts("gxd " GXD_VERSION);
            exit(EXIT_SUCCESS);
        default:
            fputs("gxd: try gxd --help\n", stderr);
            exit(EXIT_CONFIG);
        }
    }
    if (optind < argc) {
        fprintf(stderr, "gxd: '%s' is no option; try gxd --help\n", argv[optind]);
        exit(EXIT_CONFIG);
    }
    if (!path) {
        fputs("gxd: -c FILE is missing; try gxd --help\n", stderr);
        exit(EXIT_CONFIG);
    }
    return path;
}

/* ---- signals ---- */

static int signals_open(struct gxd *gxd)
{
    sigset_t set;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of the write, EFBIG */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    /* Before the first thread, so that all have it. */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    gxd->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return gxd->signal_fd < 0 ? -errno : 0;
}

int main(int argc, char **argv)
{
    static struct gxd gxd;
    bool check = false;
    const char *path = options_parse(argc, argv, &check);
    char error[512];
    uint8_t key[GX_PSK_BYTES];
    int ret = gx_config_load(path, &gxd.config, error, sizeof(error));

    if (ret) {
        fprintf(stderr, "gxd: %s\n", error);
        return EXIT_CONFIG;
    }
    if (check && gxd.config.secure &&
        gx_config_key_load(&gxd.config, key, error, sizeof(error)) != 0) {
        fprintf(stderr, "gxd: %s\n", error);
        return EXIT_CONFIG;
    }
    if (check) {
        printf("%s: ok\n", path);
        return EXIT_SUCCESS;
    }
    if (sodium_init() < 0) { /* the CPU's best kernels, else BLAKE2b would be plain C */
        fprintf(stderr, "gxd: libsodium found no source of random numbers (getrandom(2))\n");
        return EXIT_FAILURE;
    }
    gx_notify_init(&gxd.notify);
    ret = signals_open(&gxd);
    if (!ret)
        ret = gxd_start(&gxd);
    if (!ret)
        ret = gx_guard_install(gxd.wake_fd); /* before the first trainer */
    if (ret)
        return ret == -EINVAL ? EXIT_CONFIG : EXIT_FAILURE;
    while (!gxd_ended(&gxd))
        gxd_serve(&gxd);
    gxd_finish(&gxd);
    return gxd.exit_code;
}

/* gx-wan: an impaired wide-area network between sites. docs/gx-wan.md. */
#ifdef GX_DPDK
#include "wan/dpdk_ports.h"
#endif
#include "wan/network.h"
#include "wan/options.h"
#include "wan/relay.h"
#include "wan/report.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define TIMER_SLACK_NS 1000
#define LIVE_NS 1000000000u

static volatile sig_atomic_t stop_asked, report_asked;

static void on_signal(int number)
{
    if (number == SIGUSR1)
        report_asked = 1;
    else
        stop_asked = 1;
}

/* Signals are only let in while the loop sleeps, so none is missed between a look at the flags and
 * the sleep. */
static void catch_signals(sigset_t *while_asleep)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGUSR1};
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t blocked;

    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        sigaction(numbers[i], &action, NULL);
        sigaddset(&blocked, numbers[i]);
    }
    sigprocmask(SIG_BLOCK, &blocked, while_asleep);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigdelset(while_asleep, numbers[i]);
    signal(SIGPIPE, SIG_IGN);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Until one of the first `poll_count` ports has a packet, a signal arrives, or until_ns (UINT64_MAX: for
 * ever) has come; -errno. */
static int sleep_until(struct gx_wan_network *network, uint32_t poll_count, uint64_t until_ns,
                       const sigset_t *while_asleep)
{
    uint64_t now_ns = gx_wan_now_ns();
    uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left_ns / 1000000000u),
                               .tv_nsec = (long)(left_ns % 1000000000u)};

    int ready =
        ppoll(network->polls, poll_count, until_ns == UINT64_MAX ? NULL : &timeout, while_asleep);
    if (ready >= 0)
        return 0;
    for (uint32_t i = 0; i < poll_count; i++)
        network->polls[i].revents = 0;
    return errno == EINTR ? 0 : -errno;
}

/* With packets in flight a turn of the loop takes the front's breath at least. */
static int sleep_for_work(struct gx_wan_network *network, uint64_t turn_ns, uint64_t wake_ns,
                          const sigset_t *while_asleep)
{
    uint64_t breath_ns = turn_ns + network->front->breath_ns;
    uint64_t due_ns = gx_wan_network_due_ns(network);
    bool in_flight = due_ns != UINT64_MAX;

    due_ns = earlier(later(due_ns, breath_ns), wake_ns);
    if (network->nap_ns_max != UINT64_MAX)
        due_ns = earlier(due_ns, turn_ns + network->nap_ns_max);
    int rc = sleep_until(network, network->poll_count, due_ns, while_asleep);
    if (rc == 0 && in_flight && gx_wan_now_ns() < breath_ns)
        rc = sleep_until(network, 0, breath_ns, while_asleep);
    return rc;
}

static int run(struct gx_wan_network *network, const sigset_t *while_asleep)
{
    struct gx_wan_report_live live = {0};
    uint64_t live_ns = isatty(STDERR_FILENO) ? gx_wan_now_ns() + LIVE_NS : UINT64_MAX;
    int rc = 0;

    while (!stop_asked && rc == 0) {
        uint64_t now_ns = gx_wan_now_ns();
        gx_wan_network_pass(network, now_ns);
        network->front->send(network, now_ns);
        if (now_ns >= live_ns) {
            gx_wan_report_live(network, &live, now_ns, stderr);
            live_ns = now_ns + LIVE_NS;
        }
        if (report_asked) {
            report_asked = 0;
            gx_wan_report_json(network, stdout);
            if (network->log)
                fflush(network->log);
            gx_wan_slotlog_flush(&network->slots);
        }
        rc = sleep_for_work(network, now_ns, live_ns, while_asleep);
        gx_wan_network_trace(network, gx_wan_now_ns());
        network->front->receive(network);
    }
    if (live.at_ns > 0)
        fputc('\n', stderr);
    if (rc != 0)
        fprintf(stderr, "gx-wan: cannot wait for packets: %s\n", strerror(-rc));
    return rc;
}

static const struct gx_wan_front *front_for(const struct gx_wan_options *options)
{
    if (options->udp)
        return &gx_wan_relay_front;
#ifdef GX_DPDK
    return &gx_wan_dpdk_front;
#else
    fputs("gx-wan: --port needs DPDK, which was not there when this was built: install libdpdk-dev "
          "and make again, or use --udp\n",
          stderr);
    return NULL;
#endif
}

static int open_and_run(struct gx_wan_network *network, const struct gx_wan_options *options,
                        const sigset_t *while_asleep)
{
    int rc = gx_wan_network_init(network, options, gx_wan_now_ns());

    if (rc == 0)
        rc = network->front->open(network);
    if (rc == 0) {
        fputs("ready\n", stderr);
        rc = run(network, while_asleep);
        gx_wan_report_json(network, stdout);
    }
    network->front->close(network);
    gx_wan_network_fini(network);
    return rc;
}

int main(int argc, char **argv)
{
    static struct gx_wan_network network;
    static struct gx_wan_options options;
    sigset_t while_asleep;

    switch (gx_wan_options_parse(argc, argv, &options)) {
    case GX_WAN_OPTIONS_HELP:
        return 0;
    case GX_WAN_OPTIONS_USAGE:
        return 2;
    case GX_WAN_OPTIONS_RUN:
        break;
    }
    network.front = front_for(&options);
    catch_signals(&while_asleep);
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    int rc = network.front ? open_and_run(&network, &options, &while_asleep) : -ENOTSUP;
    gx_wan_options_fini(&options);
    return rc == 0 ? 0 : 1;
}

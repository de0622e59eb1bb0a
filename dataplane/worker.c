#include "worker.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "gx_assert.h"
#include "port/clock.h"
#include "worker_trainers.h"

/* More than main can have under way: three per trainer, one per journal entry and client. */
#define ORDERS 1024u
#define NOTICES 512u
#define ENTRIES 64u
#define EVENTS_PER_PASS 64
#define BURSTS_PER_PASS 4
#define SPIN_NS (20 * GX_NS_PER_US)
#define SLEEP_MIN_NS (3 * GX_NS_PER_US) /* below this a sleep takes longer than it lasts */
#define SLEEP_MAX_NS (250 * GX_NS_PER_MS)
#define SHARED_SLEEP_NS (100 * GX_NS_PER_US) /* of several workers on one thread */
#define BACK_PRESSURE_NS GX_NS_PER_MS
#define BUSY_REFRESH_NS (200 * GX_NS_PER_US)
#define COMPLAINT_NS (10 * GX_NS_PER_S)

/* ---- notices ---- */

struct gx_notice *gx_worker_notice(struct gx_worker *worker, enum gx_notice_type type,
                                   struct gx_trainer *trainer)
{
    struct gx_notice *notice = gx_mailbox_claim(&worker->notices);

    /* Notes leave room (notes_tell), the others are at most one per order and trainer. */
    GX_ASSERT(notice);
    memset(notice, 0, sizeof(*notice));
    notice->type = type;
    notice->trainer = trainer;
    return notice;
}

void gx_worker_notify(struct gx_worker *worker)
{
    gx_mailbox_commit(&worker->notices);
    eventfd_write(worker->main_fd, 1);
}

/* ---- the stages of a pass; each says whether it found something to do ---- */

/* The time since the last end was this work's. */
static void work_end(struct gx_worker *worker, enum gx_site_counter work)
{
    uint64_t now = gx_clock_ns();

    worker->counters->site[work] += now - worker->work_start_ns;
    worker->work_start_ns = now;
}

static bool receive(struct gx_worker *worker)
{
    uint32_t count, all = 0;

    /* As many bursts as a pass may send, or what arrives would wait behind what leaves. */
    for (int burst = 0; burst < BURSTS_PER_PASS; burst++) {
        count = worker->port->ops->rx(worker->port, worker->received, GX_PORT_BURST);
        work_end(worker, GX_SITE_work_port_receive_ns_total);
        for (uint32_t i = 0; i < count; i++)
            gx_core_rx(worker->core, worker->index, worker->now, &worker->received[i].from,
                       worker->received[i].bytes, worker->received[i].byte_count);
        if (count)
            work_end(worker, GX_SITE_work_core_receive_ns_total);
        all += count;
        if (count < GX_PORT_BURST)
            break;
    }
    worker->fed |= all > 0;
    return all > 0;
}

static void obeyed_send(struct gx_worker *worker, const struct gx_order *order, int error)
{
    struct gx_notice *notice = gx_worker_notice(worker, GX_NOTICE_OBEYED, NULL);

    notice->cookie = order->cookie;
    notice->error = error;
    gx_worker_notify(worker);
}

static void order_obey(struct gx_worker *worker, const struct gx_order *order)
{
    switch (order->type) {
    case GX_ORDER_ATTACH:
        gx_trainer_attach(worker, order->trainer);
        break;
    case GX_ORDER_DETACH:
        gx_trainer_detach(worker, order->trainer);
        break;
    case GX_ORDER_YIELD:
        gx_trainer_yield(worker, order->trainer);
        break;
    case GX_ORDER_JOURNALLED:
        gx_core_journal_done(worker->core, order->sequence, worker->now);
        break;
    case GX_ORDER_LEAVE:
        gx_core_leave(worker->core, worker->now);
        worker->leaving = true;
        break;
    case GX_ORDER_REWIND:
        obeyed_send(worker, order, gx_core_rewind(worker->core, order->run, worker->now));
        break;
    case GX_ORDER_RATE:
        gx_core_set_rate(worker->core, order->value, order->recv_rate_bps, worker->now);
        obeyed_send(worker, order, 0);
        break;
    case GX_ORDER_DEADLINE:
        obeyed_send(worker, order, gx_core_set_deadline(worker->core, order->value));
        break;
    case GX_ORDER_STOP:
        worker->stop = true;
        break;
    }
}

static bool obey_main(struct gx_worker *worker)
{
    struct gx_order *order = gx_mailbox_peek(&worker->orders, 0);

    if (!order)
        return false;
    order_obey(worker, order);
    gx_mailbox_done(&worker->orders, 1);
    return true;
}

static bool serve_trainers(struct gx_worker *worker)
{
    bool busy = false;

    for (uint32_t i = 0; i < worker->trainer_count; i++)
        if (worker->trainers[i]->serving)
            busy |= gx_trainer_serve(worker, worker->trainers[i]);
    return busy;
}

static bool transmit(struct gx_worker *worker)
{
    const struct gx_port_ops *ops = worker->port->ops;
    bool busy = false;

    for (int burst = 0; burst < BURSTS_PER_PASS; burst++) {
        uint32_t room = ops->room(worker->port), count;

        if (room > GX_PORT_BURST)
            room = GX_PORT_BURST;
        count =
            room ? gx_core_tx(worker->core, worker->index, worker->now, worker->packets, room) : 0;
        work_end(worker, GX_SITE_work_core_send_ns_total);
        if (!count)
            break;
        ops->tx(worker->port, worker->packets, count);
        work_end(worker, GX_SITE_work_port_send_ns_total);
        busy = true;
    }
    return busy;
}

static bool journal_hand_over(struct gx_worker *worker)
{
    bool busy = false;

    for (struct gx_entry *entry; (entry = gx_mailbox_claim(&worker->journal)); busy = true) {
        entry->byte_count = gx_core_journal(worker->core, &entry->sequence, entry->bytes);
        if (!entry->byte_count)
            break;
        gx_mailbox_commit(&worker->journal);
        eventfd_write(worker->main_fd, 1);
    }
    return busy;
}

static bool deliver_events(struct gx_worker *worker)
{
    struct gx_event event;
    struct gx_run *run;
    int count = 0;

    while (count < EVENTS_PER_PASS && gx_core_event(worker->core, &run, &event)) {
        struct gx_trainer *trainer = gx_trainer_of(worker, run);

        count++;
        if (!trainer || !trainer->serving)
            continue;
        /* Before the event: whoever reads it may ask for the buffer at once. */
        gx_trainer_busy(trainer);
        if (gx_ring_push(&trainer->events, &event) == 0)
            gx_trainer_kick(trainer);
        else
            gx_trainer_break(worker, trainer, GX_REASON_COMMAND, "it does not read its events");
    }
    return count > 0;
}

static bool tell_detached(struct gx_worker *worker)
{
    struct gx_run *run = gx_core_detached(worker->core);
    struct gx_trainer *trainer = run ? gx_trainer_of(worker, run) : NULL;

    if (trainer)
        gx_trainer_forget(worker, trainer);
    if (worker->leaving && !worker->left && gx_core_left(worker->core, worker->now)) {
        worker->left = true;
        gx_worker_notice(worker, GX_NOTICE_LEFT, NULL);
        gx_worker_notify(worker);
    }
    return run != NULL;
}

static void note_send(struct gx_worker *worker, enum gx_log_level level, const char *text)
{
    struct gx_notice *notice = gx_worker_notice(worker, GX_NOTICE_NOTE, NULL);

    notice->level = level;
    snprintf(notice->text, sizeof(notice->text), "%s", text);
    gx_worker_notify(worker);
}

/* Half of the mailbox is kept for notices that cannot wait; notes can. */
static bool notes_fit(const struct gx_worker *worker)
{
    return gx_mailbox_used(&worker->notices) < NOTICES / 2;
}

static void tell_notes(struct gx_worker *worker)
{
    struct gx_note_line line;

    while (notes_fit(worker) && gx_core_note(worker->core, &line))
        note_send(worker, line.warn ? GX_LOG_WARN : GX_LOG_INFO, line.text);
}

/* What an operator must know of the port at once. */
static void tell_port(struct gx_worker *worker)
{
    const struct gx_port_stats *stats = &worker->port->stats;

    if (!notes_fit(worker))
        return;
    if (stats->link_down != worker->link_down_told) {
        note_send(worker, stats->link_down ? GX_LOG_WARN : GX_LOG_INFO,
                  stats->link_down ? "port: its link is down" : "port: its link is up again");
        worker->link_down_told = stats->link_down;
    }
    if (stats->gateway_lost != worker->gateway_lost_told) {
        note_send(worker, stats->gateway_lost ? GX_LOG_WARN : GX_LOG_INFO,
                  stats->gateway_lost ? "port: its gateway (port.gateway) does not answer: what "
                                        "goes to other networks is dropped"
                                      : "port: its gateway answers again, or is not needed");
        worker->gateway_lost_told = stats->gateway_lost;
    }
    if (stats->address_conflicts && !worker->conflicts_told)
        note_send(worker, GX_LOG_WARN,
                  "port: another host claims this port's address: give each its own, or peers will "
                  "reach now one, now the other");
    worker->conflicts_told = stats->address_conflicts;
}

static void complain(struct gx_worker *worker)
{
    const struct gx_port_stats *stats = &worker->port->stats;
    char text[GX_NOTE_BYTES];

    if (stats->tx_errors == worker->errors_told ||
        worker->now - worker->complaint_ns < COMPLAINT_NS || !notes_fit(worker))
        return;
    snprintf(text, sizeof(text), "port: %llu packets could not be sent, the last one: %s%s",
             (unsigned long long)(stats->tx_errors - worker->errors_told),
             strerror(stats->last_error),
             stats->last_error == EMSGSIZE ? "; `mtu:` is above the interface's MTU" : "");
    note_send(worker, GX_LOG_WARN, text);
    worker->errors_told = stats->tx_errors;
    worker->complaint_ns = worker->now;
}

static void refresh_busy(struct gx_worker *worker)
{
    if (!worker->busy_stale || worker->now - worker->busy_ns < BUSY_REFRESH_NS)
        return;
    for (uint32_t i = 0; i < worker->trainer_count; i++)
        if (worker->trainers[i]->serving)
            gx_trainer_busy(worker->trainers[i]);
    worker->busy_stale = false;
    worker->busy_ns = worker->now;
}

static void count_port(struct gx_worker *worker)
{
    const struct gx_port_stats *stats = &worker->port->stats;
    uint64_t *site = worker->counters->site;

    site[GX_SITE_port_sent_packets_total] = stats->tx_packets;
    site[GX_SITE_port_sent_in_place_bytes_total] = stats->tx_external_bytes;
    site[GX_SITE_port_copied_driver_bytes_total] = stats->tx_copied_driver_bytes;
    site[GX_SITE_port_copied_memory_bytes_total] = stats->tx_copied_memory_bytes;
    site[GX_SITE_port_copied_receive_bytes_total] = stats->rx_copied_bytes;
    site[GX_SITE_port_unresolved_packets_total] = stats->tx_unresolved;
    site[GX_SITE_port_errors_total] = stats->tx_errors;
    site[GX_SITE_port_full_total] = stats->tx_retries;
    site[GX_SITE_port_pool_empty_total] = stats->pool_empty;
    site[GX_SITE_port_missed_packets_total] = stats->rx_missed;
    site[GX_SITE_port_dropped_packets_total] = stats->rx_dropped;
    site[GX_SITE_port_link_downs_total] = stats->link_downs;
    site[GX_SITE_port_address_conflicts_total] = stats->address_conflicts;
    site[GX_SITE_port_gateway_lost] = stats->gateway_lost;
    site[GX_SITE_port_link_up] = !stats->link_down;
}

static void keep_house(struct gx_worker *worker)
{
    uint64_t *site = worker->counters->site;
    uint64_t end_ns, pass_ns;

    refresh_busy(worker);
    if (worker->index == 0)
        tell_port(worker); /* the others' say the same */
    complain(worker);
    count_port(worker);
    work_end(worker, GX_SITE_work_house_ns_total);
    end_ns = worker->work_start_ns;
    pass_ns = end_ns - worker->pass_start_ns;
    site[GX_SITE_loops_total]++;
    /* Main reads it, too. */
    __atomic_store_n(&site[GX_SITE_heartbeat_ns], end_ns, __ATOMIC_RELAXED);
    if (pass_ns > site[GX_SITE_loop_ns_max])
        site[GX_SITE_loop_ns_max] = pass_ns;
    worker->now = end_ns;
}

static void sleep_until_due(struct gx_worker *worker)
{
    const struct gx_port_ops *ops = worker->port->ops;
    uint64_t now = worker->now, due = gx_core_wake(worker->core, worker->index, now);
    uint64_t patience = gx_core_patience_ns(worker->core, worker->index);

    /* Packets are due, but the port is full: a finished send ends the sleep. */
    if (!ops->room(worker->port) && due < now + BACK_PRESSURE_NS)
        due = now + BACK_PRESSURE_NS;
    if (worker->busy_stale && due > now + BUSY_REFRESH_NS)
        due = now + BUSY_REFRESH_NS;
    if (due > now + SLEEP_MAX_NS)
        due = now + SLEEP_MAX_NS;
    if (due < now + SLEEP_MIN_NS)
        return;
    worker->counters->site[GX_SITE_sleeps_total]++;
    if (worker->fed && ops->nap && patience >= SLEEP_MIN_NS)
        ops->nap(worker->port, due < now + patience ? due : now + patience);
    else
        ops->sleep(worker->port, due);
    worker->fed = false;
}

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Spinning pays where work comes soon after work: a pause shorter than a spin brings it back at once, longer ones end it. */
static void spin_learn(struct gx_worker *worker)
{
    bool pays = worker->pass_start_ns - worker->active_ns < SPIN_NS;

    worker->spin_ns = pays ? SPIN_NS : worker->spin_ns / 2;
}

static void rest(struct gx_worker *worker, bool busy)
{
    if (busy) {
        if (worker->idle)
            spin_learn(worker);
        worker->active_ns = worker->now;
    }
    worker->idle = !busy;
    if (busy)
        return;
    if (worker->now - worker->active_ns < worker->spin_ns)
        relax();
    else
        sleep_until_due(worker);
}

/* Those to whom the core has left messages. */
static void wake_others(struct gx_worker *worker)
{
    for (uint32_t wakes = gx_core_wakes(worker->core, worker->index); wakes; wakes &= wakes - 1)
        eventfd_write(worker->team[__builtin_ctz(wakes)].wake_fd, 1);
}

/* Worker 0's: rounds, trainers and the journal beside packets. */
static bool first_pass(struct gx_worker *worker)
{
    bool busy;

    busy = receive(worker);
    busy |= obey_main(worker);
    busy |= serve_trainers(worker);
    work_end(worker, GX_SITE_work_trainers_ns_total);
    if (gx_core_poll(worker->core, 0, worker->now))
        busy = worker->busy_stale = true; /* another worker may have released a buffer */
    work_end(worker, GX_SITE_work_jobs_ns_total);
    busy |= transmit(worker);
    busy |= journal_hand_over(worker);
    busy |= deliver_events(worker);
    busy |= tell_detached(worker);
    tell_notes(worker);
    return busy;
}

static bool other_pass(struct gx_worker *worker)
{
    bool busy;

    busy = receive(worker);
    busy |= obey_main(worker);
    work_end(worker, GX_SITE_work_trainers_ns_total);
    busy |= gx_core_poll(worker->core, worker->index, worker->now);
    work_end(worker, GX_SITE_work_jobs_ns_total);
    busy |= transmit(worker);
    return busy;
}

/* One pass without a rest. True: it found something to do. */
static bool pass(struct gx_worker *worker)
{
    bool busy;

    worker->now = worker->pass_start_ns = worker->work_start_ns = gx_clock_ns();
    busy = worker->index == 0 ? first_pass(worker) : other_pass(worker);
    wake_others(worker);
    keep_house(worker);
    return busy;
}

void gx_worker_poll(struct gx_worker *worker)
{
    rest(worker, pass(worker));
}

/* ---- the thread ---- */

static void on_release(void *ctx, uint32_t owner)
{
    struct gx_worker *worker = ctx;

    gx_core_release(worker->core, worker->index, owner);
    worker->busy_stale = worker->index == 0;
}

static int begin(struct gx_worker *worker)
{
    int ret;

    worker->now = gx_clock_ns();
    ret = gx_port_start(worker->port, on_release, worker);
    if (!ret)
        ret = worker->port->ops->watch(worker->port, worker->wake_fd);
    gx_worker_notice(worker, ret ? GX_NOTICE_FAILED : GX_NOTICE_READY, NULL)->error = ret;
    gx_worker_notify(worker);
    return ret;
}

/* All in turn. They can sleep on one port only, so they do it for moments. */
static bool poll_all(struct gx_worker *const workers[], uint32_t count)
{
    bool busy = false, stop = true;

    for (uint32_t i = 0; i < count; i++) {
        busy |= pass(workers[i]);
        stop &= workers[i]->stop;
    }
    if (busy)
        workers[0]->active_ns = workers[0]->now;
    else if (workers[0]->now - workers[0]->active_ns < SPIN_NS)
        relax();
    else
        workers[0]->port->ops->sleep(workers[0]->port, workers[0]->now + SHARED_SLEEP_NS);
    return !stop;
}

void gx_worker_run(struct gx_worker *const workers[], uint32_t count)
{
    int ret = 0;

    /* Sleeps end within microseconds of their time, not within the usual 50. */
    prctl(PR_SET_TIMERSLACK, 1);
    for (uint32_t i = 0; !ret && i < count; i++)
        ret = begin(workers[i]);
    if (ret)
        return;
    if (count > 1)
        while (poll_all(workers, count))
            ;
    while (!workers[0]->stop)
        gx_worker_poll(workers[0]);
}

static void *thread_main(void *ctx)
{
    struct gx_worker *worker = ctx;

    gx_worker_run(&worker, 1);
    return NULL;
}

int gx_worker_init(struct gx_worker *team, uint32_t index, struct gx_core *core,
                   struct gx_port *port, struct gx_counters *counters, int main_fd)
{
    struct gx_worker *worker = &team[index];

    memset(worker, 0, sizeof(*worker));
    worker->index = index;
    worker->team = team;
    worker->core = core;
    worker->port = port;
    worker->counters = counters;
    worker->main_fd = main_fd;
    worker->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (worker->wake_fd < 0)
        return -errno;
    if (gx_mailbox_init(&worker->orders, sizeof(struct gx_order), ORDERS) ||
        gx_mailbox_init(&worker->notices, sizeof(struct gx_notice), NOTICES) ||
        gx_mailbox_init(&worker->journal, sizeof(struct gx_entry), ENTRIES)) {
        gx_worker_fini(worker);
        return -ENOMEM;
    }
    return 0;
}

void gx_worker_fini(struct gx_worker *worker)
{
    gx_mailbox_fini(&worker->orders);
    gx_mailbox_fini(&worker->notices);
    gx_mailbox_fini(&worker->journal);
    close(worker->wake_fd);
}

int gx_worker_start(struct gx_worker *worker, uint32_t priority)
{
    struct sched_param param = {.sched_priority = (int)priority};
    char name[16] = "gx-worker";
    pthread_attr_t attributes;
    int ret = pthread_attr_init(&attributes);

    if (ret)
        return -ret;
    if (priority) {
        pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
        pthread_attr_setschedpolicy(&attributes, SCHED_RR);
        pthread_attr_setschedparam(&attributes, &param);
    }
    ret = pthread_create(&worker->thread, &attributes, thread_main, worker);
    pthread_attr_destroy(&attributes);
    if (worker->index > 0)
        snprintf(name, sizeof(name), "gx-worker-%u", worker->index % GX_WORKERS_MAX);
    if (!ret)
        pthread_setname_np(worker->thread, name);
    return -ret;
}

void gx_worker_order(struct gx_worker *worker, const struct gx_order *order)
{
    struct gx_order *entry = gx_mailbox_claim(&worker->orders);

    GX_ASSERT(entry);
    *entry = *order;
    gx_mailbox_commit(&worker->orders);
    eventfd_write(worker->wake_fd, 1);
}

int gx_worker_stop(struct gx_worker *worker, uint64_t timeout_ns)
{
    struct gx_order order = {.type = GX_ORDER_STOP};
    struct timespec end;
    uint64_t end_ns;

    gx_worker_order(worker, &order);
    clock_gettime(CLOCK_REALTIME, &end);
    end_ns = (uint64_t)end.tv_sec * GX_NS_PER_S + (uint64_t)end.tv_nsec + timeout_ns;
    end.tv_sec = (time_t)(end_ns / GX_NS_PER_S);
    end.tv_nsec = (long)(end_ns % GX_NS_PER_S);
    return -pthread_timedjoin_np(worker->thread, NULL, &end);
}

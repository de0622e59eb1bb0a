#include "worker_trainers.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>

#include "arena/guard.h"

#define COMMANDS_PER_PASS 16
/* Commands wait until so many events fit: no command causes more, so an event never finds a full ring. */
#define EVENT_ROOM 256

static struct gx_arena_header *header_of(const struct gx_trainer *trainer)
{
    return (struct gx_arena_header *)(void *)trainer->map.base;
}

/* The eventfd is the trainer's: it may have made it blocking, and full. A trainer that does that between the two calls
 * blocks its own gxd; it can as well fill the disk. */
void gx_trainer_kick(const struct gx_trainer *trainer)
{
    struct pollfd writable = {.fd = trainer->wake_trainer, .events = POLLOUT};

    if (poll(&writable, 1, 0) == 1 && writable.revents & POLLOUT)
        eventfd_write(trainer->wake_trainer, 1);
}

static void trainer_drop(struct gx_worker *worker, struct gx_trainer *trainer)
{
    trainer->serving = false;
    worker->port->ops->unwatch(worker->port, trainer->wake_gxd);
    gx_core_detach(worker->core, trainer->run, worker->now);
}

void gx_trainer_break(struct gx_worker *worker, struct gx_trainer *trainer, enum gx_reason reason,
                      const char *text)
{
    struct gx_event event = {
        .type = GX_EVENT_REFUSED, .reason = (uint32_t)reason, .completed_ns = worker->now};
    struct gx_notice *notice;

    if (gx_ring_push(&trainer->events, &event) == 0)
        gx_trainer_kick(trainer);
    trainer_drop(worker, trainer);
    notice = gx_worker_notice(worker, GX_NOTICE_BROKEN, trainer);
    notice->reason = reason;
    snprintf(notice->text, sizeof(notice->text), "%s", text);
    gx_worker_notify(worker);
}

static int trainer_bind(struct gx_worker *worker, struct gx_trainer *trainer)
{
    struct gx_arena_header *header = header_of(trainer);
    const struct gx_arena_layout *layout = &trainer->map.layout;
    int ret;

    if (worker->trainer_count == GX_TRAINERS_MAX)
        return -ENOSPC;
    ret = gx_ring_consume(&trainer->commands, &header->commands,
                          trainer->map.base + layout->commands, sizeof(struct gx_command));
    if (!ret)
        ret = gx_ring_produce(&trainer->events, &header->events, trainer->map.base + layout->events,
                              sizeof(struct gx_event));
    if (!ret)
        ret = worker->port->ops->watch(worker->port, trainer->wake_gxd);
    return ret;
}

void gx_trainer_attach(struct gx_worker *worker, struct gx_trainer *trainer)
{
    enum gx_reason reason = GX_REASON_NONE;
    int ret = trainer_bind(worker, trainer);
    struct gx_notice *notice;

    if (!ret) {
        ret = gx_core_attach(worker->core, trainer->run, &reason, worker->now);
        if (ret)
            worker->port->ops->unwatch(worker->port, trainer->wake_gxd);
    } else {
        reason = ret == -ENOSPC ? GX_REASON_RUNS : GX_REASON_COMMAND;
    }
    if (!ret) {
        trainer->serving = true;
        worker->trainers[worker->trainer_count++] = trainer;
        worker->busy_stale = true;
    }
    notice = gx_worker_notice(worker, GX_NOTICE_ATTACHED, trainer);
    notice->error = ret;
    notice->reason = reason;
    gx_worker_notify(worker);
}

/* One command. False: there is none, or it must wait, or the trainer was dropped. */
static bool trainer_command(struct gx_worker *worker, struct gx_trainer *trainer)
{
    struct gx_command command;
    int ret;

    ret = gx_ring_pop(&trainer->commands, &command);
    if (ret < 0)
        gx_trainer_break(worker, trainer, GX_REASON_COMMAND,
                         "the position of its command ring is impossible");
    if (ret <= 0)
        return false;
    gx_core_command(worker->core, trainer->run, &command, worker->now);
    return true;
}

bool gx_trainer_serve(struct gx_worker *worker, struct gx_trainer *trainer)
{
    int count = 0;

    if (gx_guard_faulted(trainer->map.guard)) {
        gx_trainer_break(worker, trainer, GX_REASON_ARENA_FAULT,
                         gx_reason_text(GX_REASON_ARENA_FAULT));
        return true;
    }
    while (count < COMMANDS_PER_PASS) {
        int room = gx_ring_room(&trainer->events);

        if (room < 0) {
            gx_trainer_break(worker, trainer, GX_REASON_COMMAND,
                             "the position of its event ring is impossible");
            return true;
        }
        if (room < EVENT_ROOM || !trainer_command(worker, trainer))
            break;
        count++;
    }
    worker->busy_stale |= count > 0;
    return count > 0;
}

void gx_trainer_detach(struct gx_worker *worker, struct gx_trainer *trainer)
{
    if (!trainer->serving)
        return;
    for (uint32_t i = 0; i < GX_RING_ENTRIES && !gx_guard_faulted(trainer->map.guard); i++)
        if (!trainer_command(worker, trainer))
            break;
    if (trainer->serving)
        trainer_drop(worker, trainer);
}

void gx_trainer_yield(struct gx_worker *worker, const struct gx_trainer *trainer)
{
    for (uint32_t i = 0; i < worker->trainer_count; i++)
        if (worker->trainers[i] == trainer)
            gx_run_yield(trainer->run);
}

struct gx_trainer *gx_trainer_of(const struct gx_worker *worker, const struct gx_run *run)
{
    for (uint32_t i = 0; i < worker->trainer_count; i++)
        if (worker->trainers[i]->run == run)
            return worker->trainers[i];
    return NULL;
}

void gx_trainer_forget(struct gx_worker *worker, struct gx_trainer *trainer)
{
    uint32_t i = 0;

    while (worker->trainers[i] != trainer)
        i++;
    worker->trainers[i] = worker->trainers[--worker->trainer_count];
    gx_worker_notice(worker, GX_NOTICE_DETACHED, trainer);
    gx_worker_notify(worker);
}

void gx_trainer_busy(struct gx_trainer *trainer)
{
    struct gx_arena_header *header = header_of(trainer);

    for (uint32_t f = 0; f < trainer->fragment_count; f++)
        for (uint32_t slot = 0; slot < 2; slot++)
            /* Release: whoever sees 0 may write over bytes that the port has read. */
            __atomic_store_n(&header->contribution_busy[f][slot],
                             gx_run_busy(trainer->run, f, slot), __ATOMIC_RELEASE);
}

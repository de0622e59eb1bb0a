/* What a worker does with the trainers that main has handed to it: takes their commands, tells them events, and drops them
 * when they break a rule. The worker's thread only.
 */
#ifndef GX_WORKER_TRAINERS_H
#define GX_WORKER_TRAINERS_H

#include "worker.h"

/* Order ATTACH: answered with the notice ATTACHED. */
void gx_trainer_attach(struct gx_worker *worker, struct gx_trainer *trainer);
/* It hung up. What it had submitted before counts. */
void gx_trainer_detach(struct gx_worker *worker, struct gx_trainer *trainer);
/* Its name or its memory is wanted; it may have been given back meanwhile. */
void gx_trainer_yield(struct gx_worker *worker, const struct gx_trainer *trainer);
/* Its run has gone: answered with the notice DETACHED, after which it is main's. */
void gx_trainer_forget(struct gx_worker *worker, struct gx_trainer *trainer);

/* The trainer of a run; NULL: it has none any more. */
struct gx_trainer *gx_trainer_of(const struct gx_worker *worker, const struct gx_run *run);
/* Takes some of its commands. True: there was something to do. */
bool gx_trainer_serve(struct gx_worker *worker, struct gx_trainer *trainer);
/* Wakes it. */
void gx_trainer_kick(const struct gx_trainer *trainer);
/* Publishes which of its contributions the port still reads. */
void gx_trainer_busy(struct gx_trainer *trainer);
/* It has broken a rule: it is told, dropped, and main has the notice BROKEN. */
void gx_trainer_break(struct gx_worker *worker, struct gx_trainer *trainer, enum gx_reason reason,
                      const char *text);

#endif

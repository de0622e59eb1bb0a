/* gx_schedule: the inner learning rate over all inner steps: a linear warm-up, then a cosine down to a tenth. */
#ifndef GX_TRAINER_SCHEDULE_H
#define GX_TRAINER_SCHEDULE_H

#include <stdint.h>

struct gx_schedule {
    float lr_max;
    uint64_t warmup_steps;
    uint64_t total_steps;
};

/* The rate of step `step`, 0 for the first; the last rate holds beyond the end. */
float gx_schedule_lr(const struct gx_schedule *schedule, uint64_t step);

#endif

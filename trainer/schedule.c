#include "schedule.h"

#include <math.h>

#define FLOOR 0.1 /* of lr_max */

float gx_schedule_lr(const struct gx_schedule *s, uint64_t step)
{
    if (step < s->warmup_steps)
        return s->lr_max * (float)(step + 1) / (float)s->warmup_steps;
    if (step >= s->total_steps)
        return s->lr_max * (float)FLOOR;
    double done = (double)(step - s->warmup_steps) / (double)(s->total_steps - s->warmup_steps);
    double cosine = 0.5 * (1 + cos(3.14159265358979323846 * done));
    return s->lr_max * (float)(FLOOR + (1 - FLOOR) * cosine);
}

#include "lane/rate.h"

static void fixed_init(struct gx_rate *rate)
{
    rate->bps = rate->ceiling_bps;
}

static void fixed_on_feedback(struct gx_rate *rate, const struct gx_rate_sample *sample)
{
    rate->bps = rate->ceiling_bps;
    if (sample->grant_bps != 0 && sample->grant_bps < rate->bps)
        rate->bps = sample->grant_bps;
}

const struct gx_rate_algorithm gx_rate_fixed = {
    .name = "fixed",
    .init = fixed_init,
    .on_feedback = fixed_on_feedback,
};

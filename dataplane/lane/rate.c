#include "lane/rate.h"

void gx_rate_init(struct gx_rate *rate, const struct gx_rate_algorithm *algorithm,
                  uint64_t ceiling_bps)
{
    rate->algorithm = algorithm;
    rate->ceiling_bps = ceiling_bps;
    algorithm->init(rate);
}

void gx_rate_ceiling(struct gx_rate *rate, uint64_t ceiling_bps)
{
    rate->ceiling_bps = ceiling_bps;
    if (rate->bps > ceiling_bps)
        rate->bps = ceiling_bps;
}

#include "lane/rate.h"

#include <string.h>

static const struct gx_rate_algorithm *const algorithms[] = {&gx_rate_path, &gx_rate_fixed};

const struct gx_rate_algorithm *gx_rate_find(const char *name)
{
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++)
        if (strcmp(algorithms[i]->name, name) == 0)
            return algorithms[i];
    return NULL;
}

void gx_rate_init(struct gx_rate *rate, const struct gx_rate_algorithm *algorithm,
                  uint64_t ceiling_bps, double loss_floor)
{
    memset(rate, 0, sizeof *rate);
    rate->algorithm = algorithm;
    rate->ceiling_bps = ceiling_bps;
    rate->loss_floor = loss_floor;
    algorithm->init(rate);
}

void gx_rate_recall(struct gx_rate *rate, uint64_t bps)
{
    if (rate->algorithm->recall != NULL)
        rate->algorithm->recall(rate, bps);
}

void gx_rate_ceiling(struct gx_rate *rate, uint64_t ceiling_bps)
{
    rate->ceiling_bps = ceiling_bps;
    if (rate->bps > ceiling_bps)
        rate->bps = ceiling_bps;
}

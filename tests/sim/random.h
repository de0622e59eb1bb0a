/* sim_random: the simulator's own generator (splitmix64). One per purpose, so that a draw more in one place does not
 * change what all the others draw. */
#ifndef SIM_RANDOM_H
#define SIM_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct sim_random {
    uint64_t state;
};

static inline uint64_t sim_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static inline struct sim_random sim_random_init(uint64_t seed, uint64_t stream)
{
    return (struct sim_random){sim_mix(seed * 0x9e3779b97f4a7c15ull + 1) ^ sim_mix(~stream)};
}

static inline uint64_t sim_next(struct sim_random *random)
{
    random->state += 0x9e3779b97f4a7c15ull;
    return sim_mix(random->state);
}

/* Uniform in [0, limit); 0 when limit is 0. */
static inline uint64_t sim_below(struct sim_random *random, uint64_t limit)
{
    return limit > 0 ? sim_next(random) % limit : 0;
}

/* Uniform in [low, high]. */
static inline uint64_t sim_between(struct sim_random *random, uint64_t low, uint64_t high)
{
    return low + sim_below(random, high - low + 1);
}

static inline double sim_unit(struct sim_random *random)
{
    return (double)(sim_next(random) >> 11) * 0x1p-53;
}

static inline bool sim_chance(struct sim_random *random, double p)
{
    return sim_unit(random) < p;
}

#endif

/* Apart from outer.c, which a trainer may take without xxHash. */
#include "outer.h"

#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

void gx_outer_digest(char hex[GX_OUTER_DIGEST_CHARS], const float *theta, const float *momentum,
                     uint64_t count)
{
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, theta, count * sizeof(float));
    if (momentum)
        XXH3_128bits_update(&state, momentum, count * sizeof(float));
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, XXH3_128bits_digest(&state));
    for (unsigned i = 0; i < sizeof(bytes.digest); i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes.digest[i]);
}

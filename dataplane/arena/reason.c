#include "gx.h"

const char *gx_reason_text(enum gx_reason reason)
{
    static const char *const texts[] = {
#define GX_REASON(name, text) text,
#include "errors.def"
#undef GX_REASON
    };

    /* The number may come from another process or a newer version. */
    return (unsigned)reason < GX_REASON_COUNT ? texts[reason]
                                              : "a reason that this version does not know";
}

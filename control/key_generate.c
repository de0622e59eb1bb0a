#include "ctl.h"

#include <sodium.h>
#include <sys/stat.h>

#include "session/psk.h"

int gx_ctl_key_generate(const struct gx_ctl *ctl, char **arguments)
{
    uint8_t key[GX_PSK_BYTES];
    char text[2 * GX_PSK_BYTES + 1];
    struct stat stat;

    (void)arguments;
    if (sodium_init() < 0)
        return gx_ctl_fail(ctl, GX_CTL_FAILED, "no random numbers are to be had here");
    /* gxd would refuse the file later; now its mode can still be changed before the key is copied about. */
    if (fstat(fileno(ctl->out), &stat) == 0 && S_ISREG(stat.st_mode) && stat.st_mode & 077)
        fprintf(ctl->err,
                "gxctl: others may read that file: chmod 600 it before you use the key\n");
    randombytes_buf(key, sizeof(key));
    fprintf(ctl->out, "%s\n", sodium_bin2hex(text, sizeof(text), key, sizeof(key)));
    sodium_memzero(key, sizeof(key));
    sodium_memzero(text, sizeof(text));
    return GX_CTL_OK;
}

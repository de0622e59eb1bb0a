#include "ctl.h"

int main(int argc, char **argv)
{
    int code = gx_ctl_run(argc, argv, stdout, stderr);

    /* A full disk or a closed pipe must not look like success. */
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == GX_CTL_OK)
        code = GX_CTL_FAILED;
    return code;
}

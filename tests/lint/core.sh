#!/bin/sh
# tests/lint/core.sh BUILD: the core (session, lane, transfer, exchange, fec, wire and core.c) does no I/O, reads no
# clock and knows no port. Checked twice: what its files include, and what libgxcore.a asks of the outside.
set -eu

build=$1
folders="dataplane/wire dataplane/session dataplane/lane dataplane/transfer dataplane/exchange dataplane/fec"
rc=0

# shellcheck disable=SC2086
headers=$(find $folders dataplane/core.[ch] -name '*.[ch]' -exec grep -HnE \
    '#include *[<"](sys/socket|sys/epoll|sys/mman|sys/stat|sys/uio|netinet/|arpa/|net/|netdb|poll|fcntl|unistd|time|sys/time|pthread|threads|liburing|rte_|port/)' {} + || true)
if [ -n "$headers" ]; then
    echo "$headers"
    echo "lint: the core does no I/O: these headers belong to port/ or to main" >&2
    rc=1
fi

symbols=$(nm -u "$build/lib/libgxcore.a" | sed -n 's/^ *U //p' | sort -u | grep -E \
    '^(socket|bind|connect|send|recv|sendto|recvfrom|sendmsg|recvmsg|poll|ppoll|epoll_.*|open|openat|read|write|pread|pwrite|close|fopen|fread|fwrite|fflush|fsync|fdatasync|mmap|ioctl|clock_.*|time|gettimeofday|nanosleep|usleep|sleep|rand|random|getrandom|randombytes.*|pthread_.*|io_uring_.*|rte_.*|gx_port_.*|gx_log_.*)$' ||
    true)
if [ -n "$symbols" ]; then
    echo "lint: the core calls what a simulator cannot steer:" >&2
    for symbol in $symbols; do
        nm -Au "$build/lib/libgxcore.a" | sed -n "s/^.*:\(.*\.o\): *U $symbol\$/  \1: $symbol/p" >&2
    done
    rc=1
fi
exit $rc

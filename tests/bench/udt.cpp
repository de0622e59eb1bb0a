// Sends bytes over UDT (libudt), so that it can be compared. matrix.py compiles and runs it.
//
//   udt send ADDRESS PORT BYTES MBYTES_MAX     connects, then sends the time and BYTES bytes
//   udt receive PORT BYTES                     prints the seconds from that time until all have come
//
// Both on one machine: CLOCK_MONOTONIC is the same for them.
#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <netdb.h>
#include <udt/udt.h>
#include <vector>

static const int BUFFER_BYTES = 32 << 20;
static const int MTU = 1500;

static double now()
{
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int complain(const char *what)
{
    std::fprintf(stderr, "udt: %s: %s\n", what, UDT::getlasterror().getErrorMessage());
    return 1;
}

static UDTSOCKET open_socket()
{
    UDTSOCKET s = UDT::socket(AF_INET, SOCK_STREAM, 0);
    int buffer = BUFFER_BYTES, window = BUFFER_BYTES / MTU, mtu = MTU;

    UDT::setsockopt(s, 0, UDT_MSS, &mtu, sizeof(mtu));
    UDT::setsockopt(s, 0, UDT_FC, &window, sizeof(window));
    UDT::setsockopt(s, 0, UDT_SNDBUF, &buffer, sizeof(buffer));
    UDT::setsockopt(s, 0, UDT_RCVBUF, &buffer, sizeof(buffer));
    UDT::setsockopt(s, 0, UDP_SNDBUF, &buffer, sizeof(buffer));
    UDT::setsockopt(s, 0, UDP_RCVBUF, &buffer, sizeof(buffer));
    return s;
}

static sockaddr_in address_of(const char *host, const char *port)
{
    sockaddr_in address;

    std::memset(&address, 0, sizeof(address));
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)std::atoi(port));
    inet_pton(AF_INET, host, &address.sin_addr);
    return address;
}

static bool send_all(UDTSOCKET s, const char *data, long bytes)
{
    for (long done = 0; done < bytes;) {
        int sent = UDT::send(s, data + done, (int)(bytes - done), 0);
        if (sent == UDT::ERROR)
            return false;
        done += sent;
    }
    return true;
}

static int send_bytes(const char *host, const char *port, long bytes, long mbytes_max)
{
    UDTSOCKET s = open_socket();
    sockaddr_in to = address_of(host, port);
    int64_t rate = mbytes_max * 1000000;
    linger wait = {1, 120};

    UDT::setsockopt(s, 0, UDT_MAXBW, &rate, sizeof(rate));
    UDT::setsockopt(s, 0, UDT_LINGER, &wait, sizeof(wait));
    if (UDT::connect(s, (sockaddr *)&to, sizeof(to)) == UDT::ERROR)
        return complain("connect");
    std::vector<char> data((size_t)bytes, 'g');
    double begun = now();
    if (!send_all(s, (const char *)&begun, sizeof(begun)) || !send_all(s, data.data(), bytes))
        return complain("send");
    UDT::close(s);
    return 0;
}

static int receive_bytes(const char *port, long bytes)
{
    UDTSOCKET s = open_socket();
    sockaddr_in at = address_of("0.0.0.0", port);
    std::vector<char> data(1 << 20);
    double begun = 0;
    long got = 0;

    if (UDT::bind(s, (sockaddr *)&at, sizeof(at)) == UDT::ERROR || UDT::listen(s, 1) == UDT::ERROR)
        return complain("listen");
    std::puts("listening");
    std::fflush(stdout);
    UDTSOCKET from = UDT::accept(s, NULL, NULL);
    if (from == UDT::INVALID_SOCK)
        return complain("accept");
    for (size_t at_byte = 0; at_byte < sizeof(begun);) {
        int n = UDT::recv(from, (char *)&begun + at_byte, (int)(sizeof(begun) - at_byte), 0);
        if (n == UDT::ERROR)
            return complain("receive");
        at_byte += (size_t)n;
    }
    while (got < bytes) {
        int n = UDT::recv(from, data.data(), (int)data.size(), 0);
        if (n == UDT::ERROR)
            return complain("receive");
        got += n;
    }
    std::printf("%.6f\n", now() - begun);
    return 0;
}

int main(int argc, char **argv)
{
    int code = 2;

    UDT::startup();
    if (argc == 6 && std::strcmp(argv[1], "send") == 0)
        code = send_bytes(argv[2], argv[3], std::atol(argv[4]), std::atol(argv[5]));
    else if (argc == 4 && std::strcmp(argv[1], "receive") == 0)
        code = receive_bytes(argv[2], std::atol(argv[3]));
    else
        std::fputs("usage: udt send ADDRESS PORT BYTES MBYTES_MAX | udt receive PORT BYTES\n",
                   stderr);
    std::fflush(stdout);
    _Exit(code); // UDT::cleanup() may wait for its threads for ever
}

/* A Modbus device of another make (libmodbus): modbus_peer tcp PORT | modbus_peer rtu PATH UNIT
 *
 * Holding and input register n (0…199) holds n, or what was set; coil and discrete input n is n % 3 == 0. TCP: any
 * number of connections, one after the other, any unit. Each request is told on stdout: "unit function address count".
 * Lines on stdin, each answered with "ok":
 *   set ADDRESS VALUE   both register tables        fault KIND ARG TIMES   for the next TIMES requests
 *   dead UNIT           answer no more              alive UNIT               quiet     tell no more requests
 * Faults: exception CODE, late MS, silent, drop, function, short, unit, length, checksum, other (a register too many).
 */
#include <errno.h>
#include <modbus.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LAST 200
static modbus_t *ctx;
static modbus_mapping_t *map;
static int rtu, times, arg, quiet, dead[256];
static char fault[16];

static void command(char *line) {
    int a, b;
    if (sscanf(line, "set %d %d", &a, &b) == 2) map->tab_registers[a] = map->tab_input_registers[a] = (uint16_t) b;
    else if (sscanf(line, "fault %15s %d %d", fault, &arg, &times) == 3) ;
    else if (sscanf(line, "dead %d", &a) == 1) dead[a] = 1;
    else if (sscanf(line, "alive %d", &a) == 1) dead[a] = 0;
    else if (!strcmp(line, "quiet")) quiet = 1;
    puts("ok");
    fflush(stdout);
}

static uint16_t crc(const uint8_t *data, int n) {
    uint16_t sum = 0xFFFF;
    for (int i = 0; i < n; i++) {
        sum ^= data[i];
        for (int j = 0; j < 8; j++) sum = sum & 1 ? sum >> 1 ^ 0xA001 : sum >> 1;
    }
    return sum;
}

/* The right answer to a read of registers, spoiled; written past libmodbus, which would not send it. */
static void spoiled(int fd, const uint8_t *query) {
    uint8_t out[300];
    int h = rtu ? 0 : 6, count = query[h + 4] << 8 | query[h + 5], address = query[h + 2] << 8 | query[h + 3];
    if (!strcmp(fault, "other")) count++;
    out[h] = query[h] + !strcmp(fault, "unit");
    out[h + 1] = query[h + 1] ^ (!strcmp(fault, "function") ? 7 : 0);
    out[h + 2] = (uint8_t) (2 * count - 2 * !strcmp(fault, "length"));
    for (int i = 0; i < count; i++) {
        uint16_t value = map->tab_registers[(address + i) % LAST];
        out[h + 3 + 2 * i] = value >> 8;
        out[h + 4 + 2 * i] = value & 0xFF;
    }
    int n = h + 3 + 2 * count;
    if (rtu) {
        uint16_t sum = crc(out, n) ^ (!strcmp(fault, "checksum") ? 1 : 0);
        out[n++] = sum & 0xFF;
        out[n++] = sum >> 8;
    } else {
        memcpy(out, query, 4);
        out[4] = 0;
        out[5] = (uint8_t) (n - 6);
    }
    if (!strcmp(fault, "short")) n -= 3;
    if (write(fd, out, n) != n) perror("write");
}

/* One request; 0 when the connection is to be closed. */
static int serve(int fd) {
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    modbus_set_socket(ctx, fd);
    int n = modbus_receive(ctx, query);
    if (n < 0) return rtu;
    if (n == 0) return 1; /* RTU: for another unit */
    int h = modbus_get_header_length(ctx), unit = query[h - 1];
    if (!quiet) {
        printf("%d %d %d %d\n", unit, query[h], query[h + 1] << 8 | query[h + 2], query[h + 3] << 8 | query[h + 4]);
        fflush(stdout);
    }
    if (dead[unit]) return 1;
    if (times > 0) {
        times--;
        if (!strcmp(fault, "silent")) return 1;
        if (!strcmp(fault, "drop")) return 0;
        if (!strcmp(fault, "exception")) modbus_reply_exception(ctx, query, arg);
        else if (!strcmp(fault, "late")) usleep(arg * 1000), modbus_reply(ctx, query, n, map);
        else spoiled(fd, query);
        return 1;
    }
    return modbus_reply(ctx, query, n, map) >= 0;
}

int main(int argc, char **argv) {
    struct pollfd fds[1000] = {{.fd = 0, .events = POLLIN}};
    int open = 2, server = -1;
    signal(SIGPIPE, SIG_IGN);
    rtu = argc > 3;
    map = modbus_mapping_new(LAST, LAST, LAST, LAST);
    for (int i = 0; i < LAST; i++) {
        map->tab_registers[i] = map->tab_input_registers[i] = i;
        map->tab_bits[i] = map->tab_input_bits[i] = i % 3 == 0;
    }
    if (rtu) {
        ctx = modbus_new_rtu(argv[2], 19200, 'E', 8, 1);
        modbus_set_slave(ctx, atoi(argv[3]));
        if (modbus_connect(ctx) < 0) return perror("connect"), 1;
        fds[1].fd = modbus_get_socket(ctx);
    } else {
        ctx = modbus_new_tcp("127.0.0.1", atoi(argv[2]));
        fds[1].fd = server = modbus_tcp_listen(ctx, 600);
        if (server < 0) return perror("listen"), 1;
    }
    fds[1].events = POLLIN;
    puts("ready");
    fflush(stdout);
    for (;;) {
        if (poll(fds, open, -1) < 0) return 1;
        if (fds[0].revents) {
            char line[100];
            int n = 0;
            while (n < 99 && read(0, line + n, 1) == 1 && line[n] != '\n') n++;
            if (n == 0) return 0;
            line[n] = 0;
            command(line);
        }
        for (int i = open - 1; i >= 1; i--) {
            if (!fds[i].revents) continue;
            if (fds[i].fd == server) {
                int fd = accept(server, NULL, NULL);
                if (fd >= 0 && open < 1000) fds[open++] = (struct pollfd) {.fd = fd, .events = POLLIN};
            } else if (!serve(fds[i].fd)) {
                close(fds[i].fd);
                fds[i] = fds[--open];
            }
        }
    }
}

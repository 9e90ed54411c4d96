/* A flat-out MQTT 3.1.1 publisher, QoS 1: publish HOST PORT MESSAGES TOPICS WINDOW RATE SEED
 *
 * Topics rig/0 ... rig/TOPICS-1 in turn; payload {"ts":ms,"value":x,"id":"SEED-n"}, x normal around 10 with sigma 1.
 * At most WINDOW messages are without PUBACK; RATE a second, 0 for as fast as it goes. Prints the seconds it took.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void send_all(int s, const uint8_t *data, size_t size) {
  while (size) {
    ssize_t n = send(s, data, size, 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      die("send");
    }
    data += n;
    size -= (size_t)n;
  }
}

/* Reads what there is; counts PUBACKs. Packets of the broker here are all four bytes. */
static long acks(int s, int wait) {
  static uint8_t held[65536];
  static size_t have;
  ssize_t n = recv(s, held + have, sizeof held - have, wait ? 0 : MSG_DONTWAIT);
  if (n == 0) die("the broker hung up");
  if (n < 0) {
    if (errno == EAGAIN || errno == EINTR) return 0;
    die("recv");
  }
  have += (size_t)n;
  size_t at = 0;
  long count = 0;
  while (have - at >= 4) {
    count += held[at] == 0x40;
    at += 4;
  }
  memmove(held, held + at, have - at);
  have -= at;
  return count;
}

static double normal(void) {
  double u = (rand() + 1.0) / (RAND_MAX + 2.0), v = (rand() + 1.0) / (RAND_MAX + 2.0);
  return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

int main(int argc, char **argv) {
  if (argc != 8) {
    fprintf(stderr, "publish HOST PORT MESSAGES TOPICS WINDOW RATE SEED\n");
    return 2;
  }
  long messages = atol(argv[3]), topics = atol(argv[4]), window = atol(argv[5]);
  double rate = atof(argv[6]);
  srand((unsigned)atoi(argv[7]));
  int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
  inet_pton(AF_INET, argv[1], &to.sin_addr);
  if (connect(s, (struct sockaddr *)&to, sizeof to)) die("connect");
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  char id[32];
  size_t name = (size_t)snprintf(id, sizeof id, "bench-%s", argv[7]);
  uint8_t hello[64] = {0x10, (uint8_t)(12 + name), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, (uint8_t)name};
  memcpy(hello + 14, id, name);
  send_all(s, hello, 14 + name);
  uint8_t answer[4];
  if (recv(s, answer, 4, MSG_WAITALL) != 4 || answer[3]) die("CONNACK");

  static uint8_t out[65536];
  size_t used = 0;
  long sent = 0, acked = 0;
  double start = now(CLOCK_MONOTONIC);
  while (acked < messages) {
    double due = rate > 0 ? (now(CLOCK_MONOTONIC) - start) * rate : (double)messages;
    while (sent < messages && sent - acked < window && (double)sent < due && used < sizeof out - 256) {
      char topic[32], body[160];
      int t = snprintf(topic, sizeof topic, "rig/%ld", sent % topics);
      int b = snprintf(body, sizeof body, "{\"ts\":%lld,\"value\":%.4f,\"id\":\"%s-%ld\"}",
                       (long long)(now(CLOCK_REALTIME) * 1000), 10 + normal(), argv[7], sent);
      uint8_t *p = out + used;
      size_t length = (size_t)(2 + t + 2 + b);
      *p++ = 0x32;
      *p++ = (uint8_t)(length & 0x7f) | (length > 127 ? 0x80 : 0);
      if (length > 127) *p++ = (uint8_t)(length >> 7);
      *p++ = 0;
      *p++ = (uint8_t)t;
      memcpy(p, topic, (size_t)t);
      p += t;
      uint16_t mid = (uint16_t)(sent % 65535 + 1);
      *p++ = (uint8_t)(mid >> 8);
      *p++ = (uint8_t)mid;
      memcpy(p, body, (size_t)b);
      used = (size_t)(p + b - out);
      sent++;
    }
    if (used) send_all(s, out, used);
    int idle = !used;
    used = 0;
    int full = sent >= messages || sent - acked >= window;
    if (idle && !full) usleep(200);
    acked += acks(s, full);
  }
  printf("%.6f\n", now(CLOCK_MONOTONIC) - start);
  uint8_t bye[2] = {0xe0, 0};
  send_all(s, bye, 2);
  close(s);
  return 0;
}

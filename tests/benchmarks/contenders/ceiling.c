/* What a C client reaches on the same broker: librabbitmq, persistent, mandatory, confirmed, acknowledged.
 * Nothing is encoded or validated. Usage: ceiling publish|consume HOST PORT VHOST USER PASSWORD QUEUE
 * COUNT WINDOW SIZE */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void check(int ok, const char *what) {
  if (!ok) {
    fprintf(stderr, "%s failed\n", what);
    exit(1);
  }
}

/* MiB that this program had at most; getrusage would count its parent before exec as well. */
static double peak(void) {
  char line[256];
  long kib = 0;
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status) && sscanf(line, "VmHWM: %ld kB", &kib) != 1)
    ;
  if (status) fclose(status);
  return kib / 1024.0;
}

static void publish(amqp_connection_state_t connection, const char *queue, long count, long window, long size) {
  amqp_bytes_t body = amqp_bytes_malloc(size);
  amqp_basic_properties_t properties = {0};
  long sent = 0, open = 0;
  memset(body.bytes, 'x', size);
  properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG;
  properties.delivery_mode = 2;
  properties.content_type = amqp_cstring_bytes("application/json");
  amqp_confirm_select(connection, 1);
  uint64_t *done = calloc(count + 1, sizeof *done);
  while (sent < count || open) {
    if (sent < count && open < window) {
      check(amqp_basic_publish(connection, 1, amqp_empty_bytes, amqp_cstring_bytes(queue), 1, 0, &properties, body) == 0,
            "publish");
      sent++;
      open++;
    } else {
      amqp_frame_t frame;
      amqp_maybe_release_buffers(connection);
      check(amqp_simple_wait_frame(connection, &frame) == AMQP_STATUS_OK, "waiting");
      check(frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_BASIC_ACK_METHOD, "confirm");
      amqp_basic_ack_t *ack = frame.payload.method.decoded;
      if (ack->multiple) {
        for (uint64_t tag = ack->delivery_tag; tag > 0 && !done[tag]; tag--) {
          done[tag] = 1;
          open--;
        }
      } else if (!done[ack->delivery_tag]) {
        done[ack->delivery_tag] = 1;
        open--;
      }
    }
  }
  free(done);
}

static void consume(amqp_connection_state_t connection, const char *queue, long count) {
  amqp_basic_qos(connection, 1, 0, 100, 0);
  amqp_basic_consume(connection, 1, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, 0, 0, amqp_empty_table);
  for (long got = 0; got < count; got++) {
    amqp_envelope_t envelope;
    amqp_maybe_release_buffers(connection);
    check(amqp_consume_message(connection, &envelope, NULL, 0).reply_type == AMQP_RESPONSE_NORMAL, "consume");
    check(amqp_basic_ack(connection, 1, envelope.delivery_tag, 0) == 0, "ack");
    amqp_destroy_envelope(&envelope);
  }
}

int main(int argc, char **argv) {
  check(argc == 11, "usage");
  amqp_connection_state_t connection = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(connection);
  long count = atol(argv[8]);
  check(amqp_socket_open(socket, argv[2], atoi(argv[3])) == AMQP_STATUS_OK, "connect");
  check(amqp_login(connection, argv[4], 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, argv[5], argv[6]).reply_type ==
            AMQP_RESPONSE_NORMAL,
        "login");
  amqp_channel_open(connection, 1);
  check(amqp_get_rpc_reply(connection).reply_type == AMQP_RESPONSE_NORMAL, "channel");
  double began = now(CLOCK_MONOTONIC), cpu = now(CLOCK_PROCESS_CPUTIME_ID);
  if (strcmp(argv[1], "publish") == 0)
    publish(connection, argv[7], count, atol(argv[9]), atol(argv[10]));
  else
    consume(connection, argv[7], count);
  double ended = now(CLOCK_MONOTONIC), spent = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
  printf("{\"rate\": %f, \"cpu\": %f, \"memory\": %f}\n", count / (ended - began), spent / count * 1e6,
         peak());
  amqp_channel_close(connection, 1, AMQP_REPLY_SUCCESS);
  amqp_connection_close(connection, AMQP_REPLY_SUCCESS);
  amqp_destroy_connection(connection);
  return 0;
}

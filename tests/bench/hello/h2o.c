// A hello server over libh2o 2.2 with its own event loop: a loop per thread, all of which accept
// from one listening socket.
#include <arpa/inet.h>
#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2.h>
#include <pthread.h>
#include <string.h>

#include "bench/hello/hello.h"

static h2o_globalconf_t config;
static int listening = -1;

static int on_request(h2o_handler_t* self, h2o_req_t* request) {
  static h2o_generator_t generator = {NULL, NULL};
  (void)self;
  h2o_iovec_t body = h2o_iovec_init(H2O_STRLIT(HELLO_BODY));
  request->res.status = 200;
  request->res.reason = "OK";
  request->res.content_length = body.len;
  h2o_add_header(&request->pool, &request->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                 H2O_STRLIT(HELLO_TYPE));
  h2o_start_response(request, &generator);
  h2o_send(request, &body, 1, 1);
  return 0;
}

static void on_accept(h2o_socket_t* listener, const char* error) {
  if (error != NULL) return;
  h2o_socket_t* socket = h2o_evloop_socket_accept(listener);
  if (socket != NULL) h2o_accept((h2o_accept_ctx_t*)listener->data, socket);
}

static void* run_loop(void* unused) {
  h2o_context_t context;
  h2o_accept_ctx_t accept_context;
  (void)unused;
  memset(&accept_context, 0, sizeof accept_context);
  h2o_context_init(&context, h2o_evloop_create(), &config);
  accept_context.ctx = &context;
  accept_context.hosts = config.hosts;
  h2o_socket_t* listener =
      h2o_evloop_socket_create(context.loop, dup(listening), H2O_SOCKET_FLAG_DONT_READ);
  listener->data = &accept_context;
  h2o_socket_read_start(listener, on_accept);
  while (h2o_evloop_run(context.loop, INT32_MAX) == 0) {
  }
  return NULL;
}

int main(void) {
  struct sockaddr_in address = {.sin_family = AF_INET};
  socklen_t size = sizeof address;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (bind(listening, (struct sockaddr*)&address, size) != 0 || listen(listening, 4096) != 0 ||
      getsockname(listening, (struct sockaddr*)&address, &size) != 0) {
    return 1;
  }
  h2o_config_init(&config);
  config.http1.req_timeout = config.http2.idle_timeout = 75000;
  h2o_hostconf_t* host =
      h2o_config_register_host(&config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
  h2o_create_handler(h2o_config_register_path(host, "/", 0), sizeof(h2o_handler_t))->on_req =
      on_request;
  hello_ready(ntohs(address.sin_port));
  for (int i = 1; i < hello_threads(); i++) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, run_loop, NULL) != 0) return 1;
  }
  run_loop(NULL);
  return 0;
}

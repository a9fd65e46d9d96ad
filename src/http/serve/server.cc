// The server as its owner sees it: configuration, request cycle, TLS and listener, built in this
// order and ended in the reverse one.
#include "http/serve/server.h"

#include "http/serve/listener.h"
#include "http/serve/request_cycle.h"
#include "http/serve/tls.h"

namespace kvcs::http {

struct Server::Impl {
  Impl(const ServerConfig& given, const Router& router, const Clock& clock,
       RequestObserver observer, std::function<void(const Status& why)> on_fatal,
       LiveStreams* live_streams, std::function<Status(const Principal& caller)> look_up_again)
      : config(given),
        cycle(config, router, clock, std::move(observer), live_streams, std::move(look_up_again)),
        listener(config, cycle, tls, std::move(on_fatal)) {}

  const ServerConfig config;
  RequestCycle cycle;
  TlsContext tls;
  Listener listener;
};

Server::Server(const ServerConfig& config, const Router& router, const Clock& clock,
               RequestObserver observer, std::function<void(const Status& why)> on_fatal,
               LiveStreams* live_streams,
               std::function<Status(const Principal& caller)> look_up_again)
    : impl_(std::make_unique<Impl>(config, router, clock, std::move(observer), std::move(on_fatal),
                                   live_streams, std::move(look_up_again))) {}

Server::~Server() {
  stop(0);
}

Status Server::bind() {
  impl_->cycle.set_trusted_proxies(KVCS_TRY(TrustedProxies::parse(impl_->config.trusted_proxies)));
  KVCS_TRY(reload_tls());
  return impl_->listener.bind();
}

Status Server::start() {
  if (!impl_->listener.is_bound()) KVCS_TRY(bind());
  return impl_->listener.start();
}

int64_t Server::certificate_expires_s() const {
  return impl_->tls.expires_s();
}

Status Server::reload_tls() {
  const TlsConfig& tls = impl_->config.tls;
  if (tls.certificate_path.empty() != tls.key_path.empty()) {
    return invalid("tls.certificate and tls.key must be given together.");
  }
  return tls.certificate_path.empty() ? ok() : impl_->tls.load(tls);
}

int Server::port() const {
  return impl_->listener.port();
}

void Server::stop(int grace_ms) {
  impl_->cycle.close_after_responses();
  impl_->listener.stop(grace_ms);
}

Server::Stats Server::stats() const {
  return impl_->listener.stats();
}

void Server::add_pulses(const AddPulse& add) const {
  impl_->listener.add_pulses(add);
}

}  // namespace kvcs::http

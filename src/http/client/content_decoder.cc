// A response that reads from another one and undoes its content codings.
#include "http/client/content_decoder.h"

#include <utility>

#include "base/bytes.h"
#include "http/client/upstream_rules.h"
#include "http/wire/content_coding.h"

namespace kvcs::http {
namespace {

Status bad_coding(const Status& why) {
  return upstream_failed(why.message()).with_reason("bad_coding");
}

class DecodedResponse final : public UpstreamResponse {
 public:
  DecodedResponse(std::unique_ptr<UpstreamResponse> inner,
                  const std::vector<ContentCoding>& codings)
      : inner_(std::move(inner)), headers_(inner_->headers()), decoders_(codings) {
    std::erase_if(headers_, [](const auto& header) {
      return header.first == "content-encoding" || header.first == "content-length";
    });
  }
  int status() const override { return inner_->status(); }
  const HeaderList& headers() const override { return headers_; }
  bool client_left() const override { return inner_->client_left(); }
  void note_client_left() override { inner_->note_client_left(); }

  Result<size_t> read(std::span<char> out) override {
    Result<size_t> got =
        decoders_.read([this](std::span<char> room) { return inner_->read(room); }, out);
    // Invalid is the decoder's word; no exchange fails by it.
    if (got.code() == Code::kInvalid) return bad_coding(got.status());
    return got;
  }

 private:
  const std::unique_ptr<UpstreamResponse> inner_;
  HeaderList headers_;
  ContentDecoders decoders_;
};

}  // namespace

Result<std::unique_ptr<UpstreamResponse>> decode_content(
    std::unique_ptr<UpstreamResponse> response) {
  const auto header = response->header_list("content-encoding");
  if (!header) return response;
  const auto codings = parse_content_codings(*header);
  if (!codings.ok()) return bad_coding(codings.status());
  if (codings->empty()) return response;
  return std::unique_ptr<UpstreamResponse>(
      std::make_unique<DecodedResponse>(std::move(response), *codings));
}

}  // namespace kvcs::http

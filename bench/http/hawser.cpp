#include "contender.hpp"

#include "hawser/http/client.hpp"
#include "hawser/http/standard_options.hpp"

#include <boost/asio/io_context.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hawser_bench {

namespace {

hawser::http::request request_for(const target& where) {
  using hawser::http::request;
  if (where.what == kind::get) return request::get(get_path);
  return request::post(post_path).body(post_body(), "application/json");
}

struct connection {
  connection(const hawser::http::client& by, const target& where, long& left)
      : api(by), requests(left), request(request_for(where)) {}
  void next() {
    if (requests-- <= 0) return;
    api.async_send_to(request, answer, [this](const hawser::result<void>& r) {
      if (!r) give_up("hawser", r.error().message());
      if (answer.status() != 200) give_up("hawser", "status " + std::to_string(answer.status()));
      next();
    });
  }
  const hawser::http::client& api;
  long& requests;
  hawser::http::request request;
  hawser::http::response answer;
};

hawser::http::client_options options_for(const target& where) {
  hawser::http::client_options o;
  o.pool.max_connections = static_cast<std::size_t>(where.connections);
  o.pool.max_idle = o.pool.max_connections;
  if (!where.authority.empty()) o.tls.ca_pem = where.authority;
  return o;
}

class loop final : public contender {
 public:
  loop(const target& where, const hawser::pipeline_builder& policies)
      : api_(hawser::environment{io_.get_executor()},
             (where.authority.empty() ? "http://127.0.0.1:" : "https://127.0.0.1:") +
                 std::to_string(where.server.port()),
             policies, options_for(where)) {
    for (int i = 0; i < where.connections; ++i)
      all_.push_back(std::make_unique<connection>(api_, where, requests_));
  }
  void run(long requests) override {
    requests_ = requests;
    for (auto& c : all_) c->next();
    io_.restart();
    io_.run();
  }

 private:
  boost::asio::io_context io_{1};
  hawser::http::client api_;
  long requests_ = 0;
  std::vector<std::unique_ptr<connection>> all_;
};

}  // namespace

contender_ptr hawser_standard(const target& where) {
  hawser::http::standard_options policies;
  policies.bulkhead.max_concurrent = where.connections;
  return std::make_unique<loop>(where, hawser::http::standard_pipeline("bench", policies));
}

contender_ptr hawser_without_policies(const target& where) {
  return std::make_unique<loop>(where, hawser::pipeline_builder{"bench"});
}

}  // namespace hawser_bench

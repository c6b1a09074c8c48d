#include "shop.hpp"

#include <hawser/http/json.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace payments {

namespace asio = boost::asio;
namespace http = hawser::http;

int order_book::take() noexcept { return next_ < orders_ ? next_++ : -1; }

void order_book::done(bool success, clock::time_point since) {
  const auto now = clock::now();
  ++finished_;
  if (!success) return;
  ++succeeded_;
  milliseconds_.push_back(std::chrono::duration<double, std::milli>(now - since).count());
  longest_gap_ = std::max(longest_gap_, std::chrono::duration<double>(now - last_success_).count());
  last_success_ = now;
}

http::request charge_request(int order) {
  const nlohmann::json body = {{"order", "o-" + std::to_string(order)},
                               {"amount", 1000 + order},
                               {"currency", "EUR"},
                               {"card", planted_card}};
  return http::request::post("/v1/charges")
      .header("Authorization", std::string("Bearer ") + planted_token)
      .json(body);
}

namespace {

asio::awaitable<void> arrival(const order_book& book, int order) {
  asio::steady_timer timer(co_await asio::this_coro::executor, book.due(order));
  co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace

asio::awaitable<void> naive_worker(const http::client& api, order_book& book) {
  for (int order = book.take(); order >= 0; order = book.take()) {
    co_await arrival(book, order);
    const auto since = clock::now();
    bool paid = false;
    for (int attempt = 0; attempt < 4 && !paid; ++attempt) {
      http::request charge = charge_request(order);
      const hawser::result<http::response> answer =
          co_await api.async_send(std::move(charge), asio::use_awaitable);
      paid = answer && answer->ok();
    }
    book.done(paid, since);
  }
}

asio::awaitable<void> hawser_worker(const http::client& api, order_book& book,
                                    hawser::call_report& interesting, std::string& failures) {
  for (int order = book.take(); order >= 0; order = book.take()) {
    co_await arrival(book, order);
    const auto since = clock::now();
    hawser::call_report report;
    hawser::call_options options;
    options.report = &report;
    http::request charge = charge_request(order);
    const hawser::result<http::response> answer =
        co_await api.async_send(std::move(charge), options, asio::use_awaitable);
    const bool paid = answer && answer->ok();
    if (!paid)
      failures +=
          (answer ? "status " + std::to_string(answer->status()) : answer.error().message()) +
          "\n" + report.to_string();
    if (report.attempts > interesting.attempts) interesting = report;
    book.done(paid, since);
  }
}

}  // namespace payments

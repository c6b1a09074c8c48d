// A payment that is never made twice, though its first answer is lost on the way.
#include <hawser/http/client.hpp>
#include <hawser/http/json.hpp>
#include <hawser/testing/fault_server.hpp>

#include <iostream>

int main() {
  using hawser::testing::plan;
  hawser::testing::fault_server gateway;  // books a charge, then cuts the answer
  gateway.script({plan::answer(201, R"({"id":"ch_1"})").book().cut_at(20),
                  plan::answer(201, R"({"id":"ch_1"})").book(),
                  plan::answer(201, R"({"id":"ch_2"})").book().cut_at(20)});

  hawser::environment env;
  hawser::http::client_options options;
  options.idempotency = hawser::http::idempotency_profile::stripe();  // this API honours keys
  const hawser::http::client keyed{env, gateway.url(), hawser::http::standard_pipeline("gateway"),
                                   options};
  const hawser::http::client plain{env, gateway.url(), hawser::http::standard_pipeline("gateway")};

  const auto charge = [](const char* order) {
    return hawser::http::request::post("/v1/charges").json({{"order", order}, {"amount", 1200}});
  };

  // With a key, minted once for the call, the second attempt is safe: the gateway knows the key.
  hawser::call_report report;
  const auto paid = keyed.send(charge("o-1"), {.report = &report});
  if (!paid) {
    std::cerr << paid.error().message() << '\n';
    return 1;
  }
  std::cout << "status " << paid->status() << " after " << report.attempts << " attempts\n"
            << report.to_string();

  // Without one nobody may try again, and the error says so.
  const auto unknown = plain.send(charge("o-2"));
  if (unknown) return 1;
  std::cout << "without a key: " << unknown.error().message() << '\n';

  const auto ledger = gateway.ledger();
  std::cout << ledger.bookings << " bookings, " << ledger.double_bookings << " double\n";
  return unknown.error() == hawser::condition::ambiguous && ledger.double_bookings == 0 ? 0 : 1;
}

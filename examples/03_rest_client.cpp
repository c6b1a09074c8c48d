// A REST client with JSON: routes, typed answers, errors that name the field.
//
// Without an argument it talks to a small server of its own; else to the URL given.
#include <hawser/http/client.hpp>
#include <hawser/http/json.hpp>
#include <hawser/testing/fault_server.hpp>

#include <iostream>
#include <string>

struct user {
  std::string name;
  int age = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(user, name, age)

int main() {
  using hawser::testing::plan;
  hawser::testing::fault_server server;  // stands in for the real API
  server.script({plan::answer(503), plan::answer(200, R"({"name":"Ada","age":36})"),
                 plan::answer(200, R"({"name":"Ada","age":"old"})"), plan::answer(404)});

  hawser::environment env;
  const hawser::http::client api{env, server.url(), hawser::http::standard_pipeline("users")};

  // The first answer is a 503; the standard pipeline tries again, since a GET is safe.
  const hawser::result<user> ada = api.get("/users/{id}", {{"id", "42"}}).as<user>();
  if (!ada) {
    std::cerr << ada.error().message() << '\n';
    return 1;
  }
  std::cout << ada->name << " is " << ada->age << '\n';

  const auto wrong = api.get("/users/{id}", {{"id", "43"}}).as<user>();
  std::cout << "wrong type: " << wrong.error().message() << '\n';

  const auto missing = api.get("/users/{id}", {{"id", "44"}}).send();
  std::cout << "an answer is an answer: " << missing->status() << '\n';
  const auto misspelt = api.get("/users/{id}", {{"uid", "44"}}).send();
  std::cout << "nothing was sent: " << misspelt.error().message() << '\n';
  return wrong.error() == hawser::errc::json_wrong_type && missing->status() == 404 &&
                 misspelt.error() == hawser::condition::invalid_input
             ? 0
             : 1;
}

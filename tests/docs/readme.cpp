// The program at the top of README.md.
#include <hawser/http/client.hpp>

#include <iostream>

int main() {
  hawser::environment env;  // a thread of its own; or give it your executor
  hawser::http::client api{env, "https://billing.example",
                           hawser::http::standard_pipeline("billing")};
  auto r = api.get("/users/{id}", {{"id", "42"}}).send();
  std::cout << (r ? std::to_string(r->status()) : r.error().message()) << '\n';
}

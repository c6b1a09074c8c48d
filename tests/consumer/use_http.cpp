#include <hawser/http/json.hpp>
#include <hawser/http/retry_after.hpp>
#include <hawser/http/url.hpp>

int main() {
  const auto where = hawser::http::url::parse("https://api.example/v1");
  return where && where->origin() == "https://api.example:443" ? 0 : 1;
}

#include <hawser/testing/fault_server.hpp>

int main() {
  const hawser::testing::fault_server server;
  return server.port() != 0 && !server.down() ? 0 : 1;
}

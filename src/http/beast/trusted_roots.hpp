// Whom clients trust. Those of one environment that trust the same share one store: reading the
// system's roots takes 27 ms and most of a megabyte.
//
//   auto store = env.source().shared_parts().of<trusted_roots>().find(options);
#pragma once

#include "hawser/http/transport_options.hpp"

#include <openssl/x509_vfy.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace hawser::inline v0::http::beast {

using root_store = std::shared_ptr<X509_STORE>;

/// The files and directories that OpenSSL takes the system's roots from.
struct system_roots {
  std::string file;
  std::string directory;

  [[nodiscard]] static system_roots here();
};

/// Thread-safe. A store goes with the last client that uses it; one that was read from files which
/// have changed since is for nobody new.
class trusted_roots {
 public:
  /// `make` reads and parses, for the first who asks; what it throws comes out.
  [[nodiscard]] root_store find(const tls_options& options,
                                const std::function<root_store()>& make);

 private:
  std::mutex mutex_;
  std::vector<std::pair<std::string, std::weak_ptr<X509_STORE>>> stores_;
};

}  // namespace hawser::inline v0::http::beast

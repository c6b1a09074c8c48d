#include "http/beast/trusted_roots.hpp"

#include <openssl/x509.h>

#include <sys/stat.h>
#include <cstdlib>
#include <string_view>

namespace hawser::inline v0::http::beast {

namespace {

std::string variable_or(const char* name, const char* otherwise) {
  const char* const value = ::secure_getenv(name);
  return value != nullptr ? value : otherwise;
}

/// What changes when a file's content does.
std::string state_of(const std::string& path) {
  struct stat s {};
  if (::stat(path.c_str(), &s) != 0) return path + "|absent;";
  std::string text = path;
  for (const auto number :
       {static_cast<long long>(s.st_dev), static_cast<long long>(s.st_ino),
        static_cast<long long>(s.st_size), static_cast<long long>(s.st_mtim.tv_sec),
        static_cast<long long>(s.st_mtim.tv_nsec), static_cast<long long>(s.st_ctim.tv_sec),
        static_cast<long long>(s.st_ctim.tv_nsec)})
    text += '|' + std::to_string(number);
  return text + ';';
}

/// All that a store is made of.
std::string sources_of(const tls_options& options) {
  if (!options.ca_file && !options.ca_pem) {
    const system_roots from = system_roots::here();
    return "system " + state_of(from.file) + state_of(from.directory);
  }
  std::string text;
  if (options.ca_file) text += "file " + state_of(*options.ca_file);
  if (options.ca_pem) text += "text " + *options.ca_pem;
  return text;
}

}  // namespace

system_roots system_roots::here() {
  return {variable_or(X509_get_default_cert_file_env(), X509_get_default_cert_file()),
          variable_or(X509_get_default_cert_dir_env(), X509_get_default_cert_dir())};
}

root_store trusted_roots::find(const tls_options& options,
                               const std::function<root_store()>& make) {
  std::string sources = sources_of(options);
  // Others who ask wait for the first to have read: they would only read the same.
  const std::lock_guard lock(mutex_);
  std::erase_if(stores_, [](const auto& known) { return known.second.expired(); });
  for (const auto& [from, store] : stores_)
    if (from == sources)
      if (root_store found = store.lock()) return found;
  root_store made = make();
  stores_.emplace_back(std::move(sources), made);
  return made;
}

}  // namespace hawser::inline v0::http::beast

#include "hawser/testing/detail/message_text.hpp"

#include "hawser/http/response.hpp"
#include "hawser/observe/redactor.hpp"
#include "hawser/testing/fake_transport.hpp"
#include "hawser/testing/fault_plan.hpp"

#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace hawser::inline v0::testing::detail {

namespace {

using nlohmann::json;

constexpr std::size_t longest_body = 2048;

/// A head line, fields and body, masked.
class message_text {
 public:
  explicit message_text(const std::string& head) : text_(masks_->text(head)) {}
  void field(std::string_view name, std::string_view value) {
    text_ += "\n  ";
    text_ += name;
    text_ += ": " + masks_->header(name, value);
  }
  [[nodiscard]] std::string with_body(std::string_view body) && {
    if (body.empty()) return std::move(text_);
    text_ += "\n  ";
    text_ += json::accept(body) ? masks_->json(body) : masks_->text(body.substr(0, longest_body));
    if (text_.size() > longest_body * 2) text_.resize(longest_body * 2);
    return std::move(text_);
  }

 private:
  std::shared_ptr<const redactor> masks_ = make_redactor();
  std::string text_;
};

template <class Request>
std::string request_text(const Request& r) {
  message_text text(r.method + " " + make_redactor()->url(r.target));
  for (const auto& [name, value] : r.headers) text.field(name, value);
  return std::move(text).with_body(r.body);
}

}  // namespace

std::string text_of(const sent_request& r) { return request_text(r); }
std::string text_of(const received_request& r) { return request_text(r); }

std::string text_of(const http::response& r) {
  message_text text(std::to_string(r.status()) + " " + std::string(r.reason()));
  for (const auto& f : r.headers()) text.field(f.name, f.value);
  return std::move(text).with_body(r.body());
}

std::string dump(const json& value) { return value.dump(); }

std::string json_difference(std::string_view body, const std::string& pointer,
                            const std::string& expected) {
  const json wanted = json::parse(expected, nullptr, false);
  if (wanted.is_discarded()) return "what the matcher expects is not JSON: " + expected;
  json found = json::parse(body, nullptr, false);
  if (found.is_discarded()) return body.empty() ? "which has no body" : "whose body is not JSON";
  if (!pointer.empty()) {
    try {
      const json part = found.at(json::json_pointer(pointer));
      found = part;
    } catch (const json::exception&) {
      return "which has nothing at " + pointer;
    }
  }
  std::string text;
  for (const json& change : json::diff(found, wanted)) {
    const std::string path = change["path"].get<std::string>();
    const std::string at = pointer + path;
    text += text.empty() ? "which differs: " : "; ";
    text += (at.empty() ? "the whole" : at) + " ";
    if (change["op"] == "add")
      text += "is missing, should be " + change["value"].dump();
    else if (change["op"] == "remove")
      text += "is " + found.at(json::json_pointer(path)).dump() + ", should not be there";
    else
      text += "is " + found.at(json::json_pointer(path)).dump() + ", should be " +
              change["value"].dump();
  }
  return text;
}

}  // namespace hawser::inline v0::testing::detail

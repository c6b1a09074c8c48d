#include "hawser/http/json.hpp"

#include <utility>
#include <vector>

namespace hawser::inline v0::http {

namespace {

using nlohmann::json;

constexpr int number_out_of_range = 406;  // nlohmann's number for it

// Builds the document value by value, so that depth is known before it is used.
class builder final : public nlohmann::json_sax<json> {
 public:
  builder(json& root, std::size_t deepest) : root_(root), deepest_(deepest) {}

  [[nodiscard]] bool too_deep() const noexcept { return too_deep_; }
  [[nodiscard]] std::size_t stopped_at() const noexcept { return stopped_at_; }
  [[nodiscard]] bool overflow() const noexcept { return overflow_; }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return false; }  // JSON text has none
  bool start_object(std::size_t) override { return open(json::value_t::object); }
  bool key(string_t& name) override {
    member_ = &(*open_.back())[std::move(name)];
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(json::value_t::array); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string&, const json::exception& why) override {
    stopped_at_ = position;
    overflow_ = why.id == number_out_of_range;
    return false;
  }

 private:
  template <class Value>
  bool put(Value&& value) {
    place(json(std::forward<Value>(value)));
    return true;
  }
  json* place(json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    *member_ = std::move(value);
    return member_;
  }
  bool open(json::value_t kind) {
    if (open_.size() >= deepest_) {
      too_deep_ = true;
      return false;
    }
    open_.push_back(place(json(kind)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  json& root_;
  std::size_t deepest_;
  std::vector<json*> open_;  // arrays grow only while they are the innermost, so these stay valid
  json* member_ = nullptr;
  std::size_t stopped_at_ = 0;
  bool too_deep_ = false;
  bool overflow_ = false;
};

}  // namespace

result<json> parse_json(std::string_view text, const limits& l) {
  result<json> parsed(boost::system::in_place_value);
  // The parser takes a NUL for the end of the text, and would not see what follows it.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos)
    return error(errc::json_malformed, "a NUL is byte " + std::to_string(nul + 1) + " of " +
                                           std::to_string(text.size()) +
                                           "; check that the server sends JSON and nothing else");
  builder sax(*parsed, l.json_depth);
  if (json::sax_parse(text.begin(), text.end(), &sax)) return parsed;
  if (sax.too_deep())
    return error(errc::json_too_deep, "deeper than " + std::to_string(l.json_depth) +
                                          " levels (limits.json_depth); raise it if this is meant");
  std::string why;
  if (text.empty())
    why = "the text is empty";
  else if (sax.overflow())
    why = "a number is too large, before byte " + std::to_string(sax.stopped_at());
  else if (sax.stopped_at() > text.size())
    why = "the text ends after " + std::to_string(text.size()) + " bytes, inside of a value";
  else
    why = "reading stopped at byte " + std::to_string(sax.stopped_at()) + " of " +
          std::to_string(text.size());
  return error(errc::json_malformed, why + "; check that the server sends JSON and nothing else");
}

error detail::no_content(int status) {
  std::string text = status != 0 ? "status " + std::to_string(status) : "the body is empty";
  if (const std::string_view phrase = reason_phrase(status); !phrase.empty())
    text.append(" ").append(phrase);
  return error(errc::no_content, text +
                                     "; ask by as<void>() when no value is expected, by "
                                     "as<std::optional<T>>() when there may be none")
      .about_answer(status);
}

result<json> detail::read_json(std::string_view body, const limits& l, int status) {
  if (has_no_content(body, status)) return no_content(status);
  result<json> parsed = parse_json(body, l);
  if (!parsed) return parsed.error().about_answer(status);
  return parsed;
}

}  // namespace hawser::inline v0::http

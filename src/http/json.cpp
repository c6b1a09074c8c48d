#include "hawser/http/json.hpp"

#include <utility>
#include <vector>

namespace hawser::inline v0::http {

namespace {

using nlohmann::json;

constexpr int number_out_of_range = 406;  // nlohmann's number for it

// What nlohmann/json's values take, as glibc's malloc gives it out on 64 bits: what it allocates, 8
// bytes more, and up to the next 16. Elsewhere it is less.
constexpr std::size_t block(std::size_t size) noexcept { return (size + 8 + 15) / 16 * 16; }
// An array that grows has once and twice the room that it needs, for a moment both.
constexpr std::size_t of_element = 3 * sizeof(json);
constexpr std::size_t of_member =
    block(4 * sizeof(void*) + sizeof(std::pair<const std::string, json>));
constexpr std::size_t of_array = block(sizeof(json::array_t));
constexpr std::size_t of_object = block(sizeof(json::object_t));
constexpr std::size_t of_string = block(sizeof(std::string));

/// Beside the string itself, which has room for the short ones. The parser's own goes into the
/// value as it is, with the room that it had grown to.
std::size_t of_text(const std::string& s) noexcept {
  return s.capacity() < 16 ? 0 : block(s.capacity() + 1);
}

// Builds the document value by value, so that depth and size are known before they are used.
class builder final : public nlohmann::json_sax<json> {
 public:
  builder(json& root, const limits& l)
      : root_(root), deepest_(l.json_depth), bytes_left_(l.json_bytes) {}

  [[nodiscard]] bool too_large() const noexcept { return too_large_; }
  [[nodiscard]] bool too_deep() const noexcept { return too_deep_; }
  [[nodiscard]] std::size_t stopped_at() const noexcept { return stopped_at_; }
  [[nodiscard]] bool overflow() const noexcept { return overflow_; }

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override {
    return takes(of_string + of_text(value)) && put(std::move(value));
  }
  bool binary(binary_t&) override { return false; }  // JSON text has none
  bool start_object(std::size_t) override {
    return takes(of_object) && open(json::value_t::object);
  }
  bool key(string_t& name) override {
    if (!takes(of_member + of_text(name))) return false;
    member_ = &(*open_.back())[std::move(name)];
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return takes(of_array) && open(json::value_t::array); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string&, const json::exception& why) override {
    stopped_at_ = position;
    overflow_ = why.id == number_out_of_range;
    return false;
  }

 private:
  template <class Value>
  bool put(Value&& value) {
    if (!has_place()) return false;
    place(json(std::forward<Value>(value)));
    return true;
  }
  bool takes(std::size_t bytes) noexcept {
    too_large_ = bytes > bytes_left_;
    if (!too_large_) bytes_left_ -= bytes;
    return !too_large_;
  }
  /// A member's was counted with its key.
  bool has_place() noexcept {
    return open_.empty() || !open_.back()->is_array() || takes(of_element);
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
    if (!has_place()) return false;
    open_.push_back(place(json(kind)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  json& root_;
  std::size_t deepest_;
  std::size_t bytes_left_;
  std::vector<json*> open_;  // arrays grow only while they are the innermost, so these stay valid
  json* member_ = nullptr;
  std::size_t stopped_at_ = 0;
  bool too_deep_ = false;
  bool too_large_ = false;
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
  builder sax(*parsed, l);
  if (json::sax_parse(text.begin(), text.end(), &sax)) return parsed;
  if (sax.too_deep())
    return error(errc::json_too_deep, "deeper than " + std::to_string(l.json_depth) +
                                          " levels (limits.json_depth); raise it if this is meant");
  if (sax.too_large())
    return error(errc::json_too_large,
                 std::to_string(text.size()) + " bytes of text would take more than " +
                     std::to_string(l.json_bytes) +
                     " bytes of memory (limits.json_bytes); raise it if this is meant");
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

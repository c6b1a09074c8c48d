// A redactor's options in the form it works with.
#pragma once

#include "core/sha256.hpp"
#include "hawser/observe/redactor.hpp"
#include "observe/masking_literals.hpp"

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace hawser::inline v0::detail {

/// Where a name has to stand in free text to be taken for a secret's.
enum class certainty : std::uint8_t {
  always,    ///< "password: x"
  equals,    ///< Common words, such as "pin": "pin=x", "\"pin\": x" or "?pin=x", not "pin: x".
  enclosed,  ///< Very common words, such as "code": "\"code\": x" or "?code=x" only.
};

struct name_entry {
  mask_style style = mask_style::fixed;
  certainty sure = certainty::always;
  bool header = false;  ///< Its value may go to the end of the line.
  bool wide = false;    ///< Its value has blanks in it: credentials and cookies.
  bool counts = false;  ///< A number under this name is a count: "max_tokens" is no secret.
};

/// Names, compared by their letters and digits only.
class name_set {
 public:
  void set(std::string_view name, const name_entry& entry);
  void remove(std::string_view name);
  /// Joins another set's names in; of two styles the earlier one stays.
  void join(const name_set& other);
  [[nodiscard]] const name_entry* find(std::string_view name) const noexcept;

 private:
  struct hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  std::unordered_map<std::string, name_entry, hash, std::equal_to<>> exact_;
  using suffix_list = std::vector<std::pair<std::string, name_entry>>;
  static std::size_t bucket(std::string_view suffix) noexcept {
    return suffix.empty() ? 0 : static_cast<unsigned char>(suffix.back()) % 32;
  }
  /// Of the last two bytes of a name without its separators; most names end like no secret's.
  static std::size_t ending(char before, char last) noexcept {
    return (static_cast<unsigned char>(before) * 32U + static_cast<unsigned char>(last)) % 1024;
  }
  void note_ending(std::string_view plain) noexcept;

  std::array<suffix_list, 32> suffixes_;  // by their last bytes
  std::bitset<1024> endings_;             // of all names
};

struct redaction_rules {
  /// Throws config_error.
  explicit redaction_rules(const redaction& options);

  /// What takes the place of `plain`, a secret without escapes.
  [[nodiscard]] std::string replacement(mask_style style, std::string_view plain) const;

  /// The same, but an authentication scheme in front stays.
  [[nodiscard]] std::string credential(mask_style style, std::string_view plain) const;

  /// Length of the mask of ours that `text` begins with; 0 without one.
  [[nodiscard]] std::size_t mark_length(std::string_view text) const noexcept;

  /// Looks a name up, then its last part: "user[password]", "db.password", "cfg/password".
  [[nodiscard]] static const name_entry* find_part(const name_set& names,
                                                   std::string_view name) noexcept;

  /// The rule for a header field, or nullptr.
  [[nodiscard]] const name_entry* header_entry(std::string_view name) const noexcept;

  /// Whether `text`, which stands under that name, is a number that may be shown.
  [[nodiscard]] static bool is_count(const name_entry& entry, std::string_view text) noexcept;

  /// Masks patterns, assignments and literals. False, with `to` untouched, if there are none.
  [[nodiscard]] bool scan(std::string_view text, std::string& to) const;

  /// `scan`, into a string of its own.
  [[nodiscard]] std::string masked(std::string_view text) const;

  /// The last word on every output: no literal is left in it.
  [[nodiscard]] std::string finish(std::string text) const;

  /// Nothing if `text` is not JSON.
  [[nodiscard]] std::optional<std::string> json(std::string_view text) const;

  [[nodiscard]] std::string url(std::string_view text) const;
  [[nodiscard]] std::string form(std::string_view text, bool is_query) const;

  std::string mask;
  std::string hash_prefix;  // "[hmac:k1:"
  std::optional<hmac_sha256> hash;
  name_set headers;
  name_set parameters;
  name_set fields;
  name_set members;       // fields and headers, for JSON: some print the fields of a message so
  name_set header_names;  // headers, and what is a secret's name elsewhere
  name_set anywhere;      // all three, for free text
  pattern_rules patterns;
  literal_set literals;
  mask_style literal_style = mask_style::fixed;
  std::size_t max_depth = 64;
  std::optional<std::size_t> max_body;

 private:
  [[nodiscard]] bool hide_literals(std::string& text) const;
};

/// Whether a member of this name tells what another one of its object is: {"name": "X-Api-Key",
/// "value": "..."}, {"loc": ["body", "password"], "input": "..."}: lists of header fields, of
/// variables, of changes to a document (RFC 6902), of what was wrong with a form.
[[nodiscard]] bool tells_name(std::string_view member) noexcept;

/// Whether a member of this name is what is told of.
[[nodiscard]] bool is_told_of(std::string_view member) noexcept;

/// Masks free text in one pass; false, with `to` untouched, if there was nothing to mask.
[[nodiscard]] bool scan_patterns(const redaction_rules& rules, std::string_view text,
                                 std::string& to);

/// The user info of the URL whose authority begins at `from`: where its '@' stands, or npos.
[[nodiscard]] std::size_t find_user_info(std::string_view text, std::size_t from) noexcept;

}  // namespace hawser::inline v0::detail

// Free text, in one pass. Words are looked at where they begin; names of secrets are looked for
// backwards from the '=' or ':' behind them, over a bounded stretch; what is masked is consumed.
// So every byte is read a bounded number of times, whatever the text.
#pragma once

#include "observe/masking_patterns.hpp"
#include "observe/masking_rules.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace hawser::inline v0::detail {

inline constexpr std::size_t name_reach = 96;  // how far back a name is looked for

class scanner {
 public:
  scanner(const redaction_rules& rules, std::string_view text) : rules_(rules), s_(text) {}

  bool run(std::string& to);

 private:
  struct found_name {
    const name_entry* entry = nullptr;
    bool in_query = false;
    char open_quote = 0;  // the quote that name and value stand in together
  };

  /// Puts `with` in place of [begin, end) and goes on behind it.
  void put(std::size_t begin, std::size_t end, const std::string& with);
  void dash();
  void percent();
  void skip_escape(std::size_t length, bool in_word);
  /// An escape is skipped as a whole, so that a word can begin behind it.
  void backslash();
  /// <password>hunter2</password>
  void element(std::size_t length);
  std::size_t end_of_element(std::size_t from) const;
  void entity();
  /// "postgres://u:S", cut before its '@': what stands behind the colon is no port. `scheme` is
  /// where the scheme ends, `begin` where the authority begins.
  void cut_user_info(std::size_t scheme, std::size_t begin);
  /// What stands before `i_`: an escape's meaning, a mask as it reads when masked once more.
  char before() const;
  /// A slash, `length` long. Two begin a reference without a scheme (RFC 3986 section 4.2), unless
  /// a path goes on there: "a//b@c".
  void slash(std::size_t length);
  /// User info behind "://" or, without a `scheme`, "//". True if a URL's authority stands there.
  bool authority(std::size_t from, bool scheme);

  // masking_words.cpp: what has a shape of its own.
  void word();
  bool key(std::size_t begin, std::size_t end);
  bool jwt(std::size_t begin);
  bool card(std::size_t begin);
  /// Numbers set off by '_': "card_4111111111111111".
  bool card_inside(std::string_view w, std::size_t begin);
  bool iban(std::size_t begin);
  /// "Bearer ..." and "Basic ...".
  bool credentials(std::size_t begin, std::size_t end);
  std::size_t end_of_token(std::size_t from, std::string& plain) const;
  void email(std::size_t at, std::size_t length);

  // masking_values.cpp: what stands behind a name.
  /// The name that ends before `end`, if it is a secret's.
  found_name name_before(std::size_t end, char separator, bool adjacent) const;
  /// "API key: ..." has its name in two words.
  const name_entry* two_words(std::size_t begin, std::string_view last) const;
  /// name=value, name: value, "name": value and what comes near it. The separator is at `at`.
  void assign(std::size_t at, std::size_t length, char separator);
  bool block(std::size_t from, const found_name& name);
  std::size_t next_line(std::size_t at) const;
  void member(std::size_t end);
  void mask_value(std::size_t begin, const found_name& name, char separator);
  /// The quote that closes the one at `open`, which has `escapes` backslashes before it; the end
  /// of the text if there is none. A doubled quote does not close.
  std::size_t closing_quote(std::size_t open, std::size_t escapes) const;
  /// Behind the bracket that closes the one at `open`; the end of the text if there is none.
  std::size_t closing_bracket(std::size_t open) const;
  /// The quote that closes the one at `open`, if that opens the value of a parameter such as
  /// realm="..."; they are not always escaped where the whole stands in quotes.
  std::size_t end_of_parameter(std::size_t from, std::size_t open) const;
  /// The end of a header field's value, continued lines included (RFC 9112 section 5.2).
  std::size_t end_of_line(std::size_t from, char open_quote) const;
  /// Whether "name=" stands at `from`.
  bool pair_at(std::size_t from) const;
  /// The end of a value that stands without quotes; what lies before `p` belongs to it.
  std::size_t end_of_word(std::size_t from, std::size_t p, const found_name& name) const;

  // masking_pairs.cpp: names and values that stand side by side.
  const name_entry* entry_of(std::string_view name) const;
  const name_entry* quoted_name_before(std::size_t end) const;
  void comma();
  bool put_quoted(std::size_t at, const name_entry& entry);
  bool told(std::string_view member, std::size_t at);
  const name_entry* named_at(std::size_t at) const;
  const name_entry* named_behind(std::size_t at);
  bool option();

  const redaction_rules& rules_;
  std::string_view s_;
  std::string out_;
  std::size_t i_ = 0;
  std::size_t copied_ = 0;         // what lies before is in out_
  std::size_t escape_end_ = 0;     // of the last escape that ends a word
  std::size_t separator_end_ = 0;  // of the last '=' or ':': no name reaches over it
  struct {
    std::size_t end = npos;
    char meaning = 0;
  } last_escape_;
  std::size_t no_jwt_before_ = 0;
  std::size_t no_hook_before_ = 0;
  const name_entry* told_ = nullptr;  // by {"name": "password", ...
  std::size_t told_end_ = 0;          // how far that reaches
  std::size_t told_none_before_ = 0;  // no name stands behind a value before
  bool changed_ = false;
};

}  // namespace hawser::inline v0::detail

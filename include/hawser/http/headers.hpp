// Header fields in one flat block: no node per field, cleared and refilled without allocating.
//
//   hawser::http::headers h;
//   h.add("Accept", "application/json");
//   if (auto type = h.find("content-type")) use(*type);     // names ignore case
//   for (hawser::http::headers::field f : h) print(f.name, f.value);
#pragma once

#include "hawser/core/export.hpp"
#include "hawser/core/result.hpp"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hawser::inline v0::http {

/// An ordered list of header fields (RFC 9110 section 5), duplicates kept. All views it hands out
/// are valid until it is next changed; a temporary gives strings in their place. Not thread-safe;
/// const members may be called by many.
class HAWSER_API headers {
 public:
  /// A field, as a view into the block.
  struct field {
    std::string_view name;   ///< As it was given; compare it with `same_name`.
    std::string_view value;  ///< Without blanks at its ends.
  };

  /// Goes through the fields in order.
  class const_iterator {
   public:
    using iterator_category = std::input_iterator_tag;  ///< Gives values, not references.
    using value_type = field;                           ///< A field.
    using difference_type = std::ptrdiff_t;             ///< Between two iterators.
    using pointer = void;                               ///< There are no pointers to fields.
    using reference = field;                            ///< A field, by value.

    const_iterator() noexcept = default;
    /// The field it stands at. Precondition: not at the end.
    [[nodiscard]] field operator*() const noexcept { return (*of_)[index_]; }
    /// To the next field.
    const_iterator& operator++() noexcept {
      ++index_;
      return *this;
    }
    /// To the next field; gives where it was.
    const_iterator operator++(int) noexcept {
      const_iterator before = *this;
      ++index_;
      return before;
    }
    friend bool operator==(const const_iterator&, const const_iterator&) noexcept = default;

   private:
    friend class headers;
    const_iterator(const headers* of, std::size_t index) noexcept : of_(of), index_(index) {}
    const headers* of_ = nullptr;
    std::size_t index_ = 0;
  };

  /// Appends a field as given. Precondition: a valid name and value; what comes from elsewhere goes
  /// through `try_add`. The texts may not lie inside this object. Throws std::length_error when all
  /// fields together pass 4 GiB.
  void add(std::string_view name, std::string_view value);
  /// Appends a field after checking it. errc::invalid_header, naming the field, never its value.
  result<void> try_add(std::string_view name, std::string_view value);
  /// Replaces all fields of that name by one. Precondition as for `add`.
  void set(std::string_view name, std::string_view value);
  /// Removes all fields of that name and says how many there were.
  std::size_t remove(std::string_view name);
  /// Forgets all fields and keeps the memory.
  void clear() noexcept;
  /// Makes room for so many fields of so many bytes (names and values) in all.
  void reserve(std::size_t fields, std::size_t bytes);

  /// The first field of that name.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const& noexcept;
  /// The same of a temporary.
  [[nodiscard]] std::optional<std::string> find(std::string_view name) &&;
  /// The values of all fields of that name, in order.
  [[nodiscard]] std::vector<std::string_view> all(std::string_view name) const&;
  /// The same of a temporary.
  [[nodiscard]] std::vector<std::string> all(std::string_view name) &&;
  /// Whether there is a field of that name.
  [[nodiscard]] bool contains(std::string_view name) const noexcept;

  /// How many fields there are.
  [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
  /// Whether there are none.
  [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }
  /// Names and values together.
  [[nodiscard]] std::size_t bytes() const noexcept { return block_.size(); }
  /// The field at `index`. Precondition: index < size().
  [[nodiscard]] field operator[](std::size_t index) const& noexcept {
    const entry& e = entries_[index];
    return {std::string_view(block_.data() + e.at, e.name_size),
            std::string_view(block_.data() + e.at + e.name_size, e.value_size)};
  }
  field operator[](std::size_t index) && = delete;
  /// The first field.
  [[nodiscard]] const_iterator begin() const& noexcept { return {this, 0}; }
  const_iterator begin() && = delete;
  /// Behind the last field.
  [[nodiscard]] const_iterator end() const& noexcept { return {this, entries_.size()}; }
  const_iterator end() && = delete;

 private:
  friend class response_reader;
  // Puts a blank and `more` behind the value of the field added last, for one folded over several
  // lines; no blank if that value is empty. Precondition: there is a field.
  void extend_last(std::string_view more);

  // A name and its value lie next to each other in the block, so one offset serves both.
  struct entry {
    std::uint32_t at;
    std::uint32_t name_size;
    std::uint32_t value_size;
  };
  std::string block_;
  std::vector<entry> entries_;
};

/// Whether two header names are the same, ASCII case ignored.
[[nodiscard]] HAWSER_API bool same_name(std::string_view a, std::string_view b) noexcept;

/// Whether a field may be sent: the name a token, the value without control characters other than
/// HTAB (RFC 9110 section 5.5), no blank at either end. errc::invalid_header.
[[nodiscard]] HAWSER_API result<void> check_field(std::string_view name, std::string_view value);

/// As `check_field`, and refuses the fields that the client writes itself because they decide where
/// a message ends or what becomes of its connection: Host, Content-Length, Transfer-Encoding,
/// Connection, Keep-Alive, Proxy-Connection, TE, Trailer, Upgrade. errc::invalid_header.
[[nodiscard]] HAWSER_API result<void> check_request_field(std::string_view name,
                                                          std::string_view value);

}  // namespace hawser::inline v0::http

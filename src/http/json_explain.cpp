// Which field of a document does not fit the type that was asked for, found by trying others there;
// and what is told of a value that cannot be sent.
#include "hawser/http/json.hpp"

#include "hawser/run/detail/value.hpp"

#include "core/printable.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

namespace hawser::inline v0::http {

namespace {

using nlohmann::json;

// nlohmann's numbers for what it throws.
constexpr int index_out_of_range = 401;
constexpr int key_not_found = 403;

constexpr std::size_t most_trials = 2000;
constexpr std::size_t most_work = 1'000'000;  // values looked at in all trials together
constexpr std::size_t narrowing_factor = 16;  // times the document, beside half of that
constexpr std::size_t few_members = 16;       // looked at one by one
constexpr std::size_t most_members_of_a_struct = 256;
constexpr std::size_t longest_array_tried = 10'000;
constexpr std::size_t longest_pointer = 8;  // steps of a path that is too deep

std::size_t count_values(const json& node) {
  std::size_t count = 1;
  if (node.is_structured())
    for (const json& value : node) count += count_values(value);
  return count;
}

constexpr std::size_t longest_key = 40;

// A key as it may be shown: the document is the server's, and so may be secrets in its keys. Masked
// before it is cut, since half a secret has no shape to be found by.
std::string shown_key(std::string_view key, const redactor* masks, bool in_pointer) {
  const std::string masked = hawser::detail::masked(key, masks);
  std::string shown;
  for (const char c : std::string_view(masked).substr(0, longest_key)) {
    if (in_pointer && c == '~')
      shown += "~0";
    else if (in_pointer && c == '/')
      shown += "~1";
    else
      shown += c > ' ' && c < 0x7F ? c : '?';
  }
  if (masked.size() > longest_key) shown += "...";
  return shown;
}

std::string pointer_text(const std::vector<detail::json_step>& steps, const redactor* masks) {
  std::string text;
  for (const detail::json_step& s : steps)
    text.append("/").append(s.key ? shown_key(*s.key, masks, true) : std::to_string(s.index));
  return text;
}

std::string_view last_word(std::string_view text) { return text.substr(text.rfind(' ') + 1); }

// The elements of an array, of which some are put back to be tried.
class held_array {
 public:
  explicit held_array(json& node)
      : list_(node.get_ref<json::array_t&>()), all_(std::exchange(list_, {})) {}

  [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }
  [[nodiscard]] const json& value(std::size_t i) const { return all_[i]; }
  void show(std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) list_.push_back(std::move(all_[i]));
  }
  void show_instead(std::size_t, const json& other) { list_.push_back(other); }
  void hide(std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) all_[i] = std::move(list_[i - from]);
    list_.clear();
  }
  void restore() { list_ = std::move(all_); }

 private:
  json::array_t& list_;
  json::array_t all_;
};

// The members of an object likewise.
class held_object {
 public:
  explicit held_object(json& node) : map_(node.get_ref<json::object_t&>()) {
    while (!map_.empty()) all_.push_back(map_.extract(map_.begin()));
  }

  [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }
  [[nodiscard]] const json& value(std::size_t i) const { return all_[i].mapped(); }
  void show(std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) map_.insert(map_.end(), std::move(all_[i]));
  }
  void show_instead(std::size_t i, const json& other) {
    map_.emplace_hint(map_.end(), all_[i].key(), other);
  }
  void hide(std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) all_[i] = map_.extract(map_.begin());
    map_.clear();
  }
  void restore() { show(0, size()); }

 private:
  json::object_t& map_;
  std::vector<json::object_t::node_type> all_;
};

// Leaves out of a document what its failure does not need: of each array, and of each object that
// is read like a map, it keeps the one element at which reading stops. Found by halving: where the
// elements before a place are followed by one that cannot be read, the failure stays the same if
// and only if its cause is before that place. Half is left out with each trial, so that all cost
// no more than a few conversions. A guess: whoever uses it must look at the whole document again.
class narrowing {
 public:
  narrowing(json& document, const detail::json_failure& failure, detail::json_trial& trial)
      : document_(document),
        failure_(failure),
        trial_(trial),
        size_(count_values(document)),
        work_left_(std::min(narrowing_factor * size_, 4 * size_ + 2 * most_work) + most_work / 2) {
    narrow(document);
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /// The place in the whole document of an array's element.
  [[nodiscard]] std::size_t index(const json& array, std::size_t i) const {
    const auto found = kept_.find(&array);
    return found == kept_.end() ? i : found->second;
  }

 private:
  void narrow(json& node) {
    if (work_left_ == 0) return;
    // A short array may be a tuple, and a from_json may read it, or a member, unchecked: what could
    // be one stays whole.
    if (node.is_array() && node.size() > few_members) {
      keep_one<held_array>(node);
    } else if (node.is_object() && node.size() > few_members &&
               !(node.size() > most_members_of_a_struct && keep_one<held_object>(node))) {
      std::vector<std::string> keys;
      for (const auto& member : node.items()) keys.push_back(member.key());
      blank_out(node, keys, 0, keys.size());
    }
    if (node.is_structured())
      for (json& value : node) narrow(value);
  }

  // Whether the failure is the same, in a document of this many values.
  bool same(std::size_t size) {
    work_left_ -= std::min(work_left_, size);
    return trial_.run(document_) == failure_;
  }

  // Types that are not the one found, which is told by the failure's last word.
  [[nodiscard]] bool tells(const json& other) const {
    return last_word(failure_.text) != other.type_name();
  }

  template <class Held>
  bool keep_one(json& node) {
    Held held(node);
    const std::size_t count = held.size();
    std::vector<std::size_t> before(count + 1);  // values in the elements before each
    for (std::size_t i = 0; i < count; ++i) before[i + 1] = before[i] + count_values(held.value(i));
    const std::size_t rest = size_ - before[count];
    work_left_ -= std::min(work_left_, before[count] / 4);  // counting is not free either

    const json* unreadable = nullptr;
    for (const json& other : others_) {
      if (!tells(other)) continue;
      held.show_instead(0, other);
      const bool unread = same(rest + 1);
      held.hide(0, 0);
      if (unread) continue;
      unreadable = &other;
      break;
    }
    if (unreadable == nullptr) {  // none is read before the failure
      if (same(rest)) {
        size_ = rest;
        return true;
      }
      held.restore();
      return false;
    }
    std::size_t low = 0;
    std::size_t high = count;
    while (high - low > 1 && work_left_ > 0) {
      const std::size_t middle = low + (high - low) / 2;
      held.show(low, middle);
      held.show_instead(middle, *unreadable);
      const bool is_before = same(rest + before[middle] - before[low] + 1);
      held.hide(low, middle);
      (is_before ? high : low) = middle;
    }
    held.show(low, high);
    if (same(rest + before[high] - before[low]) && high - low == 1) {
      size_ = rest + before[high] - before[low];
      if (node.is_array()) kept_[&node] = low;
      return true;
    }
    held.hide(low, high);
    held.restore();
    return false;
  }

  // Members of an object that is read in an order of its own: what the failure does not need gives
  // way to a single value.
  void blank_out(json& node, const std::vector<std::string>& keys, std::size_t from,
                 std::size_t to) {
    if (from == to || work_left_ == 0) return;
    const json& other = tells(others_[0]) ? others_[0] : others_[1];
    std::vector<json> held;
    std::size_t size = size_;
    for (std::size_t i = from; i < to; ++i) {
      held.push_back(std::exchange(node[keys[i]], other));
      size -= count_values(held.back()) - 1;
    }
    if (same(size)) {
      size_ = size;
      return;
    }
    for (std::size_t i = from; i < to; ++i) node[keys[i]] = std::move(held[i - from]);
    if (to - from == 1) return;
    const std::size_t middle = from + (to - from) / 2;
    blank_out(node, keys, from, middle);
    blank_out(node, keys, middle, to);
  }

  json& document_;
  const detail::json_failure& failure_;
  detail::json_trial& trial_;
  std::size_t size_;
  std::size_t work_left_;  // values that may still be converted
  std::unordered_map<const json*, std::size_t> kept_;
  std::array<json, 3> others_{json(nullptr), json::array(), json::object()};
};

// Looks for the field whose change changes the failure in the expected way.
class culprit_search {
 public:
  culprit_search(const json& document, detail::json_trial& trial, const redactor* masks)
      : original_(document), trial_(trial), masks_(masks), first_(trial.run(document)) {}

  [[nodiscard]] const detail::json_failure& failure() const noexcept { return first_; }
  [[nodiscard]] const redactor* masks() const noexcept { return masks_; }

  // The first node, in document order, that `test` says is the one.
  template <class Test>
  std::optional<std::string> find(Test test) {
    const auto any = [](const json&, const std::string*) { return detail::json_flaw::none; };
    if (detail::find_flaw(original_, detail::most_levels_sent, any).what != detail::json_flaw::none)
      return std::nullopt;  // too deep
    document_ = original_;
    const narrowing narrowed(document_, first_, trial_);
    if (visit_all(narrowed.size(), &narrowed, test)) {
      const json keeps_keys = std::exchange(document_, original_);
      if (json* node = at_path(); node != nullptr && test(*node)) return told();
    } else {
      document_ = original_;
    }
    if (visit_all(count_values(document_), nullptr, test)) return told();
    return std::nullopt;
  }

  detail::json_failure with(json& node, json instead) {
    std::swap(node, instead);
    if (trials_left_ > 0) --trials_left_;
    detail::json_failure seen = trial_.run(document_);
    std::swap(node, instead);
    return seen;
  }

 private:
  template <class Test>
  bool visit_all(std::size_t size, const narrowing* narrowed, Test& test) {
    path_.clear();
    trials_left_ = std::min(most_trials, most_work / size);
    return visit(document_, narrowed, test);
  }
  template <class Test>
  bool visit(json& node, const narrowing* narrowed, Test& test) {
    if (trials_left_ == 0) return false;
    if (test(node)) return true;
    if (node.is_object()) {
      for (auto& [key, value] : node.items()) {
        path_.push_back({std::string_view(key), 0});
        if (visit(value, narrowed, test)) return true;
        path_.pop_back();
      }
    } else if (node.is_array()) {
      for (std::size_t i = 0; i < node.size(); ++i) {
        path_.push_back({std::nullopt, narrowed != nullptr ? narrowed->index(node, i) : i});
        if (visit(node[i], narrowed, test)) return true;
        path_.pop_back();
      }
    }
    return false;
  }

  json* at_path() {
    json* node = &document_;
    for (const detail::json_step& s : path_) {
      if (s.key) {
        const auto found = node->find(*s.key);
        if (found == node->end()) return nullptr;
        node = &*found;
      } else if (s.index < node->size()) {
        node = &(*node)[s.index];
      } else {
        return nullptr;
      }
    }
    return node;
  }

  [[nodiscard]] std::string told() const {
    return path_.empty() ? "the document itself" : "field " + pointer_text(path_, masks_);
  }

  const json& original_;
  json document_;
  detail::json_trial& trial_;
  const redactor* masks_;
  detail::json_failure first_;
  std::vector<detail::json_step> path_;
  std::size_t trials_left_ = 0;  // each converts the whole document
};

// "[json.exception.type_error.302] type must be string, but is number" without its first word.
std::string_view without_tag(std::string_view text) {
  const std::size_t end = text.find("] ");
  return text.starts_with('[') && end != std::string_view::npos ? text.substr(end + 2) : text;
}

// What else stands in the text of an error may be quoted from anywhere.
bool is_type_name(std::string_view text) {
  constexpr std::array<std::string_view, 8> names{"null",  "boolean", "string", "number",
                                                  "array", "object",  "binary", "discarded"};
  return std::find(names.begin(), names.end(), text) != names.end();
}

error wrong_type(std::string text) {
  return {errc::json_wrong_type, std::move(text) + "; ask for the type it has"};
}

error from_json_threw() {
  return wrong_type("the type's from_json threw; it does not accept this document");
}

// Type errors end with the name of the type that was found. The culprit is the node of that type
// for which another type gives the same error with that type's name at the end: a field read before
// it would complain of what it wants itself.
error explain_type(culprit_search& search) {
  const std::string text = search.failure().text;
  const std::size_t blank = text.rfind(' ');
  const std::string found = text.substr(blank + 1);
  const std::string stem = text.substr(0, blank + 1);
  constexpr std::string_view must_be = "type must be ";
  constexpr std::string_view but_is = ", but is ";
  std::string wanted = "another type";
  if (!is_type_name(found)) return from_json_threw();
  if (const std::string_view plain = without_tag(text); plain.starts_with(must_be))
    if (const std::string_view type =
            plain.substr(must_be.size(), plain.find(but_is) - must_be.size());
        is_type_name(type))
      wanted = type;
  const std::array<json, 4> others{json(nullptr), json::array(), json(""), json::object()};
  const auto where = search.find([&](json& node) {
    if (found != node.type_name()) return false;
    for (const json& other : others) {
      if (found == other.type_name() || search.with(node, other).text != stem + other.type_name())
        continue;
      // at() does not say what it is for; an empty object or array makes it.
      if (search.with(node, json::object()).id == key_not_found) wanted = "object";
      if (search.with(node, json::array()).id == index_out_of_range) wanted = "array";
      return true;
    }
    return false;
  });
  return wrong_type(where.value_or("a field") + " must be " + wanted + ", is " + found);
}

error explain_missing_key(culprit_search& search, std::string_view key) {
  const auto where = search.find([&](json& node) {
    if (!node.is_object() || node.contains(key)) return false;
    json with_key = node;
    with_key[std::string(key)] = nullptr;
    return search.with(node, std::move(with_key)) != search.failure();
  });
  return wrong_type(where.value_or("an object") + " has no member \"" +
                    shown_key(key, search.masks(), false) + '"');
}

error explain_short_array(culprit_search& search, std::size_t index) {
  if (index >= longest_array_tried)
    return wrong_type("an array has no element " + std::to_string(index));
  const auto where = search.find([&](json& node) {
    if (!node.is_array() || node.size() > index) return false;
    json longer = node;
    while (longer.size() <= index) longer.push_back(nullptr);
    return search.with(node, std::move(longer)) != search.failure();
  });
  return wrong_type(where.value_or("an array") + " must have at least " +
                    std::to_string(index + 1) + " elements");
}

// The text between the first pair of single quotes.
std::string_view between_quotes(std::string_view text) {
  const std::size_t from = text.find('\'');
  const std::size_t to = text.rfind('\'');
  return to > from ? text.substr(from + 1, to - from - 1) : std::string_view();
}

}  // namespace

namespace detail {

error explain_mismatch(const json& document, json_trial& trial, const redactor* masks) {
  culprit_search search(document, trial, masks);
  const json_failure& failure = search.failure();
  const std::string_view text = without_tag(failure.text);
  constexpr std::string_view index_text = "array index ";
  switch (failure.id) {
    case 302:  // type must be X, but is Y
    case 304:  // cannot use at() with Y
    case 305:  // cannot use operator[] with Y
    case 306:  // cannot use value() with Y
      return explain_type(search);
    case index_out_of_range: {  // array index N is out of range
      std::size_t index = 0;
      if (text.starts_with(index_text))
        std::from_chars(text.data() + index_text.size(), text.data() + text.size(), index);
      return explain_short_array(search, index);
    }
    case key_not_found:  // key 'K' not found
      return explain_missing_key(search, between_quotes(text));
    default: return from_json_threw();
  }
}

error unserialisable(const std::exception& thrown) {
  const auto* of_nlohmann = dynamic_cast<const json::exception*>(&thrown);
  return {errc::invalid_body, of_nlohmann != nullptr
                                  ? "the value did not become JSON (nlohmann error " +
                                        std::to_string(of_nlohmann->id) + "); check its to_json"
                                  : "the value did not become JSON: its to_json threw"};
}

error unsendable(const json_place& where) {
  std::vector<json_step> first = where.path;
  first.resize(std::min(first.size(), longest_pointer));
  const std::string at = first.empty() ? "the document itself"
                                       : "field " + pointer_text(first, nullptr) +
                                             (first.size() < where.path.size() ? "/..." : "");
  const auto refused = [&](std::string_view why) {
    return error(errc::invalid_body, at + std::string(why));
  };
  switch (where.what) {
    case json_flaw::not_finite:
      return refused(
          " is a number that is not finite, which JSON cannot say; leave it out, or "
          "send null or a string where the API takes one");
    case json_flaw::binary:
      return refused(" is binary data, which JSON cannot hold; send it as base64");
    case json_flaw::discarded:
      return refused(" is a discarded value, left by a parse that failed; check what was parsed");
    case json_flaw::not_utf8:
      return refused(" is not UTF-8; convert it, or send binary data as base64");
    default: break;
  }
  return error(errc::invalid_body, "the JSON is nested deeper than " +
                                       std::to_string(most_levels_sent) + " levels, below " +
                                       at.substr(at.find(' ') + 1) +
                                       "; flatten it, or send it by body() as text of your own");
}

error not_utf8(const json& value) {
  json_place where = find_flaw(value, most_levels_sent, [](const json& v, const std::string* key) {
    const bool good = (key == nullptr || hawser::detail::is_utf8(*key)) &&
                      (!v.is_string() || hawser::detail::is_utf8(v.get_ref<const std::string&>()));
    return good ? json_flaw::none : json_flaw::not_utf8;
  });
  where.what = json_flaw::not_utf8;
  return unsendable(where);
}

}  // namespace detail

}  // namespace hawser::inline v0::http

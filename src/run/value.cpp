#include "hawser/run/detail/value.hpp"

#include "hawser/observe/redactor.hpp"

#include "core/brief.hpp"
#include "core/printable.hpp"
#include "run/nested.hpp"

#include <boost/system/errc.hpp>

#include <exception>
#include <new>
#include <typeinfo>

namespace hawser::inline v0::detail {

std::string masked(std::string_view text, const redactor* masks) {
  static const auto& built_in = *new redactor;  // threads may still ask as the process ends
  return masks == nullptr ? built_in.text(text) : built_in.text(masks->text(text));
}

error failure_with_text(error_code code, std::string_view text, const redactor* masks) noexcept {
  try {
    return error(code, printable(masked(text, masks)));
  } catch (const std::bad_alloc&) {
    return error(code);
  }
}

namespace {

error threw(const char* what, const redactor* masks,
            error_code code = errc::operation_threw) noexcept {
  return failure_with_text(code, what, masks);
}

/// What an error has to say beyond that it is one.
std::string words_of(const error& own) {
  const bool bare = own == errc::operation_threw || own == errc::operation_failed;
  if (own.code() == canceled_error() || (bare && !own.detail().empty()))
    return std::string(own.detail());
  std::string text = brief(own.code());
  if (!own.detail().empty()) text.append(": ").append(own.detail());
  return text;
}

}  // namespace

namespace {

/// What the exception says itself, whatever is nested in it.
error describe_itself(const std::exception_ptr& thrown, const redactor* masks) noexcept {
  try {
    std::rethrow_exception(thrown);
  } catch (const call_error& e) {
    return e.why();
  } catch (const boost::system::system_error& e) {
    return e.code() ? error(e.code()) : threw(e.what(), masks);
  } catch (const std::system_error& e) {
    return e.code() ? error(error_code(e.code())) : threw(e.what(), masks);
  } catch (const config_error& e) {
    return threw(e.what(), masks, e.code());
  } catch (const std::bad_alloc&) {
    return error(out_of_memory());
  } catch (const std::exception& e) {
    return threw(e.what(), masks);
  } catch (...) {
    return threw("an exception of unknown type", nullptr);
  }
}

/// The refusal by a local policy that was put into `thrown` as it went through other layers, with
/// the words of the outermost. None where there is none.
error refusal_nested_in(const std::exception_ptr& thrown, const error& outermost,
                        const redactor* masks) noexcept {
  std::exception_ptr e = nested_in(thrown);
  for (int depth = 0; e != nullptr && depth < deepest_nested; ++depth, e = nested_in(e)) {
    const error inner = describe_itself(e, masks);
    if (inner != condition::rejected) continue;
    try {
      std::string text(outermost.detail());
      if (!text.empty() && !inner.detail().empty()) text += ": ";
      return {inner.code(), text.append(inner.detail())};
    } catch (const std::bad_alloc&) {
      return inner;
    }
  }
  return {};
}

}  // namespace

error describe(const std::exception_ptr& thrown, const redactor* masks) noexcept {
  const error itself = describe_itself(thrown, masks);
  if (itself != errc::operation_threw) return itself;
  const error refusal = refusal_nested_in(thrown, itself, masks);
  return refusal.code() ? refusal : itself;
}

std::exception_ptr as_exception(const error& why, const std::exception_ptr& nested) noexcept {
  try {
    if (nested == nullptr) throw call_error(why);
    try {
      std::rethrow_exception(nested);
    } catch (...) {
      std::throw_with_nested(call_error(why));
    }
  } catch (...) {  // also where there is no memory for its text
    return std::current_exception();
  }
}

void throw_ending(const error& why, const std::exception_ptr& thrown, bool own) {
  if (own && thrown != nullptr) {
    try {
      std::rethrow_exception(thrown);
    } catch (const call_error& e) {  // one of another call's; this one's story comes on top
      if (typeid(e) != typeid(call_error)) throw;
    }
  }
  std::rethrow_exception(as_exception(why, thrown));
}

error with_story(const error& own, std::string_view story, const redactor* masks) noexcept {
  if (story.empty() && (masks == nullptr || own.detail().empty())) return own;
  try {
    std::string text(own.detail());
    if (!text.empty() && !story.empty()) text += "; ";
    text += story;
    if (masks != nullptr) text = masks->text(text);
    return error(own.code(), std::move(text)).about_answer_of(own);
  } catch (const std::bad_alloc&) {
    return masks == nullptr ? own : error(own.code());
  }
}

error with_last_words(const error& end, const error& own, const redactor* masks) noexcept {
  if (!own.code()) return end;
  try {
    if (end == errc::outcome_unknown) {  // it has named the code itself
      if (own.detail().empty()) return end.about_answer_of(own);
      const error about =
          error(end.code(), std::string(own.detail())).about_answer_of(end).about_answer_of(own);
      return with_story(about, end.detail(), masks);
    }
    std::string words = words_of(own);
    if (words.empty()) return end.about_answer_of(own);
    words.insert(0, end.detail().empty() ? "it ended with: " : "; it ended with: ");
    words.insert(0, end.detail());
    return error(end.code(), masks != nullptr ? masks->text(words) : std::move(words))
        .about_answer_of(end)
        .about_answer_of(own);
  } catch (const std::bad_alloc&) {
    return end.about_answer_of(own);
  }
}

error with_refusal(const error& end, const error& refusal, const redactor* masks) noexcept {
  if (refusal.detail().empty()) return end;
  try {
    std::string text(end.detail());
    text.append(text.empty() ? "" : "; ").append("refused by ").append(refusal.detail());
    return error(end.code(), masks != nullptr ? masks->text(text) : std::move(text))
        .about_answer_of(end);
  } catch (const std::bad_alloc&) {
    return end;
  }
}

error_code out_of_memory() noexcept {
  return boost::system::errc::make_error_code(boost::system::errc::not_enough_memory);
}

}  // namespace hawser::inline v0::detail

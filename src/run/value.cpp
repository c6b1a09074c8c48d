#include "hawser/run/detail/value.hpp"

#include "hawser/observe/redactor.hpp"

#include <boost/system/errc.hpp>

#include <new>

namespace hawser::inline v0::detail {

std::string masked(std::string_view text, const redactor* masks) {
  static const std::shared_ptr<const redactor> built_in = make_redactor({});
  return masks == nullptr ? built_in->text(text) : built_in->text(masks->text(text));
}

namespace {

error threw(const char* what, const redactor* masks,
            error_code code = errc::operation_threw) noexcept {
  try {
    return error(code, masked(what, masks));
  } catch (const std::bad_alloc&) {
    return error(code);
  }
}

}  // namespace

error describe(const std::exception_ptr& thrown, const redactor* masks) noexcept {
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
  if (end != errc::outcome_unknown) return end;
  if (own.detail().empty()) return end.about_answer_of(own);
  try {
    const error about = error(end.code(), std::string(own.detail())).about_answer_of(own);
    return with_story(about, end.detail(), masks);
  } catch (const std::bad_alloc&) {
    return end;
  }
}

error_code out_of_memory() noexcept {
  return boost::system::errc::make_error_code(boost::system::errc::not_enough_memory);
}

}  // namespace hawser::inline v0::detail

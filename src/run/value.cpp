#include "hawser/run/detail/value.hpp"

#include "hawser/observe/redactor.hpp"

#include <boost/system/errc.hpp>

#include <new>

namespace hawser::inline v0::detail {

std::string masked(std::string_view text) {
  static const std::shared_ptr<const redactor> masks = make_redactor({});
  return masks->text(text);
}

namespace {

error threw(const char* what, error_code code = errc::operation_threw) noexcept {
  try {
    return error(code, masked(what));
  } catch (const std::bad_alloc&) {
    return error(code);
  }
}

}  // namespace

error describe(const std::exception_ptr& thrown) noexcept {
  try {
    std::rethrow_exception(thrown);
  } catch (const call_error& e) {
    return e.why();
  } catch (const boost::system::system_error& e) {
    return e.code() ? error(e.code()) : threw(e.what());
  } catch (const std::system_error& e) {
    return e.code() ? error(error_code(e.code())) : threw(e.what());
  } catch (const config_error& e) {
    return threw(e.what(), e.code());
  } catch (const std::bad_alloc&) {
    return error(out_of_memory());
  } catch (const std::exception& e) {
    return threw(e.what());
  } catch (...) {
    return threw("an exception of unknown type");
  }
}

error with_story(const error& own, const std::string& story) noexcept {
  if (story.empty()) return own;
  try {
    std::string text(own.detail());
    if (!text.empty()) text += "; ";
    text += story;
    return error(own.code(), std::move(text));
  } catch (const std::bad_alloc&) {
    return own;
  }
}

error_code out_of_memory() noexcept {
  return boost::system::errc::make_error_code(boost::system::errc::not_enough_memory);
}

}  // namespace hawser::inline v0::detail

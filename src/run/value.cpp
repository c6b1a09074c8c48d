#include "hawser/run/detail/value.hpp"

#include "hawser/observe/redactor.hpp"

namespace hawser::inline v0::detail {

std::string masked(std::string_view text) {
  static const std::shared_ptr<const redactor> masks = make_redactor({});
  return masks->text(text);
}

error describe(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const call_error& e) {
    return e.why();
  } catch (const boost::system::system_error& e) {
    return e.code() ? error(e.code()) : error(errc::operation_threw, masked(e.what()));
  } catch (const std::system_error& e) {
    return e.code() ? error(error_code(e.code())) : error(errc::operation_threw, masked(e.what()));
  } catch (const config_error& e) {
    return error(e.code(), masked(e.what()));
  } catch (const std::exception& e) {
    return error(errc::operation_threw, masked(e.what()));
  } catch (...) {
    return error(errc::operation_threw, "an exception of unknown type");
  }
}

error with_story(const error& own, const std::string& story) {
  if (story.empty()) return own;
  std::string text(own.detail());
  if (!text.empty()) text += "; ";
  return error(own.code(), text + story);
}

}  // namespace hawser::inline v0::detail

#include "hawser/core/try_make.hpp"

namespace hawser::inline v0::detail {

error error_of_making(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const config_error& e) {
    return {e.code(), e.what()};
  } catch (const call_error& e) {
    return e.why();
  } catch (const boost::system::system_error& e) {
    return {e.code(), e.what()};
  } catch (const std::system_error& e) {
    return {error_code(e.code()), e.what()};
  }
}

}  // namespace hawser::inline v0::detail

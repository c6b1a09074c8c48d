// Who waits on another thread for an environment's own: the end of the process may come first.
#pragma once

namespace hawser::inline v0::detail {

class end_listener {
 public:
  end_listener() = default;
  end_listener(const end_listener&) = delete;
  end_listener& operator=(const end_listener&) = delete;

  /// The environment's thread has stopped for good. Under a lock of the environment's.
  virtual void over() noexcept = 0;

  end_listener* next = nullptr;  ///< The environment's, under its lock.

 protected:
  ~end_listener() = default;
};

}  // namespace hawser::inline v0::detail

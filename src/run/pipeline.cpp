#include "hawser/run/pipeline.hpp"

#include "hawser/core/error.hpp"

#include "core/process.hpp"
#include "policy/option_check.hpp"

namespace hawser::inline v0 {

namespace {

std::string joined(const std::vector<std::shared_ptr<policy>>& policies, std::string_view between,
                   bool with_factor) {
  std::string text;
  for (const auto& p : policies) {
    if (with_factor && p->amplification() == 1) continue;
    if (!text.empty()) text += between;
    text += p->name();
    if (with_factor) text += " " + std::to_string(p->amplification());
  }
  return text;
}

}  // namespace

std::string pipeline::composition() const {
  std::string text;
  for (const detail::plan_level& level : plan_->levels) {
    if (!text.empty()) text += " > ";
    text += level.what->kind();
  }
  return text;
}

pipeline_builder& pipeline_builder::add(std::shared_ptr<policy> shared) & {
  if (shared == nullptr)
    throw config_error("pipeline." + name_ + ".add", "null", "give a policy object");
  policies_.push_back(std::move(shared));
  return *this;
}

pipeline_builder& pipeline_builder::add(const pipeline_builder& other) & {
  const std::vector<std::shared_ptr<policy>> theirs = other.policies_;
  policies_.insert(policies_.end(), theirs.begin(), theirs.end());
  const std::vector<std::shared_ptr<observer>> listeners = other.observers_;
  observers_.insert(observers_.end(), listeners.begin(), listeners.end());
  const detail::judges readings = other.judges_;
  judges_.insert(judges_.end(), readings.begin(), readings.end());
  if (masks_ == nullptr) masks_ = other.masks_;
  if (!calls_) calls_ = other.calls_;
  return *this;
}

pipeline_builder& pipeline_builder::observe(std::shared_ptr<observer> listener) & {
  if (listener == nullptr)
    throw config_error("pipeline." + name_ + ".observe", "null", "give an observer");
  observers_.push_back(std::move(listener));
  return *this;
}

pipeline_builder& pipeline_builder::redact(std::shared_ptr<const redactor> masks) & {
  if (masks == nullptr)
    throw config_error("pipeline." + name_ + ".redact", "null", "give a redactor");
  masks_ = std::move(masks);
  return *this;
}

pipeline_builder& pipeline_builder::max_amplification(unsigned limit) & {
  if (limit == 0)
    throw config_error("pipeline." + name_ + ".max_amplification", "0", "must be at least 1");
  max_amplification_ = limit;
  return *this;
}

pipeline pipeline_builder::build(environment env) const {
  if (name_.empty())
    throw config_error("pipeline.name", name_,
                       "must not be empty: events, metrics and logs are told apart by it");
  detail::require_name("pipeline.name", name_);
  auto how = std::make_shared<detail::plan>(detail::plan{name_,
                                                         std::move(env),
                                                         {},
                                                         observers_,
                                                         0,
                                                         1,
                                                         -1,
                                                         masks_,
                                                         calls_,
                                                         judges_,
                                                         detail::process_generation()});
  bool repeatable = false;
  for (const auto& p : policies_) {
    detail::require_name("pipeline." + name_ + "." + std::string(p->kind()) + ".name", p->name());
    const std::size_t alignment = p->stage_alignment();
    if (alignment > alignof(std::max_align_t))
      throw config_error("pipeline." + name_ + "." + std::string(p->name()) + ".stage_alignment",
                         std::to_string(alignment), "must not exceed that of std::max_align_t");
    how->scratch = (how->scratch + alignment - 1) / alignment * alignment;
    how->levels.push_back({p,
                           how->scratch,
                           p->stage_is_trivial(),
                           repeatable,
                           p->needs_of_success(),
                           how->heard,
                           {}});
    if (detail::plan_level& level = how->levels.back(); level.hears_nothing())
      level.limit = p->plain_limit();
    else
      how->heard = static_cast<int>(how->levels.size()) - 1;
    how->scratch += p->stage_size();
    repeatable = repeatable || p->makes_attempts();
    const unsigned long long product =
        static_cast<unsigned long long>(how->amplification) * p->amplification();
    if (product > max_amplification_)
      throw config_error("pipeline." + name_ + ".max_amplification",
                         joined(policies_, " x ", true) + " = " + std::to_string(product) +
                             " or more attempts for one call",
                         "must not exceed " + std::to_string(max_amplification_) +
                             "; stack fewer retries or raise max_amplification");
    how->amplification = static_cast<unsigned>(product);
  }
  return pipeline(std::move(how));
}

}  // namespace hawser::inline v0

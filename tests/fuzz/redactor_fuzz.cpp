// Feeds arbitrary bytes to every function of the redactor. Properties: a literal secret planted in
// the input never survives, in whatever function; nothing throws; the output's size is bounded;
// what comes out as JSON for JSON is JSON the redactor can read again.
#include "hawser/observe/redactor.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

constexpr std::string_view literal = "s3cr3t-Value/1";

const hawser::redactor& built_in() {
  static const hawser::redactor masks;
  return masks;
}

const hawser::redactor& knowing() {
  static const hawser::redactor masks = [] {
    hawser::redaction options;
    options.literals = {hawser::secret{literal}, hawser::secret{"masked"}};
    options.hash_key_id = "k1";
    options.hash_key = hawser::secret{"0123456789abcdef"};
    options.patterns.email = hawser::mask_style::drop;
    options.patterns.card = hawser::mask_style::keyed_hash;
    options.fields.style = hawser::mask_style::last_four;
    options.parameters.style = hawser::mask_style::drop;
    return hawser::redactor(options);
  }();
  return masks;
}

void require(bool holds) {
  if (!holds) std::abort();
}

void check(const hawser::redactor& masks, std::string_view input, bool planted) {
  const std::size_t bound = 16 * input.size() + 256;
  for (const std::string& out :
       {masks.text(input), masks.url(input), masks.form(input), masks.json(input),
        masks.header("X-Note", input), masks.header(input, input), masks.body("text/plain", input),
        masks.body("application/json", input), masks.body("application/x-ndjson", input),
        masks.body(input, input), masks.value(input)}) {
    require(out.size() <= bound);
    require(!planted || out.find(literal) == std::string::npos);
    require(!planted || out.find("masked") == std::string::npos);
  }
  if (planted) return;
  const std::string once = masks.json(input);
  if (!once.starts_with("[unparseable")) require(!masks.json(once).starts_with("[unparseable"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 1 << 16) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check(built_in(), input, false);
  check(knowing(), input, true);
  // Planted at a place that the input chooses.
  const std::size_t at = size == 0 ? 0 : data[0] % size;
  std::string with(input.substr(0, at));
  with.append(literal).append(input.substr(at));
  check(knowing(), with, true);
  // As the value of a sensitive field, where no rule needs to know the value.
  if (input.find("pl4nted") != std::string_view::npos) return 0;
  std::string field = "{\"token\":\"pl4nted\",\"x\":";
  field.append(input).append("}");
  require(built_in().json(field).find("pl4nted") == std::string::npos);
  // The same where the name comes behind the value.
  field = "{\"value\":\"pl4nted\",\"x\":";
  field.append(input).append(",\"name\":\"token\"}");
  require(built_in().json(field).find("pl4nted") == std::string::npos);
  return 0;
}

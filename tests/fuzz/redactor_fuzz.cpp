// Feeds arbitrary bytes to the functions of the redactor: the input's first byte chooses the
// function, the rules and where a secret is planted; the rest is what it is fed. Properties: a
// planted secret never survives, whatever the function; nothing throws; the output is bounded in
// size; what comes out as JSON for JSON is JSON the redactor can read again.
#include "hawser/observe/redactor.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

constexpr std::string_view literal = "s3cr3t-Value/1";
constexpr std::size_t longest = 2048;  // what is found in more is found in less, only slower

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

constexpr unsigned functions = 11;

std::string apply(const hawser::redactor& masks, unsigned function, std::string_view input) {
  switch (function) {
    case 0: return masks.text(input);
    case 1: return masks.url(input);
    case 2: return masks.form(input);
    case 3: return masks.json(input);
    case 4: return masks.header("X-Note", input);
    case 5: return masks.header(input, input);
    case 6: return masks.body("text/plain", input);
    case 7: return masks.body("application/json", input);
    case 8: return masks.body("application/x-ndjson", input);
    case 9: return masks.body(input, input);
    default: return masks.value(input);
  }
}

/// As the value of a sensitive member, where no rule needs to know the value; the name comes before
/// it or behind.
void check_member(std::string_view input, bool name_first) {
  if (input.find("pl4nted") != std::string_view::npos) return;
  std::string text = name_first ? "{\"token\":\"pl4nted\",\"x\":" : "{\"value\":\"pl4nted\",\"x\":";
  text.append(input).append(name_first ? "}" : ",\"name\":\"token\"}");
  require(built_in().json(text).find("pl4nted") == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > longest) return 0;
  const unsigned choice = data[0];
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const unsigned function = choice % (functions + 2);
  if (function >= functions) {
    check_member(input, function == functions);
    return 0;
  }
  const bool plant = choice >= 128;
  const hawser::redactor& masks = plant ? knowing() : built_in();
  std::string fed(input);
  if (plant && choice >= 192) fed.insert(data[1] % fed.size(), literal);
  const std::string out = apply(masks, function, fed);
  require(out.size() <= 16 * fed.size() + 256);
  if (plant) {
    require(out.find(literal) == std::string::npos);
    require(out.find("masked") == std::string::npos);
  } else if (function == 3 && !out.starts_with("[unparseable")) {
    require(!built_in().json(out).starts_with("[unparseable"));
  }
  return 0;
}

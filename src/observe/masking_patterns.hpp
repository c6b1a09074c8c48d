// Shapes of secrets. Each function looks at one place of a text and answers where the secret that
// begins there ends, or npos; each looks at a bounded stretch, or at what it then consumes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace hawser::inline v0::detail {

inline constexpr std::size_t npos = std::string_view::npos;

/// The check of ISO/IEC 7812-1 annex B over decimal digits.
[[nodiscard]] bool passes_luhn(std::string_view digits) noexcept;

/// A payment card number whose first digit stands at `at`. `digits` takes it without separators.
[[nodiscard]] std::size_t match_card(std::string_view text, std::size_t at, std::string& digits);

/// An IBAN (ISO 13616) of a known country, with right check digits. `compact` takes it in upper
/// case without separators.
[[nodiscard]] std::size_t match_iban(std::string_view text, std::size_t at, std::string& compact);

/// 8-4-4-4-12 hexadecimal digits (RFC 9562): not a card number, however its digits fall.
[[nodiscard]] std::size_t match_uuid(std::string_view text, std::size_t at) noexcept;

/// A key with a vendor's prefix.
[[nodiscard]] std::size_t match_api_key(std::string_view text, std::size_t at) noexcept;

/// A key that its vendor's mark stands within or behind: "<32 hexadecimal digits>-us14". The word
/// [begin, end) begins it.
[[nodiscard]] std::size_t match_infix_key(std::string_view text, std::size_t begin,
                                          std::size_t end) noexcept;

/// The address of a chat service's webhook, of which the word [begin, end) is a part of the path:
/// where its path ends, and in `secret` where what must not be told begins. On a mismatch `refuted`
/// is how far no other one can begin.
[[nodiscard]] std::size_t match_webhook(std::string_view text, std::size_t begin, std::size_t end,
                                        std::size_t& secret, std::size_t& refuted) noexcept;

/// Two to five runs of base64url joined by dots (RFC 7519, RFC 7516), the first being "eyJ...".
/// On a mismatch `refuted` is how far no other one can begin.
[[nodiscard]] std::size_t match_jwt(std::string_view text, std::size_t at,
                                    std::size_t& refuted) noexcept;

/// A PEM block (RFC 7468) whose label says "PRIVATE KEY", to the end of the text if it is cut off.
[[nodiscard]] std::size_t match_private_key(std::string_view text, std::size_t at) noexcept;

/// Whether this is the name of an authentication scheme that is known.
[[nodiscard]] bool is_auth_scheme(std::string_view word) noexcept;

/// Whether what follows "Bearer" or "Basic" is a credential rather than a word of prose.
[[nodiscard]] bool looks_like_credential(std::string_view scheme, std::string_view token) noexcept;

/// Whether a value says that there is none, or where it comes from: "none", "***", "<unset>",
/// "${VAR}".
[[nodiscard]] bool is_placeholder(std::string_view value) noexcept;

}  // namespace hawser::inline v0::detail

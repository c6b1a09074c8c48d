// Kinds of secrets, and what carries them.
#include "canaries/canaries.hpp"

#include <functional>
#include <random>

namespace hawser::test::canaries {

namespace {

constexpr std::string_view digits = "0123456789";
constexpr std::string_view hexadecimal = "0123456789abcdef";
constexpr std::string_view capitals = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view alnum = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view anything =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ!#$%&'()*+,-./"
    ":;<=>?@[\\]^_{|}~\"";

class maker {
 public:
  explicit maker(std::uint64_t seed) : random_(seed) {}
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
  std::string of(std::string_view alphabet, std::size_t length) {
    std::string text;
    while (text.size() < length) text += alphabet[below(alphabet.size())];
    return text;
  }

 private:
  std::mt19937_64 random_;
};

std::string each(std::string_view text, const std::function<std::string(unsigned char)>& with) {
  std::string out;
  for (const char c : text) out += with(static_cast<unsigned char>(c));
  return out;
}

std::string hex2(unsigned char c) { return {hexadecimal[c >> 4U], hexadecimal[c & 15U]}; }

std::string replaced(std::string_view text, char what, std::string_view with) {
  return each(text, [&](unsigned char c) {
    return static_cast<char>(c) == what ? std::string(with) : std::string(1, static_cast<char>(c));
  });
}

std::string json_escaped(std::string_view text) {
  return replaced(replaced(text, '\\', "\\\\"), '"', "\\\"");
}

std::string base64(std::string_view text) {
  constexpr std::string_view alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 3) {
    unsigned group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8U | (i + k < text.size() ? static_cast<unsigned char>(text[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k)
      out += i + k > text.size() ? '=' : alphabet[group >> (18 - 6 * k) & 63U];
  }
  return out;
}

struct encoding {
  std::string_view name;
  std::function<std::string(const std::string&)> of;
};

const std::vector<encoding>& encodings() {
  static const std::vector<encoding> all = {
      {"as it is", [](const std::string& s) { return s; }},
      {"percent",
       [](const std::string& s) { return each(s, [](auto c) { return "%" + hex2(c); }); }},
      {"percent twice",
       [](const std::string& s) { return each(s, [](auto c) { return "%25" + hex2(c); }); }},
      {"JSON", [](const std::string& s) { return json_escaped(s); }},
      {"JSON twice", [](const std::string& s) { return json_escaped(json_escaped(s)); }},
      {"\\u0041",
       [](const std::string& s) { return each(s, [](auto c) { return "\\u00" + hex2(c); }); }},
      {"\\x41",
       [](const std::string& s) { return each(s, [](auto c) { return "\\x" + hex2(c); }); }},
      {"base64", [](const std::string& s) { return base64("user:" + s); }},
      {"hexadecimal", [](const std::string& s) { return each(s, hex2); }},
      {"hexadecimal, set off",
       [](const std::string& s) { return each(s, [](auto c) { return hex2(c) + " "; }); }},
      {"hexadecimal, colons",
       [](const std::string& s) { return each(s, [](auto c) { return hex2(c) + ":"; }); }},
      {"entities, named",
       [](const std::string& s) {
         return replaced(
             replaced(replaced(replaced(replaced(s, '&', "&amp;"), '<', "&lt;"), '>', "&gt;"), '"',
                      "&quot;"),
             '\'', "&apos;");
       }},
      {"entities, decimal",
       [](const std::string& s) {
         return each(s, [](auto c) { return "&#" + std::to_string(c) + ";"; });
       }},
      {"entities, hexadecimal",
       [](const std::string& s) { return each(s, [](auto c) { return "&#x" + hex2(c) + ";"; }); }},
      {"shell", [](const std::string& s) { return "'" + replaced(s, '\'', "'\\''") + "'"; }},
      {"SQL", [](const std::string& s) { return "'" + replaced(s, '\'', "''") + "'"; }},
      {"CSV", [](const std::string& s) { return "\"" + replaced(s, '"', "\"\"") + "\""; }},
      {"quoted-printable",
       [](const std::string& s) {
         const std::string coded = replaced(s, '=', "=3D");
         // A line is never broken within an escape.
         const std::size_t at = coded[6] == '=' ? 6 : coded[5] == '=' ? 5 : 7;
         return coded.substr(0, at) + "=\r\n" + coded.substr(at);
       }},
  };
  return all;
}

struct shape {
  std::string_view name;
  std::function<std::string(maker&)> make;
};

std::string luhn(std::string number) {
  for (char check = '0'; check <= '9'; ++check) {
    int sum = 0;
    const std::string whole = number + check;
    for (std::size_t i = 0; i < whole.size(); ++i) {
      int d = whole[whole.size() - 1 - i] - '0';
      if (i % 2 == 1) d = d > 4 ? 2 * d - 9 : 2 * d;
      sum += d;
    }
    if (sum % 10 == 0) return whole;
  }
  return number;
}

const std::vector<shape>& shapes() {
  static const std::vector<shape> all = {
      {"AWS key", [](maker& m) { return "AKIA" + m.of(capitals, 16); }},
      {"GitHub token", [](maker& m) { return "ghp_" + m.of(alnum, 36); }},
      {"GitLab token", [](maker& m) { return "glpat-" + m.of(alnum, 20); }},
      {"Slack token", [](maker& m) { return "xoxb-" + m.of(digits, 12) + "-" + m.of(alnum, 24); }},
      {"Stripe key", [](maker& m) { return "sk_live_" + m.of(alnum, 24); }},
      {"Google key", [](maker& m) { return "AIza" + m.of(alnum, 35); }},
      {"SendGrid key", [](maker& m) { return "SG." + m.of(alnum, 22) + "." + m.of(alnum, 43); }},
      {"Twilio key", [](maker& m) { return "SK" + m.of(hexadecimal, 32); }},
      {"Mailchimp key",
       [](maker& m) { return m.of(hexadecimal, 32) + "-us" + m.of("123456789", 2); }},
      {"Telegram token", [](maker& m) { return "1" + m.of(digits, 8) + ":AA" + m.of(alnum, 33); }},
      {"Databricks token", [](maker& m) { return "dapi" + m.of(hexadecimal, 32); }},
      {"Grafana token",
       [](maker& m) { return "glsa_" + m.of(alnum, 32) + "_" + m.of(hexadecimal, 8); }},
      {"Entra secret",
       [](maker& m) { return m.of(alnum, 3) + m.of(digits, 1) + "Q~" + m.of(alnum, 34); }},
      {"JWT",
       [](maker& m) {
         return "eyJ" + m.of(alnum, 30) + ".eyJ" + m.of(alnum, 40) + "." + m.of(alnum, 43);
       }},
      {"Bearer", [](maker& m) { return "Bearer " + m.of(alnum, 24); }},
      {"Bearer, quoted", [](maker& m) { return "Bearer '" + m.of(alnum, 24) + "'"; }},
      {"Basic", [](maker& m) { return "Basic " + base64("user:" + m.of(alnum, 13)); }},
      {"card", [](maker& m) { return luhn("4" + m.of(digits, 14)); }},
      {"Slack webhook",
       [](maker& m) {
         return "https://hooks.slack.com/services/T" + m.of(capitals, 10) + "/B" +
                m.of(capitals, 10) + "/" + m.of(alnum, 24);
       }},
      {"Discord webhook",
       [](maker& m) {
         return "https://discord.com/api/webhooks/" + m.of("123456789", 18) + "/" + m.of(alnum, 68);
       }},
      {"Mattermost webhook",
       [](maker& m) { return "https://chat.example/hooks/" + m.of("abcdefghijk123456789", 26); }},
      {"user info", [](maker& m) { return "https://bob:" + m.of(alnum, 14) + "@db.example/x"; }},
      {"connection string, cut", [](maker& m) { return "postgres://bob:x" + m.of(alnum, 14); }},
      {"private key",
       [](maker& m) {
         return "-----BEGIN PRIVATE KEY-----\n" + m.of(alnum, 64) + "\n-----END PRIVATE KEY-----";
       }},
  };
  return all;
}

struct carrier {
  std::string_view name;
  std::string_view before;
  std::string_view behind;
};

constexpr carrier around_shapes[] = {
    {"a sentence", "could not reach ", " in time"},
    {"quotes", "{\"note\":\"", "\"}"},
    {"escaped quotes", "{\\\"note\\\":\\\"", "\\\"}"},
    {"brackets", "(", ")"},
    {"a list", "[1, '", "', 2]"},
    {"a line of its own", "x\n", "\ny"},
    {"the end of a sentence", "it was ", "."},
};

// %s is the value, which has letters and digits only where it stands without quotes.
struct syntax {
  std::string_view name;
  std::string_view before;
  std::string_view behind;
};
constexpr syntax around_values[] = {
    {"name=value", "db_password=", " x"},
    {"name: value", "password: ", ", x"},
    {"JSON member", R"({"password":")", R"(","x":1})"},
    {"JSON member, escaped", R"({\"api_key\":\")", R"(\",\"x\":1})"},
    {"JSON member, escaped twice", R"({\\\"token\\\":\\\")", R"(\\\"})"},
    {"Python", "{'client_secret': '", "', 'x': 1}"},
    {"query", "GET /x?access_token=", "&y=1 failed"},
    {"header", "X-Api-Key: ", "\r\nHost: x"},
    {"header, folded", "X-Auth-Token:\r\n ", "\r\nHost: x"},
    {"cookie", "Cookie: sid=", "; a=b\r\nHost: x"},
    {"element", "<password>", "</password>"},
    {"element, cut", "<a><password>", ""},
    {"element, encoded", "&lt;secret&gt;", "&lt;/secret&gt;"},
    {"option", "tool --password ", " --verbose"},
    {"option with =", "tool --token=", " --verbose"},
    {"environment", "MYSQL_PWD=", " DB_PASS=x1"},
    {"connection string", "Server=h;Uid=u;Pwd=", ";Database=d"},
    {"AccountKey", "AccountName=n;AccountKey=", ";EndpointSuffix=e"},
    {"index", "password[0]=", "&x=1"},
    {"block scalar", "a:\n  password: |\n    ", "\n  b: c"},
    {"YAML list", "passwords:\n  - ", "\nb: c"},
    {"pair", R"(["x-api-key", ")", R"("])"},
    {"pair, Python", "(b'cookie', b'", "')"},
    {"name and value", R"({"name":"Authorization","value":")", R"("})"},
    {"value and name", R"({"value":")", R"(","name":"password"})"},
    {"key and val", R"({"key":"x-api-key","val":")", R"("})"},
    {"validation, loc", R"({"loc":["body","password"],"msg":"short","input":")", R"("})"},
    {"validation, pointer", R"({"instancePath":"/password","data":")", R"("})"},
    {"validation, text", "password\n  too short [type=x, input_value='", "', input_type=str]"},
    {"Ruby", R"({:password=>")", R"("})"},
    {"Go map", "map[password:", " user:bob]"},
    {"Java", "Login(user=bob, password=", ")"},
    {"INI", "[db]\npassword = ", "\n"},
    {"TOML", "secret = \"", "\"\n"},
};

}  // namespace

std::vector<canary> hatch(std::uint64_t seed, std::size_t count) {
  maker m(seed);
  std::vector<canary> all;
  for (std::size_t n = 0; n < count; ++n) {
    for (const encoding& e : encodings()) {
      const std::string known = m.of(alnum, 2) + m.of(anything, 14) + m.of(alnum, 2);
      const std::string shown = e.of(known);
      all.push_back({"known value, " + std::string(e.name),
                     "got " + shown + " there",
                     {known, shown},
                     known});
    }
    for (const shape& s : shapes())
      for (const carrier& c : around_shapes) {
        const std::string secret = s.make(m);
        // The end of it: what stands in front may be shown, as the scheme and the host are.
        const std::size_t tail = s.name == "private key" || s.name == "user info" ? 0 : 12;
        std::string trace = secret.substr(secret.size() - tail);
        if (s.name == "private key") trace = secret.substr(28, 30);
        if (s.name == "user info") trace = secret.substr(12, 14);
        if (s.name == "Bearer, quoted") trace = secret.substr(8, 24);
        all.push_back({std::string(s.name) + " in " + std::string(c.name),
                       std::string(c.before) + secret + std::string(c.behind),
                       {trace},
                       {}});
      }
    for (const syntax& s : around_values)
      for (const bool padded : {false, true}) {
        const std::string secret =
            padded ? m.of(alnum, 9) + "/" + m.of(alnum, 6) + "+" + m.of(alnum, 5) + "=="
                   : m.of(alnum, 16);
        all.push_back({"named value, " + std::string(s.name) + (padded ? ", in base64" : ""),
                       std::string(s.before) + secret + std::string(s.behind),
                       {secret},
                       {}});
      }
    const std::string any = m.of(alnum, 2) + m.of(anything, 14) + m.of(alnum, 2);
    const std::string once = json_escaped(any);
    const std::string twice = json_escaped(once);
    all.push_back({"named value, JSON, any characters",
                   R"({"password":")" + once + R"(","x":1})",
                   {any, once},
                   {}});
    all.push_back({"named value, JSON twice, any characters",
                   R"({\"password\":\")" + twice + R"(\",\"x\":1})",
                   {any, twice},
                   {}});
    all.push_back({"named value, pair, any characters",
                   R"(["x-api-key", ")" + once + R"("])",
                   {any, once},
                   {}});
    all.push_back({"named value, name and value, any characters",
                   R"({"name":"x-api-key","value":")" + once + R"("})",
                   {any, once},
                   {}});
  }
  return all;
}

}  // namespace hawser::test::canaries

#include "hawser/testing/fault_server.hpp"
#include "hawser/testing/test_certificates.hpp"

#include "http/beast/tls.hpp"
#include "http/transport_support.hpp"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <vector>

namespace hawser::test::tls_test {
namespace {

using testing::connection_plan;
using testing::ending;
using testing::fault_server;
using testing::fault_server_options;
using testing::fault_server_tls;
using testing::issued_certificate;
using testing::leaf_request;
using testing::plan;
using testing::test_authority;

class file {
 public:
  explicit file(std::string_view text)
      : path_(::testing::TempDir() + "hawser_tls_" + std::to_string(++count_) + "_" +
              std::to_string(reinterpret_cast<std::uintptr_t>(this)) + ".pem") {
    std::ofstream(path_) << text;
  }
  ~file() { std::remove(path_.c_str()); }
  file(const file&) = delete;
  file& operator=(const file&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  static inline int count_ = 0;
  std::string path_;
};

class tls : public ::testing::Test, public transport_rig {
 protected:
  std::unique_ptr<fault_server> serve(fault_server_tls how) {
    if (!how.authority) how.authority = authority;
    fault_server_options o;
    o.tls = std::move(how);
    return std::make_unique<fault_server>(std::move(o));
  }
  std::unique_ptr<fault_server> serve(leaf_request leaf) {
    fault_server_tls how;
    how.leaf = std::move(leaf);
    return serve(std::move(how));
  }
  void trust(const test_authority& ca) { transport_rig::tls.ca_pem = ca.certificate(); }
  void SetUp() override { trust(*authority); }

  /// One GET against a server with that certificate.
  void connect(const leaf_request& leaf, std::string_view host = "localhost") {
    const auto server = serve(leaf);
    auto net = make(server->url(host));
    ex.get("/");
    ASSERT_TRUE(run(*net, ex));
  }
  void expect_refused(errc code, std::string_view named = {}) {
    EXPECT_EQ(ex.ec_, code) << ex.ec_.message() << ": " << ex.detail_;
    EXPECT_EQ(ex.ec_, condition::tls_failure);
    EXPECT_EQ(ex.delivery_, evidence::never_sent);
    EXPECT_NE(ex.detail_.find("localhost"), std::string::npos) << ex.detail_;
    EXPECT_NE(ex.detail_.find(named), std::string::npos) << ex.detail_;
  }

  std::shared_ptr<test_authority> authority = std::make_shared<test_authority>();
  one_exchange ex;
};

// --- whom to trust -----------------------------------------------------------------------------

TEST_F(tls, a_good_certificate_is_accepted_by_name_and_by_address) {
  connect({});
  EXPECT_FALSE(ex.ec_) << ex.ec_.message() << ": " << ex.detail_;
  ex.again();
  connect({}, "127.0.0.1");
  EXPECT_FALSE(ex.ec_) << ex.ec_.message() << ": " << ex.detail_;
}

TEST_F(tls, an_intermediate_sent_by_the_server_is_followed_to_the_root) {
  fault_server_tls how;
  how.authority = std::make_shared<test_authority>(authority->intermediate());
  const auto server = serve(how);
  auto net = make(server->url("localhost"));
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_FALSE(ex.ec_) << ex.ec_.message() << ": " << ex.detail_;
}

TEST_F(tls, an_expired_certificate_is_refused) {
  connect(testing::expired_leaf());
  expect_refused(errc::certificate_expired, "expired");
  EXPECT_NE(ex.detail_.find("CN=localhost"), std::string::npos) << ex.detail_;
}

TEST_F(tls, a_certificate_not_yet_valid_is_refused) {
  connect(testing::not_yet_valid_leaf());
  expect_refused(errc::certificate_expired, "not yet valid");
}

TEST_F(tls, a_self_signed_certificate_is_refused) {
  connect(testing::self_signed_leaf());
  expect_refused(errc::certificate_untrusted, "its own CA");
}

TEST_F(tls, another_authority_is_refused) {
  trust(test_authority("Somebody else"));
  connect({});
  expect_refused(errc::certificate_untrusted, "ca_file");
}

TEST_F(tls, another_authority_of_the_same_name_is_refused) {
  trust(test_authority());
  connect({});
  expect_refused(errc::certificate_untrusted);
}

TEST_F(tls, the_systems_store_does_not_trust_a_test_authority) {
  transport_rig::tls.ca_pem.reset();
  connect({});
  expect_refused(errc::certificate_untrusted);
}

/// Makes OpenSSL take a file for the system's store.
class system_store {
 public:
  explicit system_store(const std::string& path) { setenv("SSL_CERT_FILE", path.c_str(), 1); }
  ~system_store() { unsetenv("SSL_CERT_FILE"); }
  system_store(const system_store&) = delete;
  system_store& operator=(const system_store&) = delete;
};

TEST_F(tls, the_systems_store_is_used_when_no_authority_is_given) {
  const file store_file(authority->certificate());
  const system_store store(store_file.path());
  transport_rig::tls.ca_pem.reset();
  connect({});
  EXPECT_FALSE(ex.ec_) << ex.ec_.message() << ": " << ex.detail_;
}

TEST_F(tls, authorities_of_our_own_displace_the_systems_store) {
  const file store_file(authority->certificate());
  const system_store store(store_file.path());
  trust(test_authority("Somebody else"));
  connect({});
  expect_refused(errc::certificate_untrusted);
}

TEST_F(tls, another_hosts_certificate_is_refused_and_its_names_shown) {
  connect(testing::wrong_host_leaf());
  expect_refused(errc::certificate_name_mismatch, "elsewhere.test");
}

TEST_F(tls, a_common_name_alone_does_not_count) {
  connect(testing::common_name_only_leaf());
  expect_refused(errc::certificate_name_mismatch, "alternative names none");
}

TEST_F(tls, an_address_is_matched_as_an_address) {
  leaf_request names_only;
  names_only.names = {"127.0.0.1"};
  names_only.addresses = {};
  connect(names_only, "127.0.0.1");
  EXPECT_EQ(ex.ec_, errc::certificate_name_mismatch) << ex.detail_;
}

TEST_F(tls, a_client_certificate_does_not_make_a_server) {
  leaf_request wrong_use;
  wrong_use.client = true;
  connect(wrong_use);
  EXPECT_EQ(ex.ec_, errc::certificate_rejected) << ex.ec_.message() << ": " << ex.detail_;
}

// --- versions and handshakes -------------------------------------------------------------------

TEST_F(tls, a_server_of_tls_1_2_needs_an_explicit_minimum) {
  fault_server_tls how;
  how.only_tls_1_2 = true;
  const auto server = serve(how);
  {
    auto net = make(server->url("localhost"));
    ex.get("/");
    ASSERT_TRUE(run(*net, ex));
    expect_refused(errc::tls_handshake_failed, "tls.min_version");
  }
  transport_rig::tls.min_version = http::tls_version::tls1_2;
  auto net = make(server->url("localhost"));
  ASSERT_TRUE(run(*net, ex));
  EXPECT_FALSE(ex.ec_) << ex.ec_.message() << ": " << ex.detail_;
}

TEST_F(tls, plain_text_instead_of_tls_is_said_so) {
  const auto server = serve(fault_server_tls{});
  connection_plan plain;
  plain.what = connection_plan::kind::plain_text;
  server->script_connections({plain});
  auto net = make(server->url("localhost"));
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  expect_refused(errc::tls_handshake_failed, "does not seem to speak TLS");
}

TEST_F(tls, a_connection_closed_in_the_handshake_was_never_sent) {
  const auto server = serve(fault_server_tls{});
  connection_plan close;
  close.what = connection_plan::kind::close;
  server->script_connections({close});
  auto net = make(server->url("localhost"));
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_TRUE(ex.ec_);
  EXPECT_EQ(ex.delivery_, evidence::never_sent);
}

TEST_F(tls, the_handshake_has_its_own_limit) {
  const auto server = serve(fault_server_tls{});
  connection_plan stall;
  stall.what = connection_plan::kind::stall;
  server->script_connections({stall});
  auto net = make(server->url("localhost"));
  ex.get("/");
  net->start(ex);
  ASSERT_TRUE(run_until([&] { return server->counters().connections == 1; }));
  for (int i = 0; i < 20; ++i) io.run_one_for(1ms);
  advance(3s - 1ns);
  EXPECT_FALSE(ex.done());
  advance(1ns);
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, errc::tls_timeout);
  EXPECT_EQ(ex.ec_, condition::timeout);
  EXPECT_EQ(ex.delivery_, evidence::never_sent);
}

TEST_F(tls, cancel_in_the_handshake) {
  const auto server = serve(fault_server_tls{});
  connection_plan stall;
  stall.what = connection_plan::kind::stall;
  server->script_connections({stall});
  auto net = make(server->url("localhost"));
  ex.get("/");
  net->start(ex);
  ASSERT_TRUE(run_until([&] { return server->counters().connections == 1; }));
  net->cancel(ex);
  ASSERT_TRUE(run_until(ex));
  EXPECT_EQ(ex.ec_, canceled_error());
  EXPECT_EQ(ex.delivery_, evidence::never_sent);
}

// --- exchanges ---------------------------------------------------------------------------------

TEST_F(tls, one_connection_carries_many_exchanges) {
  const auto server = serve(fault_server_tls{});
  auto net = make(server->url("localhost"));
  ex.get("/");
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(run(*net, ex));
    ASSERT_FALSE(ex.ec_) << ex.ec_.message() << ": " << ex.detail_;
    if (i % 3 == 0) advance(5ms);
  }
  EXPECT_EQ(server->counters().connections, 1u);
  EXPECT_EQ(server->counters().handshakes, 1u);
}

TEST_F(tls, large_bodies_go_both_ways) {
  const std::string large(3 * 1024 * 1024, 'x');
  const auto server = serve(fault_server_tls{});
  server->handle([](const testing::received_request& r) { return plan::answer(200, r.body); });
  auto net = make(server->url("localhost"));
  ex.set(http::method::put, "/", large);
  ASSERT_TRUE(run(*net, ex));
  ASSERT_FALSE(ex.ec_) << ex.ec_.message() << ": " << ex.detail_;
  EXPECT_EQ(ex.answer_.body(), large);
  EXPECT_EQ(net->stats().idle, 1u);
}

TEST_F(tls, a_body_until_close_is_complete_only_with_close_notify) {
  const auto server = serve(fault_server_tls{});
  server->script({plan::answer(200, "hello").until_close(),
                  plan::answer(200, "hello").until_close().cut_body_at(3),
                  plan::answer(200, "hello").until_close().cut_body_at(5),
                  plan::answer(200, "hello").until_close().cut_body_at(3).with_close_notify()});
  auto net = make(server->url("localhost"));
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_FALSE(ex.ec_) << ex.ec_.message() << ": " << ex.detail_;
  EXPECT_EQ(ex.answer_.body(), "hello");
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(run(*net, ex));
    EXPECT_EQ(ex.ec_, errc::truncated_response) << i;
    EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
    EXPECT_NE(ex.detail_.find("close_notify"), std::string::npos) << ex.detail_;
  }
  ASSERT_TRUE(run(*net, ex));
  EXPECT_FALSE(ex.ec_) << "the peer says that this is all";
}

TEST_F(tls, every_cut_of_an_answer_is_an_error) {
  const auto server = serve(fault_server_tls{});
  for (std::size_t n = 0; n < 60; n += 7) {
    server->script({plan::answer(200, "hello").cut_at(n)});
    auto net = make(server->url("localhost"));
    ex.get("/");
    ASSERT_TRUE(run(*net, ex)) << n;
    EXPECT_EQ(ex.ec_, n == 0 ? errc::connection_closed : errc::truncated_response)
        << n << ex.ec_.message() << ex.detail_;
    EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
  }
}

// A record whose check fails was not sent by the server: that is no truncation, which a server that
// breaks off looks like.
TEST_F(tls, a_forged_record_is_a_failure_of_tls_wherever_it_comes) {
  for (const std::size_t n : {0U, 1U, 16U, 40U, 90U, 100U}) {
    for (const bool only_tls_1_2 : {false, true}) {
      SCOPED_TRACE(n);
      fault_server_tls how;
      how.only_tls_1_2 = only_tls_1_2;
      const auto server = serve(how);
      transport_rig::tls.min_version = http::tls_version::tls1_2;
      server->script({plan::answer(200, std::string(100, 'x')).forge_at(n)});
      auto net = make(server->url("localhost"));
      ex.get("/");
      ASSERT_TRUE(run(*net, ex));
      EXPECT_EQ(ex.ec_, errc::tls_broken) << ex.ec_.message() << ": " << ex.detail_;
      EXPECT_EQ(ex.ec_, condition::tls_failure);
      EXPECT_EQ(ex.ec_, condition::transient);
      EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
      EXPECT_NE(ex.detail_.find("localhost"), std::string::npos) << ex.detail_;
      EXPECT_NE(ex.detail_.find("bad record mac"), std::string::npos) << ex.detail_;
      EXPECT_EQ(net->stats().connections, 0u);
    }
  }
}

TEST_F(tls, a_forged_record_does_not_end_a_body_that_ends_with_the_connection) {
  const auto server = serve(fault_server_tls{});
  server->script({plan::answer(200, "hello").until_close().forge_body_at(5)});
  auto net = make(server->url("localhost"));
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_EQ(ex.ec_, errc::tls_broken) << ex.ec_.message() << ": " << ex.detail_;
}

TEST_F(tls, a_forged_record_on_a_kept_connection_is_the_same) {
  const auto server = serve(fault_server_tls{});
  server->script({plan::answer(200), plan::answer(200).forge_at(0)});
  auto net = make(server->url("localhost"));
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  ASSERT_FALSE(ex.ec_);
  ASSERT_TRUE(run(*net, ex));
  EXPECT_EQ(server->counters().connections, 1u);
  EXPECT_EQ(ex.ec_, errc::tls_broken) << ex.ec_.message() << ": " << ex.detail_;
  EXPECT_EQ(ex.delivery_, evidence::maybe_applied);
  EXPECT_NE(ex.detail_.find("request 2"), std::string::npos) << ex.detail_;
}

TEST_F(tls, excess_bytes_poison_the_connection) {
  const auto server = serve(fault_server_tls{});
  server->script({plan::malformed(testing::garble::excess_bytes)});
  auto net = make(server->url("localhost"));
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_FALSE(ex.ec_);
  EXPECT_EQ(net->stats().connections, 0u);
}

TEST_F(tls, a_connection_closed_while_idle_is_found_out_before_reuse) {
  const auto server = serve(fault_server_tls{});
  server->script({plan::answer(200).then(ending::silent_close)});
  auto net = make(server->url("localhost"));
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  ASSERT_TRUE(server->wait_for([](const auto& c) { return c.open_connections == 0; }, 5s));
  advance(2ms);
  ex.set(http::method::post, "/", "{}");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_FALSE(ex.ec_) << ex.ec_.message() << ex.detail_;
  EXPECT_EQ(server->counters().connections, 2u);
}

// --- sessions over memory: names that cannot be resolved here, and resumption --------------------

/// A TLS server without a socket.
class memory_server {
 public:
  explicit memory_server(const issued_certificate& own) : ctx_(SSL_CTX_new(TLS_server_method())) {
    const auto bio = [](const std::string& text) {
      return BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
    };
    BIO* in = bio(own.certificate);
    X509* leaf = PEM_read_bio_X509(in, nullptr, nullptr, nullptr);
    BIO_free(in);
    in = bio(own.key);
    EVP_PKEY* key = PEM_read_bio_PrivateKey(in, nullptr, nullptr, nullptr);
    BIO_free(in);
    EXPECT_EQ(SSL_CTX_use_certificate(ctx_.get(), leaf), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(ctx_.get(), key), 1);
    X509_free(leaf);
    EVP_PKEY_free(key);
    const unsigned char id[] = "test";
    SSL_CTX_set_session_id_context(ctx_.get(), id, sizeof id);
    SSL_CTX_set_alpn_select_cb(
        ctx_.get(),
        [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in_list,
           unsigned in_size, void* user) {
          static_cast<memory_server*>(user)->offered_.assign(reinterpret_cast<const char*>(in_list),
                                                             in_size);
          *out = in_list + 1;
          *size = in_list[0];
          return SSL_TLSEXT_ERR_OK;
        },
        this);
  }
  SSL_CTX* native() { return ctx_.get(); }
  const std::string& offered() const { return offered_; }
  const std::string& server_name() const { return server_name_; }

  /// Shakes hands and answers "hi" to the first bytes. Whether the client is content.
  http::beast::tls_session::result meet(http::beast::tls_session& client) {
    using result = http::beast::tls_session::result;
    ssl_.reset(SSL_new(ctx_.get()));
    to_server_ = BIO_new(BIO_s_mem());
    to_client_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), to_server_, to_client_);
    SSL_set_accept_state(ssl_.get());
    result r = result::want_more;
    std::string pipe;
    for (int turn = 0; turn < 10; ++turn) {
      r = client.handshake();
      hear(client.out());
      client.sent(client.out().size());
      if (r == result::failed) return r;
      SSL_do_handshake(ssl_.get());
      if (const char* name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name))
        server_name_ = name;
      if (r == result::done) break;
      pipe = drain();
      client.give(pipe);
    }
    EXPECT_EQ(r, result::done);
    pipe = say("hi");
    client.give(pipe);
    char buffer[64];
    std::size_t n = 0;
    EXPECT_EQ(client.decrypt(buffer, sizeof buffer, n), result::done);
    EXPECT_EQ(std::string(buffer, n), "hi");
    return r;
  }

  /// After `meet`: the records with that text.
  std::string say(std::string_view text) {
    SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
    return drain();
  }
  /// Bytes from the client, read when the server next does anything.
  void hear(std::string_view bytes) {
    if (!bytes.empty()) BIO_write(to_server_, bytes.data(), static_cast<int>(bytes.size()));
  }
  /// Reads what was heard; the records with what the server has to say to that.
  std::string listen() {
    char buffer[64];
    SSL_read(ssl_.get(), buffer, sizeof buffer);
    return drain();
  }
  SSL* session() { return ssl_.get(); }

 private:
  std::string drain() {
    std::string text(BIO_ctrl_pending(to_client_), '\0');
    if (!text.empty()) BIO_read(to_client_, text.data(), static_cast<int>(text.size()));
    return text;
  }

  http::beast::ssl_ctx_ptr ctx_;
  http::beast::ssl_ptr ssl_;
  BIO* to_server_ = nullptr;  // the session's
  BIO* to_client_ = nullptr;
  std::string offered_;
  std::string server_name_;
};

class tls_session : public ::testing::Test {
 protected:
  std::shared_ptr<http::beast::tls_context> context(std::string host, bool is_address = false) {
    http::tls_options o;
    o.ca_pem = authority.certificate();
    return std::make_shared<http::beast::tls_context>(
        o, http::beast::tls_peer{std::move(host), is_address});
  }
  error verify(std::string host, const leaf_request& leaf) {
    memory_server server(authority.issue(leaf));
    http::beast::tls_session client(context(std::move(host)));
    (void)server.meet(client);
    return client.failure();
  }
  test_authority authority;
};

TEST_F(tls_session, a_wildcard_stands_for_one_whole_label) {
  const leaf_request wild = testing::wildcard_leaf("api.test");
  EXPECT_FALSE(verify("a1.api.test", wild).code());
  EXPECT_EQ(verify("api.test", wild), errc::certificate_name_mismatch);
  EXPECT_EQ(verify("x.a1.api.test", wild), errc::certificate_name_mismatch);
}

TEST_F(tls_session, a_partial_wildcard_is_refused) {
  const error e = verify("a1.api.test", testing::partial_wildcard_leaf("a", "api.test"));
  EXPECT_EQ(e, errc::certificate_name_mismatch);
  EXPECT_NE(e.detail().find("a1.api.test"), std::string_view::npos) << e.detail();
  EXPECT_NE(e.detail().find("a*.api.test"), std::string_view::npos) << e.detail();
}

TEST_F(tls_session, the_last_dot_of_a_host_is_no_part_of_its_name) {
  leaf_request leaf;
  leaf.names = {"api.test"};
  memory_server server(authority.issue(leaf));
  http::beast::tls_session client(context("api.test."));
  (void)server.meet(client);
  EXPECT_FALSE(client.failure().code()) << client.failure().message();
  EXPECT_EQ(server.server_name(), "api.test");
}

TEST_F(tls_session, offers_http_1_1_and_names_the_host_but_no_address) {
  memory_server server(authority.issue({}));
  http::beast::tls_session by_name(context("localhost"));
  (void)server.meet(by_name);
  EXPECT_EQ(server.offered(), "\x08http/1.1");
  EXPECT_EQ(server.server_name(), "localhost");
  memory_server other(authority.issue({}));
  http::beast::tls_session by_address(context("::1", true));
  (void)other.meet(by_address);
  EXPECT_FALSE(by_address.failure().code()) << by_address.failure().message();
  EXPECT_EQ(other.server_name(), "");
}

TEST_F(tls_session, resumes_with_the_tickets_of_earlier_ones) {
  memory_server server(authority.issue({}));
  const auto shared = context("localhost");
  {
    http::beast::tls_session first(shared);
    (void)server.meet(first);
    EXPECT_FALSE(first.resumed());
  }
  {
    http::beast::tls_session second(shared);
    (void)server.meet(second);
    EXPECT_TRUE(second.resumed());
  }
  http::beast::tls_session stranger(context("localhost"));
  (void)server.meet(stranger);
  EXPECT_FALSE(stranger.resumed());
}

TEST_F(tls_session, resumes_tls_1_2_as_often_as_it_likes) {
  memory_server server(authority.issue({}));
  SSL_CTX_set_max_proto_version(server.native(), TLS1_2_VERSION);
  http::tls_options o;
  o.ca_pem = authority.certificate();
  o.min_version = http::tls_version::tls1_2;
  const auto shared =
      std::make_shared<http::beast::tls_context>(o, http::beast::tls_peer{"localhost", false});
  for (int i = 0; i < 4; ++i) {
    http::beast::tls_session one(shared);
    (void)server.meet(one);
    EXPECT_EQ(one.resumed(), i != 0) << i;
  }
}

// What comes once the handshake is over.
class tls_stream : public tls_session {
 protected:
  using result = http::beast::tls_session::result;

  std::shared_ptr<http::beast::tls_context> old_context() {
    http::tls_options o;
    o.ca_pem = authority.certificate();
    o.min_version = http::tls_version::tls1_2;
    return std::make_shared<http::beast::tls_context>(o, http::beast::tls_peer{"localhost", false});
  }
  /// What the client makes of these bytes.
  static result take(http::beast::tls_session& client, std::string_view bytes) {
    client.give(bytes);
    std::size_t n = 0;
    char buffer[64];
    const result r = client.decrypt(buffer, sizeof buffer, n);
    EXPECT_EQ(r == result::done, n != 0);
    return r;
  }
  static void expect_broken(const http::beast::tls_session& client, std::string_view why) {
    EXPECT_EQ(client.failure(), errc::tls_broken) << client.failure().message();
    EXPECT_EQ(client.failure(), condition::tls_failure);
    EXPECT_NE(client.failure().detail().find(why), std::string_view::npos)
        << client.failure().detail();
    // Advice on setting a connection up does not fit any more.
    EXPECT_EQ(client.failure().detail().find("tls."), std::string_view::npos);
    EXPECT_EQ(client.failure().detail().find("does not seem"), std::string_view::npos);
  }
};

TEST_F(tls_stream, a_record_with_any_byte_changed_is_never_taken) {
  for (const bool old : {false, true}) {
    memory_server server(authority.issue({}));
    if (old) SSL_CTX_set_max_proto_version(server.native(), TLS1_2_VERSION);
    const auto shared = old_context();
    std::size_t size = 1;
    for (std::size_t i = 0; i < size; ++i) {
      SCOPED_TRACE(i);
      http::beast::tls_session client(shared);
      (void)server.meet(client);
      std::string record = server.say("hello");
      size = record.size();
      record[i] = static_cast<char>(record[i] ^ 1);
      const result r = take(client, record);
      // A longer length leaves it waiting for more, and a later record gives it away.
      if (r == result::want_more) {
        EXPECT_TRUE(i == 3 || i == 4);
        continue;
      }
      EXPECT_EQ(r, result::failed);
      expect_broken(client, "host 'localhost'");
      EXPECT_EQ(take(client, server.say("more")), result::failed) << "it is over";
    }
    EXPECT_GT(size, 20U);
  }
}

TEST_F(tls_stream, a_record_sent_twice_is_never_taken) {
  memory_server server(authority.issue({}));
  http::beast::tls_session client(context("localhost"));
  (void)server.meet(client);
  const std::string record = server.say("hello");
  EXPECT_EQ(take(client, record), result::done);
  EXPECT_EQ(take(client, record), result::failed);
  expect_broken(client, "bad record mac");
}

TEST_F(tls_stream, an_alert_of_the_server_breaks_it) {
  memory_server server(authority.issue({}));
  http::beast::tls_session client(context("localhost"));
  (void)server.meet(client);
  ASSERT_EQ(client.encrypt("hello"), result::done);
  std::string record(client.out());
  record.back() = static_cast<char>(record.back() ^ 1);
  server.hear(record);
  EXPECT_EQ(take(client, server.listen()), result::failed);
  expect_broken(client, "alert bad record mac");
}

TEST_F(tls_stream, plain_text_in_the_middle_breaks_it) {
  memory_server server(authority.issue({}));
  http::beast::tls_session client(context("localhost"));
  (void)server.meet(client);
  EXPECT_EQ(take(client, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"), result::failed);
  expect_broken(client, "host 'localhost'");
}

TEST_F(tls_stream, a_record_of_no_known_type_breaks_it) {
  memory_server server(authority.issue({}));
  http::beast::tls_session client(context("localhost"));
  (void)server.meet(client);
  EXPECT_EQ(take(client, std::string("\x7f\x03\x03\x00\x02hi", 7)), result::failed);
  expect_broken(client, "host 'localhost'");
}

// RFC 9325 section 3.5: none of it, and what was said before stays good.
TEST_F(tls_stream, a_renegotiation_is_declined) {
  memory_server server(authority.issue({}));
  SSL_CTX_set_max_proto_version(server.native(), TLS1_2_VERSION);
  http::beast::tls_session client(old_context());
  (void)server.meet(client);
  ASSERT_EQ(SSL_renegotiate(server.session()), 1);
  SSL_do_handshake(server.session());
  EXPECT_EQ(take(client, server.listen()), result::want_more);
  EXPECT_FALSE(client.failure().code()) << client.failure().message();
  EXPECT_NE(client.unsent(), 0U) << "a warning that there will be none";
}

// --- our own certificate -----------------------------------------------------------------------

TEST_F(tls, a_client_certificate_is_shown) {
  fault_server_tls how;
  how.require_client_certificate = true;
  const auto server = serve(how);
  const issued_certificate own = authority->issue(testing::client_leaf("billing"));
  transport_rig::tls.client_certificate_pem = own.chain;
  transport_rig::tls.client_key_pem = secret(own.key);
  auto net = make(server->url("localhost"));
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  ASSERT_FALSE(ex.ec_) << ex.ec_.message() << ": " << ex.detail_;
  EXPECT_EQ(server->requests().at(0).request.client_name, "billing");
}

TEST_F(tls, a_missing_client_certificate_is_refused_and_the_remedy_named) {
  fault_server_tls how;
  how.require_client_certificate = true;
  const auto server = serve(how);
  auto net = make(server->url("localhost"));
  ex.set(http::method::post, "/", "{}");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_EQ(ex.ec_, errc::tls_handshake_failed) << ex.ec_.message() << ": " << ex.detail_;
  EXPECT_NE(ex.detail_.find("tls.client_certificate_file"), std::string::npos) << ex.detail_;
  EXPECT_TRUE(may_resend(effect::unsafe, ex.delivery_)) << "the server acted on nothing";
  EXPECT_EQ(server->counters().requests, 0u);
}

TEST_F(tls, a_client_certificate_of_another_authority_is_refused) {
  fault_server_tls how;
  how.require_client_certificate = true;
  const auto server = serve(how);
  const test_authority other("Somebody else");
  const issued_certificate own = other.issue(testing::client_leaf());
  transport_rig::tls.client_certificate_pem = own.chain;
  transport_rig::tls.client_key_pem = secret(own.key);
  auto net = make(server->url("localhost"));
  ex.get("/");
  ASSERT_TRUE(run(*net, ex));
  EXPECT_EQ(ex.ec_, errc::tls_handshake_failed) << ex.ec_.message() << ": " << ex.detail_;
}

// --- credentials that cannot be used -----------------------------------------------------------

class credentials : public ::testing::Test, public transport_rig {
 protected:
  /// What making a transport objects to; empty when it does not.
  std::string objection() {
    try {
      (void)make("https://localhost:1");
    } catch (const call_error& e) {
      EXPECT_EQ(e.why(), errc::tls_bad_credentials);
      return std::string(e.why().detail());
    } catch (const config_error& e) {
      return e.field();
    }
    return {};
  }
  test_authority authority;
  issued_certificate own = authority.issue(testing::client_leaf());
};

TEST_F(credentials, files_work_as_texts_do) {
  const file ca(authority.certificate());
  const file chain(own.chain);
  const file key(own.key);
  tls.ca_file = ca.path();
  tls.client_certificate_file = chain.path();
  tls.client_key_file = key.path();
  EXPECT_EQ(objection(), "");
}

TEST_F(credentials, a_missing_file_is_named) {
  tls.ca_file = "/no/such/ca.pem";
  EXPECT_NE(objection().find("/no/such/ca.pem"), std::string::npos);
}

TEST_F(credentials, a_file_without_certificates_is_named) {
  const file empty("nothing in here\n");
  tls.ca_file = empty.path();
  EXPECT_NE(objection().find(empty.path()), std::string::npos);
}

TEST_F(credentials, a_broken_certificate_is_named) {
  std::string text = authority.certificate();
  text.replace(text.size() / 2, 8, "########");
  tls.ca_pem = text;
  EXPECT_NE(objection().find("tls.ca_pem"), std::string::npos) << objection();
}

TEST_F(credentials, a_key_of_another_certificate_is_refused) {
  tls.ca_pem = authority.certificate();
  tls.client_certificate_pem = own.chain;
  tls.client_key_pem = secret(authority.issue(testing::client_leaf()).key);
  EXPECT_NE(objection().find("tls.client_key_pem"), std::string::npos) << objection();
}

TEST_F(credentials, a_key_that_is_none_is_refused_and_not_quoted) {
  tls.client_certificate_pem = own.chain;
  tls.client_key_pem = secret("sesame");
  EXPECT_NE(objection().find("tls.client_key_pem"), std::string::npos);
  EXPECT_EQ(objection().find("sesame"), std::string::npos);
}

TEST_F(credentials, halves_and_doubles_are_refused_by_name) {
  tls.client_certificate_pem = own.chain;
  EXPECT_EQ(objection(), "tls.client_key_file");
  tls.client_key_pem = secret(own.key);
  EXPECT_EQ(objection(), "");
  tls.client_key_file = "x";
  EXPECT_EQ(objection(), "tls.client_key_pem");
  tls = {};
  tls.key_password = secret("sesame");
  EXPECT_EQ(objection(), "tls.key_password");
}

}  // namespace
}  // namespace hawser::test::tls_test
